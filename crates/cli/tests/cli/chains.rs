//! Chains, DPoP and challenges at a gateway that serves.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Origin, Run, Served, initialised, run};

/// The root may pay and search; the worker pay within a budget; the helper pay less.
fn handed_on() -> (TempDir, Origin) {
    let folder = initialised();
    let hand_on = |from: &str, to: &str, flags: &[&str]| {
        let from = format!("agents/{from}.json");
        let delegate = ["passport", "delegate", "--credentials", &from, "--agent-id", to];
        run(folder.path(), &[&delegate[..], flags].concat()).exits(0);
    };
    let root = ["passport", "issue", "--issuer", "local", "--agent-id", "root", "--delegations", "2"];
    let permissions = ["--permission", "payments:*", "--permission", "web:*", "--spend-daily", "50"];
    run(folder.path(), &[&root[..], &permissions].concat()).exits(0);
    let pay = ["--permission", "payments:create", "--spend-daily"];
    hand_on("root", "worker", &[&pay[..], &["20", "--delegations", "1"]].concat());
    hand_on("worker", "helper", &[&pay[..], &["20", "--max-records", "10"]].concat());
    (folder, Origin::start())
}

fn call(folder: &Path, agent: &str, url: &str, flags: &[&str]) -> Run {
    let credentials = format!("agents/{agent}.json");
    run(folder, &[&["call", url, "--credentials", &credentials][..], flags].concat())
}

fn id(folder: &Path, agent: &str) -> String {
    let inspected = run(folder, &["--format", "json", "passport", "inspect", &format!("agents/{agent}.json")]);
    inspected.exits(0).json()["claims"]["jti"].as_str().unwrap().to_owned()
}

#[test]
fn the_leaf_acts_within_its_scope_until_a_link_is_revoked() {
    let (folder, origin) = handed_on();
    let served = Served::start(folder.path(), &origin.url);
    let (pay, search) = (format!("{}/pay", served.url), format!("{}/search", served.url));
    call(folder.path(), "helper", &pay, &["-d", r#"{"amount_usd": 5}"#]).exits(0);
    call(folder.path(), "helper", &pay, &["-d", r#"{"amount_usd": 5}"#, "--dpop"]).exits(0);
    let arrived = origin.arrived();
    assert_eq!(arrived.len(), 2);
    assert!(arrived.iter().all(|request| !request.contains("agent-passport") && !request.contains("dpop")));
    let outside = call(folder.path(), "helper", &search, &[]).exits(2);
    assert!(outside.stderr.contains("permission_scope_missing"), "{}", outside.stderr);
    call(folder.path(), "worker", &search, &[]).exits(2);
    call(folder.path(), "root", &search, &[]).exits(0);
    // The worker's budget is that of all below it.
    call(folder.path(), "worker", &pay, &["-d", r#"{"amount_usd": 10.01}"#]).exits(2);
    call(folder.path(), "worker", &pay, &["-d", r#"{"amount_usd": 10}"#]).exits(0);
    let spent = call(folder.path(), "helper", &pay, &["-d", r#"{"amount_usd": 0.01}"#]).exits(2);
    assert!(spent.stderr.contains("spend_daily_exceeded"), "{}", spent.stderr);

    run(folder.path(), &["passport", "revoke", &id(folder.path(), "worker")]).exits(0);
    for agent in ["helper", "worker"] {
        let refused = call(folder.path(), agent, &pay, &["-d", r#"{"amount_usd": 1}"#]).exits(5);
        assert!(refused.stderr.contains("credential_rejected"), "{}", refused.stderr);
    }
    call(folder.path(), "root", &pay, &["-d", r#"{"amount_usd": 1}"#]).exits(0);
    let verified = run(folder.path(), &["passport", "verify", "agents/helper.json"]).exits(5);
    assert!(verified.stderr.contains(&id(folder.path(), "worker")), "{}", verified.stderr);
}

#[test]
fn records_name_who_handed_on() {
    let (folder, origin) = handed_on();
    let served = Served::start(folder.path(), &origin.url);
    call(folder.path(), "helper", &format!("{}/pay", served.url), &["-d", r#"{"amount_usd": 5}"#, "--dpop"]).exits(0);
    let found = run(folder.path(), &["--format", "json", "ledger", "query", "--decision", "allow"]).exits(0).json();
    let record = &found["attestations"][0];
    assert_eq!(record["agent"]["agent_id"], "helper");
    let above: Vec<_> = record["agent"]["delegated_by"].as_array().unwrap().iter().collect();
    assert_eq!((above.len(), &above[0]["agent_id"], &above[1]["agent_id"]), (2, &"root".into(), &"worker".into()));
    assert_eq!(record["agent"]["delegated_by"][1]["passport_id"], id(folder.path(), "worker").as_str());
    assert_eq!(record["request"]["proof"], "dpop");
    assert!(record["policy"].get("loosened").is_none());
    assert_eq!(served.stop("-INT"), 0);
    run(folder.path(), &["ledger", "verify"]).exits(0);
}

/// Changes the configuration of a folder.
fn configure(folder: &Path, from: &str, to: &str) {
    let path = folder.join("passgate.yml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_gate_that_challenges_is_answered_and_takes_no_proof_made_before() {
    let (folder, origin) = handed_on();
    configure(folder.path(), "  level: L2\n", "  level: L2\n  require_challenge: true\n");
    for engine in ["component", "native"] {
        configure(folder.path(), "\nupstream:", &format!("\nevaluator: {{engine: {engine}}}\nupstream:"));
        let served = match engine {
            "component" => Served::start(folder.path(), &origin.url),
            _ => Served::again(folder.path()),
        };
        let url = format!("{}/search", served.url);
        for flags in [&["--show-request"][..], &["--show-request", "--dpop"]] {
            let asked = call(folder.path(), "root", &url, flags).exits(0);
            assert_eq!(asked.stderr.matches("> GET ").count(), 2, "{}", asked.stderr);
        }
        assert_eq!(origin.arrived().len(), 2);
        assert_eq!(served.stop("-INT"), 0);
        configure(folder.path(), &format!("\nevaluator: {{engine: {engine}}}\nupstream:"), "\nupstream:");
    }
}

#[test]
fn a_level_that_is_loosened_says_so_everywhere() {
    let folder = initialised();
    configure(folder.path(), "  level: L2\n", "  level: L3\n");
    configure(folder.path(), "    tier: L2\n", "    tier: L3\n");
    let refused = run(folder.path(), &["doctor"]).exits(3);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("issuers[0].status_list") && said.contains("require_status_lists"), "{said}");
    configure(folder.path(), "  level: L3\n", "  level: L3\n  require_status_lists: false\n");
    let doctor = run(folder.path(), &["doctor"]);
    assert!(doctor.stdout.contains("require_challenge; not require_status_lists"), "{}", doctor.stdout);
    let origin = Origin::start();
    run(folder.path(), &["passport", "issue", "--issuer", "local", "--agent-id", "a", "--permission", "web:*"])
        .exits(0);
    let served = Served::start(folder.path(), &origin.url);
    assert!(served.table.contains("LOOSENED") && served.table.contains("require_status_lists"), "{}", served.table);
    call(folder.path(), "a", &format!("{}/search", served.url), &[]).exits(0);
    let found = run(folder.path(), &["--format", "json", "ledger", "query", "--decision", "allow"]).exits(0).json();
    assert_eq!(found["attestations"][0]["policy"]["loosened"][0], "require_status_lists");
}
