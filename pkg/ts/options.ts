// Options of calls: plain data with known names, so that no misspelt or meaningless limit is a missing one.

import { sortedJson } from './canonical.js'
import { PassgateError } from './errors.js'

/**
 * Checks that `options` is an object with these members and no others.
 *
 * @throws {@link PassgateError} `option_invalid`.
 */
export function checkNames(whose: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new PassgateError('option_invalid', `${whose} takes an object of options.`)
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown !== undefined) {
    throw new PassgateError('option_invalid', `${whose} does not know the option ${JSON.stringify(unknown.slice(0, 100))}.`)
  }
}

/**
 * Plain data as JSON. Members that are `undefined` are left out; numbers that JSON has not, and objects that are no plain ones,
 * would silently become something else, and are refused.
 *
 * @throws {@link PassgateError} With `code`.
 */
export function plainJson(code: string, whose: string, value: unknown): string {
  return sortedJson(value, (path, problem) => new PassgateError(code, `${whose}: ${path} ${problem}.`))
}
