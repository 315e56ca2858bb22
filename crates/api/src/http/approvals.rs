//! Requests for approval over HTTP: what approvers are shown, their answers, and how a request stands.

use passgate_core::approval::{ApprovalRequest, Need, RefusedAnswer, RequestState, ShownView};
use passgate_core::attest::sha256_label;
use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_passport::approval::MAX_APPROVAL_BYTES;
use passgate_passport::claims::is_plain_text;
use passgate_passport::id::{APPROVAL_REQUEST_PREFIX, is_id};
use passgate_passport::jws::{self, TokenType};
use passgate_store::StoreError;
use serde::{Deserialize, Serialize};

use super::control::{Controlled, OperationError};
use super::documents::{DocumentError, Revocation};
use super::reply::Reply;
use crate::driver::{ANSWER_RETRY_SECONDS, GivenAnswer};

/// How many requests are answered when the query does not say.
const DEFAULT_LIMIT: usize = 20;
/// The most requests in one answer.
const MAX_LIMIT: usize = 100;
/// Requests read from the store at once.
const STEP: usize = 100;
/// The most steps that one query takes.
const MAX_STEPS: usize = 20;

/// Which requests are wanted, as in a query string.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalQuery {
    /// Those that stand so: `pending`, `approved`, `denied`, `withdrawn`, `used` or `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How many: 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "super::documents::count_from_text")]
    pub limit: Option<usize>,
    /// Where to go on: the `next` of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One page of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ApprovalPage {
    /// The requests, oldest first, without what they show.
    pub approvals: Vec<ApprovalDoc>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// A request for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ApprovalDoc {
    /// The action's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Who asks.
    pub agent_id: String,
    /// The amount in micro-USD, when the action has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_micro_usd: Option<u64>,
    /// The approvals given so far, as signed; in lists, how many there are is `approved`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// How many approve so far.
    pub approved: usize,
    /// How often exactly this was asked for.
    pub asked: u64,
    /// When it was first asked for, RFC 3339.
    pub asked_at: String,
    /// Until when it can be answered, or its approvals hold, RFC 3339.
    pub expires_at: String,
    /// `areq_` and a ULID.
    pub id: String,
    /// Whose word the agent rests on.
    pub issuer: String,
    /// What wants approval.
    pub needs: Vec<Need>,
    /// Why it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What approvers are shown, byte by byte: an approval is of its SHA-256. Not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// `sha256:` and the hex digest of what approvers are shown.
    pub shown_sha256: String,
    /// `pending`, `approved`, `denied`, `withdrawn`, `used` or `expired`.
    pub state: String,
}

/// How a request stands, for whoever waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ApprovalStatus {
    /// The approvals, once there are enough: what the request presents in the field `agent-approval`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// Until when it can be answered, or its approvals hold, RFC 3339.
    pub expires_at: String,
    /// Why it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its id.
    pub request_id: String,
    /// `pending`, `approved`, `denied`, `withdrawn`, `used` or `expired`.
    pub state: String,
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The approval as its approver signed it: `docs/spec/approval.md`.
    pub approval: String,
    /// How the approver knows: 1 to 256 characters without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A denial.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deny {
    /// Why: 1 to 256 characters without control characters. Whoever asked is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How it stands at `now`, as documents say it.
fn state(request: &ApprovalRequest, now: UnixMillis) -> String {
    let can_expire = matches!(request.state, RequestState::Pending | RequestState::Approved);
    let text = if can_expire && !request.stands(now.seconds()) { "expired" } else { request.state.as_str() };
    text.to_owned()
}

fn time(seconds: i64) -> String {
    UnixMillis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)).rfc3339()
}

impl ApprovalDoc {
    fn of(request: ApprovalRequest, now: UnixMillis) -> Result<Self, OperationError> {
        let view = ShownView::of(&request.shown);
        let view =
            view.ok_or_else(|| OperationError::Gate(format!("{} shows nothing that can be read", request.id)))?;
        Ok(Self {
            action: view.action.name,
            agent_id: view.agent.agent_id,
            amount_micro_usd: view.action.amount_micro_usd,
            approved: request.approvals.len(),
            asked: request.asked,
            asked_at: time(request.asked_at),
            expires_at: time(request.expires_at),
            issuer: view.agent.issuer,
            needs: view.needs,
            shown_sha256: sha256_label(&request.shown_sha256()),
            state: state(&request, now),
            approvals: request.approvals,
            id: request.id,
            note: request.note,
            shown: Some(request.shown),
        })
    }

    fn in_list(self) -> Self {
        Self { approvals: Vec::new(), shown: None, ..self }
    }
}

/// One page of requests for approval.
///
/// # Errors
///
/// [`OperationError`].
pub async fn page(gate: &dyn Controlled, query: &ApprovalQuery) -> Result<ApprovalPage, OperationError> {
    let limit = match query.limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => limit,
        _ => return Err(DocumentError::new("`limit` is 1 to 100").into()),
    };
    let known = ["pending", "approved", "denied", "withdrawn", "used", "expired"];
    if query.state.as_deref().is_some_and(|state| !known.contains(&state)) {
        return Err(DocumentError::new("`state` is pending, approved, denied, withdrawn, used or expired").into());
    }
    let now = gate.now();
    let (mut approvals, mut after) = (Vec::new(), query.after.clone().unwrap_or_default());
    for _ in 0..MAX_STEPS {
        let some = gate.approval_requests(&after, STEP).await?;
        let is_last = some.len() < STEP;
        for request in some {
            if approvals.len() >= limit {
                return Ok(ApprovalPage { approvals, next: Some(after) });
            }
            after.clone_from(&request.id);
            if query.state.as_ref().is_none_or(|wanted| *wanted == state(&request, now)) {
                // One that cannot be read hides no other.
                approvals.extend(ApprovalDoc::of(request, now).ok().map(ApprovalDoc::in_list));
            }
        }
        if is_last {
            return Ok(ApprovalPage { approvals, next: None });
        }
    }
    Ok(ApprovalPage { approvals, next: Some(after) })
}

async fn found(gate: &dyn Controlled, id: &str) -> Result<ApprovalRequest, OperationError> {
    let missing = || StoreError::from(RefusedAnswer::NotFound);
    if !is_id(id, APPROVAL_REQUEST_PREFIX) {
        return Err(missing().into());
    }
    Ok(gate.approval_request(id).await?.ok_or_else(missing)?)
}

/// A request for approval, whole.
///
/// # Errors
///
/// [`OperationError`], also when there is none.
pub async fn one(gate: &dyn Controlled, id: &str) -> Result<ApprovalDoc, OperationError> {
    ApprovalDoc::of(found(gate, id).await?, gate.now())
}

/// How a request stands. Public: an id is told to whoever asked, and cannot be guessed.
///
/// # Errors
///
/// [`OperationError`], also when there is none.
pub async fn status(gate: &dyn Controlled, id: &str) -> Result<Reply, OperationError> {
    let request = found(gate, id).await?;
    let state = state(&request, gate.now());
    let (is_approved, waits) = (state == RequestState::Approved.as_str(), state == RequestState::Pending.as_str());
    let reply = Reply::json(
        200,
        &ApprovalStatus {
            expires_at: time(request.expires_at),
            note: request.note.clone(),
            request_id: request.id.clone(),
            state,
            approvals: if is_approved { request.approvals } else { Vec::new() },
        },
    );
    Ok(if waits { reply.with("retry-after", ANSWER_RETRY_SECONDS.to_string()) } else { reply })
}

/// Takes in an approval. Gives the record of it as signed.
///
/// # Errors
///
/// [`OperationError`]; one that is not taken in changed nothing.
pub async fn approve(gate: &dyn Controlled, id: &str, given: Approve) -> Result<String, OperationError> {
    check_note(given.note.as_deref())?;
    let request = found(gate, id).await?;
    // What is denied or withdrawn is revoked too, and closed is what whoever is late is told.
    if request.state == RequestState::Pending {
        check_standing(gate, &request, &given.approval).await?;
    }
    gate.answer_request(id, GivenAnswer::Approve { token: given.approval, note: given.note }).await
}

/// Denies a request, and takes back every approval of it. Gives the record of the denial as signed.
///
/// # Errors
///
/// [`OperationError`]; one that is not taken in changed nothing.
pub async fn deny(gate: &dyn Controlled, id: &str, given: Deny) -> Result<String, OperationError> {
    check_note(given.note.as_deref())?;
    let request = found(gate, id).await?;
    if request.state != RequestState::Pending {
        return Err(StoreError::Answer(RefusedAnswer::Closed(request.state.as_str())).into());
    }
    // What some people approved of it counts no more. Should the denial not be recorded then, it is safe to repeat.
    gate.revoke(&Revocation::try_from(Subject::Approval(id.to_owned()))?).await?;
    gate.answer_request(id, GivenAnswer::Deny { note: given.note }).await
}

/// Takes a request back, and every approval of it: when this returns, none of them is accepted. Gives the record of it as
/// signed.
///
/// # Errors
///
/// [`OperationError`]; it may then be in force or not, and is safe to repeat.
pub async fn withdraw(gate: &dyn Controlled, id: &str) -> Result<String, OperationError> {
    found(gate, id).await?;
    let record = gate.revoke(&Revocation::try_from(Subject::Approval(id.to_owned()))?).await?;
    gate.end_request(id, RequestState::Withdrawn).await?;
    Ok(record)
}

/// What is revoked later is refused when the approval is used.
async fn check_standing(gate: &dyn Controlled, request: &ApprovalRequest, token: &str) -> Result<(), OperationError> {
    let mut subjects = vec![Subject::Approval(request.id.clone())];
    subjects.extend(ShownView::of(&request.shown).map(|view| view.subjects()).unwrap_or_default());
    // A token that cannot be read is refused after this.
    let unverified = jws::decode(token, TokenType::Approval, MAX_APPROVAL_BYTES);
    subjects.extend(unverified.map(|token| Subject::Key(token.kid().to_owned())));
    let standing = gate.standing(&subjects).await?;
    match subjects.iter().zip(standing).find(|(_, standing)| standing.is_denied()) {
        Some((subject, _)) => Err(StoreError::Answer(RefusedAnswer::Denied(subject.to_string())).into()),
        None => Ok(()),
    }
}

fn check_note(note: Option<&str>) -> Result<(), DocumentError> {
    let problem = || DocumentError::new("`note` is 1 to 256 characters without control characters");
    note.is_none_or(is_plain_text).then_some(()).ok_or_else(problem)
}
