//! What a plugin is asked.

use super::bindings::passgate::policy::types;

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
