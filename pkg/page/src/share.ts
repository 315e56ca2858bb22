// Links that carry what is to be checked. All of it stands after the `#`, which browsers do not send.

import type { PublicJwk, TrustedIssuer } from '../../ts/types.ts'
import type { Subject } from './detect.ts'
import { fromBase64Url, toBase64Url } from './jws.ts'
import { mayHoldPrivateKey } from './secrets.ts'
import { size } from './text.ts'
import { issuerKey, type Trust } from './trust.ts'

export interface Shared {
  readonly subject: string
  readonly trust: string
  readonly audience: string
  /** As the field for it holds it; empty for the present. */
  readonly moment: string
}

/** Longer links get cut by mail programs and chats. */
const MAX_SHARED_BYTES = 8 * 1024
/** What a fragment of ours can be at most: the bytes in base64, and the names. */
const MAX_FRAGMENT_CHARS = 12 * 1024

/** Why this cannot be shared, or `null`. */
export function refusal(shared: Shared): string | null {
  if (shared.subject.trim() === '') return 'There is nothing to share yet.'
  const texts = [shared.subject, shared.trust, shared.audience]
  const bytes = new TextEncoder().encode(texts.join('')).length
  if (bytes > MAX_SHARED_BYTES) {
    return `This is ${size(bytes)} long, and a link carries at most ${size(MAX_SHARED_BYTES)}. Send the file instead.`
  }
  // Looking for tokens takes time that grows with the square of the length, so the length comes first.
  if (texts.some(mayHoldPrivateKey)) return 'This may hold a private key. A link must not: take the key out first.'
  return null
}

/** Tokens alone: text that is none may hold anything. */
export function sharedSubject(subject: Subject): string {
  if (subject.kind === 'attestation') return subject.token
  if (subject.kind === 'passports') return subject.tokens.join('\n')
  throw new Error('A link carries passports or an attestation, and this is neither.')
}

/** Whom to trust as it was understood: members that mean nothing here stay here. */
export function sharedTrust(trust: Trust): string {
  const key = ({ kty, crv, x }: PublicJwk): PublicJwk => ({ kty, crv, x })
  if (trust.kind === 'none') return ''
  const timed = ({ jwk, ...times }: TrustedIssuer['keys'][number]) => ({ ...key(jwk), ...times })
  if (trust.kind === 'keys') return JSON.stringify({ keys: trust.keys.map((member) => timed(issuerKey(member))) })
  const issuers = trust.issuers.map(({ keys, ...issuer }) => {
    return { ...issuer, keys: keys.map(({ jwk, ...interval }) => ({ jwk: key(jwk), ...interval })) }
  })
  return JSON.stringify({ issuers, self_issued: trust.selfIssued })
}

/** The part of a link after the `#`. */
export function toFragment(shared: Shared): string {
  const parts = [['v', '1'], ['i', toBase64Url(shared.subject)]]
  if (shared.trust.trim() !== '') parts.push(['t', toBase64Url(shared.trust)])
  if (shared.audience.trim() !== '') parts.push(['a', toBase64Url(shared.audience)])
  if (shared.moment !== '') parts.push(['m', toBase64Url(shared.moment)])
  return parts.map((part) => part.join('=')).join('&')
}

function text(encoded: string | null): string {
  const bytes = encoded === null ? null : fromBase64Url(encoded)
  return bytes === null ? '' : new TextDecoder().decode(bytes)
}

/** What a link carries; `null` when it is none of ours. */
export function fromFragment(fragment: string): Shared | null {
  if (fragment.length > MAX_FRAGMENT_CHARS) return null
  const parts = new URLSearchParams(fragment.replace(/^#/, ''))
  if (parts.get('v') !== '1') return null
  const subject = text(parts.get('i'))
  if (subject === '') return null
  return { subject, trust: text(parts.get('t')), audience: text(parts.get('a')), moment: text(parts.get('m')) }
}
