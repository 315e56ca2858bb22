// What a gate says in its answers (fields and RFC 9457 problem documents).

import { joined, utf8Text } from './bytes.js'

/** Something that has to happen before the request can be allowed. */
export interface Obligation {
  /** Such as `approval`: a person approves the action. */
  readonly type: string
  /** Who may; anybody who may approve at this gate when empty. */
  readonly roles: readonly string[]
}

/** A gate's problem document (RFC 9457). */
export interface Problem {
  /** `urn:passgate:problem:` and the reason code. */
  readonly type: string
  readonly title: string
  readonly status: number
  /** Stable. Coarser than in the record of the decision where the difference would help an attacker. */
  readonly reasonCode: string
  /** `allow` when an allowed request could not be carried out. */
  readonly decision: 'allow' | 'deny' | 'step_up' | null
  readonly attestationId: string | null
  readonly retryAfterSeconds: number | null
  /** The plugin whose answer this is, and why in its words. */
  readonly plugin: string | null
  readonly pluginReason: string | null
  readonly obligations: readonly Obligation[]
}

/** What a gate decided about a request. */
export interface Decision {
  /** `null`: no gate answered, or the page may not read its fields (`Access-Control-Expose-Headers`). */
  readonly decision: 'allow' | 'deny' | 'step_up' | null
  /** The record of the decision in the gate's ledger: `att_` and a ULID. */
  readonly attestationId: string | null
  /** Why it was refused, or what failed behind the gate. */
  readonly reasonCode: string | null
  /** After how many seconds trying again can help. */
  readonly retryAfterSeconds: number | null
  readonly problem: Problem | null
}

const DECISION_FIELD = 'passgate-decision'
const ATTESTATION_FIELD = 'passgate-attestation'
const PROBLEM_MEDIA_TYPE = 'application/problem+json'
const PROBLEM_TYPE = 'urn:passgate:problem:'
/** Longest problem document read, in bytes; a gate's have under 2 KiB. */
const MAX_PROBLEM_BYTES = 64 * 1024

/**
 * What the gate decided, from the fields of an answer and the problem document in it. The body stays unread, and has to
 * be unread for the problem to be found.
 */
export async function decisionOf(response: Response): Promise<Decision> {
  const decision = decisionName(response.headers.get(DECISION_FIELD))
  const attestationId = response.headers.get(ATTESTATION_FIELD)
  const isOpen = decision !== null && (decision !== 'allow' || response.status >= 500)
  const found = isOpen ? await problemOf(response) : null
  // The API behind a gate may answer with problem documents too, but knows the id of no record.
  const isTheGates = decision !== 'allow' || isUpstreamFailure(found, attestationId)
  const problem = isTheGates ? found : null
  const field = response.headers.get('retry-after')
  const seconds = isTheGates && decision !== null && field !== null && /^\d{1,9}$/.test(field) ? Number(field) : null
  return {
    decision,
    attestationId: decision === null ? null : attestationId,
    reasonCode: problem?.reasonCode ?? null,
    retryAfterSeconds: problem?.retryAfterSeconds ?? seconds,
    problem,
  }
}

function isUpstreamFailure(problem: Problem | null, attestationId: string | null): boolean {
  const isOfGate = problem?.decision === 'allow' && problem.type.startsWith(PROBLEM_TYPE)
  return isOfGate && attestationId !== null && problem.attestationId === attestationId
}

/** The problem document of an answer, whose own body stays unread; `null` when it is none. */
async function problemOf(response: Response): Promise<Problem | null> {
  const [type] = (response.headers.get('content-type') ?? '').split(';')
  if (type?.trim().toLowerCase() !== PROBLEM_MEDIA_TYPE) return null
  if (!response.body || response.bodyUsed || response.body.locked) return null
  const bytes = await readAtMost(response.clone().body, MAX_PROBLEM_BYTES)
  const text = bytes && utf8Text(bytes)
  if (!text) return null
  try {
    return problemFrom(JSON.parse(text))
  } catch {
    return null
  }
}

async function readAtMost(stream: ReadableStream<Uint8Array> | null, limit: number): Promise<Uint8Array | null> {
  if (!stream) return null
  const reader = stream.getReader()
  const parts: Uint8Array[] = []
  let length = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return joined(parts)
      length += value.byteLength
      if (length > limit) {
        // Not awaited: a half of a cloned body is only done when both are.
        void reader.cancel().catch(() => undefined)
        return null
      }
      parts.push(value)
    }
  } catch {
    // The caller meets the same failure in the body it reads.
    return null
  }
}

function problemFrom(value: unknown): Problem | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  const members = value as Record<string, unknown>
  const { type, title, status, reason_code: reasonCode } = members
  if (typeof type !== 'string' || typeof reasonCode !== 'string') return null
  return {
    type,
    title: text(title) ?? '',
    status: whole(status) ?? 0,
    reasonCode,
    decision: decisionName(members['decision']),
    attestationId: text(members['attestation_id']),
    retryAfterSeconds: whole(members['retry_after_seconds']),
    plugin: text(members['plugin']),
    pluginReason: text(members['plugin_reason']),
    obligations: Array.isArray(members['obligations']) ? members['obligations'].flatMap(obligationFrom) : [],
  }
}

function obligationFrom(value: unknown): Obligation[] {
  const { type, roles } = (value ?? {}) as { type?: unknown; roles?: unknown }
  if (typeof type !== 'string') return []
  const names = Array.isArray(roles) ? roles.filter((role): role is string => typeof role === 'string') : []
  return [{ type, roles: names }]
}

function decisionName(value: unknown): Decision['decision'] {
  return value === 'allow' || value === 'deny' || value === 'step_up' ? value : null
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function whole(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}
