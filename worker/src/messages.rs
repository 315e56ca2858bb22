//! What the Worker and its objects say to each other. Both run the same release of the same module, and nobody else can
//! reach an object.

use passgate_api::edge::Current;
use passgate_core::attest::{DecisionKind, FoldedRecord, GateRecord, OutcomeRecord, PreviousChain};
use passgate_core::state::Subject;
use passgate_passport::b64;
use passgate_store::backend::{decode_record, encode_record};
use passgate_store::{Cursor, Filter, Page, StoredRecord};
use serde::{Deserialize, Serialize};

/// The stamp of the record that a call makes.
pub(crate) const STAMP_FIELD: &str = "passgate-stamp";

/// A subject as the key of a row: its JSON, which no two subjects share.
pub(crate) fn subject_key(subject: &Subject) -> String {
    // Strings always serialise.
    serde_json::to_string(subject).unwrap_or_default()
}

/// `POST /watch` to the gate's object: an admission object has met these for the first time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// The name of the asking object.
    pub(crate) object: String,
    /// What it wants to be told of when it is revoked.
    pub(crate) subjects: Vec<Subject>,
    /// The bundle it decides under.
    pub(crate) current: Current,
    /// The gate.
    pub(crate) gate: GateRecord,
}

/// The answer to a [`Watch`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Watched {
    /// Which of the subjects are revoked, since which Unix second.
    pub(crate) revoked: Vec<(Subject, i64)>,
    /// The newest version of the policy that is known anywhere.
    pub(crate) policy_version: u64,
    /// Where the gate's own chain ends at present.
    pub(crate) anchor: PreviousChain,
}

/// `POST /admit` to an admission object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Admit {
    /// The bundle the request was judged under.
    pub(crate) current: Current,
    /// The name of the object that is called; an object need not know its own.
    pub(crate) object: String,
    /// The judgement, as it hands itself over.
    pub(crate) judged: String,
}

/// `POST /settle` to an admission object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settle {
    /// The gate, should the object have to take up its chain again.
    pub(crate) gate: GateRecord,
    /// The decision.
    pub(crate) decision_id: String,
    /// What became of it.
    pub(crate) outcome: OutcomeRecord,
}

/// `POST /deny` to an admission object: a revocation that the gate's object has recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deny {
    /// What is revoked.
    pub(crate) subject: Subject,
    /// Since which Unix second.
    pub(crate) at: i64,
}

/// `POST /refuse` to the gate's object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refuse {
    /// The refusal, as it hands itself over.
    pub(crate) refusal: String,
    /// The gate.
    pub(crate) gate: GateRecord,
}

/// `POST /fold` to the gate's object: refusals that an isolate counted instead of sending each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FoldedRefusals {
    /// The gate.
    pub(crate) gate: GateRecord,
    /// The counts.
    pub(crate) folded: FoldedRecord,
}

/// `POST /revoke` to the gate's object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Revoke {
    /// The gate.
    pub(crate) gate: GateRecord,
    /// What to revoke.
    pub(crate) subject: Subject,
}

/// The answer to a [`Revoke`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Revoked {
    /// The record of it, as signed.
    pub(crate) jws: String,
}

/// `POST /tell` to the gate's object: tell the next of a subject's watchers. A revocation is done when none is left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tell {
    /// What was revoked.
    pub(crate) subject: Subject,
    /// Go on after the watcher of this name.
    pub(crate) after: String,
}

/// The answer to a [`Tell`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Where to go on; `None` when every watcher is told.
    pub(crate) next: Option<String>,
}

/// `POST /put-bundle` to the gate's object: a verified bundle is about to be published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PutBundle {
    /// What may be replaced by it.
    pub(crate) current: Current,
    /// The token.
    pub(crate) jws: String,
}

/// `POST /list` to the gate's object: a status list is about to be published.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// `POST /objects` to the gate's object: the admission objects it knows, in the order in which it met them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Objects {
    /// Only those after this number.
    pub(crate) after: u64,
}

/// The answer to [`Objects`]: number and name. Empty at the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ObjectNames(pub(crate) Vec<(u64, String)>);
