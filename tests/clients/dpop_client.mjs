// DPoP proofs of the npm package dpop, and their verification with jose. PASSGATE_NPM names the folder of both.
//
//   dpop_client.mjs send < {"credentials": {...}, "requests": [{"method", "url", "type", "body", "claims"}]}
//       Sends each request with a proof, which gets more claims where `claims` is true; prints the list of
//       {"status", "problem"}.
//   dpop_client.mjs verify < {"proof": ..., "jwk": public JWK}      prints the claims

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(join(process.env.PASSGATE_NPM, 'x.js'))
const [dpop, jose] = await Promise.all(['dpop', 'jose'].map((name) => import(pathToFileURL(require.resolve(name)))))

const hash = (text) => createHash('sha256').update(text).digest('base64url')

async function keyPair({ crv, d, kty, x }) {
  const read = (jwk, usage) => crypto.subtle.importKey('jwk', jwk, 'Ed25519', true, [usage])
  return { privateKey: await read({ crv, d, kty, x }, 'sign'), publicKey: await read({ crv, kty, x }, 'verify') }
}

/** What docs/spec/dpop.md has beside RFC 9449: query, body and what the body is. */
function claimsOf({ body, type, url }) {
  const { search } = new URL(url)
  return {
    ...(search && { htq: hash(search.slice(1)) }),
    ...(body && { htb: hash(body) }),
    ...(type && { htf: { 'content-type': type } }),
  }
}

async function send({ credentials, requests }) {
  const pair = await keyPair(credentials.private_key)
  const answers = []
  for (const request of requests) {
    const { body, claims, method, type, url } = request
    const more = claims ? claimsOf(request) : undefined
    const proof = await dpop.generateProof(pair, url, method, undefined, credentials.passport, more)
    const headers = { 'agent-passport': credentials.passport, dpop: proof, ...(type && { 'content-type': type }) }
    const answer = await fetch(url, { method, headers, body, redirect: 'manual' })
    const text = await answer.text()
    answers.push({ status: answer.status, problem: answer.ok ? null : JSON.parse(text) })
  }
  return answers
}

async function verify({ jwk, proof }) {
  const options = { algorithms: ['EdDSA', 'Ed25519'], typ: 'dpop+jwt', maxTokenAge: 300 }
  const { payload, protectedHeader } = await jose.jwtVerify(proof, jose.EmbeddedJWK, options)
  const [named, expected] = await Promise.all([protectedHeader.jwk, jwk].map((key) => jose.calculateJwkThumbprint(key)))
  if (named !== expected) throw new Error('signed by another key')
  return payload
}

const job = JSON.parse(readFileSync(0, 'utf8'))
process.stdout.write(JSON.stringify(await { send, verify }[process.argv[2]](job)))
