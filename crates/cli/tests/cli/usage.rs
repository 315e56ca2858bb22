//! Help, usage errors and the envelope of errors.

use std::fs;

use crate::support::{initialised, issued, run, run_with_input};

#[test]
fn help_and_version_are_data() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]).exits(0);
    for verb in [
        "init",
        "demo",
        "serve",
        "call",
        "keys",
        "issuer",
        "passport",
        "plugin",
        "gate",
        "ledger",
        "doctor",
        "completions",
    ] {
        assert!(help.stdout.lines().any(|line| line.trim_start().starts_with(verb)), "{verb} is missing");
    }
    assert!(help.stdout.contains("4  step_up"));
    assert_eq!(help.stderr, "");
    let version = run(folder.path(), &["--version"]).exits(0);
    assert_eq!(version.stdout, concat!("passgate ", env!("CARGO_PKG_VERSION"), "\n"));
    for verb in [&["passport", "issue", "--help"][..], &["ledger", "export", "--help"], &["help", "call"]] {
        assert!(run(folder.path(), verb).exits(0).stdout.contains("Usage: passgate"));
    }
}

#[test]
fn wrong_usage_is_one_and_never_the_code_of_a_deny() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["--no-such-flag"],
        &["call"],
        &["keys"],
        &["passport", "issue"],
        &["passport", "issue", "--issuer", "a", "--self", "--agent-id", "a", "--permission", "a:b"],
        &["passport", "issue", "--issuer", "a", "--agent-id", "a", "--permission", "NOT A SCOPE"],
        &["passport", "issue", "--issuer", "a", "--agent-id", "a", "--permission", "a:b", "--ttl", "0d"],
        &["init", "--format", "xml"],
        &["init", "--upstream", "nonsense"],
        &["init", "--upstream", "http://127.0.0.1:9000/v1"],
        &["keys", "generate", "--out", "/proc/x"],
        &["call", "ftp://a/"],
        &["call", "http://u:p@a/"],
        &["call", "http://a/", "-H", "signature: x"],
        &["completions", "tcsh"],
        &["keys", "show", "no-such-file"],
        &["plugin", "keys", "set", "Shops", "list", "value"],
        &["plugin", "keys", "get", "shops", ""],
    ] {
        let ended = run(folder.path(), arguments).exits(1);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert_ne!(ended.stderr, "", "{arguments:?}");
    }
}

#[test]
fn errors_in_json_are_one_line_with_code_message_and_hint() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, exit, code) in [
        (&["--format", "json", "nonsense"][..], 1, "usage"),
        (&["nonsense", "--format=json"], 1, "usage"),
        (&["--format", "json", "issuer", "list"], 3, "config_invalid"),
        (&["--format", "json", "passport", "verify", "eyJ9.e30.x"], 3, "config_invalid"),
        (&["--format", "json", "passport", "inspect", "eyJ9.e30.x"], 5, "passport_malformed"),
        (&["--format", "json", "keys", "show", "no-such-file"], 1, "io"),
    ] {
        let ended = run(folder.path(), arguments).exits(exit);
        assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1), "{}", ended.stderr);
        assert_eq!(ended.error()["code"], code);
    }
}

#[test]
fn an_unusable_configuration_is_three() {
    let folder = initialised();
    let path = folder.path().join("passgate.yml");
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, word) in [
        ("guardrails:", "guardrail:", "guardrails"),
        ("level: L2", "level: L9", "L9"),
        ("version: 1", "version: 1\nversion: 2", "twice"),
        ("path: /pay", "path: pay", "routes[1]"),
        ("keys_file: \"issuers/local.jwks.json\"", "keys_file: \"issuers/absent.json\"", "absent.json"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from} is not in the template");
        fs::write(&path, bad).unwrap();
        let ended = run(folder.path(), &["issuer", "list"]).exits(3);
        assert!(ended.stderr.contains(word), "{from}: {}", ended.stderr);
    }
    fs::write(&path, good).unwrap();
    run(folder.path(), &["issuer", "list"]).exits(0);
}

#[test]
fn a_check_without_a_gate_has_the_codes_of_a_decision() {
    let folder = initialised();
    issued(folder.path(), "agent-1", &["web:search", "payments:create"]);
    let url = "http://127.0.0.1:8787";
    for (path, data, exit, word) in [
        ("/search?q=1", None, 0, "allow"),
        ("/pay", Some(r#"{"amount_usd": 20}"#), 0, "allow"),
        ("/pay", Some(r#"{"amount_usd": 75}"#), 4, "step_up approval_required"),
        ("/pay", Some(r#"{"amount_usd": 500}"#), 2, "deny spend_per_transaction_exceeded"),
        ("/pay", Some(r#"{"amount_usd": 1, "amount_usd": 500}"#), 2, "deny body_not_json"),
        ("/email", Some(r#"{"domain": "partner.example"}"#), 2, "deny permission_scope_missing"),
        ("/nowhere", None, 2, "deny action_unmapped"),
        ("/a/../search", None, 2, "deny path_not_canonical"),
    ] {
        let target = format!("{url}{path}");
        let mut arguments = vec!["gate", "check", &target];
        arguments.extend(data.map(|data| ["-d", data]).into_iter().flatten());
        let ended = run(folder.path(), &arguments).exits(exit);
        assert!(ended.stdout.starts_with(word), "{path}: {}", ended.stdout);
        assert!(ended.stdout.contains("not checked: replay"));
    }
    let file = br#"{"method": "POST", "url": "http://127.0.0.1:8787/pay", "body": {"amount_usd": 75}}"#;
    let ended = run_with_input(folder.path(), &["gate", "check", "--request", "-", "--format", "json"], file).exits(4);
    let json = ended.json();
    assert_eq!((json["decision"].as_str(), json["reason_code"].as_str()), (Some("step_up"), Some("approval_required")));
    let order: Vec<&str> =
        json["guardrails_evaluated"].as_array().unwrap().iter().map(|g| g["guardrail"].as_str().unwrap()).collect();
    assert_eq!(order, ["permission_scope", "rate", "spend", "domain", "pii", "approval"]);
}

#[test]
fn a_gate_that_is_not_there_is_six() {
    let folder = initialised();
    issued(folder.path(), "agent-1", &["web:search"]);
    // A port that was free a moment ago, and that nothing listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ended = run(folder.path(), &["call", &format!("http://127.0.0.1:{port}/"), "--format", "json"]).exits(6);
    assert_eq!(ended.error()["code"], "unreachable");
}

#[test]
fn completions_are_scripts() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(folder.path(), &["completions", shell]).exits(0).stdout;
        assert!(script.contains("passgate") && script.contains("thumbprint"), "{shell}");
    }
}

#[test]
fn colour_is_used_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, coloured) in
        [(&["keys", "show", "x"][..], false), (&["--color", "always", "keys", "show", "x"], true)]
    {
        assert_eq!(run(folder.path(), arguments).exits(1).stderr.contains('\u{1b}'), coloured);
    }
}
