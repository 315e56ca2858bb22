use std::path::Path;

use passgate_api::bundle::Bundle;
use passgate_core::gate::{EvaluatorRef, Gate};
use passgate_host::config;
use passgate_host::policy::{self, PolicyFile, RulesMode, Written};

use super::prove::{Proof, Wanted};
use super::*;

/// Together more than a hundred thousand; the variable asks for others.
const CASES: u64 = 7_000;
const CASES_VARIABLE: &str = "PASSGATE_PROVE_CASES";
/// More requests find no more mistakes in these small policies.
const ENOUGH: Wanted = Wanted { cases: 2_000, seed: 1 };

/// Policies that can be exported to both languages.
const BOTH: [&str; 7] =
    ["scopes.yml", "money.yml", "clock.yml", "labels.yml", "networks.yml", "arguments.yml", "unknown.yml"];
/// One with what Cedar cannot express.
const EXPRESSIONS: &str = "expressions.yml";

/// A gate with routes for all that rules look at.
fn gate() -> Gate {
    let note = json!({"note": {"kind": "text", "at": {"pointer": "/note"}, "optional": true},
                      "size": {"kind": "text", "at": {"pointer": "/size"}, "optional": true}});
    let bundle = json!({
        "version": 1,
        "gate": {"id": "gate_1", "level": "L1", "public_url": "https://gate.example"},
        "self_issued": "any_key",
        "routes": [
            {"method": "POST", "path": "/pay", "action": "payments:create", "class": "write",
             "amount": {"pointer": "/usd"}, "domain": {"pointer": "/to"}, "resource": "none", "records": "none",
             "arguments": note},
            {"method": "POST", "path": "/refunds", "action": "payments:refund:full", "class": "destructive",
             "amount": {"pointer": "/usd"}, "domain": {"pointer": "/to"}, "resource": "none", "records": "none",
             "arguments": note},
            {"method": "GET", "path": "/vault", "action": "vault:a:read", "class": "read",
             "resource": "none", "records": "none"},
            {"method": "GET", "path": "/files", "action": "files:read", "class": "read",
             "resource": {"query": "path"}, "records": {"query": "limit"},
             "arguments": {
                "path": {"kind": "path", "at": {"query": "path"}},
                "host": {"kind": "host", "at": {"query": "host"}, "optional": true},
                "ip": {"kind": "address", "at": {"query": "ip"}, "optional": true},
                "count": {"kind": "integer", "at": {"query": "count"}, "default": 10},
                "force": {"kind": "boolean", "at": {"query": "force"}, "optional": true},
                "size": {"kind": "integer", "at": {"query": "size"}, "optional": true},
                "filter": {"kind": "any", "at": {"query": "filter"}, "optional": true}
             }},
            {"path": "/bare", "action": "bare", "class": "read", "resource": "none", "records": "none"}
        ]
    });
    let bundle: Bundle = serde_json::from_value(bundle).unwrap();
    let evaluator = EvaluatorRef { digest: "sha256:0".into(), engine: "native".into(), version: "0".into() };
    bundle.compile(evaluator).unwrap()
}

fn compiled(path: &Path) -> Compiled {
    let file: PolicyFile = config::read_document(path).unwrap();
    let places: Vec<String> = (0..file.rules.len()).map(|i| format!("rules[{i}]")).collect();
    let written: Vec<_> = file.rules.iter().zip(&places).map(|(doc, at)| Written { file: path, at, doc }).collect();
    policy::compile(&written, RulesMode::Enforce, &gate()).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn corpus(name: &str) -> Compiled {
    compiled(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/policy/export/tests").join(name))
}

fn of_text(yaml: &str) -> Compiled {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    std::fs::write(&path, yaml).unwrap();
    compiled(&path)
}

fn exported(target: Target, compiled: &Compiled) -> Result<Vec<File>, Vec<Refusal>> {
    let remarks = remarks::of_rules(&compiled.policy);
    let gate = gate();
    let source = Source { compiled, routes: &gate.routes, gate: "gate_1", remarks };
    export(target, &source, &Shape::of(compiled))
}

fn proved(target: Target, files: &[File], compiled: &Compiled, wanted: &Wanted) -> Proof {
    prove::prove(target, files, compiled, &Shape::of(compiled), wanted).unwrap()
}

fn wanted() -> Wanted {
    let cases = std::env::var(CASES_VARIABLE).map_or(CASES, |cases| cases.parse().unwrap());
    Wanted { cases, ..ENOUGH }
}

fn check(name: &str, target: Target) {
    let compiled = corpus(name);
    let files = exported(target, &compiled).unwrap();
    let proof = proved(target, &files, &compiled, &wanted());
    let difference = proof.difference.as_ref().map(|difference| format!("{:#}", difference.to_json()));
    assert_eq!(difference, None, "{name} {target:?}");
    assert_eq!(proof.cases, wanted().cases);
    assert!(proof.unseen.is_empty(), "{name}: {:?}", proof.outcomes);
}

#[test]
fn rules_exported_to_cedar_decide_as_they_did() {
    BOTH.iter().for_each(|name| check(name, Target::Cedar));
}

#[test]
fn rules_exported_to_rego_decide_as_they_did() {
    BOTH.iter().chain([&EXPRESSIONS]).for_each(|name| check(name, Target::Rego));
}

/// A deliberately wrong export: what stands in one of the files instead of what, and the policy in which that matters.
const MISTAKES: [(&str, Target, &str, &str); 26] = [
    ("money.yml", Target::Cedar, " <= context.amount", " < context.amount"),
    ("money.yml", Target::Cedar, "context.amount <= ", "context.amount < "),
    ("money.yml", Target::Cedar, "like \"*.shop.example\"", "like \"*shop.example\""),
    ("money.yml", Target::Cedar, "unless {", "when {"),
    ("money.yml", Target::Cedar, "@passgate_effect(\"step_up\")", "@passgate_effect(\"allow\")"),
    ("unknown.yml", Target::Cedar, "else !context.none", "else context.none"),
    ("unknown.yml", Target::Cedar, "else context.none", "else !context.none"),
    ("scopes.yml", Target::Cedar, "\"payments:*:full\"", "\"payments:*full\""),
    ("arguments.yml", Target::Cedar, " else true)", " else false)"),
    ("scopes.yml", Target::Cedar, " && !(context.action like \"*:*:*:*\")", ""),
    ("scopes.yml", Target::Cedar, " && !(context.action like \"*::*\")", ""),
    ("clock.yml", Target::Cedar, " < 1050", " <= 1050"),
    ("clock.yml", Target::Cedar, " < 0 || ", " < -1 || "),
    ("clock.yml", Target::Rego, "\"] >= 0\n", "\"] >= -1\n"),
    ("labels.yml", Target::Cedar, "containsAny([\"mail\"", "containsAll([\"mail\""),
    ("networks.yml", Target::Cedar, "192.0.2.128/25", "192.0.2.128/24"),
    ("money.yml", Target::Rego, " <= 100000000", " < 100000000"),
    ("money.yml", Target::Rego, "endswith(", "startswith("),
    ("unknown.yml", Target::Rego, "_or_unknown if not ", "_or_unknown if "),
    ("unknown.yml", Target::Rego, "some name in input.none", "some name in []"),
    ("networks.yml", Target::Rego, "\tnot contains(", "\tcontains("),
    ("clock.yml", Target::Rego, "] >= 540", "] > 540"),
    ("labels.yml", Target::Rego, "not name in met", "name in met"),
    (
        "expressions.yml",
        Target::Rego,
        "hex.encode(input.arguments[\"note\"])) >= 16",
        "input.arguments[\"note\"]) >= 8",
    ),
    ("expressions.yml", Target::Rego, "(?:78(?:", "(?:79(?:"),
    ("expressions.yml", Target::Rego, "[0-9]{2,4}", "\\\\d{2,4}"),
];

#[test]
fn a_wrong_export_is_found() {
    let mut missed = Vec::new();
    for (name, target, right, wrong) in MISTAKES {
        let compiled = corpus(name);
        let mut files = exported(target, &compiled).unwrap();
        let (_, text) = files.first_mut().unwrap();
        let (before, after) = text.rsplit_once(right).unwrap_or_else(|| panic!("{name}: no `{right}` in {text}"));
        *text = [before, after].join(wrong);
        let proof = proved(target, &files, &compiled, &ENOUGH);
        match proof.difference.map(|difference| difference.to_json()) {
            Some(shown) => assert_ne!(shown["passgate"], shown["target"], "{shown}"),
            None => missed.push((name, right, wrong)),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_difference_is_shown_with_nothing_that_does_not_matter() {
    let compiled = corpus("money.yml");
    let mut files = exported(Target::Cedar, &compiled).unwrap();
    files[0].1 = files[0].1.replacen("context.amount <= 100000000", "context.amount <= 99999999", 1);
    let proof = proved(Target::Cedar, &files, &compiled, &ENOUGH);
    let shown = proof.difference.unwrap().to_json();
    let request = json!({
        "action": "payments:", "agent": "", "issuer": "", "tier": "", "closed": "false", "labels": [], "now": 0,
        "amount": 100_000_000, "arguments": {}, "clock": {}, "none": [],
    });
    let found = &shown["request"];
    assert!(found["action"].as_str().unwrap().starts_with("payments:"), "{found}");
    for (member, value) in
        request.as_object().unwrap().iter().filter(|(member, _)| !["action", "none"].contains(&member.as_str()))
    {
        assert_eq!(found[member], *value, "{member} of {found}");
    }
    assert_eq!(shown["passgate"]["allow"], json!(["small"]), "{shown}");
    assert_eq!(shown["target"]["allow"], json!([]), "{shown}");
}

#[test]
fn the_seed_decides_the_requests() {
    let compiled = corpus("unknown.yml");
    let files = exported(Target::Rego, &compiled).unwrap();
    let prove = |seed| proved(Target::Rego, &files, &compiled, &Wanted { cases: 300, seed });
    assert_eq!(prove(7), prove(7));
    assert_ne!(prove(7).outcomes, prove(8).outcomes);
}

fn refusals(target: Target, yaml: &str) -> Vec<String> {
    let failure = refused(target, &exported(target, &of_text(yaml)).unwrap_err());
    assert_eq!((failure.exit, failure.code), (Exit::Config, "export_inexpressible"));
    failure.message.lines().map(str::to_owned).collect()
}

#[test]
fn all_that_cedar_cannot_say_is_refused_at_once() {
    let lines = refusals(
        Target::Cedar,
        r#"
rules:
  - {name: b, effect: allow, when: {actions: ["*:refund:*"]}, require: {arguments: {note: {max_length: 5}}}}
  - {name: a, effect: allow, when: {actions: ["files:read"], arguments: {path: {matches: "/[a-z]+"}, count: {at_most: 3}}}}
"#,
    );
    assert_eq!(
        lines,
        [
            "rule `a`: `arguments.path` cannot be expressed in Cedar: it has no regular expressions such as `/[a-z]+`",
            "rule `b`: `action` cannot be expressed in Cedar: it has no regular expressions such as \
             `[^:]+:refund:[^:]+(:[^:]+)*`",
            "rule `b`: `arguments.note` cannot be expressed in Cedar: it does not count the bytes of a text",
        ]
    );
}

#[test]
fn what_means_other_things_elsewhere_is_refused_for_rego() {
    let lines = refusals(
        Target::Rego,
        r#"
rules:
  - {name: words, effect: allow, when: {actions: ["payments:*"], arguments: {note: {matches: "\\bfoo\\b.*"}}}}
  - {name: lines, effect: allow, when: {actions: ["payments:*"], arguments: {note: {matches: "(?m:^)..(?m:$)"}}}}
"#,
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("rule `lines`: `arguments.note`") && lines[0].ends_with("counts bytes"), "{lines:?}");
    assert!(lines[1].contains("rule `words`: `arguments.note`") && lines[1].contains("end of a word"), "{lines:?}");
}

#[test]
fn an_argument_of_two_kinds_is_refused() {
    for target in [Target::Cedar, Target::Rego] {
        let lines = refusals(
            target,
            r#"
rules:
  - {name: a, effect: allow, when: {actions: ["files:read"], arguments: {size: {at_most: 3}}}}
  - {name: b, effect: allow, when: {actions: ["payments:*"], arguments: {size: {is: large}}}}
"#,
        );
        assert!(lines[0].ends_with("it is a text here and an integer in rule `a`") && lines.len() == 1, "{lines:?}");
        let asked = r#"
rules:
  - {name: a, effect: allow, when: {actions: ["files:read"], arguments: {size: {at_most: 3}}}}
  - {name: b, effect: allow, when: {actions: ["payments:*"], arguments: {size: {present: true}}}}
"#;
        let lines = refusals(target, asked);
        assert!(lines[0].starts_with("rule `b`") && lines[0].contains("whether it is there"), "{lines:?}");
        let alone = of_text(
            "rules: [{name: a, effect: allow, when: {arguments: {size: {present: true}}, actions: [\"payments:*\"]}}]",
        );
        assert!(exported(target, &alone).is_ok());
    }
}

#[test]
fn comments_name_what_is_not_exported_and_cannot_be_left() {
    let mut compiled = corpus("money.yml");
    let name = |files: &[File]| files[0].1.clone();
    for target in [Target::Cedar, Target::Rego] {
        let text = name(&exported(target, &compiled).unwrap());
        let text = text.replace("\n//   ", " ").replace("\n#   ", " ");
        let line = "- rule `middling`: approval by 2 of finance; one-action passes live 60 s at most; rate limits of 3 a \
                    hour; redaction of /card\n";
        assert!(text.contains(line), "{text}");
    }
    let rules = compiled.policy.rules().iter().cloned().map(|mut rule| {
        rule.redact = vec!["/a\npermit(principal, action, resource);".to_owned()];
        rule
    });
    let (mode, zones, patterns) = (compiled.policy.mode(), compiled.policy.zones(), compiled.policy.patterns());
    compiled.policy = passgate_core::policy::Policy::new(mode, zones.to_vec(), patterns.to_vec(), rules.collect());
    assert!(!name(&exported(Target::Cedar, &compiled).unwrap()).contains("\npermit(principal, action, resource)"));
}
