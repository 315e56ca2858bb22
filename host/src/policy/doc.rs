//! Rules as they are written.

use std::collections::BTreeMap;

use passgate_api::bundle::{EffectClassDoc, GuardrailsDoc, LevelDoc, RouteDoc, Scalar, WindowsDoc};
use passgate_api::usd::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the rules are there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RulesMode {
    /// They decide.
    #[default]
    Enforce,
    /// They are evaluated and recorded, and decide nothing. No one-action passes are minted meanwhile.
    Shadow,
}

/// A file with a part of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyFile {
    /// What it is, where it is offered as a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateDoc>,
    /// Routes, which come after those of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteDoc>,
    /// Guardrails. Of each limit that stands in several files, the strictest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrails: Option<GuardrailsDoc>,
    /// The rules, in any order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleDoc>,
}

/// What a template is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateDoc {
    /// Its name for people.
    pub title: String,
    /// The group it is listed in.
    pub group: String,
    /// The security level it is meant for.
    pub level: LevelDoc,
    /// What to adapt before use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapt: Vec<String>,
}

/// One rule. It matches a request when all of `when` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleDoc {
    /// Its name in records and messages: 1 to 64 of a-z 0-9 _ . -; no two have the same.
    pub name: String,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it says of a request that it matches.
    pub effect: EffectDoc,
    /// What a request has to be for the rule to match. Absent: every request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when: ConditionsDoc,
    /// What a request that it matches has to be, or it is denied, whatever other rules allow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub require: ConditionsDoc,
    /// Who approves, of a rule with the effect `step_up`. Absent: one person, of any role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalDoc>,
    /// The longest life of a one-action pass for what it matches, in seconds from 1 to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_ttl_seconds: Option<u16>,
    /// How often each agent may do what it matches.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate_limits: WindowsDoc,
    /// RFC 6901 pointers to texts in the JSON body that do not reach the API: `[redacted]` stands in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<String>,
}

fn is_default<T: Default + PartialEq>(doc: &T) -> bool {
    *doc == T::default()
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectDoc {
    /// Let it through.
    Allow,
    /// Let it through once a person has approved.
    StepUp,
    /// Refuse it, whatever other rules say.
    Deny,
}

/// Who approves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDoc {
    /// How many different people: 1 to 8.
    #[serde(default = "one")]
    pub count: u32,
    /// The roles of which each has one; names of 1 to 64 of a-z 0-9 _ . -. Absent: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

const fn one() -> u32 {
    1
}

/// What a request has to be: everything that is listed. Of one list, one entry suffices; of one that begins with `not_`,
/// none may fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConditionsDoc {
    /// Actions as scopes: `payments:create`, `payments:*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// Actions that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_actions: Option<Vec<String>>,
    /// Ids of agents that issuers vouch for; an id may end with `*`. Agents that those hand on to count as them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<String>>,
    /// Agents that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_agents: Option<Vec<String>>,
    /// Who vouches for the agent: the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuers: Option<Vec<String>>,
    /// Issuers that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_issuers: Option<Vec<String>>,
    /// Trust tiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<TierDoc>>,
    /// Effect classes that routes declare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<EffectClassDoc>>,
    /// Effect classes that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_classes: Option<Vec<EffectClassDoc>>,
    /// Labels of passports, of which the agent's have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Labels of which they have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_labels: Option<Vec<String>>,
    /// Target domains: `api.example.com`, `*.example.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    /// Target domains that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_domains: Option<Vec<String>>,
    /// Resources: `customers/42`, or with all below, `customers/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<String>>,
    /// Resources that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_resources: Option<Vec<String>>,
    /// Purposes that passports state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purposes: Option<Vec<String>>,
    /// Purposes that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_purposes: Option<Vec<String>>,
    /// The amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<AmountRangeDoc>,
    /// Times of the week.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub during: Option<DuringDoc>,
    /// Times of the week that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_during: Option<DuringDoc>,
    /// The first instant, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// The first instant that is too late, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// Arguments that the routes declare, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, ArgumentTestDoc>,
    /// In `require`: the most records that a request may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_records: Option<u64>,
    /// In `require`: nothing may stand in the query and the JSON body but what the route declares.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub only_known_arguments: bool,
}

/// A trust tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TierDoc {
    /// Self-issued.
    L1,
    /// Managed.
    L2,
    /// Certified.
    L3,
}

/// A range of amounts, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AmountRangeDoc {
    /// More than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Usd>,
    /// This or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Usd>,
    /// Less than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Usd>,
    /// This or less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Usd>,
}

/// Times of the week on the clocks of one time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuringDoc {
    /// The zone, e.g. `Europe/Berlin` or `UTC`.
    pub zone: String,
    /// The times.
    pub windows: Vec<WindowDoc>,
}

/// A time of the week.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WindowDoc {
    /// The days on which it begins. Absent: every day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<DayDoc>>,
    /// When it begins, `09:00`. Absent: at midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When it is over, `17:30`: on the next day if that is no later. Absent: at midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "their names say it")]
pub enum DayDoc {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// What an argument has to be: everything that is listed. What may be listed depends on its kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ArgumentTestDoc {
    /// Whether it is there at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// This value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub is: Option<Scalar>,
    /// One of these values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    pub one_of: Option<Vec<Scalar>>,
    /// None of these values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    pub none_of: Option<Vec<Scalar>>,
    /// Of an integer: this or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    /// Of an integer: this or less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
    /// Of a text or a path: a regular expression for the whole of it, whose classes are ASCII.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// Of a text or a path: one that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_matches: Option<String>,
    /// Of a text or a path: as many bytes of UTF-8, or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Of a text or a path: as many bytes of UTF-8, or fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Of a path: one of these, or below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Vec<String>>,
    /// Of a path: none of these, nor below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_below: Option<Vec<String>>,
    /// Of a host: `api.example.com`, `*.example.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// Of a host: ones that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_hosts: Option<Vec<String>>,
    /// Of an address: `192.0.2.0/24`, `2001:db8::/32`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// Of an address: ones that do not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_networks: Option<Vec<String>>,
}
