//! DPoP proofs (RFC 9449) of the key a passport names, for clients that speak OAuth or MCP rather than RFC 9421.
//!
//! The field `dpop` carries one JWT, signed with the passport's key, over method, target and passport. RFC 9449 covers
//! neither the query nor the body nor any field, and a gate judges all three, so three more claims do:
//!
//! - `htq`, the SHA-256 of the query as sent: required when the target has one, refused when it has none;
//! - `htb`, the SHA-256 of the body as sent: required when there is a body;
//! - `htf`, an object of field names and values: required for `content-type` and `content-encoding` where the request
//!   has them, open to other fields.
//!
//! A request without all of these is proven by any DPoP library. `htu` is compared after normalisation, and a request
//! whose own path is not in normal form is refused, so one proof stands for one target, octet by octet.
//!
//! `docs/spec/dpop.md` is the normative page.

mod token;

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::base::{self, Component, CoveredFields};
use super::{
    CoveredRequest, DEFINING_FIELDS, IDEMPOTENCY_KEY_FIELD, PASSPORT_FIELD, PROOF_FUTURE_SKEW_SECONDS, ProofError,
    ProofForm, Proven, VerifiedProof, check_digest_field, check_header_names, check_window, passport_field,
    single_line, uri,
};
use crate::b64;
use crate::http::HttpRequest;
use crate::jws;
use crate::key::{PublicKey, SecretKey};
use token::{Claims, NewClaims, Token, malformed};

/// Name of the field that carries the proof.
pub const DPOP_FIELD: &str = "dpop";
/// Longest accepted proof in bytes. One without covered fields has some 600.
pub const MAX_DPOP_BYTES: usize = 8 * 1024;
/// Shortest accepted `jti` in characters: 16 characters of base64url are 96 random bits.
pub const MIN_JTI_CHARS: usize = 16;
/// Longest accepted `jti` in characters.
pub const MAX_JTI_CHARS: usize = 128;

/// What the signer decides about a proof.
#[derive(Clone, Copy, Debug)]
pub struct DpopParams<'a> {
    /// Time of signing, unix seconds.
    pub created: i64,
    /// A fresh random text, 16 to 128 visible ASCII characters.
    pub jti: &'a str,
    /// Last second at which the proof may be accepted, if earlier than the window's end. `exp` is the second after it.
    pub expires: Option<i64>,
    /// The nonce that the verifier gave out (`DPoP-Nonce`), if it did.
    pub nonce: Option<&'a str>,
}

/// What the verifier decides about proofs.
#[derive(Clone, Copy, Debug, Default)]
pub struct DpopRules<'a> {
    /// The nonces this verifier gave out and still accepts (RFC 9449 section 9). A proof needs one of them, so an empty
    /// list accepts none; with `None` no nonce is asked for, and one that stands there is ignored.
    pub nonces: Option<&'a [&'a str]>,
}

/// Signs a request: the value of its `dpop` field. `extra` fields are covered beside those that have to be, by their
/// names in lower case.
///
/// # Errors
/// As for [`signing_input`].
pub fn sign(
    request: &HttpRequest<'_>,
    key: &SecretKey,
    params: &DpopParams<'_>,
    extra: &[&str],
) -> Result<String, ProofError> {
    let input = signing_input(request, key.public(), params, extra)?;
    let signature = key.sign(input.as_bytes());
    Ok(with_signature(input, &signature))
}

/// What is signed, for a key that is held elsewhere. The request must carry the `agent-passport` field already.
///
/// # Errors
/// When the request or the parameters would not be accepted by [`verify`]; the error is the one it would give. Also
/// when a field to cover is missing or may not be covered.
pub fn signing_input(
    request: &HttpRequest<'_>,
    key: &PublicKey,
    params: &DpopParams<'_>,
    extra: &[&str],
) -> Result<String, ProofError> {
    /// A dot and 64 bytes in base64url.
    const SIGNATURE_BYTES: usize = 87;
    check_header_names(request)?;
    let passport = passport_field(request)?;
    let target = normal_target(request)?;
    check_digest_field(request)?;
    let mut htf = BTreeMap::new();
    let key_field = request.lines(IDEMPOTENCY_KEY_FIELD).next().map(|_| IDEMPOTENCY_KEY_FIELD);
    let own: Vec<&str> = required_fields(request).chain(key_field).collect();
    for name in own.iter().chain(extra) {
        let (name, value) = covered_field(request, name)?;
        htf.insert(name, value);
    }
    let claims = NewClaims {
        jti: params.jti,
        htm: request.method,
        htu: &target,
        iat: params.created,
        exp: params.expires.map(|last| last.saturating_add(1)),
        ath: b64::encode(&hash(passport.as_bytes())),
        nonce: params.nonce,
        htq: request.query.map(|query| b64::encode(&hash(query.as_bytes()))),
        htb: (!request.body.is_empty()).then(|| b64::encode(&hash(request.body))),
        htf,
    };
    let input = claims.signing_input(key)?;
    if input.len() + SIGNATURE_BYTES > MAX_DPOP_BYTES {
        return Err(malformed("it would be longer than 8192 bytes: cover fewer fields"));
    }
    Ok(input)
}

/// The value of the `dpop` field, of a [`signing_input`] and the Ed25519 signature over it.
#[must_use]
pub fn with_signature(signing_input: String, signature: &[u8; 64]) -> String {
    jws::with_signature(signing_input, signature)
}

/// Verifies the DPoP proof of a request against the passport's `cnf` key at `now` (unix seconds).
///
/// The steps, in order, and the code of each failure; the numbers in parentheses are those of RFC 9449 section 4.3:
///
/// 1. `dpop` and `agent-passport` are there (`proof_missing`) on one line each (1), within their limits, well-formed
///    (2) with all claims (3), typed (4), without private key members (7) (`proof_malformed`), and signed with Ed25519
///    (5) (`proof_algorithm`).
/// 2. `jwk` is the key (12) (`proof_key_mismatch`).
/// 3. `now` lies in the proof's window (11) (`proof_in_future`, `proof_expired`).
/// 4. `htm` is the method (8) (`proof_method_mismatch`), `htu` and `htq` are the target (9) (`proof_target_mismatch`,
///    `proof_coverage`; `proof_malformed` when the request's own target is not in normal form), and `ath` is the
///    passport (12) (`proof_passport_mismatch`).
/// 5. `nonce` is one of those asked for (10) (`proof_nonce_required`).
/// 6. The fields that have to be covered are, and have the values signed (`proof_coverage`, `proof_field_mismatch`);
///    `htb` is there for a body (`content_digest_missing`).
/// 7. The signature verifies strictly (6) (`proof_signature_invalid`).
/// 8. `htb`, and `content-digest` where there is one, match the body (`content_digest_mismatch`).
///
/// # Errors
/// The first failing step's [`ProofError`].
pub fn verify<'a>(
    request: &'a HttpRequest<'a>,
    key: &PublicKey,
    now: i64,
    rules: &DpopRules<'_>,
) -> Result<VerifiedProof<'a>, ProofError> {
    // 1.
    check_header_names(request)?;
    let line = single_line(request, DPOP_FIELD)?;
    let passport = passport_field(request)?;
    let token = Token::read(line)?;
    let claims = &token.claims;
    // 2.
    if token.key != *key {
        return Err(ProofError::KeyMismatch);
    }
    // 3.
    let expires_at = check_times(claims, now)?;
    // 4.
    let target = check_target(request, claims)?;
    if claims.ath != hash(passport.as_bytes()) {
        return Err(ProofError::PassportMismatch);
    }
    // 5.
    if rules.nonces.is_some_and(|accepted| !claims.nonce.as_deref().is_some_and(|nonce| accepted.contains(&nonce))) {
        return Err(ProofError::NonceRequired);
    }
    // 6.
    let fields = check_fields(request, passport, claims)?;
    if claims.htb.is_none() && !request.body.is_empty() {
        return Err(ProofError::BodyHashMissing);
    }
    // 7.
    key.verify(token.signing_input.as_bytes(), &token.signature).map_err(|_| ProofError::SignatureInvalid)?;
    // 8.
    if claims.htb.is_some_and(|htb| htb != hash(request.body)) {
        return Err(ProofError::BodyHashMismatch);
    }
    check_digest_field(request)?;
    Ok(VerifiedProof {
        form: ProofForm::Dpop,
        proven: Proven::ALL,
        created: claims.iat,
        expires_at,
        nonce: Cow::Owned(replay_key(&claims.jti, request.method, &target)),
        key_thumbprint: Cow::Owned(String::from(key.thumbprint())),
        covered: CoveredRequest { request, fields },
    })
}

/// What is remembered of a proof: `dpop:` and the base64url SHA-256 of method, normalised target without query, and
/// `jti`, one to a line. Whoever accepts a proof has to refuse the same of the same key until the proof has expired.
///
/// It is made of what was compared, so no other spelling of a claim makes a proof new (RFC 9449 section 11.1).
#[must_use]
pub fn replay_key(jti: &str, method: &str, target: &str) -> String {
    // None of the three has a line end, so the text can be cut in one way only.
    let digest = hash([method, "\n", target, "\n", jti].concat().as_bytes());
    ["dpop:", &b64::encode(&digest)].concat()
}

/// The request's target without its query, which must be in normal form. Were another spelling let through, a proof
/// would stand for all spellings of its target, and whoever reads the request after the gate may tell them apart.
fn normal_target(request: &HttpRequest<'_>) -> Result<String, ProofError> {
    base::check_target(request)?;
    let target = HttpRequest { query: None, ..*request }.target_uri();
    if uri::normalize(&target).as_deref() != Some(target.as_str()) {
        return Err(ProofError::malformed(
            "target",
            "DPoP compares targets in the normal form of RFC 3986 section 6.2",
        ));
    }
    Ok(target)
}

fn check_target(request: &HttpRequest<'_>, claims: &Claims) -> Result<String, ProofError> {
    let target = normal_target(request)?;
    if claims.htm != request.method {
        return Err(ProofError::MethodMismatch);
    }
    if claims.htu != target {
        return Err(ProofError::TargetMismatch { claim: "htu" });
    }
    match (request.query, claims.htq) {
        (None, None) => Ok(target),
        (Some(_), None) => Err(ProofError::coverage("htq", "must cover the query: add the SHA-256 of it")),
        (Some(query), Some(htq)) if htq == hash(query.as_bytes()) => Ok(target),
        (_, Some(_)) => Err(ProofError::TargetMismatch { claim: "htq" }),
    }
}

/// Whether `now` lies in the proof's window; returns the window's last second.
fn check_times(claims: &Claims, now: i64) -> Result<i64, ProofError> {
    let expires_at = check_window(claims.iat, claims.exp.map(|exp| exp.saturating_sub(1)), now)?;
    match claims.nbf {
        Some(nbf) if nbf > now.saturating_add(PROOF_FUTURE_SKEW_SECONDS) => {
            Err(ProofError::InFuture { created: nbf, now })
        }
        _ => Ok(expires_at),
    }
}

/// The fields every proof of this request must cover, where it has them.
fn required_fields<'r>(request: &'r HttpRequest<'_>) -> impl Iterator<Item = &'static str> + use<'r> {
    DEFINING_FIELDS.into_iter().filter(|field| request.lines(field).next().is_some())
}

/// The covered fields as the request has them, the passport among them.
fn check_fields<'a>(
    request: &'a HttpRequest<'a>,
    passport: &'a str,
    claims: &Claims,
) -> Result<CoveredFields<'a>, ProofError> {
    if let Some(field) = required_fields(request).find(|field| !claims.htf.iter().any(|(name, _)| name == field)) {
        return Err(ProofError::coverage(field, "must be covered by `htf`"));
    }
    let mut fields: CoveredFields<'a> = Vec::with_capacity(claims.htf.len() + 1);
    fields.push((PASSPORT_FIELD, Cow::Borrowed(passport)));
    for (name, signed) in &claims.htf {
        let (name, value) = covered_field(request, name)?;
        if value != signed.as_str() {
            return Err(ProofError::FieldMismatch { field: String::from(name) });
        }
        fields.push((name, value));
    }
    Ok(fields)
}

/// A field's name and value, if it may stand in `htf` and the request has it.
fn covered_field<'a>(request: &HttpRequest<'a>, name: &str) -> Result<(&'a str, Cow<'a, str>), ProofError> {
    if matches!(name, DPOP_FIELD | PASSPORT_FIELD) || !matches!(Component::parse(name)?, Component::Field(_)) {
        return Err(ProofError::coverage(name, "cannot stand in `htf`"));
    }
    let headers = request.headers;
    let stands = headers.iter().find(|header| header.name == name).map(|header| header.name);
    match (stands, base::field_value(request, name)?) {
        (Some(name), Some(value)) => Ok((name, value)),
        _ => Err(ProofError::coverage(name, "is covered, but the request has no such field")),
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests;
