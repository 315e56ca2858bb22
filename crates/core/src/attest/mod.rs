//! Attestations: what is recorded of each decision, and how it is sealed into a chain.
//!
//! A record is a compact JWS (`typ: attestation+jwt`) kept as signed. Its payload is canonical JSON (RFC 8785): members
//! in order, no floating point. `chain_uid`, `seq` and `prev` place it in the chain of one writer; `prev` is the
//! SHA-256 of the previous record's JWS.

mod payload;
mod place;
mod records;
mod rotation;
mod writer;

pub use passgate_passport::digest::sha256_label;
pub use payload::DecisionView;
pub(crate) use place::RecordPlace;
pub use records::{
    ActionPassRecord, ActionPassUse, AgentRecord, ApprovalAnswer, ApprovalAnswerRecord, ApprovalRecord, Body,
    BudgetOutcome, DecisionKind, DecisionRecord, DelegatorRecord, EvidenceValue, FoldedRecord, GapRecord, GateRecord,
    GuardrailOutcome, GuardrailRecord, Kind, OutcomeRecord, OutcomeResult, PluginKeyRecord, PolicyRecord,
    PreviousChain, ReconciliationRecord, Record, RequestRecord, ResponseRecord, RevocationCheck, StatusListRecord,
};
pub use rotation::{JwkRecord, KeyRotationRecord, RotationScope};
pub use writer::{Chain, Draft, Entry, EntryIndex, Link, Stamp, Writer};

#[cfg(test)]
mod tests;
