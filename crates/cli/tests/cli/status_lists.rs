//! Status lists: signed, named by passports, looked at where the configuration says so.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Run, initialised, run};

const URI: &str = "https://issuer.passgate.example/status/1";
const AGENT: [&str; 9] =
    ["passport", "issue", "--issuer", "local", "--agent-id", "agent-1", "--permission", "web:search", "--force"];

fn list(folder: &Path, extra: &[&str]) -> Run {
    let list = ["--format", "json", "issuer", "status-list", "--issuer", "local", "--uri", URI, "--size", "20"];
    run(folder, &[&list[..], extra].concat())
}

/// The gate checks the lists of its issuer, and finds them in this file.
fn checking(folder: &Path) {
    let path = folder.join("passgate.yml");
    let text = fs::read_to_string(&path).unwrap();
    let keys = text.lines().find(|line| line.trim_start().starts_with("keys_file:")).unwrap();
    let indent = " ".repeat(keys.len() - keys.trim_start().len());
    let setting = format!("{keys}\n{indent}status_list: {{max_age_seconds: 600, file: lists.txt}}");
    fs::write(&path, text.replacen(keys, &setting, 1)).unwrap();
}

fn issued(folder: &Path, index: &str) -> Run {
    run(folder, &[&AGENT[..], &["--status-list", URI, "--status-index", index]].concat()).exits(0)
}

fn verified(folder: &Path) -> Run {
    run(folder, &["--format", "json", "passport", "verify", "agents/agent-1.json"])
}

fn doctor(folder: &Path) -> Vec<Value> {
    let json = run(folder, &["--format", "json", "doctor"]).json();
    let checks = json["checks"].as_array().unwrap();
    checks.iter().filter(|check| check["subject"] == "status lists").cloned().collect()
}

#[test]
fn a_list_is_signed_replaced_and_printed() {
    let folder = initialised();
    let made = list(folder.path(), &["--revoked", "3,17", "--ttl", "60s", "--out", "lists.txt"]).exits(0).json();
    assert_eq!((made["revoked"].as_u64(), made["uri"].as_str()), (Some(2), Some(URI)));
    let first = fs::read_to_string(folder.path().join("lists.txt")).unwrap();
    assert!(first.ends_with('\n') && first.trim().split('.').count() == 3, "{first}");
    list(folder.path(), &["--out", "lists.txt"]).exits(0);
    assert_ne!(fs::read_to_string(folder.path().join("lists.txt")).unwrap(), first);
    let printed = list(folder.path(), &[]).exits(0);
    assert_eq!(printed.stdout.trim().split('.').count(), 3);
    for wrong in [&["--revoked", "20"][..], &["--revoked", "x"], &["--size", "0"], &["--ttl", "60"]] {
        assert_eq!(list(folder.path(), wrong).exits(1).stdout, "");
    }
    run(folder.path(), &["issuer", "status-list", "--issuer", "nobody", "--uri", URI, "--size", "8"]).exits(1);
}

#[test]
fn a_passport_is_verified_by_the_list_that_it_names() {
    let folder = initialised();
    issued(folder.path(), "4");
    let unchecked = verified(folder.path()).exits(0).json();
    assert!(unchecked["not_checked"].to_string().contains("status list"), "{unchecked}");
    assert_eq!(unchecked["status_list"], Value::Null);
    let inspected = run(folder.path(), &["passport", "inspect", "agents/agent-1.json"]).exits(0);
    assert!(inspected.stdout.contains(&format!("status: entry 4 of {URI}")), "{}", inspected.stdout);

    checking(folder.path());
    assert_eq!(verified(folder.path()).exits(6).error()["code"], "status_list_unavailable");
    list(folder.path(), &["--revoked", "3", "--out", "lists.txt"]).exits(0);
    let listed = verified(folder.path()).exits(0).json();
    assert_eq!(
        (listed["status_list"]["status"].as_str(), listed["status_list"]["uri"].as_str()),
        (Some("valid"), Some(URI))
    );
    assert!(!listed["not_checked"].to_string().contains("status list"), "{listed}");
    let human = run(folder.path(), &["passport", "verify", "agents/agent-1.json"]).exits(0);
    assert!(human.stdout.contains("status list") && human.stdout.contains("valid, "), "{}", human.stdout);

    issued(folder.path(), "3");
    assert_eq!(verified(folder.path()).exits(5).error()["code"], "status_revoked");
    issued(folder.path(), "99");
    assert_eq!(verified(folder.path()).exits(5).error()["code"], "status_unknown");
    let without = run(folder.path(), &AGENT).exits(0);
    assert!(without.stderr.contains("names no status list"), "{}", without.stderr);
    assert_eq!(verified(folder.path()).exits(5).error()["code"], "status_missing");
    run(folder.path(), &[&AGENT[..], &["--status-list", URI]].concat()).exits(1);
}

#[test]
fn a_check_without_a_gate_looks_at_the_list() {
    let folder = initialised();
    checking(folder.path());
    issued(folder.path(), "3");
    let check = || {
        let arguments = [
            "--format",
            "json",
            "gate",
            "check",
            "http://127.0.0.1:8787/search",
            "--credentials",
            "agents/agent-1.json",
        ];
        run(folder.path(), &arguments)
    };
    assert_eq!(check().exits(6).json()["reason_code"], "status_list_unavailable");
    list(folder.path(), &["--revoked", "3", "--out", "lists.txt"]).exits(0);
    assert_eq!(check().exits(5).json()["reason_code"], "status_revoked");
    list(folder.path(), &["--out", "lists.txt"]).exits(0);
    assert_ne!(check().json()["reason_code"], "status_revoked");
}

#[test]
fn doctor_says_which_lists_are_at_hand() {
    let folder = initialised();
    assert!(doctor(folder.path()).is_empty());
    checking(folder.path());
    let missing = doctor(folder.path());
    assert_eq!(missing.len(), 2, "no list, and no file: {missing:?}");
    assert!(missing.iter().all(|check| check["result"] == "warn" && check["remedy"].is_string()));
    list(folder.path(), &["--out", "lists.txt"]).exits(0);
    let found = doctor(folder.path());
    assert_eq!((found.len(), found[0]["result"].as_str()), (1, Some("ok")), "{found:?}");
    assert!(found[0]["message"].as_str().unwrap().contains("24 entries"), "{found:?}");
    fs::write(folder.path().join("lists.txt"), "garbage").unwrap();
    assert!(doctor(folder.path()).iter().any(|check| check["message"].to_string().contains("line 1")));
}
