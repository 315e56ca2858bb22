//! `cases.yml`: what a plugin is asked, and what it should answer.

use std::collections::BTreeMap;
use std::path::Path;

use passgate_api::usd::Usd;
use passgate_core::plugin::{PluginOutcome, PluginRecord, PluginVerdict};
use passgate_core::time::UnixMillis;
use passgate_host::config::{self, ConfigError, PluginLimitsDoc};
use passgate_host::plugins::{Agent, Facts, Header, Question, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The time of a case that says none: a Monday.
const DEFAULT_NOW: &str = "2026-01-05T12:00:00Z";

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    /// Limits of every call, as in passgate.yml.
    #[serde(default)]
    pub(super) limits: PluginLimitsDoc,
    pub(super) cases: Vec<Case>,
}

/// One request, and the answer to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(default)]
    pub(super) config: Value,
    now: Option<String>,
    #[serde(default = "default_action")]
    action: String,
    amount_usd: Option<Usd>,
    target_domain: Option<String>,
    #[serde(default)]
    agent: AgentDoc,
    method: Option<String>,
    #[serde(default = "default_path")]
    path: String,
    query: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    #[serde(default)]
    pub(super) keys: BTreeMap<String, String>,
    pub(super) expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AgentDoc {
    id: String,
    issuer: String,
    tier: String,
    permissions: Vec<String>,
    delegated_by: Vec<String>,
    labels: Vec<String>,
    purpose: Option<String>,
}

impl Default for AgentDoc {
    fn default() -> Self {
        Self {
            id: "agent-1".to_owned(),
            issuer: "https://issuer.example".to_owned(),
            tier: "L2".to_owned(),
            permissions: vec!["*".to_owned()],
            delegated_by: Vec::new(),
            labels: Vec::new(),
            purpose: None,
        }
    }
}

/// What must be so; what is not named may be anything.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<PluginVerdict>,
    /// A part of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<PluginOutcome>,
}

impl Cases {
    /// Reads and checks the file.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let cases: Self = config::read_document(path)?;
        let wrong = |member: String, problem: String, remedy: &str| ConfigError {
            file: path.to_owned(),
            position: None,
            member: Some(member),
            problem,
            remedy: Some(remedy.to_owned()),
        };
        if cases.cases.is_empty() {
            return Err(wrong("cases".to_owned(), "is empty".to_owned(), "write a case"));
        }
        for (i, case) in cases.cases.iter().enumerate() {
            let member = |name: &str| format!("cases[{i}].{name}");
            if case.expect == Expect::default() {
                let problem = "expects nothing, so it cannot fail".to_owned();
                return Err(wrong(member("expect"), problem, "name the verdict or the outcome"));
            }
            if case.now().is_none() {
                let problem = format!("`{}` is no time", case.now.as_deref().unwrap_or_default());
                return Err(wrong(member("now"), problem, "write it as in 2026-01-05T12:00:00Z"));
            }
        }
        Ok(cases)
    }
}

impl Case {
    /// What the plugin is asked.
    pub(super) fn question(&self) -> Question {
        let body = match &self.body {
            None => Vec::new(),
            Some(Value::String(text)) => text.as_bytes().to_vec(),
            Some(value) => value.to_string().into_bytes(),
        };
        let method = self.method.as_deref().unwrap_or(if self.body.is_some() { "POST" } else { "GET" });
        let header = |(name, value): (&String, &String)| Header { name: name.to_lowercase(), value: value.clone() };
        Question {
            request: Request {
                method: method.to_owned(),
                scheme: "https".to_owned(),
                authority: "api.example.com".to_owned(),
                path: self.path.clone(),
                query: self.query.clone(),
                headers: self.headers.iter().map(header).collect(),
                body,
            },
            facts: Facts {
                now_ms: self.now().map_or(0, |now| now.0),
                gate_id: "gate_local".to_owned(),
                action: self.action.clone(),
                amount_micro_usd: self.amount_usd.map(|amount| amount.0.0),
                target_domain: self.target_domain.clone(),
                agent: self.agent.agent(),
            },
        }
    }

    fn now(&self) -> Option<UnixMillis> {
        UnixMillis::from_rfc3339(self.now.as_deref().unwrap_or(DEFAULT_NOW))
    }
}

impl AgentDoc {
    fn agent(&self) -> Agent {
        Agent {
            id: self.id.clone(),
            issuer: self.issuer.clone(),
            tier: self.tier.clone(),
            passport_id: "pass_01ARYZ6S410000000000000001".to_owned(),
            key_thumbprint: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned(),
            permissions: self.permissions.clone(),
            delegated_by: self.delegated_by.clone(),
            labels: self.labels.clone(),
            purpose: self.purpose.clone(),
        }
    }
}

impl Expect {
    /// Whether the record is as expected. A call that gave no answer is only when its outcome was expected.
    pub(super) fn is_met_by(&self, record: &PluginRecord) -> bool {
        let reason = record.reason.as_deref().unwrap_or_default();
        self.outcome.unwrap_or(PluginOutcome::Answered) == record.outcome
            && self.verdict.is_none_or(|verdict| record.verdict == Some(verdict))
            && self.reason.as_deref().is_none_or(|part| reason.contains(part))
            && self.roles.as_ref().is_none_or(|roles| *roles == record.roles)
            && self.redacted.as_ref().is_none_or(|redacted| *redacted == record.redacted)
    }
}

fn default_action() -> String {
    "web:search".to_owned()
}

fn default_path() -> String {
    "/".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> PluginRecord {
        PluginRecord {
            config_sha256: String::new(),
            digest: String::new(),
            fuel: 1,
            name: String::new(),
            outcome: PluginOutcome::Answered,
            reason: Some("because of that".to_owned()),
            redacted: vec!["/a".to_owned()],
            roles: vec!["finance".to_owned()],
            verdict: Some(PluginVerdict::Deny),
            version: String::new(),
        }
    }

    #[test]
    fn every_member_of_an_expectation_counts() {
        let met = |yaml: Value| serde_json::from_value::<Expect>(yaml).unwrap().is_met_by(&record());
        for good in [
            serde_json::json!({"verdict": "deny"}),
            serde_json::json!({"verdict": "deny", "reason": "of that", "roles": ["finance"], "redacted": ["/a"]}),
            serde_json::json!({"outcome": "answered"}),
        ] {
            assert!(met(good.clone()), "{good}");
        }
        for bad in [
            serde_json::json!({"verdict": "abstain"}),
            serde_json::json!({"verdict": "deny", "reason": "of this"}),
            serde_json::json!({"verdict": "deny", "roles": []}),
            serde_json::json!({"verdict": "deny", "redacted": ["/b"]}),
            serde_json::json!({"outcome": "trapped"}),
        ] {
            assert!(!met(bad.clone()), "{bad}");
        }
        let trapped = PluginRecord { outcome: PluginOutcome::Trapped, verdict: None, ..record() };
        assert!(!Expect { reason: Some("that".to_owned()), ..Expect::default() }.is_met_by(&trapped));
        assert!(Expect { outcome: Some(PluginOutcome::Trapped), ..Expect::default() }.is_met_by(&trapped));
    }
}
