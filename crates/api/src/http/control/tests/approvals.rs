//! Requests for approval over the control routes.

use passgate_passport::approval::{self, Approval};
use passgate_passport::id;
use serde_json::{Value, json};

use super::*;

const EXPIRES: i64 = NOW + 3_600;

/// A request of the agent whose key has the seed 23, which wants two of finance.
fn request(number: u8, needs: &Value) -> ApprovalRequest {
    let policy = serde_json::to_value(&gate().gate.policy).unwrap();
    let agent = json!({
        "agent_id": "bot", "issuer": ISSUER, "trust_tier": "L2", "passport_id": "pass_01ARYZ6S410000000000000001",
        "key_thumbprint": SecretKey::from_seed([23; 32]).public().thumbprint(),
    });
    let shown = json!({
        "action": {"name": "payments:refund", "amount_micro_usd": 60_000_000, "path": format!("/refund/{number}")},
        "agent": agent, "gate": {"gate_id": "gate_1", "level": "L2"}, "needs": needs, "policy": policy, "v": 1,
    });
    ApprovalRequest {
        agent: "agent".to_owned(),
        approvals: Vec::new(),
        asked: 1,
        asked_at: NOW,
        expires_at: EXPIRES,
        id: id::new_id("areq", NOW_MS + u64::from(number), [number; 10]),
        note: None,
        shown: shown.to_string(),
        state: RequestState::Pending,
    }
}

fn one_of_finance() -> Value {
    json!([{"count": 1, "reason_code": "approval_required", "roles": ["finance"]}])
}

fn waiting(gate: &TestGate, request: ApprovalRequest) -> ApprovalRequest {
    block_on(gate.store.ask(request.clone())).unwrap();
    request
}

fn signed(request: &ApprovalRequest, name: &str, seed: u8) -> String {
    let approval = Approval {
        audience: "gate_1".to_owned(),
        exp: NOW + 600,
        grant: None,
        iat: NOW,
        issuer: name.to_owned(),
        jti: id::new_id("appr", NOW_MS, [seed; 10]),
        request_id: request.id.clone(),
        shown_sha256: request.shown_sha256(),
    };
    approval::sign(&SecretKey::from_seed([seed; 32]), &approval).unwrap()
}

fn asked(gate: &Arc<TestGate>, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, text) = ask(gate, method, target, &body);
    (status, serde_json::from_str(&text.unwrap()).unwrap())
}

fn code(answer: (u16, Value)) -> (u16, String) {
    (answer.0, answer.1["reason_code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_request_is_listed_shown_approved_and_told() {
    let gate = gate();
    let request = waiting(&gate, request(1, &one_of_finance()));
    let path = |rest: &str| format!("/v1/approvals/{}{rest}", request.id);
    let (_, listed) = asked(&gate, "GET", "/v1/approvals?state=pending", &Value::Null);
    assert_eq!(listed["approvals"][0]["action"], "payments:refund");
    assert_eq!(listed["approvals"][0]["expires_at"], "2027-01-15T09:00:00.000Z");
    assert_eq!(listed["approvals"][0]["shown"], Value::Null, "lists are short");
    let (_, shown) = asked(&gate, "GET", &path(""), &Value::Null);
    assert_eq!(shown["shown"], request.shown);
    let (status, told) = asked(&gate, "GET", &path("/status"), &Value::Null);
    assert_eq!((status, &told["state"], &told["approvals"]), (200, &json!("pending"), &Value::Null));
    let token = signed(&request, "alice", 21);
    let (status, record) = asked(&gate, "POST", &path("/approve"), &json!({"approval": token, "note": "order 7"}));
    assert_eq!((status, &record["kind"]), (201, &json!("approval")));
    assert_eq!(record["approval"]["approval"]["approver"], "alice");
    let (_, told) = asked(&gate, "GET", &path("/status"), &Value::Null);
    assert_eq!((&told["state"], &told["approvals"]), (&json!("approved"), &json!([token])));
    let (_, listed) = asked(&gate, "GET", "/v1/approvals?state=pending", &Value::Null);
    assert_eq!(listed["approvals"], json!([]));
    let again = asked(&gate, "POST", &path("/deny"), &json!({}));
    assert_eq!(code(again), (409, "approval_request_closed".to_owned()));
}

#[test]
fn what_is_no_answer_to_it_changes_nothing() {
    let gate = gate();
    let request = waiting(&gate, request(1, &one_of_finance()));
    let other = super::approvals::request(2, &one_of_finance());
    let path = format!("/v1/approvals/{}/approve", request.id);
    let refused = |token: String| code(asked(&gate, "POST", &path, &json!({ "approval": token })));
    for (token, expected) in [
        (signed(&request, "bob", 22), "approval_role_missing"),
        (signed(&request, "bot", 23), "approval_self"),
        (signed(&request, "alice", 22), "approval_issuer_mismatch"),
        (signed(&request, "eve", 24), "approval_key_unknown"),
        (signed(&other, "alice", 21), "approval_content_mismatch"),
        ("e30.e30.AA".to_owned(), "approval_malformed"),
    ] {
        assert_eq!(refused(token), (409, expected.to_owned()));
    }
    let missing = |method: &str, rest: &str, body: &Value| {
        code(asked(&gate, method, &format!("/v1/approvals/{}{rest}", other.id), body))
    };
    for (method, rest, body) in [
        ("GET", "", Value::Null),
        ("GET", "/status", Value::Null),
        ("POST", "/approve", json!({"approval": "x"})),
        ("POST", "/deny", json!({})),
        ("POST", "/withdraw", Value::Null),
    ] {
        assert_eq!(missing(method, rest, &body), (404, "not_found".to_owned()), "{rest}");
    }
    assert_eq!(code(asked(&gate, "GET", "/v1/approvals/x/status", &Value::Null)).0, 404);
    for (target, body) in [("/approve", json!({})), ("/deny", json!({"note": "a\nb"})), ("/deny", json!({"why": "x"}))]
    {
        let answer = asked(&gate, "POST", &format!("/v1/approvals/{}{target}", request.id), &body);
        assert_eq!(answer.0, 400, "{target} {body}");
    }
    assert_eq!(block_on(gate.store.approval_request(&request.id)).unwrap(), Some(request));
}

#[test]
fn who_is_revoked_neither_approves_nor_is_approved() {
    let alice = Subject::Key(SecretKey::from_seed([21; 32]).public().thumbprint().to_owned());
    let agent = Subject::Agent { issuer: ISSUER.to_owned(), agent_id: "bot".to_owned() };
    for subject in [alice, agent, Subject::Passport("pass_01ARYZ6S410000000000000001".to_owned())] {
        let gate = gate();
        let request = waiting(&gate, request(1, &one_of_finance()));
        block_on(gate.revoke(&Revocation::try_from(subject.clone()).unwrap())).unwrap();
        let body = json!({ "approval": signed(&request, "alice", 21) });
        let answer = asked(&gate, "POST", &format!("/v1/approvals/{}/approve", request.id), &body);
        assert_eq!(code(answer), (409, "revoked".to_owned()), "{subject}");
    }
}

#[test]
fn what_is_denied_is_told_and_what_is_withdrawn_is_revoked() {
    let gate = gate();
    let denied = waiting(&gate, request(1, &one_of_finance()));
    let withdrawn = waiting(&gate, request(2, &one_of_finance()));
    let path = |request: &ApprovalRequest, rest: &str| format!("/v1/approvals/{}{rest}", request.id);
    let (status, record) = asked(&gate, "POST", &path(&denied, "/deny"), &json!({"note": "not this one"}));
    assert_eq!((status, &record["approval"]["answer"]), (201, &json!("deny")));
    let (_, told) = asked(&gate, "GET", &path(&denied, "/status"), &Value::Null);
    assert_eq!((&told["state"], &told["note"]), (&json!("denied"), &json!("not this one")));
    let (status, record) = asked(&gate, "POST", &path(&withdrawn, "/withdraw"), &Value::Null);
    assert_eq!((status, &record["revoked"]["kind"]), (201, &json!("approval")));
    let (_, told) = asked(&gate, "GET", &path(&withdrawn, "/status"), &Value::Null);
    assert_eq!(told["state"], "withdrawn");
    let standing = block_on(gate.standing(&[Subject::Approval(withdrawn.id)])).unwrap();
    assert!(standing[0].is_denied());
}

#[test]
fn pages_follow_one_another() {
    let gate = gate();
    let all: Vec<String> = (1..=5).map(|n| waiting(&gate, request(n, &one_of_finance())).id).collect();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (_, page) = asked(&gate, "GET", &format!("/v1/approvals?limit=2{after}"), &Value::Null);
        seen.extend(page["approvals"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, all);
    for query in ["limit=0", "limit=101", "state=open", "cursor=x"] {
        assert_eq!(asked(&gate, "GET", &format!("/v1/approvals?{query}"), &Value::Null).0, 400, "{query}");
    }
}

#[test]
fn a_store_that_fails_answers_nothing() {
    let gate = gate();
    let request = waiting(&gate, request(1, &one_of_finance()));
    gate.store.fail_all(Failure::NotWritten);
    for (method, target, body) in [
        ("GET", "/v1/approvals".to_owned(), Value::Null),
        ("GET", format!("/v1/approvals/{}/status", request.id), Value::Null),
        ("POST", format!("/v1/approvals/{}/deny", request.id), json!({})),
        ("POST", format!("/v1/approvals/{}/withdraw", request.id), Value::Null),
    ] {
        assert_eq!(code(asked(&gate, method, &target, &body)), (503, "store_unavailable".to_owned()), "{target}");
    }
}
