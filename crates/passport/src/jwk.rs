//! Keys as JWK (RFC 7517) of type OKP with curve Ed25519 (RFC 8037), and JWK Sets.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::b64;
use crate::json::{self, JsonError, Members, Node};
use crate::key::{KeyError, PublicKey, SecretKey};

/// Longest JWK read, in bytes; ours have under 200.
pub const MAX_JWK_BYTES: usize = 4 * 1024;
/// Longest JWK Set read, in bytes.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;
/// Most keys in one set; an issuer in rotation has two or three.
pub const MAX_JWKS_KEYS: usize = 64;

/// Length of 32 bytes in base64url.
pub(crate) const ENCODED_KEY_LEN: usize = 43;

/// Members that only private or symmetric keys have (RFC 7518 section 6, RFC 8037 section 2).
pub const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The names of Ed25519 in a JWK (RFC 8037 section 3.1, RFC 9864).
pub(crate) const ALGORITHMS: [&str; 2] = ["EdDSA", "Ed25519"];

/// Why a JWK or a set was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkError {
    /// Not strict JSON.
    #[error("JWK: {0}")]
    Json(JsonError),
    /// A member is missing, has the wrong type or the wrong value.
    #[error("JWK member `{member}` {problem}")]
    Member {
        /// The member in question.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A private member where a public key is expected: the secret has leaked.
    #[error("JWK contains private key material: publish only the public members, and replace this key")]
    Private,
    /// The key itself is not acceptable.
    #[error("JWK: {0}")]
    Key(KeyError),
    /// `d` and `x` are not two halves of one key.
    #[error("JWK members `d` and `x` do not belong together")]
    Mismatch,
    /// A set with more than [`MAX_JWKS_KEYS`] keys.
    #[error("JWK Set has more than 64 keys")]
    TooManyKeys,
    /// One key stands twice in a set.
    #[error("JWK Set contains a key twice")]
    DuplicateKey,
}

impl PublicKey {
    /// Reads a public JWK of at most [`MAX_JWK_BYTES`] bytes.
    ///
    /// # Errors
    /// As [`from_value`], and [`JwkError::Json`].
    pub fn from_jwk(bytes: &[u8]) -> Result<Self, JwkError> {
        from_node(&json::read(bytes, MAX_JWK_BYTES).map_err(JwkError::Json)?)
    }

    /// The public JWK, in this byte form: `{"crv":"Ed25519","kid":"<thumbprint>","kty":"OKP","x":"<key>"}`.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        let x = b64::encode(self.as_bytes());
        alloc::format!(r#"{{"crv":"Ed25519","kid":"{}","kty":"OKP","x":"{x}"}}"#, self.thumbprint())
    }
}

impl SecretKey {
    /// The private JWK, in one line; wiped when dropped.
    #[must_use]
    pub fn to_private_jwk(&self) -> Zeroizing<String> {
        let mut d = Zeroizing::new([0_u8; ENCODED_KEY_LEN]);
        let seed = self.seed();
        // The buffer has the exact size, so the call cannot fail; on an error `d` would stay zero and not read back.
        let _written = URL_SAFE_NO_PAD.encode_slice(seed.as_slice(), d.as_mut_slice());
        let public = b64::encode(self.public().as_bytes());
        // One allocation of the full size: growing would leave copies of the secret behind.
        let mut jwk = Zeroizing::new(String::with_capacity(256));
        jwk.push_str(r#"{"crv":"Ed25519","d":""#);
        jwk.push_str(core::str::from_utf8(d.as_slice()).unwrap_or_default());
        jwk.push_str(r#"","kid":""#);
        jwk.push_str(self.public().thumbprint());
        jwk.push_str(r#"","kty":"OKP","x":""#);
        jwk.push_str(&public);
        jwk.push_str(r#""}"#);
        jwk
    }

    /// Reads a private JWK of at most [`MAX_JWK_BYTES`] bytes.
    ///
    /// # Errors
    /// [`JwkError`]; `d` has to belong to `x`, and the public members follow the rules of [`from_value`].
    pub fn from_private_jwk(bytes: &[u8]) -> Result<Self, JwkError> {
        let jwk = PrivateJwk::<Vec<String>>::read(bytes)?;
        check_type(&jwk.kty, &jwk.crv)?;
        check_usage(jwk.alg.as_deref(), jwk.r#use.as_deref(), &ALGORITHMS)?;
        if let Some(operations) = &jwk.key_ops {
            let known = operations.iter().all(|op| op == "sign" || op == "verify");
            if !known || !operations.iter().any(|op| op == "sign") {
                return Err(member("key_ops", "does not allow signing"));
            }
        }
        let x = public_from_x(&jwk.x, jwk.kid.as_deref())?;
        let key = Self::from_seed(*jwk.secret()?);
        if key.public() == &x { Ok(key) } else { Err(JwkError::Mismatch) }
    }
}

/// Reads a public key from a parsed JWK.
///
/// `kty`, `crv` and `x` are required. `alg`, `use`, `key_ops` and `kid` may be absent, but have to fit: `EdDSA` or
/// `Ed25519`, `sig`, `["verify"]` and the thumbprint. Members with other meanings are ignored (RFC 7517 section 4).
///
/// # Errors
/// [`JwkError`]; private members are refused, not skipped.
pub fn from_value(jwk: &Value) -> Result<PublicKey, JwkError> {
    from_node(&Node::from(jwk))
}

/// As [`from_value`], for a document that was just read.
pub(crate) fn from_node(jwk: &Node<'_>) -> Result<PublicKey, JwkError> {
    let members = jwk.as_object().ok_or(member("kty", "is missing: a JWK is an object"))?;
    from_members(members, &ALGORITHMS)
}

/// As [`from_node`], with the names of `alg` that are accepted.
pub(crate) fn from_members(members: &Members<'_>, algorithms: &[&str]) -> Result<PublicKey, JwkError> {
    if members.keys().any(|name| PRIVATE_MEMBERS.contains(&name.as_ref())) {
        return Err(JwkError::Private);
    }
    check_type(required(members, "kty")?, required(members, "crv")?)?;
    check_usage(optional(members, "alg")?, optional(members, "use")?, algorithms)?;
    let verifies_only =
        |operations: &Node<'_>| matches!(operations.as_array(), Some([only]) if only.as_str() == Some("verify"));
    if !members.get("key_ops").is_none_or(verifies_only) {
        return Err(member("key_ops", "is not exactly [\"verify\"]"));
    }
    public_from_x(required(members, "x")?, optional(members, "kid")?)
}

/// Reads a JWK Set of at most [`MAX_JWKS_BYTES`] bytes and [`MAX_JWKS_KEYS`] keys, in its order.
///
/// Keys of other types and curves are skipped (RFC 7517 section 5); a bad Ed25519 key refuses the whole set.
///
/// # Errors
/// [`JwkError`], also for private material in any key and for a key that stands twice.
pub fn parse_set(bytes: &[u8]) -> Result<Vec<PublicKey>, JwkError> {
    let set = json::read(bytes, MAX_JWKS_BYTES).map_err(JwkError::Json)?;
    let mut keys: Vec<PublicKey> = Vec::new();
    for jwk in ed25519_members(&set)? {
        let key = from_members(jwk, &ALGORITHMS)?;
        if keys.contains(&key) {
            return Err(JwkError::DuplicateKey);
        }
        keys.push(key);
    }
    Ok(keys)
}

/// The keys of a set that say they are Ed25519 keys, as they stand there.
pub(crate) fn ed25519_members<'s, 'a>(set: &'s Node<'a>) -> Result<Vec<&'s Members<'a>>, JwkError> {
    let entries =
        set.as_object().and_then(|set| set.get("keys")?.as_array()).ok_or(member("keys", "is missing or no array"))?;
    if entries.len() > MAX_JWKS_KEYS {
        return Err(JwkError::TooManyKeys);
    }
    let mut keys = Vec::new();
    for entry in entries {
        let members = entry.as_object().ok_or(member("keys", "has an entry that is no object"))?;
        if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
            return Err(JwkError::Private);
        }
        if required(members, "kty")? == "OKP" && required(members, "crv")? == "Ed25519" {
            keys.push(members);
        }
    }
    Ok(keys)
}

/// Writes a JWK Set: `{"keys":[...]}` with each key as in [`PublicKey::to_jwk`].
#[must_use]
pub fn emit_set<'k>(keys: impl IntoIterator<Item = &'k PublicKey>) -> String {
    let keys: Vec<String> = keys.into_iter().map(PublicKey::to_jwk).collect();
    alloc::format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// Only what signing and decrypting need; `d` is wiped on drop. A typed reader, because a generic value would keep copies of
/// `d`. `key_ops` is of the type `O`: what does not look at it takes anything there.
#[derive(Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct PrivateJwk<O> {
    pub(crate) kty: String,
    pub(crate) crv: String,
    pub(crate) x: String,
    pub(crate) d: String,
    pub(crate) kid: Option<String>,
    pub(crate) alg: Option<String>,
    pub(crate) r#use: Option<String>,
    key_ops: Option<O>,
}

impl<O: DeserializeOwned> PrivateJwk<O> {
    /// Reads one of at most [`MAX_JWK_BYTES`] bytes.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JwkError> {
        json::parse_into(bytes, MAX_JWK_BYTES).map_err(private_json_error)
    }

    /// What `d` says, read into a place that is wiped.
    pub(crate) fn secret(&self) -> Result<Zeroizing<[u8; 32]>, JwkError> {
        let mut secret = Zeroizing::new([0_u8; 32]);
        let is_sized = self.d.len() == ENCODED_KEY_LEN;
        let written = is_sized.then(|| URL_SAFE_NO_PAD.decode_slice_unchecked(&self.d, secret.as_mut_slice()));
        match written {
            Some(Ok(32)) => Ok(secret),
            _ => Err(member("d", "is not the base64url of 32 bytes")),
        }
    }
}

impl<O> Drop for PrivateJwk<O> {
    fn drop(&mut self) {
        self.d.zeroize();
    }
}

/// A typed reader's message quotes values, and one of them is the secret.
fn private_json_error(error: JsonError) -> JwkError {
    match error {
        JsonError::Shape(_) => {
            member("d", "or a sibling is missing or of the wrong type: kty, crv, x and d are strings")
        }
        other => JwkError::Json(other),
    }
}

fn check_type(kty: &str, crv: &str) -> Result<(), JwkError> {
    if kty != "OKP" {
        return Err(member("kty", "is not OKP"));
    }
    if crv != "Ed25519" {
        return Err(member("crv", "is not Ed25519"));
    }
    Ok(())
}

fn check_usage(alg: Option<&str>, usage: Option<&str>, algorithms: &[&str]) -> Result<(), JwkError> {
    if !alg.is_none_or(|alg| algorithms.contains(&alg)) {
        return Err(member("alg", "is neither EdDSA nor Ed25519"));
    }
    if !matches!(usage, None | Some("sig")) {
        return Err(member("use", "is not sig"));
    }
    Ok(())
}

fn public_from_x(x: &str, kid: Option<&str>) -> Result<PublicKey, JwkError> {
    let bytes = b64::decode_array(x).map_err(|_| member("x", "is not the base64url of 32 bytes"))?;
    let key = PublicKey::from_bytes(&bytes).map_err(JwkError::Key)?;
    match kid {
        Some(kid) if kid != key.thumbprint() => Err(member("kid", "is not the RFC 7638 thumbprint of the key")),
        _ => Ok(key),
    }
}

pub(crate) fn required<'j>(members: &'j Members<'_>, name: &'static str) -> Result<&'j str, JwkError> {
    members.get(name).and_then(Node::as_str).ok_or(member(name, "is missing or no string"))
}

pub(crate) fn optional<'j>(members: &'j Members<'_>, name: &'static str) -> Result<Option<&'j str>, JwkError> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(member(name, "is no string")),
    }
}

pub(crate) const fn member(member: &'static str, problem: &'static str) -> JwkError {
    JwkError::Member { member, problem }
}

#[cfg(test)]
mod tests;
