//! The embedded store: one file, one process, survives being killed at any moment.
//!
//! # How writing works
//!
//! One thread owns the write side. Requests wait in a bounded queue; the thread takes all that wait (up to
//! [`MAX_BATCH`]), carries them out one after the other in one transaction, commits once, and then answers all. While
//! one commit waits for the disk the next batch gathers, so the cost of a flush is shared by however many callers
//! there are. Each request sees the effects of those before it, and everything, chain heads too, is read from the
//! transaction: after a failed commit nothing of it is left.
//!
//! Who gives up waiting leaves a request that is skipped if it was not yet begun.
//!
//! # How reading works
//!
//! Reads run on the caller's thread, each over a snapshot of the last commit. They look up a few pages that are mostly
//! in memory, and [`MAX_SCANNED`] bounds a query, so they do not need a thread of their own.

mod file;
mod tables;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use async_trait::async_trait;
use futures_channel::oneshot;
use passgate_core::approval::{ApprovalRequest, Asked};
use passgate_core::attest::Entry;
use passgate_core::state::{
    Admission, Demand, KEY_HISTORY_KEY, KeyHistory, KeyRotation, LoadedRows, Standing, Subject,
};

use crate::backend::{self, Fault};
use crate::{
    Admitted, ChangeRequest, Changed, Cursor, Durability, Filter, Ledger, Page, SealDecision, SealOutcome, SealRecord,
    SealStart, Settlement, State, StoreError, StoredRecord,
};
use file::File;
use tables::{Reader, Writable};
use writer::{Job, Task};

/// The most requests committed together. More would only delay the first of them.
const MAX_BATCH: usize = 256;
/// The most requests that wait. Beyond it callers are refused at once, instead of after their deadline.
const MAX_WAITING: usize = 2048;
/// The most records read for one page of a query.
const MAX_SCANNED: usize = 10_000;

/// State and ledger in one file.
///
/// Dropping it carries out and commits what waits.
#[derive(Debug)]
pub struct RedbStore {
    file: Arc<File>,
    commits: Arc<AtomicU64>,
    queue: Option<SyncSender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

impl RedbStore {
    /// Opens the store at `path`, creating the file (mode 0600) if there is none. After a crash this reads the whole
    /// file once.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] when another process, or another store in this one, has it open; [`StoreError::Corrupt`]
    /// when it is not a store or is damaged; [`StoreError::Unavailable`] when it cannot be read or written, or was
    /// written by a newer release. Each names the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path: PathBuf = path.as_ref().into();
        let opener = move || file::open(&path);
        Self::start(File::new(opener)?)
    }

    /// How many transactions were committed. Fewer than requests when requests shared them.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn start(file: File) -> Result<Self, StoreError> {
        let file = Arc::new(file);
        let commits = Arc::new(AtomicU64::new(0));
        let (queue, waiting) = sync_channel(MAX_WAITING);
        let writer = {
            let (file, commits) = (Arc::clone(&file), Arc::clone(&commits));
            std::thread::Builder::new()
                .name("passgate-store".to_owned())
                .spawn(move || writer::run(&file, &waiting, &commits))
        };
        let writer = writer.map_err(|error| StoreError::Unavailable(format!("no thread for the writer: {error}")))?;
        Ok(Self { file, commits, queue: Some(queue), writer: Some(writer) })
    }

    /// Has the writer carry out `work` and waits until it is committed.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Writable<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, reply) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(Box::new(Task::new(work, answer))).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Unavailable("busy: too many requests wait".to_owned()),
            TrySendError::Disconnected(_) => stopped(),
        })?;
        reply.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store is shutting down".to_owned())
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        // The thread ends when the queue is empty and closed.
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // The thread catches panics of what it runs; there is nothing left to do about another one.
            let _ended = writer.join();
        }
    }
}

#[async_trait]
impl State for RedbStore {
    async fn start_chain(&self, chain_uid: &str, mut seal: SealStart) -> Result<Entry, StoreError> {
        let uid = chain_uid.to_owned();
        self.write(move |tables| backend::start_chain(tables, &uid, &mut seal)).await
    }

    async fn admit(&self, chain_uid: &str, demand: Demand, mut seal: SealDecision) -> Result<Admitted, StoreError> {
        let uid = chain_uid.to_owned();
        self.write(move |tables| {
            let admitted = backend::admit(tables, &uid, &demand, &mut seal)?;
            tables.admitted_at(demand.now);
            Ok(admitted)
        })
        .await
    }

    async fn look(&self, demand: &Demand) -> Result<Admission, StoreError> {
        self.file.read(|database| {
            let reader = Reader::begin(database)?;
            let stored = |key: String| Ok::<_, StoreError>(reader.row(&key)?.map(|row| (key, row)));
            let rows: LoadedRows =
                demand.row_keys().into_iter().filter_map(|key| stored(key).transpose()).collect::<Result<_, _>>()?;
            Ok(passgate_core::state::admit(demand, &rows)?.admission)
        })
    }

    async fn append(&self, chain_uid: &str, mut seal: SealRecord) -> Result<Entry, StoreError> {
        let uid = chain_uid.to_owned();
        self.write(move |tables| backend::append(tables, &uid, &mut seal)).await
    }

    async fn settle(
        &self,
        chain_uid: &str,
        decision_id: &str,
        how: Settlement,
        mut seal: SealOutcome,
    ) -> Result<Entry, StoreError> {
        let (uid, decision_id) = (chain_uid.to_owned(), decision_id.to_owned());
        self.write(move |tables| backend::settle(tables, &uid, &decision_id, how, &mut seal)).await
    }

    async fn revoke(
        &self,
        chain_uid: &str,
        subject: Subject,
        at: i64,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        let uid = chain_uid.to_owned();
        self.write(move |tables| backend::revoke(tables, &uid, &subject, at, &mut seal)).await
    }

    async fn suspend(
        &self,
        chain_uid: &str,
        subject: Subject,
        at: i64,
        mut seal: SealRecord,
    ) -> Result<Changed, StoreError> {
        let uid = chain_uid.to_owned();
        self.write(move |tables| backend::suspend(tables, &uid, &subject, at, &mut seal)).await
    }

    async fn reinstate(&self, chain_uid: &str, subject: Subject, mut seal: SealRecord) -> Result<Changed, StoreError> {
        let uid = chain_uid.to_owned();
        self.write(move |tables| backend::reinstate(tables, &uid, &subject, &mut seal)).await
    }

    async fn standing(&self, subject: &Subject) -> Result<Standing, StoreError> {
        self.file.read(|database| {
            let (reader, mut rows) = (Reader::begin(database)?, LoadedRows::new());
            for key in Standing::row_keys(subject) {
                rows.extend(reader.row(&key)?.map(|row| (key, row)));
            }
            Ok(Standing::read(subject, &rows)?)
        })
    }

    async fn set_plugin_key(
        &self,
        chain_uid: &str,
        plugin: &str,
        key: &str,
        value: Option<Vec<u8>>,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        let (uid, plugin, key) = (chain_uid.to_owned(), plugin.to_owned(), key.to_owned());
        self.write(move |tables| backend::set_plugin_key(tables, &uid, &plugin, &key, value.as_deref(), &mut seal))
            .await
    }

    async fn plugin_key(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row_key = passgate_core::state::plugin_row_key(plugin, key)?;
        self.file.read(|database| Reader::begin(database)?.row(&row_key))
    }

    async fn rotate_key(
        &self,
        chain_uid: &str,
        rotation: KeyRotation,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        let uid = chain_uid.to_owned();
        self.write(move |tables| backend::rotate_key(tables, &uid, &rotation, &mut seal)).await
    }

    async fn key_history(&self) -> Result<KeyHistory, StoreError> {
        self.file.read(|database| Ok(KeyHistory::read(Reader::begin(database)?.row(KEY_HISTORY_KEY)?.as_deref())?))
    }

    async fn ask(&self, request: ApprovalRequest) -> Result<Asked, StoreError> {
        self.write(move |tables| backend::ask(tables, &request)).await
    }

    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, StoreError> {
        self.file.read(|database| {
            let key = ApprovalRequest::row_key(id);
            let row = Reader::begin(database)?.row(&key)?;
            Ok(row.map(|row| ApprovalRequest::read(&key, &row)).transpose()?)
        })
    }

    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, StoreError> {
        let after = ApprovalRequest::row_key(after);
        self.file.read(|database| {
            let rows = Reader::begin(database)?.rows_from(ApprovalRequest::ROW_PREFIX, &after, limit)?;
            Ok(backend::requests_from(rows)?)
        })
    }

    async fn change_request(
        &self,
        chain_uid: &str,
        id: &str,
        mut change: ChangeRequest,
    ) -> Result<(ApprovalRequest, Option<Entry>), StoreError> {
        let (uid, id) = (chain_uid.to_owned(), id.to_owned());
        self.write(move |tables| backend::change_request(tables, &uid, &id, &mut change)).await
    }

    async fn sweep(&self, now: i64, limit: usize) -> Result<usize, StoreError> {
        self.write(move |tables| backend::sweep(tables, now, limit)).await
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }
}

#[async_trait]
impl Ledger for RedbStore {
    async fn records(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.file.read(|database| Reader::begin(database)?.page(filter, cursor, limit))
    }

    async fn record(&self, attestation_id: &str) -> Result<Option<StoredRecord>, StoreError> {
        self.file.read(|database| Reader::begin(database)?.record(attestation_id))
    }
}

#[cfg(test)]
mod tests;
