//! When a plugin that keeps failing is not called, and for whom.
//!
//! An agent that finds a request on which a plugin fails must not close it to others, so each agent has a breaker of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Failures in a row that open the breaker.
const MAX_FAILURES: u32 = 5;
/// How long an open breaker lets no call through.
const OPEN_FOR: Duration = Duration::from_secs(10);

/// The most agents whose failures are kept. One more, and those of one of them are forgotten.
const MAX_AGENTS: usize = 1024;

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

/// The breakers of one plugin: one for each agent on whose requests it failed of late.
#[derive(Debug, Default)]
pub(super) struct Breakers(BTreeMap<String, Breaker>);

impl Breakers {
    /// Whether a call may be made for `agent`. Each one that may ends in [`Breakers::answered`], [`Breakers::failed`] or
    /// [`Breakers::cut_off`].
    pub(super) fn admit(&mut self, agent: &str, now: Instant) -> bool {
        self.0.get_mut(agent).is_none_or(|breaker| breaker.admit(now))
    }

    /// A call ended in an answer.
    pub(super) fn answered(&mut self, agent: &str) {
        self.0.remove(agent);
    }

    /// A call failed. Says whether that opened the agent's breaker.
    pub(super) fn failed(&mut self, agent: &str, now: Instant) -> bool {
        if !self.0.contains_key(agent) && self.0.len() >= MAX_AGENTS {
            self.0.pop_first();
        }
        self.0.entry(agent.to_owned()).or_default().failed(now)
    }

    /// A call ended before anything could be said of it.
    pub(super) fn cut_off(&mut self, agent: &str) {
        if let Some(breaker) = self.0.get_mut(agent) {
            breaker.cut_off();
        }
    }

    /// What the most careful of them does with a call.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        let states: Vec<BreakerState> = self.0.values().map(|breaker| breaker.state(now)).collect();
        let careful = [BreakerState::Open, BreakerState::Trial].into_iter().find(|state| states.contains(state));
        careful.unwrap_or(BreakerState::Closed)
    }
}

/// A circuit breaker. Time is an argument, and moves on in one direction.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    /// Set once there were too many failures in a row: no call is let through before.
    open_until: Option<Instant>,
    trial_runs: bool,
}

impl Breaker {
    fn admit(&mut self, now: Instant) -> bool {
        match self.state(now) {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::Trial => !std::mem::replace(&mut self.trial_runs, true),
        }
    }

    /// A call failed. Says whether that opened the breaker.
    fn failed(&mut self, now: Instant) -> bool {
        self.trial_runs = false;
        self.failures = self.failures.saturating_add(1);
        let opens = self.failures >= MAX_FAILURES;
        if opens {
            self.open_until = Some(now + OPEN_FOR);
        }
        opens
    }

    /// A call ended before anything could be said of it.
    fn cut_off(&mut self) {
        self.trial_runs = false;
    }

    /// What it does with a call.
    fn state(&self, now: Instant) -> BreakerState {
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
            breaker = Breaker::default();
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
        breaker = Breaker::default();
        assert!(breaker.admit(later) && breaker.admit(later));
        assert!(!breaker.failed(later), "the count starts anew");
    }

    #[test]
    fn a_call_from_before_it_opened_keeps_it_open() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert!(breaker.failed(now + Duration::from_secs(1)));
        assert!(!breaker.admit(now + OPEN_FOR));
        breaker = Breaker::default();
        assert!(breaker.admit(now), "one that still found an answer closes it");
    }

    #[test]
    fn each_agent_has_its_own_and_few_are_kept() {
        let now = Instant::now();
        let mut breakers = Breakers::default();
        for _ in 0..MAX_FAILURES {
            breakers.failed("a", now);
        }
        assert!(!breakers.admit("a", now) && breakers.admit("b", now));
        assert_eq!(breakers.state(now), BreakerState::Open);
        breakers.answered("a");
        assert!(breakers.admit("a", now));
        for agent in 0..2 * MAX_AGENTS {
            breakers.failed(&agent.to_string(), now);
        }
        assert_eq!(breakers.0.len(), MAX_AGENTS);
    }
}
