//! When a plugin that keeps failing is not called.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Failures in a row that open the breaker.
const MAX_FAILURES: u32 = 5;
/// How long an open breaker lets no call through.
const OPEN_FOR: Duration = Duration::from_secs(10);

/// What a circuit breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Lets them through.
    Closed,
    /// Lets none through.
    Open,
    /// Lets one through at a time, until one does not fail.
    Trial,
}

/// A circuit breaker. Time is an argument, and moves on in one direction.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Set once there were too many failures in a row: no call is let through before.
    open_until: Option<Instant>,
    trial_runs: bool,
}

impl Breaker {
    /// Whether a call may be made. Each one that may ends in [`Breaker::answered`], [`Breaker::failed`] or
    /// [`Breaker::cut_off`].
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match self.state(now) {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::Trial => !std::mem::replace(&mut self.trial_runs, true),
        }
    }

    /// A call ended in an answer.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A call failed. Says whether that opened the breaker.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.trial_runs = false;
        self.failures = self.failures.saturating_add(1);
        let opens = self.failures >= MAX_FAILURES;
        if opens {
            self.open_until = Some(now + OPEN_FOR);
        }
        opens
    }

    /// A call ended before anything could be said of it.
    pub(super) fn cut_off(&mut self) {
        self.trial_runs = false;
    }

    /// What it does with a call.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open,
            Some(_) => BreakerState::Trial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=MAX_FAILURES {
            assert!(breaker.admit(now));
            assert_eq!(breaker.failed(now), failure == MAX_FAILURES);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert!(!breaker.admit(now));
        assert!(!breaker.admit(now + OPEN_FOR - Duration::from_nanos(1)));
        assert_eq!(breaker.state(now), BreakerState::Open);
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..MAX_FAILURES * 3 {
            for _ in 1..MAX_FAILURES {
                assert!(breaker.admit(now) && !breaker.failed(now));
            }
            assert!(breaker.admit(now));
            breaker.answered();
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn one_trial_at_a_time_decides_how_it_goes_on() {
        let now = Instant::now();
        let mut breaker = open(now);
        let later = now + OPEN_FOR;
        assert_eq!(breaker.state(later), BreakerState::Trial);
        assert!(breaker.admit(later));
        assert!(!breaker.admit(later), "a trial is running");
        breaker.cut_off();
        assert!(breaker.admit(later), "nothing is known of the one before");
        assert!(breaker.failed(later), "a trial that fails opens it again");
        assert!(!breaker.admit(later));
        let later = later + OPEN_FOR;
        assert!(breaker.admit(later));
        breaker.answered();
        assert!(breaker.admit(later) && breaker.admit(later));
        assert!(!breaker.failed(later), "the count starts anew");
    }

    #[test]
    fn a_call_from_before_it_opened_keeps_it_open() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert!(breaker.failed(now + Duration::from_secs(1)));
        assert!(!breaker.admit(now + OPEN_FOR));
        breaker.answered();
        assert!(breaker.admit(now), "one that still found an answer closes it");
    }
}
