// `fetch` for agents: every request carries the passport and a proof of possession.

import type { AgentCredentials } from './credentials.js'
import { decisionOf } from './decision.js'
import type { Problem } from './decision.js'
import { PassgateError } from './errors.js'
import type { Signer } from './keys.js'
import { checkNames } from './options.js'
import { isRedirect, normalOrder, orderOf, redirectedOrder } from './order.js'
import type { Order, RequestOptions } from './order.js'
import { withDpop, withMessageSignature } from './proof.js'

/** A request with its passport and proof. The proof is good for about five minutes, and for one time. */
export interface SignedRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  /** `null` when there is none or it is empty. */
  readonly body: Uint8Array<ArrayBuffer> | null
}

/** What was asked for and has to be approved first. */
export interface StepUpRequest {
  readonly method: string
  readonly url: string
  readonly body: Uint8Array<ArrayBuffer> | null
}

export interface ClientOptions {
  /**
   * What sends; the runtime's own `fetch` when absent. It gets a URL and a second argument, never a `Request`, and has
   * to obey `redirect: 'manual'`.
   */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** How often one call may be sent again beside redirects and step-ups: 0 to 10, 2 when absent. */
  readonly maxRetries?: number
  /**
   * Called when a person has to approve first. When it says `true`, the request is signed anew and sent again, once for
   * each call.
   */
  readonly onStepUp?: (problem: Problem, request: StepUpRequest) => boolean | Promise<boolean>
  /** The only origins that get to see the passport, such as `https://tools.example`; any when absent. */
  readonly origins?: readonly string[]
  /**
   * How the key is proven: by `message_signature` (RFC 9421) when absent, or by `dpop` (RFC 9449). With `dpop`, escapes in
   * the path that need none are sent plainly, because such a proof is for one spelling.
   */
  readonly proof?: 'message_signature' | 'dpop'
  /** Sends the passport over plain http to other machines too. For tests. */
  readonly allowInsecureHttp?: boolean
}

const MAX_REDIRECTS = 5
const MAX_RETRIES = 10
/** The first pause before a retry; each further one is twice as long. */
const PAUSE_MS = 100
/** A clock that is off by less does not make a proof too old or too new. */
const CLOCK_TOLERANCE_SECONDS = 5
/** What may stand in a proof and leaves room there for a nonce: a gate's challenges are shorter. */
const CHALLENGE = /^[\w.~-]{1,100}$/
/** Methods that change nothing (RFC 9110 section 9.2.1): done twice is done once. */
const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']
const OPTION_MEMBERS = ['fetch', 'maxRetries', 'onStepUp', 'origins', 'proof', 'allowInsecureHttp']

/**
 * Sends requests as an agent.
 *
 * It signs and sends anew, with a new nonce, only when that cannot carry anything out twice: when the gate says that
 * the proof was too old or too new for its clock, or older than what it remembers (`proof_expired`, `proof_in_future`,
 * `replay_fence`), or that a DPoP proof needs a nonce it gives (`proof_nonce_required`); and for GET, HEAD and OPTIONS
 * also when the network failed or an earlier copy arrived before (`nonce_replayed`). Every other answer is returned as
 * it is.
 */
export class PassportClient {
  readonly #credentials: AgentCredentials
  readonly #signer: Signer
  readonly #options: ClientOptions
  readonly #origins: ReadonlySet<string> | null
  /** How far each origin's clock is ahead of ours, in seconds, where that made a proof unacceptable. */
  readonly #clockOffsets = new Map<string, number>()
  /** What each origin last asked to have in a DPoP proof. */
  readonly #challenges = new Map<string, string>()

  /** @throws {@link PassgateError} `key_missing` when the credentials have no signer; `option_invalid`. */
  constructor(credentials: AgentCredentials, options: ClientOptions = {}) {
    const { signer } = credentials
    if (signer === null) {
      throw new PassgateError(
        'key_missing',
        'The credentials hold no key: join the passport with its Signer by AgentCredentials.of(passport, signer).',
      )
    }
    checkOptions(options)
    this.#credentials = credentials
    this.#signer = signer
    this.#options = options
    this.#origins = options.origins === undefined ? null : new Set(options.origins.map(originOf))
  }

  /**
   * As the `fetch` of the runtime, signed. Use {@link decisionOf} on the answer to learn what the gate said.
   *
   * The body is read to its end first, and characters that RFC 3986 does not allow in a URL are escaped. A redirect is
   * never given the proof of another URL: within the origin it is followed with a proof of its own, at most five times;
   * elsewhere, and in browsers, which hide where it leads, the redirect itself is returned. With `redirect: 'manual'`
   * that is always so.
   *
   * @throws {@link PassgateError} `insecure_transport`, `origin_not_allowed`, `field_reserved`, `field_invalid`,
   * `request_invalid`, `redirected`; and what the runtime's `fetch` throws when the network fails.
   */
  readonly fetch = async (input: string | URL | Request, init?: RequestOptions): Promise<Response> => {
    let order = await this.#order(input, init)
    for (let redirects = 0; ; redirects += 1) {
      const response = await this.#answer(order)
      if (order.redirect === 'error' && isRedirect(response)) {
        await discard(response)
        throw new PassgateError('redirected', 'The answer is a redirect, and `redirect` is `error`.')
      }
      const next = order.redirect === 'follow' && redirects < MAX_REDIRECTS ? redirectedOrder(order, response) : null
      if (next === null) return response
      await discard(response)
      order = this.#spelt(next)
    }
  }

  /**
   * The request with passport and proof, for other ways to send it. Each is good for one time, and has to be sent
   * without following redirects.
   *
   * @throws {@link PassgateError} as {@link PassportClient.fetch}.
   */
  async sign(input: string | URL | Request, init?: RequestOptions): Promise<SignedRequest> {
    const order = await this.#order(input, init)
    return { method: order.method, url: order.url.href, headers: await this.#signedFields(order), body: order.body }
  }

  /** Shows no key. */
  toJSON(): { readonly credentials: AgentCredentials } {
    return { credentials: this.#credentials }
  }

  async #order(input: string | URL | Request, init?: RequestOptions): Promise<Order> {
    const order = await orderOf(input, init)
    const { protocol, origin, hostname } = order.url
    if (protocol !== 'https:' && protocol !== 'http:') {
      throw new PassgateError('request_invalid', 'The URL does not start with https:// or http://.')
    }
    if (this.#origins !== null && !this.#origins.has(origin)) {
      throw new PassgateError('origin_not_allowed', `The passport may not go to ${origin}: it is not in \`origins\`.`)
    }
    if (protocol === 'http:' && !isLoopback(hostname) && this.#options.allowInsecureHttp !== true) {
      throw new PassgateError(
        'insecure_transport',
        `The passport does not go to ${origin} in the clear: use https, or set \`allowInsecureHttp\` in a test.`,
      )
    }
    return this.#spelt(order)
  }

  #spelt(order: Order): Order {
    return this.#options.proof === 'dpop' ? normalOrder(order) : order
  }

  /** Sends until there is an answer to give. */
  async #answer(order: Order): Promise<Response> {
    const isSafe = SAFE_METHODS.includes(order.method)
    let retriesLeft = this.#options.maxRetries ?? 2
    let pauseMs = PAUSE_MS
    for (let steppedUp = false; ; ) {
      const response = await this.#send(order).catch((error: unknown) => {
        if (!isSafe || retriesLeft === 0 || order.signal?.aborted || isFinal(error)) throw error
        return null
      })
      const isRetry = response === null || (retriesLeft > 0 && (await this.#mayPassAnew(order, response, isSafe)))
      if (!isRetry) {
        if (steppedUp || !(await this.#isApproved(order, response))) return response
        steppedUp = true
      }
      if (response) await discard(response)
      if (isRetry) {
        retriesLeft -= 1
        await pause(pauseMs, order.signal)
        pauseMs *= 2
      }
    }
  }

  /** Whether the answer refuses the proof, nothing was carried out, and a new proof may be accepted. */
  async #mayPassAnew(order: Order, response: Response, isSafe: boolean): Promise<boolean> {
    if (response.status !== 401) return false
    const { decision, reasonCode } = await decisionOf(response)
    if (decision !== 'deny') return false
    switch (reasonCode) {
      case 'proof_expired':
      case 'proof_in_future':
        return this.#correctClock(order.url.origin, response)
      case 'replay_fence':
        this.#correctClock(order.url.origin, response)
        return true
      case 'proof_nonce_required':
        return this.#isChallenged(order.url.origin, response)
      case 'nonce_replayed':
        // The nonce was new, so something on the way sent the request twice, and the first one was decided.
        return isSafe
      default:
        return false
    }
  }

  /** Keeps the challenge that the gate asks to be answered; `false` when it names none, or the proof answered it. */
  #isChallenged(origin: string, response: Response): boolean {
    // RFC 9449 section 8, and its like for message signatures.
    const challenge = response.headers.get(this.#options.proof === 'dpop' ? 'dpop-nonce' : 'passgate-challenge')
    if (challenge === null || !CHALLENGE.test(challenge) || challenge === this.#challenges.get(origin)) return false
    this.#challenges.set(origin, challenge)
    return true
  }

  /** Goes by the gate's clock from here on, as its `Date` field shows it; `false` when that changes nothing. */
  #correctClock(origin: string, response: Response): boolean {
    const theirs = Date.parse(response.headers.get('date') ?? '')
    const offset = Math.round((theirs - Date.now()) / 1000)
    // Also `false` when there is no date.
    const differs = Math.abs(offset - (this.#clockOffsets.get(origin) ?? 0)) > CLOCK_TOLERANCE_SECONDS
    if (differs) this.#clockOffsets.set(origin, offset)
    return differs
  }

  async #send(order: Order): Promise<Response> {
    const { body, method, rest, signal, url } = order
    const headers = await this.#signedFields(order)
    const send = this.#options.fetch ?? ((target: string, init: RequestInit) => globalThis.fetch(target, init))
    return send(url.href, { ...rest, method, headers, body, redirect: 'manual', ...(signal && { signal }) })
  }

  /** Whether the answer asks for a person, and one has approved. */
  async #isApproved(order: Order, response: Response): Promise<boolean> {
    if (!this.#options.onStepUp) return false
    const { decision, problem } = await decisionOf(response)
    if (decision !== 'step_up' || problem === null) return false
    const request = { method: order.method, url: order.url.href, body: order.body?.slice() ?? null }
    return (await this.#options.onStepUp(problem, request)) === true
  }

  /** The fields with passport and proof, made now. */
  async #signedFields(order: Order): Promise<Headers> {
    const { origin } = order.url
    const created = Math.max(0, Math.floor(Date.now() / 1000) + (this.#clockOffsets.get(origin) ?? 0))
    const challenge = this.#challenges.get(origin) ?? null
    const terms = { signer: this.#signer, passport: this.#credentials.passport, created, challenge }
    return this.#options.proof === 'dpop' ? withDpop(order, terms) : withMessageSignature(order, terms)
  }
}

function checkOptions(options: ClientOptions): void {
  checkNames('PassportClient', options, OPTION_MEMBERS)
  const { maxRetries = 0, origins = [] } = options
  if (!Number.isInteger(maxRetries) || maxRetries < 0 || maxRetries > MAX_RETRIES) {
    throw new PassgateError('option_invalid', '`maxRetries` is not an integer from 0 to 10.')
  }
  if (!['message_signature', 'dpop', undefined].includes(options.proof)) {
    throw new PassgateError('option_invalid', '`proof` is neither `message_signature` nor `dpop`.')
  }
  if (!Array.isArray(origins)) throw new PassgateError('option_invalid', '`origins` is no list.')
}

function originOf(text: unknown): string {
  try {
    const url = new URL(String(text))
    if (url.origin !== 'null' && url.href === `${url.origin}/`) return url.origin
  } catch {
    // Falls through to the same refusal.
  }
  throw new PassgateError('option_invalid', '`origins` has an entry that is not like https://tools.example.')
}

/** Names that never leave the machine (RFC 6761 section 6.3), and its own addresses. */
function isLoopback(hostname: string): boolean {
  return /^(127\.\d+\.\d+\.\d+|\[::1\]|localhost|.+\.localhost)$/.test(hostname)
}

/** Aborts, and what this package refuses by itself: sending again changes nothing. */
function isFinal(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name
  return name === 'AbortError' || name === 'TimeoutError' || error instanceof PassgateError
}

/** Lets the connection go. */
async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined)
}

function pause(ms: number, signal: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}
