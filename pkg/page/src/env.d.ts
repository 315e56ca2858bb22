// What the build puts in the place of these names: see vite.config.ts.

declare module 'virtual:verifier-wasm' {
  /** The verifier's WebAssembly, base64. */
  const base64: string
  export default base64
}

/** What wasm-bindgen makes beside the WebAssembly. */
declare module 'passgate-glue' {
  export const initSync: import('../../ts/wasm.ts').VerifierModule['initSync']
  export const inspectPassport: import('../../ts/wasm.ts').VerifierModule['inspectPassport']
  export const verifyAttestation: import('../../ts/wasm.ts').VerifierModule['verifyAttestation']
  export const PassportVerifier: import('../../ts/wasm.ts').VerifierModule['PassportVerifier']
  export const ExportVerifier: import('../../ts/wasm.ts').VerifierModule['ExportVerifier']
}

declare module '*.css'
