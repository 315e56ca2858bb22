use alloc::format;
use alloc::vec;

use serde_json::json;

use super::*;
use crate::delegation::verify_chain;
use crate::json::Node;
use crate::passport::VerifyContext;
use crate::trust::{Issuer, IssuerKey, IssuerStatus, SelfIssued, TrustStore};

const IAT: i64 = 1_700_000_000;
const JTI: &str = "pass_01ARYZ6S410000000000000001";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn minimal() -> NewPassport {
    let scopes = vec![Scope::parse("payments:*").unwrap()];
    NewPassport::new(JTI.to_string(), "agent-1".to_string(), key(9).public().clone(), scopes, IAT, IAT + 3600)
}

fn full() -> NewPassport {
    let metadata = json!({"z": 1, "a": {"y": [{"d": 1, "c": 2}], "b": null}, "é": 1.5});
    NewPassport {
        iss: Some("https://issuer.example".to_string()),
        nbf: Some(IAT + 5),
        agent_name: Some("Billing \"bot\"".to_string()),
        aud: Some(vec!["gate-a".to_string(), "gate-b".to_string()]),
        trust_tier: Some(Tier::L2),
        status_list: Some(StatusRef { idx: 7, uri: "https://issuer.example/status/1".to_string() }),
        metadata: metadata.as_object().cloned(),
        ..minimal()
    }
}

fn payload(token: &str) -> String {
    let encoded = token.split('.').nth(1).unwrap();
    String::from_utf8(b64::decode(encoded).unwrap()).unwrap()
}

fn trust() -> TrustStore {
    let issuer = Issuer {
        id: "https://issuer.example".to_string(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys: vec![IssuerKey::unbounded(key(1).public().clone())],
        max_passport_ttl_seconds: 3600,
    };
    TrustStore::new([issuer], SelfIssued::AnyKey).unwrap()
}

fn context() -> VerifyContext<'static> {
    VerifyContext { now: IAT + 60, leeway_seconds: 0, audience: Some("gate-b") }
}

#[test]
fn the_payload_has_its_documented_bytes() {
    let token = issue(&key(1), &full()).unwrap();
    let (kid, x) = (key(9).public().thumbprint().to_string(), b64::encode(key(9).public().as_bytes()));
    let expected = format!(
        concat!(
            r#"{{"iss":"https://issuer.example","sub":"agent-1","jti":"{}","iat":1700000000,"nbf":1700000005,"exp":1700003600,"#,
            r#""cnf":{{"jwk":{{"crv":"Ed25519","kid":"{}","kty":"OKP","x":"{}"}}}},"permissions":["payments:*"],"#,
            r#""agent_name":"Billing \"bot\"","aud":["gate-a","gate-b"],"trust_tier":"L2","#,
            r#""status":{{"status_list":{{"idx":7,"uri":"https://issuer.example/status/1"}}}},"#,
            r#""metadata":{{"a":{{"b":null,"y":[{{"c":2,"d":1}}]}},"z":1,"é":1.5}}}}"#
        ),
        JTI, kid, x
    );
    assert_eq!(payload(&token), expected);
    assert_eq!(issue(&key(1), &full()).unwrap(), token);
}

#[test]
fn an_issuers_passport_verifies_and_says_what_was_asked() {
    let asked = full();
    let token = issue(&key(1), &asked).unwrap();
    let verified = verify_chain(&token, &trust(), &context()).unwrap();
    let claims = &verified.leaf().claims;
    assert_eq!(verified.tier(), Tier::L2);
    assert_eq!((claims.nbf, claims.exp), (asked.nbf, asked.exp));
    assert_eq!(claims.permissions, asked.permissions);
    assert_eq!(claims.agent_name, asked.agent_name);
    assert_eq!(claims.aud, asked.aud);
    assert_eq!(claims.status_list, asked.status_list);
    let metadata = asked.metadata.map(Value::Object);
    assert_eq!(claims.metadata.clone().map(|members| Node::Object(members).to_value()), metadata);
    assert_eq!(claims.cnf_key, asked.cnf_key);
}

#[test]
fn a_self_issued_passport_names_its_own_key() {
    let token = issue(&key(5), &minimal()).unwrap();
    let verified = verify_chain(&token, &trust(), &context()).unwrap();
    assert_eq!(verified.root_issuer(), did_key::encode(key(5).public()));
    assert_eq!(verified.tier(), Tier::L1);
    let spelled_out = NewPassport { iss: Some(did_key::encode(key(5).public())), ..minimal() };
    assert_eq!(issue(&key(5), &spelled_out).unwrap(), token);
}

#[test]
fn self_issued_passports_cannot_overreach() {
    let of_another = NewPassport { iss: Some(did_key::encode(key(6).public())), ..minimal() };
    assert_eq!(issue(&key(5), &of_another), Err(IssueError::IssuerMismatch));
    let claimed = NewPassport { trust_tier: Some(Tier::L2), ..minimal() };
    assert_eq!(issue(&key(5), &claimed), Err(IssueError::TierMismatch));
    assert!(issue(&key(5), &NewPassport { trust_tier: Some(Tier::L1), ..minimal() }).is_ok());
    let longest = NewPassport { exp: IAT + SELF_ISSUED_MAX_TTL_SECONDS, ..minimal() };
    assert!(issue(&key(5), &longest).is_ok());
    let longer = NewPassport { exp: longest.exp + 1, ..longest };
    assert_eq!(issue(&key(5), &longer), Err(IssueError::LifetimeExceeded { max_seconds: SELF_ISSUED_MAX_TTL_SECONDS }));
}

#[test]
fn nothing_is_issued_that_no_verifier_would_accept() {
    let many = vec![Scope::parse("a").unwrap(); 257];
    let unsafe_integer = json!({"n": 9_007_199_254_740_992_u64});
    let deep = (0..40).fold(json!(1), |inner, _| json!({"a": inner}));
    for (name, passport) in [
        ("jti", NewPassport { jti: "1".to_string(), ..minimal() }),
        ("sub", NewPassport { sub: "two words".to_string(), ..minimal() }),
        ("iss", NewPassport { iss: Some(String::new()), ..minimal() }),
        ("iat", NewPassport { iat: -1, exp: 100, ..minimal() }),
        ("exp", NewPassport { exp: IAT, ..minimal() }),
        ("nbf", NewPassport { nbf: Some(IAT + 3601), ..minimal() }),
        ("permissions", NewPassport { permissions: many, ..minimal() }),
        ("agent_name", NewPassport { agent_name: Some("a\nb".to_string()), ..minimal() }),
        ("aud", NewPassport { aud: Some(vec![]), ..minimal() }),
        ("status", NewPassport { status_list: Some(StatusRef { idx: u64::MAX, uri: "x".to_string() }), ..minimal() }),
        ("an unsafe integer", NewPassport { metadata: unsafe_integer.as_object().cloned(), ..minimal() }),
        ("depth", NewPassport { metadata: deep.as_object().cloned(), ..minimal() }),
    ] {
        assert!(matches!(issue(&key(5), &passport), Err(IssueError::Claims(_))), "{name}");
    }
    let large = json!({"x": "a".repeat(MAX_PASSPORT_BYTES * 3 / 4)});
    let large = NewPassport { metadata: large.as_object().cloned(), ..minimal() };
    assert_eq!(issue(&key(5), &large), Err(IssueError::TooLarge));
}
