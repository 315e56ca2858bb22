// Uses every part of the API. It is type-checked, never run. An expected error that does not come is an error too.

import {
  AgentCredentials,
  PassportClient,
  PassportIssuer,
  PassportVerifier,
  inspectPassport,
  verifyAttestation,
  verifyExport,
  type ExportReport,
  type PassportReport,
  type TrustTier,
  type TrustedIssuer,
} from 'passgate'
import { PassportVerifier as SmallVerifier, type PassportReport as SmallReport } from 'passgate/verify'
import { PassportVerifier as SlimVerifier, initialize } from 'passgate/slim'
import { PassportVerifier as InlinedVerifier } from 'passgate/base64'

export async function issue(): Promise<AgentCredentials> {
  const issuer = await PassportIssuer.createLocal({ name: 'types' })
  // @ts-expect-error an agent has an id
  await issuer.issuePassport({ permissions: [] })
  return issuer.issuePassport({ agentId: 'bot', permissions: ['web:search'], expiresInDays: 1 })
}

export async function call(credentials: AgentCredentials): Promise<Response> {
  const client = new PassportClient(credentials)
  return client.fetch('https://tools.example/search', { method: 'GET' })
}

export async function verify(token: string, issuers: readonly TrustedIssuer[]): Promise<TrustTier | null> {
  const verifier = new PassportVerifier({ issuers, selfIssued: 'refused', audience: 'gate_1' })
  const report: PassportReport = await verifier.verify(token, { now: new Date(0) })
  const same: SmallReport = await new SmallVerifier({ issuers }).verify(token)
  // @ts-expect-error there are three ways to treat them
  new InlinedVerifier({ issuers, selfIssued: 'maybe' })
  // @ts-expect-error a report is read, not written
  report.valid = true
  return (same.valid && report.trustTier) || null
}

export async function byHand(bytes: ArrayBuffer, compiled: WebAssembly.Module, url: URL): Promise<void> {
  await initialize(bytes)
  await initialize(compiled)
  await initialize(url)
  // @ts-expect-error nothing is no WebAssembly
  await initialize(null)
  new SlimVerifier({ issuers: [] })
}

export async function read(token: string, jws: string, file: Blob, signal: AbortSignal): Promise<ExportReport> {
  const claims = await inspectPassport(token)
  const attestation = await verifyAttestation(jws, { keys: [] })
  const name: string = attestation.checks.map(check => check.name).join() + JSON.stringify(claims)
  return verifyExport(file, { keys: { keys: [] }, signal, onProgress: progress => console.log(name, progress.bytes) })
}
