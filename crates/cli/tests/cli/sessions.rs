//! Sessions are listed, and watched.

use std::fs;

use crate::support::{Origin, Served, initialised, issued, run};

#[test]
fn whoever_probes_counts_as_doing_more_for_rules_too() {
    let (folder, origin) = (initialised(), Origin::start());
    issued(folder.path(), "prober", &["web:*"]);
    let path = folder.path().join("passgate.yml");
    let sessions = "guardrails:\n  sessions: {read_only: false, anomaly: {min_calls: 3}}\n";
    let rules = "rules:\n  - {name: reading, effect: allow, when: {classes: [read]}}\n";
    let config = fs::read_to_string(&path).unwrap().replace("guardrails:\n", sessions);
    fs::write(&path, format!("{config}{rules}")).unwrap();
    let served = Served::start(folder.path(), &origin.url);
    let call = |path: &str| {
        let url = format!("{}{path}", served.url);
        run(folder.path(), &["call", &url, "--credentials", "agents/prober.json"])
    };
    call("/search?q=1").exits(0);
    call("/nothing").exits(2);
    call("/nothing").exits(2);
    assert!(call("/search?q=2").exits(2).stderr.contains("rule_missing"), "a read counts as a write");
    let list = run(folder.path(), &["sessions", "list", "--format", "json"]).exits(0).json();
    assert_eq!((&list["sessions"][0]["raised"], &list["sessions"][0]["recent_denied"]), (&true.into(), &2.into()));
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
    let nobodys = ["sessions", "list", "--agent", "nobody", "--format", "json"];
    assert_eq!(run(folder.path(), &nobodys).exits(0).json()["sessions"], serde_json::json!([]));
    assert_eq!(origin.arrived().len(), 1);
}
