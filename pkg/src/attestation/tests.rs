use passgate_core::attest::{Body, GateRecord, Link, Stamp, Writer};
use passgate_core::time::UnixMillis;
use passgate_passport::key::SecretKey;
use serde_json::{Value, json};

use super::*;

fn record() -> String {
    let gate = GateRecord { gate_id: "gate_1".to_owned(), level: "L1".to_owned() };
    let writer = Writer::new(SecretKey::from_seed([9; 32]), "chain_1".to_owned(), gate);
    let stamp = Stamp { now: UnixMillis(1_800_000_000_000), random: [1; 10] };
    writer.seal(&Link { seq: 0, prev: None }, &stamp, Body::Start(None)).jws
}

fn report(record: &str, seed: u8) -> Value {
    let keys = SecretKey::from_seed([seed; 32]).public().to_jwk();
    serde_json::from_str(&verify(record, &keys).unwrap()).unwrap()
}

#[test]
fn a_record_is_shown_and_its_chain_left_open() {
    let report = report(&record(), 9);
    assert_eq!(report["valid"], true);
    let said: Value = serde_json::from_str(report["record"].as_str().unwrap()).unwrap();
    assert_eq!((&said["kind"], &said["gate"]["gate_id"]), (&json!("chain_start"), &json!("gate_1")));
    assert_eq!(report["checks"][4]["result"], "not_checked");
    assert!(report["sha256"].as_str().unwrap().starts_with("sha256:"));
}

#[test]
fn what_is_wrong_is_at_its_check() {
    let record = record();
    let (head, signature) = record.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", "A".repeat(signature.len()));
    for (token, seed, check, code) in [
        ("x", 9, "form", "token"),
        ("x\n{\"jws\":\"y\"}", 9, "form", "token"),
        (record.as_str(), 8, "key", "key"),
        (forged.as_str(), 9, "signature", "signature"),
    ] {
        let report = report(token, seed);
        assert_eq!((&report["valid"], &report["reasonCode"]), (&json!(false), &json!(code)));
        let failed = report["checks"].as_array().unwrap().iter().find(|check| check["result"] == "failed").unwrap();
        assert_eq!(failed["name"], check);
    }
    assert!(verify(&record, "{}").is_err());
}
