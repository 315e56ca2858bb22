//! The rule, natively.

use passgate_plugin::judge;
use passgate_plugin::testing::{facts, request, set_key};

use super::*;

const CONFIG: &str = r#"{
    "time_zone": "Europe/Berlin",
    "open": {"monday": ["09:00-12:30", "13:30-17:30"], "sunday": ["00:00-24:00"]},
    "freezes": [{"from": "2026-12-21T00:00", "until": "2027-01-04T00:00", "reason": "year end"}]
}"#;

fn judged(now: &str, config: &str) -> Verdict {
    let mut facts = facts("payments:create", config);
    facts.now_ms = now.parse::<Timestamp>().unwrap().as_millisecond().try_into().unwrap();
    judge::<BusinessHours>(&request("/pay", ""), &facts)
}

fn denied(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hours_are_those_of_the_wall_in_winter_and_summer() {
    for (now, open) in [
        // Central European Time, one hour ahead of UTC.
        ("2026-01-05T07:59:59Z", false),
        ("2026-01-05T08:00:00Z", true),
        ("2026-01-05T11:29:59Z", true),
        ("2026-01-05T11:30:00Z", false),
        ("2026-01-05T16:29:59Z", true),
        ("2026-01-05T16:30:00Z", false),
        // Summer time: two hours ahead.
        ("2026-07-06T06:59:59Z", false),
        ("2026-07-06T07:00:00Z", true),
        ("2026-01-06T10:00:00Z", false),
        // The hour that does not exist, and the one that exists twice, on Sundays that are open all day.
        ("2026-03-29T01:00:00Z", true),
        ("2026-10-25T00:30:00Z", true),
        ("2026-10-25T01:30:00Z", true),
        // It is Sunday there already, and Monday already.
        ("2026-01-03T23:00:00Z", true),
        ("2026-01-04T23:00:00Z", false),
    ] {
        let verdict = judged(now, CONFIG);
        if open {
            assert!(matches!(verdict, Verdict::Abstain), "{now}: {verdict:?}");
        } else {
            assert!(denied(verdict).starts_with("outside opening hours: it is "), "{now}");
        }
    }
    assert_eq!(
        denied(judged("2026-07-06T06:59:59Z", CONFIG)),
        "outside opening hours: it is Monday 08:59 in Europe/Berlin"
    );
}

#[test]
fn a_freeze_is_a_deny_even_in_opening_hours() {
    assert_eq!(denied(judged("2026-12-28T10:00:00Z", CONFIG)), "frozen until 2027-01-04 00:00: year end");
    assert!(matches!(judged("2027-01-04T09:00:00Z", CONFIG), Verdict::Abstain));
    assert!(matches!(judged("2026-12-20T22:59:59Z", CONFIG), Verdict::Abstain));
    assert!(denied(judged("2026-12-20T23:00:00Z", CONFIG)).starts_with("frozen"));

    set_key("freeze", "");
    assert!(matches!(judged("2026-01-05T08:00:00Z", CONFIG), Verdict::Abstain));
    set_key("freeze", "incident 42");
    assert_eq!(denied(judged("2026-01-05T08:00:00Z", CONFIG)), "frozen: incident 42");
}

#[test]
fn outside_hours_a_person_may_approve_where_that_is_configured() {
    let config = CONFIG.replacen('{', r#"{"outside_hours": "step_up", "roles": ["on-call"], "#, 1);
    match judged("2026-01-06T10:00:00Z", &config) {
        Verdict::StepUp(obligation) => assert_eq!(obligation.roles, ["on-call"]),
        other => panic!("{other:?}"),
    }
    assert!(denied(judged("2026-12-28T10:00:00Z", &config)).starts_with("frozen"));
}

#[test]
fn a_configuration_that_makes_no_sense_refuses_everything() {
    for (from, to, told) in [
        ("Europe/Berlin", "Europe/Atlantis", "Atlantis"),
        ("09:00-12:30", "9-12", "not of the form"),
        ("09:00-12:30", "09:00-24:01", "not of the form"),
        ("09:00-12:30", "+9:00-12:30", "not of the form"),
        ("09:00-12:30", "22:00-06:00", "ends before it begins"),
        ("2027-01-04", "2026-01-04", "ends before it begins"),
        ("monday", "montag", "unknown variant"),
        ("freezes", "freeze", "unknown field"),
    ] {
        let reason = denied(judged("2026-01-05T08:00:00Z", &CONFIG.replace(from, to)));
        assert!(reason.contains(told), "{to}: {reason}");
    }
}
