// The package with what others wrote: the gates, the command line and the npm package jose.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { makeSite, passgate, startApi, startEdge, startGateway } from './sites.mjs'
import { dist, tool } from './tools.mjs'

const sdk = await import(pathToFileURL(join(dist, 'esm', 'index.js')).href)
const { AgentCredentials, PassgateError, PassportClient, PassportIssuer, SigningKey, decisionOf } = sdk
const { PassportVerifier } = sdk
const jose = await tool('jose')

const ISSUER_ID = 'https://issuer.sdk.example'
const PERMISSIONS = ['web:search', 'payments:*', 'notes:write']
const key = await SigningKey.generate()
const issuer = await PassportIssuer.fromKey({ id: ISSUER_ID, key })
const local = await PassportIssuer.createLocal({ name: 'local' })

/** A passport that jose made of these claims, with a new key for the agent. */
async function josePassport(change = {}) {
  const signer = await SigningKey.generate()
  const pair = await jose.generateKeyPair('EdDSA', { extractable: true, crv: 'Ed25519' })
  const publicJwk = await jose.exportJWK(pair.publicKey)
  const now = Math.floor(Date.now() / 1000)
  const { kty, crv, x } = signer.publicJwk
  const claims = {
    iss: ISSUER_ID,
    sub: 'jose-agent',
    jti: (await local.issuePassport({ agentId: 'a', permissions: [] })).passportId,
    iat: now,
    exp: now + 3600,
    cnf: { jwk: { kty, crv, x } },
    permissions: PERMISSIONS,
    ...change,
  }
  const kid = await jose.calculateJwkThumbprint(publicJwk)
  const header = { alg: 'EdDSA', typ: 'passport+jwt', kid }
  const passport = await new jose.SignJWT(claims).setProtectedHeader(header).sign(pair.privateKey)
  return { passport, publicJwk: { ...publicJwk, kid }, signer }
}

describe('jose', () => {
  test('verifies what the issuer issues', async () => {
    const { passport, agentId } = await issuer.issuePassport({ agentId: 'bot', permissions: PERMISSIONS })
    const keys = jose.createLocalJWKSet({ keys: [issuer.publicJwk] })
    const options = { algorithms: ['EdDSA'], typ: 'passport+jwt', issuer: ISSUER_ID, subject: agentId }
    const { payload } = await jose.jwtVerify(passport, keys, options)
    assert.deepEqual(payload.permissions, PERMISSIONS)
    const [head, body, signature] = passport.split('.')
    const forged = `${head}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
    await assert.rejects(jose.jwtVerify(forged, keys, options), /signature verification failed/)
  })

  test('agrees about thumbprints', async () => {
    assert.equal(await jose.calculateJwkThumbprint(issuer.publicJwk), issuer.thumbprint)
  })

  test('makes passports that the verifier accepts, and others that it does not', async () => {
    const { passport, publicJwk } = await josePassport()
    const verifier = new PassportVerifier({ issuers: [{ id: ISSUER_ID, tier: 'L2', keys: [{ jwk: publicJwk }] }] })
    const report = await verifier.verify(passport)
    assert.equal(report.valid, true, report.detail)
    assert.deepEqual([report.trustTier, report.passport.agentId], ['L2', 'jose-agent'])
    const other = await josePassport()
    assert.equal((await verifier.verify(other.passport)).valid, false)
  })

  test('and the verifier accepts what both issuers issue', async () => {
    const issuers = [{ id: ISSUER_ID, tier: 'L3', keys: [{ jwk: issuer.publicJwk }] }]
    const verifier = new PassportVerifier({ issuers, selfIssued: { listed: [local.thumbprint] } })
    const tiers = []
    for (const by of [issuer, local]) {
      const { passport } = await by.issuePassport({ agentId: 'bot', permissions: PERMISSIONS })
      const report = await verifier.verify(passport)
      assert.equal(report.valid, true, report.detail)
      tiers.push(report.trustTier)
    }
    assert.deepEqual(tiers, ['L3', 'L1'])
  })
})

for (const { name, start, tellsTime } of [
  { name: 'the native gateway', start: startGateway, tellsTime: true },
  // On this machine; what stands before it in production adds the field `Date`.
  { name: 'the edge worker', start: startEdge, tellsTime: false },
]) {
  describe(name, () => {
    let api, gate, agent, credentials

    before(async () => {
      api = await startApi()
      gate = await start({ api, issuer })
      credentials = await issuer.issuePassport({ agentId: 'bot', permissions: PERMISSIONS })
      agent = new PassportClient(credentials)
    })
    after(async () => {
      await gate?.close()
      api?.close()
    })

    /** Whether the request reached the API, and what the gate said. */
    async function outcome(send) {
      api.seen.length = 0
      const response = await send()
      const decision = await decisionOf(response)
      await response.arrayBuffer()
      const forwarded = api.seen.map(({ method, url }) => `${method} ${url}`)
      return { status: response.status, decision, forwarded }
    }

    async function expect(send, kind, reasonCode, forwarded = []) {
      const { decision, ...rest } = await outcome(send)
      const found = [decision.decision, decision.reasonCode, rest.forwarded]
      assert.deepEqual(found, [kind, reasonCode, forwarded], JSON.stringify(decision))
      assert.match(decision.attestationId, /^att_[0-9A-Z]{26}$/)
      return rest.status
    }

    const post = (body, headers = { 'content-type': 'application/json' }) => ({ method: 'POST', body, headers })
    const pay = (amount) => post(JSON.stringify({ amount_usd: amount }))

    test('allows what the passport permits, and forwards it', async () => {
      const targets = {
        '/search': '/search',
        '/search?': '/search',
        '/search?q=ä b&c=%C3%A4#part': '/search?q=%C3%A4%20b&c=%C3%A4',
        "/search?a[]='|{^}`": '/search?a%5B%5D=%27%7C%7B%5E%7D%60',
        '/other/../search?q=%c3%a4': '/search?q=%c3%a4',
      }
      for (const [target, forwarded] of Object.entries(targets)) {
        const status = await expect(() => agent.fetch(`${gate.url}${target}`), 'allow', null, [`GET ${forwarded}`])
        assert.equal(status, 200)
      }
      const path = () => agent.fetch(`${gate.url}/to/[%c3%a4]|`, { redirect: 'manual' })
      await expect(path, 'allow', null, ['GET /to/%5B%C3%A4%5D%7C'])
    })

    test('allows bodies of every kind', async () => {
      const form = new FormData()
      form.set('a', new Blob(['b']), 'c.txt')
      const kinds = {
        text: 'grüße',
        parameters: new URLSearchParams('a=1'),
        form,
        stream: new Blob(['x'.repeat(100_000)]).stream(),
        empty: '',
      }
      for (const [kind, body] of Object.entries(kinds)) {
        const write = () => agent.fetch(`${gate.url}/notes/${kind}`, post(body, {}))
        await expect(write, 'allow', null, [`POST /notes/${kind}`])
      }
      assert.equal(await expect(() => agent.fetch(`${gate.url}/pay`, pay(20)), 'allow', null, ['POST /pay']), 200)
      assert.equal(`${api.seen[0].body}`, '{"amount_usd":20}')
    })

    test('allows an agent that a local issuer vouches for, and one of jose', async () => {
      const own = await local.issuePassport({ agentId: 'own', permissions: PERMISSIONS, expiresInSeconds: 600 })
      const search = (client) => () => client.fetch(`${gate.url}/search`)
      await expect(search(new PassportClient(own)), 'allow', null, ['GET /search'])
      const stranger = await josePassport()
      const joined = await AgentCredentials.of(stranger.passport, stranger.signer)
      assert.equal(await expect(search(new PassportClient(joined)), 'deny', 'credential_rejected'), 401)
    })

    test('allows with either proof what was handed on, and nothing beyond it', async () => {
      const chief = await issuer.issuePassport({ agentId: 'chief', permissions: PERMISSIONS, delegations: 1 })
      const constraints = { spend: { per_transaction_micro_usd: 5_000_000 } }
      const permissions = ['web:search', 'payments:create']
      const helper = await chief.delegate({ agentId: 'helper', permissions, constraints, ttlSeconds: 600 })
      for (const proof of ['message_signature', 'dpop']) {
        const client = new PassportClient(helper, { proof })
        await expect(() => client.fetch(`${gate.url}/pay`, pay(5)), 'allow', null, ['POST /pay'])
        await expect(() => client.fetch(`${gate.url}/pay`, pay(6)), 'deny', 'spend_per_transaction_exceeded')
      }
      const reader = await chief.delegate({ agentId: 'reader', permissions: ['web:search', 'notes:write'], ttlSeconds: 600 })
      for (const proof of ['message_signature', 'dpop']) {
        const client = new PassportClient(reader, { proof })
        const search = proof === 'dpop' ? '/%73earch' : '/search'
        await expect(() => client.fetch(`${gate.url}${search}?q=%61`), 'allow', null, ['GET /search?q=%61'])
        await expect(() => client.fetch(`${gate.url}/notes/1`, post('{}')), 'allow', null, ['POST /notes/1'])
        await expect(() => client.fetch(`${gate.url}/pay`, pay(1)), 'deny', 'permission_scope_missing')
      }
    })

    test('denies what the passport does not permit, and what is above a limit', async () => {
      const remove = () => agent.fetch(`${gate.url}/records/7`, { method: 'DELETE' })
      assert.equal(await expect(remove, 'deny', 'permission_scope_missing'), 403)
      const spend = () => agent.fetch(`${gate.url}/pay`, pay(101))
      assert.equal(await expect(spend, 'deny', 'spend_per_transaction_exceeded'), 403)
    })

    test('denies a passport for another gate', async () => {
      const other = await issuer.issuePassport({ agentId: 'bot', permissions: PERMISSIONS, audience: 'gate_other' })
      const send = () => new PassportClient(other).fetch(`${gate.url}/search`)
      assert.equal(await expect(send, 'deny', 'credential_rejected'), 401)
      const here = await issuer.issuePassport({ agentId: 'bot', permissions: PERMISSIONS, audience: 'gate_local' })
      await expect(() => new PassportClient(here).fetch(`${gate.url}/search`), 'allow', null, ['GET /search'])
    })

    test('asks for a person', async () => {
      assert.equal(await expect(() => agent.fetch(`${gate.url}/pay`, pay(80)), 'step_up', 'approval_required'), 403)
      const asked = []
      const onStepUp = ({ attestationId, obligations }) => (asked.push({ attestationId, obligations }), true)
      const patient = new PassportClient(credentials, { onStepUp })
      await expect(() => patient.fetch(`${gate.url}/pay`, pay(80)), 'step_up', 'approval_required')
      assert.equal(asked.length, 1)
      assert.equal(asked[0].obligations[0].type, 'approval')
    })

    const send = ({ url, ...init }) => fetch(url, { ...init, redirect: 'manual' })

    test('refuses a request that was sent before', async () => {
      const signed = await agent.sign(`${gate.url}/pay`, pay(1))
      await expect(() => send(signed), 'allow', null, ['POST /pay'])
      assert.equal(await expect(() => send(signed), 'deny', 'nonce_replayed'), 401)
    })

    test('refuses a request with another body, target, method or passport', async () => {
      const sign = () => agent.sign(`${gate.url}/pay`, pay(1))
      const body = new TextEncoder().encode('{"amount_usd":2}')
      assert.equal(await expect(async () => send({ ...(await sign()), body }), 'deny', 'content_digest_mismatch'), 401)
      const changes = { url: `${gate.url}/pay?x=1`, method: 'PUT' }
      for (const [member, value] of Object.entries(changes)) {
        const changed = async () => send({ ...(await sign()), [member]: value })
        assert.equal(await expect(changed, 'deny', 'credential_rejected'), 401, member)
      }
      const other = await issuer.issuePassport({ agentId: 'bot', permissions: ['*'] })
      const swapped = await sign()
      swapped.headers.set('agent-passport', other.passport)
      assert.equal(await expect(() => send(swapped), 'deny', 'credential_rejected'), 401)
    })

    test('lets a redirect of the API be followed with a new proof', async () => {
      const forwarded = ['GET /to/search?q=moved', 'GET /search?q=moved']
      await expect(() => agent.fetch(`${gate.url}/to/search?q=moved`), 'allow', null, forwarded)
      const nonces = api.seen.map(({ headers }) => headers['signature-input'])
      assert.deepEqual(nonces, [undefined, undefined], 'the API sees no proof')
      await expect(() => agent.fetch(`${gate.url}/to/records/7`), 'deny', 'action_unmapped', ['GET /to/records/7'])
    })

    test('corrects a clock that is wrong, if it tells the time', async (context) => {
      context.mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 })
      const strict = new PassportClient(credentials, { maxRetries: 0 })
      await expect(() => strict.fetch(`${gate.url}/pay`, pay(1)), 'deny', 'proof_expired')
      const late = new PassportClient(credentials)
      const expected = tellsTime ? ['allow', null, ['POST /pay']] : ['deny', 'proof_expired']
      await expect(() => late.fetch(`${gate.url}/pay`, pay(1)), ...expected)
    })
  })
}

describe('the command line', () => {
  let site, folder

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'passgate-interop-'))
    site = await makeSite({ issuer, port: 8787, upstream: 'http://127.0.0.1:9000' })
  })
  after(async () => {
    await rm(folder, { recursive: true })
    await rm(site.folder, { recursive: true })
  })

  test('reads the files that save writes, and load reads its files', async () => {
    const path = join(folder, 'bot.json')
    const credentials = await issuer.issuePassport({ agentId: 'bot', permissions: PERMISSIONS })
    await credentials.save(path)
    const shown = passgate(['--config', site.config, 'passport', 'verify', path])
    assert.equal(shown.code, 0, shown.said)
    const request = ['call', '--credentials', path, 'http://127.0.0.1:1/search']
    assert.equal(passgate(['--config', site.config, ...request]).code, 6, 'it signs, and nobody answers')

    const theirs = join(folder, 'theirs.json')
    const order = ['passport', 'issue', '--self', '--agent-id', 'theirs', '--permission', 'web:*', '--out', theirs]
    const made = passgate(['--config', site.config, ...order])
    assert.equal(made.code, 0, made.said)
    const loaded = await AgentCredentials.load(theirs, { extractable: true })
    assert.deepEqual([loaded.agentId, loaded.permissions], ['theirs', ['web:*']])
    await loaded.save(join(folder, 'copy.json'))
    assert.equal(await readFile(join(folder, 'copy.json'), 'utf8'), await readFile(theirs, 'utf8'))
  })

  test('takes chains from here and hands them on, and the other way round', async () => {
    const paths = Object.fromEntries(['chief', 'ours', 'theirs', 'last'].map((name) => [name, join(folder, `chain-${name}.json`)]))
    const chief = await issuer.issuePassport({ agentId: 'chief', permissions: PERMISSIONS, delegations: 3 })
    await chief.save(paths.chief)
    const limits = { spend: { daily_micro_usd: 5_000_000 }, labels: ['pii'] }
    const ours = await chief.delegate({ agentId: 'ours', permissions: ['web:search'], depth: 1, constraints: limits })
    await ours.save(paths.ours)
    const delegate = (parent, agentId, more) => {
      const order = ['passport', 'delegate', '--credentials', paths[parent], '--agent-id', agentId, '--out', paths[agentId]]
      const made = passgate(['--config', site.config, ...order, '--permission', 'web:search', ...more])
      assert.equal(made.code, 0, made.said)
    }
    delegate('chief', 'theirs', ['--delegations', '1', '--spend-daily', '5', '--label', 'pii'])
    delegate('ours', 'last', [])
    const theirs = await AgentCredentials.load(paths.theirs)
    const claims = ({ passport }) => JSON.parse(Buffer.from(passport.split('~')[1].split('.')[1], 'base64url'))
    const fixed = { sub: 0, jti: 0, iat: 0, exp: 0, cnf: 0 }
    assert.equal(JSON.stringify({ ...claims(ours), ...fixed }), JSON.stringify({ ...claims(theirs), ...fixed }))
    const leaf = await theirs.delegate({ agentId: 'leaf', permissions: ['web:search'], extractable: true })
    await leaf.save(join(folder, 'chain-leaf.json'))
    const verifier = new PassportVerifier({ issuers: [{ id: ISSUER_ID, tier: 'L2', keys: [{ jwk: issuer.publicJwk }] }] })
    for (const path of [paths.ours, paths.theirs, paths.last, join(folder, 'chain-leaf.json')]) {
      const shown = passgate(['--config', site.config, 'passport', 'verify', path])
      assert.equal(shown.code, 0, shown.said)
      const report = await verifier.verify((await AgentCredentials.load(path)).passport)
      assert.equal(report.valid, true, report.detail)
      assert.deepEqual(report.constraints, limits)
    }
  })

  test('reads a key that was made here, and the other way round', async () => {
    const path = join(folder, 'key.jwk')
    const made = await SigningKey.generate({ extractable: true })
    await writeFile(path, JSON.stringify(await made.exportJwk()), { mode: 0o600 })
    const shown = passgate(['keys', 'show', path])
    assert.equal(shown.code, 0, shown.said)
    assert.ok(shown.stdout.includes(made.thumbprint), shown.said)
    const theirs = join(folder, 'theirs.jwk')
    assert.equal(passgate(['keys', 'generate', '--out', theirs]).code, 0)
    assert.ok(await SigningKey.fromJwk(JSON.parse(await readFile(theirs, 'utf8'))))
  })

  test('agrees on what can be issued, and so does the verifier', async (context) => {
    const seed = Number(process.env.PASSGATE_SEED ?? Date.now() % 2 ** 31)
    context.diagnostic(`PASSGATE_SEED=${seed}`)
    const chance = chanceOf(seed)
    const registered = { id: ISSUER_ID, tier: 'L2', keys: [{ jwk: issuer.publicJwk }] }
    const verifier = new PassportVerifier({ issuers: [registered], selfIssued: 'any_key', audience: 'gate_local' })
    const counts = { issued: 0, refused: 0 }
    for (let round = 0; round < 150; round += 1) {
      const order = randomOrder(chance)
      const raw = await uncheckedPassport(chance.pick([true, false]), order)
      const report = await verifier.verify(raw.token)
      const ours = await raw.issuer.issuePassport(order).catch((error) => error)
      const shown = JSON.stringify({ order, ours, report }).slice(0, 2000)
      const what = `round ${round} of PASSGATE_SEED=${seed}: ${ours.message ?? ''} ${shown}`
      const issued = ours instanceof AgentCredentials
      assert.ok(issued || ours instanceof PassgateError, what)
      // A passport that begins later is one that can be issued.
      assert.equal(issued, report.valid || report.reasonCode === 'passport_not_yet_valid', what)
      const form = report.checks.find(({ name }) => name === 'form').result
      const inspected = passgate(['passport', 'inspect', '-'], { input: raw.token })
      assert.equal(inspected.code === 0, form === 'passed', `${what}\n${inspected.said}`)
      if (issued) assert.deepEqual(lasting(ours.passport), lasting(raw.token), what)
      counts[issued ? 'issued' : 'refused'] += 1
    }
    context.diagnostic(JSON.stringify(counts))
    assert.ok(counts.issued > 20 && counts.refused > 20, JSON.stringify(counts))
  })

  /** The claims that do not change from one issue to the next. */
  function lasting(passport) {
    const { jti, iat, exp, ...claims } = JSON.parse(Buffer.from(passport.split('.')[1], 'base64url'))
    assert.ok(jti && iat < exp)
    return claims
  }

  /** The passport of an order that nobody looked at, and an issuer with the same key. */
  async function uncheckedPassport(isRegistered, order) {
    const signer = isRegistered ? key : await SigningKey.generate()
    const own = isRegistered ? issuer : await PassportIssuer.fromKey({ key: signer })
    const iat = Math.floor(Date.now() / 1000)
    const { agentId, agentName, audience, delegations, expiresInSeconds, metadata, notBefore, permissions, publicKey } = order
    const { crv, kid, kty, x } = publicKey
    const claims = {
      iss: own.id,
      sub: agentId,
      jti: (await local.issuePassport({ agentId: 'a', permissions: [] })).passportId,
      iat,
      nbf: notBefore,
      exp: iat + expiresInSeconds,
      cnf: { jwk: { crv, kid, kty, x } },
      permissions,
      agent_name: agentName,
      aud: audience,
      trust_tier: order.trustTier,
      status: order.statusList && { status_list: { idx: order.statusList.idx, uri: order.statusList.uri } },
      delegation: delegations === undefined ? undefined : { depth_left: delegations },
      metadata,
    }
    const payload = JSON.stringify(claims)
    const header = JSON.stringify({ alg: 'EdDSA', kid: own.thumbprint, typ: 'passport+jwt' })
    const signed = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.')
    const signature = await signer.sign(new TextEncoder().encode(signed))
    return { issuer: own, token: `${signed}.${Buffer.from(signature).toString('base64url')}` }
  }
})

const PUBLIC_KEY = (await SigningKey.generate()).publicJwk

/** Mostly what can be issued, with one or two members at or beyond a limit. */
function randomOrder(chance) {
  const order = { agentId: 'bot', permissions: ['web:search'], expiresInSeconds: 3600, publicKey: PUBLIC_KEY }
  const nested = (levels) => {
    if (levels === 0) return chance.pick([1, -0.5, 'x', null, true])
    const inner = nested(levels - 1)
    return chance.pick([{ a: inner, '\u{1f600}': 1, '\uffff': 2 }, [inner]])
  }
  const text = (alphabet, ...lengths) =>
    Array.from({ length: chance.pick(lengths) }, () => chance.pick([...alphabet])).join('')
  const times = (count, make) => Array.from({ length: count }, make)
  const segment = () => chance.pick(['*', 'a', 'a.b', text('a0_.-', 1, 63, 64), text('aA *é', 0, 1, 2), text('a', 65)])
  const scope = () => times(chance.pick([1, 2, 4, 7, 8, 9]), segment).join(':')
  const indexes = [0, 1, 2 ** 53 - 1, 2 ** 53, -1, 1.5]
  const scalars = [2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e21, 1e300, 5e-324, '\ud83d', '\u2028']
  const changes = [
    () => ({ agentId: text('a!~Z', 1, 255, 256, 257) }),
    () => ({ agentId: text('a é\u0000\u007f', 0, 1, 2, 3) }),
    () => ({ agentName: text(['a', 'é', '\u{1f600}'], 0, 1, 255, 256, 257) }),
    () => ({ agentName: text(['a', '\u0085', '\u202e', '\u200d', '\u2066', '\ufeff', '\ud800', ' '], 1, 2) }),
    () => ({ permissions: times(chance.pick([0, 1, 3]), scope) }),
    () => ({ permissions: times(chance.pick([255, 256, 257]), () => 'a:*') }),
    () => ({ permissions: [times(4, () => 'a'.repeat(64)).join(':').slice(0, chance.pick([255, 256, 257, 259]))] }),
    () => ({ audience: ['gate_local', ...times(chance.pick([0, 1, 62, 63, 64]), () => text('g_é', 1, 2, 256, 257))] }),
    () => ({ audience: ['gate_local', ...times(chance.pick([0, 1, 62, 63, 64]), () => 'g')] }),
    () => ({ expiresInSeconds: chance.pick([1, 60, 30 * 86_400, 30 * 86_400 + 1, 90 * 86_400]) }),
    () => ({ notBefore: chance.pick([0, 1, 1_700_000_000, -1, 0.5, 2 ** 53]) }),
    () => ({ delegations: chance.pick([0, 1, 5, 6, -1, 0.5]) }),
    () => ({ trustTier: chance.pick(['L1', 'L2']) }),
    () => ({ statusList: { uri: text('a:/é ', 0, 1, 2) || 'u', idx: chance.pick(indexes) } }),
    () => ({ statusList: { uri: text('u', 1023, 1024, 1025), idx: 0 } }),
    () => ({ metadata: chance.pick([{}, [], 'x', { a: { b: [1, 'ü'] } }, { '': 0 }]) }),
    () => ({ metadata: { a: nested(chance.pick([1, 29, 30, 31])) } }),
    () => ({ metadata: { a: chance.pick(scalars) } }),
    () => ({ metadata: { a: 'x'.repeat(11_600 + Math.floor(chance.next() * 400)) } }),
  ]
  return Object.assign(order, ...times(chance.pick([1, 1, 2]), () => chance.pick(changes)()))
}

/** Chance that the seed decides: mulberry32. */
function chanceOf(seed) {
  let state = seed | 0
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { next, pick: (list) => list[Math.floor(next() * list.length)] }
}
