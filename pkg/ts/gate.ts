// A gate in memory: the evaluator itself, for tests, demonstrations and programs that guard their own tools.

import { copied, randomBytes, utf8 } from './bytes.js'
import { PassgateError } from './errors.js'
import { signerOf } from './issuer.js'
import type { KeySource } from './issuer.js'
import { signatureOf } from './keys.js'
import type { Signer } from './keys.js'
import { checkNames, plainJson } from './options.js'
import type { PublicJwk } from './types.js'
import { evaluatorDigest, full, guarded } from './wasm.js'
import type { GateHandle } from './wasm.js'

export interface GateOptions {
  /** What signs the records. */
  readonly key: KeySource
  /** The name that records give to the code that decides. By default the WebAssembly of this release by its digest. */
  readonly evaluator?: { readonly digest: string; readonly engine: string; readonly version: string }
  /**
   * Since when no gate of this id decided anything, so that no proof made later can have been accepted before: those that may
   * have been are refused, which lasts for half a minute. By default the present, as if a gate of this id had just ended. Where there
   * certainly was none, as in a test, `new Date(0)` will do.
   */
  readonly since?: Date
  /** Unix milliseconds. The runtime's clock by default. */
  readonly clock?: () => number
  /** Ten random bytes, new ones with every call. WebCrypto's by default. */
  readonly random?: () => Uint8Array | Promise<Uint8Array>
  /**
   * Thirty-two secret random bytes, new ones with every call: what the keys are made from that a request's personal data is
   * encrypted with. WebCrypto's by default.
   */
  readonly seed?: () => Uint8Array | Promise<Uint8Array>
}

/** A request as it arrived. A {@link Request} will do as well; then its URL is read as the platform normalised it. */
export interface GateRequest {
  readonly method: string
  /** The Host field or `:authority`, in lower case without the scheme's own port. */
  readonly authority: string | null
  readonly path: string
  /** Without `?`. */
  readonly query: string | null
  /** Names in lower case; a field that stands twice stands here twice. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body?: Uint8Array | string | null
}

/** What became of a request. */
export interface GateDecision {
  readonly decision: 'allow' | 'deny' | 'step_up'
  readonly attestationId: string
  /** The code that stands in the record; the caller is told `response`, which may say less. `null` when allowed. */
  readonly reasonCode: string | null
  /** For the gate's own log. */
  readonly detail: string | null
  /** The record, a compact JWS. */
  readonly record: string
  /** The gate's own answer, a refusal or the one-action pass that was asked for; `null` when the request may go on, once. */
  readonly response: {
    readonly status: number
    readonly headers: readonly (readonly [string, string])[]
    /** JSON text. */
    readonly body: string
  } | null
  /** Fields for the answer of an allowed request. */
  readonly headers: readonly (readonly [string, string])[]
  /**
   * What to ask people, where they can approve the request: they are shown `shown`, and sign its SHA-256 with this id. The
   * request presents their approvals in the field `agent-approval`. `null` when nobody can approve it, or need not.
   */
  readonly approval: {
    readonly requestId: string
    readonly shown: string
    /** The last Unix second in which it is to be answered. */
    readonly expiresAt: number
  } | null
  /** What goes upstream in place of the body, where the policy takes texts out of it. `null` when it is the body itself. */
  readonly body: string | null
}

/** What `suspend` and `reinstate` give. */
export interface StandingChange {
  readonly record: string
  /** Whether what the subject may do is different now: suspending what is suspended changes nothing. */
  readonly changed: boolean
}

/** Who is refused from now on. */
export type RevokedSubject =
  | { readonly kind: 'passport'; readonly id: string }
  | { readonly kind: 'agent'; readonly issuer: string; readonly agentId: string }
  | { readonly kind: 'key'; readonly thumbprint: string }
  | { readonly kind: 'issuer'; readonly id: string }
  | { readonly kind: 'approval'; readonly id: string }

/** What became of an allowed request. */
export interface Outcome {
  /**
   * What was charged is given back with `unreachable` and `not_forwarded`: then the upstream certainly saw nothing.
   * `withheld` is for a host that looks at responses and keeps one back: this gate looks at none.
   */
  readonly result: 'completed' | 'unreachable' | 'timed_out' | 'aborted' | 'not_forwarded' | 'withheld'
  readonly status?: number
  readonly durationMs?: number
  readonly requestBytes?: number
  readonly responseBytes?: number
  /** `sha256:` and the digest of the response's body, in hex. */
  readonly responseSha256?: string
}

/** What became of an allowed request whose outcome was not known. */
export interface Reconciliation {
  /** Whether it was carried out: if not, what it charged is given back. */
  readonly carriedOut: boolean
  /** How that is known: at most 256 characters. */
  readonly note?: string
}

/** What waits for its signature: a record, and the one-action pass of its decision. */
interface ToSign {
  readonly signingInput: string
  readonly passSigningInput: string | null
}

/** `{"jws":"` and `"}` with its line feed stand around a record in its line. */
const LINE = /^\{"jws":"([^"]+)"\}\n$/

/**
 * A gate with its state and its ledger in memory. It decides exactly as every other gate of this release; what it keeps ends
 * with it, so it refuses proofs that were made before it was opened.
 *
 * ```ts
 * const gate = await Gate.open(policy, { key: await SigningKey.generate() })
 * const { decision, response } = await gate.decide(request)
 * ```
 */
export class Gate {
  readonly #handle: GateHandle
  readonly #signer: Signer
  readonly #clock: () => number
  readonly #random: () => Uint8Array | Promise<Uint8Array>
  readonly #seed: () => Uint8Array | Promise<Uint8Array>
  readonly #lines: string[] = []
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(handle: GateHandle, signer: Signer, options: GateOptions) {
    this.#handle = handle
    this.#signer = signer
    this.#clock = options.clock ?? Date.now
    this.#random = options.random ?? tenBytes
    this.#seed = options.seed ?? seedBytes
  }

  /**
   * The gate of a policy: the members of `passgate.yml` that decide (`version`, `gate`, `issuers`, `self_issued`, `routes`,
   * `guardrails`, `action_passes`), as an object or as JSON.
   *
   * @throws {@link PassgateError} `policy_invalid`, with the member and what is wrong with it; the codes of keys.
   */
  static async open(policy: object | string, options: GateOptions): Promise<Gate> {
    checkNames('Gate.open', options, OPTIONS)
    const json = typeof policy === 'string' ? policy : plainJson('policy_invalid', 'policy', policy)
    const module = await full()
    const signer = await signerOf(options.key)
    const { clock = Date.now, random = tenBytes, since } = options
    const named = options.evaluator ?? { digest: evaluatorDigest(), engine: 'npm', version: VERSION }
    const evaluator = plainJson('option_invalid', '`evaluator`', named)
    const jwk = JSON.stringify(signer.publicJwk)
    const bits = await random()
    const now = clock()
    const start = since?.getTime() ?? now
    const handle = guarded('policy_invalid', () => new module.Gate(json, evaluator, jwk, start, now, bits))
    // Challenges end with the gate, as everything else that it keeps.
    const challengeKey = await randomBytes(32)
    guarded('wasm_failed', () => handle.setChallengeKey(challengeKey))
    const gate = new Gate(handle, signer, options)
    await gate.#commit()
    return gate
  }

  /** The key that its records verify with. */
  get publicJwk(): PublicJwk {
    return this.#signer.publicJwk
  }

  /**
   * Decides a request, steps 1 to 7 of its life. Several at once are decided one after another.
   *
   * @throws {@link PassgateError} `request_invalid` when it has not the shape of a request; what the signer throws. Then nothing
   * was decided and nothing may be forwarded.
   */
  async decide(request: GateRequest | Request): Promise<GateDecision> {
    const { body, ...head } = await parts(request)
    const json = plainJson('request_invalid', 'request', head)
    return this.#next(async () => {
      const { now, bits } = await this.#stamp()
      const seed = await this.#seed()
      const decide = (): string => this.#handle.decide(json, body, now, bits, seed)
      const answer = JSON.parse(guarded('request_invalid', decide)) as Omit<GateDecision, 'record'>
      const { record, minted } = await this.#commit()
      return minted === null ? { ...answer, record } : { ...answer, response: minted, record }
    })
  }

  /** Step 9: records what became of an allowed request. Gives the record. */
  async settle(attestationId: string, outcome: Outcome): Promise<string> {
    const json = plainJson('request_invalid', 'outcome', outcome)
    return this.#next(async () => {
      const { now, bits } = await this.#stamp()
      guarded('request_invalid', () => this.#handle.settle(attestationId, json, now, bits))
      return (await this.#commit()).record
    })
  }

  /**
   * Says what became of an allowed request whose outcome was not known: it ended as `timed_out` or `aborted`, or was not settled
   * within an hour. Gives the record.
   *
   * @throws {@link PassgateError} `request_invalid` when nothing that the decision charged is held.
   */
  async reconcile(attestationId: string, found: Reconciliation): Promise<string> {
    const json = plainJson('request_invalid', 'reconciliation', { ...found, decisionId: attestationId })
    return this.#next(async () => {
      const { now, bits } = await this.#stamp()
      guarded('request_invalid', () => this.#handle.reconcile(json, now, bits))
      return (await this.#commit()).record
    })
  }

  /** Refuses a subject from now on. Gives the record; when it is there, the next request is refused. */
  async revoke(subject: RevokedSubject): Promise<string> {
    const json = plainJson('request_invalid', 'subject', subject)
    return this.#next(async () => {
      const { now, bits } = await this.#stamp()
      guarded('request_invalid', () => this.#handle.revoke(json, now, bits))
      return (await this.#commit()).record
    })
  }

  /** Refuses a subject until it is reinstated. When the record is there, the next request is refused. */
  suspend(subject: RevokedSubject): Promise<StandingChange> {
    return this.#change(subject, (json, now, bits) => this.#handle.suspend(json, now, bits))
  }

  /**
   * Ends the suspension of a subject.
   *
   * @throws {@link PassgateError} `request_invalid` when it is revoked: that stays.
   */
  reinstate(subject: RevokedSubject): Promise<StandingChange> {
    return this.#change(subject, (json, now, bits) => this.#handle.reinstate(json, now, bits))
  }

  async #change(
    subject: RevokedSubject,
    make: (json: string, now: number, bits: Uint8Array) => boolean,
  ): Promise<StandingChange> {
    const json = plainJson('request_invalid', 'subject', subject)
    return this.#next(async () => {
      const { now, bits } = await this.#stamp()
      const changed = guarded('request_invalid', () => make(json, now, bits))
      return { changed, record: (await this.#commit()).record }
    })
  }

  /**
   * Takes in a status list token. Gives whether it is used: one that is older than the list at hand is not.
   *
   * @throws {@link PassgateError} `status_list_invalid`.
   */
  addStatusList(token: string, uri?: string): Promise<boolean> {
    return this.#next(() => {
      const now = this.#clock()
      return guarded('status_list_invalid', () => this.#handle.addStatusList(uri, token, now))
    })
  }

  /** The ledger so far with a signed head: what `verifyExport` and `passgate ledger verify-export` take. */
  export(): Promise<string> {
    return this.#next(async () => {
      const now = this.#clock()
      const input = guarded('option_invalid', () => this.#handle.head(now))
      const signature = await signatureOf(this.#signer, utf8(input))
      const head = guarded('signature_failed', () => this.#handle.headLine(input, signature))
      return [...this.#lines, head].join('')
    })
  }

  /** Signs what waits for it. When that fails, nothing was decided. */
  async #commit(): Promise<{ readonly record: string; readonly minted: GateDecision['response'] }> {
    const { signingInput, passSigningInput } = JSON.parse(guarded('wasm_failed', () => this.#handle.pending())) as ToSign
    let line: string
    try {
      const signature = await signatureOf(this.#signer, utf8(signingInput))
      if (passSigningInput !== null) {
        const passSignature = await signatureOf(this.#signer, utf8(passSigningInput))
        guarded('signature_failed', () => this.#handle.signPass(passSignature))
      }
      line = guarded('signature_failed', () => this.#handle.commit(signature))
    } catch (error) {
      guarded('wasm_failed', () => this.#handle.cancel())
      throw error
    }
    const record = LINE.exec(line)?.[1]
    if (record === undefined) throw new PassgateError('wasm_failed', 'A record is no line of an export: this is a bug in Passgate.')
    this.#lines.push(line)
    // A pass is given away only now that its decision is recorded.
    if (passSigningInput === null) return { record, minted: null }
    const minted = guarded('wasm_failed', () => this.#handle.minted())
    return { record, minted: JSON.parse(minted) as GateDecision['response'] }
  }

  /** When a record is made, and its random bits. */
  async #stamp(): Promise<{ readonly now: number; readonly bits: Uint8Array }> {
    return { now: this.#clock(), bits: await this.#random() }
  }

  /** One after another: a record has the hash of the one before. */
  #next<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    // The one that follows has its turn whatever became of this one.
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }
}

const OPTIONS = ['key', 'evaluator', 'since', 'clock', 'random', 'seed']
/** The release, as records name it. */
const VERSION = '0.1.0'
const tenBytes = (): Promise<Uint8Array> => randomBytes(10)
const seedBytes = (): Promise<Uint8Array> => randomBytes(32)

type Parts = Omit<GateRequest, 'body'> & { readonly body: Uint8Array }

async function parts(request: GateRequest | Request): Promise<Parts> {
  if (typeof Request === 'function' && request instanceof Request) {
    const url = new URL(request.url)
    const query = url.search === '' ? null : url.search.slice(1)
    const body = new Uint8Array(await request.arrayBuffer())
    const { method, headers } = request
    return { method, authority: url.host, path: url.pathname, query, headers: [...headers], body }
  }
  const { method, authority, path, query, headers, body } = request as GateRequest
  return { method, authority, path, query, headers, body: bytesOf(body) }
}

/** What is judged is what was given: a copy, of what is certainly text or bytes. */
function bytesOf(body: unknown): Uint8Array {
  if (body === undefined || body === null) return new Uint8Array()
  if (typeof body === 'string') return utf8(body)
  if (body instanceof Uint8Array) return copied(body)
  throw new PassgateError('request_invalid', 'The body of a request is a text, a Uint8Array or null.')
}
