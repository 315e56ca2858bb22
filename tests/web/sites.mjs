// Real gates in front of an API that records what reaches it: the native gateway and the edge worker.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root, tool } from './tools.mjs'

const program = join(root, 'target', 'debug', 'passgate')
const ROUTES = `
routes:
  - {method: GET, path: /search, action: "web:search"}
  - {method: GET, path: "/to/**", action: "web:search"}
  - {method: DELETE, path: "/records/{id}", action: "records:delete"}
  - {method: POST, path: /pay, action: "payments:create", amount: {pointer: /amount_usd, unit: usd}}
  - {method: POST, path: "/notes/**", action: "notes:write"}
guardrails:
  spend_limits: {per_transaction_usd: 100}
  approval_workflows: {require_approval_above_usd: 50}
`

/** What a gate forwards to: answers with what it got, and sends `/to/…` there. */
export async function startApi() {
  const seen = []
  const server = createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    const { headers, method, url } = request
    seen.push({ method, url, headers, body: Buffer.concat(parts) })
    if (url.startsWith('/to/')) response.writeHead(302, { location: url.slice('/to'.length) }).end()
    else response.setHeader('content-type', 'application/json').end(JSON.stringify({ method, url }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { seen, url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}

/** Runs `passgate`; gives its exit code and all it said. */
export function passgate(args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', env: {}, ...options })
  if (error) throw new Error(`${program} does not run: build it with \`cargo build\``, { cause: error })
  return { code: status, stdout, said: `${stdout}${stderr}` }
}

/**
 * A folder with the configuration of a gate at this port, which takes passports of `issuer` and self-issued ones.
 * The configuration is the one that `passgate init` makes, with other routes and guardrails.
 */
export async function makeSite({ issuer, port, upstream }) {
  const folder = await mkdtemp(join(tmpdir(), 'passgate-site-'))
  const made = passgate(['init', folder, '--upstream', upstream])
  assert.equal(made.code, 0, made.said)
  const path = join(folder, 'passgate.yml')
  const config = sections(await readFile(path, 'utf8'))
  config.delete('routes')
  config.delete('guardrails')
  const { kid, kty, crv, x } = issuer.publicJwk
  await writeFile(join(folder, 'issuers', 'sdk.jwks.json'), JSON.stringify({ keys: [{ kid, kty, crv, x }] }))
  const entry = `  - {id: "${issuer.id}", tier: L2, keys_file: issuers/sdk.jwks.json, max_passport_ttl_days: 90}\n`
  config.set('issuers', config.get('issuers') + entry)
  config.set('self_issued', 'self_issued: any_key\n')
  const text = [...config.values()].join('').replaceAll('127.0.0.1:8787', `127.0.0.1:${port}`)
  await writeFile(path, text.replace('level: L2', 'level: L1') + ROUTES)
  return { config: path, folder }
}

/** The members of a YAML document by their names, each with all its lines. */
function sections(text) {
  const found = new Map([['', '']])
  let name = ''
  for (const line of text.split('\n')) {
    name = line.match(/^(\w+):/)?.[1] ?? name
    if (/^(#|$)/.test(line)) continue
    found.set(name, `${found.get(name) ?? ''}${line}\n`)
  }
  return found
}

/** The native gateway, ready; `close` ends it. */
export async function startGateway({ api, issuer }) {
  const port = await freePort()
  const { config, folder } = await makeSite({ issuer, port, upstream: api.url })
  const child = spawn(program, ['serve'], { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  const said = []
  const ready = new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line)
        if (line.includes('Ready on')) resolve()
      })
    }
    ended.then(() => reject(new Error(`the gateway ended:\n${said.join('\n')}`)))
  })
  await ready
  const close = async () => {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true })
  }
  return { config, folder, url: `http://127.0.0.1:${port}`, close }
}

/** The edge worker as it is deployed, in workerd; `close` ends it. */
export async function startEdge({ api, issuer }) {
  const build = join(root, 'worker', 'build')
  assert.ok(existsSync(join(build, 'index_bg.wasm')), 'there is no edge worker: run `cargo xtask worker build`')
  const port = await freePort()
  const { folder } = await makeSite({ issuer, port, upstream: api.url })
  const bundle = signedBundle(folder)
  const { Miniflare } = await miniflare()
  const config = readFileSync(join(root, 'worker', 'wrangler.jsonc'), 'utf8')
  const runtime = new Miniflare({
    modulesRoot: build,
    modules: [
      { type: 'ESModule', path: join(build, 'index.js') },
      { type: 'CompiledWasm', path: join(build, 'index_bg.wasm') },
    ],
    compatibilityDate: config.match(/"compatibility_date":\s*"([^"]+)"/)[1],
    bindings: bindings(folder),
    kvNamespaces: ['PASSGATE_KV'],
    durableObjects: {
      ADMISSION: { className: 'AdmissionObject', useSQLite: true },
      GATE: { className: 'GateObject', useSQLite: true },
    },
    // Straight to the worker: no server in between that would read the request first.
    unsafeDirectSockets: [{ host: '127.0.0.1', port }],
    host: '127.0.0.1',
    port: 0,
    cf: false,
  })
  await runtime.ready
  await (await runtime.getKVNamespace('PASSGATE_KV')).put('bundle', bundle)
  const close = async () => {
    await runtime.dispose()
    await rm(folder, { recursive: true })
  }
  return { folder, url: (await runtime.unsafeGetDirectURL()).origin, close }
}

async function miniflare() {
  const module = await tool('miniflare')
  return module.default ?? module
}

/** The policy of the folder, as a gate elsewhere takes it. */
function signedBundle(folder) {
  for (const args of [
    ['keys', 'generate', '--out', 'keys/bundle.jwk'],
    ['bundle', 'sign', '--key', 'keys/bundle.jwk', '--out', 'bundle.jws'],
  ]) {
    const { code, said } = passgate(args, { cwd: folder })
    assert.equal(code, 0, said)
  }
  return readFileSync(join(folder, 'bundle.jws'), 'utf8').trim()
}

function bindings(folder) {
  const read = (name) => readFileSync(join(folder, name), 'utf8')
  const { d, ...bundleKey } = JSON.parse(read('keys/bundle.jwk'))
  const sha256 = createHash('sha256').update(`pgk_${Buffer.alloc(32).toString('base64url')}`).digest('hex')
  return {
    PASSGATE_BUNDLE_KEYS: JSON.stringify({ keys: [bundleKey] }),
    PASSGATE_ATTESTATION_KEY: read('keys/attestation.jwk').trim(),
    PASSGATE_API_KEYS: JSON.stringify([{ id: 'tests', sha256, scopes: ['ledger:read'] }]),
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}
