//! What README.md and docs/delegation.md show works as it stands there.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Origin, Run, Served, command, finished, initialised, issued, run};

const README: &str = include_str!("../../../../README.md");
const DELEGATION: &str = include_str!("../../../../docs/delegation.md");

/// The text of the blocks of `page` marked as `language`.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// `config` with each top-level member of `members` in the place of its own, or at the end.
pub(crate) fn spliced(config: &str, members: &str) -> String {
    let is_start = |line: &str| line.starts_with(|c: char| c.is_ascii_alphabetic());
    let name = |line: &str| line.split(':').next().unwrap().to_owned();
    let replaced: Vec<String> = members.lines().filter(|line| is_start(line)).map(name).collect();
    let (mut kept, mut inside) = (String::new(), false);
    for line in config.lines() {
        if is_start(line) {
            inside = replaced.contains(&name(line));
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    format!("{kept}{members}\n")
}

#[test]
fn the_policy_loads_and_decides_as_its_comments_say() {
    let folder = initialised();
    let path = folder.path().join("passgate.yml");
    let policy = blocks(README, "yaml");
    assert_eq!(policy.len(), 3);
    fs::write(&path, spliced(&fs::read_to_string(&path).unwrap(), policy[0])).unwrap();
    issued(folder.path(), "agent-1", &["web:*", "payments:create"]);
    for (path, data, exit, word) in [
        ("/search?q=a", None, 0, "allow"),
        ("/pay", Some(r#"{"amount_usd": 20, "merchant": "shop.example.com"}"#), 0, "allow"),
        ("/pay", Some(r#"{"amount_usd": 20, "merchant": "eu.partner.example.com"}"#), 0, "allow"),
        ("/pay", Some(r#"{"amount_usd": 51, "merchant": "shop.example.com"}"#), 4, "step_up approval_required"),
        ("/pay", Some(r#"{"amount_usd": 20, "merchant": "evil.example"}"#), 2, "deny domain_not_allowed"),
        ("/pay", Some(r#"{"amount_usd": 101, "merchant": "shop.example.com"}"#), 2, "deny spend_per_transaction"),
    ] {
        let url = format!("http://127.0.0.1:8787{path}");
        let mut arguments = vec!["gate", "check", &url];
        arguments.extend(data.map(|data| ["-d", data]).into_iter().flatten());
        let ended = run(folder.path(), &arguments).exits(exit);
        assert!(ended.stdout.starts_with(word), "{path}: {}", ended.stdout);
    }
    let ruled = format!("{}\n{}\n", fs::read_to_string(&path).unwrap(), policy[1]);
    fs::write(&path, ruled).unwrap();
    for (amount, exit, word) in [(20, 0, "allow"), (21, 2, "deny rule_missing")] {
        let data = format!(r#"{{"amount_usd": {amount}, "merchant": "shop.example.com"}}"#);
        let ended = run(folder.path(), &["gate", "check", "http://127.0.0.1:8787/pay", "-d", &data]).exits(exit);
        assert!(ended.stdout.starts_with(word), "{amount}: {}", ended.stdout);
    }
}

#[test]
fn rules_are_tested_and_exported_as_written() {
    let folder = initialised();
    let (path, yaml) = (folder.path().join("passgate.yml"), blocks(README, "yaml"));
    let ruled = format!("{}\n{}\n", fs::read_to_string(&path).unwrap(), yaml[1]);
    fs::write(&path, &ruled).unwrap();
    fs::write(folder.path().join("passgate_test.yml"), yaml[2]).unwrap();
    let block = blocks(README, "sh").into_iter().find(|block| block.contains("policy test")).unwrap();
    let (script, proof) = block.rsplit_once('\n').unwrap();
    let told = shell(folder.path(), script).exits(0);
    assert!(told.stdout.contains("2 tests, 0 failed"), "{told:?}");
    assert!(folder.path().join("exported/policies.cedar").exists());
    assert!(proof.contains("--prove 10000"), "{proof}");
    if cfg!(feature = "prove") {
        for line in [proof.to_owned(), proof.replace("cedar", "rego")] {
            let told = shell(folder.path(), &line).exits(0);
            assert!(told.stdout.contains("requests  10000\n"), "{told:?}");
            assert!(told.stdout.contains("no difference found"), "{told:?}");
        }
    }
    fs::write(&path, ruled.replace("at_most: 20 ", "at_most: 19 ")).unwrap();
    let told = shell(folder.path(), "passgate policy test").exits(1);
    assert!(told.stdout.contains("by rule `small-payments`, and it is deny"), "{told:?}");
}

/// Runs a script in the folder until a command fails.
pub(crate) fn shell(folder: &Path, script: &str) -> Run {
    let program = Path::new(env!("CARGO_BIN_EXE_passgate"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-ec", script]).current_dir(folder).env("PATH", path);
    for (name, value) in command(folder, &[]).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    finished(shell.output().unwrap())
}

#[test]
fn the_walk_through_runs_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let shell = |script: &str| shell(folder.path(), script);
    let blocks = blocks(README, "sh");
    let set_up = blocks.iter().find(|block| block.contains("passgate init")).unwrap();
    let made = set_up.lines().filter(|line| line.starts_with("passgate init")).collect::<String>();
    shell(&made).exits(0);
    assert!(set_up.lines().any(|line| line.starts_with("passgate serve")));
    let origin = Origin::start();
    let served = Served::start(&folder.path().join("my-gate"), &origin.url);
    let agent = blocks.iter().find(|block| block.contains("passgate call")).unwrap();
    assert!(agent.starts_with("cd my-gate\n") && agent.contains("http://127.0.0.1:8787/"), "{agent}");
    let told = shell(&agent.replace("http://127.0.0.1:8787", &served.url)).exits(0);
    assert!(told.stderr.contains("allow (HTTP 200") && told.stdout.contains("ledger valid"), "{told:?}");
    assert_eq!(origin.arrived().len(), 1);
}

#[test]
fn passports_are_handed_on_as_written() {
    let folder = initialised();
    let block = blocks(README, "sh").into_iter().find(|block| block.contains("passport delegate")).unwrap();
    let told = shell(folder.path(), block).exits(0);
    assert!(told.stdout.contains("narrows      permissions: web:search; its parent: web:*\n"), "{told:?}");
    assert!(told.stdout.contains("not checked: revocation") && told.stderr.contains("Nothing to do"), "{told:?}");
}

#[test]
fn the_page_on_delegation_runs_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let script = blocks(DELEGATION, "sh").join("\n");
    let told = shell(folder.path(), &script).exits(0);
    assert!(told.stdout.contains("delegation 2\n") && told.stdout.contains("old passport "), "{told:?}");
    for said in ["delegation_widens_spend", "is revoked since", "Nothing to do"] {
        assert!(told.stderr.contains(said), "{said}: {told:?}");
    }
    // The entry of `narrows` that the page shows is one that the chain has.
    let folder = folder.path().join("hand-on");
    let file = fs::read(folder.join("agents/worker.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let text = file["passport"].as_str().unwrap();
    let json = run(&folder, &["--format", "json", "passport", "inspect", text]).exits(0).json();
    let shown: Value = serde_json::from_str(blocks(DELEGATION, "json")[0]).unwrap();
    assert!(json["chain"][1]["differs"].as_array().unwrap().contains(&shown), "{json}");
    let documented = |members: &Value| {
        for name in members.as_object().unwrap().keys().filter(|name| *name != "schema_version") {
            assert!(DELEGATION.contains(&format!("`{name}`")), "{name}");
        }
    };
    documented(&json);
    documented(&json["chain"][1]);
    let root = folder.join("agents/orchestrator.json");
    let json = run(&folder, &["--format", "json", "passport", "verify", root.to_str().unwrap()]).exits(0).json();
    documented(&json);
    documented(&json["chain"][0]);
}

#[test]
fn the_exit_codes_are_those_of_the_help_text() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]).exits(0).stdout;
    let codes = help.split("Exit codes:\n").nth(1).unwrap().lines().map(str::trim).filter(|line| !line.is_empty());
    let rows: Vec<String> = codes
        .map(|line| {
            let (code, meaning) = line.split_once("  ").unwrap();
            format!("| {code} | {meaning} |")
        })
        .collect();
    assert_eq!(rows.len(), 8);
    for row in rows {
        assert!(README.contains(&row), "{row}");
    }
}
