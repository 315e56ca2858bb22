//! Requests that ask for a one-action pass, or present one.

use passgate_passport::action_pass::{self, ACTION_PASS_FIELD, Binding};

use super::chains::{AGENTS, chain};
use super::*;
use crate::attest::{ActionPassUse, EvidenceValue, Stamp, Writer};
use crate::gate::ActionPasses;
use crate::plugin::{PluginOutcome, PluginRecord, PluginVerdict};
use crate::state::{Demand, PassAnswer, RateAnswer, SpendAnswer};

const ORDER: &str = r#"{"usd":20,"to":"shop.example","note":"a"}"#;

fn key() -> SecretKey {
    SecretKey::from_seed([8; 32])
}

fn minting() -> Gate {
    let passes = ActionPasses { ttl_seconds: 120, binding: Binding::ContentAndKey, keys: Vec::new() };
    let mut gate = Gate { action_passes: Some(passes), ..gate() };
    gate.mint_with(vec![key().public().clone()]);
    gate
}

fn order(pass: &str, nonce: u32) -> Call {
    let mut call = Call::new("POST", "/pay", ORDER);
    call.headers.push((ACTION_PASS_FIELD.to_owned(), pass.as_bytes().to_vec()));
    call.signed(nonce)
}

fn stamp() -> Stamp {
    Stamp { now: NOW, random: [5; 10] }
}

fn minted(rows: &mut LoadedRows, nonce: u32) -> String {
    minted_for(&minting(), rows, &order("mint", nonce))
}

fn minted_for(gate: &Gate, rows: &mut LoadedRows, asking: &Call) -> String {
    let judged = asking.judged(gate).unwrap();
    let decision = decide(&judged, &admit(rows, &judged));
    assert_eq!((&decision.verdict, decision.verdict.kind()), (&Verdict::Mint, DecisionKind::Allow));
    action_pass::mint(&key(), &judged.pass_to_mint(&decision, &stamp()).unwrap()).unwrap()
}

fn says(verdict: PluginVerdict, redacted: &[&str]) -> PluginRecord {
    PluginRecord {
        config_sha256: "sha256:c".to_owned(),
        digest: "sha256:d".to_owned(),
        fuel: 7,
        name: "p".to_owned(),
        outcome: PluginOutcome::Answered,
        reason: None,
        redacted: redacted.iter().map(|pointer| (*pointer).to_owned()).collect(),
        roles: Vec::new(),
        verdict: Some(verdict),
        version: "1.0.0".to_owned(),
    }
}

#[test]
fn what_is_allowed_is_minted_and_redeemed_once() {
    let mut rows = LoadedRows::new();
    let token = minted(&mut rows, 1);
    assert!(!rows.keys().any(|key| key.starts_with("s:")), "asking charges nothing");
    for (nonce, reason) in [(2, None), (3, Some(Reason::ActionPassRedeemed))] {
        let judged = order(&token, nonce).judged(&minting()).unwrap();
        let recorded = judged.request().action_pass.as_ref().unwrap();
        assert_eq!(recorded.usage, ActionPassUse::Redeem);
        let decision = decide(&judged, &admit(&mut rows, &judged));
        assert_eq!(decision.reason, reason);
        let approval = decision.guardrails.iter().find(|guardrail| guardrail.guardrail == "approval").unwrap();
        assert_eq!(approval.evidence.get("action_pass"), Some(&EvidenceValue::Text(recorded.id.clone().unwrap())));
        assert_eq!(approval.reason_code, reason);
        assert_eq!(judged.pass_to_mint(&decision, &stamp()), None, "it asks for none");
    }
}

#[test]
fn a_pass_and_its_record_have_one_ulid() {
    let judged = order("mint", 1).judged(&minting()).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    let pass = judged.pass_to_mint(&decision, &stamp()).unwrap();
    let ulid = |id: &str| id.split_once('_').unwrap().1.to_owned();
    assert_eq!(pass.attestation_id, Writer::attestation_id(&stamp()));
    assert_eq!(ulid(&pass.jti), ulid(&pass.attestation_id));
    assert_eq!((pass.exp - pass.iat, pass.iat), (120, NOW.seconds()));
}

#[test]
fn without_keys_there_are_no_passes() {
    let mut gate = minting();
    gate.mint_with(Vec::new());
    let judged = order("mint", 1).judged(&gate).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    assert_eq!(decision.reason, Some(Reason::ActionPassRefused));
    assert_eq!(judged.pass_to_mint(&decision, &stamp()), None);
}

#[test]
fn an_admission_that_does_not_spend_the_pass_allows_nothing() {
    let token = minted(&mut LoadedRows::new(), 1);
    let judged = order(&token, 2).judged(&minting()).unwrap();
    let plain = Call::new("POST", "/pay", ORDER).signed(3).judged(&minting()).unwrap();
    let answered = |judged: &Judged, pass| {
        let rate = RateAnswer { conforms: true, remaining: 1, reset_seconds: 0, retry_after_seconds: 0 };
        let spend = SpendAnswer { fits: true, spent_before: MicroUsd(0) };
        let Demand { rates, spends, .. } = judged.demand();
        let admission = Admission::handed_over(
            NonceAnswer::Fresh,
            None,
            None,
            pass,
            Vec::new(),
            vec![rate; rates.len()],
            vec![spend; spends.len()],
        );
        decide(judged, &admission).reason
    };
    assert_eq!(answered(&judged, Some(PassAnswer::Redeemed)), None);
    assert_eq!(answered(&judged, None), Some(Reason::InternalError));
    assert_eq!(answered(&judged, Some(PassAnswer::Unspent)), Some(Reason::InternalError));
    assert_eq!(answered(&judged, Some(PassAnswer::Fenced)), Some(Reason::ActionPassFenced));
    assert_eq!(answered(&plain, None), None);
    assert_eq!(answered(&plain, Some(PassAnswer::Redeemed)), Some(Reason::InternalError), "nobody asked for it");
}

#[test]
fn what_a_plugin_refuses_is_neither_minted_nor_redeemed() {
    let (mut rows, token) = (LoadedRows::new(), minted(&mut LoadedRows::new(), 1));
    for (nonce, pass) in [(2, "mint"), (3, token.as_str())] {
        let judged = order(pass, nonce).judged(&minting()).unwrap();
        let (judged, _) = judged.restrict(vec![says(PluginVerdict::StepUp, &[])], ORDER.as_bytes(), &seed());
        let decision = decide(&judged, &admit(&mut rows, &judged));
        assert_eq!(decision.reason, Some(Reason::PluginStepUp));
        assert_eq!(judged.pass_to_mint(&decision, &stamp()), None);
    }
    let judged = order(&token, 4).judged(&minting()).unwrap();
    assert_eq!(decide(&judged, &admit(&mut rows, &judged)).reason, None, "the pass is unspent");
}

#[test]
fn a_body_that_is_redacted_has_the_hash_from_before() {
    let mut rows = LoadedRows::new();
    let redacts = || vec![says(PluginVerdict::Redact, &["/note"])];
    let (judged, body) = order("mint", 1).judged(&minting()).unwrap().restrict(redacts(), ORDER.as_bytes(), &seed());
    assert_eq!((body, &judged.request().forwarded_payload_sha256), (None, &None), "nothing is forwarded");
    let decision = decide(&judged, &admit(&mut rows, &judged));
    let pass = judged.pass_to_mint(&decision, &stamp()).unwrap();
    let token = action_pass::mint(&key(), &pass).unwrap();
    let (judged, body) = order(&token, 2).judged(&minting()).unwrap().restrict(redacts(), ORDER.as_bytes(), &seed());
    assert!(body.is_some() && judged.request().forwarded_payload_sha256.is_some());
    assert_eq!(decide(&judged, &admit(&mut rows, &judged)).reason, None);
}

#[test]
fn plugins_are_not_shown_the_pass() {
    let judged = order("mint", 1).judged(&minting()).unwrap();
    let shown: Vec<&str> = judged.covered_fields().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(shown, ["content-digest", "content-type"]);
}

#[test]
fn a_judgement_carries_its_pass_over() {
    let token = minted(&mut LoadedRows::new(), 1);
    for pass in ["mint", token.as_str()] {
        let judged = order(pass, 2).judged(&minting()).unwrap();
        let arrived = Judged::from_bytes(&judged.to_bytes()).unwrap();
        let (sent, got) = (admit(&mut LoadedRows::new(), &judged), admit(&mut LoadedRows::new(), &arrived));
        assert_eq!(decide(&judged, &sent), decide(&arrived, &got));
        assert_eq!(arrived.demand(), judged.demand());
    }
}

/// Bound to no key, so that only what the pass is for keeps it from the others of its chain.
#[test]
fn a_pass_of_a_sub_agent_is_nobody_elses_in_its_chain() {
    let mut gate = minting();
    gate.action_passes.as_mut().unwrap().binding = Binding::Content;
    let whole = chain(&["payments:*"], &["", "", ""]);
    let parts: Vec<&str> = whole.split('~').collect();
    let order_by = |chain: &str, pass: &str, nonce: u32| {
        let mut call = Call::new("POST", "/pay", ORDER);
        call.headers[0].1 = chain.as_bytes().to_vec();
        call.headers.push((ACTION_PASS_FIELD.to_owned(), pass.as_bytes().to_vec()));
        call.key = SecretKey::from_seed([AGENTS[chain.matches('~').count()]; 32]);
        call.signed(nonce)
    };
    let (root, own) = (parts[0], parts[..2].join("~"));
    let renewed = chain(&["payments:*"], &["", r#"{"purpose":"refunds"}"#]);
    assert!(renewed.starts_with(&format!("{root}~")), "the same agent's other passport from the same parent");
    let token = minted_for(&gate, &mut LoadedRows::new(), &order_by(&own, "mint;v=0", 1));
    let mismatch = Some(Reason::ActionPassContentMismatch);
    for (chain, expected) in [(root, mismatch), (&whole, mismatch), (&renewed, mismatch), (&own, None)] {
        let judged = order_by(chain, &token, 2).judged(&gate).unwrap();
        assert_eq!(decide(&judged, &admit(&mut LoadedRows::new(), &judged)).reason, expected);
    }
}

#[test]
fn a_pass_is_of_no_use_once_its_agent_is_revoked_or_suspended() {
    let agent = Subject::Agent { issuer: ISSUER.to_owned(), agent_id: "bot-1".to_owned() };
    let mut rows = LoadedRows::new();
    let token = minted(&mut rows, 1);
    let redeemed = |rows: &mut LoadedRows, nonce| {
        let judged = order(&token, nonce).judged(&minting()).unwrap();
        decide(&judged, &admit(rows, &judged)).reason
    };
    let suspension = state::suspension_write(&agent, NOW.seconds());
    let mut suspended = rows.clone();
    suspended.insert(suspension.key.clone(), suspension.value);
    assert_eq!(redeemed(&mut suspended, 2), Some(Reason::Suspended));
    suspended.remove(&suspension.key);
    assert_eq!(redeemed(&mut suspended, 3), None, "the pass is unspent");
    let revocation = state::revocation_write(&agent, NOW.seconds());
    rows.insert(revocation.key, revocation.value);
    assert_eq!(redeemed(&mut rows, 2), Some(Reason::Revoked));
}

#[test]
fn a_pass_stands_for_nothing_that_the_policy_asks_by_now() {
    let mut lenient = minting();
    lenient.action_passes.as_mut().unwrap().binding = Binding::Content;
    let mut rows = LoadedRows::new();
    let token = minted_for(&lenient, &mut rows, &order("mint;v=0", 1));
    let redeemed = |gate: &Gate, rows: &mut LoadedRows, nonce| {
        let judged = order(&token, nonce).judged(gate).unwrap();
        decide(&judged, &admit(rows, &judged)).reason
    };
    let mut closed = lenient.clone();
    closed.guardrails.allowed_domains = Some(Vec::new());
    assert_eq!(redeemed(&closed, &mut rows, 2), Some(Reason::DomainNotAllowed));
    assert_eq!(redeemed(&minting(), &mut rows, 3), Some(Reason::ActionPassKeyRequired));
    rows.retain(|key, _| !key.starts_with("g:"));
    assert_eq!(redeemed(&lenient, &mut rows, 4), None, "the pass is unspent");
}
