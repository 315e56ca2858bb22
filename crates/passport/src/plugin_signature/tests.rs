use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::b64;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn claims() -> Claims {
    Claims {
        iat: 1_800_000_000,
        name: "no-crypto-shops".into(),
        sha256: sha256(COMPONENT),
        version: "1.2.0-rc.1+build.7".into(),
        world: POLICY_WORLD.into(),
    }
}

/// As [`verify`], with keys 1 and 2 trusted.
fn verify_as(jws: &str, world: &str) -> Result<Claims, SignatureError> {
    verify(jws, &sha256(COMPONENT), world, &[key(1).public().clone(), key(2).public().clone()])
}

fn payload() -> Value {
    serde_json::from_slice(jws::decode(&sign(&key(1), &claims()), TokenType::Plugin, 4096).unwrap().payload()).unwrap()
}

/// The refusal of a well-signed payload.
fn refusal(payload: &[u8]) -> SignatureError {
    verify_as(&jws::sign(&key(1), TokenType::Plugin, payload), POLICY_WORLD).unwrap_err()
}

#[test]
fn a_signature_says_what_was_signed() {
    for seed in [1, 2] {
        let token = sign(&key(seed), &claims());
        assert!(token.len() < MAX_SIGNATURE_BYTES / 2);
        assert_eq!(verify_as(&token, POLICY_WORLD).unwrap(), claims());
    }
}

/// The format is stable: this payload must never change.
#[test]
fn the_payload_is_pinned_and_canonical() {
    let token = sign(&key(1), &claims());
    let unverified = jws::decode(&token, TokenType::Plugin, 4096).unwrap();
    let expected = concat!(
        r#"{"iat":1800000000,"name":"no-crypto-shops","#,
        r#""sha256":"sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29","#,
        r#""version":"1.2.0-rc.1+build.7","world":"passgate:policy@0.1.0"}"#
    );
    assert_eq!(core::str::from_utf8(unverified.payload()).unwrap(), expected);
    assert_eq!(serde_json_canonicalizer::to_string(&payload()).unwrap(), expected);
}

#[test]
fn the_longest_claims_fit() {
    let longest = Claims {
        iat: i64::try_from(MAX_SAFE_INTEGER).unwrap(),
        name: "n".repeat(MAX_NAME_BYTES),
        version: "v".repeat(MAX_VERSION_BYTES),
        world: "\"".repeat(MAX_WORLD_BYTES),
        ..claims()
    };
    assert_eq!(longest.check(), Ok(()));
    assert_eq!(verify_as(&sign(&key(1), &longest), &longest.world), Ok(longest));
}

#[test]
fn a_signature_of_another_component() {
    let token = sign(&key(1), &claims());
    let keys = [key(1).public().clone()];
    for other in [&b""[..], &COMPONENT[1..], b"\0asm\x0d\0\x01\x01"] {
        assert_eq!(verify(&token, &sha256(other), POLICY_WORLD, &keys), Err(SignatureError::Digest));
    }
}

#[test]
fn a_plugin_as_an_evaluator_and_the_reverse() {
    let evaluator = Claims { world: GATE_WORLD.into(), ..claims() };
    for (claims, world) in [(&claims(), GATE_WORLD), (&evaluator, POLICY_WORLD), (&evaluator, "passgate:gate@0.1.1")] {
        let refused = verify_as(&sign(&key(1), claims), world);
        assert_eq!(refused, Err(SignatureError::World { expected: world.into() }));
    }
    assert_eq!(verify_as(&sign(&key(1), &evaluator), GATE_WORLD), Ok(evaluator));
}

#[test]
fn a_key_that_nobody_trusts() {
    assert_eq!(verify_as(&sign(&key(3), &claims()), POLICY_WORLD), Err(SignatureError::KeyUnknown));
    let nobody = verify(&sign(&key(1), &claims()), &sha256(COMPONENT), POLICY_WORLD, &[]);
    assert_eq!(nobody, Err(SignatureError::KeyUnknown));
}

/// `kid` names a trusted key; somebody else signed.
#[test]
fn the_name_of_a_trusted_key_over_the_signature_of_another() {
    let (trusted, forged) = (sign(&key(1), &claims()), sign(&key(3), &claims()));
    let (input, _) = trusted.rsplit_once('.').unwrap();
    for signature in [forged.rsplit_once('.').unwrap().1, &b64::encode(&key(3).sign(input.as_bytes()))] {
        let refused = verify_as(&format!("{input}.{signature}"), POLICY_WORLD);
        assert_eq!(refused, Err(SignatureError::Token(JwsError::SignatureInvalid)));
    }
}

#[test]
fn other_kinds_of_tokens() {
    let payload = payload().to_string();
    for typ in TokenType::ALL.into_iter().filter(|typ| *typ != TokenType::Plugin) {
        let refused = verify_as(&jws::sign(&key(1), typ, payload.as_bytes()), POLICY_WORLD);
        let expected = JwsError::Type { expected: "plugin+jwt" };
        assert_eq!(refused, Err(SignatureError::Token(expected)), "{typ:?}");
    }
}

#[test]
fn claims_left_out_or_of_another_type() {
    let texts = [json!(null), json!(1), json!(true), json!([]), json!({}), json!([claims().name])];
    let numbers = [json!(null), json!("1800000000"), json!(true), json!([]), json!({}), json!(-1), json!(1.5)];
    for name in MEMBERS {
        let mut without = payload();
        without.as_object_mut().unwrap().remove(name).unwrap();
        assert_eq!(refusal(without.to_string().as_bytes()), claim(name, "is missing"));
        for other in if name == "iat" { &numbers[..] } else { &texts[..] } {
            let mut changed = payload();
            changed[name] = other.clone();
            let refused = refusal(changed.to_string().as_bytes());
            assert!(
                matches!(refused, SignatureError::Claim { claim, .. } if claim == name),
                "{name} {other}: {refused}"
            );
        }
    }
}

#[test]
fn claims_outside_their_limits() {
    let label = sha256_label(&sha256(COMPONENT));
    let digests = [
        String::new(),
        label.replace("sha256:", ""),
        label.replace("sha256:", "sha512:"),
        label.to_uppercase(),
        format!("{label}0"),
        format!("{label}00"),
        label.replace("sha256:", "sha256:+").chars().take(label.len()).collect(),
        label.chars().take(label.len() - 2).collect(),
    ];
    let digests = digests.iter().map(|digest| ("sha256", json!(digest)));
    let names = ["", "A", "a_b", "a.b", "a b", "ä", "a/b", "a\0"].map(|name| ("name", json!(name)));
    let versions = ["", "1.0 ", "1\n", "1/0", "ä"].map(|version| ("version", json!(version)));
    let worlds = ["", "a b", "a\u{7f}", "ä"].map(|world| ("world", json!(world)));
    let long = [("name", 65), ("version", 65), ("world", 65)].map(|(name, length)| (name, json!("a".repeat(length))));
    let times = [("iat", json!(MAX_SAFE_INTEGER + 1)), ("iat", json!(u64::MAX))];
    let all: Vec<_> = digests.chain(names).chain(versions).chain(worlds).chain(long).chain(times).collect();
    for (name, value) in all {
        let mut changed = payload();
        changed[name] = value.clone();
        let refused = refusal(changed.to_string().as_bytes());
        let is_number_too_large = name == "iat" && matches!(refused, SignatureError::Json(_));
        let is_named = matches!(refused, SignatureError::Claim { claim, .. } if claim == name);
        assert!(is_named || is_number_too_large, "{name} {value}: {refused}");
    }
}

#[test]
fn what_would_not_verify_does_not_pass_the_check() {
    assert_eq!(claims().check(), Ok(()));
    for wrong in [
        Claims { iat: -1, ..claims() },
        Claims { iat: i64::MAX, ..claims() },
        Claims { name: String::new(), ..claims() },
        Claims { version: "1 0".into(), ..claims() },
        Claims { world: "w".repeat(65), ..claims() },
    ] {
        let refused = wrong.check().unwrap_err();
        assert!(matches!(refused, SignatureError::Claim { .. }), "{refused}");
        assert!(verify_as(&sign(&key(1), &wrong), &wrong.world).is_err(), "{wrong:?}");
    }
}

#[test]
fn payloads_that_are_not_five_members_of_strict_json() {
    let mut more = payload();
    more["exp"] = json!(1);
    assert!(matches!(refusal(more.to_string().as_bytes()), SignatureError::Claim { claim: "unknown", .. }));
    let good = payload().to_string();
    let twice = good.replacen('{', r#"{"world":"passgate:gate@0.1.0","#, 1);
    assert!(matches!(refusal(twice.as_bytes()), SignatureError::Json(JsonError::DuplicateKey { .. })));
    for no_object in ["[]", "null", "1", r#""{}""#] {
        assert_eq!(refusal(no_object.as_bytes()), claim("(payload)", "is no JSON object"), "{no_object}");
    }
    for no_json in ["x", "{", &format!("{good}{good}"), &format!("\u{feff}{good}")] {
        assert!(matches!(refusal(no_json.as_bytes()), SignatureError::Json(_)), "{no_json}");
    }
    assert!(matches!(refusal(&[0xff]), SignatureError::Json(JsonError::NotUtf8 { .. })));
}

#[test]
fn a_signature_that_is_too_long() {
    let padded = jws::sign(&key(1), TokenType::Plugin, &[b' '; MAX_SIGNATURE_BYTES]);
    let expected = JwsError::TooLarge { limit: MAX_SIGNATURE_BYTES };
    assert_eq!(verify_as(&padded, POLICY_WORLD), Err(SignatureError::Token(expected)));
}

#[test]
fn every_error_says_what_to_do() {
    for (error, words) in [
        (SignatureError::KeyUnknown, "trust its key"),
        (SignatureError::Digest, "signed again"),
        (claim("iat", "is missing"), "`iat` is missing: have the component signed again"),
        (SignatureError::World { expected: POLICY_WORLD.into() }, POLICY_WORLD),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}
