// Requests signed with the npm packages web-bot-auth and http-message-sig, in the folder that PASSGATE_NPM names.
//
//   web_bot_auth_client.mjs send < {"key": private JWK, "requests": [{"method", "url", "headers", "body", "components"}]}
//       Signs and sends each request; prints the list of {"status", "problem"}. web-bot-auth signs, with its own components
//       when there are none. It knows no members of dictionaries, so http-message-sig signs where a component is one: a
//       list of the field and its `key`.
//   web_bot_auth_client.mjs verify < {"jwk": public JWK, "request": {"method", "url", "headers"}}
//       Verifies with http-message-sig, and prints the parameters and components.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(join(process.env.PASSGATE_NPM, 'x.js'))
const names = ['http-message-sig', 'web-bot-auth', 'web-bot-auth/crypto']
const [httpsig, agent, keys] = await Promise.all(names.map((name) => import(pathToFileURL(require.resolve(name)))))

const LIFETIME_SECONDS = 60
const TAG = 'web-bot-auth'

const keyOf = (jwk, usage) => crypto.subtle.importKey('jwk', jwk, 'Ed25519', true, [usage])

async function fieldsOf(key, { components, headers, method, url }) {
  const signer = await keys.signerFromJWK(key)
  const created = Math.floor(Date.now() / 1000)
  const nonce = agent.generateNonce()
  if (!components?.some(Array.isArray)) {
    const [from, to] = [created, created + LIFETIME_SECONDS].map((seconds) => new Date(seconds * 1000))
    const params = { created: from, expires: to, nonce, ...(components && { components }) }
    return agent.signatureHeaders({ method, url, headers }, signer, params)
  }
  const made = await httpsig.createSignature(new Request(url, { method, headers }), {
    label: 'sig1',
    components: components.map((entry) => (Array.isArray(entry) ? httpsig.component(entry[0], { key: entry[1] }) : entry)),
    parameters: { created, expires: created + LIFETIME_SECONDS, nonce, keyid: signer.keyid, alg: 'ed25519', tag: TAG },
    signer: httpsig.webcrypto.signer(await keyOf(key, 'sign')),
  })
  return { signature: made.signature, 'signature-input': made.signatureInput }
}

async function send({ key, requests }) {
  const answers = []
  for (const request of requests) {
    const { body, headers, method, url } = request
    const made = await fieldsOf(key, request)
    const answer = await fetch(url, { method, headers: { ...headers, ...made }, body, redirect: 'manual' })
    const text = await answer.text()
    answers.push({ status: answer.status, problem: answer.ok ? null : JSON.parse(text) })
  }
  return answers
}

async function verify({ jwk, request: { headers, method, url } }) {
  const verifier = httpsig.webcrypto.verifier(await keyOf(jwk, 'verify'))
  const { components, parameters } = await httpsig.verifySignature(new Request(url, { method, headers }), {
    policy: {
      algorithms: ['ed25519'],
      requiredComponents: ['@method', '@target-uri', 'content-digest', httpsig.component('signature-agent', { key: 'sig1' })],
      requiredParameters: ['created', 'expires', 'keyid', 'nonce', 'tag'],
      maxAge: 300,
    },
    resolveVerifier: () => verifier,
  })
  return { ...parameters, components: components.length }
}

const job = JSON.parse(readFileSync(0, 'utf8'))
process.stdout.write(JSON.stringify(await { send, verify }[process.argv[2]](job)))
