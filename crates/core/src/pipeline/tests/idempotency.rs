//! Requests that are sent again with their idempotency key.

use super::chains::{AGENTS, chain, chain_of, pay};
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

fn keyed_amount() -> Option<AmountSource> {
    Some(AmountSource { pointer: "/usd".to_owned(), unit: Unit::Usd })
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

/// What names the key, and of which request it is.
fn claimed(gate: &Gate, call: Call) -> (String, String) {
    let claim = call.signed(1).judged(gate).unwrap().demand().idempotency.clone().unwrap();
    (claim.key, claim.request_sha256)
}

#[test]
fn every_part_of_a_request_makes_it_another_and_every_party_has_keys_of_its_own() {
    const OTHER: &str = "https://other.example";
    let mut gate = keyed_gate();
    gate.trust = TrustStore::new([issuer(ISSUER, 1), issuer(OTHER, 1)], SelfIssued::Refused).unwrap();
    let any = Route { method: None, path: PathPattern::parse("/**").unwrap(), ..gate.routes[0].clone() };
    gate.routes = vec![Route { amount: keyed_amount(), idempotency_seconds: Some(60), ..any }];
    let call = |method, path: &str, fields: &[(&str, &str)]| {
        let mut call = Call::new(method, path, r#"{"usd":1}"#);
        call.headers[0].1 = chain(&["web:*", "payments:*"], &[""]).into_bytes();
        let keyed = fields.iter().all(|(name, _)| *name != "idempotency-key").then_some(("idempotency-key", "k"));
        for (name, value) in keyed.iter().chain(fields) {
            call.headers.retain(|(known, _)| known != name);
            call.headers.push(((*name).to_owned(), value.as_bytes().to_vec()));
        }
        call
    };
    let base = claimed(&gate, call("POST", "/pay", &[]));
    assert_eq!(claimed(&gate, call("POST", "/pay", &[("x-trace", "7")])), base);
    let mut other_body = call("POST", "/pay", &[]);
    other_body.body = br#"{"usd":2}"#.to_vec();
    for other in [
        call("PUT", "/pay", &[]),
        call("POST", "/pay/7", &[]),
        call("POST", "/pay?", &[]),
        call("POST", "/pay?to=me", &[]),
        call("POST", "/pay", &[("content-type", "application/json; charset=utf-8")]),
        other_body,
    ] {
        let (key, request) = claimed(&gate, other);
        assert!(key == base.0 && request != base.1);
    }
    let mut others: Vec<(String, String)> = vec![base.clone()];
    for fields in [
        [("idempotency-key", "l")],
        [("authorization", "Bearer one")],
        [("authorization", "Bearer two")],
        [("cookie", "Bearer one")],
    ] {
        others.push(claimed(&gate, call("POST", "/pay", &fields)));
    }
    for passport in [chain_of(OTHER, 1, &["web:*"], &[""]), chain(&["web:*"], &["", ""])] {
        let mut other = call("POST", "/pay", &[]);
        other.key = SecretKey::from_seed([AGENTS[passport.matches('~').count()]; 32]);
        other.headers[0].1 = passport.into_bytes();
        others.push(claimed(&gate, other));
    }
    gate.id = "another".to_owned();
    others.push(claimed(&gate, call("POST", "/pay", &[])));
    assert!(others.iter().all(|(_, request)| *request == base.1));
    let keys: SortedSet<String> = others.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys.len(), others.len(), "{others:?}");
}

#[test]
fn what_is_charged_nothing_is_not_remembered() {
    let mut rows = LoadedRows::new();
    assert_eq!(said(&mut rows, &keyed("0", "k", 1)), is(None, "first"));
    assert_eq!(said(&mut rows, &keyed("1", "k", 2)), is(None, "first"));
    assert_eq!(said(&mut rows, &keyed("0", "k", 3)), is(Some(Reason::IdempotencyKeyReused), "reused"));
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
