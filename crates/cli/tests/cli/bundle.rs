//! The policy of a gate elsewhere: signed, read and pushed; and the keys that takes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use passgate_api::edge::{self, AdmissionDoc};
use passgate_passport::jwk;
use passgate_passport::jws::{TokenType, sign};
use passgate_passport::key::SecretKey;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::remote::{Elsewhere, answer, problem, with_key};
use crate::support::{initialised, now, run};

/// A folder after `init`, with a bundle key and its public set.
fn with_bundle_key() -> TempDir {
    let folder = initialised();
    run(folder.path(), &["keys", "generate", "--out", "keys/bundle.jwk"]).exits(0);
    let set = run(folder.path(), &["keys", "jwks", "keys/bundle.jwk"]).exits(0).stdout;
    fs::write(folder.path().join("bundle-keys.json"), set).unwrap();
    let key = with_key();
    fs::copy(key.path().join("key"), folder.path().join("key")).unwrap();
    folder
}

fn verified(folder: &Path, jws: &str) -> edge::VerifiedBundle {
    let keys = jwk::parse_set(&fs::read(folder.join("bundle-keys.json")).unwrap()).unwrap();
    edge::verify(jws, &keys, now()).unwrap()
}

fn change(folder: &Path, from: &str, to: &str) {
    let path = folder.join("passgate.yml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_signed_bundle_says_what_the_configuration_says() {
    let folder = with_bundle_key();
    change(folder.path(), "\nserver:", "\nedge: {admission: gate, max_age_days: 7}\nserver:\n  max_body_bytes: 4096");
    let signed =
        run(folder.path(), &["--format", "json", "bundle", "sign", "--key", "keys/bundle.jwk", "--out", "bundle.jwt"]);
    let signed = signed.exits(0).json();
    let jws = fs::read_to_string(folder.path().join("bundle.jwt")).unwrap();
    let bundle = verified(folder.path(), jws.trim_end());
    assert_eq!(signed["sha256"], bundle.sha256());
    assert_eq!(signed["version"], bundle.version());
    let said = bundle.bundle();
    assert_eq!(said.exp - said.iat, 7 * 86_400);
    assert_eq!((said.edge.admission, said.edge.max_body_bytes), (AdmissionDoc::Gate, 4096));
    assert_eq!(said.policy.gate.id, "gate_local");
    assert_eq!(said.policy.issuers.len(), 1);

    let again = run(folder.path(), &["bundle", "sign", "--key", "keys/bundle.jwk", "--out", "bundle.jwt"]).exits(1);
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
    run(folder.path(), &["bundle", "sign", "--key", "keys/bundle.jwk", "--out", "bundle.jwt", "--force"]).exits(0);
}

#[test]
fn what_an_edge_cannot_do_is_three() {
    for (from, to, told) in [
        (
            "requests_per_minute: 60",
            "requests_per_minute: 60\n    per_gate: {requests_per_minute: 9}",
            "rate_limits.per_gate",
        ),
        (
            "requests_per_minute: 60",
            "requests_per_minute: 60\n    per_tenant: {requests_per_day: 9}",
            "rate_limits.per_tenant",
        ),
        ("\nserver:", "\nedge: {max_age_days: 0}\nserver:", "edge.max_age_days"),
        ("\nserver:", "\nedge: {admision: gate}\nserver:", "admision"),
    ] {
        let folder = with_bundle_key();
        change(folder.path(), from, to);
        let ended = run(folder.path(), &["bundle", "sign", "--key", "keys/bundle.jwk", "--out", "b.jwt"]).exits(3);
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        assert!(!folder.path().join("b.jwt").exists());
    }
}

#[test]
fn inspecting_verifies_only_with_keys() {
    let folder = with_bundle_key();
    run(folder.path(), &["bundle", "sign", "--key", "keys/bundle.jwk", "--out", "b.jwt"]).exits(0);
    let inspect = |arguments: &[&str]| {
        run(folder.path(), &[&["--format", "json", "bundle", "inspect", "b.jwt"], arguments].concat())
    };
    let shown = inspect(&[]).exits(0).json();
    assert_eq!(
        (shown["signature"].as_str(), shown["bundle"]["policy"]["version"].as_u64()),
        (Some("not_checked"), Some(1))
    );
    assert_eq!(inspect(&["--keys", "bundle-keys.json"]).exits(0).json()["signature"], "valid");
    assert_eq!(inspect(&["--keys", "issuers/local.jwks.json"]).exits(5).error()["code"], "bundle_key_unknown");
    let human = run(folder.path(), &["bundle", "inspect", "b.jwt"]).exits(0).stdout;
    assert!(human.starts_with("signature: not checked") && human.contains("good until"), "{human}");

    let path = folder.path().join("b.jwt");
    let jws = fs::read_to_string(&path).unwrap();
    let (input, signature) = jws.trim_end().rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'Q' } else { 'A' };
    fs::write(&path, format!("{input}.{other}{}", signature.split_at(1).1)).unwrap();
    assert_eq!(inspect(&["--keys", "bundle-keys.json"]).exits(5).error()["code"], "bundle_signature_invalid");
    fs::write(&path, "not a bundle").unwrap();
    assert_eq!(inspect(&[]).exits(5).error()["code"], "bundle_invalid");
}

#[test]
fn a_bundle_is_pushed_as_it_was_signed_or_signed_on_the_way() {
    let folder = with_bundle_key();
    let gate = Elsewhere::start(|_| answer("200 OK", "", r#"{"version":1}"#));
    let push = |arguments: &[&str]| {
        let flags = ["--format", "json", "bundle", "push", "--gate", &gate.url, "--api-key-file", "key"];
        run(folder.path(), &[&flags, arguments].concat())
    };
    run(folder.path(), &["bundle", "sign", "--key", "keys/bundle.jwk", "--out", "b.jwt"]).exits(0);
    let pushed = push(&["--bundle", "b.jwt"]).exits(0).json();
    let request = gate.arrived().remove(0);
    assert!(request.starts_with("PUT /.passgate/v1/bundle HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/jwt\r\n"), "{request}");
    let jws = fs::read_to_string(folder.path().join("b.jwt")).unwrap();
    assert!(request.ends_with(&format!("\r\n\r\n{}", jws.trim_end())));
    assert_eq!(pushed["sha256"], verified(folder.path(), jws.trim_end()).sha256());
    assert!(pushed["good_until"].is_string() && pushed["version"] == 1, "{pushed}");

    push(&["--key", "keys/bundle.jwk"]).exits(0);
    let request = gate.arrived().remove(0);
    verified(folder.path(), request.rsplit_once("\r\n\r\n").unwrap().1);
    let human =
        run(folder.path(), &["bundle", "push", "--gate", &gate.url, "--api-key-file", "key", "--bundle", "b.jwt"])
            .exits(0);
    assert!(human.stdout.contains("digest") && human.stderr.contains("within a minute or two"), "{human:?}");
    for nothing in [&[][..], &["--bundle", "b.jwt", "--key", "keys/bundle.jwk"], &["--bundle", "none.jwt"]] {
        push(nothing).exits(1);
    }
    push(&["--bundle", "bundle-keys.json"]).exits(5);
}

#[test]
fn status_lists_are_pushed_too() {
    let folder = with_bundle_key();
    let gate = Elsewhere::start(|_| answer("200 OK", "", "{}"));
    let key = SecretKey::from_seed([3; 32]);
    let list = sign(&key, TokenType::StatusList, br#"{"sub":"https://issuer.example/lists/1"}"#);
    fs::write(folder.path().join("list.jwt"), &list).unwrap();
    let flags = ["--format", "json", "bundle", "push", "--gate", &gate.url, "--api-key-file", "key", "--status-list"];
    let pushed = run(folder.path(), &[&flags[..], &["list.jwt"]].concat()).exits(0).json();
    assert_eq!(pushed["status_lists"][0], "https://issuer.example/lists/1");
    let requests = gate.arrived();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("PUT /.passgate/v1/status-lists HTTP/1.1\r\n") && requests[0].ends_with(&list));
    let both = run(folder.path(), &[&flags[..], &["list.jwt", "--key", "keys/bundle.jwk"]].concat()).exits(0).json();
    assert_eq!(both["version"], 1);
    assert_eq!(gate.arrived().len(), 2);
    let wrong = run(folder.path(), &[&flags[..], &["bundle-keys.json"]].concat()).exits(5);
    assert_eq!(wrong.error()["code"], "status_list_malformed");
    assert!(gate.arrived().is_empty());
}

#[test]
fn a_bundle_that_the_gate_refuses_is_three_and_other_refusals_are_not() {
    let folder = with_bundle_key();
    for (status, code, exit) in [
        ("409 Conflict", "bundle_older", 3),
        ("400 Bad Request", "bundle_invalid", 3),
        ("401 Unauthorized", "api_key_unknown", 1),
        ("403 Forbidden", "scope_missing", 1),
        ("503 Service Unavailable", "store_unavailable", 6),
    ] {
        let gate = Elsewhere::start(move |_| problem(status, code));
        let flags = ["bundle", "push", "--gate", &gate.url, "--api-key-file", "key", "--key", "keys/bundle.jwk"];
        let ended = run(folder.path(), &flags).exits(exit);
        assert_eq!(ended.stdout, "", "{code}");
    }
    let other = Elsewhere::start(|_| answer("200 OK", "", r#"{"gate_id":"gate_local","version":9}"#));
    let flags = ["bundle", "push", "--gate", &other.url, "--api-key-file", "key", "--key", "keys/bundle.jwk"];
    assert!(run(folder.path(), &flags).exits(1).stderr.contains("its version is 9"));
}

#[test]
fn an_api_key_is_in_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["keys", "api-key", "--id", "ci", "--scope", "revoke", "--scope", "ledger:read", "--out", "ci.key"];
    let made = run(folder.path(), &arguments).exits(0);
    let path = folder.path().join("ci.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    let key = text.trim_end();
    assert!(key.starts_with("pgk_") && key.len() == 47, "{key}");
    assert!(!made.stdout.contains(key) && !made.stderr.contains(key));
    let entry: Value = serde_json::from_str(&made.stdout).unwrap();
    let digest = passgate_passport::b64::encode(&Sha256::digest(key.as_bytes()));
    assert_eq!(entry, serde_json::json!({ "id": "ci", "scopes": ["ledger:read", "revoke"], "sha256": digest }));

    run(folder.path(), &arguments).exits(1);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    run(folder.path(), &[&arguments[..], &["--force"]].concat()).exits(0);
    assert_ne!(fs::read_to_string(&path).unwrap(), text);
    for wrong in [
        &["--id", "", "--scope", "revoke"][..],
        &["--id", "a b", "--scope", "revoke"],
        &["--id", "a", "--scope", "admin"],
        &["--id", "a"],
    ] {
        run(folder.path(), &[&["keys", "api-key", "--out", "other.key"], wrong].concat()).exits(1);
        assert!(!folder.path().join("other.key").exists());
    }
}

#[test]
fn a_key_set_holds_public_keys_once() {
    let folder = with_bundle_key();
    let set = run(folder.path(), &["keys", "jwks", "keys/bundle.jwk", "issuers/local.jwk"]).exits(0).stdout;
    assert_eq!(jwk::parse_set(set.as_bytes()).unwrap().len(), 2);
    assert!(!set.contains("\"d\""));
    run(folder.path(), &["keys", "jwks", "keys/bundle.jwk", "keys/bundle.jwk"]).exits(1);
    run(folder.path(), &["keys", "jwks"]).exits(1);
}
