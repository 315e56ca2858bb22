//! Work that no request waits for: counted refusals are recorded, expired rows swept, a failed store asked again.

use std::sync::Arc;
use std::time::Duration;

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
        if number.is_multiple_of(TICKS_PER_SWEEP) || !core.health.store_is_up() {
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = sweep(&core) => {}
            }
        }
    }
}

/// Records the refusals counted so far.
pub(super) async fn flush(core: &Core) {
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
            core.health.store_write(true);
            tracing::debug!(rows, "expired rows were swept");
        }
        Ok(Err(error)) => {
            core.health.slow_write_failed(before);
            tracing::warn!(%error, "expired rows could not be swept");
        }
        Err(_) => core.health.slow_write_failed(before),
    }
}
