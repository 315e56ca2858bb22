//! What people approve is let through, once, and nothing else is.

use alloc::sync::Arc;

use passgate_passport::action::Agent;
use passgate_passport::approval::{self, APPROVAL_FIELD, Approval, Grant};
use passgate_passport::constraints::Constraints;
use proptest::prelude::*;
use sha2::Digest as _;

use super::chains::{call, chain};
use super::plugins::{redacts, says};
use super::*;
use crate::approval::{ApprovalRequest, RefusedAnswer, RequestState, ShownView};
use crate::attest::EvidenceValue;
use crate::gate::{Approvals, Approver};
use crate::plugin::{PluginRecord, PluginVerdict};
use crate::policy::{self, Effect, Mode, Policy, Rule};
use crate::state::{PER_GRANT, restart_fences};

const ORDER: &str = r#"{"usd":60,"to":"shop.example","note":"for the office"}"#;
const ID: &str = "areq_01ARYZ6S410000000000000002";
const ALICE: u8 = 21;
const BOB: u8 = 22;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn approver(name: &str, seed: u8, roles: &[&str]) -> Approver {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Approver { name: name.to_owned(), key: key(seed).public().clone(), roles }
}

pub(super) fn approved_gate() -> Gate {
    let mut gate = gate();
    gate.guardrails.rates.agent = RateLimits::default();
    gate.guardrails.spend.agent.daily = Some(MicroUsd(1_000_000_000));
    let approvers = vec![approver("alice", ALICE, &["finance"]), approver("bob", BOB, &["security"])];
    gate.approvals = Some(Approvals { approvers, request_ttl_seconds: 3600 });
    gate
}

pub(super) fn order(body: &str, nonce: u32) -> Call {
    Call::new("POST", "/pay", body).signed(nonce)
}

pub(super) fn with(mut call: Call, tokens: &[String]) -> Call {
    call.headers.push((APPROVAL_FIELD.to_owned(), tokens.join(", ").into_bytes()));
    call
}

/// What waits for approval after a decision.
pub(super) fn request_of(judged: &Judged, decision: &Decision) -> Option<ApprovalRequest> {
    judged.approval_to_ask(decision.verdict.kind()).map(|ask| ApprovalRequest {
        agent: ask.agent,
        approvals: Vec::new(),
        asked: 1,
        asked_at: NOW.seconds(),
        expires_at: NOW.seconds() + ask.ttl_seconds,
        id: ID.to_owned(),
        note: None,
        shown: ask.shown,
        state: RequestState::Pending,
    })
}

/// Decided after these plugins, with what the decision leaves to ask.
fn asked(
    rows: &mut LoadedRows,
    gate: &Gate,
    call: &Call,
    plugins: &[PluginRecord],
) -> (Judged, Decision, Option<ApprovalRequest>) {
    let (judged, _) = call.judged(gate).unwrap().restrict(plugins.to_vec(), &call.body, &seed());
    let admission = admit(rows, &judged);
    let decision = decide(&judged, &admission);
    let request = request_of(&judged, &decision);
    (judged, decision, request)
}

fn waiting(gate: &Gate, call: &Call) -> ApprovalRequest {
    let (_, decision, request) = asked(&mut LoadedRows::new(), gate, call, &[]);
    assert_eq!(decision.verdict.kind(), DecisionKind::StepUp);
    request.unwrap()
}

fn reason(rows: &mut LoadedRows, gate: &Gate, call: &Call) -> Option<Reason> {
    asked(rows, gate, call, &[]).1.reason
}

fn approval(request: &ApprovalRequest, name: &str, serial: u8) -> Approval {
    Approval {
        audience: "gate_1".to_owned(),
        exp: NOW.seconds() + 600,
        grant: None,
        iat: NOW.seconds(),
        issuer: name.to_owned(),
        jti: passgate_passport::id::new_id("appr", NOW.0, [serial; 10]),
        request_id: request.id.clone(),
        shown_sha256: request.shown_sha256(),
    }
}

pub(super) fn by_alice(request: &ApprovalRequest) -> String {
    approval::sign(&key(ALICE), &approval(request, "alice", 1)).unwrap()
}

fn by_bob(request: &ApprovalRequest) -> String {
    approval::sign(&key(BOB), &approval(request, "bob", 2)).unwrap()
}

fn granting(request: &ApprovalRequest, uses: u64, constraints: &str) -> String {
    let constraints = match constraints {
        "" => Constraints::default(),
        json => Constraints::from_json(json.as_bytes(), 4096).unwrap(),
    };
    let grant = Grant {
        agent: Agent { id: "bot-1".to_owned(), issuer: ISSUER.to_owned() },
        holder_jkt: None,
        needs: vec!["approval_required".to_owned()],
        constraints,
        permissions: vec![Scope::parse("payments:create").unwrap()],
        uses,
    };
    approval::sign(&key(ALICE), &Approval { grant: Some(grant), ..approval(request, "alice", 1) }).unwrap()
}

#[test]
fn what_is_approved_is_let_through_once() {
    let (gate, mut rows) = (approved_gate(), LoadedRows::new());
    let request = waiting(&gate, &order(ORDER, 1));
    let token = by_alice(&request);
    let (judged, decision, ask) = asked(&mut rows, &gate, &with(order(ORDER, 2), core::slice::from_ref(&token)), &[]);
    assert_eq!((decision.verdict.kind(), decision.reason, ask), (DecisionKind::Allow, None, None));
    assert_eq!(result(&decision, "approval"), GuardrailOutcome::Pass);
    let evidence = &decision.guardrails.iter().find(|g| g.guardrail == "approval").unwrap().evidence;
    assert!(matches!(evidence.get("approvals"), Some(EvidenceValue::Text(id)) if id.starts_with("appr_")));
    let recorded = &judged.record(&decision).request;
    assert_eq!(recorded.approvals[0].approver, "alice");
    assert_eq!(recorded.shown_sha256.as_deref(), Some(&*crate::attest::sha256_label(&request.shown_sha256())));
    let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
    assert_eq!(handed.demand(), judged.demand());
    let (restricted, _) = handed.restrict(Vec::new(), ORDER.as_bytes(), &seed());
    assert!(restricted.demand().approvals.is_empty(), "what was presented is not known there");
    assert_eq!(restricted.demand().subjects, judged.demand().subjects);
    let refused = decide(&restricted, &admit(&mut LoadedRows::new(), &restricted));
    assert_eq!(refused.verdict.kind(), DecisionKind::StepUp);
    assert!(rows.keys().any(|key| key.starts_with("s:")), "it charges");
    assert_eq!(reason(&mut rows, &gate, &with(order(ORDER, 3), &[token])), Some(Reason::ApprovalUsed));
}

#[test]
fn what_is_shown_says_what_would_be_done() {
    let request = waiting(&approved_gate(), &order(ORDER, 1));
    let shown: serde_json::Value = serde_json::from_str(&request.shown).unwrap();
    assert_eq!(shown["body"]["text"], ORDER);
    assert_eq!(shown["action"]["name"], "payments:create");
    assert_eq!(shown["action"]["amount_micro_usd"], 60_000_000);
    assert_eq!(shown["agent"]["agent_id"], "bot-1");
    assert_eq!(shown["needs"][0]["reason_code"], "approval_required");
    assert_eq!(shown["policy"]["version"], 7);
    assert_eq!(waiting(&approved_gate(), &order(ORDER, 9)).shown, request.shown, "another proof changes nothing");
}

#[test]
fn what_the_page_shows_is_canonical_and_has_the_members_of_what_is_shown() {
    let page = include_str!("../../../../../docs/spec/approval.md");
    let block = page.split_once("```json\n").unwrap().1.split_once("```").unwrap().0;
    let document: serde_json::Value = serde_json::from_str(block).unwrap();
    let canonical = serde_json_canonicalizer::to_vec(&document).unwrap();
    let digest = sha2::Sha256::digest(&canonical).into();
    assert!(page.contains(&crate::attest::sha256_label(&digest)));
    let shown: serde_json::Value = serde_json::from_str(&waiting(&approved_gate(), &order(ORDER, 1)).shown).unwrap();
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&document), names(&shown));
    assert!(ShownView::of(&String::from_utf8(canonical).unwrap()).is_some());
}

#[test]
fn an_approval_holds_for_nothing_but_what_was_shown() {
    let gate = approved_gate();
    let request = waiting(&gate, &order(ORDER, 1));
    let refused = |gate: &Gate, call: Call, token: String| reason(&mut LoadedRows::new(), gate, &with(call, &[token]));
    let mismatch = Some(Reason::ApprovalContentMismatch);
    let changed = ORDER.replace("office", "offise");
    assert_eq!(refused(&gate, order(&changed, 2), by_alice(&request)), mismatch);
    assert_eq!(refused(&gate, order(&ORDER.replace("60", "61"), 2), by_alice(&request)), mismatch);
    let newer = Gate { policy: PolicyRef { version: 8, ..gate.policy.clone() }, ..gate.clone() };
    assert_eq!(refused(&newer, order(ORDER, 2), by_alice(&request)), mismatch);
    let renewed = chain(&["payments:*"], &[""]);
    assert_eq!(refused(&gate, call("POST", "/pay", ORDER, &renewed, 2), by_alice(&request)), mismatch);
    let other = Gate { id: "gate_2".to_owned(), ..gate.clone() };
    assert_eq!(refused(&other, order(ORDER, 2), by_alice(&request)), Some(Reason::ApprovalAudienceMismatch));
    let unsigned = by_alice(&request).replace(".", "..");
    assert_eq!(refused(&gate, order(ORDER, 2), unsigned), Some(Reason::ApprovalMalformed));
    let expired = Approval { iat: NOW.seconds() - 60, exp: NOW.seconds() - 1, ..approval(&request, "alice", 1) };
    let expired = approval::sign(&key(ALICE), &expired).unwrap();
    assert_eq!(refused(&gate, order(ORDER, 2), expired), Some(Reason::ApprovalExpired));
    let nobody = Gate { approvals: None, ..gate };
    assert_eq!(refused(&nobody, order(ORDER, 2), by_alice(&request)), Some(Reason::ApprovalRefused));
}

#[test]
fn an_agent_approves_nothing_of_its_own() {
    let mut gate = approved_gate();
    gate.approvals
        .as_mut()
        .unwrap()
        .approvers
        .extend([approver("bot", 2, &["finance"]), approver("low", 5, &["finance"])]);
    let of = |seed: u8, name: &str, request: &ApprovalRequest| {
        approval::sign(&key(seed), &approval(request, name, seed)).unwrap()
    };
    let request = waiting(&gate, &order(ORDER, 1));
    assert_eq!(
        reason(&mut LoadedRows::new(), &gate, &with(order(ORDER, 2), &[of(2, "bot", &request)])),
        Some(Reason::ApprovalSelf)
    );
    assert_eq!(request.clone().approved(&gate, &of(2, "bot", &request), NOW.seconds()), Err(RefusedAnswer::OwnKey));
    // One below neither: it asks with the authority of the one above.
    let chained = chain(&["payments:*"], &["", ""]);
    let below = waiting(&gate, &call("POST", "/pay", ORDER, &chained, 1));
    for (seed, name) in [(2, "bot"), (5, "low")] {
        let call = call("POST", "/pay", ORDER, &chained, 2);
        let presented = with(call, &[of(seed, name, &below)]);
        assert_eq!(reason(&mut LoadedRows::new(), &gate, &presented), Some(Reason::ApprovalSelf), "{name}");
    }
}

/// Anybody may come to know an approval: the public status of its request gives it out.
#[test]
fn an_approval_that_somebody_else_took_is_worth_nothing() {
    let gate = approved_gate();
    let request = waiting(&gate, &order(ORDER, 1));
    // Of the same issuer, with the same permissions, and a key of its own.
    let other = |agent_id: &str, seed: u8, nonce: u32| {
        let jti = passgate_passport::id::new_id("pass", NOW.0, [seed; 10]);
        let scopes = vec![Scope::parse("payments:*").unwrap()];
        let (from, until) = (NOW.seconds() - 10, NOW.seconds() + 3600);
        let new = NewPassport::new(jti, agent_id.to_owned(), key(seed).public().clone(), scopes, from, until);
        let passport = issue::issue(&key(1), &NewPassport { iss: Some(ISSUER.to_owned()), ..new }).unwrap();
        let mut call = Call::new("POST", "/pay", ORDER);
        call.headers[0].1 = passport.into_bytes();
        call.key = key(seed);
        call.signed(nonce)
    };
    let mut rows = LoadedRows::new();
    for (nonce, agent_id) in [(2, "bot-9"), (3, "bot-1")] {
        assert_eq!(
            reason(&mut rows, &gate, &with(other(agent_id, 9, nonce), &[by_alice(&request)])),
            Some(Reason::ApprovalContentMismatch),
            "{agent_id}"
        );
    }
    let of_grant = with(other("bot-9", 9, 4), &[granting(&request, 3, "")]);
    assert_eq!(reason(&mut rows, &gate, &of_grant), Some(Reason::ApprovalAgentMismatch));
    // It is still there for whom it is for.
    assert_eq!(reason(&mut rows, &gate, &with(order(ORDER, 5), &[by_alice(&request)])), None);
}

fn rule(name: &str, count: u32, roles: &[&str]) -> Rule {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Rule {
        name: name.to_owned(),
        effect: Effect::StepUp,
        anchors: 0,
        when: Vec::new(),
        require: Vec::new(),
        approval: Some(policy::Approval { roles, count }),
        pass_ttl_seconds: None,
        rates: RateLimits::default(),
        redact: Vec::new(),
    }
}

#[test]
fn every_rule_that_asks_wants_its_own_people() {
    let ruled = |rules: Vec<Rule>| Gate {
        rules: Some(Arc::new(Policy::new(Mode::Enforce, Vec::new(), Vec::new(), rules))),
        ..approved_gate()
    };
    let outcome = |gate: &Gate, tokens: &[fn(&ApprovalRequest) -> String]| {
        let request = waiting(gate, &order(ORDER, 1));
        let tokens: Vec<String> = tokens.iter().map(|sign| sign(&request)).collect();
        reason(&mut LoadedRows::new(), gate, &with(order(ORDER, 2), &tokens))
    };
    let steps_up = Some(Reason::ApprovalRequired);
    let two = ruled(vec![rule("two", 2, &[])]);
    assert_eq!(outcome(&two, &[by_alice]), steps_up);
    assert_eq!(outcome(&two, &[by_alice, by_bob]), None);
    assert_eq!(outcome(&two, &[by_alice, by_alice]), Some(Reason::ApprovalMalformed), "one word counts once");
    let roles = ruled(vec![rule("money", 1, &["finance"]), rule("access", 1, &["security"])]);
    assert_eq!(outcome(&roles, &[by_alice]), steps_up);
    assert_eq!(outcome(&roles, &[by_bob]), steps_up);
    assert_eq!(outcome(&roles, &[by_bob, by_alice]), None);
    let both_of = ruled(vec![rule("money", 2, &["finance"])]);
    assert_eq!(outcome(&both_of, &[by_bob, by_alice]), steps_up);
    let again = |request: &ApprovalRequest| approval::sign(&key(ALICE), &approval(request, "alice", 9)).unwrap();
    assert_eq!(outcome(&two, &[by_alice, again]), steps_up, "a person counts once");
}

#[test]
fn a_plugin_that_asks_names_who_may_approve() {
    let gate = approved_gate();
    let small = r#"{"usd":1,"to":"shop.example"}"#;
    let asks = |roles: &[&str]| PluginRecord {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        reason: Some("a new shop".to_owned()),
        ..says("shops", PluginVerdict::StepUp)
    };
    let plugins = [asks(&["security"])];
    let (_, decision, request) = asked(&mut LoadedRows::new(), &gate, &order(small, 1), &plugins);
    assert_eq!(decision.reason, Some(Reason::PluginStepUp));
    let request = request.unwrap();
    assert_eq!(ShownView::of(&request.shown).unwrap().needs[0].said.as_deref(), Some("a new shop"));
    for (token, reason) in [(by_alice(&request), Some(Reason::PluginStepUp)), (by_bob(&request), None)] {
        let (_, decision, _) = asked(&mut LoadedRows::new(), &gate, &with(order(small, 2), &[token]), &plugins);
        assert_eq!(decision.reason, reason);
    }
    // The plugin asks for more than was shown.
    let more = [asks(&["security"]), PluginRecord { name: "other".to_owned(), ..asks(&[]) }];
    let (_, decision, _) = asked(&mut LoadedRows::new(), &gate, &with(order(small, 3), &[by_bob(&request)]), &more);
    assert_eq!(decision.reason, Some(Reason::ApprovalContentMismatch));
}

#[test]
fn approvers_see_what_goes_upstream() {
    let gate = approved_gate();
    let plugins = [redacts(&["/note"])];
    let (_, _, request) = asked(&mut LoadedRows::new(), &gate, &order(ORDER, 1), &plugins);
    let request = request.unwrap();
    assert!(!request.shown.contains("office"), "{}", request.shown);
    let call = with(order(ORDER, 2), &[by_alice(&request)]);
    let (judged, forwarded) = call.judged(&gate).unwrap().restrict(plugins.to_vec(), &call.body, &seed());
    assert!(!String::from_utf8(forwarded.unwrap()).unwrap().contains("office"));
    let admission = admit(&mut LoadedRows::new(), &judged);
    assert_eq!(decide(&judged, &admission).reason, None);
    assert_eq!(reason(&mut LoadedRows::new(), &gate, &call), Some(Reason::ApprovalContentMismatch), "not redacted");
}

#[test]
fn a_grant_is_good_as_often_as_it_says() {
    let (gate, mut rows) = (approved_gate(), LoadedRows::new());
    let token = granting(&waiting(&gate, &order(ORDER, 1)), 3, "");
    for (nonce, usd) in [(2, "60"), (3, "70"), (4, "80")] {
        let body = ORDER.replace("60", usd);
        assert_eq!(reason(&mut rows, &gate, &with(order(&body, nonce), core::slice::from_ref(&token))), None, "{usd}");
    }
    assert_eq!(
        reason(&mut rows, &gate, &with(order(ORDER, 5), core::slice::from_ref(&token))),
        Some(Reason::ApprovalUsed)
    );
    let small = r#"{"usd":1,"to":"shop.example"}"#;
    assert_eq!(reason(&mut rows, &gate, &with(order(small, 6), &[token])), None, "what needs none uses none");
}

#[test]
fn a_grant_counts_for_what_its_approver_saw_and_for_nothing_else() {
    let gate = approved_gate();
    let token = granting(&waiting(&gate, &order(ORDER, 1)), 3, "");
    let fraud = [PluginRecord { name: "fraud".to_owned(), ..says("fraud", PluginVerdict::StepUp) }];
    let small = r#"{"usd":1,"to":"shop.example"}"#;
    for body in [small, ORDER] {
        let call = with(order(body, 2), core::slice::from_ref(&token));
        let (_, decision, request) = asked(&mut LoadedRows::new(), &gate, &call, &fraud);
        assert_eq!(decision.verdict.kind(), DecisionKind::StepUp, "{body}");
        assert!(request.is_some(), "people are asked");
    }
}

#[test]
fn plugins_are_asked_before_it_is_known_whether_an_approval_fits() {
    let gate = approved_gate();
    let plugins = [redacts(&["/note"]), PluginRecord { reason: None, ..says("shops", PluginVerdict::StepUp) }];
    let (_, _, request) = asked(&mut LoadedRows::new(), &gate, &order(ORDER, 1), &plugins);
    let call = with(order(ORDER, 2), &[by_alice(&request.unwrap())]);
    assert!(!call.judged(&gate).unwrap().is_denied());
    assert_eq!(asked(&mut LoadedRows::new(), &gate, &call, &plugins).1.reason, None);
}

#[test]
fn a_grant_bounds_agent_action_amount_and_budget() {
    let gate = approved_gate();
    let request = waiting(&gate, &order(ORDER, 1));
    let outcome = |token: &str, call: Call| reason(&mut LoadedRows::new(), &gate, &with(call, &[token.to_owned()]));
    let each = granting(&request, 3, r#"{"spend":{"per_transaction_micro_usd":65000000}}"#);
    assert_eq!(outcome(&each, order(ORDER, 2)), None);
    assert_eq!(outcome(&each, order(&ORDER.replace("60", "66"), 2)), Some(Reason::ApprovalOutOfBounds));
    let out_of_bounds = Some(Reason::ApprovalOutOfBounds);
    let elsewhere = granting(&request, 3, r#"{"domains":["other.example"]}"#);
    assert_eq!(outcome(&elsewhere, order(ORDER, 2)), out_of_bounds);
    let of_task = granting(&request, 3, r#"{"task":"t-1"}"#);
    assert_eq!(outcome(&of_task, order(ORDER, 2)), out_of_bounds);
    let unknown = granting(&request, 3, r#"{"resources":["customers/*"]}"#);
    assert_eq!(outcome(&unknown, order(ORDER, 2)), out_of_bounds, "the route tells of no resource");
    // Below the agent it is good too, and all share its uses and its budget.
    let total = granting(&request, 5, r#"{"spend":{"total_micro_usd":130000000}}"#);
    let mut rows = LoadedRows::new();
    let below = chain(&["payments:*"], &["", ""]);
    let by_below = |nonce| with(call("POST", "/pay", ORDER, &below, nonce), core::slice::from_ref(&total));
    assert_eq!(reason(&mut rows, &gate, &with(order(ORDER, 2), core::slice::from_ref(&total))), None);
    assert_eq!(reason(&mut rows, &gate, &by_below(3)), None);
    assert_eq!(reason(&mut rows, &gate, &by_below(4)), Some(Reason::SpendTotalExceeded));
    let (judged, ..) = asked(&mut LoadedRows::new(), &gate, &by_below(5), &[]);
    assert!(judged.demand().spends.iter().any(|claim| claim.per == PER_GRANT));
    let grant = Grant {
        agent: Agent { id: "bot-7".to_owned(), issuer: ISSUER.to_owned() },
        holder_jkt: None,
        needs: vec!["approval_required".to_owned()],
        constraints: Constraints::default(),
        permissions: vec![Scope::parse("payments:*").unwrap()],
        uses: 1,
    };
    let other = Approval { grant: Some(grant), ..approval(&request, "alice", 1) };
    let other = approval::sign(&key(ALICE), &other).unwrap();
    assert_eq!(outcome(&other, order(ORDER, 2)), Some(Reason::ApprovalAgentMismatch));
    assert_eq!(request.clone().approved(&gate, &other, NOW.seconds()), Err(RefusedAnswer::OtherAgent));
}

/// A grant is good for all below its agent, each within what its own passport permits.
#[test]
fn a_grant_gives_no_more_than_the_passport_of_whoever_uses_it() {
    let mut gate = approved_gate();
    gate.guardrails.require_approval_above = Some(MicroUsd(1));
    gate.guardrails.allowed_domains = None;
    let request = waiting(&gate, &order(ORDER, 1));
    let token = granting(&request, 9, r#"{"spend":{"per_transaction_micro_usd":80000000}}"#);
    let outcome = |permissions: &[&str], limits: &str, usd: &str| {
        let below = chain(permissions, &["", limits]);
        let call = call("POST", "/pay", &ORDER.replace("60", usd), &below, 2);
        reason(&mut LoadedRows::new(), &gate, &with(call, core::slice::from_ref(&token)))
    };
    let narrow = r#"{"spend":{"per_transaction_micro_usd":50000000}}"#;
    assert_eq!(outcome(&["payments:*"], narrow, "50"), None, "within both");
    assert_eq!(
        outcome(&["payments:*"], narrow, "51"),
        Some(Reason::SpendTransactionExceeded),
        "within the grant alone"
    );
    assert_eq!(outcome(&["payments:*"], "", "51"), None);
    assert_eq!(outcome(&["payments:*"], "", "81"), Some(Reason::ApprovalOutOfBounds), "within the passport alone");
    assert_eq!(outcome(&["payments:*"], r#"{"domains":["other.example"]}"#, "50"), Some(Reason::DomainNotAllowed));
    assert_eq!(outcome(&["web:*"], "", "50"), Some(Reason::PermissionScopeMissing));
}

#[test]
fn nobody_takes_the_name_of_a_grants_agent() {
    let gate = approved_gate();
    let below = chain(&["payments:*"], &["", ""]);
    let request = waiting(&gate, &call("POST", "/pay", ORDER, &below, 1));
    let signed = |id: &str, jkt: Option<&str>| {
        let grant = Grant {
            agent: Agent { id: id.to_owned(), issuer: ISSUER.to_owned() },
            holder_jkt: jkt.map(str::to_owned),
            needs: vec!["approval_required".to_owned()],
            constraints: Constraints::default(),
            permissions: vec![Scope::parse("payments:*").unwrap()],
            uses: 9,
        };
        approval::sign(&key(ALICE), &Approval { grant: Some(grant), ..approval(&request, "alice", 1) }).unwrap()
    };
    let outcome = |token: &str, call: Call| reason(&mut LoadedRows::new(), &gate, &with(call, &[token.to_owned()]));
    let lower = |nonce| call("POST", "/pay", ORDER, &below, nonce);
    let mismatch = Some(Reason::ApprovalAgentMismatch);
    assert_eq!(outcome(&signed("bot-2", None), lower(2)), mismatch, "whoever hands on chooses such names");
    let root = key(2).public().thumbprint().to_owned();
    let leaf = key(5).public().thumbprint().to_owned();
    assert_eq!(outcome(&signed("bot-1", Some(&leaf)), lower(2)), None);
    assert_eq!(outcome(&signed("bot-1", Some(&root)), lower(2)), None, "it is below");
    assert_eq!(outcome(&signed("bot-1", Some(&leaf)), order(ORDER, 2)), mismatch, "it is above");
    let now = NOW.seconds();
    assert!(request.clone().approved(&gate, &signed("bot-1", Some(&leaf)), now).is_ok());
    for (limits, is_taken) in [
        (r#"{"spend":{"per_transaction_micro_usd":60000000}}"#, true),
        (r#"{"spend":{"per_transaction_micro_usd":59999999}}"#, false),
        (r#"{"spend":{"total_micro_usd":59999999}}"#, false),
        (r#"{"domains":["shop.example"]}"#, true),
        (r#"{"domains":["other.example"]}"#, false),
    ] {
        let taken = request.clone().approved(&gate, &granting(&request, 3, limits), now);
        assert_eq!(taken.is_ok(), is_taken, "{limits}");
        assert!(is_taken || taken == Err(RefusedAnswer::OutOfBounds));
    }
    for token in [signed("bot-2", None), signed("bot-1", Some(key(9).public().thumbprint()))] {
        assert_eq!(request.clone().approved(&gate, &token, now), Err(RefusedAnswer::OtherAgent));
    }
}

#[test]
fn an_approval_that_holds_no_more_is_not_handed_out() {
    let policy = Policy::new(Mode::Enforce, Vec::new(), Vec::new(), vec![rule("two", 2, &[])]);
    let mut gate = Gate { rules: Some(Arc::new(policy)), ..approved_gate() };
    gate.guardrails.require_approval_above = None;
    let request = waiting(&gate, &order(ORDER, 1));
    let now = NOW.seconds();
    let first = request.clone().approved(&gate, &by_alice(&request), now).unwrap().request;
    let late = |name, seed, serial| {
        let approval = Approval { iat: now + 700, exp: now + 900, ..approval(&request, name, serial) };
        approval::sign(&key(seed), &approval).unwrap()
    };
    let second = first.approved(&gate, &late("bob", BOB, 7), now + 700).unwrap().request;
    assert_eq!((second.state, second.approvals.len()), (RequestState::Pending, 1), "that of alice has expired");
    let third = second.approved(&gate, &late("alice", ALICE, 8), now + 700).unwrap().request;
    assert_eq!((third.state, third.approvals.len(), third.expires_at), (RequestState::Approved, 2, now + 900));
}

#[test]
fn whoever_takes_it_back_is_heard_at_once() {
    let gate = approved_gate();
    let request = waiting(&gate, &order(ORDER, 1));
    let token = by_alice(&request);
    let id = approval(&request, "alice", 1).jti;
    for subject in [
        Subject::Approval(request.id.clone()),
        Subject::Approval(id),
        Subject::Key(key(ALICE).public().thumbprint().to_owned()),
    ] {
        let write = state::revocation_write(&subject, NOW.seconds());
        let mut rows = LoadedRows::from([(write.key, write.value)]);
        let call = with(order(ORDER, 2), core::slice::from_ref(&token));
        assert_eq!(reason(&mut rows, &gate, &call), Some(Reason::ApprovalRevoked), "{subject}");
    }
}

#[test]
fn a_store_that_may_have_forgotten_uses_takes_no_older_approval() {
    let gate = approved_gate();
    let request = waiting(&gate, &order(ORDER, 1));
    let call = with(order(ORDER, 2), &[by_alice(&request)]);
    for (start, expected) in [(0, Some(Reason::ApprovalFenced)), (31, None)] {
        let [_, start] = restart_fences(NOW.seconds() - start);
        let mut rows = LoadedRows::from([(start.key, start.value)]);
        assert_eq!(reason(&mut rows, &gate, &call), expected);
    }
}

#[test]
fn what_refuses_otherwise_costs_no_approval() {
    let (mut gate, mut rows) = (approved_gate(), LoadedRows::new());
    let token = by_alice(&waiting(&gate, &order(ORDER, 1)));
    gate.guardrails.rates.agent = RateLimits { requests_per_minute: Some(1), ..RateLimits::default() };
    // The policy's digest is the same here, so that what was shown is.
    assert_eq!(reason(&mut rows, &gate, &Call::new("GET", "/search", "").signed(2)), None);
    let call = |nonce| with(order(ORDER, nonce), core::slice::from_ref(&token));
    assert_eq!(reason(&mut rows, &gate, &call(3)), Some(Reason::RateLimitExceeded));
    assert_eq!(reason(&mut rows, &approved_gate(), &call(4)), None, "it is still there");
    assert_eq!(reason(&mut rows, &approved_gate(), &call(5)), Some(Reason::ApprovalUsed));
}

#[test]
fn answers_are_taken_in_while_a_request_waits() {
    let gate = approved_gate();
    let request = waiting(&gate, &order(ORDER, 1));
    let now = NOW.seconds();
    let answered = request.clone().approved(&gate, &by_alice(&request), now).unwrap();
    assert_eq!(answered.request.state, RequestState::Approved);
    assert_eq!(answered.approval.unwrap().approver, "alice");
    assert!(answered.request.stands(now + 600) && !answered.request.stands(now + 601), "as long as the approval holds");
    let closed = answered.request.clone().approved(&gate, &by_bob(&request), now);
    assert_eq!(closed, Err(RefusedAnswer::Closed("approved")));
    let denied = request.clone().denied(Some("no".to_owned()), now).unwrap().request;
    assert_eq!(denied.clone().approved(&gate, &by_alice(&request), now), Err(RefusedAnswer::Closed("denied")));
    assert!(denied.stands(now), "whoever asks again gets the same answer");
    assert_eq!(request.clone().denied(None, now + 3601), Err(RefusedAnswer::Expired(now + 3600)));
    let newer = Gate { policy: PolicyRef { version: 8, ..gate.policy.clone() }, ..gate.clone() };
    assert_eq!(request.clone().approved(&newer, &by_alice(&request), now), Err(RefusedAnswer::OtherPolicy));
    let other = ApprovalRequest { id: ID.replace('2', "3"), ..request.clone() };
    assert_eq!(request.clone().approved(&gate, &by_alice(&other), now), Err(RefusedAnswer::OtherRequest));
    let row = &request.writes()[0];
    assert_eq!(ApprovalRequest::read(&row.key, &row.value).unwrap(), request);
    assert!(ApprovalRequest::read(&row.key, b"{}").is_err());
}

#[test]
fn two_people_approve_one_after_the_other() {
    let policy = Policy::new(Mode::Enforce, Vec::new(), Vec::new(), vec![rule("two", 2, &["finance", "security"])]);
    let mut gate = Gate { rules: Some(Arc::new(policy)), ..approved_gate() };
    gate.guardrails.require_approval_above = None;
    let request = waiting(&gate, &order(ORDER, 1));
    let first = request.clone().approved(&gate, &by_alice(&request), NOW.seconds()).unwrap().request;
    assert_eq!(first.state, RequestState::Pending);
    let twice = first.clone().approved(&gate, &by_alice(&request), NOW.seconds());
    assert_eq!(twice, Err(RefusedAnswer::Twice("alice".to_owned())));
    let second = first.approved(&gate, &by_bob(&request), NOW.seconds()).unwrap().request;
    assert_eq!((second.state, second.approvals.len()), (RequestState::Approved, 2));
    let idle = Gate {
        approvals: Some(Approvals { approvers: vec![approver("eve", 23, &["press"])], request_ttl_seconds: 9 }),
        ..gate
    };
    let eve = approval::sign(&key(23), &approval(&request, "eve", 3)).unwrap();
    let missing = RefusedAnswer::RoleMissing("`finance`, `security`".to_owned());
    assert_eq!(request.approved(&idle, &eve, NOW.seconds()), Err(missing));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However a grant is used, no more is let through than it says, and none of it twice.
    #[test]
    fn no_grant_is_used_more_often_than_it_says(uses in 1u64..6, orders in proptest::collection::vec(51u32..=100, 1..12)) {
        let (gate, mut rows) = (approved_gate(), LoadedRows::new());
        let cap = 200_000_000;
        let limits = format!(r#"{{"spend":{{"total_micro_usd":{cap}}}}}"#);
        let token = granting(&waiting(&gate, &order(ORDER, 1)), uses, &limits);
        let (mut allowed, mut spent) = (0, 0);
        for (nonce, usd) in (2..).zip(&orders) {
            let call = with(order(&ORDER.replace("60", &format!("{usd}")), nonce), core::slice::from_ref(&token));
            let expected = if allowed == uses { Some(Reason::ApprovalUsed) } else if spent + u64::from(*usd) * 1_000_000 > cap { Some(Reason::SpendTotalExceeded) } else { None };
            prop_assert_eq!(reason(&mut rows, &gate, &call), expected);
            if expected.is_none() {
                allowed += 1;
                spent += u64::from(*usd) * 1_000_000;
            }
        }
    }
}
