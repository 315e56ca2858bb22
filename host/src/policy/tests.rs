mod mistakes;
mod random;
mod reference;

use passgate_api::bundle::Bundle;
use passgate_core::gate::EvaluatorRef;

use super::*;

/// A gate with routes for most of what rules can look at.
fn gate() -> Gate {
    let bundle = serde_json::json!({
        "version": 1,
        "gate": {"id": "gate_1", "level": "L1", "public_url": "https://gate.example"},
        "self_issued": "any_key",
        "routes": [
            {"method": "POST", "path": "/pay", "action": "payments:create", "class": "write",
             "amount": {"pointer": "/usd"}, "domain": {"pointer": "/to"}, "resource": "none", "records": "none",
             "arguments": {"note": {"kind": "text", "at": {"pointer": "/note"}, "optional": true}}},
            {"method": "POST", "path": "/refunds", "action": "payments:refund:full", "class": "destructive",
             "amount": {"pointer": "/usd"}, "domain": {"pointer": "/to"}, "resource": "none", "records": "none",
             "arguments": {"note": {"kind": "text", "at": {"pointer": "/note"}, "optional": true}}},
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
            {"path": "/bare", "action": "bare"}
        ]
    });
    let bundle: Bundle = serde_json::from_value(bundle).unwrap();
    let evaluator = EvaluatorRef { digest: "sha256:0".into(), engine: "native".into(), version: "0".into() };
    bundle.compile(evaluator).unwrap()
}

fn docs(yaml: &str) -> Vec<RuleDoc> {
    serde_saphyr::from_str::<PolicyFile>(yaml).unwrap().rules
}

fn compiled(docs: &[RuleDoc], gate: &Gate) -> Result<Policy, Vec<Fault>> {
    let places: Vec<String> = (0..docs.len()).map(|i| format!("rules[{i}]")).collect();
    let written: Vec<_> =
        docs.iter().zip(&places).map(|(doc, at)| Written { file: Path::new("passgate.yml"), at, doc }).collect();
    compile(&written, RulesMode::Enforce, gate).map(|compiled| compiled.policy)
}

#[test]
fn what_is_compiled_is_read_as_it_was() {
    let policy = compiled(
        &docs(
            r#"
rules:
  - {name: b, effect: step_up, when: {actions: ["payments:*"], amount_usd: {above: 100}, not_labels: [x]},
     approval: {count: 2, roles: [finance]}, pass_ttl_seconds: 60, rate_limits: {requests_per_hour: 3}, redact: [/card]}
  - {name: a, effect: allow, when: {actions: ["files:read"], during: {zone: Europe/Berlin, windows: [{days: [sun], from: "22:00", until: "06:00"}]}},
     require: {max_records: 10, only_known_arguments: true,
       arguments: {path: {below: [/srv], matches: "[a-z/]+"}, ip: {networks: ["192.0.2.0/24", "2001:db8::/32"]}, count: {at_most: 7}}}}
"#,
        ),
        &gate(),
    )
    .unwrap();
    let tree = policy.to_tree();
    assert_eq!(Policy::read(&tree).unwrap(), policy);
    let json = serde_json::to_string(&tree).unwrap();
    assert_eq!(serde_json::from_str::<passgate_core::policy::Tree>(&json).unwrap(), tree);
    assert_eq!(policy.rules().iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    // Cut short anywhere, it is nothing.
    for at in (0..json.len()).step_by(7) {
        let cut = json.get(..at).unwrap();
        let closed = format!("{cut}{}", "]".repeat(cut.matches('[').count().saturating_sub(cut.matches(']').count())));
        let read = serde_json::from_str(&closed).ok().map(|tree| Policy::read(&tree));
        assert!(read.is_none_or(|read| read.is_err()), "{closed}");
    }
}
