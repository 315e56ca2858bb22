//! Refusals before authentication: recorded one by one up to a bound a minute, counted beyond it, so that a flood cannot
//! fill the ledger. A passport alone authenticates nobody, since whoever saw one can present it.

use crate::attest::FoldedRecord;
use crate::reason::Reason;
use crate::time::UnixMillis;

/// How many refusals a minute are recorded one by one: enough to see what is going on, some 170 MB a day at most.
pub const MAX_REFUSAL_RECORDS_PER_MINUTE: u32 = 60;

/// The bound's state: one per writer.
#[derive(Debug, Default)]
pub struct RefusalBound {
    minute: u64,
    recorded: u32,
    folded: FoldedRecord,
}

/// What to do with one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Record it.
    Record,
    /// It is counted; [`RefusalBound::take`] gives the count.
    Counted,
}

impl RefusalBound {
    /// Notes one refusal. A clock set back starts no new minute.
    pub fn note(&mut self, now: UnixMillis, reason: Reason) -> Fold {
        let minute = now.0 / 60_000;
        if minute > self.minute {
            self.minute = minute;
            self.recorded = 0;
        }
        if self.recorded < MAX_REFUSAL_RECORDS_PER_MINUTE {
            self.recorded += 1;
            return Fold::Record;
        }
        if self.folded.by_reason.is_empty() {
            self.folded.from = now.rfc3339();
        }
        self.folded.to = now.rfc3339();
        self.folded.count(reason.code(), 1);
        Fold::Counted
    }

    /// The count so far, to be recorded; `None` when nothing was counted. The caller takes it at least once a minute
    /// and before it stops.
    pub fn take(&mut self) -> Option<FoldedRecord> {
        (!self.folded.by_reason.is_empty()).then(|| core::mem::take(&mut self.folded))
    }

    /// Puts a count back that could not be recorded.
    pub fn restore(&mut self, unrecorded: FoldedRecord) {
        if self.folded.to.is_empty() {
            self.folded.to.clone_from(&unrecorded.to);
        }
        self.folded.from = unrecorded.from;
        for (reason, count) in unrecorded.by_reason {
            self.folded.count(&reason, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_the_bound_and_loses_none() {
        let mut bound = RefusalBound::default();
        let now = UnixMillis(1_800_000_000_000);
        let recorded = (0..1000).filter(|_| bound.note(now, Reason::PassportMissing) == Fold::Record).count();
        assert_eq!(recorded, 60);
        let folded = bound.take().unwrap();
        assert_eq!(folded.by_reason.get("passport_missing"), Some(&940));
        bound.note(now, Reason::PassportMissing);
        bound.restore(folded);
        assert_eq!(bound.take().unwrap().by_reason.get("passport_missing"), Some(&941));
        assert_eq!(bound.take(), None);
        assert_eq!(bound.note(UnixMillis(now.0 - 60_000), Reason::PassportMissing), Fold::Counted);
        assert_eq!(bound.note(UnixMillis(now.0 + 60_000), Reason::PassportMissing), Fold::Record);
    }
}
