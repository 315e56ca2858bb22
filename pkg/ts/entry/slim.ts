// Without WebAssembly: whoever imports this calls `initialize`.

import * as glue from 'passgate-glue'

import { provide } from '../wasm.js'

provide(glue, undefined, PASSGATE_DIGEST)

export * from 'passgate-api'
