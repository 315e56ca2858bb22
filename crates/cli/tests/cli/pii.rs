//! Personal data and secrets: what stands in no record, keys to encrypt to, and mistakes in the controls.

use std::fs;

use crate::support::{Origin, Served, initialised, run};

const CONTROLS: &str = "guardrails:\n  pii_controls:\n    mode: redact\n    \
                        classes: { card: block, us_ssn: block, ip: log_only }\n    unscannable: deny\n";

#[test]
fn what_is_found_stands_in_no_record_and_a_check_decides_as_the_gate_does() {
    let (folder, origin) = (initialised(), Origin::start());
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
    pay(&note("4111 1111 1111 1111")).exits(2);
    assert_eq!(origin.arrived().len(), 1);
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
fn only_the_key_that_a_policy_encrypts_to_reads_what_is_encrypted() {
    let (folder, origin) = (initialised(), Origin::start());
    let keys = |arguments: &[&str]| run(folder.path(), &[&["keys"], arguments].concat());
    keys(&["generate", "--encryption", "--out", "reader.jwk"]).exits(0);
    let public = keys(&["show", "reader.jwk"]).exits(0).stdout;
    assert!(public.contains("X25519") && !public.contains("\"d\""), "{public}");
    let thumbprint = keys(&["thumbprint", "reader.jwk"]).exits(0).stdout;
    assert!(public.contains(thumbprint.trim()), "it is the `kid`");
    fs::write(folder.path().join("public.jwk"), &public).unwrap();
    assert_eq!(keys(&["show", "public.jwk"]).exits(0).stdout, public);

    let path = folder.path().join("passgate.yml");
    let config = fs::read_to_string(&path).unwrap();
    let controls = format!("guardrails:\n  pii_controls: {{mode: encrypt, encrypt_to: {}}}\n", public.trim());
    fs::write(&path, config.replacen("guardrails:\n", &controls, 1)).unwrap();
    let issue = ["passport", "issue", "--issuer", "local", "--agent-id", "shopper", "--permission", "payments:*"];
    run(folder.path(), &issue).exits(0);
    let served = Served::start(folder.path(), &origin.url);
    let url = format!("{}/pay", served.url);
    let body = r#"{"amount_usd": 5, "note": "ask alice@example.com"}"#;
    run(folder.path(), &["call", &url, "--credentials", "agents/shopper.json", "-d", body]).exits(0);
    let arrived = origin.arrived();
    let token = arrived[0].rsplit_once("ask ").unwrap().1.trim_end_matches("\"}");
    assert_eq!(keys(&["decrypt", token, "--key", "reader.jwk"]).exits(0).stdout, "alice@example.com\n");
    fs::write(folder.path().join("token"), token).unwrap();
    let json = run(folder.path(), &["--format", "json", "keys", "decrypt", "token", "--key", "reader.jwk"]).exits(0);
    assert!(json.stdout.contains("\"text\":\"alice@example.com\""), "{}", json.stdout);
    keys(&["generate", "--encryption", "--out", "other.jwk"]).exits(0);
    let refused = keys(&["decrypt", token, "--key", "other.jwk"]).exits(5);
    assert!(refused.stderr.contains("another key"), "{}", refused.stderr);
    let kind = keys(&["decrypt", token, "--key", "keys/attestation.jwk"]).exits(5);
    assert!(kind.stderr.contains("`crv` is not X25519"), "{}", kind.stderr);
}

#[test]
fn a_private_key_in_a_policy_is_refused_and_not_shown() {
    let folder = initialised();
    run(folder.path(), &["keys", "generate", "--encryption", "--out", "reader.jwk"]).exits(0);
    let private = fs::read_to_string(folder.path().join("reader.jwk")).unwrap();
    let secret = private.split("\"d\":\"").nth(1).unwrap().split('"').next().unwrap();
    let path = folder.path().join("passgate.yml");
    let config = fs::read_to_string(&path).unwrap();
    let block = format!("{{kty: OKP, crv: X25519, x: A, d: {secret}}}");
    for (controls, expected) in [
        (format!("{{mode: encrypt, encrypt_to: {}}}", private.trim()), "private key material"),
        (format!("{{mode: block, encrypt_to: {block}}}"), "private key material"),
        // Another mistake on the same line.
        (format!("{{mode: encrypt, clases: {{}}, encrypt_to: {block}}}"), "clases"),
        (format!("{{mode: encrypt, encrypt_to: {{kty: OKP, crv: X25519, x: A, k: {secret}}}}}"), "unknown member `k`"),
    ] {
        let with = format!("guardrails:\n  pii_controls: {controls}\n");
        fs::write(&path, config.replacen("guardrails:\n", &with, 1)).unwrap();
        for verb in [&["policy", "check"][..], &["doctor"], &["serve"], &["gate", "check", "http://127.0.0.1:8787/pay"]]
        {
            let ran = run(folder.path(), verb);
            let said = [ran.stdout.as_str(), &ran.stderr].concat();
            assert!(said.contains(expected) && !said.contains(secret), "{verb:?}: {said}");
        }
    }
}

#[test]
fn files_that_encrypt_to_two_keys_are_refused() {
    let folder = initialised();
    let key = |name: &str| {
        run(folder.path(), &["keys", "generate", "--encryption", "--out", name]).exits(0);
        run(folder.path(), &["keys", "show", name]).exits(0).stdout.trim().to_owned()
    };
    let (one, other) = (key("one.jwk"), key("other.jwk"));
    let controls = |key: &str| format!("guardrails:\n  pii_controls: {{mode: encrypt, encrypt_to: {key}}}\n");
    let path = folder.path().join("passgate.yml");
    let config = fs::read_to_string(&path).unwrap().replacen("guardrails:\n", &controls(&one), 1);
    fs::write(&path, format!("policy_files: [more.yml]\n{config}")).unwrap();
    for (more, exit) in
        [(controls(&one), 0), ("guardrails:\n  pii_controls: {mode: encrypt}\n".to_owned(), 0), (controls(&other), 3)]
    {
        fs::write(folder.path().join("more.yml"), more).unwrap();
        let checked = run(folder.path(), &["policy", "check"]).exits(exit);
        assert_eq!(checked.stdout.contains("another key than in"), exit == 3, "{}", checked.stdout);
    }
}

#[test]
fn mistakes_in_the_controls_are_named() {
    for (controls, expected) in [
        ("{ classes: { card: block } }", "mode"),
        ("{ mode: encrypt }", "pii_controls.encrypt_to"),
        ("{ mode: encypt }", "encrypt"),
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
