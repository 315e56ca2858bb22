// Runs the edge worker in workerd, with its Workers KV and its objects in a folder.
//
//   edge.mjs    the npm packages lie in the folder that PASSGATE_NPM names
//
// Reads one JSON object a line from standard input and answers each with one on standard output:
//
//   {"start": {"build": folder, "config": wrangler.jsonc, "state": folder, "bindings": {...}}}   {"url": "http://..."}
//   {"put": {"key": ..., "value": ...}}                                                          {}
//   {"delete": {"key": ...}}                                                                     {}
//
// Ends when its standard input does. What the worker prints goes to standard error.

import { pathToFileURL } from 'node:url'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join } from 'node:path'

const entry = join(process.env.PASSGATE_NPM, 'miniflare', 'dist', 'src', 'index.js')
const { Miniflare, Log, LogLevel } = (await import(pathToFileURL(entry))).default
let runtime

async function start({ build, config, state, bindings }) {
  const [, compatibilityDate] = readFileSync(config, 'utf8').match(/"compatibility_date":\s*"([^"]+)"/)
  runtime = new Miniflare({
    modulesRoot: build,
    modules: [
      { type: 'ESModule', path: join(build, 'index.js') },
      { type: 'CompiledWasm', path: join(build, 'index_bg.wasm') },
    ],
    compatibilityDate,
    bindings,
    kvNamespaces: ['PASSGATE_KV'],
    kvPersist: join(state, 'kv'),
    durableObjects: {
      ADMISSION: { className: 'AdmissionObject', useSQLite: true },
      GATE: { className: 'GateObject', useSQLite: true },
    },
    durableObjectsPersist: join(state, 'objects'),
    // Straight to the worker: no server in between that would read the request first.
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    host: '127.0.0.1',
    port: 0,
    cf: false,
    log: new Log(LogLevel.WARN),
    handleRuntimeStdio(stdout, stderr) {
      stdout.pipe(process.stderr)
      stderr.pipe(process.stderr)
    },
  })
  await runtime.ready
  return { url: (await runtime.unsafeGetDirectURL()).origin }
}

async function put({ key, value }) {
  const namespace = await runtime.getKVNamespace('PASSGATE_KV')
  await namespace.put(key, value)
  return {}
}

async function remove({ key }) {
  const namespace = await runtime.getKVNamespace('PASSGATE_KV')
  await namespace.delete(key)
  return {}
}

const verbs = { start, put, delete: remove }

for await (const line of createInterface({ input: process.stdin })) {
  const [[verb, order]] = Object.entries(JSON.parse(line))
  let answer
  try {
    answer = await verbs[verb](order)
  } catch (error) {
    answer = { error: error.stack ?? String(error) }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
await runtime?.dispose()
