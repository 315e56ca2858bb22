//! The payload of a pass: writing it, reading it, and its limits.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::{ActionPass, Binding, ClaimError, MAX_ACTION_PASS_BYTES, MAX_APPROVALS, MintError};
use crate::action::ActionHash;
use crate::b64;
use crate::claims::is_identifier;
use crate::id::{ACTION_PASS_PREFIX, APPROVAL_PREFIX, ATTESTATION_PREFIX, is_id};
use crate::json::{self, MAX_SAFE_INTEGER, Members, Node};

const CLAIMS: [&str; 10] =
    ["action_sha256", "approvals", "attestation_id", "aud", "cnf", "exp", "iat", "iss", "jti", "v"];
pub(crate) const NO_DATE: &str = "is not an integer of unix seconds from 0 to 2^53-1";
pub(crate) const NO_IDENTIFIER: &str = "is not a string of 1 to 256 visible ASCII characters";
const NO_APPROVALS: &str = "is not a list of 1 to 8 ids `appr_<ULID>` in ascending order";
pub(crate) const NO_CONFIRMATION: &str = "is not an object with `jkt` alone, the thumbprint of a key";

/// The payload as written; the order of the members is that of RFC 8785.
#[derive(Serialize)]
struct Payload<'a> {
    action_sha256: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    approvals: &'a [String],
    attestation_id: &'a str,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
    exp: i64,
    iat: i64,
    iss: &'a str,
    jti: &'a str,
    v: u64,
}

#[derive(Serialize)]
pub(crate) struct Confirmation<'a> {
    pub(crate) jkt: &'a str,
}

impl ActionPass {
    /// The payload as canonical JSON.
    pub(super) fn payload(&self) -> Result<Vec<u8>, MintError> {
        let payload = Payload {
            action_sha256: self.action.label(),
            approvals: &self.approvals,
            attestation_id: &self.attestation_id,
            aud: &self.audience,
            cnf: self.holder_jkt.as_deref().map(|jkt| Confirmation { jkt }),
            exp: self.exp,
            iat: self.iat,
            iss: &self.issuer,
            jti: &self.jti,
            v: self.binding().version(),
        };
        json::canonical(&payload).map_err(|error| MintError::Claim(ClaimError::Json(error)))
    }

    /// Reads a payload; the result is as trustworthy as the bytes, not more.
    pub(super) fn from_payload(payload: &[u8]) -> Result<Self, ClaimError> {
        let document = json::read(payload, MAX_ACTION_PASS_BYTES).map_err(ClaimError::Json)?;
        let members = document.as_object().ok_or(claim("(payload)", "is no JSON object"))?;
        if members.keys().any(|name| !CLAIMS.contains(&name.as_ref())) {
            return Err(claim("unknown", "stands in the payload, and nobody would know what it means"));
        }
        let pass = Self {
            action: ActionHash::from_label(text(members, "action_sha256")?)
                .ok_or(claim("action_sha256", "is not `sha256:` and 64 lower-case hex digits"))?,
            approvals: members.get("approvals").map(approvals).transpose()?.unwrap_or_default(),
            attestation_id: text(members, "attestation_id")?.into(),
            audience: text(members, "aud")?.into(),
            exp: date(members, "exp")?,
            holder_jkt: members.get("cnf").map(confirmation).transpose()?,
            iat: date(members, "iat")?,
            issuer: text(members, "iss")?.into(),
            jti: text(members, "jti")?.into(),
        };
        check_version(required(members, "v")?.as_u64(), pass.binding())?;
        pass.check().map(|()| pass)
    }

    /// Whether the claims are within their limits; the lifetime has a code of its own.
    pub(super) fn check(&self) -> Result<(), ClaimError> {
        let jkt = self.holder_jkt.as_deref().is_none_or(|jkt| b64::decode_array::<32>(jkt).is_ok());
        let checks = [
            (are_approvals(&self.approvals), "approvals", NO_APPROVALS),
            (is_id(&self.attestation_id, ATTESTATION_PREFIX), "attestation_id", "is not `att_` and a ULID"),
            (is_identifier(&self.audience), "aud", NO_IDENTIFIER),
            (jkt, "cnf", NO_CONFIRMATION),
            (is_date(self.exp), "exp", NO_DATE),
            (is_date(self.iat), "iat", NO_DATE),
            (self.exp > self.iat, "exp", "is not after `iat`"),
            (is_identifier(&self.issuer), "iss", NO_IDENTIFIER),
            (is_id(&self.jti, ACTION_PASS_PREFIX), "jti", "is not `actp_` and a ULID"),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, name, problem)) => Err(claim(name, problem)),
            None => Ok(()),
        }
    }
}

/// A key that is named counts, and one that is not is not demanded: the version and `cnf` say the same.
fn check_version(version: Option<u64>, binding: Binding) -> Result<(), ClaimError> {
    if version == Some(binding.version()) {
        return Ok(());
    }
    Err(claim("v", "is not 0 without `cnf`, or 1 with it"))
}

/// Whether this is a second that a claim can name.
pub(crate) fn is_date(seconds: i64) -> bool {
    u64::try_from(seconds).is_ok_and(|seconds| seconds <= MAX_SAFE_INTEGER)
}

fn are_approvals(ids: &[String]) -> bool {
    let ascend = ids.iter().zip(ids.iter().skip(1)).all(|(id, next)| id < next);
    ids.len() <= MAX_APPROVALS && ascend && ids.iter().all(|id| is_id(id, APPROVAL_PREFIX))
}

/// An empty list would be a second spelling of none.
fn approvals(node: &Node<'_>) -> Result<Vec<String>, ClaimError> {
    let list = node.as_array().filter(|list| (1..=MAX_APPROVALS).contains(&list.len()));
    let ids = list.and_then(|list| list.iter().map(|id| id.as_str().map(String::from)).collect());
    ids.ok_or(claim("approvals", NO_APPROVALS))
}

/// RFC 7800 section 3.1; beside `jkt` another method of confirmation would be ignored.
pub(crate) fn confirmation(node: &Node<'_>) -> Result<String, ClaimError> {
    let sole = node.as_object().filter(|members| members.len() == 1);
    let jkt = sole.and_then(|members| members.get("jkt")?.as_str());
    jkt.map(String::from).ok_or(claim("cnf", NO_CONFIRMATION))
}

pub(crate) fn required<'j, 'a>(members: &'j Members<'a>, name: &'static str) -> Result<&'j Node<'a>, ClaimError> {
    members.get(name).ok_or(claim(name, "is missing"))
}

pub(crate) fn text<'j>(members: &'j Members<'_>, name: &'static str) -> Result<&'j str, ClaimError> {
    required(members, name)?.as_str().ok_or(claim(name, "is no string"))
}

pub(crate) fn date(members: &Members<'_>, name: &'static str) -> Result<i64, ClaimError> {
    required(members, name)?.as_u64().and_then(|seconds| i64::try_from(seconds).ok()).ok_or(claim(name, NO_DATE))
}

pub(crate) const fn claim(claim: &'static str, problem: &'static str) -> ClaimError {
    ClaimError::Claim { claim, problem }
}
