//! For those who write a backend: the verbs of a store, written once over the few operations every backend has.
//!
//! A backend implements [`Tables`] over what it stores, and [`State`](crate::State) by calling the verb of the same name
//! here, like this:
//!
//! 1. One call of a verb is one transaction: nothing else is read or written between its first and its last operation,
//!    and its writes become durable together or not at all, before the answer is given.
//! 2. `Err(Fault::Storage)`: the transaction is given up; whatever it wrote must not stay.
//! 3. `Err(Fault::Request)`: the request fails, and the transaction is as it was before. Verbs read and seal first and
//!    write last, so a backend may go on in the same transaction with the next request.
//! 4. After [`admit`] it calls [`sweep_along`] once for the admissions of a transaction, so that expired rows go without
//!    anybody asking for it.
//!
//! The suite behind the feature `conformance` tells whether a backend does it right.

mod approvals;
mod encoding;
mod standing;

use std::panic::{AssertUnwindSafe, catch_unwind};

use passgate_core::approval::RefusedAnswer;
use passgate_core::attest::{BudgetOutcome, DecisionKind, Entry, Link, PreviousChain, sha256_label};
use passgate_core::state::{
    self, Admission, Demand, FENCE_KEY, KEY_HISTORY_KEY, KeyHistory, KeyRotation, Lease, LoadedRows, PluginKeyError,
    RotationError, RowCorrupt, START_KEY, Subject, Write,
};

use crate::{Admitted, SealDecision, SealOutcome, SealRecord, SealStart, Settlement, StoreError};

pub use approvals::{approval_request, approval_requests, ask, change_request, requests_from};
pub use encoding::{decode_record, encode_record};
pub use standing::{follow, reinstate, standing, suspend};

/// Expired rows deleted with each admission. An admission adds a nonce and at times a lease that nobody settles, or a
/// one-action pass that another admission minted, so three a time catch up with any backlog.
pub const SWEPT_PER_ADMISSION: usize = 3;

/// Why a verb failed, and how far the damage reaches.
#[derive(Debug)]
pub enum Fault {
    /// This request cannot be carried out. The transaction is as it was.
    Request(StoreError),
    /// The storage failed. The transaction must not be committed.
    Storage(StoreError),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Request(error) | Fault::Storage(error) => error,
        }
    }
}

impl From<RowCorrupt> for Fault {
    fn from(error: RowCorrupt) -> Self {
        Self::Request(error.into())
    }
}

impl From<PluginKeyError> for Fault {
    fn from(error: PluginKeyError) -> Self {
        Self::Request(error.into())
    }
}

impl From<RefusedAnswer> for Fault {
    fn from(error: RefusedAnswer) -> Self {
        Self::Request(error.into())
    }
}

impl From<RotationError> for Fault {
    fn from(error: RotationError) -> Self {
        Self::Request(error.into())
    }
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Its place in start order.
    pub number: u64,
    /// How many records it has.
    pub next_seq: u64,
    /// SHA-256 of its last record's JWS.
    pub head: [u8; 32],
}

/// What a backend stores, within one transaction. Every operation sees what those before it wrote.
pub trait Tables {
    /// A state row's bytes.
    fn row(&self, key: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// Answers a demand with `passgate_core::state::admit`. A backend that has its rows at hand need not load them.
    fn answer(&self, demand: &Demand) -> Result<state::Admitted, Fault>
    where
        Self: Sized,
    {
        let rows = load(self, demand.row_keys())?;
        Ok(state::admit(demand, &rows)?)
    }
    /// Puts a state row, replacing its expiry too.
    fn put_row(&mut self, write: Write) -> Result<(), Fault>;
    /// Deletes a state row that expires at `expires_at`, or never. There may be no such row.
    fn delete_row(&mut self, key: &str, expires_at: Option<i64>) -> Result<(), Fault>;
    /// Up to `limit` rows whose keys begin with `prefix` and follow `after`, in the order of their bytes.
    fn rows_from(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault>;
    /// Up to `limit` rows that expire before `now`, earliest first.
    fn expired(&self, now: i64, limit: usize) -> Result<Vec<(i64, String)>, Fault>;
    /// A started chain.
    fn chain(&self, uid: &str) -> Result<Option<Chain>, Fault>;
    /// The chain last started.
    fn last_chain(&self) -> Result<Option<(String, Chain)>, Fault>;
    /// Whether a record has this id.
    fn has_record(&self, attestation_id: &str) -> Result<bool, Fault>;
    /// Appends a record and moves its chain's end to `end`. The chain is new when the record's `seq` is 0.
    fn put_record(&mut self, entry: &Entry, end: Chain) -> Result<(), Fault>;
}

/// [`State::start_chain`](crate::State::start_chain)
///
/// # Errors
///
/// `ChainState` when the chain is started already or the record is not its first one, `SealFailed` when the seal
/// panics, and the faults of `tables`.
pub fn start_chain(tables: &mut impl Tables, uid: &str, seal: &mut SealStart) -> Result<Entry, Fault> {
    if tables.chain(uid)?.is_some() {
        return Err(chain_state(uid));
    }
    let last = tables.last_chain()?;
    let number = last.as_ref().map_or(0, |(_, chain)| chain.number + 1);
    let previous = last.map(|(chain_uid, chain)| PreviousChain {
        chain_uid,
        head_sha256: sha256_label(&chain.head),
        size: chain.next_seq,
    });
    let link = Link { seq: 0, prev: None };
    let entry = sealed(tables, uid, &link, || seal(previous.clone(), &link))?;
    if number == 0 && tables.row(START_KEY)?.is_none() {
        let now = i64::try_from(entry.index.timestamp_ms / 1000).unwrap_or(i64::MAX);
        tables.put_row(state::new_store_write(now))?;
    }
    tables.put_record(&entry, end_after(number, &entry))?;
    Ok(entry)
}

/// [`State::admit`](crate::State::admit), without the sweeping; see [`sweep_along`].
///
/// # Errors
///
/// `Corrupt` when a row that the demand needs cannot be read, `ChainState` when the chain is not started or the record is
/// not its next one, `SealFailed` when the seal panics or gives no record of something consumed, and the faults of
/// `tables`.
pub fn admit(tables: &mut impl Tables, uid: &str, demand: &Demand, seal: &mut SealDecision) -> Result<Admitted, Fault> {
    let state::Admitted { admission, writes, charged, counted } = tables.answer(demand)?;
    let (number, link) = next_link(tables, uid)?;
    let entry = sealed_if(tables, uid, &link, || seal(&admission, &link))?;
    if entry.is_none() && !writes.is_empty() {
        return Err(Fault::Request(StoreError::SealFailed(
            "no record of an admission that consumes something".to_owned(),
        )));
    }
    for write in writes {
        tables.put_row(write)?;
    }
    if let Some(entry) = &entry {
        if entry.index.decision == Some(DecisionKind::Allow)
            && let Some(lease) = Lease::of(charged, demand.now)
        {
            tables.put_row(lease.write(&entry.index.attestation_id))?;
        }
        if let Some(decision) = entry.index.decision {
            counted.after(decision).into_iter().try_for_each(|write| tables.put_row(write))?;
        }
        tables.put_record(entry, end_after(number, entry))?;
    }
    Ok(Admitted { admission, entry })
}

/// [`State::look`](crate::State::look)
///
/// # Errors
///
/// `Corrupt` when a row that the demand needs cannot be read, and the faults of `tables`.
pub fn look(tables: &impl Tables, demand: &Demand) -> Result<Admission, Fault> {
    Ok(tables.answer(demand)?.admission)
}

/// [`State::append`](crate::State::append)
///
/// # Errors
///
/// `ChainState` when the chain is not started or the record is not its next one, `SealFailed` when the seal panics, and
/// the faults of `tables`.
pub fn append(tables: &mut impl Tables, uid: &str, seal: &mut SealRecord) -> Result<Entry, Fault> {
    let (number, link) = next_link(tables, uid)?;
    let entry = sealed(tables, uid, &link, || seal(&link))?;
    tables.put_record(&entry, end_after(number, &entry))?;
    Ok(entry)
}

/// [`State::settle`](crate::State::settle)
///
/// # Errors
///
/// Those of [`append`], `Corrupt` when the lease or a row that it charged cannot be read, and `NotHeld` when there is
/// nothing to reconcile, or nothing of it can be given back.
pub fn settle(
    tables: &mut impl Tables,
    uid: &str,
    decision_id: &str,
    how: Settlement,
    seal: &mut SealOutcome,
) -> Result<Entry, Fault> {
    let (number, link) = next_link(tables, uid)?;
    let lease_key = Lease::row_key(decision_id);
    let lease = tables.row(&lease_key)?.map(|row| Lease::read(&lease_key, &row)).transpose()?;
    let not_held = || Fault::Request(StoreError::NotHeld(decision_id.to_owned()));
    let budget = match how {
        Settlement::Outcome(budget) => budget,
        Settlement::Reconciliation { budget, now } if lease.as_ref().is_some_and(|lease| !lease.is_under_way(now)) => {
            budget
        }
        Settlement::Reconciliation { .. } => return Err(not_held()),
    };
    let (budget, given_back) = match &lease {
        Some(lease) if budget == BudgetOutcome::Released => {
            match (lease.release(&load(tables, lease.charged_rows().map(str::to_owned))?)?, how) {
                (Some(given_back), _) => (budget, given_back),
                (None, Settlement::Outcome(_)) => (BudgetOutcome::Committed, Vec::new()),
                (None, Settlement::Reconciliation { .. }) => return Err(not_held()),
            }
        }
        _ => (budget, Vec::new()),
    };
    let entry = sealed(tables, uid, &link, || seal(lease.as_ref().map(|_| budget), &link))?;
    for write in given_back {
        tables.put_row(write)?;
    }
    match lease {
        Some(lease) if budget == BudgetOutcome::Held => tables.put_row(lease.held().write(decision_id))?,
        Some(lease) => tables.delete_row(&lease_key, Some(lease.expires_at()))?,
        None => {}
    }
    tables.put_record(&entry, end_after(number, &entry))?;
    Ok(entry)
}

/// [`State::revoke`](crate::State::revoke)
///
/// # Errors
///
/// Those of [`append`], and `Corrupt` when the row of an earlier revocation cannot be read.
pub fn revoke(
    tables: &mut impl Tables,
    uid: &str,
    subject: &Subject,
    at: i64,
    seal: &mut SealRecord,
) -> Result<Entry, Fault> {
    let known = standing(tables, subject)?.revoked_at;
    let entry = append(tables, uid, seal)?;
    if known.is_none() {
        tables.put_row(state::revocation_write(subject, at))?;
    }
    Ok(entry)
}

/// Revokes `subject` from Unix second `at` on without a record: for a store that is told of a revocation whose record is
/// in another one. A time that is known already stays.
///
/// # Errors
///
/// `Corrupt` when the row of an earlier revocation cannot be read, and the faults of `tables`.
pub fn deny(tables: &mut impl Tables, subject: &Subject, at: i64) -> Result<(), Fault> {
    if standing(tables, subject)?.revoked_at.is_none() {
        tables.put_row(state::revocation_write(subject, at))?;
    }
    Ok(())
}

/// [`State::set_plugin_key`](crate::State::set_plugin_key)
///
/// # Errors
///
/// `PluginKey` when something is outside its limits, and those of [`append`].
pub fn set_plugin_key(
    tables: &mut impl Tables,
    uid: &str,
    plugin: &str,
    key: &str,
    value: Option<&[u8]>,
    seal: &mut SealRecord,
) -> Result<Entry, Fault> {
    let row_key = state::plugin_row_key(plugin, key)?;
    let write = value.map(|value| state::plugin_key_write(plugin, key, value)).transpose()?;
    let entry = append(tables, uid, seal)?;
    match write {
        Some(write) => tables.put_row(write)?,
        None => tables.delete_row(&row_key, None)?,
    }
    Ok(entry)
}

/// [`State::plugin_key`](crate::State::plugin_key)
///
/// # Errors
///
/// `PluginKey` when something is outside its limits, and the faults of `tables`.
pub fn plugin_key(tables: &impl Tables, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    tables.row(&state::plugin_row_key(plugin, key)?)
}

/// [`State::rotate_key`](crate::State::rotate_key)
///
/// # Errors
///
/// `Rotation` when it was made already or one of the keys was retired, `Corrupt` when the history cannot be read, and those
/// of [`append`].
pub fn rotate_key(
    tables: &mut impl Tables,
    uid: &str,
    rotation: &KeyRotation,
    seal: &mut SealRecord,
) -> Result<Entry, Fault> {
    let history = key_history(tables)?.rotated(rotation)?;
    let entry = append(tables, uid, seal)?;
    tables.put_row(history.write())?;
    Ok(entry)
}

/// [`State::key_history`](crate::State::key_history)
///
/// # Errors
///
/// `Corrupt` when it cannot be read, and the faults of `tables`.
pub fn key_history(tables: &impl Tables) -> Result<KeyHistory, Fault> {
    Ok(KeyHistory::read(tables.row(KEY_HISTORY_KEY)?.as_deref())?)
}

/// [`State::sweep`](crate::State::sweep)
///
/// # Errors
///
/// `Corrupt` when the stored fence cannot be read, and the faults of `tables`.
pub fn sweep(tables: &mut impl Tables, now: i64, limit: usize) -> Result<usize, Fault> {
    let expired = tables.expired(now, limit)?;
    if expired.is_empty() {
        return Ok(0);
    }
    let rows = load(tables, [FENCE_KEY.to_owned()])?;
    let plan = state::sweep(expired.iter().map(|(expires_at, key)| (key.as_str(), *expires_at)), &rows)?;
    // The plan deletes what it was shown, in the same order.
    for (key, (expires_at, _)) in plan.delete.iter().zip(&expired) {
        tables.delete_row(key, Some(*expires_at))?;
    }
    if let Some(fence) = plan.write {
        tables.put_row(fence)?;
    }
    Ok(plan.delete.len())
}

/// The little sweeping that goes with `admissions` admissions, the latest of them at `now`. That the fence cannot be
/// read is no reason to fail requests that did not need it: those that do fail on their own.
///
/// # Errors
///
/// [`Fault::Storage`] only.
pub fn sweep_along(tables: &mut impl Tables, now: i64, admissions: usize) -> Result<(), Fault> {
    match sweep(tables, now, admissions.saturating_mul(SWEPT_PER_ADMISSION)) {
        Err(fault @ Fault::Storage(_)) => Err(fault),
        Ok(_) | Err(Fault::Request(_)) => Ok(()),
    }
}

fn load(tables: &impl Tables, keys: impl IntoIterator<Item = String>) -> Result<LoadedRows, Fault> {
    let mut rows = LoadedRows::new();
    for key in keys {
        if let Some(value) = tables.row(&key)? {
            rows.insert(key, value);
        }
    }
    Ok(rows)
}

fn next_link(tables: &impl Tables, uid: &str) -> Result<(u64, Link), Fault> {
    let chain = tables.chain(uid)?.ok_or_else(|| chain_state(uid))?;
    Ok((chain.number, Link { seq: chain.next_seq, prev: Some(chain.head) }))
}

fn end_after(number: u64, entry: &Entry) -> Chain {
    Chain { number, next_seq: entry.index.seq.saturating_add(1), head: entry.sha256 }
}

fn sealed(tables: &impl Tables, uid: &str, link: &Link, seal: impl FnOnce() -> Entry) -> Result<Entry, Fault> {
    sealed_if(tables, uid, link, || Some(seal()))?.ok_or_else(|| chain_state(uid))
}

/// Runs a seal, which is the caller's code: a panic in it is this request's failure, and a record for another place
/// must not fork the chain.
fn sealed_if(
    tables: &impl Tables,
    uid: &str,
    link: &Link,
    seal: impl FnOnce() -> Option<Entry>,
) -> Result<Option<Entry>, Fault> {
    let entry = catch_unwind(AssertUnwindSafe(seal))
        .map_err(|panic| Fault::Request(StoreError::SealFailed(panic_message(panic.as_ref()))))?;
    if let Some(Entry { index, .. }) = &entry
        && (index.chain_uid != uid || index.seq != link.seq || tables.has_record(&index.attestation_id)?)
    {
        return Err(chain_state(uid));
    }
    Ok(entry)
}

fn chain_state(uid: &str) -> Fault {
    Fault::Request(StoreError::ChainState(uid.to_owned()))
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic without a message").to_owned()
}
