//! The tiers in which requests are looked at, of a policy.

use passgate_core::gate::{Guardian, Spot};
use passgate_core::state::MAX_RISK;
use serde::{Deserialize, Serialize};

use super::compile::{BundleError, error};
use super::of_both;

/// The tiers in which requests are looked at, by the classes of their actions. What only reads passes the guardrails and rules
/// themselves. What is of the class `destructive` or `admin` needs `spot` and a reviewer, which the gate's own configuration
/// names, and is refused where one of them is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GuardianDoc {
    /// The score of what changes something before the past of its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<SpotDoc>,
}

/// From which score on a request is unlike what its agent did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SpotDoc {
    /// A person has to approve it: from 1 to 100.
    #[serde(default = "default_step_up")]
    pub step_up_at: u32,
    /// It is refused: above `step_up_at`, at most 100. Absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_at: Option<u32>,
}

const fn default_step_up() -> u32 {
    80
}

impl GuardianDoc {
    /// What lets through what both do.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        Self { spot: of_both(self.spot.as_ref(), other.spot.as_ref(), SpotDoc::stricter) }
    }

    /// # Errors
    ///
    /// The first threshold out of its bounds.
    pub(super) fn compile(self) -> Result<Guardian, BundleError> {
        let Some(SpotDoc { step_up_at, deny_at }) = self.spot else { return Ok(Guardian { spot: None }) };
        if !(1..=MAX_RISK).contains(&step_up_at) {
            return Err(error("guardrails.guardian.spot.step_up_at", format_args!("from 1 to {MAX_RISK}")));
        }
        if deny_at.is_some_and(|deny_at| deny_at <= step_up_at || deny_at > MAX_RISK) {
            let why = format_args!("above `step_up_at`, which is {step_up_at}, and at most {MAX_RISK}");
            return Err(error("guardrails.guardian.spot.deny_at", why));
        }
        Ok(Guardian { spot: Some(Spot { step_up_at, deny_at }) })
    }
}

impl SpotDoc {
    fn stricter(&self, other: &Self) -> Self {
        Self {
            step_up_at: self.step_up_at.min(other.step_up_at),
            deny_at: self.deny_at.into_iter().chain(other.deny_at).min(),
        }
    }
}
