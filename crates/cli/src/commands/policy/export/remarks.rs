//! What is not exported: everything of a policy that needs state, people or the request's body.

use passgate_core::gate::{Gate, RateLimits};
use passgate_core::policy::{Mode, Policy, Rule};

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
