use passgate_passport::issue::{NewPassport, issue};
use passgate_passport::key::SecretKey;
use passgate_passport::scope::Scope;
use passgate_passport::status::StatusRef;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;
const NOW_MS: f64 = 1_800_000_000_000.0;
const LIST: &str = "https://issuer.example/status/1";

fn issuer() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn passport(change: impl FnOnce(&mut NewPassport)) -> String {
    let agent = SecretKey::from_seed([9; 32]).public().clone();
    let scopes = vec![Scope::parse("web:*").unwrap()];
    let id = "pass_01J00000000000000000000000".to_owned();
    let mut passport = NewPassport::new(id, "bot".to_owned(), agent, scopes, NOW - 60, NOW + 60);
    passport.iss = Some("https://issuer.example".to_owned());
    change(&mut passport);
    issue(&issuer(), &passport).unwrap()
}

fn options(more: Value) -> String {
    let jwk: Value = serde_json::from_str(&issuer().public().to_jwk()).unwrap();
    let mut options =
        json!({ "issuers": [{ "id": "https://issuer.example", "tier": "L2", "keys": [{ "jwk": jwk }] }] });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options.to_string()
}

fn report(token: &str, more: Value, now: f64) -> Value {
    let verifier = PassportVerifier::new(&options(more)).unwrap();
    serde_json::from_str(&verifier.verify(token, now).unwrap()).unwrap()
}

/// The names of the checks with this result.
fn with(report: &Value, result: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["result"] == result).map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_good_passport_passes_and_what_was_not_looked_at_is_said() {
    let report = report(&passport(|_| {}), json!({}), NOW_MS);
    assert_eq!((&report["valid"], &report["trustTier"]), (&json!(true), &json!("L2")));
    assert_eq!(report["passport"]["agentId"], "bot");
    assert_eq!(report["passport"]["permissions"], json!(["web:*"]));
    assert_eq!(with(&report, "not_checked"), ["audience", "status_list", "possession"]);
    assert!(with(&report, "failed").is_empty());
}

#[test]
fn each_failure_is_at_its_check_and_nothing_after_it_was_looked_at() {
    let good = passport(|_| {});
    let forged = format!("{}A{}", good.rsplit_once('.').unwrap().0.to_owned() + ".", "A".repeat(85));
    let far = NOW_MS + 1_000_000.0;
    let other_audience = passport(|p| p.aud = Some(vec!["elsewhere".to_owned()]));
    let stranger = passport(|p| p.iss = Some("https://stranger.example".to_owned()));
    let tier = passport(|p| p.trust_tier = Some(Tier::L3));
    for (token, now, check, code) in [
        ("nonsense", NOW_MS, "form", "passport_malformed"),
        (stranger.as_str(), NOW_MS, "issuer", "issuer_unknown"),
        (forged.as_str(), NOW_MS, "signature", "passport_signature_invalid"),
        (good.as_str(), far, "time", "passport_expired"),
        (tier.as_str(), NOW_MS, "tier", "tier_mismatch"),
        (other_audience.as_str(), NOW_MS, "audience", "audience_mismatch"),
    ] {
        let report = report(token, json!({ "audience": "here" }), now);
        assert_eq!(report["valid"], false, "{code}");
        assert_eq!(report["reasonCode"], code);
        assert_eq!(with(&report, "failed"), [check]);
        let at = CHECKS.iter().position(|name| *name == check).unwrap();
        assert_eq!(with(&report, "passed"), CHECKS[..at], "{code}");
        assert_eq!(report["trustTier"], Value::Null);
        assert_eq!(report["expired"], code == "passport_expired");
    }
}

#[test]
fn a_list_at_hand_revokes_and_one_that_does_not_verify_refuses() {
    use passgate_passport::status::{self, NewStatusList};
    let token = passport(|p| p.status_list = Some(StatusRef { idx: 3, uri: LIST.to_owned() }));
    let list = |revoked: &[u64]| {
        let list = NewStatusList {
            iss: "https://issuer.example".to_owned(),
            uri: LIST.to_owned(),
            iat: NOW - 5,
            exp: None,
            ttl_seconds: None,
            entries: 8,
            revoked: revoked.iter().copied().collect(),
        };
        status::issue(&issuer(), &list).unwrap()
    };
    let with_list = |list: String| report(&token, json!({ "status_lists": { LIST: list } }), NOW_MS);
    let good = with_list(list(&[]));
    assert_eq!(
        (&good["valid"], with(&good, "not_checked")),
        (&json!(true), vec!["audience".into(), "possession".into()])
    );
    let revoked = with_list(list(&[3]));
    assert_eq!((&revoked["revoked"], &revoked["reasonCode"]), (&json!(true), &json!("status_revoked")));
    assert_eq!(with(&revoked, "not_checked"), ["audience", "possession"]);
    let broken = with_list("a.b.c".to_owned());
    assert_eq!((&broken["valid"], &broken["reasonCode"]), (&json!(false), &json!("status_list_unavailable")));
    let none = report(&token, json!({}), NOW_MS);
    assert_eq!(none["valid"], true);
    assert!(with(&none, "not_checked").contains(&"status_list".to_owned()));
}

#[test]
fn options_that_do_not_fit_are_refused() {
    for options in [
        "",
        "[]",
        r#"{"issuer":[]}"#,
        r#"{"leeway_seconds":301}"#,
        r#"{"issuers":[{"id":"x","tier":"L1","keys":[]}]}"#,
        r#"{"issuers":[{"id":"x","tier":"L2","keys":[]}]}"#,
    ] {
        assert!(PassportVerifier::new(options).is_err(), "{options}");
    }
}

#[test]
fn a_time_is_whole_milliseconds() {
    for time in [-1.0, 0.5, f64::NAN, f64::INFINITY, 9e15] {
        assert!(milliseconds(time).is_err(), "{time}");
    }
    assert_eq!(milliseconds(NOW_MS), Ok(1_800_000_000_000));
}
