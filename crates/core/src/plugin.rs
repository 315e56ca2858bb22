//! What policy plugins say of a request, as it is judged and recorded.
//!
//! A plugin can only restrict: it has no way to say allow. Its call that does not end in an answer refuses the request,
//! with a reason of its own for each way of failing.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// The most plugins that one gate has.
pub const MAX_PLUGINS: usize = 16;
/// The longest reason that a plugin may give, in bytes.
pub const MAX_REASON_BYTES: usize = 256;
/// The most roles that a plugin may name, and the longest name of one, in bytes.
pub const MAX_ROLES: usize = 8;
/// See [`MAX_ROLES`].
pub const MAX_ROLE_BYTES: usize = 64;
/// The most strings that a plugin may take out of one body, and the longest pointer to one, in bytes.
pub const MAX_REDACTIONS: usize = 64;
/// See [`MAX_REDACTIONS`].
pub const MAX_POINTER_BYTES: usize = 256;

/// The most bytes that the pointers of all plugins together take: they stand in the record, which has to stay small
/// enough to be verified.
pub const MAX_REDACTED_BYTES: usize = 8 * 1024;

/// One plugin's part in a decision. Members in alphabetical order: it stands in records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginRecord {
    /// SHA-256 of the configuration it was given, as canonical JSON.
    pub config_sha256: String,
    /// SHA-256 of the component.
    pub digest: String,
    /// Fuel its call used: about one unit an instruction.
    pub fuel: u64,
    /// The name the operator gave it.
    pub name: String,
    /// How its call ended.
    pub outcome: PluginOutcome,
    /// Why it denies or asks for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// JSON pointers to the strings that it takes out of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// Who may approve; empty is anybody who may approve at this gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<PluginVerdict>,
    /// The version it says it has.
    pub version: String,
}

/// How the call of a plugin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginOutcome {
    /// With an answer.
    Answered,
    /// In a trap.
    Trapped,
    /// It ran past its deadline.
    TimedOut,
    /// It used up its fuel.
    FuelExhausted,
    /// It wanted more memory, tables, stack, calls of the host or output than it may have.
    LimitExceeded,
    /// With an answer that is none.
    AnswerInvalid,
    /// It was not called: it failed too often just before, or what it needs is not there.
    Unavailable,
    /// It was not called: the request was refused already.
    NotRun,
}

/// What a plugin answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginVerdict {
    /// Nothing against it.
    Abstain,
    /// Refuse.
    Deny,
    /// Refuse until somebody approves.
    StepUp,
    /// Forward without some strings.
    Redact,
}

impl PluginRecord {
    /// Why the request is not simply allowed, as far as this plugin goes.
    #[must_use]
    pub fn reason_code(&self) -> Option<Reason> {
        match (self.outcome, self.verdict) {
            (PluginOutcome::Answered, Some(PluginVerdict::Abstain | PluginVerdict::Redact)) => None,
            (PluginOutcome::Answered, Some(PluginVerdict::Deny)) => Some(Reason::PluginDenied),
            (PluginOutcome::Answered, Some(PluginVerdict::StepUp)) => Some(Reason::PluginStepUp),
            (PluginOutcome::Answered, None) | (PluginOutcome::AnswerInvalid, _) => Some(Reason::PluginAnswerInvalid),
            (PluginOutcome::Trapped, _) => Some(Reason::PluginTrapped),
            (PluginOutcome::TimedOut, _) => Some(Reason::PluginTimedOut),
            (PluginOutcome::FuelExhausted, _) => Some(Reason::PluginFuelExhausted),
            (PluginOutcome::LimitExceeded, _) => Some(Reason::PluginLimitExceeded),
            // One that was not called refuses too: what refused the request before it comes first in the order.
            (PluginOutcome::Unavailable | PluginOutcome::NotRun, _) => Some(Reason::PluginUnavailable),
        }
    }
}
