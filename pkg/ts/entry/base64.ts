// The WebAssembly inside the script: for bundlers that know no assets, and for classic scripts.

import * as glue from 'passgate-glue'
import bytes from 'passgate-bytes'

import { provide } from '../wasm.js'

provide(glue, () => bytes, PASSGATE_DIGEST)

export * from 'passgate-api'
