//! The writer of one chain: gives records their id, seals them and hands back what a store keeps.

use alloc::string::String;

use passgate_passport::id;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::records::{Body, GateRecord, Kind, OutcomeRecord, Record};
use crate::time::UnixMillis;

/// When a record is made and the randomness of its id. Both come from the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The time.
    pub now: UnixMillis,
    /// Random bits of the record's ULID.
    pub random: [u8; 10],
}

impl Stamp {
    /// A new chain's identity: `chain_` and a ULID.
    pub fn chain_uid(&self) -> String {
        id::new_id("chain", self.now.0, self.random)
    }
}

/// A place in a chain, given by the store that appends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The position, from 0.
    pub seq: u64,
    /// SHA-256 of the previous record's JWS; `None` at position 0.
    pub prev: Option<[u8; 32]>,
}

/// A sealed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record as signed.
    pub jws: String,
    /// SHA-256 of `jws`: the next record's `prev`.
    pub sha256: [u8; 32],
    /// What queries look at.
    pub index: EntryIndex,
}

/// The members of a record that queries filter on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryIndex {
    /// The record's id.
    pub attestation_id: String,
    /// The chain.
    pub chain_uid: String,
    /// The position in it.
    pub seq: u64,
    /// What is recorded.
    pub kind: Kind,
    /// When, in Unix milliseconds.
    pub timestamp_ms: u64,
    /// The gate.
    pub gate_id: String,
    /// The agent, if known.
    pub agent_id: Option<String>,
    /// The verdict, of a decision.
    pub decision: Option<super::DecisionKind>,
}

/// Signs the records of one chain.
#[derive(Debug)]
pub struct Writer {
    key: SecretKey,
    chain_uid: String,
    gate: GateRecord,
}

/// `sha256:` and the hex digest.
pub fn sha256_label(digest: &[u8; 32]) -> String {
    let mut label = String::with_capacity(71);
    label.push_str("sha256:");
    for byte in digest {
        for nibble in [byte >> 4, byte & 15] {
            label.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    label
}

impl Writer {
    /// A writer for a new chain.
    pub fn new(key: SecretKey, chain_uid: String, gate: GateRecord) -> Self {
        Self { key, chain_uid, gate }
    }

    /// The chain it writes.
    pub fn chain_uid(&self) -> &str {
        &self.chain_uid
    }

    /// The key its records verify with.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    /// The id the record made with `stamp` will have.
    pub fn attestation_id(stamp: &Stamp) -> String {
        id::new_id("att", stamp.now.0, stamp.random)
    }

    /// Seals `body` at `link`.
    pub fn seal(&self, link: &Link, stamp: &Stamp, body: Body) -> Entry {
        let record = self.record(link, stamp, body);
        // Strings, integers and string-keyed maps always serialise; an empty payload would fail every verification.
        let payload = serde_json::to_vec(&record).unwrap_or_default();
        let jws = jws::sign(&self.key, TokenType::Attestation, &payload);
        let sha256 = Sha256::digest(jws.as_bytes()).into();
        Entry { sha256, index: index_of(record, stamp), jws }
    }

    /// Signs the heads of chains as one statement (`typ: ledger-head+jwt`).
    pub fn seal_head(&self, payload: &[u8]) -> String {
        jws::sign(&self.key, TokenType::LedgerHead, payload)
    }

    fn record(&self, link: &Link, stamp: &Stamp, body: Body) -> Record {
        let mut record = Record {
            agent: None,
            attestation_id: Self::attestation_id(stamp),
            chain_uid: self.chain_uid.clone(),
            decision: None,
            decision_id: None,
            error: None,
            evaluator: None,
            folded: None,
            gate: self.gate.clone(),
            guardrails_evaluated: None,
            kind: Kind::ChainStart,
            not_checked: None,
            outcome: None,
            policy: None,
            prev: link.prev.as_ref().map(sha256_label),
            previous_chain: None,
            reason_code: None,
            request: None,
            revocation: None,
            revoked: None,
            seq: link.seq,
            timestamp: stamp.now.rfc3339(),
        };
        fill(&mut record, body);
        record
    }
}

fn fill(record: &mut Record, body: Body) {
    match body {
        Body::Decision(decision) => fill_decision(record, *decision),
        Body::Outcome { decision_id, outcome } => fill_outcome(record, decision_id, outcome),
        Body::Start(previous) => record.previous_chain = previous,
        Body::Revocation(subject) => {
            record.kind = Kind::Revocation;
            record.revoked = Some(subject);
        }
        Body::Folded(folded) => {
            record.kind = Kind::RefusalsFolded;
            record.folded = Some(folded);
        }
    }
}

fn fill_decision(record: &mut Record, decision: super::DecisionRecord) {
    record.kind = Kind::Decision;
    record.agent = decision.agent;
    record.decision = Some(decision.decision);
    record.error = Some(decision.reason.is_some_and(|r| r.class() == crate::reason::Class::Fault));
    record.evaluator = Some(decision.evaluator);
    record.guardrails_evaluated = Some(decision.guardrails);
    record.not_checked = Some(decision.not_checked);
    record.policy = Some(decision.policy);
    record.reason_code = decision.reason;
    record.request = Some(decision.request);
    record.revocation = Some(decision.revocation);
}

fn fill_outcome(record: &mut Record, decision_id: String, outcome: OutcomeRecord) {
    record.kind = Kind::Outcome;
    record.decision_id = Some(decision_id);
    record.outcome = Some(outcome);
}

fn index_of(record: Record, stamp: &Stamp) -> EntryIndex {
    EntryIndex {
        attestation_id: record.attestation_id,
        chain_uid: record.chain_uid,
        seq: record.seq,
        kind: record.kind,
        timestamp_ms: stamp.now.0,
        gate_id: record.gate.gate_id,
        agent_id: record.agent.map(|agent| agent.agent_id),
        decision: record.decision,
    }
}
