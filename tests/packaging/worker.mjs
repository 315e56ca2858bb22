// Runs a bundled Worker in workerd.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { tool } from '../web/tools.mjs'

/** Starts the Worker `main.js` of a folder; its `fetch` sends it a request. */
export async function startWorker(folder) {
  const { default: { Log, LogLevel, Miniflare } } = await tool('miniflare')
  const files = await readdir(folder)
  const wasm = files.filter(file => file.endsWith('.wasm'))
  const said = []
  const runtime = new Miniflare({
    modulesRoot: folder,
    modules: [
      { type: 'ESModule', path: join(folder, 'main.js') },
      ...wasm.map(file => ({ type: 'CompiledWasm', path: join(folder, file) })),
    ],
    compatibilityDate: '2026-07-01',
    host: '127.0.0.1',
    port: 0,
    cf: false,
    log: new Log(LogLevel.WARN),
    handleRuntimeStdio(stdout, stderr) {
      stdout.on('data', text => said.push(text))
      stderr.on('data', text => said.push(text))
    },
  })
  await runtime.ready
  return { fetch: (url, init) => runtime.dispatchFetch(url, init), said, stop: () => runtime.dispose() }
}
