//! A client that shares no code with the gate, against the build that is deployed.

use std::process::Command;

use passgate_tests::agent::{ISSUER, ISSUER_SEED, key};
use passgate_tests::edge::{Build, Edge, bundle};
use passgate_tests::origin::Origin;
use passgate_tests::program::{client, edge_node, jose, output};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_jose_and_webcrypto_is_allowed_denied_and_stepped_up() {
    let origin = Origin::start().await.unwrap();
    let edge = Edge::start(Build::Release).unwrap();
    let url = format!("http://{}", edge.address().unwrap());
    let change = |document: &mut Value| {
        document["policy"]["gate"]["public_url"] = json!(url.clone());
        document["policy"]["guardrails"] = json!({ "approval_workflows": { "require_approval_above_usd": 50 } });
    };
    edge.publish(&bundle(&origin.url(), change).unwrap()).unwrap();
    let issuer_key: Value = serde_json::from_str(&key(ISSUER_SEED).to_private_jwk()).unwrap();
    let call = |method: &str, target: &str, body: Option<&str>| json!({ "method": method, "url": format!("{url}{target}"), "body": body });
    let job = json!({
        "issuer": ISSUER,
        "issuer_key": issuer_key,
        "agent_id": "agent-foreign",
        "permissions": ["web:*", "payments:*"],
        "calls": [
            call("GET", "/search?q=passport", None),
            call("POST", "/pay", Some(r#"{"amount":50}"#)),
            call("POST", "/pay", Some(r#"{"amount":51}"#)),
            call("POST", "/pay", Some(r#"{"amount":"fifty"}"#)),
        ],
    });
    let mut command = Command::new(edge_node().unwrap());
    command.arg(client("edge_client.mjs")).env("PASSGATE_JOSE", jose().unwrap());
    let said = tokio::task::spawn_blocking(move || output(&mut command, &job.to_string())).await.unwrap().unwrap();
    let answers: Vec<Value> = serde_json::from_str(&said).unwrap();
    let seen: Vec<(u64, &str)> = answers
        .iter()
        .map(|answer| (answer["status"].as_u64().unwrap(), answer["decision"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(seen, [(200, "allow"), (200, "allow"), (403, "step_up"), (403, "deny")], "{said}\n{}", edge.log());
    assert_eq!(origin.seen().len(), 2);
    // Nothing that scripts a gate is in the build that is deployed.
    let scripting = passgate_tests::case::Request {
        method: "POST".to_owned(),
        target: "/.passgate/test/reset".to_owned(),
        host: url.trim_start_matches("http://").to_owned(),
        headers: Vec::new(),
        body: String::new(),
    };
    assert_eq!(edge.send(&scripting).await.unwrap().status, 404);
}
