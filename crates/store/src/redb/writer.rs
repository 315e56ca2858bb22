//! The writer thread: requests in batches, one commit each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use futures_channel::oneshot;
use redb::{Database, Durability};

use super::MAX_BATCH;
use super::file::{File, engine_error};
use super::tables::Writable;
use crate::StoreError;
use crate::backend::{Fault, panic_message};

/// One waiting request.
pub(super) trait Job: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Carries the request out within the batch's transaction; called again when the transaction is retried. An error
    /// means that the transaction must be given up. A failure of this request alone is kept for [`Job::finish`].
    fn run(&mut self, tables: &mut Writable<'_>) -> Result<(), StoreError>;
    /// Answers, once the batch is committed or not.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A verb with its arguments, its result until the commit, and where the answer goes.
pub(super) struct Task<T, W> {
    work: W,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> Task<T, W>
where
    W: FnMut(&mut Writable<'_>) -> Result<T, Fault>,
{
    pub(super) fn new(work: W, answer: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { work, result: None, answer }
    }
}

impl<T: Send, W> Job for Task<T, W>
where
    W: FnMut(&mut Writable<'_>) -> Result<T, Fault> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_canceled()
    }

    fn run(&mut self, tables: &mut Writable<'_>) -> Result<(), StoreError> {
        self.result = Some(match (self.work)(tables) {
            Ok(done) => Ok(done),
            Err(Fault::Request(error)) => Err(error),
            Err(Fault::Storage(error)) => return Err(error),
        });
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { result, answer, .. } = *self;
        let result = committed.and_then(|()| result.unwrap_or_else(|| Err(super::stopped())));
        // Nobody may be waiting any more; the caller then answered its own caller with a denial.
        let _abandoned = answer.send(result);
    }
}

/// Why a batch came to nothing.
enum BatchError {
    /// The storage failed: every request of the batch fails.
    Storage(StoreError),
    /// One of the requests made the engine panic, by way of a damaged row for example.
    Panicked(StoreError),
}

/// Serves requests until the queue is closed and empty.
pub(super) fn run(file: &File, waiting: &Receiver<Box<dyn Job>>, commits: &AtomicU64) {
    while let Ok(first) = waiting.recv() {
        let mut batch: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).take(MAX_BATCH).collect();
        batch.retain(|job| !job.is_abandoned());
        serve(file, batch, commits);
    }
}

fn serve(file: &File, mut batch: Vec<Box<dyn Job>>, commits: &AtomicU64) {
    match attempt(file, &mut batch, commits) {
        Ok(()) => finish(batch, Ok(())),
        Err(BatchError::Storage(error)) => finish(batch, Err(error)),
        Err(BatchError::Panicked(error)) if batch.len() == 1 => finish(batch, Err(error)),
        // One by one, so that only the request at fault fails.
        Err(BatchError::Panicked(_)) => batch.into_iter().for_each(|job| serve(file, vec![job], commits)),
    }
}

fn finish(batch: Vec<Box<dyn Job>>, committed: Result<(), StoreError>) {
    for job in batch {
        job.finish(committed.clone());
    }
}

/// Carries out and commits `batch`, or nothing of it. After a failure the file is closed and opened again, so that the
/// next batch starts from what is on disk.
fn attempt(file: &File, batch: &mut [Box<dyn Job>], commits: &AtomicU64) -> Result<(), BatchError> {
    if batch.is_empty() {
        return Ok(());
    }
    let database = file.get_or_open().map_err(BatchError::Storage)?;
    let result = catch_unwind(AssertUnwindSafe(|| transact(&database, batch)));
    let result = match result {
        Ok(Ok(())) => {
            commits.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        Ok(Err(error)) => BatchError::Storage(error),
        Err(panic) => BatchError::Panicked(StoreError::Corrupt(panic_message(panic.as_ref()))),
    };
    drop(database);
    file.close();
    // If this fails the next batch tries again.
    let _reopened = file.get_or_open();
    Err(result)
}

fn transact(database: &Database, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let mut transaction = database.begin_write().map_err(engine_error)?;
    transaction.set_durability(Durability::Immediate).map_err(engine_error)?;
    {
        let mut tables = Writable::open(&transaction)?;
        for job in batch {
            job.run(&mut tables)?;
        }
        tables.sweep_along()?;
    }
    transaction.commit().map_err(engine_error)
}
