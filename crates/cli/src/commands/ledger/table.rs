//! Records as lines for people.

use serde_json::{Map, Value};

use crate::inert::inert;
use crate::output::{Output, Paint};

/// One record, on one line: time, kind or decision, reason, agent, request, id.
pub(super) fn line(record: &Map<String, Value>, output: &Output) -> String {
    let at = |pointer: &[&str]| -> Option<String> {
        let mut value = record.get(*pointer.first()?)?;
        for name in pointer.get(1..)? {
            value = value.get(name)?;
        }
        value.as_str().map(inert)
    };
    let text = |pointer: &[&str]| at(pointer).unwrap_or_default();
    let decision = text(&["decision"]);
    let word = match decision.as_str() {
        "allow" => output.paint(Paint::Good, "allow  "),
        "deny" => output.paint(Paint::Bad, "deny   "),
        "step_up" => output.paint(Paint::Wait, "step_up"),
        _ => text(&["kind"]),
    };
    let request = format!("{} {}", text(&["request", "method"]), text(&["request", "path"]));
    let parts = [
        text(&["timestamp"]),
        word,
        text(&["reason_code"]),
        text(&["agent", "agent_id"]),
        request,
        text(&["attestation_id"]),
    ];
    let filled: Vec<&str> = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect();
    filled.join("  ")
}
