//! Personal data and secrets, as docs/guardrails.md leads through them.

use std::fs;

use crate::support::{Origin, Served, initialised, run};

const CONTROLS: &str = "guardrails:\n  pii_controls:\n    mode: redact\n    \
                        classes: { card: block, us_ssn: block, ip: log_only }\n    unscannable: deny\n";

#[test]
fn the_steps_of_the_guide_end_as_it_says() {
    let (folder, origin) = (initialised(), Origin::start());
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guardrails.md")).unwrap();
    assert!(guide.contains("    classes: { card: block, us_ssn: block, ip: log_only }\n"), "the policy is the guide's");
    let path = folder.path().join("passgate.yml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replacen("guardrails:\n", CONTROLS, 1)).unwrap();
    let issue = ["passport", "issue", "--issuer", "local", "--agent-id", "shopper", "--permission", "payments:*"];
    run(folder.path(), &issue).exits(0);
    let served = Served::start(folder.path(), &origin.url);
    let pay = |body: &str| {
        let url = format!("{}/pay", served.url);
        run(folder.path(), &["call", &url, "--credentials", "agents/shopper.json", "-d", body])
    };
    let note = |text: &str| format!(r#"{{"amount_usd": 5, "note": "{text}"}}"#);
    pay(&note("ask alice@example.com")).exits(0);
    let arrived = origin.arrived();
    assert!(arrived[0].ends_with(&format!("\r\n\r\n{}", note("ask [redacted]"))), "{arrived:?}");
    let refused = pay(&note("4111 1111 1111 1111")).exits(2);
    assert!(refused.stderr.contains("pii_blocked"), "{}", refused.stderr);
    assert!(origin.arrived().is_empty());

    let ledger = run(folder.path(), &["--format", "json", "ledger", "query"]).exits(0).stdout;
    assert!(ledger.contains("email_found") && ledger.contains("card_found"), "{ledger}");
    assert!(!ledger.contains("alice") && !ledger.contains("4111"), "{ledger}");
    let body = folder.path().join("body.json");
    fs::write(&body, note("ask alice@example.com")).unwrap();
    let url = format!("{}/pay", served.url);
    let check = ["gate", "check", &url, "--credentials", "agents/shopper.json", "-d", "@body.json"];
    assert!(run(folder.path(), &check).exits(0).stdout.contains("allow"), "a check decides as the gate does");
}

#[test]
fn mistakes_in_the_controls_are_named() {
    for (controls, expected) in [
        ("{ classes: { card: block } }", "mode"),
        ("{ mode: encrypt }", "encrypt"),
        ("{ mode: redact, classes: { cards: block } }", "cards"),
        ("{ mode: redact, classes: { card: null } }", "null"),
        ("{ mode: redact, unscannable: maybe }", "maybe"),
        ("{ mode: redact, responses: { mode: hide } }", "hide"),
        ("{ mode: redact, responses: { mode: ignore } }", "every class is ignored"),
        ("null", "null"),
    ] {
        let folder = initialised();
        let path = folder.path().join("passgate.yml");
        let config = fs::read_to_string(&path).unwrap();
        let with = format!("guardrails:\n  pii_controls: {controls}\n");
        fs::write(&path, config.replacen("guardrails:\n", &with, 1)).unwrap();
        let refused = run(folder.path(), &["policy", "check"]).exits(3);
        assert!(refused.stdout.contains(expected), "{controls}: {}", refused.stdout);
    }
}
