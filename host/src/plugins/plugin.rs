//! One plugin: loaded from its file, and asked about requests.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use passgate_core::plugin::{PluginOutcome, PluginRecord};
use passgate_core::state::agent_key;
use tokio::time::Instant;

use super::answer::{Answer, check_description};
use super::bindings::exports::passgate::policy::plugin::Description;
use super::breaker::{BreakerState, Breakers};
use super::call::{Called, Failure, Runner};
use super::component::Refused;
use super::engine::{CompileError, Engine};
use super::facts::Question;
use super::settings::{PluginConfig, Settings};
use super::source::Source;
use super::{BUSY, PluginKeys};
use crate::config::PluginLimitsDoc;
use crate::logging::inert;
use crate::signed_file::Code;

/// A plugin that can be asked.
pub(super) struct Plugin {
    settings: Arc<Settings>,
    digest: String,
    /// When it was signed, in Unix seconds, where a signature is asked for.
    signed_at: Option<i64>,
    description: Description,
    runner: Runner,
    breakers: Mutex<Breakers>,
}

/// Why a component is not in use.
pub(super) enum LoadError {
    /// It cannot be used, now and later.
    Refused(Refused),
    /// It may be tried again; why not now.
    Busy(String),
}

impl Plugin {
    /// Checks, compiles and links a component, and asks it who it is.
    ///
    /// # Errors
    ///
    /// [`LoadError`].
    pub(super) async fn load(
        engine: &Arc<Engine>,
        settings: &Arc<Settings>,
        source: Source,
        keys: Arc<dyn PluginKeys>,
    ) -> Result<Self, LoadError> {
        source.shape.check(&settings.grants).map_err(LoadError::Refused)?;
        let timeout = Duration::from_millis(settings.limits.compile_timeout_ms.into());
        let refused = |problem: String, remedy| LoadError::Refused((problem, remedy));
        let Code { bytes, digest, signed } = source.code;
        let component = engine.compile(&digest, bytes, timeout).await.map_err(|error| match error {
            CompileError::Refused(why) => refused(format!("it cannot be compiled: {}", inert(&why)), "build it again"),
            CompileError::TooSlow => {
                let problem = format!("compiling it takes more than {} ms", timeout.as_millis());
                refused(problem, "make it smaller, or raise `compile_timeout_ms`")
            }
            CompileError::Busy => LoadError::Busy(BUSY.to_owned()),
        })?;
        let runner = Runner::new(Arc::clone(engine), &component, settings, keys).map_err(|why| {
            refused(format!("it does not fit the world: {why}"), "build it with this gate's wit/plugin.wit")
        })?;
        let description = runner.describe().await.result.map_err(|failure| {
            if !failure.called || failure.outcome == PluginOutcome::TimedOut {
                return LoadError::Busy(failure.why);
            }
            let problem = format!("it does not say who it is: {:?}, {}", failure.outcome, failure.why);
            refused(problem, "let `describe` answer, or raise the limit it needs")
        })?;
        check_description(&description).map_err(|why| {
            refused(format!("what it says of itself is out of bounds: {why}"), "keep to wit/plugin.wit")
        })?;
        if signed.as_ref().is_some_and(|said| (&said.name, &said.version) != (&description.name, &description.version))
        {
            let problem = format!(
                "it says that it is {} {}, and its signature says something else",
                description.name, description.version
            );
            return Err(refused(problem, "sign it again with `passgate plugin sign`"));
        }
        let (settings, breakers) = (Arc::clone(settings), Mutex::default());
        let signed_at = signed.map(|claims| claims.iat);
        Ok(Self { settings, digest, signed_at, description, runner, breakers })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether it may take the place of `before` while the gate serves: a signature says that it is a plugin, and not which
    /// place it is for.
    pub(super) fn may_follow(&self, before: &Self) -> bool {
        self.signed_at.is_none() || self.description.name == before.description.name
    }

    pub(super) fn signed_at(&self) -> Option<i64> {
        self.signed_at
    }

    pub(super) fn description(&self) -> &Description {
        &self.description
    }

    /// The limits that its calls have.
    pub(super) fn limits(&self) -> &PluginLimitsDoc {
        self.runner.limits()
    }

    pub(super) fn breaker_state(&self) -> BreakerState {
        self.breakers().state(now())
    }

    /// Asks it about a request, unless it failed too often on its agent's requests just before.
    pub(super) async fn evaluate(&self, question: &Question) -> PluginRecord {
        let agent = agent_key(&question.facts.agent.issuer, &question.facts.agent.id);
        if !self.breakers().admit(&agent, now()) {
            return self.not_called(PluginOutcome::Unavailable);
        }
        // A call that is dropped half-way leaves the breaker as this does.
        let mut watch = Watch { plugin: self, agent, result: None };
        let (record, failure) = self.ask(question).await;
        watch.result = Some(failure);
        record
    }

    /// Asks it about a request.
    async fn ask(&self, question: &Question) -> (PluginRecord, Option<Failure>) {
        self.ask_with(question, &self.settings.config).await
    }

    /// Asks it about a request as if it were configured like this.
    pub(super) async fn ask_with(&self, question: &Question, config: &PluginConfig) -> (PluginRecord, Option<Failure>) {
        let facts = question.facts.with_config(&config.text);
        let Called { fuel, result } = self.runner.evaluate(&question.request, &facts).await;
        let invalid = |why| Failure::new(PluginOutcome::AnswerInvalid, why);
        match result.and_then(|verdict| Answer::of(verdict).map_err(invalid)) {
            Ok(Answer { verdict, reason, roles, redacted }) => {
                let record =
                    PluginRecord { config_sha256: config.sha256.clone(), ..self.not_called(PluginOutcome::Answered) };
                (PluginRecord { fuel, reason, redacted, roles, verdict: Some(verdict), ..record }, None)
            }
            Err(failure) => {
                let config_sha256 = config.sha256.clone();
                (PluginRecord { config_sha256, fuel, ..self.not_called(failure.outcome) }, Some(failure))
            }
        }
    }

    /// Its part in a decision that it had no part in.
    pub(super) fn not_called(&self, outcome: PluginOutcome) -> PluginRecord {
        PluginRecord {
            config_sha256: self.settings.config.sha256.clone(),
            digest: self.digest.clone(),
            fuel: 0,
            name: self.settings.name.clone(),
            outcome,
            reason: None,
            redacted: Vec::new(),
            roles: Vec::new(),
            verdict: None,
            version: self.description.version.clone(),
        }
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the breaker how a call ended, whichever way that is.
struct Watch<'a> {
    plugin: &'a Plugin,
    agent: String,
    /// `None` until the call ended; then its failure, if it failed.
    result: Option<Option<Failure>>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let (plugin, name, agent) = (self.plugin, &self.plugin.settings.name, &self.agent);
        let mut breakers = plugin.breakers();
        match self.result.take() {
            Some(None) => breakers.answered(agent),
            Some(Some(failure)) => {
                let Failure { outcome, why, called } = &failure;
                tracing::warn!(plugin = name, digest = plugin.digest, ?outcome, why, "a plugin gave no answer");
                if !called {
                    breakers.cut_off(agent);
                } else if breakers.failed(agent, now()) {
                    tracing::error!(
                        plugin = name,
                        "a plugin failed too often for an agent and is not called for it for a while"
                    );
                }
            }
            None => breakers.cut_off(agent),
        }
    }
}

/// Reads the component of `settings` where no request waits.
///
/// # Errors
///
/// As [`Source::read`].
pub(super) async fn read(settings: &Arc<Settings>) -> Result<Source, Refused> {
    let settings = Arc::clone(settings);
    let reading = tokio::task::spawn_blocking(move || Source::read(&settings));
    reading.await.unwrap_or_else(|error| Err((format!("it cannot be read: {error}"), "report this")))
}

/// A path as errors name it when there is no plugin yet.
pub(super) fn file_stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The time of the runtime, which tests can move.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}
