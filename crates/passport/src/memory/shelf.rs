//! A bounded set of passports that shares its room among those who hold them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::SeenPassport;
use crate::delegation::Link;

/// See [`PassportMemory`](super::PassportMemory) for what is displaced.
///
/// Finding a passport halves the list; adding one walks through it, which nobody but the holder of a valid new chain causes.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    /// In bytes, as is `filled`.
    capacity: usize,
    filled: usize,
    /// Counts uses, and is the time that they are told in.
    uses: u64,
    /// In the order of their hashes.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    passport: SeenPassport,
    holder: [u8; 32],
    used: u64,
    /// Bytes that its holder has used since, those of this passport with them: of the holder's oldest, all it has.
    held: usize,
}

impl Shelf {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { capacity, filled: 0, uses: 0, entries: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, chain_sha256: &[u8; 32]) -> Option<&Arc<Link>> {
        let at = self.find(chain_sha256).ok()?;
        self.entries.get(at).map(|entry| &entry.passport.link)
    }

    fn find(&self, chain_sha256: &[u8; 32]) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.passport.chain_sha256.cmp(chain_sha256))
    }

    /// Adds a passport that `holder` is charged for. One that is here stays charged to whom it was.
    pub(super) fn put(&mut self, passport: &SeenPassport, holder: [u8; 32]) {
        let bytes = passport.bytes;
        let at = self.find(&passport.chain_sha256).unwrap_or_else(|at| {
            // A new one is older than all others until it is used, below.
            self.entries.insert(at, Entry { passport: passport.clone(), holder, used: 0, held: usize::MAX });
            self.filled += bytes;
            at
        });
        let Some((holder, before)) = self.entries.get(at).map(|entry| (entry.holder, entry.held)) else { return };
        for newer in self.entries.iter_mut().filter(|entry| entry.holder == holder && entry.held < before) {
            newer.held += bytes;
        }
        self.uses += 1;
        if let Some(entry) = self.entries.get_mut(at) {
            (entry.used, entry.held) = (self.uses, bytes);
        }
        while self.filled > self.capacity {
            self.displace();
        }
    }

    /// Removes the oldest passport of the holder that has the most.
    fn displace(&mut self) {
        let ranked = self.entries.iter().enumerate().max_by_key(|(_, entry)| (entry.held, Reverse(entry.used)));
        match ranked.map(|(at, _)| at) {
            Some(at) => self.filled -= self.entries.remove(at).passport.bytes,
            None => self.filled = 0,
        }
    }
}
