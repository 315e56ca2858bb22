//! For unit tests of rules: requests and facts to start from, and what stands in for the gate.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::log::Level;
use crate::{Agent, Facts, Request};

thread_local! {
    // Each test has a thread of its own.
    static KEYS: RefCell<BTreeMap<String, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// A `POST` of this body to `https://api.example.com` and the path, without a query or headers.
#[must_use]
pub fn request(path: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        scheme: "https".to_owned(),
        authority: "api.example.com".to_owned(),
        path: path.to_owned(),
        query: None,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

/// The facts of this action with this configuration, as JSON: asked by `agent-1` of tier L2, who may do anything, on
/// Monday, 2026-01-05 at 12:00 UTC.
#[must_use]
pub fn facts(action: &str, config: &str) -> Facts {
    Facts {
        now_ms: 1_767_614_400_000,
        gate_id: "gate_local".to_owned(),
        action: action.to_owned(),
        amount_micro_usd: None,
        target_domain: None,
        agent: Agent {
            id: "agent-1".to_owned(),
            issuer: "https://issuer.example".to_owned(),
            tier: "L2".to_owned(),
            passport_id: "pass_01ARYZ6S410000000000000001".to_owned(),
            key_thumbprint: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned(),
            permissions: vec!["*".to_owned()],
            delegated_by: Vec::new(),
            labels: Vec::new(),
            purpose: None,
        },
        config: config.to_owned(),
    }
}

/// Sets a key for this test, as an operator does with `passgate plugin keys set`.
pub fn set_key(key: &str, value: &str) {
    KEYS.with_borrow_mut(|keys| keys.insert(key.to_owned(), value.as_bytes().to_vec()));
}

/// What was logged in this test.
#[must_use]
pub fn logged() -> Vec<(Level, String)> {
    LOGGED.with_borrow(Clone::clone)
}

pub(crate) fn key(key: &str) -> Option<Vec<u8>> {
    KEYS.with_borrow(|keys| keys.get(key).cloned())
}

pub(crate) fn log(level: Level, message: String) {
    eprintln!("{level:?}: {message}");
    LOGGED.with_borrow_mut(|lines| lines.push((level, message)));
}
