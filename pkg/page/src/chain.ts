// The picture of who vouches for whom: issuer, agent, and agents that the passport was handed on to.

import type { CheckResult } from '../../ts/types.ts'
import { isSelfIssued, type Claims } from './claims.ts'
import { el, iconShapes, svg, type Tone } from './dom.ts'
import type { PassportResult } from './judge.ts'
import { visibleText } from './text.ts'

interface Party {
  readonly role: string
  readonly name: string
}

interface Link {
  readonly tone: Tone
  readonly word: string
  /** More on it, such as the reason code. */
  readonly more: string
}

/** One way from an issuer down: a party, a link, a party, and so on. */
export interface Way {
  readonly parties: readonly Party[]
  readonly links: readonly Link[]
}

const LINKS: Readonly<Record<CheckResult, Link>> = {
  passed: { tone: 'ok', word: 'Verified', more: 'signed with a trusted key' },
  failed: { tone: 'bad', word: 'Refused', more: '' },
  not_checked: { tone: 'none', word: 'Not checked', more: 'signature unknown' },
}

const UNREADABLE = '(cannot be read)'

/** The passports as ways, each from its issuer down. */
export function ways(results: readonly PassportResult[]): Way[] {
  return results.map((result) => {
    const { claims } = result
    const [first = UNREADABLE, ...others] = [...(claims?.delegatedBy ?? []), claims?.agentId ?? UNREADABLE]
    const issuer = { role: issuerRole(claims), name: claims?.issuer ?? UNREADABLE }
    const below = others.map((name) => ({ role: 'Sub-agent', name }))
    const parties = [issuer, { role: claims?.isOrphan === true ? 'Sub-agent' : 'Agent', name: first }, ...below]
    return { parties, links: [first, ...others].map((_, index) => linkAt(result, index)) }
  })
}

function issuerRole(claims: Claims | null): string {
  if (claims?.isOrphan === true) return 'Said to delegate'
  return isSelfIssued(claims?.issuer ?? null) ? 'Issuer: the agent itself' : 'Issuer'
}

/** The link down to the passport at `index`. Those above a fault but the first, and those below it, are not looked at. */
function linkAt({ failedLink, link, verdict }: PassportResult, index: number): Link {
  const handedOn = { ...LINKS.passed, more: 'signed by the agent above' }
  if (verdict.tone !== 'bad') return index === 0 || link !== 'passed' ? LINKS[link] : handedOn
  const at = failedLink ?? 0
  if (index === at) return { ...LINKS.failed, more: verdict.reasonCode ?? verdict.title.toLowerCase() }
  return index === 0 ? LINKS.passed : LINKS.not_checked
}

const WIDTH = 300
const BOX = 58
const GAP = 52
const BOX_SIZE = { width: String(WIDTH - 2), height: String(BOX - 2), rx: '9' }
/** As many characters as a box has room for; the text alternative has them all. */
const NAME_CHARS = 33

function box(party: Party, top: number): SVGElement {
  return svg(
    'g',
    {},
    svg('rect', { class: 'party', x: '1', y: String(top + 1), ...BOX_SIZE }),
    svg('text', { class: 'role', x: '16', y: String(top + 22) }, party.role),
    svg('text', { class: 'name', x: '16', y: String(top + 43) }, visibleText(party.name, NAME_CHARS)),
  )
}

function arrow(link: Link, top: number): SVGElement {
  const x = 28
  const end = top + GAP
  return svg(
    'g',
    { class: link.tone },
    svg('path', { class: 'link', d: `M${x} ${top}V${end - 2}M${x - 5} ${end - 9}l5 7l5 -7` }),
    svg('g', { transform: `translate(${x + 16} ${top + GAP / 2 - 12})` }, ...iconShapes(link.tone)),
    svg('text', { class: 'word', x: String(x + 50), y: String(top + GAP / 2 - 2) }, link.word),
    svg('text', { class: 'more', x: String(x + 50), y: String(top + GAP / 2 + 14) }, link.more),
  )
}

function asText(way: Way): string {
  return way.parties
    .map((party, index) => {
      const link = way.links[index]
      const who = `${party.role} ${visibleText(party.name)}`
      return link === undefined ? who : `${who}. ${link.word} (${link.more}):`
    })
    .join(' ')
}

function picture(way: Way, id: string): SVGElement {
  const height = way.parties.length * BOX + way.links.length * GAP
  const parts: SVGElement[] = []
  way.parties.forEach((party, index) => {
    const top = index * (BOX + GAP)
    parts.push(box(party, top))
    const link = way.links[index]
    if (link !== undefined) parts.push(arrow(link, top + BOX))
  })
  const names = { role: 'img', 'aria-labelledby': `${id}-t ${id}-d` }
  const attributes = { class: 'chain', viewBox: `0 0 ${WIDTH} ${height}`, ...names }
  const title = svg('title', { id: `${id}-t` }, 'Who vouches for whom')
  return svg('svg', attributes, title, svg('desc', { id: `${id}-d` }, asText(way)), ...parts)
}

/** The picture with its text alternative. */
export function chainFigure(results: readonly PassportResult[]): HTMLElement {
  const all = ways(results)
  const pictures = all.map((way, index) => picture(way, `chain-${index}`))
  const items = all.map((way) => el('li', {}, asText(way)))
  const words = el('details', {}, el('summary', {}, 'The picture in words'), el('ul', { class: 'foreign' }, ...items))
  return el('figure', { class: 'chain-figure' }, ...pictures, el('figcaption', {}, words))
}
