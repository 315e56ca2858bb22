use alloc::format;
use alloc::string::ToString as _;
use alloc::vec;

use serde_json::{Value, json};

use super::*;
use crate::json::JsonError;
use crate::key::SecretKey;

const JTI: &str = "pass_01ARYZ6S410000000000000001";

fn claims() -> Value {
    let jwk: Value = serde_json::from_str(&SecretKey::from_seed([3; 32]).public().to_jwk()).unwrap();
    json!({
        "iss": "https://issuer.example",
        "sub": "agent:billing-bot",
        "jti": JTI,
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
        "cnf": {"jwk": jwk},
        "permissions": ["payments:*", "vault:*:read"],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut changed = claims();
    changed[name] = value;
    changed
}

fn read_bytes(payload: &[u8]) -> Result<Claims, ClaimsError> {
    Claims::from_members(&read_members(payload)?)
}

fn read(payload: &Value) -> Result<Claims, ClaimsError> {
    read_bytes(payload.to_string().as_bytes())
}

fn assert_invalid(payload: &Value, claim: &str) {
    match read(payload) {
        Err(ClaimsError::Invalid { claim: named, .. }) => assert_eq!(named, claim, "{payload}"),
        other => panic!("{payload}: expected `{claim}` to be refused, got {other:?}"),
    }
}

#[test]
fn required_claims_alone_make_a_passport() {
    let read = read(&claims()).unwrap();
    assert_eq!(
        (read.iss.as_str(), read.sub.as_str(), read.jti.as_str()),
        ("https://issuer.example", "agent:billing-bot", JTI)
    );
    assert_eq!((read.iat, read.nbf, read.exp), (1_700_000_000, None, 1_700_003_600));
    assert_eq!(&read.cnf_key, SecretKey::from_seed([3; 32]).public());
    assert_eq!(read.permissions.iter().map(Scope::as_str).collect::<Vec<_>>(), ["payments:*", "vault:*:read"]);
    assert!(read.agent_name.is_none() && read.aud.is_none() && read.trust_tier.is_none());
    assert!(read.status_list.is_none() && read.metadata.is_none());
}

#[test]
fn optional_claims_are_read() {
    let mut payload = claims();
    payload["nbf"] = json!(1_700_000_060);
    payload["agent_name"] = json!("Rechnungs-Agent für Köln");
    payload["aud"] = json!("gate:eu");
    payload["trust_tier"] = json!("L2");
    payload["status"] = json!({"status_list": {"idx": 9, "uri": "https://issuer.example/status/1"}});
    payload["metadata"] = json!({"team": {"name": "billing"}});
    let read = read(&payload).unwrap();
    assert_eq!(read.nbf, Some(1_700_000_060));
    assert_eq!(read.agent_name.as_deref(), Some("Rechnungs-Agent für Köln"));
    assert_eq!(read.aud, Some(vec!["gate:eu".to_string()]));
    assert_eq!(read.trust_tier, Some(Tier::L2));
    assert_eq!(read.status_list.unwrap().idx, 9);
    assert_eq!(read.metadata.unwrap()["team"].as_object().unwrap()["name"].as_str(), Some("billing"));
}

#[test]
fn every_required_claim_missing_and_null_in_turn() {
    for claim in ["iss", "sub", "jti", "iat", "exp", "cnf", "permissions"] {
        let mut missing = claims();
        missing.as_object_mut().unwrap().remove(claim);
        assert_eq!(read(&missing), Err(ClaimsError::Missing { claim }));
        assert_eq!(read(&with(claim, Value::Null)), Err(ClaimsError::Missing { claim }));
    }
    for cnf in [json!({}), json!({"jwk": null}), json!({"jkt": "x"})] {
        assert_eq!(read(&with("cnf", cnf)), Err(ClaimsError::Missing { claim: "cnf.jwk" }));
    }
}

#[test]
fn wrong_types_for_every_claim() {
    let values =
        [json!(true), json!(1.5), json!(-1), json!([1]), json!([[]]), json!({"a": 1}), json!("\u{1}"), json!("")];
    let names =
        ["iss", "sub", "jti", "iat", "nbf", "exp", "cnf", "permissions", "agent_name", "aud", "trust_tier", "status"];
    for claim in names {
        for value in &values {
            let refused = read(&with(claim, value.clone()));
            let named = match refused {
                Err(ClaimsError::Invalid { claim, .. } | ClaimsError::Missing { claim }) => claim,
                other => panic!("{claim} = {value}: {other:?}"),
            };
            assert!(named.starts_with(claim), "{claim} = {value} blamed {named}");
        }
    }
    for value in [json!([]), json!("text"), json!(1), json!(true)] {
        assert_invalid(&with("metadata", value), "metadata");
    }
    for claim in ["nbf", "agent_name", "aud", "trust_tier", "status", "metadata"] {
        assert_invalid(&with(claim, Value::Null), claim);
    }
}

#[test]
fn payloads_that_are_no_object() {
    for payload in ["[]", "\"text\"", "1", "null", "true"] {
        assert_eq!(read_bytes(payload.as_bytes()), Err(ClaimsError::NotAnObject), "{payload}");
    }
    let as_array = format!("[{}]", claims());
    assert_eq!(read_bytes(as_array.as_bytes()), Err(ClaimsError::NotAnObject));
    assert!(matches!(read_bytes(b"not json"), Err(ClaimsError::Json(JsonError::Syntax { .. }))));
}

#[test]
fn duplicate_claims_anywhere() {
    let payload = claims().to_string();
    let body = payload.strip_suffix('}').unwrap();
    for addition in [
        r#""exp":9999999999"#,
        r#""\u0065xp":9999999999"#,
        r#""metadata":{"a":1,"a":2}"#,
        r#""unknown":[{"deep":{"x":1,"\u0078":2}}]"#,
    ] {
        let twice = format!("{body},{addition}}}");
        assert!(
            matches!(read_bytes(twice.as_bytes()), Err(ClaimsError::Json(JsonError::DuplicateKey { .. }))),
            "{addition}"
        );
    }
}

#[test]
fn times_are_integers_within_range() {
    let payload = |claim: &str, text: &str| {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(claim);
        format!("{},\"{claim}\":{text}}}", without.to_string().strip_suffix('}').unwrap())
    };
    for claim in ["iat", "nbf", "exp"] {
        for text in ["-1", "-0", "1.5", "1700000000.0", "1.7e9", "\"1700000000\"", "[1700000000]", "true", "{}"] {
            assert_invalid(&serde_json::from_str(&payload(claim, text)).unwrap(), claim);
        }
        for text in ["1e400", "9007199254740992", "9007199254740993", "9223372036854775807", "-9223372036854775808"] {
            let refused = read_bytes(payload(claim, text).as_bytes());
            assert!(matches!(refused, Err(ClaimsError::Json(JsonError::NumberRange { .. }))), "{claim} {text}");
        }
    }
    assert_eq!(read(&with("iat", json!(0))).unwrap().iat, 0);
    assert_eq!(read(&with("exp", json!(MAX_SAFE_INTEGER))).unwrap().exp, 9_007_199_254_740_991);
}

#[test]
fn times_are_in_order() {
    assert_invalid(&with("exp", json!(1_700_000_000)), "exp");
    assert_invalid(&with("exp", json!(1_699_999_999)), "exp");
    assert_invalid(&with("exp", json!(0)), "exp");
    assert!(read(&with("exp", json!(1_700_000_001))).is_ok());
    assert_invalid(&with("nbf", json!(1_700_003_601)), "nbf");
    assert!(read(&with("nbf", json!(1_700_003_600))).is_ok());
    assert!(read(&with("nbf", json!(0))).is_ok());
}

#[test]
fn identifiers_are_visible_ascii_of_bounded_length() {
    for claim in ["iss", "sub", "aud"] {
        assert!(read(&with(claim, json!("a".repeat(256)))).is_ok());
        for text in [
            "",
            " ",
            "a b",
            "a\n",
            "a\u{0}",
            "\u{1b}[31m",
            "a\u{202e}b",
            "\u{430}gent",
            "a\u{200b}",
            &"a".repeat(257),
            &"a".repeat(10_000),
        ] {
            assert_invalid(&with(claim, json!(text)), claim);
        }
    }
    for jti in [
        "",
        "pass_",
        "01ARYZ6S410000000000000001",
        "att_01ARYZ6S410000000000000001",
        "pass_01aryz6s410000000000000001",
        "pass_*",
    ] {
        assert_invalid(&with("jti", json!(jti)), "jti");
    }
}

#[test]
fn agent_names_are_shown_as_written() {
    for name in ["a", "Größe", "エージェント", &"é".repeat(256), "<script>", "=cmd|x"] {
        assert_eq!(read(&with("agent_name", json!(name))).unwrap().agent_name.as_deref(), Some(name));
    }
    for name in [
        "a\rb",
        "a\nb",
        "\u{1b}[2J",
        "\u{9b}2J",
        "a\u{0}",
        "a\u{202e}b",
        "a\u{2066}b",
        "a\u{2028}b",
        "\u{feff}a",
        "",
        &"é".repeat(257),
    ] {
        assert_invalid(&with("agent_name", json!(name)), "agent_name");
    }
}

#[test]
fn permissions_are_bounded_scopes() {
    assert_eq!(read(&with("permissions", json!([]))).unwrap().permissions, []);
    assert!(read(&with("permissions", json!(vec!["a:b"; 256]))).is_ok());
    for value in [
        json!(vec!["a:b"; 257]),
        json!(["Payments:*"]),
        json!(["a", ""]),
        json!(["**"]),
        json!(["a", 1]),
        json!(["a", null]),
        json!("a:b"),
    ] {
        assert_invalid(&with("permissions", value), "permissions");
    }
}

#[test]
fn audiences_are_never_an_empty_list() {
    assert_eq!(read(&with("aud", json!(["a", "b"]))).unwrap().aud.unwrap(), ["a", "b"]);
    assert!(read(&with("aud", json!(vec!["a"; 64]))).is_ok());
    for value in [json!([]), json!(vec!["a"; 65]), json!([""]), json!(["a", null]), json!([["a"]])] {
        assert_invalid(&with("aud", value), "aud");
    }
}

#[test]
fn tiers_have_exact_names() {
    for value in [json!("L0"), json!("L4"), json!("l2"), json!("2"), json!(2)] {
        assert_invalid(&with("trust_tier", value), "trust_tier");
    }
}

#[test]
fn confirmation_is_one_public_key() {
    let good = claims()["cnf"]["jwk"].clone();
    for cnf in [json!({"jwk": good, "jku": "https://attacker.example"}), json!({"jwk": good, "kid": "x"})] {
        assert_invalid(&with("cnf", cnf), "cnf");
    }
    let mut private = good.clone();
    private["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let mut weak = good.clone();
    weak["x"] = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    weak.as_object_mut().unwrap().remove("kid");
    for jwk in [private, weak, json!("text"), json!([]), json!({"kty": "oct", "k": "AA"})] {
        assert_invalid(&with("cnf", json!({"jwk": jwk})), "cnf.jwk");
    }
}

#[test]
fn claims_without_a_meaning_are_ignored() {
    assert_eq!(read(&with("https://example.com/other", json!({"a": [1]}))), read(&claims()));
}
