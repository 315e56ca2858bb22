// Node.js: the WebAssembly lies in the package, beside this file's folder.

import { readFile } from 'node:fs/promises'

import * as glue from 'passgate-glue'

import { provide } from '../wasm.js'

provide(glue, () => readFile(new URL(PASSGATE_WASM, import.meta.url)), PASSGATE_DIGEST)

export * from 'passgate-api'
