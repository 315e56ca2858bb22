//! Reports on single attestations.

use passgate_core::attest::sha256_label;
use passgate_core::ledger::{MAX_RECORD_BYTES, Verifier, What, record_line};
use passgate_passport::json;
use passgate_passport::jws::{self, TokenType};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::keys;
use crate::report::{self, Check};

const CHECKS: [&str; 5] = ["form", "key", "signature", "payload", "chain"];
const NO_CHAIN: &str = "that nothing before it was changed or left out shows in an export of the ledger";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttestationReport {
    valid: bool,
    reason_code: Option<&'static str>,
    detail: Option<String>,
    checks: Vec<Check>,
    /// JSON in a text.
    record: Option<String>,
    key_thumbprint: Option<String>,
    sha256: Option<String>,
}

/// The report on one attestation, a compact JWS, as `AttestationReport` of `ts/types.ts` in JSON. `trusted` is a JWKS, an array
/// of JWKs or a JWK.
///
/// # Errors
///
/// When `trusted` is none of these. Whatever is wrong with the attestation stands in the report.
#[wasm_bindgen(js_name = verifyAttestation)]
pub fn verify(record: &str, trusted: &str) -> Result<String, String> {
    let keys = keys::trusted(trusted)?;
    let unverified = jws::decode(record, TokenType::Attestation, MAX_RECORD_BYTES).ok();
    let readable = unverified.as_ref().and_then(|token| json::read(token.payload(), MAX_RECORD_BYTES).ok());
    // A verifier takes any line that holds a record by itself; whether it is in its place shows at the end of an export.
    let broken = Verifier::new(&keys).line(record_line(record).trim_end().as_bytes()).err();
    let what = broken.map(|broken| broken.what);
    let detail = what.map(|what| what.to_string());
    let mut checks = match (what, &detail) {
        (Some(what), Some(detail)) => report::failed_at(&CHECKS, check_of(what), detail),
        _ => report::passed(&CHECKS),
    };
    report::not_checked(&mut checks, "chain", NO_CHAIN);
    report::to_json(&AttestationReport {
        valid: what.is_none(),
        reason_code: what.map(What::code),
        detail,
        checks,
        record: readable.map(|record| record.to_json()),
        key_thumbprint: unverified.as_ref().map(|token| token.kid().to_owned()),
        sha256: unverified.is_some().then(|| sha256_label(&Sha256::digest(record.as_bytes()).into())),
    })
}

/// The check that fails so.
fn check_of(what: What) -> &'static str {
    match what {
        What::Key => "key",
        What::Signature => "signature",
        What::Payload | What::Rotation => "payload",
        _ => "form",
    }
}

#[cfg(test)]
mod tests;
