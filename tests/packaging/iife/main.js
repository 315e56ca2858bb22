import * as passgate from 'passgate/base64'
import { issuing, verifying } from './scenario.mjs'

globalThis.run = async given => {
  const verified = await verifying(passgate, given)
  return { issuing: await issuing(passgate), verifying: verified, verifyingSmall: verified }
}
