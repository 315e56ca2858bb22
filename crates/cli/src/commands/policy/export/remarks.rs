//! What is not exported: everything of a policy that needs state, people or the request's body.

use passgate_core::gate::{Gate, RateLimits};
use passgate_core::policy::{Mode, Policy, Rule};

use crate::inert::inert;

/// The longest line of a comment, in characters.
const MAX_LINE: usize = 110;

/// The lines as a list in a comment that begins with `mark`. Nothing in them ends the comment.
pub(super) fn comment(mark: &str, lines: &[String]) -> String {
    let mut text = format!("{mark}\n{mark} Not exported:\n");
    for line in lines {
        for (number, part) in wrapped(&inert(line)).into_iter().enumerate() {
            let bullet = if number == 0 { "-" } else { " " };
            text.push_str(&format!("{mark} {bullet} {part}\n"));
        }
    }
    text
}

/// A text in lines of [`MAX_LINE`] characters, broken between words, or within one that is longer.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let chars: Vec<char> = word.chars().collect();
        for part in chars.chunks(MAX_LINE).map(|part| part.iter().collect::<String>()) {
            match lines.last_mut().filter(|line| line.chars().count() + part.chars().count() < MAX_LINE) {
                Some(line) => line.push_str(&format!(" {part}")),
                None => lines.push(part),
            }
        }
    }
    lines
}

/// What rules ask for beside a decision, a line each.
pub(super) fn of_rules(policy: &Policy) -> Vec<String> {
    let mut lines = Vec::new();
    if policy.mode() == Mode::Shadow {
        lines.push("at the gate these rules are in shadow mode: they are recorded there and decide nothing".to_owned());
    }
    for rule in policy.rules() {
        let asks = asks(rule);
        if !asks.is_empty() {
            lines.push(format!("rule `{}`: {}", rule.name, asks.join("; ")));
        }
    }
    lines
}

fn asks(rule: &Rule) -> Vec<String> {
    let mut asks = Vec::new();
    if let Some(approval) = &rule.approval {
        let of = if approval.roles.is_empty() { String::new() } else { format!(" of {}", approval.roles.join(", ")) };
        asks.push(format!("approval by {}{of}", approval.count));
    }
    if let Some(seconds) = rule.pass_ttl_seconds {
        asks.push(format!("one-action passes live {seconds} s at most"));
    }
    asks.extend(rates(&rule.rates));
    if !rule.redact.is_empty() {
        asks.push(format!("redaction of {}", rule.redact.join(", ")));
    }
    asks
}

fn rates(rates: &RateLimits) -> Option<String> {
    let windows =
        [(rates.requests_per_minute, "minute"), (rates.requests_per_hour, "hour"), (rates.requests_per_day, "day")];
    let listed: Vec<String> =
        windows.iter().filter_map(|(limit, window)| Some(format!("{} a {window}", (*limit)?))).collect();
    (!listed.is_empty()).then(|| format!("rate limits of {}", listed.join(", ")))
}

/// The guardrails of a gate, which judge a request as well.
pub(super) fn of_gate(gate: &Gate) -> Vec<String> {
    let mut lines = vec![
        "signatures, passports and what they allow, replay and revocation: the gate checks them before any rule"
            .to_owned(),
    ];
    let guardrails = &gate.guardrails;
    let given = [
        ("rate limits", guardrails.rates != Default::default()),
        ("spend limits", guardrails.spend != Default::default()),
        ("allowed domains", guardrails.allowed_domains.is_some()),
        ("approval above an amount", guardrails.require_approval_above.is_some()),
    ];
    let names: Vec<&str> = given.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
    if !names.is_empty() {
        lines.push(format!("guardrails: {}", names.join(", ")));
    }
    lines
}
