import { readFile } from 'node:fs/promises'
import * as passgate from 'passgate/slim'
import { issuing, verifying } from './scenario.mjs'

const given = JSON.parse(await readFile('given.json', 'utf8'))
const early = await verifying(passgate, given).then(() => null, error => error)
if (early?.code !== 'wasm_missing') throw new Error('without WebAssembly it has to say so', { cause: early })

await passgate.initialize(await readFile(new URL(import.meta.resolve('passgate/passgate.wasm'))))
const verified = await verifying(passgate, given)
console.log(JSON.stringify({ issuing: await issuing(passgate), verifying: verified, verifyingSmall: verified }))
