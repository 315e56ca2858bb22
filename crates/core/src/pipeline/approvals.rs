//! Steps 3 to 6 of a request that needs people's approval, or presents it.
//!
//! What needs approval is asked for with a document of what would happen, and nothing else of it is remembered here:
//! whoever asks again with approvals of that document, or with a grant that covers it, is let through when enough of
//! the right people signed. What is used is counted by the admission that allows the request. `docs/spec/approval.md`
//! is the normative page.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::action::Action;
use passgate_passport::approval::{self, Approval, Grant, MAX_PRESENTED_APPROVALS};
use passgate_passport::delegation::Link;
use sha2::{Digest as _, Sha256};

use super::authenticate::{Authenticated, known};
use super::judge::{Finding, Judged};
use super::limits;
use super::passes::{self, JudgedValues};
use crate::approval::{Body, Need, Shown, ShownBody, elevates};
use crate::attest::{ApprovalRecord, DecisionKind, sha256_label};
use crate::gate::{Approvals, Approver, Gate, PolicyRef};
use crate::money::MicroUsd;
use crate::plugin::{PluginOutcome, PluginVerdict};
use crate::reason::Reason;
use crate::route::{Needs, Route};
use crate::state::{
    Admission, PER_GRANT, PassAnswer, SpendClaim, SpendMode, SpendPeriod, Subject, UseClaim, agent_key,
};

/// A request for approval, to be kept until people answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The identity of the root agent in state.
    pub agent: String,
    /// What approvers are shown, byte by byte.
    pub shown: String,
    /// How long it waits for an answer, in seconds.
    pub ttl_seconds: i64,
}

/// What only the place that judged knows of approvals of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Approving {
    /// Absent where nobody approves anything, and of an action that has no hash.
    asks: Option<Asks>,
    /// What rules want.
    of_rules: Vec<Need>,
    presented: Vec<Presented>,
    /// How many subjects there are without those of approvals; known where the request was judged.
    subjects: Option<usize>,
    /// What approvers are shown, once something needs approval.
    text: Option<String>,
}

/// What is said of a request to approvers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asks {
    action: Action,
    body: Body,
    root: String,
    policy: PolicyRef,
    ttl_seconds: i64,
}

/// An approval that an approver of this gate signed and that holds at present.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Presented {
    record: ApprovalRecord,
    roles: Vec<String>,
    claim: UseClaim,
    /// Of a grant: for what it counts.
    needs: Option<Vec<String>>,
    /// Whether it elevates a session.
    elevates: bool,
    /// Of a grant: what it bounds, or why it does not cover the request.
    grant: Option<Result<Option<SpendClaim>, Reason>>,
}

impl Approving {
    /// What is known before plugins have spoken.
    ///
    /// # Errors
    ///
    /// Why something that is presented does not hold.
    pub(super) fn of(
        gate: &Gate,
        authenticated: &Authenticated<'_>,
        route: Option<&Route>,
        judged: &JudgedValues<'_>,
    ) -> Result<Self, Reason> {
        let Some(approvals) = &gate.approvals else {
            return if authenticated.approvals.is_some() { Err(Reason::ApprovalRefused) } else { Ok(Self::default()) };
        };
        let credential = &authenticated.credential;
        let asks = passes::action_of(gate, authenticated, judged).map(|action| Asks {
            action,
            body: Body::of(authenticated.proof.covered().body()),
            root: agent_key(credential.issuer(), credential.root_agent_id()),
            policy: gate.policy.clone(),
            ttl_seconds: approvals.request_ttl_seconds,
        });
        let presented = presented(gate, approvals, authenticated, route, judged)?;
        Ok(Self { asks, presented, ..Self::default() })
    }

    /// With what rules want.
    pub(super) fn wanted_by(self, of_rules: Vec<Need>) -> Self {
        Self { of_rules, ..self }
    }

    /// Approvers are shown what goes upstream.
    pub(super) fn forwards(&mut self, body: &[u8]) {
        self.asks.iter_mut().for_each(|asks| asks.body = Body::of(body));
    }

    /// In a demand that has so many subjects without those of approvals.
    pub(super) fn beside(self, subjects: usize) -> Self {
        Self { subjects: Some(subjects), ..self }
    }
}

fn presented(
    gate: &Gate,
    approvals: &Approvals,
    authenticated: &Authenticated<'_>,
    route: Option<&Route>,
    judged: &JudgedValues<'_>,
) -> Result<Vec<Presented>, Reason> {
    let Some(field) = authenticated.approvals else { return Ok(Vec::new()) };
    let field = core::str::from_utf8(field).map_err(|_| Reason::ApprovalMalformed)?;
    let tokens: Vec<&str> = field.split(',').map(|token| token.trim_matches([' ', '\t'])).collect();
    if tokens.len() > MAX_PRESENTED_APPROVALS {
        return Err(Reason::ApprovalMalformed);
    }
    let now = authenticated.now.seconds();
    let context = crate::approval::context(gate, now);
    let holder = Holder { gate, authenticated, route, judged };
    let mut all: Vec<Presented> = Vec::new();
    for token in tokens {
        let verified = approval::verify(token, &approvals.approvers, &context).map_err(|error| known(error.code()))?;
        let one = holder.presents(verified.approval(), verified.approver())?;
        // One person's word counts once, and one approval is used once.
        if all.iter().any(|other| other.record.id == one.record.id) {
            return Err(Reason::ApprovalMalformed);
        }
        all.push(one);
    }
    Ok(all)
}

/// Who presents approvals, with what.
struct Holder<'a> {
    gate: &'a Gate,
    authenticated: &'a Authenticated<'a>,
    route: Option<&'a Route>,
    judged: &'a JudgedValues<'a>,
}

impl Holder<'_> {
    fn presents(&self, approval: &Approval, approver: &Approver) -> Result<Presented, Reason> {
        let key = approver.key.thumbprint();
        let is_own = |link: &Link| link.claims.cnf_key.thumbprint() == key;
        if self.authenticated.credential.links().any(is_own) || self.authenticated.proof.key_thumbprint() == key {
            return Err(Reason::ApprovalSelf);
        }
        let (id, uses) = match &approval.grant {
            None => (&approval.request_id, 1),
            Some(grant) => (&approval.jti, grant.uses),
        };
        let key_of_uses = [self.gate.id.as_str(), ":", id].concat();
        Ok(Presented {
            record: ApprovalRecord::of(approval, approver),
            roles: approver.roles.clone(),
            claim: UseClaim { key: key_of_uses, uses, until: approval.exp, issued_at: approval.iat },
            needs: approval.grant.as_ref().map(|grant| grant.needs.clone()),
            elevates: elevates(approval),
            grant: approval.grant.as_ref().map(|grant| self.covers(approval, grant)),
        })
    }

    /// Whether a grant covers the request, and the budget that it then charges.
    fn covers(&self, approval: &Approval, grant: &Grant) -> Result<Option<SpendClaim>, Reason> {
        let credential = &self.authenticated.credential;
        // Only the issuer's word names an agent. Below it there are keys, which nobody can choose like another's.
        let is_agent = credential.issuer() == grant.agent.issuer && credential.root_agent_id() == grant.agent.id;
        let is_key = |jkt: &str| credential.links().any(|link: &Link| link.claims.cnf_key.thumbprint() == jkt);
        if !is_agent || !grant.holder_jkt.as_deref().is_none_or(is_key) {
            return Err(Reason::ApprovalAgentMismatch);
        }
        let bounds = &grant.constraints;
        let route = self.route.ok_or(Reason::ApprovalOutOfBounds)?;
        let permits = grant.permissions.iter().any(|scope| scope.covers(&route.action));
        let of_task = bounds.task.is_none() || bounds.task.as_deref() == credential.issued_task();
        let reaches =
            bounds.domains.is_none() || self.judged.target_domain.is_some_and(|host| bounds.permits_domain(host));
        let covered = self.authenticated.proof.covered();
        let values = route.read(covered, &Needs { limits: bounds, rules: false, closed: false });
        // What cannot be told of the request is outside.
        if !permits || !of_task || !reaches || limits::outside(bounds, route, &values).is_some() {
            return Err(Reason::ApprovalOutOfBounds);
        }
        let [each, total] = [bounds.spend.per_transaction_micro_usd, bounds.spend.total_micro_usd];
        let Some(amount) = self.judged.amount else {
            return if each.or(total).is_some() { Err(Reason::ApprovalOutOfBounds) } else { Ok(None) };
        };
        if each.is_some_and(|each| amount.0 > each) {
            return Err(Reason::ApprovalOutOfBounds);
        }
        Ok(total.map(|cap| SpendClaim {
            per: PER_GRANT.to_string(),
            account: [self.gate.id.as_str(), ":", PER_GRANT, ":", &approval.jti].concat(),
            period: SpendPeriod::Total,
            cap: MicroUsd(cap),
            amount,
            mode: SpendMode::Probe,
            until: Some(approval.exp),
        }))
    }
}

impl Judged {
    /// What wants approval of the request.
    fn needs(&self) -> Vec<Need> {
        let mut needs = Vec::new();
        if self.findings.approval == Finding::Fail(Reason::ApprovalRequired) {
            needs.push(Need::of(Reason::ApprovalRequired));
        }
        needs.extend(self.shown.approving.of_rules.iter().cloned());
        let asking = self.plugins.iter().filter(|plugin| {
            plugin.outcome == PluginOutcome::Answered && plugin.verdict == Some(PluginVerdict::StepUp)
        });
        needs.extend(asking.map(|plugin| Need {
            name: Some(plugin.name.clone()),
            roles: plugin.roles.clone(),
            said: plugin.reason.clone(),
            ..Need::of(Reason::PluginStepUp)
        }));
        needs
    }

    /// Says what the request needs of approvals and which of those it presents it uses, as far as that is known now. Each
    /// time anew, since plugins and redactions change what it needs and what would be done.
    pub(super) fn settle_approvals(&mut self) {
        self.findings.unapproved = None;
        self.request.approvals.clear();
        self.request.shown_sha256 = None;
        self.demand.approvals.clear();
        // A judgement that was handed over does not know what it presents: nothing stands for an approval any more.
        let Some(subjects) = self.shown.approving.subjects else { return };
        self.demand.spends.retain(|claim| claim.per != PER_GRANT);
        self.demand.subjects.truncate(subjects);
        self.shown.approving.text = None;
        let needs = self.needs();
        let asked_for = |reason: Reason| needs.iter().any(|need| need.reason_code == reason);
        // Whatever denies, and whatever nobody said who may approve, stays as it is.
        if needs.is_empty() || !self.reasons_but_review().all(asked_for) {
            return;
        }
        let Some(text) = self.shown_text(&needs) else { return };
        let digest = sha256_label(&Sha256::digest(&text).into());
        let presented = core::mem::take(&mut self.shown.approving.presented);
        let unfit = presented.iter().find_map(|one| match &one.grant {
            None => (one.record.shown_sha256 != digest).then_some(Reason::ApprovalContentMismatch),
            // A pass would stand for it again, and charge nothing to it.
            Some(Ok(Some(_))) if self.asks_for_pass() => Some(Reason::ApprovalOutOfBounds),
            Some(covers) => covers.as_ref().err().copied(),
        });
        let people = |need: &Need| {
            let (label, is_elevation) = (need.label(), need.is_elevation());
            let counts = move |one: &&Presented| {
                one.needs.as_ref().is_none_or(|needs| needs.contains(&label)) && (one.elevates || !is_elevation)
            };
            presented.iter().filter(counts).map(|one| (one.record.approver.as_str(), one.roles.as_slice()))
        };
        if unfit.is_some() {
            self.findings.unapproved = unfit;
        } else if !presented.is_empty() && needs.iter().all(|need| need.is_met(people(need))) {
            presented.iter().for_each(|one| self.uses(one));
        }
        self.shown.approving.presented = presented;
        self.shown.approving.text = Some(text);
        self.request.shown_sha256 = Some(digest);
    }

    fn shown_text(&self, needs: &[Need]) -> Option<String> {
        let asks = self.shown.approving.asks.as_ref()?;
        let shown = Shown {
            action: &asks.action,
            action_sha256: asks.action.hash().ok()?.label(),
            agent: &self.agent,
            body: ShownBody::of(&asks.body),
            effect_class: self.request.effect_class.as_deref(),
            gate: &self.gate,
            needs,
            policy: &asks.policy,
            v: Shown::VERSION,
        };
        shown.text()
    }

    fn uses(&mut self, one: &Presented) {
        let Presented { record, claim, grant, .. } = one;
        let demand = &mut self.demand;
        // All that approve one request share its one use, which is known for as long as any of them holds.
        match demand.approvals.iter_mut().find(|other| other.key == claim.key) {
            Some(same) => {
                same.issued_at = same.issued_at.min(claim.issued_at);
                same.until = same.until.max(claim.until);
            }
            None => demand.approvals.push(claim.clone()),
        }
        demand.spends.extend(grant.iter().flatten().flatten().cloned());
        let subjects = [
            Subject::Approval(record.id.clone()),
            Subject::Approval(record.request_id.clone()),
            Subject::Key(record.key_thumbprint.clone()),
        ];
        let new = subjects.into_iter().filter(|subject| !demand.subjects.contains(subject)).collect::<Vec<_>>();
        demand.subjects.extend(new);
        self.request.approvals.push(record.clone());
    }

    /// Uses no approvals after all: a reviewer has not let the request through.
    pub(super) fn give_back_approvals(&mut self) {
        let Some(subjects) = self.shown.approving.subjects else { return };
        self.demand.approvals.clear();
        self.demand.spends.retain(|claim| claim.per != PER_GRANT);
        self.demand.subjects.truncate(subjects);
        self.request.approvals.clear();
        self.request.shown_sha256 = None;
        self.shown.approving.text = None;
    }

    /// Whether people's approval stands for what asks for it, as far as that is known without state.
    pub(super) fn has_approvals(&self) -> bool {
        !self.demand.approvals.is_empty()
    }

    /// Whether the admission used the approvals, all of them.
    pub(super) fn is_approved(&self, admission: &Admission) -> bool {
        self.has_approvals() && self.approvals_are_settled(admission)
    }

    /// Whether the admission did with approvals what an allow needs: it used those that were demanded, and no others.
    pub(super) fn approvals_are_settled(&self, admission: &Admission) -> bool {
        admission.approvals.len() == self.demand.approvals.len()
            && admission.approvals.iter().all(|answer| *answer == PassAnswer::Redeemed)
    }

    /// Whether the subject is an approval that it uses, or who signed one: no approver has a key of the chain.
    pub(super) fn is_of_approvals(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Approval(_) => true,
            Subject::Key(key) => self.request.approvals.iter().any(|record| record.key_thumbprint == *key),
            Subject::Passport(_) | Subject::Agent { .. } | Subject::Issuer(_) => false,
        }
    }

    /// The ids of the approvals that it uses, as a one-action pass names them.
    pub(super) fn approval_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.request.approvals.iter().map(|record| record.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// What to ask approvers, when the decision asks for approval and somebody can give it. Known where the request was
    /// judged.
    pub fn approval_to_ask(&self, decision: DecisionKind) -> Option<Ask> {
        let Approving { asks, text, .. } = &self.shown.approving;
        let asks = asks.as_ref().filter(|_| decision == DecisionKind::StepUp)?;
        Some(Ask { agent: asks.root.clone(), shown: text.clone()?, ttl_seconds: asks.ttl_seconds })
    }
}
