// Reads and makes tokens with the npm package jose, whose folder PASSGATE_JOSE names.
//
//   jose_tokens.mjs verify TYP < {"token": ..., "jwks": {"keys": [...]}}     prints the payload
//   jose_tokens.mjs sign TYP ALG < {"key": private JWK, "claims": {...}}     prints the token
//   jose_tokens.mjs generate                                                 prints a new private JWK
//   jose_tokens.mjs generate-encryption                                      prints a new private X25519 JWK
//   jose_tokens.mjs decrypt < {"key": private JWK, "tokens": [...]}          prints the texts, as a JSON array

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

async function generateEncryption() {
  const { privateKey } = await jose.generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true })
  return JSON.stringify(await jose.exportJWK(privateKey))
}

async function decrypt(_, job) {
  const key = await jose.importJWK(job.key, 'ECDH-ES')
  const accepted = { keyManagementAlgorithms: ['ECDH-ES'], contentEncryptionAlgorithms: ['A256GCM'] }
  const texts = job.tokens.map(async (token) => {
    const { plaintext, protectedHeader } = await jose.compactDecrypt(token, key, accepted)
    if (protectedHeader.kid !== job.key.kid) throw new Error(`kid is ${protectedHeader.kid}`)
    return new TextDecoder('utf-8', { fatal: true }).decode(plaintext)
  })
  return JSON.stringify(await Promise.all(texts))
}

const [verb, ...args] = process.argv.slice(2)
const job = verb.startsWith('generate') ? undefined : JSON.parse(readFileSync(0, 'utf8'))
const verbs = { verify, sign, generate, 'generate-encryption': generateEncryption, decrypt }
process.stdout.write(await verbs[verb](args, job))
