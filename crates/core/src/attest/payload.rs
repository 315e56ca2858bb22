//! The payload of a record while it is written: the members of [`Record`](super::Record), borrowed.
//!
//! Every decision is sealed in the path of its request, so nothing is copied only to be serialised. Readers get a
//! [`Record`](super::Record); a test compares the two byte by byte.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::records::{
    AgentRecord, ApprovalAnswerRecord, Body, DecisionKind, DecisionRecord, FoldedRecord, GapRecord, GateRecord,
    GuardrailRecord, Kind, OutcomeRecord, PluginKeyRecord, PolicyRecord, PreviousChain, ReconciliationRecord,
    RequestRecord, RevocationCheck, StatusListRecord,
};
use super::rotation::KeyRotationRecord;
use super::writer::EntryIndex;
use crate::gate::EvaluatorRef;
use crate::plugin::PluginRecord;
use crate::reason::{Class, Reason};
use crate::state::Subject;

/// The members of a decision, borrowed; see [`DecisionRecord`] for what they mean.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each field is the one of DecisionRecord with the same name")]
pub struct DecisionView<'a> {
    pub agent: Option<&'a AgentRecord>,
    pub decision: DecisionKind,
    pub reason: Option<Reason>,
    pub evaluator: &'a EvaluatorRef,
    pub guardrails: &'a [GuardrailRecord],
    pub not_checked: &'a [String],
    pub plugins: &'a [PluginRecord],
    pub policy: &'a PolicyRecord,
    pub request: &'a RequestRecord,
    pub revocation: RevocationCheck,
    pub status_list: Option<&'a StatusListRecord>,
}

impl<'a> From<&'a DecisionRecord> for DecisionView<'a> {
    fn from(record: &'a DecisionRecord) -> Self {
        Self {
            agent: record.agent.as_ref(),
            decision: record.decision,
            reason: record.reason,
            evaluator: &record.evaluator,
            guardrails: &record.guardrails,
            not_checked: &record.not_checked,
            plugins: &record.plugins,
            policy: &record.policy,
            request: &record.request,
            revocation: record.revocation,
            status_list: record.status_list.as_ref(),
        }
    }
}

/// Members in alphabetical order, as in [`Record`](super::Record).
#[derive(Debug, Serialize)]
pub(super) struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a AgentRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'a ApprovalAnswerRecord>,
    attestation_id: &'a str,
    chain_uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluator: Option<&'a EvaluatorRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folded: Option<&'a FoldedRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<&'a GapRecord>,
    gate: &'a GateRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    guardrails_evaluated: Option<&'a [GuardrailRecord]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_rotation: Option<&'a KeyRotationRecord>,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_checked: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a OutcomeRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_key: Option<&'a PluginKeyRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins: Option<&'a [PluginRecord]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a PolicyRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_chain: Option<&'a PreviousChain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_code: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconciliation: Option<&'a ReconciliationRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a RequestRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation: Option<RevocationCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<&'a Subject>,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_list: Option<&'a StatusListRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Subject>,
    timestamp: &'a str,
}

/// Where and when a record is made.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) attestation_id: String,
    pub(super) prev: Option<String>,
    pub(super) seq: u64,
    pub(super) timestamp: String,
}

/// The members every record has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) chain_uid: &'a str,
    pub(super) gate: &'a GateRecord,
    pub(super) place: &'a Place,
}

impl<'a> Payload<'a> {
    fn new(frame: Frame<'a>, kind: Kind) -> Self {
        Self {
            agent: None,
            approval: None,
            attestation_id: &frame.place.attestation_id,
            chain_uid: frame.chain_uid,
            decision: None,
            decision_id: None,
            error: None,
            evaluator: None,
            folded: None,
            gap: None,
            gate: frame.gate,
            guardrails_evaluated: None,
            key_rotation: None,
            kind,
            not_checked: None,
            outcome: None,
            plugin_key: None,
            plugins: None,
            policy: None,
            prev: frame.place.prev.as_deref(),
            previous_chain: None,
            reason_code: None,
            reconciliation: None,
            request: None,
            revocation: None,
            revoked: None,
            seq: frame.place.seq,
            status_list: None,
            subject: None,
            timestamp: &frame.place.timestamp,
        }
    }

    pub(super) fn of_decision(frame: Frame<'a>, decision: DecisionView<'a>) -> Self {
        Self {
            agent: decision.agent,
            decision: Some(decision.decision),
            error: Some(decision.reason.is_some_and(|reason| reason.class() == Class::Fault)),
            evaluator: Some(decision.evaluator),
            guardrails_evaluated: Some(decision.guardrails),
            not_checked: Some(decision.not_checked),
            plugins: (!decision.plugins.is_empty()).then_some(decision.plugins),
            policy: Some(decision.policy),
            reason_code: decision.reason,
            request: Some(decision.request),
            revocation: Some(decision.revocation),
            status_list: decision.status_list,
            ..Self::new(frame, Kind::Decision)
        }
    }

    pub(super) fn of(frame: Frame<'a>, body: &'a Body) -> Self {
        match body {
            Body::Decision(decision) => Self::of_decision(frame, decision.as_ref().into()),
            Body::Outcome { decision_id, outcome } => {
                Self { decision_id: Some(decision_id), outcome: Some(outcome), ..Self::new(frame, Kind::Outcome) }
            }
            Body::Start(previous) => Self { previous_chain: previous.as_ref(), ..Self::new(frame, Kind::ChainStart) },
            Body::Revocation(subject) => Self { revoked: Some(subject), ..Self::new(frame, Kind::Revocation) },
            Body::Folded(folded) => Self { folded: Some(folded), ..Self::new(frame, Kind::RefusalsFolded) },
            Body::Restart => Self::new(frame, Kind::Restart),
            Body::Gap(gap) => Self { gap: Some(gap), ..Self::new(frame, Kind::Gap) },
            Body::PluginKey(key) => Self { plugin_key: Some(key), ..Self::new(frame, Kind::PluginKey) },
            Body::KeyRotation(rotation) => Self { key_rotation: Some(rotation), ..Self::new(frame, Kind::KeyRotation) },
            Body::Suspension(subject) => Self { subject: Some(subject), ..Self::new(frame, Kind::Suspension) },
            Body::Reconciliation { decision_id, reconciliation } => Self {
                decision_id: Some(decision_id),
                reconciliation: Some(reconciliation),
                ..Self::new(frame, Kind::Reconciliation)
            },
            Body::Approval(answer) => Self { approval: Some(answer), ..Self::new(frame, Kind::Approval) },
            Body::Reinstatement(subject) => Self { subject: Some(subject), ..Self::new(frame, Kind::Reinstatement) },
        }
    }

    /// What queries look at.
    pub(super) fn index(&self, timestamp_ms: u64) -> EntryIndex {
        EntryIndex {
            attestation_id: self.attestation_id.into(),
            chain_uid: self.chain_uid.into(),
            seq: self.seq,
            kind: self.kind,
            timestamp_ms,
            gate_id: self.gate.gate_id.clone(),
            agent_id: self.agent.map(|agent| agent.agent_id.clone()),
            decision: self.decision,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings, integers and string-keyed maps always serialise; an empty payload would fail every verification.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
