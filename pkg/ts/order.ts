// A request as it is signed and sent: read once from the arguments of `fetch`, its body whole.

import type { Bytes } from './bytes.js'
import { copied, joined, utf8 } from './bytes.js'
import { PassgateError } from './errors.js'

/** A body of `fetch`; Node takes the last one too. */
export type Body = BodyInit | AsyncIterable<Uint8Array | string>

/** The second argument of `fetch`. */
export type RequestOptions = Omit<RequestInit, 'body'> & { readonly body?: Body | null }

/** A request that can be signed as often as it takes. */
export interface Order {
  readonly method: string
  /** Without a fragment and a user name. */
  readonly url: URL
  /** Those of the caller, and `content-type` where the body has one. */
  readonly headers: Headers
  /** `null` when there is none or it is empty. */
  readonly body: Bytes | null
  readonly redirect: RequestRedirect
  readonly signal: AbortSignal | null
  /** What else `fetch` is told. */
  readonly rest: RequestInit
}

/** Fields that the proof consists of, which are made here. */
const OWN_FIELDS = ['agent-passport', 'content-digest', 'dpop', 'host', 'signature', 'signature-input']
/** Members of a `Request` that count as if they stood in the second argument. */
const REQUEST_MEMBERS = [
  'cache',
  'credentials',
  'integrity',
  'keepalive',
  'mode',
  'referrer',
  'referrerPolicy',
  'redirect',
  'signal',
  'cf',
] as const
/** Fields about a body that a redirect takes away (Fetch standard, HTTP-redirect fetch). */
const BODY_FIELDS = ['content-encoding', 'content-language', 'content-location', 'content-type']

/** Reads the arguments of `fetch`, and the body to its end. */
export async function orderOf(input: string | URL | Request, init: RequestOptions = {}): Promise<Order> {
  const request = isRequest(input) ? input : null
  const { body: given, headers: fields, method: name, ...others } = { ...settingsOf(request), ...init }
  const target = request ? request.url : String(input)
  // The runtime resolves the URL, checks and spells the method, and checks the fields.
  const method = name ?? request?.method ?? 'GET'
  const shape = new Request(target, { method, headers: fields ?? request?.headers ?? {} })
  const headers = new Headers(shape.headers)
  refuseOwnFields(headers)
  const own = given === undefined || given === null ? request : null
  const body = own ? await bodyOfRequest(own) : await bodyOf(given ?? null, headers)
  if (body !== null && (shape.method === 'GET' || shape.method === 'HEAD')) {
    throw new PassgateError('request_invalid', `A ${shape.method} request has no body.`)
  }
  const { redirect = 'follow', signal = null, ...rest } = others
  return { method: shape.method, url: plainUrl(shape.url), headers, body, redirect, signal, rest }
}

/**
 * The request that a redirect asks for, by the rules of `fetch`; `null` when the answer is no redirect, or leads out of
 * the origin: the passport then goes nowhere.
 */
export function redirectedOrder(order: Order, response: Response): Order | null {
  const url = isRedirect(response) ? locationOf(order.url, response) : null
  if (!url || url.origin !== order.url.origin || url.username !== '' || url.password !== '') return null
  const { method } = order
  const seeOther = response.status === 303 && method !== 'GET' && method !== 'HEAD'
  const becomesGet = seeOther || (isMoved(response) && method === 'POST')
  if (!becomesGet) return { ...order, url: plainUrl(url.href) }
  const headers = new Headers(order.headers)
  BODY_FIELDS.forEach((field) => headers.delete(field))
  return { ...order, url: plainUrl(url.href), method: 'GET', headers, body: null }
}

/** Whether the answer sends the request elsewhere. Browsers hide where. */
export function isRedirect(response: Response): boolean {
  return response.type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(response.status)
}

function isMoved(response: Response): boolean {
  return response.status === 301 || response.status === 302
}

function locationOf(base: URL, response: Response): URL | null {
  const location = response.headers.get('location')
  try {
    return location === null ? null : new URL(location, base)
  } catch {
    return null
  }
}

/** Requests of another realm count too. */
function isRequest(input: unknown): input is Request {
  return typeof input === 'object' && input !== null && 'url' in input && 'method' in input && 'headers' in input
}

function settingsOf(request: Request | null): RequestInit {
  if (!request) return {}
  const members = REQUEST_MEMBERS.map((name) => [name, (request as unknown as Record<string, unknown>)[name]] as const)
  const isGiven = ([name, value]: readonly [string, unknown]): boolean => {
    // No request can be made with these; they are what the runtime sets by itself.
    return value !== undefined && value !== 'navigate' && !(name === 'referrer' && value === 'about:client')
  }
  return Object.fromEntries(members.filter(isGiven)) as RequestInit
}

/**
 * The URL as it is signed and sent. Runtimes differ in whether they send a `?` with nothing behind it. They send some
 * characters plainly that RFC 3986 has as escapes only, and gates take one spelling; these mean the same.
 */
function plainUrl(href: string): URL {
  const url = new URL(href)
  url.hash = ''
  // Set also when it is empty, which takes the `?` away.
  url.search = escaped(url.search)
  url.pathname = escaped(url.pathname).replace(/%[0-9a-fA-F]{2}/g, (escape) => escape.toUpperCase())
  return url
}

/** The order with its path in the one spelling that a DPoP proof can be for (RFC 3986 section 6.2.2.2). */
export function normalOrder(order: Order): Order {
  const url = new URL(order.url)
  url.pathname = url.pathname.replace(/%(?:2D|2E|3\d|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])/g, decodeURIComponent)
  return { ...order, url }
}

function escaped(text: string): string {
  return text.replace(/[[\]\\^`{|}]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

function refuseOwnFields(headers: Headers): void {
  const field = OWN_FIELDS.find((name) => headers.has(name))
  if (field !== undefined) {
    throw new PassgateError('field_reserved', `The field \`${field}\` is made by the client: leave it out.`)
  }
}

async function bodyOfRequest(request: Request): Promise<Bytes | null> {
  return request.body === null ? null : nonEmpty(await request.arrayBuffer())
}

/** The body's bytes; sets `content-type` as `fetch` would. */
async function bodyOf(body: Body | null, headers: Headers): Promise<Bytes | null> {
  if (body === null) return null
  if (isAsyncIterable(body)) return nonEmpty((await collected(body)).buffer)
  const whole = new Response(body)
  const type = whole.headers.get('content-type')
  if (type !== null && !headers.has('content-type')) headers.set('content-type', type)
  return nonEmpty(await whole.arrayBuffer())
}

/** Streams of Node, and generators. Those of the web are left to the runtime. */
function isAsyncIterable(body: Body): body is AsyncIterable<Uint8Array | string> {
  if (typeof body !== 'object' || 'getReader' in body) return false
  return typeof (body as { [Symbol.asyncIterator]?: unknown })[Symbol.asyncIterator] === 'function'
}

async function collected(pieces: AsyncIterable<Uint8Array | string>): Promise<Bytes> {
  const parts: Uint8Array[] = []
  for await (const piece of pieces) parts.push(typeof piece === 'string' ? utf8(piece) : copied(piece))
  return joined(parts)
}

function nonEmpty(bytes: ArrayBuffer): Bytes | null {
  return bytes.byteLength === 0 ? null : new Uint8Array(bytes)
}
