// What a gateway says of itself, looked at from outside: its verify page in Chromium, and its ledger.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { passgate, startApi, startGateway } from './sites.mjs'
import { dist, launch } from './tools.mjs'

const sdk = await import(pathToFileURL(join(dist, 'esm', 'index.js')).href)

let api, browser, credentials, gate

before(async () => {
  const issuer = await sdk.PassportIssuer.fromKey({ id: 'https://issuer.example', key: await sdk.SigningKey.generate() })
  api = await startApi()
  gate = await startGateway({ api, issuer })
  credentials = await issuer.issuePassport({ agentId: 'bot', permissions: ['web:*'], expiresInDays: 1 })
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await gate?.close()
  api?.close()
})

test('the gateway gives people the page, which verifies there and asks for nothing else', async () => {
  const given = await fetch(`${gate.url}/verify`)
  assert.equal(given.status, 200)
  assert.deepEqual(Buffer.from(await given.arrayBuffer()), await readFile(join(dist, 'page', 'verify.html')))
  const page = await browser.newPage()
  const asked = []
  const troubles = []
  page.on('request', (request) => asked.push(request.url()))
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && troubles.push(message.text()))
  page.on('pageerror', (error) => troubles.push(String(error)))
  await page.goto(`${gate.url}/verify`)
  await page.locator('textarea').first().fill(credentials.passport)
  await page.getByRole('button', { name: /^(Verify|Check)/ }).first().click()
  await page.getByText('bot', { exact: true }).first().waitFor()
  assert.deepEqual(asked, [`${gate.url}/verify`])
  assert.deepEqual(troubles, [])
  assert.equal(api.seen.length, 0, 'the upstream saw nothing of it')
})

test('an agent that asks for the same path gets a decision', async () => {
  const answer = await new sdk.PassportClient(credentials).fetch(`${gate.url}/verify`)
  const { decision } = await sdk.decisionOf(answer)
  assert.equal(decision, 'deny')
})

test('its ledger verifies, and a changed byte does not', async () => {
  await new sdk.PassportClient(credentials).fetch(`${gate.url}/search?q=x`)
  const at = { cwd: gate.folder }
  const { stdout: text } = passgate(['ledger', 'export'], at)
  const { stdout: jwks } = passgate(['keys', 'jwks', 'keys/attestation.jwk'], at)
  const keys = JSON.parse(jwks)
  const report = await sdk.verifyExport(text, { keys })
  assert.equal(report.valid, true, JSON.stringify(report))
  assert.ok(report.decisions.allow >= 1 && report.decisions.deny >= 1, JSON.stringify(report.decisions))
  assert.ok((await readFile(gate.config, 'utf8')).includes(report.head.gateId), report.head.gateId)
  const record = text.split('\n')[1]
  const changed = record.replace(/.(?="\}$)/, (last) => (last === 'A' ? 'Q' : 'A'))
  const broken = await sdk.verifyExport(text.replace(record, changed), { keys })
  assert.deepEqual([broken.valid, broken.broken.line], [false, 2])
})
