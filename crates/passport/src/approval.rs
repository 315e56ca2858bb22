//! Approvals: what a person signs who was shown a request that a gate holds back.
//!
//! An approval is a compact JWS (`typ: approval+jwt`) signed by the approver's own key. It names the digest of exactly what
//! the approver was shown, which holds the action, the policy and the gate, so that a change of one byte of any of them
//! needs another approval. It is good once for what was shown, or as a [`Grant`] for as many actions within its bounds as it
//! says. [`verify`] checks in this order, and the first failure is the one reported:
//!
//! 1. size, token form, header and claims (`approval_malformed`);
//! 2. that `kid` names the key of an approver (`approval_key_unknown`), and the signature (`approval_signature_invalid`);
//! 3. audience, and that the approver goes by the name that the gate has for the key (`approval_audience_mismatch`,
//!    `approval_issuer_mismatch`);
//! 4. lifetime and times (`approval_lifetime_exceeded`, `approval_not_yet_valid`, `approval_expired`).
//!
//! Whether it is for the request at hand, and how often it was used, is for the gate to say. `docs/spec/approval.md` is the
//! normative page.

mod claims;
mod error;

use alloc::string::String;
use alloc::vec::Vec;

use crate::action::Agent;
use crate::constraints::Constraints;
use crate::jws::{self, TokenType};
use crate::key::{PublicKey, SecretKey};
use crate::passport::MAX_LEEWAY_SECONDS;
use crate::scope::Scope;

pub use error::{ApprovalError, SignError};

/// Name of the field in which a request presents approvals, with commas between them. A proof need not cover it: an approval
/// counts for what it names, whoever brings it.
pub const APPROVAL_FIELD: &str = "agent-approval";
/// The longest approval in bytes.
pub const MAX_APPROVAL_BYTES: usize = 4 * 1024;
/// Most approvals that one request presents, as many as a one-action pass names.
pub const MAX_PRESENTED_APPROVALS: usize = crate::action_pass::MAX_APPROVALS;
/// The longest lifetime, `exp - iat`, of an approval of one request, in seconds: a day.
pub const MAX_APPROVAL_TTL_SECONDS: i64 = 86_400;
/// The longest lifetime of a grant, in seconds: a week.
pub const MAX_GRANT_TTL_SECONDS: i64 = 7 * 86_400;
/// Most uses of a grant.
pub const MAX_GRANT_USES: u64 = 1_000;
/// Most needs that a grant counts for.
pub const MAX_GRANT_NEEDS: usize = 16;
/// Most scopes of a grant.
pub const MAX_GRANT_PERMISSIONS: usize = 16;

/// What an approval says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The gate that it is presented at (`aud`).
    pub audience: String,
    /// Valid until and including, unix seconds.
    pub exp: i64,
    /// What it is good for beyond the request that was shown; absent, it is good once, for that request.
    pub grant: Option<Grant>,
    /// Signed at, unix seconds from 0.
    pub iat: i64,
    /// The name that the gate has for the approver (`iss`).
    pub issuer: String,
    /// Its own id: `appr_<ULID>`, see [`new_id`](crate::id::new_id).
    pub jti: String,
    /// The request that was shown: `areq_<ULID>`, as the gate named it.
    pub request_id: String,
    /// SHA-256 of what was shown, byte by byte.
    pub shown_sha256: [u8; 32],
}

/// What an approval lets through without asking again: actions of one agent, and of those it hands its authority on to,
/// that many times. A passport below may permit less, and never more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose actions: the agent that the issuer vouches for, since ids below it are chosen by whoever hands on.
    pub agent: Agent,
    /// The thumbprint of the key whose holder uses it, and whoever is below: that of the agent, or of one that it handed its
    /// authority on to. Absent, it is good for all of them.
    pub holder_jkt: Option<String>,
    /// Within which limits. Only those that a grant can hold: per transaction and total spend, domains, resources, context,
    /// records and task.
    pub constraints: Constraints,
    /// What its approver saw asking for approval, and for what it therefore counts: `approval_required` for the amount,
    /// `rule_step_up:` and the rule's name, `session_elevation_required` for a session, `plugin_step_up:` and the plugin's. 1 to [`MAX_GRANT_NEEDS`].
    pub needs: Vec<String>,
    /// Which actions: 1 to [`MAX_GRANT_PERMISSIONS`].
    pub permissions: Vec<Scope>,
    /// How often: 1 to [`MAX_GRANT_USES`].
    pub uses: u64,
}

/// What an approval is held against.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalContext<'a> {
    /// The present, in unix seconds.
    pub now: i64,
    /// Tolerated difference between clocks, from 0 to [`MAX_LEEWAY_SECONDS`]; more is cut to it.
    pub leeway_seconds: i64,
    /// The gate at which it is presented.
    pub gate_id: &'a str,
}

/// An approver as a gate knows one.
pub trait Approver {
    /// The name.
    fn name(&self) -> &str;
    /// The key.
    fn key(&self) -> &PublicKey;
}

/// An approval that an approver of the gate signed and that holds at present; made by [`verify`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedApproval<'a, A> {
    approval: Approval,
    approver: &'a A,
}

/// Signs an approval. Equal arguments give equal bytes on every runtime.
///
/// # Errors
/// [`SignError`] for what no gate would accept.
pub fn sign(key: &SecretKey, approval: &Approval) -> Result<String, SignError> {
    approval.check_signable()?;
    let input = jws::signing_input(key.public().thumbprint(), TokenType::Approval, &approval.payload()?);
    let signature = key.sign(input.as_bytes());
    Ok(jws::with_signature(input, &signature))
}

/// Verifies an approval; the [module](self) lists the checks.
///
/// # Errors
/// [`ApprovalError`], the first failure in the order of the list.
pub fn verify<'a, A: Approver>(
    token: &str,
    approvers: &'a [A],
    context: &ApprovalContext<'_>,
) -> Result<VerifiedApproval<'a, A>, ApprovalError> {
    // 1. form
    let unverified = jws::decode(token, TokenType::Approval, MAX_APPROVAL_BYTES)?;
    let approval = Approval::from_payload(unverified.payload())?;
    // 2. signature
    let approver = approvers.iter().find(|approver| approver.key().thumbprint() == unverified.kid());
    let approver = approver.ok_or(ApprovalError::KeyUnknown)?;
    unverified.verify(approver.key())?;
    // 3. gate and name
    if approval.audience != context.gate_id {
        return Err(ApprovalError::AudienceMismatch);
    }
    if approval.issuer != approver.name() {
        return Err(ApprovalError::IssuerMismatch);
    }
    // 4. times
    approval.check_times(context)?;
    Ok(VerifiedApproval { approval, approver })
}

impl Approval {
    /// The longest that it may live.
    fn max_ttl_seconds(&self) -> i64 {
        if self.grant.is_some() { MAX_GRANT_TTL_SECONDS } else { MAX_APPROVAL_TTL_SECONDS }
    }

    fn check_signable(&self) -> Result<(), SignError> {
        self.check().map_err(SignError::Claim)?;
        let (seconds, most) = (self.exp.saturating_sub(self.iat), self.max_ttl_seconds());
        if seconds > most {
            return Err(SignError::LifetimeExceeded { seconds, most });
        }
        Ok(())
    }

    fn check_times(&self, context: &ApprovalContext<'_>) -> Result<(), ApprovalError> {
        let Self { iat, exp, .. } = *self;
        let now = context.now;
        let leeway = context.leeway_seconds.clamp(0, MAX_LEEWAY_SECONDS);
        let (seconds, most) = (exp.saturating_sub(iat), self.max_ttl_seconds());
        if seconds > most {
            return Err(ApprovalError::LifetimeExceeded { seconds, most });
        }
        if iat.saturating_sub(leeway) > now {
            return Err(ApprovalError::NotYetValid { iat, now });
        }
        // No leeway at this end: how long the gate remembers its uses must not depend on one.
        if exp < now {
            return Err(ApprovalError::Expired { exp, now });
        }
        Ok(())
    }
}

impl<'a, A> VerifiedApproval<'a, A> {
    /// What it says.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// Who signed it.
    #[must_use]
    pub fn approver(&self) -> &'a A {
        self.approver
    }
}

#[cfg(test)]
mod tests;
