// JSON with the members of objects sorted by name: the one form in which every implementation writes metadata, and in which
// options go to the WebAssembly.

/** Objects and arrays may nest this deep, the outermost counted; in a passport that is its payload. */
const MAX_DEPTH = 32

/** Makes the error for what is no JSON; `path` is a JSON pointer (RFC 6901). */
export type Refusal = (path: string, problem: string) => Error

/**
 * Writes plain data. Members that are `undefined` are left out; what JSON cannot carry, or
 * readers disagree about, is refused.
 */
export function sortedJson(value: unknown, refusal: Refusal): string {
  return written(value, '', 1, refusal)
}

function written(value: unknown, path: string, depth: number, refusal: Refusal): string {
  switch (typeof value) {
    case 'boolean':
      return String(value)
    case 'number':
      return numberText(value, path, refusal)
    case 'string':
      return stringText(value, path, refusal)
    case 'object':
      if (value === null) return 'null'
      if (depth >= MAX_DEPTH) throw refusal(pointer(path), 'nests deeper than 32 levels')
      return Array.isArray(value) ? arrayText(value, path, depth, refusal) : objectText(value, path, depth, refusal)
    default:
      throw refusal(pointer(path), `has a ${typeof value}, which JSON has not,`)
  }
}

function numberText(value: number, path: string, refusal: Refusal): string {
  if (!Number.isFinite(value)) throw refusal(pointer(path), 'has a number that JSON has not')
  // Beyond 2^53-1 integers are not the same to every reader; written with an exponent they are no integers.
  const text = JSON.stringify(value)
  if (/^-?\d+$/.test(text) && !Number.isSafeInteger(value)) {
    throw refusal(pointer(path), 'has an integer beyond 2^53-1')
  }
  return text
}

function stringText(value: string, path: string, refusal: Refusal): string {
  if (/\p{Surrogate}/u.test(value)) throw refusal(pointer(path), 'has a lone surrogate')
  return JSON.stringify(value)
}

function arrayText(list: readonly unknown[], path: string, depth: number, refusal: Refusal): string {
  return `[${Array.from(list, (item, at) => written(item, `${path}/${at}`, depth + 1, refusal)).join(',')}]`
}

function objectText(value: object, path: string, depth: number, refusal: Refusal): string {
  const prototype: unknown = Object.getPrototypeOf(value)
  // A Date, a Map or a class would become something else than what the caller sees.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw refusal(pointer(path), 'has an object that is not a plain one')
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  members.sort(([one], [other]) => byCodePoints(one, other))
  const texts = members.map(([name, member]) => {
    const at = `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    return `${stringText(name, at, refusal)}:${written(member, at, depth + 1, refusal)}`
  })
  return `{${texts.join(',')}}`
}

/** The order of the UTF-8 bytes, which differs from that of `<` above U+FFFF. */
function byCodePoints(one: string, other: string): number {
  const [ours, theirs] = [Array.from(one), Array.from(other)]
  const at = ours.findIndex((character, index) => character !== theirs[index])
  if (at < 0) return ours.length - theirs.length
  return (ours[at]?.codePointAt(0) ?? 0) - (theirs[at]?.codePointAt(0) ?? -1)
}

function pointer(path: string): string {
  // It may be long or hold characters that a terminal obeys.
  return JSON.stringify(path.slice(0, 100))
}
