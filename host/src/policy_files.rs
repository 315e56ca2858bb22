//! The policy of a gateway, read again while it serves: its configuration, the policy files that this names, and the keys
//! of issuers.
//!
//! A policy is put in force as a whole, by one version that is higher than the one before, and requests that began under the
//! one before end under it. Whatever else a configuration says holds from start to end: a change of that is refused as a
//! whole, and so is everything that would be refused at a start.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use passgate_passport::json;
use passgate_passport::key::PublicKey;

use crate::config::{self, Config, Loaded};
use crate::evaluator::Engine;
use crate::look_again::look_again;
use crate::metrics::Metrics;
use crate::signed_file::Stamp;
use crate::status_lists::{InForce, StatusListFiles};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a policy is put in force in.
pub(crate) struct Governed {
    pub(crate) gate: Arc<InForce>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) lists: Arc<Mutex<StatusListFiles>>,
    pub(crate) metrics: Metrics,
    /// The key that signs records.
    pub(crate) signing: Box<dyn Fn() -> PublicKey + Send + Sync>,
}

/// The files of a policy.
pub(crate) struct PolicyFiles {
    /// What is in force.
    loaded: Box<Loaded>,
    watched: Vec<PathBuf>,
    /// How they looked when they were read last.
    seen: Stamp,
    /// Why what they said then is not in force.
    problem: Option<String>,
}

impl PolicyFiles {
    /// Those of what is put in force now.
    pub(crate) fn of(loaded: &Loaded) -> Self {
        let watched = files(loaded, &[&loaded.config]);
        Self { loaded: Box::new(loaded.clone()), seen: Stamp::of(&watched), watched, problem: None }
    }

    /// Puts what the files say in force, if they changed. What cannot be used leaves the policy as it is; it is logged and
    /// counted.
    fn look(&mut self, governed: &Governed) {
        // Who took the gate before the policy changed has taken an instance long since.
        governed.engine.let_go();
        let now = Stamp::of(&self.watched);
        if now == self.seen {
            return;
        }
        // Looked at first: what changes while it is read is read again.
        self.seen = now;
        let problem = match self.read(governed) {
            Ok(None) => None,
            Ok(Some(loaded)) => {
                let policy = &loaded.gate.policy;
                tracing::info!(version = policy.version, sha256 = policy.sha256, "another policy is in force");
                self.loaded = loaded;
                None
            }
            Err(why) => Some(why),
        };
        if let Some(why) = problem.as_ref().filter(|_| problem != self.problem) {
            governed.metrics.policy_reload_failed();
            tracing::error!(why, "the policy's files changed and cannot be used; the one before stays in force");
        }
        self.problem = problem;
        // What could not be used may name other files, of which one is mended next.
        let watched = match config::read_document::<Config>(&self.loaded.path) {
            Ok(written) => files(&self.loaded, &[&self.loaded.config, &written]),
            Err(_) => files(&self.loaded, &[&self.loaded.config]),
        };
        if watched != self.watched {
            // How those that join looked before they were read is not known: all are read once more.
            (self.watched, self.seen) = (watched, Stamp::of(&[]));
        }
    }

    /// What was put in force; nothing when the policy is the one that is.
    fn read(&self, governed: &Governed) -> Result<Option<Box<Loaded>>, String> {
        let loaded = Config::load(&self.loaded.path).map_err(|error| error.to_string())?;
        self.only_the_policy_changed(&loaded)?;
        let (before, after) = (&self.loaded.gate.policy, &loaded.gate.policy);
        // Where status lists are read from is no part of the digest.
        if after.sha256 == before.sha256 && loaded.config.issuers == self.loaded.config.issuers {
            return Ok(None);
        }
        if after.version <= before.version {
            return Err(format!(
                "its version is {}, and that in force has {}: raise `version` with every change",
                after.version, before.version
            ));
        }
        let policy = json::canonical(&loaded.bundle).map_err(|error| error.to_string())?;
        governed.engine.open(policy).map_err(|error| error.to_string())?;
        governed.gate.put(loaded.gate.clone(), &governed.signing);
        *governed.lists.lock().unwrap_or_else(PoisonError::into_inner) = StatusListFiles::of(&loaded);
        Ok(Some(Box::new(loaded)))
    }

    fn only_the_policy_changed(&self, loaded: &Loaded) -> Result<(), String> {
        let (old, new) = (&self.loaded.config, &loaded.config);
        let unchanged = [
            ("gate.id", old.gate.id == new.gate.id),
            ("gate.level", old.gate.level == new.gate.level),
            ("gate.public_url", old.gate.public_url == new.gate.public_url),
            ("evaluator", old.evaluator == new.evaluator),
            ("plugins", old.plugins == new.plugins),
            ("server", old.server == new.server),
            ("upstream", old.upstream == new.upstream),
            ("store", old.store == new.store),
            ("attestation", old.attestation == new.attestation),
            ("control", old.control == new.control),
            ("log", old.log == new.log),
        ];
        match unchanged.into_iter().find(|(_, is_same)| !is_same) {
            Some((member, _)) => Err(format!("`{member}` changed too, which takes a restart")),
            None => Ok(()),
        }
    }
}

/// The files that the policies of these configurations stand in.
fn files(loaded: &Loaded, configs: &[&Config]) -> Vec<PathBuf> {
    let named = configs.iter().flat_map(|config| &config.policy_files);
    let issuers = configs.iter().flat_map(|config| &config.issuers);
    let keys = issuers.filter_map(|issuer| issuer.keys_file.as_ref());
    let people = configs.iter().filter_map(|config| config.approvals.as_ref()).flat_map(|entry| &entry.approvers);
    let keys = keys.chain(people.filter_map(|person| person.key_file.as_ref()));
    let mut files: Vec<PathBuf> = named.chain(keys).map(|name| loaded.base.join(name)).collect();
    files.push(loaded.path.clone());
    files.sort();
    files.dedup();
    files
}

/// Looks at the files again and again until `stop` completes.
pub(crate) async fn keep_loaded(files: PolicyFiles, governed: Governed, stop: impl Future<Output = ()>) {
    let governed = Arc::new(governed);
    let look = move |files: &mut PolicyFiles| files.look(&governed);
    look_again("the policy's files are", LOOK_EVERY, files, look, stop).await;
}
