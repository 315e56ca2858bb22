const { readFile } = require('node:fs/promises')
const passgate = require('passgate')
const verify = require('passgate/verify')
const { issuing, verifying } = require('./scenario.cjs')

async function main() {
  const given = JSON.parse(await readFile('given.json', 'utf8'))
  console.log(JSON.stringify({
    issuing: await issuing(passgate),
    verifying: await verifying(passgate, given),
    verifyingSmall: await verifying(verify, given),
  }))

  const issuer = await passgate.PassportIssuer.createLocal({ name: 'packaging' })
  const credentials = await issuer.issuePassport({ agentId: 'bot', permissions: ['web:search'], expiresInDays: 1 })
  await credentials.save('bot.json')
  const loaded = await passgate.AgentCredentials.load('bot.json')
  if (loaded.passport !== credentials.passport) throw new Error('the credentials file lost the passport')
}

main()
