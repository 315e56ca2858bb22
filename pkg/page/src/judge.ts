// What a report means for the reader: a verdict, a sentence, and what was not checked.

import { PassportVerifier, verifyAttestation } from '../../ts/verify.ts'
import type {
  AttestationReport, Check, CheckResult, Constraints, PassportReport, PublicJwk, SelfIssued, TrustedIssuer,
} from '../../ts/types.ts'
import { isSelfIssued, ofPassport, ofToken, type Claims } from './claims.ts'
import type { Tone } from './dom.ts'
import { peek, type JsonObject } from './jws.ts'
import { localTime } from './text.ts'
import { issuerKey, keysOf, type Trust } from './trust.ts'

export interface Verdict {
  readonly tone: Tone
  /** One or a few words. */
  readonly title: string
  readonly sentence: string
  /** The verifier's stable code. */
  readonly reasonCode: string | null
}

export interface PassportResult {
  readonly verdict: Verdict
  readonly claims: Claims | null
  readonly checks: readonly Check[]
  /** How far the agent is vouched for, in words. */
  readonly tier: string | null
  /** Of the link from the issuer to the first agent. */
  readonly link: CheckResult
  /** The passport of the chain that is at fault, from 0. */
  readonly failedLink: number | null
  /** What limits the agent: in all, or what its own passport states where the whole does not hold. */
  readonly limits: Constraints | null
  readonly notes: readonly string[]
}

export interface AttestationResult {
  readonly verdict: Verdict
  /** Whether the signature holds, whatever stands around the record. */
  readonly signed: boolean
  readonly record: JsonObject | null
  readonly checks: readonly Check[]
  readonly keyThumbprint: string | null
  readonly sha256: string | null
  readonly notes: readonly string[]
}

/** What is asked. */
export interface Question {
  readonly trust: Trust
  /** Whether the trust came with a link, from whoever made it. */
  readonly trustFromLink: boolean
  readonly audience: string
  /** The moment to check for, Unix seconds. */
  readonly now: number
  /** Whether that is another one than the present. */
  readonly chosen: boolean
}

/** Said beside every verdict that is not about the present, since a link may have brought the moment with it. */
export function momentRemark({ now, chosen }: Question): string | null {
  return chosen ? `Checked for ${localTime(now)}, not for now.` : null
}

const TORN = 'Its passports do not belong together: one was changed, left out, moved or made for another chain.'

const CHAIN_SENTENCES: Readonly<Record<string, string>> = {
  delegation_root_missing: 'It was handed on, and the passports it was made from are missing: give the whole chain.',
  delegation_missing: 'One of its passports was not handed on by the agent above it.',
  delegation_depth: 'It was handed on more often than allowed.',
  delegation_parent_mismatch: TORN,
  delegation_parent_hash_mismatch: TORN,
  delegation_root_mismatch: TORN,
  delegation_spawner_mismatch: TORN,
  delegation_issuer_mismatch: TORN,
  delegation_key_mismatch: TORN,
  delegation_signature_invalid: 'One of its passports was changed, or not signed by the agent above it.',
  delegation_self: 'An agent handed it to itself, or back to an agent above.',
  delegation_id_reused: 'Two of its passports have one id.',
  delegation_lifetime: 'A passport was handed on for less than a minute or more than a day.',
  delegation_outlives_parent: 'A passport lasts longer than the one it was made from.',
  delegation_predates_parent: 'A passport begins before the one it was made from.',
  delegation_status: 'A passport that was handed on names a status list of its own, which nobody can publish.',
  delegation_widens_scope: 'A passport permits more than the one it was made from.',
  delegation_widens_audience: 'A passport is meant for gates that the one it was made from is not for.',
  delegation_widens_tier: 'A passport claims a higher trust tier than the one it was made from.',
  delegation_widens_spend: 'A passport may spend more than the one it was made from.',
  delegation_widens_rate: 'A passport may ask more often than the one it was made from.',
  delegation_widens_domains: 'A passport reaches hosts that the one it was made from does not.',
  delegation_widens_resources: 'A passport touches what the one it was made from may not.',
  delegation_widens_context: 'A passport allows values that the one it was made from does not.',
  delegation_widens_max_records: 'A passport returns more records than the one it was made from.',
  delegation_changes_task: 'A passport is for another task than the one it was made from.',
  delegation_changes_purpose: 'A passport is for another purpose than the one it was made from.',
  delegation_drops_label: 'A passport lacks a label of the one it was made from.',
}

const SENTENCES: Readonly<Record<string, string>> = {
  passport_malformed: 'It does not have the form of a passport.',
  passport_signature_invalid: 'Its signature does not verify: it was changed, or somebody else signed it.',
  passport_expired: 'It has expired.',
  passport_not_yet_valid: 'It is not valid yet.',
  passport_lifetime_exceeded: 'It lives longer than its issuer may grant.',
  issuer_unknown: 'Its issuer is not one that you trust.',
  issuer_suspended: 'Its issuer is suspended.',
  issuer_key_unknown: 'It is not signed with a key that you trust for its issuer.',
  issuer_key_compromised: 'It is signed with a key of its issuer that you call compromised by the time it is dated.',
  tier_mismatch: 'It claims a trust tier that its issuer does not have.',
  audience_mismatch: 'It is meant for somebody else than the audience you gave.',
  ...CHAIN_SENTENCES,
  status_missing: 'It names no status list, and its issuer’s passports have to.',
  status_revoked: 'The status list of its issuer says that it is revoked.',
  status_suspended: 'The status list of its issuer says that it is suspended.',
  status_unknown: 'The status list of its issuer does not say that it is valid.',
  status_list_unavailable: 'Its status list is not at hand, and its issuer’s passports need one.',
  status_list_stale: 'The status list at hand is too old to rely on.',
}

const LINK_NOTE = 'Whom to trust came with this link, so whoever made the link chose it.'

function trustedIssuer(claims: Claims | null, keys: readonly PublicJwk[]): TrustedIssuer[] {
  const id = claims?.issuer
  if (id === null || id === undefined || isSelfIssued(id)) return []
  return [{ id, tier: claims?.claimedTier === 'L3' ? 'L3' : 'L2', keys: keys.map(issuerKey) }]
}

function verifierFor(question: Question, claims: Claims | null): PassportVerifier {
  const { trust, audience } = question
  let issuers: readonly TrustedIssuer[] = []
  // Without a word from the reader the signature is still looked at; the verdict then says that nobody vouches.
  let selfIssued: SelfIssued = 'any_key'
  let statusLists: Readonly<Record<string, string>> = {}
  if (trust.kind === 'keys') issuers = trustedIssuer(claims, trust.keys)
  if (trust.kind === 'issuers') ({ issuers, selfIssued, statusLists } = trust)
  return new PassportVerifier({ issuers, selfIssued, statusLists, ...(audience === '' ? {} : { audience }) })
}

function replace(checks: readonly Check[], names: readonly string[], only: CheckResult, detail: string): Check[] {
  return checks.map((check) =>
    names.includes(check.name) && check.result === only ? { name: check.name, result: 'not_checked', detail } : check,
  )
}

/** Where no issuer was named, checks against one were not made, whatever the verifier had to be told. */
function honestChecks(report: PassportReport, question: Question, claims: Claims | null): readonly Check[] {
  const { kind } = question.trust
  if (kind === 'none' && report.reasonCode === 'issuer_unknown') {
    return replace(report.checks, ['issuer'], 'failed', 'You named nobody to trust.')
  }
  if (kind === 'keys' && !isSelfIssued(claims?.issuer ?? null)) {
    return replace(report.checks, ['issuer', 'tier'], 'passed', 'You gave keys, and not whose they are.')
  }
  if (kind !== 'issuers' && report.valid) {
    return replace(report.checks, ['issuer'], 'passed', 'It names itself as its issuer, and you named nobody to trust.')
  }
  return report.checks
}

function unverified(report: PassportReport, claims: Claims | null, now: number): Verdict {
  const nobody = 'You have not said whom to trust, so neither its issuer nor its signature was checked.'
  const ends = claims?.expiresAt ?? null
  const expired = report.expired || (ends !== null && ends < now)
  if (expired) {
    const sentence = `By its own dates it has ended. ${nobody}`
    return { tone: 'bad', title: 'Expired', sentence, reasonCode: null }
  }
  return { tone: 'open', title: 'Not verified', sentence: nobody, reasonCode: null }
}

function validVerdict(question: Question, claims: Claims | null, isListed: boolean): Verdict {
  const { trust, trustFromLink, chosen } = question
  const plain = { reasonCode: null }
  const unknown = isListed || claims?.statusList == null ? '' : ', if its status list does not say otherwise'
  const holds = `${chosen ? 'holds at the moment given' : 'holds now'}${unknown}`
  if (isSelfIssued(claims?.issuer ?? null) && trust.kind !== 'issuers') {
    const sentence = 'Its signature holds, but the agent issued it to itself, and nobody whom you trust vouches for it.'
    return { ...plain, tone: 'open', title: 'Nobody vouches for it', sentence }
  }
  if (trustFromLink) {
    const sentence = 'Every check passed, for the issuers or keys that came with this link. Do you know them?'
    return { ...plain, tone: 'open', title: 'Holds, for this link’s keys', sentence }
  }
  if (trust.kind === 'keys') {
    const sentence = `It is signed with a key that you gave, and it ${holds}.`
    return { ...plain, tone: 'ok', title: 'Valid for your keys', sentence }
  }
  const by = isSelfIssued(claims?.issuer ?? null) ? 'An agent itself, which you accept,' : 'Somebody you trust'
  const sentence = isHandedOn(claims)
    ? `${by} issued the first passport of the chain, every hand-on narrows it, and it ${holds}.`
    : `${by.replace('An agent', 'The agent')} issued it, and it ${holds}.`
  return { ...plain, tone: 'ok', title: 'Valid', sentence }
}

function isHandedOn(claims: Claims | null): boolean {
  return claims !== null && claims.delegatedBy.length > 0
}

function passportVerdict(report: PassportReport, question: Question, claims: Claims | null): Verdict {
  const isListed = report.checks.some((check) => check.name === 'status_list' && check.result === 'passed')
  if (report.valid) return validVerdict(question, claims, isListed)
  const { reasonCode } = report
  if (question.trust.kind === 'none' && reasonCode === 'issuer_unknown') return unverified(report, claims, question.now)
  const sentence = SENTENCES[reasonCode ?? ''] ?? 'It does not hold.'
  return { tone: 'bad', title: 'Not valid', sentence, reasonCode }
}

function tierOf(report: PassportReport, question: Question): string | null {
  if (report.trustTier === null) return null
  if (question.trust.kind !== 'issuers') return 'Not vouched for by you'
  const meaning = { L1: 'issued by the agent itself', L2: 'managed issuer', L3: 'certified issuer' }
  return `${report.trustTier}, ${meaning[report.trustTier]}`
}

function passportNotes(report: PassportReport, question: Question, claims: Claims | null): string[] {
  const notes: string[] = []
  const { trust } = question
  const selfIssued = isSelfIssued(claims?.issuer ?? null)
  if (question.trustFromLink && trust.kind !== 'none') notes.push(LINK_NOTE)
  if (trust.kind === 'keys' && selfIssued) {
    notes.push('The keys you gave were not used: the key of a self-issued passport comes from its own issuer.')
  }
  if (trust.kind === 'keys' && !selfIssued && report.passport !== null) {
    notes.push('Your keys were taken as those of the issuer that the passport names, with a longest life of 365 days.')
  }
  if (question.audience === '' && claims?.audience !== null && claims?.audience !== undefined) {
    notes.push('It is meant for certain gates. Give the audience to have that checked.')
  }
  if (isHandedOn(claims)) {
    notes.push('Its name and its data are the words of the agent that handed it on, not those of the issuer.')
  }
  notes.push('Revocations that a gate holds itself are known to that gate alone.')
  return notes
}

/** Verifies a passport. */
export async function judgePassport(token: string, question: Question): Promise<PassportResult> {
  const guess = ofToken(token)
  const report = await verifierFor(question, guess).verify(token, { now: new Date(question.now * 1000) })
  const read = report.passport === null ? null : ofPassport(report.passport)
  const claims = read === null ? guess : { ...read, isOrphan: guess?.isOrphan === true }
  const checks = honestChecks(report, question, claims)
  const verdict = passportVerdict(report, question, claims)
  const signature = checks.find((check) => check.name === 'signature')?.result ?? 'not_checked'
  return {
    verdict,
    claims,
    checks,
    tier: tierOf(report, question),
    link: verdict.tone === 'bad' ? 'failed' : signature,
    failedLink: report.failedLink,
    limits: report.valid ? report.constraints : (report.passport?.constraints ?? null),
    notes: passportNotes(report, question, claims),
  }
}

const ATTESTATION_SENTENCES: Readonly<Record<string, string>> = {
  form: 'It does not have the form of an attestation.',
  key: 'It is not signed with a key that you gave.',
  signature: 'Its signature does not verify: it was changed, or somebody else signed it.',
  payload: 'It is signed, but it is no record of this format.',
}

function attestationVerdict(report: AttestationReport, question: Question, failed: string | null): Verdict {
  const { reasonCode } = report
  if (report.valid) {
    const { trustFromLink } = question
    const title = trustFromLink ? 'Holds, for this link’s keys' : 'Genuine'
    const sentence = trustFromLink
      ? 'Its signature holds, for the keys that came with this link. Do you know them?'
      : 'It is signed with a key that you gave, and nothing was changed since.'
    return { tone: trustFromLink ? 'open' : 'ok', title, sentence, reasonCode: null }
  }
  const sentence = ATTESTATION_SENTENCES[failed ?? ''] ?? 'It does not hold.'
  return { tone: 'bad', title: 'Not genuine', sentence, reasonCode }
}

/** Members that the gate's API adds to a record; the rest of a view has to be the record itself. */
const VIEW_MEMBERS = ['jws', 'signature', 'chain_hash']

/** Names the members in which a view differs from the record it carries. */
function differences(view: JsonObject, record: JsonObject): string[] {
  const names = new Set([...Object.keys(view), ...Object.keys(record)])
  const same = (name: string): boolean => JSON.stringify(sorted(view[name])) === JSON.stringify(sorted(record[name]))
  return [...names].filter((name) => !VIEW_MEMBERS.includes(name) && !same(name)).slice(0, 8)
}

/** No record is nested deeper, so what is differs from every record. */
const MAX_DEPTH = 64

function sorted(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth > MAX_DEPTH) return '(nested too deep)'
  if (Array.isArray(value)) return value.map((entry) => sorted(entry, depth + 1))
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([name, member]) => [name, sorted(member, depth + 1)]))
}

function viewProblem(view: JsonObject | null, report: AttestationReport): string | null {
  // An object with `jws` alone shows nothing that could differ.
  if (view === null || report.record === null || Object.keys(view).length === 1) return null
  const names = differences(view, report.record)
  const hash = view['chain_hash']
  if (hash !== undefined && hash !== report.sha256) names.push('chain_hash')
  if (view['signature'] !== undefined && !isSignatureOf(view)) names.push('signature')
  return names.length === 0 ? null : `What stands around it says something else in: ${names.join(', ')}.`
}

/** Whether the signature that a view shows is that of its token. */
function isSignatureOf(view: JsonObject): boolean {
  const token = typeof view['jws'] === 'string' ? view['jws'] : ''
  const value = token.split('.')[2]
  const kid = peek(token)?.header['kid']
  return JSON.stringify(sorted(view['signature'])) === JSON.stringify(sorted({ algorithm: 'EdDSA', kid, value }))
}

/** Without keys nothing can be said of an attestation but what it claims. */
function unsigned(token: string): AttestationResult {
  const { header, payload } = peek(token) ?? { header: {}, payload: null }
  const sentence = 'You have not given the keys of its gate, so its signature was not checked.'
  const names = ['form', 'key', 'signature', 'payload', 'chain']
  const detail = (name: string): string | null => (name === 'key' ? 'You gave no keys.' : null)
  return {
    verdict: { tone: 'open', title: 'Not verified', sentence, reasonCode: null },
    signed: false,
    record: payload,
    checks: names.map((name): Check => ({ name, result: 'not_checked', detail: detail(name) })),
    keyThumbprint: typeof header['kid'] === 'string' ? header['kid'] : null,
    sha256: null,
    notes: [],
  }
}

/** Verifies an attestation. */
export async function judgeAttestation(
  token: string, view: JsonObject | null, question: Question,
): Promise<AttestationResult> {
  const keys = keysOf(question.trust)
  if (keys.length === 0) return unsigned(token)
  const report = await verifyAttestation(token, { keys })
  const failed = report.checks.find((check) => check.result === 'failed')?.name ?? null
  let verdict = attestationVerdict(report, question, failed)
  const problem = viewProblem(view, report)
  if (problem !== null && verdict.tone !== 'bad') {
    const sentence = `Only the signed record counts. ${problem}`
    verdict = { tone: 'bad', title: 'The view was changed', sentence, reasonCode: null }
  }
  const record = report.record ?? peek(token)?.payload ?? null
  const notes = question.trustFromLink ? [LINK_NOTE] : []
  const { valid: signed, checks, keyThumbprint, sha256 } = report
  return { verdict, signed, record, checks, keyThumbprint, sha256, notes }
}
