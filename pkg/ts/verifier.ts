// Passports: what they say, and whether that holds.

import { PassgateError } from './errors.js'
import { checkNames, plainJson } from './options.js'
import type { Passport, PassportReport, SelfIssued, TrustedIssuer } from './types.js'
import { guarded, verifier } from './wasm.js'
import type { PassportVerifierHandle, VerifierModule } from './wasm.js'

/** Whom to trust. */
export interface VerifierOptions {
  /** The issuers whose passports are accepted. None by default. */
  readonly issuers?: readonly TrustedIssuer[]
  /** Which passports that agents issued to themselves are accepted (tier L1). `refused` by default. */
  readonly selfIssued?: SelfIssued
  /** The verifier's own name: a passport that names audiences has to name it. Without it, audiences are not checked. */
  readonly audience?: string
  /** Tolerated difference between clocks, in seconds, at most 300. 30 by default. */
  readonly leewaySeconds?: number
  /** Status list tokens (draft-ietf-oauth-status-list) by their URI. Nothing is fetched. */
  readonly statusLists?: Readonly<Record<string, string>>
}

const DEFAULT_LEEWAY_SECONDS = 30
const OPTIONS = ['issuers', 'selfIssued', 'audience', 'leewaySeconds', 'statusLists']
/** One more than the longest passport: what is longer is refused for its length, and not copied whole. */
const MAX_TOKEN_CHARS = 16 * 1024 + 1

/**
 * Verifies passports against one set of trusted issuers.
 *
 * ```ts
 * const verifier = new PassportVerifier({ issuers, audience: 'gate_tools' })
 * const report = await verifier.verify(token)
 * ```
 */
export class PassportVerifier {
  readonly #options: string
  #handle: { readonly module: VerifierModule; readonly verifier: PassportVerifierHandle } | undefined

  /**
   * @throws {@link PassgateError} `option_invalid` when an option is of the wrong type. What is wrong with an issuer shows when
   * the first passport is verified.
   */
  constructor(options: VerifierOptions = {}) {
    checkNames('PassportVerifier', options, OPTIONS)
    const { issuers = [], selfIssued = 'refused', audience, leewaySeconds = DEFAULT_LEEWAY_SECONDS, statusLists } = options
    this.#options = plainJson('option_invalid', 'PassportVerifier', {
      issuers,
      self_issued: selfIssued,
      audience,
      leeway_seconds: leewaySeconds,
      status_lists: statusLists,
    })
  }

  /** Gives back what the verifier holds in the WebAssembly; used again, it takes it anew. Otherwise that is left to the runtime. */
  dispose(): void {
    const held = this.#handle
    this.#handle = undefined
    if (held !== undefined) guarded('wasm_failed', () => held.verifier.free())
  }

  /**
   * What `token` says, and every check with its result. A passport that does not hold is no error: see `valid`.
   *
   * @param options `now`: the moment to verify for, by default the present.
   * @throws {@link PassgateError} `option_invalid` when the options of the verifier do not fit.
   */
  async verify(token: string, options: { readonly now?: Date } = {}): Promise<PassportReport> {
    const module = await verifier()
    const now = (options.now ?? new Date()).getTime()
    const { verifier: handle } = this.#ready(module)
    const json = guarded('option_invalid', () => handle.verify(text(token), now))
    const report = JSON.parse(json) as PassportReport & { passport: RawPassport | null }
    return { ...report, passport: report.passport === null ? null : unpacked(report.passport) }
  }

  #ready(module: VerifierModule): { readonly verifier: PassportVerifierHandle } {
    if (this.#handle?.module !== module) {
      const handle = guarded('option_invalid', () => new module.PassportVerifier(this.#options))
      this.#handle = { module, verifier: handle }
    }
    return this.#handle
  }
}

/**
 * What a passport says, without looking at its signature, its time or its issuer: for display, never for a decision.
 *
 * @throws {@link PassgateError} `passport_malformed`.
 */
export async function inspectPassport(token: string): Promise<Passport> {
  const module = await verifier()
  return unpacked(JSON.parse(guarded('passport_malformed', () => module.inspectPassport(text(token)))) as RawPassport)
}

/** As the WebAssembly gives it: metadata is JSON in a text, so that no number in it passes through another parser. */
type RawPassport = Omit<Passport, 'metadata'> & { readonly metadata: string | null }

function unpacked(raw: RawPassport): Passport {
  const { metadata, ...passport } = raw
  return { ...passport, metadata: metadata === null ? null : (JSON.parse(metadata) as Record<string, unknown>) }
}

/** White space around a token that was copied from somewhere is no part of it. */
function text(token: string): string {
  if (typeof token !== 'string') throw new PassgateError('option_invalid', 'A token is a text.')
  return token.trim().slice(0, MAX_TOKEN_CHARS)
}
