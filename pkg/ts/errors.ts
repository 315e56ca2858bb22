// What goes wrong here, with a code for programs and a sentence for people.

/**
 * The codes of {@link PassgateError}. They are stable; the messages are not.
 *
 * - `option_invalid`: an argument of a call is unknown, missing or of the wrong type.
 * - `crypto_unavailable`, `ed25519_unsupported`: the runtime cannot sign.
 * - `key_malformed`, `key_private`, `key_mismatch`, `key_not_extractable`, `key_missing`: a key does not fit its use.
 * - `signature_failed`: a signer gave something that is no Ed25519 signature.
 * - `claim_invalid`, `issuer_mismatch`, `tier_mismatch`, `passport_lifetime_exceeded`, `passport_too_large`: no
 *   verifier would accept the passport.
 * - `passport_malformed`, `credentials_malformed`: what was read is no passport, or no credentials.
 * - `file_exists`, `file_missing`, `file_exposed`, `file_too_long`, `file_failed`, `files_unavailable`: a credentials
 *   file cannot be read or written.
 * - `storage_unavailable`, `storage_failed`: the browser's storage cannot be used.
 * - `request_invalid`, `field_reserved`, `field_invalid`: the request cannot be signed.
 * - `insecure_transport`, `origin_not_allowed`: the passport may not be sent there.
 * - `redirected`: `redirect: 'error'`, and the answer is a redirect.
 *
 * The verifiers add codes of their own.
 */
export type ErrorCode = string

/** Every error that this package throws by itself. Its message names no key and no whole token. */
export class PassgateError extends Error {
  override readonly name = 'PassgateError'
  /** The stable code. */
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
