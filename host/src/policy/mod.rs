//! Rules as operators write them, and their compilation into what gates evaluate.
//!
//! Everything that can be wrong with a rule is found here, when a policy is made: a gate reads compiled rules and checks
//! no more than that they are whole. Refused is also what would not be wrong but never true: a rule that no route can lead
//! to, that asks for what no route tells, or that another one always overrules.

mod anchors;
mod arguments;
mod compile;
mod doc;
mod overlap;
mod pattern;
pub(crate) mod texts;
mod zones;

use std::fmt;
use std::path::{Path, PathBuf};

use passgate_core::gate::Gate;
use passgate_core::policy::Policy;

pub use pattern::parser;

pub use doc::{
    AmountRangeDoc, ApprovalDoc, ArgumentTestDoc, ConditionsDoc, DayDoc, DuringDoc, EffectDoc, PolicyFile, RuleDoc,
    RulesMode, TemplateDoc, TierDoc, WindowDoc,
};

/// A rule as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// In this file.
    pub file: &'a Path,
    /// As this member, e.g. `rules[2]`.
    pub at: &'a str,
    /// The rule.
    pub doc: &'a RuleDoc,
}

/// Compiled rules, and the names of what their conditions name by place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The rules.
    pub policy: Policy,
    /// The regular expressions of the policy's patterns.
    pub expressions: Vec<String>,
    /// The names of its time zones.
    pub zones: Vec<String>,
}

/// Something wrong with rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// The member, e.g. `rules[2].when.actions[0]`.
    pub at: String,
    /// What is wrong and what to do.
    pub why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file.display(), self.at, self.why)
    }
}

/// Compiles the rules of a gate, whose routes and issuers are known.
///
/// # Errors
///
/// Everything that is wrong with them, at least one thing.
pub fn compile(rules: &[Written<'_>], mode: RulesMode, gate: &Gate) -> Result<Compiled, Vec<Fault>> {
    compile::compile(rules, mode, gate)
}

#[cfg(test)]
mod tests;
