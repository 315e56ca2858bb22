//! Files with secrets: written whole or not at all, for their owner alone, and refused when others can read them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use passgate_passport::jwk::{JwkError, MAX_JWK_BYTES};
use passgate_passport::key::SecretKey;
use zeroize::Zeroizing;

/// Owner alone may read and write.
const SECRET_MODE: u32 = 0o600;
/// Everyone may read.
const PUBLIC_MODE: u32 = 0o644;
/// Owner alone may enter.
const PRIVATE_DIR_MODE: u32 = 0o700;

/// What to do when the file is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Keep,
    /// Replace it.
    Replace,
}

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file or folder cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no such file.
    #[error("{} is not there; check the path, or run `passgate init` to make what a gate needs", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{} cannot be written: {source}; choose a folder that is there and that you may write to", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The path leads to a folder or a device.
    #[error("{} is a folder or a device; name a file", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is there already and was not to be replaced.
    #[error("{} is there already; use --force to replace it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Group or others may read the file.
    #[error("{} can be read by others (mode {mode:04o}); run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is longer than such a file can be.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The file does not hold a private key.
    #[error("{} holds no usable private key: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: JwkError,
    },
}

impl FileError {
    /// The file in question.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Missing { path }
            | Self::Unwritable { path, .. }
            | Self::NoFile { path }
            | Self::Exists { path }
            | Self::Exposed { path, .. }
            | Self::TooLong { path, .. }
            | Self::Key { path, .. } => path,
        }
    }
}

/// Writes a secret with mode 0600: all of it or nothing, on disk when this returns.
///
/// # Errors
///
/// [`FileError::Exists`] or [`FileError::Unwritable`]; the old file is then untouched.
pub fn write_secret(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), FileError> {
    write(path, bytes, existing, SECRET_MODE)
}

/// Writes a file everyone may read, otherwise as [`write_secret`].
///
/// # Errors
///
/// As [`write_secret`].
pub fn write_public(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), FileError> {
    write(path, bytes, existing, PUBLIC_MODE)
}

/// Writes what a file holds anew, all of it or nothing: it keeps its mode, and links to it stay links.
///
/// # Errors
///
/// [`FileError::Io`] or [`FileError::Unwritable`]; the old file is then untouched.
pub fn rewrite(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let path = path.canonicalize().map_err(|source| io_error(path, source))?;
    let mode = path.metadata().map_err(|source| io_error(&path, source))?.permissions().mode();
    write(&path, bytes, Existing::Replace, mode & 0o7777)
}

/// Writes a private key as one line of JWK; see [`write_secret`].
///
/// # Errors
///
/// As [`write_secret`].
pub fn write_key(path: &Path, key: &SecretKey, existing: Existing) -> Result<(), FileError> {
    let mut line = key.to_private_jwk();
    line.push('\n');
    write_secret(path, line.as_bytes(), existing)
}

/// Reads a secret of at most `limit` bytes; wiped when dropped.
///
/// # Errors
///
/// [`FileError::Exposed`] when group or others may read or write the file; [`FileError::Missing`],
/// [`FileError::NoFile`], [`FileError::TooLong`] or [`FileError::Io`] when it cannot be read.
pub fn read_secret(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing { path: path.to_owned() },
        _ => io_error(path, source),
    })?;
    // Asked of the open file, so that it cannot be exchanged in between.
    let meta = file.metadata().map_err(|source| io_error(path, source))?;
    let kind = meta.file_type();
    if kind.is_dir() || kind.is_char_device() || kind.is_block_device() {
        return Err(FileError::NoFile { path: path.to_owned() });
    }
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode });
    }
    // Reserved at once: growing would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit.saturating_add(1)));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(|source| io_error(path, source))?;
    if bytes.len() > limit {
        return Err(FileError::TooLong { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Reads a private key.
///
/// # Errors
///
/// As [`read_secret`], and [`FileError::Key`].
pub fn read_key(path: &Path) -> Result<SecretKey, FileError> {
    let bytes = read_secret(path, MAX_JWK_BYTES)?;
    SecretKey::from_private_jwk(bytes.trim_ascii()).map_err(|error| FileError::Key { path: path.to_owned(), error })
}

/// Whether every user of the machine may write to `file`, and so decide what it says.
pub(crate) fn is_open_to_all(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.permissions().mode() & 0o002 != 0)
}

/// Makes a folder and those above it, all for their owner alone. Folders that are there stay as they are.
///
/// # Errors
///
/// [`FileError::Io`].
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let made = fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIR_MODE).create(path);
    made.map_err(|source| io_error(path, source))
}

fn write(path: &Path, bytes: &[u8], existing: Existing, mode: u32) -> Result<(), FileError> {
    let temporary = temporary_name(path);
    let written = write_new(&temporary, bytes, mode).and_then(|()| match existing {
        Existing::Replace => fs::rename(&temporary, path),
        // A link, unlike a rename, fails when the name is taken.
        Existing::Keep => fs::hard_link(&temporary, path).and_then(|()| fs::remove_file(&temporary)),
    });
    if let Err(source) = written {
        // What is left cannot be helped: the first failure is the one to tell.
        let _ = fs::remove_file(&temporary);
        let taken = existing == Existing::Keep && source.kind() == io::ErrorKind::AlreadyExists;
        let path = path.to_owned();
        return Err(if taken { FileError::Exists { path } } else { FileError::Unwritable { path, source } });
    }
    sync_folder(path)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The mode given at creation passes through the umask.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| io_error(path, source))
}

fn temporary_name(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn io_error(path: &Path, source: io::Error) -> FileError {
    FileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_the_owners_alone_and_not_replaced_by_accident() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.jwk");
        let key = SecretKey::from_seed([7; 32]);
        write_key(&path, &key, Existing::Keep).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_key(&path).unwrap().public(), key.public());

        let other = SecretKey::from_seed([8; 32]);
        assert!(matches!(write_key(&path, &other, Existing::Keep), Err(FileError::Exists { .. })));
        assert_eq!(read_key(&path).unwrap().public(), key.public());
        write_key(&path, &other, Existing::Replace).unwrap();
        assert_eq!(read_key(&path).unwrap().public(), other.public());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left behind");
    }

    #[test]
    fn exposed_long_and_keyless_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.jwk");
        write_key(&path, &SecretKey::from_seed([7; 32]), Existing::Keep).unwrap();
        for exposed in [0o640, 0o604, 0o666, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(exposed)).unwrap();
            let error = read_key(&path).unwrap_err();
            assert!(matches!(error, FileError::Exposed { mode, .. } if mode == exposed), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        write_secret(&path, &[b' '; MAX_JWK_BYTES + 1], Existing::Replace).unwrap();
        assert!(matches!(read_key(&path), Err(FileError::TooLong { .. })));
        write_secret(&path, b"{}", Existing::Replace).unwrap();
        assert!(matches!(read_key(&path), Err(FileError::Key { .. })));
        assert!(matches!(read_key(&folder.path().join("absent")), Err(FileError::Missing { .. })));
        for no_file in [folder.path(), Path::new("/dev/zero")] {
            let error = read_key(no_file).unwrap_err().to_string();
            assert!(error.contains("name a file") && !error.contains("chmod"), "{error}");
        }
        let nowhere = write_key(&folder.path().join("absent/key.jwk"), &SecretKey::from_seed([7; 32]), Existing::Keep);
        assert!(nowhere.unwrap_err().to_string().contains("choose a folder"));
    }

    #[test]
    fn new_folders_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_private_dir(&inner).unwrap();
        create_private_dir(&inner).unwrap();
        assert_eq!((mode(&inner), mode(&folder.path().join("a"))), (0o700, 0o700));
    }
}
