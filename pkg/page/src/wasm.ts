// The verifier's WebAssembly, which stands in this page.

import base64 from 'virtual:verifier-wasm'
import * as glue from 'passgate-glue'
import { initialize } from '../../ts/verify.ts'
import { provide } from '../../ts/wasm.ts'
import { fromBase64Url } from './jws.ts'

let ready: Promise<void> | null = null

/** Has the verifiers ready. The first call compiles them. */
export function load(): Promise<void> {
  ready ??= start()
  return ready
}

async function start(): Promise<void> {
  const bytes = fromBase64Url(base64)
  if (bytes === null) throw new Error('This page is damaged. Get it again.')
  provide(glue)
  await initialize(bytes)
}
