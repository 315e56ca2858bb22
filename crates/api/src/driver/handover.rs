//! Answers and refusals as bytes, for a gate whose parts run in several places: one that judges and forwards, and one
//! that admits, decides and records.
//!
//! The bytes go over a channel that only the gate can write to: whoever can write to it can grant anything. Both ends
//! run the same release. Bytes that are anything else than what the other end sent are an error and never an allow.

use passgate_core::attest::{Body, DecisionKind, DecisionRecord, GateRecord};
use passgate_core::gate::Gate;
use passgate_core::pipeline::{HandedPermit, HandoffError, Permit, RateView, Refusal};
use passgate_core::reason::Reason;
use passgate_core::state::Conduct;
use passgate_core::time::UnixMillis;
use passgate_passport::json;
use serde::{Deserialize, Serialize};

use super::{Answer, Forward, Minted, Misjudged, Refused};

/// A refusal of steps 1 and 2, ready to be recorded and answered here or elsewhere; see
/// [`Driver::record_refusal`](super::Driver::record_refusal).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalRecord {
    gate: GateRecord,
    reason: Reason,
    detail: String,
    record: Box<DecisionRecord>,
}

impl RefusalRecord {
    /// The refusal of a request by `gate` at `now`.
    pub fn new(gate: &Gate, refusal: &Refusal, now: UnixMillis) -> Self {
        Self {
            gate: gate.record(),
            reason: refusal.reason,
            detail: refusal.detail.clone(),
            record: Box::new(refusal.record(gate, now)),
        }
    }

    /// The gate that refuses. Only its writer may record it.
    pub fn gate(&self) -> &GateRecord {
        &self.gate
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The refusal as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, integers and enums always serialise; empty bytes would be refused on the other side.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The refusal from [`RefusalRecord::to_bytes`] of the same release.
    ///
    /// # Errors
    ///
    /// [`HandoffError`] when the bytes are anything else, such as a decision that is no refusal.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HandoffError> {
        let read: Self = json::read_back(bytes).map_err(|_| HandoffError)?;
        let refuses = read.record.decision == DecisionKind::Deny && read.record.reason == Some(read.reason);
        refuses.then_some(read).ok_or(HandoffError)
    }

    /// The refusal, to be recorded.
    pub fn body(&self) -> Body {
        Body::Decision(self.record.clone())
    }

    /// What is answered: `attestation_id` is the refusal's record, `None` when it is only counted.
    pub fn refused(&self, attestation_id: Option<String>) -> Refused {
        Refused {
            decision: DecisionKind::Deny,
            reason: self.reason,
            detail: self.detail.clone(),
            attestation_id,
            rates: Vec::new(),
            retry_after_seconds: None,
            agent_id: self.record.agent.as_ref().map(|agent| agent.agent_id.clone()),
            action: None,
            plugin: None,
            approval: None,
        }
    }
}

/// An answer on its way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Handed {
    Forward(Box<HandedForward>),
    Mint(Box<Minted>),
    Refuse(Box<Refused>),
    Again(Conduct),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HandedForward {
    permit: HandedPermit,
    attestation_id: String,
    rates: Vec<RateView>,
    agent_id: String,
    action: String,
}

impl Handed {
    fn to_bytes(&self) -> Vec<u8> {
        // Strings, integers and enums always serialise; empty bytes would be refused on the other side.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Misjudged {
    /// That it has to be judged again, as bytes in the place of an answer.
    pub fn to_bytes(self) -> Vec<u8> {
        Handed::Again(self.0).to_bytes()
    }

    /// The answer from [`Answer::to_bytes`], or this in its place.
    ///
    /// # Errors
    ///
    /// As [`Answer::from_bytes`].
    pub fn or_answer(bytes: &[u8]) -> Result<Result<Answer, Self>, HandoffError> {
        Ok(match json::read_back(bytes).map_err(|_| HandoffError)? {
            Handed::Again(conduct) => Err(Self(conduct)),
            handed => Ok(Answer::of_handed(handed)?),
        })
    }
}

impl Answer {
    /// The answer as bytes. The right to forward goes with them: here nothing can be forwarded any more.
    pub fn to_bytes(self) -> Vec<u8> {
        let handed = match self {
            Self::Forward(forward) => {
                let Forward { permit, attestation_id, rates, agent_id, action } = *forward;
                let permit = permit.hand_over();
                Handed::Forward(Box::new(HandedForward { permit, attestation_id, rates, agent_id, action }))
            }
            Self::Mint(minted) => Handed::Mint(minted),
            Self::Refuse(refused) => Handed::Refuse(refused),
        };
        handed.to_bytes()
    }

    /// The answer from [`Answer::to_bytes`] of the same release, once.
    ///
    /// # Errors
    ///
    /// [`HandoffError`] when the bytes are anything else. The caller then refuses the request.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HandoffError> {
        Self::of_handed(json::read_back(bytes).map_err(|_| HandoffError)?)
    }

    fn of_handed(handed: Handed) -> Result<Self, HandoffError> {
        Ok(match handed {
            Handed::Forward(forward) => {
                let HandedForward { permit, attestation_id, rates, agent_id, action } = *forward;
                let permit = Permit::handed_over(permit);
                Self::Forward(Box::new(Forward { permit, attestation_id, rates, agent_id, action }))
            }
            Handed::Mint(minted) => Self::Mint(minted),
            Handed::Refuse(refused) => Self::Refuse(refused),
            Handed::Again(_) => return Err(HandoffError),
        })
    }
}
