//! The files of a plugin: whether they changed, and whether what they hold may run.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use passgate_core::attest::sha256_label;
use passgate_passport::jwk::{self, MAX_JWKS_BYTES};
use passgate_passport::key::PublicKey;
use sha2::{Digest as _, Sha256};

use super::component::{Refused, Shape};
use super::settings::{Settings, Trust};
use crate::files;

/// The longest signature file, in bytes.
const MAX_SIGNATURE_BYTES: u64 = 2 * 1024;

/// A component that may run.
pub(super) struct Source {
    pub(super) bytes: Vec<u8>,
    /// SHA-256 of the bytes, with its label.
    pub(super) digest: String,
    pub(super) shape: Shape,
}

impl Source {
    /// Reads the component, checks its pin or its signature, and looks at its shape.
    ///
    /// # Errors
    ///
    /// When a file cannot be used, the component is not the one that may run, or as for [`Shape::of`].
    pub(super) fn read(settings: &Settings) -> Result<Self, Refused> {
        let bytes = read(&settings.file, settings.limits.component_bytes)?;
        let sha256 = Sha256::digest(&bytes).into();
        let digest = sha256_label(&sha256);
        match &settings.trust {
            Trust::Trial => {}
            Trust::Pinned(pin) if *pin == digest => {}
            Trust::Pinned(pin) => {
                let problem = format!("it has the digest {digest}, and {pin} is configured");
                return Err((problem, "put the right file there, or its digest into `sha256`"));
            }
            Trust::Signed { signature, keys } => {
                let within =
                    |path: &Path, (problem, remedy): Refused| (format!("{}: {problem}", path.display()), remedy);
                let set = read(keys, MAX_JWKS_BYTES as u64).map_err(|why| within(keys, why))?;
                let set = jwk::parse_set(&set).map_err(|error| {
                    within(keys, (error.to_string(), "write the signers' public keys as a JWK Set"))
                })?;
                let jws = read(signature, MAX_SIGNATURE_BYTES).map_err(|why| within(signature, why))?;
                verify(&jws, &sha256, &set).map_err(|why| within(signature, why))?;
            }
        }
        let shape = Shape::of(&bytes)?;
        Ok(Self { bytes, digest, shape })
    }
}

/// Whether a trusted key signed the component.
fn verify(_jws: &[u8], _sha256: &[u8; 32], _keys: &[PublicKey]) -> Result<(), Refused> {
    Err(("this release verifies no signatures of plugins".to_owned(), "pin the component with `sha256`"))
}

/// What files look like from outside. While that is the same, so is what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<[i64; 6]>>);

impl Stamp {
    /// The files of a plugin as they are now. One that cannot be looked at differs from one that can.
    pub(super) fn of(settings: &Settings) -> Self {
        let others = match &settings.trust {
            Trust::Signed { signature, keys } => vec![signature, keys],
            Trust::Pinned(_) | Trust::Trial => Vec::new(),
        };
        Self([&settings.file].into_iter().chain(others).map(|path| look(path)).collect())
    }
}

fn look(path: &Path) -> Option<[i64; 6]> {
    let meta = fs::metadata(path).ok()?;
    let (inode, length) = (meta.ino().cast_signed(), meta.len().cast_signed());
    Some([inode, length, meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()])
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Refused> {
    const REMEDY: &str = "check the path, which starts at the configuration's folder, and who may read it";
    let unreadable = |error: io::Error| (format!("it cannot be read: {error}"), REMEDY);
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(("it is no file".to_owned(), REMEDY));
    }
    let file = File::open(path).map_err(unreadable)?;
    if files::is_open_to_all(&file).map_err(unreadable)? {
        return Err(("it can be changed by every user of this machine".to_owned(), "run `chmod o-w` on it"));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err((format!("it is longer than {limit} bytes"), "make it smaller, or raise its limit"));
    }
    Ok(bytes)
}
