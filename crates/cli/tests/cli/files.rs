//! Files with secrets: their modes, and that none is lost or shown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use passgate_passport::key::SecretKey;
use serde_json::Value;

use crate::support::{initialised, issued, run, run_with_input};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

#[test]
fn secrets_are_the_owners_alone() {
    let folder = initialised();
    issued(folder.path(), "agent-1", &["web:search"]);
    run(folder.path(), &["issuer", "create", "acme", "--id", "https://acme.example"]).exits(0);
    run(folder.path(), &["keys", "generate", "--out", "own.jwk"]).exits(0);
    for file in ["keys/attestation.jwk", "issuers/local.jwk", "issuers/acme.jwk", "agents/agent-1.json", "own.jwk"] {
        assert_eq!(mode(&folder.path().join(file)), 0o600, "{file}");
    }
    for public in ["passgate.yml", "passgate.schema.json", "issuers/local.jwks.json", "issuers/acme.jwks.json"] {
        assert_eq!(mode(&folder.path().join(public)), 0o644, "{public}");
        assert!(!fs::read_to_string(folder.path().join(public)).unwrap().contains("\"d\":\""), "{public}");
    }
    for private in ["keys", "issuers", "agents", "state"] {
        assert_eq!(mode(&folder.path().join(private)), 0o700, "{private}");
    }
}

#[test]
fn nothing_is_overwritten_unless_forced() {
    let folder = initialised();
    issued(folder.path(), "agent-1", &["web:search"]);
    run(folder.path(), &["keys", "generate", "--out", "own.jwk"]).exits(0);
    let issue = ["passport", "issue", "--issuer", "local", "--agent-id", "agent-1", "--permission", "web:search"];
    for (file, again) in [
        ("passgate.yml", &["init"][..]),
        ("own.jwk", &["keys", "generate", "--out", "own.jwk"]),
        ("issuers/local.jwk", &["issuer", "create", "local", "--id", "https://other.example"]),
        ("agents/agent-1.json", &issue),
    ] {
        let path = folder.path().join(file);
        let before = fs::read(&path).unwrap();
        let refused = run(folder.path(), &[again, &["--format", "json"]].concat()).exits(1);
        assert_eq!(refused.error()["code"], "file_exists");
        assert_eq!(fs::read(&path).unwrap(), before, "{file} changed");
    }
    let key = folder.path().join("keys/attestation.jwk");
    let before = fs::read(&key).unwrap();
    run(folder.path(), &["init", "--force"]).exits(0);
    assert_eq!(fs::read(&key).unwrap(), before, "the attestation key was replaced");
    let credentials = folder.path().join("agents/agent-1.json");
    let before = fs::read(&credentials).unwrap();
    run(folder.path(), &[&issue[..], &["--force"]].concat()).exits(0);
    assert_ne!(fs::read(&credentials).unwrap(), before);
    assert_eq!(mode(&credentials), 0o600);
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let folder = initialised();
    issued(folder.path(), "agent-1", &["web:search"]);
    let check = ["gate", "check", "http://127.0.0.1:8787/search"];
    let issue = ["passport", "issue", "--issuer", "local", "--agent-id", "agent-2", "--permission", "web:search"];
    for (file, reader) in [
        ("agents/agent-1.json", &check[..]),
        ("issuers/local.jwk", &issue),
        ("issuers/local.jwk", &["keys", "show", "issuers/local.jwk"]),
    ] {
        let path = folder.path().join(file);
        for bits in [0o644, 0o640, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            let refused = run(folder.path(), reader).exits(5);
            assert!(refused.stderr.contains("chmod 600"), "{file} {bits:o}: {}", refused.stderr);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        run(folder.path(), reader).exits(0);
    }
}

#[test]
fn a_private_key_is_shown_once_or_kept_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let shown = run(folder.path(), &["keys", "generate"]).exits(0);
    let key = SecretKey::from_private_jwk(shown.stdout.trim_end().as_bytes()).unwrap();
    assert!(shown.stderr.contains("warning:"));
    let d: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert!(!shown.stderr.contains(d["d"].as_str().unwrap()));

    let public = run_with_input(folder.path(), &["keys", "show", "-"], shown.stdout.as_bytes()).exits(0);
    assert_eq!(public.stdout.trim_end(), key.public().to_jwk());
    let thumbprint = run_with_input(folder.path(), &["keys", "thumbprint", "-"], public.stdout.as_bytes()).exits(0);
    assert_eq!(thumbprint.stdout.trim_end(), key.public().thumbprint());

    let kept = run(folder.path(), &["keys", "generate", "--out", "k.jwk", "--format", "json"]).exits(0);
    let file: Value = serde_json::from_slice(&fs::read(folder.path().join("k.jwk")).unwrap()).unwrap();
    let secret = file["d"].as_str().unwrap();
    assert!(!kept.stdout.contains(secret) && !kept.stderr.contains(secret));
    assert_eq!(kept.json()["public_key"]["x"], file["x"]);
}

#[test]
fn issuing_shows_no_key_and_a_brought_key_stays_away() {
    let folder = initialised();
    run(folder.path(), &["keys", "generate", "--out", "own.jwk"]).exits(0);
    let public = run(folder.path(), &["keys", "show", "own.jwk"]).exits(0).stdout;
    fs::write(folder.path().join("own.pub"), &public).unwrap();
    let issue = ["passport", "issue", "--issuer", "local", "--permission", "web:search", "--agent-id"];
    let brought = run(folder.path(), &[&issue[..], &["a", "--public-key", "own.pub"]].concat()).exits(0);
    let made = run(folder.path(), &[&issue[..], &["b"]].concat()).exits(0);
    let file: Value = serde_json::from_slice(&fs::read(folder.path().join("agents/b.json")).unwrap()).unwrap();
    assert!(!made.stdout.contains(file["private_key"]["d"].as_str().unwrap()));
    assert!(!fs::read_to_string(folder.path().join("agents/a.json")).unwrap().contains("private_key"));
    assert!(brought.stderr.contains("--key"));

    let check = ["gate", "check", "http://127.0.0.1:8787/search", "--credentials"];
    run(folder.path(), &[&check[..], &["agents/a.json"]].concat()).exits(5);
    run(folder.path(), &[&check[..], &["agents/a.json", "--key", "own.jwk"]].concat()).exits(0);
    run(folder.path(), &[&check[..], &["agents/b.json"]].concat()).exits(0);
    // The key of another agent.
    let other = run(folder.path(), &[&check[..], &["agents/b.json", "--key", "own.jwk"]].concat()).exits(5);
    assert!(other.stdout.contains("proof_key_mismatch"), "{}", other.stdout);
    // Several credentials, and none chosen.
    run(folder.path(), &["gate", "check", "http://127.0.0.1:8787/search"]).exits(1);
}
