//! What people approve is let through once, whichever object counts it; who waits is told.

use futures_util::future::join_all;
use passgate_passport::approval::{self, APPROVAL_FIELD, Approval};
use passgate_passport::id;
use passgate_tests::agent::{RequestDraft, key};
use passgate_tests::edge::{Agent, Edge, GATE_ID};
use passgate_tests::origin::Origin;
use passgate_tests::site::now;
use passgate_tests::wire::Answer;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{allowed, assert_ledger, gate, is_kind, refused, verdict};

const PEOPLE: [(&str, u8); 2] = [("alice", 101), ("bob", 102)];

/// Above 10 USD somebody approves.
async fn approved_gate() -> (Origin, Edge) {
    gate(|bundle| {
        let approver = |(name, seed): (&str, u8)| {
            let jwk: Value = serde_json::from_str(&key(seed).public().to_jwk()).unwrap();
            json!({ "name": name, "key": jwk, "roles": ["finance"] })
        };
        bundle["policy"]["approvals"] = json!({ "approvers": PEOPLE.map(approver) });
        bundle["policy"]["guardrails"] = json!({ "approval_workflows": { "require_approval_above_usd": 10 } });
    })
    .await
}

fn order(agent: &Agent, amount: &str) -> RequestDraft {
    agent.request("POST", "/pay").unwrap().json(&format!("{{\"amount\":{amount}}}"))
}

async fn send(edge: &Edge, draft: RequestDraft) -> Answer {
    edge.send(&draft.sign().unwrap()).await.unwrap()
}

/// Asks for 20 USD and gives the request for approval.
async fn held_back(edge: &Edge, agent: &Agent) -> String {
    let answer = send(edge, order(agent, "20")).await;
    assert_eq!(verdict(&answer), refused(403, "approval_required"));
    assert_eq!(answer.field("retry-after"), Some("5"));
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["approval"]["state"], "pending");
    problem["approval"]["request_id"].as_str().unwrap().to_owned()
}

async fn control(edge: &Edge, method: &str, rest: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = edge.control(method, &format!("/.passgate/v1/approvals/{rest}"), &body).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

async fn signed(edge: &Edge, request_id: &str, (name, seed): (&str, u8)) -> Value {
    let (_, request) = control(edge, "GET", request_id, &Value::Null).await;
    let shown = request["shown"].as_str().unwrap();
    let approval = Approval {
        audience: GATE_ID.to_owned(),
        exp: now().unwrap() + 600,
        grant: None,
        iat: now().unwrap(),
        issuer: name.to_owned(),
        jti: id::new_id("appr", u64::from(seed), Sha256::digest(request_id)[..10].try_into().unwrap()),
        request_id: request_id.to_owned(),
        shown_sha256: Sha256::digest(shown).into(),
    };
    json!({ "approval": approval::sign(&key(seed), &approval).unwrap() })
}

async fn approve(edge: &Edge, request_id: &str, person: (&str, u8)) -> (u16, Value) {
    let given = signed(edge, request_id, person).await;
    control(edge, "POST", &format!("{request_id}/approve"), &given).await
}

/// How a request stands, asked without an API key.
async fn status(edge: &Edge, request_id: &str) -> Value {
    let target = format!("/.passgate/v1/approvals/{request_id}/status");
    let request = RequestDraft::new("GET", &target, "", 1).unsigned();
    let answer = edge.send(&passgate_tests::agent::without(request, "agent-passport")).await.unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

fn with(draft: RequestDraft, status: &Value) -> RequestDraft {
    let tokens: Vec<&str> =
        status["approvals"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    draft.header(APPROVAL_FIELD, &tokens.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_is_let_through_once_and_asked_anew() {
    let (origin, edge) = approved_gate().await;
    let agent = Agent::new("agent-1", 61, &["payments:*"]).unwrap();
    let request_id = held_back(&edge, &agent).await;
    assert_eq!(held_back(&edge, &agent).await, request_id, "nobody is asked twice");
    assert_eq!(status(&edge, &request_id).await["state"], "pending");
    let list = edge.control("GET", "/.passgate/v1/approvals?state=pending", "").await.unwrap();
    let list: Value = serde_json::from_slice(&list.body).unwrap();
    assert_eq!((&list["approvals"][0]["id"], &list["approvals"][0]["asked"]), (&json!(request_id), &json!(2)));

    let (code, record) = approve(&edge, &request_id, PEOPLE[0]).await;
    assert_eq!((code, &record["approval"]["answer"]), (201, &json!("approve")), "{record}");
    let told = status(&edge, &request_id).await;
    assert_eq!(told["state"], "approved");
    let changed = send(&edge, with(order(&agent, "20.0"), &told)).await;
    assert_eq!(verdict(&changed), refused(403, "approval_content_mismatch"));
    assert_eq!(verdict(&send(&edge, with(order(&agent, "20"), &told)).await), allowed());
    assert_eq!(verdict(&send(&edge, with(order(&agent, "20"), &told)).await), refused(403, "approval_used"));
    assert_eq!(origin.seen().iter().filter(|seen| seen.target == "/pay").count(), 1);
    let anew = held_back(&edge, &agent).await;
    assert_ne!(anew, request_id);
    edge.restart().unwrap();
    assert_eq!(verdict(&send(&edge, with(order(&agent, "20"), &told)).await), refused(403, "approval_used"));
    let records = edge.records().await.unwrap();
    assert_eq!(records.iter().filter(|record| is_kind(record, "approval")).count(), 1);
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_race_are_taken_in_one_after_the_other() {
    let (_origin, edge) = approved_gate().await;
    let agent = Agent::new("agent-2", 62, &["payments:*"]).unwrap();
    let request_id = held_back(&edge, &agent).await;
    let given = [signed(&edge, &request_id, PEOPLE[0]).await, signed(&edge, &request_id, PEOPLE[1]).await];
    let path = format!("{request_id}/approve");
    let answers = join_all(given.iter().map(|given| control(&edge, "POST", &path, given))).await;
    let mut codes: Vec<u16> = answers.iter().map(|(code, _)| *code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [201, 409], "{answers:?}");
    let (code, problem) = control(&edge, "POST", &format!("{request_id}/deny"), &json!({})).await;
    assert_eq!((code, &problem["reason_code"]), (409, &json!("approval_request_closed")));
    // Of many at once one is let through.
    let told = status(&edge, &request_id).await;
    let sent = join_all((0..20).map(|_| send(&edge, with(order(&agent, "20"), &told)))).await;
    assert_eq!(sent.iter().filter(|answer| verdict(answer) == allowed()).count(), 1);
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_refused_at_once_and_what_is_denied_is_told() {
    let (_origin, edge) = approved_gate().await;
    let agent = Agent::new("agent-3", 63, &["payments:*"]).unwrap();
    let request_id = held_back(&edge, &agent).await;
    assert_eq!(approve(&edge, &request_id, PEOPLE[0]).await.0, 201);
    let told = status(&edge, &request_id).await;
    assert_eq!(control(&edge, "POST", &format!("{request_id}/withdraw"), &Value::Null).await.0, 201);
    assert_eq!(verdict(&send(&edge, with(order(&agent, "20"), &told)).await), refused(403, "approval_revoked"));
    assert_eq!(status(&edge, &request_id).await["state"], "withdrawn");

    let request_id = held_back(&edge, &agent).await;
    let denied = control(&edge, "POST", &format!("{request_id}/deny"), &json!({ "note": "not today" })).await;
    assert_eq!(denied.0, 201);
    let told = status(&edge, &request_id).await;
    assert_eq!((&told["state"], &told["note"]), (&json!("denied"), &json!("not today")));
    let again = send(&edge, order(&agent, "20")).await;
    let problem: Value = serde_json::from_slice(&again.body).unwrap();
    assert_eq!(
        (&problem["approval"]["state"], &problem["approval"]["request_id"]),
        (&json!("denied"), &json!(request_id))
    );
    let late = approve(&edge, &request_id, PEOPLE[0]).await;
    assert_eq!((late.0, &late.1["reason_code"]), (409, &json!("approval_request_closed")));
    assert_ledger(&edge).await;
}
