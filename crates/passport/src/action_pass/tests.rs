mod form;

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::ToString as _;
use alloc::vec;
use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::claims::claim;
use super::*;
use crate::action::tests::{BODY, agent};
use crate::action::{self, Action, Agent};
use crate::b64;
use crate::http::{Header, HttpRequest};
use crate::jws::JwsError;
use crate::scope::ActionName;

const IAT: i64 = 1_800_000_000;
const TTL: i64 = 120;
const GATE: &str = "gate-1";
const HEADERS: &[Header<'static>] = &[Header { name: "content-type", value: b"application/json" }];
/// The thumbprint of the agent's key.
const HOLDER: &str = "nRIE2VmKdMjL1JD7tbV7fXVgXxmv0GKnMFWRUJMTf9Q";
const PAGE: &str = include_str!("../../../../docs/spec/action-pass.md");

/// Seeds: 1 is the gate's key, 2 the one before it, 3 the agent's, 4 that of somebody else.
fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn jkt(seed: u8) -> String {
    key(seed).public().thumbprint().to_owned()
}

fn request() -> HttpRequest<'static> {
    HttpRequest { headers: HEADERS, ..action::tests::request() }
}

/// The action of a refund of 12.50 USD.
fn action_at(gate_id: &str, request: &HttpRequest<'_>, agent: Agent, passport: &[u8]) -> Action {
    Action {
        amount_micro_usd: Some(12_500_000),
        name: Some(ActionName::parse("payments:refund").unwrap()),
        target_domain: Some("api.example.com".into()),
        ..Action::of_request(gate_id, request, agent, Sha256::digest(passport).into()).unwrap()
    }
}

fn action() -> Action {
    action_at(GATE, &request(), agent(), b"a passport")
}

fn v0() -> ActionPass {
    ActionPass {
        action: action().hash().unwrap(),
        approvals: vec![],
        attestation_id: "att_01ARYZ6S410000000000000001".into(),
        audience: GATE.into(),
        exp: IAT + TTL,
        holder_jkt: None,
        iat: IAT,
        issuer: GATE.into(),
        jti: "actp_01ARYZ6S410000000000000002".into(),
    }
}

fn v1() -> ActionPass {
    let approvals = vec!["appr_01ARYZ6S410000000000000003".into(), "appr_01ARYZ6S410000000000000004".into()];
    ActionPass { approvals, holder_jkt: Some(jkt(3)), ..v0() }
}

fn minted(pass: &ActionPass) -> String {
    mint(&key(1), pass).unwrap()
}

/// Signed by the gate, whether or not a gate would mint it.
fn signed(pass: &ActionPass) -> String {
    jws::sign(&key(1), TokenType::ActionPass, &pass.payload().unwrap())
}

fn payload(pass: &ActionPass) -> Value {
    serde_json::from_slice(&pass.payload().unwrap()).unwrap()
}

/// At gate 1, half a minute after minting, by the agent's key, for `action`.
fn presented<'a>(
    token: &str,
    action: &'a ActionHash,
    change: impl FnOnce(&mut RedeemContext<'a>),
) -> Result<ActionPass, ActionPassError> {
    let mut context = context(action);
    change(&mut context);
    verify(token, &[key(1).public().clone(), key(2).public().clone()], &context).map(|pass| pass.claims().clone())
}

fn context(action: &ActionHash) -> RedeemContext<'_> {
    RedeemContext {
        now: IAT + 30,
        leeway_seconds: 0,
        gate_id: GATE,
        action,
        presenter_jkt: Some(HOLDER),
        binding: Binding::Content,
    }
}

fn verified(token: &str) -> Result<ActionPass, ActionPassError> {
    presented(token, &action().hash().unwrap(), |_| {})
}

fn at(token: &str, now: i64, leeway_seconds: i64) -> Result<ActionPass, ActionPassError> {
    presented(token, &action().hash().unwrap(), |context| {
        context.now = now;
        context.leeway_seconds = leeway_seconds;
    })
}

fn refused_for(action: &Action) {
    for pass in [v0(), v1()] {
        let refused = presented(&minted(&pass), &action.hash().unwrap(), |_| {});
        assert_eq!(refused, Err(ActionPassError::ContentMismatch), "{action:?}");
        assert!(verified(&minted(&pass)).is_ok());
    }
}

#[test]
fn a_pass_says_what_was_minted() {
    for (pass, binding) in [(v0(), Binding::Content), (v1(), Binding::ContentAndKey)] {
        assert_eq!(verified(&minted(&pass)).unwrap(), pass);
        assert_eq!(pass.binding(), binding);
        // The key before the present one still counts where the gate says so.
        assert_eq!(verified(&mint(&key(2), &pass).unwrap()).unwrap(), pass);
    }
}

#[test]
fn a_key_held_elsewhere_signs_the_same_bytes() {
    let input = signing_input(key(1).public().thumbprint(), &v1()).unwrap();
    let signature = key(1).sign(input.as_bytes());
    assert_eq!(jws::with_signature(input, &signature), minted(&v1()));
}

/// The format is stable: these bytes must never change, and stay readable.
#[test]
fn passes_have_their_pinned_bytes() {
    for (pass, pinned) in [(v0(), include_str!("tests/pinned_v0.txt")), (v1(), include_str!("tests/pinned_v1.txt"))] {
        assert_eq!(minted(&pass), pinned.trim_end());
        assert_eq!(verified(pinned.trim_end()).unwrap(), pass);
        let canonical = serde_json_canonicalizer::to_vec(&payload(&pass)).unwrap();
        assert_eq!(pass.payload().unwrap(), canonical);
    }
}

#[test]
fn the_longest_pass_fits() {
    let longest = "\"".repeat(256);
    let approvals = (0..8).map(|n| format!("appr_01ARYZ6S41000000000000000{n}")).collect();
    let pass = ActionPass { audience: longest.clone(), issuer: longest.clone(), approvals, ..v1() };
    let token = minted(&pass);
    assert!(token.len() < MAX_ACTION_PASS_BYTES);
    let held = presented(&token, &v1().action, |context| context.gate_id = &longest);
    assert_eq!(held, Ok(pass));
}

#[test]
fn a_payload_changed_by_one_byte() {
    for i in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[i] ^= 1;
        refused_for(&action_at(GATE, &HttpRequest { body: &body, ..request() }, agent(), b"a passport"));
    }
    for body in [&BODY[1..], &[BODY, b" "].concat(), b""] {
        refused_for(&action_at(GATE, &HttpRequest { body, ..request() }, agent(), b"a passport"));
    }
}

#[test]
fn another_path_query_method_or_place() {
    let typed = |value| [Header { name: "content-type", value }];
    for other in [
        HttpRequest { path: "/v1/refunds/all", ..request() },
        HttpRequest { path: "/v1/refunds/", ..request() },
        HttpRequest { query: Some("dry=1"), ..request() },
        HttpRequest { query: Some(""), ..request() },
        HttpRequest { query: None, ..request() },
        HttpRequest { method: "PUT", ..request() },
        HttpRequest { scheme: "http", ..request() },
        HttpRequest { authority: "gate.example:8443", ..request() },
        HttpRequest { headers: &typed(b"text/plain"), ..request() },
        HttpRequest { headers: &[], ..request() },
    ] {
        refused_for(&action_at(GATE, &other, agent(), b"a passport"));
    }
}

#[test]
fn another_amount_name_or_target() {
    refused_for(&Action { amount_micro_usd: Some(1), ..action() });
    refused_for(&Action { name: Some(ActionName::parse("payments:charge").unwrap()), ..action() });
    refused_for(&Action { target_domain: Some("evil.example".into()), ..action() });
    let unnamed = Action { amount_micro_usd: None, name: None, target_domain: None, ..action() };
    refused_for(&unnamed);
}

#[test]
fn another_agent_or_passport() {
    let other = Agent { id: "agent-8".into(), ..agent() };
    refused_for(&action_at(GATE, &request(), other, b"a passport"));
    // The same name at another issuer is another agent.
    let namesake = Agent { issuer: "https://other.example".into(), ..agent() };
    refused_for(&action_at(GATE, &request(), namesake, b"a passport"));
    refused_for(&action_at(GATE, &request(), agent(), b"another passport"));
}

/// Both gates mint with one key.
#[test]
fn redeeming_at_another_gate() {
    let there = action_at("gate-2", &request(), agent(), b"a passport").hash().unwrap();
    for action in [there, action().hash().unwrap()] {
        let refused = presented(&minted(&v0()), &action, |context| context.gate_id = "gate-2");
        assert_eq!(refused, Err(ActionPassError::AudienceMismatch));
    }
    refused_for(&action_at("gate-2", &request(), agent(), b"a passport"));
}

#[test]
fn a_pass_that_another_gate_minted_for_this_one() {
    let foreign = ActionPass { issuer: "gate-2".into(), ..v0() };
    assert_eq!(verified(&signed(&foreign)), Err(ActionPassError::IssuerMismatch));
    assert_eq!(mint(&key(1), &foreign), Err(MintError::IssuerMismatch));
}

#[test]
fn redeeming_late() {
    let token = minted(&v0());
    let exp = IAT + TTL;
    assert!(at(&token, exp, 0).is_ok());
    assert_eq!(at(&token, exp + 1, 0), Err(ActionPassError::Expired { exp, now: exp + 1 }));
    assert!(at(&token, exp + 5, 5).is_ok());
    assert_eq!(at(&token, exp + 6, 5), Err(ActionPassError::Expired { exp, now: exp + 6 }));
    assert_eq!(at(&token, i64::MAX, 0), Err(ActionPassError::Expired { exp, now: i64::MAX }));
}

#[test]
fn redeeming_before_it_was_minted() {
    let token = minted(&v0());
    assert!(at(&token, IAT, 0).is_ok());
    assert_eq!(at(&token, IAT - 1, 0), Err(ActionPassError::NotYetValid { iat: IAT, now: IAT - 1 }));
    assert!(at(&token, IAT - 5, 5).is_ok());
    assert_eq!(at(&token, IAT - 6, 5), Err(ActionPassError::NotYetValid { iat: IAT, now: IAT - 6 }));
    assert_eq!(at(&token, i64::MIN, 0), Err(ActionPassError::NotYetValid { iat: IAT, now: i64::MIN }));
}

#[test]
fn a_leeway_without_measure_is_cut() {
    let (token, late) = (minted(&v0()), IAT + TTL + MAX_LEEWAY_SECONDS);
    assert!(at(&token, late, i64::MAX).is_ok());
    assert!(matches!(at(&token, late + 1, i64::MAX), Err(ActionPassError::Expired { .. })));
    assert!(at(&token, IAT + TTL, -5).is_ok(), "a negative leeway is none");
    // Whatever the leeway, what is accepted is still remembered.
    let action = action().hash().unwrap();
    let context = RedeemContext { now: late, leeway_seconds: i64::MAX, ..context(&action) };
    let pass = verify(&token, &[key(1).public().clone()], &context).unwrap();
    let key = "gate-1:actp_01ARYZ6S410000000000000002".into();
    assert_eq!(pass.redemption(), Redemption { key, until: late });
}

#[test]
fn a_pass_that_lives_too_long() {
    let longest = ActionPass { exp: IAT + MAX_ACTION_PASS_TTL_SECONDS, ..v0() };
    assert!(verified(&minted(&longest)).is_ok());
    let seconds = MAX_ACTION_PASS_TTL_SECONDS + 1;
    let longer = ActionPass { exp: IAT + seconds, ..v0() };
    assert_eq!(verified(&signed(&longer)), Err(ActionPassError::LifetimeExceeded { seconds }));
    assert_eq!(mint(&key(1), &longer), Err(MintError::LifetimeExceeded { seconds }));
    assert!(verified(&minted(&ActionPass { iat: IAT + 29, exp: IAT + 30, ..v0() })).is_ok());
}

#[test]
fn presenting_with_another_key_or_none() {
    let (token, action, gate, other) = (minted(&v1()), v1().action, jkt(1), jkt(4));
    for presenter in [Some(&*other), None, Some(""), Some(&gate)] {
        let refused = presented(&token, &action, |context| context.presenter_jkt = presenter);
        assert_eq!(refused, Err(ActionPassError::KeyMismatch), "{presenter:?}");
    }
}

#[test]
fn a_pass_bound_to_no_key_where_one_is_demanded() {
    let demanding = |pass: &ActionPass| presented(&minted(pass), &pass.action, |c| c.binding = Binding::ContentAndKey);
    assert_eq!(demanding(&v0()), Err(ActionPassError::KeyRequired));
    assert_eq!(demanding(&v1()), Ok(v1()));
}

#[test]
fn minting_for_oneself() {
    assert_eq!(verified(&mint(&key(3), &v0()).unwrap()), Err(ActionPassError::KeyUnknown));
    assert_eq!(verify(&minted(&v0()), &[], &context(&v0().action)), Err(ActionPassError::KeyUnknown));
}

#[test]
fn the_name_of_the_gates_key_over_the_signature_of_another() {
    let input = signing_input(key(1).public().thumbprint(), &v0()).unwrap();
    let forged = jws::with_signature(input.clone(), &key(3).sign(input.as_bytes()));
    assert_eq!(verified(&forged), Err(ActionPassError::SignatureInvalid));
}

#[test]
fn other_kinds_of_tokens() {
    for typ in TokenType::ALL.into_iter().filter(|typ| *typ != TokenType::ActionPass) {
        let refused = verified(&jws::sign(&key(1), typ, &v0().payload().unwrap()));
        let expected = ActionPassError::Token(JwsError::Type { expected: "actionpass+jwt" });
        assert_eq!(refused, Err(expected), "{typ:?}");
    }
}

/// Nor is a pass good as any other token.
#[test]
fn a_pass_in_the_place_of_another_token() {
    for typ in TokenType::ALL.into_iter().filter(|typ| *typ != TokenType::ActionPass) {
        let refused = jws::decode(&minted(&v0()), typ, MAX_ACTION_PASS_BYTES).unwrap_err();
        assert_eq!(refused, JwsError::Type { expected: typ.as_str() });
    }
}

/// One name for all spellings of a pass, and another for every other pass and gate.
#[test]
fn redemptions_of_different_passes_never_meet() {
    let ids = ["actp_01ARYZ6S410000000000000002", "actp_01ARYZ6S410000000000000003"];
    let gates = ["gate-1", "gate-1:actp_01ARYZ6S410000000000000002", "gate-1:"];
    let passes =
        gates.iter().flat_map(|gate| ids.map(|jti| ActionPass { audience: (*gate).into(), jti: jti.into(), ..v0() }));
    let keys: BTreeSet<String> = passes.map(|claims| VerifiedActionPass { claims }.redemption().key).collect();
    assert_eq!(keys.len(), 6);
    // Signed again, by another key and with another binding, it is still the same pass.
    let again = VerifiedActionPass { claims: v1() }.redemption();
    assert_eq!(again, VerifiedActionPass { claims: v0() }.redemption());
}

#[test]
fn every_code_stands_in_the_specification() {
    for code in ActionPassError::CODES {
        assert_eq!(PAGE.matches(&format!("| `{code}` |")).count(), 1, "{code}");
    }
}

#[test]
fn the_example_of_the_specification_is_what_is_pinned() {
    let shown = PAGE.split("```json").skip(1).map(|rest| rest.split("```").next().unwrap());
    let shown: Vec<Value> = shown.map(|json| serde_json::from_str(json).unwrap()).collect();
    let action: Value = serde_json::from_slice(&action().canonical().unwrap()).unwrap();
    assert_eq!(shown, [action, payload(&v1())]);
    assert!(PAGE.contains(include_str!("tests/pinned_v1.txt").trim_end()));
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_pass_is_refused(at in any::<prop::sample::Index>(), to in 0..128_u8, key_bound in any::<bool>()) {
        let token = minted(&if key_bound { v1() } else { v0() });
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(verified(&changed).is_ok(), changed == token);
    }

    #[test]
    fn any_changed_byte_of_the_action_is_refused(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = action().canonical().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(changed) = Action::read(&bytes) {
            let refused = presented(&minted(&v0()), &changed.hash().unwrap(), |_| {});
            prop_assert_eq!(refused, Err(ActionPassError::ContentMismatch));
        }
    }

    #[test]
    fn verifying_never_panics(text in ".{0,80}", payload in any::<Vec<u8>>()) {
        prop_assert!(verified(&text).is_err());
        prop_assert!(verified(&jws::sign(&key(1), TokenType::ActionPass, &payload)).is_err());
    }

    #[test]
    fn a_pass_is_accepted_exactly_while_it_lives(now in IAT - 700..IAT + 1000, leeway in -10..400_i64, ttl in 1..=300_i64) {
        let token = minted(&ActionPass { exp: IAT + ttl, ..v0() });
        let within = leeway.clamp(0, 300);
        let expected = (IAT - within..=IAT + ttl + within).contains(&now);
        prop_assert_eq!(at(&token, now, leeway).is_ok(), expected);
    }
}
