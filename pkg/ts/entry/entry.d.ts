// What the build puts in the place of these names: see xtask/src/web/bundle.rs.

/** The path of the WebAssembly as seen from the entry. */
declare const PASSGATE_WASM: string
/** `sha256:` and its digest. */
declare const PASSGATE_DIGEST: string

declare module 'passgate-glue' {
  export const initSync: import('../wasm.js').VerifierModule['initSync']
  export const inspectPassport: import('../wasm.js').VerifierModule['inspectPassport']
  export const verifyAttestation: import('../wasm.js').VerifierModule['verifyAttestation']
  export const PassportVerifier: import('../wasm.js').VerifierModule['PassportVerifier']
  export const ExportVerifier: import('../wasm.js').VerifierModule['ExportVerifier']
}

declare module 'passgate-api' {
  export * from '../index.js'
}

declare module 'passgate-wasm' {
  const module: WebAssembly.Module
  export default module
}

declare module 'passgate-bytes' {
  const bytes: Uint8Array<ArrayBuffer>
  export default bytes
}
