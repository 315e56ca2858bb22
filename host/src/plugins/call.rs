//! One call of a plugin: an instance of its own, its limits, and how it ended.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use passgate_core::plugin::PluginOutcome;
use passgate_core::state::{MAX_PLUGIN_VALUE_BYTES, plugin_row_key};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Store, Trap, WasmBacktrace};

use super::PluginKeys;
use super::bindings::PolicyPre;
use super::bindings::exports::passgate::policy::plugin::{Description, Guest};
use super::bindings::passgate::policy::types::{Facts, Request, Verdict};
use super::bindings::passgate::policy::{keys, log};
use super::engine::{Engine, Running};
use super::limits::{Budget, Ended, deadline};
use super::settings::Settings;
use crate::config::{PluginGrant, PluginLimitsDoc};
use crate::logging::inert;

/// After how much fuel a call's use of it is written down. What a call used that is cut off is known up to this.
const FUEL_STEP: u64 = 1_000_000;

/// A component that is compiled and linked, ready to be called.
pub(super) struct Runner {
    engine: Arc<Engine>,
    linked: PolicyPre<State>,
    name: Arc<str>,
    limits: PluginLimitsDoc,
    keys: Arc<dyn PluginKeys>,
}

/// How a call ended.
pub(super) struct Called<T> {
    /// Fuel it used; up to a million less than that when it was cut off.
    pub(super) fuel: u64,
    pub(super) result: Result<T, Failure>,
}

impl<T> Called<T> {
    /// A call for which there was no place.
    fn crowded_out() -> Self {
        let failure = Failure::new(PluginOutcome::Unavailable, "too many plugins are running");
        Self { fuel: 0, result: Err(Failure { called: false, ..failure }) }
    }
}

/// A call without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) outcome: PluginOutcome,
    /// What happened, for the log.
    pub(super) why: String,
    /// Whether the plugin was called at all.
    pub(super) called: bool,
}

impl Failure {
    pub(super) fn new(outcome: PluginOutcome, why: impl Into<String>) -> Self {
        Self { outcome, why: why.into(), called: true }
    }
}

impl Runner {
    /// Links `component` with what is granted and nothing else.
    ///
    /// # Errors
    ///
    /// When it does not fit the world.
    pub(super) fn new(
        engine: Arc<Engine>,
        component: &Component,
        settings: &Settings,
        keys: Arc<dyn PluginKeys>,
    ) -> Result<Self, String> {
        let linked =
            link(&engine, component, &settings.grants).map_err(|error| inert(&format!("{error:#}")).into_owned())?;
        let limits = settings.limits.clone();
        Ok(Self { engine, linked, name: settings.name.as_str().into(), limits, keys })
    }

    /// The limits that its calls have.
    pub(super) fn limits(&self) -> &PluginLimitsDoc {
        &self.limits
    }

    /// Asks the plugin who it is.
    pub(super) async fn describe(&self) -> Called<Description> {
        self.call(async |plugin, store| plugin.call_describe(store).await).await
    }

    /// Asks the plugin about a request.
    pub(super) async fn evaluate(&self, request: &Request, facts: &Facts) -> Called<Verdict> {
        self.call(async |plugin, store| plugin.call_evaluate(store, request, facts).await).await
    }

    /// Makes an instance and asks it.
    async fn call<T>(&self, ask: impl AsyncFnOnce(&Guest, &mut Store<State>) -> wasmtime::Result<T>) -> Called<T> {
        // Taken before the store is made, so that it is given back after the store's instance is gone.
        let Some(_running) = self.enter().await else { return Called::crowded_out() };
        let mut store = match self.store() {
            Ok(store) => store,
            Err(error) => return Called { fuel: 0, result: Err(failure(&error)) },
        };
        let work = async {
            let policy = self.linked.instantiate_async(&mut store).await.map_err(not_made)?;
            ask(policy.passgate_policy_plugin(), &mut store).await
        };
        let result = self.bounded(work).await;
        Called { fuel: self.fuel_used(&store), result }
    }

    /// A place for a call. Waiting for others is not the plugin's time.
    async fn enter(&self) -> Option<Running<'_>> {
        self.engine.enter(Instant::now() + deadline(&self.limits)).await
    }

    /// A store with every limit set.
    fn store(&self) -> wasmtime::Result<Store<State>> {
        let budget = Budget::new(&self.limits);
        let state = State { plugin: Arc::clone(&self.name), keys: Arc::clone(&self.keys), budget };
        let mut store = Store::new(self.engine.wasm(), state);
        store.limiter(|state| &mut state.budget);
        store.set_fuel(self.limits.fuel)?;
        store.fuel_async_yield_interval(Some(FUEL_STEP))?;
        store.set_hostcall_fuel(usize::try_from(self.limits.answer_bytes).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok(store)
    }

    /// Runs `work` until the deadline, and says in a word how it ended. A panic ends the call and nothing else.
    async fn bounded<T>(&self, work: impl Future<Output = wasmtime::Result<T>>) -> Result<T, Failure> {
        let time = deadline(&self.limits);
        let work = AssertUnwindSafe(work).catch_unwind();
        match timeout_at(Instant::now() + time, work).await {
            Ok(Ok(result)) => result.map_err(|error| failure(&error)),
            Ok(Err(_)) => Err(Failure::new(PluginOutcome::Trapped, "the host panicked; this is a bug in Passgate")),
            Err(_) => Err(Failure::new(PluginOutcome::TimedOut, format!("no answer within {} ms", time.as_millis()))),
        }
    }

    fn fuel_used(&self, store: &Store<State>) -> u64 {
        self.limits.fuel.saturating_sub(store.get_fuel().unwrap_or_default())
    }
}

fn link(engine: &Engine, component: &Component, grants: &[PluginGrant]) -> wasmtime::Result<PolicyPre<State>> {
    let mut linker = Linker::<State>::new(engine.wasm());
    for grant in grants {
        match grant {
            PluginGrant::Log => log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?,
            PluginGrant::Keys => keys::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?,
        }
    }
    PolicyPre::new(linker.instantiate_pre(component)?)
}

/// What keeps an instance from being made, unless it is the plugin's own doing, is the machine's.
fn not_made(error: wasmtime::Error) -> wasmtime::Error {
    match error.is::<Ended>() || error.is::<Trap>() {
        true => error,
        false => Ended::Instance(format!("{error:#}")).into(),
    }
}

/// What ended a call.
fn failure(error: &wasmtime::Error) -> Failure {
    let why = inert(&format!("{:#}", error.root_cause())).into_owned();
    let outcome = match (error.downcast_ref::<Ended>(), error.downcast_ref::<Trap>()) {
        (Some(Ended::Limit(_)), _) => PluginOutcome::LimitExceeded,
        (Some(Ended::Keys(_) | Ended::Instance(_)), _) => PluginOutcome::Unavailable,
        (None, Some(Trap::OutOfFuel)) => PluginOutcome::FuelExhausted,
        (None, Some(Trap::StackOverflow)) => PluginOutcome::LimitExceeded,
        (None, Some(_)) => PluginOutcome::Trapped,
        (None, None) if why.contains(HOSTCALL_FUEL) => PluginOutcome::LimitExceeded,
        // Inside of the plugin, everything leaves a trace of its calls; after it, what fails is reading its answer.
        (None, None) if error.downcast_ref::<WasmBacktrace>().is_some() => PluginOutcome::Trapped,
        (None, None) => PluginOutcome::AnswerInvalid,
    };
    // What the machine lacks is no failure of the plugin.
    let called = !matches!(error.downcast_ref::<Ended>(), Some(Ended::Instance(_)));
    Failure { called, ..Failure::new(outcome, why) }
}

/// What wasmtime says when more is handed over than `set_hostcall_fuel` lets through. The type of that error is its own.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// What the host knows in a call.
pub(super) struct State {
    plugin: Arc<str>,
    keys: Arc<dyn PluginKeys>,
    budget: Budget,
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.budget.take_host_call()?;
        self.budget.take_log(message.len())?;
        let (plugin, message) = (&*self.plugin, inert(&message));
        match level {
            log::Level::Debug => tracing::debug!(plugin, %message, "a plugin says"),
            log::Level::Info => tracing::info!(plugin, %message, "a plugin says"),
            log::Level::Warn => tracing::warn!(plugin, %message, "a plugin says"),
            log::Level::Error => tracing::error!(plugin, %message, "a plugin says"),
        }
        Ok(())
    }
}

impl keys::Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.budget.take_host_call()?;
        // What no operator can write is not there.
        if plugin_row_key("any", &key).is_err() {
            return Ok(None);
        }
        let value = self.keys.get(&self.plugin, &key).await.map_err(Ended::Keys)?;
        if value.as_ref().is_some_and(|value| value.len() > MAX_PLUGIN_VALUE_BYTES) {
            return Err(Ended::Keys(format!("a value has more than {MAX_PLUGIN_VALUE_BYTES} bytes")).into());
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_not_the_plugins_answer() {
        let outcome = |error| failure(&not_made(error)).outcome;
        assert_eq!(outcome(wasmtime::Error::msg("out of memory")), PluginOutcome::Unavailable);
        assert_eq!(outcome(Ended::Limit("memory_bytes").into()), PluginOutcome::LimitExceeded);
        assert_eq!(outcome(Trap::UnreachableCodeReached.into()), PluginOutcome::Trapped);
        assert_eq!(failure(&wasmtime::Error::msg("no such case")).outcome, PluginOutcome::AnswerInvalid);
    }
}
