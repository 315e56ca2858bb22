//! Guardrails from several files: of each limit, the strictest counts.

use passgate_api::bundle::{
    ApprovalDoc, GuardianDoc, GuardrailsDoc, PiiControlsDoc, RateLimitsDoc, SessionsDoc, SpendCapsDoc, SpendLimitsDoc,
    TaskCapsDoc, WindowsDoc, of_both,
};

/// What lets through what both do.
pub(super) fn stricter(one: &GuardrailsDoc, other: &GuardrailsDoc) -> GuardrailsDoc {
    let (rates, more) = (one.rate_limits, other.rate_limits);
    let (spend, caps) = (one.spend_limits, other.spend_limits);
    let (approval, threshold) = (one.approval_workflows, other.approval_workflows);
    GuardrailsDoc {
        rate_limits: RateLimitsDoc {
            requests_per_minute: least(rates.requests_per_minute, more.requests_per_minute),
            requests_per_hour: least(rates.requests_per_hour, more.requests_per_hour),
            requests_per_day: least(rates.requests_per_day, more.requests_per_day),
            per_gate: windows(rates.per_gate, more.per_gate),
            per_tenant: windows(rates.per_tenant, more.per_tenant),
            per_action: windows(rates.per_action, more.per_action),
        },
        spend_limits: SpendLimitsDoc {
            per_transaction_usd: least(spend.per_transaction_usd, caps.per_transaction_usd),
            daily_usd: least(spend.daily_usd, caps.daily_usd),
            monthly_usd: least(spend.monthly_usd, caps.monthly_usd),
            per_actor: periods(spend.per_actor, caps.per_actor),
            per_gate: periods(spend.per_gate, caps.per_gate),
            per_tenant: periods(spend.per_tenant, caps.per_tenant),
            per_action: periods(spend.per_action, caps.per_action),
            per_task: TaskCapsDoc {
                daily_usd: least(spend.per_task.daily_usd, caps.per_task.daily_usd),
                monthly_usd: least(spend.per_task.monthly_usd, caps.per_task.monthly_usd),
                total_usd: least(spend.per_task.total_usd, caps.per_task.total_usd),
            },
        },
        allowed_domains: of_both(one.allowed_domains.as_ref(), other.allowed_domains.as_ref(), |one, other| {
            both(one, other)
        }),
        pii_controls: of_both(one.pii_controls.as_ref(), other.pii_controls.as_ref(), PiiControlsDoc::stricter),
        max_scanned_response_bytes: least(one.max_scanned_response_bytes, other.max_scanned_response_bytes),
        approval_workflows: ApprovalDoc {
            require_approval_above_usd: least(
                approval.require_approval_above_usd,
                threshold.require_approval_above_usd,
            ),
        },
        guardian: of_both(one.guardian.as_ref(), other.guardian.as_ref(), GuardianDoc::stricter),
        sessions: of_both(one.sessions.as_ref(), other.sessions.as_ref(), SessionsDoc::stricter),
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

fn windows(one: WindowsDoc, other: WindowsDoc) -> WindowsDoc {
    WindowsDoc {
        requests_per_minute: least(one.requests_per_minute, other.requests_per_minute),
        requests_per_hour: least(one.requests_per_hour, other.requests_per_hour),
        requests_per_day: least(one.requests_per_day, other.requests_per_day),
    }
}

fn periods(one: SpendCapsDoc, other: SpendCapsDoc) -> SpendCapsDoc {
    SpendCapsDoc {
        daily_usd: least(one.daily_usd, other.daily_usd),
        monthly_usd: least(one.monthly_usd, other.monthly_usd),
    }
}

/// The domains of both lists: two patterns have either nothing in common or all that the narrower one has.
fn both(one: &[String], other: &[String]) -> Vec<String> {
    let within = |list: &[String], wide: &[String]| -> Vec<String> {
        list.iter().filter(|pattern| wide.iter().any(|wide| covers(wide, pattern))).cloned().collect()
    };
    let mut both = within(one, other);
    both.extend(within(other, one).into_iter().filter(|pattern| !one.contains(pattern)));
    both
}

fn covers(wide: &str, narrow: &str) -> bool {
    let (wide, narrow) = (wide.to_ascii_lowercase(), narrow.to_ascii_lowercase());
    wide == narrow || wide.strip_prefix('*').is_some_and(|end| narrow.ends_with(end))
}

#[cfg(test)]
mod tests {
    use passgate_api::bundle::PiiModeDoc;
    use passgate_core::pii::Class;

    use super::*;

    #[test]
    fn of_each_limit_the_strictest_counts() {
        let read = |json| serde_json::from_value::<GuardrailsDoc>(json).unwrap();
        let one = read(serde_json::json!({
            "rate_limits": {"requests_per_minute": 10, "per_gate": {"requests_per_day": 5}},
            "spend_limits": {"daily_usd": 100, "per_tenant": {"daily_usd": 1000}, "per_task": {"total_usd": 50}},
            "allowed_domains": ["a.example", "*.b.example", "c.example"],
        }));
        let other = read(serde_json::json!({
            "rate_limits": {"requests_per_minute": 20, "requests_per_hour": 7, "per_gate": {"requests_per_day": 3}},
            "spend_limits": {"daily_usd": 50.5, "monthly_usd": 900, "per_tenant": {"monthly_usd": 9000, "daily_usd": 999},
                "per_task": {"total_usd": 51, "daily_usd": 5}},
            "allowed_domains": ["*.example", "x.b.example", "d.example"],
            "approval_workflows": {"require_approval_above_usd": 5},
        }));
        let merged = read(serde_json::json!({
            "rate_limits": {"requests_per_minute": 10, "requests_per_hour": 7, "per_gate": {"requests_per_day": 3}},
            "spend_limits": {"daily_usd": 50.5, "monthly_usd": 900, "per_tenant": {"daily_usd": 999, "monthly_usd": 9000},
                "per_task": {"total_usd": 50, "daily_usd": 5}},
            "allowed_domains": ["a.example", "*.b.example", "c.example", "x.b.example"],
            "approval_workflows": {"require_approval_above_usd": 5},
        }));
        assert_eq!(stricter(&one, &other), merged);
        assert_eq!(stricter(&one, &GuardrailsDoc::default()), one);
        let of = |json| read(serde_json::json!({ "pii_controls": json }));
        let counted = of(serde_json::json!({"mode": "log_only", "classes": {"card": "redact", "ip": "ignore"}}));
        let redacted = of(serde_json::json!({"mode": "redact", "classes": {"card": "block", "email": "ignore"}}));
        let both = stricter(&counted, &redacted).pii_controls.unwrap();
        let modes = [Class::Card, Class::Ip, Class::Email, Class::Phone].map(|class| both.mode_of(class));
        assert_eq!(modes, [PiiModeDoc::Block, PiiModeDoc::Redact, PiiModeDoc::LogOnly, PiiModeDoc::Redact]);
        assert!(both.denies_unscannable());
        assert_eq!(stricter(&counted, &GuardrailsDoc::default()).pii_controls, counted.pii_controls);
        let responses = |json: serde_json::Value| of(serde_json::json!({"mode": "ignore", "responses": json}));
        let shown = responses(serde_json::json!({"mode": "log_only", "classes": {"card": "block"}}));
        let hidden = responses(serde_json::json!({"mode": "redact", "classes": {"card": "ignore"}}));
        let both = stricter(&shown, &hidden).pii_controls.unwrap().responses.unwrap();
        let modes = [Class::Card, Class::Email].map(|class| both.mode_of(class));
        assert_eq!((modes, both.denies_unscannable()), ([PiiModeDoc::Block, PiiModeDoc::Redact], true));
        let sealed = responses(serde_json::json!({"mode": "encrypt", "classes": {"ip": "ignore"}}));
        let both = |other| stricter(&sealed, other).pii_controls.unwrap().responses.unwrap();
        let modes =
            [both(&shown), both(&hidden)].map(|both| [Class::Email, Class::Ip].map(|class| both.mode_of(class)));
        let (encrypted, redacted) = (PiiModeDoc::Encrypt, PiiModeDoc::Redact);
        assert_eq!(
            modes,
            [[encrypted, PiiModeDoc::LogOnly], [redacted, redacted]],
            "which says that it is none for responses"
        );
        for (one, other) in [(&shown, &counted), (&counted, &shown)] {
            let kept = stricter(one, other).pii_controls.unwrap().responses;
            assert_eq!(kept, shown.pii_controls.as_ref().unwrap().responses, "the other file says nothing of them");
        }
        let bounded = |bytes: u32| read(serde_json::json!({"max_scanned_response_bytes": bytes}));
        assert_eq!(stricter(&bounded(5), &bounded(4)).max_scanned_response_bytes, Some(4));
        let none = GuardrailsDoc { allowed_domains: Some(vec!["z.test".to_owned()]), ..GuardrailsDoc::default() };
        assert_eq!(stricter(&one, &none).allowed_domains, Some(Vec::new()));
    }
}
