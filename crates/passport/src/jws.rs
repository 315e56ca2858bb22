//! Compact JWS with Ed25519 and nothing else (RFC 7515, RFC 8037, under the advice of RFC 8725).
//!
//! A header has exactly the members `alg`, `kid` and `typ`. Everything that could choose another key, another
//! algorithm or another reading of the payload (`crit`, `b64`, `zip`, `cty`, `jku`, `x5u`, `x5c`, `x5t`, `jwk`, and
//! any unknown member) refuses the token; nothing is fetched, and no key is ever taken from a header.

use alloc::string::String;
use alloc::vec::Vec;

use crate::b64;
use crate::json::{self, JsonError, Members, Node};
use crate::key::{PublicKey, SecretKey};

/// Longest `kid` in bytes; a thumbprint has 43.
pub const MAX_KID_BYTES: usize = 128;

/// Longest encoded header in bytes: three short members, with room for white space.
const MAX_HEADER_BYTES: usize = 512;

/// Length of 64 bytes in base64url.
const ENCODED_SIGNATURE_CHARS: usize = 86;

const DOT: char = '.';

/// What stands before, between and after `kid` and `typ` in the headers that are written here.
const OWN_HEADER: [&str; 3] = [r#"{"alg":"EdDSA","kid":""#, r#"","typ":""#, r#""}"#];

/// What a token is, by its `typ` header (explicit typing, RFC 8725 section 3.11). One kind never passes as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenType {
    /// `passport+jwt`
    Passport,
    /// `attestation+jwt`
    Attestation,
    /// `ledger-head+jwt`
    LedgerHead,
    /// `actionpass+jwt`
    ActionPass,
    /// `approval+jwt`
    Approval,
    /// `bundle+jwt`
    Bundle,
    /// `statuslist+jwt`
    StatusList,
    /// `plugin+jwt`
    Plugin,
}

impl TokenType {
    /// Every kind of token.
    pub const ALL: [Self; 8] = [
        Self::Passport,
        Self::Attestation,
        Self::LedgerHead,
        Self::ActionPass,
        Self::Approval,
        Self::Bundle,
        Self::StatusList,
        Self::Plugin,
    ];

    /// The `typ` value, without the `application/` prefix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passport => "passport+jwt",
            Self::Attestation => "attestation+jwt",
            Self::LedgerHead => "ledger-head+jwt",
            Self::ActionPass => "actionpass+jwt",
            Self::Approval => "approval+jwt",
            Self::Bundle => "bundle+jwt",
            Self::StatusList => "statuslist+jwt",
            Self::Plugin => "plugin+jwt",
        }
    }

    /// RFC 7515 section 4.1.9 lets the prefix stand or be dropped; letter case is kept strict.
    fn is_named(self, typ: &str) -> bool {
        typ.strip_prefix("application/").unwrap_or(typ) == self.as_str()
    }
}

/// Why a token was refused. All but the last two are malformed tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwsError {
    /// Longer than the caller allows.
    #[error("token exceeds {limit} bytes")]
    TooLarge {
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// Not three non-empty segments.
    #[error("token is no compact JWS: it has three non-empty base64url segments joined by dots")]
    Segments,
    /// A segment is not canonical base64url.
    #[error("token {segment} is not canonical base64url without padding")]
    Base64 {
        /// `header`, `payload` or `signature`.
        segment: &'static str,
    },
    /// The header is not strict JSON.
    #[error("token header: {0}")]
    Header(JsonError),
    /// The header is no object, or lacks a member, or has one of another type.
    #[error("token header needs the string members `alg`, `kid` and `typ`; `{member}` is missing or no string")]
    HeaderShape {
        /// The member in question.
        member: &'static str,
    },
    /// The header has a member beyond the three.
    #[error("token header member `{member}` is not allowed: sign with exactly `alg`, `kid` and `typ`")]
    HeaderMember {
        /// Its name where it is a registered one, else `unknown`.
        member: &'static str,
    },
    /// Not EdDSA.
    #[error("token header `alg` is not accepted: sign with Ed25519 and name it `EdDSA`")]
    Algorithm,
    /// Another kind of token.
    #[error("token header `typ` is not `{expected}`: present the right kind of token")]
    Type {
        /// The `typ` wanted here.
        expected: &'static str,
    },
    /// `kid` is too long or has characters outside base64url.
    #[error("token header `kid` is not a key thumbprint")]
    KeyId,
    /// `kid` names another key than the one it is verified with.
    #[error("token header `kid` does not name the verification key")]
    KeyMismatch,
    /// The signature does not verify.
    #[error("token signature is not valid")]
    SignatureInvalid,
}

/// Signs `payload` as a compact JWS; see [`signing_input`].
#[must_use]
pub fn sign(key: &SecretKey, typ: TokenType, payload: &[u8]) -> String {
    let input = signing_input(key.public().thumbprint(), typ, payload);
    let signature = key.sign(input.as_bytes());
    with_signature(input, &signature)
}

/// What is signed: header and payload of a compact JWS (RFC 7515 section 5.1). The header has exactly this byte form:
/// `{"alg":"EdDSA","kid":"<thumbprint>","typ":"<typ>"}`. `payload` must not be empty, or readers refuse the token.
#[must_use]
pub fn signing_input(kid: &str, typ: TokenType, payload: &[u8]) -> String {
    let [alg, typ_name, end] = OWN_HEADER;
    let header = [alg, kid, typ_name, typ.as_str(), end].concat();
    let mut token = String::with_capacity((header.len() + payload.len()) * 4 / 3 + ENCODED_SIGNATURE_CHARS + 4);
    b64::push(&mut token, header.as_bytes());
    token.push(DOT);
    b64::push(&mut token, payload);
    token
}

/// The compact JWS of a [`signing_input`] and the Ed25519 signature over it.
#[must_use]
pub fn with_signature(signing_input: String, signature: &[u8; 64]) -> String {
    let mut token = signing_input;
    token.push(DOT);
    b64::push(&mut token, signature);
    token
}

/// Takes a token of kind `typ` apart, without verifying it.
///
/// # Errors
/// [`JwsError`] for everything that is wrong before the signature is looked at.
pub fn decode(token: &str, typ: TokenType, max_bytes: usize) -> Result<Unverified<'_>, JwsError> {
    let Segments { signing_input, header, payload, signature } = segments(token, max_bytes)?;
    let kid = read_header(header, typ)?;
    Ok(Unverified {
        token,
        signing_input,
        kid,
        payload: b64::decode(payload).map_err(|_| JwsError::Base64 { segment: "payload" })?,
        signature: b64::decode_array(signature).map_err(|_| JwsError::Base64 { segment: "signature" })?,
    })
}

/// The encoded parts of a compact JWS; none is empty, and none has been decoded.
pub(crate) struct Segments<'a> {
    /// Header and payload with the dot between them: what is signed.
    pub(crate) signing_input: &'a str,
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
}

/// Cuts a compact JWS of at most `max_bytes` at its two dots.
pub(crate) fn segments(token: &str, max_bytes: usize) -> Result<Segments<'_>, JwsError> {
    if token.len() > max_bytes {
        return Err(JwsError::TooLarge { limit: max_bytes });
    }
    let (signing_input, signature) = token.rsplit_once(DOT).ok_or(JwsError::Segments)?;
    let (header, payload) = signing_input.split_once(DOT).ok_or(JwsError::Segments)?;
    if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains(DOT) {
        return Err(JwsError::Segments);
    }
    Ok(Segments { signing_input, header, payload, signature })
}

/// A well-formed token whose signature nobody has checked.
#[derive(Debug, Clone)]
#[must_use = "a token means nothing before it is verified"]
pub struct Unverified<'a> {
    token: &'a str,
    signing_input: &'a str,
    kid: String,
    payload: Vec<u8>,
    signature: [u8; 64],
}

impl<'a> Unverified<'a> {
    /// The thumbprint of the key that is said to have signed: at most [`MAX_KID_BYTES`] base64url characters.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The payload bytes. Untrusted: good for finding the key, for nothing else.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Checks `kid` and the signature over the bytes as received.
    ///
    /// # Errors
    /// [`JwsError::KeyMismatch`] when `kid` is not the thumbprint of `key`, [`JwsError::SignatureInvalid`].
    pub fn verify(self, key: &PublicKey) -> Result<Verified<'a>, JwsError> {
        self.check(key)?;
        Ok(Verified { token: self.token, kid: self.kid, payload: self.payload })
    }

    /// As [`Self::verify`], and leaves the token to who has read its payload.
    pub(crate) fn check(&self, key: &PublicKey) -> Result<(), JwsError> {
        if self.kid != key.thumbprint() {
            return Err(JwsError::KeyMismatch);
        }
        key.verify(self.signing_input.as_bytes(), &self.signature).map_err(|_| JwsError::SignatureInvalid)
    }
}

/// A token whose signature holds; made by [`Unverified::verify`] alone.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    token: &'a str,
    kid: String,
    payload: Vec<u8>,
}

impl<'a> Verified<'a> {
    /// The token as received.
    #[must_use]
    pub fn token(&self) -> &'a str {
        self.token
    }

    /// The thumbprint of the key that signed.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The signed payload bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signed payload bytes, taken out.
    #[must_use]
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

/// Checks the header and gives its `kid`.
fn read_header(encoded: &str, typ: TokenType) -> Result<String, JwsError> {
    if encoded.len() > MAX_HEADER_BYTES {
        return Err(JwsError::TooLarge { limit: MAX_HEADER_BYTES });
    }
    let bytes = b64::decode(encoded).map_err(|_| JwsError::Base64 { segment: "header" })?;
    if let Some(kid) = own_header(&bytes, typ) {
        return Ok(String::from(kid));
    }
    let Node::Object(header) = json::read(&bytes, MAX_HEADER_BYTES).map_err(JwsError::Header)? else {
        return Err(JwsError::HeaderShape { member: "alg" });
    };
    if let Some(member) = header.keys().find_map(|name| forbidden_member(name)) {
        return Err(JwsError::HeaderMember { member });
    }
    if !matches!(text(&header, "alg")?, "EdDSA" | "Ed25519") {
        return Err(JwsError::Algorithm);
    }
    if !typ.is_named(text(&header, "typ")?) {
        return Err(JwsError::Type { expected: typ.as_str() });
    }
    let kid = text(&header, "kid")?;
    if is_kid(kid) { Ok(String::from(kid)) } else { Err(JwsError::KeyId) }
}

/// The `kid` of a header in the byte form of [`signing_input`], which needs no reader of JSON. What has another form may
/// still be a header.
fn own_header(bytes: &[u8], typ: TokenType) -> Option<&str> {
    let [alg, typ_name, end] = OWN_HEADER;
    let rest = core::str::from_utf8(bytes).ok()?.strip_prefix(alg)?.strip_suffix(end)?;
    rest.strip_suffix(typ.as_str())?.strip_suffix(typ_name).filter(|kid| is_kid(kid))
}

fn is_kid(text: &str) -> bool {
    let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_KID_BYTES).contains(&text.len()) && text.bytes().all(is_base64url)
}

fn text<'h>(header: &'h Members<'_>, member: &'static str) -> Result<&'h str, JwsError> {
    header.get(member).and_then(Node::as_str).ok_or(JwsError::HeaderShape { member })
}

/// A static name for a member that may not stand in a header, so that no text of the token reaches a log.
fn forbidden_member(name: &str) -> Option<&'static str> {
    const REGISTERED: [&str; 10] = ["crit", "b64", "zip", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];
    if matches!(name, "alg" | "kid" | "typ") {
        return None;
    }
    REGISTERED.into_iter().find(|known| *known == name).or(Some("unknown"))
}

#[cfg(test)]
mod tests;
