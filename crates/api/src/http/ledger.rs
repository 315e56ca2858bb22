//! Verifying the whole ledger where it is kept.

use std::sync::Arc;

use futures_util::stream;
use passgate_core::ledger::{Break, HeadBuilder, Verifier, head_line, record_line};
use passgate_passport::key::PublicKey;
use passgate_store::{Filter, StoredRecord};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::control::{Controlled, OperationError};
use super::export::Pages;
use super::reply::Pieces;

/// Whether a ledger holds: every signature, every chain.
///
/// Whoever can change records can also answer this. To rely on nobody's word, export the ledger and verify the export
/// elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct LedgerReport {
    /// Whether nothing is wrong.
    pub valid: bool,
    /// The records read: all, unless one cannot be relied on for what it says.
    pub records: u64,
    /// The chains they are in.
    pub chains: u64,
    /// The first thing wrong.
    #[serde(rename = "break", default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<BreakReport>,
    /// What could not be checked, in words.
    pub not_checked: Vec<String>,
}

/// Where a ledger is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct BreakReport {
    /// The record's place in the ledger, from 1.
    pub record: u64,
    /// Its id, as far as it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation_id: Option<String>,
    /// Its chain, as far as it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_uid: Option<String>,
    /// Its position in the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What is wrong, in words.
    pub what: String,
}

impl From<Break> for BreakReport {
    fn from(broken: Break) -> Self {
        let (chain_uid, seq) = broken.position.unzip();
        Self {
            record: broken.line,
            attestation_id: broken.attestation_id,
            chain_uid,
            seq,
            what: broken.what.to_string(),
        }
    }
}

/// The [`LedgerReport`] as JSON, in one piece that comes when everything is read: that can take longer than a caller
/// waits for the head of an answer.
#[must_use]
pub fn report(gate: Arc<dyn Controlled>) -> Pieces {
    Box::pin(stream::try_unfold(Some(gate), async |gate| {
        let Some(gate) = gate else { return Ok(None) };
        let report = verify(gate.as_ref()).await?;
        let unwritten = |error: serde_json::Error| OperationError::Gate(error.to_string());
        Ok(Some((serde_json::to_vec(&report).map_err(unwritten)?, None)))
    }))
}

/// Reads the whole ledger, verifies it, and says what it found.
///
/// # Errors
///
/// [`OperationError`] when the ledger cannot be read. A broken one is no error.
pub async fn verify(gate: &dyn Controlled) -> Result<LedgerReport, OperationError> {
    let keys: Vec<PublicKey> = gate.keys().into_iter().map(|entry| entry.key).collect();
    let mut reading = Reading { verifier: Verifier::new(&keys), head: HeadBuilder::default() };
    let mut pages = Pages::new(Filter::default());
    while let Some(records) = pages.next(gate.ledger()).await? {
        for record in &records {
            if let Err(broken) = reading.record(record) {
                return reading.report(gate, Some(broken));
            }
        }
    }
    reading.report(gate, None)
}

/// The verifier compares the records with a head at their end. It gets one here as an export would have it, which
/// settles the chains.
struct Reading<'k> {
    verifier: Verifier<'k>,
    head: HeadBuilder,
}

impl Reading<'_> {
    fn record(&mut self, record: &StoredRecord) -> Result<(), Break> {
        self.head.push(&record.index.chain_uid, &record.jws, &Sha256::digest(&record.jws).into());
        self.verifier.line(record_line(&record.jws).trim_end().as_bytes())
    }

    fn report(self, gate: &dyn Controlled, broken: Option<Break>) -> Result<LedgerReport, OperationError> {
        let Self { mut verifier, head } = self;
        let head = head.finish(gate.gate().id.clone(), false, gate.now().rfc3339());
        let verified = match broken {
            Some(broken) => Err(broken),
            None => {
                let line = head_line(&gate.seal_head(&head.to_payload())?);
                verifier.line(line.trim_end().as_bytes()).and_then(|()| verifier.finish())
            }
        };
        let (broken, not_checked) = match verified {
            Ok(report) => (None, report.not_checked),
            Err(broken) => (Some(BreakReport::from(broken)), Vec::new()),
        };
        let chains = u64::try_from(head.chains.len()).unwrap_or(u64::MAX);
        Ok(LedgerReport { valid: broken.is_none(), records: head.records, chains, broken, not_checked })
    }
}
