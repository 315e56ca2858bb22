// Showing foreign text, numbers and times so that they can be trusted to look like what they are.

import { el, type Content } from './dom.ts'

/** Longer texts are cut, and the cut is said. */
const MAX_SHOWN = 400

/** Accents beyond this many on one letter are shown as escapes: they would run over the lines above. */
const MAX_MARKS = 2

// What does not show, or changes how the text around it shows: controls, formats, separators, surrogates, private use,
// unassigned characters, spaces that are no plain space, fillers and variation selectors.
const HIDDEN = new RegExp(
  '[\\p{C}\\p{Zl}\\p{Zp}\\u{34f}\\u{115f}\\u{1160}\\u{17b4}\\u{17b5}\\u{2800}\\u{3164}\\u{ffa0}' +
    '\\u{fe00}-\\u{fe0f}\\u{e0100}-\\u{e01ef}]',
  'u',
)
const ODD_SPACE = /[^\P{Zs} ]/u
const MARK = /\p{M}/u

interface Piece {
  readonly text: string
  readonly escaped: boolean
}

const codePoint = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`

function pieces(text: string, max: number): Piece[] {
  const found: Piece[] = []
  let plain = ''
  let marks = 0
  let shown = 0
  for (const character of text) {
    if (shown >= max) break
    shown += 1
    marks = MARK.test(character) ? marks + 1 : 0
    if (HIDDEN.test(character) || ODD_SPACE.test(character) || marks > MAX_MARKS) {
      if (plain !== '') found.push({ text: plain, escaped: false })
      plain = ''
      found.push({ text: codePoint(character), escaped: true })
    } else {
      plain += character
    }
  }
  if (plain !== '') found.push({ text: plain, escaped: false })
  return found
}

function rest(text: string, max: number): string {
  // A character has at most two units, so a text of up to `max` units needs no count.
  if (text.length <= max) return ''
  let kept = 0
  let characters = 0
  for (const character of text) {
    if (characters === max) break
    characters += 1
    kept += character.length
  }
  return kept >= text.length ? '' : ` … (${count(text.length - kept)} more)`
}

/** Foreign text as nodes: what does not show on its own stands there as `U+202E`, marked. */
export function visible(text: string, max = MAX_SHOWN): Content {
  const nodes: Content[] = pieces(text, max).map((piece) =>
    piece.escaped ? el('span', { class: 'escape', title: 'A character that does not show' }, piece.text) : piece.text,
  )
  return el('bdi', { class: 'foreign' }, ...nodes, rest(text, max))
}

/** The same as plain text, for pictures and titles. */
export function visibleText(text: string, max = MAX_SHOWN): string {
  const parts = pieces(text, max).map((piece) => (piece.escaped ? `[${piece.text}]` : piece.text))
  const cut = text.length > max && rest(text, max) !== ''
  return parts.join('') + (cut ? '…' : '')
}

/** Text of code, such as an id. */
export function code(text: string, max = MAX_SHOWN): HTMLElement {
  return el('code', {}, visible(text, max))
}

/** `1,234,567` */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** `1 record`, `2 records` */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`
}

/** `12.4 MB` */
export function size(bytes: number): string {
  if (bytes < 1000) return counted(bytes, 'byte')
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes / 1000
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit] ?? ''}`
}

function dateOf(seconds: number): Date | null {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? null : date
}

/** `3 December 2026, 14:00:05` in the reader's own time zone. */
export function localTime(seconds: number): string {
  const date = dateOf(seconds)
  if (date === null) return `second ${seconds} after 1970`
  return date.toLocaleString('en-GB', {
    year: 'numeric', month: 'long', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit',
  })
}

/** `2026-12-03 14:00:05 UTC` */
export function utcTime(seconds: number): string {
  const iso = dateOf(seconds)?.toISOString()
  return iso === undefined ? 'too far away for a calendar' : `${iso.slice(0, -5).replace('T', ' ')} UTC`
}

const STEPS: readonly (readonly [string, number])[] = [
  ['year', 31_557_600], ['month', 2_629_800], ['day', 86_400], ['hour', 3600], ['minute', 60],
]

/** `in 12 days`, `3 hours ago` */
export function relative(seconds: number, now: number): string {
  const distance = Math.abs(seconds - now)
  for (const [unit, length] of STEPS) {
    const number = Math.floor(distance / length)
    if (number >= 1) return seconds > now ? `in ${counted(number, unit)}` : `${counted(number, unit)} ago`
  }
  return seconds > now ? 'in less than a minute' : 'less than a minute ago'
}

/** A moment in both time zones. */
export function moment(seconds: number, now: number | null): Content {
  const date = dateOf(seconds)
  const local = localTime(seconds) + (now === null ? '' : ` (${relative(seconds, now)})`)
  const time = date === null ? el('span', {}, local) : el('time', { datetime: date.toISOString() }, local)
  return [time, el('span', { class: 'quiet' }, utcTime(seconds))]
}

/** Bounds of {@link pretty}. */
const MAX_DEPTH = 8
const MAX_ENTRIES = 64
const MAX_PRETTY = 6000

/** JSON for reading, of bounded length and depth, without private keys. */
export function pretty(value: unknown): string {
  const out: string[] = []
  let length = 0
  const write = (text: string): void => {
    length += text.length
    out.push(text)
  }
  const walk = (node: unknown, depth: number): void => {
    if (length > MAX_PRETTY) return
    if (typeof node !== 'object' || node === null) return write(scalar(node))
    const isList = Array.isArray(node)
    const entries = Object.entries(node)
    if (entries.length === 0) return write(isList ? '[]' : '{}')
    if (depth >= MAX_DEPTH) return write(isList ? '[ … ]' : '{ … }')
    const isKey = !isList && 'kty' in node
    write(isList ? '[' : '{')
    for (const [index, [name, member]] of entries.slice(0, MAX_ENTRIES).entries()) {
      write(`${index === 0 ? '' : ','}\n${'  '.repeat(depth + 1)}${isList ? '' : `${scalar(name)}: `}`)
      if (isKey && name === 'd') write('(a private key, not shown)')
      else walk(member, depth + 1)
    }
    if (entries.length > MAX_ENTRIES) write(`,\n${'  '.repeat(depth + 1)}… ${count(entries.length - MAX_ENTRIES)} more`)
    write(`\n${'  '.repeat(depth)}${isList ? ']' : '}'}`)
  }
  walk(value, 0)
  return length > MAX_PRETTY ? `${out.join('')}\n… cut here` : out.join('')
}

function scalar(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null'
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}… (${count(text.length - MAX_SHOWN)} more)` : text
}

/** Printed JSON as nodes, line by line, so that its line breaks are breaks and everything else odd is an escape. */
export function prettyBlock(value: unknown): HTMLElement {
  const lines = pretty(value).split('\n')
  const nodes = lines.map((line, index): Content => [index === 0 ? '' : '\n', visible(line, MAX_PRETTY)])
  return el('pre', { tabindex: '0', role: 'region', 'aria-label': 'As JSON' }, ...nodes)
}
