//! Steps 3 and 4: what can be said without state, and what has to be asked of it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::json;
use passgate_passport::proof::ProofForm;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::approvals::Approving;
use super::authenticate::Authenticated;
use super::credential::Credential;
use super::decide::{Decision, revocation_check};
use super::demand::demand;
use super::limits::{self, Limits};
use super::passes::{self, JudgedValues, PassUse};
use super::pii::{self, PiiFindings};
use super::restrict::Shown;
use super::{guardian, idempotency, rules, sessions};
use crate::attest::{
    AgentRecord, DecisionKind, DecisionRecord, DecisionView, GateRecord, GuardrailRecord, PolicyRecord, RequestRecord,
    StatusListRecord, sha256_label,
};
use crate::gate::{EvaluatorRef, Gate, Guardrails};
use crate::money::MicroUsd;
use crate::plugin::PluginRecord;
use crate::reason::{Class, Reason};
use crate::review::Review;
use crate::route::{EffectClass, Route, Values};
use crate::state::{Admission, Conduct, Demand, SpendMode};
use crate::time::UnixMillis;

/// A request judged as far as possible without state. Only [`judge`] and [`Judged::from_bytes`] make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub(super) agent: AgentRecord,
    pub(super) request: RequestRecord,
    pub(super) gate: GateRecord,
    pub(super) policy: PolicyRecord,
    pub(super) evaluator: EvaluatorRef,
    pub(super) not_checked: Vec<String>,
    pub(super) status_list: Option<StatusListRecord>,
    pub(super) findings: Findings,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) plugins: Vec<PluginRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pass: Option<PassUse>,
    /// Whether it takes a reviewer.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(super) takes_review: bool,
    /// Whether nothing but the reviewer's word is missing for it to go on.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(super) review_is_due: bool,
    /// What the reviewer said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) review: Option<Review>,
    pub(super) demand: Demand,
    #[serde(skip)]
    pub(super) shown: Shown,
}

/// What each stateless check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Findings {
    /// Why the action is not permitted.
    pub(super) scope: Option<Reason>,
    /// A passport above the agent or its own lets no request through.
    pub(super) rate: Option<Reason>,
    /// The amount is unreadable or above the transaction cap.
    pub(super) spend: Finding,
    pub(super) transaction_cap: Option<MicroUsd>,
    pub(super) domain: Finding,
    /// What of it is personal data or a secret, where that is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pii: Option<PiiFindings>,
    pub(super) approval: Finding,
    /// Why what it presents as approval is none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unapproved: Option<Reason>,
    /// The threshold above which a person approves, when the action has an amount.
    pub(super) approval_above: Option<MicroUsd>,
    /// What the operator's rules say, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rules: Option<GuardrailRecord>,
    /// What the agent's session says of the action's class, where the gate keeps sessions.
    #[serde(default, skip_serializing_if = "Finding::is_not_applicable")]
    pub(super) session: Finding,
    /// What the guardian says of it before a reviewer is asked, where the gate has one.
    #[serde(default, skip_serializing_if = "Finding::is_not_applicable")]
    pub(super) guardian: Finding,
    /// Whether something is taken out that is still in the body: nothing is forwarded before [`Judged::restrict`] has, and
    /// given a body to forward instead.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(super) redacts: bool,
}

/// The finding of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum Finding {
    #[default]
    NotApplicable,
    Pass,
    Fail(Reason),
}

impl Finding {
    fn is_not_applicable(&self) -> bool {
        *self == Self::NotApplicable
    }

    /// Why it refuses.
    pub(super) fn reason(self) -> Option<Reason> {
        match self {
            Self::Fail(reason) => Some(reason),
            Self::Pass | Self::NotApplicable => None,
        }
    }
}

/// The route of a request, and what its action counts as.
#[derive(Clone, Copy)]
pub(super) struct Mapped<'r> {
    pub(super) route: &'r Route,
    pub(super) class: EffectClass,
}

impl<'r> Mapped<'r> {
    pub(super) fn of(route: &'r Route, conduct: Conduct) -> Self {
        Self { route, class: if conduct.is_raised { route.class.raised() } else { route.class } }
    }
}

/// Bytes on the gate's own channel are not what should come over it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what was handed over cannot be read: both ends must run the same release")]
pub struct HandoffError;

/// Judges an authenticated request under `gate` and the limits of its passport.
///
/// The action is that of the first route matching method and path; amount, domain and what the passport limits are read
/// where the route says. A request already judged not to be forwarded demands its nonce, its rate tokens and a look at
/// its budgets, and charges nothing.
pub fn judge(gate: &Gate, authenticated: &Authenticated<'_>) -> Judged {
    judge_as(gate, authenticated, Conduct::default())
}

/// As [`judge`], of an agent that behaves like this, as [`Admission::conduct`] says.
pub fn judge_as(gate: &Gate, authenticated: &Authenticated<'_>, conduct: Conduct) -> Judged {
    let (covered, credential) = (authenticated.proof.covered(), &authenticated.credential);
    let constraints = credential.constraints();
    let limits = Limits::of(&gate.guardrails, &constraints);
    let route = gate.routes.iter().find(|route| route.matches(covered.method(), covered.path()));
    let needs = rules::needs(gate, &constraints);
    let values = route.map(|route| route.read(covered, &needs)).unwrap_or_default();
    let judged = JudgedValues::of(route, &values);
    let mut pass = passes::pass_use(gate, authenticated, &judged);
    let mapped = route.map(|route| Mapped::of(route, conduct));
    let mut ruled = rules::judge(gate, authenticated, mapped, &values, &mut pass);
    if covered.body().is_empty() {
        ruled.redact.clear();
    }
    let idempotency = idempotency::claim(gate, authenticated, route);
    let session = sessions::judge(gate, mapped, &pass);
    let guarded = guardian::judge(gate, mapped, conduct, &pass);
    ruled.needs.extend(sessions::need(gate, session).into_iter().chain(guardian::need(guarded)));
    let (approving, unfit) = match Approving::of(gate, authenticated, route, &judged) {
        Ok(approving) => (approving.wanted_by(core::mem::take(&mut ruled.needs)), None),
        Err(reason) => (Approving::default(), Some(reason)),
    };
    let (pii, to_mask) = pii::judge(gate, covered).map_or_else(Default::default, |(pii, mask)| (Some(pii), mask));
    let findings = Findings {
        scope: judge_scope(route, authenticated, &values),
        rate: limits.lets_nothing_through().then_some(Reason::RateLimitExceeded),
        spend: match &idempotency {
            Err(reason) => Finding::Fail(*reason),
            Ok(_) => judge_spend(gate, credential, limits.transaction_cap, values.amount),
        },
        transaction_cap: limits.transaction_cap,
        domain: judge_domain(&limits, values.host.as_ref()),
        pii,
        approval: match unfit {
            Some(reason) => Finding::Fail(reason),
            None => judge_approval(&gate.guardrails, values.amount, &pass, authenticated.approvals.is_some()),
        },
        unapproved: None,
        approval_above: gate.guardrails.require_approval_above,
        rules: ruled.record,
        session,
        guardian: guarded.finding,
        redacts: !ruled.redact.is_empty() || !to_mask.is_nothing(),
    };
    let demand = Demand {
        conduct,
        session: sessions::claim(gate, authenticated, route),
        risk: guardian::claim(gate, authenticated, mapped, &judged),
        idempotency: idempotency.unwrap_or_default(),
        ..demand(gate, authenticated, &judged, &ruled.rates)
    };
    let pass = pass.unwrap_or_default();
    let mut judged = Judged {
        agent: credential.record(authenticated.proof.key_thumbprint()),
        request: request_record(gate, authenticated, &judged, mapped, pass.as_ref()),
        gate: gate.record(),
        policy: gate.policy_record(authenticated.now),
        evaluator: gate.evaluator.clone(),
        not_checked: not_checked(authenticated),
        status_list: authenticated.status_list.clone(),
        findings,
        plugins: Vec::new(),
        pass,
        takes_review: guarded.takes_review,
        review_is_due: false,
        review: None,
        shown: Shown::of(authenticated, route, &needs, ruled.redact, to_mask, approving.beside(demand.subjects.len())),
        demand,
    };
    judged.settle_demand();
    judged
}

fn judge_scope(route: Option<&Route>, authenticated: &Authenticated<'_>, values: &Values) -> Option<Reason> {
    let Some(route) = route else { return Some(Reason::ActionUnmapped) };
    if !authenticated.credential.permits(&route.action) {
        return Some(Reason::PermissionScopeMissing);
    }
    limits::outside(&authenticated.credential.constraints(), route, values)
}

fn judge_spend(
    gate: &Gate,
    credential: &Credential,
    transaction_cap: Option<MicroUsd>,
    amount: Option<Result<MicroUsd, Reason>>,
) -> Finding {
    let needs_task = gate.guardrails.spend.task.periods().next().is_some();
    match amount {
        None => Finding::NotApplicable,
        Some(Err(reason)) => Finding::Fail(reason),
        Some(Ok(_)) if needs_task && credential.issued_task().is_none() => Finding::Fail(Reason::SpendTaskMissing),
        Some(Ok(amount)) if transaction_cap.is_some_and(|cap| amount > cap) => {
            Finding::Fail(Reason::SpendTransactionExceeded)
        }
        Some(Ok(_)) => Finding::Pass,
    }
}

fn judge_domain(limits: &Limits<'_>, host: Option<&Result<String, Reason>>) -> Finding {
    match host {
        None => Finding::NotApplicable,
        Some(Err(reason)) => Finding::Fail(*reason),
        Some(Ok(host)) => match limits.permits_domain(host) {
            None => Finding::NotApplicable,
            Some(true) => Finding::Pass,
            Some(false) => Finding::Fail(Reason::DomainNotAllowed),
        },
    }
}

/// A pass that holds stands for an approval, and for those that a request presents beside it there is nothing left. One that
/// does not hold refuses the request, whether approval is needed or not.
fn judge_approval(
    guardrails: &Guardrails,
    amount: Option<Result<MicroUsd, Reason>>,
    pass: &Result<Option<PassUse>, Reason>,
    presents_approvals: bool,
) -> Finding {
    match pass {
        Ok(Some(PassUse::Redeem { .. })) if presents_approvals => return Finding::Fail(Reason::ApprovalRefused),
        Ok(Some(PassUse::Redeem { .. })) => return Finding::Pass,
        Ok(Some(PassUse::Mint { .. }) | None) => {}
        Err(reason) => return Finding::Fail(*reason),
    }
    match (guardrails.require_approval_above, amount) {
        (Some(threshold), Some(Ok(amount))) if amount > threshold => Finding::Fail(Reason::ApprovalRequired),
        (Some(_), Some(Ok(_))) => Finding::Pass,
        _ => Finding::NotApplicable,
    }
}

fn request_record(
    gate: &Gate,
    authenticated: &Authenticated<'_>,
    judged: &JudgedValues<'_>,
    mapped: Option<Mapped<'_>>,
    pass: Option<&PassUse>,
) -> RequestRecord {
    let covered = authenticated.proof.covered();
    let target = Sha256::new()
        .chain_update(covered.scheme())
        .chain_update("://")
        .chain_update(covered.authority())
        .chain_update(covered.path())
        .chain_update(covered.query().map(|_| "?").unwrap_or_default())
        .chain_update(covered.query().unwrap_or_default());
    RequestRecord {
        action: judged.action.map(|action| action.as_str().to_string()),
        action_pass: pass.map(PassUse::record),
        amount_micro_usd: judged.amount.map(|amount| amount.0),
        effect_class: mapped.map(|mapped| mapped.class.as_str().into()),
        method: covered.method().to_string(),
        path: super::parse::cut(&gate.shown_path(covered.path()), super::parse::MAX_RECORDED_PATH_BYTES),
        payload_sha256: Some(sha256_label(&Sha256::digest(covered.body()).into())),
        proof: proof_form(authenticated.proof.form()).map(ToString::to_string),
        target_domain: judged.target_domain.map(String::from),
        target_sha256: Some(sha256_label(&target.finalize().into())),
        ..RequestRecord::default()
    }
}

/// As records name it; a message signature with a passport is not named.
fn proof_form(form: ProofForm) -> Option<&'static str> {
    match form {
        ProofForm::MessageSignature => None,
        ProofForm::Dpop => Some("dpop"),
        ProofForm::WebBotAuth => Some("web_bot_auth"),
    }
}

fn not_checked(authenticated: &Authenticated<'_>) -> Vec<String> {
    let has_status = authenticated.credential.issued_claims().is_some_and(|claims| claims.status_list.is_some());
    let proven = authenticated.proof.proven();
    let open = [
        (has_status && authenticated.status_list.is_none(), "status_list"),
        // Of a foreign agent's safe request, the policy may take less.
        (!proven.method, "proof_of_method"),
        (!proven.path, "proof_of_path"),
        (!proven.query, "proof_of_query"),
    ];
    open.iter().filter(|(is_open, _)| *is_open).map(|(_, name)| (*name).to_string()).collect()
}

impl Findings {
    /// Whether something found refuses the request, and nobody's approval can help.
    ///
    /// Whether what is presented as approval fits is known only after plugins have spoken and texts are taken out.
    pub(super) fn is_denied(&self) -> bool {
        self.found().any(|reason| reason.class() != Class::StepUp)
    }

    pub(super) fn reasons(&self) -> impl Iterator<Item = Reason> {
        self.found().chain(self.unapproved)
    }

    /// What was found apart from approvals.
    fn found(&self) -> impl Iterator<Item = Reason> {
        let pii = self.pii.as_ref().map_or(Finding::NotApplicable, |pii| pii.finding);
        let failed = [self.spend, self.domain, pii, self.approval].into_iter().filter_map(Finding::reason);
        let ruled = self.rules.as_ref().and_then(|record| record.reason_code);
        self.scope
            .into_iter()
            .chain(self.rate)
            .chain(failed)
            .chain(ruled)
            .chain(self.session.reason())
            .chain(self.guardian.reason())
    }
}

impl Judged {
    /// Says what is asked of the state for what was found so far: a request that is not forwarded charges nothing, and
    /// leaves its pass and its approvals as they were.
    pub(super) fn settle_demand(&mut self) {
        self.settle_approvals();
        let passes = self.has_approvals() || self.reasons_but_review().next().is_none();
        self.review_is_due = self.takes_review && self.review.is_none() && passes;
        if self.review_reason().is_some() {
            self.give_back_approvals();
        }
        let goes_on = self.forwardable();
        let is_excused = self.reasons().all(|reason| reason.class() == Class::Fault);
        self.demand.is_excused = is_excused && self.reasons().next().is_some();
        let learns = !self.asks_for_pass();
        self.demand.risk.iter_mut().for_each(|claim| claim.learns = learns);
        let mode = if goes_on && !self.asks_for_pass() { SpendMode::Charge } else { SpendMode::Probe };
        self.demand.spends.iter_mut().for_each(|spend| spend.mode = mode);
        self.demand.idempotency.iter_mut().for_each(|claim| claim.mode = mode);
        self.demand.pass = self.pass.as_ref().and_then(PassUse::claim).filter(|_| goes_on).cloned();
    }

    /// Why the request is not forwarded, as far as it is known without state.
    pub(super) fn reasons(&self) -> impl Iterator<Item = Reason> {
        self.reasons_but_review().chain(self.review_reason())
    }

    pub(super) fn reasons_but_review(&self) -> impl Iterator<Item = Reason> {
        self.findings.reasons().chain(self.plugins.iter().filter_map(PluginRecord::reason_code))
    }

    /// Whether nothing found so far keeps the request from being forwarded.
    pub(super) fn forwardable(&self) -> bool {
        self.has_approvals() || self.reasons().next().is_none()
    }

    /// Step 4: what the decision needs from the state.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// When the request was judged, by the gate's clock.
    pub fn now(&self) -> UnixMillis {
        self.demand.now
    }

    /// The agent.
    pub fn agent(&self) -> &AgentRecord {
        &self.agent
    }

    /// The gate it was judged for. Only that gate's writer may record it.
    pub fn gate(&self) -> &GateRecord {
        &self.gate
    }

    /// The request as it will be recorded.
    pub fn request(&self) -> &RequestRecord {
        &self.request
    }

    /// The record of `decision`, to be sealed.
    pub fn record(&self, decision: &Decision) -> DecisionRecord {
        DecisionRecord {
            agent: Some(self.agent.clone()),
            decision: decision.verdict.kind(),
            reason: decision.reason,
            evaluator: self.evaluator.clone(),
            guardrails: decision.guardrails.clone(),
            not_checked: self.not_checked.clone(),
            plugins: self.plugins.clone(),
            policy: self.policy.clone(),
            request: self.request.clone(),
            revocation: decision.revocation,
            status_list: self.status_list.clone(),
        }
    }

    /// The record of a request that could not be decided, because the evaluator failed after `admission`: a deny.
    pub fn fault_record(&self, admission: &Admission) -> DecisionRecord {
        DecisionRecord {
            agent: Some(self.agent.clone()),
            decision: DecisionKind::Deny,
            reason: Some(Reason::InternalError),
            evaluator: self.evaluator.clone(),
            guardrails: Vec::new(),
            not_checked: self.not_checked.clone(),
            plugins: self.plugins.clone(),
            policy: self.policy.clone(),
            request: self.request.clone(),
            revocation: revocation_check(admission),
            status_list: self.status_list.clone(),
        }
    }

    /// The record of `decision` without copying it, to be sealed in the path of the request.
    pub fn view<'a>(&'a self, decision: &'a Decision) -> DecisionView<'a> {
        DecisionView {
            agent: Some(&self.agent),
            decision: decision.verdict.kind(),
            reason: decision.reason,
            evaluator: &self.evaluator,
            guardrails: &decision.guardrails,
            not_checked: &self.not_checked,
            plugins: &self.plugins,
            policy: &self.policy,
            request: &self.request,
            revocation: decision.revocation,
            status_list: self.status_list.as_ref(),
        }
    }

    /// The judgement as bytes, for a channel that only the gate can write to. Whoever can write to that channel can
    /// grant anything.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, integers and enums always serialise; empty bytes would be refused on the other side.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The judgement from [`Judged::to_bytes`] of the same release.
    ///
    /// # Errors
    ///
    /// [`HandoffError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HandoffError> {
        json::read_back(bytes).map_err(|_| HandoffError)
    }
}
