// What was given: told from its first bytes, or from all of it when it is small.

import { isCompact, isObject, links, parse, typeOf, type JsonObject } from './jws.ts'
import { counted, size } from './text.ts'

/** What there is to check. */
export type Subject =
  | { readonly kind: 'passports'; readonly tokens: readonly string[]; readonly fromCredentials: boolean }
  | { readonly kind: 'attestation'; readonly token: string; readonly view: JsonObject | null }
  | { readonly kind: 'export'; readonly source: Blob }
  | { readonly kind: 'unknown'; readonly why: string }

/** Texts up to this length are shown in the field and read whole; anything longer is only streamed. */
export const MAX_TEXT_BYTES = 256 * 1024
/** Room for a list of unrelated passports. */
export const MAX_PASSPORTS = 32
/** How much of a large file tells what it is. */
const SNIFF_BYTES = 1024

const EXPORT_START = /^\{"(jws|head)":"[A-Za-z0-9_-]/

const unknown = (why: string): Subject => ({ kind: 'unknown', why })

const OTHER_TOKENS: Readonly<Record<string, string>> = {
  'ledger-head+jwt': 'This is the head of a ledger export alone. Give the whole export: its records, then this head.',
  'actionpass+jwt': 'This is a one-action pass. This page checks passports, attestations and ledger exports.',
  'approval+jwt': 'This is an approval. This page checks passports, attestations and ledger exports.',
  'bundle+jwt': 'This is a policy bundle. This page checks passports, attestations and ledger exports.',
  'statuslist+jwt': 'This is a status list. This page checks passports, attestations and ledger exports.',
  'plugin+jwt': 'This is a plugin’s signature. This page checks passports, attestations and ledger exports.',
}

function ofTokens(tokens: readonly string[]): Subject {
  if (tokens.length > MAX_PASSPORTS) {
    const many = counted(tokens.length, 'token')
    return unknown(`There are ${many}. This page checks ${MAX_PASSPORTS} passports at a time.`)
  }
  const [first] = tokens
  if (first === undefined) return unknown('There is nothing to check yet.')
  const typ = typeOf(links(first)[0] ?? '')
  if (typ === 'attestation+jwt') {
    if (tokens.length === 1) return { kind: 'attestation', token: first, view: null }
    return unknown('These are several attestations. Give one at a time, or a ledger export, which has their order.')
  }
  const other = typ === null ? undefined : OTHER_TOKENS[typ]
  // A token with any other type goes to the verifier as a passport, which says what is wrong with it.
  return other === undefined ? { kind: 'passports', tokens, fromCredentials: false } : unknown(other)
}

function ofObject(value: JsonObject, text: string): Subject {
  const { passport, jws, head } = value
  if (typeof passport === 'string') return { kind: 'passports', tokens: [passport.trim()], fromCredentials: true }
  if (typeof jws === 'string') return { kind: 'attestation', token: jws.trim(), view: value }
  if (typeof head === 'string') return { kind: 'export', source: new Blob([text]) }
  if ('keys' in value || 'issuers' in value || 'kty' in value) {
    return unknown('These are keys or issuers. They belong into the second field; here goes what they are to check.')
  }
  return unknown('This JSON is no passport, attestation, ledger export or credentials file.')
}

/** What a text of at most {@link MAX_TEXT_BYTES} is. */
export function detectText(given: string): Subject {
  const text = given.replace(/^\uFEFF/, '').trim()
  if (text === '') return unknown('There is nothing to check yet.')
  if (text.includes('\0')) return unknown('This is no UTF-8 text. Save it as UTF-8 and give it again.')
  if (text.startsWith('{') || text.startsWith('[')) {
    const value = parse(text)
    if (isObject(value)) return ofObject(value, given)
    if (value === undefined && EXPORT_START.test(text)) return { kind: 'export', source: new Blob([given]) }
    return unknown(
      value === undefined
        ? 'This looks like JSON and is none: perhaps a part is missing.'
        : 'This JSON is a list. Give one passport, attestation or ledger export.',
    )
  }
  const lines = text.split(/\s+/)
  if (lines.every((line) => links(line).every(isCompact))) return ofTokens(lines)
  // One token with damage in it still gets the verifier's own words.
  const parts = links(text)
  if (lines.length === 1 && (text.match(/\./g) ?? []).length === 2 * parts.length) return ofTokens(lines)
  return unknown('This is no passport, attestation or ledger export: a token has three parts joined by dots.')
}

/** What a file or a long text is. Of a large one only the first bytes are read. */
export async function detectBlob(blob: Blob): Promise<Subject> {
  if (blob.size <= MAX_TEXT_BYTES) return detectText(await blob.text())
  const start = (await blob.slice(0, SNIFF_BYTES).text()).replace(/^\uFEFF/, '')
  if (EXPORT_START.test(start)) return { kind: 'export', source: blob }
  return unknown(
    `This is ${size(blob.size)} long and does not begin like a ledger export. A passport has at most 16 KiB and an ` +
      'attestation 64 KiB, so it was not read.',
  )
}

/** What a subject is called. */
export function nameOf(subject: Subject): string {
  switch (subject.kind) {
    case 'passports':
      if (subject.fromCredentials) return 'The passport of a credentials file'
      if (subject.tokens.length > 1) return `${subject.tokens.length} passports`
      return links(subject.tokens[0] ?? '').length > 1 ? 'A chain of passports' : 'A passport'
    case 'attestation':
      return subject.view === null ? 'An attestation' : 'An attestation, as the gate’s API shows it'
    case 'export':
      return `A ledger export, ${size(subject.source.size)}`
    case 'unknown':
      return ''
  }
}
