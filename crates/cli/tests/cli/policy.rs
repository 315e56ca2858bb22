//! `policy` and `template`: rules that are written, tested and explained.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Origin, Run, Served, issued, run, run_with_input};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.md");

/// A folder with a gate, as `init` makes it.
fn gate() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init", "demo"]).exits(0);
    let demo = folder.path().join("demo");
    (folder, demo)
}

/// The first block of YAML in the guide that begins with `first`.
fn block(first: &str) -> String {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.starts_with(first)).map(str::to_owned).next().unwrap()
}

fn add(folder: &Path, text: &str) {
    let path = folder.join("passgate.yml");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{before}\n{text}")).unwrap();
}

fn with_rules(rules: &str) -> (tempfile::TempDir, PathBuf, Run) {
    let (folder, demo) = gate();
    add(&demo, rules);
    let checked = run(&demo, &["policy", "check"]);
    (folder, demo, checked)
}

#[test]
fn the_five_minutes_of_the_guide_are_as_written() {
    let (_folder, demo) = gate();
    let rules = block("rules:\n  - {name: search,");
    add(&demo, &rules);
    fs::write(demo.join("passgate_test.yml"), block("tests:\n")).unwrap();
    assert!(run(&demo, &["policy", "check"]).exits(0).stdout.contains("ok, 4 routes, 2 rules"));
    let passed = run(&demo, &["policy", "test", "--require-coverage"]).exits(0);
    assert!(passed.stdout.contains("3 tests, 0 failed; 2 of 2 rules decide one"), "{}", passed.stdout);

    let path = demo.join("passgate.yml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("at_most: 20", "at_most: 19")).unwrap();
    let failed = run(&demo, &["policy", "test"]).exits(1);
    let named = "expected allow by rule `small-payments`, and it is deny (rule_missing)";
    assert!(failed.stdout.contains(named), "{}", failed.stdout);
    assert!(failed.stdout.contains("rule `small-payments` decides no test"), "{}", failed.stdout);
}

#[test]
fn the_recipes_of_the_guide_compile() {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let recipes = guide.split("## Recipes").nth(1).unwrap();
    let rules = recipes.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let indented = |block: &str| block.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let rules: String = rules.map(indented).collect();
    let routes = r#"
  - {method: GET, path: /files/read, action: "files:read", arguments: {file: {kind: path, at: {query: file}}}}
  - {method: GET, path: /customers, action: "customers:read", records: {query: limit}}
"#;
    let (_folder, demo) = gate();
    let path = demo.join("passgate.yml");
    let text = fs::read_to_string(&path).unwrap().replacen("\nroutes:\n", &format!("\nroutes:{routes}"), 1);
    fs::write(&path, format!("{text}\nrules:\n{rules}")).unwrap();
    let checked = run(&demo, &["policy", "check"]);
    assert!(checked.stdout.contains(" 6 rules"), "{}{}", checked.stdout, checked.stderr);
    checked.exits(0);
}

#[test]
fn everything_wrong_is_told_with_its_line() {
    let (_folder, _, checked) = with_rules(
        "rules:\n  - name: a\n    effect: allow\n    when: {actions: [\"web:search\"], domains: [x.example]}\n  - {name: b, effect: deny, when: {actions: [nothing]}}\n",
    );
    let text = checked.exits(3).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().any(|line| line.contains(": rules[0].when: looks at the domain")), "{text}");
    assert!(lines.iter().any(|line| line.contains(": rules[1].when: matches no action of any route")), "{text}");
    assert!(lines.contains(&r#"    when: {actions: ["web:search"], domains: [x.example]}"#), "{text}");

    let (_folder, _, checked) = with_rules("rules:\n  - {name: a, effect: allow, wen: {}}\n");
    assert!(checked.exits(3).stdout.contains("unknown member `wen`; did you mean `when`?"));
    for (odd, why) in [
        ("{name: a, effect: allow, when: {during: {zone: UTC, windows: [{from: no}]}}}", "reads differently"),
        ("{name: a, effect: allow, pass_ttl_seconds: 0o10}", "reads differently"),
        ("{name: a, name: b, effect: allow}", "stands twice"),
        ("{name: a, effect: }", "has no value"),
    ] {
        let (_folder, _, checked) = with_rules(&format!("rules:\n  - {odd}\n"));
        let text = checked.exits(3).stdout;
        assert!(text.contains(why), "{odd}: {text}");
    }
    let (_folder, _, checked) = with_rules("rules:\n\t- {name: a, effect: allow}\n");
    checked.exits(3);
    let bulk = format!("rules:\n{}", "  - {name: a, effect: allow}\n".repeat(400_000));
    let (_folder, _, checked) = with_rules(&bulk);
    assert!(checked.exits(3).stdout.contains("longer than"));
}

#[test]
fn thousands_of_mistakes_are_told_as_a_hundred() {
    let rules: String =
        (0..4_000).map(|n| format!("  - {{name: r{n}, effect: allow, when: {{actions: [nothing]}}}}\n")).collect();
    let (_folder, demo, checked) = with_rules(&format!("rules:\n{rules}"));
    let told = checked.exits(3).stdout;
    assert_eq!(told.matches("matches no action of any route").count(), 100, "{told}");
    assert!(told.ends_with("and 3900 more\n"), "{told}");
    assert_eq!(run(&demo, &["--format", "json", "policy", "check"]).exits(3).json()["untold"], 3_900);
}

#[test]
fn a_request_is_explained_rule_by_rule() {
    let (_folder, demo) = gate();
    add(
        &demo,
        "rules:\n  - {name: payments, effect: allow, when: {actions: [\"payments:*\"]}}\n  - {name: large, effect: step_up, when: {amount_usd: {above: 9}}, approval: {count: 2}}\n",
    );
    let ask = |body: &str| {
        fs::write(demo.join("request.yml"), format!("path: /pay\nbody: {{amount_usd: {body}}}\n")).unwrap();
        run(&demo, &["policy", "explain", "-r", "request.yml"])
    };
    let allowed = ask("9").exits(0).stdout;
    assert!(allowed.contains("rule payments                  allow     matches"), "{allowed}");
    assert!(allowed.contains("does not match: amount has to be 9000001 to"), "{allowed}");
    let waits = ask("10").exits(4).stdout;
    assert!(waits.starts_with("step_up rule_step_up"), "{waits}");
    assert!(waits.contains("approvals=2"), "{waits}");
    let json = run(&demo, &["--format", "json", "policy", "explain", "-r", "request.yml"]).exits(4).json();
    assert_eq!((&json["rule"], &json["rules"][0]["matches"]), (&"large".into(), &true.into()));
    fs::write(demo.join("request.yml"), "path: /nowhere\n").unwrap();
    run(&demo, &["policy", "explain", "-r", "request.yml"]).exits(2);
}

#[test]
fn what_another_policy_would_change_is_shown() {
    let (_folder, demo) = gate();
    fs::write(
        demo.join("passgate_test.yml"),
        block("tests:\n").replace(", rule: search", "").replace(", rule: small-payments", ""),
    )
    .unwrap();
    fs::copy(demo.join("passgate.yml"), demo.join("new.yml")).unwrap();
    let new = fs::read_to_string(demo.join("new.yml")).unwrap();
    fs::write(demo.join("new.yml"), format!("{new}\n{}", block("rules:\n  - {name: search,"))).unwrap();
    let simulated = run(&demo, &["policy", "simulate", "new.yml", "--requests", "passgate_test.yml"]).exits(0).stdout;
    assert!(simulated.contains("more is denied: "), "{simulated}");
    assert!(simulated.contains("-> deny rule_missing"), "{simulated}");
}

#[test]
fn what_another_policy_would_have_decided_is_told_from_the_ledger() {
    let (_folder, demo) = gate();
    let rules = |most: u32, query: &str| {
        format!(
            "rules:\n  - {{name: pay, effect: allow, when: {{actions: [\"payments:*\"], amount_usd: {{at_most: {most}}}}}}}\n  \
             - {{name: search, effect: allow, when: {{actions: [\"web:search\"]{query}}}}}\n"
        )
    };
    let config = fs::read_to_string(demo.join("passgate.yml")).unwrap();
    let declared = "action: \"web:search\", arguments: {q: {kind: text, at: {query: q}, optional: true}}}";
    let other = config.replace("action: \"web:search\"}", declared);
    assert_ne!(config, other);
    fs::write(demo.join("other.yml"), format!("{other}\n{}", rules(10, ", arguments: {q: {is: known}}"))).unwrap();
    add(&demo, &rules(20, ""));
    fs::write(demo.join("same.yml"), fs::read_to_string(demo.join("passgate.yml")).unwrap()).unwrap();

    let origin = Origin::start();
    issued(&demo, "agent-1", &["web:search", "payments:create"]);
    let served = Served::start(&demo, &origin.url);
    let url = |path: &str| format!("{}{path}", served.url);
    let pay = |usd: &str, code| run_with_input(&demo, &["call", &url("/pay"), "-d", "-"], usd.as_bytes()).exits(code);
    pay(r#"{"amount_usd": 5}"#, 0);
    pay(r#"{"amount_usd": 15}"#, 0);
    pay(r#"{"amount_usd": 25}"#, 2);
    run(&demo, &["call", &url("/search?q=known")]).exits(0);
    run(&demo, &["call", &url("/records/7"), "-X", "DELETE"]).exits(2);
    run(&demo, &["call", &url("/search"), "--replay", "1"]).exits(5);

    let simulated =
        |other: &str| run(&demo, &["--format", "json", "policy", "simulate", other, "--ledger"]).exits(0).json();
    let same = simulated("same.yml");
    assert_eq!((same["requests"].as_u64(), same["changes"].as_array().map(Vec::len)), (Some(7), Some(0)), "{same}");
    assert_eq!(same["open"], serde_json::json!({}));
    let changed = simulated("other.yml");
    let changes = changed["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{changed}");
    assert_eq!((changes[0]["before"].as_str(), changes[0]["after"].as_str()), (Some("allow"), Some("deny")));
    // What was searched for is not recorded, so nobody can tell.
    assert_eq!(changed["open"], serde_json::json!({"arguments.q": 2}), "{changed}");
    // Nor what becomes of a request that was held against another action.
    let renamed = other.replace("action: \"web:search\"", "action: \"web:find\"");
    fs::write(demo.join("renamed.yml"), format!("{renamed}\n{}", rules(20, "").replace("web:search", "web:find")))
        .unwrap();
    assert_eq!(simulated("renamed.yml")["open"], serde_json::json!({"permission_scope": 2}));
    let of_nobody = ["policy", "simulate", "other.yml", "--ledger", "--agent", "nobody"];
    assert!(run(&demo, &of_nobody).exits(0).stdout.starts_with("0 of 0 requests are decided otherwise"));
    run(&demo, &["policy", "simulate", "other.yml", "--requests", "x_test.yml", "--agent", "nobody"]).exits(1);
    run(&demo, &["policy", "simulate", "other.yml"]).exits(1);
}

#[test]
fn what_rules_cost_is_measured() {
    let (_folder, demo, checked) = with_rules(&block("rules:\n  - {name: search,"));
    checked.exits(0);
    let mut arguments = vec!["--format", "json", "policy", "bench", "--requests", "20"];
    let mut engines = vec!["passgate"];
    if cfg!(feature = "prove") {
        arguments.extend(["--beside", "cedar", "--beside", "rego"]);
        engines.extend(["cedar", "rego"]);
    }
    let measured = run(&demo, &arguments).exits(0).json();
    assert_eq!((measured["rules"].as_u64(), measured["requests"].as_u64()), (Some(2), Some(20)));
    let measured_engines = measured["engines"].as_array().unwrap();
    let names: Vec<&str> = measured_engines.iter().map(|engine| engine["engine"].as_str().unwrap()).collect();
    assert_eq!(names, engines);
    for engine in measured_engines {
        let time = |name: &str| engine[name].as_u64().unwrap();
        assert!(0 < time("median_ns") && time("median_ns") <= time("p99_ns"), "{measured}");
    }
}

#[cfg(feature = "prove")]
#[test]
fn exports_are_compared_with_what_they_were_made_of() {
    let (_folder, demo, checked) = with_rules(&block("rules:\n  - {name: search,"));
    checked.exits(0);
    for target in ["cedar", "rego"] {
        let compared = ["--format", "json", "policy", "export", "--to", target, "--prove", "2000"];
        let compared = run(&demo, &compared).exits(0).json();
        assert_eq!((compared["requests"].as_u64(), &compared["difference"]), (Some(2_000), &serde_json::Value::Null));
        assert!(compared["outcomes"]["allowed"].as_u64() > Some(100), "{compared}");
    }
}

#[test]
fn rules_are_exported_exactly_or_not_at_all() {
    let (_folder, demo, checked) = with_rules(&block("rules:\n  - {name: search,"));
    checked.exits(0);
    let cedar = run(&demo, &["policy", "export", "--to", "cedar"]).exits(0).stdout;
    assert!(cedar.contains("==> policies.cedar <==") && cedar.contains("permit"), "{cedar}");
    let rego = run(&demo, &["policy", "export", "--to", "rego", "--out", "exported"]).exits(0);
    assert_eq!(rego.stdout, "");
    assert!(fs::read_to_string(demo.join("exported/policy.rego")).unwrap().contains("package passgate"));
    let (_folder, demo, checked) =
        with_rules("rules: [{name: r, effect: allow, when: {actions: [\"*:search:*\", \"web:*\"]}}]\n");
    checked.exits(0);
    let refused = run(&demo, &["policy", "export", "--to", "cedar", "--out", "exported"]).exits(3);
    assert!(refused.stderr.contains("rule `r`: `action` cannot be expressed in Cedar"), "{}", refused.stderr);
    assert!(!demo.join("exported").exists());
}

#[test]
fn every_template_passes_its_tests() {
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    let folder = tempfile::tempdir().unwrap();
    let tested =
        run(folder.path(), &["--format", "json", "policy", "test", "--require-coverage", templates]).exits(0).json();
    assert_eq!(tested["files"].as_array().unwrap().len(), 30);
    let listed = run(folder.path(), &["--format", "json", "template", "list"]).exits(0).json();
    let groups: std::collections::BTreeSet<&str> =
        listed["templates"].as_array().unwrap().iter().map(|row| row["group"].as_str().unwrap()).collect();
    assert_eq!((listed["templates"].as_array().unwrap().len(), groups.len()), (30, 5));
    for template in listed["templates"].as_array().unwrap() {
        let (_folder, fresh) = gate();
        run(&fresh, &["template", "apply", template["name"].as_str().unwrap()]).exits(0);
        run(&fresh, &["policy", "test", "policies"]).exits(0);
    }
}

#[test]
fn a_template_becomes_part_of_the_policy() {
    let (_folder, demo) = gate();
    run(&demo, &["template", "apply", "code-review-agent"]).exits(0);
    assert!(
        fs::read_to_string(demo.join("passgate.yml"))
            .unwrap()
            .ends_with("policy_files:\n  - policies/code-review-agent.yml\n")
    );
    run(&demo, &["policy", "check"]).exits(0);
    run(&demo, &["policy", "test", "policies"]).exits(0);

    let own = demo.join("templates");
    fs::create_dir(&own).unwrap();
    fs::write(
        own.join("mine.yml"),
        "template: {title: Mine, group: Own, level: L2}\nrules: [{name: x, effect: allow, when: {labels: [x]}}]\n",
    )
    .unwrap();
    assert!(run(&demo, &["template", "list"]).exits(0).stdout.contains("mine"));
    assert!(run(&demo, &["template", "show", "mine"]).exits(0).stdout.contains("title: Mine"));
    run(&demo, &["template", "apply", "nothing"]).exits(1);
}
