//! Where a gate's state and its ledger live.
//!
//! # In scope
//!
//! Three traits and the backends that implement them. [`State`] carries out one whole admission and the record of its
//! decision in one transaction; [`Ledger`] reads records back. The rules over state rows are pure functions in
//! `passgate_core::state`: a backend loads rows, calls them and writes, and every backend runs the same code; [`backend`]
//! is what one is written with. The `conformance` feature exports the suite that all of them pass.
//!
//! # Out of scope
//!
//! What to decide, what to record and how to sign it: that comes in as a [`SealDecision`].
//!
//! # Why admission and record are one transaction
//!
//! A nonce is consumed and a budget charged exactly when the record that says so is durable. After a crash there is no
//! admission without evidence and no evidence without admission, and one flush to disk pays for both.

pub mod backend;
mod memory;
#[cfg(feature = "redb")]
mod redb;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
pub mod failing;

use async_trait::async_trait;
use passgate_core::approval::{Answered, ApprovalRequest, Asked, RefusedAnswer};
use passgate_core::attest::{BudgetOutcome, DecisionKind, Entry, EntryIndex, Link, PreviousChain};
use passgate_core::state::{
    Admission, Demand, KeyHistory, KeyRotation, PluginKeyError, RotationError, RowCorrupt, Standing, Subject,
};

#[cfg(feature = "redb")]
pub use self::redb::RedbStore;
pub use memory::MemoryStore;

/// Seals the record of a decision: called inside the transaction, with the answer to the demand and the place in the
/// chain. A backend that retries its transaction calls it again. It may give no record of an admission that consumed
/// nothing, such as a replay in a flood of them. One that panics fails its own request only.
#[cfg(not(target_arch = "wasm32"))]
pub type SealDecision = Box<dyn FnMut(&Admission, &Link) -> Option<Entry> + Send>;
/// As natively; a Worker's isolate has one thread.
#[cfg(target_arch = "wasm32")]
pub type SealDecision = Box<dyn FnMut(&Admission, &Link) -> Option<Entry>>;

/// Seals a record that consumes no state.
#[cfg(not(target_arch = "wasm32"))]
pub type SealRecord = Box<dyn FnMut(&Link) -> Entry + Send>;
/// As natively; a Worker's isolate has one thread.
#[cfg(target_arch = "wasm32")]
pub type SealRecord = Box<dyn FnMut(&Link) -> Entry>;

/// Seals the record of an outcome, given what became of the budgets that the decision charged; `None` when there was no
/// lease.
#[cfg(not(target_arch = "wasm32"))]
pub type SealOutcome = Box<dyn FnMut(Option<BudgetOutcome>, &Link) -> Entry + Send>;
/// As natively; a Worker's isolate has one thread.
#[cfg(target_arch = "wasm32")]
pub type SealOutcome = Box<dyn FnMut(Option<BudgetOutcome>, &Link) -> Entry>;

/// Changes a request for approval, with the record of it where there is one: called inside the transaction, with the request
/// as it stands and the next place in the chain.
#[cfg(not(target_arch = "wasm32"))]
pub type ChangeRequest =
    Box<dyn FnMut(ApprovalRequest, &Link) -> Result<(Answered, Option<Entry>), RefusedAnswer> + Send>;
/// As natively; a Worker's isolate has one thread.
#[cfg(target_arch = "wasm32")]
pub type ChangeRequest = Box<dyn FnMut(ApprovalRequest, &Link) -> Result<(Answered, Option<Entry>), RefusedAnswer>>;

/// `Send + Sync` where there are threads. In a Worker's isolate there is one thread, and its handles are neither.
#[cfg(not(target_arch = "wasm32"))]
pub trait Shared: Send + Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + Sync + ?Sized> Shared for T {}
/// Nothing, where there is one thread.
#[cfg(target_arch = "wasm32")]
pub trait Shared {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> Shared for T {}

/// What a finished admission leaves.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The answer to the demand.
    pub admission: Admission,
    /// The record as appended, durable by the time it is returned; `None` when the seal gave none.
    pub entry: Option<Entry>,
}

/// What becomes of what a decision charged, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// The outcome of its request.
    Outcome(BudgetOutcome),
    /// An operator at this Unix second, of a request whose outcome was not known.
    Reconciliation {
        /// What becomes of it.
        budget: BudgetOutcome,
        /// When.
        now: i64,
    },
}

/// What a suspension or a reinstatement leaves.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The record as appended, durable by the time it is returned.
    pub entry: Entry,
    /// Whether what the subject may do is different now: it was not denied before, or it was suspended.
    pub changed: bool,
}

/// Whether what was written survives the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Lost when the process ends; the store starts with a replay fence.
    Volatile,
    /// On disk before the answer is given.
    Durable,
}

/// The state a gate decides over, and the chain it writes.
///
/// Every verb is atomic and linearizable: it happens whole or not at all, also across concurrent callers. An error may
/// mean "not written" or "written, but the answer was lost"; callers deny in both cases.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait State: Shared {
    /// Starts the chain `chain_uid`: `seal` gets the head of the chain last started here, and its record becomes record
    /// 0. A chain can be started once.
    async fn start_chain(&self, chain_uid: &str, seal: SealStart) -> Result<Entry, StoreError>;

    /// Answers the whole `demand` with `passgate_core::state::admit`, appends the record `seal` makes of the answer to
    /// `chain_uid`, and makes both durable. An allow that charged budgets leaves a lease, to be settled.
    async fn admit(&self, chain_uid: &str, demand: Demand, seal: SealDecision) -> Result<Admitted, StoreError>;

    /// The answer that [`State::admit`] would give now. Nothing is consumed and nothing is written.
    async fn look(&self, demand: &Demand) -> Result<Admission, StoreError>;

    /// Appends a record to `chain_uid`.
    async fn append(&self, chain_uid: &str, seal: SealRecord) -> Result<Entry, StoreError>;

    /// Appends to `chain_uid` the record `seal` makes of what became of the decision `decision_id`, and of its lease if
    /// there is one: the charged amounts are given back to the periods they were charged to, stay charged for good, or stay
    /// charged until it is known. A lease can be ended once, so settling again only adds a record; so does settling a
    /// decision that charged nothing, or whose lease was swept. To reconcile there has to be a lease of a request that is
    /// over: else [`StoreError::NotHeld`], and nothing is recorded.
    async fn settle(
        &self,
        chain_uid: &str,
        decision_id: &str,
        how: Settlement,
        seal: SealOutcome,
    ) -> Result<Entry, StoreError>;

    /// Revokes `subject` from Unix second `at` on, with its record. When this returns, every admission that begins
    /// later sees it. Revoking again keeps the first time.
    async fn revoke(&self, chain_uid: &str, subject: Subject, at: i64, seal: SealRecord) -> Result<Entry, StoreError>;

    /// Suspends `subject` from Unix second `at` on until it is reinstated, with its record. When this returns, every
    /// admission that begins later sees it. Suspending what is suspended or revoked is recorded and changes nothing.
    async fn suspend(
        &self,
        chain_uid: &str,
        subject: Subject,
        at: i64,
        seal: SealRecord,
    ) -> Result<Changed, StoreError>;

    /// Ends the suspension of `subject`, with its record. When this returns, every admission that begins later sees it.
    /// Reinstating what is not suspended is recorded and changes nothing; what is revoked is refused as
    /// [`StoreError::Revoked`] and not recorded.
    async fn reinstate(&self, chain_uid: &str, subject: Subject, seal: SealRecord) -> Result<Changed, StoreError>;

    /// Whether `subject` is revoked or suspended, and since when.
    async fn standing(&self, subject: &Subject) -> Result<Standing, StoreError>;

    /// Gives `key` of the plugin `plugin` this value, or deletes it without one, with its record. When this returns,
    /// every read that begins later sees it. Deleting what is not there is recorded too.
    async fn set_plugin_key(
        &self,
        chain_uid: &str,
        plugin: &str,
        key: &str,
        value: Option<Vec<u8>>,
        seal: SealRecord,
    ) -> Result<Entry, StoreError>;

    /// The value of `key` of the plugin `plugin`, if it has one.
    async fn plugin_key(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Appends to `chain_uid` the record in which one key hands over to another, and notes it in the same transaction. A
    /// retired key never hands over, nor does a key come back: see [`KeyHistory::rotated`].
    async fn rotate_key(&self, chain_uid: &str, rotation: KeyRotation, seal: SealRecord) -> Result<Entry, StoreError>;

    /// The keys that were handed over here, and to whom.
    async fn key_history(&self) -> Result<KeyHistory, StoreError>;

    /// Keeps `request` until people answer, and gives it back; or the one that shows the same and stands already, which was
    /// asked for once more with this. Of one agent a bounded number is kept.
    async fn ask(&self, request: ApprovalRequest) -> Result<Asked, StoreError>;

    /// The request for approval with this id, as long as it is kept.
    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, StoreError>;

    /// Up to `limit` requests for approval whose ids follow `after`, in the order in which they were asked for.
    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, StoreError>;

    /// Changes the request for approval `id`, and appends the record of it to `chain_uid` where `change` makes one.
    ///
    /// [`StoreError::Answer`] when there is no such request, or it is not to be changed so; nothing is written then.
    async fn change_request(
        &self,
        chain_uid: &str,
        id: &str,
        change: ChangeRequest,
    ) -> Result<(ApprovalRequest, Option<Entry>), StoreError>;

    /// Deletes rows that expired before Unix second `now`, at most `limit` of them, raising the replay fence; returns
    /// how many. Backends also do this a little at a time while admitting.
    async fn sweep(&self, now: i64, limit: usize) -> Result<usize, StoreError>;

    /// Whether writes survive the process.
    fn durability(&self) -> Durability;
}

/// Seals the first record of a chain, given the head of the chain last started in this store.
#[cfg(not(target_arch = "wasm32"))]
pub type SealStart = Box<dyn FnMut(Option<PreviousChain>, &Link) -> Entry + Send>;
/// As natively; a Worker's isolate has one thread.
#[cfg(target_arch = "wasm32")]
pub type SealStart = Box<dyn FnMut(Option<PreviousChain>, &Link) -> Entry>;

/// Reads records. Order everywhere: chains in the order they were started, records by `seq`.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Ledger: Shared {
    /// Up to `limit` (at least 1) records after `cursor` that match `filter`, with the cursor to go on from; `None` when the end is
    /// reached. A page may hold fewer records than `limit`, or none, and still have a cursor: a store bounds how much
    /// it reads for one page. Records appended meanwhile may or may not appear, and never out of order.
    async fn records(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// The record with this id.
    async fn record(&self, attestation_id: &str) -> Result<Option<StoredRecord>, StoreError>;
}

/// A record as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The record as signed.
    pub jws: String,
    /// What queries look at.
    pub index: EntryIndex,
}

/// One page of records.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The records, in order.
    pub records: Vec<StoredRecord>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// A position between records: the start order of a chain and the position in it. Opaque to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The chain's place in start order.
    pub chain: u64,
    /// The last position read.
    pub seq: u64,
}

/// Which records a query wants. Absent members match everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The agent's id.
    pub agent_id: Option<String>,
    /// The gate's id.
    pub gate_id: Option<String>,
    /// The verdict; only decisions have one.
    pub decision: Option<DecisionKind>,
    /// From this Unix millisecond on.
    pub after_ms: Option<u64>,
    /// Before this Unix millisecond.
    pub before_ms: Option<u64>,
}

impl Filter {
    /// Whether the filter lets everything through.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a record matches.
    pub fn matches(&self, index: &EntryIndex) -> bool {
        self.agent_id.as_ref().is_none_or(|id| index.agent_id.as_ref() == Some(id))
            && self.gate_id.as_ref().is_none_or(|id| index.gate_id == *id)
            && self.decision.is_none_or(|decision| index.decision == Some(decision))
            && self.after_ms.is_none_or(|after| index.timestamp_ms >= after)
            && self.before_ms.is_none_or(|before| index.timestamp_ms < before)
    }
}

/// The store failed. The caller denies.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or does not answer: down, slow, full, read-only.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The chain was not started, or was started twice, or the sealed record belongs to another place. A mistake in the
    /// calling code; nothing was written.
    #[error(
        "no record can be added to chain {0}: it was not started here, is started already, or the record is not its next one"
    )]
    ChainState(String),
    /// Sealing the record panicked. Nothing was written.
    #[error("the record could not be sealed: {0}")]
    SealFailed(String),
    /// A revocation stays. A mistake of whoever asks; nothing was written.
    #[error(
        "the {0} is revoked, and a revocation cannot be lifted: whoever is to act again needs what is not revoked, such as a new passport"
    )]
    Revoked(Box<Subject>),
    /// There is nothing to reconcile. A mistake of whoever asks; nothing was written.
    #[error(
        "there is nothing to reconcile of {0}: it charged nothing, is settled or reconciled, is without an outcome for less than an hour, is older than 30 days, or its idempotency key was used again, so that it can only be committed"
    )]
    NotHeld(String),
    /// A plugin's key is outside its limits. A mistake of whoever asks; nothing was written.
    #[error(transparent)]
    PluginKey(#[from] PluginKeyError),
    /// An answer to a request for approval that is not taken in. A mistake of whoever answers; nothing was written.
    #[error(transparent)]
    Answer(#[from] RefusedAnswer),
    /// A rotation that was made already, or of a retired key. Nothing was written.
    #[error(transparent)]
    Rotation(#[from] RotationError),
    /// Another process has the store open.
    #[error("the store is in use by another process: {0}")]
    InUse(String),
}

impl From<RowCorrupt> for StoreError {
    fn from(error: RowCorrupt) -> Self {
        Self::Corrupt(error.to_string())
    }
}
