// An agent's credentials: its passport and, unless something else keeps it, the key the passport is bound to.

import { fromBase64url, utf8Text } from './bytes.js'
import { delegated } from './delegate.js'
import type { DelegationRequest } from './delegate.js'
import { PassgateError } from './errors.js'
import { SigningKey, checkedPublicJwk, checkedSigner } from './keys.js'
import type { KeyOptions, Signer } from './keys.js'
import * as storage from './storage.js'
import { readSecret, writeSecret } from './files.js'
import type { PrivateJwk } from './types.js'

/** The content of a credentials file, as `passgate passport issue` writes it. `private_key` makes it a secret. */
export interface CredentialsDocument {
  readonly schema_version: 1
  readonly agent_id: string
  readonly passport_id: string
  /** RFC 3339. */
  readonly expires_at: string
  readonly private_key?: PrivateJwk
  readonly passport: string
}

/** A length of time; its members add up. */
export interface Span {
  readonly days?: number
  readonly hours?: number
  readonly minutes?: number
  readonly seconds?: number
}

interface Content {
  readonly passport: string
  readonly agentId: string
  readonly passportId: string
  readonly permissions: readonly string[]
  readonly expiresAt: number
}

/** Longest passport or chain of passports, in characters. */
const MAX_PASSPORT_CHARS = 16 * 1024
/** Most passports of a chain: the root and five that were handed on. */
const MAX_LINKS = 6
/** The last second that a `Date` can hold. */
const MAX_DATE_SECONDS = 8_640_000_000_000
const SECONDS = { days: 86_400, hours: 3_600, minutes: 60, seconds: 1 } as const

/**
 * What an agent shows and signs with. Logs and `JSON.stringify` show neither key nor passport; {@link
 * AgentCredentials.export} gives both. What the passport says is read here and not verified: that is for gates, and
 * for `PassportVerifier`.
 */
export class AgentCredentials {
  readonly #content: Content
  readonly #signer: Signer | null

  private constructor(content: Content, signer: Signer | null) {
    this.#content = content
    this.#signer = signer
  }

  /**
   * The credentials of a passport, with what signs for it. Without a signer they cannot be used for requests.
   *
   * @throws {@link PassgateError} `passport_malformed`; `key_mismatch` when the passport is bound to another key.
   */
  static async of(passport: string, signer: Signer | null = null): Promise<AgentCredentials> {
    const { boundTo, content } = readPassport(passport)
    if (signer !== null) {
      const [{ kid }, { thumbprint }] = [await checkedPublicJwk(boundTo), await checkedSigner(signer)]
      if (kid !== thumbprint) {
        throw new PassgateError('key_mismatch', 'The passport is bound to another key than that of the signer.')
      }
    }
    return new AgentCredentials(content, signer)
  }

  /**
   * Reads a credentials file. Its key cannot be read out again unless `extractable` says so.
   *
   * @throws {@link PassgateError} `files_unavailable` outside Node; `file_missing`, `file_failed`, `file_too_long` (64
   * KiB); `file_exposed` when others than its owner may read it; and those of {@link AgentCredentials.parse}.
   */
  static async load(path: string, options: KeyOptions = {}): Promise<AgentCredentials> {
    return AgentCredentials.parse(await readSecret(path), options)
  }

  /**
   * The credentials of a {@link CredentialsDocument}, or of its JSON.
   *
   * @throws {@link PassgateError} `credentials_malformed`, and those of {@link SigningKey.fromJwk} and {@link
   * AgentCredentials.of}.
   */
  static async parse(document: string | CredentialsDocument, options: KeyOptions = {}): Promise<AgentCredentials> {
    const { passport, private_key: key, schema_version: version } = readDocument(document)
    if (version !== 1) throw malformed('`schema_version` is not 1')
    if (typeof passport !== 'string') throw malformed('it has no `passport` text')
    const signer = key === undefined ? null : await SigningKey.fromJwk(key as PrivateJwk, options)
    return AgentCredentials.of(passport, signer)
  }

  /** The passport, a compact JWS, or the chain of passports, joined by `~`. Without the key it opens nothing, but it names the agent: keep it out of logs. */
  get passport(): string {
    return this.#content.passport
  }

  /** `sub`. */
  get agentId(): string {
    return this.#content.agentId
  }

  /** `jti`: `pass_` and a ULID. It is what operators revoke. */
  get passportId(): string {
    return this.#content.passportId
  }

  /** The scopes it may ask for. */
  get permissions(): readonly string[] {
    return this.#content.permissions
  }

  /** The last second at which gates accept it. */
  get expiresAt(): Date {
    return new Date(this.#content.expiresAt * 1000)
  }

  /** What signs; `null` for credentials without a key. */
  get signer(): Signer | null {
    return this.#signer
  }

  /** Whether the passport ends within this time from now, or has ended. `{}` asks whether it has ended. */
  expiresWithin(span: Span): boolean {
    let seconds = 0
    for (const [unit, amount] of Object.entries(span)) {
      const factor = (SECONDS as Record<string, number | undefined>)[unit]
      if (factor === undefined || typeof amount !== 'number' || !(amount >= 0)) {
        throw new PassgateError('option_invalid', 'A span has days, hours, minutes and seconds, none below zero.')
      }
      seconds += amount * factor
    }
    return Date.now() + seconds * 1000 > this.#content.expiresAt * 1000
  }

  /**
   * Hands a narrower passport to a sub-agent, signed with this agent's key and without asking anybody: the credentials of
   * the sub-agent, whose passport is the chain down to it. What would be more than this passport has is refused, never
   * cut to fit. The WebAssembly is loaded for it.
   *
   * @throws {@link PassgateError} `key_missing` when these credentials have no key; `option_invalid`, `claim_invalid`;
   * `passport_expired`; and the code of the broken rule (docs/spec/delegation.md), such as `delegation_widens_scope`.
   */
  async delegate(request: DelegationRequest): Promise<AgentCredentials> {
    if (this.#signer === null) {
      throw new PassgateError('key_missing', 'The credentials hold no key, and handing on takes a signature.')
    }
    const { expiresAt, passport } = this.#content
    const made = await delegated(passport, this.#signer, expiresAt, request)
    return AgentCredentials.of(made.passport, made.signer)
  }

  /**
   * Writes a credentials file that only its owner may read (mode 0600), whole or not at all; missing folders are
   * made (mode 0700). The file holds the private key, unless the credentials have none.
   *
   * @throws {@link PassgateError} `file_exists` when there is one and `overwrite` is not set; `key_not_extractable`
   * when the key cannot be read out: issue or load with `extractable: true`, or use {@link AgentCredentials.store};
   * `files_unavailable` outside Node; `file_failed`.
   */
  async save(path: string, options: { readonly overwrite?: boolean } = {}): Promise<void> {
    await writeSecret(path, documentText(await this.export()), options.overwrite === true)
  }

  /**
   * The content of a credentials file, private key included: a secret.
   *
   * @throws {@link PassgateError} `key_not_extractable`, also when a signer of your own keeps the key.
   */
  async export(): Promise<CredentialsDocument> {
    const { agentId, passport, passportId, expiresAt } = this.#content
    const key = await this.#exportKey()
    return {
      schema_version: 1,
      agent_id: agentId,
      passport_id: passportId,
      expires_at: rfc3339(expiresAt),
      ...(key === null ? {} : { private_key: key }),
      passport,
    }
  }

  /**
   * Keeps the credentials in the browser (IndexedDB), under a name within the page's origin, in the place of those that
   * stand there. The key goes in as one that can be used and not read, not even by the page.
   *
   * @throws {@link PassgateError} `storage_unavailable`, `storage_failed`, `key_missing`.
   */
  async store(name: string): Promise<void> {
    if (!(this.#signer instanceof SigningKey)) {
      throw new PassgateError('key_missing', 'Only credentials with a SigningKey can be stored.')
    }
    const { publicJwk } = this.#signer
    const privateKey = await this.#signer.sealed()
    await storage.put(name, { passport: this.passport, publicJwk, privateKey })
  }

  /**
   * The credentials that {@link AgentCredentials.store} kept under this name; `null` when there are none.
   *
   * @throws {@link PassgateError} `storage_unavailable`, `storage_failed`, `credentials_malformed`.
   */
  static async restore(name: string): Promise<AgentCredentials | null> {
    const kept = await storage.get(name)
    if (kept === null) return null
    return AgentCredentials.of(kept.passport, await SigningKey.fromStored(kept.publicJwk, kept.privateKey))
  }

  /** Deletes what {@link AgentCredentials.store} kept under this name; nothing happens when there is nothing. */
  static async forget(name: string): Promise<void> {
    await storage.remove(name)
  }

  /** What may be shown. */
  toJSON(): Record<string, unknown> {
    const { agentId, passportId, permissions } = this.#content
    return { agentId, passportId, permissions, expiresAt: this.expiresAt, hasKey: this.#signer !== null }
  }

  /** What `console.log` shows in Node. */
  [Symbol.for('nodejs.util.inspect.custom')](): Record<string, unknown> {
    return this.toJSON()
  }

  async #exportKey(): Promise<PrivateJwk | null> {
    if (this.#signer === null) return null
    if (this.#signer instanceof SigningKey) return this.#signer.exportJwk()
    throw new PassgateError('key_not_extractable', 'A Signer of yours keeps the key: save its passport instead.')
  }
}

function malformed(why: string): PassgateError {
  return new PassgateError('credentials_malformed', `These are no credentials: ${why}.`)
}

function readDocument(document: unknown): Record<string, unknown> {
  let value = document
  if (typeof document === 'string') {
    try {
      value = JSON.parse(document)
    } catch {
      // The cause would quote the document, which holds the key.
      throw malformed('they are no JSON')
    }
  }
  if (typeof value !== 'object' || value === null) throw malformed('they are no object')
  return value as Record<string, unknown>
}

/** The claims that are shown, as far as they have their types: those of the last passport of a chain. */
function readPassport(passport: string): { content: Content; boundTo: unknown } {
  const broken = (why: string): PassgateError => new PassgateError('passport_malformed', `The passport ${why}.`)
  if (typeof passport !== 'string' || passport.length > MAX_PASSPORT_CHARS) throw broken('is no text of at most 16 KiB')
  const payloads = passport.split('~').map(payloadOf)
  if (payloads.length > MAX_LINKS) throw broken('is a chain of more than 6 passports')
  const last = payloads.at(-1)
  if (!last || payloads.includes(null)) throw broken('is no compact JWS, and no chain of them')
  const claims = parsed(utf8Text(last))
  if (claims === null) throw broken('holds no JSON object')
  const { cnf, exp, jti, permissions, sub } = claims
  if (typeof sub !== 'string' || typeof jti !== 'string') throw broken('names no agent, or has no id')
  if (typeof exp !== 'number' || !Number.isSafeInteger(exp) || exp < 0) throw broken('has no end')
  if (!Array.isArray(permissions) || !permissions.every((scope): scope is string => typeof scope === 'string')) {
    throw broken('has no permissions')
  }
  const scopes = Object.freeze([...permissions])
  const content = { passport, agentId: sub, passportId: jti, permissions: scopes, expiresAt: exp }
  return { content, boundTo: (cnf as { jwk?: unknown } | null | undefined)?.jwk }
}

/** The payload of a compact JWS; `null` for what is none. */
function payloadOf(token: string): Uint8Array | null {
  const parts = token.split('.').map(fromBase64url)
  const [, payload] = parts
  return parts.length === 3 && parts.every((part) => part?.length) ? (payload ?? null) : null
}

function parsed(json: string | null): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(json ?? '')
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** In the layout of `passgate passport issue`. */
function documentText(document: CredentialsDocument): string {
  const lines = Object.entries(document).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`)
  return `{\n${lines.join(',\n')}\n}\n`
}

function rfc3339(seconds: number): string {
  if (seconds > MAX_DATE_SECONDS) return `${seconds} (Unix seconds)`
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}
