//! `serve`, `call` and the control plane together.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{ISSUER, Origin, Served, command, finished, initialised, issued, run, run_with_input};

fn served() -> (tempfile::TempDir, Origin, Served) {
    let (folder, origin) = (initialised(), Origin::start());
    issued(folder.path(), "agent-1", &["web:search", "payments:create"]);
    let served = Served::start(folder.path(), &origin.url);
    (folder, origin, served)
}

#[test]
fn each_decision_has_its_exit_code_and_reaches_the_api_only_when_allowed() {
    let (folder, origin, served) = served();
    assert!(served.table.contains("fail mode"), "{}", served.table);
    let url = |path: &str| format!("{}{path}", served.url);
    let allowed = run(folder.path(), &["call", &url("/search?q=a%20b")]).exits(0);
    assert_eq!(allowed.stdout, "\u{1b}[2Jhello\r\n", "the body is passed on as it is");
    assert!(allowed.stderr.starts_with("allow (HTTP 200, att_"), "{}", allowed.stderr);
    let arrived = origin.arrived();
    assert!(arrived.len() == 1 && arrived[0].starts_with("GET /search?q=a%20b HTTP/1.1\r\n"), "{arrived:?}");
    assert!(!arrived[0].contains("agent-passport") && !arrived[0].contains("signature"), "{arrived:?}");

    let body = r#"{"amount_usd": 20}"#;
    run_with_input(folder.path(), &["call", &url("/pay"), "-d", "-"], body.as_bytes()).exits(0);
    assert!(origin.arrived()[0].ends_with(&format!("\r\n\r\n{body}")));
    fs::write(folder.path().join("large.json"), r#"{"amount_usd": 75}"#).unwrap();
    let step_up = run(folder.path(), &["call", &url("/pay"), "-d", "@large.json"]).exits(4);
    assert!(step_up.stderr.starts_with("step_up approval_required (HTTP 403"), "{}", step_up.stderr);
    let denied = run(folder.path(), &["call", &url("/records/7"), "-X", "DELETE", "--format", "json"]).exits(2);
    assert_eq!(denied.json()["reason_code"], "permission_scope_missing");
    assert!(denied.json()["attestation_id"].as_str().unwrap().starts_with("att_"));
    run(folder.path(), &["call", &url("/search"), "-H", "X-HTTP-Method-Override: DELETE", "-i"]);
    let replayed = run(folder.path(), &["call", &url("/search"), "--replay", "2"]).exits(5);
    assert_eq!(replayed.stderr.matches("nonce_replayed (HTTP 401").count(), 2, "{}", replayed.stderr);
    assert_eq!(origin.arrived().iter().filter(|request| request.starts_with("GET /search HTTP")).count(), 2);
    // The API itself is no gate.
    run(folder.path(), &["call", &format!("{}/search", origin.url)]).exits(1);
    let included = run(folder.path(), &["call", &url("/search"), "--include", "--show-request"]).exits(0);
    assert!(included.stdout.starts_with("HTTP 200 OK\n") && included.stdout.contains("x-tool: 1\n"));
    assert!(included.stderr.contains("> signature-input: sig1=("), "{}", included.stderr);
}

#[test]
fn revoking_bites_at_once_and_the_ledger_shows_it() {
    let (folder, origin, served) = served();
    let url = format!("{}/search", served.url);
    run(folder.path(), &["call", &url]).exits(0);
    let verified =
        run(folder.path(), &["--format", "json", "passport", "verify", "agents/agent-1.json"]).exits(0).json();
    assert_eq!(verified["revocation"], "none, checked against the running gateway");
    run(folder.path(), &["passport", "revoke", "--agent", ISSUER, "agent-1"]).exits(0);
    let refused = run(folder.path(), &["call", &url]).exits(5);
    assert!(refused.stderr.contains("credential_rejected"), "{}", refused.stderr);
    run(folder.path(), &["passport", "verify", "agents/agent-1.json"]).exits(5);
    assert_eq!(origin.arrived().len(), 1);

    let denied = run(folder.path(), &["--format", "json", "ledger", "query", "--decision", "deny"]).exits(0).json();
    let reasons: Vec<&str> = denied["attestations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["reason_code"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["revoked"]);
    let running = run(folder.path(), &["--format", "json", "ledger", "verify"]).exits(0).json();
    assert_eq!(served.stop("-INT"), 0);
    let stopped = run(folder.path(), &["--format", "json", "ledger", "verify"]).exits(0).json();
    assert!(stopped["records"].as_u64() >= running["records"].as_u64());

    // After a restart nothing is forgotten.
    let again = Served::again(folder.path());
    run(folder.path(), &["call", &url]).exits(5);
    assert_eq!(again.stop("-TERM"), 0);
    run(folder.path(), &["ledger", "verify"]).exits(0);
    run(folder.path(), &["call", &url]).exits(6);
}

#[test]
fn suspending_bites_at_once_and_reinstating_lets_in_at_once() {
    let (folder, origin, served) = served();
    let url = format!("{}/search", served.url);
    let refused = || {
        let refused = run(folder.path(), &["call", &url]).exits(5);
        assert!(refused.stderr.contains("credential_rejected"), "{}", refused.stderr);
        let verified = run(folder.path(), &["--format", "json", "passport", "verify", "agents/agent-1.json"]).exits(5);
        assert_eq!(verified.error()["code"], "suspended");
    };
    run(folder.path(), &["call", &url]).exits(0);
    run(folder.path(), &["passport", "suspend", "--issuer-id", ISSUER]).exits(0);
    refused();
    let reinstated = run(folder.path(), &["passport", "reinstate", "--issuer-id", ISSUER]).exits(0);
    assert!(reinstated.stderr.contains("In force from the next request on."), "{}", reinstated.stderr);
    run(folder.path(), &["call", &url]).exits(0);
    let again = run(folder.path(), &["passport", "reinstate", "--issuer-id", ISSUER]).exits(0);
    assert!(again.stderr.contains("was not suspended"), "{}", again.stderr);

    // It outlives the gateway.
    run(folder.path(), &["passport", "suspend", "--agent", ISSUER, "agent-1"]).exits(0);
    assert_eq!(served.stop("-TERM"), 0);
    let again = Served::again(folder.path());
    refused();
    run(folder.path(), &["passport", "revoke", "--agent", ISSUER, "agent-1"]).exits(0);
    let stays =
        run(folder.path(), &["--format", "json", "passport", "reinstate", "--agent", ISSUER, "agent-1"]).exits(5);
    assert_eq!(stays.error()["code"], "revoked");
    assert_eq!(again.stop("-TERM"), 0);
    assert_eq!(origin.arrived().len(), 2);
    let denied = run(folder.path(), &["--format", "json", "ledger", "query", "--decision", "deny"]).exits(0).json();
    let reasons = denied["attestations"].as_array().unwrap();
    assert!(reasons.len() == 2 && reasons.iter().all(|record| record["reason_code"] == "suspended"), "{denied}");
    run(folder.path(), &["ledger", "verify"]).exits(0);
}

#[test]
fn an_api_that_does_not_answer_is_six_though_the_gate_allowed() {
    let folder = initialised();
    issued(folder.path(), "agent-1", &["web:search"]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let served = Served::start(folder.path(), &format!("http://{nobody}"));
    let url = format!("{}/search", served.url);
    let human = run(folder.path(), &["call", &url]).exits(6);
    assert!(human.stderr.starts_with("allow upstream_unreachable (HTTP 502, att_"), "{}", human.stderr);
    let json = run(folder.path(), &["--format", "json", "call", &url]).exits(6).json();
    assert_eq!(
        (json["decision"].as_str(), json["reason_code"].as_str()),
        (Some("allow"), Some("upstream_unreachable"))
    );
}

#[test]
fn a_followed_ledger_shows_what_comes() {
    use std::io::{BufRead as _, BufReader};
    let (folder, _origin, served) = served();
    let mut tail =
        command(folder.path(), &["--format", "json", "ledger", "tail", "-f"]).stderr(Stdio::inherit()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["kind"], "chain_start");
    run(folder.path(), &["call", &format!("{}/search", served.url)]).exits(0);
    assert_eq!(next()["decision"], "allow");
    assert_eq!(next()["kind"], "outcome");
    tail.kill().unwrap();
    finished_by_signal(tail.wait_with_output().unwrap());
    assert_eq!(served.stop("-TERM"), 0);
    let offline = command(folder.path(), &["ledger", "tail", "-f"]).output().unwrap();
    finished(offline).exits(6);
}

fn finished_by_signal(output: std::process::Output) {
    assert_eq!(output.status.code(), None);
}

#[test]
fn a_second_gate_on_the_same_state_does_not_start() {
    let (folder, _origin, served) = served();
    let second = run(folder.path(), &["serve"]).exits(6);
    assert!(!second.stderr.contains("Ready on"), "{}", second.stderr);
    run(folder.path(), &["call", &format!("{}/search", served.url)]).exits(0);
}

#[test]
fn a_gate_that_cannot_start_says_why() {
    let folder = initialised();
    fs::remove_file(folder.path().join("keys/attestation.jwk")).unwrap();
    run(folder.path(), &["serve"]).exits(3);
    let folder = initialised();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let path = folder.path().join("passgate.yml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("127.0.0.1:8787", &taken.local_addr().unwrap().to_string())).unwrap();
    run(folder.path(), &["serve"]).exits(6);
    let nowhere = tempfile::tempdir().unwrap();
    let ended = run(nowhere.path(), &["serve"]).exits(3);
    assert!(ended.stderr.contains("passgate init"), "{}", ended.stderr);
}

/// Replaces the configuration as an editor does, and waits until `is_so`.
fn rewritten(folder: &std::path::Path, text: &str, is_so: impl Fn() -> bool) {
    fs::write(folder.join("passgate.yml.new"), text).unwrap();
    fs::rename(folder.join("passgate.yml.new"), folder.join("passgate.yml")).unwrap();
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the policy was not read again");
}

#[test]
fn a_policy_is_put_in_force_while_requests_go_on() {
    for engine in ["component", "native"] {
        let folder = initialised();
        let path = folder.path().join("passgate.yml");
        let control = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = fs::read_to_string(&path).unwrap();
        let config = config.replace(
            "control: {",
            &format!("evaluator: {{engine: {engine}}}\ncontrol: {{metrics_listen: \"{control}\", "),
        );
        let config = config.replace("requests_per_minute: 60\n", "requests_per_minute: 60000\n");
        fs::write(&path, config.replace("requests_per_hour: 1000\n", "requests_per_hour: 60000\n")).unwrap();
        let origin = Origin::start();
        issued(folder.path(), "agent-1", &["web:search"]);
        let served = Served::start(folder.path(), &origin.url);
        let first = fs::read_to_string(&path).unwrap();
        let call = |path: &str| run(folder.path(), &["call", &format!("{}{path}", served.url), "--format", "json"]);
        let failures = || {
            let mut stream = TcpStream::connect(control).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: metrics\r\nconnection: close\r\n\r\n").unwrap();
            let mut metrics = String::new();
            stream.read_to_string(&mut metrics).unwrap();
            metrics
                .lines()
                .find_map(|line| line.strip_prefix("passgate_policy_reload_failures_total ").map(str::to_owned))
        };
        call("/search").exits(0);

        // Requests that never stop, of which none may be refused for another reason than the rules.
        let (stop, ended) = std::sync::mpsc::channel::<()>();
        let (url, base) = (format!("{}/search", served.url), folder.path().to_owned());
        let calling = std::thread::spawn(move || {
            let mut seen = std::collections::BTreeSet::new();
            while ended.try_recv().is_err() {
                let answer = run(&base, &["call", &url, "--format", "json"]).json();
                seen.insert(answer["reason_code"].as_str().unwrap_or("allow").to_owned());
            }
            seen
        });
        let denying = format!("{}\nrules: []\n", first.replace("\nversion: 1\n", "\nversion: 2\n"));
        rewritten(folder.path(), &denying, || call("/search").json()["reason_code"] == "rule_missing");
        let versions =
            run(folder.path(), &["--format", "json", "ledger", "query", "--decision", "deny", "--limit", "1"]);
        let record = versions.exits(0).json()["attestations"][0].take();
        assert_eq!(record["policy"]["version"], 2, "{record}");

        // A mistake, a lower version, the same version with other rules, and what takes a restart.
        let mistakes = [
            denying.replace("rules: []", "rules: [{name: x, effect: allow, when: {actions: [nothing]}}]"),
            first.clone(),
            denying.replace("rules: []", "rules: [{name: x, effect: allow}]"),
            denying.replace("version: 2", "version: 3").replace("evaluator: {", "log: {level: error}\nevaluator: {"),
        ];
        for (count, mistake) in (1..).zip(&mistakes) {
            rewritten(folder.path(), mistake, || failures().as_deref() == Some(count.to_string().as_str()));
            assert_eq!(call("/search").exits(2).json()["reason_code"], "rule_missing", "{mistake}");
        }
        let allowing =
            denying.replace("version: 2", "version: 3").replace("rules: []", "rules: [{name: x, effect: allow}]");
        rewritten(folder.path(), &allowing, || call("/search").code == 0);
        stop.send(()).unwrap();
        let seen = calling.join().unwrap();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["allow", "rule_missing"], "{engine}");
        assert_eq!(failures().as_deref(), Some("4"));
        assert_eq!(served.stop("-TERM"), 0);
        run(folder.path(), &["ledger", "verify"]).exits(0);
    }
}
