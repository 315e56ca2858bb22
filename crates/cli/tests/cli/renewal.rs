//! Renewing credentials: what stays, what changes, and what is never renewed.

use std::fs;
use std::path::Path;

use passgate_passport::delegation::{Link, inspect_chain};
use passgate_passport::did_key;
use passgate_passport::issue::{NewPassport, issue};
use passgate_passport::jws::{TokenType, sign};
use passgate_passport::key::SecretKey;
use passgate_passport::scope::Scope;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::delegation::{chain, credentials, hand_on, presented};
use crate::remote::{Elsewhere, problem, with_key};
use crate::support::{ISSUER, Run, initialised, issued, issuer_key, now, passport, run, served_once};

const SELF: &[&str] = &["passport", "issue", "--self", "--agent-id", "own", "--permission", "web:search"];

fn rotate(folder: &Path, agent: &str, flags: &[&str]) -> Run {
    let file = format!("agents/{agent}.json");
    run(folder, &[&["passport", "rotate", "--format", "json", "--credentials", &file], flags].concat())
}

fn verify(folder: &Path, argument: &str) -> Run {
    run(folder, &["--format", "json", "passport", "verify", argument])
}

fn leaf(text: &str) -> Link {
    inspect_chain(text).unwrap().pop().unwrap()
}

/// Puts a passport of this text into the agent's credentials file.
fn replace(folder: &Path, agent: &str, text: &str) {
    let path = folder.join(format!("agents/{agent}.json"));
    let file = fs::read_to_string(&path).unwrap().replace(&presented(folder, agent), text);
    fs::write(&path, file).unwrap();
}

/// The same passport but for the id and the times, which are as long.
#[track_caller]
fn is_renewed(old: &Link, new: &Link) {
    assert_ne!(old.claims.jti, new.claims.jti);
    assert_eq!(old.claims.exp - old.claims.iat, new.claims.exp - new.claims.iat);
    assert!(new.claims.iat >= old.claims.iat && (now() - new.claims.iat).abs() < 3600);
    let mut same = new.clone();
    same.claims.jti.clone_from(&old.claims.jti);
    (same.claims.iat, same.claims.exp, same.token_sha256) = (old.claims.iat, old.claims.exp, old.token_sha256);
    assert_eq!(same, *old);
}

fn issued_with_everything() -> TempDir {
    let folder = initialised();
    let issue =
        ["passport", "issue", "--issuer", "local", "--agent-id", "a", "--permission", "web:*", "--agent-name", "A"];
    let more =
        ["--ttl", "10d", "--audience", "gate_local", "--delegations", "2", "--spend-daily", "5", "--status-list"];
    run(folder.path(), &[&issue[..], &more, &["https://issuer.example/1", "--status-index", "7"]].concat()).exits(0);
    folder
}

#[test]
fn an_issuer_renews_the_same_passport() {
    let folder = issued_with_everything();
    let (old, before) = (presented(folder.path(), "a"), credentials(folder.path(), "a"));
    let told = rotate(folder.path(), "a", &["--issuer", "local"]).exits(0).json();
    let (new, after) = (presented(folder.path(), "a"), credentials(folder.path(), "a"));
    is_renewed(&leaf(&old), &leaf(&new));
    assert_eq!(before["private_key"], after["private_key"]);
    assert_eq!((&told["rotated"], &told["passport_id"]), (&json!(true), &after["passport_id"]));
    assert_eq!((&told["old"]["passport_id"], &told["old"]["revoked"]), (&before["passport_id"], &json!(false)));
    // Both are valid until the old one expires.
    verify(folder.path(), &old).exits(0);
    verify(folder.path(), &new).exits(0);

    rotate(folder.path(), "a", &["--issuer", "local", "--new-key"]).exits(0);
    let bound = credentials(folder.path(), "a");
    let key = SecretKey::from_private_jwk(bound["private_key"].to_string().as_bytes()).unwrap();
    let last = leaf(&presented(folder.path(), "a"));
    assert_ne!(bound["private_key"], after["private_key"]);
    assert_eq!(last.claims.cnf_key, *key.public());
    let human = run(folder.path(), &["passport", "rotate", "--issuer", "local"]).exits(0);
    assert!(human.stdout.contains("valid until") && human.stderr.contains("stays valid"), "{human:?}");
}

#[test]
fn nothing_is_done_while_there_is_time() {
    let folder = initialised();
    issued(folder.path(), "a", &["web:search"]);
    let path = folder.path().join("agents/a.json");
    let before = fs::read(&path).unwrap();
    let told = rotate(folder.path(), "a", &["--issuer", "local", "--if-within", "29d"]).exits(0).json();
    assert_eq!(told["rotated"], false);
    // Not even what signing takes is asked for.
    let human = run(folder.path(), &["passport", "rotate", "--if-within", "1h", "--revoke-old"]).exits(0);
    assert!(human.stderr.contains("Nothing to do"), "{}", human.stderr);
    assert_eq!(fs::read(&path).unwrap(), before);
    let told = rotate(folder.path(), "a", &["--issuer", "local", "--if-within", "31d"]).exits(0).json();
    assert_eq!(told["rotated"], true);
}

#[test]
fn what_its_signer_did_not_sign_is_not_renewed() {
    let folder = initialised();
    issued(folder.path(), "a", &["web:search"]);
    let path = folder.path().join("agents/a.json");
    let genuine = presented(folder.path(), "a");
    run(folder.path(), &["issuer", "create", "acme", "--id", "https://acme.example"]).exits(0);
    let stranger = SecretKey::from_seed([66; 32]);
    let (key, t) = (issuer_key(folder.path()), now());
    // An agent writes itself a passport in the issuer's name, and waits for the nightly renewal.
    for (text, flags, exit, code) in [
        (passport(&stranger, t - 10, t + 600), &["--issuer", "local"][..], 5, "issuer_key_unknown"),
        (
            with_kid(&passport(&stranger, t - 10, t + 600), &genuine),
            &["--issuer", "local"],
            5,
            "passport_signature_invalid",
        ),
        (passport(&key, t - 7200, t - 3600), &["--issuer", "local"], 5, "passport_expired"),
        (genuine.clone(), &["--issuer", "acme"], 5, "passport_signature_invalid"),
        (genuine.clone(), &["--issuer", "none"], 1, "io"),
        (genuine.clone(), &[], 1, "usage"),
        (genuine.clone(), &["--issuer", "local", "--parent", "agents/a.json"], 1, "usage"),
        (extended(&key, &genuine), &["--issuer", "local"], 1, "usage"),
        ("a.b.c".to_owned(), &["--issuer", "local"], 5, "passport_malformed"),
    ] {
        replace(folder.path(), "a", &text);
        let before = fs::read(&path).unwrap();
        let refused = rotate(folder.path(), "a", flags).exits(exit);
        assert_eq!(refused.error()["code"], code, "{flags:?}: {}", refused.stderr);
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    // Without a configuration the key alone says who the issuer is.
    fs::remove_file(folder.path().join("passgate.yml")).unwrap();
    replace(folder.path(), "a", &with_kid(&passport(&stranger, t - 10, t + 600), &genuine));
    assert_eq!(
        rotate(folder.path(), "a", &["--issuer", "local"]).exits(5).error()["code"],
        "passport_signature_invalid"
    );
    replace(folder.path(), "a", &genuine);
    rotate(folder.path(), "a", &["--issuer", "local"]).exits(0);
}

/// The header of `genuine` before payload and signature of `token`.
fn with_kid(token: &str, genuine: &str) -> String {
    format!("{}.{}", genuine.split_once('.').unwrap().0, token.split_once('.').unwrap().1)
}

/// The passport with a claim that means something to others.
fn extended(key: &SecretKey, token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    let mut claims: Value = serde_json::from_slice(&passgate_passport::b64::decode(payload).unwrap()).unwrap();
    claims["max_calls"] = json!(3);
    sign(key, TokenType::Passport, claims.to_string().as_bytes())
}

#[test]
fn a_revoked_passport_is_not_renewed() {
    let folder = served_once();
    issued(folder.path(), "a", &["web:search"]);
    run(folder.path(), &["passport", "revoke", "agents/a.json"]).exits(0);
    let before = presented(folder.path(), "a");
    assert_eq!(rotate(folder.path(), "a", &["--issuer", "local"]).exits(5).error()["code"], "revoked");
    assert_eq!(presented(folder.path(), "a"), before);
}

#[test]
fn the_old_passport_is_revoked_when_the_new_one_is_written() {
    let folder = served_once();
    issued(folder.path(), "a", &["web:search"]);
    let old = presented(folder.path(), "a");
    let told = rotate(folder.path(), "a", &["--issuer", "local", "--revoke-old"]).exits(0).json();
    assert_eq!(told["old"]["revoked"], true);
    assert!(told["old"]["attestation_id"].as_str().unwrap().starts_with("att_"), "{told}");
    assert_eq!(verify(folder.path(), &old).exits(5).error()["code"], "revoked");
    verify(folder.path(), "agents/a.json").exits(0);

    // A gate elsewhere that answers the question and fails at the revocation.
    let path = folder.path().join("agents/a.json");
    let seen = path.clone();
    let before = fs::read(&path).unwrap();
    let (sender, written) = std::sync::mpsc::channel();
    let gate = Elsewhere::start(move |request| {
        if request.starts_with("GET ") {
            let body = r#"{"revoked_at":null}"#;
            return crate::remote::answer("200 OK", "content-type: application/json\r\n", body);
        }
        sender.send(fs::read(&seen).unwrap()).unwrap();
        problem("503 Service Unavailable", "store_unavailable")
    });
    let keys = with_key();
    let key_file = keys.path().join("key");
    let flags =
        ["--issuer", "local", "--revoke-old", "--gate", &gate.url, "--api-key-file", key_file.to_str().unwrap()];
    let ended = rotate(folder.path(), "a", &flags);
    let arrived = gate.arrived();
    let error = ended.exits(6).error();
    assert!(error["message"].as_str().unwrap().contains("the old passport is not revoked"), "{error} {arrived:?}");
    assert!(error["hint"].as_str().unwrap().contains("passgate passport revoke pass_"), "{error}");
    let at_the_revocation = written.try_iter().next().expect("no revocation arrived");
    assert_ne!(at_the_revocation, before, "revoked before the new one was written");
    assert_eq!(at_the_revocation, fs::read(&path).unwrap());
}

#[test]
fn an_agent_renews_what_it_issued_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), SELF).exits(0);
    let old = presented(folder.path(), "own");
    rotate(folder.path(), "own", &[]).exits(0);
    let new = presented(folder.path(), "own");
    is_renewed(&leaf(&old), &leaf(&new));

    let human = run(folder.path(), &["passport", "rotate", "--new-key"]).exits(0);
    assert!(human.stderr.contains("list the new one"), "{}", human.stderr);
    let key = credentials(folder.path(), "own")["private_key"].to_string();
    let key = SecretKey::from_private_jwk(key.as_bytes()).unwrap();
    let last = leaf(&presented(folder.path(), "own"));
    assert_eq!((last.claims.iss, last.claims.cnf_key), (did_key::encode(key.public()), key.public().clone()));
    assert_ne!(leaf(&new).claims.cnf_key, *key.public());

    // Another's passport with one's own key is nobody's.
    replace(folder.path(), "own", &new);
    assert_eq!(rotate(folder.path(), "own", &[]).exits(5).error()["code"], "passport_signature_invalid");
    let other = SecretKey::from_seed([8; 32]);
    let bound = key.public().clone();
    let id = "pass_01ARYZ6S410000000000000001".to_owned();
    let permissions = vec![Scope::parse("*").unwrap()];
    let foreign = issue(&other, &NewPassport::new(id, "own".into(), bound, permissions, now(), now() + 60)).unwrap();
    replace(folder.path(), "own", &foreign);
    assert_eq!(rotate(folder.path(), "own", &[]).exits(5).error()["code"], "passport_signature_invalid");
    rotate(folder.path(), "own", &["--issuer", "local"]).exits(1);
}

#[test]
fn a_key_kept_elsewhere_stays_there() {
    let folder = initialised();
    run(folder.path(), &["keys", "generate", "--out", "own.jwk"]).exits(0);
    let issue = ["passport", "issue", "--issuer", "local", "--permission", "web:search", "--agent-id", "a"];
    run(folder.path(), &[&issue[..], &["--public-key", "own.jwk", "--delegations", "1"]].concat()).exits(0);
    let old = presented(folder.path(), "a");
    rotate(folder.path(), "a", &["--issuer", "local"]).exits(0);
    is_renewed(&leaf(&old), &leaf(&presented(folder.path(), "a")));
    assert!(credentials(folder.path(), "a").get("private_key").is_none());
    hand_on(folder.path(), "a", "b", &["--permission", "web:search", "--key", "own.jwk"]).exits(0);
    rotate(folder.path(), "b", &["--parent", "agents/a.json"]).exits(5);
    rotate(folder.path(), "b", &["--parent", "agents/a.json", "--parent-key", "own.jwk"]).exits(0);
    verify(folder.path(), "agents/b.json").exits(0);
}

#[test]
fn a_delegated_passport_is_renewed_by_who_handed_it_on() {
    let folder = initialised();
    chain(folder.path());
    let old = presented(folder.path(), "helper");
    rotate(folder.path(), "helper", &[]).exits(1);
    rotate(folder.path(), "helper", &["--issuer", "local"]).exits(1);
    let wrong = rotate(folder.path(), "helper", &["--parent", "agents/root.json"]).exits(5);
    assert_eq!(wrong.error()["code"], "passport_signature_invalid");
    assert_eq!(presented(folder.path(), "helper"), old);
    let told = rotate(folder.path(), "helper", &["--parent", "agents/worker.json"]).exits(0).json();
    assert_eq!(told["agent_id"], "helper");
    is_renewed(&leaf(&old), &leaf(&presented(folder.path(), "helper")));
    verify(folder.path(), &old).exits(0);

    // From the root down: each is handed on anew from the renewed one above it.
    rotate(folder.path(), "root", &["--issuer", "local"]).exits(0);
    rotate(folder.path(), "worker", &["--parent", "agents/root.json"]).exits(0);
    rotate(folder.path(), "helper", &["--parent", "agents/worker.json", "--new-key"]).exits(0);
    let new = presented(folder.path(), "helper");
    assert!(new.starts_with(&format!("{}~", presented(folder.path(), "worker"))));
    let json = verify(folder.path(), &new).exits(0).json();
    assert_eq!((&json["issuer"], &json["agent_id"]), (&json!(ISSUER), &json!("helper")));
}

#[test]
fn a_delegated_passport_is_not_renewed_beyond_its_parent() {
    let folder = initialised();
    let issue = ["passport", "issue", "--issuer", "local", "--agent-id", "root", "--permission", "payments:*"];
    run(folder.path(), &[&issue[..], &["--delegations", "1", "--ttl", "1h"]].concat()).exits(0);
    hand_on(folder.path(), "root", "worker", &["--ttl", "50m"]).exits(0);
    // As long as the parent was made for, and no longer than it lasts. Renewed in the same second, it lasts no longer.
    rotate(folder.path(), "root", &["--issuer", "local"]).exits(0);
    hand_on(folder.path(), "root", "equal", &[]).exits(0);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    rotate(folder.path(), "root", &["--issuer", "local"]).exits(0);
    rotate(folder.path(), "equal", &["--parent", "agents/root.json"]).exits(0);
    verify(folder.path(), "agents/equal.json").exits(0);
    run(folder.path(), &[&issue[..], &["--delegations", "1", "--ttl", "1h", "--out", "other.json"]].concat()).exits(0);
    // The parent's passport is replaced by one that ends sooner.
    rotate(folder.path(), "worker", &["--parent", "other.json"]).exits(5);
    let key = credentials(folder.path(), "root")["private_key"].clone();
    fs::write(folder.path().join("root.jwk"), key.to_string()).unwrap();
    let public = ["--public-key", "root.jwk", "--force"];
    private(&folder.path().join("root.jwk"));
    run(folder.path(), &[&issue[..], &["--delegations", "1", "--ttl", "30m"], &public].concat()).exits(0);
    let before = presented(folder.path(), "worker");
    let refused =
        rotate(folder.path(), "worker", &["--parent", "agents/root.json", "--parent-key", "root.jwk"]).exits(1);
    assert_eq!(refused.error()["code"], "delegation_outlives_parent");
    assert_eq!(presented(folder.path(), "worker"), before);
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
