//! The database file: opening it, naming what is wrong with it, and opening it again after the disk failed.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, DatabaseError, StorageError};

use super::tables;
use crate::StoreError;
use crate::backend::panic_message;

type Opener = Box<dyn Fn() -> Result<Database, StoreError> + Send + Sync>;

/// A database that is opened again after a failure: the engine refuses all work once a read or write failed, so that
/// nothing is built on what may not be on disk.
pub(super) struct File {
    opener: Opener,
    current: RwLock<Option<Arc<Database>>>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}

impl File {
    /// Opens with `opener`, now and after failures. Writes the tables of an empty database.
    pub(super) fn new(
        opener: impl Fn() -> Result<Database, StoreError> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let file = Self { opener: Box::new(opener), current: RwLock::new(None) };
        file.get_or_open()?;
        Ok(file)
    }

    /// The open database; opens it if a failure closed it.
    pub(super) fn get_or_open(&self) -> Result<Arc<Database>, StoreError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = current.as_ref() {
            return Ok(Arc::clone(database));
        }
        let database = Arc::new((self.opener)()?);
        *current = Some(Arc::clone(&database));
        Ok(database)
    }

    /// Closes after a failure, as soon as the reads under way are done.
    pub(super) fn close(&self) {
        let closed = self.current.write().unwrap_or_else(PoisonError::into_inner).take();
        // Closing touches the file that has just failed.
        let _closed = catch_unwind(AssertUnwindSafe(|| drop(closed)));
    }

    /// Runs a read. A damaged file may make the engine panic; that is an error like any other.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let database = current
            .ok_or_else(|| StoreError::Unavailable("closed after a disk failure, not yet reopened".to_owned()))?;
        catch_unwind(AssertUnwindSafe(|| work(&database)))
            .unwrap_or_else(|panic| Err(StoreError::Corrupt(panic_message(panic.as_ref()))))
    }
}

/// Opens or creates the file at `path`.
pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    let name = path.display();
    let file = open_file(path).map_err(|error| StoreError::Unavailable(format!("{name}: {error}")))?;
    discard_unfinished(&file).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => StoreError::InUse(name.to_string()),
        _ => StoreError::Unavailable(format!("{name}: {error}")),
    })?;
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = Database::builder().create_file(file).map_err(|error| database_error(path, error))?;
        tables::prepare(&database).map_err(|error| named(path, error))?;
        Ok(database)
    }));
    opened.unwrap_or_else(|panic| Err(damaged(path, &panic_message(panic.as_ref()))))
}

fn open_file(path: &Path) -> io::Result<std::fs::File> {
    let is_new = !path.try_exists()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    if is_new {
        sync_folder(path)?;
    }
    Ok(file)
}

/// A new file is only there after a power failure if its folder is on disk too.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// The engine writes its magic number last when it creates a file. A process killed before that leaves a file of zeros
/// but for the first page, and has answered nothing; such a file is emptied, so that it can be created again.
fn discard_unfinished(file: &std::fs::File) -> io::Result<()> {
    /// Longer than a file that was never finished.
    const UNFINISHED_MAX_BYTES: u64 = 16 * 1024 * 1024;
    const FIRST_PAGE_BYTES: usize = 4096;
    const MAGIC_BYTES: usize = 9;
    let mut start = Vec::new();
    file.take(u64::try_from(MAGIC_BYTES).unwrap_or(u64::MAX)).read_to_end(&mut start)?;
    if start.iter().any(|byte| *byte != 0) || file.metadata()?.len() > UNFINISHED_MAX_BYTES {
        return Ok(());
    }
    // Somebody else may be creating it right now.
    file.try_lock()?;
    let mut bytes = Vec::new();
    (&mut &*file).rewind()?;
    (&mut &*file).read_to_end(&mut bytes)?;
    let was_never_used =
        bytes.iter().skip(FIRST_PAGE_BYTES).chain(bytes.iter().take(MAGIC_BYTES)).all(|byte| *byte == 0);
    if was_never_used {
        file.set_len(0)?;
    }
    file.unlock()
}

fn database_error(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.display().to_string()),
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => {
                damaged(path, &error.to_string())
            }
            _ => StoreError::Unavailable(format!("{}: {error}", path.display())),
        },
        other => damaged(path, &other.to_string()),
    }
}

fn named(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(what) => damaged(path, &what),
        StoreError::Unavailable(what) => StoreError::Unavailable(format!("{}: {what}", path.display())),
        other => other,
    }
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "{} is damaged or not a store ({what}); restore it from a backup: a new one would have forgotten every \
         revocation, nonce and spent budget",
        path.display()
    ))
}

/// An error of the engine while the database is open.
pub(super) fn engine_error(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            StoreError::Unavailable(error.to_string())
        }
        error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::ValueTooLarge(_)) => {
            StoreError::Unavailable(error.to_string())
        }
        error => StoreError::Corrupt(error.to_string()),
    }
}
