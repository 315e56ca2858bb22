//! The sessions of agents, of a policy.

use passgate_core::gate::{Anomaly, Approvals, Sessions};
use passgate_core::policy::Approval;
use passgate_core::state::MAX_WINDOW_CALLS;
use passgate_passport::approval::MAX_PRESENTED_APPROVALS;
use passgate_passport::constraints::is_name;
use serde::{Deserialize, Serialize};

use super::compile::{BundleError, error};
use super::of_both;

/// The shortest session.
const MIN_SECONDS: u32 = 60;
/// The longest session: a day.
const MAX_SECONDS: u32 = 86_400;

/// The sessions of agents. A session begins with the first request of an agent's key; what the passport of that request
/// permits bounds it, and all that the agent hands on to belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionsDoc {
    /// A session without requests for so long is over, in seconds from 60 to 86400.
    #[serde(default = "default_idle")]
    pub idle_seconds: u32,
    /// The longest time of a session, in seconds from 60 to 86400.
    #[serde(default = "default_max")]
    pub max_seconds: u32,
    /// Whether a session lets through only what changes nothing, until a person elevates it. What is of the class `admin` no
    /// person elevates it to.
    #[serde(default = "default_read_only")]
    pub read_only: bool,
    /// Who elevates a read-only session. Absent: one approver, of any role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevation: Option<ElevationDoc>,
    /// From when on behaviour counts as unusual: then every request counts as one class higher than it is. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<AnomalyDoc>,
}

/// Who elevates a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ElevationDoc {
    /// So many people, from 1 to 8.
    #[serde(default = "one_person")]
    pub count: u32,
    /// The roles of which each has one. Without any: every approver counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// From when on behaviour counts as unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnomalyDoc {
    /// So many of the last requests are looked at, from 1 to 50.
    #[serde(default = "default_window")]
    pub window_calls: u32,
    /// So many there have to be, at most as many as are looked at.
    #[serde(default = "default_min_calls")]
    pub min_calls: u32,
    /// So many of a hundred denied are unusual, from 1 to 100.
    #[serde(default = "default_denied")]
    pub denied_percent: u32,
    /// So many of a hundred that change something are unusual, from 1 to 100.
    #[serde(default = "default_write")]
    pub write_percent: u32,
}

const fn default_idle() -> u32 {
    1_800
}

const fn default_max() -> u32 {
    28_800
}

const fn default_read_only() -> bool {
    true
}

const fn one_person() -> u32 {
    1
}

const fn default_window() -> u32 {
    20
}

const fn default_min_calls() -> u32 {
    5
}

const fn default_denied() -> u32 {
    30
}

const fn default_write() -> u32 {
    80
}

impl SessionsDoc {
    /// Sessions that go on for as long as the longer of both, so that nothing is forgotten sooner, and are watched for what either
    /// watches.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        Self {
            idle_seconds: self.idle_seconds.max(other.idle_seconds),
            max_seconds: self.max_seconds.max(other.max_seconds),
            read_only: self.read_only || other.read_only,
            elevation: of_both(self.elevation.as_ref(), other.elevation.as_ref(), ElevationDoc::stricter),
            anomaly: of_both(self.anomaly.as_ref(), other.anomaly.as_ref(), AnomalyDoc::stricter),
        }
    }

    /// # Errors
    ///
    /// The first member that does not hold together, or an elevation that `approvals` cannot give.
    pub(super) fn compile(&self, approvals: Option<&Approvals>) -> Result<Sessions, BundleError> {
        for (member, seconds) in [("idle_seconds", self.idle_seconds), ("max_seconds", self.max_seconds)] {
            if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
                let why = format_args!("from {MIN_SECONDS} to {MAX_SECONDS}");
                return Err(error(format!("guardrails.sessions.{member}"), why));
            }
        }
        if self.elevation.is_some() && !self.read_only {
            let why = "a session that is not read-only is never elevated; remove it, or set `read_only: true`";
            return Err(error("guardrails.sessions.elevation", why));
        }
        let elevation = self.elevation.clone().unwrap_or(ElevationDoc { count: 1, roles: Vec::new() });
        let elevation = self.read_only.then(|| elevation.compile(approvals)).transpose()?;
        Ok(Sessions {
            idle_seconds: self.idle_seconds.into(),
            max_seconds: self.max_seconds.into(),
            elevation,
            anomaly: self.anomaly.map(AnomalyDoc::compile).transpose()?,
        })
    }
}

impl ElevationDoc {
    /// More people, of the roles that both name. Where there are none, this one's: who has to be found has to be somebody.
    fn stricter(&self, other: &Self) -> Self {
        let both: Vec<String> = self.roles.iter().filter(|role| other.roles.contains(role)).cloned().collect();
        let roles = match (self.roles.is_empty(), other.roles.is_empty()) {
            (true, _) => other.roles.clone(),
            (_, true) => self.roles.clone(),
            _ if both.is_empty() => self.roles.clone(),
            _ => both,
        };
        Self { count: self.count.max(other.count), roles }
    }

    fn compile(&self, approvals: Option<&Approvals>) -> Result<Approval, BundleError> {
        let at = |member: &str| format!("guardrails.sessions.elevation{member}");
        if !usize::try_from(self.count).is_ok_and(|count| (1..=MAX_PRESENTED_APPROVALS).contains(&count)) {
            return Err(error(at(".count"), format_args!("from 1 to {MAX_PRESENTED_APPROVALS}")));
        }
        if !self.roles.iter().all(|role| is_name(role)) {
            return Err(error(at(".roles"), "use 1 to 64 of a-z 0-9 _ . -"));
        }
        let counts = |roles: &[String]| self.roles.is_empty() || roles.iter().any(|role| self.roles.contains(role));
        let able = approvals.map(|of| of.approvers.iter().filter(|approver| counts(&approver.roles)).count());
        match able.and_then(|able| u32::try_from(able).ok()).filter(|able| *able < self.count) {
            Some(able) => {
                let why =
                    format!("wants {} of the approvers in `approvals`, and {able} of them can give it", self.count);
                Err(error(at(""), why))
            }
            None => Ok(Approval { roles: self.roles.clone(), count: self.count }),
        }
    }
}

impl AnomalyDoc {
    /// Fewer calls of the longer window, and the lower parts of them.
    fn stricter(&self, other: &Self) -> Self {
        Self {
            window_calls: self.window_calls.max(other.window_calls),
            min_calls: self.min_calls.min(other.min_calls),
            denied_percent: self.denied_percent.min(other.denied_percent),
            write_percent: self.write_percent.min(other.write_percent),
        }
    }

    fn compile(self) -> Result<Anomaly, BundleError> {
        let Self { window_calls, min_calls, denied_percent, write_percent } = self;
        let bounds = [
            ("window_calls", window_calls, MAX_WINDOW_CALLS),
            ("min_calls", min_calls, window_calls),
            ("denied_percent", denied_percent, 100),
            ("write_percent", write_percent, 100),
        ];
        for (member, value, most) in bounds {
            if !(1..=most).contains(&value) {
                return Err(error(format!("guardrails.sessions.anomaly.{member}"), format_args!("from 1 to {most}")));
            }
        }
        Ok(Anomaly { window_calls, min_calls, denied_percent, write_percent })
    }
}
