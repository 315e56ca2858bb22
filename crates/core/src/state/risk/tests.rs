use super::*;
use crate::state::LoadedRows;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn scored(action: &str, amount: u64) -> Scored {
    Scored {
        action: action.into(),
        domain: Some("shop.example".into()),
        amount: Some(amount),
        class: 10,
        credential: 5,
        high_at: 60,
        too_high_at: Some(80),
    }
}

fn claim(scored: Option<Scored>) -> RiskClaim {
    RiskClaim { key: "gate:agent".into(), scored, learns: true }
}

/// The score, and what is written after this decision.
fn call(rows: &mut LoadedRows, scored: Option<Scored>, decision: DecisionKind) -> Option<RiskAnswer> {
    let claim = claim(scored);
    let known = claim.find(rows, NOW).unwrap();
    let write = claim.after(&known, decision, NOW);
    rows.insert(write.key, write.value);
    known.answer
}

#[test]
fn what_is_not_known_of_an_agent_counts() {
    let mut rows = LoadedRows::new();
    let first = call(&mut rows, Some(scored("payments:create", 100)), DecisionKind::Allow).unwrap();
    let parts = (first.amount, first.new_action, first.new_agent, first.new_domain, first.denials);
    assert_eq!((parts, first.total()), ((10, 20, 10, 15, 0), 70));
    let second = call(&mut rows, Some(scored("payments:create", 150)), DecisionKind::Allow).unwrap();
    assert_eq!((second.total(), second.new_agent), (25, 10), "what it did before is known");
    for _ in 0..3 {
        call(&mut rows, Some(scored("payments:create", 150)), DecisionKind::Allow);
    }
    let known = call(&mut rows, Some(scored("payments:create", 299)), DecisionKind::Allow).unwrap();
    assert_eq!(known.total(), 15, "its class and its credential");
}

#[test]
fn what_was_not_allowed_is_not_known() {
    for decision in [DecisionKind::Deny, DecisionKind::StepUp] {
        let mut rows = LoadedRows::new();
        call(&mut rows, Some(scored("payments:create", 1_000)), decision);
        let again = call(&mut rows, Some(scored("payments:create", 1_000)), decision).unwrap();
        assert_eq!((again.new_action, again.new_domain, again.amount), (20, 15, 10));
        assert_eq!(again.denials, if decision == DecisionKind::Deny { 25 } else { 0 });
    }
}

#[test]
fn amounts_are_measured_by_the_largest_before() {
    let mut rows = LoadedRows::new();
    call(&mut rows, Some(scored("payments:create", 100)), DecisionKind::Allow);
    let mut points = |amount| {
        let claim = claim(Some(scored("payments:create", amount)));
        claim.find(&rows, NOW).unwrap().answer.unwrap().amount
    };
    assert_eq!([0, 99, 199, 200, 999, 1_000, u64::MAX].map(&mut points), [0, 0, 0, 10, 10, 25, 25]);
}

#[test]
fn refusals_count_by_their_share_of_the_last_fifty() {
    let mut rows = LoadedRows::new();
    for number in 0..50 {
        call(&mut rows, None, if number % 2 == 0 { DecisionKind::Deny } else { DecisionKind::Allow });
    }
    let answer = call(&mut rows, Some(scored("payments:create", 1)), DecisionKind::Allow).unwrap();
    assert_eq!((answer.denials, answer.new_agent), (12, 0));
    for _ in 0..60 {
        call(&mut rows, None, DecisionKind::Allow);
    }
    assert_eq!(call(&mut rows, Some(scored("payments:create", 1)), DecisionKind::Allow).unwrap().denials, 0);
}

#[test]
fn a_score_has_its_consequences_at_its_thresholds() {
    let of = |total| scored("a", 0).risk(total);
    assert_eq!([59, 60, 79, 80, 100].map(of), [Risk::Usual, Risk::High, Risk::High, Risk::TooHigh, Risk::TooHigh]);
    assert_eq!(Scored { too_high_at: None, ..scored("a", 0) }.risk(100), Risk::High);
}

#[test]
fn a_bounded_number_of_actions_and_domains_is_remembered() {
    let mut rows = LoadedRows::new();
    for number in 0..100_u32 {
        call(&mut rows, Some(scored(&alloc::format!("a:{number}"), 1)), DecisionKind::Allow);
    }
    let is_new = |action: &str| claim(Some(scored(action, 1))).find(&rows, NOW).unwrap().answer.unwrap().new_action > 0;
    assert!(is_new("a:35") && !is_new("a:36") && !is_new("a:99"));
}

#[test]
fn a_row_that_is_no_past_refuses() {
    for wrong in ["", "{}", r#"{"actions":[]}"#] {
        let rows = LoadedRows::from([("h:gate:agent".into(), wrong.as_bytes().to_vec())]);
        assert!(claim(None).find(&rows, NOW).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_only_minted_for_is_not_done() {
    let mut rows = LoadedRows::new();
    let minted = RiskClaim { learns: false, ..claim(Some(scored("payments:create", 9_000))) };
    let known = minted.find(&rows, NOW).unwrap();
    let write = minted.after(&known, DecisionKind::Allow, NOW);
    rows.insert(write.key, write.value);
    let after = call(&mut rows, Some(scored("payments:create", 9_000)), DecisionKind::Allow).unwrap();
    assert_eq!((after.amount, after.new_action, after.new_agent, after.new_domain), (10, 20, 10, 15));
}

#[test]
fn a_past_is_forgotten_whether_its_row_is_swept_or_not() {
    let mut rows = LoadedRows::new();
    call(&mut rows, Some(scored("payments:create", 1)), DecisionKind::Allow);
    let after = |seconds: i64| UnixMillis(NOW.0 + seconds.unsigned_abs() * 1_000);
    let is_new =
        |now| claim(Some(scored("payments:create", 1))).find(&rows, now).unwrap().answer.unwrap().new_action > 0;
    assert!(!is_new(after(FORGOTTEN_SECONDS - 1)) && is_new(after(FORGOTTEN_SECONDS)));
}
