//! Step 6: judgement and admission folded into one decision. The only place that makes an allow.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use passgate_passport::json;
use passgate_passport::sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::judge::{Finding, HandoffError, Judged};
use super::restrict::first_reason;
use super::{guardian, pii, sessions};
use crate::attest::{DecisionKind, EvidenceValue, GuardrailOutcome, GuardrailRecord, RevocationCheck};
use crate::money::MicroUsd;
use crate::plugin::{PluginOutcome, PluginRecord};
use crate::reason::{Class, Reason};
use crate::state::{
    Admission, IdempotencyAnswer, NonceAnswer, PER_AGENT, RateAnswer, RateWindow, SpendAnswer, SpendClaim, SpendPeriod,
    Subject,
};

/// A decision.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// Allow, deny or step_up.
    pub verdict: Verdict,
    /// Why not an allow.
    pub reason: Option<Reason>,
    /// Every guardrail with its result, in evaluation order.
    pub guardrails: Vec<GuardrailRecord>,
    /// Whether revocation was checked.
    pub revocation: RevocationCheck,
    /// The rate counters as the caller may see them.
    pub rates: Vec<RateView>,
}

/// The verdict.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward, once.
    Allow(Permit),
    /// Allowed, and to be answered with a one-action pass: nothing is forwarded. See [`Judged::pass_to_mint`].
    Mint,
    /// Refuse.
    Deny,
    /// Refuse until a person approves.
    StepUp,
}

/// The right to forward one request. It cannot be made, copied or stored elsewhere: only [`decide`] gives it out. Where
/// another place of the same gate forwards, it crosses as a [`HandedPermit`].
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    private: (),
}

/// A [`Permit`] on its way from the place that decides to the place that forwards, over a channel that only the gate
/// can write to. Whoever can write to that channel can grant anything, and whoever can read it twice can forward twice:
/// the receiving end takes one answer to one request and no other.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HandedPermit {
    right: Right,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Right {
    ForwardOnce,
}

impl Permit {
    /// Sends the right away. Nothing can be forwarded here with it any more.
    pub fn hand_over(self) -> HandedPermit {
        HandedPermit { right: Right::ForwardOnce }
    }

    /// Takes the right that [`Permit::hand_over`] sent from the other place of this gate.
    pub fn handed_over(handed: HandedPermit) -> Self {
        let HandedPermit { right: Right::ForwardOnce } = handed;
        Self { private: () }
    }
}

impl HandedPermit {
    /// The right as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A name always serialises.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The right from [`HandedPermit::to_bytes`] of the same release.
    ///
    /// # Errors
    ///
    /// [`HandoffError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HandoffError> {
        json::read_back(bytes).map_err(|_| HandoffError)
    }
}

/// One rate counter after a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateView {
    /// What is counted.
    pub per: String,
    /// The limit in one window.
    pub limit: u32,
    /// The window.
    pub window: RateWindow,
    /// The counter.
    pub answer: RateAnswer,
}

impl RateView {
    /// Less is closer to the limit; below everything is what is over it, by how long it stays so.
    fn tightness(&self) -> (bool, Reverse<u64>, u32) {
        let RateAnswer { conforms, remaining, retry_after_seconds, .. } = self.answer;
        (conforms, Reverse(retry_after_seconds), remaining)
    }
}

impl Verdict {
    /// The verdict as recorded.
    pub fn kind(&self) -> DecisionKind {
        match self {
            Self::Allow(_) | Self::Mint => DecisionKind::Allow,
            Self::Deny => DecisionKind::Deny,
            Self::StepUp => DecisionKind::StepUp,
        }
    }
}

/// Seconds after which trying again can help: the longest wait of an exhausted counter.
pub fn retry_after_seconds(rates: &[RateView]) -> Option<u64> {
    rates.iter().filter(|rate| !rate.answer.conforms).map(|rate| rate.answer.retry_after_seconds).max()
}

/// Decides. Pure: calling it twice with the same arguments gives the same decision.
///
/// Replay, revocation and suspension come first: they belong to authentication. Then the guardrails in their fixed
/// order: permission scope, rate, spend, domain, PII, approval, rules, session, guardian, and after them the plugins.
/// The first that denies is the reason, whatever was found first, and when none does, the first that asks for approval.
pub fn decide(judged: &Judged, admission: &Admission) -> Decision {
    let revocation = revocation_check(admission);
    let rates = rate_views(judged, admission);
    let mut guardrails = alloc::vec![
        scope(judged),
        rate(judged, &rates),
        spend(judged, admission),
        stateless("domain", judged.findings.domain, domain_evidence(judged)),
        pii::guardrail(judged.findings.pii.as_ref()),
        stateless("approval", judged.approval(admission), approval_evidence(judged)),
    ];
    guardrails.extend(judged.findings.rules.clone());
    guardrails.extend(sessions::guardrail(judged, admission));
    guardrails.extend(guardian::guardrail(judged, admission));
    guardrails.extend(plugins(judged));
    if judged.is_approved(admission) {
        guardrails.iter_mut().for_each(approve);
    }
    let reason = admission_reason(judged, admission)
        .or_else(|| first_reason(guardrails.iter().filter_map(|guardrail| guardrail.reason_code)));
    // Every claim must have its answer: an admission that answers less than was asked allows nothing.
    let complete = !judged.findings.redacts
        && admission.rates.len() == judged.demand.rates.len()
        && admission.spends.len() == judged.demand.spends.len()
        && admission.idempotency.is_some() == judged.demand.idempotency.is_some()
        && admission.conduct.is_none()
        && admission.session.is_some() == judged.demand.session.is_some()
        && admission.risk.is_some() == judged.demand.is_scored()
        && judged.passes_review()
        && judged.pass_is_settled(admission)
        && judged.approvals_are_settled(admission);
    let (verdict, reason) = match reason {
        None if complete && judged.asks_for_pass() => (Verdict::Mint, None),
        None if complete => (Verdict::Allow(Permit { private: () }), None),
        None => (Verdict::Deny, Some(Reason::InternalError)),
        Some(reason) if reason.class() == Class::StepUp => (Verdict::StepUp, Some(reason)),
        Some(reason) => (Verdict::Deny, Some(reason)),
    };
    Decision { verdict, reason, guardrails, revocation, rates }
}

/// What asked for approval has it.
fn approve(guardrail: &mut GuardrailRecord) {
    if guardrail.result == GuardrailOutcome::StepUp {
        guardrail.result = GuardrailOutcome::Pass;
        guardrail.reason_code = None;
    }
}

pub(super) fn revocation_check(admission: &Admission) -> RevocationCheck {
    if admission.nonce == NonceAnswer::Fresh { RevocationCheck::Admission } else { RevocationCheck::NotChecked }
}

fn admission_reason(judged: &Judged, admission: &Admission) -> Option<Reason> {
    let or_of_approval = |(subject, _): &(Subject, i64), reason| {
        if judged.is_of_approvals(subject) { Reason::ApprovalRevoked } else { reason }
    };
    let revoked = admission.revoked.as_ref().map(|denied| or_of_approval(denied, Reason::Revoked));
    let suspended = admission.suspended.as_ref().map(|denied| or_of_approval(denied, Reason::Suspended));
    match admission.nonce {
        NonceAnswer::Fresh => revoked.or(suspended),
        NonceAnswer::Replayed => Some(Reason::NonceReplayed),
        NonceAnswer::Fenced => Some(Reason::ReplayFence),
        NonceAnswer::QuotaExceeded => Some(Reason::NonceQuotaExceeded),
    }
}

pub(super) type Evidence = SortedMap<Cow<'static, str>, EvidenceValue>;

pub(super) fn record(
    guardrail: &'static str,
    result: GuardrailOutcome,
    reason_code: Option<Reason>,
    evidence: Evidence,
) -> GuardrailRecord {
    GuardrailRecord { evidence, guardrail: Cow::Borrowed(guardrail), reason_code, result }
}

/// What a reason makes of a guardrail.
pub(super) fn outcome_of(reason: Option<Reason>) -> GuardrailOutcome {
    match reason.map(Reason::class) {
        None => GuardrailOutcome::Pass,
        Some(Class::StepUp) => GuardrailOutcome::StepUp,
        Some(_) => GuardrailOutcome::Fail,
    }
}

fn scope(judged: &Judged) -> GuardrailRecord {
    let result = if judged.findings.scope.is_some() { GuardrailOutcome::Fail } else { GuardrailOutcome::Pass };
    record("permission_scope", result, judged.findings.scope, SortedMap::new())
}

fn stateless(guardrail: &'static str, finding: Finding, evidence: Evidence) -> GuardrailRecord {
    match finding {
        Finding::NotApplicable => record(guardrail, GuardrailOutcome::NotApplicable, None, SortedMap::new()),
        Finding::Pass => record(guardrail, GuardrailOutcome::Pass, None, evidence),
        Finding::Fail(reason) if reason.class() == Class::StepUp => {
            record(guardrail, GuardrailOutcome::StepUp, Some(reason), evidence)
        }
        Finding::Fail(reason) => record(guardrail, GuardrailOutcome::Fail, Some(reason), evidence),
    }
}

/// Nothing at a gate without plugins.
fn plugins(judged: &Judged) -> Option<GuardrailRecord> {
    let reasons = judged.plugins.iter().filter_map(PluginRecord::reason_code);
    if judged.plugins.is_empty() {
        return None;
    }
    let Some(reason) = first_reason(reasons) else {
        return Some(record("plugins", GuardrailOutcome::Pass, None, SortedMap::new()));
    };
    if judged.plugins.iter().all(|plugin| plugin.outcome == PluginOutcome::NotRun) && judged.is_denied() {
        return Some(record("plugins", GuardrailOutcome::NotEvaluated, None, SortedMap::new()));
    }
    let mut evidence = Evidence::new();
    if let Some(plugin) = judged.plugins.iter().find(|plugin| plugin.reason_code() == Some(reason)) {
        evidence.insert(Cow::Borrowed("plugin"), EvidenceValue::Text(plugin.name.clone()));
    }
    let result = if reason.class() == Class::StepUp { GuardrailOutcome::StepUp } else { GuardrailOutcome::Fail };
    Some(record("plugins", result, Some(reason), evidence))
}

fn rate(judged: &Judged, rates: &[RateView]) -> GuardrailRecord {
    if let Some(reason) = judged.findings.rate {
        return record("rate", GuardrailOutcome::Fail, Some(reason), Evidence::new());
    }
    if judged.demand.rates.is_empty() {
        return record("rate", GuardrailOutcome::NotApplicable, None, SortedMap::new());
    }
    if rates.is_empty() {
        return record("rate", GuardrailOutcome::NotEvaluated, None, SortedMap::new());
    }
    let mut evidence = Evidence::new();
    for view in rates {
        let name = |figure: &str| Cow::Owned([view.per.as_str(), "_", view.window.name(), "_", figure].concat());
        evidence.insert(name("limit"), EvidenceValue::Number(view.limit.into()));
        evidence.insert(name("remaining"), EvidenceValue::Number(view.answer.remaining.into()));
    }
    if rates.iter().all(|view| view.answer.conforms) {
        record("rate", GuardrailOutcome::Pass, None, evidence)
    } else {
        record("rate", GuardrailOutcome::Fail, Some(Reason::RateLimitExceeded), evidence)
    }
}

/// Of several counters of one kind and window, as the passports of a chain may have, the one that leaves the least.
fn rate_views(judged: &Judged, admission: &Admission) -> Vec<RateView> {
    let mut views: Vec<RateView> = Vec::new();
    for (claim, answer) in judged.demand.rates.iter().zip(&admission.rates) {
        let view = RateView { per: claim.per.clone(), limit: claim.limit, window: claim.window, answer: *answer };
        match views.iter_mut().find(|seen| seen.per == view.per && seen.window == view.window) {
            Some(seen) if view.tightness() < seen.tightness() => *seen = view,
            Some(_) => {}
            None => views.push(view),
        }
    }
    views
}

fn spend(judged: &Judged, admission: &Admission) -> GuardrailRecord {
    let mut evidence = threshold_evidence("per_transaction_cap_micro_usd", judged.findings.transaction_cap);
    match judged.findings.spend {
        Finding::NotApplicable => return record("spend", GuardrailOutcome::NotApplicable, None, SortedMap::new()),
        Finding::Fail(reason) => return record("spend", GuardrailOutcome::Fail, Some(reason), evidence),
        Finding::Pass => {}
    }
    if let Some(answer) = admission.idempotency {
        evidence.insert(Cow::Borrowed("idempotency_key"), EvidenceValue::Text(answer.name().into()));
    }
    if admission.idempotency == Some(IdempotencyAnswer::Reused) {
        return record("spend", GuardrailOutcome::Fail, Some(Reason::IdempotencyKeyReused), evidence);
    }
    if admission.spends.len() != judged.demand.spends.len() {
        return record("spend", GuardrailOutcome::NotEvaluated, None, evidence);
    }
    let mut failed = None;
    let answered: Vec<_> = judged.demand.spends.iter().zip(&admission.spends).collect();
    for (claim, answer) in &answered {
        if !answer.fits {
            failed = failed.or(Some(claim.period.exceeded()));
        }
        let alike = answered.iter().filter(|(other, _)| other.per == claim.per && other.period == claim.period);
        let least = alike.map(|(claim, answer)| headroom(claim, answer)).min();
        if least == Some(headroom(claim, answer)) {
            let name = |figure: &str| {
                let (of, mark) = if claim.per == PER_AGENT { ("", "") } else { (claim.per.as_str(), "_") };
                Cow::Owned([of, mark, claim.period.name(), figure].concat())
            };
            evidence.insert(name("_cap_micro_usd"), EvidenceValue::Number(claim.cap.0));
            evidence.insert(name("_spent_before_micro_usd"), EvidenceValue::Number(answer.spent_before.0));
        }
    }
    let result = if failed.is_some() { GuardrailOutcome::Fail } else { GuardrailOutcome::Pass };
    record("spend", result, failed, evidence)
}

impl IdempotencyAnswer {
    /// As evidence names it.
    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Repeated => "repeated",
            Self::Reused => "reused",
        }
    }
}

/// What a budget had left.
fn headroom(claim: &SpendClaim, answer: &SpendAnswer) -> u64 {
    claim.cap.0.saturating_sub(answer.spent_before.0)
}

impl SpendPeriod {
    /// As evidence names it.
    fn name(self) -> &'static str {
        match self {
            Self::Day => "daily",
            Self::Month => "monthly",
            Self::Total => "total",
        }
    }

    fn exceeded(self) -> Reason {
        match self {
            Self::Day => Reason::SpendDailyExceeded,
            Self::Month => Reason::SpendMonthlyExceeded,
            Self::Total => Reason::SpendTotalExceeded,
        }
    }
}

fn threshold_evidence(name: &'static str, threshold: Option<MicroUsd>) -> Evidence {
    let mut evidence = Evidence::new();
    if let Some(value) = threshold {
        evidence.insert(Cow::Borrowed(name), EvidenceValue::Number(value.0));
    }
    evidence
}

fn approval_evidence(judged: &Judged) -> Evidence {
    let mut evidence = threshold_evidence("above_micro_usd", judged.findings.approval_above);
    if let Some(pass) = judged.presented_pass() {
        evidence.insert(Cow::Borrowed("action_pass"), EvidenceValue::Text(pass.into()));
    }
    let ids = judged.approval_ids();
    if !ids.is_empty() {
        evidence.insert(Cow::Borrowed("approvals"), EvidenceValue::Text(ids.join(",")));
    }
    evidence
}

fn domain_evidence(judged: &Judged) -> Evidence {
    let mut evidence = Evidence::new();
    if let Some(host) = judged.request.target_domain.clone() {
        evidence.insert(Cow::Borrowed("target_domain"), EvidenceValue::Text(host));
    }
    evidence
}
