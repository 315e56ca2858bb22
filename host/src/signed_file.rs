//! Files with code of others: whether they changed, and whether what they hold may run.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use passgate_core::attest::sha256_label;
use passgate_passport::jwk::{self, MAX_JWKS_BYTES};
use passgate_passport::plugin_signature::{self, Claims, MAX_SIGNATURE_BYTES};
use sha2::{Digest as _, Sha256};

use crate::files;

/// What a digest starts with.
const DIGEST_PREFIX: &str = "sha256:";

/// Why a file is not used, and what to do.
pub(crate) type Refused = (String, &'static str);

/// Why a component may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It has this digest.
    Pinned(String),
    /// It is signed.
    Signed {
        /// Where the signature is.
        signature: PathBuf,
        /// Who may sign.
        keys: PathBuf,
    },
    /// Somebody tries it out.
    Trial,
}

/// A file with a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedFile {
    pub(crate) path: PathBuf,
    pub(crate) trust: Trust,
    /// What a signature has to say that it is for.
    pub(crate) world: &'static str,
    /// The most bytes.
    pub(crate) limit_bytes: u64,
}

/// A component that may run.
pub(crate) struct Code {
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of the bytes, with its label.
    pub(crate) digest: String,
    /// What its signature says, where one is asked for.
    pub(crate) signed: Option<Claims>,
}

impl Code {
    /// Whether its signature is older than `other`: whoever can change the file must not bring back what was replaced.
    ///
    /// # Errors
    ///
    /// Says so.
    pub(crate) fn not_before(&self, other: Option<i64>) -> Result<(), Refused> {
        match (self.signed_at(), other) {
            (Some(iat), Some(other)) if iat < other => {
                let problem = "it was signed before the one that is in use".to_owned();
                Err((problem, "to go back to an older component, sign it again"))
            }
            _ => Ok(()),
        }
    }

    /// When it was signed, in Unix seconds.
    pub(crate) fn signed_at(&self) -> Option<i64> {
        self.signed.as_ref().map(|claims| claims.iat)
    }
}

impl Trust {
    /// By its digest, if one is given, else by a signature of `keys` in the file's name with `.jws` added.
    ///
    /// # Errors
    ///
    /// When neither is given, or the digest is none.
    pub(crate) fn of(pin: Option<&str>, file: &Path, keys: Option<&Path>) -> Result<Self, Refused> {
        match (pin, keys) {
            (Some(pin), _) if is_digest(pin) => Ok(Self::Pinned(pin.to_owned())),
            (Some(pin), _) => {
                let remedy = "write `sha256:` and the 64 lower-case hexadecimal digits that `sha256sum` prints";
                Err((format!("`{pin}` is no digest"), remedy))
            }
            (None, Some(keys)) => Ok(Self::Signed { signature: signature_of(file), keys: keys.to_owned() }),
            (None, None) => {
                let problem = "nothing says which component may run".to_owned();
                Err((problem, "give its digest, or name a trusted_keys_file and sign it"))
            }
        }
    }
}

impl SignedFile {
    /// Reads the component, and checks its pin or its signature.
    ///
    /// # Errors
    ///
    /// When a file cannot be used, or the component is not the one that may run.
    pub(crate) fn read(&self) -> Result<Code, Refused> {
        let bytes = read(&self.path, self.limit_bytes)?;
        let sha256 = Sha256::digest(&bytes).into();
        let digest = sha256_label(&sha256);
        let signed = match &self.trust {
            Trust::Trial => None,
            Trust::Pinned(pin) if *pin == digest => None,
            Trust::Pinned(pin) => {
                let problem = format!("it has the digest {digest}, and {pin} is configured");
                return Err((problem, "put the right file there, or its digest into `sha256`"));
            }
            Trust::Signed { signature, keys } => Some(self.check_signature(signature, keys, &sha256)?),
        };
        Ok(Code { bytes, digest, signed })
    }

    fn check_signature(&self, signature: &Path, keys: &Path, sha256: &[u8; 32]) -> Result<Claims, Refused> {
        let within = |path: &Path, (problem, remedy): Refused| (format!("{}: {problem}", path.display()), remedy);
        let set = read(keys, MAX_JWKS_BYTES as u64).map_err(|why| within(keys, why))?;
        let set = jwk::parse_set(&set)
            .map_err(|error| within(keys, (error.to_string(), "write the signers' public keys as a JWK Set")))?;
        let jws = read(signature, MAX_SIGNATURE_BYTES as u64).map_err(|why| within(signature, why))?;
        let jws = String::from_utf8_lossy(&jws);
        let verified = plugin_signature::verify(jws.trim_end(), sha256, self.world, &set);
        let remedy = "sign the component with `passgate plugin sign` and a key of the trusted set";
        verified.map_err(|error| within(signature, (error.to_string(), remedy)))
    }

    /// The files as they look now. One that cannot be looked at differs from one that can.
    pub(crate) fn stamp(&self) -> Stamp {
        let others = match &self.trust {
            Trust::Signed { signature, keys } => vec![signature, keys],
            Trust::Pinned(_) | Trust::Trial => Vec::new(),
        };
        Stamp([&self.path].into_iter().chain(others).map(|path| look(path)).collect())
    }
}

impl Stamp {
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|path| look(path)).collect())
    }
}

/// What files look like from outside. While that is the same, so is what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<[i64; 6]>>);

fn is_digest(text: &str) -> bool {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix(DIGEST_PREFIX).is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

fn signature_of(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".jws");
    name.into()
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
