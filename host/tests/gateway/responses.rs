//! Responses that are looked at before they go back.

use passgate_host::gateway::RunningGateway;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::origin::{Origin, Step};
use crate::support::{Agent, Call, Reply, Site, Wish, begin, metric, patiently};

const REDACT: &str = "pii_controls: {mode: ignore, responses: {mode: redact, classes: {card: block, ip: log_only}}}";
const ALLOW: &str = "pii_controls: {mode: ignore, responses: {mode: redact, unscannable: allow}}";
const FILES: &[&str] = &["web:*", "files:read", "customers:read"];
/// `{"mail":"alice@example.com"}`, as gzip has it.
const GZIP: [u8; 48] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xab, 0x56, 0xca, 0x4d, 0xcc, 0xcc, 0x51, 0xb2, 0x52, 0x4a, 0xcc, 0xc9, 0x4c,
    0x4e, 0x75, 0x48, 0xad, 0x48, 0xcc, 0x2d, 0xc8, 0x49, 0xd5, 0x4b, 0xce, 0xcf, 0x55, 0xaa, 5, 0, 0x83, 0x37, 9,
    0x22, 0x1c, 0, 0, 0,
];

fn sha256(body: &str) -> String {
    let hex: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn json_of(body: &str) -> Vec<Step> {
    answer("Content-Type: application/json\r\n", body)
}

fn answer(head: &str, body: &str) -> Vec<Step> {
    let text = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
    vec![Step::Send(text.into_bytes())]
}

fn in_chunks(head: &str, chunks: &[&str]) -> Vec<Step> {
    let mut steps = vec![Step::Send(format!("HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n").into())];
    steps.extend(chunks.iter().map(|chunk| Step::Send(format!("{:x}\r\n{chunk}\r\n", chunk.len()).into())));
    steps.push(Step::Send(b"0\r\nX-Mail: alice@example.com\r\n\r\n".to_vec()));
    steps
}

/// A gate with these guardrails before `origin`.
async fn looking(origin: &Origin, guardrails: &str, upstream_extra: &str) -> (Site, RunningGateway, Agent) {
    let (guardrails, upstream_extra) = (guardrails.to_owned(), upstream_extra.to_owned());
    let mut site = Site::new(Wish { guardrails, upstream_extra, ..Wish::before(origin) }).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", FILES);
    (site, gate, agent)
}

/// The reply, and the outcome that is recorded.
async fn told(site: &Site, call: &Call) -> (Reply, Map<String, Value>) {
    let reply = site.send(call).await;
    let outcome = site.outcome_of(reply.field("passgate-attestation")).await;
    (reply, outcome)
}

#[track_caller]
fn assert_withheld(reply: &Reply, outcome: &Map<String, Value>, reason: &str) {
    assert_eq!(reply.refusal(), (502, "allow".to_owned(), reason.to_owned()));
    let problem = reply.problem();
    assert_eq!(problem["attestation_id"], reply.field("passgate-attestation"));
    assert!(problem["title"].as_str().unwrap().starts_with("The action was carried out; its response is withheld"));
    assert_eq!((&outcome["result"], &outcome["response_bytes"]), (&json!("withheld"), &json!(0)));
    assert_eq!((&outcome["response"]["reason_code"], outcome.get("response_sha256")), (&json!(reason), None));
}

#[tokio::test]
async fn what_is_taken_out_of_a_response_is_recorded_by_counts_and_digests() {
    let body = r#"{"mail":"ask alice@example.com","from":"192.0.2.7"}"#;
    let given = r#"{"mail":"ask [redacted]","from":"192.0.2.7"}"#;
    let fields = "Content-Type: application/json\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\nRepr-Digest: sha-256=:AA==:\r\n\
                  Content-Digest: sha-256=:AA==:\r\nSignature-Input: a=()\r\nSignature: a=:AA==:\r\nX-Own: 1\r\n";
    let origin = Origin::start(move |_| answer(fields, body)).await;
    let (site, gate, agent) = looking(&origin, REDACT, "").await;
    let call =
        agent.get("/search").with("accept-encoding", "gzip, br").with("range", "bytes=0-3").with("if-range", "\"a\"");
    let (reply, outcome) = told(&site, &call).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, given));
    assert_eq!(reply.field("content-digest"), passgate_passport::digest::content_digest(given.as_bytes()));
    assert_eq!((reply.field("content-length"), reply.field("x-own")), (given.len().to_string().as_str(), "1"));
    for untrue in ["etag", "accept-ranges", "repr-digest", "signature", "signature-input"] {
        assert_eq!(reply.headers.get(untrue), None, "{untrue}");
    }
    let seen = origin.seen().remove(0);
    assert_eq!(seen.all("accept-encoding"), ["identity"]);
    assert!(seen.all("range").is_empty() && seen.all("if-range").is_empty());
    assert_eq!((&outcome["result"], &outcome["response_sha256"]), (&json!("completed"), &json!(sha256(given))));
    assert_eq!(
        outcome["response"],
        json!({
            "guardrails_evaluated": [{
                "evidence": { "email_found": 1, "ip_found": 1, "texts_redacted": 1 }, "guardrail": "pii", "result": "pass",
            }],
            "received_bytes": body.len(),
            "received_sha256": sha256(body),
        })
    );
    assert_eq!(metric(&gate, r#"passgate_responses_looked_at_total{given="changed",reason="none"}"#), "1");
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_value_that_is_split_over_chunks_and_escaped_is_found_and_kept_out_of_records_and_metrics() {
    let head = "Content-Type: application/json\r\nTrailer: X-Mail\r\n";
    let origin = Origin::start(move |seen| match seen.target.as_str() {
        "/files/split" => in_chunks(head, &["{\"note\":\"4111 11", "11 1111 1", "111\"}"]),
        "/files/escaped" => in_chunks(head, &["{\"note\":\"\\u00", "34111 1111 1111 1111\"}"]),
        _ => in_chunks(head, &["{\"mail\":\"alice@exa", "mple.com\"}"]),
    })
    .await;
    let (site, gate, agent) = looking(&origin, REDACT, "").await;
    for target in ["/files/split", "/files/escaped"] {
        let (reply, outcome) = told(&site, &agent.get(target)).await;
        assert_withheld(&reply, &outcome, "response_pii_blocked");
        assert_eq!(reply.problem()["upstream_status"], 200);
        assert_eq!(outcome["response"]["guardrails_evaluated"][0]["evidence"], json!({ "card_found": 1 }), "{target}");
    }
    let (reply, _) = told(&site, &agent.get("/files/mail")).await;
    assert_eq!((reply.body.as_str(), reply.headers.get("x-mail")), (r#"{"mail":"[redacted]"}"#, None));
    let recorded = serde_json::to_string(&site.attestations().await).unwrap() + &gate.metrics().encode().unwrap();
    for raw in ["4111", "alice"] {
        assert!(!recorded.contains(raw), "{recorded}");
    }
    let line = r#"passgate_responses_looked_at_total{given="withheld",reason="response_pii_blocked"}"#;
    assert_eq!(metric(&gate, line), "2");
    patiently(gate.shutdown()).await;
}

/// What an origin answers that cannot be looked at, by path.
fn unreadable(target: &str) -> Vec<Step> {
    let mail = r#"{"mail":"alice@example.com"}"#;
    match target {
        "/files/gzip" => {
            let mut coded = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n".to_vec();
            coded.extend(format!("Content-Length: {}\r\n\r\n", GZIP.len()).into_bytes());
            coded.extend(GZIP);
            vec![Step::Send(coded)]
        }
        "/files/part" => vec![Step::Send(
            format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-27/99\r\nContent-Length: 28\r\n\r\n{mail}")
                .into(),
        )],
        "/files/picture" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xd8".to_vec())],
        "/files/long" => json_of(&format!("\"{}\"", "x".repeat(2000))),
        "/files/chunks" => in_chunks("", &["x".repeat(999).as_str(), "y".repeat(999).as_str()]),
        "/files/events" => {
            vec![
                Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n".to_vec()),
                Step::Hang,
            ]
        }
        // Never as long as what is read, and never at an end.
        _ => vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\nx".to_vec()), Step::Hang],
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_withheld() {
    let origin = Origin::start(|seen| unreadable(&seen.target)).await;
    let guardrails = format!("max_scanned_response_bytes: 1000\n  {REDACT}");
    let (site, gate, agent) = looking(&origin, &guardrails, ", response_timeout_ms: 1000").await;
    for name in ["gzip", "part", "picture", "long", "chunks", "events", "endless"] {
        let (reply, outcome) = told(&site, &agent.get(&format!("/files/{name}"))).await;
        assert_withheld(&reply, &outcome, "response_pii_unscannable");
        let evidence = &outcome["response"]["guardrails_evaluated"][0]["evidence"];
        assert_eq!(evidence, &json!({ "body": "unscannable" }), "{name}");
        assert_eq!(outcome["response"].get("received_sha256").is_some(), name == "picture", "{name}");
    }
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn what_cannot_be_looked_at_passes_as_it_came_where_that_is_allowed() {
    let origin = Origin::start(|seen| unreadable(&seen.target)).await;
    let guardrails = format!("max_scanned_response_bytes: 1000\n  {ALLOW}");
    let (site, gate, agent) = looking(&origin, &guardrails, "").await;
    let long = format!("\"{}\"", "x".repeat(2000));
    let chunks = "x".repeat(999) + &"y".repeat(999);
    for (name, body) in [("long", long), ("chunks", chunks)] {
        let (reply, outcome) = told(&site, &agent.get(&format!("/files/{name}"))).await;
        assert_eq!((reply.status, reply.body == body), (200, true), "{name}");
        assert_eq!((&outcome["result"], &outcome["response_sha256"]), (&json!("completed"), &json!(sha256(&body))));
        assert_eq!(outcome["response"]["guardrails_evaluated"][0]["evidence"], json!({ "body": "unscannable" }));
        assert_eq!(reply.headers.get("content-digest"), None, "{name}: nothing was changed");
    }
    // A stream of events begins before it ends.
    let events = begin(site.address, &agent.get("/files/events")).await;
    assert_eq!(events.status(), 200);
    let id = events.headers()["passgate-attestation"].to_str().unwrap().to_owned();
    drop(events);
    assert_eq!(site.outcome_of(&id).await["result"], "aborted");
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn responses_without_a_body_pass_and_heads_say_nothing_of_another() {
    let origin = Origin::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("HEAD", _) => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\nETag: \"a\"\r\nX-Own: 1\r\n\r\n".to_vec(),
        )],
        (_, "/files/204") => vec![Step::Send(b"HTTP/1.1 204 No Content\r\nX-Own: 1\r\n\r\n".to_vec())],
        (_, "/files/hints") => vec![Step::Send(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 0\r\n\r\n".to_vec(),
        )],
        _ => vec![Step::Send(b"HTTP/1.1 304 Not Modified\r\nX-Own: 1\r\n\r\n".to_vec())],
    })
    .await;
    let (site, gate, agent) = looking(&origin, REDACT, "").await;
    let head = agent.call("HEAD", "/search", &[], "");
    for (call, status) in
        [(head, 200), (agent.get("/files/204"), 204), (agent.get("/files/hints"), 200), (agent.get("/files/304"), 304)]
    {
        let (reply, outcome) = told(&site, &call).await;
        assert_eq!((reply.status, reply.field("x-own"), reply.body.as_str()), (status, "1", ""));
        assert_eq!((outcome["result"].as_str(), reply.headers.get("etag")), (Some("completed"), None));
        assert_ne!(reply.field("content-length"), "99");
    }
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_response_that_breaks_off_while_it_is_read_is_no_response() {
    let origin = Origin::start(|seen| {
        let end = if seen.target == "/files/stall" { Step::Hang } else { Step::Close };
        vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nask".to_vec()), end]
    })
    .await;
    let (site, gate, agent) = looking(&origin, REDACT, ", idle_timeout_ms: 200").await;
    for (target, status, code, result) in [
        ("/files/break", 502, "upstream_protocol_error", "aborted"),
        ("/files/stall", 504, "upstream_timeout", "timed_out"),
    ] {
        let (reply, outcome) = told(&site, &agent.get(target)).await;
        assert_eq!(reply.refusal(), (status, "allow".to_owned(), code.to_owned()));
        assert_eq!((&outcome["result"], &outcome["status"]), (&json!(result), &json!(200)), "{target}");
        assert_eq!(outcome.get("response"), None, "{target}: it was not looked at");
    }
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn more_records_than_the_route_or_the_passport_permits_are_withheld() {
    let origin = Origin::start(|seen| match seen.target.rsplit('=').next() {
        Some("1") => json_of(r#"{"items":[1,2,3,4]}"#),
        Some("2") => json_of(r#"{"items":[1,2,3]}"#),
        Some("0") => vec![Step::Send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone".to_vec())],
        _ => json_of(r#"{"rows":[]}"#),
    })
    .await;
    let (site, gate, agent) = looking(&origin, "rate_limits: {requests_per_minute: 100}", "").await;
    let bounded = site.bounded_agent("agent-8", FILES, 2);
    let evidence = |outcome: &Map<String, Value>| outcome["response"]["guardrails_evaluated"][0]["evidence"].clone();

    let (reply, outcome) = told(&site, &agent.get("/customers?limit=1")).await;
    assert_withheld(&reply, &outcome, "response_records_exceeded");
    assert_eq!(evidence(&outcome), json!({ "max_records": 3, "records": 4 }));
    let (reply, outcome) = told(&site, &agent.get("/customers?limit=2")).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"items":[1,2,3]}"#));
    assert_eq!(outcome["response_sha256"], outcome["response"]["received_sha256"]);

    // It asked for two, as its passport permits, and the API gave three.
    let (reply, outcome) = told(&site, &bounded.get("/customers?limit=2")).await;
    assert_withheld(&reply, &outcome, "response_records_exceeded");
    assert_eq!(evidence(&outcome), json!({ "max_records": 2, "records": 3 }));
    for (target, status) in [("/customers?limit=0", 404), ("/customers", 200)] {
        let (reply, outcome) = told(&site, &agent.get(target)).await;
        assert_withheld(&reply, &outcome, "response_records_unreadable");
        assert_eq!((&reply.problem()["upstream_status"], &outcome["status"]), (&json!(status), &json!(status)));
    }
    // Elsewhere nobody counts.
    assert_eq!(site.send(&agent.get("/search")).await.body, r#"{"rows":[]}"#);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_charge_stays_committed_when_the_response_is_withheld() {
    let origin = Origin::start(|_| json_of(r#"{"card":"4111 1111 1111 1111"}"#)).await;
    let guardrails = format!("spend_limits: {{daily_usd: 10}}\n  {REDACT}");
    let (site, gate, _) = looking(&origin, &guardrails, "").await;
    let payer = site.agent("agent-9", &["payments:create"]);
    let (reply, outcome) = told(&site, &payer.post("/pay", r#"{"amount_usd": 6}"#)).await;
    assert_withheld(&reply, &outcome, "response_pii_blocked");
    assert_eq!(outcome["budget"], "committed");
    site.send(&payer.post("/pay", r#"{"amount_usd": 6}"#)).await.assert_refusal(403, "spend_daily_exceeded");
    assert_eq!(origin.seen().len(), 1);
    patiently(gate.shutdown()).await;
}
