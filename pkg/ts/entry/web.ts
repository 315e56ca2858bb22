// Browsers and bundlers: the WebAssembly is an asset beside this file, which bundlers find by this form.

import * as glue from 'passgate-glue'

import { provide } from '../wasm.js'

provide(glue, () => new URL(PASSGATE_WASM, import.meta.url), PASSGATE_DIGEST)

export * from 'passgate-api'
