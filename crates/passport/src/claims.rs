//! The claims of a passport: their shape, types and limits. Nothing here is verified; see [`passport`](crate::passport).

use alloc::string::String;
use alloc::vec::Vec;

use crate::id;
use crate::json::{self, JsonError, MAX_SAFE_INTEGER, Members, Node};
use crate::jwk;
use crate::key::PublicKey;
use crate::scope::Scope;
use crate::status::StatusRef;
use crate::trust::Tier;

/// Longest `iss`, `sub`, `aud` entry and `agent_name`, in characters.
pub const MAX_ID_CHARS: usize = 256;
/// Most permissions of one passport.
pub const MAX_PERMISSIONS: usize = 256;
/// Most audiences of one passport.
pub const MAX_AUDIENCES: usize = 64;
/// Longest payload read, in bytes; a whole passport is bounded by [`MAX_PASSPORT_BYTES`](crate::passport::MAX_PASSPORT_BYTES).
const MAX_PAYLOAD_BYTES: usize = crate::passport::MAX_PASSPORT_BYTES;

/// Why a payload is no set of passport claims. Messages name the claim and never quote its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// Not strict JSON.
    #[error("passport payload: {0}")]
    Json(JsonError),
    /// JSON, but no object.
    #[error("passport payload is no JSON object")]
    NotAnObject,
    /// A required claim is missing or null.
    #[error("passport claim `{claim}` is missing: every passport has iss, sub, jti, iat, exp, cnf and permissions")]
    Missing {
        /// The claim in question.
        claim: &'static str,
    },
    /// A claim of the wrong type or outside its limits.
    #[error("passport claim `{claim}` {problem}")]
    Invalid {
        /// The claim in question.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The claims of a passport, typed and bounded. Times are unix seconds from 0 to 2^53-1.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Claims {
    /// Who issued it: a registered issuer's id, or the `did:key` of a self-issuer. Visible ASCII.
    pub iss: String,
    /// The agent's id, chosen by the issuer: unique per `iss` only, so state is keyed by both. Visible ASCII.
    pub sub: String,
    /// The passport's id: `pass_<ULID>`.
    pub jti: String,
    /// When it was issued.
    pub iat: i64,
    /// From when on it is valid, where that differs from `iat`.
    pub nbf: Option<i64>,
    /// Until when it is valid; after `iat`, and not before `nbf`.
    pub exp: i64,
    /// The key the agent proves possession of (`cnf.jwk`, RFC 7800).
    pub cnf_key: PublicKey,
    /// What the agent may ask for; an empty list is nothing.
    pub permissions: Vec<Scope>,
    /// A name for people: Unicode without control and direction characters.
    pub agent_name: Option<String>,
    /// For which gates it is meant; any gate when absent, never empty.
    pub aud: Option<Vec<String>>,
    /// The tier the issuer says it grants; compared with the computed one, never used instead of it.
    pub trust_tier: Option<Tier>,
    /// Where its revocation status is published.
    pub status_list: Option<StatusRef>,
    /// The issuer's own data.
    pub metadata: Option<Members<'static>>,
}

impl Claims {
    /// Reads the claims that every passport has. The result is as trustworthy as the bytes, not more.
    ///
    /// `delegation` and `constraints` are left to the caller: whoever ignores them widens the passport. Claims without a
    /// meaning are ignored, but have to be strict JSON.
    ///
    /// # Errors
    /// [`ClaimsError`] for the first thing found wrong.
    pub(crate) fn from_members(members: &Members<'_>) -> Result<Self, ClaimsError> {
        let claims = Self {
            iss: identifier(required(members, "iss")?, "iss")?,
            sub: identifier(required(members, "sub")?, "sub")?,
            jti: passport_id(required(members, "jti")?, "jti")?,
            iat: date(required(members, "iat")?, "iat")?,
            nbf: optional(members, "nbf", |value| date(value, "nbf"))?,
            exp: date(required(members, "exp")?, "exp")?,
            cnf_key: confirmation_key(required(members, "cnf")?)?,
            permissions: permissions(required(members, "permissions")?)?,
            agent_name: optional(members, "agent_name", agent_name)?,
            aud: optional(members, "aud", audiences)?,
            trust_tier: optional(members, "trust_tier", trust_tier)?,
            status_list: optional(members, "status", |value| {
                StatusRef::from_claim(value).map_err(|problem| invalid("status", problem))
            })?,
            metadata: optional(members, "metadata", metadata)?,
        };
        claims.check_order()?;
        Ok(claims)
    }

    fn check_order(&self) -> Result<(), ClaimsError> {
        if self.exp <= self.iat {
            return Err(invalid("exp", "is not after `iat`"));
        }
        if self.nbf.is_some_and(|nbf| nbf > self.exp) {
            return Err(invalid("nbf", "is after `exp`"));
        }
        Ok(())
    }
}

/// Whether `text` can name an issuer, an agent or an audience: 1 to [`MAX_ID_CHARS`] visible ASCII characters, so that
/// two names that look alike are the same name.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The members of a payload, within its size.
pub(crate) fn read_members(payload: &[u8]) -> Result<Members<'_>, ClaimsError> {
    match json::read(payload, MAX_PAYLOAD_BYTES).map_err(ClaimsError::Json)? {
        Node::Object(members) => Ok(members),
        _ => Err(ClaimsError::NotAnObject),
    }
}

fn required<'j, 'a>(members: &'j Members<'a>, claim: &'static str) -> Result<&'j Node<'a>, ClaimsError> {
    members.get(claim).filter(|value| !value.is_null()).ok_or(ClaimsError::Missing { claim })
}

pub(crate) fn optional<T>(
    members: &Members<'_>,
    claim: &'static str,
    read: impl FnOnce(&Node<'_>) -> Result<T, ClaimsError>,
) -> Result<Option<T>, ClaimsError> {
    match members.get(claim) {
        None => Ok(None),
        Some(Node::Null) => Err(invalid(claim, "is null: leave it out instead")),
        Some(value) => read(value).map(Some),
    }
}

pub(crate) fn identifier(value: &Node<'_>, claim: &'static str) -> Result<String, ClaimsError> {
    let text = value.as_str().filter(|text| is_identifier(text));
    text.map(String::from).ok_or(invalid(claim, "is not a string of 1 to 256 visible ASCII characters"))
}

pub(crate) fn passport_id(value: &Node<'_>, claim: &'static str) -> Result<String, ClaimsError> {
    let text = value.as_str().filter(|text| id::is_id(text, id::PASSPORT_PREFIX));
    text.map(String::from).ok_or(invalid(claim, "is not `pass_` and a ULID in upper case"))
}

/// A NumericDate (RFC 7519 section 2), narrowed to the integers every JSON reader agrees on.
fn date(value: &Node<'_>, claim: &'static str) -> Result<i64, ClaimsError> {
    let seconds = value.as_u64().filter(|seconds| *seconds <= MAX_SAFE_INTEGER);
    seconds
        .and_then(|seconds| i64::try_from(seconds).ok())
        .ok_or(invalid(claim, "is not an integer of unix seconds from 0 to 2^53-1"))
}

/// RFC 7800 section 3.2. Other confirmation methods beside the key are refused: they would be ignored.
fn confirmation_key(value: &Node<'_>) -> Result<PublicKey, ClaimsError> {
    let members = value.as_object().ok_or(invalid("cnf", "is no object"))?;
    let jwk = members.get("jwk").filter(|jwk| !jwk.is_null());
    let jwk = jwk.ok_or(ClaimsError::Missing { claim: "cnf.jwk" })?;
    if members.len() != 1 {
        return Err(invalid("cnf", "has members beside `jwk`"));
    }
    jwk::from_node(jwk).map_err(|_| invalid("cnf.jwk", "is not the public JWK of an acceptable Ed25519 key"))
}

fn permissions(value: &Node<'_>) -> Result<Vec<Scope>, ClaimsError> {
    let problem = invalid("permissions", "is not a list of at most 256 scopes such as `payments:*`");
    let list = value.as_array().filter(|list| list.len() <= MAX_PERMISSIONS);
    let scopes = list.into_iter().flatten().map(|entry| Scope::parse(entry.as_str()?).ok());
    list.and(scopes.collect::<Option<_>>()).ok_or(problem)
}

fn agent_name(value: &Node<'_>) -> Result<String, ClaimsError> {
    let name = value.as_str().filter(|name| is_plain_text(name)).map(String::from);
    name.ok_or(invalid("agent_name", "is not a string of 1 to 256 characters without control or direction characters"))
}

/// Whether `text` can be shown to people: 1 to [`MAX_ID_CHARS`] characters, none of which changes how others are shown.
#[must_use]
pub fn is_plain_text(text: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&text.chars().count()) && !text.chars().any(is_disruptive)
}

/// Characters that change how the text around them is shown: controls, line separators, direction marks, BOM.
fn is_disruptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn audiences(value: &Node<'_>) -> Result<Vec<String>, ClaimsError> {
    let one = core::slice::from_ref(value);
    let list = value.as_array().unwrap_or(one);
    if !(1..=MAX_AUDIENCES).contains(&list.len()) {
        return Err(invalid("aud", "is not one audience or a list of 1 to 64"));
    }
    list.iter().map(|entry| identifier(entry, "aud")).collect()
}

fn trust_tier(value: &Node<'_>) -> Result<Tier, ClaimsError> {
    value.as_str().and_then(Tier::from_name).ok_or(invalid("trust_tier", "is not L1, L2 or L3"))
}

fn metadata(value: &Node<'_>) -> Result<Members<'static>, ClaimsError> {
    match value.to_static() {
        Node::Object(members) => Ok(members),
        _ => Err(invalid("metadata", "is no object")),
    }
}

pub(crate) const fn invalid(claim: &'static str, problem: &'static str) -> ClaimsError {
    ClaimsError::Invalid { claim, problem }
}

#[cfg(test)]
mod tests;
