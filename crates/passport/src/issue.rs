//! Issuing passports: by a registered issuer, or by an agent for itself (tier L1).

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::Serialize;
use serde::ser::{SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::{Map, Value};

use crate::b64;
use crate::claims::ClaimsError;
use crate::constraints::ConstraintsClaim;
use crate::delegation::{DelegationClaim, RootGrant, issue_root};
use crate::did_key;
use crate::json::JsonError;
use crate::jws::{self, TokenType};
use crate::key::{PublicKey, SecretKey};
use crate::passport::MAX_PASSPORT_BYTES;
use crate::scope::Scope;
use crate::status::StatusRef;
use crate::trust::{SELF_ISSUED_MAX_TTL_SECONDS, Tier};

/// What a new passport shall say. The limits are those of [`Claims`](crate::claims::Claims).
#[derive(Debug, Clone, PartialEq)]
pub struct NewPassport {
    /// The issuer's id, or `None` for a self-issued passport, whose issuer is the `did:key` of the signing key.
    pub iss: Option<String>,
    /// The agent's id.
    pub sub: String,
    /// The passport's id: `pass_<ULID>`, see [`new_id`](crate::id::new_id).
    pub jti: String,
    /// Issued at, unix seconds.
    pub iat: i64,
    /// Valid from, unix seconds, where that differs from `iat`.
    pub nbf: Option<i64>,
    /// Valid until, unix seconds.
    pub exp: i64,
    /// The key the agent will prove possession of.
    pub cnf_key: PublicKey,
    /// What the agent may ask for.
    pub permissions: Vec<Scope>,
    /// A name for people.
    pub agent_name: Option<String>,
    /// For which gates it is meant; `None` for any, never empty.
    pub aud: Option<Vec<String>>,
    /// The tier the issuer expects verifiers to compute.
    pub trust_tier: Option<Tier>,
    /// Where its revocation status is published.
    pub status_list: Option<StatusRef>,
    /// The issuer's own data.
    pub metadata: Option<Map<String, Value>>,
}

impl NewPassport {
    /// A self-issued passport with the required claims alone; the other fields can be set after.
    #[must_use]
    pub fn new(jti: String, sub: String, cnf_key: PublicKey, permissions: Vec<Scope>, iat: i64, exp: i64) -> Self {
        Self {
            iss: None,
            sub,
            jti,
            iat,
            nbf: None,
            exp,
            cnf_key,
            permissions,
            agent_name: None,
            aud: None,
            trust_tier: None,
            status_list: None,
            metadata: None,
        }
    }
}

/// Why a passport was not issued: no verifier would accept it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// A claim is outside its limits.
    #[error(transparent)]
    Claims(ClaimsError),
    /// `iss` is a `did:key`, but not that of the signing key.
    #[error("passport issuer is a did:key of another key: leave `iss` out to self-issue")]
    IssuerMismatch,
    /// A self-issued passport claims a tier above L1.
    #[error("self-issued passport claims a tier other than L1")]
    TierMismatch,
    /// A self-issued passport that would live longer than 30 days.
    #[error("self-issued passport lives longer than {max_seconds} s: choose an earlier `exp`")]
    LifetimeExceeded {
        /// The longest lifetime.
        max_seconds: i64,
    },
    /// Longer than [`MAX_PASSPORT_BYTES`].
    #[error("passport exceeds 16 KiB: shorten its permissions or metadata")]
    TooLarge,
}

/// Issues a passport signed by `key`, without limits and not to be handed on; [`issue_root`] takes both.
///
/// Equal arguments give equal bytes on every runtime: members stand in a fixed order, those of `metadata` sorted by
/// name at every level.
///
/// # Errors
/// [`IssueError`]; whatever is issued is read back with the verifier's own rules first.
pub fn issue(key: &SecretKey, passport: &NewPassport) -> Result<String, IssueError> {
    issue_root(key, passport, &RootGrant::default())
}

/// The claims beside those of every passport, which [`delegation`](crate::delegation) writes.
pub(crate) struct Extension<'a> {
    pub(crate) delegation: Option<DelegationClaim<'a>>,
    pub(crate) constraints: Option<ConstraintsClaim<'a>>,
}

/// The payload of a passport that `key` will sign; what it says has not been checked but for the issuer.
pub(crate) fn encode(
    key: &SecretKey,
    passport: &NewPassport,
    extension: &Extension<'_>,
) -> Result<Vec<u8>, IssueError> {
    let own_did = did_key::encode(key.public());
    let iss = passport.iss.as_deref().unwrap_or(&own_did);
    if iss.starts_with(did_key::SCHEME) {
        check_self_issued(iss == own_did, passport)?;
    }
    encode_payload(iss, passport, extension).map_err(IssueError::Claims)
}

pub(crate) fn sign(key: &SecretKey, payload: &[u8]) -> Result<String, IssueError> {
    let token = jws::sign(key, TokenType::Passport, payload);
    if token.len() > MAX_PASSPORT_BYTES {
        return Err(IssueError::TooLarge);
    }
    Ok(token)
}

fn check_self_issued(is_own: bool, passport: &NewPassport) -> Result<(), IssueError> {
    if !is_own {
        return Err(IssueError::IssuerMismatch);
    }
    if passport.trust_tier.is_some_and(|tier| tier != Tier::L1) {
        return Err(IssueError::TierMismatch);
    }
    if passport.exp.saturating_sub(passport.iat) > SELF_ISSUED_MAX_TTL_SECONDS {
        return Err(IssueError::LifetimeExceeded { max_seconds: SELF_ISSUED_MAX_TTL_SECONDS });
    }
    Ok(())
}

pub(crate) fn encode_payload(
    iss: &str,
    passport: &NewPassport,
    extension: &Extension<'_>,
) -> Result<Vec<u8>, ClaimsError> {
    let payload = Payload {
        iss,
        sub: &passport.sub,
        jti: &passport.jti,
        iat: passport.iat,
        nbf: passport.nbf,
        exp: passport.exp,
        cnf: Confirmation { jwk: PublicJwk::of(&passport.cnf_key) },
        permissions: passport.permissions.iter().map(Scope::as_str).collect(),
        agent_name: passport.agent_name.as_deref(),
        aud: passport.aud.as_deref(),
        trust_tier: passport.trust_tier.map(Tier::as_str),
        status: passport.status_list.as_ref().map(Status::of),
        delegation: extension.delegation.as_ref(),
        constraints: extension.constraints.as_ref(),
        metadata: passport.metadata.as_ref().map(SortedObject),
    };
    serde_json::to_vec(&payload).map_err(|error| ClaimsError::Json(JsonError::Shape(error.to_string())))
}

/// The payload as written; the order of the fields is the order of the bytes.
#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    jti: &'a str,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    exp: i64,
    cnf: Confirmation<'a>,
    permissions: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegation: Option<&'a DelegationClaim<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraints: Option<&'a ConstraintsClaim<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<SortedObject<'a>>,
}

#[derive(Serialize)]
struct Confirmation<'a> {
    jwk: PublicJwk<'a>,
}

#[derive(Serialize)]
struct PublicJwk<'a> {
    crv: &'static str,
    kid: &'a str,
    kty: &'static str,
    x: String,
}

impl<'a> PublicJwk<'a> {
    fn of(key: &'a PublicKey) -> Self {
        Self { crv: "Ed25519", kid: key.thumbprint(), kty: "OKP", x: b64::encode(key.as_bytes()) }
    }
}

#[derive(Serialize)]
struct Status<'a> {
    status_list: StatusList<'a>,
}

#[derive(Serialize)]
struct StatusList<'a> {
    idx: u64,
    uri: &'a str,
}

impl<'a> Status<'a> {
    fn of(status: &'a StatusRef) -> Self {
        Self { status_list: StatusList { idx: status.idx, uri: &status.uri } }
    }
}

/// Writes an object sorted by member name, whichever map `serde_json` was built with.
struct SortedObject<'a>(&'a Map<String, Value>);

impl Serialize for SortedObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members: Vec<(&String, &Value)> = self.0.iter().collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        let mut map = serializer.serialize_map(Some(members.len()))?;
        for (name, value) in members {
            map.serialize_entry(name, &Sorted(value))?;
        }
        map.end()
    }
}

struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => SortedObject(members).serialize(serializer),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Sorted(item))?;
                }
                list.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests;
