//! The policy that cases start from, and the agent they are about.

use anyhow::Result;
use passgate_api::bundle::{Bundle, GuardrailsDoc};
use serde_json::{Value, json};

use crate::agent::{HOST, ISSUER, ISSUER_SEED, PassportDraft, RequestDraft, SCHEME, key};

/// The key seed of the agent most cases are about.
pub(super) const SCOUT: u8 = 11;

/// What that agent may do, unless a case is about permissions.
pub(super) const PERMISSIONS: &[&str] =
    &["web:*", "payments:*", "orders:create", "email:send", "records:read", "files:read"];

/// The public JWK of the test key with this seed.
pub(super) fn jwk(seed: u8) -> Result<Value> {
    Ok(serde_json::from_str(&key(seed).public().to_jwk())?)
}

/// A gate of level L2 with one issuer, the routes below and these guardrails.
pub(super) fn policy(guardrails: Value) -> Result<Bundle> {
    let guardrails: GuardrailsDoc = serde_json::from_value(guardrails)?;
    let amount = |unit: &str| json!({ "pointer": "/amount", "unit": unit });
    let mut bundle: Bundle = serde_json::from_value(json!({
        "version": 7,
        "gate": { "id": "gate_conformance", "level": "L2", "public_url": format!("{SCHEME}://{HOST}") },
        "issuers": [{ "id": ISSUER, "tier": "L2", "keys": [{ "jwk": jwk(ISSUER_SEED)? }] }],
        "routes": [
            { "method": "GET", "path": "/search", "action": "web:search" },
            { "method": "GET", "path": "/fetch", "action": "web:fetch", "domain": { "query": "url" } },
            { "method": "POST", "path": "/pay", "action": "payments:create", "amount": amount("usd") },
            { "method": "POST", "path": "/pay/cents", "action": "payments:create", "amount": amount("cents") },
            { "method": "POST", "path": "/pay/micro", "action": "payments:create", "amount": amount("micro_usd") },
            { "method": "POST", "path": "/email", "action": "email:send", "domain": { "pointer": "/to" } },
            { "method": "POST", "path": "/order", "action": "orders:create", "amount": amount("usd"),
              "domain": { "pointer": "/shop" } },
            { "method": "GET", "path": "/records/{id}", "action": "records:read" },
            { "method": "DELETE", "path": "/records/{id}", "action": "records:delete" },
            { "path": "/files/secret/**", "action": "files:admin" },
            { "path": "/files/**", "action": "files:read" },
        ],
    }))?;
    bundle.guardrails = guardrails;
    Ok(bundle)
}

/// The policy without guardrails.
pub(super) fn plain() -> Result<Bundle> {
    policy(json!({}))
}

/// The passport of the agent most cases are about.
pub(super) fn scout() -> Result<PassportDraft> {
    PassportDraft::new("agent_scout", SCOUT, PERMISSIONS)
}

/// A request of that agent.
pub(super) fn ask(method: &str, target: &str) -> Result<RequestDraft> {
    Ok(RequestDraft::new(method, target, &scout()?.issue()?, SCOUT))
}

/// The request most cases make.
pub(super) fn search() -> Result<RequestDraft> {
    ask("GET", "/search?q=bread")
}

/// A payment of this amount, written as given.
pub(super) fn pay(amount: &str) -> Result<RequestDraft> {
    Ok(ask("POST", "/pay")?.json(&format!("{{\"amount\":{amount}}}")))
}

/// An order of this amount at this shop.
pub(super) fn order(amount: &str, shop: &str) -> Result<RequestDraft> {
    Ok(ask("POST", "/order")?.json(&format!("{{\"amount\":{amount},\"shop\":{}}}", json!(shop))))
}

/// A mail to this host or URL.
pub(super) fn email(to: &str) -> Result<RequestDraft> {
    Ok(ask("POST", "/email")?.json(&json!({ "to": to }).to_string()))
}
