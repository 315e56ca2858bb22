//! The writer of one chain: gives records their id, seals them and hands back what a store keeps.

use alloc::string::String;
use alloc::vec::Vec;

use passgate_passport::action_pass::{self, ActionPass, MintError};
use passgate_passport::digest::sha256_label;
use passgate_passport::id;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::payload::{DecisionView, Frame, Payload, Place};
use super::records::{Body, GateRecord, Kind};
use crate::time::UnixMillis;

/// When a record is made and the randomness of its id. Both come from the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
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
#[serde(rename = "passgate::open")]
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
#[serde(rename = "passgate::open")]
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

/// The records of one chain, as they are before they are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    uid: String,
    gate: GateRecord,
}

/// A record that is not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    payload: Vec<u8>,
    index: EntryIndex,
}

/// Signs the records of one chain.
#[derive(Debug)]
pub struct Writer {
    key: SecretKey,
    chain: Chain,
}

impl Chain {
    /// The chain `uid` of `gate`.
    pub fn new(uid: String, gate: GateRecord) -> Self {
        Self { uid, gate }
    }

    /// Its identity.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The gate whose records it holds.
    pub fn gate(&self) -> &GateRecord {
        &self.gate
    }

    /// The record of `body` at `link`.
    pub fn draft(&self, link: &Link, stamp: &Stamp, body: &Body) -> Draft {
        let place = place(link, stamp);
        Draft::of(&Payload::of(self.frame(&place), body), stamp)
    }

    /// The record of a decision at `link`: the bytes [`Chain::draft`] makes of the same members.
    pub fn draft_decision(&self, link: &Link, stamp: &Stamp, decision: DecisionView<'_>) -> Draft {
        let place = place(link, stamp);
        Draft::of(&Payload::of_decision(self.frame(&place), decision), stamp)
    }

    fn frame<'a>(&'a self, place: &'a Place) -> Frame<'a> {
        Frame { chain_uid: &self.uid, gate: &self.gate, place }
    }
}

impl Draft {
    fn of(payload: &Payload<'_>, stamp: &Stamp) -> Self {
        Self { payload: payload.to_bytes(), index: payload.index(stamp.now.0) }
    }

    /// What is to be signed with the key whose RFC 7638 thumbprint is `kid`.
    pub fn signing_input(&self, kid: &str) -> String {
        jws::signing_input(kid, TokenType::Attestation, &self.payload)
    }

    /// What queries will look at.
    pub fn index(&self) -> &EntryIndex {
        &self.index
    }

    fn sealed(self, key: &SecretKey) -> Entry {
        Entry::new(jws::sign(key, TokenType::Attestation, &self.payload), self.index)
    }
}

impl Entry {
    /// A record as signed.
    pub fn new(jws: String, index: EntryIndex) -> Self {
        let sha256 = Sha256::digest(jws.as_bytes()).into();
        Self { jws, sha256, index }
    }
}

impl Writer {
    /// A writer for a new chain.
    pub fn new(key: SecretKey, chain_uid: String, gate: GateRecord) -> Self {
        Self { key, chain: Chain::new(chain_uid, gate) }
    }

    /// The gate whose records it seals.
    pub fn gate(&self) -> &GateRecord {
        &self.chain.gate
    }

    /// The writer that goes on with the chain under another key.
    #[must_use]
    pub fn with_key(&self, key: SecretKey) -> Self {
        Self { key, chain: self.chain.clone() }
    }

    /// The chain it writes, without the key.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The chain it writes.
    pub fn chain_uid(&self) -> &str {
        &self.chain.uid
    }

    /// The key its records verify with.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    /// The id the record made with `stamp` will have.
    pub fn attestation_id(stamp: &Stamp) -> String {
        id::new_id(id::ATTESTATION_PREFIX, stamp.now.0, stamp.random)
    }

    /// Seals `body` at `link`.
    pub fn seal(&self, link: &Link, stamp: &Stamp, body: Body) -> Entry {
        self.chain.draft(link, stamp, &body).sealed(&self.key)
    }

    /// Seals a decision at `link`, to the bytes [`Writer::seal`] makes of the same members.
    pub fn seal_decision(&self, link: &Link, stamp: &Stamp, decision: DecisionView<'_>) -> Entry {
        self.chain.draft_decision(link, stamp, decision).sealed(&self.key)
    }

    /// Signs what an evaluator elsewhere made of a decision: the [`Draft::signing_input`] of this writer's key, and the
    /// index of it.
    pub fn seal_draft(&self, signing_input: String, index: EntryIndex) -> Entry {
        Entry::new(self.signed(signing_input), index)
    }

    /// Mints a one-action pass. It may be given away once the record of the decision that it comes from is stored.
    ///
    /// # Errors
    ///
    /// What no gate would redeem.
    pub fn mint(&self, pass: &ActionPass) -> Result<String, MintError> {
        action_pass::mint(&self.key, pass)
    }

    /// Signs a one-action pass that an evaluator elsewhere made: the `action_pass::signing_input` of this writer's key.
    pub fn mint_draft(&self, signing_input: String) -> String {
        self.signed(signing_input)
    }

    fn signed(&self, signing_input: String) -> String {
        let signature = self.key.sign(signing_input.as_bytes());
        jws::with_signature(signing_input, &signature)
    }

    /// Signs the heads of chains as one statement (`typ: ledger-head+jwt`).
    pub fn seal_head(&self, payload: &[u8]) -> String {
        jws::sign(&self.key, TokenType::LedgerHead, payload)
    }
}

fn place(link: &Link, stamp: &Stamp) -> Place {
    Place {
        attestation_id: Writer::attestation_id(stamp),
        prev: link.prev.as_ref().map(sha256_label),
        seq: link.seq,
        timestamp: stamp.now.rfc3339(),
    }
}
