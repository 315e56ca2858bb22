// What every project does with the package, and what it reports. Equal input gives equal reports in every runtime.

const policy = {
  version: 1,
  gate: { id: 'gate_1', level: 'L1', public_url: 'https://tools.example' },
  self_issued: 'any_key',
  routes: [
    { method: 'GET', path: '/search', action: 'web:search' },
    { method: 'DELETE', path: '/records/{id}', action: 'records:delete' },
  ],
}

/** Issues a passport, uses and verifies it, and verifies a forged copy. */
export async function issuing(passgate) {
  const { AgentCredentials, PassportClient, PassportIssuer, PassportVerifier } = passgate
  const issuer = await PassportIssuer.createLocal({ name: 'packaging' })
  const credentials = await issuer.issuePassport({ agentId: 'bot', permissions: ['web:search'], expiresInDays: 1 })
  const verifier = new PassportVerifier({ issuers: [], selfIssued: 'any_key' })
  return {
    isCredentials: credentials instanceof AgentCredentials,
    own: summary(await verifier.verify(credentials.passport)),
    forged: summary(await verifier.verify(promoted(credentials.passport))),
    stranger: summary(await new PassportVerifier({ issuers: [], selfIssued: 'refused' }).verify(credentials.passport)),
    sent: await sentHeaders(new PassportClient(credentials, { fetch: echo })),
    ...await guarding(passgate, new PassportClient(credentials)),
  }
}

/** Lets a gate decide on what the agent asks for, and verifies the gate's ledger. */
async function guarding({ Gate, SigningKey, verifyExport }, client) {
  const gate = await Gate.open(policy, { key: await SigningKey.generate(), since: new Date(0) })
  const decided = async (path, init) => {
    const { url, ...request } = await client.sign(`https://tools.example${path}`, init)
    const { attestationId, decision, reasonCode } = await gate.decide(new Request(url, request))
    if (decision === 'allow') await gate.settle(attestationId, { result: 'completed', status: 200 })
    return [decision, reasonCode]
  }
  const search = await decided('/search?q=x')
  const deletion = await decided('/records/7', { method: 'DELETE' })
  const { records, valid } = await verifyExport(await gate.export(), { keys: [gate.publicJwk] })
  return { search, deletion, ledger: [valid, records] }
}

/** Verifies what others signed: a passport, a record and a ledger export, each also forged. */
export async function verifying({ PassportVerifier, inspectPassport, verifyAttestation, verifyExport }, given) {
  const { audience, issuers, keys, ledger, passport } = given
  const now = new Date(given.now)
  const later = new Date(given.now + 366 * 86_400_000)
  const verifier = new PassportVerifier({ issuers, selfIssued: 'refused', audience })
  const record = JSON.parse(ledger.slice(0, ledger.indexOf('\n'))).jws
  return {
    claims: await inspectPassport(passport),
    passport: await verifier.verify(passport, { now }),
    passportForged: await verifier.verify(promoted(passport), { now }),
    passportLater: await verifier.verify(passport, { now: later }),
    attestation: await verifyAttestation(record, { keys }),
    attestationForged: await verifyAttestation(resigned(record), { keys }),
    ledger: await verifyExport(ledger, { keys }),
    ledgerForged: await verifyExport(ledger.replace(record, resigned(record)), { keys }),
  }
}

/** A report without what differs from run to run. */
function summary({ valid, reasonCode, trustTier, checks, passport }) {
  const { agentId, permissions } = passport ?? {}
  const results = checks.map(({ name, result }) => [name, result])
  return { valid, reasonCode, trustTier, agentId, permissions, results }
}

/** The passport with more permissions than were signed. */
function promoted(token) {
  const [header, payload, signature] = token.split('.')
  const claims = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')))
  const changed = btoa(JSON.stringify({ ...claims, permissions: ['*'] }))
  return [header, changed.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''), signature].join('.')
}

/** The token with one character of its signature changed. */
function resigned(token) {
  const at = token.lastIndexOf('.') + 1
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
}

async function echo(input, init) {
  const { headers } = new Request(input, init)
  return Response.json([...headers.keys()].sort())
}

/** The names of the headers that a signed request goes out with. */
async function sentHeaders(client) {
  const response = await client.fetch('https://tools.example/pay', { method: 'POST', body: '{"amount_usd":20}' })
  return response.json()
}
