//! Signed requests in number, and a gate that allows them: what benchmarks and load tests send.

use anyhow::{Context as _, Result};
use passgate_core::pipeline::RawRequest;
use passgate_passport::http::Header;

use crate::agent::{PassportDraft, RequestDraft};
use crate::case::{Case, Request, load};

/// The key seed of the agent that sends them.
pub const SEED: u8 = 11;

/// The case whose policy sets every guardrail; its limits are low.
const EVERY_GUARDRAIL: &str = "guardrails_all_pass";

/// A case with every guardrail set and limits that `requests` orders of 50 dollars do not reach.
///
/// # Errors
/// When the case files cannot be read.
pub fn roomy_case(requests: u32) -> Result<Case> {
    let mut case = load()?.remove(EVERY_GUARDRAIL).context("the case with every guardrail is gone")?;
    let requests = requests.max(1_000_000);
    let caps =
        serde_json::json!({ "per_transaction_usd": 100, "daily_usd": 1_000_000_000, "monthly_usd": 1_000_000_000 });
    case.policy.guardrails.rate_limits.requests_per_minute = Some(requests);
    case.policy.guardrails.rate_limits.requests_per_hour = Some(requests);
    case.policy.guardrails.spend_limits = serde_json::from_value(caps)?;
    Ok(case)
}

/// `count` orders that such a gate allows, each with a nonce of its own that starts with `prefix`, made at `created`
/// (Unix seconds).
///
/// # Errors
/// When a request cannot be signed.
pub fn orders(prefix: &str, count: usize, created: i64) -> Result<Vec<Request>> {
    let draft = RequestDraft::new("POST", "/order", &passport(created)?, SEED);
    sign_each(&draft.json(r#"{"amount":50,"shop":"shop.example"}"#), prefix, count, created)
}

/// The same of searches, whose action is another.
///
/// # Errors
/// When a request cannot be signed.
pub fn searches(prefix: &str, count: usize, created: i64) -> Result<Vec<Request>> {
    sign_each(&RequestDraft::new("GET", "/search", &passport(created)?, SEED), prefix, count, created)
}

fn passport(created: i64) -> Result<String> {
    let mut passport = PassportDraft::new("agent_scout", SEED, &["web:*", "payments:*", "orders:create"])?;
    (passport.claims.iat, passport.claims.exp) = (created - 3600, created + 86_400);
    passport.issue()
}

fn sign_each(draft: &RequestDraft, prefix: &str, count: usize, created: i64) -> Result<Vec<Request>> {
    (0..count).map(|number| draft.clone().created(created).nonce(&format!("{prefix}-{number:016}")).sign()).collect()
}

/// The fields of a request as the gate reads them.
pub fn headers(request: &Request) -> Vec<Header<'_>> {
    request.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect()
}

/// The request as the gate reads it.
pub fn raw<'a>(request: &'a Request, headers: &'a [Header<'a>]) -> RawRequest<'a> {
    let (path, query) = request.path_and_query();
    RawRequest {
        method: &request.method,
        authority: Some(&request.host),
        path,
        query,
        headers,
        body: request.body.as_bytes(),
    }
}
