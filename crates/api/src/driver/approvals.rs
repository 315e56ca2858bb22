//! Requests for approval, from the decision that asks to the answer of people.

use std::sync::Arc;

use passgate_core::approval::{Answered, ApprovalRequest, Asked, RefusedAnswer, RequestState};
use passgate_core::attest::{ApprovalAnswer, ApprovalAnswerRecord, Body, DecisionKind, Link, Stamp, sha256_label};
use passgate_core::gate::Gate;
use passgate_core::pipeline::Ask;
use passgate_core::reason::Reason;
use passgate_core::state::{Demand, Subject};
use passgate_passport::id::{APPROVAL_REQUEST_PREFIX, is_id, new_id};
use passgate_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{Answer, Driver, Followed, Refused};

/// What whoever is held back is told of the request for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ApprovalNotice {
    /// The last Unix second in which it can be answered, or in which its approvals hold.
    pub expires_at: i64,
    /// Its id: who knows it may ask how it stands.
    pub request_id: String,
    /// How it stands.
    pub state: RequestState,
}

impl From<&ApprovalRequest> for ApprovalNotice {
    fn from(request: &ApprovalRequest) -> Self {
        Self { expires_at: request.expires_at, request_id: request.id.clone(), state: request.state }
    }
}

/// What somebody answers to a request for approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenAnswer {
    /// An approval, as its approver signed it.
    Approve {
        /// The approval.
        token: String,
        /// How its approver knows.
        note: Option<String>,
    },
    /// No.
    Deny {
        /// Why.
        note: Option<String>,
    },
}

impl GivenAnswer {
    /// What is recorded of it.
    pub fn record(&self, answered: &Answered) -> ApprovalAnswerRecord {
        let (answer, note) = match self {
            Self::Approve { note, .. } => (ApprovalAnswer::Approve, note),
            Self::Deny { note } => (ApprovalAnswer::Deny, note),
        };
        ApprovalAnswerRecord {
            answer,
            approval: answered.approval.clone(),
            note: note.clone(),
            request_id: answered.request.id.clone(),
            shown_sha256: sha256_label(&answered.request.shown_sha256()),
        }
    }

    /// The request with this answer.
    ///
    /// # Errors
    ///
    /// [`RefusedAnswer`] when it is not taken in.
    pub fn given(&self, request: ApprovalRequest, gate: &Gate, now: i64) -> Result<Answered, RefusedAnswer> {
        match self {
            Self::Approve { token, .. } => request.approved(gate, token, now),
            Self::Deny { note } => request.denied(note.clone(), now),
        }
    }
}

/// The request for approval of `ask`. It has the ULID of the record that is made with `stamp`.
pub fn new_request(ask: Ask, stamp: &Stamp) -> ApprovalRequest {
    let asked_at = stamp.now.seconds();
    ApprovalRequest {
        agent: ask.agent,
        approvals: Vec::new(),
        asked: 1,
        asked_at,
        expires_at: asked_at.saturating_add(ask.ttl_seconds),
        id: new_id(APPROVAL_REQUEST_PREFIX, stamp.now.0, stamp.random),
        note: None,
        shown: ask.shown,
        state: RequestState::Pending,
    }
}

/// The requests for approval that end with a decision, so that whoever asks for the same asks anew: those whose approvals it
/// used, and all whose approvals it presented when one of them is used up, revoked or older than the store.
pub fn used_up(demand: &Demand, decision: DecisionKind, reason: Option<Reason>) -> Vec<String> {
    let is_request = |id: &&str| is_id(id, APPROVAL_REQUEST_PREFIX);
    if decision == DecisionKind::Allow {
        // Those of one request are used by its id, grants by their own.
        let keys = demand.approvals.iter().filter_map(|claim| claim.key.rsplit_once(':').map(|(_, id)| id));
        return keys.filter(is_request).map(str::to_owned).collect();
    }
    if !matches!(reason, Some(Reason::ApprovalUsed | Reason::ApprovalRevoked | Reason::ApprovalFenced)) {
        return Vec::new();
    }
    let approvals = demand.subjects.iter().filter_map(|subject| match subject {
        Subject::Approval(id) => Some(id.as_str()),
        _ => None,
    });
    approvals.filter(is_request).map(str::to_owned).collect()
}

/// How long whoever waits for people had better wait before asking again, in seconds.
pub(crate) const ANSWER_RETRY_SECONDS: u64 = 5;

impl Refused {
    /// Says more of it in the gate's log.
    pub fn note(&mut self, why: &str) {
        self.detail = format!("{}; {why}", self.detail);
    }

    /// Names the request for approval that waits for people, or that they answered.
    pub fn await_approval(&mut self, request: &ApprovalRequest) {
        if request.state == RequestState::Pending {
            self.retry_after_seconds = Some(ANSWER_RETRY_SECONDS);
        }
        self.approval = Some(ApprovalNotice::from(request));
    }
}

impl Driver {
    /// Asks approvers and forgets what is used up. Neither changes the decision: it is recorded.
    pub(super) async fn follow_approvals(&self, followed: Followed, stamp: Stamp) -> Answer {
        let Followed { mut answer, ask, used } = followed;
        for id in used {
            // Should it fail, whoever asks for the same is told of the used approval, which ends the request then.
            let _ = self.end_request(&id, RequestState::Used).await;
        }
        if let (Answer::Refuse(refused), Some(ask)) = (&mut answer, ask) {
            match self.state.ask(new_request(ask, &stamp)).await {
                Ok(Asked::Waiting(request)) => refused.await_approval(&request),
                Ok(Asked::TooMany) => refused.note("too many requests for approval of this agent stand already"),
                Err(error) => refused.note(&format!("nobody was asked: {error}")),
            }
        }
        answer
    }

    /// Takes in an answer to a request for approval under `gate`. Gives the record of it as signed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Answer`] when it is not taken in; else when the store cannot record it: it may then be taken in or not.
    pub async fn answer_request(
        &self,
        gate: Arc<Gate>,
        id: &str,
        answer: GivenAnswer,
        stamp: Stamp,
    ) -> Result<String, StoreError> {
        let pen = Arc::clone(&self.pen);
        let change = move |request: ApprovalRequest, link: &Link| {
            let answered = answer.given(request, &gate, stamp.now.seconds())?;
            let entry = pen.at(link).seal(link, &stamp, Body::Approval(answer.record(&answered)));
            Ok((answered, Some(entry)))
        };
        let (_, entry) = self.state.change_request(self.chain_uid(), id, Box::new(change)).await?;
        Ok(entry.map(|entry| entry.jws).unwrap_or_default())
    }

    /// Puts a request for approval that was answered or ended elsewhere in the place of `before`, with the record of the
    /// answer if it is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Answer`] when it is not `before` any more; else when the store cannot do it.
    pub async fn replace_request(
        &self,
        before: ApprovalRequest,
        after: ApprovalRequest,
        record: Option<ApprovalAnswerRecord>,
        stamp: Stamp,
    ) -> Result<Option<String>, StoreError> {
        let (pen, id) = (Arc::clone(&self.pen), before.id.clone());
        let change = move |request: ApprovalRequest, link: &Link| {
            // Whoever asks again in between changes nothing that an answer rests on.
            let asked = request.asked;
            if (ApprovalRequest { asked: before.asked, ..request }) != before {
                return Err(RefusedAnswer::Changed);
            }
            let after = ApprovalRequest { asked, ..after.clone() };
            let entry = record.clone().map(|record| pen.at(link).seal(link, &stamp, Body::Approval(record)));
            Ok((Answered { request: after, approval: None }, entry))
        };
        let (_, entry) = self.state.change_request(self.chain_uid(), &id, Box::new(change)).await?;
        Ok(entry.map(|entry| entry.jws))
    }

    /// Ends a request for approval: whoever asks for the same asks anew.
    ///
    /// # Errors
    ///
    /// [`StoreError::Answer`] when there is none; else when the store cannot do it.
    pub async fn end_request(&self, id: &str, state: RequestState) -> Result<ApprovalRequest, StoreError> {
        let end = move |request: ApprovalRequest, _: &Link| {
            Ok((Answered { request: request.ended(state), approval: None }, None))
        };
        self.state.change_request(self.chain_uid(), id, Box::new(end)).await.map(|(request, _)| request)
    }
}
