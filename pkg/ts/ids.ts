// Ids of passports.

import { joined, randomBytes } from './bytes.js'

/** `pass_` and a ULID: 48 bits of milliseconds and 80 random ones, in Crockford's base 32. */
export async function passportId(now: number): Promise<string> {
  const random = await randomBytes(10)
  const time = new Uint8Array(6)
  for (let [at, left] = [5, now]; at >= 0; at -= 1, left = Math.floor(left / 256)) time[at] = left % 256
  let number = 0n
  for (const byte of joined([time, random])) number = (number << 8n) | BigInt(byte)
  return `pass_${digits(number, '0123456789ABCDEFGHJKMNPQRSTVWXYZ').padStart(26, '0')}`
}

/** A number in the base of its alphabet, without leading zeros. */
export function digits(number: bigint, alphabet: string): string {
  const base = BigInt(alphabet.length)
  let text = ''
  for (let left = number; left > 0n; left /= base) text = alphabet.charAt(Number(left % base)) + text
  return text
}
