use passgate_passport::key::SecretKey;
use serde_json::{Value, json};

use super::*;
use crate::export::ExportVerifier;

const NOW: f64 = 1_800_000_000_000.0;

fn key() -> SecretKey {
    SecretKey::from_seed([9; 32])
}

fn gate() -> Gate {
    let policy = json!({
        "version": 1,
        "gate": { "id": "gate_1", "level": "L1", "public_url": "http://tools.example" },
        "self_issued": "any_key",
        "routes": [{ "path": "/search", "action": "web:search" }],
    });
    let evaluator = json!({ "digest": "sha256:0", "engine": "test", "version": "0" });
    Gate::new(&policy.to_string(), &evaluator.to_string(), &key().public().to_jwk(), 0.0, NOW, &[1; 10]).unwrap()
}

fn commit(gate: &mut Gate) -> String {
    let pending: Value = serde_json::from_str(&gate.pending().unwrap()).unwrap();
    gate.commit(&key().sign(pending["signingInput"].as_str().unwrap().as_bytes())).unwrap()
}

#[test]
fn what_waits_for_its_signature_keeps_all_else_waiting() {
    let mut gate = gate();
    let request =
        json!({ "method": "GET", "authority": "tools.example", "path": "/search", "query": null, "headers": [] });
    assert!(gate.decide(&request.to_string(), b"", NOW, &[2; 10]).unwrap_err().contains("waits"));
    assert!(gate.head(NOW).is_err());
    assert!(gate.commit(&[0; 63]).is_err(), "a signature has 64 bytes");
    assert!(gate.commit(&[0; 64]).unwrap_err().contains("key"), "another's signature");
    commit(&mut gate);
    assert!(gate.commit(&[0; 64]).is_err(), "nothing waits");
    let answer: Value = serde_json::from_str(&gate.decide(&request.to_string(), b"", NOW, &[2; 10]).unwrap()).unwrap();
    assert_eq!((&answer["decision"], &answer["response"]["status"]), (&json!("deny"), &json!(401)));
    commit(&mut gate);
}

#[test]
fn what_is_given_up_leaves_nothing() {
    let mut gate = gate();
    commit(&mut gate);
    let subject = json!({ "kind": "agent", "issuer": "i", "agentId": "a" }).to_string();
    gate.revoke(&subject, NOW, &[2; 10]).unwrap();
    gate.cancel();
    assert_eq!((gate.rows.len(), gate.link.seq), (1, 1), "the fence alone");
    gate.revoke(&subject, NOW, &[2; 10]).unwrap();
    commit(&mut gate);
    assert_eq!((gate.rows.len(), gate.link.seq), (2, 2));
}

#[test]
fn its_ledger_verifies() {
    let mut gate = gate();
    let mut text = commit(&mut gate);
    gate.revoke(r#"{"kind":"key","thumbprint":"t"}"#, NOW, &[2; 10]).unwrap();
    text.push_str(&commit(&mut gate));
    let input = gate.head(NOW).unwrap();
    assert!(gate.head_line(input.clone(), &[0; 64]).is_err());
    let signature = key().sign(input.as_bytes());
    text.push_str(&gate.head_line(input, &signature).unwrap());
    let mut verifier = ExportVerifier::new(&key().public().to_jwk()).unwrap();
    verifier.push(text.as_bytes()).unwrap();
    let report: Value = serde_json::from_str(&verifier.finish().unwrap()).unwrap();
    assert_eq!((&report["valid"], &report["records"]), (&json!(true), &json!(2)));
}

#[test]
fn a_suspension_ends_and_a_revocation_stays() {
    let mut gate = gate();
    commit(&mut gate);
    let key = r#"{"kind":"key","thumbprint":"t"}"#;
    let subject = Subject::Key("t".to_owned());
    for (suspend, changes) in [(false, false), (true, true), (true, false), (false, true), (false, false), (true, true)]
    {
        let done = if suspend { gate.suspend(key, NOW, &[2; 10]) } else { gate.reinstate(key, NOW, &[2; 10]) };
        assert_eq!(done, Ok(changes));
        commit(&mut gate);
        assert_eq!(gate.standing(&subject).unwrap().is_denied(), suspend);
    }
    gate.revoke(key, NOW, &[2; 10]).unwrap();
    commit(&mut gate);
    assert!(gate.reinstate(key, NOW, &[2; 10]).unwrap_err().contains("cannot be lifted"));
    assert_eq!(gate.pending().unwrap(), "null");
    assert_eq!(gate.suspend(key, NOW, &[2; 10]), Ok(false));
    commit(&mut gate);
    assert!(gate.standing(&subject).unwrap().revoked_at.is_some());
}

#[test]
fn an_outcome_is_that_of_an_allowed_request() {
    let mut gate = gate();
    commit(&mut gate);
    let outcome = r#"{"result":"completed","status":200}"#;
    assert!(gate.settle("att_1", outcome, NOW, &[2; 10]).unwrap_err().contains("no allowed request"));
    gate.rows.insert(allowed_key("att_1"), Row { value: Vec::new(), expires_at: None });
    gate.settle("att_1", outcome, NOW, &[2; 10]).unwrap();
    commit(&mut gate);
    assert!(gate.settle("att_1", outcome, NOW, &[3; 10]).is_err(), "once");
}

#[test]
fn no_record_is_longer_than_verifiers_read() {
    let mut gate = gate();
    commit(&mut gate);
    let subject = json!({ "kind": "passport", "id": "p".repeat(60_000) }).to_string();
    assert!(gate.revoke(&subject, NOW, &[2; 10]).unwrap_err().contains("longer"));
    assert_eq!(gate.pending().unwrap(), "null");
}

#[test]
fn a_limit_without_a_value_is_refused() {
    let policy = json!({
        "version": 1,
        "gate": { "id": "gate_1", "level": "L1", "public_url": "http://tools.example" },
        "routes": [],
        "guardrails": { "spend_limits": { "daily_usd": null } },
    });
    let evaluator = json!({ "digest": "sha256:0", "engine": "test", "version": "0" }).to_string();
    let jwk = key().public().to_jwk();
    let refused = Gate::new(&policy.to_string(), &evaluator, &jwk, 0.0, NOW, &[1; 10]).err().unwrap();
    assert!(refused.contains("daily_usd"), "{refused}");
}

#[test]
fn arguments_without_their_shape_are_refused() {
    let mut gate = gate();
    commit(&mut gate);
    for request in ["", "{}", r#"{"method":7}"#] {
        assert!(gate.decide(request, b"", NOW, &[2; 10]).unwrap_err().starts_with("request: "), "{request}");
    }
    assert!(gate.revoke(r#"{"kind":"all"}"#, NOW, &[2; 10]).is_err());
    assert!(gate.settle("att_1", r#"{"result":"lost"}"#, NOW, &[2; 10]).is_err());
    let request = r#"{"method":"GET","authority":null,"path":"/","query":null,"headers":[]}"#;
    assert!(gate.decide(request, b"", NOW, &[2; 9]).is_err());
    assert!(gate.decide(request, b"", 0.5, &[2; 10]).is_err());
    assert_eq!(gate.pending().unwrap(), "null");
}
