// What a passport says, whether the verifier could read it or not.

import type { Passport } from '../../ts/types.ts'
import { isObject, links, peek, type JsonObject } from './jws.ts'

export interface Claims {
  readonly agentId: string | null
  readonly agentName: string | null
  readonly issuer: string | null
  readonly permissions: readonly string[] | null
  readonly issuedAt: number | null
  readonly notBefore: number | null
  readonly expiresAt: number | null
  readonly audience: readonly string[] | null
  readonly claimedTier: string | null
  readonly id: string | null
  readonly keyThumbprint: string | null
  readonly statusList: string | null
  readonly metadata: unknown
  /** The agents that handed it on, from the issuer's on. */
  readonly delegatedBy: readonly string[]
  /** Whether the passport it says that it was made from is missing. */
  readonly isOrphan: boolean
}

/** As the verifier read it. */
export function ofPassport(passport: Passport): Claims {
  const list = passport.statusList
  const statusList = list === null ? null : `entry ${list.idx} of ${list.uri}`
  return { ...passport, statusList, delegatedBy: passport.delegatedBy.map(({ agentId }) => agentId), isOrphan: false }
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
const seconds = (value: unknown): number | null => (Number.isSafeInteger(value) ? Number(value) : null)

function texts(value: unknown): readonly string[] | null {
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return null
  return value.filter((entry) => typeof entry === 'string')
}

/** Of a passport or chain that the verifier does not accept; `null` when its end cannot be read. */
export function ofToken(token: string): Claims | null {
  const payloads = links(token).map((link) => peek(link)?.payload ?? null)
  const last = payloads.at(-1) ?? null
  if (last === null) return null
  const above = payloads.slice(0, -1).map((payload) => text(payload?.['sub']) ?? '(cannot be read)')
  const claims = ofPayload(last)
  if (above.length === 0) return claims
  return { ...claims, issuer: text(payloads[0]?.['iss']), delegatedBy: above, isOrphan: false }
}

/** Whatever has another type than it should is left out. */
function ofPayload(payload: JsonObject): Claims {
  const status = payload['status']
  const list = isObject(status) ? status['status_list'] : undefined
  const uri = isObject(list) ? text(list['uri']) : null
  return {
    agentId: text(payload['sub']),
    agentName: text(payload['agent_name']),
    issuer: text(payload['iss']),
    permissions: Array.isArray(payload['permissions']) ? texts(payload['permissions']) : null,
    issuedAt: seconds(payload['iat']),
    notBefore: seconds(payload['nbf']),
    expiresAt: seconds(payload['exp']),
    audience: texts(payload['aud']),
    claimedTier: text(payload['trust_tier']),
    id: text(payload['jti']),
    keyThumbprint: null,
    statusList: uri,
    metadata: isObject(payload['metadata']) ? payload['metadata'] : null,
    delegatedBy: [],
    isOrphan: isObject(payload['delegation']) && 'parent' in payload['delegation'],
  }
}

/** Whether the agent names itself as the issuer. */
export function isSelfIssued(issuer: string | null): boolean {
  return issuer?.startsWith('did:key:') ?? false
}
