//! Who vouches for a WebAssembly component: a signature that stands beside it.
//!
//! A compact JWS (`typ: plugin+jwt`) names the component by its SHA-256 and the world that it is for, so that a signed
//! plugin never passes as an evaluator. Which keys count is for the caller to say.

use alloc::string::String;

use serde::Serialize;

use crate::digest::{read_sha256_label, sha256_label};
use crate::json::{self, JsonError, MAX_SAFE_INTEGER, Members, Node};
use crate::jws::{self, JwsError, TokenType};
use crate::key::{PublicKey, SecretKey};

/// The world of a policy plugin.
pub const POLICY_WORLD: &str = "passgate:policy@0.1.0";
/// The world of an evaluator.
pub const GATE_WORLD: &str = "passgate:gate@0.1.0";
/// The longest name of a plugin in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest version in bytes.
pub const MAX_VERSION_BYTES: usize = 64;
/// The longest world in bytes.
pub const MAX_WORLD_BYTES: usize = 64;
/// The longest signature in bytes: a header and five short members need less than 1 KiB.
pub const MAX_SIGNATURE_BYTES: usize = 2 * 1024;

/// What a signature says. The members are those of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// When it was signed, unix seconds from 0 to 2^53-1.
    pub iat: i64,
    /// What the component is called; see [`is_name`].
    pub name: String,
    /// SHA-256 of the component.
    pub sha256: [u8; 32],
    /// Its version: 1 to 64 letters, digits, `.`, `-` and `+`.
    pub version: String,
    /// The world it is for, such as [`POLICY_WORLD`]: 1 to 64 visible ASCII characters.
    pub world: String,
}

/// Why a signature does not vouch for a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not a token of the right form, or it does not verify.
    #[error("plugin signature: {0}")]
    Token(#[from] JwsError),
    /// None of the keys that count signed it.
    #[error(
        "plugin signature `kid` names none of the keys that may sign: trust its key, or have it signed with another"
    )]
    KeyUnknown,
    /// The payload is not strict JSON.
    #[error("plugin signature payload: {0}")]
    Json(JsonError),
    /// A claim is missing, of another type, outside its limits, or not one of a signature.
    #[error("plugin signature claim `{claim}` {problem}: have the component signed again")]
    Claim {
        /// The claim in question; `unknown` for one that has no meaning here.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It is the signature of another component.
    #[error("plugin signature is of another component: take the one made for these bytes, or have them signed again")]
    Digest,
    /// The component was signed for something else.
    #[error("plugin signature is not for the world `{expected}`: a component is used only as what it was signed for")]
    World {
        /// The world wanted here.
        expected: String,
    },
}

/// Whether `name` can name a plugin: 1 to 64 lower-case letters, digits and `-`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Signs `claims` as canonical JSON (RFC 8785). Equal arguments give equal bytes on every runtime.
///
/// What does not pass [`Claims::check`] makes a signature that every verifier refuses.
#[must_use]
pub fn sign(key: &SecretKey, claims: &Claims) -> String {
    let Claims { iat, name, sha256, version, world } = claims;
    let payload = Payload { iat: *iat, name, sha256: &sha256_label(sha256), version, world };
    // Strings and integers always serialise; an empty payload would fail every verification.
    jws::sign(key, TokenType::Plugin, &serde_json::to_vec(&payload).unwrap_or_default())
}

/// Verifies that one of `keys` signed the component with this SHA-256 for `world`, and gives what it said.
///
/// In this order: size, form and `typ`; the key, by `kid`; the signature; the claims; the digest; the world. `iat` is
/// not compared with a clock: a signature holds as long as its key counts.
///
/// # Errors
/// [`SignatureError`], the first failure in this order.
pub fn verify(
    jws: &str,
    component_sha256: &[u8; 32],
    world: &str,
    keys: &[PublicKey],
) -> Result<Claims, SignatureError> {
    let unverified = jws::decode(jws, TokenType::Plugin, MAX_SIGNATURE_BYTES)?;
    let signer = keys.iter().find(|key| key.thumbprint() == unverified.kid()).ok_or(SignatureError::KeyUnknown)?;
    let verified = unverified.verify(signer)?;
    let claims = Claims::from_payload(verified.payload())?;
    if claims.sha256 != *component_sha256 {
        return Err(SignatureError::Digest);
    }
    if claims.world != world {
        return Err(SignatureError::World { expected: String::from(world) });
    }
    Ok(claims)
}

impl Claims {
    /// Whether a verifier takes these claims.
    ///
    /// # Errors
    /// [`SignatureError::Claim`] for the first claim outside its limits.
    pub fn check(&self) -> Result<(), SignatureError> {
        if !u64::try_from(self.iat).is_ok_and(|iat| iat <= MAX_SAFE_INTEGER) {
            return Err(IAT);
        }
        if !is_name(&self.name) {
            return Err(claim("name", "is not 1 to 64 lower-case letters, digits and `-`"));
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
        if !(1..=MAX_VERSION_BYTES).contains(&self.version.len()) || !self.version.bytes().all(is_allowed) {
            return Err(claim("version", "is not 1 to 64 letters, digits, `.`, `-` and `+`"));
        }
        if !(1..=MAX_WORLD_BYTES).contains(&self.world.len()) || !self.world.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(claim("world", "is not 1 to 64 visible ASCII characters"));
        }
        Ok(())
    }

    fn from_payload(payload: &[u8]) -> Result<Self, SignatureError> {
        let document = json::read(payload, MAX_SIGNATURE_BYTES).map_err(SignatureError::Json)?;
        let members = document.as_object().ok_or(claim("(payload)", "is no JSON object"))?;
        if members.keys().any(|name| !MEMBERS.contains(&name.as_ref())) {
            return Err(claim("unknown", "stands in the payload, which has nothing but the five"));
        }
        let claims = Self {
            iat: required(members, "iat")?.as_u64().and_then(|iat| i64::try_from(iat).ok()).ok_or(IAT)?,
            name: text(members, "name")?.into(),
            sha256: read_sha256_label(text(members, "sha256")?)
                .ok_or(claim("sha256", "is not `sha256:` and 64 lower-case hex digits"))?,
            version: text(members, "version")?.into(),
            world: text(members, "world")?.into(),
        };
        claims.check()?;
        Ok(claims)
    }
}

const MEMBERS: [&str; 5] = ["iat", "name", "sha256", "version", "world"];
const IAT: SignatureError = claim("iat", "is not an integer of unix seconds from 0 to 2^53-1");

/// The payload as written; the order of the fields is that of canonical JSON.
#[derive(Serialize)]
struct Payload<'a> {
    iat: i64,
    name: &'a str,
    sha256: &'a str,
    version: &'a str,
    world: &'a str,
}

fn required<'j, 'a>(members: &'j Members<'a>, name: &'static str) -> Result<&'j Node<'a>, SignatureError> {
    members.get(name).ok_or(claim(name, "is missing"))
}

fn text<'j>(members: &'j Members<'_>, name: &'static str) -> Result<&'j str, SignatureError> {
    required(members, name)?.as_str().ok_or(claim(name, "is no string"))
}

const fn claim(claim: &'static str, problem: &'static str) -> SignatureError {
    SignatureError::Claim { claim, problem }
}

#[cfg(test)]
mod tests;
