//! What the Worker and its objects say to each other. Both run the same release of the same module, and nobody else can
//! reach an object.
//!
//! | to an admission object | fields | body | answer |
//! | --- | --- | --- | --- |
//! | `/admit` | stamp, object, current | the judgement | the answer; 409 when the policy is outdated |
//! | `/settle` | stamp, gate, decision | the outcome | |
//! | `/deny` | at | the subject that the gate's object knows to be revoked | |
//! | `/ask-again` | | the subject that was suspended or reinstated | |
//!
//! | to the gate's object | fields | body | answer |
//! | --- | --- | --- | --- |
//! | `/watch` | gate, object, current | the subjects that the object meets for the first time | [`Watched`] |
//! | `/refuse` | stamp, gate | the refusal | the answer |
//! | `/fold` | stamp, gate | refusals that an isolate counted | |
//! | `/revoke` | stamp, gate | the subject | [`Recorded`] |
//! | `/suspend` | stamp, gate | the subject | [`Recorded`] |
//! | `/reinstate` | stamp, gate | the subject | [`Recorded`]; 409 when it is revoked |
//! | `/tell` | after | the subject | [`Told`] |
//! | `/told` | record | the subject whose watchers are all told of what this record is about | |
//! | `/standing` | | subjects | how each stands |
//! | `/ask` | stamp, gate | the request for approval | `passgate_core::approval::Asked` |
//! | `/request` | | the id of a request for approval | the request, or null |
//! | `/requests` | | [`Requests`] | requests for approval |
//! | `/replace` | stamp, gate | [`Replace`] | the record, or null; 409 when it changed |
//! | `/in-force` | current, as Workers KV has it | | [`InForce`] |
//! | `/bundle` | | | the bundle that was put |
//! | `/put-bundle` | current | the bundle | |
//! | `/list` | | [`NoteList`] | the URIs of all lists |
//! | `/objects` | after | | [`ObjectNames`] |
//!
//! Both answer `/records` ([`Records`]) with a [`RecordPage`] and `/record` (an id) with a [`Record`].

use passgate_api::edge::Current;
use passgate_core::approval::ApprovalRequest;
use passgate_core::attest::{ApprovalAnswerRecord, DecisionKind, GateRecord, PreviousChain};
use passgate_core::state::{Standing, Subject};
use passgate_passport::b64;
use passgate_store::backend::{decode_record, encode_record};
use passgate_store::{Cursor, Filter, Page, StoredRecord};
use serde::{Deserialize, Serialize};

/// The stamp of the record that a call makes.
pub(crate) const STAMP_FIELD: &str = "passgate-stamp";
/// The gate, as [`gate_text`] writes it.
pub(crate) const GATE_FIELD: &str = "passgate-gate";
/// The name of the admission object: an object need not know its own.
pub(crate) const OBJECT_FIELD: &str = "passgate-object";
/// The bundle in use, as the JSON of `passgate_api::edge::Current`.
pub(crate) const CURRENT_FIELD: &str = "passgate-current";
/// The decision that is settled.
pub(crate) const DECISION_FIELD: &str = "passgate-decision";
/// The id of a record.
pub(crate) const RECORD_FIELD: &str = "passgate-record";
/// A Unix second.
pub(crate) const AT_FIELD: &str = "passgate-at";
/// Where to go on: a name, or a number.
pub(crate) const AFTER_FIELD: &str = "passgate-after";

/// A subject as the key of a row: its JSON, which no two subjects share.
pub(crate) fn subject_key(subject: &Subject) -> String {
    // Strings always serialise.
    serde_json::to_string(subject).unwrap_or_default()
}

/// A gate as it stands in a field.
pub(crate) fn gate_text(gate: &GateRecord) -> String {
    format!("{} {}", gate.level, gate.gate_id)
}

/// The gate that [`gate_text`] wrote.
pub(crate) fn gate_from(text: &str) -> Option<GateRecord> {
    let (level, gate_id) = text.split_once(' ')?;
    Some(GateRecord { gate_id: gate_id.to_owned(), level: level.to_owned() })
}

/// The answer to `POST /watch`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct Watched {
    /// How the subjects stand, in the order in which they were asked about.
    pub(crate) standing: Vec<Standing>,
    /// The newest version of the policy that is known anywhere.
    pub(crate) policy_version: u64,
    /// Whether the gate's object had met the asking object before.
    pub(crate) is_known: bool,
    /// Where the gate's own chain ends at present.
    pub(crate) anchor: PreviousChain,
}

/// `POST /list` to the gate's object: a status list is about to be published.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct NoteList {
    /// Its URI.
    pub(crate) uri: String,
    /// When it was issued, in Unix seconds.
    pub(crate) issued_at: i64,
    /// `sha256:` and the hex digest of the token.
    pub(crate) sha256: String,
}

/// `POST /records` to any object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct Records {
    pub(crate) agent_id: Option<String>,
    pub(crate) gate_id: Option<String>,
    pub(crate) decision: Option<DecisionKind>,
    pub(crate) after_ms: Option<u64>,
    pub(crate) before_ms: Option<u64>,
    pub(crate) cursor: Option<(u64, u64)>,
    pub(crate) limit: usize,
}

impl Records {
    pub(crate) fn new(filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Self {
        let Filter { agent_id, gate_id, decision, after_ms, before_ms } = filter.clone();
        let cursor = cursor.map(|at| (at.chain, at.seq));
        Self { agent_id, gate_id, decision, after_ms, before_ms, cursor, limit }
    }

    pub(crate) fn filter(&self) -> Filter {
        let Self { agent_id, gate_id, decision, after_ms, before_ms, .. } = self.clone();
        Filter { agent_id, gate_id, decision, after_ms, before_ms }
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.cursor.map(|(chain, seq)| Cursor { chain, seq })
    }
}

/// One page of records of one object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct RecordPage {
    pub(crate) records: Vec<Record>,
    pub(crate) next: Option<(u64, u64)>,
}

impl From<Page> for RecordPage {
    fn from(page: Page) -> Self {
        let records = page.records.iter().map(Record::of).collect();
        Self { records, next: page.next.map(|at| (at.chain, at.seq)) }
    }
}

/// A record: its chain, its place in it, and what `passgate_store::backend::encode_record` makes of it, in base64url.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record(String, u64, String);

impl Record {
    pub(crate) fn of(StoredRecord { jws, index }: &StoredRecord) -> Self {
        Self(index.chain_uid.clone(), index.seq, b64::encode(&encode_record(index, jws)))
    }

    /// The record; nothing when it was not made by [`Record::of`] of the same release.
    pub(crate) fn stored(self) -> Option<StoredRecord> {
        let Self(chain_uid, seq, record) = self;
        decode_record(chain_uid, seq, &b64::decode(&record).ok()?)
    }
}

/// The answer to `POST /objects`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct ObjectNames {
    /// Number and name of each; empty at the end.
    pub(crate) names: Vec<(u64, String)>,
    /// The highest number there is.
    pub(crate) last: u64,
}

/// `POST /requests` to the gate's object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct Requests {
    /// The id to go on after.
    pub(crate) after: String,
    /// How many.
    pub(crate) limit: usize,
}

/// `POST /replace` to the gate's object: a request for approval that was answered or ended, if nobody else did so first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct Replace {
    /// As it was.
    pub(crate) before: ApprovalRequest,
    /// As it is now.
    pub(crate) after: ApprovalRequest,
    /// What is recorded of the answer.
    pub(crate) record: Option<ApprovalAnswerRecord>,
}

/// The answer to `POST /revoke`, `/suspend` and `/reinstate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// The record's id.
    pub(crate) id: String,
    /// The record.
    pub(crate) record: String,
    /// Whether what the subject may do is different now.
    pub(crate) changed: bool,
}

/// The answer to `POST /tell`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct Told {
    /// The name to go on after; empty when there are no more watchers.
    pub(crate) after: String,
    /// Why some of them could not be told.
    pub(crate) failed: Option<String>,
}

/// The answer to `POST /in-force`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub(crate) struct InForce {
    /// The bundle in force.
    pub(crate) current: Current,
    /// Its token, when it was put into the object.
    pub(crate) jws: Option<String>,
}
