//! A gate: where it stands, whom it trusts, how it maps requests to actions and which guardrails it sets.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use passgate_passport::action_pass::Binding;
use passgate_passport::approval;
use passgate_passport::challenge::ChallengeKey;
use passgate_passport::jwe::EncryptionKey;
use passgate_passport::key::PublicKey;
use passgate_passport::proof::web_bot_auth::{Coverage, ForeignAgent};
use passgate_passport::scope::Scope;
use passgate_passport::status::{StatusList, StatusListError};
use passgate_passport::trust::{Tier, TrustStore};
use serde::{Deserialize, Serialize};

use crate::attest::{GateRecord, PolicyRecord};
use crate::domain::DomainPattern;
use crate::money::MicroUsd;
use crate::pii::Classes;
use crate::policy::{Approval, Policy};
use crate::route::Route;
use crate::state::{RateWindow, SpendPeriod};
use crate::status::StatusLists;
use crate::time::UnixMillis;

/// The security level of a gate: which trust tier it asks for at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Development: self-issued passports are accepted.
    L1,
    /// Production: managed issuers only.
    L2,
    /// High assurance: certified issuers only.
    L3,
}

impl Level {
    /// The lowest tier this level accepts.
    pub const fn minimum_tier(self) -> Tier {
        match self {
            Self::L1 => Tier::L1,
            Self::L2 => Tier::L2,
            Self::L3 => Tier::L3,
        }
    }

    /// What this level demands unless the policy says otherwise.
    pub const fn profile(self) -> Profile {
        let is_highest = matches!(self, Self::L3);
        Profile { challenge: is_highest, status_lists: is_highest }
    }

    /// `L1`, `L2` or `L3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }
}

/// What a gate demands of every request with a passport, beside its tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Proofs answer a challenge of the gate, so that none can be made in advance.
    pub challenge: bool,
    /// Every issuer's status lists are checked.
    pub status_lists: bool,
}

impl Profile {
    /// What is demanded here and not there, by the names that the policy has for it.
    pub fn beyond(self, other: Self) -> impl Iterator<Item = &'static str> {
        let demands = [
            (self.challenge && !other.challenge, "require_challenge"),
            (self.status_lists && !other.status_lists, "require_status_lists"),
        ];
        demands.into_iter().filter(|(is_beyond, _)| *is_beyond).map(|(_, name)| name)
    }
}

/// Where callers reach the gate. Proofs are bound to it, so it comes from the configuration and not from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: String,
    /// Host in lower case, with the port unless it is the scheme's default.
    pub authority: String,
}

/// Calls allowed in each window; absent means no limit, 0 means none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimits {
    /// Calls in a minute.
    pub requests_per_minute: Option<u32>,
    /// Calls in an hour.
    pub requests_per_hour: Option<u32>,
    /// Calls in a day.
    pub requests_per_day: Option<u32>,
}

impl RateLimits {
    /// The limits that are set, shortest window first.
    pub fn windows(&self) -> impl Iterator<Item = (RateWindow, u32)> {
        let pairs = [
            (RateWindow::Minute, self.requests_per_minute),
            (RateWindow::Hour, self.requests_per_hour),
            (RateWindow::Day, self.requests_per_day),
        ];
        pairs.into_iter().filter_map(|(window, limit)| Some((window, limit?)))
    }
}

/// Rate limits by what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RatePolicy {
    /// Of each agent.
    pub agent: RateLimits,
    /// Of the whole gate.
    pub gate: RateLimits,
    /// Of all agents of one issuer.
    pub tenant: RateLimits,
    /// Of each agent for each action.
    pub action: RateLimits,
}

/// Spend caps by period; absent means no cap, 0 means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpendCaps {
    /// Of one UTC day.
    pub daily: Option<MicroUsd>,
    /// Of one UTC month.
    pub monthly: Option<MicroUsd>,
    /// As long as it goes on. Of a task only.
    pub total: Option<MicroUsd>,
}

impl SpendCaps {
    /// The caps that are set, shortest period first.
    pub fn periods(&self) -> impl Iterator<Item = (SpendPeriod, MicroUsd)> {
        let pairs =
            [(SpendPeriod::Day, self.daily), (SpendPeriod::Month, self.monthly), (SpendPeriod::Total, self.total)];
        pairs.into_iter().filter_map(|(period, cap)| Some((period, cap?)))
    }
}

/// Spend caps by whose spending counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpendLimits {
    /// Of one request.
    pub per_transaction: Option<MicroUsd>,
    /// Of each agent that an issuer vouches for, with all that it hands on to.
    pub agent: SpendCaps,
    /// Of each agent by itself: one that was handed something counts apart from who handed it on.
    pub actor: SpendCaps,
    /// Of the whole gate.
    pub gate: SpendCaps,
    /// Of all agents of one issuer.
    pub tenant: SpendCaps,
    /// Of each agent for each action.
    pub action: SpendCaps,
    /// Of each task that an issuer names. With any of these, nobody else spends.
    pub task: SpendCaps,
}

/// What becomes of personal data and secrets, class by class; a class in none of them is not looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PiiControls {
    /// A request with any of these is refused.
    pub block: Classes,
    /// These are taken out of what is forwarded.
    pub redact: Classes,
    /// These are forwarded encrypted.
    pub encrypt: Option<Encryption>,
    /// These are counted.
    pub log: Classes,
    /// Whether a body that cannot be looked at refuses its request.
    pub denies_unscannable: bool,
}

/// What is forwarded encrypted, and who can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// What is encrypted.
    pub classes: Classes,
    /// The key of whoever reads it.
    pub to: EncryptionKey,
}

/// The sessions of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions {
    /// A session without requests for so long is over.
    pub idle_seconds: i64,
    /// The longest time of a session.
    pub max_seconds: i64,
    /// Who has to approve what changes something; absent, sessions are not read-only.
    pub elevation: Option<Approval>,
    /// From when on behaviour counts as unusual; absent, it never does.
    pub anomaly: Option<Anomaly>,
}

/// From when on behaviour counts as unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// How many of the last requests are looked at, at most [`MAX_WINDOW_CALLS`](crate::state::MAX_WINDOW_CALLS).
    pub window_calls: u32,
    /// How many there have to be.
    pub min_calls: u32,
    /// So many of a hundred denied are unusual.
    pub denied_percent: u32,
    /// So many of a hundred that change something are unusual.
    pub write_percent: u32,
}

/// The tiers in which requests are looked at, by what their actions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guardian {
    /// The score before the past of the agent; absent, what takes something away for good is refused.
    pub spot: Option<Spot>,
}

/// From which score on a request is unlike what its agent did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// A person has to approve it.
    pub step_up_at: u32,
    /// It is refused; absent, none is.
    pub deny_at: Option<u32>,
}

/// The most that may be read of a response to look at it, in bytes: what the search for personal data takes several times
/// over has to fit into an isolate at the edge.
pub const MAX_SCANNED_RESPONSE_BYTES: u32 = 8 * 1024 * 1024;

/// How responses are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseControls {
    /// What becomes of personal data and secrets in them. Absent: they are not looked for. Nothing is encrypted in a
    /// response: what the policy would have encrypted is taken out.
    pub pii: Option<PiiControls>,
    /// How much of one is read to look at it. A longer one cannot be looked at.
    pub max_bytes: u32,
}

impl Default for ResponseControls {
    fn default() -> Self {
        Self { pii: None, max_bytes: 1024 * 1024 }
    }
}

/// The guardrails of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guardrails {
    /// Rate limits.
    pub rates: RatePolicy,
    /// Spend caps.
    pub spend: SpendLimits,
    /// Domains that routes with a declared domain may target. Absent: not checked. Empty: none.
    pub allowed_domains: Option<Vec<DomainPattern>>,
    /// What becomes of personal data and secrets. Absent: they are not looked for.
    pub pii: Option<PiiControls>,
    /// How responses are looked at.
    pub responses: ResponseControls,
    /// Amounts above this need a person's approval.
    pub require_approval_above: Option<MicroUsd>,
    /// The sessions of agents. Absent: there are none.
    pub sessions: Option<Sessions>,
    /// The tiers in which requests are looked at. Absent: the guardrails and rules alone.
    pub guardian: Option<Guardian>,
}

/// The one-action passes of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPasses {
    /// How long a pass lives, in seconds from 1 to 300.
    pub ttl_seconds: i64,
    /// To what a pass has to be bound at least.
    pub binding: Binding,
    /// The keys whose passes are redeemed. Without any it refuses all passes; see [`Gate::mint_with`].
    pub keys: Vec<PublicKey>,
}

/// Who approves at a gate, and how long it waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    /// The people who approve; none has the name or the key of another.
    pub approvers: Vec<Approver>,
    /// How long a request waits for an answer, in seconds.
    pub request_ttl_seconds: i64,
}

/// A person who approves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// The name, as approvals and records have it.
    pub name: String,
    /// The key that signs the person's approvals.
    pub key: PublicKey,
    /// What the person may approve as.
    pub roles: Vec<String>,
}

impl approval::Approver for Approver {
    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// Which policy a decision was made under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct PolicyRef {
    /// `sha256:` and the hex digest of the policy's canonical JSON.
    pub sha256: String,
    /// The operator's version number.
    pub version: u64,
}

/// From when a gate's policy is, and how long decisions may rely on it. Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyFreshness {
    /// When it was issued.
    pub issued_at: i64,
    /// The last second in which it may be relied on.
    pub good_until: i64,
}

impl PolicyFreshness {
    /// Whether the policy is too old to rely on.
    pub fn is_over(&self, now: UnixMillis) -> bool {
        now.seconds() > self.good_until
    }
}

/// Which code made a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct EvaluatorRef {
    /// `sha256:` and the hex digest of the evaluator's code.
    pub digest: String,
    /// How the evaluator runs: `native`.
    pub engine: String,
    /// The release it belongs to.
    pub version: String,
}

/// An agent without a passport that signs its requests for others too (Web Bot Auth), and what the policy lets it do.
#[derive(Debug, Clone)]
pub struct ListedAgent {
    /// Its id at this gate.
    pub id: String,
    /// Its URL and keys.
    pub signer: ForeignAgent,
    /// The tier that the operator gives it.
    pub tier: Tier,
    /// What it may ask for.
    pub permissions: Vec<Scope>,
    /// What its signatures have to cover.
    pub coverage: Coverage,
}

/// A gate, complete. One value is one snapshot: a decision sees exactly one.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The gate's id, as audiences and attestations name it.
    pub id: String,
    /// The security level.
    pub level: Level,
    /// Where callers reach it.
    pub origin: Origin,
    /// What it demands beside the tier, by its level or its policy.
    pub profile: Profile,
    /// What its challenges are made with, where proofs have to answer one. Without it no proof can.
    pub challenge_key: Option<ChallengeKey>,
    /// Whom it trusts.
    pub trust: TrustStore,
    /// Seconds of clock difference tolerated in passport times.
    pub leeway_seconds: i64,
    /// How requests map to actions; the first match counts.
    pub routes: Vec<Route>,
    /// The guardrails.
    pub guardrails: Guardrails,
    /// The operator's rules; absent, the guardrails alone decide.
    pub rules: Option<Arc<Policy>>,
    /// Its one-action passes; absent, it neither mints nor redeems any.
    pub action_passes: Option<ActionPasses>,
    /// Who approves; absent, nobody can, and what needs approval is refused until the policy changes.
    pub approvals: Option<Approvals>,
    /// The policy this was made from.
    pub policy: PolicyRef,
    /// How long the policy may be relied on; for ever when absent, as one that is read from the operator's own disk.
    pub policy_freshness: Option<PolicyFreshness>,
    /// The foreign agents it lets in, each with another URL.
    pub listed_agents: Vec<Arc<ListedAgent>>,
    /// Whose status lists are checked, and the lists.
    pub status_lists: StatusLists,
    /// The code that evaluates it.
    pub evaluator: EvaluatorRef,
}

impl Gate {
    /// The gate as records name it.
    pub fn record(&self) -> GateRecord {
        GateRecord { gate_id: self.id.clone(), level: self.level.as_str().into() }
    }

    /// Names the keys that one-action passes are minted with. No policy names them: they are those that the gate signs its
    /// records with.
    pub fn mint_with(&mut self, keys: Vec<PublicKey>) {
        if let Some(passes) = &mut self.action_passes {
            passes.keys = keys;
        }
    }

    /// Takes in a status list token as [`Gate::verify_status_list`] does. Says whether it is in use now: an older list
    /// than the one at hand is not.
    ///
    /// # Errors
    ///
    /// As [`Gate::verify_status_list`].
    pub fn add_status_list(
        &mut self,
        uri: Option<&str>,
        token: &str,
        now: UnixMillis,
    ) -> Result<bool, StatusListError> {
        let mut is_used = false;
        for list in self.verify_status_list(uri, token, now)? {
            is_used |= self.status_lists.insert(list);
        }
        Ok(is_used)
    }

    /// The lists of a token that was asked for by `uri`, or is at hand for another reason: one for every issuer whose
    /// lists are checked and who signed it, at least one.
    ///
    /// # Errors
    ///
    /// When it is no status list, or none of such an issuer.
    pub fn verify_status_list(
        &self,
        uri: Option<&str>,
        token: &str,
        now: UnixMillis,
    ) -> Result<Vec<Arc<StatusList>>, StatusListError> {
        self.status_lists.verify(&self.trust, uri, token, now, self.leeway_seconds)
    }

    /// The challenge that proofs have to answer at `now`, where the gate asks for one.
    pub fn challenge(&self, now: UnixMillis) -> Option<String> {
        let key = self.challenge_key.as_ref().filter(|_| self.profile.challenge)?;
        Some(key.challenge(&self.id, now.seconds()))
    }

    /// Whether texts may be taken out of requests without a plugin saying so: then whoever judges calls
    /// [`Judged::restrict`](crate::pipeline::Judged::restrict), or nothing is forwarded.
    pub fn redacts(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.redacts())
            || self.guardrails.pii.as_ref().is_some_and(|pii| !pii.taken_out().is_empty())
    }

    /// What the level demands and the policy does not.
    pub fn loosened(&self) -> impl Iterator<Item = &'static str> {
        self.level.profile().beyond(self.profile)
    }

    /// The policy as records made at `now` name it.
    pub fn policy_record(&self, now: UnixMillis) -> PolicyRecord {
        let age = |freshness: PolicyFreshness| now.seconds().saturating_sub(freshness.issued_at).max(0).unsigned_abs();
        PolicyRecord {
            age_seconds: self.policy_freshness.map(age),
            loosened: self.loosened().map(String::from).collect(),
            sha256: self.policy.sha256.clone(),
            version: self.policy.version,
        }
    }
}
