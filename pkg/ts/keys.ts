// Ed25519 keys (RFC 8032) as JWK (RFC 8037), named by their thumbprint (RFC 7638), and what signs with them.

import { base64url, copied, fromBase64url, hasNode, sha256, utf8, webCrypto } from './bytes.js'
import { PassgateError } from './errors.js'
import type { PrivateJwk, PublicJwk } from './types.js'

/**
 * Something that signs with one Ed25519 key. {@link SigningKey} is one; a key in a KMS or an HSM is another: give an
 * object with these members wherever a signer is taken.
 */
export interface Signer {
  /** The public half. */
  readonly publicJwk: PublicJwk
  /** RFC 7638 thumbprint of the public half: SHA-256, 43 characters of base64url. */
  readonly thumbprint: string
  /** The signature over `bytes` (RFC 8032, pure Ed25519, not prehashed): 64 bytes. */
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

/** Whether the private half can be read out again. */
export interface KeyOptions {
  /** `false` by default: nothing, this package included, can then read the private half. */
  readonly extractable?: boolean
}

const ALGORITHM = 'Ed25519'
/** Members that only private and symmetric keys have (RFC 7518 section 6, RFC 8037 section 2). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
const PROBE = utf8('passgate: do these two halves belong together?')

/** A {@link Signer} with a key of WebCrypto. It shows its public half only, also in `JSON.stringify` and logs. */
export class SigningKey implements Signer {
  readonly publicJwk: PublicJwk
  readonly thumbprint: string
  readonly #privateKey: CryptoKey

  private constructor(publicJwk: PublicJwk, thumbprint: string, privateKey: CryptoKey) {
    this.publicJwk = publicJwk
    this.thumbprint = thumbprint
    this.#privateKey = privateKey
  }

  /**
   * A new key.
   *
   * @throws {@link PassgateError} `ed25519_unsupported`, `crypto_unavailable`.
   */
  static async generate(options: KeyOptions = {}): Promise<SigningKey> {
    const { subtle } = await webCrypto()
    const usages: KeyUsage[] = ['sign', 'verify']
    const pair = await supported(() => subtle.generateKey(ALGORITHM, options.extractable ?? false, usages))
    return SigningKey.fromKeyPair(pair as CryptoKeyPair)
  }

  /**
   * The key of a private JWK.
   *
   * @throws {@link PassgateError} `key_malformed`, `key_mismatch` when `d` and `x` are not halves of one key,
   * `ed25519_unsupported`.
   */
  static async fromJwk(jwk: PrivateJwk, options: KeyOptions = {}): Promise<SigningKey> {
    const { crv, kty, x, d } = await checkedPrivateJwk(jwk)
    const { subtle } = await webCrypto()
    const secret = { crv, kty, x, d }
    const extractable = options.extractable ?? false
    const privateKey = await imported(() => subtle.importKey('jwk', secret, ALGORITHM, extractable, ['sign']))
    const publicKey = await imported(() => subtle.importKey('jwk', { crv, kty, x }, ALGORITHM, true, ['verify']))
    return SigningKey.fromKeyPair({ privateKey, publicKey })
  }

  /**
   * The key of a WebCrypto pair, which stays as extractable as it is.
   *
   * @throws {@link PassgateError} `key_malformed`, `key_mismatch`.
   */
  static async fromKeyPair(pair: CryptoKeyPair): Promise<SigningKey> {
    const { privateKey, publicKey } = pair
    if (publicKey?.type !== 'public' || publicKey.algorithm.name !== ALGORITHM) {
      throw new PassgateError('key_malformed', 'The public half of the pair is no Ed25519 key.')
    }
    const { subtle } = await webCrypto()
    const { x } = await readOut(subtle, publicKey, 'public')
    return SigningKey.fromStored({ crv: 'Ed25519', kty: 'OKP', x: x ?? '' }, privateKey)
  }

  /**
   * The key of a private half that WebCrypto keeps, and of its public half.
   *
   * @throws {@link PassgateError} `key_malformed`, `key_mismatch`.
   */
  static async fromStored(publicHalf: PublicJwk, privateKey: CryptoKey): Promise<SigningKey> {
    if (!signsEd25519(privateKey)) {
      throw new PassgateError('key_malformed', 'The private half is no Ed25519 key with the usage `sign`.')
    }
    const publicJwk = await checkedPublicJwk(publicHalf)
    const { subtle } = await webCrypto()
    const jwk = { crv: 'Ed25519', kty: 'OKP', x: publicJwk.x }
    // Runtimes import `d` beside the `x` of another key without a word.
    const verifier = await imported(() => subtle.importKey('jwk', jwk, ALGORITHM, true, ['verify']))
    const signature = await subtle.sign(ALGORITHM, privateKey, PROBE)
    if (!(await subtle.verify(ALGORITHM, verifier, signature, PROBE))) {
      throw new PassgateError('key_mismatch', 'The private and the public half belong to different keys.')
    }
    return new SigningKey(publicJwk, publicJwk.kid, privateKey)
  }

  /** Whether {@link SigningKey.exportJwk} works. */
  get extractable(): boolean {
    return this.#privateKey.extractable
  }

  async sign(bytes: Uint8Array): Promise<Uint8Array> {
    const { subtle } = await webCrypto()
    return new Uint8Array(await subtle.sign(ALGORITHM, this.#privateKey, copied(bytes)))
  }

  /**
   * The private JWK: a secret.
   *
   * @throws {@link PassgateError} `key_not_extractable`.
   */
  async exportJwk(): Promise<PrivateJwk> {
    if (!this.extractable) {
      throw new PassgateError(
        'key_not_extractable',
        'The private key cannot be read out: it was made or read without `extractable: true`.',
      )
    }
    const { d } = await readOut((await webCrypto()).subtle, this.#privateKey, 'private')
    if (d === undefined) throw new PassgateError('key_malformed', 'The private key has no member `d`.')
    const { kid = this.thumbprint, x } = this.publicJwk
    return { crv: 'Ed25519', d, kid, kty: 'OKP', x }
  }

  /** The private half for the browser's storage, where it can be used and not read. */
  async sealed(): Promise<CryptoKey> {
    if (!this.extractable) return this.#privateKey
    return (await SigningKey.fromJwk(await this.exportJwk())).#privateKey
  }

  /** The public half only. */
  toJSON(): { readonly publicJwk: PublicJwk } {
    return { publicJwk: this.publicJwk }
  }
}

/** A public JWK as this package writes it. */
export type NamedPublicJwk = PublicJwk & { readonly kid: string }

/**
 * The RFC 7638 thumbprint of a key: SHA-256, base64url.
 *
 * @throws {@link PassgateError} as {@link checkedPublicJwk}.
 */
export async function thumbprintOf(jwk: PublicJwk): Promise<string> {
  return (await checkedPublicJwk(jwk)).kid
}

/**
 * The key with its members in the order `crv`, `kid`, `kty`, `x`. `alg`, `use`, `key_ops` and `kid` may be absent,
 * but have to fit.
 *
 * @throws {@link PassgateError} `key_malformed` when it is no acceptable Ed25519 key, also of small order;
 * `key_private` when it has private members.
 */
export async function checkedPublicJwk(jwk: unknown): Promise<NamedPublicJwk> {
  const members = membersOf(jwk)
  if (PRIVATE_MEMBERS.some((name) => name in members)) {
    throw new PassgateError(
      'key_private',
      'The JWK holds a private key where a public one belongs: give the public members only.',
    )
  }
  return checkedMembers(members, ['verify'])
}

/** A signer whose thumbprint is that of its key. What users bring is looked at once. */
export async function checkedSigner(signer: Signer): Promise<Signer> {
  if (typeof signer?.sign !== 'function') {
    throw new PassgateError('option_invalid', 'A signer has the members publicJwk, thumbprint and sign(bytes).')
  }
  const { kid } = await checkedPublicJwk(signer.publicJwk)
  if (kid !== signer.thumbprint) {
    throw new PassgateError('key_mismatch', "The signer's `thumbprint` is not the RFC 7638 thumbprint of its key.")
  }
  return signer
}

/** Where the key of an agent comes from: one of these, or a new one. */
export interface AgentKeySource {
  readonly publicKey?: PublicJwk
  readonly signer?: Signer
  readonly extractable?: boolean
}

/** The key of an agent, and what signs with it here, if anything does. */
export async function agentKey(source: AgentKeySource): Promise<{ jwk: NamedPublicJwk; signer: Signer | null }> {
  const { extractable = hasNode(), publicKey, signer: given } = source
  if (publicKey !== undefined && given !== undefined) {
    throw new PassgateError('option_invalid', 'Give `publicKey` or `signer`, not both.')
  }
  if (publicKey !== undefined) return { jwk: await checkedPublicJwk(publicKey), signer: null }
  const signer = given ? await checkedSigner(given) : await SigningKey.generate({ extractable })
  return { jwk: await checkedPublicJwk(signer.publicJwk), signer }
}

/** The signature of `signer` over `bytes`. */
export async function signatureOf(signer: Signer, bytes: Uint8Array): Promise<Uint8Array> {
  const signature: unknown = await signer.sign(bytes)
  if (!(signature instanceof Uint8Array) || signature.byteLength !== 64) {
    throw new PassgateError('signature_failed', 'The signer gave something else than the 64 bytes of a signature.')
  }
  return signature
}

async function checkedPrivateJwk(jwk: unknown): Promise<NamedPublicJwk & PrivateJwk> {
  const members = membersOf(jwk)
  const { d, ...others } = members
  if (typeof d !== 'string' || fromBase64url(d)?.byteLength !== 32) throw malformed('d', 'is not base64url of 32 bytes')
  return { ...(await checkedMembers(others, ['sign', 'verify'])), d }
}

async function checkedMembers(members: Record<string, unknown>, operations: string[]): Promise<NamedPublicJwk> {
  const { kty, crv, x, kid, alg, use, key_ops: allowed } = members
  if (kty !== 'OKP') throw malformed('kty', 'is not OKP')
  if (crv !== 'Ed25519') throw malformed('crv', 'is not Ed25519')
  if (alg !== undefined && alg !== 'EdDSA' && alg !== 'Ed25519') throw malformed('alg', 'is neither EdDSA nor Ed25519')
  if (use !== undefined && use !== 'sig') throw malformed('use', 'is not sig')
  if (allowed !== undefined && !isAllowed(allowed, operations)) throw malformed('key_ops', 'does not fit the key')
  const point = typeof x === 'string' ? fromBase64url(x) : null
  if (typeof x !== 'string' || point?.byteLength !== 32) throw malformed('x', 'is not base64url of 32 bytes')
  const thumbprint = base64url(await sha256(utf8(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`)))
  if (kid !== undefined && kid !== thumbprint) throw malformed('kid', 'is not the RFC 7638 thumbprint of the key')
  return { crv, kid: thumbprint, kty, x }
}

/** All operations are among the known ones, and the first, which the key is for, is there. */
function isAllowed(allowed: unknown, [needed = '', ...others]: string[]): boolean {
  if (!Array.isArray(allowed)) return false
  return allowed.includes(needed) && allowed.every((operation) => operation === needed || others.includes(operation))
}

function membersOf(jwk: unknown): Record<string, unknown> {
  const isObject = typeof jwk === 'object' && jwk !== null && !Array.isArray(jwk)
  if (!isObject) throw malformed('kty', 'is missing: a JWK is an object')
  return jwk as Record<string, unknown>
}

function malformed(member: string, problem: string): PassgateError {
  return new PassgateError('key_malformed', `JWK member \`${member}\` ${problem}.`)
}

function signsEd25519(key: CryptoKey | undefined): boolean {
  return key?.type === 'private' && key.algorithm.name === ALGORITHM && key.usages.includes('sign')
}

async function readOut(subtle: SubtleCrypto, key: CryptoKey, half: string): Promise<JsonWebKey> {
  try {
    return await subtle.exportKey('jwk', key)
  } catch (cause) {
    throw new PassgateError('key_malformed', `The ${half} half cannot be read out as a JWK.`, { cause })
  }
}

/** Runs what a runtime without Ed25519 refuses. */
async function supported<Result>(make: () => Promise<Result>): Promise<Result> {
  try {
    return await make()
  } catch (cause) {
    throw new PassgateError(
      'ed25519_unsupported',
      'The WebCrypto here has no Ed25519: use Node 18.17, Chrome 137, Firefox 129, Safari 17 or newer, or a Signer.',
      { cause },
    )
  }
}

/** Imports a key. WebCrypto says `DataError` of a bad key, and something else when it does not know the algorithm. */
async function imported(make: () => Promise<CryptoKey>): Promise<CryptoKey> {
  try {
    return await make()
  } catch (cause) {
    if ((cause as { name?: unknown } | null)?.name !== 'DataError') return supported(() => Promise.reject(cause))
    throw new PassgateError('key_malformed', 'The JWK is no Ed25519 key.', { cause })
  }
}
