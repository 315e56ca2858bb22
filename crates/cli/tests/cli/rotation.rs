//! Keys from one to the next: an issuer's, and the one that signs attestations.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::support::{ISSUER, Run, Served, initialised, issued, issuer_key, now, passport, run, served_once};

fn issuer_keys(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let json = run(folder, &[&["--format", "json", "issuer", "key"][..], arguments].concat()).exits(0).json();
    json["keys"].as_array().unwrap().clone()
}

fn verify(folder: &Path, token: &str) -> Run {
    run(folder, &["--format", "json", "passport", "verify", token])
}

fn refusal(folder: &Path, token: &str) -> Value {
    verify(folder, token).exits(5).error()["code"].clone()
}

#[test]
fn an_issuers_keys_overlap_until_the_old_one_is_retired() {
    let folder = initialised();
    let folder = folder.path();
    let before = issued(folder, "agent-1", &["web:search"]);
    let old = issuer_key(folder);
    let keys = issuer_keys(folder, &["add", "local"]);
    let new = issuer_key(folder);
    let signs: Vec<(&str, bool)> =
        keys.iter().map(|key| (key["thumbprint"].as_str().unwrap(), key["signs"].as_bool().unwrap())).collect();
    assert_eq!(signs, [(old.public().thumbprint(), false), (new.public().thumbprint(), true)]);
    let after = issued(folder, "agent-2", &["web:search"]);
    for token in [&before, &after] {
        verify(folder, token).exits(0);
    }
    let kept = folder.join(format!("issuers/local.{}.jwk", old.public().thumbprint()));
    assert_eq!(fs::read(kept).unwrap(), [old.to_private_jwk().as_bytes(), b"\n"].concat());
    // The key that signs is not retired by mistake.
    run(folder, &["issuer", "key", "retire", "local", new.public().thumbprint()]).exits(1);
    run(folder, &["issuer", "key", "retire", "local", "no-such-key"]).exits(1);
    run(folder, &["issuer", "key", "retire", "local", ""]).exits(1);
    let prefix: String = old.public().thumbprint().chars().take(12).collect();
    let keys = issuer_keys(folder, &["retire", "local", &prefix, "--in", "1h"]);
    assert!(keys[0]["not_after"].as_i64().unwrap() > now());
    verify(folder, &before).exits(0);
    issuer_keys(folder, &["retire", "local", &prefix]);
    assert_eq!(refusal(folder, &before), "issuer_key_unknown");
    verify(folder, &after).exits(0);
}

#[test]
fn adding_a_key_can_end_the_others_later() {
    let folder = initialised();
    let keys = issuer_keys(folder.path(), &["add", "local", "--retire-others-in", "30d"]);
    let end = keys[0]["not_after"].as_i64().unwrap();
    assert!((now() + 29 * 86_400..=now() + 30 * 86_400).contains(&end));
    assert_eq!(keys[1]["not_after"], Value::Null);
    // The one that ends first goes on ending then.
    let keys = issuer_keys(folder.path(), &["add", "local", "--retire-others-in", "60d"]);
    assert_eq!(keys[0]["not_after"], end);
}

#[test]
fn what_a_compromised_key_signed_is_void_from_then_on_or_altogether() {
    let folder = initialised();
    let folder = folder.path();
    let key = issuer_key(folder);
    let since = now() - 100;
    let [before, after] = [since - 1, since].map(|iat| passport(&key, iat, now() + 600));
    let kid = key.public().thumbprint();
    run(folder, &["issuer", "key", "compromise", "local", kid]).exits(1);
    let said =
        run(folder, &["issuer", "key", "compromise", "local", kid, "--since", &(since * 1000).to_string()]).exits(0);
    assert!(
        said.stderr.contains("still signs") && said.stderr.contains("date what it signs earlier"),
        "{}",
        said.stderr
    );
    verify(folder, &before).exits(0);
    assert_eq!(refusal(folder, &after), "issuer_key_compromised");
    // A later date gives no trust back.
    let keys = issuer_keys(folder, &["compromise", "local", kid, "--since", &((since + 50) * 1000).to_string()]);
    assert_eq!(keys[0]["compromised_at"], since);
    let keys = issuer_keys(folder, &["compromise", "local", kid, "--all"]);
    assert_eq!(keys[0]["compromised_at"], 0);
    for token in [&before, &after] {
        assert_eq!(refusal(folder, token), "issuer_key_compromised");
    }
    let shown = run(folder, &["issuer", "key", "list", "local"]).exits(0).stdout;
    assert!(shown.contains("no trust at all"), "{shown}");
}

fn revoke(folder: &Path, agent: &str) {
    run(folder, &["passport", "revoke", "--agent", ISSUER, agent]).exits(0);
}

/// Exports the ledger and verifies it with the keys in `jwks` alone; gives the records.
fn exported(folder: &Path, jwks: &str) -> Vec<String> {
    run(folder, &["ledger", "export", "-o", "export.jsonl", "--force"]).exits(0);
    run(folder, &["ledger", "verify", "export.jsonl", "--jwks", jwks]).exits(0);
    run(folder, &["ledger", "verify", "export.jsonl"]).exits(0);
    run(folder, &["ledger", "verify"]).exits(0);
    fs::read_to_string(folder.join("export.jsonl")).unwrap().lines().map(str::to_owned).collect()
}

fn kinds(lines: &[String]) -> Vec<String> {
    let records = lines.iter().filter_map(|line| line.strip_prefix("{\"jws\":\"")?.split('.').nth(1));
    let kind =
        |payload| -> Value { serde_json::from_slice(&passgate_passport::b64::decode(payload).unwrap()).unwrap() };
    records.map(|payload| kind(payload)["kind"].as_str().unwrap().to_owned()).collect()
}

fn rotate(folder: &Path) -> Value {
    run(folder, &["--format", "json", "keys", "rotate"]).exits(0).json()
}

/// What the gate says on its control socket.
fn published_keys(folder: &Path) -> Vec<Value> {
    let socket = fs::read_to_string(folder.join("passgate.yml")).unwrap();
    let named = socket.lines().find_map(|line| line.trim().strip_prefix("socket:"));
    let socket = folder.join(named.map_or("state/passgate.sock", |name| name.trim().trim_matches('"')));
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"GET /v1/keys HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["keys"].as_array().unwrap().clone()
}

#[test]
fn the_attestation_key_rotates_while_the_gate_serves_and_while_it_does_not() {
    let folder = initialised();
    let folder = folder.path();
    let first = run(folder, &["keys", "jwks", "keys/attestation.jwk"]).exits(0).stdout;
    fs::write(folder.join("first.json"), first).unwrap();
    let served = Served::start(folder, "http://127.0.0.1:9");
    revoke(folder, "agent-1");
    let rotated = rotate(folder);
    assert!(rotated["attestation_id"].is_string());
    let published = published_keys(folder);
    let times: Vec<(bool, bool)> =
        published.iter().map(|key| (key["not_before"].is_i64(), key["not_after"].is_i64())).collect();
    assert_eq!(times, [(false, true), (true, false)]);
    assert_eq!(published[1]["kid"], rotated["thumbprint"]);
    revoke(folder, "agent-2");
    let lines = exported(folder, "first.json");
    assert_eq!(kinds(&lines), ["chain_start", "revocation", "key_rotation", "revocation"]);
    // Who has the newest key alone cannot tell what was before it.
    let present = run(folder, &["keys", "jwks", "keys/attestation.jwk"]).exits(0).stdout;
    assert!(present.contains(rotated["thumbprint"].as_str().unwrap()));
    fs::write(folder.join("present.json"), present).unwrap();
    let unknown = run(folder, &["ledger", "verify", "export.jsonl", "--jwks", "present.json"]).exits(7);
    assert!(unknown.stderr.contains("not trusted"), "{}", unknown.stderr);
    assert_eq!(served.stop("-TERM"), 0);
    // Without a gateway the store itself gets the record.
    let again = rotate(folder);
    assert_eq!(again["before"], rotated["thumbprint"]);
    let served = Served::again(folder);
    assert!(served.table.contains(again["thumbprint"].as_str().unwrap()), "{}", served.table);
    revoke(folder, "agent-3");
    let lines = exported(folder, "first.json");
    assert_eq!(kinds(&lines)[4..], ["chain_start", "key_rotation", "chain_start", "revocation"]);
    let set: Value = serde_json::from_slice(&fs::read(folder.join("keys/attestation.jwks.json")).unwrap()).unwrap();
    let ends: Vec<bool> = set["keys"].as_array().unwrap().iter().map(|key| key["not_after"].is_i64()).collect();
    assert_eq!(ends, [true, true, false]);
    assert!(!folder.join("keys/attestation.jwk.next").exists());
}

#[test]
fn a_retired_key_does_not_serve_again_and_a_rotation_that_stopped_goes_on() {
    let folder = served_once();
    let folder = folder.path();
    let first = run(folder, &["keys", "jwks", "keys/attestation.jwk"]).exits(0).stdout;
    fs::write(folder.join("first.json"), first).unwrap();
    let (file, next) = (folder.join("keys/attestation.jwk"), folder.join("keys/attestation.jwk.next"));
    fs::copy(&file, folder.join("backup.jwk")).unwrap();
    let rotated = rotate(folder);
    fs::copy(&file, folder.join("new.jwk")).unwrap();
    // The backup of the old key.
    fs::copy(folder.join("backup.jwk"), &file).unwrap();
    let refused = run(folder, &["serve"]).exits(3);
    assert!(refused.stderr.contains("retired") && refused.stderr.contains(rotated["thumbprint"].as_str().unwrap()));
    run(folder, &["passport", "revoke", "--agent", ISSUER, "a"]).exits(3);
    // As it is when `keys rotate` ends between the record and the last step.
    fs::rename(folder.join("new.jwk"), &next).unwrap();
    let served = Served::again(folder);
    revoke(folder, "agent-1");
    let finished = rotate(folder);
    assert_eq!((&finished["thumbprint"], &finished["attestation_id"]), (&rotated["thumbprint"], &Value::Null));
    assert!(!next.exists());
    assert_eq!(served.stop("-TERM"), 0);
    // As it is when it ends before the record: the next start makes it.
    run(folder, &["keys", "generate", "--out", "keys/attestation.jwk.next"]).exits(0);
    let served = Served::again(folder);
    let rotations = kinds(&exported(folder, "first.json")).iter().filter(|kind| *kind == "key_rotation").count();
    assert_eq!(rotations, 2);
    let last = rotate(folder);
    assert_eq!(last["before"], rotated["thumbprint"]);
    drop(served);
    assert_eq!(kinds(&exported(folder, "first.json")).iter().filter(|kind| *kind == "key_rotation").count(), 2);
}

#[test]
fn a_key_that_signed_nothing_is_replaced_without_a_record() {
    let folder = initialised();
    let before = fs::read(folder.path().join("keys/attestation.jwk")).unwrap();
    assert_eq!(rotate(folder.path())["attestation_id"], Value::Null);
    assert_ne!(fs::read(folder.path().join("keys/attestation.jwk")).unwrap(), before);
}
