//! The generic cell rate algorithm over one stored timestamp.

use super::{RateAnswer, RateClaim};
use crate::time::UnixMillis;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// A counter evaluated at one instant. All fields in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// Theoretical arrival time: when the counter is full again.
    tat: u64,
    now: u64,
    /// One token's worth of time, rounded up so that a limit is never exceeded by rounding.
    interval: u64,
    limit: u64,
    /// Whether the stored time lay more than two full windows ahead, which only a clock set back by more than a window
    /// explains. Smaller steps give nothing back.
    clamped: bool,
}

impl Cell {
    /// `stored` is the row's theoretical arrival time, absent for a full counter.
    pub(super) fn new(claim: &RateClaim, stored: Option<u64>, now: UnixMillis) -> Self {
        let window = claim.window.seconds() * MICROS_PER_SECOND;
        let limit = u64::from(claim.limit);
        let interval = window.div_ceil(limit.max(1));
        let now = now.0.saturating_mul(1000);
        let latest = now.saturating_add(interval.saturating_mul(limit).saturating_mul(2));
        let tat = stored.unwrap_or(now).max(now);
        Self { tat: tat.min(latest), now, interval, limit, clamped: tat > latest }
    }

    /// How far the counter is ahead of the clock. A counter is full at 0 and empty above `tolerance`.
    fn debt(&self) -> u64 {
        self.tat.saturating_sub(self.now)
    }

    /// A limit of 0 gives no token ever.
    pub(super) fn conforms(&self) -> bool {
        self.limit > 0 && self.debt() <= self.tolerance()
    }

    fn tolerance(&self) -> u64 {
        self.interval * self.limit.saturating_sub(1)
    }

    /// The counter after taking one token.
    pub(super) fn taken(self) -> Self {
        Self { tat: self.tat.saturating_add(self.interval), ..self }
    }

    /// Whether the row has to be brought back to the clock even when no token is taken: otherwise a step of the clock that
    /// was corrected would lock the agent out for its whole length.
    pub(super) fn is_clamped(&self) -> bool {
        self.clamped
    }

    /// The row to store.
    pub(super) fn row(&self) -> u64 {
        self.tat
    }

    pub(super) fn answer(&self, conforms: bool) -> RateAnswer {
        let left = (self.interval * self.limit).saturating_sub(self.debt()) / self.interval.max(1);
        RateAnswer {
            conforms,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset_seconds: self.debt().div_ceil(MICROS_PER_SECOND),
            retry_after_seconds: self.debt().saturating_sub(self.tolerance()).div_ceil(MICROS_PER_SECOND),
        }
    }
}

#[cfg(test)]
mod tests;
