//! Keys from one to the next: an issuer's, and the one that signs attestations.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Run, initialised, issued, issuer_key, now, passport, run};

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
    let prefix = &old.public().thumbprint()[..12];
    let keys = issuer_keys(folder, &["retire", "local", prefix, "--in", "1h"]);
    assert!(keys[0]["not_after"].as_i64().unwrap() > now());
    verify(folder, &before).exits(0);
    issuer_keys(folder, &["retire", "local", prefix]);
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
