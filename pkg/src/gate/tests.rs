use passgate_passport::key::SecretKey;
use serde_json::{Value, json};

use super::*;
use crate::export::ExportVerifier;

const NOW: f64 = 1_800_000_000_000.0;
const SEED: [u8; 32] = [7; 32];

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
    assert!(gate.decide(&request.to_string(), b"", NOW, &[2; 10], &SEED).unwrap_err().contains("waits"));
    assert!(gate.head(NOW).is_err());
    assert!(gate.commit(&[0; 63]).is_err(), "a signature has 64 bytes");
    assert!(gate.commit(&[0; 64]).unwrap_err().contains("key"), "another's signature");
    commit(&mut gate);
    assert!(gate.commit(&[0; 64]).is_err(), "nothing waits");
    let answer: Value =
        serde_json::from_str(&gate.decide(&request.to_string(), b"", NOW, &[2; 10], &SEED).unwrap()).unwrap();
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
    assert_eq!((gate.rows.len(), gate.link.seq), (2, 1), "the fences alone");
    gate.revoke(&subject, NOW, &[2; 10]).unwrap();
    commit(&mut gate);
    assert_eq!((gate.rows.len(), gate.link.seq), (3, 2));
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
        assert!(gate.decide(request, b"", NOW, &[2; 10], &SEED).unwrap_err().starts_with("request: "), "{request}");
    }
    assert!(gate.revoke(r#"{"kind":"all"}"#, NOW, &[2; 10]).is_err());
    assert!(gate.settle("att_1", r#"{"result":"lost"}"#, NOW, &[2; 10]).is_err());
    let request = r#"{"method":"GET","authority":null,"path":"/","query":null,"headers":[]}"#;
    assert!(gate.decide(request, b"", NOW, &[2; 9], &SEED).is_err());
    assert!(gate.decide(request, b"", 0.5, &[2; 10], &SEED).is_err());
    assert!(gate.decide(request, b"", NOW, &[2; 10], &SEED[1..]).is_err());
    assert_eq!(gate.pending().unwrap(), "null");
}

#[test]
fn a_pass_is_given_away_when_its_decision_is_recorded() {
    let agent = SecretKey::from_seed([3; 32]);
    let policy = json!({
        "version": 1,
        "gate": { "id": "gate_1", "level": "L1", "public_url": "http://tools.example" },
        "self_issued": "any_key",
        "routes": [{ "path": "/search", "action": "web:search" }],
        "action_passes": {},
    });
    let evaluator = json!({ "digest": "sha256:0", "engine": "test", "version": "0" });
    let mut gate =
        Gate::new(&policy.to_string(), &evaluator.to_string(), &key().public().to_jwk(), 0.0, NOW, &[1; 10]).unwrap();
    commit(&mut gate);
    let asked = |pass: &str, nonce: &str| {
        let scopes = vec![passgate_passport::scope::Scope::parse("web:*").unwrap()];
        let (jti, public) = ("pass_01ARYZ6S410000000000000001".to_owned(), agent.public().clone());
        let new = passgate_passport::issue::NewPassport::new(
            jti,
            "bot".to_owned(),
            public,
            scopes,
            1_800_000_000,
            1_800_003_600,
        );
        let passport = passgate_passport::issue::issue(&agent, &new).unwrap();
        let mut headers =
            vec![("agent-passport".to_owned(), passport), ("agent-action-pass".to_owned(), pass.to_owned())];
        let lines: Vec<passgate_passport::http::Header<'_>> = headers
            .iter()
            .map(|(name, value)| passgate_passport::http::Header { name, value: value.as_bytes() })
            .collect();
        let http = passgate_passport::http::HttpRequest {
            method: "GET",
            scheme: "http",
            authority: "tools.example",
            path: "/search",
            query: None,
            headers: &lines,
            body: b"",
        };
        let params = passgate_passport::proof::ProofParams { created: 1_800_000_000, nonce, expires: None };
        let signed = passgate_passport::proof::sign(&http, &agent, &params).unwrap();
        headers.push(("signature-input".to_owned(), signed.signature_input));
        headers.push(("signature".to_owned(), signed.signature));
        json!({ "method": "GET", "authority": "tools.example", "path": "/search", "query": null, "headers": headers })
    };
    let mint = asked("mint", "nonce-of-minting-1").to_string();
    let answer: Value = serde_json::from_str(&gate.decide(&mint, b"", NOW, &[2; 10], &SEED).unwrap()).unwrap();
    assert_eq!((&answer["decision"], &answer["response"]["status"]), (&json!("allow"), &json!(503)), "not yet");
    let pending: Value = serde_json::from_str(&gate.pending().unwrap()).unwrap();
    let signature = key().sign(pending["passSigningInput"].as_str().unwrap().as_bytes());
    assert!(gate.sign_pass(&[0; 64]).is_err(), "another's signature");
    gate.sign_pass(&signature).unwrap();
    assert!(gate.minted().is_err(), "the record is not there yet");
    commit(&mut gate);
    let minted: Value = serde_json::from_str(&gate.minted().unwrap()).unwrap();
    assert_eq!(minted["status"], 201);
    assert!(gate.minted().is_err(), "it is given away once");
    let body: Value = serde_json::from_str(minted["body"].as_str().unwrap()).unwrap();
    for (nonce, decision) in [("nonce-of-redeeming-1", "allow"), ("nonce-of-redeeming-2", "deny")] {
        let redeem = asked(body["action_pass"].as_str().unwrap(), nonce).to_string();
        let answer: Value = serde_json::from_str(&gate.decide(&redeem, b"", NOW, &[4; 10], &SEED).unwrap()).unwrap();
        assert_eq!(answer["decision"], decision, "{answer}");
        commit(&mut gate);
    }
}
