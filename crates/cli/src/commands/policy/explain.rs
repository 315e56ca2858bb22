//! `policy explain`: what every guardrail and every rule says of a request.

use std::path::PathBuf;

use passgate_core::policy::{Condition, Effect, Explained, Test};
use passgate_core::state::LoadedRows;
use serde_json::{Value, json};

use super::cases::RequestDoc;
use super::test::Decided;
use super::trial::{Trial, Tried};
use crate::commands::gate;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::Paint;

/// Arguments of `policy explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The request, as in a test: YAML or JSON {method, path, body, agent, permissions, ...}
    #[arg(short, long, value_name = "FILE")]
    request: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let loaded = context.load()?;
    let doc: RequestDoc = passgate_host::config::read_document(&args.request)?;
    let now =
        doc.now().ok_or_else(|| Failure::usage("`at` is no instant").hint("write it as in 2027-01-15T12:00:00Z"))?;
    let trial = Trial::new(&loaded.gate)?;
    let tried = trial.run(&doc, now, &mut LoadedRows::new())?;
    let explained = trial.explain(&doc, now)?;
    let decided = Decided::of(&tried);
    if context.output.is_json() {
        let guardrails = match &tried {
            Tried::Refused(_) => json!([]),
            Tried::Decided(_, decision) => json!(decision.guardrails),
        };
        context.output.json(json!({
            "decision": decided.kind.as_str(),
            "reason_code": decided.reason,
            "rule": decided.rule,
            "guardrails_evaluated": guardrails,
            "rules": explained.iter().map(members).collect::<Vec<_>>(),
        }))?;
    } else {
        tell(&tried, &decided, &explained, context)?;
    }
    Ok(Exit::of(decided.kind, decided.reason.map(passgate_core::reason::Reason::class)))
}

fn tell(tried: &Tried, decided: &Decided, explained: &[Explained<'_>], context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let reason = decided.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    output.data(&format!("{}{reason}", output.paint(Paint::of(decided.kind), decided.kind.as_str())))?;
    match tried {
        Tried::Refused(refusal) => output.data(&format!("  {}", inert(&refusal.detail)))?,
        Tried::Decided(judged, decision) => {
            let action = judged.request().action.as_deref().unwrap_or("none: no route maps the request");
            output.data(&format!("action {}", inert(action)))?;
            for guardrail in &decision.guardrails {
                output.data(&gate::check::guardrail_line(guardrail))?;
            }
        }
    }
    for rule in explained {
        output.data(&rule_line(rule))?;
    }
    Ok(())
}

fn rule_line(explained: &Explained<'_>) -> String {
    let rule = explained.rule;
    let effect = effect(rule.effect);
    if let Some(condition) = first_false(&rule.when, &explained.when) {
        return format!("  rule {:24}  {effect:8}  does not match: {}", rule.name, described(condition));
    }
    match first_false(&rule.require, &explained.require) {
        Some(condition) => {
            format!("  rule {:24}  {effect:8}  matches, and requires: {}", rule.name, described(condition))
        }
        None => format!("  rule {:24}  {effect:8}  matches", rule.name),
    }
}

fn first_false<'p>(conditions: &'p [Condition], holds: &[bool]) -> Option<&'p Condition> {
    conditions.iter().zip(holds).find(|(_, holds)| !**holds).map(|(condition, _)| condition)
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::StepUp => "step_up",
        Effect::Deny => "deny",
    }
}

/// A condition in words.
fn described(condition: &Condition) -> String {
    let not = if condition.negated { "not " } else { "" };
    let test = match &condition.test {
        Test::Texts(texts) => {
            let exact = texts.exact.iter().cloned();
            let begins = texts.begins.iter().map(|text| format!("{text}*"));
            let ends = texts.ends.iter().map(|text| format!("*{text}"));
            let mut all: Vec<String> = exact.chain(begins).chain(ends).collect();
            if !texts.patterns.is_empty() {
                all.push("a pattern".to_owned());
            }
            format!("one of {}", all.join(", "))
        }
        Test::Ranges(spans) => {
            let spans: Vec<String> = spans.iter().map(|(least, most)| format!("{least} to {most}")).collect();
            spans.join(" or ")
        }
        Test::Length(least, most) => format!("{least} to {most} bytes long"),
        Test::Networks(networks) => {
            let networks: Vec<String> = networks.iter().map(|net| format!("{}/{}", net.address, net.bits)).collect();
            format!("in {}", networks.join(", "))
        }
        Test::Weekly(..) => "within its times of the week".to_owned(),
        Test::Present => "there".to_owned(),
    };
    format!("{} has to be {not}{test}", condition.fact.name())
}

fn members(explained: &Explained<'_>) -> Value {
    let each = |conditions: &[Condition], holds: &[bool]| -> Vec<Value> {
        let pairs = conditions.iter().zip(holds);
        pairs.map(|(condition, holds)| json!({"condition": described(condition), "holds": holds})).collect()
    };
    json!({
        "rule": explained.rule.name,
        "effect": effect(explained.rule.effect),
        "matches": explained.matches(),
        "when": each(&explained.rule.when, &explained.when),
        "require": each(&explained.rule.require, &explained.require),
    })
}
