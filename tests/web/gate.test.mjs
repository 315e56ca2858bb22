// The evaluator in memory, and what its caller can do wrong.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { dist } from './tools.mjs'

const load = (name) => import(pathToFileURL(join(dist, 'esm', name)).href)
const sdk = await load('index.js')
const { Gate, PassportClient, PassportIssuer, PassportVerifier, SigningKey, verifyAttestation, verifyExport } = sdk

const ORIGIN = 'https://tools.example'
const POLICY = {
  version: 1,
  gate: { id: 'gate_1', level: 'L1', public_url: ORIGIN },
  self_issued: 'any_key',
  routes: [
    { method: 'GET', path: '/search', action: 'web:search' },
    { method: 'POST', path: '/pay', action: 'payments:create', amount: { pointer: '/amount_usd', unit: 'usd' } },
  ],
  guardrails: { spend_limits: { daily_usd: 10 } },
}
const code = (expected) => (error) => error instanceof sdk.PassgateError && error.code === expected

let client, issuer, key

/** A gate of this policy; no other decided anything before it. */
const opened = (change = {}, options = {}) => Gate.open({ ...POLICY, ...change }, { key, since: new Date(0), ...options })

/** What a gate gets of a signed request. */
async function signed(path, init) {
  const { url, headers, method, body } = await client.sign(`${ORIGIN}${path}`, init)
  const { host, pathname, search } = new URL(url)
  const query = search === '' ? null : search.slice(1)
  return { method, authority: host, path: pathname, query, headers: [...new Headers(headers)], body }
}

const payment = (amount) => {
  const headers = { 'content-type': 'application/json' }
  return signed('/pay', { method: 'POST', headers, body: JSON.stringify({ amount_usd: amount }) })
}

before(async () => {
  key = await SigningKey.generate()
  issuer = await PassportIssuer.createLocal()
  client = new PassportClient(await issuer.issuePassport({ agentId: 'bot', permissions: ['web:*', 'payments:*'] }))
})

describe('a gate in memory', () => {
  test('decides, and its ledger verifies', async () => {
    const gate = await opened()
    const first = await payment(6)
    const decided = [await gate.decide(first), await gate.decide(first), await gate.decide(await payment(6))]
    assert.deepEqual(
      decided.map(({ decision, reasonCode }) => [decision, reasonCode]),
      [['allow', null], ['deny', 'nonce_replayed'], ['deny', 'spend_daily_exceeded']],
    )
    await gate.settle(decided[0].attestationId, { result: 'unreachable' })
    assert.equal((await gate.decide(await payment(6))).decision, 'allow', 'what was charged was given back')
    await gate.revoke({ kind: 'agent', issuer: issuer.id, agentId: 'bot' })
    assert.equal((await gate.decide(await signed('/search'))).reasonCode, 'revoked')
    await assert.rejects(gate.reinstate({ kind: 'agent', issuer: issuer.id, agentId: 'bot' }), code('request_invalid'))
    const report = await verifyExport(await gate.export(), { keys: gate.publicJwk })
    assert.deepEqual([report.valid, report.records, report.decisions.allow], [true, 8, 2])
    const single = await verifyAttestation(decided[0].record, { keys: [gate.publicJwk] })
    assert.equal(single.record.decision, 'allow')
  })

  test('refuses what is suspended until it is reinstated', async () => {
    const gate = await opened()
    const subject = { kind: 'issuer', id: issuer.id }
    assert.equal((await gate.reinstate(subject)).changed, false)
    assert.deepEqual([(await gate.suspend(subject)).changed, (await gate.suspend(subject)).changed], [true, false])
    assert.equal((await gate.decide(await signed('/search'))).reasonCode, 'suspended')
    const { changed, record } = await gate.reinstate(subject)
    const { record: told } = await verifyAttestation(record, { keys: [gate.publicJwk] })
    assert.deepEqual([changed, told.kind, told.subject], [true, 'reinstatement', subject])
    assert.equal((await gate.decide(await signed('/search'))).decision, 'allow')
    assert.equal((await verifyExport(await gate.export(), { keys: gate.publicJwk })).valid, true)
  })

  test('allows one of many that show the same proof at once', async () => {
    const gate = await opened()
    const request = await signed('/search')
    const answers = await Promise.all(Array.from({ length: 20 }, () => gate.decide(request)))
    assert.equal(answers.filter(({ decision }) => decision === 'allow').length, 1)
    assert.equal((await verifyExport(await gate.export(), { keys: gate.publicJwk })).valid, true)
  })

  test('an outcome is recorded once, of what was allowed', async () => {
    const gate = await opened()
    const { attestationId } = await gate.decide(await signed('/search'))
    const denied = await gate.decide(await signed('/elsewhere'))
    assert.equal(denied.decision, 'deny')
    const outcome = { result: 'completed', status: 200 }
    await gate.settle(attestationId, outcome)
    for (const id of [attestationId, denied.attestationId, 'x']) {
      await assert.rejects(gate.settle(id, outcome), code('request_invalid'), id)
    }
  })

  test('what nobody knows to be spent stays charged until somebody says so', async () => {
    const gate = await opened()
    const pay = async () => gate.decide(await payment(10))
    const told = async (record) => (await verifyAttestation(record, { keys: [gate.publicJwk] })).record
    for (const [carriedOut, next] of [[false, 'allow'], [true, 'deny']]) {
      const { attestationId, decision } = await pay()
      assert.equal(decision, 'allow')
      await assert.rejects(gate.reconcile(attestationId, { carriedOut: false }), code('request_invalid'), 'it may be under way')
      const outcome = await told(await gate.settle(attestationId, { result: 'timed_out' }))
      assert.equal(outcome.outcome.budget, 'held')
      assert.equal((await pay()).decision, 'deny')
      const found = await told(await gate.reconcile(attestationId, { carriedOut, note: 'as the shop says' }))
      assert.deepEqual(
        [found.kind, found.decision_id, found.reconciliation],
        ['reconciliation', attestationId, { budget: carriedOut ? 'committed' : 'released', note: 'as the shop says' }],
      )
      await assert.rejects(gate.reconcile(attestationId, { carriedOut: false }), code('request_invalid'), 'once')
      if (next === 'deny') assert.equal((await pay()).decision, 'deny')
    }
  })

  test('what cannot be signed was not decided', async () => {
    let fails = false
    const signer = {
      publicJwk: key.publicJwk,
      thumbprint: key.thumbprint,
      sign: (bytes) => (fails ? Promise.reject(new Error('no power')) : key.sign(bytes)),
    }
    const gate = await opened({}, { key: signer })
    const request = await signed('/search')
    fails = true
    await assert.rejects(gate.decide(request))
    fails = false
    assert.equal((await gate.decide(request)).decision, 'allow', 'its nonce was not consumed')
  })

  test('a signer with another key allows nothing', async () => {
    const other = await SigningKey.generate()
    for (const sign of [(bytes) => other.sign(bytes), async () => new Uint8Array(64)]) {
      const signer = { publicJwk: key.publicJwk, thumbprint: key.thumbprint, sign }
      await assert.rejects(opened({}, { key: signer }), code('signature_failed'))
    }
  })

  for (const proof of ['message_signature', 'dpop']) {
    test(`asks for an answer to its challenge, and the client gives it: ${proof}`, async () => {
      const gate = await opened({ gate: { ...POLICY.gate, require_challenge: true } })
      const decided = []
      const fetch = async (url, { method, headers }) => {
        const { host, pathname } = new URL(url)
        const request = { method, authority: host, path: pathname, query: null, headers: [...headers], body: null }
        decided.push(await gate.decide(request))
        const { response } = decided.at(-1)
        return response === null ? new Response('found') : new Response(response.body, response)
      }
      const credentials = await issuer.issuePassport({ agentId: 'bot', permissions: ['web:*'] })
      const challenged = new PassportClient(credentials, { fetch, proof, origins: [ORIGIN] })
      for (const _ of [1, 2]) assert.equal(await (await challenged.fetch(`${ORIGIN}/search`)).text(), 'found')
      assert.deepEqual(
        decided.map(({ reasonCode }) => reasonCode),
        ['proof_nonce_required', null, null],
      )
    })
  }
})

describe('what a caller gets wrong', () => {
  test('a limit that is no number is no missing limit', async () => {
    for (const spend_limits of [{ daily_usd: NaN }, { daily_usd: Infinity }, { daily_usd: null }, new Map()]) {
      await assert.rejects(opened({ guardrails: { spend_limits } }), code('policy_invalid'))
    }
    const { crv, kty, x } = key.publicJwk
    const issuers = [{ id: 'https://issuer.example', tier: 'L2', keys: [{ jwk: { crv, kty, x }, not_after: NaN }] }]
    assert.throws(() => new PassportVerifier({ issuers }), code('option_invalid'))
    assert.throws(() => new PassportVerifier({ statusLists: new Map() }), code('option_invalid'))
  })

  test('a misspelt option is no missing one', async () => {
    assert.throws(() => new PassportVerifier({ audiance: 'gate_1' }), code('option_invalid'))
    await assert.rejects(opened({}, { clok: Date.now }), code('option_invalid'))
    await assert.rejects(verifyExport('', { keys: key.publicJwk, signals: [] }), code('option_invalid'))
  })

  test('a body that is neither text nor bytes is not judged as none', async () => {
    const gate = await opened()
    const { body: _none, ...head } = await signed('/search')
    const bytes = new TextEncoder().encode('{"amount_usd":1000000}')
    for (const body of [bytes.buffer, new Blob([bytes]), { amount_usd: 5 }, new Uint16Array(4), 7]) {
      await assert.rejects(gate.decide({ ...head, body }), code('request_invalid'))
    }
  })

  test('bytes that change after the call are judged as they were', async () => {
    const gate = await opened()
    const request = await payment(1)
    const good = Uint8Array.from(request.body)
    const body = new TextEncoder().encode('{"amount_usd":9}')
    const deciding = gate.decide({ ...request, body })
    body.set(good.subarray(0, body.length))
    assert.equal((await deciding).decision, 'deny')
  })

  test('an argument of the wrong type ends its own call and nothing else', async () => {
    const gate = await opened()
    const broken = await opened({}, { clock: () => Date.now() })
    await assert.rejects(Gate.open(POLICY, { key, since: 0 }))
    await assert.rejects(gate.revoke())
    await assert.rejects(gate.settle(undefined, { result: 'completed' }))
    await assert.rejects(gate.addStatusList(undefined))
    await assert.rejects(broken.decide({ ...(await signed('/search')), headers: 7 }), code('request_invalid'))
    await assert.rejects(opened({}, { random: () => null }))
    await assert.rejects(opened({}, { clock: () => { throw new Error('stopped') } }), /stopped/)
    await assert.rejects(opened({}, { clock: () => 0.5 }), code('policy_invalid'))
    assert.equal((await gate.decide(await signed('/search'))).decision, 'allow')
    assert.equal((await new PassportVerifier().verify('x')).reasonCode, 'passport_malformed')
  })

  test('no record is made that no verifier reads', async () => {
    const gate = await opened()
    await assert.rejects(gate.revoke({ kind: 'passport', id: 'p'.repeat(60_000) }), code('request_invalid'))
    assert.equal((await verifyExport(await gate.export(), { keys: gate.publicJwk })).valid, true)
  })

  test('no message quotes a key or a token', async () => {
    const exported = await SigningKey.generate({ extractable: true })
    const secret = JSON.stringify({ ...exported.publicJwk, d: 'A'.repeat(43) })
    const verifier = new PassportVerifier({ issuers: [{ id: 'https://i.example', tier: 'L2', keys: [{ jwk: secret }] }] })
    await assert.rejects(verifier.verify('x'), (error) => code('option_invalid')(error) && !error.message.includes('AAAA'))
  })

  test('a token of any length is refused for its length', async () => {
    const report = await new PassportVerifier().verify('e'.repeat(50_000_000))
    assert.match(report.detail, /16384 bytes/)
  })
})

describe('what is loaded and read', () => {
  test('other WebAssembly than that of the release is refused', async () => {
    const slim = await load('slim.js')
    await assert.rejects(new slim.PassportVerifier().verify('x'), (error) => error.code === 'wasm_missing')
    const bytes = await readFile(join(dist, 'passgate.wasm'))
    // A custom section that changes nothing.
    const other = Buffer.concat([bytes, Buffer.from([0, 2, 1, 120])])
    await assert.rejects(slim.initialize(other), (error) => error.code === 'wasm_failed')
    await assert.rejects(slim.initialize(7), (error) => error.code === 'option_invalid')
    await slim.initialize(bytes)
    assert.equal((await new slim.PassportVerifier().verify('x')).valid, false)
  })

  test('an export whose source stalls can be given up', async () => {
    let cancelled = false
    const stalled = new ReadableStream({ cancel: () => void (cancelled = true) })
    const controller = new AbortController()
    const verifying = verifyExport(stalled, { keys: key.publicJwk, signal: controller.signal })
    setTimeout(() => controller.abort(new Error('enough')), 20)
    await assert.rejects(verifying, /enough/)
    assert.equal(cancelled, true)
  })

  test('a verifier that was given back is made anew', async () => {
    const verifier = new PassportVerifier({ selfIssued: 'any_key' })
    const { passport } = await issuer.issuePassport({ agentId: 'bot', permissions: [] })
    assert.equal((await verifier.verify(passport)).valid, true)
    verifier.dispose()
    assert.equal((await verifier.verify(passport)).valid, true)
  })
})
