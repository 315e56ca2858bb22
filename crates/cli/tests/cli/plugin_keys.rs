//! What operators write for plugins, with and without a running gate.

use crate::support::{Served, initialised, run, run_with_input};

#[test]
fn keys_are_set_read_and_deleted_before_while_and_after_the_gate_runs() {
    let folder = initialised();
    let folder = folder.path();
    let keys = |arguments: &[&str]| run(folder, &[&["plugin", "keys"], arguments].concat());
    let kept = run(folder, &["--format", "json", "plugin", "keys", "set", "shops", "early", "-1"]).exits(0).json();
    assert_eq!((&kept["done"], &kept["key"], &kept["through"]), (&"set".into(), &"early".into(), &"its store".into()));
    assert!(kept["attestation_id"].as_str().unwrap().starts_with("att_"));

    let served = Served::start(folder, "http://127.0.0.1:9");
    assert_eq!(keys(&["get", "shops", "early"]).exits(0).stdout, "-1");
    for arguments in [&["set", "shops", "blocked list", "-"][..], &["set", "shops", "blocked list"]] {
        let arguments = [&["plugin", "keys"], arguments].concat();
        let set = run_with_input(folder, &arguments, b"one\ntwo\n").exits(0);
        assert!(set.stdout.contains("blocked list of shops") && set.stdout.contains("the running gateway"), "{set:?}");
    }
    assert_eq!(keys(&["get", "shops", "blocked list"]).exits(0).stdout, "one\ntwo\n");
    let read = run(folder, &["--format", "json", "plugin", "keys", "get", "shops", "blocked list"]).exits(0).json();
    assert_eq!(read["value_base64url"], "b25lCnR3bwo");
    let other = keys(&["get", "other", "early"]).exits(1);
    assert!(other.stdout.is_empty() && other.stderr.contains("no key `early`"), "{other:?}");
    keys(&["rm", "shops", "early"]).exits(0);
    assert_eq!(served.stop("-TERM"), 0);

    keys(&["get", "shops", "early"]).exits(1);
    assert_eq!(keys(&["get", "shops", "blocked list"]).exits(0).stdout, "one\ntwo\n");
    keys(&["rm", "shops", "blocked list"]).exits(0);
    keys(&["get", "shops", "blocked list"]).exits(1);
    let ledger = run(folder, &["--format", "json", "ledger", "query"]).exits(0).json();
    let records = ledger["attestations"].as_array().unwrap();
    let changes: Vec<bool> = records
        .iter()
        .filter(|record| record["kind"] == "plugin_key")
        .map(|record| record["plugin_key"]["value_sha256"].is_string())
        .collect();
    assert_eq!(changes, [true, true, true, false, false]);
    assert!(!ledger.to_string().contains("two"), "values stay out of the ledger");
    run(folder, &["ledger", "verify"]).exits(0);
}

#[test]
fn values_that_are_too_long_are_refused_before_anything_is_made() {
    let folder = initialised();
    let long = vec![b'x'; 64 * 1024 + 1];
    let refused = run_with_input(folder.path(), &["plugin", "keys", "set", "shops", "list", "-"], &long).exits(1);
    assert!(refused.stderr.contains("at most 65536 bytes"), "{}", refused.stderr);
    // There is no store yet.
    run(folder.path(), &["plugin", "keys", "get", "shops", "list"]).exits(6);
    run(folder.path(), &["plugin", "keys", "set", "shops", "list", "x"]).exits(0);
}
