// The client in front of stand-ins for gates, with what it sends.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { dist } from './tools.mjs'

const sdk = await import(pathToFileURL(join(dist, 'esm', 'index.js')).href)
const { PassgateError, PassportClient, PassportIssuer, decisionOf } = sdk

/** An expectation of a PassgateError with this code. */
const code = (expected) => (error) => {
  assert.ok(error instanceof PassgateError, String(error.stack ?? error))
  assert.equal(error.code, expected, error.message)
  return true
}

async function issued() {
  const issuer = await PassportIssuer.createLocal({ name: 'tests' })
  return issuer.issuePassport({ agentId: 'bot', permissions: ['web:search'] })
}

const digestOf = (bytes) => `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`

/** An answer of a gate. */
function answer(status, decision, problem, headers = {}) {
  const attestation = 'att_01ARYZ6S410000000000000001'
  const body = problem && {
    type: `urn:passgate:problem:${problem.reason_code}`,
    title: 'T',
    status,
    decision,
    attestation_id: attestation,
    ...problem,
  }
  const fields = { 'passgate-decision': decision, 'passgate-attestation': attestation, ...headers }
  if (body) fields['content-type'] = 'application/problem+json'
  return new Response(body ? JSON.stringify(body) : 'ok', { status, headers: fields })
}

const deny = (status, reason, headers) => answer(status, 'deny', { reason_code: reason }, headers)
const allow = () => answer(200, 'allow')

/** A client whose requests are answered in this order, and what it sent. */
async function scripted(answers, options = {}) {
  const sent = []
  const fetch = async (url, init) => {
    const [, params] = init.headers.get('signature-input').match(/;(.*)$/)
    const { created, nonce } = params.match(/^created=(?<created>\d+);nonce="(?<nonce>[^"]+)"/).groups
    sent.push({ url, ...init, created: Number(created), nonce })
    const next = answers[Math.min(sent.length, answers.length) - 1]
    if (next instanceof Error) throw next
    return typeof next === 'function' ? next() : next
  }
  return { client: new PassportClient(await issued(), { fetch, ...options }), sent }
}

describe('the client with DPoP', () => {
  const claimsOf = (dpop) => JSON.parse(Buffer.from(dpop.split('.')[1], 'base64url'))
  const hash = (bytes) => createHash('sha256').update(bytes).digest('base64url')

  test('signs exactly what a proof has to cover', async () => {
    const credentials = await issued()
    const client = new PassportClient(credentials, { proof: 'dpop' })
    const body = '{"a":1}'
    const headers = { 'content-type': 'application/json', 'x-other': '1' }
    const signed = await client.sign('https://TOOLS.example:443/%61/%2e%2e/%7Eb%2fc?q=%61#part', { method: 'POST', body, headers })
    assert.equal(signed.url, 'https://tools.example/~b%2Fc?q=%61')
    for (const name of ['signature', 'signature-input', 'content-digest']) assert.equal(signed.headers.get(name), null)
    const dpop = signed.headers.get('dpop')
    const { jti, iat, ...claims } = claimsOf(dpop)
    assert.deepEqual(claims, {
      htm: 'POST', htu: 'https://tools.example/~b%2Fc', ath: hash(credentials.passport), htq: hash('q=%61'),
      htb: hash(body), htf: { 'content-type': 'application/json' },
    })
    assert.ok(jti.length >= 16 && Math.abs(iat - Date.now() / 1000) < 60)
    const [header, payload, signature] = dpop.split('.')
    const { crv, kty, x } = credentials.signer.publicJwk
    const expected = { alg: 'EdDSA', jwk: { crv, kty, x }, typ: 'dpop+jwt' }
    assert.deepEqual(JSON.parse(Buffer.from(header, 'base64url')), expected)
    const key = await crypto.subtle.importKey('jwk', expected.jwk, 'Ed25519', true, ['verify'])
    const bytes = Buffer.from(signature, 'base64url')
    assert.ok(await crypto.subtle.verify('Ed25519', key, bytes, Buffer.from(`${header}.${payload}`)))
    const plain = claimsOf((await client.sign('https://a.example/')).headers.get('dpop'))
    assert.deepEqual(Object.keys(plain), ['jti', 'htm', 'htu', 'iat', 'ath'])
  })

  test('sends anew with the nonce that the gate asks for, and keeps it for that origin', async () => {
    const sent = []
    const fetch = async (_url, init) => {
      sent.push(claimsOf(init.headers.get('dpop')))
      if (sent.at(-1).nonce !== undefined) return allow()
      return deny(401, 'proof_nonce_required', { 'dpop-nonce': 'challenge-1' })
    }
    const client = new PassportClient(await issued(), { fetch, proof: 'dpop' })
    assert.equal((await client.fetch('https://a.example/', { method: 'POST' })).status, 200)
    assert.equal((await client.fetch('https://a.example/')).status, 200)
    assert.deepEqual(sent.map(({ nonce }) => nonce), [undefined, 'challenge-1', 'challenge-1'])
    assert.equal(new Set(sent.map(({ jti }) => jti)).size, 3)
    for (const bad of ['a"b', 'a'.repeat(101), 'a b']) {
      let times = 0
      const asking = async () => (times++, deny(401, 'proof_nonce_required', { 'passgate-challenge': bad }))
      assert.equal((await new PassportClient(await issued(), { fetch: asking }).fetch('https://a.example/')).status, 401)
      assert.equal(times, 1, 'it stands in no proof')
    }
    const refusing = { fetch: async () => deny(401, 'proof_nonce_required'), proof: 'dpop' }
    assert.equal((await new PassportClient(await issued(), refusing).fetch('https://a.example/')).status, 401)
  })

  test('is one of two proofs', async () => {
    const credentials = await issued()
    assert.throws(() => new PassportClient(credentials, { proof: 'none' }), code('option_invalid'))
    const given = { headers: { dpop: 'x' } }
    await assert.rejects(new PassportClient(credentials).sign('https://a.example/', given), code('field_reserved'))
  })
})

describe('the client signs', () => {
  test('exactly what a proof has to cover', async () => {
    const credentials = await issued()
    const client = new PassportClient(credentials)
    const signed = await client.sign('https://TOOLS.example:443/a/../b?q=1#part', {
      method: 'post',
      body: '{"a":1}',
      headers: {
        'Content-Type': 'application/json',
        'Content-Encoding': 'identity',
        'Idempotency-Key': 'order-17',
        'X-Other': '1',
      },
    })
    assert.equal(signed.url, 'https://tools.example/b?q=1')
    assert.equal(signed.method, 'POST')
    const digest = digestOf('{"a":1}')
    const input = signed.headers.get('signature-input')
    const names =
      '"@method" "@target-uri" "agent-passport" "content-digest" "content-type" "content-encoding" "idempotency-key"'
    const [, covered, parameters] = input.match(/^sig1=\(([^)]*)\);(.*)$/)
    assert.equal(covered, names)
    const form = /^created=\d{10};nonce="[A-Za-z0-9_-]{22}";keyid="([^"]+)";alg="ed25519";tag="passgate"$/
    assert.equal(parameters.match(form)?.[1], credentials.signer.thumbprint)
    const base = [
      '"@method": POST',
      '"@target-uri": https://tools.example/b?q=1',
      `"agent-passport": ${credentials.passport}`,
      `"content-digest": ${digest}`,
      '"content-type": application/json',
      '"content-encoding": identity',
      '"idempotency-key": order-17',
      `"@signature-params": ${input.slice(5)}`,
    ].join('\n')
    const [, signature] = signed.headers.get('signature').match(/^sig1=:(.*):$/)
    const key = await crypto.subtle.importKey('jwk', credentials.signer.publicJwk, 'Ed25519', true, ['verify'])
    const bytes = Buffer.from(signature, 'base64')
    assert.ok(await crypto.subtle.verify('Ed25519', key, bytes, new TextEncoder().encode(base)))
  })

  test('no digest where there is no body', async () => {
    const client = new PassportClient(await issued())
    for (const init of [{}, { method: 'POST', body: '' }, { method: 'DELETE', body: new Uint8Array() }]) {
      const { body, headers } = await client.sign('https://a.example/?', init)
      assert.equal(body, null)
      assert.equal(headers.get('content-digest'), null)
    }
    assert.equal((await client.sign('https://a.example/x?')).url, 'https://a.example/x')
  })

  test('a URL in the spelling of RFC 3986', async () => {
    const client = new PassportClient(await issued())
    for (const [written, sent] of [
      ['/[a]|%c3%a4', '/%5Ba%5D%7C%C3%A4'],
      ['/x?a[]=`{|}^', '/x?a%5B%5D=%60%7B%7C%7D%5E'],
      ['/ä ö?q=ü ', '/%C3%A4%20%C3%B6?q=%C3%BC'],
      ['/%2F%41?%2f', '/%2F%41?%2f'],
    ]) {
      assert.equal((await client.sign(`https://a.example${written}`)).url, `https://a.example${sent}`)
    }
  })

  test('what it makes itself, and what it cannot cover, is refused', async () => {
    const client = new PassportClient(await issued())
    for (const field of ['Agent-Passport', 'Signature', 'Signature-Input', 'Content-Digest']) {
      await assert.rejects(client.sign('https://a.example/', { headers: { [field]: 'x' } }), code('field_reserved'))
    }
    const typed = { method: 'POST', body: 'a', headers: { 'content-type': 'text/\xe4' } }
    await assert.rejects(client.sign('https://a.example/', typed), code('field_invalid'))
    await assert.rejects(client.sign('data:text/plain,a'), code('request_invalid'))
    const stream = new Response('a').body
    await assert.rejects(client.sign('https://a.example/', { body: stream }), code('request_invalid'))
  })

  test('the passport goes where it may', async () => {
    const credentials = await issued()
    const open = new PassportClient(credentials)
    for (const host of ['tools.example', '127.0.0.1.example', 'localhost.example', '10.0.0.1']) {
      const url = `http://${host}/`
      await assert.rejects(open.fetch(url), code('insecure_transport'), url)
    }
    const local = ['localhost:1', 'a.localhost', '127.9.9.9', '[::1]:2'].map((authority) => `http://${authority}`)
    for (const origin of ['https://tools.example', ...local]) {
      assert.equal((await open.sign(origin)).url, `${origin}/`)
    }
    const insecure = new PassportClient(credentials, { allowInsecureHttp: true })
    assert.ok(await insecure.sign('http://tools.example/'))
    const narrow = new PassportClient(credentials, { origins: ['https://tools.example'] })
    assert.ok(await narrow.sign('https://tools.example:443/x'))
    for (const url of ['https://tools.example:444/', 'http://tools.example/', 'https://tools.example.evil.example/']) {
      await assert.rejects(narrow.fetch(url), code('origin_not_allowed'), url)
    }
    const wrong = [
      ...[{ origins: ['tools.example'] }, { origins: ['https://a.example/path'] }, { origins: 'https://a' }],
      ...[{ maxRetries: -1 }, { maxRetries: 11 }, { retries: 1 }],
    ]
    for (const options of wrong) {
      assert.throws(() => new PassportClient(credentials, options), code('option_invalid'), JSON.stringify(options))
    }
  })

  test('the settings of a Request count, and those beside it more', async () => {
    const { client, sent } = await scripted([allow])
    const controller = new AbortController()
    const settings = { method: 'PUT', body: 'one', headers: { 'x-a': '1' }, cache: 'no-store' }
    const request = new Request('https://a.example/x', settings)
    await client.fetch(request, { headers: { 'x-b': '2' }, signal: controller.signal, dispatcher: 'kept' })
    const [{ body, cache, dispatcher, headers, method, redirect, signal, url }] = sent
    assert.deepEqual([method, url, cache], ['PUT', 'https://a.example/x', 'no-store'])
    assert.deepEqual([redirect, dispatcher], ['manual', 'kept'])
    assert.equal(new TextDecoder().decode(body), 'one')
    assert.equal(signal, controller.signal)
    assert.deepEqual([headers.get('x-a'), headers.get('x-b')], [null, '2'])
  })
})

describe('the client sends again', () => {
  test('reads and writes whose proof was too old for what the gate remembers', async () => {
    const { client, sent } = await scripted([() => deny(401, 'replay_fence'), allow])
    const response = await client.fetch('https://a.example/', { method: 'POST', body: 'x' })
    assert.equal(response.status, 200)
    assert.equal(sent.length, 2)
    assert.notEqual(sent[0].nonce, sent[1].nonce)
    assert.deepEqual(sent[0].body, sent[1].body)
  })

  test('nothing that may have been carried out: a replayed write is left alone', async () => {
    const write = await scripted([() => deny(401, 'nonce_replayed'), allow])
    assert.equal((await write.client.fetch('https://a.example/', { method: 'POST' })).status, 401)
    assert.equal(write.sent.length, 1)
    const read = await scripted([() => deny(401, 'nonce_replayed'), allow])
    assert.equal((await read.client.fetch('https://a.example/')).status, 200)
    assert.notEqual(read.sent[0].nonce, read.sent[1].nonce)
  })

  test('by the clock of the gate, for its origin alone', async () => {
    for (const [reason, ahead] of [['proof_expired', 400], ['proof_in_future', -400]]) {
      const date = new Date(Date.now() + ahead * 1000).toUTCString()
      const { client, sent } = await scripted([() => deny(401, reason, { date }), allow])
      assert.equal((await client.fetch('https://a.example/', { method: 'POST' })).status, 200)
      await client.fetch('https://a.example/')
      await client.fetch('https://b.example/')
      const offsets = sent.map(({ created }) => Math.round((created - sent[0].created) / 100) * 100)
      assert.deepEqual(offsets, [0, ahead, ahead, 0])
    }
  })

  test('once only where the clock is not at fault, or the gate does not tell its own', async () => {
    const date = new Date(Date.now() + 400_000).toUTCString()
    const always = await scripted([() => deny(401, 'proof_expired', { date })])
    assert.equal((await always.client.fetch('https://a.example/')).status, 401)
    assert.equal(always.sent.length, 2)
    const silent = await scripted([() => deny(401, 'proof_expired')])
    await silent.client.fetch('https://a.example/')
    assert.equal(silent.sent.length, 1)
  })

  test('at most as often as it may', async () => {
    for (const [maxRetries, sends] of [[undefined, 3], [0, 1], [1, 2]]) {
      const options = maxRetries === undefined ? {} : { maxRetries }
      const { client, sent } = await scripted([() => deny(401, 'replay_fence')], options)
      assert.equal((await client.fetch('https://a.example/')).status, 401)
      assert.equal(sent.length, sends)
    }
  })

  test('never after other answers', async () => {
    const document = '{"type":"x","reason_code":"replay_fence"}'
    for (const next of [
      () => deny(401, 'credential_rejected'),
      () => deny(403, 'permission_scope_missing'),
      () => deny(429, 'rate_limit_exceeded', { 'retry-after': '1' }),
      () => deny(503, 'store_unavailable'),
      () => deny(403, 'replay_fence'),
      () => answer(401, 'step_up', { reason_code: 'replay_fence' }),
      // The API behind the gate says it.
      () => answer(401, 'allow', { reason_code: 'replay_fence' }),
      // No gate says it.
      () => new Response(document, { status: 401, headers: { 'content-type': 'application/problem+json' } }),
    ]) {
      const { client, sent } = await scripted([next, allow])
      const { status } = next()
      const response = await client.fetch('https://a.example/')
      assert.equal(response.status, status)
      assert.equal(sent.length, 1)
      assert.ok((await response.text()).length > 0, 'its body is for the caller')
    }
  })

  test('reads when the network fails, and nothing else', async () => {
    const failure = new TypeError('fetch failed')
    const read = await scripted([failure, failure, allow])
    assert.equal((await read.client.fetch('https://a.example/')).status, 200)
    assert.equal(new Set(read.sent.map(({ nonce }) => nonce)).size, 3)
    for (const [method, error] of [['POST', failure], ['GET', new DOMException('x', 'AbortError')]]) {
      const { client, sent } = await scripted([error, allow])
      await assert.rejects(client.fetch('https://a.example/', { method }), (thrown) => thrown === error)
      assert.equal(sent.length, 1)
    }
    const down = await scripted([failure])
    await assert.rejects(down.client.fetch('https://a.example/'), (thrown) => thrown === failure)
    assert.equal(down.sent.length, 3)
  })

  test('not once it was aborted', async () => {
    const controller = new AbortController()
    const { client, sent } = await scripted([
      () => (controller.abort(new Error('enough')), deny(401, 'replay_fence')),
    ])
    await assert.rejects(client.fetch('https://a.example/', { signal: controller.signal }), /enough/)
    assert.equal(sent.length, 1)
  })

  test('what a person approved, once', async () => {
    const asked = []
    const problem = { reason_code: 'approval_required', obligations: [{ type: 'approval', roles: ['cfo'] }] }
    const stepUp = () => answer(403, 'step_up', problem)
    const onStepUp = (...args) => (asked.push(args), true)
    const { client, sent } = await scripted([stepUp, allow], { onStepUp })
    const response = await client.fetch('https://a.example/pay', { method: 'POST', body: '{}' })
    assert.equal(response.status, 200)
    assert.notEqual(sent[0].nonce, sent[1].nonce)
    const [[seen, request]] = asked
    assert.equal(seen.reasonCode, 'approval_required')
    assert.deepEqual(seen.obligations, [{ type: 'approval', roles: ['cfo'] }])
    assert.deepEqual([request.method, request.url], ['POST', 'https://a.example/pay'])
    assert.equal(`${Buffer.from(request.body)}`, '{}')
    for (const [handler, sends] of [[onStepUp, 2], [() => false, 1], [() => 'yes', 1], [undefined, 1]]) {
      const again = await scripted([stepUp], handler ? { onStepUp: handler } : {})
      const returned = await again.client.fetch('https://a.example/pay')
      assert.equal((await decisionOf(returned)).decision, 'step_up')
      assert.equal(again.sent.length, sends)
    }
    const denied = await scripted([() => deny(403, 'domain_not_allowed')], { onStepUp: () => assert.fail('not asked') })
    await denied.client.fetch('https://a.example/')
  })
})

describe('the decision', () => {
  test('stands in the fields and the problem, and the body stays whole', async () => {
    const problem = { reason_code: 'rate_limit_exceeded', retry_after_seconds: 12 }
    const response = answer(429, 'deny', problem, { 'retry-after': '12' })
    const decision = await decisionOf(response)
    assert.deepEqual(
      [decision.decision, decision.reasonCode, decision.retryAfterSeconds, decision.attestationId],
      ['deny', 'rate_limit_exceeded', 12, 'att_01ARYZ6S410000000000000001'],
    )
    assert.equal(decision.problem.status, 429)
    assert.equal((await response.json()).reason_code, 'rate_limit_exceeded')
    assert.equal((await decisionOf(response)).problem, null, 'the body was read')
    const read = answer(429, 'deny', problem)
    read.body.getReader()
    assert.deepEqual((await decisionOf(read)).decision, 'deny')
  })

  test('is none where no gate answered', async () => {
    const response = new Response('{"type":"urn:passgate:problem:x","reason_code":"x"}', {
      status: 403,
      headers: { 'content-type': 'application/problem+json', 'passgate-attestation': 'att_1', 'retry-after': '3' },
    })
    const none = { decision: null, attestationId: null, reasonCode: null, retryAfterSeconds: null, problem: null }
    assert.deepEqual(await decisionOf(response), none)
    const unknown = answer(200, 'maybe')
    assert.deepEqual(await decisionOf(unknown), none)
  })

  test('of an allow is not what the API says', async () => {
    const forged = answer(403, 'allow', { reason_code: 'revoked', decision: 'deny' }, { 'retry-after': '9' })
    const { decision, problem, reasonCode, retryAfterSeconds } = await decisionOf(forged)
    assert.deepEqual([decision, problem, reasonCode, retryAfterSeconds], ['allow', null, null, null])
    const other = { decision: 'allow', reason_code: 'upstream_x', attestation_id: 'att_other' }
    for (const document of [other, { ...other, attestation_id: undefined }, { ...other, type: 'about:blank' }]) {
      assert.equal((await decisionOf(answer(502, 'allow', document))).problem, null)
    }
    const failed = answer(502, 'allow', { reason_code: 'upstream_unreachable' })
    assert.equal((await decisionOf(failed)).reasonCode, 'upstream_unreachable')
  })

  test('of an allow does not wait for a body', async () => {
    const endless = new ReadableStream({ pull: () => new Promise(() => undefined) })
    const headers = { 'passgate-decision': 'allow', 'content-type': 'application/problem+json' }
    assert.equal((await decisionOf(new Response(endless, { status: 400, headers }))).decision, 'allow')
  })

  test('survives documents that are broken or endless', async () => {
    const headers = { 'passgate-decision': 'deny', 'content-type': 'application/problem+json' }
    for (const body of ['', '{', '[]', 'null', '{"type":1}', `{"type":"${'a'.repeat(70_000)}","reason_code":"b"}`]) {
      const response = new Response(body, { status: 403, headers })
      assert.deepEqual([(await decisionOf(response)).decision, (await decisionOf(response)).problem], ['deny', null])
      assert.equal((await response.text()).length, body.length)
    }
  })
})

describe('a server', () => {
  let server, origin, other
  const seen = []
  const replies = new Map()

  before(async () => {
    server = createServer(async (request, response) => {
      const parts = []
      for await (const part of request) parts.push(part)
      seen.push({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(parts) })
      const [status, location] = replies.get(new URL(request.url, 'http://x').pathname) ?? [200]
      response.writeHead(status, location === undefined ? {} : { location }).end('done')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    origin = `http://127.0.0.1:${server.address().port}`
    other = `http://localhost:${server.address().port}`
  })
  after(() => server.close())

  async function visit(target, init, options) {
    seen.length = 0
    const response = await new PassportClient(await issued(), options).fetch(`${origin}${target}`, init)
    return { response, text: await response.text() }
  }

  test('gets every kind of body as it was signed', async () => {
    const form = new FormData()
    form.set('file', new Blob(['abc'], { type: 'text/plain' }), 'a.txt')
    const text = 'gr\u00fc\u00dfe'
    const bytes = new TextEncoder().encode(text)
    async function* pieces() {
      yield bytes.subarray(0, 2)
      yield bytes.subarray(2)
    }
    const kinds = {
      text: [text, 'text/plain;charset=UTF-8'],
      bytes: [bytes],
      'part of a buffer': [new Uint8Array([0, ...bytes, 0]).subarray(1, -1)],
      buffer: [bytes.buffer.slice(0, bytes.length)],
      parameters: [new URLSearchParams({ a: '1 2' }), 'application/x-www-form-urlencoded;charset=UTF-8', 'a=1+2'],
      blob: [new Blob([bytes], { type: 'image/png' }), 'image/png'],
      stream: [new Blob([bytes]).stream()],
      generator: [pieces()],
      form: [form, /^multipart\/form-data; boundary=/, null],
    }
    for (const [kind, [body, type, expected = text]] of Object.entries(kinds)) {
      await visit('/', { method: 'POST', body })
      const [{ headers, body: received }] = seen
      if (expected !== null) assert.equal(received.toString(), expected, kind)
      else assert.match(received.toString(), /filename="a.txt"[^]*abc/)
      assert.equal(headers['content-digest'], digestOf(received), kind)
      if (type instanceof RegExp) assert.match(headers['content-type'], type)
      else assert.equal(headers['content-type'], type, kind)
      assert.equal(headers['signature-input'].includes('"content-type"'), type !== undefined, kind)
    }
    await visit('/', { method: 'POST', body: new URLSearchParams('a=1'), headers: { 'content-type': 'text/x' } })
    assert.equal(seen[0].headers['content-type'], 'text/x')
  })

  test('that sends elsewhere within the origin gets a proof for there', async () => {
    replies.set('/a', [302, '/b?x=1#y']).set('/b', [307, `c`])
    const { response, text } = await visit('/a', { headers: { 'content-type': 'text/x' } })
    assert.deepEqual([response.status, text, seen.map(({ url }) => url)], [200, 'done', ['/a', '/b?x=1', '/c']])
    assert.equal(new Set(seen.map(({ headers }) => headers.signature)).size, 3)
    assert.equal(new Set(seen.map(({ headers }) => headers['signature-input'])).size, 3)
  })

  test('that sends a write elsewhere gets what the rules of fetch say', async () => {
    const rules = [
      ...[[301, 'POST', 'GET'], [302, 'POST', 'GET'], [303, 'PUT', 'GET'], [302, 'PUT', 'PUT']],
      ...[[307, 'POST', 'POST'], [308, 'DELETE', 'DELETE'], [303, 'HEAD', 'HEAD']],
    ]
    for (const [status, method, sent] of rules) {
      replies.set('/a', [status, '/end'])
      const body = method === 'HEAD' ? undefined : '{}'
      await visit('/a', { method, body, headers: { 'content-type': 'application/json' } })
      const [, second] = seen
      assert.equal(second.method, sent, `${status} ${method}`)
      assert.equal(second.body.toString(), sent === 'GET' || method === 'HEAD' ? '' : '{}')
      assert.equal('content-type' in second.headers, sent !== 'GET')
      assert.equal('content-digest' in second.headers, second.body.length > 0)
    }
  })

  test('that sends out of the origin, or nowhere, gets no further request', async () => {
    const named = `http://user:pass@${origin.slice(7)}/b`
    for (const location of [`${other}/b`, 'https://127.0.0.1/', named, 'http://[', undefined]) {
      replies.set('/a', [307, location])
      const { response } = await visit('/a')
      assert.deepEqual([response.status, seen.length], [307, 1], location)
    }
  })

  test('that sends in circles is left after five times', async () => {
    replies.set('/a', [302, '/a'])
    const { response } = await visit('/a')
    assert.deepEqual([response.status, seen.length], [302, 6])
  })

  test('that sends elsewhere is followed only if that is wanted', async () => {
    replies.set('/a', [302, '/b2'])
    const { response } = await visit('/a', { redirect: 'manual' })
    assert.deepEqual([response.status, seen.length], [302, 1])
    await assert.rejects(visit('/a', { redirect: 'error' }), code('redirected'))
  })

  test('gets what Request and URL objects say', async () => {
    replies.clear()
    seen.length = 0
    const client = new PassportClient(await issued())
    await client.fetch(new URL('/u?a=b', origin))
    await client.fetch(new Request(`${origin}/r`, { method: 'PATCH', body: 'p' }))
    await client.fetch(new Request(`${origin}/n`, { method: 'PATCH', body: 'n' }), { body: null })
    const { fetch } = client
    await fetch(`${origin}/f`)
    const found = seen.map(({ body, method, url }) => `${method} ${url} ${body}`)
    assert.deepEqual(found, ['GET /u?a=b ', 'PATCH /r p', 'PATCH /n n', 'GET /f '])
  })
})
