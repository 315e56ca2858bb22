//! The host's files with the command line's errors.

use std::path::{Path, PathBuf};

use passgate_host::control::RemoteGateError;
use passgate_host::files::{self, Existing, FileError};
use passgate_passport::jwe::{DecryptionKey, EncryptionKey};
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_passport::key_set::{self, DatedKey};
use passgate_passport::{did_key, jwk};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::input;

/// The longest credentials file, in bytes: a passport of 16 KiB, a key and some room.
const MAX_CREDENTIALS_BYTES: usize = 64 * 1024;
/// The longest file with an API key, in bytes: the key's 47 and some white space.
const MAX_API_KEY_BYTES: usize = 256;

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let (exit, code) = match error {
            FileError::Exists { .. } => (Exit::Unexpected, "file_exists"),
            FileError::Exposed { .. } => (Exit::Invalid, "file_exposed"),
            FileError::Key { .. } => (Exit::Invalid, "key_malformed"),
            FileError::TooLong { .. } => (Exit::Invalid, "file_too_long"),
            _ => (Exit::Unexpected, "io"),
        };
        Self::new(exit, code, error)
    }
}

/// What `--force` says about files that are there.
pub(crate) const fn existing(force: bool) -> Existing {
    if force { Existing::Replace } else { Existing::Keep }
}

/// Reads a credentials file; refused when others can read it.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    Ok(files::read_secret(path, MAX_CREDENTIALS_BYTES)?)
}

/// Reads a private key; refused when others can read it.
pub(crate) fn read_private_key(path: &Path) -> Result<SecretKey, Failure> {
    Ok(files::read_key(path)?)
}

/// Reads an API key; refused when others can read it. What it says is checked by who uses it.
pub(crate) fn read_api_key(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = files::read_secret(path, MAX_API_KEY_BYTES)?;
    let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| Failure::from(RemoteGateError::Key))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads the public half of a key from a file with a public or private JWK, or from stdin for `-`.
pub(crate) fn read_public_key(name: &str) -> Result<PublicKey, Failure> {
    let bytes = input::read(name)?;
    public_key_of(name, &bytes)
}

fn public_key_of(name: &str, bytes: &[u8]) -> Result<PublicKey, Failure> {
    let bytes = bytes.trim_ascii();
    if let Ok(key) = SecretKey::from_private_jwk(bytes) {
        if name != input::STDIN {
            // Says so when the private key is open to others.
            read_private_key(Path::new(name))?;
        }
        return Ok(key.public().clone());
    }
    PublicKey::from_jwk(bytes).map_err(|error| {
        Failure::new(Exit::Invalid, "key_malformed", format_args!("{name} holds no usable key: {error}"))
    })
}

/// A public key.
pub(crate) enum AnyKey {
    /// One that signatures are verified with.
    Signing(PublicKey),
    /// One that personal data is encrypted to.
    Encryption(EncryptionKey),
}

/// As [`read_public_key`], also of an X25519 key.
pub(crate) fn read_any_public_key(name: &str) -> Result<AnyKey, Failure> {
    let bytes = input::read(name)?;
    if let Ok(key) = DecryptionKey::from_private_jwk(bytes.trim_ascii()) {
        if name != input::STDIN {
            // Says so when the private key is open to others.
            read_decryption_key(Path::new(name))?;
        }
        return Ok(AnyKey::Encryption(key.public().clone()));
    }
    if let Ok(key) = EncryptionKey::from_jwk(bytes.trim_ascii()) {
        return Ok(AnyKey::Encryption(key));
    }
    public_key_of(name, &bytes).map(AnyKey::Signing)
}

/// Reads a private X25519 key; refused when others can read it.
pub(crate) fn read_decryption_key(path: &Path) -> Result<DecryptionKey, Failure> {
    let bytes = files::read_secret(path, jwk::MAX_JWK_BYTES)?;
    DecryptionKey::from_private_jwk(bytes.trim_ascii()).map_err(|error| {
        Failure::new(Exit::Invalid, "key_malformed", format_args!("{} holds no usable key: {error}", path.display()))
    })
}

/// The public key that an argument of `--public-key` stands for: a file as [`read_public_key`] reads it, or a `did:key`.
pub(crate) fn named_public_key(name: &str) -> Result<PublicKey, Failure> {
    if name.starts_with(did_key::SCHEME) {
        return did_key::decode(name).map_err(|error| Failure::new(Exit::Invalid, "key_malformed", error));
    }
    if is_thumbprint(name) && !Path::new(name).exists() {
        return Err(Failure::usage("a thumbprint names a key and does not hold it")
            .hint("give a file with the public JWK (`passgate keys show FILE` prints it), or the key's did:key"));
    }
    read_public_key(name)
}

/// SHA-256 in base64url.
fn is_thumbprint(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Reads a set of public keys.
pub(crate) fn read_key_set(path: &Path) -> Result<Vec<PublicKey>, Failure> {
    let set = input::read(&path.display().to_string())?;
    jwk::parse_set(&set)
        .map_err(|error| Failure::new(Exit::Invalid, "key_malformed", format_args!("{}: {error}", path.display())))
}

/// Reads a set of public keys with their times; none when there is no file.
pub(crate) fn read_dated_keys(path: &Path) -> Result<Vec<DatedKey>, Failure> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let set = input::read(&path.display().to_string())?;
    key_set::parse(&set)
        .map_err(|error| Failure::new(Exit::Invalid, "key_malformed", format_args!("{}: {error}", path.display())))
}

/// The `.json` files of a folder in the order of their names; none when there is no folder.
pub(crate) fn list_json(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(|error| Failure::io("read", folder, &error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::io("read", folder, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
