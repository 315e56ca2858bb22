// Private keys have no business here: they are taken out of what is given, and never leave in a link.

import { isObject, parse, payloadText } from './jws.ts'

/** Marks that also stand in text that is no JSON. */
const LOOKS_SECRET = /"d"\s*:\s*"|"private_key"\s*:|PRIVATE KEY-----/

/** No key stands deeper in a file of ours; what does is dropped, so that hostile nesting cannot use up the stack. */
const MAX_DEPTH = 32

function strip(value: unknown, depth = 0): { value: unknown; found: boolean } {
  if (depth > MAX_DEPTH) return { value: null, found: false }
  if (Array.isArray(value)) {
    const parts = value.map((part) => strip(part, depth + 1))
    return { value: parts.map((part) => part.value), found: parts.some((part) => part.found) }
  }
  if (!isObject(value)) return { value, found: false }
  const kept: [string, unknown][] = []
  let found = false
  for (const [name, member] of Object.entries(value)) {
    if (name === 'private_key' || (name === 'd' && 'kty' in value)) {
      found = true
      continue
    }
    const part = strip(member, depth + 1)
    found ||= part.found
    kept.push([name, part.value])
  }
  return { value: Object.fromEntries(kept), found }
}

/** The text without private keys, or `null` when it has none that can be found. */
export function withoutPrivateKeys(text: string): string | null {
  if (!LOOKS_SECRET.test(text)) return null
  const { value, found } = strip(parse(text))
  return found ? JSON.stringify(value, null, 2) : null
}

/** Whether a private key may be in a text or in the tokens it holds. */
export function mayHoldPrivateKey(text: string): boolean {
  if (LOOKS_SECRET.test(text)) return true
  const tokens = text.match(/[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/g) ?? []
  return tokens.some((token) => LOOKS_SECRET.test(payloadText(token)))
}
