// What the package does by itself: keys, passports and credentials.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { dist } from './tools.mjs'

const entry = pathToFileURL(join(dist, 'esm', 'index.js')).href
const { AgentCredentials, PassgateError, PassportClient, PassportIssuer, PassportVerifier, SigningKey } = await import(entry)

/** The example of RFC 8037, appendix A.1. */
const SECRET = {
  kty: 'OKP',
  crv: 'Ed25519',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
  d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
}
const ORDER = { agentId: 'bot', permissions: ['web:search'] }
const DAY = 86_400

/** An expectation of a PassgateError with this code. */
const code = (expected) => (error) => {
  assert.ok(error instanceof PassgateError, String(error.stack ?? error))
  assert.equal(error.code, expected, error.message)
  assert.match(error.message, /\.$/, 'a sentence')
  return true
}

const claimsOf = (passport) => JSON.parse(Buffer.from(passport.split('.')[1], 'base64url').toString())

async function issued(options = {}) {
  const issuer = await PassportIssuer.createLocal({ name: 'tests' })
  return issuer.issuePassport({ ...ORDER, ...options })
}

describe('keys', () => {
  test('the example of RFC 8037 has its thumbprint, and signs as it says', async () => {
    const key = await SigningKey.fromJwk(SECRET)
    assert.equal(key.thumbprint, 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
    const signed = 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc'
    const signature = Buffer.from(await key.sign(new TextEncoder().encode(signed))).toString('base64url')
    const expected = 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg'
    assert.equal(signature, expected)
  })

  test('a key that was made cannot be read out unless that was asked for', async () => {
    await assert.rejects((await SigningKey.generate()).exportJwk(), code('key_not_extractable'))
    const key = await SigningKey.generate({ extractable: true })
    assert.deepEqual((await SigningKey.fromJwk(await key.exportJwk())).publicJwk, key.publicJwk)
    await assert.rejects((await SigningKey.fromJwk(SECRET)).exportJwk(), code('key_not_extractable'))
  })

  test('halves of different keys are refused', async () => {
    const other = await (await SigningKey.generate({ extractable: true })).exportJwk()
    const { code: refused } = await SigningKey.fromJwk({ ...SECRET, d: other.d }).catch((error) => error)
    // Some runtimes see it, and others do not.
    assert.match(String(refused), /^key_(mismatch|malformed)$/)
    const pair = () => crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])
    const [one, two] = [await pair(), await pair()]
    const mixed = { privateKey: one.privateKey, publicKey: two.publicKey }
    await assert.rejects(SigningKey.fromKeyPair(mixed), code('key_mismatch'))
    assert.ok(await SigningKey.fromKeyPair(one))
    await assert.rejects(SigningKey.fromKeyPair({ ...mixed, privateKey: two.publicKey }), code('key_malformed'))
  })

  test('private JWKs that are none are refused without being quoted', async () => {
    const changes = [
      ...[{ kty: 'EC' }, { crv: 'X25519' }, { d: 'short' }, { d: undefined }, { x: `${SECRET.x}=` }],
      ...[{ alg: 'ES256' }, { use: 'enc' }, { key_ops: ['verify'] }, { kid: 'mine' }],
    ]
    for (const change of changes) {
      await assert.rejects(SigningKey.fromJwk({ ...SECRET, ...change }), (error) => {
        assert.ok(!error.message.includes(SECRET.d))
        return code('key_malformed')(error)
      }, JSON.stringify(change))
    }
  })

  test('unusable public keys are refused', async () => {
    const issuer = await PassportIssuer.createLocal()
    for (const x of ['', 'AAAA', `${SECRET.x}A`, SECRET.x.slice(1), '*'.repeat(43)]) {
      const publicKey = { kty: 'OKP', crv: 'Ed25519', x }
      await assert.rejects(issuer.issuePassport({ ...ORDER, publicKey }), code('key_malformed'), x)
    }
    await assert.rejects(issuer.issuePassport({ ...ORDER, publicKey: SECRET }), code('key_private'))
    // Bits beyond the last byte: another spelling of the same key.
    const spelled = { kty: 'OKP', crv: 'Ed25519', x: `${SECRET.x.slice(0, -1)}p` }
    await assert.rejects(issuer.issuePassport({ ...ORDER, publicKey: spelled }), code('key_malformed'))
  })

  test('a signer of your own signs passports and requests', async () => {
    const inner = await SigningKey.fromJwk(SECRET)
    let calls = 0
    const kms = {
      publicJwk: { kty: 'OKP', crv: 'Ed25519', x: SECRET.x },
      thumbprint: inner.thumbprint,
      sign: (bytes) => ((calls += 1), inner.sign(bytes)),
    }
    const issuer = await PassportIssuer.fromKey({ key: kms })
    const credentials = await issuer.issuePassport({ ...ORDER, signer: kms })
    await new PassportClient(credentials).sign('https://tools.example/')
    assert.equal(calls, 2)
    await assert.rejects(credentials.export(), code('key_not_extractable'))
    await assert.rejects(PassportIssuer.fromKey({ key: { ...kms, thumbprint: 'mine' } }), code('key_mismatch'))
    const broken = await PassportIssuer.fromKey({ key: { ...kms, sign: async () => new Uint8Array(63) } })
    await assert.rejects(broken.issuePassport(ORDER), code('signature_failed'))
  })

  test('a runtime without Ed25519 is told so', () => {
    const source = `
      crypto.subtle.generateKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'))
      const { PassportIssuer } = await import(${JSON.stringify(entry)})
      process.stdout.write(await PassportIssuer.createLocal().then(() => 'made', (error) => error.code))`
    assert.equal(run(source), 'ed25519_unsupported')
  })

  test('WebCrypto of a module does, as in Node 18', () => {
    const source = `
      delete globalThis.crypto
      process.getBuiltinModule = undefined
      const { PassportIssuer } = await import(${JSON.stringify(entry)})
      const issuer = await PassportIssuer.createLocal()
      const { passportId } = await issuer.issuePassport({ agentId: 'a', permissions: [] })
      process.stdout.write(passportId.slice(0, 5))`
    assert.equal(run(source), 'pass_')
  })

  function run(source) {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
    assert.equal(stderr, '')
    return stdout
  }
})

describe('passports', () => {
  test('claims stand in the order of the other implementations', async () => {
    const issuer = await PassportIssuer.fromKey({ id: 'https://issuer.example', key: SECRET })
    const credentials = await issuer.issuePassport({
      agentId: 'bot',
      agentName: 'Bö',
      permissions: ['web:search', 'payments:*'],
      expiresInDays: 90,
      notBefore: 1,
      audience: 'gate_local',
      trustTier: 'L2',
      metadata: { b: [{ d: 1.5, c: null }], '\uffff': 1, '\u{1f600}': 2, a: '"', skipped: undefined },
      statusList: { uri: 'https://issuer.example/list', idx: 7 },
    })
    const [header, payload] = credentials.passport.split('.').map((part) => Buffer.from(part, 'base64url').toString())
    assert.equal(header, `{"alg":"EdDSA","kid":"${issuer.thumbprint}","typ":"passport+jwt"}`)
    const { cnf, exp, iat, jti } = JSON.parse(payload)
    assert.match(jti, /^pass_[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
    assert.equal(exp - iat, 90 * DAY)
    assert.equal(
      payload,
      `{"iss":"https://issuer.example","sub":"bot","jti":"${jti}","iat":${iat},"nbf":1,"exp":${exp},` +
        `"cnf":{"jwk":{"crv":"Ed25519","kid":"${cnf.jwk.kid}","kty":"OKP","x":"${cnf.jwk.x}"}},` +
        '"permissions":["web:search","payments:*"],"agent_name":"Bö","aud":["gate_local"],"trust_tier":"L2",' +
        '"status":{"status_list":{"idx":7,"uri":"https://issuer.example/list"}},' +
        '"metadata":{"a":"\\"","b":[{"c":null,"d":1.5}],"\uffff":1,"\u{1f600}":2}}',
    )
    assert.equal(credentials.signer.thumbprint, cnf.jwk.kid)
  })

  test('ids are in the order of time and never the same', async () => {
    const issuer = await PassportIssuer.createLocal()
    const ids = []
    for (let count = 0; count < 20; count += 1) ids.push((await issuer.issuePassport(ORDER)).passportId)
    assert.equal(new Set(ids).size, 20)
    const times = ids.map((id) => id.slice(0, 15))
    assert.deepEqual(times, [...times].sort())
  })

  test('an id begins with the milliseconds of its issue', async () => {
    const { passport, passportId } = await issued()
    const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
    const ms = [...passportId.slice(5, 15)].reduce((time, digit) => time * 32 + digits.indexOf(digit), 0)
    assert.equal(Math.floor(ms / 1000), claimsOf(passport).iat)
  })

  test('a local issuer is the did:key of its key', async () => {
    // The first Ed25519 example of the did:key method: the seed of 32 zero bytes.
    const x = 'O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik'
    const issuer = await PassportIssuer.fromKey({ key: { kty: 'OKP', crv: 'Ed25519', x, d: 'A'.repeat(43) } })
    assert.equal(issuer.id, 'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp')
    assert.ok(issuer.selfIssued)
    const id = (await PassportIssuer.createLocal()).id
    await assert.rejects(PassportIssuer.fromKey({ id, key: SECRET }), code('issuer_mismatch'))
  })

  test('an agent that keeps its key gets credentials without one', async () => {
    const key = await SigningKey.generate()
    const credentials = await issued({ publicKey: key.publicJwk })
    assert.equal(credentials.signer, null)
    assert.ok(!('private_key' in (await credentials.export())))
    assert.throws(() => new PassportClient(credentials), code('key_missing'))
    const joined = await AgentCredentials.of(credentials.passport, key)
    assert.ok(new PassportClient(joined))
    const other = await SigningKey.generate()
    await assert.rejects(AgentCredentials.of(credentials.passport, other), code('key_mismatch'))
  })

  const nested = (levels) => (levels === 0 ? 1 : { a: nested(levels - 1) })
  const within = {
    'an id of 256 characters': { agentId: 'a'.repeat(256) },
    'no permissions': { permissions: [] },
    '256 permissions': { permissions: Array.from({ length: 256 }, (_, at) => `a:${at}`) },
    'a scope of 8 segments': { permissions: ['a:b:*:d:e:f:g:*'] },
    'a segment of 64': { permissions: ['a'.repeat(64)] },
    '30 days': { expiresInDays: 30 },
    'half a day': { expiresInDays: 0.5 },
    'a second': { expiresInSeconds: 1 },
    '64 audiences': { audience: Array.from({ length: 64 }, (_, at) => `gate_${at}`) },
    'a name of 256 characters': { agentName: '\u{1f600}'.repeat(256) },
    'a list of 1024 characters': { statusList: { uri: 'u'.repeat(1024), idx: 2 ** 53 - 1 } },
    'metadata of 31 levels': { metadata: nested(31) },
    'metadata with a large number': { metadata: { a: 1e300, b: -(2 ** 53 - 1) } },
    'tier L1': { trustTier: 'L1' },
  }
  for (const [name, change] of Object.entries(within)) {
    test(`accepted: ${name}`, async () => {
      assert.equal((await issued(change)).agentId, change.agentId ?? 'bot')
    })
  }

  const scopes = [
    ...['', 'A', 'a:', ':a', 'a::b', 'a*', '**', 'a b', 'a\n', 'ä', 'a'.repeat(65), 'a:b:c:d:e:f:g:h:i'],
    Array.from({ length: 5 }, () => 'a'.repeat(63)).join(':'),
  ]
  const beyond = {
    'no agent': ['claim_invalid', { agentId: undefined }],
    'an empty id': ['claim_invalid', { agentId: '' }],
    'an id of 257 characters': ['claim_invalid', { agentId: 'a'.repeat(257) }],
    'an id with a blank': ['claim_invalid', { agentId: 'a b' }],
    'an id with a line end': ['claim_invalid', { agentId: 'a\n' }],
    'an id that is not ASCII': ['claim_invalid', { agentId: 'ä' }],
    'permissions that are a text': ['claim_invalid', { permissions: 'web:search' }],
    '257 permissions': ['claim_invalid', { permissions: Array.from({ length: 257 }, () => 'a') }],
    'a hole in the permissions': ['claim_invalid', { permissions: new Array(1) }],
    ...Object.fromEntries(
      scopes.map((scope) => [
        `the scope ${JSON.stringify(scope.slice(0, 20))}`,
        ['claim_invalid', { permissions: [scope] }],
      ]),
    ),
    'an empty audience list': ['claim_invalid', { audience: [] }],
    '65 audiences': ['claim_invalid', { audience: Array.from({ length: 65 }, () => 'a') }],
    'an audience with a blank': ['claim_invalid', { audience: 'a b' }],
    'an empty name': ['claim_invalid', { agentName: '' }],
    'a name of 257 characters': ['claim_invalid', { agentName: 'ä'.repeat(257) }],
    'a name that turns the text around': ['claim_invalid', { agentName: 'a\u202eb' }],
    'a name with half a character': ['claim_invalid', { agentName: 'a\ud800' }],
    'an index below zero': ['claim_invalid', { statusList: { uri: 'u', idx: -1 } }],
    'a list without a URI': ['claim_invalid', { statusList: { idx: 1 } }],
    'a list of 1025 characters': ['claim_invalid', { statusList: { uri: 'u'.repeat(1025), idx: 1 } }],
    'metadata that is a list': ['claim_invalid', { metadata: [] }],
    'metadata of 32 levels': ['claim_invalid', { metadata: nested(32) }],
    'metadata with a date': ['claim_invalid', { metadata: { a: new Date() } }],
    'metadata with a function': ['claim_invalid', { metadata: { a: () => 1 } }],
    'metadata with NaN': ['claim_invalid', { metadata: { a: NaN } }],
    'metadata with 2^53': ['claim_invalid', { metadata: { a: 2 ** 53 } }],
    'metadata with a bigint': ['claim_invalid', { metadata: { a: 1n } }],
    'metadata with half a character': ['claim_invalid', { metadata: { '\udc00': 1 } }],
    'a beginning after the end': ['claim_invalid', { notBefore: 2 ** 50 }],
    'a beginning that is a fraction': ['claim_invalid', { notBefore: 1.5 }],
    'no time at all': ['claim_invalid', { expiresInSeconds: 0 }],
    'half a second': ['claim_invalid', { expiresInSeconds: 0.5 }],
    'an endless time': ['claim_invalid', { expiresInDays: Infinity }],
    'a day more than 30': ['passport_lifetime_exceeded', { expiresInDays: 31 }],
    'a second more than 30 days': ['passport_lifetime_exceeded', { expiresInSeconds: 30 * DAY + 1 }],
    'two ends': ['option_invalid', { expiresInDays: 1, expiresInSeconds: 1 }],
    'tier L2': ['tier_mismatch', { trustTier: 'L2' }],
    'a tier that is none': ['claim_invalid', { trustTier: 'L4' }],
    'more than 16 KiB': ['passport_too_large', { metadata: { a: 'a'.repeat(12_000) } }],
    'a misspelt option': ['option_invalid', { audiences: ['a'] }],
    'a key and a signer': ['option_invalid', { publicKey: {}, signer: {} }],
  }
  for (const [name, [expected, change]] of Object.entries(beyond)) {
    test(`refused: ${name}`, () => assert.rejects(issued(change), code(expected)))
  }
})

describe('handing on', () => {
  const verifier = new PassportVerifier({ selfIssued: 'any_key' })
  const broader = { delegations: 2, permissions: ['web:*', 'mail:read'] }

  test('makes a narrower passport, offline, with keys that nothing can read', async () => {
    const parent = await issued({ ...broader, extractable: false })
    const constraints = { spend: { daily_micro_usd: 5 }, labels: ['b', 'a'], context: { region: 'eu' } }
    const child = await parent.delegate({
      agentId: 'worker', permissions: ['web:*'], ttlSeconds: 600, constraints, depth: 1, extractable: false,
    })
    assert.deepEqual([child.agentId, child.permissions], ['worker', ['web:*']])
    await assert.rejects(child.export(), code('key_not_extractable'))
    const leaf = await child.delegate({ agentId: 'helper', agentName: 'Helper', permissions: ['web:search'], ttlSeconds: 60 })
    assert.equal(leaf.passport.split('~').length, 3)
    assert.ok(leaf.passport.startsWith(`${child.passport}~`))
    const report = await verifier.verify(leaf.passport)
    assert.equal(report.valid, true, report.detail)
    assert.deepEqual([report.failedLink, report.trustTier], [null, 'L1'])
    assert.deepEqual(report.constraints, { spend: { daily_micro_usd: 5 }, context: { region: ['eu'] }, labels: ['a', 'b'] })
    assert.deepEqual(report.passport.delegatedBy.map(({ agentId }) => agentId), ['bot', 'worker'])
    assert.equal(report.passport.keyThumbprint, leaf.signer.thumbprint)
  })

  test('gives what is not said from the parent, and never outlives it', async () => {
    const parent = await issued({ delegations: 1, expiresInSeconds: 120 })
    const child = await parent.delegate({ agentId: 'helper', permissions: ['web:search'] })
    assert.deepEqual(child.expiresAt, parent.expiresAt)
    const { delegation } = claimsOf(child.passport.split('~')[1])
    assert.equal(delegation.depth_left, 0)
    const long = await issued({ delegations: 1 })
    const { iat, exp } = claimsOf((await long.delegate({ agentId: 'helper', permissions: [] })).passport.split('~')[1])
    assert.equal(exp - iat, 3600)
  })

  test('binds it to a key that the sub-agent keeps', async () => {
    const parent = await issued(broader)
    const own = await SigningKey.generate()
    const order = { agentId: 'helper', permissions: ['web:search'] }
    const child = await parent.delegate({ ...order, publicKey: own.publicJwk })
    assert.equal(child.signer, null)
    assert.equal((await AgentCredentials.of(child.passport, own)).signer, own)
    await assert.rejects(child.delegate(order), code('key_missing'))
    assert.equal((await parent.delegate({ ...order, signer: own })).signer, own)
    await assert.rejects(parent.delegate({ ...order, signer: own, publicKey: own.publicJwk }), code('option_invalid'))
  })

  test('refuses with its code what no verifier would accept', async () => {
    const parent = await issued(broader)
    const order = { agentId: 'helper', permissions: ['web:search'] }
    for (const [change, expected] of [
      [{ permissions: ['*'] }, 'delegation_widens_scope'],
      [{ agentId: 'bot' }, 'delegation_self'],
      [{ publicKey: parent.signer.publicJwk }, 'delegation_self'],
      [{ depth: 2 }, 'delegation_depth'],
      [{ depth: 5 }, 'passport_malformed'],
      [{ ttlSeconds: 59 }, 'delegation_lifetime'],
      [{ ttlSeconds: DAY + 1 }, 'delegation_lifetime'],
      [{ ttlSeconds: 60.5 }, 'claim_invalid'],
      [{ permissions: ['No Scope'] }, 'claim_invalid'],
      [{ constraints: { spent: {} } }, 'claim_invalid'],
      [{ constraints: {} }, 'claim_invalid'],
      [{ ttl: 60 }, 'option_invalid'],
    ]) {
      const what = JSON.stringify(change)
      await assert.rejects(parent.delegate({ ...order, ...change }), code(expected), what)
    }
    const capped = await parent.delegate({ ...order, depth: 1, constraints: { rate: { requests_per_minute: 5 } } })
    const wider = { ...order, agentId: 'third', constraints: { rate: { requests_per_minute: 6 } } }
    await assert.rejects(capped.delegate(wider), code('delegation_widens_rate'))
    const alone = await issued()
    await assert.rejects(alone.delegate(order), code('delegation_depth'))
    await assert.rejects(issued({ delegations: 6 }), code('claim_invalid'))
  })

  test('a passport that has ended, or was changed, is not handed on', async (context) => {
    const parent = await issued({ ...broader, expiresInSeconds: 120 })
    const order = { agentId: 'helper', permissions: ['web:search'], depth: 1 }
    const child = await parent.delegate(order)
    const [root, link] = child.passport.split('~')
    const forged = await AgentCredentials.of(`${root}~${link.replace(/.{4}$/, 'AAAA')}`, child.signer)
    await assert.rejects(forged.delegate({ ...order, agentId: 'third', depth: 0 }), code('delegation_signature_invalid'))
    context.mock.timers.enable({ apis: ['Date'], now: Date.now() + 121_000 })
    await assert.rejects(parent.delegate(order), code('passport_expired'))
  })

  test('a credentials file may hold a chain', async () => {
    const parent = await issued(broader)
    const child = await parent.delegate({ agentId: 'helper', permissions: ['web:search'], extractable: true })
    const document = await child.export()
    assert.deepEqual([document.agent_id, document.passport], ['helper', child.passport])
    const read = await AgentCredentials.parse(JSON.stringify(document))
    assert.deepEqual([read.passport, read.passportId], [child.passport, child.passportId])
    const { headers } = await new PassportClient(read).sign('https://a.example/')
    assert.equal(headers.get('agent-passport'), child.passport)
    await assert.rejects(AgentCredentials.of(child.passport, parent.signer), code('key_mismatch'))
    for (const broken of [`${child.passport}~`, `~${child.passport}`, Array(7).fill(child.passport.split('~')[0]).join('~')]) {
      await assert.rejects(AgentCredentials.of(broken), code('passport_malformed'))
    }
  })
})

describe('credentials', () => {
  let folder
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'passgate-sdk-'))
  })
  after(() => rm(folder, { recursive: true }))

  test('a file is for its owner alone, and is read back', async () => {
    const path = join(folder, 'agents', 'bot.json')
    const credentials = await issued()
    await credentials.save(path)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal((await stat(join(folder, 'agents'))).mode & 0o777, 0o700)
    assert.deepEqual(await readdir(join(folder, 'agents')), ['bot.json'])
    const read = await AgentCredentials.load(path)
    assert.equal(read.passport, credentials.passport)
    assert.deepEqual(read.signer.publicJwk, credentials.signer.publicJwk)
    assert.deepEqual(read.permissions, ['web:search'])
    assert.equal(read.expiresAt.getTime(), claimsOf(read.passport).exp * 1000)
    await assert.rejects(read.save(join(folder, 'again.json')), code('key_not_extractable'))
    const open = await AgentCredentials.load(path, { extractable: true })
    assert.deepEqual(await open.export(), JSON.parse(await readFile(path, 'utf8')))
  })

  test('a file that is there stays, unless it may be replaced', async () => {
    const path = join(folder, 'kept.json')
    await writeFile(path, 'precious')
    const credentials = await issued()
    await assert.rejects(credentials.save(path), code('file_exists'))
    assert.equal(await readFile(path, 'utf8'), 'precious')
    await credentials.save(path, { overwrite: true })
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal((await AgentCredentials.load(path)).agentId, 'bot')
    assert.deepEqual((await readdir(folder)).filter((name) => name.endsWith('.tmp')), [])
  })

  test('a file that others can read is refused', async () => {
    const path = join(folder, 'exposed.json')
    await (await issued()).save(path)
    await chmod(path, 0o640)
    await assert.rejects(AgentCredentials.load(path), code('file_exposed'))
  })

  test('passports in another spelling are refused', async () => {
    const { passport } = await issued()
    assert.ok(await AgentCredentials.of(passport))
    for (const other of [`${passport}AAA`, `${passport}=`, `${passport}.`, ` ${passport}`, passport.replace('.', '')]) {
      await assert.rejects(AgentCredentials.of(other), code('passport_malformed'))
    }
  })

  test('files that are no credentials are refused', async () => {
    const path = join(folder, 'bad.json')
    await assert.rejects(AgentCredentials.load(join(folder, 'none.json')), code('file_missing'))
    await assert.rejects(AgentCredentials.load(folder), code('file_failed'))
    for (const [text, expected] of [
      ['x'.repeat(64 * 1024 + 1), 'file_too_long'],
      [Buffer.from([0xff]), 'credentials_malformed'],
      [`{"private_key":{"d":"${SECRET.d}"`, 'credentials_malformed'],
      ['[]', 'credentials_malformed'],
      ['{"schema_version":2,"passport":"a.b.c"}', 'credentials_malformed'],
      ['{"schema_version":1}', 'credentials_malformed'],
      ['{"schema_version":1,"passport":"a.b.c"}', 'passport_malformed'],
    ]) {
      await writeFile(path, text, { mode: 0o600 })
      await assert.rejects(AgentCredentials.load(path), (error) => {
        assert.ok(!inspect(error, { depth: null }).includes(SECRET.d))
        return code(expected)(error)
      })
    }
  })

  test('without files there is an error, and none at import', () => {
    const source = `
      Object.defineProperty(process, 'versions', { value: {} })
      const { AgentCredentials } = await import(${JSON.stringify(entry)})
      process.stdout.write(await AgentCredentials.load('x').catch((error) => error.code))`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
    assert.equal(stdout, 'files_unavailable')
    return assert.rejects(AgentCredentials.restore('x'), code('storage_unavailable'))
  })

  test('logs and JSON show neither key nor passport', async () => {
    const issuer = await PassportIssuer.fromKey({ key: SECRET })
    const made = await issuer.issuePassport({ ...ORDER, extractable: true })
    const document = await made.export()
    assert.ok(document.private_key.d)
    const credentials = await AgentCredentials.parse(document, { extractable: true })
    for (const subject of [credentials, credentials.signer, new PassportClient(credentials), issuer]) {
      for (const text of [JSON.stringify(subject), inspect(subject, { depth: null, showHidden: true }), `${subject}`]) {
        assert.ok(!text.includes(document.private_key.d) && !text.includes(SECRET.d), text)
        assert.ok(!text.includes(document.passport), text)
      }
    }
    assert.equal(JSON.parse(JSON.stringify(credentials)).agentId, 'bot')
  })

  test('the end is near, or not', async () => {
    const credentials = await issued({ expiresInDays: 7 })
    assert.ok(credentials.expiresWithin({ days: 7 }))
    assert.ok(credentials.expiresWithin({ days: 6, hours: 23, minutes: 59, seconds: 60 }))
    assert.ok(!credentials.expiresWithin({ days: 6, hours: 23 }))
    assert.ok(!credentials.expiresWithin({}))
    for (const span of [{ weeks: 1 }, { days: -1 }, { days: NaN }, { days: '1' }]) {
      assert.throws(() => credentials.expiresWithin(span), code('option_invalid'))
    }
  })
})
