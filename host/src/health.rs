//! Whether the gate can do its work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::metrics::Metrics;

/// The health of one gateway.
#[derive(Debug)]
pub struct Health {
    store_up: AtomicBool,
    stopping: AtomicBool,
    accepting: AtomicBool,
    successes: AtomicU64,
    metrics: Metrics,
}

impl Health {
    /// A gate whose store has just been written to.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        metrics.store_is_up(true);
        Self {
            store_up: AtomicBool::new(true),
            stopping: AtomicBool::new(false),
            accepting: AtomicBool::new(true),
            successes: AtomicU64::new(0),
            metrics,
        }
    }

    /// Notes how the last write to the store went.
    pub fn store_write(&self, succeeded: bool) {
        if succeeded {
            self.successes.fetch_add(1, Ordering::Relaxed);
        }
        if self.store_up.swap(succeeded, Ordering::Relaxed) != succeeded {
            self.metrics.store_is_up(succeeded);
            if succeeded {
                tracing::info!("the store works again");
            } else {
                tracing::error!("the store fails; every request is refused until it works again");
            }
        }
    }

    /// How many writes succeeded so far.
    pub fn writes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }

    /// Notes that a write failed that began when [`Health::writes`] gave `before`. One that succeeded meanwhile is the
    /// newer news.
    pub fn slow_write_failed(&self, before: u64) {
        if self.writes() == before {
            self.store_write(false);
        }
    }

    /// Notes whether connections can be accepted.
    pub fn accepting(&self, well: bool) {
        self.accepting.store(well, Ordering::Relaxed);
    }

    /// Notes that the gate takes no more requests.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the last write to the store succeeded.
    pub fn store_is_up(&self) -> bool {
        self.store_up.load(Ordering::Relaxed)
    }

    /// Whether the gate takes requests and can decide them.
    pub fn is_ready(&self) -> bool {
        self.store_is_up() && self.accepting.load(Ordering::Relaxed) && !self.stopping.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_ready_while_it_can_take_requests_and_record_them() {
        let health = Health::new(Metrics::default());
        assert!(health.is_ready());
        health.accepting(false);
        assert!(health.store_is_up() && !health.is_ready());
        health.accepting(true);
        health.store_write(false);
        assert!(!health.is_ready());
        health.store_write(true);
        assert!(health.is_ready());
        health.stop();
        assert!(!health.is_ready());
    }
}
