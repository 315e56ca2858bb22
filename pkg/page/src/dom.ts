// Building the page: elements and text nodes only. Nothing is ever parsed as HTML.

export type Content = Node | string | null | readonly Content[]

type Attributes = Readonly<Record<string, string | boolean>>

function fill(element: Element, attributes: Attributes, content: readonly Content[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '')
    else if (value !== false) element.setAttribute(name, value)
  }
  append(element, content)
}

/** Adds nodes; a string becomes a text node. */
export function append(parent: Element | DocumentFragment, content: Content): void {
  if (content === null) return
  if (typeof content === 'string' || content instanceof Node) parent.append(content)
  else for (const part of content) append(parent, part)
}

/** Makes an HTML element. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...content: Content[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag)
  fill(element, attributes, content)
  return element
}

/** Makes an SVG element. */
export function svg(tag: string, attributes: Attributes = {}, ...content: Content[]): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  fill(element, attributes, content)
  return element
}

/** The element of the page with this id. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id)
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`)
  return element
}

/** `none` is for what was not looked at. */
export type Tone = 'ok' | 'bad' | 'open' | 'info' | 'none'

// Each tone has a shape of its own, so that nothing depends on telling colours apart.
const SHAPES: Readonly<Record<Tone, readonly string[]>> = {
  ok: ['M6.5 12.5l3.8 3.8 7.4-8.2'],
  bad: ['M7.5 7.5l9 9', 'M16.5 7.5l-9 9'],
  open: ['M12 6.5v7', 'M12 17v.4'],
  none: ['M7 12h10'],
  info: ['M12 11v6', 'M12 7v.6'],
}
const OUTLINES: Readonly<Record<Tone, string>> = {
  ok: 'M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20z',
  bad: 'M8 2h8l6 6v8l-6 6h-8l-6-6v-8z',
  open: 'M12 2.5l10.5 19h-21z',
  none: 'M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20z',
  info: 'M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20z',
}

/** The shapes of an icon, 24 by 24, for use inside another picture. */
export function iconShapes(tone: Tone): SVGElement[] {
  const strokes = SHAPES[tone].map((d) => svg('path', { class: 'icon-stroke', d }))
  return [svg('path', { class: 'icon-ground', d: OUTLINES[tone] }), ...strokes]
}

/** An icon that only repeats the word beside it. */
export function icon(tone: Tone): SVGElement {
  return svg('svg', { class: `icon ${tone}`, viewBox: '0 0 24 24', 'aria-hidden': 'true' }, ...iconShapes(tone))
}
