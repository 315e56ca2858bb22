// A chain of three passports made by docs/spec/delegation.md with the npm package jose, in the folder that PASSGATE_NPM
// names, and with nothing of Passgate.
//
//   jose_chain.mjs < {"issuer": id, "now": unix seconds, "permissions": [[...], [...], [...]]}
//
// Prints {"jwks": the keys of the issuer, "credentials": those of the last agent}.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(join(process.env.PASSGATE_NPM, 'x.js'))
const jose = await import(pathToFileURL(require.resolve('jose')))

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

async function newKey() {
  const { privateKey } = await jose.generateKeyPair('EdDSA', { extractable: true, crv: 'Ed25519' })
  const { crv, d, kty, x } = await jose.exportJWK(privateKey)
  const kid = await jose.calculateJwkThumbprint({ crv, kty, x })
  return { privateKey, privateJwk: { crv, d, kid, kty, x }, jwk: { crv, kid, kty, x } }
}

/** The multicodec prefix of Ed25519 is ed 01. */
function didKey({ x }) {
  let number = BigInt(`0xed01${Buffer.from(x, 'base64url').toString('hex')}`)
  let text = ''
  for (; number > 0n; number /= 58n) text = BASE58[Number(number % 58n)] + text
  return `did:key:z${text}`
}

const sign = (claims, { jwk, privateKey }) =>
  new jose.SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid: jwk.kid, typ: 'passport+jwt' }).sign(privateKey)

const { issuer, now, permissions } = JSON.parse(readFileSync(0, 'utf8'))
const signer = await newKey()
const agents = await Promise.all(permissions.map(newKey))
const passports = []
let parent
for (const [index, agent] of agents.entries()) {
  const depth_left = agents.length - 1 - index
  const claims = {
    iss: index === 0 ? issuer : didKey(agents[index - 1].jwk),
    sub: `agent-jose-${index}`,
    jti: `pass_01ARZ3NDEKTSV4RRFFQ69G5FA${index}`,
    iat: now,
    exp: now + 3600 - index,
    cnf: { jwk: agent.jwk },
    permissions: permissions[index],
    delegation: { depth_left },
  }
  if (index > 0) {
    const digest = createHash('sha256').update(passports[index - 1]).digest('hex')
    const above = { parent: parent.jti, parent_sha256: `sha256:${digest}`, root_issuer: issuer, spawned_by: parent.sub }
    claims.delegation = { ...above, depth_left }
  }
  passports.push(await sign(claims, index === 0 ? signer : agents[index - 1]))
  parent = claims
}
const credentials = {
  schema_version: 1,
  agent_id: parent.sub,
  passport_id: parent.jti,
  expires_at: new Date(parent.exp * 1000).toISOString().replace('.000Z', 'Z'),
  private_key: agents.at(-1).privateJwk,
  passport: passports.join('~'),
}
process.stdout.write(JSON.stringify({ jwks: { keys: [signer.jwk] }, credentials }))
