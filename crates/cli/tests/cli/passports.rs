//! Passports from outside: what holds, what does not, and what is said about the rest.

use std::fs;

use passgate_passport::b64;
use passgate_passport::jws::{TokenType, sign};
use passgate_passport::key::SecretKey;

use crate::support::{ISSUER, Run, initialised, issued, issuer_key, now, passport, run, run_with_input, served_once};

fn verify(folder: &std::path::Path, token: &str) -> Run {
    run(folder, &["--format", "json", "passport", "verify", token])
}

#[test]
fn an_issued_passport_verifies_from_a_token_a_file_and_stdin() {
    let folder = initialised();
    let token = issued(folder.path(), "agent-1", &["web:search", "payments:*"]);
    fs::write(folder.path().join("token.txt"), format!("{token}\n")).unwrap();
    for argument in [token.as_str(), "token.txt", "agents/agent-1.json"] {
        let json = verify(folder.path(), argument).exits(0).json();
        assert_eq!((json["valid"].as_bool(), json["trust_tier"].as_str()), (Some(true), Some("L2")));
        assert_eq!((json["issuer"].as_str(), json["agent_id"].as_str()), (Some(ISSUER), Some("agent-1")));
        assert_eq!(json["permissions"], serde_json::json!(["web:search", "payments:*"]));
        let not_checked = json["not_checked"].to_string();
        assert!(not_checked.contains("possession"), "{not_checked}");
    }
    run_with_input(folder.path(), &["passport", "verify", "-"], token.as_bytes()).exits(0);
    let human = run(folder.path(), &["passport", "verify", &token]).exits(0);
    assert!(human.stdout.contains("not checked: revocation"), "{}", human.stdout);
    assert!(human.stdout.lines().any(|line| line.starts_with("not checked:")), "{}", human.stdout);
}

#[test]
fn what_does_not_hold_is_five_with_its_code() {
    let folder = initialised();
    let token = issued(folder.path(), "agent-1", &["web:search"]);
    let key = issuer_key(folder.path());
    let stranger = SecretKey::from_seed([66; 32]);
    let (header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let raised = String::from_utf8(b64::decode(payload).unwrap()).unwrap().replace("web:search", "payments:*");
    let other_type = sign(&key, TokenType::Attestation, &b64::decode(payload).unwrap());
    let none = b64::encode(br#"{"alg":"none","typ":"passport+jwt"}"#);
    for (forged, code) in [
        (format!("{header}.{}.{signature}", b64::encode(raised.as_bytes())), "passport_signature_invalid"),
        (passport(&stranger, now() - 10, now() + 600), "issuer_key_unknown"),
        (passport(&key, now() - 7200, now() - 3600), "passport_expired"),
        (passport(&key, now() + 3600, now() + 7200), "passport_not_yet_valid"),
        (passport(&key, now() - 10, now() + 400 * 86_400), "passport_lifetime_exceeded"),
        (other_type, "passport_malformed"),
        (format!("{none}.{payload}."), "passport_malformed"),
        ("eyJ9.e30.x".to_owned(), "passport_malformed"),
    ] {
        let ended = verify(folder.path(), &forged).exits(5);
        assert_eq!(ended.error()["code"], code, "{forged}");
        assert_eq!(ended.stdout, "");
    }
    fs::write(folder.path().join("garbage"), [0xff, 0, 0x1b, b'[']).unwrap();
    assert_eq!(verify(folder.path(), "garbage").exits(5).error()["code"], "passport_malformed");
    for neither in ["a.b.c", header, &format!("{header}.{payload}"), &format!("{token} x")] {
        for verb in ["verify", "inspect", "revoke"] {
            let ended = run(folder.path(), &["--format", "json", "passport", verb, neither]).exits(5);
            assert_eq!(ended.error()["code"], "passport_malformed", "{verb} {neither}");
            assert!(!ended.stderr.contains(neither), "{}", ended.stderr);
        }
    }
    for absent in ["no-such-file", "agents/none.json", "./a.b"] {
        let ended = run(folder.path(), &["passport", "verify", absent]).exits(1);
        assert!(ended.stderr.contains("No such file") && ended.stderr.contains("hint: give"), "{}", ended.stderr);
    }
    fs::write(folder.path().join("a.b.c"), &token).unwrap();
    verify(folder.path(), "a.b.c").exits(0);
    fs::write(folder.path().join("huge"), vec![b'a'; 1 << 20]).unwrap();
    assert_eq!(verify(folder.path(), "huge").exits(5).error()["code"], "passport_malformed");
}

#[test]
fn tier_and_audience_are_those_of_the_configured_gate() {
    let folder = initialised();
    let issue = ["passport", "issue", "--agent-id", "a", "--permission", "web:search", "--force"];
    let own = run(folder.path(), &[&issue[..], &["--self"]].concat()).exits(0);
    assert!(own.stderr.contains("would refuse it"), "{}", own.stderr);
    assert_eq!(verify(folder.path(), "agents/a.json").exits(5).error()["code"], "issuer_unknown");
    let elsewhere =
        run(folder.path(), &[&issue[..], &["--issuer", "local", "--audience", "gate_other"]].concat()).exits(0);
    assert!(elsewhere.stderr.contains("would refuse it"), "{}", elsewhere.stderr);
    assert_eq!(verify(folder.path(), "agents/a.json").exits(5).error()["code"], "audience_mismatch");
    let here = run(folder.path(), &[&issue[..], &["--issuer", "local", "--audience", "gate_local"]].concat()).exits(0);
    assert!(!here.stderr.contains("would refuse it"), "{}", here.stderr);
    verify(folder.path(), "agents/a.json").exits(0);
}

#[test]
fn a_revoked_passport_is_invalid_at_once() {
    for how in ["passport", "agent", "key", "issuer"] {
        let folder = served_once();
        issued(folder.path(), "agent-1", &["web:search"]);
        let before = verify(folder.path(), "agents/agent-1.json").exits(0).json();
        assert_eq!(before["revocation"], "none, checked against its store");
        let inspected =
            run(folder.path(), &["--format", "json", "passport", "inspect", "agents/agent-1.json"]).exits(0).json();
        let thumbprint = inspected["claims"]["cnf"]["jwk"]["kid"].as_str().unwrap().to_owned();
        let arguments: &[&str] = match how {
            "passport" => &["agents/agent-1.json"],
            "agent" => &["--agent", ISSUER, "agent-1"],
            "key" => &["--key", &thumbprint],
            _ => &["--issuer-id", ISSUER],
        };
        let revoked = run(folder.path(), &[&["--format", "json", "passport", "revoke"], arguments].concat()).exits(0);
        assert!(revoked.json()["attestation_id"].as_str().unwrap().starts_with("att_"));
        assert_eq!(verify(folder.path(), "agents/agent-1.json").exits(5).error()["code"], "revoked", "{how}");
        run(folder.path(), &["ledger", "verify"]).exits(0);
    }
    let never_served = initialised();
    run(never_served.path(), &["passport", "revoke", "pass_01ARYZ6S410000000000000001"]).exits(0);
    run(never_served.path(), &["ledger", "verify"]).exits(0);
    // One thumbprint in 64 begins like a flag.
    let dashed = format!("-{}", "A".repeat(42));
    run(never_served.path(), &["passport", "revoke", "--key", &dashed]).exits(0);
    for nothing in [&["not-an-id"][..], &["--key", "short"], &["--agent", "", "a"], &["--agent", "only-one"], &[]] {
        run(never_served.path(), &[&["passport", "revoke"], nothing].concat()).exits(1);
    }
}

#[test]
fn a_suspended_passport_is_invalid_until_it_is_reinstated() {
    let folder = served_once();
    issued(folder.path(), "agent-1", &["web:search"]);
    let verified = || verify(folder.path(), "agents/agent-1.json");
    let change = |verb: &str, what: &[&str]| {
        run(folder.path(), &[&["--format", "json", "passport", verb], what].concat()).exits(0).json()
    };
    let inspected =
        run(folder.path(), &["--format", "json", "passport", "inspect", "agents/agent-1.json"]).exits(0).json();
    let thumbprint = inspected["claims"]["cnf"]["jwk"]["kid"].as_str().unwrap().to_owned();
    let everything: [&[&str]; 4] =
        [&["agents/agent-1.json"], &["--agent", ISSUER, "agent-1"], &["--key", &thumbprint], &["--issuer-id", ISSUER]];
    for what in everything {
        assert_eq!(change("reinstate", what)["changed"], false);
        let suspended = change("suspend", what);
        assert!(suspended["attestation_id"].as_str().unwrap().starts_with("att_"), "{suspended}");
        assert_eq!((&suspended["changed"], &change("suspend", what)["changed"]), (&true.into(), &false.into()));
        let error = verified().exits(5).error();
        assert_eq!(error["code"], "suspended");
        assert!(error["message"].as_str().unwrap().contains("is suspended since"), "{error}");
        // A new passport would not be suspended.
        let rotated = run(
            folder.path(),
            &["--format", "json", "passport", "rotate", "--credentials", "agents/agent-1.json", "--issuer", "local"],
        );
        assert_eq!(rotated.exits(5).error()["code"], "suspended");
        assert_eq!(change("reinstate", what)["changed"], true);
        verified().exits(0);
    }
    change("suspend", &["--issuer-id", ISSUER]);
    change("revoke", &["agents/agent-1.json"]);
    assert_eq!(verified().exits(5).error()["code"], "revoked", "it counts more");
    let again = run(folder.path(), &["passport", "suspend", "agents/agent-1.json"]).exits(0);
    assert!(again.stderr.contains("Nothing changes"), "{}", again.stderr);
    let refused = run(folder.path(), &["--format", "json", "passport", "reinstate", "agents/agent-1.json"]).exits(5);
    let error = refused.error();
    assert_eq!(error["code"], "revoked");
    assert!(error["message"].as_str().unwrap().contains("cannot be lifted"), "{error}");
    for nothing in [&["not-an-id"][..], &["--key", "short"], &["--issuer-id", ISSUER, "--key", &thumbprint], &[]] {
        run(folder.path(), &[&["passport", "suspend"], nothing].concat()).exits(1);
    }
    run(folder.path(), &["ledger", "verify"]).exits(0);
}

#[test]
fn inspecting_checks_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let forged = passport(&SecretKey::from_seed([66; 32]), 1_000, 2_000);
    let human = run(folder.path(), &["passport", "inspect", &forged]).exits(0);
    assert!(human.stdout.starts_with("signature: not checked\n"), "{}", human.stdout);
    let json = run(folder.path(), &["--format", "json", "passport", "inspect", &forged]).exits(0).json();
    assert_eq!((json["signature"].as_str(), json["claims"]["sub"].as_str()), (Some("not_checked"), Some("agent-1")));
    run(folder.path(), &["passport", "inspect", "eyJh.b.c"]).exits(5);
}

#[test]
fn hostile_text_is_printed_inert() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::from_seed([66; 32]);
    let bound = SecretKey::from_seed([4; 32]).public().to_jwk();
    // Unknown claims are ignored by the reader and still shown.
    let payload = format!(
        r#"{{"iss":"https://i.example","sub":"a","jti":"pass_01ARYZ6S410000000000000001","iat":1,"exp":2,"cnf":{{"jwk":{bound}}},
        "permissions":[],"x":"\u001b[31m \u009b \u202e \u2066 \u007f","raw":"{}"}}"#,
        "\u{9b}\u{202e}\u{200b}"
    );
    let token = sign(&key, TokenType::Passport, payload.as_bytes());
    for format in ["human", "json"] {
        let shown = run(folder.path(), &["--format", format, "passport", "inspect", &token]).exits(0);
        let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{200b}'..='\u{206f}').contains(&c);
        assert!(!shown.stdout.chars().any(hostile), "{:?}", shown.stdout);
        assert!(shown.stdout.contains("\\u202e"), "{:?}", shown.stdout);
    }
    let refused = run(folder.path(), &["passport", "verify", "no\u{1b}[31m\u{202e}file"]).exits(1);
    assert!(!refused.stderr.contains('\u{1b}') && !refused.stderr.contains('\u{202e}'), "{:?}", refused.stderr);
}
