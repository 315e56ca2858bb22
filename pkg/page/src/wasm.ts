// The verifier's WebAssembly, which stands in this page.

import base64 from 'virtual:verifier-wasm'
import * as glue from 'passgate-glue'
import { provide, verifier } from '../../ts/wasm.ts'
import { fromBase64Url } from './jws.ts'

let ready: Promise<unknown> | null = null

/** Has the verifiers ready. The first call compiles them. */
export function load(): Promise<unknown> {
  ready ??= start()
  return ready
}

async function start(): Promise<unknown> {
  const bytes = fromBase64Url(base64)
  if (bytes === null) throw new Error('This page is damaged. Get it again.')
  provide(glue, () => bytes)
  return verifier()
}
