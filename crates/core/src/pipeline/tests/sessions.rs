//! Sessions are read-only until somebody elevates them, bounded by what they began with, and watched.

use passgate_passport::action::Agent;
use passgate_passport::approval::{self, APPROVAL_FIELD, Approval, Grant};
use passgate_passport::constraints::Constraints;

use super::chains::{call, chain};
use super::*;
use crate::approval::{ApprovalRequest, RefusedAnswer, RequestState};
use crate::attest::EvidenceValue;
use crate::gate::{Anomaly, Approvals, Approver, Sessions};
use crate::policy::Approval as Wanted;
use crate::route::EffectClass;
use crate::state::Conduct;

const ORDER: &str = r#"{"usd":6,"to":"shop.example"}"#;
const ALICE: u8 = 21;
const ANOMALY: Anomaly = Anomaly { window_calls: 20, min_calls: 5, denied_percent: 30, write_percent: 80 };

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn gate_with(elevation: Option<Wanted>, anomaly: Option<Anomaly>) -> Gate {
    let mut gate = gate();
    gate.guardrails.rates.agent = RateLimits::default();
    gate.guardrails.sessions = Some(Sessions { idle_seconds: 600, max_seconds: 3_600, elevation, anomaly });
    let alice = Approver { name: "alice".to_owned(), key: key(ALICE).public().clone(), roles: Vec::new() };
    gate.approvals = Some(Approvals { approvers: vec![alice], request_ttl_seconds: 3_600 });
    gate
}

fn read_only() -> Gate {
    gate_with(Some(Wanted { roles: Vec::new(), count: 1 }), Some(ANOMALY))
}

fn search(nonce: u32) -> Call {
    Call::new("GET", "/search", "").signed(nonce)
}

fn order(nonce: u32) -> Call {
    Call::new("POST", "/pay", ORDER).signed(nonce)
}

/// Decided as whatever its agent behaves like, and written.
pub(super) fn decided(rows: &mut LoadedRows, gate: &Gate, call: &Call) -> (Judged, Decision) {
    let mut conduct = Conduct::default();
    loop {
        let judged = call.judged_as(gate, conduct).unwrap().restrict(Vec::new(), &call.body, &seed()).0;
        let admitted = state::admit(judged.demand(), rows).unwrap();
        if let Some(as_it_is) = admitted.admission.conduct {
            assert_ne!(conduct, as_it_is);
            conduct = as_it_is;
            continue;
        }
        let decision = decide(&judged, &admitted.admission);
        let counted = admitted.counted.after(decision.verdict.kind());
        rows.extend(admitted.writes.into_iter().chain(counted).map(|write| (write.key, write.value)));
        return (judged, decision);
    }
}

fn reason(rows: &mut LoadedRows, gate: &Gate, call: &Call) -> Option<Reason> {
    decided(rows, gate, call).1.reason
}

fn evidence(decision: &Decision, name: &str) -> Option<EvidenceValue> {
    let session = decision.guardrails.iter().find(|guardrail| guardrail.guardrail == "session")?;
    session.evidence.get(name).cloned()
}

pub(super) fn waiting(gate: &Gate, call: &Call) -> ApprovalRequest {
    let (judged, decision) = decided(&mut LoadedRows::new(), gate, call);
    let ask = judged.approval_to_ask(decision.verdict.kind()).unwrap();
    ApprovalRequest {
        agent: ask.agent,
        approvals: Vec::new(),
        asked: 1,
        asked_at: NOW.seconds(),
        expires_at: NOW.seconds() + ask.ttl_seconds,
        id: "areq_01ARYZ6S410000000000000002".to_owned(),
        note: None,
        shown: ask.shown,
        state: RequestState::Pending,
    }
}

/// Signed by alice, for so many seconds, as a grant if it is one.
pub(super) fn signed(request: &ApprovalRequest, seconds: i64, grant: Option<Grant>) -> String {
    let approval = Approval {
        audience: "gate_1".to_owned(),
        exp: NOW.seconds() + seconds,
        grant,
        iat: NOW.seconds(),
        issuer: "alice".to_owned(),
        jti: passgate_passport::id::new_id("appr", NOW.0, [1; 10]),
        request_id: request.id.clone(),
        shown_sha256: request.shown_sha256(),
    };
    approval::sign(&key(ALICE), &approval).unwrap()
}

fn elevation() -> Grant {
    Grant {
        agent: Agent { id: "bot-1".to_owned(), issuer: ISSUER.to_owned() },
        holder_jkt: Some(key(2).public().thumbprint().to_owned()),
        needs: vec!["session_elevation_required".to_owned()],
        constraints: Constraints::default(),
        permissions: vec![Scope::parse("payments:create").unwrap()],
        uses: 3,
    }
}

pub(super) fn with(mut call: Call, token: &str) -> Call {
    call.headers.push((APPROVAL_FIELD.to_owned(), token.as_bytes().to_vec()));
    call
}

#[test]
fn a_session_begins_read_only() {
    let (gate, mut rows) = (read_only(), LoadedRows::new());
    let (_, read) = decided(&mut rows, &gate, &search(1));
    assert_eq!((read.verdict.kind(), result(&read, "session")), (DecisionKind::Allow, GuardrailOutcome::Pass));
    assert_eq!(evidence(&read, "calls"), Some(EvidenceValue::Number(0)));
    let (judged, write) = decided(&mut rows, &gate, &order(2));
    let held = (DecisionKind::StepUp, Some(Reason::SessionElevationRequired));
    assert_eq!((write.verdict.kind(), write.reason), held);
    assert!(judged.approval_to_ask(DecisionKind::StepUp).unwrap().shown.contains("session_elevation_required"));
    assert!(!rows.keys().any(|key| key.starts_with("s:")), "it charges nothing");
    let open = gate_with(None, None);
    assert_eq!(reason(&mut LoadedRows::new(), &open, &order(3)), None, "unless it is not read-only");
    let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
    assert_eq!(handed.demand(), judged.demand());
}

#[test]
fn no_session_is_elevated_to_what_is_of_the_class_admin() {
    let mut gate = read_only();
    gate.routes.iter_mut().for_each(|route| route.class = EffectClass::Admin);
    let (judged, decision) = decided(&mut LoadedRows::new(), &gate, &order(1));
    assert_eq!((decision.verdict.kind(), decision.reason), (DecisionKind::Deny, Some(Reason::SessionAdminRefused)));
    assert_eq!(judged.approval_to_ask(DecisionKind::StepUp), None, "nobody is asked");
}

#[test]
fn an_approval_of_one_request_lets_that_one_through() {
    let (gate, mut rows) = (read_only(), LoadedRows::new());
    let token = signed(&waiting(&gate, &order(1)), 600, None);
    assert_eq!(reason(&mut rows, &gate, &with(order(2), &token)), None);
    assert_eq!(reason(&mut rows, &gate, &with(order(3), &token)), Some(Reason::ApprovalUsed));
    assert_eq!(reason(&mut rows, &gate, &order(4)), Some(Reason::SessionElevationRequired));
}

#[test]
fn an_elevation_is_short_and_names_actions_and_a_key() {
    let gate = read_only();
    let request = waiting(&gate, &order(1));
    let outcome = |seconds, grant: Grant| {
        let token = signed(&request, seconds, Some(grant));
        let taken = request.clone().approved(&gate, &token, NOW.seconds()).map(|answered| answered.request.state);
        (taken, reason(&mut LoadedRows::new(), &gate, &with(order(2), &token)))
    };
    assert_eq!(outcome(300, elevation()), (Ok(RequestState::Approved), None));
    let none = (Err(RefusedAnswer::NoElevation), Some(Reason::SessionElevationRequired));
    assert_eq!(outcome(301, elevation()), none);
    assert_eq!(outcome(300, Grant { holder_jkt: None, ..elevation() }), none);
    assert_eq!(outcome(300, Grant { permissions: vec![Scope::parse("payments:*").unwrap()], ..elevation() }), none);
    let other = Grant { holder_jkt: Some(key(9).public().thumbprint().to_owned()), ..elevation() };
    assert_eq!(outcome(300, other), (Err(RefusedAnswer::OtherAgent), Some(Reason::ApprovalAgentMismatch)));
}

#[test]
fn an_elevation_is_used_as_often_as_it_says() {
    let (gate, mut rows) = (read_only(), LoadedRows::new());
    let token = signed(&waiting(&gate, &order(1)), 300, Some(elevation()));
    for nonce in 2..5 {
        assert_eq!(reason(&mut rows, &gate, &with(order(nonce), &token)), None);
    }
    assert_eq!(reason(&mut rows, &gate, &with(order(5), &token)), Some(Reason::ApprovalUsed));
}

#[test]
fn what_an_agent_hands_on_to_is_in_its_session() {
    let (gate, mut rows) = (gate_with(None, None), LoadedRows::new());
    let chained = chain(&["web:*"], &[""]);
    let (first, _) = decided(&mut rows, &gate, &call("GET", "/search", "", &chained, 1));
    let key_of = |judged: &Judged| judged.demand().session.as_ref().unwrap().key.clone();
    let (own, decision) = decided(&mut rows, &gate, &search(2));
    assert_eq!(key_of(&first), key_of(&own));
    assert_eq!(evidence(&decision, "calls"), Some(EvidenceValue::Number(1)));
    // The root's passport of the first request permitted no payment.
    let (_, pays) = decided(&mut rows, &gate, &order(3));
    assert_eq!((pays.verdict.kind(), pays.reason), (DecisionKind::Deny, Some(Reason::SessionScopeExceeded)));
    assert!(!rows.keys().any(|key| key.starts_with("s:")), "it charges nothing");
}

#[test]
fn whoever_is_refused_too_often_counts_as_doing_more() {
    let (gate, mut rows) = (read_only(), LoadedRows::new());
    for nonce in 1..=5 {
        let probe = Call::new("GET", "/nothing", "").signed(nonce);
        assert_eq!(reason(&mut rows, &gate, &probe), Some(Reason::ActionUnmapped));
    }
    let (judged, read) = decided(&mut rows, &gate, &search(6));
    assert_eq!(read.reason, Some(Reason::SessionElevationRequired), "a read counts as a write");
    assert_eq!(judged.request().effect_class.as_deref(), Some("write"));
    assert!(evidence(&read, "raised").is_some());
    assert_eq!(evidence(&read, "recent_denied"), Some(EvidenceValue::Number(5)));
    let mut destructive = gate.clone();
    destructive.routes.iter_mut().for_each(|route| route.class = EffectClass::Destructive);
    let (judged, purge) = decided(&mut rows, &destructive, &order(7));
    assert_eq!(purge.reason, Some(Reason::SessionAdminRefused), "and what takes away as what nobody elevates to");
    assert_eq!(judged.request().effect_class.as_deref(), Some("admin"));
}

#[test]
fn what_is_over_its_rate_does_not_count() {
    let (mut gate, mut rows) = (gate_with(None, Some(ANOMALY)), LoadedRows::new());
    gate.guardrails.rates.agent.requests_per_minute = Some(1);
    assert_eq!(reason(&mut rows, &gate, &search(1)), None);
    for nonce in 2..20 {
        assert_eq!(reason(&mut rows, &gate, &search(nonce)), Some(Reason::RateLimitExceeded));
    }
    gate.guardrails.rates.agent = RateLimits::default();
    let (_, decision) = decided(&mut rows, &gate, &search(20));
    assert_eq!((decision.reason, evidence(&decision, "calls")), (None, Some(EvidenceValue::Number(1))));
}

#[test]
fn nothing_is_decided_on_half_an_admission() {
    let gate = read_only();
    let judged = search(1).judged(&gate).unwrap();
    let mut admission = admit(&mut LoadedRows::new(), &judged);
    admission.session = None;
    assert_eq!(decide(&judged, &admission).reason, Some(Reason::InternalError));
    let mut admission = admit(&mut LoadedRows::new(), &judged);
    admission.conduct = Some(Conduct { is_raised: true, ..Conduct::default() });
    assert_eq!(decide(&judged, &admission).reason, Some(Reason::InternalError));
}
