// An agent that runs in a Worker (workerd).

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { dist, tool } from './tools.mjs'

/** What the Worker does; `ORIGIN` is an API. */
const SOURCE = `
import { AgentCredentials, PassportClient, PassportIssuer, SigningKey } from './slim.js'

const codeOf = (promise) => promise.then(() => 'none', (error) => error.code)

export default {
  async fetch(request) {
    const issuer = await PassportIssuer.createLocal()
    const order = { agentId: 'worker', permissions: ['*'], extractable: true }
    const document = await (await issuer.issuePassport(order)).export()
    const client = new PassportClient(await AgentCredentials.parse(document))
    const answers = [
      await client.fetch('ORIGIN/body', { method: 'POST', body: request.body }),
      await client.fetch(new Request('ORIGIN/request', { method: 'PUT', body: 'x' })),
      await client.fetch('ORIGIN/moved'),
    ]
    return Response.json({
      statuses: answers.map(({ status }) => status),
      restore: await codeOf(AgentCredentials.restore('a')),
      mismatch: await codeOf(SigningKey.fromJwk({ ...document.private_key, d: 'A'.repeat(43) })),
    })
  },
}`

test('issues, keeps and signs', async () => {
  const seen = []
  const server = createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    seen.push({ url: request.url, headers: request.headers, body: `${Buffer.concat(parts)}` })
    if (request.url === '/moved') response.writeHead(307, { location: '/there' }).end()
    else response.end('done')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const module = await tool('miniflare')
  const { Miniflare } = module.default ?? module
  const origin = `http://127.0.0.1:${server.address().port}`
  const runtime = new Miniflare({
    modules: [
      { type: 'ESModule', path: 'worker.js', contents: SOURCE.replaceAll('ORIGIN', origin) },
      { type: 'ESModule', path: 'slim.js', contents: await readFile(join(dist, 'esm', 'slim.js'), 'utf8') },
    ],
    compatibilityDate: '2026-07-01',
    cf: false,
  })
  try {
    const init = { method: 'POST', body: 'streamed', duplex: 'half' }
    const result = await (await runtime.dispatchFetch('http://worker.example/', init)).json()
    const expected = { statuses: [200, 200, 200], restore: 'storage_unavailable', mismatch: 'key_mismatch' }
    assert.deepEqual(result, expected)
  } finally {
    await runtime.dispose()
    server.close()
  }
  assert.deepEqual(seen.map(({ url, body }) => [url, body]), [
    ['/body', 'streamed'],
    ['/request', 'x'],
    ['/moved', ''],
    ['/there', ''],
  ])
  const digested = seen.map(({ headers }) => 'content-digest' in headers)
  assert.deepEqual(digested, [true, true, false, false])
  assert.equal(new Set(seen.map(({ headers }) => headers.signature)).size, 4)
})
