// Exports of a ledger, of any length.

import { keysJson } from './attestation.js'
import type { TrustedKeys } from './attestation.js'
import { utf8 } from './bytes.js'
import { PassgateError } from './errors.js'
import { checkNames } from './options.js'
import type { ExportProgress, ExportReport } from './types.js'
import { guarded, verifier } from './wasm.js'
import type { ExportVerifierHandle } from './wasm.js'

/** Where an export comes from. Only as much of it is held as its longest line takes. */
export type ExportSource =
  | Blob
  | Response
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | Uint8Array
  | string

export interface ExportOptions {
  /** The keys that the gate signs with. */
  readonly keys: TrustedKeys
  /** Called after every piece. */
  readonly onProgress?: (progress: ExportProgress) => void
  /** Ends the verification; the promise is rejected with its reason. */
  readonly signal?: AbortSignal
}

/** The largest piece that is verified without a pause: some 60 records, a few milliseconds. */
const PIECE_BYTES = 64 * 1024
/** How long is verified before others get a turn, in milliseconds: less than a frame of 60 a second. */
const SLICE_MS = 12

/**
 * Whether an export is whole and unchanged: every signature, every link, and the head. One that is not is no error: see `valid`
 * and `broken`, which names the first thing that is wrong. After it, nothing is read.
 *
 * @throws {@link PassgateError} `keys_invalid`; what reading `source` throws; the reason of `signal`.
 */
export async function verifyExport(source: ExportSource, options: ExportOptions): Promise<ExportReport> {
  checkNames('verifyExport', options, ['keys', 'onProgress', 'signal'])
  const module = await verifier()
  const { signal, onProgress } = options
  const handle = guarded('keys_invalid', () => new module.ExportVerifier(keysJson(options.keys)))
  let finished = false
  try {
    let rested = now()
    for await (const piece of pieces(source, signal)) {
      signal?.throwIfAborted()
      const progress = pushed(handle, piece)
      onProgress?.(progress)
      if (progress.broken !== null) break
      if (now() - rested > SLICE_MS) {
        await others()
        rested = now()
      }
    }
    signal?.throwIfAborted()
    finished = true
    return JSON.parse(guarded('wasm_failed', () => handle.finish())) as ExportReport
  } finally {
    // `finish` takes the verifier with it.
    if (!finished) guarded('wasm_failed', () => handle.free())
  }
}

type Pushed = ExportProgress & { readonly broken: unknown }

function pushed(handle: ExportVerifierHandle, piece: Uint8Array): Pushed {
  return JSON.parse(guarded('wasm_failed', () => handle.push(piece))) as Pushed
}

/** The source in pieces that are not too large. Ends the source when nobody wants more of it. */
async function* pieces(source: ExportSource, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for await (const piece of chunks(source, signal)) {
    if (!(piece instanceof Uint8Array)) throw new PassgateError('option_invalid', 'An export is read as bytes.')
    for (let at = 0; at < piece.byteLength; at += PIECE_BYTES) yield piece.subarray(at, at + PIECE_BYTES)
  }
}

function chunks(
  source: ExportSource,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  if (typeof source === 'string') return [utf8(source)]
  if (source instanceof Uint8Array) return [source]
  if (typeof Blob === 'function' && source instanceof Blob) return streamed(source.stream(), signal)
  if (typeof Response === 'function' && source instanceof Response) return streamed(bodyOf(source), signal)
  if ('getReader' in source) return streamed(source, signal)
  if (Symbol.asyncIterator in source) return source
  throw new PassgateError('option_invalid', 'An export is a Blob, a Response, a stream, an async iterable, bytes or a text.')
}

function bodyOf(response: Response): ReadableStream<Uint8Array> {
  if (!response.ok) {
    throw new PassgateError('export_unavailable', `The export was not delivered: HTTP ${response.status} ${response.url}.`)
  }
  if (response.body === null) throw new PassgateError('export_unavailable', 'The response has no body.')
  return response.body
}

/** Not every browser iterates over streams, and none gives up one that stalls. */
async function* streamed(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  const stop = (): void => void reader.cancel(signal?.reason).catch(() => undefined)
  signal?.addEventListener('abort', stop)
  let ended = false
  try {
    for (;;) {
      const { done, value } = await reader.read()
      signal?.throwIfAborted()
      if (done) {
        ended = true
        return
      }
      yield value
    }
  } finally {
    signal?.removeEventListener('abort', stop)
    // A source that cannot be cancelled has nothing more to say here.
    if (!ended) await reader.cancel().catch(() => undefined)
  }
}

const now = (): number => globalThis.performance?.now() ?? Date.now()

/** Lets events, painting and timers have their turn. */
function others(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}
