//! Files of tests: requests, and what has to become of them.

use std::collections::BTreeMap;
use std::path::Path;

use passgate_core::attest::DecisionKind;
use passgate_core::reason::Reason;
use passgate_core::time::UnixMillis;
use passgate_host::config::{self, ConfigError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most requests of one test.
const MAX_REPEAT: u32 = 10_000;
/// The instant of requests that name none, a Friday.
const NOW: &str = "2027-01-15T12:00:00Z";

/// A file of tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    /// The policy file under test, beside this file. Absent: the policy of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// The tests.
    pub(crate) tests: Vec<Case>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows.
    pub(crate) name: String,
    /// The request.
    pub(crate) request: RequestDoc,
    /// How often it is made in a row: 1 to 10,000. The last one counts.
    #[serde(default = "once")]
    pub(crate) repeat: u32,
    /// The decision.
    pub(crate) expect: ExpectDoc,
    /// Its reason code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The rule that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
}

const fn once() -> u32 {
    1
}

/// A request, by an agent whose passport and proof hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequestDoc {
    /// The method. Absent: GET, or POST with a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// The path and the query.
    pub(crate) path: String,
    /// Header fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// The body: a text, or what is sent as JSON.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) body: Value,
    /// The agent's id. Absent: `agent-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    /// The issuer of its passport. Absent: the first that the gate trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// The scopes of its passport. Absent: `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permissions: Option<Vec<String>>,
    /// The labels of its passport.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<String>,
    /// The purpose that its passport states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    /// The instant, RFC 3339. Absent: 2027-01-15T12:00:00Z, a Friday.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExpectDoc {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
    /// Waiting for a person's approval.
    StepUp,
}

impl ExpectDoc {
    pub(crate) fn kind(self) -> DecisionKind {
        match self {
            Self::Allow => DecisionKind::Allow,
            Self::Deny => DecisionKind::Deny,
            Self::StepUp => DecisionKind::StepUp,
        }
    }
}

impl RequestDoc {
    /// When it is made; none when that is no instant.
    pub(crate) fn now(&self) -> Option<UnixMillis> {
        UnixMillis::from_rfc3339(self.at.as_deref().unwrap_or(NOW))
    }
}

impl Cases {
    /// Reads and checks the file.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let cases: Self = config::read_document(path)?;
        if cases.tests.is_empty() {
            return Err(wrong(path, "tests".to_owned(), "is empty: write a test"));
        }
        for (i, case) in cases.tests.iter().enumerate() {
            let at = |member: &str| format!("tests[{i}].{member}");
            if case.request.now().is_none() {
                return Err(wrong(path, at("request.at"), "is no instant: write it as in 2027-01-15T12:00:00Z"));
            }
            if !case.request.path.starts_with('/') {
                return Err(wrong(path, at("request.path"), "does not begin with `/`"));
            }
            if !(1..=MAX_REPEAT).contains(&case.repeat) {
                return Err(wrong(path, at("repeat"), "is from 1 to 10,000"));
            }
            if case.reason.as_ref().is_some_and(|code| Reason::from_code(code).is_none()) {
                return Err(wrong(path, at("reason"), "is no reason code of a gate"));
            }
        }
        Ok(cases)
    }
}

fn wrong(path: &Path, member: String, problem: &str) -> ConfigError {
    let error = ConfigError {
        file: path.to_owned(),
        position: None,
        member: Some(member),
        problem: problem.to_owned(),
        remedy: None,
    };
    error.located()
}
