//! `doctor` finds what is wrong and exits with its class.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Origin, Served, initialised, run, served_once};

fn results(stdout: &str) -> Vec<(String, String)> {
    let json: Value = serde_json::from_str(stdout).unwrap();
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    json["checks"].as_array().unwrap().iter().map(|check| (text(check, "subject"), text(check, "result"))).collect()
}

#[test]
fn a_sound_gate_is_sound_running_or_not() {
    let origin = Origin::start();
    let folder = initialised();
    let served = Served::start(folder.path(), &origin.url);
    let running = run(folder.path(), &["--format", "json", "doctor"]).exits(0);
    let found = results(&running.stdout);
    assert!(found.iter().all(|(_, result)| result == "ok"), "{found:?}");
    assert!(found.iter().any(|(subject, _)| subject == "gateway"), "{found:?}");
    assert_eq!(served.stop("-TERM"), 0);
    let stopped = run(folder.path(), &["--format", "json", "doctor"]).exits(0);
    assert!(results(&stopped.stdout).iter().any(|(subject, _)| subject == "store"), "{}", stopped.stdout);
}

#[test]
fn each_fault_has_its_class_and_remedy() {
    let origin = Origin::start();
    let broken = |change: &dyn Fn(&std::path::Path)| {
        let folder = served_once();
        let path = folder.path().join("passgate.yml");
        let config = fs::read_to_string(&path).unwrap().replace("http://127.0.0.1:9\"", &format!("{}\"", origin.url));
        fs::write(&path, config).unwrap();
        run(folder.path(), &["doctor"]).exits(0);
        change(folder.path());
        run(folder.path(), &["doctor"])
    };
    let edit = |folder: &std::path::Path, from: &str, to: &str| {
        let path = folder.join("passgate.yml");
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains(from), "{from}");
        fs::write(&path, config.replace(from, to)).unwrap();
    };
    let open =
        |path: std::path::PathBuf, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

    let config = broken(&|folder| edit(folder, "guardrails:", "guardrail:")).exits(3);
    assert!(config.stdout.contains("did you mean"), "{}", config.stdout);
    let key = broken(&|folder| open(folder.join("keys/attestation.jwk"), 0o644)).exits(3);
    assert_eq!(key.stdout.matches("chmod 600").count(), 1, "said once: {}", key.stdout);
    assert_eq!(key.stdout.matches("fail").count(), 1, "one fault: {}", key.stdout);
    assert!(!key.stdout.contains("keys generate"), "one remedy: {}", key.stdout);
    let key = broken(&|folder| fs::remove_file(folder.join("keys/attestation.jwk")).unwrap()).exits(3);
    assert!(key.stdout.contains("keys generate"), "{}", key.stdout);
    let secret = broken(&|folder| open(folder.join("issuers/local.jwk"), 0o640)).exits(5);
    assert!(secret.stdout.contains("chmod 600"), "{}", secret.stdout);
    let state = broken(&|folder| open(folder.join("state"), 0o755)).exits(5);
    assert!(state.stdout.contains("chmod 700"), "{}", state.stdout);
    let upstream = broken(&|folder| edit(folder, &origin.url, "http://127.0.0.1:9")).exits(6);
    assert!(upstream.stdout.contains("start the API"), "{}", upstream.stdout);
    let store = broken(&|folder| fs::write(folder.join("state/passgate.redb"), b"no database").unwrap()).exits(6);
    assert!(store.stdout.contains("fail  store"), "{}", store.stdout);
}
