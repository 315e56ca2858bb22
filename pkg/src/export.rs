//! Reports on exports of a ledger, piece by piece.

use passgate_core::attest::{DecisionKind, PreviousChain};
use passgate_core::ledger::{Break, Head, MAX_HEAD_BYTES, MAX_RECORD_BYTES, Report, Seen, Verifier};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{keys, report};

/// How the line of a head begins; any other is a record's.
const HEAD: &[u8] = b"{\"head\":\"";
/// What stands around the token of a line, in bytes, with some room.
const AROUND_BYTES: usize = 64;

/// Counts of records.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    records: u64,
    decisions: Decisions,
    other: u64,
    first_timestamp: Option<String>,
    last_timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Decisions {
    allow: u64,
    deny: u64,
    step_up: u64,
}

impl Counts {
    fn add(&mut self, seen: &Seen) {
        self.records += 1;
        match seen.decision {
            Some(DecisionKind::Allow) => self.decisions.allow += 1,
            Some(DecisionKind::Deny) => self.decisions.deny += 1,
            Some(DecisionKind::StepUp) => self.decisions.step_up += 1,
            None => self.other += 1,
        }
        if self.first_timestamp.is_none() {
            self.first_timestamp = Some(seen.timestamp.clone());
        }
        self.last_timestamp = Some(seen.timestamp.clone());
    }
}

/// Verifies one export, of any length, in the room that its longest line takes.
#[derive(Debug)]
#[wasm_bindgen]
pub struct ExportVerifier {
    verifier: Verifier<'static>,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
    bytes: u64,
    lines: u64,
    counts: Counts,
    broken: Option<Broken>,
}

#[wasm_bindgen]
impl ExportVerifier {
    /// A verifier that trusts the keys of a JWKS, an array of JWKs or a JWK.
    ///
    /// # Errors
    ///
    /// When `trusted` is none of these.
    #[wasm_bindgen(constructor)]
    pub fn new(trusted: &str) -> Result<Self, String> {
        Ok(Self {
            verifier: Verifier::new(keys::trusted(trusted)?),
            rest: Vec::new(),
            bytes: 0,
            lines: 0,
            counts: Counts::default(),
            broken: None,
        })
    }

    /// Takes in the next piece, and says how far it is: `ExportProgress` of `ts/types.ts` in JSON, and `broken` once the
    /// verification has ended.
    ///
    /// # Errors
    ///
    /// None that a piece can cause.
    pub fn push(&mut self, piece: &[u8]) -> Result<String, String> {
        self.bytes += piece.len() as u64;
        let mut batch = Counts::default();
        let mut parts = piece.split(|byte| *byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            if self.rest.is_empty() {
                self.line(part, &mut batch);
            } else {
                self.rest.extend_from_slice(part);
                let line = core::mem::take(&mut self.rest);
                self.line(&line, &mut batch);
            }
        }
        self.keep(last);
        report::to_json(&Progress {
            bytes: self.bytes,
            lines: self.lines,
            counts: &self.counts,
            batch: &batch,
            broken: self.broken.as_ref(),
        })
    }

    /// The report: `ExportReport` of `ts/types.ts` in JSON.
    ///
    /// # Errors
    ///
    /// None that an export can cause.
    pub fn finish(mut self) -> Result<String, String> {
        if !self.rest.is_empty() {
            let line = core::mem::take(&mut self.rest);
            self.line(&line, &mut Counts::default());
        }
        let ended = match self.broken.take() {
            Some(broken) => Err(broken),
            None => self.verifier.finish().map_err(|broken| Broken::of(&broken)),
        };
        let (report, broken) = match ended {
            Ok(report) => (Some(report), None),
            Err(broken) => (None, Some(broken)),
        };
        report::to_json(&ExportReport {
            valid: report.is_some(),
            bytes: self.bytes,
            lines: self.lines,
            counts: &self.counts,
            head: report.as_ref().map(|Report { head, .. }| HeadView::of(head)),
            not_checked: report.as_ref().map(|report| report.not_checked.clone()).unwrap_or_default(),
            broken,
        })
    }
}

impl ExportVerifier {
    /// One line without its line feed. After the first break, nothing is looked at any more.
    fn line(&mut self, line: &[u8], batch: &mut Counts) {
        if self.broken.is_some() {
            return;
        }
        self.lines += 1;
        match self.verifier.line(line) {
            Ok(()) => {
                if let Some(seen) = self.verifier.last_seen() {
                    self.counts.add(seen);
                    batch.add(seen);
                }
            }
            Err(broken) => self.broken = Some(Broken::of(&broken)),
        }
    }

    /// Keeps the beginning of a line, as long as it may become one.
    fn keep(&mut self, part: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        self.rest.extend_from_slice(part);
        let most = if self.rest.starts_with(HEAD) { MAX_HEAD_BYTES } else { MAX_RECORD_BYTES };
        if self.rest.len() > most + AROUND_BYTES {
            self.rest = Vec::new();
            self.broken = Some(Broken::too_long(self.lines + 1, most));
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress<'a> {
    bytes: u64,
    lines: u64,
    #[serde(flatten)]
    counts: &'a Counts,
    batch: &'a Counts,
    broken: Option<&'a Broken>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportReport<'a> {
    valid: bool,
    bytes: u64,
    lines: u64,
    #[serde(flatten)]
    counts: &'a Counts,
    head: Option<HeadView<'a>>,
    not_checked: Vec<String>,
    broken: Option<Broken>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadView<'a> {
    gate_id: &'a str,
    partial: bool,
    records: u64,
    timestamp: &'a str,
    chains: Vec<ChainView<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChainView<'a> {
    chain_uid: &'a str,
    size: u64,
    head_sha256: &'a str,
}

impl<'a> HeadView<'a> {
    fn of(head: &'a Head) -> Self {
        let chain = |chain: &'a PreviousChain| ChainView {
            chain_uid: &chain.chain_uid,
            size: chain.size,
            head_sha256: &chain.head_sha256,
        };
        Self {
            gate_id: &head.gate_id,
            partial: head.partial,
            records: head.records,
            timestamp: &head.timestamp,
            chains: head.chains.iter().map(chain).collect(),
        }
    }
}

/// The first thing that is wrong.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Broken {
    line: u64,
    attestation_id: Option<String>,
    chain_uid: Option<String>,
    seq: Option<u64>,
    code: &'static str,
    what: String,
}

impl Broken {
    fn of(broken: &Break) -> Self {
        let (chain_uid, seq) = broken.position.clone().unzip();
        Self {
            line: broken.line,
            attestation_id: broken.attestation_id.clone(),
            chain_uid,
            seq,
            code: broken.what.code(),
            what: broken.what.to_string(),
        }
    }

    fn too_long(line: u64, most: usize) -> Self {
        let what = format!("the line is too long: what stands in it has at most {most} bytes in an export");
        Self { line, attestation_id: None, chain_uid: None, seq: None, code: "line", what }
    }
}

#[cfg(test)]
mod tests;
