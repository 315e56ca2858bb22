// Handing a passport on, offline: what is signed comes from the WebAssembly, which has the rules of chains.

import { base64url, utf8 } from './bytes.js'
import { PassgateError } from './errors.js'
import { passportId } from './ids.js'
import { agentKey, signatureOf } from './keys.js'
import type { Signer } from './keys.js'
import { checkNames, plainJson } from './options.js'
import type { Constraints, PublicJwk } from './types.js'
import { full, guarded } from './wasm.js'

/** What the sub-agent's passport shall say. What it does not limit, it inherits. */
export interface DelegationRequest {
  /** The sub-agent's id: another than that of every agent above it. */
  readonly agentId: string
  /** A name for people, which is the word of the agent that hands on. */
  readonly agentName?: string
  /** What the sub-agent may ask for: at most 64 scopes, each within one of the parent's. */
  readonly permissions: readonly string[]
  /** 60 to 86,400, and no longer than the parent; an hour, or until the parent ends, when absent. */
  readonly ttlSeconds?: number
  /** Its limits, none above the parent's. */
  readonly constraints?: Constraints
  /** How often the sub-agent may hand it on: less often than the parent; not at all when absent. */
  readonly depth?: number
  /** The gates it is meant for, among those of the parent; the parent's when absent. */
  readonly audience?: string | readonly string[]
  /** The key of a sub-agent that keeps the private half itself: the credentials then have no key. */
  readonly publicKey?: PublicJwk
  /** The key of the sub-agent, when it has one to sign with already. */
  readonly signer?: Signer
  /** As of `PassportIssuer.issuePassport`. */
  readonly extractable?: boolean
}

/** The chain with one more passport, and what signs for it. */
export interface Delegated {
  readonly passport: string
  readonly signer: Signer | null
}

const DEFAULT_TTL_SECONDS = 3600
const MEMBERS = [
  'agentId',
  'agentName',
  'permissions',
  'ttlSeconds',
  'constraints',
  'depth',
  'audience',
  'publicKey',
  'signer',
  'extractable',
]

/** `chain` with one more passport, signed by `parent`. `parentEnd` is when the last one of `chain` ends, Unix seconds. */
export async function delegated(
  chain: string,
  parent: Signer,
  parentEnd: number,
  request: DelegationRequest,
): Promise<Delegated> {
  checkNames('delegate', request, MEMBERS)
  const now = Date.now()
  const iat = Math.floor(now / 1000)
  if (parentEnd < iat) {
    throw new PassgateError('passport_expired', 'The passport has ended: have the credentials made anew before handing them on.')
  }
  const exp = request.ttlSeconds === undefined ? Math.min(iat + DEFAULT_TTL_SECONDS, parentEnd) : iat + request.ttlSeconds
  const { jwk, signer } = await agentKey(request)
  const { agentId, agentName, audience, constraints, depth, permissions } = request
  const order = plainJson('claim_invalid', 'delegate', {
    jti: await passportId(now),
    sub: agentId,
    jwk: JSON.stringify(jwk),
    permissions,
    iat,
    exp,
    depth_left: depth,
    agent_name: agentName,
    aud: typeof audience === 'string' ? [audience] : audience,
    constraints: constraints === undefined ? undefined : plainJson('claim_invalid', 'constraints', constraints),
  })
  const input = await signingInput(chain, order)
  const signature = await signatureOf(parent, utf8(input))
  return { passport: `${chain}~${input}.${base64url(signature)}`, signer }
}

async function signingInput(chain: string, order: string): Promise<string> {
  const module = await full()
  const answer = JSON.parse(guarded('option_invalid', () => module.delegationInput(chain, order))) as
    | { readonly signingInput: string }
    | { readonly refused: { readonly code: string; readonly detail: string } }
  if ('signingInput' in answer) return answer.signingInput
  throw new PassgateError(answer.refused.code, `Nothing was handed on: ${answer.refused.detail}.`)
}
