//! Which keys have signed a store's records: rotations are written down in the transaction of their record.

use alloc::string::String;
use alloc::vec::Vec;

use passgate_passport::jwk::MAX_JWKS_KEYS;
use passgate_passport::key::PublicKey;
use passgate_passport::key_set::{self, DatedKey};

use super::{RowCorrupt, Write};

/// The key of the row that holds the history.
pub const KEY_HISTORY_KEY: &str = "a:keys";

/// The key of one writer handing over to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRotation {
    /// The key that signs the record of it, and nothing after.
    pub old: PublicKey,
    /// The key that signs from the next record on.
    pub new: PublicKey,
    /// When, in Unix seconds.
    pub at: i64,
}

/// Why a rotation was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The new key signs already.
    #[error("the key signs already: the rotation is done")]
    Done,
    /// One of the keys was handed over before.
    #[error("the key was retired by an earlier rotation: make a new one")]
    Retired,
}

/// The keys that signed here, oldest first, with the times from and until which they did. Empty before the first rotation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyHistory {
    keys: Vec<DatedKey>,
}

impl KeyHistory {
    /// Reads the row. It is a JWK Set.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn read(row: Option<&[u8]>) -> Result<Self, RowCorrupt> {
        let keys = row.map(key_set::parse).transpose();
        let keys = keys.map_err(|_| RowCorrupt { key: String::from(KEY_HISTORY_KEY) })?;
        Ok(Self { keys: keys.unwrap_or_default() })
    }

    /// The write that keeps it. It never expires.
    pub fn write(&self) -> Write {
        Write { key: String::from(KEY_HISTORY_KEY), value: key_set::emit(&self.keys).into_bytes(), expires_at: None }
    }

    /// The key that the last rotation handed over to, if there was one.
    pub fn current(&self) -> Option<&PublicKey> {
        self.keys.last().map(|entry| &entry.key)
    }

    /// Whether a rotation retired this key.
    pub fn is_retired(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|entry| entry.key == *key && entry.not_after.is_some())
    }

    /// Every key that records may be signed with, `present` being what signs now.
    pub fn with(&self, present: &PublicKey) -> Vec<DatedKey> {
        let mut keys = self.keys.clone();
        if !keys.iter().any(|entry| entry.key == *present) {
            keys.push(DatedKey::unbounded(present.clone()));
        }
        keys
    }

    /// The history after `rotation`. Beyond 64 keys it forgets the oldest.
    ///
    /// # Errors
    ///
    /// [`RotationError`], when the rotation was made already or one of its keys was retired.
    pub fn rotated(&self, rotation: &KeyRotation) -> Result<Self, RotationError> {
        if self.current() == Some(&rotation.new) {
            return Err(RotationError::Done);
        }
        if rotation.old == rotation.new || self.is_retired(&rotation.old) || self.is_retired(&rotation.new) {
            return Err(RotationError::Retired);
        }
        let mut keys = self.with(&rotation.old);
        keys.retain(|entry| entry.key != rotation.new);
        for entry in keys.iter_mut().filter(|entry| entry.key == rotation.old) {
            entry.not_after = Some(rotation.at);
        }
        keys.push(DatedKey { not_before: Some(rotation.at), ..DatedKey::unbounded(rotation.new.clone()) });
        let forgotten = keys.len().saturating_sub(MAX_JWKS_KEYS);
        keys.drain(..forgotten);
        Ok(Self { keys })
    }
}

#[cfg(test)]
mod tests {
    use passgate_passport::key::SecretKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public().clone()
    }

    fn rotation(old: u8, new: u8, at: i64) -> KeyRotation {
        KeyRotation { old: key(old), new: key(new), at }
    }

    #[test]
    fn a_history_grows_with_rotations_and_reads_back() {
        let first = KeyHistory::default().rotated(&rotation(1, 2, 10)).unwrap();
        let second = first.rotated(&rotation(2, 3, 20)).unwrap();
        assert_eq!((first.current(), second.current()), (Some(&key(2)), Some(&key(3))));
        let times: Vec<_> = second.keys.iter().map(|entry| (entry.not_before, entry.not_after)).collect();
        assert_eq!(times, [(None, Some(10)), (Some(10), Some(20)), (Some(20), None)]);
        assert!(second.is_retired(&key(1)) && second.is_retired(&key(2)) && !second.is_retired(&key(3)));
        let row = second.write();
        assert_eq!((row.key.as_str(), row.expires_at), (KEY_HISTORY_KEY, None));
        assert_eq!(KeyHistory::read(Some(&row.value)), Ok(second.clone()));
        assert_eq!(KeyHistory::read(None), Ok(KeyHistory::default()));
        assert!(KeyHistory::read(Some(b"?")).is_err());
        assert_eq!(second.with(&key(3)).len(), 3);
        assert_eq!(second.with(&key(9)).len(), 4, "a key that came without a rotation is named too");
    }

    #[test]
    fn a_retired_key_neither_hands_over_nor_comes_back() {
        let history = KeyHistory::default().rotated(&rotation(1, 2, 10)).unwrap();
        assert_eq!(history.rotated(&rotation(1, 2, 11)), Err(RotationError::Done));
        assert_eq!(history.rotated(&rotation(1, 3, 11)), Err(RotationError::Retired));
        assert_eq!(history.rotated(&rotation(2, 1, 11)), Err(RotationError::Retired));
        assert_eq!(KeyHistory::default().rotated(&rotation(1, 1, 11)), Err(RotationError::Retired));
    }

    #[test]
    fn the_history_is_bounded() {
        let mut history = KeyHistory::default();
        for seed in 0..80 {
            history = history.rotated(&rotation(seed, seed + 1, seed.into())).unwrap();
        }
        assert_eq!(history.keys.len(), MAX_JWKS_KEYS);
        assert_eq!(history.current(), Some(&key(80)));
        assert_eq!(KeyHistory::read(Some(&history.write().value)), Ok(history));
    }
}
