//! Sessions are read-only until somebody elevates them, and watched.

use std::fs;

use crate::readme::shell;
use crate::support::{Origin, Served, initialised, issued, run};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guardrails.md");

/// The first block in this language of a section of the guide.
fn block(section: &str, language: &str) -> String {
    let fence = format!("```{language}\n");
    section.split_once(&fence).unwrap().1.split("\n```").next().unwrap().to_owned()
}

#[test]
fn the_steps_of_the_guide_end_as_it_says() {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let sessions = guide.split_once("## Sessions\n").unwrap().1;
    let (folder, origin) = (initialised(), Origin::start());
    issued(folder.path(), "shopper", &["payments:*", "web:*"]);
    let approvers = guide.split_once("## Approvals\n").unwrap().1;
    shell(folder.path(), &block(approvers, "sh")).exits(0);
    let path = folder.path().join("passgate.yml");
    let config = fs::read_to_string(&path).unwrap().replace("\nversion: 1\n", "\n");
    let config = config.replace("\nguardrails:\n", &format!("\n{}\n", block(sessions, "yaml")));
    fs::write(&path, format!("{config}{}\n", block(approvers, "yaml"))).unwrap();
    let served = Served::start(folder.path(), &origin.url);
    let mut id = String::new();
    for line in block(sessions, "sh").lines() {
        let (command, comment) = line.split_once("  #").unwrap();
        let command = command.replace("http://127.0.0.1:8787", &served.url).replace("areq_…", &id);
        let confirmed = if command.contains("approvals approve") { " --yes" } else { "" };
        let told = shell(folder.path(), &format!("{}{confirmed}", command.trim()));
        let code = comment.trim().strip_prefix("exit ").and_then(|rest| rest.chars().next()?.to_digit(10));
        let code = i32::try_from(code.unwrap_or(0)).unwrap();
        let told = told.exits(code);
        if code != 0 {
            let reason = comment.split_once(": ").unwrap().1.split(',').next().unwrap();
            assert!(told.stderr.contains(reason), "{line}\n{}", told.stderr);
        }
        if let Some((_, rest)) = told.stderr.split_once("areq_").filter(|_| code == 4) {
            id = format!("areq_{}", rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap());
        }
    }
    assert_eq!(origin.arrived().len(), 3, "a search and two payments");
    let list = run(folder.path(), &["sessions", "list", "--agent", "shopper", "--format", "json"]).exits(0).json();
    assert_eq!(list["sessions"][0]["calls"], 5, "{list}");
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
    run(folder.path(), &["sessions", "list", "--agent", "nobody"]).exits(0);
}

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
    assert_eq!(origin.arrived().len(), 1);
}
