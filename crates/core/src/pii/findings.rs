//! A list of findings that stays in order and without overlaps.

use alloc::vec::Vec;

use super::Found;

/// Findings in order of their offsets; overlapping ones are united when they are added.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Found>);

impl Findings {
    /// Adds a finding.
    ///
    /// One scan adds its findings almost in order, so the place is a constant number of steps from the end; findings
    /// in another order belong into another list, see [`Findings::join`].
    pub(super) fn add(&mut self, mut found: Found) {
        let mut later = Vec::new();
        while let Some(last) = self.0.pop() {
            if last.end <= found.start {
                self.0.push(last);
                break;
            }
            if last.start < found.end {
                found = unite(last, found);
            } else {
                later.push(last);
            }
        }
        self.0.push(found);
        while let Some(found) = later.pop() {
            self.0.push(found);
        }
    }

    /// The findings of both lists, each in order.
    pub(super) fn join(&mut self, other: &Self) {
        let own = core::mem::take(&mut self.0);
        let (mut left, mut right) = (own.as_slice(), other.0.as_slice());
        loop {
            let (first, rest) = match (left.split_first(), right.split_first()) {
                (Some((a, rest)), b) if b.is_none_or(|(b, _)| a.start <= b.start) => (a, (rest, right)),
                (_, Some((b, rest))) => (b, (left, rest)),
                _ => return,
            };
            (left, right) = rest;
            self.add(*first);
        }
    }
}

fn unite(a: Found, b: Found) -> Found {
    Found { class: a.class.min(b.class), start: a.start.min(b.start), end: a.end.max(b.end) }
}
