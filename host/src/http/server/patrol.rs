//! When a connection has to go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::ServerLimits;

/// What the requests of one connection are doing.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests begun so far, and whether one is running.
    fn snapshot(&self) -> (u64, bool) {
        let ended = self.ended.load(Ordering::Relaxed);
        let begun = self.begun.load(Ordering::Relaxed);
        (begun, begun > ended)
    }
}

/// What to do with the connection now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Leave it alone and ask again then.
    Wait(Instant),
    /// Let it finish what it runs; ask again at once.
    Drain,
    /// Cut it.
    Close,
}

/// The clock of one connection.
#[derive(Debug)]
pub(super) struct Patrol {
    first_head_by: Instant,
    drain_by: Instant,
    idle_timeout: Duration,
    drain_deadline: Duration,
    quiet_since: Instant,
    begun_then: u64,
    cut_at: Option<Instant>,
}

impl Patrol {
    pub(super) fn new(limits: &ServerLimits, opened: Instant) -> Self {
        Self {
            first_head_by: opened + limits.header_read_timeout,
            drain_by: opened + limits.max_connection_age,
            idle_timeout: limits.idle_timeout,
            drain_deadline: limits.drain_deadline,
            quiet_since: opened,
            begun_then: 0,
            cut_at: None,
        }
    }

    /// Starts the end of the connection; false if that had begun before.
    pub(super) fn drain(&mut self, now: Instant) -> bool {
        let first = self.cut_at.is_none();
        self.cut_at.get_or_insert(now + self.drain_deadline);
        first
    }

    pub(super) fn order(&mut self, now: Instant, activity: &Activity) -> Order {
        if let Some(cut_at) = self.cut_at {
            return if now >= cut_at { Order::Close } else { Order::Wait(cut_at) };
        }
        let (begun, running) = activity.snapshot();
        if begun == 0 {
            // The protocol is told apart by its first bytes, and nothing else bounds the wait for them.
            let late = now >= self.first_head_by;
            return if late { Order::Close } else { Order::Wait(self.first_head_by) };
        }
        if running || begun != self.begun_then {
            self.begun_then = begun;
            self.quiet_since = now;
        }
        let next = self.drain_by.min(self.quiet_since + self.idle_timeout);
        if now < next {
            return Order::Wait(next);
        }
        self.drain(now);
        Order::Drain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> ServerLimits {
        ServerLimits {
            header_read_timeout: 10 * SECOND,
            idle_timeout: 60 * SECOND,
            max_connection_age: 100 * SECOND,
            drain_deadline: 5 * SECOND,
            ..ServerLimits::default()
        }
    }

    #[test]
    fn a_connection_without_a_request_is_cut() {
        let opened = Instant::now();
        let mut patrol = Patrol::new(&limits(), opened);
        let activity = Activity::default();
        let deadline = opened + 10 * SECOND;
        assert_eq!(patrol.order(opened, &activity), Order::Wait(deadline));
        assert_eq!(patrol.order(deadline, &activity), Order::Close);
    }

    #[test]
    fn an_idle_connection_drains_and_is_then_cut() {
        let opened = Instant::now();
        let mut patrol = Patrol::new(&limits(), opened);
        let activity = Activity::default();
        activity.begin();
        activity.end();
        let seen = opened + SECOND;
        assert_eq!(patrol.order(seen, &activity), Order::Wait(seen + 60 * SECOND));
        let idle = seen + 60 * SECOND;
        assert_eq!(patrol.order(idle, &activity), Order::Drain);
        assert_eq!(patrol.order(idle, &activity), Order::Wait(idle + 5 * SECOND));
        assert_eq!(patrol.order(idle + 5 * SECOND, &activity), Order::Close);
    }

    #[test]
    fn a_running_request_is_not_idle_but_the_connection_still_ages() {
        let opened = Instant::now();
        let mut patrol = Patrol::new(&limits(), opened);
        let activity = Activity::default();
        activity.begin();
        assert_eq!(patrol.order(opened + SECOND, &activity), Order::Wait(opened + 61 * SECOND));
        assert_eq!(patrol.order(opened + 61 * SECOND, &activity), Order::Wait(opened + 100 * SECOND));
        assert_eq!(patrol.order(opened + 100 * SECOND, &activity), Order::Drain);
    }

    #[test]
    fn draining_starts_once() {
        let opened = Instant::now();
        let mut patrol = Patrol::new(&limits(), opened);
        assert!(patrol.drain(opened));
        assert!(!patrol.drain(opened + SECOND));
        assert_eq!(patrol.order(opened + SECOND, &Activity::default()), Order::Wait(opened + 5 * SECOND));
    }
}
