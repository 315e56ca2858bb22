//! The command line as an operator meets it: exit codes of the demonstration, of calls and of verifications.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;

use passgate_tests::agent::with_other_signature;
use passgate_tests::origin::Origin;
use passgate_tests::program::{self, passgate};
use passgate_tests::site::Site;
use passgate_tests::surface::{payload, text_member};

const ROUTES: &str = "  - {method: GET, path: /search, action: 'web:search'}
  - {method: POST, path: /pay, action: 'payments:create', amount: {pointer: /amount_usd}}
  - {method: DELETE, path: '/records/{id}', action: 'records:delete'}";
const GUARDRAILS: &str = "  approval_workflows: {require_approval_above_usd: 50}";

async fn site() -> (Origin, Site) {
    let origin = Origin::start().await.unwrap();
    let site = Site::new(&origin.url(), ROUTES, GUARDRAILS).unwrap();
    (origin, site)
}

#[test]
fn the_demonstration_shows_every_decision_and_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(passgate().unwrap());
    let output = program::run(command.arg("demo").current_dir(&folder), "").unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for word in [
        "allow",
        "permission_scope_missing",
        "domain_not_allowed",
        "step_up approval_required",
        "spend_daily_exceeded",
        "nonce_replayed",
        "passport_signature_invalid",
        "revoked",
        "rate_limit_exceeded",
        "ledger",
    ] {
        assert!(said.contains(word), "the demonstration does not say `{word}`:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_with_the_code_of_their_decision() {
    let (origin, site) = site().await;
    let agent = site.agent("agent-caller", &["web:*", "payments:*"]).unwrap();
    let credentials = agent.file();
    site.start().unwrap();
    let call = |arguments: &[&str]| {
        let arguments = [&["call", "--credentials", &credentials], arguments].concat();
        site.code(&arguments).unwrap()
    };
    let json = ["-H", "content-type: application/json"];
    let (search, records, pay) = (site.url("/search?q=a"), site.url("/records/7"), site.url("/pay"));
    let paid = |amount: &'static str| [&[pay.as_str(), "-X", "POST", "-d", amount], json.as_slice()].concat();
    for (arguments, expected) in [
        (vec![search.as_str()], 0),
        (vec![records.as_str(), "-X", "DELETE"], 2),
        (paid(r#"{"amount_usd":50}"#), 0),
        (paid(r#"{"amount_usd":51}"#), 4),
        (vec![search.as_str(), "--replay", "1"], 5),
    ] {
        let (code, said) = call(&arguments);
        assert_eq!(code, expected, "{arguments:?}: {said}");
    }
    let reached: Vec<String> = origin.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(reached, ["GET /search?q=a", "POST /pay", "GET /search?q=a"]);
    let (code, said) = site.code(&["passport", "revoke", &agent.passport_id]).unwrap();
    assert_eq!(code, 0, "{said}");
    assert_eq!(call(&[&search]).0, 5, "a revoked passport");
    assert_eq!(site.stop().unwrap(), 0);
    assert_eq!(call(&[&search]).0, 6, "nobody listens");
    assert_eq!(site.code(&["call"]).unwrap().0, 1, "wrong usage");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_ledger_export_is_noticed_and_the_record_named() {
    let (_origin, site) = site().await;
    let agent = site.agent("agent-caller", &["web:*"]).unwrap();
    site.start().unwrap();
    for _ in 0..3 {
        let (code, said) = site.code(&["call", "--credentials", &agent.file(), &site.url("/search")]).unwrap();
        assert_eq!(code, 0, "{said}");
    }
    assert_eq!(site.stop().unwrap(), 0);
    let export = site.folder().join("export.jsonl");
    site.output(&["ledger", "export", "--jsonl", "-o", &text(&export)]).unwrap();
    let (code, said) = site.code(&["ledger", "verify", &text(&export)]).unwrap();
    assert_eq!(code, 0, "{said}");

    let good = std::fs::read_to_string(&export).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    // Chain start, three decisions and their outcomes, head.
    assert!(lines.len() >= 8, "{} lines", lines.len());
    let mut changed = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        for at in (0..line.len()).step_by(67) {
            changed.push((number, at));
        }
    }
    for (number, at) in changed {
        let mut bytes = good.clone().into_bytes();
        let offset: usize = lines[..number].iter().map(|line| line.len() + 1).sum();
        bytes[offset + at] = if bytes[offset + at] == b'A' { b'B' } else { b'A' };
        let (code, said) = verify(&site, &bytes);
        assert_eq!(code, 7, "line {number}, byte {at}: {said}");
        assert!(said.contains(&format!("line {}", number + 1)), "line {}, byte {at}: {said}", number + 1);
    }
    // The signature of a record is changed: what it says can still be read, so it is named.
    let jws = serde_json::from_str::<serde_json::Value>(lines[2]).unwrap()["jws"].as_str().unwrap().to_owned();
    let id = text_member(&payload(&jws).unwrap(), "attestation_id").unwrap().unwrap();
    let forged = good.replace(&jws, &with_other_signature(&jws));
    let (code, said) = verify(&site, forged.as_bytes());
    assert!(code == 7 && said.contains(&id), "{code}: {said} does not name {id}");
    // So is one that stands after a deleted line.
    let shortened = good.replace(&format!("{}\n", lines[1]), "");
    let (code, said) = verify(&site, shortened.as_bytes());
    assert!(code == 7 && said.contains(&id), "{code}: {said} does not name {id}");
}

fn verify(site: &Site, export: &[u8]) -> (i32, String) {
    let path = site.folder().join("changed.jsonl");
    std::fs::write(&path, export).unwrap();
    site.code(&["ledger", "verify", &text(&path)]).unwrap()
}

fn text(path: &Path) -> String {
    PathBuf::from(path).to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_passport_is_invalid() {
    let (_origin, site) = site().await;
    let agent = site.agent("agent-forger", &["web:search"]).unwrap();
    let verify = |token: &str| site.code(&["passport", "verify", token]).unwrap();
    let (code, said) = verify(&agent.passport);
    assert_eq!(code, 0, "{said}");
    let claims = payload(&agent.passport).unwrap();
    let wider = String::from_utf8(claims).unwrap().replace("web:search", "web:*");
    let parts: Vec<&str> = agent.passport.split('.').collect();
    let forged = format!("{}.{}.{}", parts[0], passgate_passport::b64::encode(wider.as_bytes()), parts[2]);
    let (code, said) = verify(&forged);
    assert_eq!(code, 5, "{said}");
    let stranger = passgate_passport::jws::sign(
        &passgate_tests::agent::key(99),
        passgate_passport::jws::TokenType::Passport,
        &payload(&agent.passport).unwrap(),
    );
    assert_eq!(verify(&stranger).0, 5);
    assert_eq!(verify("eyJhbGciOiJub25lIn0.e30.c2ln").0, 5);
    site.start().unwrap();
    assert_eq!(verify(&agent.passport).0, 0, "not revoked yet");
    assert_eq!(site.code(&["passport", "revoke", &agent.passport_id]).unwrap().0, 0);
    assert_eq!(verify(&agent.passport).0, 5, "revoked, says the gateway");
    assert_eq!(site.stop().unwrap(), 0);
    assert_eq!(verify(&agent.passport).0, 5, "revoked, says the store");
}
