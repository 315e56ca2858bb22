// Proofs of possession: HTTP message signatures (RFC 9421, docs/spec/proof.md) and DPoP (RFC 9449, docs/spec/dpop.md).

import { base64, base64url, randomBytes, sha256, utf8 } from './bytes.js'
import { PassgateError } from './errors.js'
import { signatureOf } from './keys.js'
import type { Signer } from './keys.js'
import type { Order } from './order.js'

/** What a proof is made with. */
export interface ProofTerms {
  readonly signer: Signer
  readonly passport: string
  /** Unix seconds. */
  readonly created: number
  /** The challenge that the gate asked to be answered; `null` when it asked for nothing. */
  readonly challenge: string | null
}

/** The fields of the caller with passport and message signature: RFC 9421 section 3.1 with a new nonce. */
export async function withMessageSignature(order: Order, terms: ProofTerms): Promise<Headers> {
  const { challenge, created, passport, signer } = terms
  const headers = new Headers(order.headers)
  headers.set('agent-passport', passport)
  if (order.body !== null) headers.set('content-digest', `sha-256=:${base64(await sha256(order.body))}:`)
  const own = base64url(await randomBytes(16))
  const nonce = challenge === null ? own : `${challenge}.${own}`
  const { base, input } = signatureBase(order, headers, created, nonce, signer.thumbprint)
  const signature = await signatureOf(signer, utf8(base))
  headers.set('signature-input', `sig1=${input}`)
  headers.set('signature', `sig1=:${base64(signature)}:`)
  return headers
}

/** The fields of the caller with passport and DPoP proof. */
export async function withDpop(order: Order, terms: ProofTerms): Promise<Headers> {
  const { challenge, created, passport, signer } = terms
  const headers = new Headers(order.headers)
  headers.set('agent-passport', passport)
  const { body, method, url } = order
  const { crv, kty, x } = signer.publicJwk
  const header = { alg: 'EdDSA', jwk: { crv, kty, x }, typ: 'dpop+jwt' }
  // The order of the members is that of the other implementations; what is `undefined` is left out.
  const claims = {
    jti: base64url(await randomBytes(16)),
    htm: method,
    htu: url.origin + url.pathname,
    iat: created,
    ath: await hash(utf8(passport)),
    nonce: challenge ?? undefined,
    htq: url.search === '' ? undefined : await hash(utf8(url.search.slice(1))),
    htb: body === null ? undefined : await hash(body),
    htf: coveredFields(headers),
  }
  const input = [header, claims].map((part) => base64url(utf8(JSON.stringify(part)))).join('.')
  headers.set('dpop', `${input}.${base64url(await signatureOf(signer, utf8(input)))}`)
  return headers
}

/** The fields that say what the body is, the one-action pass, and what makes repetitions one request. */
const COVERED_FIELDS = ['content-type', 'content-encoding', 'agent-action-pass', 'idempotency-key']

function coveredFields(headers: Headers): Record<string, string> | undefined {
  const fields = COVERED_FIELDS.flatMap((name) => {
    const value = headers.get(name)
    return value === null ? [] : [[name, printable(name, value)] as const]
  })
  return fields.length === 0 ? undefined : Object.fromEntries(fields)
}

async function hash(bytes: Uint8Array): Promise<string> {
  return base64url(await sha256(bytes))
}

/** RFC 9421 section 2.5. The parameters are in the canonical form of RFC 9651. */
function signatureBase(
  { method, url }: Order,
  headers: Headers,
  created: number,
  nonce: string,
  keyid: string,
): { base: string; input: string } {
  const lines = [`"@method": ${method}`, `"@target-uri": ${url.href}`]
  const names = ['"@method"', '"@target-uri"']
  for (const name of ['agent-passport', 'content-digest', ...COVERED_FIELDS]) {
    const value = headers.get(name)
    if (value === null) continue
    names.push(`"${name}"`)
    lines.push(`"${name}": ${printable(name, value)}`)
  }
  const parameters = `created=${created};nonce="${nonce}";keyid="${keyid}";alg="ed25519";tag="passgate"`
  const input = `(${names.join(' ')});${parameters}`
  return { base: [...lines, `"@signature-params": ${input}`].join('\n'), input }
}

function printable(name: string, value: string): string {
  if (/^[ -~]*$/.test(value)) return value
  throw new PassgateError('field_invalid', `The field \`${name}\` is not printable ASCII, and a proof covers it.`)
}
