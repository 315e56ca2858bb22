//! Which key may sign where, as rotations hand over from one to the next.
//!
//! A key is known when the verifier trusts it or a rotation named it. A rotation retires the key that signs it, in its
//! chain and in the chains that are started from there on; one of the scope `ledger` retires it for everything that
//! follows.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use passgate_passport::key::PublicKey;
use passgate_passport::sorted::SortedSet;

use crate::attest::{KeyRotationRecord, RotationScope};

/// A known key by its number.
pub(super) type Known = usize;

/// A place between two rotations of a line of chains; `None` before the first.
pub(super) type Epoch = Option<usize>;

/// Whether a record may be signed with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may.
    InForce,
    /// It was handed over before.
    Retired,
    /// It is not trusted there.
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Rotation {
    before: Epoch,
    old: Known,
    new: Known,
}

/// The known keys, and every rotation so far.
#[derive(Debug)]
pub(super) struct Keyring<'k> {
    trusted: Cow<'k, [PublicKey]>,
    named: Vec<PublicKey>,
    rotations: Vec<Rotation>,
    retired: Retired,
}

/// Keys that some rotation retired. A ledger has many chains that rotate alike, and few keys.
#[derive(Debug, Default)]
struct Retired {
    anywhere: SortedSet<Known>,
    everywhere: SortedSet<Known>,
}

impl<'k> Keyring<'k> {
    pub(super) fn new(trusted: Cow<'k, [PublicKey]>) -> Self {
        Self { trusted, named: Vec::new(), rotations: Vec::new(), retired: Retired::default() }
    }

    /// The known key with this thumbprint.
    pub(super) fn find(&self, kid: &str) -> Option<(Known, &PublicKey)> {
        self.trusted.iter().chain(&self.named).enumerate().find(|(_, key)| key.thumbprint() == kid)
    }

    /// Whether a record at `epoch` may be signed with `key`. With `is_loose` the line of chains before is not known, and
    /// every known key counts that nothing known retired.
    pub(super) fn standing(&self, epoch: Epoch, key: Known, is_loose: bool) -> Standing {
        if self.retired.everywhere.contains(&key) {
            return Standing::Retired;
        }
        for rotation in self.line(epoch) {
            if rotation.new == key {
                return Standing::InForce;
            }
            if rotation.old == key {
                return Standing::Retired;
            }
        }
        if is_loose || key < self.trusted.len() { Standing::InForce } else { Standing::Unknown }
    }

    /// Whether a head may be signed with `key`: no rotation anywhere retired it.
    pub(super) fn standing_of_head(&self, key: Known) -> Standing {
        if self.retired.anywhere.contains(&key) { Standing::Retired } else { Standing::InForce }
    }

    /// Hands over from `old`, which signed the record of it at `epoch`. `None` when the record names no usable key, or one
    /// that signs or was retired.
    pub(super) fn rotate(&mut self, epoch: Epoch, old: Known, record: &KeyRotationRecord) -> Option<Epoch> {
        let key = record.key()?;
        let known = self.find(key.thumbprint()).map(|(known, _)| known);
        let is_used = |new: Known| new == old || self.standing(epoch, new, true) == Standing::Retired;
        if known.is_some_and(is_used) {
            return None;
        }
        let new = known.unwrap_or_else(|| {
            self.named.push(key);
            self.trusted.len() + self.named.len() - 1
        });
        self.retired.anywhere.insert(old);
        if record.scope == RotationScope::Ledger {
            self.retired.everywhere.insert(old);
        }
        self.rotations.push(Rotation { before: epoch, old, new });
        Some(Some(self.rotations.len() - 1))
    }

    /// The rotations that lead to `epoch`, the last first. Each comes after the one before it, so this ends.
    fn line(&self, epoch: Epoch) -> impl Iterator<Item = &Rotation> {
        let at = |epoch: Epoch| epoch.and_then(|number| self.rotations.get(number));
        core::iter::successors(at(epoch), move |rotation| at(rotation.before))
    }
}

/// Where the epochs of one chain begin.
#[derive(Debug)]
pub(super) struct Epochs(Vec<(u64, Epoch)>);

impl Epochs {
    /// A chain whose first record is at `epoch`.
    pub(super) fn from(epoch: Epoch) -> Self {
        Self(Vec::from([(0, epoch)]))
    }

    /// The records from number `size` on are at `epoch`.
    pub(super) fn go_on(&mut self, size: u64, epoch: Epoch) {
        self.0.push((size, epoch));
    }

    /// The epoch after `size` records.
    pub(super) fn after(&self, size: u64) -> Epoch {
        self.0.iter().rev().find(|(from, _)| *from <= size).and_then(|(_, epoch)| *epoch)
    }
}
