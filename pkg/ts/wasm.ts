// The WebAssembly behind the verifiers and the gate: which build it is, and when it is loaded.

import { copied, sha256 } from './bytes.js'
import { PassgateError } from './errors.js'

/** What both builds export. Everything goes in and comes out as JSON; what throws throws a text. */
export interface VerifierModule {
  initSync(input: { module: BufferSource | WebAssembly.Module }): unknown
  inspectPassport(token: string): string
  verifyAttestation(record: string, trusted: string): string
  PassportVerifier: new (options: string) => PassportVerifierHandle
  ExportVerifier: new (trusted: string) => ExportVerifierHandle
}

/** What the build with the evaluator exports beside that. */
export interface FullModule extends VerifierModule {
  delegationInput(chain: string, order: string): string
  Gate: new (
    policy: string,
    evaluator: string,
    jwk: string,
    since: number,
    now: number,
    random: Uint8Array,
  ) => GateHandle
}

/** Passports against one set of trusted issuers. */
export interface PassportVerifierHandle {
  verify(token: string, now: number): string
  free(): void
}

/** One export that is being verified. */
export interface ExportVerifierHandle {
  push(piece: Uint8Array): string
  finish(): string
  free(): void
}

/** A gate in memory. */
export interface GateHandle {
  pending(): string
  setChallengeKey(key: Uint8Array): void
  addStatusList(uri: string | undefined, token: string, now: number): boolean
  decide(request: string, body: Uint8Array, now: number, random: Uint8Array, seed: Uint8Array): string
  revoke(subject: string, now: number, random: Uint8Array): void
  suspend(subject: string, now: number, random: Uint8Array): boolean
  reinstate(subject: string, now: number, random: Uint8Array): boolean
  settle(decision: string, outcome: string, now: number, random: Uint8Array): void
  reconcile(reconciliation: string, now: number, random: Uint8Array): void
  commit(signature: Uint8Array): string
  signPass(signature: Uint8Array): void
  minted(): string
  cancel(): void
  head(now: number): string
  headLine(signingInput: string, signature: Uint8Array): string
  free(): void
}

/** Whatever WebAssembly can be made of. */
export type WasmSource = BufferSource | WebAssembly.Module | URL | Response

let glue: VerifierModule | undefined
let load: (() => WasmSource | Promise<WasmSource>) | undefined
let released: string | undefined
let running: string | undefined
let ready: Promise<VerifierModule> | undefined
let dead: PassgateError | undefined

/** Called by the entries: the glue of a build, where its WebAssembly comes from on this runtime, and its digest. */
export function provide(module: VerifierModule, source?: () => WasmSource | Promise<WasmSource>, digest?: string): void {
  glue = module
  load = source
  released = digest
}

/**
 * Loads the WebAssembly from `source` instead of where this entry has it. `passgate/slim` has none and needs it; elsewhere it
 * is for those who want to decide when and from where. Once it is loaded, it stays.
 *
 * @throws {@link PassgateError} `wasm_failed` when it is not the WebAssembly of this release. Of a `WebAssembly.Module` that
 * cannot be told: then the records of a {@link Gate} say that their evaluator is unknown.
 */
export async function initialize(source: WasmSource | Promise<WasmSource>): Promise<void> {
  ready ??= started(async () => own(await source))
  await ready
}

/** The build that runs here. */
export function verifier(): Promise<VerifierModule> {
  const from = load
  if (ready === undefined && from === undefined) {
    const message = 'The WebAssembly is not loaded. Call `await initialize(…)` first, or import `passgate`.'
    return Promise.reject(new PassgateError('wasm_missing', message))
  }
  // What an entry brings is the file beside it.
  const beside = async (): Promise<Loaded> => ({ module: await compiled(await from?.()), digest: released })
  ready ??= started(beside)
  return ready
}

/** The build with the evaluator. */
export async function full(): Promise<FullModule> {
  const module = await verifier()
  if ('Gate' in module) return module as FullModule
  throw new PassgateError('wasm_missing', 'This build has no evaluator. Import `passgate` instead of `passgate/verify`.')
}

/** `sha256:` and the digest of the WebAssembly that runs, for records that name their evaluator. */
export function evaluatorDigest(): string {
  return running ?? 'unknown'
}

/**
 * Runs a call into the WebAssembly and makes what it refuses an error with this code.
 *
 * @throws {@link PassgateError} With `code`; or `wasm_failed` when the WebAssembly itself came to an end, which is a bug: then
 * nothing that it says counts, and every later call fails.
 */
export function guarded<T>(code: string, call: () => T): T {
  if (dead !== undefined) throw dead
  try {
    return call()
  } catch (thrown) {
    if (typeof thrown === 'string') throw new PassgateError(code, thrown)
    if (!(thrown instanceof WebAssembly.RuntimeError)) {
      throw new PassgateError(code, `An argument is of the wrong type: ${String(thrown)}.`, { cause: thrown })
    }
    const message = 'The WebAssembly came to an end, which is a bug in Passgate. Start the program or load the page again.'
    dead = new PassgateError('wasm_failed', message, { cause: thrown })
    throw dead
  }
}

interface Loaded {
  readonly module: WebAssembly.Module
  /** `undefined` when it is not known. */
  readonly digest: string | undefined
}

/** Loads once; when that fails, the next call tries again. */
function started(source: () => Promise<Loaded>): Promise<VerifierModule> {
  const starting = instantiated(source)
  starting.catch(() => {
    ready = undefined
  })
  return starting
}

async function instantiated(source: () => Promise<Loaded>): Promise<VerifierModule> {
  if (glue === undefined) throw new PassgateError('wasm_missing', 'No build was given. Import an entry of the package.')
  try {
    const { module, digest } = await source()
    glue.initSync({ module })
    running = digest
    return glue
  } catch (cause) {
    if (cause instanceof PassgateError) throw cause
    const message = 'The WebAssembly cannot be loaded. Its file has to be that of this release, and a page needs'
    throw new PassgateError('wasm_failed', `${message} \`wasm-unsafe-eval\` in its Content-Security-Policy.`, { cause })
  }
}

/** What somebody else brings, if it is the WebAssembly of this release. */
async function own(source: WasmSource): Promise<Loaded> {
  if (source instanceof WebAssembly.Module) return { module: source, digest: undefined }
  const bytes = await bytesOf(source)
  const hash = Array.from(await sha256(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')
  if (`sha256:${hash}` !== released) {
    throw new PassgateError('wasm_failed', 'This is not the WebAssembly that this entry of this release goes with.')
  }
  return { module: await WebAssembly.compile(bytes), digest: released }
}

async function compiled(source: WasmSource | undefined): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source
  return WebAssembly.compile(await bytesOf(source))
}

/** Not `instantiateStreaming`: it insists on a media type that many servers do not send. */
async function bytesOf(source: WasmSource | undefined): Promise<Uint8Array<ArrayBuffer>> {
  if (source instanceof URL) return bytesOf(await fetch(source))
  if (typeof Response === 'function' && source instanceof Response) {
    if (!source.ok) throw new PassgateError('wasm_failed', `The WebAssembly is not at ${source.url}: ${source.status}.`)
    return new Uint8Array(await source.arrayBuffer())
  }
  if (source instanceof ArrayBuffer) return new Uint8Array(source)
  if (ArrayBuffer.isView(source)) return copied(new Uint8Array(source.buffer, source.byteOffset, source.byteLength))
  const message = 'Give the WebAssembly as bytes, as a WebAssembly.Module, or as a URL or Response that has it.'
  throw new PassgateError('option_invalid', message)
}
