//! Records as lines for people.

use serde_json::{Map, Value};

use crate::inert::inert;
use crate::output::{Output, Paint};

/// One record: time, kind or decision, reason, agent, request and id on one line, and one line more for each plugin that had
/// a part in it. Of the guardrails that are asked for, the result and each piece of evidence on a line of its own.
pub(super) fn lines(record: &Map<String, Value>, guardrails: &[String], output: &Output) -> String {
    let plugins = record.get("plugins").and_then(Value::as_array).into_iter().flatten();
    let evaluated = ["/guardrails_evaluated", "/outcome/response/guardrails_evaluated"];
    let evaluated = evaluated.iter().filter_map(|pointer| pointer_in(record, pointer)?.as_array()).flatten();
    let name = |guardrail: &Value| guardrail.get("guardrail").and_then(Value::as_str).map(str::to_owned);
    let asked = evaluated.filter(|evaluated| name(evaluated).is_some_and(|name| guardrails.contains(&name)));
    let lines = std::iter::once(line(record, output)).chain(plugins.map(plugin_line));
    lines.chain(asked.flat_map(guardrail_lines)).collect::<Vec<_>>().join("\n")
}

fn guardrail_lines(guardrail: &Value) -> Vec<String> {
    let text = |name: &str| guardrail.get(name).and_then(Value::as_str).map(inert);
    let said: Vec<String> = ["guardrail", "result", "reason_code"].iter().filter_map(|name| text(name)).collect();
    let evidence = guardrail.get("evidence").and_then(Value::as_object).into_iter().flatten();
    let evidence = evidence.map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), inert);
        format!("      {}  {value}", inert(name))
    });
    std::iter::once(format!("    {}", said.join("  "))).chain(evidence).collect()
}

/// A plugin: name and version, verdict or how it failed, its reason, fuel and digest.
pub(crate) fn plugin_line(plugin: &Value) -> String {
    let text = |name: &str| plugin.get(name).and_then(Value::as_str).map(inert).unwrap_or_default();
    let fuel = plugin.get("fuel").and_then(Value::as_u64).unwrap_or_default();
    let said = if plugin.get("verdict").is_some() { text("verdict") } else { text("outcome") };
    let parts = [
        format!("    plugin {} {}", text("name"), text("version")),
        said,
        text("reason"),
        format!("fuel {fuel}"),
        text("digest"),
    ];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("  ")
}

/// What stands at a pointer such as `/request/path`, of names without escapes.
pub(crate) fn pointer_in<'a>(record: &'a Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let mut segments = pointer.split('/').skip(1);
    let first = record.get(segments.next()?)?;
    segments.try_fold(first, |value, name| value.get(name))
}

fn line(record: &Map<String, Value>, output: &Output) -> String {
    let text = |pointer: &str| pointer_in(record, pointer).and_then(Value::as_str).map(inert).unwrap_or_default();
    let decision = text("/decision");
    let word = match decision.as_str() {
        "allow" => output.paint(Paint::Good, "allow  "),
        "deny" => output.paint(Paint::Bad, "deny   "),
        "step_up" => output.paint(Paint::Wait, "step_up"),
        _ => [text("/kind"), text("/outcome/result")].join("  "),
    };
    let request = format!("{} {}", text("/request/method"), text("/request/path"));
    let parts =
        [text("/timestamp"), word, text("/reason_code"), text("/agent/agent_id"), request, text("/attestation_id")];
    let filled: Vec<&str> = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect();
    filled.join("  ")
}
