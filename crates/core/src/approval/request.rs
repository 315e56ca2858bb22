//! Requests for approval: rows of their own, folded, answered and forgotten by the rules here.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::approval::{self, ApprovalError, MAX_PRESENTED_APPROVALS, VerifiedApproval};
use passgate_passport::b64;
use passgate_passport::json;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{MAX_ELEVATION_SECONDS, Need, ShownView};
use crate::attest::ApprovalRecord;
use crate::gate::{Approver, Gate};
use crate::reason::Reason;
use crate::state::{RowCorrupt, Write};

/// Most requests of one root agent that stand at once. More are refused like these, and nobody is asked about them.
pub const MAX_WAITING_PER_AGENT: usize = 32;

/// A request for approval, as it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// The identity of the root agent in state.
    pub agent: String,
    /// The approvals given so far, as signed.
    pub approvals: Vec<String>,
    /// How often exactly this was asked for.
    pub asked: u64,
    /// Unix second in which it was first asked for.
    pub asked_at: i64,
    /// The last Unix second in which it can be answered, or in which its approvals hold.
    pub expires_at: i64,
    /// `areq_` and a ULID.
    pub id: String,
    /// Why it was denied, in the words of whoever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What approvers are shown, byte by byte.
    pub shown: String,
    /// Where it stands.
    pub state: RequestState,
}

/// Where a request for approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// It waits for approvers.
    Pending,
    /// Enough of them approve.
    Approved,
    /// One of them, or an operator, denied it.
    Denied,
    /// It was taken back, and so were approvals of it.
    Withdrawn,
    /// Its approvals are used up.
    Used,
}

impl RequestState {
    /// As JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
        }
    }
}

/// What became of a request that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// It waits, or waited already.
    Waiting(ApprovalRequest),
    /// Its agent has [`MAX_WAITING_PER_AGENT`] others that stand.
    TooMany,
}

/// An answer that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The request as it stands now.
    pub request: ApprovalRequest,
    /// The approval, if it is one.
    pub approval: Option<ApprovalRecord>,
}

/// Why an answer is not taken in. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedAnswer {
    /// There is no such request, or it was forgotten.
    #[error("no request for approval has this id: it may have expired")]
    NotFound,
    /// Another answer came first.
    #[error("the request changed in the meantime: look at it again")]
    Changed,
    /// Nobody waits for an answer any more.
    #[error("the request is {0} already")]
    Closed(&'static str),
    /// It came too late.
    #[error("the request could be answered until {0}: let the agent ask again")]
    Expired(i64),
    /// The gate's policy names no approvers.
    #[error("this gate has no approvers: add them to its policy")]
    NoApprovers,
    /// The approval does not hold.
    #[error("{0}")]
    Approval(#[from] ApprovalError),
    /// The approval is for another request.
    #[error("the approval is for another request than this one: sign the id and the digest of what this one shows")]
    OtherRequest,
    /// The policy is another one by now.
    #[error(
        "the policy changed since this was asked for, and nobody would count the approval: let the agent ask again"
    )]
    OtherPolicy,
    /// More could not be presented together.
    #[error("{MAX_PRESENTED_APPROVALS} people have approved it already, and more cannot be presented together")]
    Full,
    /// The grant is for somebody else.
    #[error(
        "the grant is for somebody who does not ask here: name the root agent of the request, and the key of the agent or of one above it"
    )]
    OtherAgent,
    /// The grant does not let through what was shown.
    #[error("the grant does not cover the very request that was shown: widen its permissions, amounts or domains")]
    OutOfBounds,
    /// The grant elevates no session, which is asked for.
    #[error(
        "a session is elevated for {MAX_ELEVATION_SECONDS} seconds at most, for actions that are named one by one, and for one key: sign a grant of that kind, or approve this request alone"
    )]
    NoElevation,
    /// The approver asks.
    #[error("the approver's key is that of the agent or of one above it: an agent does not approve itself")]
    OwnKey,
    /// Nobody wants this person's approval.
    #[error("the approver has none of the roles that are still asked for: {0}")]
    RoleMissing(String),
    /// Who asks or who approves is denied everything.
    #[error("the {0} is revoked or suspended: what it approves or has approved is not let through")]
    Denied(String),
    /// Once is enough.
    #[error("{0} has approved it already")]
    Twice(String),
}

impl RefusedAnswer {
    /// The stable machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Changed => "approval_request_changed",
            Self::Closed(_) => "approval_request_closed",
            Self::Expired(_) => "approval_request_expired",
            Self::NoApprovers => Reason::ApprovalRefused.code(),
            Self::Approval(error) => error.code(),
            Self::OtherPolicy => Reason::ApprovalContentMismatch.code(),
            Self::Full => "approval_request_full",
            Self::OtherRequest => Reason::ApprovalContentMismatch.code(),
            Self::OtherAgent => Reason::ApprovalAgentMismatch.code(),
            Self::OutOfBounds | Self::NoElevation => Reason::ApprovalOutOfBounds.code(),
            Self::OwnKey => Reason::ApprovalSelf.code(),
            Self::RoleMissing(_) => "approval_role_missing",
            Self::Denied(_) => "revoked",
            Self::Twice(_) => "approval_twice",
        }
    }
}

impl ApprovalRequest {
    /// The key of the row that holds the request `id`.
    pub fn row_key(id: &str) -> String {
        [ROW_PREFIX, id].concat()
    }

    /// What the keys of all such rows begin with. Their order is that of time.
    pub const ROW_PREFIX: &'static str = ROW_PREFIX;

    /// The key of the row that finds the request of `agent` that shows the same.
    pub fn same_key(&self) -> String {
        [&waiting_prefix(&self.agent), &*b64::encode(&self.shown_sha256())].concat()
    }

    /// SHA-256 of what is shown.
    pub fn shown_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.shown).into()
    }

    /// Reads the row `key`.
    ///
    /// # Errors
    ///
    /// [`RowCorrupt`] when it holds no request.
    pub fn read(key: &str, row: &[u8]) -> Result<Self, RowCorrupt> {
        json::read_back(row).map_err(|_| RowCorrupt { key: key.to_string() })
    }

    /// The writes that keep it: itself, and where whoever asks for the same finds it.
    pub fn writes(&self) -> [Write; 2] {
        // Strings, integers and enums always serialise.
        let value = serde_json::to_vec(self).unwrap_or_default();
        let expires_at = Some(self.expires_at);
        [
            Write { key: Self::row_key(&self.id), value, expires_at },
            Write { key: self.same_key(), value: self.place().into_bytes(), expires_at },
        ]
    }

    /// What the row that finds it says: its id, a colon, and until when it stands.
    fn place(&self) -> String {
        format!("{}:{}", self.id, self.expires_at)
    }

    /// The id in such a row, if the request may stand at `now`; nothing when the row holds something else.
    pub fn placed(row: &[u8], now: i64) -> Option<(&str, bool)> {
        let (id, expires_at) = core::str::from_utf8(row).ok()?.split_once(':')?;
        Some((id, now <= expires_at.parse().ok()?))
    }

    /// Whether who asks for the same gets this one: it waits, it may be used, or people said no.
    pub fn stands(&self, now: i64) -> bool {
        self.is_open() && now <= self.expires_at
    }

    /// Whether it stands as long as it is not forgotten.
    pub fn is_open(&self) -> bool {
        matches!(self.state, RequestState::Pending | RequestState::Approved | RequestState::Denied)
    }

    /// This request, asked for once more.
    #[must_use]
    pub fn asked_again(self) -> Self {
        Self { asked: self.asked.saturating_add(1), ..self }
    }

    fn check_waits(&self, now: i64) -> Result<(), RefusedAnswer> {
        match self.state {
            RequestState::Pending if now > self.expires_at => Err(RefusedAnswer::Expired(self.expires_at)),
            RequestState::Pending => Ok(()),
            state => Err(RefusedAnswer::Closed(state.as_str())),
        }
    }

    /// Takes in an approval under the policy that is in force.
    ///
    /// # Errors
    ///
    /// [`RefusedAnswer`]: nobody would count it.
    pub fn approved(self, gate: &Gate, token: &str, now: i64) -> Result<Answered, RefusedAnswer> {
        self.check_waits(now)?;
        let view = ShownView::of(&self.shown).filter(|view| view.gate.gate_id == gate.id);
        let view = view.ok_or(RefusedAnswer::NotFound)?;
        if view.policy != gate.policy {
            return Err(RefusedAnswer::OtherPolicy);
        }
        if self.approvals.len() >= MAX_PRESENTED_APPROVALS {
            return Err(RefusedAnswer::Full);
        }
        let approvers = &gate.approvals.as_ref().ok_or(RefusedAnswer::NoApprovers)?.approvers;
        let context = super::context(gate, now);
        let verified = approval::verify(token, approvers, &context)?;
        self.check_given(&view, &verified)?;
        // Who approved before and is no approver any more, or whose approval has expired, does not count any more. What is
        // presented whole must hold whole, so such an approval goes.
        let still =
            |token: &String| approval::verify(token, approvers, &context).ok().map(|held| (held, token.clone()));
        let (mut held, mut approvals): (Vec<_>, Vec<_>) = self.approvals.iter().filter_map(still).unzip();
        check_wanted(&view, &held, verified.approver())?;
        let record = ApprovalRecord::of(verified.approval(), verified.approver());
        held.push(verified);
        approvals.push(token.to_string());
        let is_enough = view.needs.iter().all(|need| need.is_met(held.iter().map(person)));
        // Once approved, it stands for as long as all of them hold.
        let ends = held.iter().map(|held| held.approval().exp).min();
        let (state, expires_at) = match ends.filter(|_| is_enough) {
            Some(ends) => (RequestState::Approved, ends),
            None => (RequestState::Pending, self.expires_at),
        };
        Ok(Answered { approval: Some(record), request: Self { approvals, expires_at, state, ..self } })
    }

    /// Whether an approval that holds is one of this request, as shown, and not of who asks.
    fn check_given(&self, view: &ShownView, verified: &Held<'_>) -> Result<(), RefusedAnswer> {
        let given = verified.approval();
        if given.request_id != self.id || given.shown_sha256 != self.shown_sha256() {
            return Err(RefusedAnswer::OtherRequest);
        }
        if given.grant.as_ref().is_some_and(|grant| !view.is_for(grant)) {
            return Err(RefusedAnswer::OtherAgent);
        }
        if given.grant.as_ref().is_some_and(|grant| !view.is_within(grant)) {
            return Err(RefusedAnswer::OutOfBounds);
        }
        if view.needs.iter().any(Need::is_elevation) && !super::elevates(given) {
            return Err(RefusedAnswer::NoElevation);
        }
        if view.keys().any(|key| key == verified.approver().key.thumbprint()) {
            return Err(RefusedAnswer::OwnKey);
        }
        Ok(())
    }

    /// Denies it: whoever asks for the same gets this answer until it expires.
    ///
    /// # Errors
    ///
    /// [`RefusedAnswer`] when it does not wait: what is approved can be withdrawn instead.
    pub fn denied(self, note: Option<String>, now: i64) -> Result<Answered, RefusedAnswer> {
        self.check_waits(now)?;
        Ok(Answered { request: Self { note, state: RequestState::Denied, ..self }, approval: None })
    }

    /// Ends it: it is over for whoever asks for the same. What has ended stays as it is: what was withdrawn was not used.
    #[must_use]
    pub fn ended(self, state: RequestState) -> Self {
        if self.is_open() { Self { state, ..self } } else { self }
    }
}

const ROW_PREFIX: &str = "q:";

type Held<'a> = VerifiedApproval<'a, Approver>;

/// Who signed an approval, with the roles that count.
fn person<'a>(held: &'a Held<'_>) -> (&'a str, &'a [String]) {
    (&held.approver().name, &held.approver().roles)
}

/// Whether something still wants this person's approval, after those that hold.
fn check_wanted(view: &ShownView, held: &[Held<'_>], approver: &Approver) -> Result<(), RefusedAnswer> {
    if held.iter().any(|held| held.approver().name == approver.name) {
        return Err(RefusedAnswer::Twice(approver.name.clone()));
    }
    let mut open = view.needs.iter().filter(|need| !need.is_met(held.iter().map(person)));
    if !open.any(|need| need.counts(&approver.roles)) {
        return Err(RefusedAnswer::RoleMissing(wanted(view)));
    }
    Ok(())
}

/// What the keys of the rows begin with that find the requests of a root agent.
pub fn waiting_prefix(agent: &str) -> String {
    ["f:", agent, ":"].concat()
}

fn wanted(view: &ShownView) -> String {
    let mut roles: Vec<&str> = view.needs.iter().flat_map(|need| need.roles.iter().map(String::as_str)).collect();
    roles.sort_unstable();
    roles.dedup();
    format!("`{}`", roles.join("`, `"))
}
