// An agent of its own making: the passport with the npm package jose (its folder in PASSGATE_JOSE), the proof with
// WebCrypto (RFC 9421, RFC 9530), the requests with fetch.
//
// Reads one JSON object from standard input:
//
//   {"issuer": URL, "issuer_key": private JWK, "agent_id": ..., "permissions": [...],
//    "calls": [{"method": "GET", "url": "...", "body": null}]}
//
// Writes a list of {"status", "decision", "body"}.

import { pathToFileURL } from 'node:url'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const jose = await import(pathToFileURL(join(process.env.PASSGATE_JOSE, 'dist', 'webapi', 'index.js')))
const { subtle } = globalThis.crypto
const text = new TextEncoder()
const base64 = (bytes) => Buffer.from(bytes).toString('base64')

/** A new `pass_` id: 26 digits of Crockford's base 32, the time first. */
function passportId() {
  const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
  const random = globalThis.crypto.getRandomValues(new Uint8Array(16))
  let time = Date.now()
  let id = ''
  for (let at = 0; at < 10; at += 1) {
    id = digits[time % 32] + id
    time = Math.floor(time / 32)
  }
  return `pass_${id}${[...random].map((byte) => digits[byte % 32]).join('')}`
}

async function passport(job, jwk) {
  const key = await jose.importJWK(job.issuer_key, 'EdDSA')
  const kid = await jose.calculateJwkThumbprint(job.issuer_key)
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: job.issuer,
    sub: job.agent_id,
    jti: passportId(),
    iat: now - 10,
    nbf: now - 10,
    exp: now + 3600,
    cnf: { jwk },
    permissions: job.permissions,
  }
  return new jose.SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', typ: 'passport+jwt', kid }).sign(key)
}

/** Signs one request by RFC 9421, section 2.5. */
async function sign(call, token, pair, keyid) {
  const headers = { 'agent-passport': token }
  if (call.body !== null) {
    headers['content-type'] = 'application/json'
    headers['content-digest'] = `sha-256=:${base64(await subtle.digest('SHA-256', text.encode(call.body)))}:`
  }
  const covered = ['@method', '@target-uri', ...Object.keys(headers)]
  const value = { '@method': call.method, '@target-uri': call.url, ...headers }
  const created = Math.floor(Date.now() / 1000)
  const nonce = globalThis.crypto.randomUUID()
  const names = covered.map((name) => `"${name}"`).join(' ')
  const params = `(${names});created=${created};keyid="${keyid}";nonce="${nonce}";alg="ed25519";tag="passgate"`
  const lines = covered.map((name) => `"${name}": ${value[name]}`)
  const base = [...lines, `"@signature-params": ${params}`].join('\n')
  const signature = await subtle.sign('Ed25519', pair.privateKey, text.encode(base))
  return { ...headers, 'signature-input': `sig1=${params}`, signature: `sig1=:${base64(signature)}:` }
}

const job = JSON.parse(readFileSync(0, 'utf8'))
const pair = await subtle.generateKey('Ed25519', true, ['sign', 'verify'])
const { kty, crv, x } = await subtle.exportKey('jwk', pair.publicKey)
const token = await passport(job, { kty, crv, x })
const keyid = await jose.calculateJwkThumbprint({ kty, crv, x })
const answers = []
for (const call of job.calls) {
  const headers = await sign(call, token, pair, keyid)
  const body = call.body === null ? undefined : call.body
  const answer = await fetch(call.url, { method: call.method, headers, body, redirect: 'manual' })
  answers.push({
    status: answer.status,
    decision: answer.headers.get('passgate-decision'),
    body: await answer.text(),
  })
}
process.stdout.write(JSON.stringify(answers))
