//! Responses that are looked at before they go back.

use passgate_tests::edge::{Agent, Edge, bundle};
use passgate_tests::wire::Answer;
use serde_json::{Map, Value, json};

use crate::{assert_ledger, odd_origin};

const MAIL: &str = r#"{"mail":"ask alice@example.com"}"#;

/// What is answered by the path.
fn pieces(path: &str) -> Vec<String> {
    let plain = |fields: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let json = "content-type: application/json\r\n";
    let chunked = format!("HTTP/1.1 200 OK\r\n{json}transfer-encoding: chunked\r\n\r\n");
    match path {
        "/files/public/mail" => vec![plain(&format!("{json}etag: \"a\"\r\ncontent-md5: AA==\r\nx-own: 1\r\n"), MAIL)],
        "/files/public/clean" => vec![plain(&format!("{json}etag: \"a\"\r\n"), r#"{"items":[1,2]}"#)],
        "/files/public/many" => vec![plain(json, r#"{"items":[1,2,3]}"#)],
        "/files/public/split" => vec![
            chunked,
            "10\r\n{\"note\":\"4111 11\r\n".to_owned(),
            "11\r\n11 1111 \\u0031111\r\n2\r\n\"}\r\n0\r\n\r\n".to_owned(),
        ],
        "/files/public/coded" => vec![plain(&format!("{json}content-encoding: gzip\r\n"), "no gzip")],
        "/files/public/long" => vec![plain("content-type: text/plain\r\n", &"x".repeat(5000))],
        "/files/public/events" => {
            vec!["HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: x\n\n".to_owned(), String::new()]
        }
        "/files/public/endless" => vec!["HTTP/1.1 200 OK\r\n\r\nx".to_owned(), String::new()],
        "/files/public/none" => vec!["HTTP/1.1 204 No Content\r\n\r\n".to_owned()],
        _ => vec!["HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone".to_owned()],
    }
}

/// A gate that looks at responses, and lets pass what it cannot look at if `unscannable` says so.
async fn looking(unscannable: &str) -> (Edge, Agent) {
    let url = odd_origin(pieces).await;
    let change = |document: &mut Value| {
        document["policy"]["guardrails"] = json!({
            "max_scanned_response_bytes": 4096,
            "pii_controls": {
                "mode": "ignore",
                "responses": { "mode": "redact", "classes": { "card": "block" }, "unscannable": unscannable },
            },
        });
        document["edge"]["upstream"] = json!({ "url": url, "response_timeout_ms": 1000, "idle_timeout_ms": 5000 });
    };
    let edge = Edge::serving(&bundle(&url, change).unwrap()).unwrap();
    (edge, Agent::new("agent-reader", 78, &["web:*"]).unwrap())
}

async fn call(edge: &Edge, agent: &Agent, name: &str) -> (Answer, Map<String, Value>) {
    let request = agent.request("GET", &format!("/files/public/{name}")).unwrap().sign().unwrap();
    let answer = edge.send(&request).await.unwrap();
    let outcome = edge.outcome_of(answer.attestation_id().unwrap()).await.unwrap();
    (answer, outcome["outcome"].as_object().unwrap().clone())
}

fn assert_withheld(answer: &Answer, outcome: &Map<String, Value>, code: &str) {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, answer.decision(), &problem["reason_code"]), (502, Some("allow"), &json!(code)));
    assert_eq!(problem["attestation_id"].as_str(), answer.attestation_id());
    assert!(problem["title"].as_str().unwrap().starts_with("The action was carried out"), "{problem}");
    assert_eq!((&outcome["result"], &outcome["response"]["reason_code"]), (&json!("withheld"), &json!(code)));
    assert_eq!((&outcome["response_bytes"], outcome.get("response_sha256")), (&json!(0), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_out_of_a_response_does_not_reach_the_agent_nor_the_ledger() {
    let (edge, agent) = looking("deny").await;
    let (answer, outcome) = call(&edge, &agent, "mail").await;
    let given = br#"{"mail":"ask [redacted]"}"#.as_slice();
    assert_eq!((answer.status, answer.body.as_slice()), (200, given), "{}", edge.log());
    assert_eq!(answer.field("content-digest"), Some(passgate_passport::digest::content_digest(given).as_str()));
    assert_eq!((answer.field("etag"), answer.field("content-md5"), answer.field("x-own")), (None, None, Some("1")));
    let evidence = &outcome["response"]["guardrails_evaluated"][0]["evidence"];
    assert_eq!(evidence, &json!({ "email_found": 1, "texts_redacted": 1 }));
    assert_eq!((&outcome["result"], &outcome["response_bytes"]), (&json!("completed"), &json!(given.len())));
    assert_eq!(outcome["response"]["received_bytes"], MAIL.len());
    assert_ne!(outcome["response"]["received_sha256"], outcome["response_sha256"]);

    let (answer, outcome) = call(&edge, &agent, "clean").await;
    assert_eq!((answer.field("etag"), answer.body.as_slice()), (Some("\"a\""), br#"{"items":[1,2]}"#.as_slice()));
    assert_eq!(outcome["response"]["received_sha256"], outcome["response_sha256"]);

    let (answer, outcome) = call(&edge, &agent, "split").await;
    assert_withheld(&answer, &outcome, "response_pii_blocked");
    let (answer, _) = call(&edge, &agent, "none").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let said = edge.export().await.unwrap() + &edge.log();
    assert!(!said.contains("alice") && !said.contains("4111"), "neither the ledger nor the log has it");
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_withheld_or_passes_as_it_came() {
    let (edge, agent) = looking("deny").await;
    for name in ["coded", "long", "events", "endless"] {
        let (answer, outcome) = call(&edge, &agent, name).await;
        assert_withheld(&answer, &outcome, "response_pii_unscannable");
    }
    assert_ledger(&edge).await;
    let (edge, agent) = looking("allow").await;
    let (answer, outcome) = call(&edge, &agent, "long").await;
    assert_eq!((answer.status, answer.body == vec![b'x'; 5000]), (200, true), "{}", edge.log());
    let evidence = &outcome["response"]["guardrails_evaluated"][0]["evidence"];
    assert_eq!((&outcome["result"], evidence), (&json!("completed"), &json!({ "body": "unscannable" })));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_records_than_permitted_are_withheld() {
    let url = odd_origin(pieces).await;
    let change = |document: &mut Value| {
        for route in document["policy"]["routes"].as_array_mut().unwrap() {
            route["response_records"] = json!({ "pointer": "/items", "max_records": 2 });
        }
        document["policy"]["guardrails"] = json!({ "spend_limits": { "daily_usd": 100 } });
    };
    let edge = Edge::serving(&bundle(&url, change).unwrap()).unwrap();
    let agent = Agent::new("agent-counter", 79, &["web:*"]).unwrap();
    let (answer, outcome) = call(&edge, &agent, "clean").await;
    assert_eq!((answer.status, &outcome["result"]), (200, &json!("completed")), "{}", edge.log());
    let (answer, outcome) = call(&edge, &agent, "many").await;
    assert_withheld(&answer, &outcome, "response_records_exceeded");
    let evidence = &outcome["response"]["guardrails_evaluated"][0]["evidence"];
    assert_eq!(evidence, &json!({ "max_records": 2, "records": 3 }));
    for (name, status) in [("mail", 200), ("gone", 404)] {
        let (answer, outcome) = call(&edge, &agent, name).await;
        assert_withheld(&answer, &outcome, "response_records_unreadable");
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&problem["upstream_status"], &outcome["status"]), (&json!(status), &json!(status)));
    }
    assert_ledger(&edge).await;
}
