//! Where a record stands, read from its payload.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use passgate_passport::json::{self, Node};
use serde::de::DeserializeOwned;

use super::records::{
    AgentRecord, ApprovalAnswerRecord, DecisionKind, FoldedRecord, GapRecord, GateRecord, GuardrailRecord, Kind,
    OutcomeRecord, PluginKeyRecord, PolicyRecord, PreviousChain, ReconciliationRecord, RequestRecord, RevocationCheck,
    StatusListRecord,
};
use super::rotation::KeyRotationRecord;
use crate::gate::EvaluatorRef;
use crate::plugin::PluginRecord;
use crate::reason::Reason;
use crate::state::Subject;

/// What places a record in the ledger. The rest of it was checked and let go, so a long ledger is read in little room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordPlace {
    pub(crate) attestation_id: String,
    pub(crate) chain_uid: String,
    pub(crate) decision: Option<DecisionKind>,
    pub(crate) key_rotation: Option<KeyRotationRecord>,
    pub(crate) kind: Kind,
    pub(crate) prev: Option<String>,
    pub(crate) previous_chain: Option<PreviousChain>,
    pub(crate) seq: u64,
    pub(crate) timestamp: String,
}

impl RecordPlace {
    /// Reads a payload of at most `limit` bytes. `None` when it is no [`Record`](super::Record): strict JSON with no
    /// other members than those, each of its type.
    pub(crate) fn read(payload: &[u8], limit: usize) -> Option<Self> {
        let document = json::read(payload, limit).ok()?;
        let members = document.as_object()?;
        let always = ["attestation_id", "chain_uid", "gate", "kind", "seq", "timestamp"];
        let complete = always.iter().all(|name| members.contains_key(*name));
        if !complete || !members.iter().all(|(name, value)| is_member(name, value)) {
            return None;
        }
        let text = |name: &str| members.get(name).and_then(Node::as_str).map(str::to_string);
        Some(Self {
            attestation_id: text("attestation_id")?,
            chain_uid: text("chain_uid")?,
            decision: members.get("decision").and_then(|kind| json::typed(kind).ok()),
            key_rotation: members.get("key_rotation").and_then(|named| json::typed(named).ok()),
            kind: json::typed(members.get("kind")?).ok()?,
            prev: text("prev"),
            previous_chain: members.get("previous_chain").and_then(|named| json::typed(named).ok()),
            seq: members.get("seq")?.as_u64()?,
            timestamp: text("timestamp")?,
        })
    }
}

/// Whether a record may have this member. The members are those of [`Record`](super::Record); a test compares the two.
fn is_member(name: &str, value: &Node<'_>) -> bool {
    match name {
        "attestation_id" | "chain_uid" | "decision_id" | "prev" | "timestamp" => value.as_str().is_some(),
        "seq" => value.as_u64().is_some(),
        "error" => matches!(value, Node::Bool(_)),
        "not_checked" => is::<Vec<String>>(value),
        "agent" => is::<AgentRecord>(value),
        "approval" => is::<ApprovalAnswerRecord>(value),
        "decision" => is::<DecisionKind>(value),
        "evaluator" => is::<EvaluatorRef>(value),
        "folded" => is::<FoldedRecord>(value),
        "gap" => is::<GapRecord>(value),
        "gate" => is::<GateRecord>(value),
        "guardrails_evaluated" => is::<Vec<GuardrailRecord>>(value),
        "key_rotation" => is::<KeyRotationRecord>(value),
        "kind" => is::<Kind>(value),
        "outcome" => is::<OutcomeRecord>(value),
        "plugin_key" => is::<PluginKeyRecord>(value),
        "plugins" => is::<Vec<PluginRecord>>(value),
        "policy" => is::<PolicyRecord>(value),
        "previous_chain" => is::<PreviousChain>(value),
        "reason_code" => is::<Reason>(value),
        "reconciliation" => is::<ReconciliationRecord>(value),
        "request" => is::<RequestRecord>(value),
        "revocation" => is::<RevocationCheck>(value),
        "revoked" => is::<Subject>(value),
        "status_list" => is::<StatusListRecord>(value),
        "subject" => is::<Subject>(value),
        _ => false,
    }
}

fn is<T: DeserializeOwned>(value: &Node<'_>) -> bool {
    json::fits::<T>(value)
}
