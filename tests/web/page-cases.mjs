// Keys, passports, attestations and exports for the tests of the verify page, made with node:crypto alone.

import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto'

const encode = (value) => Buffer.from(value).toString('base64url')
const sha256 = (text) => `sha256:${createHash('sha256').update(text).digest('hex')}`

/** The seed of a key stands in its PKCS #8 form after this. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** A key pair that is the same in every run. */
export function keyPair(name) {
  const seed = createHash('sha256').update(`verify page ${name}`).digest()
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
  const { kty, crv, x } = createPublicKey(privateKey).export({ format: 'jwk' })
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
  return { privateKey, kid, jwk: { kty, crv, x }, privateJwk: { kty, crv, x, d: encode(seed) } }
}

export function token(key, typ, payload) {
  const header = encode(JSON.stringify({ alg: 'EdDSA', kid: key.kid, typ }))
  const input = `${header}.${encode(typeof payload === 'string' ? payload : JSON.stringify(payload))}`
  return `${input}.${encode(sign(null, Buffer.from(input), key.privateKey))}`
}

export const ISSUER = 'https://issuer.example'
export const issuer = keyPair('issuer')
export const other = keyPair('somebody else')
export const agent = keyPair('agent')
export const helper = keyPair('helper')
export const gate = keyPair('gate')

/** The moment of every check that is not about the present: 2026-11-21 12:00:00 UTC. */
export const NOW = Date.UTC(2026, 10, 21, 12) / 1000

export const claims = (changes = {}) => ({
  iss: ISSUER, sub: 'research-bot', jti: 'pass_01JD7Q8ZKB6V4T5N3M2P1R0S9X', iat: NOW - 3600, exp: NOW + 12 * 86_400,
  cnf: { jwk: agent.jwk }, permissions: ['web:search', 'payments:create', 'files:*:read'], agent_name: 'Research Bot',
  aud: 'tools-gate', trust_tier: 'L2', metadata: { team: 'research', cost_center: 4711 }, ...changes,
})
export const passport = (changes, key = issuer) => token(key, 'passport+jwt', claims(changes))

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** The `did:key` of a key (its multicodec prefix is ed 01). */
export function didKey({ jwk }) {
  let number = BigInt(`0xed01${Buffer.from(jwk.x, 'base64url').toString('hex')}`)
  let text = ''
  for (; number > 0n; number /= 58n) text = BASE58[Number(number % 58n)] + text
  return `did:key:z${text}`
}

/** The chain with one more passport, signed by the key of the last agent. */
export function handedOn(chain, key, changes = {}) {
  const passports = chain.split('~')
  const [root, parent] = [passports[0], passports.at(-1)].map((passport) =>
    JSON.parse(Buffer.from(passport.split('.')[1], 'base64url').toString()))
  const delegation = {
    parent: parent.jti, parent_sha256: sha256(passports.at(-1)), root_issuer: root.iss, spawned_by: parent.sub,
    depth_left: parent.delegation.depth_left - 1,
  }
  const made = {
    iss: didKey(key), sub: 'helper-bot', jti: 'pass_01JD7Q8ZKB6V4T5N3M2P1R0S9Y', iat: NOW - 60, exp: NOW + 3600,
    cnf: { jwk: helper.jwk }, permissions: ['web:search'], delegation, ...changes,
  }
  return `${chain}~${token(key, 'passport+jwt', made)}`
}

/** A passport that was handed on once, with limits of both agents. */
export const chain = (changes = {}) => {
  const constraints = { spend: { daily_micro_usd: 5_000_000 }, labels: ['pii'] }
  const root = passport({ delegation: { depth_left: 2 }, constraints })
  return handedOn(root, agent, { constraints: { spend: { daily_micro_usd: 2_500_000 } }, ...changes })
}

export const jwks = (...keys) => JSON.stringify({ keys: keys.map((key) => key.jwk) })
export const issuers = (...keys) =>
  JSON.stringify({ issuers: [{ id: ISSUER, tier: 'L2', keys: keys.map(({ jwk }) => ({ jwk })) }] }, null, 2)

/** A token with one character of its payload changed. */
export function changed(jws) {
  const [header, payload, signature] = jws.split('.')
  const text = Buffer.from(payload, 'base64url').toString().replace('web:search', 'web:delete')
  return [header, encode(text), signature].join('.')
}

const canonical = (value) => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`
}

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const ulid = (number) => {
  let text = ''
  for (let rest = number, i = 0; i < 10; i += 1, rest = Math.floor(rest / 32)) text = CROCKFORD[rest % 32] + text
  return `01JD7Q8ZKB6V4T5N${text}`
}
const CHAIN = '01JD7Q8ZKB6V4T5N3M2P1R0S9Y'

const DECISIONS = ['allow', 'allow', 'allow', 'deny', 'allow', 'step_up']

/** The record at a place of a chain. */
export function record(seq, prev, changes = {}) {
  const timestamp = new Date((NOW + seq * 2) * 1000).toISOString()
  const place = { attestation_id: `att_${ulid(seq)}`, chain_uid: CHAIN, seq, timestamp }
  const base = { ...place, gate: { gate_id: 'tools-gate', level: 'L2' } }
  if (seq === 0) return { ...base, kind: 'chain_start' }
  const decision = DECISIONS[(seq * 7 + Math.floor(seq / 100)) % DECISIONS.length]
  const why = decision === 'deny' ? 'rate_limit_exceeded' : 'approval_required'
  const reason = decision === 'allow' ? {} : { reason_code: why }
  const request = { action: 'web:search', method: 'GET', path: '/search' }
  return { ...base, prev, kind: 'decision', decision, ...reason, request, ...changes }
}

/**
 * An export of `count` records as text, with what is wrong in it.
 *
 * `tampered` changes the record with that number after it was signed. `removed` leaves it out. `partial` makes the
 * whole an excerpt, as a filter does.
 */
export function ledger(count, { tampered = -1, removed = -1, partial = false, key = gate } = {}) {
  const lines = []
  const everything = createHash('sha256')
  let prev
  let records = 0
  for (let seq = 0; seq < count; seq += 1) {
    const jws = token(key, 'attestation+jwt', canonical(record(seq, prev)))
    prev = sha256(jws)
    everything.update(`${jws}\n`)
    records += 1
    if (seq !== removed) lines.push(`{"jws":"${seq === tampered ? forge(jws) : jws}"}\n`)
  }
  const head = {
    chains: partial ? [] : [{ chain_uid: CHAIN, head_sha256: prev, size: count }],
    gate_id: 'tools-gate', partial, records,
    records_sha256: `sha256:${everything.digest('hex')}`, timestamp: new Date((NOW + 2 * count) * 1000).toISOString(),
  }
  lines.push(`{"head":"${token(key, 'ledger-head+jwt', canonical(head))}"}\n`)
  return lines.join('')
}

function forge(jws) {
  const [header, payload, signature] = jws.split('.')
  const text = Buffer.from(payload, 'base64url').toString()
  const forged = { ...JSON.parse(text), decision: 'allow', timestamp: '2026-01-01T00:00:00.000Z' }
  return [header, encode(canonical(forged)), signature].join('.')
}

export const attestationId = (seq) => `att_${ulid(seq)}`

/** An attestation as `GET /v1/attestations/…` shows it. */
export function restView(jws, changes = {}) {
  const payload = JSON.parse(Buffer.from(jws.split('.')[1], 'base64url').toString())
  const signature = { algorithm: 'EdDSA', kid: gate.kid, value: jws.split('.')[2] }
  return JSON.stringify({ ...payload, signature, jws, chain_hash: sha256(jws), ...changes }, null, 2)
}

export const attestation = (changes) =>
  token(gate, 'attestation+jwt', canonical(record(3, `sha256:${'0'.repeat(64)}`, changes)))
