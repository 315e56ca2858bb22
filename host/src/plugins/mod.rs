//! The operator's policy plugins: WebAssembly components of the world in `wit/plugin.wit`, each call in a sandbox of its own.
//!
//! A plugin says what it has against a request. Whatever it does instead of answering (it traps, runs on, takes too
//! much, answers nonsense) ends its call alone, and stands in a record that refuses the request.
//!
//! # Limits
//!
//! All are always on: time, fuel, memory, tables, stack, calls of the host, log, what an answer hands over. A call has
//! an instance of its own, so nothing is left of the one before. A plugin imports what the operator granted by name, and
//! there is nothing else to import.

mod answer;
#[expect(missing_docs, reason = "the text of `wit/plugin.wit` becomes the documentation, where it has one")]
mod bindings;
mod breaker;
mod call;
mod component;
mod engine;
mod error;
mod facts;
mod limits;
mod plugin;
mod settings;
mod source;
mod trial;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use passgate_core::plugin::{PluginOutcome, PluginRecord, PluginVerdict};
use passgate_passport::scope::ActionName;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

pub use breaker::BreakerState;
pub use error::PluginError;
pub use facts::{Agent, Facts, Header, Question, Request};
pub(crate) use settings::{Fault, check};
pub use trial::{Inspected, Trial, inspect};

use self::component::Refused;
use self::engine::Engine;
use self::plugin::{LoadError, Plugin};
use self::settings::Settings;
use self::source::Source;
use crate::config::{PluginGrant, PluginLimitsDoc, PluginsDoc};
use crate::metrics::Metrics;
use crate::signed_file::Stamp;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The keys that plugins may read.
#[async_trait]
pub trait PluginKeys: Send + Sync {
    /// The value of a key of `plugin`, named as it is configured; `None` when there is none. A key has at most 128
    /// bytes, a value at most 64 KiB.
    ///
    /// # Errors
    ///
    /// Why it cannot be read. The plugin's call ends then, and the request is refused.
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, String>;
}

/// The plugins of a gate. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct PluginHost(Arc<Inner>);

struct Inner {
    /// `None` without plugins.
    engine: Option<Arc<Engine>>,
    keys: Arc<dyn PluginKeys>,
    metrics: Metrics,
    /// The plugins in use, in the order in which they are asked.
    in_use: RwLock<Arc<[Arc<Plugin>]>>,
    /// One for each of them, in the same order.
    files: Vec<Files>,
    /// Held by who looks at the files.
    looking: tokio::sync::Mutex<()>,
}

/// The files of one plugin.
struct Files {
    settings: Arc<Settings>,
    seen: Mutex<Seen>,
}

/// What the files of a plugin were when they were looked at last.
#[derive(Clone)]
struct Seen {
    /// `None`: they have to be read again.
    stamp: Option<Stamp>,
    problem: Option<String>,
}

/// What a plugin is, and how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginStatus {
    /// The name the operator gave it.
    pub name: String,
    /// The file it comes from.
    pub file: PathBuf,
    /// The name it gives itself.
    pub declared_name: String,
    /// The version it says it has.
    pub version: String,
    /// What it says of itself.
    pub summary: String,
    /// SHA-256 of the component in use.
    pub digest: String,
    /// SHA-256 of its configuration.
    pub config_sha256: String,
    /// The scopes of the actions it is asked about; `None` for all.
    pub actions: Option<Vec<String>>,
    /// What it may import.
    pub grants: Vec<PluginGrant>,
    /// The limits that its calls have, as the calls take them.
    pub limits: PluginLimitsDoc,
    /// Whether it is called: what the most careful of its breakers does, of which there is one for each agent.
    pub breaker: BreakerState,
    /// Why the file as it is now is not in use; `None` when it is.
    pub refused_reload: Option<String>,
}

impl PluginHost {
    /// Loads every plugin that `settings` names; relative paths start at `base`.
    ///
    /// # Errors
    ///
    /// The first [`PluginError`]: a gate does not start without one of its plugins.
    pub async fn load(
        settings: &PluginsDoc,
        base: &Path,
        keys: Arc<dyn PluginKeys>,
        metrics: Metrics,
    ) -> Result<Self, PluginError> {
        let settings = check(settings, base).map_err(|fault| {
            let (plugin, problem) = (fault.member, fault.problem);
            PluginError { plugin, file: base.to_owned(), problem, remedy: fault.remedy }
        })?;
        Self::start(settings, keys, metrics).await
    }

    async fn start(settings: Vec<Settings>, keys: Arc<dyn PluginKeys>, metrics: Metrics) -> Result<Self, PluginError> {
        let engine = match settings.first() {
            Some(first) => Some(new_engine(&first.name, &first.file)?),
            None => None,
        };
        let (mut in_use, mut files) = (Vec::new(), Vec::new());
        for (settings, engine) in settings.into_iter().zip(engine.iter().cycle()) {
            let settings = Arc::new(settings);
            // Looked at first: what changes while it is read is read again.
            let stamp = Some(settings.signed_file().stamp());
            let plugin = load_plugin(engine, &settings, Arc::clone(&keys)).await?;
            in_use.push(Arc::new(plugin));
            files.push(Files { settings, seen: Mutex::new(Seen { stamp, problem: None }) });
        }
        let in_use = RwLock::new(in_use.into());
        let looking = tokio::sync::Mutex::new(());
        Ok(Self(Arc::new(Inner { engine, keys, metrics, in_use, files, looking })))
    }

    /// Whether there is no plugin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.files.is_empty()
    }

    /// Whether any plugin is asked about `action`; empty is that of a request that is mapped to none.
    #[must_use]
    pub fn concerns(&self, action: &str) -> bool {
        let action = ActionName::parse(action).ok();
        self.in_use().iter().any(|plugin| plugin.settings().covers(action.as_ref()))
    }

    /// Asks the plugins that the action concerns, in their order, and gives a record of each. After one that refuses or
    /// fails, and when the request is refused already, the rest are not run.
    pub async fn evaluate(&self, question: Question, already_denied: bool) -> Vec<PluginRecord> {
        let plugins = self.in_use();
        let action = ActionName::parse(&question.facts.action).ok();
        let (mut records, mut refused) = (Vec::new(), already_denied);
        for plugin in plugins.iter().filter(|plugin| plugin.settings().covers(action.as_ref())) {
            if refused {
                records.push(plugin.not_called(PluginOutcome::NotRun));
                continue;
            }
            let begun = Instant::now();
            let record = plugin.evaluate(&question).await;
            self.0.metrics.plugin_called(&record.name, record.outcome, begun.elapsed());
            refused = record.outcome != PluginOutcome::Answered || record.verdict == Some(PluginVerdict::Deny);
            records.push(record);
        }
        records
    }

    /// Every plugin, in their order.
    #[must_use]
    pub fn status(&self) -> Vec<PluginStatus> {
        let of = |(plugin, files): (&Arc<Plugin>, &Files)| {
            let (settings, description) = (plugin.settings(), plugin.description());
            let actions = settings.actions.as_ref();
            PluginStatus {
                name: settings.name.clone(),
                file: settings.file.clone(),
                declared_name: description.name.clone(),
                version: description.version.clone(),
                summary: description.summary.clone(),
                digest: plugin.digest().to_owned(),
                config_sha256: settings.config.sha256.clone(),
                actions: actions.map(|scopes| scopes.iter().map(|scope| scope.as_str().to_owned()).collect()),
                grants: settings.grants.clone(),
                limits: plugin.limits().clone(),
                breaker: plugin.breaker_state(),
                refused_reload: files.seen().problem,
            }
        };
        self.in_use().iter().zip(&self.0.files).map(of).collect()
    }

    /// Looks at the files of every plugin once, and takes into use what changed. What cannot be used leaves the plugin
    /// as it is; it is logged, counted, and shown by [`PluginHost::status`].
    pub async fn reload(&self) {
        let _looking = self.0.looking.lock().await;
        let Some(engine) = &self.0.engine else { return };
        for (index, files) in self.0.files.iter().enumerate() {
            let settings = Arc::clone(&files.settings);
            let Ok(stamp) = tokio::task::spawn_blocking(move || settings.signed_file().stamp()).await else { continue };
            if files.seen().stamp.as_ref() != Some(&stamp) {
                let seen = self.reload_one(engine, index, &files.settings, stamp).await;
                *files.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
            }
        }
    }

    /// Looks at the files again and again, until `stop` completes.
    pub async fn keep_loaded(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_empty() {
            let look = async {
                ticks.tick().await;
                self.reload().await;
            };
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = look => {}
            }
        }
    }

    async fn reload_one(&self, engine: &Arc<Engine>, index: usize, settings: &Arc<Settings>, stamp: Stamp) -> Seen {
        let name = &settings.name;
        let in_use = self.in_use().get(index).cloned();
        let signed_at = in_use.as_ref().and_then(|plugin| plugin.signed_at());
        let read = plugin::read(settings).await;
        let loaded = match read.and_then(|source| source.code.not_before(signed_at).map(|()| source)) {
            Ok(source) if in_use.as_ref().is_some_and(|plugin| plugin.digest() == source.code.digest) => Ok(None),
            Ok(source) => Plugin::load(engine, settings, source, Arc::clone(&self.0.keys)).await.map(Some),
            Err(refused) => Err(LoadError::Refused(refused)),
        };
        let loaded = match loaded {
            Ok(Some(plugin)) if in_use.as_ref().is_some_and(|before| !plugin.may_follow(before)) => {
                let problem = "it is signed, and another plugin than the one in use".to_owned();
                Err(LoadError::Refused((problem, "put the right file there, or restart the gate to change plugins")))
            }
            other => other,
        };
        match loaded {
            Ok(plugin) => {
                if let Some(plugin) = plugin {
                    tracing::info!(plugin = name, digest = plugin.digest(), "a plugin was loaded anew");
                    self.swap(index, plugin);
                }
                Seen { stamp: Some(stamp), problem: None }
            }
            Err(LoadError::Busy(why)) => Seen { stamp: None, problem: Some(why) },
            Err(LoadError::Refused(refused)) => {
                let error = PluginError::new(name, &settings.file, refused);
                tracing::error!(%error, "a plugin could not be loaded anew; the one before stays in use");
                self.0.metrics.plugin_reload_failed(name);
                let problem = format!("{}; {}", error.problem, error.remedy);
                Seen { stamp: Some(stamp), problem: Some(problem) }
            }
        }
    }

    /// The plugins as they are now. A request is judged with what it took first.
    fn in_use(&self) -> Arc<[Arc<Plugin>]> {
        Arc::clone(&self.0.in_use.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn swap(&self, index: usize, plugin: Plugin) {
        let mut in_use = self.0.in_use.write().unwrap_or_else(PoisonError::into_inner);
        let mut plugins = in_use.to_vec();
        if let Some(place) = plugins.get_mut(index) {
            *place = Arc::new(plugin);
            *in_use = plugins.into();
        }
    }
}

impl Files {
    fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a component was not compiled when its turn came.
const BUSY: &str = "the compiler is still at work on a component before it";

fn new_engine(plugin: &str, file: &Path) -> Result<Arc<Engine>, PluginError> {
    let remedy = "let the gate reserve address space (`ulimit -v unlimited`); it takes memory only for running calls";
    let refused = |why: String| PluginError::new(plugin, file, (format!("no sandbox for it: {why}"), remedy));
    Engine::new().map_err(refused)
}

async fn load_plugin(
    engine: &Arc<Engine>,
    settings: &Arc<Settings>,
    keys: Arc<dyn PluginKeys>,
) -> Result<Plugin, PluginError> {
    let error = |refused: Refused| PluginError::new(&settings.name, &settings.file, refused);
    let source = plugin::read(settings).await.map_err(error)?;
    load_source(engine, settings, source, keys).await
}

async fn load_source(
    engine: &Arc<Engine>,
    settings: &Arc<Settings>,
    source: Source,
    keys: Arc<dyn PluginKeys>,
) -> Result<Plugin, PluginError> {
    let error = |refused: Refused| PluginError::new(&settings.name, &settings.file, refused);
    Plugin::load(engine, settings, source, keys).await.map_err(|problem| match problem {
        LoadError::Refused(refused) => error(refused),
        LoadError::Busy(why) => error((why, "raise `compile_timeout_ms`, or build it with this gate's wit/plugin.wit")),
    })
}

#[cfg(test)]
mod tests;
