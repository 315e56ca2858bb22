//! Who approves, of a policy.

use passgate_core::gate::{Approvals, Approver};
use passgate_passport::approval::MAX_APPROVAL_TTL_SECONDS;
use passgate_passport::claims::is_identifier;
use passgate_passport::constraints::is_name;
use passgate_passport::key::PublicKey;
use passgate_passport::sorted::SortedSet;

use super::{BundleError, error};
use crate::bundle::{ApprovalsDoc, ApproverDoc};

/// Most approvers of one policy.
const MAX_APPROVERS: usize = 256;
/// Most roles of one approver.
const MAX_ROLES: usize = 32;
/// The shortest time that people get to answer.
const MIN_REQUEST_TTL_SECONDS: i64 = 60;

/// The approvers, each with a name and a key of their own.
pub(super) fn compile(doc: &ApprovalsDoc) -> Result<Approvals, BundleError> {
    let request_ttl_seconds = doc.request_ttl_seconds.into();
    if !(MIN_REQUEST_TTL_SECONDS..=MAX_APPROVAL_TTL_SECONDS).contains(&request_ttl_seconds) {
        let why = format_args!("from {MIN_REQUEST_TTL_SECONDS} to {MAX_APPROVAL_TTL_SECONDS}");
        return Err(error("approvals.request_ttl_seconds", why));
    }
    if !(1..=MAX_APPROVERS).contains(&doc.approvers.len()) {
        return Err(error("approvals.approvers", format_args!("from 1 to {MAX_APPROVERS}")));
    }
    let (mut names, mut keys, mut approvers) = (SortedSet::new(), SortedSet::new(), Vec::new());
    for (i, doc) in doc.approvers.iter().enumerate() {
        let at = |member: &str| format!("approvals.approvers[{i}].{member}");
        let approver = doc.compile().map_err(|e| error(at(&e.at), e.why))?;
        if !names.insert(approver.name.clone()) {
            return Err(error(at("name"), "another approver has this name"));
        }
        if !keys.insert(approver.key.thumbprint().to_owned()) {
            return Err(error(at("key"), "another approver has this key: two people cannot share one"));
        }
        approvers.push(approver);
    }
    Ok(Approvals { approvers, request_ttl_seconds })
}

impl ApproverDoc {
    fn compile(&self) -> Result<Approver, BundleError> {
        if !is_identifier(&self.name) {
            return Err(error("name", "use 1 to 256 visible ASCII characters"));
        }
        let key = serde_json::to_vec(&self.key).map_err(|e| error("key", e))?;
        let key = PublicKey::from_jwk(&key).map_err(|e| error("key", e))?;
        if self.roles.len() > MAX_ROLES || !self.roles.iter().all(|role| is_name(role)) {
            return Err(error("roles", format_args!("at most {MAX_ROLES} of 1 to 64 of `a-z 0-9 _ . -`")));
        }
        Ok(Approver { name: self.name.clone(), key, roles: self.roles.clone() })
    }
}
