//! An API behind the gate that is down, stalls, breaks off, or answers what a proxy may stumble over.

use passgate_tests::case::Request;
use passgate_tests::edge::{Agent, Edge, bundle};
use passgate_tests::origin::Origin;
use passgate_tests::program::free_port;
use passgate_tests::wire::Answer;
use serde_json::{Map, Value, json};

use crate::{allowed, assert_ledger, odd_origin, refused, verdict};

/// Bytes that no server would send.
fn pieces(path: &str) -> Vec<String> {
    let waiting = String::new();
    let text = match path {
        "/stall" => return vec![waiting],
        "/stall-in-body" => return vec!["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345".to_owned(), waiting],
        "/break" => return Vec::new(),
        "/break-in-body" => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345".to_owned(),
        "/endless" => format!("HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n{}", "x".repeat(2000)),
        "/redirect" => "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/304" => "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n".to_owned(),
        "/204" => "HTTP/1.1 204 No Content\r\nx-kept: 1\r\n\r\n".to_owned(),
        "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-kept: 1\r\n\r\n".to_owned(),
        "/own" => {
            "HTTP/1.1 200 OK\r\npassgate-decision: deny\r\npassgate-attestation: att_forged\r\nx-passgate-x: 1\r\n\
             alt-svc: h3=\":443\"\r\nratelimit: \"all\";r=9\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-kept: 1\r\n\
             content-length: 2\r\n\r\nok"
                .to_owned()
        }
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    vec![text]
}

/// The status and the code of an allowed request that the upstream failed.
fn verdict_upstream(answer: &Answer) -> (u16, String) {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, problem["reason_code"].as_str().unwrap_or_default().to_owned())
}

async fn call(edge: &Edge, request: &Request) -> (Answer, Map<String, Value>) {
    let answer = edge.send(request).await.unwrap();
    let outcome = edge.outcome_of(answer.attestation_id().unwrap()).await.unwrap();
    (answer, outcome["outcome"].as_object().unwrap().clone())
}

fn capped(document: &mut Value) {
    document["policy"]["guardrails"] = json!({ "spend_limits": { "daily_usd": 100 } });
}

/// An order that takes the whole cap.
fn order(agent: &Agent) -> Request {
    agent.request("POST", "/pay").unwrap().json(r#"{"amount":100}"#).sign().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_keeps_the_budget_because_nobody_knows_what_it_saw() {
    let url = format!("http://127.0.0.1:{}", free_port().unwrap());
    let edge = Edge::serving(&bundle(&url, capped).unwrap()).unwrap();
    let agent = Agent::new("agent-spender", 73, &["payments:*"]).unwrap();
    // The runtime says the same of a refused connection and of one that broke after the request was sent.
    let (answer, outcome) = call(&edge, &order(&agent)).await;
    assert_eq!(verdict_upstream(&answer), (502, "upstream_failed".to_owned()), "{}", edge.log());
    assert_eq!((&outcome["result"], &outcome["budget"]), (&json!("aborted"), &json!("held")));
    assert_eq!(verdict(&edge.send(&order(&agent)).await.unwrap()), refused(403, "spend_daily_exceeded"));
    let reconcile = |id: &str| json!({ "decision_id": id, "budget": "released", "note": "it was down" }).to_string();
    let found = reconcile(answer.attestation_id().unwrap());
    let told = edge.control("POST", "/.passgate/v1/reconciliations", &found).await.unwrap();
    assert_eq!(told.status, 201, "{}", String::from_utf8_lossy(&told.body));
    assert_eq!(serde_json::from_slice::<Value>(&told.body).unwrap()["kind"], "reconciliation");
    for nothing in [found, reconcile("att_01JZZZZZZZZZZZZZZZZZZZZZZZ")] {
        let refused = edge.control("POST", "/.passgate/v1/reconciliations", &nothing).await.unwrap();
        assert_eq!(refused.status, 409, "{}", String::from_utf8_lossy(&refused.body));
    }
    assert_eq!(verdict_upstream(&edge.send(&order(&agent)).await.unwrap()), (502, "upstream_failed".to_owned()));
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_out_does_not_reach_the_upstream() {
    let origin = Origin::start().await.unwrap();
    let redacting = |document: &mut Value| {
        document["policy"]["guardrails"] =
            json!({ "pii_controls": { "mode": "redact", "classes": { "card": "block" } } });
    };
    let edge = Edge::serving(&bundle(&origin.url(), redacting).unwrap()).unwrap();
    let agent = Agent::new("agent-writer", 77, &["payments:*"]).unwrap();
    let send = |body: &str| agent.request("POST", "/pay").unwrap().json(body).sign().unwrap();
    let answer = edge.send(&send(r#"{"amount":1,"note":"ask alice@example.com"}"#)).await.unwrap();
    assert_eq!(verdict(&answer), allowed(), "{}", edge.log());
    {
        let seen = origin.seen();
        let body = r#"{"amount":1,"note":"ask [redacted]"}"#;
        assert_eq!(seen[0].body, body);
        let digests: Vec<_> = seen[0].headers.get_all("content-digest").iter().collect();
        assert_eq!(digests, [passgate_passport::digest::content_digest(body.as_bytes()).as_str()]);
    }
    let card = edge.send(&send(r#"{"amount":1,"note":"4111 1111 1111 1111"}"#)).await.unwrap();
    assert_eq!(verdict(&card), refused(403, "pii_blocked"));
    assert_eq!(origin.seen().len(), 1);
    let export = edge.export().await.unwrap();
    assert!(!export.contains("alice") && !edge.log().contains("alice"), "neither the ledger nor the log has it");
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_comes_too_late_is_not_forwarded_and_gives_the_budget_back() {
    let origin = Origin::start().await.unwrap();
    let hurried = |document: &mut Value| {
        capped(document);
        document["edge"]["decision_timeout_ms"] = json!(500);
    };
    let edge = Edge::serving(&bundle(&origin.url(), hurried).unwrap()).unwrap();
    let agent = Agent::new("agent-late", 76, &["payments:*"]).unwrap();
    let mut request = order(&agent);
    request.headers.push(("x-passgate-test-wait".to_owned(), "2000".to_owned()));
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), refused(503, "store_unavailable"));
    let is_it =
        |record: &Map<String, Value>| record.get("outcome").is_some_and(|outcome| outcome["result"] == "not_forwarded");
    let record = edge.wait_for("a decision that came too late", is_it).await.unwrap();
    assert_eq!(record["outcome"]["budget"], "released", "{record:?}");
    let patient = |document: &mut Value| {
        capped(document);
        document["policy"]["version"] = json!(2);
    };
    assert_eq!(edge.push(&bundle(&origin.url(), patient).unwrap()).await.unwrap().status, 200);
    assert_eq!(verdict(&edge.send(&order(&agent)).await.unwrap()), allowed());
    assert_eq!(origin.seen().len(), 1);
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_is_answered_and_recorded_as_what_it_did() {
    let url = odd_origin(pieces).await;
    let change = |document: &mut Value| {
        let upstream = json!({
            "url": url.clone(), "response_timeout_ms": 1000, "idle_timeout_ms": 1000, "max_response_bytes": 1000,
        });
        document["edge"]["upstream"] = upstream;
    };
    let edge = Edge::serving(&bundle(&url, change).unwrap()).unwrap();
    let agent = Agent::new("agent-odd", 74, &["web:*"]).unwrap();
    let request = |target: &str| agent.request("GET", target).unwrap().sign().unwrap();
    for (target, status, code, result) in
        [("/stall", 504, "upstream_timeout", "timed_out"), ("/break", 502, "upstream_failed", "aborted")]
    {
        let (answer, outcome) = call(&edge, &request(target)).await;
        assert_eq!(verdict_upstream(&answer), (status, code.to_owned()), "{target}");
        assert_eq!(outcome["result"], result, "{target}");
    }
    for (target, result) in [("/stall-in-body", "timed_out"), ("/break-in-body", "aborted"), ("/endless", "aborted")] {
        // The head has gone out; what is left is not to end as if it were whole.
        let broken = edge.send(&request(target)).await;
        assert!(broken.is_err(), "{target}: {broken:?}");
        let is_it = |record: &Map<String, Value>| {
            record.get("outcome").is_some_and(|outcome| outcome["result"] == result && outcome["status"] == 200)
        };
        edge.wait_for(target, is_it).await.unwrap();
    }
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_redirects_and_false_fields_pass_as_documented() {
    let url = odd_origin(pieces).await;
    let edge = Edge::serving(&bundle(&url, |_| ()).unwrap()).unwrap();
    let agent = Agent::new("agent-plain", 75, &["web:*"]).unwrap();
    for (method, target, status) in
        [("GET", "/redirect", 302), ("GET", "/304", 304), ("GET", "/204", 204), ("HEAD", "/head", 200)]
    {
        let request = agent.request(method, target).unwrap().sign().unwrap();
        let (answer, outcome) = call(&edge, &request).await;
        assert_eq!((answer.status, answer.decision(), answer.body.len()), (status, Some("allow"), 0), "{target}");
        assert_eq!((&outcome["result"], &outcome["status"]), (&json!("completed"), &json!(status)), "{target}");
        if target == "/redirect" {
            assert_eq!(answer.field("location"), Some("/elsewhere"));
        }
    }
    let (answer, outcome) = call(&edge, &agent.request("GET", "/own").unwrap().sign().unwrap()).await;
    assert_eq!((answer.decision(), answer.body.as_slice()), (Some("allow"), b"ok".as_slice()));
    assert_ne!(answer.attestation_id(), Some("att_forged"));
    for name in ["x-passgate-x", "alt-svc"] {
        assert_eq!(answer.field(name), None);
    }
    assert_ne!(answer.field("ratelimit"), Some("\"all\";r=9"));
    let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str());
    assert_eq!(cookies.collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!((answer.field("x-kept"), &outcome["response_bytes"]), (Some("1"), &json!(2)));
}
