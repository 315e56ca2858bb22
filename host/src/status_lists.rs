//! The status lists of a gate that is served from files: read again and again, and put into the gate in force.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use passgate_core::gate::Gate;
use passgate_core::time::UnixMillis;
use passgate_passport::key::PublicKey;
use passgate_passport::status::{self, StatusList, StatusListContext};
use sha2::{Digest as _, Sha256};

use crate::config::Loaded;
use crate::env::Environment;
use crate::look_again::look_again;

/// How often the files are read.
const READ_EVERY: Duration = Duration::from_secs(2);
/// The longest file, in bytes: a few lists of the longest kind, or many of the usual.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// The most lists in one file: inflated, each takes up to 1 MiB.
const MAX_LISTS: usize = 64;

/// The gate in force. A request takes it once and is decided under that value alone.
#[derive(Debug)]
pub(crate) struct InForce {
    gate: RwLock<Arc<Snapshot>>,
    /// Held by whoever makes the next one of this one.
    changing: Mutex<()>,
}

/// A gate with the status lists that were read for it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    gate: Arc<Gate>,
    /// The newest token of each list, by issuer and URI.
    tokens: BTreeMap<(String, String), TakenToken>,
    taken: u64,
}

/// A status list token, as it was taken in.
#[derive(Debug, Clone)]
pub(crate) struct TakenToken {
    /// Counts the tokens of this gate.
    pub(crate) number: u64,
    pub(crate) token: Arc<str>,
    /// An evaluator that starts later takes it in as of then.
    pub(crate) at: UnixMillis,
}

impl<G: Into<Arc<Gate>>> From<G> for Snapshot {
    fn from(gate: G) -> Self {
        Self { gate: gate.into(), tokens: BTreeMap::new(), taken: 0 }
    }
}

impl std::ops::Deref for Snapshot {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.gate
    }
}

impl Snapshot {
    /// Takes in a status list token at `at`. One that [`Gate::verify_status_list`] refuses, or that is older than the one
    /// at hand, changes nothing.
    pub fn take_in(&mut self, uri: &str, token: &str, at: UnixMillis) {
        for list in self.gate.verify_status_list(Some(uri), token, at).unwrap_or_default() {
            self.insert(list, token, at);
        }
    }

    /// Another gate with the lists of this one that are good for it. Its tokens count on from those of this one, so that who
    /// has taken in those before takes in these.
    fn under(&self, gate: Gate) -> Self {
        let mut next = Self { gate: Arc::new(gate), tokens: BTreeMap::new(), taken: self.taken };
        for ((_, uri), token) in &self.tokens {
            next.take_in(uri, &token.token, token.at);
        }
        next
    }

    /// The gate alone.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// How many lists there are.
    pub(crate) fn lists(&self) -> usize {
        self.tokens.len()
    }

    /// How many tokens were taken in.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The tokens in use that were taken in after the first `taken`.
    pub(crate) fn tokens_after(&self, taken: u64) -> impl Iterator<Item = &TakenToken> {
        self.tokens.values().filter(move |token| token.number > taken)
    }

    /// Takes in a list; says whether it is in use now.
    fn insert(&mut self, list: Arc<StatusList>, token: &str, at: UnixMillis) -> bool {
        let name = (list.issuer().to_owned(), list.uri().to_owned());
        let is_used = Arc::make_mut(&mut self.gate).status_lists.insert(list);
        if is_used {
            self.taken += 1;
            self.tokens.insert(name, TakenToken { number: self.taken, token: token.into(), at });
        }
        is_used
    }
}

impl InForce {
    pub(crate) fn new(gate: impl Into<Snapshot>) -> Self {
        Self { gate: RwLock::new(Arc::new(gate.into())), changing: Mutex::new(()) }
    }

    pub(crate) fn get(&self) -> Arc<Snapshot> {
        Arc::clone(&self.gate.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has one-action passes minted and redeemed by the key that signs records from now on, and by no other: what the
    /// key before minted is void.
    pub(crate) fn mint_with(&self, key: &PublicKey) {
        self.change(|gate| {
            let mut gate = gate.clone();
            Arc::make_mut(&mut gate.gate).mint_with(vec![key.clone()]);
            Some(gate)
        });
    }

    /// Puts another policy of the same gate in force; `signing` is the key that signs records.
    pub(crate) fn put(&self, gate: Gate, signing: impl FnOnce() -> PublicKey) {
        self.change(|before| {
            let mut gate = Gate { challenge_key: before.challenge_key.clone(), ..gate };
            gate.mint_with(vec![signing()]);
            Some(before.under(gate))
        });
    }

    fn change(&self, next: impl FnOnce(&Snapshot) -> Option<Snapshot>) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = next(&self.get()) {
            *self.gate.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(gate);
        }
    }
}

/// The status list files that a configuration names.
#[derive(Debug)]
pub struct StatusListFiles(Vec<ListFile>);

/// What is wrong with one of them. Lists read from it before stay in use until they are too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whose lists they are.
    pub issuer: String,
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

#[derive(Debug)]
struct ListFile {
    issuer: String,
    path: PathBuf,
    /// What was read last and needs no second look.
    done: Option<[u8; 32]>,
    problems: Vec<String>,
}

impl StatusListFiles {
    /// The files of `loaded`, not read yet.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Self {
        let file = |issuer: &crate::config::IssuerEntry| {
            let name = issuer.status_list.as_ref()?.file.as_ref()?;
            Some(ListFile { issuer: issuer.id.clone(), path: loaded.base.join(name), done: None, problems: Vec::new() })
        };
        Self(loaded.config.issuers.iter().filter_map(file).collect())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads every file that says something new, and gives `gate` with the lists that are new to it; `None` when none
    /// are. A list that was there before is never taken away here: it ends by getting too old.
    pub fn read(&mut self, gate: &Snapshot, now: UnixMillis) -> Option<Snapshot> {
        let mut updated = None;
        for file in &mut self.0 {
            file.read(gate, &mut updated, now);
        }
        updated
    }

    /// What was wrong when the files were read last.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let of = |file: &ListFile| {
            let (issuer, path) = (file.issuer.clone(), file.path.clone());
            let problem = move |why: &String| Problem { issuer: issuer.clone(), path: path.clone(), why: why.clone() };
            file.problems.iter().map(problem).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }
}

impl ListFile {
    fn read(&mut self, gate: &Snapshot, updated: &mut Option<Snapshot>, now: UnixMillis) {
        let problems = match read_file(&self.path) {
            Ok(text) => {
                let digest: [u8; 32] = Sha256::digest(&text).into();
                if self.done == Some(digest) {
                    return;
                }
                let problems = self.take(&text, gate, updated, now);
                // A list from the future may be good later without another byte.
                self.done = problems.is_empty().then_some(digest);
                problems
            }
            Err(why) => {
                self.done = None;
                vec![why]
            }
        };
        if problems != self.problems {
            for why in &problems {
                tracing::error!(issuer = %self.issuer, file = %self.path.display(), why, "a status list cannot be used");
            }
            self.problems = problems;
        }
    }

    /// Takes in what is good of the file, and says what is not.
    fn take(&self, text: &str, gate: &Snapshot, updated: &mut Option<Snapshot>, now: UnixMillis) -> Vec<String> {
        let Some(issuer) = gate.trust.issuer(&self.issuer) else { return Vec::new() };
        let context = StatusListContext { issuer, uri: None, now: now.seconds(), leeway_seconds: gate.leeway_seconds };
        let mut problems = Vec::new();
        let lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty());
        for (count, (line, number)) in lines.enumerate() {
            if count == MAX_LISTS {
                problems.push(format!("line {number}: a file has at most {MAX_LISTS} lists"));
                break;
            }
            match status::verify(line, &context) {
                Err(error) => problems.push(format!("line {number}: {error}")),
                Ok(list) => {
                    let newer = updated.as_ref().unwrap_or(gate).status_lists.get(list.issuer(), list.uri());
                    if newer.is_some_and(|known| **known == list) {
                        continue;
                    }
                    let (uri, issued_at) = (list.uri().to_owned(), list.issued_at());
                    if updated.get_or_insert_with(|| gate.clone()).insert(Arc::new(list), line, now) {
                        tracing::info!(issuer = %self.issuer, uri, issued_at, "a status list is in use");
                    } else {
                        problems.push(format!("line {number}: the list `{uri}` is older than the one in use"));
                    }
                }
            }
        }
        problems
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > MAX_FILE_BYTES {
        return Err(format!("it is longer than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

/// The gate of `loaded` with the lists of its files, and what is wrong with those.
#[must_use]
pub fn gate_at(loaded: &Loaded, now: UnixMillis) -> (Snapshot, Vec<Problem>) {
    let mut files = StatusListFiles::of(loaded);
    let gate = Snapshot::from(loaded.gate.clone());
    let gate = files.read(&gate, now).unwrap_or(gate);
    (gate, files.problems())
}

/// Reads the files again and again, until `stop` completes.
pub(crate) async fn keep_reading(
    files: Arc<Mutex<StatusListFiles>>,
    in_force: Arc<InForce>,
    env: Arc<dyn Environment>,
    stop: impl Future<Output = ()>,
) {
    let look = move |files: &mut Arc<Mutex<StatusListFiles>>| {
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.is_empty() {
            in_force.change(|gate| files.read(gate, env.now()));
        }
    };
    look_again("status lists are", READ_EVERY, files, look, stop).await;
}

#[cfg(test)]
mod tests;
