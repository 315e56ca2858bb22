//! A bounded set of signatures that shares its room among those who hold them.

use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;

use super::SignatureId;

type Holder = [u8; 32];

/// See [`SignatureMemory`](super::SignatureMemory) for what is displaced.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    capacity: usize,
    /// Counts uses, and is the time that `used` is told in.
    uses: u64,
    entries: BTreeMap<SignatureId, Entry>,
    /// What each holder has, by its last use.
    held: BTreeMap<Holder, BTreeMap<u64, SignatureId>>,
    /// The holders; the next to lose an entry stands last.
    ranking: BTreeSet<Rank>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    holder: Holder,
    used: u64,
}

/// By number of entries, then by the age of the oldest.
type Rank = (usize, Reverse<u64>, Holder);

impl Shelf {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { capacity, uses: 0, entries: BTreeMap::new(), held: BTreeMap::new(), ranking: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, id: &SignatureId) -> bool {
        self.entries.contains_key(id)
    }

    /// Adds a signature that `holder` is charged for. One that is here stays charged to whom it was.
    pub(super) fn put(&mut self, id: SignatureId, holder: Holder) {
        if self.capacity == 0 {
            return;
        }
        self.uses = self.uses.saturating_add(1);
        let used = self.uses;
        let before = self.entries.get(&id).copied();
        let holder = before.map_or(holder, |entry| entry.holder);
        self.entries.insert(id, Entry { holder, used });
        self.change(holder, |held| {
            if let Some(entry) = before {
                held.remove(&entry.used);
            }
            held.insert(used, id);
        });
        while self.entries.len() > self.capacity {
            self.displace();
        }
    }

    /// Removes one entry by the rule of the ranking.
    fn displace(&mut self) {
        let Some((_, Reverse(oldest), holder)) = self.ranking.last().copied() else { return };
        let mut displaced = None;
        self.change(holder, |held| displaced = held.remove(&oldest));
        if let Some(id) = displaced {
            self.entries.remove(&id);
        }
    }

    /// Changes what `holder` has, and its place in the ranking with it.
    fn change(&mut self, holder: Holder, change: impl FnOnce(&mut BTreeMap<u64, SignatureId>)) {
        let mut held = self.held.remove(&holder).unwrap_or_default();
        if let Some(rank) = rank(&held, holder) {
            self.ranking.remove(&rank);
        }
        change(&mut held);
        if let Some(rank) = rank(&held, holder) {
            self.ranking.insert(rank);
            self.held.insert(holder, held);
        }
    }
}

/// The place of a holder; one that has nothing has none.
fn rank(held: &BTreeMap<u64, SignatureId>, holder: Holder) -> Option<Rank> {
    held.first_key_value().map(|(oldest, _)| (held.len(), Reverse(*oldest), holder))
}
