// Single attestations.

import { PassgateError } from './errors.js'
import { checkNames, plainJson } from './options.js'
import type { AttestationReport, Jwks, PublicJwk } from './types.js'
import { guarded, verifier } from './wasm.js'

/** One more than the longest record: what is longer is refused for its length, and not copied whole. */
const MAX_RECORD_CHARS = 64 * 1024 + 1

/** The public keys that a gate signs its records with: a JWKS, an array of JWKs, or one JWK. */
export type TrustedKeys = Jwks | readonly PublicJwk[] | PublicJwk

/**
 * Whether one of `keys` signed an attestation, and what it says. One that does not hold is no error: see `valid`.
 *
 * @param attestation A compact JWS, or the object that a gate's API answers with.
 * @throws {@link PassgateError} `keys_invalid`.
 */
export async function verifyAttestation(
  attestation: string | { readonly jws: string },
  options: { readonly keys: TrustedKeys },
): Promise<AttestationReport> {
  const module = await verifier()
  checkNames('verifyAttestation', options, ['keys'])
  const token = typeof attestation === 'string' ? attestation.trim() : attestation?.jws
  if (typeof token !== 'string') throw new PassgateError('option_invalid', 'An attestation is a text, or has one in `jws`.')
  const record = token.slice(0, MAX_RECORD_CHARS)
  const json = guarded('keys_invalid', () => module.verifyAttestation(record, keysJson(options.keys)))
  const report = JSON.parse(json) as Omit<AttestationReport, 'record'> & { readonly record: string | null }
  return { ...report, record: report.record === null ? null : (JSON.parse(report.record) as Record<string, unknown>) }
}

/** Keys as the WebAssembly takes them. */
export function keysJson(keys: TrustedKeys): string {
  if (typeof keys !== 'object' || keys === null) {
    throw new PassgateError('keys_invalid', 'Give the gate’s public keys: a JWKS, an array of JWKs, or a JWK.')
  }
  return plainJson('keys_invalid', 'keys', keys)
}
