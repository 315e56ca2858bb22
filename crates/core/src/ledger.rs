//! Exports of a ledger and their verification, line by line. Memory grows with chains, not with records.
//!
//! An export is UTF-8 text, one object a line, each line ending in a line feed:
//!
//! ```text
//! {"jws":"<record, compact JWS>"}      any number, chain by chain, in order
//! {"head":"<head, compact JWS>"}       exactly one, last
//! ```
//!
//! The head (`typ: ledger-head+jwt`) states how many records there are, the SHA-256 over all their JWS each followed
//! by a line feed, and, for a whole export, the size and last hash of every chain. A JOSE library and SHA-256 verify it.
//!
//! Verification begins with the keys that the verifier trusts and follows the records in which one key hands over to the
//! next: the first key of a gate verifies a whole export, however often the key was changed since.
//!
//! What a chain without a head held elsewhere cannot show: that records were cut off its end *and* a new head was
//! signed. Keep heads outside the gate to notice that.

mod keys;

use alloc::borrow::{Cow, ToOwned as _};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use passgate_passport::json;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::PublicKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::attest::{DecisionKind, Kind, PreviousChain, RecordPlace, sha256_label};

use keys::{Epoch, Epochs, Keyring, Known, Standing};

/// The longest record a verifier reads, in bytes.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;
/// The longest head a verifier reads, in bytes: room for some 50,000 chains.
pub const MAX_HEAD_BYTES: usize = 16 * 1024 * 1024;

/// The payload of a head, members in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Every chain of a whole export, in export order; empty in a partial one.
    pub chains: Vec<PreviousChain>,
    /// The gate.
    pub gate_id: String,
    /// Whether a filter left records out. Then the chains cannot be checked.
    pub partial: bool,
    /// How many records.
    pub records: u64,
    /// SHA-256 over all records' JWS, each followed by a line feed.
    pub records_sha256: String,
    /// RFC 3339.
    pub timestamp: String,
}

/// Makes the head of an export while its records pass by.
#[derive(Debug, Clone, Default)]
pub struct HeadBuilder {
    chains: Vec<PreviousChain>,
    records: u64,
    digest: Sha256,
}

impl HeadBuilder {
    /// Counts one record of `chain_uid`.
    pub fn push(&mut self, chain_uid: &str, jws: &str, sha256: &[u8; 32]) {
        self.records += 1;
        self.digest.update(jws.as_bytes());
        self.digest.update(b"\n");
        match self.chains.last_mut() {
            Some(chain) if chain.chain_uid == chain_uid => {
                chain.size += 1;
                chain.head_sha256 = sha256_label(sha256);
            }
            _ => self.chains.push(PreviousChain {
                chain_uid: chain_uid.to_owned(),
                head_sha256: sha256_label(sha256),
                size: 1,
            }),
        }
    }

    /// The head.
    pub fn finish(self, gate_id: String, partial: bool, timestamp: String) -> Head {
        let chains = if partial { Vec::new() } else { self.chains };
        Head {
            chains,
            gate_id,
            partial,
            records: self.records,
            records_sha256: sha256_label(&self.digest.finalize().into()),
            timestamp,
        }
    }
}

impl Head {
    /// The payload to sign.
    pub fn to_payload(&self) -> Vec<u8> {
        // Strings and integers always serialise; an empty payload would fail every verification.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The line of a record.
pub fn record_line(jws: &str) -> String {
    alloc::format!("{{\"jws\":\"{jws}\"}}\n")
}

/// The line of a head.
pub fn head_line(jws: &str) -> String {
    alloc::format!("{{\"head\":\"{jws}\"}}\n")
}

/// What a verified export holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The signed head.
    pub head: Head,
    /// What could not be checked, in words.
    pub not_checked: Vec<String>,
}

/// The first thing wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The line, from 1.
    pub line: u64,
    /// The record's id, as far as it can be read.
    pub attestation_id: Option<String>,
    /// The chain and position, as far as they can be read.
    pub position: Option<(String, u64)>,
    /// What is wrong.
    pub what: What,
}

/// How an export is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// The line is not `{"jws":"…"}` or `{"head":"…"}`.
    #[error("the line is not a record or head line")]
    Line,
    /// The JWS is malformed or of another type.
    #[error("the record is not a well-formed attestation")]
    Token,
    /// No trusted key has this `kid`.
    #[error("the record is signed with a key that is not trusted")]
    Key,
    /// The key was handed over before.
    #[error("the record is signed with a key that was retired by a rotation before it")]
    Retired,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// The payload is not a record.
    #[error("the payload is not a record of this format")]
    Payload,
    /// `seq` does not continue the chain: deleted, duplicated or reordered.
    #[error("the record does not continue its chain: its position is wrong")]
    Sequence,
    /// `prev` is not the hash of the record before: edited, spliced or forked.
    #[error("the record does not continue its chain: prev is not the hash of the record before")]
    Previous,
    /// A chain does not begin with its start record.
    #[error("a chain does not begin with its start record")]
    Start,
    /// A chain's start does not fit the chain it says came before.
    #[error("the chain does not follow the chain it names as its predecessor")]
    Predecessor,
    /// A rotation hands over to no key, or to one that signs or was retired.
    #[error("the record hands over to no usable key, or to one that was in use before")]
    Rotation,
    /// Something follows the head.
    #[error("a line follows the head")]
    AfterHead,
    /// There is no head: the end is missing.
    #[error("the export ends without a signed head")]
    NoHead,
    /// The head states other records.
    #[error("the signed head states other records than these")]
    Head,
}

impl What {
    /// The stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Token => "token",
            Self::Key => "key",
            Self::Retired => "retired",
            Self::Signature => "signature",
            Self::Payload => "payload",
            Self::Sequence => "sequence",
            Self::Previous => "previous",
            Self::Start => "start",
            Self::Predecessor => "predecessor",
            Self::Rotation => "rotation",
            Self::AfterHead => "after_head",
            Self::NoHead => "no_head",
            Self::Head => "head",
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(id) = &self.attestation_id {
            write!(f, ", record {id}")?;
        }
        if let Some((chain, seq)) = &self.position {
            write!(f, " ({chain} #{seq})")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl core::error::Error for Break {}

/// What a record says that a summary of an export shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// RFC 3339.
    pub timestamp: String,
    /// The verdict, of a decision.
    pub decision: Option<DecisionKind>,
}

/// Verifies an export. Feed it every line without its line feed, then [`Verifier::finish`].
#[derive(Debug)]
pub struct Verifier<'k> {
    keys: Keyring<'k>,
    line: u64,
    chain: Option<Chain>,
    /// Of every chain, in the order of `records`.
    epochs: Vec<Epochs>,
    records: HeadBuilder,
    unchained: Option<(u64, RecordPlace, What)>,
    loose_predecessors: u64,
    gaps: u64,
    seen: Option<Seen>,
    head: Option<Head>,
}

#[derive(Debug)]
struct Chain {
    uid: String,
    next_seq: u64,
    last: [u8; 32],
    epoch: Epoch,
    /// Whether what came before is not known, as in a filtered export.
    is_loose: bool,
}

impl<'k> Verifier<'k> {
    /// A verifier that trusts `keys`, and what they hand over to.
    pub fn new(keys: impl Into<Cow<'k, [PublicKey]>>) -> Self {
        Self {
            keys: Keyring::new(keys.into()),
            line: 0,
            chain: None,
            epochs: Vec::new(),
            records: HeadBuilder::default(),
            unchained: None,
            loose_predecessors: 0,
            gaps: 0,
            seen: None,
            head: None,
        }
    }

    /// Checks one line.
    ///
    /// # Errors
    ///
    /// The [`Break`] that ends the verification. A break in a chain is held back until the head says whether the
    /// export is partial, and is reported by [`Verifier::finish`].
    pub fn line(&mut self, line: &[u8]) -> Result<(), Break> {
        self.line += 1;
        self.seen = None;
        let text = core::str::from_utf8(line).map_err(|_| self.broken(None, What::Line))?;
        if self.head.is_some() {
            return Err(self.broken(None, What::AfterHead));
        }
        if let Some(jws) = text.strip_prefix("{\"jws\":\"").and_then(|rest| rest.strip_suffix("\"}")) {
            return self.record(jws);
        }
        let head = text.strip_prefix("{\"head\":\"").and_then(|rest| rest.strip_suffix("\"}"));
        self.read_head(head.ok_or_else(|| self.broken(None, What::Line))?)
    }

    /// What the record of the last line says; `None` before the first and after anything else than a record.
    pub fn last_seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    fn record(&mut self, token: &str) -> Result<(), Break> {
        let (payload, key) = self.verified(token, TokenType::Attestation, MAX_RECORD_BYTES)?;
        let record = RecordPlace::read(&payload, MAX_RECORD_BYTES).ok_or_else(|| self.broken(None, What::Payload))?;
        let sha256 = Sha256::digest(token.as_bytes()).into();
        let linked = self.link(&record);
        let (begun, is_loose) = self.epoch(&record, linked.is_ok());
        if let Err(what) = linked
            && self.unchained.is_none()
        {
            self.unchained = Some((self.line, record.clone(), what));
        }
        self.in_force(self.keys.standing(begun, key, is_loose), Some(&record))?;
        let epoch = self.handed_over(&record, begun, key)?;
        self.gaps += u64::from(record.kind == Kind::Gap);
        self.records.push(&record.chain_uid, token, &sha256);
        let next_seq = record.seq.saturating_add(1);
        if self.chain.as_ref().is_none_or(|chain| chain.uid != record.chain_uid) {
            self.epochs.push(Epochs::from(begun));
        }
        if epoch != begun
            && let Some(epochs) = self.epochs.last_mut()
        {
            epochs.go_on(next_seq, epoch);
        }
        self.seen = Some(Seen { timestamp: record.timestamp, decision: record.decision });
        self.chain = Some(Chain { next_seq, uid: record.chain_uid, last: sha256, epoch, is_loose });
        Ok(())
    }

    /// Between which rotations `record` stands, and whether that is not known for certain.
    fn epoch(&self, record: &RecordPlace, is_linked: bool) -> (Epoch, bool) {
        if let Some(chain) = self.chain.as_ref().filter(|chain| chain.uid == record.chain_uid) {
            return (chain.epoch, chain.is_loose);
        }
        let named = record.previous_chain.as_ref().filter(|_| is_linked);
        let before = named.and_then(|named| {
            let position = self.records.chains.iter().position(|chain| chain.chain_uid == named.chain_uid)?;
            Some(self.epochs.get(position)?.after(named.size))
        });
        (before.flatten(), !is_linked)
    }

    fn in_force(&self, standing: Standing, record: Option<&RecordPlace>) -> Result<(), Break> {
        match standing {
            Standing::InForce => Ok(()),
            Standing::Retired => Err(self.broken(record, What::Retired)),
            Standing::Unknown => Err(self.broken(record, What::Key)),
        }
    }

    /// The epoch after `record`, which `key` signed at `epoch`.
    fn handed_over(&mut self, record: &RecordPlace, epoch: Epoch, key: Known) -> Result<Epoch, Break> {
        if record.kind != Kind::KeyRotation {
            return Ok(epoch);
        }
        let named = record.key_rotation.as_ref();
        let next = named.and_then(|named| self.keys.rotate(epoch, key, named));
        next.ok_or_else(|| self.broken(Some(record), What::Rotation))
    }

    /// Whether `record` continues the current chain or properly starts another.
    fn link(&mut self, record: &RecordPlace) -> Result<(), What> {
        if let Some(chain) = self.chain.as_ref().filter(|chain| chain.uid == record.chain_uid) {
            return match &record.prev {
                _ if record.seq != chain.next_seq => Err(What::Sequence),
                Some(prev) if *prev == sha256_label(&chain.last) => Ok(()),
                _ => Err(What::Previous),
            };
        }
        let known = self.records.chains.iter().any(|chain| chain.chain_uid == record.chain_uid);
        if known || record.seq != 0 || record.prev.is_some() || record.kind != Kind::ChainStart {
            return Err(What::Start);
        }
        self.follows(record.previous_chain.as_ref())
    }

    /// Whether a chain start fits the chains before it. A predecessor that went on after this start (two writers at
    /// once) cannot be compared here, and is counted as not checked.
    fn follows(&mut self, named: Option<&PreviousChain>) -> Result<(), What> {
        let chains = &self.records.chains;
        match named {
            None if chains.is_empty() => Ok(()),
            None => Err(What::Predecessor),
            Some(named) => match chains.iter().find(|chain| chain.chain_uid == named.chain_uid) {
                Some(chain) if chain == named => Ok(()),
                Some(chain) if named.size < chain.size => {
                    self.loose_predecessors += 1;
                    Ok(())
                }
                _ => Err(What::Predecessor),
            },
        }
    }

    fn read_head(&mut self, token: &str) -> Result<(), Break> {
        let (payload, key) = self.verified(token, TokenType::LedgerHead, MAX_HEAD_BYTES)?;
        self.in_force(self.keys.standing_of_head(key), None)?;
        let head: Head = json::parse_into(&payload, MAX_HEAD_BYTES).map_err(|_| self.broken(None, What::Payload))?;
        self.head = Some(head);
        Ok(())
    }

    /// The payload, and the known key that signed it.
    fn verified(&self, token: &str, typ: TokenType, limit: usize) -> Result<(Vec<u8>, Known), Break> {
        let unverified = jws::decode(token, typ, limit).map_err(|_| self.broken(None, What::Token))?;
        // Read only to name a record that does not verify: nothing else may be taken from it.
        let claimed = |payload: &[u8]| RecordPlace::read(payload, limit);
        let Some((known, key)) = self.keys.find(unverified.kid()) else {
            return Err(self.broken(claimed(unverified.payload()).as_ref(), What::Key));
        };
        let payload = unverified.payload().to_vec();
        match unverified.verify(key) {
            Ok(_) => Ok((payload, known)),
            Err(_) => Err(self.broken(claimed(&payload).as_ref(), What::Signature)),
        }
    }

    fn broken(&self, record: Option<&RecordPlace>, what: What) -> Break {
        Break {
            line: self.line,
            attestation_id: record.map(|record| record.attestation_id.clone()),
            position: record.map(|record| (record.chain_uid.clone(), record.seq)),
            what,
        }
    }

    /// Compares the records with the head.
    ///
    /// # Errors
    ///
    /// A held-back chain [`Break`] of a whole export, a missing head, or a head that states other records.
    pub fn finish(mut self) -> Result<Report, Break> {
        let unchained = self.unchained.take();
        let Some(head) = self.head.take() else {
            return Err(self.held_back(unchained).unwrap_or_else(|| self.broken(None, What::NoHead)));
        };
        let mut not_checked = Vec::new();
        if head.partial {
            not_checked.push("chain links, and so from when on a key signed (the export is filtered)".to_owned());
        } else if let Some(held_back) = self.held_back(unchained) {
            return Err(held_back);
        }
        let made =
            core::mem::take(&mut self.records).finish(head.gate_id.clone(), head.partial, head.timestamp.clone());
        if made != head {
            return Err(self.broken(None, What::Head));
        }
        if self.loose_predecessors > 0 {
            not_checked
                .push(alloc::format!("where {} chains left a predecessor that went on", self.loose_predecessors));
        }
        if self.gaps > 0 {
            not_checked.push(alloc::format!("what {} gap records say may be missing", self.gaps));
        }
        Ok(Report { head, not_checked })
    }

    fn held_back(&self, unchained: Option<(u64, RecordPlace, What)>) -> Option<Break> {
        unchained.map(|(line, record, what)| Break { line, ..self.broken(Some(&record), what) })
    }
}

#[cfg(test)]
mod tests;
