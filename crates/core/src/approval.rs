//! What approvers are shown, and requests for approval as they wait.
//!
//! What is shown is one canonical JSON document (RFC 8785), made by the gate from the request as it was judged and nothing
//! that changes from one attempt to the next. An approval is bound to its SHA-256, so a request that would do anything else,
//! under any other policy, makes another document and needs another approval. `docs/spec/approval.md` is the normative page.

mod request;

use alloc::string::String;
use alloc::vec::Vec;

use passgate_passport::action::Action;
use passgate_passport::approval::{Approval, ApprovalContext, Grant};
use passgate_passport::json;
use passgate_passport::proof::PROOF_FUTURE_SKEW_SECONDS;
use passgate_passport::scope::{ActionName, Scope};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::attest::{AgentRecord, GateRecord};
use crate::gate::{Gate, PolicyRef};
use crate::reason::Reason;
use crate::state::Subject;

pub use request::{
    Answered, ApprovalRequest, Asked, MAX_WAITING_PER_AGENT, RefusedAnswer, RequestState, waiting_prefix,
};

/// The longest body that is shown in full, in bytes. Of a longer one, and of one that is no text, size and digest are shown.
pub const MAX_SHOWN_BODY_BYTES: usize = 16 * 1024;
/// The longest document that is shown, in bytes: body, action, needs and what JSON makes of them.
pub const MAX_SHOWN_BYTES: usize = 192 * 1024;

/// The longest that a grant elevates a session, in seconds from when it was signed.
pub const MAX_ELEVATION_SECONDS: i64 = 300;

/// Whether an approval elevates a session: one of the very request does, and of grants one that lives for five minutes
/// at most, names its actions one by one and the key whose session it is.
pub fn elevates(approval: &Approval) -> bool {
    let Some(grant) = &approval.grant else { return true };
    let is_named = |scope: &Scope| ActionName::parse(scope.as_str()).is_ok();
    approval.exp.saturating_sub(approval.iat) <= MAX_ELEVATION_SECONDS
        && grant.holder_jkt.is_some()
        && grant.permissions.iter().all(is_named)
}

/// Something that wants people's approval of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct Need {
    /// At least so many people.
    pub count: u32,
    /// The rule or the plugin that wants it; absent for the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why: a reason of a step-up.
    pub reason_code: Reason,
    /// The roles of which each of them has one; none means any approver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What a plugin says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

impl Need {
    /// One person's approval, whoever that is.
    pub(crate) fn of(reason_code: Reason) -> Self {
        Self { count: 1, name: None, reason_code, roles: Vec::new(), said: None }
    }

    /// Whether it is a session that wants to be elevated, which takes an approval that [`elevates`].
    pub fn is_elevation(&self) -> bool {
        self.reason_code == Reason::SessionElevationRequired
    }

    /// As grants name it.
    pub fn label(&self) -> String {
        let name = self.name.iter().flat_map(|name| [":", name.as_str()]);
        core::iter::once(self.reason_code.code()).chain(name).collect()
    }

    /// Whether somebody with these roles counts.
    pub fn counts<T: AsRef<str>>(&self, roles: &[T]) -> bool {
        self.roles.is_empty() || roles.iter().any(|role| self.roles.iter().any(|wanted| wanted == role.as_ref()))
    }

    /// Whether enough of these people count: names with roles, each name once.
    pub fn is_met<'p, T: AsRef<str> + 'p>(&self, people: impl IntoIterator<Item = (&'p str, &'p [T])>) -> bool {
        let mut counted: Vec<&str> = Vec::new();
        for (name, roles) in people {
            if self.counts(roles) && !counted.contains(&name) {
                counted.push(name);
            }
        }
        u32::try_from(counted.len()).is_ok_and(|counted| counted >= self.count)
    }
}

/// The document, as it is written.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    pub(crate) action: &'a Action,
    pub(crate) action_sha256: String,
    pub(crate) agent: &'a AgentRecord,
    pub(crate) body: ShownBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effect_class: Option<&'a str>,
    pub(crate) gate: &'a GateRecord,
    pub(crate) needs: &'a [Need],
    pub(crate) policy: &'a PolicyRef,
    pub(crate) v: u64,
}

/// What an approval is held against at `gate`. Approvals are dated ahead by no more than proofs are: the fence of a
/// store that starts anew reaches so far.
pub(crate) fn context(gate: &Gate, now: i64) -> ApprovalContext<'_> {
    let leeway_seconds = gate.leeway_seconds.min(PROOF_FUTURE_SKEW_SECONDS);
    ApprovalContext { now, leeway_seconds, gate_id: &gate.id }
}

/// What goes upstream of the body.
#[derive(Serialize)]
pub(crate) struct ShownBody<'a> {
    bytes: usize,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl<'a> ShownBody<'a> {
    pub(crate) fn of(body: &'a Body) -> Self {
        Self { bytes: body.bytes, sha256: crate::attest::sha256_label(&body.sha256), text: body.text.as_deref() }
    }
}

/// A body, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    bytes: usize,
    sha256: [u8; 32],
    text: Option<String>,
}

impl Body {
    pub(crate) fn of(body: &[u8]) -> Self {
        let short = Some(body).filter(|body| body.len() <= MAX_SHOWN_BODY_BYTES);
        let text = short.and_then(|body| core::str::from_utf8(body).ok()).map(String::from);
        Self { bytes: body.len(), sha256: Sha256::digest(body).into(), text }
    }
}

impl Shown<'_> {
    /// The version of the document, its member `v`.
    pub(crate) const VERSION: u64 = 1;

    /// The document; `None` when it is none that fits.
    pub(crate) fn text(&self) -> Option<String> {
        let bytes = json::canonical(self).ok().filter(|bytes| bytes.len() <= MAX_SHOWN_BYTES)?;
        String::from_utf8(bytes).ok()
    }
}

/// What a gate goes by in a document that it has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ShownView {
    /// What would be done.
    pub action: ShownAction,
    /// Who asks.
    pub agent: AgentRecord,
    /// Which gate.
    pub gate: GateRecord,
    /// What wants approval.
    pub needs: Vec<Need>,
    /// Under which policy.
    pub policy: PolicyRef,
}

/// What would be done, as far as lists of requests say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ShownAction {
    /// The amount in micro-USD, when the route declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_micro_usd: Option<u64>,
    /// The action's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The target domain, when the route declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_domain: Option<String>,
}

impl ShownView {
    /// Reads a document that this gate made.
    pub fn of(shown: &str) -> Option<Self> {
        json::read_back(shown.as_bytes()).ok()
    }

    /// Everything whose revocation refuses the request, whatever is approved of it.
    pub fn subjects(&self) -> Vec<Subject> {
        let AgentRecord { issuer, agent_id, passport_id, .. } = &self.agent;
        let passports =
            core::iter::once(passport_id).chain(self.agent.delegated_by.iter().map(|above| &above.passport_id));
        let agents = core::iter::once(agent_id).chain(self.agent.delegated_by.iter().map(|above| &above.agent_id));
        let agent = |agent_id: &String| Subject::Agent { issuer: issuer.clone(), agent_id: agent_id.clone() };
        let mut subjects: Vec<Subject> = passports.cloned().map(Subject::Passport).chain(agents.map(agent)).collect();
        subjects.extend(self.keys().map(|key| Subject::Key(String::from(key))));
        subjects.push(Subject::Issuer(issuer.clone()));
        subjects
    }

    /// The keys of the agent and of those that it has its authority from. None of them approves.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let above = self.agent.delegated_by.iter().map(|above| above.key_thumbprint.as_str());
        core::iter::once(self.agent.key_thumbprint.as_str()).chain(above)
    }

    /// Whether a grant lets through what is shown, as far as the document tells. A grant that does not would leave its
    /// request approved, and refused.
    pub fn is_within(&self, grant: &Grant) -> bool {
        let ShownAction { amount_micro_usd, name, target_domain } = &self.action;
        let action = name.as_deref().and_then(|name| ActionName::parse(name).ok());
        let permits = action.is_some_and(|action| grant.permissions.iter().any(|scope| scope.covers(&action)));
        let spend = grant.constraints.spend;
        let mut caps = [spend.per_transaction_micro_usd, spend.total_micro_usd].into_iter().flatten();
        let reaches = grant.constraints.domains.is_none()
            || target_domain.as_deref().is_some_and(|host| grant.constraints.permits_domain(host));
        let needed = self.needs.iter().all(|need| grant.needs.contains(&need.label()));
        let task = grant.constraints.task.as_ref();
        let of_task = task.is_none() || task == self.agent.task.as_ref();
        permits && reaches && needed && of_task && caps.all(|cap| amount_micro_usd.is_some_and(|amount| amount <= cap))
    }

    /// Whether a grant is for whoever asks.
    pub fn is_for(&self, grant: &Grant) -> bool {
        let is_agent = self.agent.issuer == grant.agent.issuer && self.agent.root_agent_id() == grant.agent.id;
        is_agent && grant.holder_jkt.as_deref().is_none_or(|jkt| self.keys().any(|key| key == jkt))
    }
}
