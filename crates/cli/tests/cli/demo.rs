//! The demonstration.

use serde_json::Value;

use crate::support::run;

#[test]
fn every_step_ends_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    let told = run(folder.path(), &["demo"]).exits(0);
    for (word, times) in
        [("allow (HTTP 200", 4), ("step_up approval_required", 1), ("nonce_replayed", 1), ("ledger: revoked", 1)]
    {
        assert_eq!(told.stdout.matches(word).count(), times, "{word}: {}", told.stdout);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the demonstration left something behind");

    let lines = run(folder.path(), &["--format", "json", "demo", "--dir", "kept"]).exits(0).stdout;
    let steps: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (index, step) in steps.iter().enumerate() {
        assert_eq!((step["step"].as_u64(), step["schema_version"].as_u64()), (Some(index as u64 + 1), Some(1)));
    }
    let has = |name: &str, value: &str| steps.iter().any(|step| step[name] == value);
    for reason in [
        "permission_scope_missing",
        "domain_not_allowed",
        "approval_required",
        "spend_daily_exceeded",
        "nonce_replayed",
        "passport_signature_invalid",
        "revoked",
        "rate_limit_exceeded",
    ] {
        assert!(has("recorded_reason_code", reason), "{reason} is missing: {lines}");
    }
    assert_eq!(steps.last().unwrap()["valid"], false);
    assert!(steps.last().unwrap()["attestation_id"].is_string());
    let kept = folder.path().join("kept");
    run(&kept, &["ledger", "verify"]).exits(0);
    run(folder.path(), &["demo", "--dir", "kept"]).exits(1);
}
