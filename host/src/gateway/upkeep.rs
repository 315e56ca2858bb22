//! Work that no request waits for: counted refusals are recorded, expired rows swept, a failed store asked again.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use passgate_core::attest::{Body, FoldedRecord, Link};
use passgate_core::reason::Reason;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Core, stopped};

/// How often this looks what there is to do. A store that failed is asked again as often.
const TICK: Duration = Duration::from_secs(1);
const TICKS_PER_FLUSH: u64 = 20;
const TICKS_PER_SWEEP: u64 = 30;
/// The most rows one sweep deletes: a bounded pause for the requests behind it.
const SWEPT_ROWS: usize = 2_000;
/// How long one piece of this work may take.
const WORK_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs until the gateway stops.
pub(super) async fn run(core: Arc<Core>, stopping: watch::Receiver<bool>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0_u64;
    let mut stop = std::pin::pin!(stopped(stopping));
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return,
            _ = ticks.tick() => {}
        }
        number = number.wrapping_add(1);
        if number.is_multiple_of(TICKS_PER_FLUSH) {
            flush(&core).await;
        }
        let due = number.is_multiple_of(TICKS_PER_SWEEP);
        let work = async {
            if !core.health.store_is_up() {
                probe(&core).await;
            } else if due {
                sweep(&core).await;
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => return,
            () = work => {}
        }
    }
}

/// Requests that were refused because the store failed, and so have no records of their own yet.
#[derive(Debug, Default)]
pub(super) struct Unrecorded(Mutex<FoldedRecord>);

impl Unrecorded {
    /// Counts one request, refused at `now` (RFC 3339).
    pub(super) fn note(&self, now: String) {
        self.add(FoldedRecord { from: now.clone(), to: now, by_reason: [(CODE.to_owned(), 1)].into() });
    }

    fn add(&self, more: FoldedRecord) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sum.from.is_empty() || more.from < sum.from {
            sum.from = more.from;
        }
        sum.to = mem::take(&mut sum.to).max(more.to);
        for (reason, count) in more.by_reason {
            sum.count(&reason, count);
        }
    }

    fn take(&self) -> FoldedRecord {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_reason.is_empty()
    }
}

const CODE: &str = Reason::StoreUnavailable.code();

/// Asks a store that failed whether it works again, with a write of the kind that requests need and within the time
/// that they have: a store that is full or slow can still delete, or append late.
async fn probe(core: &Core) {
    match record_unrecorded(core).await {
        Ok(()) => core.health.store_write(true),
        Err(error) => tracing::debug!(error, "the store still fails"),
    }
}

/// Records how many requests were refused because the store failed, even if none were. A record whose answer was lost
/// is written again, so a request may be counted twice and never not at all.
async fn record_unrecorded(core: &Core) -> Result<(), String> {
    let stamp = core.env.stamp().map_err(|error| error.to_string())?;
    let counted = core.unrecorded.take();
    let mut folded = counted.clone();
    if folded.by_reason.is_empty() {
        let now = stamp.now.rfc3339();
        folded = FoldedRecord { from: now.clone(), to: now, by_reason: [(CODE.to_owned(), 0)].into() };
    }
    let driver = Arc::clone(&core.driver);
    let seal = Box::new(move |link: &Link| driver.writer_at(link).seal(link, &stamp, Body::Folded(folded.clone())));
    let appended = core.store.append(core.driver.chain_uid(), seal);
    let failure = match tokio::time::timeout(core.limits.decision_timeout, appended).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the store did not answer in time".to_owned(),
    };
    if !counted.by_reason.is_empty() {
        core.unrecorded.add(counted);
    }
    Err(failure)
}

/// Records the refusals counted so far.
pub(super) async fn flush(core: &Core) {
    if !core.unrecorded.is_empty()
        && let Err(error) = record_unrecorded(core).await
    {
        tracing::error!(error, "requests refused while the store failed could not be counted in the ledger");
    }
    let stamp = match core.env.stamp() {
        Ok(stamp) => stamp,
        Err(error) => return tracing::error!(%error, "counted refusals could not be recorded"),
    };
    let (driver, before) = (Arc::clone(&core.driver), core.health.writes());
    // A task of its own: given up half-way, the count it took would be lost.
    let flushing = tokio::spawn(async move { driver.flush_refusals(stamp).await });
    let failure = match tokio::time::timeout(WORK_TIMEOUT, flushing).await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the store did not answer in time".to_owned(),
    };
    core.metrics.append_failed();
    core.health.slow_write_failed(before);
    tracing::error!(error = failure, "counted refusals could not be recorded");
}

async fn sweep(core: &Core) {
    let before = core.health.writes();
    let swept = core.store.sweep(core.env.now().seconds(), SWEPT_ROWS);
    match tokio::time::timeout(WORK_TIMEOUT, swept).await {
        Ok(Ok(rows)) => {
            tracing::debug!(rows, "expired rows were swept");
        }
        Ok(Err(error)) => {
            core.health.slow_write_failed(before);
            tracing::warn!(%error, "expired rows could not be swept");
        }
        Err(_) => core.health.slow_write_failed(before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_is_put_back_loses_nothing() {
        let unrecorded = Unrecorded::default();
        unrecorded.note("2026-03-01T12:00:00Z".to_owned());
        unrecorded.note("2026-03-01T12:00:01Z".to_owned());
        let taken = unrecorded.take();
        assert!(unrecorded.is_empty());
        unrecorded.note("2026-03-01T12:00:02Z".to_owned());
        unrecorded.add(taken);
        let sum = unrecorded.take();
        assert_eq!((sum.from.as_str(), sum.to.as_str()), ("2026-03-01T12:00:00Z", "2026-03-01T12:00:02Z"));
        assert_eq!(sum.by_reason, [("store_unavailable".to_owned(), 3)].into());
    }
}
