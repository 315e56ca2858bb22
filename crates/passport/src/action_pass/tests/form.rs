//! What is no pass at all, whoever signed it.

use super::*;

/// The refusal of a well-signed payload.
fn refusal(payload: &[u8]) -> ActionPassError {
    verified(&jws::sign(&key(1), TokenType::ActionPass, payload)).unwrap_err()
}

fn refused_claim(payload: &Value) -> &'static str {
    match refusal(payload.to_string().as_bytes()) {
        ActionPassError::Claim(ClaimError::Claim { claim, .. }) => claim,
        other => panic!("{payload}: {other}"),
    }
}

/// The signature covers `cnf`; and if it did not, version and binding have to agree.
#[test]
fn stripping_the_key_off_a_pass() {
    let mut stripped = payload(&v1());
    stripped.as_object_mut().unwrap().remove("cnf").unwrap();
    assert_eq!(refused_claim(&stripped), "v");
    let mut grown = payload(&v0());
    grown["cnf"] = json!({"jkt": jkt(4)});
    assert_eq!(refused_claim(&grown), "v");
    for version in [json!(2), json!("0"), json!(null), json!(-1), json!(0.0)] {
        let mut other = payload(&v0());
        other["v"] = version;
        assert_eq!(refused_claim(&other), "v");
    }
    let token = minted(&v1());
    let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let forged = format!("{header}.{}.{signature}", b64::encode(&v0().payload().unwrap()));
    assert_eq!(verified(&forged), Err(ActionPassError::SignatureInvalid));
}

#[test]
fn claims_left_out_or_of_another_type() {
    let others = [json!(null), json!(true), json!([]), json!({}), json!(-1), json!(1.5), json!([GATE]), json!("")];
    let names: Vec<String> = payload(&v1()).as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 10);
    for name in names {
        let mut without = payload(&v1());
        without.as_object_mut().unwrap().remove(&name).unwrap();
        match name.as_str() {
            "approvals" => {
                assert!(verified(&jws::sign(&key(1), TokenType::ActionPass, without.to_string().as_bytes())).is_ok())
            }
            // Then the version speaks of a key that is not there.
            "cnf" => assert_eq!(refused_claim(&without), "v"),
            _ => assert_eq!(refused_claim(&without), name),
        }
        for other in &others {
            let mut changed = payload(&v1());
            changed[&name] = other.clone();
            assert_eq!(refused_claim(&changed), name, "{other}");
        }
    }
}

#[test]
fn claims_outside_their_limits() {
    let id = |n: usize| format!("appr_01ARYZ6S41000000000000000{n}");
    let label = v0().action.label();
    for (name, value) in [
        ("action_sha256", json!(label.to_uppercase())),
        ("action_sha256", json!(label.trim_start_matches("sha256:"))),
        ("action_sha256", json!(format!("{label}0"))),
        ("approvals", json!([id(2), id(1)])),
        ("approvals", json!([id(1), id(1)])),
        ("approvals", json!((0..9).map(id).collect::<Vec<_>>())),
        ("approvals", json!(["att_01ARYZ6S410000000000000001"])),
        ("approvals", json!([1])),
        ("attestation_id", json!("att_01aryz6s410000000000000001")),
        ("attestation_id", json!("actp_01ARYZ6S410000000000000001")),
        ("aud", json!("a b")),
        ("aud", json!("a".repeat(257))),
        ("cnf", json!({"jkt": "short"})),
        ("cnf", json!({"jkt": jkt(3), "jwk": {}})),
        ("cnf", json!({"jwk": {}})),
        ("exp", json!(IAT)),
        ("exp", json!(IAT - 1)),
        ("exp", json!("1800000120")),
        ("iss", json!("é")),
        ("jti", json!("pass_01ARYZ6S410000000000000002")),
        ("jti", json!("actp_01ARYZ6S41000000000000000")),
    ] {
        let mut changed = payload(&v1());
        changed[name] = value.clone();
        assert_eq!(refused_claim(&changed), name, "{value}");
    }
    let mut nbf = payload(&v0());
    nbf["nbf"] = json!(IAT);
    assert_eq!(refused_claim(&nbf), "unknown");
}

#[test]
fn what_would_not_verify_is_not_minted() {
    for wrong in [
        ActionPass { approvals: vec!["1".into()], ..v0() },
        ActionPass { attestation_id: String::new(), ..v0() },
        ActionPass { audience: String::new(), issuer: String::new(), ..v0() },
        ActionPass { exp: IAT, ..v0() },
        ActionPass { exp: i64::MAX, iat: i64::MAX - 1, ..v0() },
        ActionPass { holder_jkt: Some(format!("{}=", jkt(3))), ..v0() },
        ActionPass { iat: -1, exp: 1, ..v0() },
        ActionPass { jti: "pass_01ARYZ6S410000000000000002".into(), ..v0() },
    ] {
        let refused = mint(&key(1), &wrong);
        assert!(matches!(refused, Err(MintError::Claim(_))), "{wrong:?}");
        assert_eq!(signing_input(key(1).public().thumbprint(), &wrong).map_err(Some), Err(refused.err()));
    }
}

#[test]
fn payloads_with_two_readings_or_none() {
    let good = payload(&v0()).to_string();
    let twice = good.replacen('{', r#"{"aud":"gate-2","#, 1);
    for text in [&*twice, "x", "{", &format!("{good}{good}"), &format!("\u{feff}{good}")] {
        let refused = refusal(text.as_bytes());
        assert!(matches!(refused, ActionPassError::Claim(ClaimError::Json(_))), "{text}: {refused}");
    }
    assert_eq!(refusal(b"[]"), claim("(payload)", "is no JSON object").into());
    let padded = jws::sign(&key(1), TokenType::ActionPass, &[b' '; MAX_ACTION_PASS_BYTES]);
    assert_eq!(verified(&padded), Err(ActionPassError::Token(JwsError::TooLarge { limit: MAX_ACTION_PASS_BYTES })));
}
