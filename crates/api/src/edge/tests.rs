use passgate_passport::b64;
use passgate_passport::jws::JwsError;
use serde_json::{Value, json};

use passgate_core::gate::PolicyFreshness;

use super::*;

const NOW: i64 = 1_800_000_000;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn document() -> Value {
    let issuer: Value = serde_json::from_str(&key(1).public().to_jwk()).unwrap();
    json!({
        "iat": NOW,
        "exp": NOW + 86_400,
        "policy": {
            "version": 3,
            "gate": { "id": "gate_1", "level": "L2", "public_url": "https://gate.example" },
            "issuers": [{ "id": "https://issuer.example", "tier": "L2", "keys": [{ "jwk": issuer }] }],
            "routes": [{ "method": "POST", "path": "/pay", "action": "payments:create" }],
            "guardrails": { "rate_limits": { "requests_per_minute": 60 }, "spend_limits": { "daily_usd": 100.5 } }
        },
        "edge": { "upstream": { "url": "https://api.example" } }
    })
}

fn set(pointer: &str, value: Value) -> Value {
    let mut document = document();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = value;
    document
}

fn token(document: &Value) -> String {
    jws::sign(&key(9), TokenType::Bundle, document.to_string().as_bytes())
}

fn check(token: &str) -> Result<VerifiedBundle, BundleError> {
    verify(token, &[key(8).public().clone(), key(9).public().clone()], NOW)
}

fn bundle(document: &Value) -> EdgeBundle {
    serde_json::from_value(document.clone()).unwrap()
}

fn evaluator() -> EvaluatorRef {
    EvaluatorRef { digest: "d".to_owned(), engine: "native".to_owned(), version: "0".to_owned() }
}

#[test]
fn what_is_signed_is_what_is_verified() {
    let original = bundle(&document());
    let token = original.sign(&key(9));
    let verified = check(&token).unwrap();
    assert_eq!(verified.bundle(), &original);
    assert_eq!((verified.version(), verified.jws()), (3, token.as_str()));
    assert_eq!(inspect(&token).unwrap(), original);
    let digest = Sha256::digest(token.as_bytes()).into();
    assert_eq!(verified.sha256(), sha256_label(&digest));
    let gate = verified.gate(evaluator()).unwrap();
    let freshness = PolicyFreshness { issued_at: original.iat, good_until: original.exp };
    assert_eq!((gate.id.as_str(), gate.policy_freshness), ("gate_1", Some(freshness)));
}

#[test]
fn the_policy_is_the_one_a_local_gate_would_have() {
    let verified = check(&bundle(&document()).sign(&key(9))).unwrap();
    let local: Bundle = serde_json::from_value(document()["policy"].clone()).unwrap();
    assert_eq!(verified.gate(evaluator()).unwrap().policy, local.compile(evaluator()).unwrap().policy);
}

#[test]
fn what_is_left_out_has_the_documented_values() {
    let edge = bundle(&document()).edge;
    assert_eq!((edge.max_body_bytes, edge.decision_timeout_ms), (1 << 20, 2_000));
    assert_eq!((edge.upstream.response_timeout_ms, edge.upstream.idle_timeout_ms), (30_000, 30_000));
    assert_eq!((edge.upstream.max_response_bytes, edge.admission), (100 << 20, AdmissionDoc::Agent));
}

#[test]
fn the_bytes_are_pinned() {
    let token = bundle(&document()).sign(&key(9));
    let (_, rest) = token.split_once('.').unwrap();
    let payload = b64::decode(rest.split_once('.').unwrap().0).unwrap();
    let text = String::from_utf8(payload).unwrap();
    let edge = r#"{"edge":{"admission":"agent","decision_timeout_ms":2000,"max_body_bytes":1048576,"upstream":{"idle_timeout_ms":30000,"max_response_bytes":104857600,"response_timeout_ms":30000,"url":"https://api.example"}},"exp":1800086400,"iat":1800000000,"policy":{"#;
    assert!(text.starts_with(edge), "{text}");
    assert_eq!(text, serde_json_canonicalizer::to_string(&serde_json::from_str::<Value>(&text).unwrap()).unwrap());
}

#[test]
fn only_pinned_keys_sign_bundles() {
    let signed = bundle(&document()).sign(&key(7));
    assert_eq!(check(&signed), Err(BundleError::UnknownKey));
    assert_eq!(verify(&signed, &[], NOW), Err(BundleError::UnknownKey));

    let good = token(&document());
    let (input, signature) = good.rsplit_once('.').unwrap();
    for at in [0, 40, 85] {
        let mut bytes = signature.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'Q' } else { b'A' };
        let changed = format!("{input}.{}", String::from_utf8(bytes).unwrap());
        assert_eq!(check(&changed), Err(BundleError::Token(JwsError::SignatureInvalid)), "{at}");
    }
    let other = token(&set("/policy/version", json!(4)));
    let spliced = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    assert_eq!(check(&spliced).unwrap_err().code(), "bundle_signature_invalid");
}

#[test]
fn other_tokens_and_long_ones_are_no_bundles() {
    let payload = document().to_string();
    for typ in TokenType::ALL.into_iter().filter(|typ| *typ != TokenType::Bundle) {
        let token = jws::sign(&key(9), typ, payload.as_bytes());
        assert_eq!(check(&token).unwrap_err().code(), "bundle_invalid", "{typ:?}");
    }
    let long = jws::sign(&key(9), TokenType::Bundle, &vec![b' '; MAX_BUNDLE_BYTES * 3 / 4]);
    assert_eq!(check(&long), Err(BundleError::Token(JwsError::TooLarge { limit: MAX_BUNDLE_BYTES })));
    for text in ["", "a.b.c", "{}"] {
        assert!(check(text).is_err(), "{text}");
    }
}

#[test]
fn a_bundle_past_its_time_verifies_and_one_from_the_future_does_not() {
    let signed = token(&document());
    let keys = [key(9).public().clone()];
    assert!(verify(&signed, &keys, NOW + 10 * 86_400).is_ok());
    assert!(verify(&signed, &keys, NOW - MAX_SKEW_SECONDS).is_ok());
    let early = NOW - MAX_SKEW_SECONDS - 1;
    assert_eq!(verify(&signed, &keys, early), Err(BundleError::Future { iat: NOW, now: early }));
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let mut without_exp = document();
    without_exp.as_object_mut().unwrap().remove("exp");
    let mut without_upstream = document();
    without_upstream["edge"].as_object_mut().unwrap().remove("upstream");
    for (document, place) in [
        (without_exp, "exp"),
        (without_upstream, "upstream"),
        (set("/exp", json!(NOW)), "exp"),
        (set("/exp", json!(NOW - 1)), "exp"),
        (set("/exp", json!(1_900_000_000.5)), "floating point"),
        (set("/iat", json!(-1)), "iat"),
        (set("/iat", json!("1")), "invalid type"),
        (set("/note", json!("")), "note"),
        (set("/edge/note", json!("")), "note"),
        (set("/edge/upstream/ca_file", json!("ca.pem")), "ca_file"),
        (set("/policy/guardrails/rate_limit", json!({})), "rate_limit"),
        (set("/policy/guardrails/allowed_domains", json!(null)), "null"),
        (set("/edge/admission", json!("tenant")), "tenant"),
        (set("/edge/max_body_bytes", json!(MAX_BODY_BYTES + 1)), "edge.max_body_bytes"),
        (set("/edge/decision_timeout_ms", json!(0)), "edge.decision_timeout_ms"),
        (set("/edge/decision_timeout_ms", json!(60_001)), "edge.decision_timeout_ms"),
        (set("/edge/upstream/response_timeout_ms", json!(0)), "edge.upstream.response_timeout_ms"),
        (set("/edge/upstream/idle_timeout_ms", json!(600_001)), "edge.upstream.idle_timeout_ms"),
        (set("/edge/upstream/max_response_bytes", json!((1_u64 << 40) + 1)), "edge.upstream.max_response_bytes"),
        (set("/edge/upstream/url", json!("https://gate.example")), "edge.upstream.url"),
        (set("/edge/upstream/url", json!("https://api.example/")), "edge.upstream.url"),
        (set("/edge/upstream/url", json!("https://API.example")), "edge.upstream.url"),
        (set("/edge/upstream/url", json!("https://api.example:443")), "edge.upstream.url"),
        (set("/edge/upstream/url", json!("https://user@api.example")), "edge.upstream.url"),
        (set("/edge/upstream/url", json!("ws://api.example")), "edge.upstream.url"),
    ] {
        let error = check(&token(&document)).unwrap_err();
        assert_eq!(error.code(), "bundle_invalid");
        assert!(error.to_string().contains(place), "{error} should name {place}");
    }
}

#[test]
fn edges_of_every_range_are_accepted() {
    for (pointer, value) in [
        ("/edge/max_body_bytes", json!(0)),
        ("/edge/max_body_bytes", json!(MAX_BODY_BYTES)),
        ("/edge/decision_timeout_ms", json!(MAX_DECISION_TIMEOUT_MS)),
        ("/edge/upstream/response_timeout_ms", json!(MAX_TIMEOUT_MS)),
        ("/edge/upstream/max_response_bytes", json!(MAX_RESPONSE_BYTES)),
        ("/edge/upstream/url", json!("http://192.0.2.7:8080")),
        ("/edge/upstream/url", json!("http://[2001:db8::1]:8080")),
    ] {
        check(&token(&set(pointer, value))).unwrap();
    }
}

#[test]
fn a_repeated_member_is_refused_whatever_it_says() {
    let text = document().to_string().replacen("\"iat\"", "\"iat\":0,\"iat\"", 1);
    let twice = jws::sign(&key(9), TokenType::Bundle, text.as_bytes());
    assert!(matches!(check(&twice), Err(BundleError::Payload(_))));
}

#[test]
fn limits_across_agents_take_one_place_for_all() {
    for name in ["per_gate", "per_tenant"] {
        let mut document = set(&format!("/policy/guardrails/rate_limits/{name}"), json!({ "requests_per_minute": 5 }));
        let error = check(&token(&document)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("policy.guardrails.rate_limits.{name}: ")), "{error}");
        assert!(error.contains("admission: gate"), "{error}");
        document["edge"]["admission"] = json!("gate");
        check(&token(&document)).unwrap();
    }
    let own = set("/policy/guardrails/rate_limits/per_action", json!({ "requests_per_minute": 5 }));
    check(&token(&own)).unwrap();
}

#[test]
fn versions_only_rise_and_the_gate_stays_itself() {
    let current = check(&token(&document())).unwrap().current();
    let replaces = |document: &Value| check(&token(document)).unwrap().current().replaces(&current);
    assert_eq!(replaces(&document()), Ok(()));
    assert_eq!(replaces(&set("/policy/version", json!(4))), Ok(()));
    assert_eq!(replaces(&set("/policy/version", json!(2))), Err(ReplaceError::Older { current: 3, new: 2 }));
    assert_eq!(replaces(&set("/edge/max_body_bytes", json!(7))), Err(ReplaceError::SameVersion { version: 3 }));
    assert_eq!(replaces(&set("/exp", json!(NOW + 1))), Ok(()));
    let earlier = replaces(&set("/iat", json!(current.issued_at - 1)));
    assert_eq!(earlier, Err(ReplaceError::SignedEarlier { current: current.issued_at, new: current.issued_at - 1 }));
    let mut other_gate = set("/policy/version", json!(4));
    other_gate["policy"]["gate"]["id"] = json!("gate_2");
    assert_eq!(replaces(&other_gate).unwrap_err().code(), "bundle_other_gate");
    let mut other_mode = set("/policy/version", json!(4));
    other_mode["edge"]["admission"] = json!("gate");
    let error = replaces(&other_mode).unwrap_err();
    assert_eq!(error.code(), "bundle_other_admission");
    assert!(error.to_string().contains("another id"), "{error}");
}

#[test]
fn what_a_gate_remembers_reads_back() {
    let current = check(&token(&document())).unwrap().current();
    let text = serde_json::to_string(&current).unwrap();
    assert_eq!(serde_json::from_str::<Current>(&text).unwrap(), current);
}
