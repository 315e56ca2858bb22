use std::path::Path;

use passgate_api::bundle::Bundle;
use passgate_core::gate::{EvaluatorRef, Gate};
use passgate_host::config;
use passgate_host::policy::{self, PolicyFile, RulesMode, Written};

use super::*;

/// More requests than these find no more in these small policies; the variable asks for others.
const CASES: u64 = 2_000;
const CASES_VARIABLE: &str = "PASSGATE_PROVE_CASES";

/// Policies that can be exported to both languages.
const BOTH: [&str; 7] =
    ["scopes.yml", "money.yml", "clock.yml", "labels.yml", "networks.yml", "arguments.yml", "unknown.yml"];
/// One with what Cedar cannot express.
const EXPRESSIONS: &str = "expressions.yml";

/// A gate with routes for all that rules look at.
fn gate() -> Gate {
    let note = json!({"note": {"kind": "text", "at": {"pointer": "/note"}, "optional": true}});
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
    export(target, &Source { compiled, gate: "gate_1", remarks })
}

fn wanted(seed: u64) -> Wanted {
    let cases = std::env::var(CASES_VARIABLE).map_or(CASES, |cases| cases.parse().unwrap());
    Wanted { cases, seed }
}

/// The policies with the languages that they can be exported to.
fn exports() -> Vec<(&'static str, Target)> {
    let both = BOTH.iter().flat_map(|name| [(*name, Target::Cedar), (*name, Target::Rego)]);
    both.chain([(EXPRESSIONS, Target::Rego)]).collect()
}

fn check(name: &str, target: Target) {
    let compiled = corpus(name);
    let files = exported(target, &compiled).unwrap();
    let proof = prove::prove(target, &files, &compiled, &wanted(1)).unwrap();
    let difference = proof.difference.as_ref().map(|difference| format!("{:#}", difference.to_json()));
    assert_eq!(difference, None, "{name} {target:?}");
    assert_eq!(proof.cases, wanted(1).cases);
    let met: Vec<&str> = proof.outcomes.missing().filter(|outcome| !expected_missing(name).contains(outcome)).collect();
    assert!(met.is_empty(), "{name}: no request came to {met:?}: {:?}", proof.outcomes);
}

/// What no request of a policy can come to.
fn expected_missing(name: &str) -> &'static [&'static str] {
    match name {
        "scopes.yml" => &["unmet"],
        "unknown.yml" => &["missing"],
        _ => &[],
    }
}

#[test]
fn exported_rules_decide_as_they_did() {
    for (name, target) in exports() {
        check(name, target);
    }
}
