//! The payload of a record. Members stand in alphabetical order and hold only strings, integers and booleans, so that
//! plain serialisation gives canonical JSON; a test compares it with an RFC 8785 implementation.

use alloc::borrow::{Cow, ToOwned as _};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use passgate_passport::approval::Approval;
use passgate_passport::claims::is_plain_text;
use passgate_passport::sorted::SortedMap;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::rotation::KeyRotationRecord;
use super::sha256_label;
use crate::gate::{Approver, EvaluatorRef};
use crate::plugin::PluginRecord;
use crate::reason::Reason;
use crate::state::Subject;

/// A whole record. Which optional members are present follows from `kind`; see [`Body`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The agent, as far as its passport was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentRecord>,
    /// An answer to a request for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalAnswerRecord>,
    /// `att_` and a ULID.
    pub attestation_id: String,
    /// The chain: one writer's epoch.
    pub chain_uid: String,
    /// The verdict of a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionKind>,
    /// The decision an outcome belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// Whether a decision was a deny because the gate itself failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<bool>,
    /// The code that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<EvaluatorRef>,
    /// Refusals counted instead of recorded one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<FoldedRecord>,
    /// What may be missing from the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<GapRecord>,
    /// The gate.
    pub gate: GateRecord,
    /// Every guardrail with its result, in evaluation order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrails_evaluated: Option<Vec<GuardrailRecord>>,
    /// The key that signs from the next record on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_rotation: Option<KeyRotationRecord>,
    /// What is recorded.
    pub kind: Kind,
    /// Checks that a reader might expect and that were not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_checked: Option<Vec<String>>,
    /// What became of a forwarded request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeRecord>,
    /// The key of a plugin that was written or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_key: Option<PluginKeyRecord>,
    /// What the gate's plugins said, in their order; absent at a gate without plugins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Vec<PluginRecord>>,
    /// The policy in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRecord>,
    /// SHA-256 of the previous record's JWS, `sha256:` and hex; absent in the first record of a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<String>,
    /// The head of the chain this writer found when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_chain: Option<PreviousChain>,
    /// Why a decision is not an allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<Reason>,
    /// What became of a request whose outcome was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<ReconciliationRecord>,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRecord>,
    /// Whether and how revocation was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationCheck>,
    /// What was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Subject>,
    /// Position in the chain, from 0.
    pub seq: u64,
    /// The status list that was consulted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_list: Option<StatusListRecord>,
    /// What was suspended or reinstated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// RFC 3339 in UTC with milliseconds.
    pub timestamp: String,
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first record of a chain.
    ChainStart,
    /// An allow, a deny or a step_up.
    Decision,
    /// What became of an allowed request.
    Outcome,
    /// A revocation.
    Revocation,
    /// Refusals as one count: those beyond the bound a minute, and those made while nothing could be recorded.
    RefusalsFolded,
    /// The chain's writer restarted and goes on.
    Restart,
    /// Something that belongs into the chain may be missing from it.
    Gap,
    /// A key of a plugin was written or deleted.
    PluginKey,
    /// The key that signs records hands over to another one.
    KeyRotation,
    /// A suspension, until a reinstatement.
    Suspension,
    /// The end of a suspension.
    Reinstatement,
    /// What became of an allowed request whose outcome was not known.
    Reconciliation,
    /// An answer to a request for approval.
    Approval,
}

impl Kind {
    /// The name in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChainStart => "chain_start",
            Self::Decision => "decision",
            Self::Outcome => "outcome",
            Self::Revocation => "revocation",
            Self::RefusalsFolded => "refusals_folded",
            Self::Restart => "restart",
            Self::Gap => "gap",
            Self::PluginKey => "plugin_key",
            Self::KeyRotation => "key_rotation",
            Self::Suspension => "suspension",
            Self::Reinstatement => "reinstatement",
            Self::Reconciliation => "reconciliation",
            Self::Approval => "approval",
        }
    }
}

/// The verdict as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// Forwarded.
    Allow,
    /// Refused.
    Deny,
    /// A person has to approve first.
    StepUp,
}

impl DecisionKind {
    /// `allow`, `deny` or `step_up`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::StepUp => "step_up",
        }
    }
}

/// What to record, before it has a place in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `kind: decision`.
    Decision(alloc::boxed::Box<DecisionRecord>),
    /// `kind: outcome`, of the decision with this id.
    Outcome {
        /// The decision's attestation id.
        decision_id: String,
        /// What became of it.
        outcome: OutcomeRecord,
    },
    /// `kind: chain_start`.
    Start(Option<PreviousChain>),
    /// `kind: revocation`.
    Revocation(Subject),
    /// `kind: refusals_folded`.
    Folded(FoldedRecord),
    /// `kind: restart`.
    Restart,
    /// `kind: gap`.
    Gap(GapRecord),
    /// `kind: plugin_key`.
    PluginKey(PluginKeyRecord),
    /// `kind: key_rotation`.
    KeyRotation(KeyRotationRecord),
    /// `kind: suspension`.
    Suspension(Subject),
    /// `kind: reinstatement`.
    Reinstatement(Subject),
    /// `kind: reconciliation`, of the decision with this id.
    Reconciliation {
        /// The decision's attestation id.
        decision_id: String,
        /// What became of it.
        reconciliation: ReconciliationRecord,
    },
    /// `kind: approval`.
    Approval(ApprovalAnswerRecord),
}

/// The members of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct DecisionRecord {
    /// The agent, when its passport was verified.
    pub agent: Option<AgentRecord>,
    /// The verdict.
    pub decision: DecisionKind,
    /// Why it is not an allow.
    pub reason: Option<Reason>,
    /// The code that decided.
    pub evaluator: EvaluatorRef,
    /// Every guardrail with its result.
    pub guardrails: Vec<GuardrailRecord>,
    /// Checks not made.
    pub not_checked: Vec<String>,
    /// What the gate's plugins said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginRecord>,
    /// The policy in force.
    pub policy: PolicyRecord,
    /// The request.
    pub request: RequestRecord,
    /// Whether revocation was checked.
    pub revocation: RevocationCheck,
    /// The status list that was consulted, if one was.
    pub status_list: Option<StatusListRecord>,
}

/// The policy in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct PolicyRecord {
    /// Seconds since the policy was issued, when the gate knows when that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// What the gate's level demands and this policy does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loosened: Vec<String>,
    /// `sha256:` and the hex digest of the policy's canonical JSON.
    pub sha256: String,
    /// The operator's version number.
    pub version: u64,
}

/// A status list that was consulted, also one that was too old to rely on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct StatusListRecord {
    /// Seconds since the list was issued.
    pub age_seconds: u64,
    /// When it was issued, RFC 3339.
    pub issued_at: String,
    /// What it says of the passport: `valid`, `invalid`, `suspended`, `other` or `out_of_range`.
    pub status: String,
    /// Its URI.
    pub uri: String,
}

/// The agent in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct AgentRecord {
    /// The passport's `sub`.
    pub agent_id: String,
    /// Who handed the authority on, from the agent of the issuer to the one that made this passport; empty where the
    /// issuer did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegated_by: Vec<DelegatorRecord>,
    /// The `iss` of the passport that everything rests on.
    pub issuer: String,
    /// RFC 7638 thumbprint of the agent's key.
    pub key_thumbprint: String,
    /// What the agent and those above it have been in touch with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The passport's `jti`; empty for a foreign agent, which has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub passport_id: String,
    /// SHA-256 of the passport or the whole chain as presented; empty for a foreign agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub passport_sha256: String,
    /// What the work is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The task that the work belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The tier the gate computed.
    pub trust_tier: String,
}

impl AgentRecord {
    /// The agent that the issuer vouches for, whose limits count for all that it hands on to.
    pub fn root_agent_id(&self) -> &str {
        self.delegated_by.first().map_or(&self.agent_id, |root| &root.agent_id)
    }
}

/// An agent that handed authority on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct DelegatorRecord {
    /// The `sub` of its passport.
    pub agent_id: String,
    /// RFC 7638 thumbprint of its key.
    pub key_thumbprint: String,
    /// The `jti` of its passport.
    pub passport_id: String,
}

/// The gate in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct GateRecord {
    /// The gate's id.
    pub gate_id: String,
    /// Its security level.
    pub level: String,
}

/// The request in a record. Query and body are present only as digests: they may hold personal data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct RequestRecord {
    /// The action, once the request is mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The one-action pass that it asked for or presented, once that was found good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_pass: Option<ActionPassRecord>,
    /// The amount in micro-USD, when the route declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_micro_usd: Option<u64>,
    /// The approvals that an allow of it uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalRecord>,
    /// What the action does: `read`, `write`, `destructive` or `admin`, once the request is mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_class: Option<String>,
    /// SHA-256 of the body that goes upstream, when something is taken out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_payload_sha256: Option<String>,
    /// The method.
    pub method: String,
    /// The path as received, at most 512 bytes.
    pub path: String,
    /// SHA-256 of the body, once its digest is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<String>,
    /// The form of the proof, when it is not a message signature with a passport: `dpop` or `web_bot_auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// SHA-256 of what approvers are shown of it, where it needs approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_sha256: Option<String>,
    /// The target domain, when the route declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_domain: Option<String>,
    /// SHA-256 of scheme, authority, path and query, once the proof is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_sha256: Option<String>,
}

/// An approval that a request presents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ApprovalRecord {
    /// The approver's name.
    pub approver: String,
    /// The approval's id.
    pub id: String,
    /// RFC 7638 thumbprint of the approver's key.
    pub key_thumbprint: String,
    /// The request that the approver was shown.
    pub request_id: String,
    /// SHA-256 of what was shown. Of a grant, that is another request than this one, or an earlier one.
    pub shown_sha256: String,
}

impl ApprovalRecord {
    /// What is recorded of an approval that `approver` signed.
    pub fn of(approval: &Approval, approver: &Approver) -> Self {
        Self {
            approver: approver.name.clone(),
            id: approval.jti.clone(),
            key_thumbprint: approver.key.thumbprint().to_owned(),
            request_id: approval.request_id.clone(),
            shown_sha256: sha256_label(&approval.shown_sha256),
        }
    }
}

/// What somebody answered to a request for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ApprovalAnswerRecord {
    /// What was answered.
    pub answer: ApprovalAnswer,
    /// The approval, where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRecord>,
    /// Why, in the words of whoever answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The request.
    pub request_id: String,
    /// SHA-256 of what was shown.
    pub shown_sha256: String,
}

/// An answer to a request for approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalAnswer {
    /// An approver approves.
    Approve,
    /// It is denied: nobody is asked again while the request waits.
    Deny,
}

/// What a request wanted with a one-action pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionPassRecord {
    /// SHA-256 of the action, to which the pass is bound.
    pub action_sha256: String,
    /// The id of the pass that was presented. One that was minted has the ULID of the decision's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What for.
    #[serde(rename = "use")]
    pub usage: ActionPassUse,
}

/// What a request wanted with a one-action pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionPassUse {
    /// An allow minted one, and nothing was forwarded.
    Mint,
    /// It presented one; an allow redeemed it.
    Redeem,
}

/// How revocation was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationCheck {
    /// In the admission step, strongly consistent.
    Admission,
    /// Not reached: the request was refused before.
    NotChecked,
}

/// One guardrail's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct GuardrailRecord {
    /// The figures behind the result.
    #[serde(default, skip_serializing_if = "SortedMap::is_empty")]
    pub evidence: SortedMap<Cow<'static, str>, EvidenceValue>,
    /// The guardrail.
    pub guardrail: Cow<'static, str>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<Reason>,
    /// Its result.
    pub result: GuardrailOutcome,
}

/// The result of one guardrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailOutcome {
    /// It holds.
    Pass,
    /// It does not hold: deny.
    Fail,
    /// It asks for a person.
    StepUp,
    /// The gate does not set it, or the route has nothing it applies to.
    NotApplicable,
    /// Something before it refused, so its state was not consulted.
    NotEvaluated,
    /// It was evaluated and decides nothing.
    Shadow,
}

/// A figure in the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EvidenceValue {
    /// A count, amount or duration.
    Number(u64),
    /// A name.
    Text(String),
}

/// Not derived: that would copy the value before it looks what it is.
impl<'de> Deserialize<'de> for EvidenceValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Figure)
    }
}

/// Reads an [`EvidenceValue`].
struct Figure;

impl Visitor<'_> for Figure {
    type Value = EvidenceValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<EvidenceValue, E> {
        Ok(EvidenceValue::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<EvidenceValue, E> {
        Ok(EvidenceValue::Text(text.to_owned()))
    }
}

/// What became of an allowed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct OutcomeRecord {
    /// What became of the budgets that the decision charged; absent when it charged none or was settled before. The
    /// store knows it: whoever asks for the settling leaves it `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetOutcome>,
    /// From forwarding to the last byte, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of the request body.
    pub request_bytes: u64,
    /// What was found in the response, where it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseRecord>,
    /// Bytes of the response body that were passed on.
    pub response_bytes: u64,
    /// SHA-256 of those bytes, when the response ended regularly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_sha256: Option<String>,
    /// How it ended.
    pub result: OutcomeResult,
    /// The upstream's status, when it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// What was found in a response. The body is present as a digest only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ResponseRecord {
    /// Every guardrail that it was held against, with its result.
    pub guardrails_evaluated: Vec<GuardrailRecord>,
    /// Why it was withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<Reason>,
    /// Bytes of its body as it came, when it was read whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_bytes: Option<u64>,
    /// SHA-256 of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_sha256: Option<String>,
}

/// What became of the budgets that an allow charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOutcome {
    /// The amounts stay charged.
    Committed,
    /// The amounts were given back.
    Released,
    /// The amounts stay charged until it is known what became of the request: see [`ReconciliationRecord`].
    Held,
}

/// How an allowed request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeResult {
    /// The whole response was passed on.
    Completed,
    /// No connection to the upstream: it saw nothing.
    Unreachable,
    /// The upstream did not answer in time; it may have acted.
    TimedOut,
    /// The response broke off, was too large, or the caller went away; the upstream may have acted.
    Aborted,
    /// It was never forwarded: allowed too late, or the gate failed before sending. The upstream saw nothing.
    NotForwarded,
    /// The upstream answered, and its response was not passed on for what it holds.
    Withheld,
}

impl OutcomeResult {
    /// What becomes of what the decision charged: it is given back only when the upstream certainly saw nothing. Where it
    /// may have acted, the money may have been spent.
    pub const fn budget(self) -> BudgetOutcome {
        match self {
            Self::Unreachable | Self::NotForwarded => BudgetOutcome::Released,
            Self::Completed | Self::Withheld => BudgetOutcome::Committed,
            Self::TimedOut | Self::Aborted => BudgetOutcome::Held,
        }
    }
}

/// What became of a request whose outcome nobody knew, as an operator found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct ReconciliationRecord {
    /// What becomes of what the decision charged: it was spent, or is given back.
    pub budget: BudgetOutcome,
    /// How the operator knows, in the operator's words: 1 to 256 characters of plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl ReconciliationRecord {
    /// Why it cannot be recorded, with the member at fault; `None` when it can.
    pub fn problem(&self) -> Option<&'static str> {
        if self.budget == BudgetOutcome::Held {
            return Some("`budget` is `committed` or `released`: it is held already");
        }
        let is_plain = self.note.as_deref().is_none_or(is_plain_text);
        (!is_plain).then_some("`note` is not 1 to 256 characters without control and direction characters")
    }
}

/// The head of another chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct PreviousChain {
    /// The chain.
    pub chain_uid: String,
    /// SHA-256 of its last record's JWS.
    pub head_sha256: String,
    /// Records in it.
    pub size: u64,
}

/// Refusals counted together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct FoldedRecord {
    /// Counts by reason code.
    pub by_reason: SortedMap<String, u64>,
    /// When the first of them came, RFC 3339.
    pub from: String,
    /// When the last of them came, RFC 3339.
    pub to: String,
}

impl FoldedRecord {
    /// Adds `count` to that of `reason`.
    pub fn count(&mut self, reason: &str, count: u64) {
        match self.by_reason.get_mut(reason) {
            Some(sum) => *sum += count,
            None => {
                self.by_reason.insert(reason.to_owned(), count);
            }
        }
    }
}

/// What may be missing from a chain, and from when to when it would have been made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct GapRecord {
    /// From when on, RFC 3339.
    pub from: String,
    /// What: `refusal_counts` are the refusals counted in memory that no record was made of.
    pub lost: Vec<String>,
    /// Until when, RFC 3339.
    pub to: String,
}

/// A key of a plugin, written or deleted by an operator. Values are present only as digests: they may be secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginKeyRecord {
    /// The key.
    pub key: String,
    /// The plugin's name.
    pub plugin: String,
    /// SHA-256 of the new value; absent when the key was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_sha256: Option<String>,
}
