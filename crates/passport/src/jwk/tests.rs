use alloc::format;
use alloc::string::ToString as _;

use serde_json::json;

use super::*;

// RFC 8037 appendix A.1 to A.3.
const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

fn public_jwk() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": X})
}

fn with(jwk: &Value, name: &str, value: Value) -> Value {
    let mut changed = jwk.clone();
    changed[name] = value;
    changed
}

fn without(jwk: &Value, name: &str) -> Value {
    let mut changed = jwk.clone();
    changed.as_object_mut().unwrap().remove(name);
    changed
}

fn refused_member(result: Result<impl core::fmt::Debug, JwkError>) -> &'static str {
    match result {
        Err(JwkError::Member { member, .. }) => member,
        other => panic!("expected a refused member, got {other:?}"),
    }
}

#[test]
fn public_keys_round_trip() {
    let key = from_value(&public_jwk()).unwrap();
    assert_eq!(key.thumbprint(), KID);
    let text = format!(r#"{{"crv":"Ed25519","kid":"{KID}","kty":"OKP","x":"{X}"}}"#);
    assert_eq!(key.to_jwk(), text);
    assert_eq!(PublicKey::from_jwk(text.as_bytes()).unwrap(), key);
}

#[test]
fn optional_members_may_stand_when_they_fit() {
    for (name, value) in [
        ("alg", json!("EdDSA")),
        ("alg", json!("Ed25519")),
        ("use", json!("sig")),
        ("key_ops", json!(["verify"])),
        ("kid", json!(KID)),
        ("exp", json!(1)),
        ("x5u", json!("https://ignored.example")),
    ] {
        assert!(from_value(&with(&public_jwk(), name, value)).is_ok(), "{name}");
    }
}

#[test]
fn members_that_do_not_fit_are_refused() {
    for (name, value) in [
        ("kty", json!("EC")),
        ("kty", json!("okp")),
        ("kty", json!(["OKP"])),
        ("crv", json!("X25519")),
        ("crv", json!("Ed448")),
        ("crv", json!(null)),
        ("x", json!("")),
        ("x", json!(format!("{X}="))),
        ("x", json!(format!("{X}A"))),
        ("x", json!(X.replace("Ro", "Rp"))),
        ("x", json!(1)),
        ("alg", json!("ES256")),
        ("alg", json!("none")),
        ("alg", json!(null)),
        ("use", json!("enc")),
        ("use", json!("SIG")),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!(["verify", "sign"])),
        ("key_ops", json!(["verify", "verify"])),
        ("key_ops", json!(["encrypt"])),
        ("key_ops", json!([])),
        ("key_ops", json!("verify")),
        ("kid", json!("another")),
        ("kid", json!(7)),
    ] {
        assert_eq!(refused_member(from_value(&with(&public_jwk(), name, value.clone()))), name, "{value}");
    }
    for name in ["kty", "crv", "x"] {
        assert_eq!(refused_member(from_value(&without(&public_jwk(), name))), name);
    }
    for value in [json!(null), json!([]), json!("OKP"), json!(["OKP", "Ed25519", X])] {
        assert_eq!(refused_member(from_value(&value)), "kty");
    }
}

#[test]
fn private_material_in_a_public_key_is_refused() {
    for name in PRIVATE_MEMBERS {
        assert_eq!(from_value(&with(&public_jwk(), name, json!("AA"))), Err(JwkError::Private), "{name}");
        let set = json!({"keys": [with(&json!({"kty": "RSA"}), name, json!("AA"))]});
        assert_eq!(parse_set(set.to_string().as_bytes()), Err(JwkError::Private), "{name} in a set");
    }
}

#[test]
fn weak_keys_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let jwk = with(&public_jwk(), "x", json!(b64::encode(&identity)));
    assert_eq!(from_value(&jwk), Err(JwkError::Key(KeyError::Weak)));
}

#[test]
fn duplicate_members_and_size() {
    let twice = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}","\u0078":"{X}"}}"#);
    assert!(matches!(PublicKey::from_jwk(twice.as_bytes()), Err(JwkError::Json(JsonError::DuplicateKey { .. }))));
    let large = with(&public_jwk(), "note", json!("n".repeat(MAX_JWK_BYTES)));
    assert_eq!(
        PublicKey::from_jwk(large.to_string().as_bytes()),
        Err(JwkError::Json(JsonError::TooLarge { limit: MAX_JWK_BYTES }))
    );
}

#[test]
fn private_keys_round_trip() {
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","d":"{D}","x":"{X}"}}"#);
    let key = SecretKey::from_private_jwk(jwk.as_bytes()).unwrap();
    assert_eq!(key.public().thumbprint(), KID);
    let written = key.to_private_jwk();
    let expected = format!(r#"{{"crv":"Ed25519","d":"{D}","kid":"{KID}","kty":"OKP","x":"{X}"}}"#);
    assert_eq!(written.as_str(), expected);
    assert_eq!(written.capacity(), 256, "the secret was never moved by growing");
    let again = SecretKey::from_private_jwk(written.as_bytes()).unwrap();
    assert_eq!(again.sign(b"m"), key.sign(b"m"));
}

#[test]
fn private_keys_that_do_not_hold_together_are_refused() {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "d": D, "x": X});
    let read = |jwk: &Value| SecretKey::from_private_jwk(jwk.to_string().as_bytes());
    let other = SecretKey::from_seed([9; 32]);
    let foreign = with(&jwk, "x", json!(b64::encode(other.public().as_bytes())));
    assert_eq!(read(&foreign).unwrap_err(), JwkError::Mismatch);
    for (name, value) in [
        ("d", json!("")),
        ("d", json!(format!("{D}A"))),
        ("d", json!(format!("{D}="))),
        ("d", json!(D.replace("2A", "2B"))),
        ("d", json!(1)),
        ("kty", json!("EC")),
        ("crv", json!("X25519")),
        ("alg", json!("HS256")),
        ("use", json!("enc")),
        ("key_ops", json!(["verify"])),
        ("key_ops", json!(["sign", "decrypt"])),
        ("kid", json!("another")),
    ] {
        assert_eq!(refused_member(read(&with(&jwk, name, value.clone()))), name, "{value}");
    }
    assert!(read(&with(&jwk, "key_ops", json!(["sign", "verify"]))).is_ok());
    for name in ["kty", "crv", "x", "d"] {
        assert_eq!(refused_member(read(&without(&jwk, name))), "d", "{name}");
    }
}

#[test]
fn errors_about_private_keys_never_quote_them() {
    // A string where an object is expected makes typed readers quote it.
    let error = SecretKey::from_private_jwk(format!("\"{D}\"").as_bytes()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(D));
    let swapped = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}","d":["{D}"],"key_ops":"{D}"}}"#);
    let error = SecretKey::from_private_jwk(swapped.as_bytes()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(D));
}

#[test]
fn sets_round_trip_and_skip_other_key_types() {
    let keys: Vec<PublicKey> = (1..=3).map(|seed| SecretKey::from_seed([seed; 32]).public().clone()).collect();
    assert_eq!(parse_set(emit_set(&keys).as_bytes()).unwrap(), keys);
    assert_eq!(emit_set([]), r#"{"keys":[]}"#);
    let mixed = json!({"keys": [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "X25519", "x": X},
        public_jwk(),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    ], "more": 1});
    let read = parse_set(mixed.to_string().as_bytes()).unwrap();
    assert_eq!(read.iter().map(PublicKey::thumbprint).collect::<Vec<_>>(), [KID]);
}

#[test]
fn unusable_sets_are_refused_whole() {
    let read = |set: Value| parse_set(set.to_string().as_bytes());
    assert_eq!(read(json!({"keys": [public_jwk(), public_jwk()]})), Err(JwkError::DuplicateKey));
    let bad = with(&public_jwk(), "use", json!("enc"));
    assert_eq!(refused_member(read(json!({"keys": [public_jwk(), bad]}))), "use");
    for set in [json!({}), json!([]), json!({"keys": {}}), json!({"keys": null}), json!([[public_jwk()]])] {
        assert_eq!(refused_member(read(set)), "keys");
    }
    assert_eq!(refused_member(read(json!({"keys": ["text"]}))), "keys");
    let many = |count: u8| {
        let keys: Vec<PublicKey> = (0..count).map(|seed| SecretKey::from_seed([seed; 32]).public().clone()).collect();
        parse_set(emit_set(&keys).as_bytes())
    };
    assert_eq!(many(64).unwrap().len(), 64);
    assert_eq!(many(65), Err(JwkError::TooManyKeys));
}
