// A ledger export: verified while it streams, with progress, and its result.

import { verifyExport } from '../../ts/verify.ts'
import type { ExportProgress, ExportReport } from '../../ts/types.ts'
import { el, type Content } from './dom.ts'
import type { Question, Verdict } from './judge.ts'
import { banner, facts, notes, part } from './parts.ts'
import { code, count, counted, moment, size, visible, visibleText } from './text.ts'
import { Timeline, timelineFigure } from './timeline.ts'
import { keysOf } from './trust.ts'

/** More chains than this are not listed one by one. */
const MAX_CHAINS = 20

const WHAT: Readonly<Record<string, string>> = {
  line: 'The line is no record and no head.',
  token: 'The record does not have the form of an attestation.',
  key: 'The record is not signed with a key that you gave.',
  retired: 'The record is signed with a key that handed over to another one before.',
  signature: 'The signature does not verify: the record was changed, or somebody else signed it.',
  payload: 'The record is signed, but it has another format.',
  sequence: 'The record is out of order: one before it was removed, doubled or moved.',
  previous: 'The record does not follow the one before it: one of the two was replaced.',
  start: 'The chain does not begin with its first record.',
  predecessor: 'The chain does not follow the chain that it names.',
  rotation: 'The record hands over to no usable key, or to one that was in use before.',
  after_head: 'Something follows the signed head.',
  no_head: 'The end is missing: there is no signed head.',
  head: 'The signed head tells of other records than these.',
}

/** Where a running verification is shown. */
export interface ProgressView {
  readonly element: HTMLElement
  update(progress: ExportProgress): void
}

/** A progress bar with counts. `announce` is told every quarter. */
export function progressView(total: number, announce: (text: string) => void): ProgressView {
  const bar = el('progress', { max: String(total), value: '0', 'aria-labelledby': 'progress-title' })
  const words = el('p', { class: 'quiet' }, `0 of ${size(total)}`)
  const heading = el('h2', { id: 'progress-title', tabindex: '-1' }, 'Verifying the export')
  const element = el('div', { class: 'progress' }, heading, bar, words)
  let quarter = 0
  return {
    element,
    update({ bytes, records }) {
      bar.value = bytes
      words.textContent = `${size(bytes)} of ${size(total)}, ${counted(records, 'record')}`
      const reached = Math.floor((4 * bytes) / total)
      if (reached > quarter && reached < 4) announce(`${reached * 25} percent verified`)
      quarter = Math.max(quarter, reached)
    },
  }
}

export interface LedgerResult {
  readonly report: ExportReport
  readonly timeline: Timeline
}

/** Streams the export through the verifier. */
export async function judgeExport(
  source: Blob, question: Question, view: ProgressView, signal: AbortSignal,
): Promise<LedgerResult> {
  const timeline = new Timeline()
  const onProgress = (progress: ExportProgress): void => {
    timeline.add(progress.batch, progress.lines)
    view.update(progress)
  }
  const report = await verifyExport(source, { keys: keysOf(question.trust), onProgress, signal })
  return { report, timeline }
}

function verdictOf(report: ExportReport, question: Question): Verdict {
  const plain = { reasonCode: null }
  if (report.broken !== null) {
    const { line, code: reasonCode, what } = report.broken
    const sentence = WHAT[reasonCode] ?? what
    return { tone: 'bad', title: `Broken at line ${count(line)}`, sentence, reasonCode }
  }
  if (!report.valid) return { ...plain, tone: 'bad', title: 'Broken', sentence: 'The export does not hold.' }
  const records = counted(report.records, 'record')
  if (question.trustFromLink) {
    const sentence = `${records} hold, for the keys that came with this link. Do you know them?`
    return { ...plain, tone: 'open', title: 'Intact, for this link’s keys', sentence }
  }
  const partial = report.head?.partial === true
  const whole = report.notChecked.length === 0
  const end = whole ? 'and none between them is missing' : 'but not all could be checked: see below'
  const sentence = partial
    ? `${records}, each of them signed with a key that you gave. It is an excerpt, so gaps between them do not show.`
    : `${records}, each signed with a key that you gave, in order, ${end}.`
  return { ...plain, tone: 'ok', title: partial ? 'Intact excerpt' : 'Intact', sentence }
}

function when(timestamp: string | null): Content {
  const milliseconds = Date.parse(timestamp ?? '')
  return Number.isNaN(milliseconds) ? null : moment(milliseconds / 1000, null)
}

function counts(report: ExportReport): HTMLElement {
  const { allow, stepUp, deny } = report.decisions
  const cells = [['allow', allow], ['step up', stepUp], ['deny', deny], ['other records', report.other]] as const
  const items = cells.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, count(value))))
  return el('dl', { class: 'counts' }, ...items)
}

function chains(report: ExportReport): HTMLElement | null {
  const all = report.head?.chains ?? []
  if (all.length === 0) return null
  const rows = all.slice(0, MAX_CHAINS).map((chain) =>
    el('tr', {}, el('th', { scope: 'row' }, code(chain.chainUid, 80)),
      el('td', { class: 'number' }, count(chain.size)), el('td', {}, code(chain.headSha256, 80))))
  const number = (name: string): string => (name === 'Records' ? 'number' : '')
  const names = ['Chain', 'Records', 'Last record'].map((name) => el('th', { scope: 'col', class: number(name) }, name))
  const table = el('table', {}, el('thead', {}, el('tr', {}, ...names)), el('tbody', {}, ...rows))
  const more = all.length - MAX_CHAINS
  const rest = more > 0 ? el('p', { class: 'quiet' }, `and ${count(more)} more`) : null
  const scroller = el('div', { class: 'scroller', tabindex: '0', role: 'region', 'aria-label': 'Chains' }, table)
  return el('details', {}, el('summary', {}, counted(all.length, 'chain')), scroller, rest)
}

function brokenFacts(report: ExportReport): HTMLElement | null {
  const { broken } = report
  if (broken === null) return null
  const { line, attestationId, chainUid, seq } = broken
  const place = chainUid === null ? null : [code(chainUid, 80), seq === null ? '' : `, number ${count(seq)}`]
  return part('The first bad record', facts([
    ['Line', count(line)],
    ['Record', attestationId === null ? 'Its id cannot be read.' : code(attestationId, 80)],
    ['Chain', place],
    ['What is wrong', visible(broken.what)],
  ]))
}

function remarks(report: ExportReport, question: Question): string[] {
  const texts = report.notChecked.slice(0, 20)
  if (report.broken !== null) {
    texts.push('What follows the first bad record was not looked at, or says nothing on its own.')
  }
  if (report.valid) {
    texts.push('That newer records were cut off and a new head was signed shows only beside a head kept elsewhere.')
  }
  if (question.trustFromLink) texts.push('The keys came with this link, so whoever made the link chose them.')
  return texts
}

function mark(report: ExportReport): { line: number; words: string } | null {
  if (report.broken === null) return null
  const { line, attestationId } = report.broken
  const id = attestationId === null ? '' : `: ${visibleText(attestationId, 64)}`
  return { line, words: `✕ First bad record at line ${count(line)}${id}` }
}

/** The result of an export. */
export function ledgerView({ report, timeline }: LedgerResult, question: Question): HTMLElement {
  const verdict = verdictOf(report, question)
  const heading = el('h2', { id: 'result-title', tabindex: '-1' }, verdict.title)
  const figure = timelineFigure(timeline, mark(report))
  return el(
    'div',
    {},
    banner(verdict, heading),
    brokenFacts(report),
    part(report.valid ? 'Decisions' : 'Decisions up to where reading ended', counts(report), figure),
    part('The export', facts([
      ['Gate', report.head === null ? null : code(report.head.gateId)],
      ['Records', count(report.records)],
      ['First record', when(report.firstTimestamp)],
      [report.valid ? 'Last record' : 'Last record read', when(report.lastTimestamp)],
      ['Read', `${size(report.bytes)}, ${counted(report.lines, 'line')}`],
    ]), chains(report)),
    notes(remarks(report, question), 'What was not checked'),
  )
}
