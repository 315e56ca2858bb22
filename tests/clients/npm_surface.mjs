// The evaluator of the npm package in Node.js, or in Chromium: npm_surface.mjs node|chromium
//
// Reads one job a line and writes one answer a line, as component_surface.mjs does. PASSGATE_CHROMIUM may name a browser.

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'

import { dist, launch, root } from '../web/tools.mjs'

const TYPES = { html: 'text/html', js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm' }
const POLICY = "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'"

async function inNode() {
  const [api, { run }] = await Promise.all([import(join(dist, 'esm', 'index.js')), import('./npm_cases.mjs')])
  return { answer: (job) => run(api, job), close: () => undefined }
}

/** The package as a page loads it, with nothing between. */
async function inChromium() {
  const served = { '/': '<!doctype html>', '/cases.mjs': await readFile(join(root, 'tests', 'clients', 'npm_cases.mjs')) }
  const server = createServer(async ({ url }, response) => {
    const body = served[url] ?? (await readFile(join(dist, url)).catch(() => null))
    const type = TYPES[url.split('.').at(-1)] ?? 'text/html'
    response.writeHead(body === null ? 404 : 200, { 'content-type': type, 'content-security-policy': POLICY }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const browser = await launch()
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  const answer = (job) =>
    page.evaluate(async (given) => {
      const [api, { run }] = await Promise.all([import('/web/index.js'), import('/cases.mjs')])
      return run(api, given)
    }, job)
  return {
    answer,
    async close() {
      await browser.close()
      server.close()
    },
  }
}

const surface = await (process.argv[2] === 'chromium' ? inChromium() : inNode())
for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    answer = { steps: await surface.answer(JSON.parse(line)) }
  } catch (error) {
    answer = { error: inspect(error) }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
await surface.close()
