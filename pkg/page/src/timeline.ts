// Decisions over time in a bounded number of buckets, however long the export is.

import type { RecordCounts } from '../../ts/types.ts'
import { el, svg } from './dom.ts'
import { count, counted, utcTime } from './text.ts'

export const MAX_BUCKETS = 48

export const KINDS = ['allow', 'stepUp', 'deny', 'other'] as const
export type Kind = (typeof KINDS)[number]
export const KIND_NAMES: Readonly<Record<Kind, string>> = {
  allow: 'allow', stepUp: 'step up', deny: 'deny', other: 'other records',
}

type Counts = Record<Kind, number>

interface Bucket extends Counts {
  /** The last line that was read when this bucket last grew. */
  lines: number
}

const empty = (): Bucket => ({ allow: 0, stepUp: 0, deny: 0, other: 0, lines: 0 })

/** Buckets of equal width that double it whenever there would be too many. */
export class Timeline {
  #buckets = new Map<number, Bucket>()
  #width = 1
  #first = Number.POSITIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY

  /** Seconds that a bucket is wide. */
  get width(): number {
    return this.#width
  }

  /** The first and the last second that was seen. */
  get span(): readonly [number, number] {
    return [this.#first, this.#last]
  }

  /** Takes the counts of one piece of the export, spread evenly from its first record to its last. */
  add(batch: RecordCounts, lines: number): void {
    const from = seconds(batch.firstTimestamp)
    const to = seconds(batch.lastTimestamp)
    if (from === null || to === null) return
    const [start, end] = from <= to ? [from, to] : [to, from]
    this.#first = Math.min(this.#first, start)
    this.#last = Math.max(this.#last, end)
    this.#makeRoom()
    const first = Math.floor(start / this.#width)
    const last = Math.floor(end / this.#width)
    const { allow, deny, stepUp } = batch.decisions
    for (let index = first; index <= last; index += 1) {
      const begin = Math.max(start, index * this.#width)
      const share = (Math.min(end + 1, (index + 1) * this.#width) - begin) / (end + 1 - start)
      const bucket = this.#buckets.get(index) ?? empty()
      this.#buckets.set(index, bucket)
      bucket.allow += allow * share
      bucket.deny += deny * share
      bucket.stepUp += stepUp * share
      bucket.other += batch.other * share
      bucket.lines = Math.max(bucket.lines, lines)
    }
  }

  #makeRoom(): void {
    const needed = (): number => Math.floor(this.#last / this.#width) - Math.floor(this.#first / this.#width) + 1
    while (needed() > MAX_BUCKETS) this.#merge()
  }

  #merge(): void {
    const wider = new Map<number, Bucket>()
    for (const [index, bucket] of this.#buckets) {
      const half = Math.floor(index / 2)
      const into = wider.get(half) ?? empty()
      wider.set(half, into)
      for (const kind of KINDS) into[kind] += bucket[kind]
      into.lines = Math.max(into.lines, bucket.lines)
    }
    this.#buckets = wider
    this.#width *= 2
  }

  /** From the first bucket to the last, with those between that are empty. At most {@link MAX_BUCKETS}. */
  series(): { readonly start: number; readonly bucket: Readonly<Bucket> }[] {
    const keys = [...this.#buckets.keys()]
    if (keys.length === 0) return []
    const first = Math.min(...keys)
    return Array.from({ length: Math.max(...keys) - first + 1 }, (_, offset) => ({
      start: (first + offset) * this.#width,
      bucket: this.#buckets.get(first + offset) ?? empty(),
    }))
  }
}

function seconds(timestamp: string | null): number | null {
  const milliseconds = timestamp === null ? Number.NaN : Date.parse(timestamp)
  return Number.isNaN(milliseconds) ? null : Math.floor(milliseconds / 1000)
}

const STEP = 10
const HEIGHT = 100

function hatch(id: string, d: string): SVGElement {
  const attributes = { id, width: '4', height: '4', patternUnits: 'userSpaceOnUse' }
  const ground = svg('rect', { class: 'ground', width: '4', height: '4' })
  return svg('pattern', attributes, ground, svg('path', { class: 'line', d }))
}

function bar(bucket: Readonly<Bucket>, index: number, most: number): SVGElement[] {
  let top = HEIGHT
  return KINDS.flatMap((kind) => {
    const height = (bucket[kind] / most) * (HEIGHT - 4)
    if (height === 0) return []
    top -= height
    const place = { x: String(index * STEP + 1), y: top.toFixed(2), width: String(STEP - 2), height: height.toFixed(2) }
    return [svg('rect', { class: `bar ${kind}`, ...place })]
  })
}

const total = (bucket: Readonly<Counts>): number => KINDS.reduce((sum, kind) => sum + bucket[kind], 0)

function describe(timeline: Timeline, marked: string | null): string {
  const records = Math.round(timeline.series().reduce((sum, { bucket }) => sum + total(bucket), 0))
  const [first, last] = timeline.span
  const range = `${counted(records, 'record')} from ${utcTime(first)} to ${utcTime(last)}.`
  return marked === null ? range : `${range} ${marked}`
}

function legend(): HTMLElement {
  const swatch = (kind: Kind): SVGElement =>
    svg('svg', { class: 'swatch', viewBox: '0 0 12 12', 'aria-hidden': 'true' },
      svg('rect', { class: `bar ${kind}`, width: '12', height: '12' }))
  return el('ul', { class: 'legend' }, ...KINDS.map((kind) => el('li', {}, swatch(kind), KIND_NAMES[kind])))
}

function table(timeline: Timeline): HTMLElement {
  const names = KINDS.map((kind) => el('th', { scope: 'col', class: 'number' }, KIND_NAMES[kind]))
  const head = [el('th', { scope: 'col' }, 'From'), ...names]
  const rows = timeline.series().filter(({ bucket }) => total(bucket) > 0).map(({ start, bucket }) => {
    const cells = KINDS.map((kind) => el('td', { class: 'number' }, count(Math.round(bucket[kind]))))
    return el('tr', {}, el('th', { scope: 'row' }, utcTime(start)), ...cells)
  })
  const body = el('table', {}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...rows))
  const region = { tabindex: '0', role: 'region', 'aria-label': 'Records over time' }
  const scroller = el('div', { class: 'scroller', ...region }, body)
  const words = 'Records are counted by the piece and spread evenly over its time, so single numbers are rounded.'
  return el('details', {}, el('summary', {}, 'The picture as a table'), scroller, el('p', { class: 'quiet' }, words))
}

/** The picture, its legend and the same as a table. `broken` marks the bucket in which that line stands. */
export function timelineFigure(timeline: Timeline, broken: { line: number; words: string } | null): HTMLElement | null {
  const series = timeline.series()
  if (series.length === 0) return null
  const width = series.length * STEP
  const most = Math.max(...series.map(({ bucket }) => total(bucket)))
  const parts = series.flatMap(({ bucket }, index) => bar(bucket, index, most))
  if (broken !== null) {
    const at = series.findIndex(({ bucket }) => bucket.lines >= broken.line)
    const x = String((at === -1 ? series.length : at + 0.5) * STEP)
    parts.push(svg('line', { class: 'mark', x1: x, x2: x, y1: '0', y2: String(HEIGHT) }))
  }
  const title = svg('title', { id: 'timeline-t' }, 'Records over time')
  const desc = svg('desc', { id: 'timeline-d' }, describe(timeline, broken?.words ?? null))
  const view = { class: 'timeline', viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: 'none' }
  const patterns = svg('defs', {}, hatch('hatch-deny', 'M0 0l4 4'), hatch('hatch-stepUp', 'M2 0v4'))
  const names = { role: 'img', 'aria-labelledby': 'timeline-t timeline-d' }
  const picture = svg('svg', { ...view, ...names }, title, desc, patterns, ...parts)
  const axis = el('p', { class: 'axis' }, ...timeline.span.map((at) => el('span', {}, utcTime(at))))
  const mark = broken === null ? null : el('p', { class: 'mark-words' }, broken.words)
  return el('figure', { class: 'timeline-figure' }, picture, axis, mark, legend(), table(timeline))
}
