//! Requests that are sent again with their idempotency key.

use super::chains::{chain, pay};
use super::*;
use crate::attest::EvidenceValue;
use crate::gate::SpendCaps;
use crate::state::IdempotencyAnswer;

/// A gate whose agents have 10 dollars a day, and whose payments go by idempotency keys.
fn keyed_gate() -> Gate {
    let mut gate = Gate { guardrails: Guardrails::default(), ..gate() };
    gate.guardrails.spend.agent = SpendCaps { daily: Some(MicroUsd(10_000_000)), ..SpendCaps::default() };
    let with_amount = gate.routes.iter_mut().filter(|route| route.amount.is_some());
    with_amount.for_each(|route| route.idempotency_seconds = Some(60));
    gate
}

fn keyed(usd: &str, key: &str, nonce: u32) -> Call {
    let body = format!(r#"{{"usd":{usd},"to":"shop.example"}}"#);
    let mut call = Call::new("POST", "/pay", &body);
    call.headers.push(("idempotency-key".to_owned(), key.as_bytes().to_vec()));
    call.signed(nonce)
}

fn decided(rows: &mut LoadedRows, call: &Call) -> Decision {
    let judged = call.judged(&keyed_gate()).unwrap();
    let admission = admit(rows, &judged);
    decide(&judged, &admission)
}

/// The reason, and what the record says of the key.
fn said(rows: &mut LoadedRows, call: &Call) -> (Option<Reason>, Option<String>) {
    let decision = decided(rows, call);
    let spend = decision.guardrails.iter().find(|guardrail| guardrail.guardrail == "spend").unwrap();
    let key = spend.evidence.get("idempotency_key").map(|value| match value {
        EvidenceValue::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    });
    (decision.reason, key)
}

fn is(reason: Option<Reason>, answer: &str) -> (Option<Reason>, Option<String>) {
    (reason, Some(answer.to_owned()))
}

#[test]
fn a_repetition_is_charged_nothing_and_another_request_is_refused() {
    let mut rows = LoadedRows::new();
    assert_eq!(said(&mut rows, &keyed("6", "k", 1)), is(None, "first"));
    assert_eq!(said(&mut rows, &keyed("6", "k", 2)), is(None, "repeated"));
    assert_eq!(said(&mut rows, &keyed("6.0", "k", 3)), is(Some(Reason::IdempotencyKeyReused), "reused"), "other bytes");
    assert_eq!(said(&mut rows, &keyed("4", "other", 4)), is(None, "first"));
    assert_eq!(said(&mut rows, &keyed("0.01", "third", 5)), is(Some(Reason::SpendDailyExceeded), "first"));
    assert_eq!(said(&mut rows, &keyed("6", "k", 6)), is(None, "repeated"), "the budget is spent, and that is in it");
    assert_eq!(said(&mut rows, &keyed("0", "third", 7)), is(None, "first"), "what was refused is not remembered");
}

#[test]
fn each_agent_has_keys_of_its_own() {
    let mut rows = LoadedRows::new();
    assert_eq!(said(&mut rows, &keyed("6", "k", 1)), is(None, "first"));
    let mut helper = pay("6", &chain(&["payments:*"], &["", ""]), 2);
    helper.headers.retain(|(name, _)| !name.starts_with("signature") && name != "content-digest");
    helper.headers.push(("idempotency-key".to_owned(), b"k".to_vec()));
    assert_eq!(said(&mut rows, &helper.signed(2)), is(Some(Reason::SpendDailyExceeded), "first"));
}

#[test]
fn a_key_that_is_none_or_is_not_covered_is_refused() {
    let mut rows = LoadedRows::new();
    let long = "k".repeat(256);
    for (nonce, key) in (1..).zip(["", "a b", long.as_str()]) {
        assert_eq!(decided(&mut rows, &keyed("1", key, nonce)).reason, Some(Reason::IdempotencyKeyInvalid), "{key:?}");
    }
    assert_eq!(decided(&mut rows, &keyed("1", &"k".repeat(255), 20)).reason, None);
    let mut added = pay("1", &chain(&["payments:*"], &[""]), 21);
    added.headers.push(("idempotency-key".to_owned(), b"k".to_vec()));
    assert_eq!(decided(&mut rows, &added).reason, Some(Reason::IdempotencyKeyInvalid), "added on the way");
    let mut twice = Call::new("POST", "/pay", r#"{"usd":1,"to":"shop.example"}"#);
    twice.headers.extend([b"k", b"l"].map(|key| ("idempotency-key".to_owned(), key.to_vec())));
    assert_eq!(decided(&mut rows, &twice.signed(22)).reason, Some(Reason::IdempotencyKeyInvalid));
}

#[test]
fn where_the_upstream_goes_by_no_keys_each_request_is_charged() {
    let mut gate = keyed_gate();
    gate.routes.iter_mut().for_each(|route| route.idempotency_seconds = None);
    let mut rows = LoadedRows::new();
    for (nonce, expected) in [(1, None), (2, Some(Reason::SpendDailyExceeded))] {
        let judged = keyed("6", "k", nonce).judged(&gate).unwrap();
        assert_eq!(judged.demand().idempotency, None);
        let admission = admit(&mut rows, &judged);
        assert_eq!(decide(&judged, &admission).reason, expected);
    }
}

#[test]
fn what_is_held_back_stands_for_nothing() {
    let mut gate = keyed_gate();
    gate.guardrails.require_approval_above = Some(MicroUsd(5_000_000));
    let mut rows = LoadedRows::new();
    let judged = keyed("6", "k", 1).judged(&gate).unwrap();
    let admission = admit(&mut rows, &judged);
    assert_eq!(decide(&judged, &admission).reason, Some(Reason::ApprovalRequired));
    assert_eq!(judged.demand().idempotency.as_ref().map(|claim| claim.mode), Some(SpendMode::Probe));
    assert_eq!(said(&mut rows, &keyed("1", "k", 2)), is(None, "first"));
}

#[test]
fn an_admission_that_says_nothing_of_the_key_allows_nothing() {
    let judged = keyed("1", "k", 1).judged(&keyed_gate()).unwrap();
    let mut admission = admit(&mut LoadedRows::new(), &judged);
    assert_eq!(admission.idempotency.take(), Some(IdempotencyAnswer::First));
    assert_eq!(decide(&judged, &admission).reason, Some(Reason::InternalError));
}
