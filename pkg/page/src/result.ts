// Results of passports and attestations.

import { chainFigure } from './chain.ts'
import { isSelfIssued, type Claims } from './claims.ts'
import { el, icon, type Content } from './dom.ts'
import { momentRemark, type AttestationResult, type PassportResult, type Question, type Verdict } from './judge.ts'
import { isObject, type JsonObject } from './jws.ts'
import { limitList } from './limits.ts'
import { banner, checkList, facts, notes, part, type Fact } from './parts.ts'
import { code, count, localTime, moment, prettyBlock, relative, visible } from './text.ts'

/** More permissions than this are folded away. */
const MAX_SCOPES = 16
/** And of those that are folded away, so many are shown. */
const MAX_ALL_SCOPES = 256

const title = (text: string): HTMLElement => el('h2', { id: 'result-title', tabindex: '-1' }, text)

function scopeList(scopes: readonly string[]): HTMLElement {
  return el('ul', { class: 'scopes', role: 'list' }, ...scopes.map((scope) => el('li', {}, code(scope, 80))))
}

function permissions(all: readonly string[] | null): Content {
  if (all === null) return null
  if (all.length === 0) return 'Nothing'
  if (all.length <= MAX_SCOPES) return scopeList(all)
  const more = all.slice(MAX_SCOPES, MAX_ALL_SCOPES)
  return [
    scopeList(all.slice(0, MAX_SCOPES)),
    el('details', {}, el('summary', {}, `${count(all.length - MAX_SCOPES)} more`), scopeList(more)),
  ]
}

function until(claims: Claims, now: number): Content {
  if (claims.expiresAt === null) return null
  return moment(claims.expiresAt, now)
}

function audience(all: readonly string[] | null): Content {
  return all === null ? 'Any gate' : all.slice(0, 64).map((id): Content => [code(id), ' '])
}

function agent(claims: Claims): Content {
  if (claims.agentId === null) return null
  if (claims.agentName === null) return code(claims.agentId)
  return [el('strong', {}, visible(claims.agentName)), ' ', code(claims.agentId)]
}

/** The agents that handed it on, the issuer's first. */
function handedOnBy(agents: readonly string[]): Content {
  return agents.length === 0 ? null : agents.map((id, index): Content => [index === 0 ? '' : ', then ', code(id, 80)])
}

function claimFacts({ claims, limits, tier }: PassportResult, now: number): HTMLElement {
  if (claims === null) return el('p', {}, 'Nothing in it can be read.')
  const rows: Fact[] = [
    ['Agent', agent(claims)],
    ['Issued by', claims.issuer === null ? null : code(claims.issuer)],
    ['Handed on by', handedOnBy(claims.delegatedBy)],
    ['May do', permissions(claims.permissions)],
    ['Limited to', limitList(limits)],
    ['Until', until(claims, now)],
    ['From', claims.notBefore === null ? null : moment(claims.notBefore, null)],
    ['Issued', claims.issuedAt === null ? null : moment(claims.issuedAt, null)],
    ['Meant for', audience(claims.audience)],
    ['Trust tier', tier ?? (claims.claimedTier === null ? null : [visible(claims.claimedTier), ' (claimed)'])],
    ['Passport', claims.id === null ? null : code(claims.id)],
    ['Agent’s key', claims.keyThumbprint === null ? null : code(claims.keyThumbprint)],
    ['Status list', claims.statusList === null ? null : code(claims.statusList)],
  ]
  const metadata = claims.metadata
  const whose = claims.delegatedBy.length === 0 ? 'Issuer’s own data' : 'Data of the agent that handed it on'
  const data = metadata === null ? null : [el('summary', {}, whose), prettyBlock(metadata)]
  const more = data === null ? null : el('details', {}, data)
  return el('div', {}, facts(rows), more)
}

function whatItSays(result: PassportResult): string {
  return result.verdict.tone === 'ok' ? 'What it says' : 'What it claims, without proof'
}

/** Who, by whom, until when: what one wants to know first. */
function bannerFacts({ claims, verdict }: PassportResult, now: number): Content {
  if (verdict.tone === 'bad' || claims === null) return null
  const { agentId, issuer, expiresAt } = claims
  if (agentId === null || issuer === null || expiresAt === null) return null
  const last = claims.delegatedBy.at(-1)
  const issued = isSelfIssued(issuer) ? ', issued by itself' : [', issued by ', code(issuer, 80)]
  const by = last === undefined ? issued : [', handed on by ', code(last, 80)]
  const when = `${localTime(expiresAt)} (${relative(expiresAt, now)})`
  return el('p', { class: 'who' }, code(agentId, 80), by, `, until ${when}`)
}

function passportBody(result: PassportResult, now: number, chain: Content): HTMLElement {
  return el('div', { class: 'columns' },
    el('div', {}, part(whatItSays(result), claimFacts(result, now)), chain),
    el('div', {}, part('What was checked', checkList(result.checks)), notes(result.notes)))
}

function chainPart(results: readonly PassportResult[]): HTMLElement {
  return part('Who vouches for whom', chainFigure(results))
}

function remark(question: Question): Content {
  const words = momentRemark(question)
  return words === null ? null : el('p', { class: 'who' }, el('strong', {}, words))
}

/** One passport. */
function onePassport(result: PassportResult, question: Question): HTMLElement {
  const { now } = question
  return el(
    'div',
    {},
    banner(result.verdict, title(result.verdict.title), bannerFacts(result, now), remark(question)),
    passportBody(result, now, chainPart([result])),
  )
}

function summary(results: readonly PassportResult[]): Verdict {
  const of = (tone: string): number => results.filter((result) => result.verdict.tone === tone).length
  const [ok, bad] = [of('ok'), of('bad')]
  const plain = { reasonCode: null }
  const all = results.length
  if (bad > 0) {
    const sentence = 'See below for each of them.'
    return { ...plain, tone: 'bad', title: `${bad} of ${all} not valid`, sentence }
  }
  if (ok === all) return { ...plain, tone: 'ok', title: `All ${all} valid`, sentence: 'Each of them holds.' }
  const sentence = 'See below for each of them.'
  return { ...plain, tone: 'open', title: `${all - ok} of ${all} not vouched for`, sentence }
}

function inList(result: PassportResult, index: number, now: number, open: boolean): HTMLElement {
  const { verdict, claims } = result
  const id = claims?.agentId ?? null
  const name = el('span', { class: 'row-name' }, `${index + 1}. `, id === null ? 'Unreadable' : code(id, 80))
  const head = el('summary', {}, icon(verdict.tone), name, el('span', { class: 'row-verdict' }, verdict.title))
  const heading = el('h3', { class: 'row-heading' }, `Passport ${index + 1}: ${verdict.title}`)
  return el('details', { class: 'row', open }, head, banner(verdict, heading), passportBody(result, now, null))
}

/** One passport, or several in the order they were given. */
export function passportsView(results: readonly PassportResult[], question: Question): HTMLElement {
  const [first] = results
  if (results.length === 1 && first !== undefined) return onePassport(first, question)
  const verdict = summary(results)
  const bad = results.findIndex((result) => result.verdict.tone === 'bad')
  const rows = results.map((result, index) => inList(result, index, question.now, index === bad))
  return el(
    'div',
    {},
    banner(verdict, title(verdict.title), remark(question)),
    chainPart(results),
    part('Each passport', ...rows),
  )
}

const text = (value: unknown): Content => (typeof value === 'string' ? visible(value) : null)
const codeOf = (value: unknown): Content => (typeof value === 'string' ? code(value) : null)

function timestamp(value: unknown): Content {
  const milliseconds = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(milliseconds) ? text(value) : moment(milliseconds / 1000, null)
}

const member = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined)

function request(value: unknown): Content {
  if (!isObject(value)) return null
  const line = [value['method'], value['path']].filter((entry) => typeof entry === 'string').join(' ')
  return line === '' ? null : code(line)
}

function amount(value: unknown): Content {
  const micro = member(value, 'amount_micro_usd')
  if (typeof micro !== 'number') return null
  return `${(micro / 1_000_000).toLocaleString('en-US', { maximumFractionDigits: 6 })} USD`
}

function recordFacts(record: JsonObject): HTMLElement {
  const { agent: who, gate, request: asked, policy, outcome } = record
  const seq = typeof record['seq'] === 'number' ? `, number ${count(record['seq'])}` : ''
  const chain = codeOf(record['chain_uid'])
  return facts([
    ['Record', codeOf(record['attestation_id'])],
    ['Kind', text(record['kind'])],
    ['When', timestamp(record['timestamp'])],
    ['Decision', text(record['decision'])],
    ['Reason', codeOf(record['reason_code'])],
    ['Gate', codeOf(member(gate, 'gate_id'))],
    ['Agent', codeOf(member(who, 'agent_id'))],
    ['Issuer', codeOf(member(who, 'issuer'))],
    ['Request', request(asked)],
    ['Action', codeOf(member(asked, 'action'))],
    ['Amount', amount(asked)],
    ['Domain', codeOf(member(asked, 'target_domain'))],
    ['Outcome', text(member(outcome, 'result'))],
    ['Policy', codeOf(member(policy, 'sha256'))],
    ['Chain', chain === null ? null : [chain, seq]],
  ])
}

const GUARDRAIL_TONES = { pass: 'ok', fail: 'bad', step_up: 'info' } as const

function guardrail(value: unknown): HTMLElement | null {
  const name = member(value, 'guardrail')
  const result = member(value, 'result')
  if (typeof name !== 'string' || typeof result !== 'string') return null
  const tone = GUARDRAIL_TONES[result as keyof typeof GUARDRAIL_TONES] ?? 'none'
  const reason = codeOf(member(value, 'reason_code'))
  const words = [el('span', { class: 'check-name' }, visible(name, 80)), ' ',
    el('span', { class: 'check-result' }, visible(result.replaceAll('_', ' '), 40)), ' ', reason]
  return el('li', { class: tone }, icon(tone), el('div', {}, ...words))
}

function guardrails(record: JsonObject): HTMLElement | null {
  const all = record['guardrails_evaluated']
  if (!Array.isArray(all) || all.length === 0) return null
  const items = all.slice(0, 32).map(guardrail)
  return part('What the gate looked at', el('ul', { class: 'checks', role: 'list' }, ...items))
}

function gateSkipped(record: JsonObject): string[] {
  const all = record['not_checked']
  if (!Array.isArray(all) || all.length === 0) return []
  const names = all.filter((name) => typeof name === 'string').slice(0, 16)
  return [`The gate says that it did not check: ${names.join(', ').replaceAll('_', ' ')}.`]
}

function decision({ record, verdict }: AttestationResult): Content {
  const said = record?.['decision']
  if (verdict.tone === 'bad' || typeof said !== 'string') return null
  return el('p', { class: 'who' }, 'The gate’s decision: ', el('strong', {}, visible(said.replaceAll('_', ' '), 40)))
}

/** An attestation. */
export function attestationView(result: AttestationResult): HTMLElement {
  const { verdict, record, checks, keyThumbprint, sha256 } = result
  const says = result.signed ? 'What the record says' : 'What it claims, without proof'
  const whole = record === null ? null : el('details', {}, el('summary', {}, 'The whole record'), prettyBlock(record))
  const hashes = facts([
    ['Key', keyThumbprint === null ? null : code(keyThumbprint)],
    ['SHA-256', sha256 === null ? null : code(sha256)],
  ])
  return el(
    'div',
    {},
    banner(verdict, title(verdict.title), decision(result)),
    el('div', { class: 'columns' },
      part(says, record === null ? el('p', {}, 'Nothing in it can be read.') : recordFacts(record), whole),
      el('div', {}, part('What was checked', checkList(checks), hashes), record === null ? null : guardrails(record))),
    notes([...(record === null ? [] : gateSkipped(record)), ...result.notes]),
  )
}
