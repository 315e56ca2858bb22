//! What a plugin is asked.

use passgate_core::gate::Gate;
use passgate_core::pipeline::RawRequest;
use passgate_core::time::UnixMillis;

use super::bindings::passgate::policy::types;
use crate::evaluator::Shown;

pub use super::bindings::passgate::policy::types::{Agent, Header, Request};

/// A request that plugins are asked about.
#[derive(Debug, Clone)]
pub struct Question {
    /// The request as it goes upstream if it is allowed.
    pub request: Request,
    /// What the gate knows of it.
    pub facts: Facts,
}

/// What the gate knows, as in `wit/plugin.wit`. The configuration is each plugin's own, and comes with the plugin.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The gate's clock, Unix milliseconds.
    pub now_ms: u64,
    /// The gate's identifier.
    pub gate_id: String,
    /// What the request was mapped to, such as `payments:create`.
    pub action: String,
    /// Millionths of a US dollar, when the route declares an amount.
    pub amount_micro_usd: Option<u64>,
    /// The domain, when the route declares one.
    pub target_domain: Option<String>,
    /// Who asks.
    pub agent: Agent,
}

impl Question {
    /// The question of a request that was judged by `gate` at `now`.
    #[must_use]
    pub fn new(shown: Shown, gate: &Gate, raw: &RawRequest<'_>, now: UnixMillis) -> Self {
        let request = Request {
            method: raw.method.to_owned(),
            scheme: gate.origin.scheme.clone(),
            authority: gate.origin.authority.clone(),
            path: raw.path.to_owned(),
            query: raw.query.map(str::to_owned),
            headers: shown.covered.into_iter().map(|(name, value)| Header { name, value }).collect(),
            body: raw.body.to_vec(),
        };
        let agent = Agent {
            id: shown.agent_id,
            issuer: shown.issuer,
            tier: shown.trust_tier,
            passport_id: shown.passport_id,
            key_thumbprint: shown.key_thumbprint,
            permissions: shown.permissions,
            delegated_by: shown.delegated_by.into_iter().map(|delegator| delegator.agent_id).collect(),
            labels: shown.labels,
            purpose: shown.purpose,
        };
        let facts = Facts {
            now_ms: now.0,
            gate_id: gate.id.clone(),
            action: shown.action,
            amount_micro_usd: shown.amount_micro_usd,
            target_domain: shown.target_domain,
            agent,
        };
        Self { request, facts }
    }
}

impl Facts {
    /// As one plugin sees them.
    pub(super) fn with_config(&self, config: &str) -> types::Facts {
        types::Facts {
            now_ms: self.now_ms,
            gate_id: self.gate_id.clone(),
            action: self.action.clone(),
            amount_micro_usd: self.amount_micro_usd,
            target_domain: self.target_domain.clone(),
            agent: self.agent.clone(),
            config: config.to_owned(),
        }
    }
}
