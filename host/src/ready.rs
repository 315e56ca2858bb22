//! What a gateway says of itself once it serves.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use passgate_api::bundle::{GuardrailsDoc, IssuerStatusDoc, IssuerTierDoc};
use passgate_core::attest::Writer;
use passgate_store::Durability;
use tokio::net::TcpListener;

use crate::config::Loaded;
use crate::evaluator::Engine;
use crate::logging::inert;
use crate::plugins::PluginHost;

/// The start-up table. Prints as lines of plain text, the last of them `Ready on <url>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyInfo {
    /// The gate's id.
    pub gate_id: String,
    /// Its security level.
    pub level: &'static str,
    /// What the level demands and the policy does not.
    pub loosened: Vec<String>,
    /// The configuration, with what is behind it when it is a symbolic link.
    pub config: String,
    /// The bound address of the data plane.
    pub listen: SocketAddr,
    /// The bound address of health and metrics, when served over TCP.
    pub metrics_listen: Option<SocketAddr>,
    /// The control socket.
    pub socket: PathBuf,
    /// The API behind the gate.
    pub upstream: String,
    /// Where callers reach the gate.
    pub public_url: String,
    /// Each issuer with its tier.
    pub issuers: Vec<String>,
    /// The store and whether it survives the process.
    pub store: String,
    /// The chain this process writes.
    pub chain_uid: String,
    /// RFC 7638 thumbprint of the attestation key.
    pub attestation_key: String,
    /// The guardrails that are set.
    pub guardrails: Vec<String>,
    /// The version of the policy.
    pub policy_version: u64,
    /// What decides, with its digest.
    pub evaluator: String,
    /// Each policy plugin with its version and digest.
    pub plugins: Vec<String>,
}

impl ReadyInfo {
    pub(crate) fn new(
        loaded: &Loaded,
        listener: &TcpListener,
        metrics: Option<&TcpListener>,
        writer: &Writer,
        durability: Durability,
        engine: &Engine,
        plugins: &PluginHost,
    ) -> io::Result<Self> {
        let config = if loaded.path.is_symlink() {
            format!("{} -> {}", loaded.path.display(), loaded.resolved_path.display())
        } else {
            loaded.path.display().to_string()
        };
        let store = match (&loaded.paths.store, durability) {
            (Some(path), Durability::Durable) => format!("redb {} (durable)", path.display()),
            (Some(path), Durability::Volatile) => format!("{} (volatile)", path.display()),
            (None, Durability::Durable) => "durable".to_owned(),
            (None, Durability::Volatile) => "memory (lost when the gate stops)".to_owned(),
        };
        Ok(Self {
            gate_id: loaded.gate.id.clone(),
            level: loaded.gate.level.as_str(),
            loosened: loaded.gate.loosened().map(str::to_owned).collect(),
            config,
            listen: listener.local_addr()?,
            metrics_listen: metrics.map(TcpListener::local_addr).transpose()?,
            socket: loaded.paths.socket.clone(),
            upstream: loaded.config.upstream.url.clone(),
            public_url: loaded.config.gate.public_url.clone(),
            issuers: issuers(loaded),
            store,
            chain_uid: writer.chain_uid().to_owned(),
            attestation_key: writer.public_key().thumbprint().to_owned(),
            guardrails: guardrails(&loaded.config.guardrails),
            policy_version: loaded.bundle.version,
            evaluator: match engine.evaluator() {
                Some(component) => format!("component {}", component.digest),
                None => format!("native {}", loaded.gate.evaluator.digest),
            },
            plugins: plugins
                .status()
                .iter()
                .map(|plugin| format!("{} {} ({})", plugin.name, plugin.version, plugin.digest))
                .collect(),
        })
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
        let mut rows = vec![
            ("gate", format!("{} ({})", self.gate_id, self.level)),
            ("config", format!("{} (policy version {})", self.config, self.policy_version)),
            ("listen", self.listen.to_string()),
            ("public url", self.public_url.clone()),
            ("upstream", self.upstream.clone()),
            ("issuers", format!("{}: {}", self.issuers.len(), list(&self.issuers))),
            ("guardrails", list(&self.guardrails)),
            ("evaluator", self.evaluator.clone()),
            ("plugins", list(&self.plugins)),
            ("store", self.store.clone()),
            ("ledger", format!("chain {}", self.chain_uid)),
            ("attestation", format!("key {}", self.attestation_key)),
            ("control", self.socket.display().to_string()),
        ];
        if !self.loosened.is_empty() {
            rows.insert(1, ("LOOSENED", format!("{}: the level demands it", list(&self.loosened))));
        }
        rows.extend(self.metrics_listen.map(|address| ("metrics", format!("http://{address}/metrics"))));
        rows.push(("fail mode", "closed".to_owned()));
        rows
    }
}

impl fmt::Display for ReadyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.rows() {
            writeln!(f, "{name:<12} {}", inert(&value))?;
        }
        write!(f, "Ready on {}", self.public_url)
    }
}

fn issuers(loaded: &Loaded) -> Vec<String> {
    let describe = |issuer: &passgate_api::bundle::IssuerDoc| {
        let tier = if issuer.tier == IssuerTierDoc::L2 { "L2" } else { "L3" };
        let suspended = if issuer.status == IssuerStatusDoc::Suspended { ", suspended" } else { "" };
        format!("{} ({tier}{suspended})", issuer.id)
    };
    loaded.bundle.issuers.iter().map(describe).collect()
}

fn guardrails(doc: &GuardrailsDoc) -> Vec<String> {
    let (rates, spend) = (&doc.rate_limits, &doc.spend_limits);
    let rate = |limit: Option<u32>, window: &str| limit.map(|limit| format!("{limit} requests/{window}"));
    let usd = |amount: Option<passgate_api::usd::Usd>, what: &str| amount.map(|usd| format!("{what} {} USD", usd.0));
    let shared =
        [rates.per_gate, rates.per_tenant, rates.per_action].iter().any(|windows| *windows != Default::default());
    let caps = [spend.per_gate, spend.per_tenant, spend.per_actor, spend.per_action];
    let capped = caps.iter().any(|caps| *caps != Default::default()) || spend.per_task != Default::default();
    [
        rate(rates.requests_per_minute, "minute"),
        rate(rates.requests_per_hour, "hour"),
        rate(rates.requests_per_day, "day"),
        shared.then(|| "shared rate limits".to_owned()),
        usd(spend.per_transaction_usd, "at most"),
        usd(spend.daily_usd, "daily"),
        usd(spend.monthly_usd, "monthly"),
        capped.then(|| "shared spend caps".to_owned()),
        doc.allowed_domains.as_ref().map(|domains| format!("{} allowed domains", domains.len())),
        doc.pii_controls.as_ref().map(|_| "personal data".to_owned()),
        doc.pii_controls
            .as_ref()
            .and_then(|pii| pii.responses.as_ref())
            .map(|_| "personal data in responses".to_owned()),
        usd(doc.approval_workflows.require_approval_above_usd, "approval above"),
        doc.sessions.as_ref().map(|of| if of.read_only { "read-only sessions" } else { "sessions" }.to_owned()),
        doc.guardian.map(|of| if of.spot.is_some() { "guardian with risk scores" } else { "guardian" }.to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}
