const passgate = require('passgate')
const verify = require('passgate/verify')
const { issuing, verifying } = require('./scenario.cjs')

globalThis.run = async given => ({
  issuing: await issuing(passgate),
  verifying: await verifying(passgate, given),
  verifyingSmall: await verifying(verify, given),
})
