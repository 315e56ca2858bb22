// Issuing, keeping and using credentials in a real browser.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { basename, join } from 'node:path'
import { after, before, test } from 'node:test'
import { dist, launch } from './tools.mjs'


const seen = []
let server, origin, browser, page

before(async () => {
  server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://x')
    if (pathname.startsWith('/web/')) {
      const source = await readFile(join(dist, 'web', basename(pathname)))
      response.setHeader('content-type', 'text/javascript').end(source)
    } else if (pathname.startsWith('/api/')) {
      const parts = []
      for await (const part of request) parts.push(part)
      seen.push({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(parts) })
      if (pathname === '/api/moved') response.writeHead(307, { location: '/api/there' }).end()
      else response.setHeader('passgate-decision', 'allow').end('done')
    } else {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>Agent</title>')
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${server.address().port}`
  browser = await launch()
  page = await browser.newPage()
  await page.goto(origin)
})
after(async () => {
  await browser?.close()
  server?.closeAllConnections()
  server?.close()
})

/** Runs a function in the page with the package. */
const run = (body, argument) =>
  page.evaluate(
    async ([source, given]) => {
      const sdk = await import('/web/index.js')
      return (0, eval)(source)(sdk, given)
    },
    [`(${body})`, argument],
  )

test('credentials are restored after a reload, with a key that nothing can read', async () => {
  const [thumbprint, extractable] = await run(async ({ PassportIssuer }) => {
    const issuer = await PassportIssuer.createLocal({ name: 'page' })
    const credentials = await issuer.issuePassport({ agentId: 'page', permissions: ['web:search'] })
    await credentials.store('main')
    return [credentials.signer.thumbprint, credentials.signer.extractable]
  })
  assert.equal(extractable, false)
  await page.reload()
  const restored = await run(async ({ AgentCredentials }) => {
    const credentials = await AgentCredentials.restore('main')
    const refused = await credentials.export().catch((error) => error.code)
    return [credentials.agentId, credentials.signer.thumbprint, refused]
  })
  assert.deepEqual(restored, ['page', thumbprint, 'key_not_extractable'])
  const kept = await run(async ({ AgentCredentials }) => {
    await AgentCredentials.forget('main')
    await AgentCredentials.forget('main')
    return AgentCredentials.restore('main')
  })
  assert.equal(kept, null)
})

test('a key that could be read is stored as one that cannot', async () => {
  const stored = await run(async ({ PassportIssuer }) => {
    const issuer = await PassportIssuer.createLocal()
    const order = { agentId: 'page', permissions: [], extractable: true }
    for (const name of ['open', 'open']) await (await issuer.issuePassport(order)).store(name)
    const opened = indexedDB.open('passgate')
    await new Promise((resolve) => (opened.onsuccess = resolve))
    const got = opened.result.transaction('credentials').objectStore('credentials').get('open')
    await new Promise((resolve) => (got.onsuccess = resolve))
    opened.result.close()
    const { privateKey, ...others } = got.result
    return { extractable: privateKey.extractable, others: JSON.stringify(others) }
  })
  assert.equal(stored.extractable, false)
  assert.doesNotMatch(stored.others, /"d"/)
})

test('requests arrive as they were signed', async () => {
  seen.length = 0
  const { decision, input } = await run(async ({ PassportClient, PassportIssuer, decisionOf }) => {
    const issuer = await PassportIssuer.createLocal()
    const client = new PassportClient(await issuer.issuePassport({ agentId: 'page', permissions: ['*'] }))
    const form = new FormData()
    form.set('a', new Blob(['grüße']), 'b.txt')
    await client.fetch('/api/form?a[]=|', { method: 'POST', body: form })
    const response = await client.fetch('api/text', { method: 'POST', body: new Blob(['x']).stream() })
    const { headers } = await client.sign('/api/empty?')
    return { decision: (await decisionOf(response)).decision, input: headers.get('signature-input') }
  })
  assert.equal(decision, 'allow')
  assert.match(input, /^sig1=\("@method" "@target-uri" "agent-passport"\);/)
  const [form, text] = seen
  assert.deepEqual([form.url, text.url], ['/api/form?a%5B%5D=%7C', '/api/text'])
  for (const { body, headers } of [form, text]) {
    const digest = createHash('sha256').update(body).digest('base64')
    assert.equal(headers['content-digest'], `sha-256=:${digest}:`)
  }
  assert.match(form.headers['content-type'], /^multipart\/form-data; boundary=/)
  assert.match(form.headers['signature-input'], /"content-digest" "content-type"\)/)
  assert.equal(text.headers['content-type'], undefined)
})

test('a redirect is returned, because the page cannot see where it leads', async () => {
  seen.length = 0
  const [type, refused] = await run(async ({ PassportClient, PassportIssuer }) => {
    const issuer = await PassportIssuer.createLocal()
    const client = new PassportClient(await issuer.issuePassport({ agentId: 'page', permissions: ['*'] }))
    const response = await client.fetch('/api/moved')
    return [response.type, await client.fetch('/api/moved', { redirect: 'error' }).catch((error) => error.code)]
  })
  assert.deepEqual([type, refused], ['opaqueredirect', 'redirected'])
  assert.deepEqual(seen.map(({ url }) => url), ['/api/moved', '/api/moved'])
})

test('files are for Node', async () => {
  const codes = await run(async ({ AgentCredentials, PassportIssuer }) => {
    const issuer = await PassportIssuer.createLocal()
    const order = { agentId: 'page', permissions: [], extractable: true }
    const saved = await (await issuer.issuePassport(order)).save('a.json').catch((error) => error.code)
    return [saved, await AgentCredentials.load('a.json').catch((error) => error.code)]
  })
  assert.deepEqual(codes, ['files_unavailable', 'files_unavailable'])
})
