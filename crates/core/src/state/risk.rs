//! Risk: how unlike an agent's past a request is, as a score of named parts.
//!
//! The past is one row for each agent that an issuer vouches for, with all that it hands on to: what it was allowed to
//! do lately, where, how much of it, and how often it was refused. The score adds up what is known of the request with
//! what is not known of the agent. What a score leads to is judged before, as with [`Conduct`](super::Conduct): a
//! request that is riskier than it was judged is not admitted and judged once more.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::json;
use serde::{Deserialize, Serialize};

use super::conduct::recent_after;
use super::rows::{RowCorrupt, RowMap, Write};
use super::session::MAX_WINDOW_CALLS;
use crate::attest::DecisionKind;
use crate::time::UnixMillis;

/// The highest score.
pub const MAX_RISK: u32 = 100;

const PREFIX: &str = "h:";
/// Most actions, and most domains, that are remembered of an agent.
const MAX_REMEMBERED: usize = 64;
/// An agent that was allowed fewer requests is new.
const NEW_BELOW: u64 = 5;
/// An agent's past is forgotten when nothing came for so long.
const FORGOTTEN_SECONDS: i64 = 90 * 86_400;

const NEW_ACTION: u32 = 20;
const NEW_DOMAIN: u32 = 15;
const NEW_AGENT: u32 = 10;
const FIRST_AMOUNT: u32 = 10;
const TWICE_THE_LARGEST: u32 = 10;
const TEN_TIMES_THE_LARGEST: u32 = 25;
/// Of an agent whose every request was refused.
const ALL_DENIED: u32 = 25;

/// How risky a request is, as far as that changes what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// As any.
    #[default]
    Usual,
    /// A person has to approve it.
    High,
    /// It is refused.
    TooHigh,
}

/// One request before the past of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskClaim {
    /// What names the agent in state: gate and agent.
    pub key: String,
    /// What is scored; absent, the request is only counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scored: Option<Scored>,
    /// Whether an allow is something that the agent did. That a pass is minted for it is nothing done.
    pub learns: bool,
}

/// What is scored of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scored {
    /// The action.
    pub action: String,
    /// The target domain, if the route declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The amount in micro-USD, if the route declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
    /// The points of its effect class.
    pub class: u32,
    /// The points of a young credential.
    pub credential: u32,
    /// From which score on it is [`Risk::High`].
    pub high_at: u32,
    /// From which score on it is [`Risk::TooHigh`]; absent, none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_high_at: Option<u32>,
}

/// The parts of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct RiskAnswer {
    /// An amount unlike those before.
    pub amount: u32,
    /// What the action does.
    pub class: u32,
    /// A young credential.
    pub credential: u32,
    /// How often the agent was refused.
    pub denials: u32,
    /// An action that it was not allowed lately.
    pub new_action: u32,
    /// An agent of which little is known.
    pub new_agent: u32,
    /// A domain that it was not allowed lately.
    pub new_domain: u32,
}

/// The past of an agent, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Past {
    /// What it was allowed to do, the latest first.
    actions: Vec<String>,
    allowed: u64,
    calls: u64,
    /// Which of the last requests were denied, a bit each, the latest lowest.
    denied: u64,
    /// Where, the latest first.
    domains: Vec<String>,
    /// The largest amount, in micro-USD.
    largest: u64,
    /// Until when it is remembered, in Unix seconds.
    until: i64,
}

/// The past of a request's agent.
pub(super) struct Known {
    past: Past,
    pub(super) answer: Option<RiskAnswer>,
    pub(super) risk: Risk,
}

impl RiskClaim {
    /// The key of its row.
    pub(super) fn row_key(&self) -> String {
        [PREFIX, &self.key].concat()
    }

    pub(super) fn find(&self, rows: &impl RowMap, now: UnixMillis) -> Result<Known, RowCorrupt> {
        let key = self.row_key();
        let corrupt = |_| RowCorrupt { key: key.to_string() };
        let past: Option<Past> = rows.row(&key).map(json::read_back).transpose().map_err(corrupt)?;
        let past = past.filter(|past| now.seconds() < past.until).unwrap_or_default();
        let answer = self.scored.as_ref().map(|scored| past.score(scored));
        let risk = self.scored.as_ref().zip(answer).map_or(Risk::Usual, |(scored, answer)| scored.risk(answer.total()));
        Ok(Known { past, answer, risk })
    }

    /// What is written of the past after this request.
    pub(super) fn after(&self, known: &Known, decision: DecisionKind, now: UnixMillis) -> Write {
        let until = now.seconds().saturating_add(FORGOTTEN_SECONDS);
        let past = Past { until, ..known.past.after(self, decision) };
        let expires_at = Some(until);
        // Strings and integers always serialise; an empty row would be corrupt.
        Write { key: self.row_key(), value: serde_json::to_vec(&past).unwrap_or_default(), expires_at }
    }
}

impl Scored {
    fn risk(&self, total: u32) -> Risk {
        match self.too_high_at {
            Some(too_high_at) if total >= too_high_at => Risk::TooHigh,
            _ if total >= self.high_at => Risk::High,
            _ => Risk::Usual,
        }
    }
}

impl RiskAnswer {
    /// The parts by their names.
    pub fn parts(&self) -> [(&'static str, u32); 7] {
        [
            ("risk_amount", self.amount),
            ("risk_class", self.class),
            ("risk_credential_age", self.credential),
            ("risk_denials", self.denials),
            ("risk_new_action", self.new_action),
            ("risk_new_agent", self.new_agent),
            ("risk_new_domain", self.new_domain),
        ]
    }

    /// The score.
    pub fn total(&self) -> u32 {
        self.parts().iter().fold(0, |sum, (_, points)| points.saturating_add(sum)).min(MAX_RISK)
    }
}

impl Past {
    fn score(&self, scored: &Scored) -> RiskAnswer {
        let if_new =
            |known: &[String], name: &str, points| if known.iter().any(|seen| seen == name) { 0 } else { points };
        let recent = u32::try_from(self.calls).unwrap_or(u32::MAX).min(MAX_WINDOW_CALLS);
        RiskAnswer {
            amount: scored.amount.map_or(0, |amount| self.amount_points(amount)),
            class: scored.class,
            credential: scored.credential,
            denials: ALL_DENIED.saturating_mul(self.denied.count_ones()).checked_div(recent).unwrap_or(0),
            new_action: if_new(&self.actions, &scored.action, NEW_ACTION),
            new_agent: if self.allowed < NEW_BELOW { NEW_AGENT } else { 0 },
            new_domain: scored.domain.as_deref().map_or(0, |domain| if_new(&self.domains, domain, NEW_DOMAIN)),
        }
    }

    fn amount_points(&self, amount: u64) -> u32 {
        match (self.largest, amount) {
            (_, 0) => 0,
            (0, _) => FIRST_AMOUNT,
            (largest, amount) if amount >= largest.saturating_mul(10) => TEN_TIMES_THE_LARGEST,
            (largest, amount) if amount >= largest.saturating_mul(2) => TWICE_THE_LARGEST,
            _ => 0,
        }
    }

    fn after(&self, claim: &RiskClaim, decision: DecisionKind) -> Self {
        let mut after = Self {
            calls: self.calls.saturating_add(1),
            denied: recent_after(self.denied, decision == DecisionKind::Deny),
            ..self.clone()
        };
        if !claim.learns || decision != DecisionKind::Allow {
            return after;
        }
        after.allowed = after.allowed.saturating_add(1);
        if let Some(scored) = &claim.scored {
            remember(&mut after.actions, &scored.action);
            scored.domain.iter().for_each(|domain| remember(&mut after.domains, domain));
            after.largest = after.largest.max(scored.amount.unwrap_or(0));
        }
        after
    }
}

fn remember(known: &mut Vec<String>, name: &str) {
    known.retain(|seen| seen != name);
    known.insert(0, name.to_string());
    known.truncate(MAX_REMEMBERED);
}

#[cfg(test)]
mod tests;
