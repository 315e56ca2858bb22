// What a passport says, whether the verifier could read it or not.

import type { Passport } from '../../ts/types.ts'
import { isObject, type JsonObject } from './jws.ts'

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
  /** Whether it says that another agent passed it on. */
  readonly delegated: boolean
}

/** As the verifier read it. */
export function ofPassport(passport: Passport): Claims {
  const list = passport.statusList
  return { ...passport, statusList: list === null ? null : `entry ${list.idx} of ${list.uri}`, delegated: false }
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
const seconds = (value: unknown): number | null => (Number.isSafeInteger(value) ? Number(value) : null)

function texts(value: unknown): readonly string[] | null {
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) return null
  return value.filter((entry) => typeof entry === 'string')
}

/** Of a payload that the verifier does not accept. Whatever has another type than it should is left out. */
export function ofPayload(payload: JsonObject): Claims {
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
    delegated: 'delegation' in payload,
  }
}

/** Whether the agent names itself as the issuer. */
export function isSelfIssued(issuer: string | null): boolean {
  return issuer?.startsWith('did:key:') ?? false
}
