//! Counters and times for Prometheus. Labels come from closed sets; nothing an agent sends becomes one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use passgate_core::attest::DecisionKind;
use passgate_core::pipeline::ResponseVerdict;
use passgate_core::plugin::PluginOutcome;
use passgate_core::reason::Reason;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The media type of [`Metrics::encode`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the buckets of decision times, in seconds.
const DECISION_BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];
/// Upper bounds of the buckets of upstream times, in seconds.
const UPSTREAM_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds of the buckets of plugin times, in seconds.
const PLUGIN_BUCKETS: [f64; 9] = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 1.0];

/// The metrics of one gateway. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    decisions: Family<DecisionLabels, Counter>,
    decision_seconds: Histogram,
    upstream_seconds: Histogram,
    responses: Family<ResponseLabels, Counter>,
    ledger_append_failures: Counter,
    refusals_folded: Counter,
    panics: Counter,
    accept_failures: Counter,
    evaluator_reload_failures: Counter,
    policy_reload_failures: Counter,
    plugin_calls: Family<PluginCallLabels, Counter>,
    plugin_seconds: Histogram,
    plugin_reload_failures: Family<PluginLabels, Counter>,
    store_up: Gauge,
    in_flight: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    given: &'static str,
    reason: &'static str,
}

/// The names of plugins are the operator's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginCallLabels {
    plugin: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            decisions: Family::default(),
            decision_seconds: Histogram::new(DECISION_BUCKETS),
            upstream_seconds: Histogram::new(UPSTREAM_BUCKETS),
            responses: Family::default(),
            ledger_append_failures: Counter::default(),
            refusals_folded: Counter::default(),
            panics: Counter::default(),
            accept_failures: Counter::default(),
            evaluator_reload_failures: Counter::default(),
            policy_reload_failures: Counter::default(),
            plugin_calls: Family::default(),
            plugin_seconds: Histogram::new(PLUGIN_BUCKETS),
            plugin_reload_failures: Family::default(),
            store_up: Gauge::default(),
            in_flight: Gauge::default(),
        };
        metrics.registry = Arc::new(metrics.registered());
        metrics
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut registry = Registry::with_prefix("passgate");
        registry.register("decisions", "Decisions by verdict and reason", self.decisions.clone());
        registry.register(
            "decision_seconds",
            "From the complete request to its durable decision",
            self.decision_seconds.clone(),
        );
        registry.register("upstream_seconds", "From forwarding to the response head", self.upstream_seconds.clone());
        registry.register(
            "responses_looked_at",
            "Responses held against guardrails, by what went back",
            self.responses.clone(),
        );
        registry.register(
            "ledger_append_failures",
            "Records that could not be written",
            self.ledger_append_failures.clone(),
        );
        registry.register(
            "refusals_folded",
            "Refusals counted instead of recorded one by one",
            self.refusals_folded.clone(),
        );
        registry.register("panics", "Requests that ended in a panic", self.panics.clone());
        registry.register(
            "accept_failures",
            "Failures to accept a connection, such as for want of open files",
            self.accept_failures.clone(),
        );
        registry.register(
            "evaluator_reload_failures",
            "Changed evaluator files that could not be put in force",
            self.evaluator_reload_failures.clone(),
        );
        registry.register(
            "policy_reload_failures",
            "Changed policies that could not be put in force",
            self.policy_reload_failures.clone(),
        );
        registry.register("plugin_calls", "Calls of plugins by how they ended", self.plugin_calls.clone());
        registry.register("plugin_seconds", "How long calls of plugins took", self.plugin_seconds.clone());
        registry.register(
            "plugin_reload_failures",
            "Changed plugin files that could not be taken into use",
            self.plugin_reload_failures.clone(),
        );
        registry.register("store_up", "Whether the last write to the store succeeded", self.store_up.clone());
        registry.register(
            "requests_in_flight",
            "Requests from when they are read to their outcome",
            self.in_flight.clone(),
        );
        registry
    }

    /// Counts one decision.
    pub fn decided(&self, decision: DecisionKind, reason: Option<Reason>) {
        let labels = DecisionLabels { decision: decision.as_str(), reason: reason.map_or("none", Reason::code) };
        self.decisions.get_or_create(&labels).inc();
    }

    /// Notes how long a decision took.
    pub fn decision_took(&self, time: Duration) {
        self.decision_seconds.observe(time.as_secs_f64());
    }

    /// Notes how long the upstream took to begin its response.
    pub fn upstream_took(&self, time: Duration) {
        self.upstream_seconds.observe(time.as_secs_f64());
    }

    /// Counts a response by what becomes of it.
    pub fn looked_at(&self, verdict: &ResponseVerdict) {
        let (given, reason) = match verdict {
            ResponseVerdict::AsItCame => ("as_it_came", "none"),
            ResponseVerdict::Changed(_) => ("changed", "none"),
            ResponseVerdict::Withheld(reason) => ("withheld", reason.code()),
        };
        self.responses.get_or_create(&ResponseLabels { given, reason }).inc();
    }

    /// Counts a record that could not be written.
    pub fn append_failed(&self) {
        self.ledger_append_failures.inc();
    }

    /// Counts a refusal that was counted instead of recorded.
    pub fn refusal_folded(&self) {
        self.refusals_folded.inc();
    }

    /// Counts a panic.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts a failure to accept a connection.
    pub fn accept_failed(&self) {
        self.accept_failures.inc();
    }

    /// A changed policy could not be put in force.
    pub fn policy_reload_failed(&self) {
        self.policy_reload_failures.inc();
    }

    /// Counts a changed evaluator that could not be put in force.
    pub fn evaluator_reload_failed(&self) {
        self.evaluator_reload_failures.inc();
    }

    /// Counts one call of a plugin, and notes how long it took.
    pub fn plugin_called(&self, plugin: &str, outcome: PluginOutcome, time: Duration) {
        let labels = PluginCallLabels { plugin: plugin.to_owned(), outcome: outcome_label(outcome) };
        self.plugin_calls.get_or_create(&labels).inc();
        self.plugin_seconds.observe(time.as_secs_f64());
    }

    /// Counts a changed plugin that could not be taken into use.
    pub fn plugin_reload_failed(&self, plugin: &str) {
        self.plugin_reload_failures.get_or_create(&PluginLabels { plugin: plugin.to_owned() }).inc();
    }

    /// Says whether the store works.
    pub fn store_is_up(&self, up: bool) {
        self.store_up.set(up.into());
    }

    /// Counts a request as running for as long as the result lives.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// The metrics as `OpenMetrics` text.
    ///
    /// # Errors
    ///
    /// Never, as far as writing to a string goes.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

fn outcome_label(outcome: PluginOutcome) -> &'static str {
    match outcome {
        PluginOutcome::Answered => "answered",
        PluginOutcome::Trapped => "trapped",
        PluginOutcome::TimedOut => "timed_out",
        PluginOutcome::FuelExhausted => "fuel_exhausted",
        PluginOutcome::LimitExceeded => "limit_exceeded",
        PluginOutcome::AnswerInvalid => "answer_invalid",
        PluginOutcome::Unavailable => "unavailable",
        PluginOutcome::NotRun => "not_run",
    }
}

/// A running request.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::default();
        metrics.decided(DecisionKind::Allow, None);
        metrics.decided(DecisionKind::Deny, Some(Reason::NonceReplayed));
        metrics.decided(DecisionKind::Deny, Some(Reason::NonceReplayed));
        metrics.decision_took(Duration::from_micros(300));
        metrics.store_is_up(true);
        metrics.panicked();
        metrics.accept_failed();
        metrics.plugin_called("business-hours", PluginOutcome::TimedOut, Duration::from_micros(80));
        metrics.plugin_reload_failed("business-hours");
        let running = metrics.in_flight();
        let text = metrics.encode().unwrap();
        for line in [
            "passgate_decisions_total{decision=\"allow\",reason=\"none\"} 1",
            "passgate_decisions_total{decision=\"deny\",reason=\"nonce_replayed\"} 2",
            "passgate_decision_seconds_bucket{le=\"0.0005\"} 1",
            "passgate_decision_seconds_count 1",
            "passgate_upstream_seconds_count 0",
            "passgate_ledger_append_failures_total 0",
            "passgate_refusals_folded_total 0",
            "passgate_panics_total 1",
            "passgate_accept_failures_total 1",
            "passgate_plugin_calls_total{plugin=\"business-hours\",outcome=\"timed_out\"} 1",
            "passgate_plugin_seconds_bucket{le=\"0.0001\"} 1",
            "passgate_plugin_reload_failures_total{plugin=\"business-hours\"} 1",
            "passgate_store_up 1",
            "passgate_requests_in_flight 1",
        ] {
            assert!(text.lines().any(|given| given == line), "{line} is not in:\n{text}");
        }
        drop(running);
        assert!(metrics.encode().unwrap().contains("passgate_requests_in_flight 0\n"));
    }
}
