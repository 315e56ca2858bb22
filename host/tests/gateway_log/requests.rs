//! Requests with personal data, whatever the policy does with it: nothing that a gate writes down or answers has it.

use std::fmt::Write as _;

use passgate_host::control::{ExportFormat, Query};

use crate::origin::{Origin, Step, ok};
use crate::support::{Call, Reply, Site, Wish, patiently};

/// Parts of what was sent, however it is written there. None is short enough to stand in a digest by chance.
pub(crate) const RAW: [&str; 5] = ["11111111", "1111 1111", "1111+1111", "alice@", "alice%40"];

/// What came of the requests through a gate that does one thing with all that it finds.
pub(crate) struct Told {
    /// Status and reason code of each answer.
    pub(crate) answers: Vec<(u16, String)>,
    /// Answers, metrics and exports, one after the other.
    pub(crate) text: String,
    /// What the API was sent: target and body.
    pub(crate) forwarded: Vec<(String, String)>,
}

/// Personal data in each of the places that are looked at.
fn requests(site: &Site) -> [Call; 8] {
    let agent = site.agent("agent-7", &["web:*", "files:read", "payments:create"]);
    [
        agent.post("/pay", r#"{"amount_usd": 5, "note": "4111 1111 1111 1111, or ask alice@example.com"}"#),
        agent.post("/pay", r#"{"amount_usd": 5, "alice@example.com": 4111111111111111}"#),
        agent.get("/search?q=alice%40example.com&card=4111111111111111"),
        agent.get("/search?q=4111+1111+1111+1111"),
        agent.get("/files/4111111111111111"),
        agent.get("/files/alice@example.com"),
        agent.get("/unmapped/4111111111111111/alice@example.com?alice@example.com"),
        // Nobody knows who asks.
        Call::bare(&site.address.to_string(), "GET", "/files/alice@example.com?card=4111111111111111"),
    ]
}

fn noted(reply: &Reply, text: &mut String) -> (u16, String) {
    writeln!(text, "{:?}\n{}", reply.headers, reply.body).unwrap();
    let problem: serde_json::Value = serde_json::from_str(&reply.body).unwrap_or_default();
    (reply.status, problem["reason_code"].as_str().unwrap_or_default().to_owned())
}

/// Sends them through a gate with `mode`, in front of an API that breaks off where a file is asked for, so that failures on
/// the way upstream are told of too.
pub(crate) async fn sent(mode: &str) -> Told {
    let origin =
        Origin::start(|seen| if seen.target.starts_with("/files") { vec![Step::Close] } else { ok("ok") }).await;
    let guardrails = format!("pii_controls: {{mode: {mode}}}");
    let mut site = Site::new(Wish { guardrails, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let mut text = String::new();
    let mut answers = Vec::new();
    for call in requests(&site) {
        let reply = site.send(&call).await;
        answers.push(noted(&reply, &mut text));
        if reply.field("passgate-decision") == "allow" {
            site.outcome_of(reply.field("passgate-attestation")).await;
        }
    }
    text.push_str(&gate.metrics().encode().unwrap());
    assert!(text.contains("passgate_decisions_total"), "{text}");
    for format in [ExportFormat::Jsonl, ExportFormat::Csv] {
        let mut export = Vec::new();
        site.control().await.export(format, &Query::default(), &mut export).await.unwrap();
        text.push_str(&String::from_utf8(export).unwrap());
    }
    // The lines of an export are encoded: this is what they say.
    let records = site.attestations().await;
    assert!(records.len() > answers.len());
    text.push_str(&serde_json::to_string(&records).unwrap());
    patiently(gate.shutdown()).await;
    let forwarded =
        origin.seen().into_iter().map(|seen| (seen.target, String::from_utf8(seen.body).unwrap())).collect();
    Told { answers, text, forwarded }
}
