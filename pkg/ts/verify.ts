// What verifies, and nothing else: the entry `passgate/verify`.

export { verifyAttestation } from './attestation.js'
export type { TrustedKeys } from './attestation.js'
export { PassgateError } from './errors.js'
export type { ErrorCode } from './errors.js'
export { verifyExport } from './export.js'
export type { ExportOptions, ExportSource } from './export.js'
export * from './types.js'
export { inspectPassport, PassportVerifier } from './verifier.js'
export type { VerifierOptions } from './verifier.js'
export { initialize } from './wasm.js'
export type { WasmSource } from './wasm.js'
