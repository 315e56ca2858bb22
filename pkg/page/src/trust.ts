// The second field: whom to trust. Issuers, a gate's policy as JSON, or bare public keys.

import type { PublicJwk, SelfIssued, TrustedIssuer } from '../../ts/types.ts'
import { isObject, parse, type JsonObject } from './jws.ts'

export type Trust =
  /** Nobody was named. */
  | { readonly kind: 'none' }
  /** Public keys, without a word on whose they are. */
  | { readonly kind: 'keys'; readonly keys: readonly PublicJwk[] }
  | {
      readonly kind: 'issuers'
      readonly issuers: readonly TrustedIssuer[]
      readonly selfIssued: SelfIssued
      readonly statusLists: Readonly<Record<string, string>>
    }

/** Says what is wrong with the second field. */
export class TrustError extends Error {}

/** Far more than a policy with all its keys. */
export const MAX_TRUST_CHARS = 256 * 1024

const KEY_MEMBERS = ['kty', 'crv', 'x', 'kid', 'alg', 'use']
/** When a key counts. Without them a key that is not trusted any more would be trusted for ever. */
const TIME_MEMBERS = ['not_before', 'not_after', 'compromised_at']

const isKey = (value: unknown): boolean => isObject(value) && 'kty' in value && !('id' in value)

/** A key of a set as an issuer has it: the times in which it counts beside the key. */
export function issuerKey(key: PublicJwk): TrustedIssuer['keys'][number] {
  const members = Object.entries(key)
  const isTime = ([name]: [string, unknown]): boolean => TIME_MEMBERS.includes(name)
  const jwk = Object.fromEntries(members.filter((member) => !isTime(member)))
  return { jwk: jwk as unknown as PublicJwk, ...Object.fromEntries(members.filter(isTime)) }
}

function selfIssued(value: unknown): SelfIssued {
  if (value === undefined || value === 'refused') return 'refused'
  if (value === 'any_key') return 'any_key'
  const listed = isObject(value) ? value['listed'] : undefined
  if (Array.isArray(listed) && listed.every((entry) => typeof entry === 'string')) return { listed }
  throw new TrustError('`self_issued` is none of `refused`, `any_key` and {"listed": [thumbprints]}.')
}

function texts(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {}
  if (isObject(value) && Object.values(value).every((token) => typeof token === 'string')) {
    return value as Readonly<Record<string, string>>
  }
  throw new TrustError('`status_lists` is no object of tokens by URI.')
}

function issuer(value: unknown): TrustedIssuer {
  if (!isObject(value) || typeof value['id'] !== 'string') throw new TrustError('An issuer has no `id`.')
  if (!Array.isArray(value['keys'])) {
    const hint = 'keys_file' in value ? ' This page reads no files: put the keys in place of `keys_file`.' : ''
    throw new TrustError(`An issuer has no list of \`keys\`.${hint}`)
  }
  // The verifier judges the rest and refuses what it does not know.
  const keys = value['keys'].map((key: unknown) => (isKey(key) ? issuerKey(key as PublicJwk) : key))
  return { ...value, keys } as unknown as TrustedIssuer
}

/** The Ed25519 keys of a set, without members that say nothing about verifying. No other kind signs anything here. */
function keySet(values: readonly unknown[]): Trust {
  const ours = values.filter(isObject).filter((key) => key['kty'] === 'OKP' && key['crv'] === 'Ed25519')
  if (ours.length === 0) {
    throw new TrustError('There is no Ed25519 key in the second field: {"kty": "OKP", "crv": "Ed25519", "x": …}.')
  }
  const keys = ours.map((key) => Object.fromEntries(Object.entries(key).filter(([name]) => [...KEY_MEMBERS, ...TIME_MEMBERS].includes(name))))
  return { kind: 'keys', keys: keys as unknown as readonly PublicJwk[] }
}

function ofObject(value: JsonObject): Trust {
  if (isKey(value)) return keySet([value])
  if (Array.isArray(value['issuers']) || 'self_issued' in value) {
    const issuers = Array.isArray(value['issuers']) ? value['issuers'].map(issuer) : []
    const statusLists = texts(value['status_lists'])
    return { kind: 'issuers', issuers, selfIssued: selfIssued(value['self_issued']), statusLists }
  }
  if ('id' in value) return { kind: 'issuers', issuers: [issuer(value)], selfIssued: 'refused', statusLists: {} }
  if (Array.isArray(value['keys'])) return keySet(value['keys'])
  throw new TrustError('The JSON in the second field has neither `keys` nor `issuers`.')
}

/** Reads the field. */
export function readTrust(given: string): Trust {
  const text = given.replace(/^\uFEFF/, '').trim()
  if (text === '') return { kind: 'none' }
  if (text.length > MAX_TRUST_CHARS) {
    throw new TrustError('The second field is far longer than any list of issuers or keys.')
  }
  const value = parse(text)
  if (value === undefined) {
    const yaml = /^\s*(issuers|gate|version|self_issued)\s*:/m.test(text)
    throw new TrustError(
      yaml
        ? 'The second field holds YAML. Give the same as JSON, with the keys in it: {"issuers": […]}.'
        : 'The second field holds no JSON. Give a key set {"keys": […]}, or issuers {"issuers": […]}.',
    )
  }
  if (isObject(value)) return ofObject(value)
  if (!Array.isArray(value) || value.length === 0) {
    throw new TrustError('The list in the second field is empty, or no list at all.')
  }
  if (value.every(isKey)) return keySet(value)
  return { kind: 'issuers', issuers: value.map(issuer), selfIssued: 'refused', statusLists: {} }
}

/** The keys for attestations and exports. Who may issue passports does not speak for a gate, so issuers have none. */
export function keysOf(trust: Trust): readonly PublicJwk[] {
  return trust.kind === 'keys' ? trust.keys : []
}

/** In words, for the reader. */
export function describe(trust: Trust): string {
  if (trust.kind === 'none') return 'Nobody'
  if (trust.kind === 'keys') return trust.keys.length === 1 ? '1 public key' : `${trust.keys.length} public keys`
  return trust.issuers.length === 1 ? '1 issuer' : `${trust.issuers.length} issuers`
}
