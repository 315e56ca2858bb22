// Reading a compact JWS without verifying it: for telling what it is, and for showing what it claims.

export type JsonObject = Readonly<Record<string, unknown>>

export interface Unverified {
  readonly header: JsonObject
  readonly payload: JsonObject | null
}

/** No token that this page shows is longer, in characters: a record has at most 64 KiB. */
export const MAX_TOKEN_CHARS = 64 * 1024

const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a text has the form of a compact JWS. */
export function isCompact(text: string): boolean {
  return text.length <= MAX_TOKEN_CHARS && COMPACT.test(text)
}

/** The passports of a chain, from the issuer's on; one for a text that is no chain. */
export function links(text: string): string[] {
  return text.split('~')
}

/** The JSON of a text, `undefined` when it is none. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    return Uint8Array.from(binary, (character) => character.charCodeAt(0))
  } catch {
    return null
  }
}

export function toBase64Url(text: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function decode(text: string | undefined): string {
  const bytes = fromBase64Url(text ?? '')
  return bytes === null ? '' : new TextDecoder().decode(bytes)
}

function segment(text: string | undefined): JsonObject | null {
  const value = parse(decode(text))
  return isObject(value) ? value : null
}

/** The payload of a token as text, whatever it is. */
export function payloadText(token: string): string {
  return decode(token.split('.')[1])
}

/** What a token claims. `null` when it has no header that can be read. */
export function peek(token: string): Unverified | null {
  if (!isCompact(token)) return null
  const [first, second] = token.split('.')
  const header = segment(first)
  return header === null ? null : { header, payload: segment(second) }
}

/** The `typ` of a token without its `application/` prefix. */
export function typeOf(token: string): string | null {
  const typ = peek(token)?.header['typ']
  return typeof typ === 'string' ? typ.replace(/^application\//, '') : null
}
