// Pieces that every result is made of.

import type { Check } from '../../ts/types.ts'
import { el, icon, type Content, type Tone } from './dom.ts'
import type { Verdict } from './judge.ts'
import { code, visible } from './text.ts'

const CHECKS: Readonly<Record<string, string>> = {
  form: 'Form',
  issuer: 'Issuer is one you trust',
  issuer_key: 'Key belongs to the issuer',
  key: 'Key is one you gave',
  signature: 'Signature',
  time: 'Time',
  tier: 'Trust tier',
  audience: 'Audience',
  delegation: 'Chain of hand-ons',
  status_list: 'Status list',
  possession: 'Sender holds the agent’s key',
  payload: 'Record',
  chain: 'Place in the chain',
}

/** What a check that was not made would take, where the verifier does not say. */
const TAKES: Readonly<Record<string, string>> = {
  audience: 'No audience was given.',
  status_list: 'No status list was asked for.',
  possession: 'This shows only in a signed request.',
  chain: 'This takes the whole export.',
}

const WORDS = { passed: 'passed', failed: 'failed', not_checked: 'not checked' } as const
const TONES: Readonly<Record<Check['result'], Tone>> = { passed: 'ok', failed: 'bad', not_checked: 'none' }

/** The verifier's words as a sentence. */
function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?…]$/.test(words) ? '' : '.'}`
}

/** The verdict: what one reads first. */
export function banner(verdict: Verdict, heading: HTMLElement, ...more: Content[]): HTMLElement {
  const { reasonCode } = verdict
  const reason = reasonCode === null ? null : el('p', { class: 'reason' }, 'Reason: ', code(reasonCode))
  return el(
    'div',
    { class: `banner ${verdict.tone}` },
    icon(verdict.tone),
    el('div', {}, heading, el('p', { class: 'sentence' }, visible(verdict.sentence)), reason, ...more),
  )
}

function checkItem(check: Check, after: boolean): HTMLElement {
  const { name, result } = check
  const waits = after ? 'An earlier check failed.' : (TAKES[name] ?? null)
  const detail = check.detail ?? (result === 'not_checked' ? waits : null)
  return el(
    'li',
    { class: TONES[result] },
    icon(TONES[result]),
    el(
      'div',
      {},
      el('span', { class: 'check-name' }, CHECKS[name] ?? name),
      ' ',
      el('span', { class: 'check-result' }, WORDS[result]),
      detail === null ? null : el('p', { class: 'quiet' }, visible(sentence(detail))),
    ),
  )
}

/** Every check with its result. */
export function checkList(checks: readonly Check[]): HTMLElement {
  const failed = checks.findIndex((check) => check.result === 'failed')
  const items = checks.map((check, index) => {
    const after = failed !== -1 && index > failed && check.name !== 'possession' && check.name !== 'chain'
    return checkItem(check, after)
  })
  return el('ul', { class: 'checks', role: 'list' }, ...items)
}

export type Fact = readonly [name: string, value: Content]

/** Names with values; those without a value are left out. */
export function facts(rows: readonly Fact[]): HTMLElement {
  const shown = rows.filter(([, value]) => value !== null && value !== '')
  const items = shown.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))
  return el('dl', { class: 'facts' }, ...items)
}

/** A part of a result under its own heading. */
export function part(title: string, ...content: Content[]): HTMLElement {
  return el('section', { class: 'part' }, el('h3', {}, title), ...content)
}

/** Remarks on what was assumed or not looked at. */
export function notes(texts: readonly string[], title = 'Good to know'): HTMLElement | null {
  if (texts.length === 0) return null
  return part(title, el('ul', { class: 'notes' }, ...texts.map((text) => el('li', {}, visible(sentence(text))))))
}
