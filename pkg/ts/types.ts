// The shapes of arguments and results. Times that end in `At` are Unix seconds; timestamps are RFC 3339.

/** How far an agent's identity is vouched for. */
export type TrustTier = 'L1' | 'L2' | 'L3'
export const TrustTier = { L1: 'L1', L2: 'L2', L3: 'L3' } as const

/** A public Ed25519 key (RFC 8037). */
export interface PublicJwk {
  readonly kty: 'OKP'
  readonly crv: 'Ed25519'
  readonly x: string
  readonly kid?: string
  readonly alg?: string
  readonly use?: string
}

/** A private Ed25519 key (RFC 8037). */
export interface PrivateJwk extends PublicJwk {
  readonly d: string
}

export interface Jwks {
  readonly keys: readonly PublicJwk[]
}

/** A trusted issuer, as in `passgate.yml`. */
export interface TrustedIssuer {
  /** The value of `iss`. */
  readonly id: string
  readonly tier: 'L2' | 'L3'
  readonly status?: 'active' | 'suspended'
  readonly max_passport_ttl_days?: number
  readonly keys: readonly {
    readonly jwk: PublicJwk
    /** Unix seconds. */
    readonly not_before?: number
    /** Unix seconds. */
    readonly not_after?: number
    /** Unix seconds: what the key signed with an `iat` from then on is void. 0 voids everything. */
    readonly compromised_at?: number
  }[]
  /** Its passports have to name a status list, and one of this age at most has to be at hand. */
  readonly status_list?: { readonly max_age_seconds: number }
}

/** Which passports that agents issued to themselves are accepted. */
export type SelfIssued = 'refused' | 'any_key' | { readonly listed: readonly string[] }

export type CheckResult = 'passed' | 'failed' | 'not_checked'

/** One thing that was looked at, or that was not. */
export interface Check<Name extends string = string> {
  readonly name: Name
  readonly result: CheckResult
  readonly detail: string | null
}

/** What is looked at, in this order; after the first that failed, nothing is. */
export type PassportCheck =
  | 'form'
  | 'issuer'
  | 'issuer_key'
  | 'signature'
  | 'time'
  | 'tier'
  | 'audience'
  | 'delegation'
  | 'status_list'
  | 'possession'

/** What a passport says. Only a report that is `valid` says that it is so. */
export interface Passport {
  readonly id: string
  readonly agentId: string
  readonly agentName: string | null
  readonly issuer: string
  /** RFC 7638 thumbprint of the agent's key. */
  readonly keyThumbprint: string
  readonly permissions: readonly string[]
  readonly issuedAt: number
  readonly notBefore: number | null
  readonly expiresAt: number
  readonly audience: readonly string[] | null
  readonly claimedTier: TrustTier | null
  /** That of the issuer's passport; those who hand on publish none. */
  readonly statusList: { readonly uri: string; readonly idx: number } | null
  /** Of a passport that was handed on, `metadata` and `agentName` are the words of the agent that did. */
  readonly metadata: Readonly<Record<string, unknown>> | null
  /** What this passport states as its limits. What it does not state it has from those above it. */
  readonly constraints: Constraints | null
  /** Who handed the authority on, from the agent of the issuer to the one that made this passport; empty where the issuer did. */
  readonly delegatedBy: readonly Delegator[]
}

/** An agent that handed its authority on, and what it had. */
export interface Delegator {
  readonly id: string
  readonly agentId: string
  readonly keyThumbprint: string
  readonly permissions: readonly string[]
  readonly expiresAt: number
  readonly constraints: Constraints | null
}

/** Limits of a passport, as the claim has them: amounts in millionths of a US dollar. */
export interface Constraints {
  readonly spend?: {
    readonly per_transaction_micro_usd?: number
    readonly daily_micro_usd?: number
    readonly monthly_micro_usd?: number
    readonly total_micro_usd?: number
  }
  readonly rate?: {
    readonly requests_per_minute?: number
    readonly requests_per_hour?: number
    readonly requests_per_day?: number
  }
  readonly domains?: readonly string[]
  readonly resources?: readonly string[]
  readonly context?: Readonly<Record<string, string | readonly string[]>>
  readonly max_records?: number
  readonly purpose?: string
  readonly task?: string
  readonly labels?: readonly string[]
}

export interface PassportReport {
  /** Whether none of the checks that were made failed, the signature's and the issuer's among them. `checks` says which were not. */
  readonly valid: boolean
  readonly expired: boolean
  /** Whether a status list at hand revokes or suspends it. `false` also when none was looked at: see `checks`. */
  readonly revoked: boolean
  /** The stable code of the first failed check. */
  readonly reasonCode: string | null
  readonly detail: string | null
  /** Which passport of a chain is at fault: 0 is that of the issuer. `null` when valid. */
  readonly failedLink: number | null
  readonly checks: readonly Check<PassportCheck>[]
  /** `null` when it cannot be read at all. */
  readonly passport: Passport | null
  /** What limits the agent in all, those above it counted; `null` when nothing does, and unless valid. */
  readonly constraints: Constraints | null
  /** As computed from the trusted issuers; `null` unless valid. */
  readonly trustTier: TrustTier | null
}

export type AttestationCheck = 'form' | 'key' | 'signature' | 'payload' | 'chain'

export interface AttestationReport {
  /** Whether a trusted key signed it. Its place in the chain takes the export. */
  readonly valid: boolean
  readonly reasonCode: string | null
  readonly detail: string | null
  readonly checks: readonly Check<AttestationCheck>[]
  /** What it says, as far as it can be read. */
  readonly record: Readonly<Record<string, unknown>> | null
  /** RFC 7638 thumbprint of the key it names. */
  readonly keyThumbprint: string | null
  /** `sha256:` and the hash of the record as signed: what the next record's `prev` is. */
  readonly sha256: string | null
}

/** Counts of records. `other` are those that are no decisions. */
export interface RecordCounts {
  readonly records: number
  readonly decisions: { readonly allow: number; readonly deny: number; readonly stepUp: number }
  readonly other: number
  readonly firstTimestamp: string | null
  readonly lastTimestamp: string | null
}

export interface ExportProgress extends RecordCounts {
  readonly bytes: number
  readonly lines: number
  /** What the last piece brought. */
  readonly batch: RecordCounts
}

export interface ChainHead {
  readonly chainUid: string
  readonly size: number
  readonly headSha256: string
}

export interface ExportReport extends RecordCounts {
  readonly valid: boolean
  readonly bytes: number
  readonly lines: number
  /** What the signed head says; `null` unless valid. */
  readonly head: {
    readonly gateId: string
    readonly partial: boolean
    readonly records: number
    readonly timestamp: string
    readonly chains: readonly ChainHead[]
  } | null
  readonly notChecked: readonly string[]
  /** The first thing that is wrong. */
  readonly broken: {
    /** From 1. */
    readonly line: number
    readonly attestationId: string | null
    readonly chainUid: string | null
    readonly seq: number | null
    /** Such as `signature` or `sequence`. */
    readonly code: string
    readonly what: string
  } | null
}
