// Issuing passports: by a registered issuer, or without one (tier L1). The format is docs/spec/passport.md.

import { base64url, fromBase64url, utf8 } from './bytes.js'
import { AgentCredentials } from './credentials.js'
import { PassgateError } from './errors.js'
import { digits, passportId } from './ids.js'
import { SigningKey, agentKey, checkedSigner, signatureOf } from './keys.js'
import type { Signer } from './keys.js'
import { sortedJson } from './canonical.js'
import { checkNames } from './options.js'
import type { PrivateJwk, PublicJwk, TrustTier } from './types.js'

/** What a new passport shall say. Every limit is that of the verifiers. */
export interface PassportRequest {
  /** The agent's id, unique for this issuer: 1 to 256 visible ASCII characters. */
  readonly agentId: string
  /** A name for people: 1 to 256 characters without control and direction characters. */
  readonly agentName?: string
  /**
   * What the agent may ask for: at most 256 scopes such as `web:search` or `payments:*`; an empty list is nothing.
   * A scope has at most 8 segments of 1 to 64 of `a-z 0-9 _ . -`, or `*`, and 256 characters.
   */
  readonly permissions: readonly string[]
  /** How long it is valid: 30 days when this and `expiresInSeconds` are absent, and at most 30 when self-issued. */
  readonly expiresInDays?: number
  /** The same in whole seconds. */
  readonly expiresInSeconds?: number
  /** Unix second from which it is valid, where that is later than now. */
  readonly notBefore?: number
  /** The gates it is meant for: one id, or 1 to 64. Any gate when absent. */
  readonly audience?: string | readonly string[]
  /** The tier the issuer expects verifiers to compute. A claim of another one makes them refuse the passport. */
  readonly trustTier?: TrustTier
  /** How often the agent may hand its passport on, from 0 to 5; it may not when absent. See {@link AgentCredentials.delegate}. */
  readonly delegations?: number
  /** The issuer's own data: JSON, at most 31 levels deep; integers to 2^53 - 1. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** Its entry in a status list, which no two passports share. `uri` has at most 1024 visible ASCII characters. */
  readonly statusList?: { readonly uri: string; readonly idx: number }
  /** The key of an agent that keeps the private half itself: the credentials then have no key. */
  readonly publicKey?: PublicJwk
  /** The key of the agent, when it has one to sign with already. */
  readonly signer?: Signer
  /**
   * Whether the key that is made for the agent can be written into a file. Absent: where there are files (Node), and
   * not in browsers, where `credentials.store(name)` keeps a key that nothing can read.
   */
  readonly extractable?: boolean
}

/** Where an issuer's key comes from. */
export type KeySource = Signer | PrivateJwk | CryptoKeyPair

const MAX_PASSPORT_CHARS = 16 * 1024
const MAX_PERMISSIONS = 256
const MAX_AUDIENCES = 64
const MAX_DELEGATIONS = 5
const MAX_ID_CHARS = 256
const MAX_STATUS_URI_CHARS = 1024
const SECONDS_PER_DAY = 86_400
const SELF_ISSUED_MAX_SECONDS = 30 * SECONDS_PER_DAY
const DID_KEY = 'did:key:'

const REQUEST_MEMBERS = [
  'agentId',
  'agentName',
  'permissions',
  'expiresInDays',
  'expiresInSeconds',
  'notBefore',
  'audience',
  'trustTier',
  'delegations',
  'metadata',
  'statusList',
  'publicKey',
  'signer',
  'extractable',
]

/** Issues passports with one key. */
export class PassportIssuer {
  /** The value of `iss`: the id of a registered issuer, or the `did:key` of its key. */
  readonly id: string
  /** A label of your own; it stands in no passport, because nobody could verify it. */
  readonly name: string | null
  /** As `name`: the domain of the organisation. */
  readonly domain: string | null
  /** The key that its passports verify with. Gates have it in their configuration; for a `did:key` it is the id. */
  readonly publicJwk: PublicJwk
  readonly #signer: Signer

  private constructor(id: string, signer: Signer, name: string | null, domain: string | null) {
    this.id = id
    this.name = name
    this.domain = domain
    this.publicJwk = signer.publicJwk
    this.#signer = signer
  }

  /**
   * An issuer with a new key, whose id is the `did:key` of that key. Its passports have tier L1: nobody vouches for
   * them, and a gate takes them only if its policy says so.
   *
   * @throws {@link PassgateError} `ed25519_unsupported`, `crypto_unavailable`.
   */
  static async createLocal(
    options: { readonly name?: string; readonly domain?: string; readonly extractable?: boolean } = {},
  ): Promise<PassportIssuer> {
    const signer = await SigningKey.generate({ extractable: options.extractable ?? false })
    const id = didKey(signer.publicJwk.x)
    return new PassportIssuer(id, signer, options.name ?? null, options.domain ?? null)
  }

  /**
   * An issuer with the key at hand. Without `id` its id is the `did:key` of the key.
   *
   * @throws {@link PassgateError} `claim_invalid` when the id is not 1 to 256 visible ASCII characters,
   * `issuer_mismatch` when it is the `did:key` of another key, and those of {@link SigningKey.fromJwk}.
   */
  static async fromKey(options: {
    readonly key: KeySource
    readonly id?: string
    readonly name?: string
    readonly domain?: string
  }): Promise<PassportIssuer> {
    const signer = await signerOf(options.key)
    const own = didKey(signer.publicJwk.x)
    const id = options.id ?? own
    if (!isIdentifier(id)) throw invalid('iss', 'is not a string of 1 to 256 visible ASCII characters')
    if (id.startsWith(DID_KEY) && id !== own) {
      throw new PassgateError('issuer_mismatch', 'The issuer id is a did:key of another key: leave `id` out.')
    }
    return new PassportIssuer(id, signer, options.name ?? null, options.domain ?? null)
  }

  /** Whether its passports have tier L1. */
  get selfIssued(): boolean {
    return this.id.startsWith(DID_KEY)
  }

  /** The RFC 7638 thumbprint of its key: what a gate's `self_issued: {listed: […]}` names. */
  get thumbprint(): string {
    return this.#signer.thumbprint
  }

  /**
   * The private JWK: a secret.
   *
   * @throws {@link PassgateError} `key_not_extractable`, also when the key is a signer of your own.
   */
  async exportKey(): Promise<PrivateJwk> {
    if (this.#signer instanceof SigningKey) return this.#signer.exportJwk()
    throw new PassgateError('key_not_extractable', 'The issuer signs with a Signer of yours, which keeps its key.')
  }

  /**
   * Issues a passport now, by this machine's clock.
   *
   * @throws {@link PassgateError} `option_invalid`, `claim_invalid`, `tier_mismatch`, `passport_lifetime_exceeded`,
   * `passport_too_large`: nothing is signed that no verifier would accept.
   */
  async issuePassport(request: PassportRequest): Promise<AgentCredentials> {
    checkOptions(request)
    const now = Date.now()
    const { exp, iat } = this.#times(request, now)
    const others = optionalClaims(request, exp)
    this.#checkTier(request.trustTier)
    const permissions = checkedPermissions(request.permissions)
    const sub = checkedIdentifier(request.agentId, 'sub')
    const { jwk, signer } = await agentKey(request)
    const jti = await passportId(now)
    // The order of the members is that of the other implementations.
    const claims = { iss: this.id, sub, jti, iat, nbf: request.notBefore, exp, cnf: { jwk }, permissions, ...others }
    const metadata = request.metadata === undefined ? null : checkedMetadata(request.metadata)
    const passport = await this.#sign(withMetadata(JSON.stringify(claims), metadata))
    return AgentCredentials.of(passport, signer)
  }

  /** The public half only. */
  toJSON(): { readonly id: string; readonly name: string | null; readonly publicJwk: PublicJwk } {
    return { id: this.id, name: this.name, publicJwk: this.publicJwk }
  }

  #times(request: PassportRequest, now: number): { iat: number; exp: number } {
    const seconds = lifetime(request)
    if (this.selfIssued && seconds > SELF_ISSUED_MAX_SECONDS) {
      const message = 'A self-issued passport lives at most 30 days: choose an earlier end, or a registered issuer.'
      throw new PassgateError('passport_lifetime_exceeded', message)
    }
    const iat = Math.floor(now / 1000)
    const exp = iat + seconds
    if (!isDate(exp)) throw invalid('exp', 'is not within 2^53-1 seconds')
    return { iat, exp }
  }

  #checkTier(tier: TrustTier | undefined): void {
    if (tier === undefined) return
    if (tier !== 'L1' && tier !== 'L2' && tier !== 'L3') throw invalid('trust_tier', 'is not L1, L2 or L3')
    if (this.selfIssued !== (tier === 'L1')) {
      const message = 'A self-issued passport has tier L1, and every other one L2 or L3: leave `trustTier` out.'
      throw new PassgateError('tier_mismatch', message)
    }
  }

  /** RFC 7515 section 7.1. */
  async #sign(payload: string): Promise<string> {
    const header = `{"alg":"EdDSA","kid":"${this.#signer.thumbprint}","typ":"passport+jwt"}`
    const signed = `${base64url(utf8(header))}.${base64url(utf8(payload))}`
    const signature = await signatureOf(this.#signer, utf8(signed))
    const token = `${signed}.${base64url(signature)}`
    if (token.length > MAX_PASSPORT_CHARS) {
      throw new PassgateError('passport_too_large', 'The passport exceeds 16 KiB: shorten its permissions or metadata.')
    }
    return token
  }
}

export async function signerOf(key: KeySource): Promise<Signer> {
  if (typeof key !== 'object' || key === null) {
    throw new PassgateError('option_invalid', '`key` is no private JWK, no CryptoKeyPair and no Signer.')
  }
  if ('sign' in key) return checkedSigner(key)
  return 'privateKey' in key ? SigningKey.fromKeyPair(key) : SigningKey.fromJwk(key)
}

/** A misspelt limit must not be a missing one. */
function checkOptions(request: PassportRequest): void {
  checkNames('issuePassport', request, REQUEST_MEMBERS)
}

function lifetime({ expiresInDays: days, expiresInSeconds: seconds }: PassportRequest): number {
  if (days !== undefined && seconds !== undefined) {
    throw new PassgateError('option_invalid', 'Give `expiresInDays` or `expiresInSeconds`, not both.')
  }
  const wanted = seconds ?? (days === undefined ? SELF_ISSUED_MAX_SECONDS : days * SECONDS_PER_DAY)
  if (!Number.isSafeInteger(wanted) || wanted < 1) {
    throw invalid('exp', 'is not after `iat` by a whole number of seconds')
  }
  return wanted
}

function optionalClaims(request: PassportRequest, exp: number): Record<string, unknown> {
  const { agentName, audience, delegations, notBefore, statusList, trustTier } = request
  if (agentName !== undefined && !isAgentName(agentName)) {
    throw invalid('agent_name', 'is not a string of 1 to 256 characters without control or direction characters')
  }
  if (notBefore !== undefined && !isDate(notBefore)) throw invalid('nbf', 'is not an integer of unix seconds')
  if (notBefore !== undefined && notBefore > exp) throw invalid('nbf', 'is after `exp`')
  return {
    agent_name: agentName,
    aud: audience === undefined ? undefined : checkedAudiences(audience),
    trust_tier: trustTier,
    status: statusList === undefined ? undefined : { status_list: checkedStatus(statusList) },
    delegation: delegations === undefined ? undefined : { depth_left: checkedDelegations(delegations) },
  }
}

function checkedDelegations(times: unknown): number {
  if (typeof times === 'number' && Number.isInteger(times) && times >= 0 && times <= MAX_DELEGATIONS) return times
  throw invalid('delegation', 'is no integer from 0 to 5')
}

function checkedAudiences(audience: string | readonly string[]): string[] {
  const list: unknown = typeof audience === 'string' ? [audience] : audience
  if (!Array.isArray(list) || list.length < 1 || list.length > MAX_AUDIENCES) {
    throw invalid('aud', 'is not one audience or a list of 1 to 64')
  }
  return Array.from(list, (entry) => checkedIdentifier(entry, 'aud'))
}

function checkedStatus(status: { readonly uri: string; readonly idx: number }): { idx: number; uri: string } {
  const { idx, uri } = status ?? {}
  if (!isDate(idx)) throw invalid('status', 'has an `idx` that is no non-negative integer')
  if (typeof uri !== 'string' || uri.length > MAX_STATUS_URI_CHARS || !isVisibleAscii(uri)) {
    throw invalid('status', 'has a `uri` that is not 1 to 1024 visible ASCII characters')
  }
  return { idx, uri }
}

function checkedPermissions(permissions: readonly string[]): string[] {
  const fits = Array.isArray(permissions) && permissions.length <= MAX_PERMISSIONS
  if (!fits || !Array.from(permissions).every(isScope)) {
    throw invalid('permissions', 'is not a list of at most 256 scopes such as `payments:*`')
  }
  return [...permissions]
}

function isScope(scope: unknown): scope is string {
  if (typeof scope !== 'string' || scope.length > 256) return false
  const segments = scope.split(':')
  return segments.length <= 8 && segments.every((segment) => segment === '*' || /^[a-z0-9_.-]{1,64}$/.test(segment))
}

/** The members sorted at every level, as the other implementations write them. */
function checkedMetadata(metadata: unknown): string {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw invalid('metadata', 'is no object')
  }
  return sortedJson(metadata, (path, problem) => invalid('metadata', `${problem} at ${path}`))
}

/** The claims as JSON with the last member added: `JSON.stringify` would write its members in an order of its own. */
function withMetadata(claims: string, metadata: string | null): string {
  return metadata === null ? claims : `${claims.slice(0, -1)},"metadata":${metadata}}`
}

function checkedIdentifier(text: unknown, claim: string): string {
  if (isIdentifier(text)) return text
  throw invalid(claim, 'is not a string of 1 to 256 visible ASCII characters')
}

function isIdentifier(text: unknown): text is string {
  return typeof text === 'string' && text.length <= MAX_ID_CHARS && isVisibleAscii(text)
}

function isVisibleAscii(text: string): boolean {
  return /^[!-~]+$/.test(text)
}

/** No control characters, line separators, direction marks, byte order marks and lone surrogates. */
function isAgentName(name: unknown): name is string {
  if (typeof name !== 'string') return false
  const count = Array.from(name).length
  const disruptive = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u
  return count >= 1 && count <= MAX_ID_CHARS && !disruptive.test(name)
}

function isDate(seconds: unknown): seconds is number {
  return typeof seconds === 'number' && Number.isSafeInteger(seconds) && seconds >= 0
}

function invalid(claim: string, problem: string): PassgateError {
  return new PassgateError('claim_invalid', `Passport claim \`${claim}\` ${problem}.`)
}

/** The `did:key` of an Ed25519 key: base58btc of the multicodec prefix `ed01` and the key. */
function didKey(x: string): string {
  let number = 0xed01n
  for (const byte of fromBase64url(x) ?? []) number = (number << 8n) | BigInt(byte)
  return `${DID_KEY}z${digits(number, '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz')}`
}
