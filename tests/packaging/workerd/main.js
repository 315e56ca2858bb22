import * as passgate from 'passgate'
import * as verify from 'passgate/verify'
import { issuing, verifying } from './scenario.mjs'

export default {
  async fetch(request) {
    const given = await request.json()
    return Response.json({
      issuing: await issuing(passgate),
      verifying: await verifying(passgate, given),
      verifyingSmall: await verifying(verify, given),
    })
  },
}
