//! Clocks on the wall.

use alloc::vec::Vec;

/// Minutes in a week.
pub const MINUTES_PER_WEEK: u32 = 7 * 24 * 60;

/// What clocks show in one time zone, as a table for a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// From when on they are ahead of UTC by how much, in order of time.
    pub offsets: Vec<Offset>,
    /// The first Unix second that the table says nothing of.
    pub until: i64,
}

/// How far clocks are ahead of UTC from some time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// The Unix second.
    pub from: i64,
    /// How many seconds they are ahead.
    pub ahead_seconds: i64,
}

impl Zone {
    /// The minute of the week, counted from Monday 00:00, at the Unix second `now`; `None` outside of the table.
    pub fn minute_of_week(&self, now: i64) -> Option<u32> {
        /// The epoch was a Thursday.
        const EPOCH: i64 = 3 * 24 * 60;
        let offset = self.offsets.iter().rev().find(|offset| offset.from <= now).filter(|_| now < self.until)?;
        let minutes = now.checked_add(offset.ahead_seconds)?.div_euclid(60);
        u32::try_from((minutes + EPOCH).rem_euclid(MINUTES_PER_WEEK.into())).ok()
    }
}
