import * as passgate from 'passgate/slim'
import wasm from 'passgate/passgate.wasm'
import { issuing, verifying } from './scenario.mjs'

export default {
  async fetch(request) {
    const given = await request.json()
    await passgate.initialize(wasm)
    const verified = await verifying(passgate, given)
    return Response.json({ issuing: await issuing(passgate), verifying: verified, verifyingSmall: verified })
  },
}
