import * as passgate from 'passgate'
import * as verify from 'passgate/verify'
import { issuing, verifying } from './scenario.mjs'

globalThis.run = async given => ({
  issuing: await issuing(passgate),
  verifying: await verifying(passgate, given),
  verifyingSmall: await verifying(verify, given),
})
