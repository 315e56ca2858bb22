// Workers: WebAssembly is not compiled while they run; the module is imported.

import * as glue from 'passgate-glue'
import module from 'passgate-wasm'

import { provide } from '../wasm.js'

provide(glue, () => module, PASSGATE_DIGEST)

export * from 'passgate-api'
