// Bytes and their texts, random bytes and hashes, the same on every runtime.

import { PassgateError } from './errors.js'

/** Bytes that WebCrypto takes: not those of a shared buffer. */
export type Bytes = Uint8Array<ArrayBuffer>

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const BASE64URL = `${BASE64.slice(0, 62)}-_`

/** The bytes of a text. A lone surrogate becomes U+FFFD, so texts that are signed are checked before. */
export function utf8(text: string): Bytes {
  const bytes = new TextEncoder().encode(text)
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Bytes) : copied(bytes)
}

/** The text of bytes; `null` when they are not UTF-8. A byte order mark is kept. */
export function utf8Text(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

/** The same bytes in a buffer of their own. */
export function copied(bytes: Uint8Array): Bytes {
  const copy = new Uint8Array(bytes.byteLength)
  copy.set(bytes)
  return copy
}

/** Some bytes after the others. */
export function joined(parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}

/** Base64 with padding (RFC 4648 section 4). */
export function base64(bytes: Uint8Array): string {
  const text = encoded(bytes, BASE64)
  return text + '='.repeat((4 - (text.length % 4)) % 4)
}

/** Base64url without padding (RFC 7515 section 2). */
export function base64url(bytes: Uint8Array): string {
  return encoded(bytes, BASE64URL)
}

/** The bytes of a base64url text in its one spelling; `null` for every other text. */
export function fromBase64url(text: string): Bytes | null {
  if (text.length % 4 === 1) return null
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
  let at = 0
  let bits = 0
  let held = 0
  for (const digit of text) {
    const value = BASE64URL.indexOf(digit)
    if (value < 0) return null
    bits = ((bits << 6) | value) & 0xfff
    held += 6
    if (held >= 8) {
      held -= 8
      bytes[at] = (bits >> held) & 0xff
      at += 1
    }
  }
  // What the last digit holds beyond the last byte has to be zero, or two texts would stand for the same bytes.
  return (bits & ((1 << held) - 1)) === 0 ? bytes : null
}

function encoded(bytes: Uint8Array, alphabet: string): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, second, third] = bytes.subarray(at, at + 3)
    text += alphabet.charAt(first >> 2)
    text += alphabet.charAt(((first & 3) << 4) | ((second ?? 0) >> 4))
    if (second !== undefined) text += alphabet.charAt(((second & 15) << 2) | ((third ?? 0) >> 6))
    if (third !== undefined) text += alphabet.charAt(third & 63)
  }
  return text
}

/**
 * The runtime's WebCrypto.
 *
 * @throws {@link PassgateError} `crypto_unavailable`: a page that did not come over https or from localhost has none.
 */
export async function webCrypto(): Promise<Crypto> {
  const present = (globalThis as { crypto?: Crypto }).crypto
  if (present?.subtle) return present
  // Node 18 has it as a module only.
  const module = await builtin<{ webcrypto?: Crypto }>('crypto')
  if (module?.webcrypto?.subtle) return module.webcrypto
  throw new PassgateError(
    'crypto_unavailable',
    'There is no WebCrypto here: pages have it over https and from localhost only, Node from version 18.17 on.',
  )
}

/** Bytes from the runtime's secure source. */
export async function randomBytes(length: number): Promise<Bytes> {
  return (await webCrypto()).getRandomValues(new Uint8Array(length))
}

/** SHA-256. */
export async function sha256(bytes: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await (await webCrypto()).subtle.digest('SHA-256', copied(bytes)))
}

interface HostProcess {
  readonly getBuiltinModule?: (name: string) => unknown
  readonly versions?: { readonly node?: string }
}

/** Whether this is Node, or a runtime that says it is like it. */
export function hasNode(): boolean {
  return (globalThis as { process?: HostProcess }).process?.versions?.node !== undefined
}

/**
 * A module of Node, without the prefix `node:`; `null` where there is none. Bundlers do not see it: they would fail on
 * it for a browser.
 */
export async function builtin<Module>(name: string): Promise<Module | null> {
  if (!hasNode()) return null
  const specifier = `node:${name}`
  const present = (globalThis as { process?: HostProcess }).process?.getBuiltinModule?.(specifier)
  if (present) return present as Module
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ specifier)) as Module
  } catch {
    return null
  }
}
