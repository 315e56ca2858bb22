//! The ledger from outside: export, verification and what a change does.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{issued, run, run_with_input, served_once};

/// A folder whose ledger has the chain of a gate that was started and stopped, three chains of two records, and its
/// export.
fn with_ledger() -> (tempfile::TempDir, Vec<u8>) {
    let folder = served_once();
    for agent in ["a", "b", "c"] {
        issued(folder.path(), agent, &["web:search"]);
        run(folder.path(), &["passport", "revoke", &format!("agents/{agent}.json")]).exits(0);
    }
    run(folder.path(), &["ledger", "export", "--jsonl", "-o", "export.jsonl"]).exits(0);
    let export = fs::read(folder.path().join("export.jsonl")).unwrap();
    (folder, export)
}

fn jwks(folder: &Path) {
    let public = run(folder, &["keys", "show", "keys/attestation.jwk"]).exits(0).stdout;
    fs::write(folder.join("jwks.json"), format!("{{\"keys\":[{}]}}", public.trim_end())).unwrap();
}

#[test]
fn an_export_verifies_with_the_configuration_and_with_keys_alone() {
    let (folder, export) = with_ledger();
    let own = run(folder.path(), &["--format", "json", "ledger", "verify"]).exits(0).json();
    assert_eq!((own["valid"].as_bool(), own["records"].as_u64()), (Some(true), Some(7)));
    assert!(own["head_sha256"].as_str().unwrap().starts_with("sha256:"));
    assert!(own["not_checked"].to_string().contains("cut off"));
    jwks(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    for file in ["export.jsonl", "jwks.json"] {
        fs::copy(folder.path().join(file), elsewhere.path().join(file)).unwrap();
    }
    run(elsewhere.path(), &["ledger", "verify", "export.jsonl", "--jwks", "jwks.json"]).exits(0);
    run_with_input(elsewhere.path(), &["ledger", "verify", "-", "--jwks", "jwks.json"], &export).exits(0);
    run(elsewhere.path(), &["ledger", "verify", "export.jsonl"]).exits(3);
    // Other keys know nothing of these records.
    run(folder.path(), &["ledger", "verify", "export.jsonl", "--jwks", "issuers/local.jwks.json"]).exits(7);
}

#[test]
fn a_changed_byte_is_seven_and_names_the_record() {
    let (folder, export) = with_ledger();
    let lines: Vec<&[u8]> = export.split_inclusive(|byte| *byte == b'\n').collect();
    let mut start = 0;
    for (index, line) in lines.iter().enumerate() {
        // In the payload, behind the first dot, and in the signature, behind the second.
        let dots: Vec<usize> = (0..line.len()).filter(|at| line[*at] == b'.').collect();
        for at in [2, dots[0] + 5, dots[1] + 5] {
            let mut changed = export.clone();
            changed[start + at] ^= 1;
            fs::write(folder.path().join("changed.jsonl"), &changed).unwrap();
            let broken = run(folder.path(), &["--format", "json", "ledger", "verify", "changed.jsonl"]).exits(7);
            assert_eq!(broken.error()["code"], "ledger_broken");
            let json = broken.json();
            assert_eq!((json["valid"].as_bool(), json["line"].as_u64()), (Some(false), Some(index as u64 + 1)));
            let is_record = index + 1 < lines.len();
            if at == dots[1] + 5 && is_record {
                let id = json["attestation_id"].as_str().expect("the record is not named");
                let human = run(folder.path(), &["ledger", "verify", "changed.jsonl"]).exits(7);
                assert!(human.stderr.contains(id), "{}", human.stderr);
            }
        }
        start += line.len();
    }
}

#[test]
fn lost_lines_are_seven() {
    let (folder, export) = with_ledger();
    let lines: Vec<&[u8]> = export.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        run_with_input(folder.path(), &["ledger", "verify", "-"], &fewer.concat()).exits(7);
    }
    run_with_input(folder.path(), &["ledger", "verify", "-"], b"").exits(7);
    let absent = run(folder.path(), &["ledger", "verify", "nope.jsonl"]).exits(1);
    assert!(absent.stderr.contains("hint: write one with `passgate ledger export"), "{}", absent.stderr);
    run_with_input(folder.path(), &["ledger", "verify", "-"], &export).exits(0);
}

#[test]
fn records_are_queried_and_exported() {
    let (folder, _) = with_ledger();
    let all = run(folder.path(), &["--format", "json", "ledger", "query"]).exits(0).json();
    let records = all["attestations"].as_array().unwrap().clone();
    let kinds: Vec<&str> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["chain_start", "chain_start", "revocation", "chain_start", "revocation", "chain_start", "revocation"]
    );
    let few = run(folder.path(), &["--format", "json", "ledger", "query", "--limit", "2"]).exits(0).json();
    assert_eq!(few["attestations"].as_array().unwrap().len(), 2);
    let none =
        run(folder.path(), &["--format", "json", "ledger", "query", "--after", "2999-01-01T00:00:00Z"]).exits(0).json();
    assert_eq!(none["attestations"], Value::Array(Vec::new()));
    let table = run(folder.path(), &["ledger", "query"]).exits(0);
    assert!(table.stdout.contains(records[0]["attestation_id"].as_str().unwrap()), "{}", table.stdout);

    let csv = run(folder.path(), &["ledger", "export", "--csv"]).exits(0).stdout;
    assert!(csv.starts_with("attestation_id,") && csv.lines().count() == 8, "{csv}");
    let partial = run(folder.path(), &["ledger", "export", "--gate-id", "gate_other"]).exits(0).stdout;
    let verified = run_with_input(folder.path(), &["--format", "json", "ledger", "verify", "-"], partial.as_bytes());
    let verified = verified.exits(0).json();
    assert_eq!((verified["partial"].as_bool(), verified["records"].as_u64()), (Some(true), Some(0)));

    let tail = run(folder.path(), &["--format", "json", "ledger", "tail"]).exits(0).stdout;
    let last: Value = serde_json::from_str(tail.lines().last().unwrap()).unwrap();
    assert_eq!(last["attestation_id"], records[6]["attestation_id"]);
    let streamed = run(folder.path(), &["ledger", "export", "--csv", "--output", "-"]).exits(0);
    assert_eq!(streamed.stdout, csv);
    assert!(!folder.path().join("-").exists());
    let before = fs::read(folder.path().join("export.jsonl")).unwrap();
    run(folder.path(), &["ledger", "export", "-o", "export.jsonl"]).exits(1);
    assert_eq!(fs::read(folder.path().join("export.jsonl")).unwrap(), before);
}
