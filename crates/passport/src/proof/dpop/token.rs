//! The JWT of a DPoP proof: reading its header and claims, and writing them.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::Serialize;

use super::{DPOP_FIELD, MAX_DPOP_BYTES, MAX_JTI_CHARS, MIN_JTI_CHARS, uri};
use crate::b64;
use crate::json::{self, MAX_SAFE_INTEGER, Members, Node};
use crate::jwk;
use crate::jws::{self, JwsError, Segments};
use crate::key::PublicKey;
use crate::proof::{MAX_COMPONENTS, MAX_NONCE_CHARS, ProofError};

/// The only `typ`, to the letter (RFC 9449 section 4.2).
const TYPE: &str = "dpop+jwt";
/// Longest encoded header in bytes: a public key with all its optional members takes about 400.
const MAX_HEADER_BYTES: usize = 1024;

/// A well-formed proof, whose signature nobody has checked.
pub(super) struct Token<'t> {
    pub(super) signing_input: &'t str,
    pub(super) signature: [u8; 64],
    pub(super) key: PublicKey,
    pub(super) claims: Claims,
}

impl<'t> Token<'t> {
    pub(super) fn read(line: &'t [u8]) -> Result<Self, ProofError> {
        let text = core::str::from_utf8(line).map_err(|_| malformed("it is not ASCII"))?;
        let Segments { signing_input, header, payload, signature } =
            jws::segments(text, MAX_DPOP_BYTES).map_err(not_a_jws)?;
        let key = read_header(header)?;
        let undecodable = |segment| not_a_jws(JwsError::Base64 { segment });
        let payload = b64::decode(payload).map_err(|_| undecodable("payload"))?;
        let signature = b64::decode_array(signature).map_err(|_| undecodable("signature"))?;
        Ok(Self { signing_input, signature, key, claims: Claims::read(&payload)? })
    }
}

/// Checks the header and gives the key in it, which says nothing before it is compared with the passport's.
fn read_header(encoded: &str) -> Result<PublicKey, ProofError> {
    if encoded.len() > MAX_HEADER_BYTES {
        return Err(malformed("its header is longer than 1024 bytes"));
    }
    let bytes = b64::decode(encoded).map_err(|_| not_a_jws(JwsError::Base64 { segment: "header" }))?;
    let header = object(&bytes)?;
    // First the algorithm: with another one, `jwk` is no key of ours either.
    match header.get("alg").and_then(Node::as_str) {
        Some("EdDSA" | "Ed25519") => {}
        Some(_) => return Err(ProofError::Algorithm),
        None => return Err(malformed("header member `alg` is missing or no string")),
    }
    if header.get("typ").and_then(Node::as_str) != Some(TYPE) {
        return Err(malformed("header member `typ` is not dpop+jwt"));
    }
    if header.keys().any(|name| !matches!(name.as_ref(), "alg" | "jwk" | "typ")) {
        return Err(malformed("its header has members other than `alg`, `jwk` and `typ`"));
    }
    let jwk = header.get("jwk").ok_or_else(|| malformed("header member `jwk` is missing"))?;
    jwk::from_node(jwk).map_err(|error| malformed(error.to_string()))
}

/// The claims, typed and bounded. Others are ignored, as RFC 7519 section 4 says.
pub(super) struct Claims {
    pub(super) jti: String,
    pub(super) htm: String,
    /// Normalised.
    pub(super) htu: String,
    pub(super) iat: i64,
    /// The first second at which the proof is void.
    pub(super) exp: Option<i64>,
    pub(super) nbf: Option<i64>,
    pub(super) ath: [u8; 32],
    pub(super) nonce: Option<String>,
    pub(super) htq: Option<[u8; 32]>,
    pub(super) htb: Option<[u8; 32]>,
    pub(super) htf: Vec<(String, String)>,
}

impl Claims {
    pub(super) fn read(payload: &[u8]) -> Result<Self, ProofError> {
        let members = object(payload)?;
        let claims = Self {
            jti: required(&members, "jti", text)?,
            htm: required(&members, "htm", text)?,
            htu: required(&members, "htu", |value| value.as_str().and_then(uri::normalize))?,
            iat: required(&members, "iat", date)?,
            exp: optional(&members, "exp", date)?,
            nbf: optional(&members, "nbf", date)?,
            ath: required(&members, "ath", sha256)?,
            nonce: optional(&members, "nonce", text)?,
            htq: optional(&members, "htq", sha256)?,
            htb: optional(&members, "htb", sha256)?,
            htf: optional(&members, "htf", fields)?.unwrap_or_default(),
        };
        check_jti(&claims.jti)?;
        if claims.nonce.as_ref().is_some_and(|nonce| !is_visible(nonce) || nonce.len() > MAX_NONCE_CHARS) {
            return Err(malformed("claim `nonce` is not at most 128 visible ASCII characters"));
        }
        if claims.exp.is_some_and(|exp| exp <= claims.iat) {
            return Err(malformed("claim `exp` does not lie after `iat`"));
        }
        Ok(claims)
    }
}

/// The `jti` is remembered for minutes, so it is bounded; and it is random, so it has room for that.
fn check_jti(jti: &str) -> Result<(), ProofError> {
    if is_visible(jti) && (MIN_JTI_CHARS..=MAX_JTI_CHARS).contains(&jti.len()) {
        return Ok(());
    }
    Err(malformed("claim `jti` is not 16 to 128 visible ASCII characters"))
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn object(bytes: &[u8]) -> Result<Members<'_>, ProofError> {
    match json::read(bytes, MAX_DPOP_BYTES).map_err(|error| malformed(error.to_string()))? {
        Node::Object(members) => Ok(members),
        _ => Err(malformed("its header and its payload must be JSON objects")),
    }
}

fn required<T>(members: &Members<'_>, claim: &str, read: impl FnOnce(&Node<'_>) -> Option<T>) -> Result<T, ProofError> {
    optional(members, claim, read)?.ok_or_else(|| malformed(format!("claim `{claim}` is missing")))
}

fn optional<T>(
    members: &Members<'_>,
    claim: &str,
    read: impl FnOnce(&Node<'_>) -> Option<T>,
) -> Result<Option<T>, ProofError> {
    let Some(value) = members.get(claim) else { return Ok(None) };
    read(value).map(Some).ok_or_else(|| malformed(format!("claim `{claim}` is of the wrong type or form")))
}

fn text(value: &Node<'_>) -> Option<String> {
    value.as_str().map(String::from)
}

fn date(value: &Node<'_>) -> Option<i64> {
    value.as_u64().filter(|seconds| *seconds <= MAX_SAFE_INTEGER).and_then(|seconds| i64::try_from(seconds).ok())
}

fn sha256(value: &Node<'_>) -> Option<[u8; 32]> {
    value.as_str().and_then(|text| b64::decode_array(text).ok())
}

fn fields(value: &Node<'_>) -> Option<Vec<(String, String)>> {
    let members = value.as_object().filter(|members| members.len() <= MAX_COMPONENTS)?;
    members.iter().map(|(name, value)| Some((name.to_string(), text(value)?))).collect()
}

/// The claims of a new proof, in the order in which they are written.
#[derive(Serialize)]
pub(super) struct NewClaims<'a> {
    pub(super) jti: &'a str,
    pub(super) htm: &'a str,
    pub(super) htu: &'a str,
    pub(super) iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<i64>,
    pub(super) ath: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) htq: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) htb: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) htf: BTreeMap<&'a str, Cow<'a, str>>,
}

impl NewClaims<'_> {
    /// What is signed, after the claims have been read back with the verifier's own rules.
    pub(super) fn signing_input(&self, key: &PublicKey) -> Result<String, ProofError> {
        let payload = serde_json::to_vec(self).map_err(|_| malformed("its claims cannot be written"))?;
        Claims::read(&payload)?;
        let x = b64::encode(key.as_bytes());
        let header = format!(r#"{{"alg":"EdDSA","jwk":{{"crv":"Ed25519","kty":"OKP","x":"{x}"}},"typ":"{TYPE}"}}"#);
        let mut input = b64::encode(header.as_bytes());
        input.push('.');
        b64::push(&mut input, &payload);
        Ok(input)
    }
}

fn not_a_jws(error: JwsError) -> ProofError {
    malformed(error.to_string())
}

pub(super) fn malformed(reason: impl Into<Cow<'static, str>>) -> ProofError {
    ProofError::malformed(DPOP_FIELD, reason)
}
