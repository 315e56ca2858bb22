//! Tokens and exports through libraries that nobody here wrote: npm `jose` and PyPI `joserfc`, both ways.
#![cfg(test)]

use std::process::Command;

use passgate_core::attest::{Body, GateRecord, KeyRotationRecord, Link, RotationScope, Stamp, Writer};
use passgate_core::ledger::{HeadBuilder, Verifier, head_line, record_line};
use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_passport::jwk;
use passgate_tests::agent::{self, ISSUER};
use passgate_tests::origin::Origin;
use passgate_tests::program::{jose_client, output, python, python_client};
use passgate_tests::site::{Site, now};
use passgate_tests::surface::{payload, text_member};
use serde_json::{Value, json};

const ROUTES: &str = "  - {path: '/**', action: 'web:call'}";

fn site(upstream: &str) -> Site {
    Site::new(upstream, ROUTES, "  {}").unwrap()
}

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn both_libraries_verify_our_passport() {
    let site = site("http://127.0.0.1:9");
    let agent = site.agent("agent-export", &["web:*", "records:read"]).unwrap();
    let jwks = object(&std::fs::read_to_string(site.folder().join("issuers/local.jwks.json")).unwrap());
    let job = json!({ "token": agent.passport, "jwks": jwks });
    for claims in [
        python_client("joserfc_tokens.py", &["verify", "passport+jwt"], &job).unwrap(),
        jose_client(&["verify", "passport+jwt"], &job).unwrap(),
    ] {
        let claims = object(&claims);
        assert_eq!(claims["sub"], "agent-export");
        assert_eq!(claims["jti"], agent.passport_id.as_str());
        assert_eq!(claims["permissions"], json!(["web:*", "records:read"]));
    }
    // And they notice a change, so that the check above means something.
    let job = json!({ "token": agent::with_other_signature(&agent.passport), "jwks": jwks });
    assert!(python_client("joserfc_tokens.py", &["verify", "passport+jwt"], &job).is_err());
    assert!(jose_client(&["verify", "passport+jwt"], &job).is_err());
}

#[test]
fn we_verify_their_passports() {
    let site = site("http://127.0.0.1:9");
    let key = object(&jose_client(&["generate"], &Value::Null).unwrap());
    let mut public = key.clone();
    public.as_object_mut().unwrap().remove("d");
    let public = jwk::from_value(&public).unwrap();
    std::fs::write(site.folder().join("issuers/foreign.jwks.json"), jwk::emit_set([&public])).unwrap();
    let config = std::fs::read_to_string(site.config()).unwrap();
    let entry = format!("issuers:\n  - {{id: '{ISSUER}', tier: L2, keys_file: issuers/foreign.jwks.json}}\n");
    std::fs::write(site.config(), config.replacen("issuers:\n", &entry, 1)).unwrap();
    let agent_jwk = object(&agent::key(42).public().to_jwk());
    let claims = json!({
        "iss": ISSUER, "sub": "agent-foreign", "jti": "pass_01ARZ3NDEKTSV4RRFFQ69G5FAV", "iat": now().unwrap(),
        "exp": now().unwrap() + 3600, "cnf": { "jwk": agent_jwk }, "permissions": ["web:search"],
    });
    let verify = |token: &str| site.code(&["passport", "verify", token]).unwrap();
    let job = json!({ "key": key, "claims": claims });
    for algorithm in ["EdDSA", "Ed25519"] {
        let python = python_client("joserfc_tokens.py", &["sign", "passport+jwt", algorithm], &job).unwrap();
        let node = jose_client(&["sign", "passport+jwt", algorithm], &job).unwrap();
        for token in [python, node] {
            let (code, said) = verify(&token);
            assert_eq!(code, 0, "{algorithm}: {said}");
            assert!(said.contains("agent-foreign"), "{said}");
        }
        let other_kind = jose_client(&["sign", "at+jwt", algorithm], &job).unwrap();
        assert_eq!(verify(&other_kind).0, 5, "another kind of token");
    }
    let stranger = object(&jose_client(&["generate"], &Value::Null).unwrap());
    let forged =
        jose_client(&["sign", "passport+jwt", "EdDSA"], &json!({ "key": stranger, "claims": claims })).unwrap();
    assert_eq!(verify(&forged).0, 5, "another key");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_with_a_jose_library_and_sha_256_alone() {
    let origin = Origin::start().await.unwrap();
    let site = site(&origin.url());
    let agent = site.agent("agent-export", &["web:*"]).unwrap();
    let jwks = site.folder().join("attestation.jwks.json");
    // Two runs make two chains.
    for _ in 0..2 {
        site.start().unwrap();
        site.output(&["call", "--credentials", &agent.file(), &site.url("/a")]).unwrap();
        assert_eq!(site.stop().unwrap(), 0);
    }
    let key = std::fs::read(site.folder().join("keys/attestation.jwk")).unwrap();
    let key = passgate_passport::key::SecretKey::from_private_jwk(&key).unwrap();
    std::fs::write(&jwks, jwk::emit_set([key.public()])).unwrap();
    let export = site.folder().join("export.jsonl");
    site.output(&["ledger", "export", "--jsonl", "-o", &export.to_string_lossy()]).unwrap();
    // With and without `-O`, which leaves assertions out.
    let verify = |optimise: &[&str]| {
        let script = passgate_tests::program::client("verify_ledger.py");
        output(Command::new(python().unwrap()).args(optimise).arg(script).arg(&export).arg(&jwks), "")
    };
    assert!(verify(&[]).unwrap().ends_with("in 2 chains\n"));
    let text = std::fs::read_to_string(&export).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let second_chain = lines.iter().rposition(|line| kind(line).as_deref() == Some("chain_start")).unwrap();
    let swapped = [&lines[..1], &lines[2..3], &lines[1..2], &lines[3..]].concat();
    for (changed, why) in [
        ([&lines[..1], &lines[2..]].concat(), "a deleted record"),
        (swapped, "swapped records"),
        (lines[second_chain..].to_vec(), "a deleted chain"),
        ([&lines[..], &lines[..1]].concat(), "a line behind the head"),
        (lines[..lines.len() - 1].to_vec(), "no head"),
    ] {
        std::fs::write(&export, changed.concat()).unwrap();
        for optimise in [&[][..], &["-O"]] {
            assert!(verify(optimise).is_err(), "{why} went unnoticed");
        }
    }
}

/// An export of one chain whose records and head these keys signed; at position 2 stands a rotation to key 2.
fn export_with_rotation(signers: &[u8], head_signer: u8) -> String {
    let writer = |seed| {
        let gate = GateRecord { gate_id: "gate_1".to_owned(), level: "L2".to_owned() };
        Writer::new(agent::key(seed), "chain_1".to_owned(), gate)
    };
    let (mut lines, mut head, mut prev) = (String::new(), HeadBuilder::default(), None);
    for (seq, signer) in (0_u8..).zip(signers) {
        let body = match seq {
            0 => Body::Start(None),
            2 => Body::KeyRotation(KeyRotationRecord::new(agent::key(2).public(), RotationScope::Ledger)),
            _ => Body::Revocation(Subject::Passport(format!("pass_{seq}"))),
        };
        let stamp = Stamp { now: UnixMillis(1_800_000_000_000), random: [seq; 10] };
        let entry = writer(*signer).seal(&Link { seq: seq.into(), prev }, &stamp, body);
        head.push("chain_1", &entry.jws, &entry.sha256);
        lines.push_str(&record_line(&entry.jws));
        prev = Some(entry.sha256);
    }
    let head = head.finish("gate_1".to_owned(), false, "2027-01-15T08:00:00.000Z".to_owned());
    lines + &head_line(&writer(head_signer).seal_head(&head.to_payload()))
}

#[test]
fn a_jose_library_follows_a_key_to_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (export, jwks) = (folder.path().join("export.jsonl"), folder.path().join("jwks.json"));
    let script = passgate_tests::program::client("verify_ledger.py");
    let ours = |lines: &str| {
        let mut verifier = Verifier::new(vec![agent::key(1).public().clone()]);
        lines.lines().try_for_each(|line| verifier.line(line.as_bytes()))?;
        verifier.finish()
    };
    std::fs::write(&jwks, jwk::emit_set([agent::key(1).public()])).unwrap();
    for (signers, head, holds) in [
        (&[1, 1, 1, 2, 2][..], 2, true),
        (&[1, 1, 1, 2, 1], 2, false),
        (&[1, 1, 1, 1, 1], 1, false),
        (&[1, 1, 2, 2, 2], 2, false),
        (&[1, 2, 1, 2, 2], 2, false),
        (&[1, 1, 3, 2, 2], 2, false),
        (&[1, 1, 1, 3, 2], 2, false),
        (&[1, 1, 1, 2, 2], 1, false),
        (&[1, 1, 1, 2, 2], 3, false),
    ] {
        let lines = export_with_rotation(signers, head);
        std::fs::write(&export, &lines).unwrap();
        let theirs = output(Command::new(python().unwrap()).arg(&script).arg(&export).arg(&jwks), "");
        assert_eq!(
            (ours(&lines).is_ok(), theirs.is_ok()),
            (holds, holds),
            "{signers:?} with a head by {head}: {theirs:?}"
        );
    }
}

fn kind(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).unwrap();
    text_member(&payload(line["jws"].as_str()?).unwrap(), "kind").unwrap()
}
