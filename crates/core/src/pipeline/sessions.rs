//! Steps 3 to 6 of a request at a gate that keeps sessions: what a session says of it.

use alloc::borrow::Cow;
use alloc::string::ToString;

use passgate_passport::delegation::Link;

use super::authenticate::Authenticated;
use super::decide::{Evidence, outcome_of, record};
use super::judge::{Finding, Judged, Mapped};
use super::passes::{self, PassUse};
use crate::approval::Need;
use crate::attest::{EvidenceValue, GuardrailOutcome, GuardrailRecord};
use crate::gate::Gate;
use crate::reason::Reason;
use crate::route::{EffectClass, Route};
use crate::state::{Admission, SessionClaim, agent_key};

const GUARDRAIL: &str = "session";

/// What a session says of the class of an action: one that is read-only lets through what changes something when a person
/// elevates it, and what changes what others may do not even then. A one-action pass was elevated when it was minted.
pub(super) fn judge(gate: &Gate, mapped: Option<Mapped<'_>>, pass: &Result<Option<PassUse>, Reason>) -> Finding {
    let Some(sessions) = &gate.guardrails.sessions else { return Finding::NotApplicable };
    match (mapped.map(|mapped| mapped.class), &sessions.elevation) {
        (Some(EffectClass::Admin), Some(_)) => Finding::Fail(Reason::SessionAdminRefused),
        (Some(EffectClass::Write | EffectClass::Destructive), Some(_)) if !passes::redeems(pass) => {
            Finding::Fail(Reason::SessionElevationRequired)
        }
        _ => Finding::Pass,
    }
}

/// Who has to elevate the session, where that is what it takes.
pub(super) fn need(gate: &Gate, finding: Finding) -> Option<Need> {
    let elevation = gate.guardrails.sessions.as_ref()?.elevation.as_ref()?;
    let reason_code = Reason::SessionElevationRequired;
    (finding == Finding::Fail(reason_code)).then(|| Need {
        count: elevation.count,
        roles: elevation.roles.clone(),
        ..Need::of(reason_code)
    })
}

/// The session that a request is in: that of the agent that the issuer vouches for, with that agent's key. An agent
/// could make itself a new one with every sub-agent otherwise.
pub(super) fn claim(gate: &Gate, authenticated: &Authenticated<'_>, route: Option<&Route>) -> Option<SessionClaim> {
    let sessions = gate.guardrails.sessions.as_ref()?;
    let credential = &authenticated.credential;
    let root = credential.links().next();
    let of_root = |link: &Link| link.claims.cnf_key.thumbprint().to_string();
    let key_thumbprint = root.map_or_else(|| authenticated.proof.key_thumbprint().to_string(), of_root);
    let agent = agent_key(credential.issuer(), credential.vouched_agent_id());
    Some(SessionClaim {
        key: [gate.id.as_str(), ":", &agent, ":", &key_thumbprint].concat(),
        ceiling: credential.root_permissions().iter().map(ToString::to_string).collect(),
        action: route.map(|route| route.action.as_str().to_string()),
        writes: route.is_some_and(|route| route.class > EffectClass::Read),
        idle_seconds: sessions.idle_seconds,
        max_seconds: sessions.max_seconds,
        anomaly: sessions.anomaly,
    })
}

/// Nothing at a gate without sessions.
pub(super) fn guardrail(judged: &Judged, admission: &Admission) -> Option<GuardrailRecord> {
    judged.demand.session.as_ref()?;
    let Some(session) = &admission.session else {
        return Some(record(GUARDRAIL, GuardrailOutcome::NotEvaluated, None, Evidence::new()));
    };
    let text = |text: &str| EvidenceValue::Text(text.to_string());
    let mut evidence = Evidence::from_iter([
        (Cow::Borrowed("calls"), EvidenceValue::Number(session.calls)),
        (Cow::Borrowed("id"), text(&session.id)),
        (Cow::Borrowed("recent_calls"), EvidenceValue::Number(session.window.into())),
        (Cow::Borrowed("recent_denied"), EvidenceValue::Number(session.denied.into())),
        (Cow::Borrowed("recent_writes"), EvidenceValue::Number(session.writes.into())),
    ]);
    if judged.demand.conduct.is_raised {
        evidence.insert(Cow::Borrowed("raised"), text("unusual_behavior"));
    }
    let reason = match judged.findings.session {
        _ if !session.is_within => Some(Reason::SessionScopeExceeded),
        Finding::Fail(reason) => Some(reason),
        Finding::Pass | Finding::NotApplicable => None,
    };
    Some(record(GUARDRAIL, outcome_of(reason), reason, evidence))
}
