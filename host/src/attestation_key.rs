//! The files of the key that signs attestations, and which key signs.
//!
//! A rotation takes three steps, and whoever stops between two of them can go on: the next key is written to a file beside
//! the present one; its record is appended by whoever writes the ledger; the next key's file takes the place of the present
//! one. Only the ledger says whether the second step was done, so it is asked at every start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use passgate_core::state::KeyHistory;
use passgate_passport::key::SecretKey;

use crate::files::{self, FileError};

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// The private key that the configuration names.
    pub present: PathBuf,
    /// The private key that comes next; there during a rotation only.
    pub next: PathBuf,
    /// The public keys of all that ever signed, a JWK Set; there after a rotation.
    pub set: PathBuf,
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key handed over to another one, which is not there.
    #[error(
        "{} holds a key that was retired by a rotation in this ledger; put the key {current} there, which it handed over to",
        path.display()
    )]
    Retired {
        /// The file.
        path: PathBuf,
        /// Thumbprint of the key that signs since.
        current: String,
    },
}

/// What to sign with.
pub(crate) struct Signing {
    /// The key in force.
    pub(crate) key: SecretKey,
    /// The key that it has to hand over to, when a rotation was begun.
    pub(crate) next: Option<SecretKey>,
}

impl KeyFiles {
    /// The files beside the key file of a configuration: `attestation.jwk`, `attestation.jwk.next` and
    /// `attestation.jwks.json`.
    #[must_use]
    pub fn of(key_file: &Path) -> Self {
        let mut next: OsString = key_file.as_os_str().to_owned();
        next.push(".next");
        Self { present: key_file.to_owned(), next: next.into(), set: key_file.with_extension("jwks.json") }
    }

    /// The next key, when a rotation was begun.
    ///
    /// # Errors
    ///
    /// [`FileError`] when it is there and cannot be used.
    pub fn read_next(&self) -> Result<Option<SecretKey>, FileError> {
        match files::read_key(&self.next) {
            Err(FileError::Missing { .. }) => Ok(None),
            read => read.map(Some),
        }
    }

    /// Whether there is a key at all, before anything is made for it to sign.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        files::read_key(&self.present)?;
        Ok(())
    }

    /// The key to sign with in a ledger with this history.
    pub(crate) fn signing(&self, history: &KeyHistory) -> Result<Signing, KeyError> {
        let key = files::read_key(&self.present)?;
        let next = self.read_next()?;
        if !history.is_retired(key.public()) {
            let next = next.filter(|next| next.public() != key.public());
            return Ok(Signing { key, next });
        }
        match next.filter(|next| history.current() == Some(next.public())) {
            Some(key) => Ok(Signing { key, next: None }),
            None => Err(KeyError::Retired {
                path: self.present.clone(),
                current: history.current().map(|key| key.thumbprint().to_owned()).unwrap_or_default(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use passgate_core::state::KeyRotation;

    use super::*;
    use crate::files::Existing;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn history(old: u8, new: u8) -> KeyHistory {
        let rotation = KeyRotation { old: key(old).public().clone(), new: key(new).public().clone(), at: 10 };
        KeyHistory::default().rotated(&rotation).unwrap()
    }

    #[test]
    fn whoever_stops_in_a_rotation_can_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let files = KeyFiles::of(&folder.path().join("attestation.jwk"));
        assert_eq!(files.next, folder.path().join("attestation.jwk.next"));
        assert_eq!(files.set, folder.path().join("attestation.jwks.json"));
        let write = |path: &Path, seed| files::write_key(path, &key(seed), Existing::Replace).unwrap();
        let signing = |history: &KeyHistory| {
            let found = files.signing(history).map_err(|error| error.to_string());
            found.map(|signing| (signing.key.public().clone(), signing.next.map(|next| next.public().clone())))
        };
        let public = |seed| key(seed).public().clone();
        let none = KeyHistory::default();
        assert!(signing(&none).unwrap_err().contains("is not there"));
        write(&files.present, 1);
        assert_eq!(signing(&none), Ok((public(1), None)));
        write(&files.next, 2);
        assert_eq!(signing(&none), Ok((public(1), Some(public(2)))), "to be recorded");
        assert_eq!(signing(&history(1, 2)), Ok((public(2), None)), "recorded, and not in its place yet");
        write(&files.present, 2);
        assert_eq!(signing(&history(1, 2)), Ok((public(2), None)), "in its place, and its file is still there");
        std::fs::remove_file(&files.next).unwrap();
        assert_eq!(signing(&history(1, 2)), Ok((public(2), None)));
        // A backup of the old key must not sign again, and neither does a next key that the ledger does not know.
        write(&files.present, 1);
        assert!(signing(&history(1, 2)).unwrap_err().contains(public(2).thumbprint()));
        write(&files.next, 3);
        assert!(signing(&history(1, 2)).is_err());
        // A key that came without a rotation signs as before.
        write(&files.present, 4);
        assert_eq!(signing(&history(1, 2)), Ok((public(4), Some(public(3)))));
    }
}
