//! The bundle that tests begin with, and agents with passports that are valid now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use passgate_api::edge::EdgeBundle;
use serde_json::{Value, json};

use crate::agent::{HOST, ISSUER, ISSUER_SEED, PassportDraft, RequestDraft, SCHEME, key};
use crate::site::now;

/// The id of the gate.
pub const GATE_ID: &str = "gate_edge";

/// An agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its passport.
    pub passport: String,
    /// The passport's id.
    pub passport_id: String,
    /// Its id.
    pub id: String,
    /// The seed of its key.
    pub seed: u8,
}

/// A bundle for a gate in front of `upstream`, valid from now for a day, as `change` leaves it.
///
/// # Errors
/// When it is no bundle.
pub fn bundle(upstream: &str, change: impl FnOnce(&mut Value)) -> Result<EdgeBundle> {
    let now = now()?;
    let issuer: Value = serde_json::from_str(&key(ISSUER_SEED).public().to_jwk())?;
    let mut document = json!({
        "iat": now,
        "exp": now + 86_400,
        "policy": {
            "version": 1,
            "gate": { "id": GATE_ID, "level": "L2", "public_url": format!("{SCHEME}://{HOST}") },
            "issuers": [{ "id": ISSUER, "tier": "L2", "keys": [{ "jwk": issuer }] }],
            "routes": [
                { "method": "POST", "path": "/pay", "action": "payments:create", "amount": { "pointer": "/amount" } },
                { "path": "/**", "action": "web:call" },
            ],
        },
        // Patience with a busy machine: no test here is about a decision that takes too long.
        "edge": { "upstream": { "url": upstream }, "decision_timeout_ms": 60_000 },
    });
    change(&mut document);
    Ok(serde_json::from_value(document)?)
}

impl Agent {
    /// An agent of the bundle's issuer with these permissions.
    ///
    /// # Errors
    /// When a permission is none.
    pub fn new(id: &str, seed: u8, permissions: &[&str]) -> Result<Self> {
        Self::with(id, seed, permissions, |_| ())
    }

    /// The same with a passport as `change` leaves it.
    ///
    /// # Errors
    /// When no verifier would accept it.
    pub fn with(id: &str, seed: u8, permissions: &[&str], change: impl FnOnce(&mut PassportDraft)) -> Result<Self> {
        let mut draft = PassportDraft::new(id, seed, permissions)?;
        (draft.claims.iat, draft.claims.exp) = (now()? - 3600, now()? + 86_400);
        change(&mut draft);
        Ok(Self { passport: draft.issue()?, passport_id: draft.claims.jti, id: id.to_owned(), seed })
    }

    /// A request with a nonce of its own, to be signed now.
    ///
    /// # Errors
    /// When the clock stands before 1970.
    pub fn request(&self, method: &str, target: &str) -> Result<RequestDraft> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let nonce = format!("nonce-{nanos}-{number}");
        Ok(RequestDraft::new(method, target, &self.passport, self.seed).nonce(&nonce).created(now()?))
    }
}
