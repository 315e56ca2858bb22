//! The operator's rules, and the arguments of routes that they look at.

use std::path::Path;

use anyhow::{Result, anyhow};
use passgate_api::bundle::Bundle;
use passgate_core::gate::EvaluatorRef;
use passgate_host::config::parse_document;
use passgate_host::policy::{PolicyFile, RulesMode, Written, compile};
use serde_json::json;

use super::policy::{ask, plain};
use super::{Draft, Recipe};
use crate::agent::RequestDraft;

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = effects()?;
    recipes.extend(arguments()?);
    recipes.extend(conditions()?);
    recipes.extend(obligations()?);
    Ok(recipes)
}

/// The plain policy with these rules, and a route for files whose arguments are declared.
fn ruled(rules: &str, mode: RulesMode) -> Result<Bundle> {
    let mut bundle = plain()?;
    bundle.routes.retain(|route| !route.path.starts_with("/files/"));
    bundle.routes.insert(
        0,
        serde_json::from_value(json!({
            "path": "/files/read", "action": "files:read", "class": "read",
            "resource": {"query": "path"}, "records": {"query": "limit"},
            "arguments": {
                "path": {"kind": "path", "at": {"query": "path"}},
                "host": {"kind": "host", "at": {"pointer": "/host"}, "optional": true},
                "ip": {"kind": "address", "at": {"pointer": "/ip"}, "optional": true},
                "count": {"kind": "integer", "at": {"pointer": "/count"}, "default": 10},
                "force": {"kind": "boolean", "at": {"pointer": "/force"}, "optional": true},
                "note": {"kind": "text", "at": {"pointer": "/note"}, "optional": true}
            }
        }))?,
    );
    let file: PolicyFile = parse_document(Path::new("rules.yml"), rules)?;
    let places: Vec<String> = (0..file.rules.len()).map(|i| format!("rules[{i}]")).collect();
    let written: Vec<Written<'_>> =
        file.rules.iter().zip(&places).map(|(doc, at)| Written { file: Path::new("rules.yml"), at, doc }).collect();
    let evaluator = EvaluatorRef { digest: String::new(), engine: String::new(), version: String::new() };
    let compiled = compile(&written, mode, &bundle.compile(evaluator)?);
    let compiled =
        compiled.map_err(|faults| anyhow!("{}", faults.iter().map(ToString::to_string).collect::<String>()))?;
    bundle.rules = Some(compiled.policy.to_tree());
    Ok(bundle)
}

pub(super) fn enforced(rules: &str) -> Result<Bundle> {
    ruled(rules, RulesMode::Enforce)
}

fn read(query: &str) -> Result<RequestDraft> {
    ask("GET", &format!("/files/read?{query}"))
}

fn with(body: &str) -> Result<RequestDraft> {
    Ok(ask("POST", "/files/read?path=/srv/a&limit=1")?.json(body))
}

fn effects() -> Result<Vec<Recipe>> {
    const RULES: &str = r#"
rules:
  - {name: searches, effect: allow, when: {actions: ["web:search"]}}
  - {name: payments, effect: allow, when: {actions: ["payments:*"]}}
  - {name: large, effect: step_up, when: {amount_usd: {above: 50}}, approval: {count: 2, roles: [finance, audit]}}
  - {name: huge, effect: deny, when: {amount_usd: {at_least: 1000}}}
"#;
    let default = Draft::new("What no rule allows is denied.", enforced(RULES)?)
        .send(ask("GET", "/search")?, None)?
        .send(ask("GET", "/records/7")?, Some("rule_missing"))?;
    let empty = Draft::new("An empty list of rules denies everything.", enforced("rules: []")?)
        .send(ask("GET", "/search")?, Some("rule_missing"))?;
    let pay = |amount: &str| Ok::<_, anyhow::Error>(ask("POST", "/pay")?.json(&format!(r#"{{"amount":{amount}}}"#)));
    let order = Draft::new("Deny beats step_up, which beats allow.", enforced(RULES)?)
        .send(pay("50")?, None)?
        .send(pay("50.01")?, Some("rule_step_up"))?
        .send(pay("999.99")?, Some("rule_step_up"))?
        .send(pay("1000")?, Some("rule_denied"))?;
    let waits = Draft::new("A rule asks for approval.", enforced(RULES)?).send(pay("51")?, Some("rule_step_up"))?;
    let shadow = Draft::new("Rules in shadow are recorded and decide nothing.", ruled(RULES, RulesMode::Shadow)?)
        .send(ask("GET", "/records/7")?, None)?
        .send(pay("1000")?, None)?
        .send(pay("5")?, None)?;
    let mut passes = ruled(RULES, RulesMode::Shadow)?;
    passes.action_passes = Some(serde_json::from_value(json!({}))?);
    let vouching = Draft::new("Rules in shadow vouch for nothing: no pass is minted.", passes)
        .send(ask("GET", "/search")?.header("agent-action-pass", "mint"), Some("action_pass_refused"))?;
    Ok(vec![
        ("rules_default_deny", default),
        ("rules_empty_deny", empty),
        ("rules_effects_deny", order),
        ("rules_approval_stepup", waits),
        ("rules_shadow", shadow),
        ("rules_shadow_pass_deny", vouching),
    ])
}

fn arguments() -> Result<Vec<Recipe>> {
    const INVALID: Option<&str> = Some("argument_invalid");
    let all = enforced("rules: [{name: all, effect: allow}]")?;
    let kinds = Draft::new("Arguments are read as the API reads them, or not at all.", all.clone())
        .send(read("path=/srv/a")?, None)?
        .send(read("")?, Some("argument_missing"))?
        .send(read("path=/srv/../etc")?, INVALID)?
        .send(read("path=/srv//a")?, INVALID)?
        .send(read("path=%2Fsrv%2F..%2Fetc")?, INVALID)?
        .send(read("path=/srv/a&path=/etc")?, INVALID)?
        .send(with(r#"{"count":7,"force":true,"host":"https://API.example/x","ip":"2001:db8::1","note":""}"#)?, None)?
        .send(with(r#"{"count":"7"}"#)?, INVALID)?
        .send(with(r#"{"count":7.0}"#)?, INVALID)?
        .send(with(r#"{"count":9007199254740991}"#)?, None)?
        .send(with(r#"{"force":"true"}"#)?, INVALID)?
        .send(with(r#"{"host":"https://a.example@b.example"}"#)?, INVALID)?
        .send(with(r#"{"ip":"192.0.2.01"}"#)?, INVALID)?
        .send(with(r#"{"note":7}"#)?, INVALID)?
        .send(with("{")?, INVALID)?;
    let tests = enforced(
        r#"
rules:
  - name: files
    effect: allow
    when:
      actions: ["files:read"]
      arguments:
        path: {below: [/srv], not_below: [/srv/private]}
        count: {at_least: 1, at_most: 20}
        note: {present: false}
  - name: notes
    effect: allow
    when: {actions: ["files:read"], arguments: {note: {matches: "[a-z]+-\\d{2}", max_length: 8}}}
  - {name: forced, effect: deny, when: {actions: ["files:read"], arguments: {force: {is: true}}}}
"#,
    )?;
    let body = |body: &str| with(&format!(r#"{{"force":false,{body}}}"#));
    let tested = Draft::new("Rules look at arguments; what is left out counts against the request.", tests)
        .send(body(r#""count":20"#)?, None)?
        .send(body(r#""count":21"#)?, Some("rule_missing"))?
        .send(body(r#""x":1"#)?, None)?
        .send(body(r#""note":"abc-12""#)?, None)?
        .send(body(r#""note":"abc-1""#)?, Some("rule_missing"))?
        .send(body(r#""note":"abcdef-12""#)?, Some("rule_missing"))?
        .send(with(r#"{"force":true}"#)?, Some("rule_denied"))?
        .send(with("{}")?, Some("rule_denied"))?
        .send(ask("POST", "/files/read?path=/srv/private/a")?.json(r#"{"force":false}"#), Some("rule_missing"))?
        .send(ask("POST", "/files/read?path=/srvx")?.json(r#"{"force":false}"#), Some("rule_missing"))?;
    let closed = enforced(
        r#"rules: [{name: files, effect: allow, when: {actions: ["files:read"]}, require: {only_known_arguments: true}}]"#,
    )?;
    let unknown = Draft::new("A request has nothing but what its route declares, where a rule says so.", closed)
        .send(with(r#"{"count":7}"#)?, None)?
        .send(with(r#"{"count":7,"more":1}"#)?, Some("rule_unmet"))?
        .send(with(r#"[]"#)?, Some("rule_unmet"))?
        .send(read("path=/srv/a&x=1")?, Some("rule_unmet"))?
        .send(read("path=/srv/a&limit=3")?, None)?
        .send(ask("POST", "/files/read?path=/srv/a")?.header("content-type", "text/plain").body("x"), INVALID)?;
    Ok(vec![
        ("rules_argument_kinds_deny", kinds),
        ("rules_argument_tests_deny", tested),
        ("rules_closed_world_deny", unknown),
    ])
}

fn conditions() -> Result<Vec<Recipe>> {
    // The catalogue's present is Friday, 15 January 2027, 08:00 UTC: 09:00 in Berlin.
    let hours = |windows: &str| {
        enforced(&format!(
            "rules: [{{name: hours, effect: allow, when: {{during: {{zone: Europe/Berlin, windows: [{windows}]}}}}}}]"
        ))
    };
    let open = Draft::new(
        "A rule counts at times of the week, on the clocks of its zone.",
        hours(r#"{days: [fri], from: "09:00", until: "09:30"}"#)?,
    )
    .send(ask("GET", "/search")?, None)?
    .at(1_799)
    .send(ask("GET", "/search")?, None)?
    .at(1_800)
    .send(ask("GET", "/search")?, Some("rule_missing"))?;
    let closed = Draft::new(
        "A window that goes over midnight belongs to the day on which it begins.",
        hours(r#"{days: [thu], from: "22:00", until: "09:00"}"#)?,
    )
    .send(ask("GET", "/search")?, Some("rule_missing"))?;
    let needs = enforced(
        r#"
rules:
  - {name: web, effect: allow, when: {actions: ["*:search", "web:fetch"], tiers: [L2, L3]}, require: {not_labels: [tainted]}}
  - {name: purpose, effect: allow, when: {actions: ["records:*"]}, require: {purposes: [billing]}}
  - {name: few, effect: allow, when: {actions: ["files:read"], classes: [read]}, require: {max_records: 10}}
"#,
    )?;
    let unmet = Draft::new("What a rule requires denies where it is not met.", needs)
        .send(ask("GET", "/search")?, None)?
        .send(ask("GET", "/fetch?url=a.example")?, None)?
        .send(ask("GET", "/records/7")?, Some("rule_unmet"))?
        .send(read("path=/srv/a&limit=10")?, None)?
        .send(read("path=/srv/a&limit=11")?, Some("rule_unmet"))?
        .send(read("path=/srv/a")?, Some("rule_unmet"))?;
    Ok(vec![("rules_hours_deny", open), ("rules_overnight_deny", closed), ("rules_requirements_deny", unmet)])
}

fn obligations() -> Result<Vec<Recipe>> {
    let rules = r#"
rules:
  - {name: searches, effect: allow, when: {actions: ["web:search"]}, rate_limits: {requests_per_minute: 2}, pass_ttl_seconds: 30}
  - {name: others, effect: allow, when: {not_actions: ["web:search"]}}
"#;
    let limited = Draft::new("A rule limits how often an agent does what it allows.", enforced(rules)?)
        .send(ask("GET", "/search")?, None)?
        .send(ask("GET", "/search")?, None)?
        .send(ask("GET", "/search")?, Some("rate_limit_exceeded"))?
        .send(ask("GET", "/records/7")?, None)?
        .at(30)
        .send(ask("GET", "/search")?, None)?;
    let mut passes = enforced(rules)?;
    passes.action_passes = Some(serde_json::from_value(json!({}))?);
    let short = Draft::new("A rule shortens the life of passes.", passes).mint(ask("GET", "/search")?, "mint")?;
    Ok(vec![("rules_rate_limits", limited), ("rules_pass_ttl", short)])
}
