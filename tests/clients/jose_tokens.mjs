// Reads and makes tokens with the npm package jose, whose folder PASSGATE_JOSE names.
//
//   jose_tokens.mjs verify TYP < {"token": ..., "jwks": {"keys": [...]}}     prints the payload
//   jose_tokens.mjs sign TYP ALG < {"key": private JWK, "claims": {...}}     prints the token
//   jose_tokens.mjs generate                                                 prints a new private JWK

import { pathToFileURL } from 'node:url'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const entry = join(process.env.PASSGATE_JOSE, 'dist', 'webapi', 'index.js')
const jose = await import(pathToFileURL(entry))

async function verify([typ], job) {
  const keys = jose.createLocalJWKSet(job.jwks)
  const { payload, protectedHeader } = await jose.compactVerify(job.token, keys, { algorithms: ['EdDSA', 'Ed25519'] })
  if (protectedHeader.typ !== typ) throw new Error(`typ is ${protectedHeader.typ}`)
  return new TextDecoder().decode(payload)
}

async function sign([typ, alg], job) {
  const kid = await jose.calculateJwkThumbprint(job.key)
  const key = await jose.importJWK(job.key, alg)
  return new jose.SignJWT(job.claims).setProtectedHeader({ alg, typ, kid }).sign(key)
}

async function generate() {
  const { privateKey } = await jose.generateKeyPair('EdDSA', { extractable: true })
  return JSON.stringify(await jose.exportJWK(privateKey))
}

const [verb, ...args] = process.argv.slice(2)
const job = verb === 'generate' ? undefined : JSON.parse(readFileSync(0, 'utf8'))
process.stdout.write(await { verify, sign, generate }[verb](args, job))
