//! By what an action does it is looked at in one, two or three tiers, and where one is missing, nothing grave goes on.

use super::sessions::{decided, waiting, with};
use super::*;
use crate::attest::EvidenceValue;
use crate::gate::{Approvals, Approver, Guardian, Spot};
use crate::plugin::PluginVerdict;
use crate::review::{Review, ReviewOutcome};
use crate::state::{Conduct, Risk};

const ORDER: &str = r#"{"usd":6,"to":"shop.example"}"#;
const SPOT: Spot = Spot { step_up_at: 60, deny_at: Some(80) };

fn gate_with(spot: Option<Spot>) -> Gate {
    let mut gate = gate();
    gate.guardrails.rates.agent = RateLimits::default();
    gate.guardrails.guardian = Some(Guardian { spot });
    let alice = SecretKey::from_seed([21; 32]).public().clone();
    let alice = Approver { name: "alice".to_owned(), key: alice, roles: Vec::new() };
    gate.approvals = Some(Approvals { approvers: vec![alice], request_ttl_seconds: 3_600 });
    gate.routes.push(Route { class: EffectClass::Destructive, ..gate.routes[0].clone() });
    gate.routes[3].path = PathPattern::parse("/purge").unwrap();
    gate
}

fn order(nonce: u32) -> Call {
    Call::new("POST", "/pay", ORDER).signed(nonce)
}

fn purge(nonce: u32) -> Call {
    Call::new("GET", "/purge", "").signed(nonce)
}

fn review(outcome: ReviewOutcome) -> Review {
    Review { confidence: Some(90), model: "m".to_owned(), outcome, reason: Some("because".to_owned()) }
}

fn evidence(decision: &Decision, name: &str) -> Option<EvidenceValue> {
    decision.guardrails.iter().find(|guardrail| guardrail.guardrail == "guardian")?.evidence.get(name).cloned()
}

fn tier(decision: &Decision) -> Option<EvidenceValue> {
    evidence(decision, "tier")
}

fn text(text: &str) -> Option<EvidenceValue> {
    Some(EvidenceValue::Text(text.to_owned()))
}

/// Decided as that of an agent like this, after this review.
fn reviewed(gate: &Gate, call: &Call, conduct: Conduct, review: Option<Review>) -> Decision {
    let judged = call.judged_as(gate, conduct).unwrap();
    let judged = match review {
        Some(review) => judged.reviewed(review),
        None => judged,
    };
    let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    assert_eq!(decision, decide(&handed, &admit(&mut LoadedRows::new(), &handed)));
    decision
}

#[test]
fn what_only_reads_is_looked_at_fast() {
    let gate = gate_with(Some(SPOT));
    let (_, decision) = decided(&mut LoadedRows::new(), &gate, &Call::new("GET", "/search", "").signed(1));
    assert_eq!((decision.reason, tier(&decision), evidence(&decision, "risk")), (None, text("fast"), None));
}

#[test]
fn what_changes_something_falls_back_to_fast() {
    let (_, decision) = decided(&mut LoadedRows::new(), &gate_with(None), &order(1));
    assert_eq!((decision.reason, tier(&decision)), (None, text("fast")));
}

#[test]
fn a_risk_waits_for_a_person_and_a_greater_one_is_refused() {
    let mut rows = LoadedRows::new();
    // 10 for its class, 10 for a brand new passport, 10 for an amount, 20, 10 and 15 for what is new.
    let risk = |spot| gate_with(Some(spot));
    let (_, high) = decided(&mut rows, &risk(Spot { step_up_at: 75, deny_at: None }), &order(1));
    assert_eq!(high.reason, Some(Reason::RiskStepUp));
    assert_eq!(evidence(&high, "risk"), Some(EvidenceValue::Number(75)));
    let parts = ["risk_class", "risk_new_action", "risk_new_domain", "risk_new_agent", "risk_amount"];
    let parts = parts.map(|name| evidence(&high, name).unwrap());
    assert_eq!(parts, [10, 20, 15, 10, 10].map(EvidenceValue::Number));
    assert_eq!(tier(&high), text("spot"));
    let (_, usual) = decided(&mut rows, &risk(Spot { step_up_at: 76, deny_at: None }), &order(2));
    assert_eq!(usual.reason, None);
    let (judged, denied) =
        decided(&mut LoadedRows::new(), &risk(Spot { step_up_at: 50, deny_at: Some(75) }), &order(3));
    assert_eq!((denied.verdict.kind(), denied.reason), (DecisionKind::Deny, Some(Reason::RiskDenied)));
    assert!(judged.demand().spends.iter().all(|spend| spend.mode == SpendMode::Probe), "it charges nothing");
}

#[test]
fn an_approval_stands_for_a_risk() {
    let gate = gate_with(Some(Spot { step_up_at: 60, deny_at: None }));
    let request = waiting(&gate, &order(1));
    let shown: serde_json::Value = serde_json::from_str(&request.shown).unwrap();
    let need = serde_json::json!([{ "count": 1, "reason_code": "risk_step_up" }]);
    assert_eq!(shown["needs"], need, "without the score, which may change");
    let token = super::sessions::signed(&request, 600, None);
    let mut rows = LoadedRows::new();
    assert_eq!(decided(&mut rows, &gate, &with(order(2), &token)).1.reason, None);
    assert_eq!(decided(&mut rows, &gate, &order(3)).1.reason, None, "what it did is known now");
}

#[test]
fn what_takes_away_needs_every_tier() {
    let without = reviewed(&gate_with(None), &purge(1), Conduct::default(), Some(review(ReviewOutcome::Allowed)));
    assert_eq!((without.verdict.kind(), without.reason), (DecisionKind::Deny, Some(Reason::GuardianUnavailable)));
    let gate = gate_with(Some(Spot { step_up_at: 100, deny_at: None }));
    let outcome = |review| {
        let decision = reviewed(&gate, &purge(1), Conduct::default(), review);
        assert_eq!(tier(&decision), text("deep"));
        decision.reason
    };
    let unavailable = Some(Reason::GuardianUnavailable);
    assert_eq!(outcome(None), unavailable, "nobody was asked");
    for failed in [ReviewOutcome::TimedOut, ReviewOutcome::Unavailable, ReviewOutcome::AnswerInvalid] {
        assert_eq!(outcome(Some(review(failed))), unavailable, "{failed:?}");
    }
    assert_eq!(outcome(Some(review(ReviewOutcome::Denied))), Some(Reason::ReviewDenied));
    assert_eq!(outcome(Some(review(ReviewOutcome::Allowed))), None);
}

#[test]
fn what_a_reviewer_said_is_recorded() {
    let gate = gate_with(Some(Spot { step_up_at: 100, deny_at: None }));
    let decision = reviewed(&gate, &purge(1), Conduct::default(), Some(review(ReviewOutcome::Denied)));
    assert_eq!(evidence(&decision, "review"), text("denied"));
    assert_eq!(evidence(&decision, "review_model"), text("m"));
    assert_eq!(evidence(&decision, "review_reason"), text("because"));
    assert_eq!(evidence(&decision, "review_confidence"), Some(EvidenceValue::Number(90)));
}

#[test]
fn nobody_is_asked_about_what_is_refused_anyway() {
    let gate = gate_with(Some(SPOT));
    assert!(purge(1).judged(&gate).unwrap().wants_review());
    assert!(!order(1).judged(&gate).unwrap().wants_review(), "it takes nothing away");
    let raised = Conduct { is_raised: true, ..Conduct::default() };
    assert!(order(1).judged_as(&gate, raised).unwrap().wants_review(), "but counts as doing so");
    let mut refused = gate.clone();
    refused.routes[3].action = ActionName::parse("vault:purge").unwrap();
    assert!(!purge(1).judged(&refused).unwrap().wants_review());
    let plugin = super::plugins::says("p", PluginVerdict::Deny);
    assert!(!purge(1).judged(&gate).unwrap().restrict(vec![plugin], b"", &seed()).0.wants_review());
    let judged = purge(1).judged(&gate).unwrap().reviewed(review(ReviewOutcome::Allowed));
    assert!(!judged.wants_review(), "once is enough");
    let risky = Conduct { risk: Risk::TooHigh, ..Conduct::default() };
    assert!(!purge(1).judged_as(&gate, risky).unwrap().wants_review());
}

#[test]
fn what_waits_for_people_is_not_reviewed_before_they_approve() {
    let mut gate = gate_with(Some(Spot { step_up_at: 100, deny_at: None }));
    gate.guardrails.require_approval_above = Some(MicroUsd(1));
    let raised = Conduct { is_raised: true, ..Conduct::default() };
    let judged = order(1).judged_as(&gate, raised).unwrap();
    assert!(!judged.wants_review());
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    assert_eq!((decision.verdict.kind(), decision.reason), (DecisionKind::StepUp, Some(Reason::ApprovalRequired)));
    let mut request = waiting(&gate, &order(1));
    request.shown = judged.approval_to_ask(DecisionKind::StepUp).unwrap().shown;
    let token = super::sessions::signed(&request, 600, None);
    let judged = with(order(2), &token).judged_as(&gate, raised).unwrap();
    assert!(judged.wants_review() && judged.demand().approvals.is_empty(), "nothing is used before the review");
    let outcome = |outcome| {
        let judged = judged.clone().reviewed(review(outcome));
        let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
        (decide(&handed, &admit(&mut LoadedRows::new(), &handed)).reason, judged.demand().approvals.len())
    };
    assert_eq!(outcome(ReviewOutcome::Allowed), (None, 1));
    assert_eq!(outcome(ReviewOutcome::Denied), (Some(Reason::ReviewDenied), 0));
}

#[test]
fn what_the_gate_fails_at_is_not_held_against_the_agent() {
    let gate = gate_with(None);
    let judged = purge(1).judged(&gate).unwrap();
    assert!(judged.demand().is_excused, "nobody reviews");
    assert!(!order(1).judged(&gate).unwrap().demand().is_excused, "nothing is refused");
    let unmapped = Call::new("GET", "/nothing", "").signed(1).judged(&gate).unwrap();
    assert!(!unmapped.demand().is_excused, "it asked for something that is not there");
}

#[test]
fn what_is_only_minted_for_teaches_nothing() {
    let mut gate = gate_with(Some(SPOT));
    gate.action_passes = Some(crate::gate::ActionPasses {
        ttl_seconds: 60,
        binding: passgate_passport::action_pass::Binding::Content,
        keys: vec![SecretKey::from_seed([9; 32]).public().clone()],
    });
    let mut mint = Call::new("POST", "/pay", ORDER);
    mint.headers.push(("agent-action-pass".to_owned(), b"mint".to_vec()));
    let judged = mint.signed(1).judged(&gate).unwrap();
    assert!(!judged.demand().risk.as_ref().unwrap().learns);
    assert!(order(2).judged(&gate).unwrap().demand().risk.as_ref().unwrap().learns);
}
