//! Agents without passports that sign their requests themselves (Web Bot Auth).

use anyhow::Result;
use passgate_api::bundle::Bundle;
use passgate_core::state::Subject;
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::proof::web_bot_auth::{self, ForeignParams};
use serde_json::{Value, json};

use super::policy::{jwk, plain, policy, search};
use super::{Draft, Recipe};
use crate::agent::{HOST, NOW, SCHEME, edited, key};
use crate::case::Request;

const CRAWLER: &str = "https://crawler.example";
const CRAWLER_URL: &str = "https://crawler.example/.well-known/http-message-signatures-directory";
const CRAWLER_SEED: u8 = 70;
const BUYER: &str = "https://buyer.example/keys.json";
const BUYER_SEED: u8 = 71;

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    Ok(vec![
        ("foreign_agent", allowed()?),
        ("foreign_agent_deny", refused()?),
        ("foreign_agent_coverage", coverage()?),
        ("foreign_agent_replay_deny", replays()?),
        ("foreign_agent_tier_deny", tier()?),
        ("foreign_agent_unlisted_deny", unlisted()?),
    ])
}

/// A policy with two foreign agents: one that reads, and one that buys.
fn listing(guardrails: Value, changes: &[(&str, Value)]) -> Result<Bundle> {
    let mut bundle = policy(guardrails)?;
    let mut crawler = json!({ "id": "crawler", "signature_agent": CRAWLER, "tier": "L2", "permissions": ["web:*"],
        "keys": [jwk(CRAWLER_SEED)?] });
    for (name, value) in changes {
        crawler.as_object_mut().map(|members| members.insert((*name).to_owned(), value.clone()));
    }
    let buyer = json!({ "id": "buyer", "signature_agent": BUYER, "tier": "L2", "permissions": ["payments:*"],
        "keys": [jwk(BUYER_SEED)?] });
    bundle.foreign_agents = serde_json::from_value(json!([crawler, buyer]))?;
    Ok(bundle)
}

fn listed() -> Result<Bundle> {
    listing(json!({}), &[])
}

/// A request of an agent, signed over all that a gate can ask for.
fn ask(method: &str, target: &str, body: &str, agent: &str, seed: u8, nonce: &str) -> Result<Request> {
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        host: HOST.to_owned(),
        headers: Vec::new(),
        body: body.to_owned(),
    };
    if !body.is_empty() {
        request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let (path, query) = request.path_and_query();
    let headers: Vec<Header<'_>> =
        request.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let http =
        HttpRequest { method, scheme: SCHEME, authority: HOST, path, query, headers: &headers, body: body.as_bytes() };
    let params = ForeignParams { agent, created: NOW, expires: NOW + 3600, nonce };
    let signed = web_bot_auth::sign(&http, &key(seed), &params)?;
    let added = [
        ("signature-agent", Some(signed.signature_agent)),
        ("content-digest", signed.content_digest),
        ("signature-input", Some(signed.signature_input)),
        ("signature", Some(signed.signature)),
    ];
    request.headers.extend(added.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(request)
}

fn crawl(target: &str, nonce: u8) -> Result<Request> {
    ask("GET", target, "", CRAWLER, CRAWLER_SEED, &format!("nonce-of-crawler-{nonce:04}"))
}

/// As many agents sign: over the authority and their own name, without a nonce.
fn crawl_barely(method: &str, target: &str) -> Request {
    let keyid = key(CRAWLER_SEED).public().thumbprint().to_owned();
    let parameters = format!(
        "(\"@authority\" \"signature-agent\");created={NOW};expires={};keyid=\"{keyid}\";tag=\"web-bot-auth\"",
        NOW + 3600
    );
    let agent = format!("\"{CRAWLER}\"");
    let base = format!("\"@authority\": {HOST}\n\"signature-agent\": {agent}\n\"@signature-params\": {parameters}");
    let signature = standard_base64(&key(CRAWLER_SEED).sign(base.as_bytes()));
    let headers = [
        ("signature-agent", agent),
        ("signature-input", format!("sig1={parameters}")),
        ("signature", format!("sig1=:{signature}:")),
    ];
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        host: HOST.to_owned(),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body: String::new(),
    }
}

/// 64 bytes as structured fields have them.
fn standard_base64(signature: &[u8; 64]) -> String {
    let text = passgate_passport::b64::encode(signature).replace('-', "+").replace('_', "/");
    format!("{text}==")
}

fn allowed() -> Result<Draft> {
    Draft::new("An agent that the policy lists acts by its own signature, within what is listed.", listed()?)
        .wire(crawl("/search?q=bread", 1)?, None)?
        .wire(crawl("/records/7", 2)?, Some("permission_scope_missing"))?
        .wire(ask("POST", "/pay", r#"{"amount":1}"#, BUYER, BUYER_SEED, "nonce-of-buyer-0001")?, None)?
        // Those with a passport go on as before.
        .send(search()?, None)
}

fn refused() -> Result<Draft> {
    let good = crawl("/search?q=bread", 3)?;
    let target = |target: &str| Request { target: target.to_owned(), ..good.clone() };
    let mut both = good.clone();
    both.headers.extend(search()?.unsigned().headers);
    let mut unlisted = Draft::new("What a foreign agent signed is held to what the policy lists.", listed()?)
        .wire(ask("GET", "/search", "", CRAWLER, BUYER_SEED, "nonce-of-no-agent-1")?, Some("proof_key_unknown"))?
        .wire(ask("GET", "/search", "", "https://x.example", 99, "nonce-of-no-agent-2")?, Some("proof_key_unknown"))?
        .wire(target("/search?q=cake"), Some("proof_signature_invalid"))?
        .wire(Request { method: "PUT".to_owned(), ..good.clone() }, Some("proof_signature_invalid"))?
        .wire(edited(good.clone(), "signature-agent", "crawler", "buyer"), Some("proof_key_unknown"))?
        .wire(both, Some("proof_coverage"))?
        .wire(crawl_barely("GET", "/search"), Some("proof_coverage"))?
        .wire(good.clone(), None)?;
    let agent = Subject::Agent { issuer: CRAWLER_URL.to_owned(), agent_id: "crawler".to_owned() };
    unlisted = unlisted.revoke(agent).wire(crawl("/search?q=bread", 4)?, Some("revoked"))?;
    unlisted.at(301).wire(good, Some("proof_expired"))
}

fn coverage() -> Result<Draft> {
    let bundle = listing(json!({}), &[("coverage", json!("unless_safe"))])?;
    let read = crawl_barely("GET", "/search?q=bread");
    Draft::new("Where the policy says so, a safe request may be signed for the authority alone.", bundle)
        .wire(crawl_barely("DELETE", "/records/7"), Some("proof_coverage"))?
        .wire(read.clone(), None)?
        .wire(read, Some("nonce_replayed"))?
        .at(1)
        .wire(crawl("/search?q=bread", 5)?, None)
}

fn replays() -> Result<Draft> {
    let limits = json!({ "rate_limits": { "requests_per_minute": 2 } });
    let once = crawl("/search?q=bread", 6)?;
    Draft::new("A foreign signature is accepted once, and its agent's limits count.", listing(limits, &[])?)
        .wire(once.clone(), None)?
        .wire(once, Some("nonce_replayed"))?
        .wire(crawl("/search?q=bread", 7)?, None)?
        .wire(crawl("/search?q=bread", 8)?, Some("rate_limit_exceeded"))
}

fn tier() -> Result<Draft> {
    let bundle = listing(json!({}), &[("tier", json!("L1"))])?;
    Draft::new("A foreign agent has the tier that the policy gives it; one that nobody lists has none.", bundle)
        .wire(crawl("/search?q=bread", 9)?, Some("tier_insufficient"))?
        .wire(ask("POST", "/pay", r#"{"amount":1}"#, BUYER, BUYER_SEED, "nonce-of-buyer-0002")?, None)?
        .wire(crawl("/search?q=bread", 10)?, Some("tier_insufficient"))
}

/// A gate that lists nobody takes such a request for one without a passport.
fn unlisted() -> Result<Draft> {
    Draft::new("A gate that lists no foreign agent takes no foreign signature.", plain()?)
        .wire(crawl("/search?q=bread", 11)?, Some("passport_missing"))
}
