//! The state a decision consumes, and the rules over it.
//!
//! A decision asks for everything it consumes in one [`Demand`]. A store loads the rows [`Demand::row_keys`] names,
//! calls [`admit`], and writes the returned [`Write`]s, all in one transaction. The rules are pure functions, so every
//! backend runs the same code.
//!
//! Rate limits use the generic cell rate algorithm (GCRA): a limit of *n* allows *n* calls at once and then one every
//! *n*-th part of the window, so at most 2*n* - 1 pass in any one window. It needs one timestamp a counter where an
//! exact window needs a list of calls, and recovers steadily where a fixed window lets everybody back in at once. Spend
//! caps use UTC calendar days and months, which is how budgets are stated. What an allowed request charged is kept as a
//! [`Lease`] until its outcome is known, and given back if the request never reached the upstream.

mod admit;
mod conduct;
mod gcra;
mod idempotency;
mod key_history;
mod lease;
mod plugin_key;
mod risk;
mod rows;
mod session;
mod standing;
mod subject;
mod sweep;

use alloc::string::String;
use alloc::vec::Vec;

use passgate_passport::sorted::SortedMap;
use serde::{Deserialize, Serialize};

pub use admit::admit;
pub use conduct::{Conduct, Counted};
pub use idempotency::{IdempotencyAnswer, IdempotencyClaim, MAX_IDEMPOTENCY_SECONDS};
pub use key_history::{KEY_HISTORY_KEY, KeyHistory, KeyRotation, RotationError};
pub use lease::{Charge, LEASE_SECONDS, Lease, UNDER_WAY_SECONDS};
pub use plugin_key::{MAX_PLUGIN_KEY_BYTES, MAX_PLUGIN_VALUE_BYTES, PluginKeyError, plugin_key_write, plugin_row_key};
pub use risk::{MAX_RISK, Risk, RiskAnswer, RiskClaim, Scored};
pub use rows::{RowCorrupt, RowMap, Write, revocation_write};
pub use session::{MAX_WINDOW_CALLS, SessionAnswer, SessionClaim};
pub use standing::{Standing, suspension_key, suspension_write};
pub use subject::Subject;
pub use sweep::{FENCE_KEY, START_KEY, Sweep, new_store_write, restart_fences, sweep};

use crate::money::MicroUsd;
use crate::time::UnixMillis;

/// The most proofs of one key that may be live (younger than five minutes) at once.
pub const MAX_LIVE_NONCES_PER_KEY: u32 = 20_000;

/// Everything one decision needs from the state. Answered whole by one [`admit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// When, by the gate's clock.
    pub now: UnixMillis,
    /// The proof's nonce, to be consumed.
    pub nonce: NonceClaim,
    /// What must be neither revoked nor suspended.
    pub subjects: Vec<Subject>,
    /// As what the request was judged.
    #[serde(default, skip_serializing_if = "Conduct::is_usual")]
    pub conduct: Conduct,
    /// Whether what refuses it so far is not the agent's doing: then it does not count against it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub is_excused: bool,
    /// The session that the request is in, where the gate keeps sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionClaim>,
    /// The request before the past of its agent, where the gate goes by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskClaim>,
    /// The one-action pass that stands for an approval, to be spent if everything else holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassClaim>,
    /// The approvals to be used, if everything else holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<UseClaim>,
    /// Tokens to take, all or none of them.
    pub rates: Vec<RateClaim>,
    /// The idempotency key, where the route goes by those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<IdempotencyClaim>,
    /// Budgets to charge, all or none of them.
    pub spends: Vec<SpendClaim>,
}

impl Demand {
    /// Whether the request is scored before the past of its agent, and not only counted.
    pub(crate) fn is_scored(&self) -> bool {
        self.risk.as_ref().is_some_and(|claim| claim.scored.is_some())
    }
}

/// One proof, to be accepted at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonceClaim {
    /// Thumbprint of the key that signed the proof. Two keys may use the same nonce.
    pub key: String,
    /// The nonce itself.
    pub nonce: String,
    /// Unix second after which no clock within the window accepts this proof.
    pub remember_until: i64,
}

/// One one-action pass, to be spent at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassClaim {
    /// The name under which it is remembered: `<gate id>:<jti>`.
    pub key: String,
    /// The last Unix second in which any gate accepts the pass, whatever its leeway.
    pub remember_until: i64,
    /// When it was minted, in Unix seconds.
    pub issued_at: i64,
}

/// One use of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseClaim {
    /// The name under which its uses are counted: `<gate id>:<id of the request or of the grant>`.
    pub key: String,
    /// How often it may be used, at least once.
    pub uses: u64,
    /// The last Unix second in which it holds.
    pub until: i64,
    /// When it was signed, in Unix seconds.
    pub issued_at: i64,
}

/// The length of a rate window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateWindow {
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
}

impl RateWindow {
    /// The window in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The window's name in evidence and policies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// What counts for an agent and all it hands on to.
pub const PER_AGENT: &str = "agent";
/// What counts for a grant.
pub const PER_GRANT: &str = "grant";
/// What counts for a passport and all that are made from it.
pub const PER_PASSPORT: &str = "passport";

/// One token to take from one counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateClaim {
    /// What is counted, for the evidence: `agent`, `gate`, `tenant`, `action`, `rule` or `passport`.
    pub per: String,
    /// The counter's identity.
    pub counter: String,
    /// Calls allowed in one window, at least 1.
    pub limit: u32,
    /// The window.
    pub window: RateWindow,
}

/// Whether a budget is charged or only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendMode {
    /// Charge the amount.
    Charge,
    /// Answer as if charging, change nothing: the request will not be forwarded.
    Probe,
}

/// The period of a budget; days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendPeriod {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
    /// As long as what it is of goes on: a passport, a task.
    Total,
}

/// One amount to charge to one budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendClaim {
    /// What the budget is of, for the evidence: `agent`, `actor`, `gate`, `tenant`, `action`, `task`, `passport` or
    /// `grant`.
    pub per: String,
    /// The budget's identity.
    pub account: String,
    /// Which period of it.
    pub period: SpendPeriod,
    /// The cap of the period.
    pub cap: MicroUsd,
    /// How much.
    pub amount: MicroUsd,
    /// Charge or probe.
    pub mode: SpendMode,
    /// Of a total, the Unix second until which what it is of can go on: it is remembered for as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// The state's answer to a whole [`Demand`]. Only [`admit`] makes it, so a decision without an admission does not
/// compile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admission {
    /// What became of the nonce.
    pub nonce: NonceAnswer,
    /// The first demanded subject found revoked, with the second of its revocation.
    pub revoked: Option<(Subject, i64)>,
    /// When none is revoked, the first found suspended, with the second of its suspension.
    pub suspended: Option<(Subject, i64)>,
    /// As what the request has to be judged instead, before anything is consumed: its agent does not behave as it was
    /// judged to. Everything that follows is empty.
    pub conduct: Option<Conduct>,
    /// The session; absent when none was demanded, or something before it refused.
    pub session: Option<SessionAnswer>,
    /// The score of the request; absent when none was demanded, or something before it refused.
    pub risk: Option<RiskAnswer>,
    /// What became of the pass; absent when none was demanded, or something before it refused.
    pub pass: Option<PassAnswer>,
    /// One answer for each approval, in order; empty when something before it refused. None is used unless all are.
    pub approvals: Vec<PassAnswer>,
    /// One answer a rate claim, in order; empty when something before it refused.
    pub rates: Vec<RateAnswer>,
    /// What the idempotency key stands for; absent when none was demanded, or something before it refused.
    pub idempotency: Option<IdempotencyAnswer>,
    /// One answer a spend claim, in order; empty when something before it refused.
    pub spends: Vec<SpendAnswer>,
}

impl Admission {
    /// An admission that [`admit`] made in another place of this gate, come over a channel that only the gate can write
    /// to. Whoever can write to that channel can grant anything.
    pub fn handed_over(
        nonce: NonceAnswer,
        revoked: Option<(Subject, i64)>,
        suspended: Option<(Subject, i64)>,
        pass: Option<PassAnswer>,
        approvals: Vec<PassAnswer>,
        rates: Vec<RateAnswer>,
        spends: Vec<SpendAnswer>,
    ) -> Self {
        Self { revoked, suspended, pass, approvals, rates, spends, ..Self::of(nonce) }
    }

    /// Whether the state refuses the request, or has it judged once more, whatever a reviewer says of it. Passes and approvals
    /// are asked for only after a reviewer has spoken.
    pub fn refuses(&self) -> bool {
        self.nonce != NonceAnswer::Fresh
            || self.revoked.is_some()
            || self.suspended.is_some()
            || self.conduct.is_some()
            || self.session.as_ref().is_some_and(|session| !session.is_within)
            || !self.rates.iter().all(|rate| rate.conforms)
            || self.idempotency == Some(IdempotencyAnswer::Reused)
            || !self.spends.iter().all(|spend| spend.fits)
    }

    /// As it was admitted in this session, with this score and this idempotency key.
    #[must_use]
    pub fn known(
        self,
        session: Option<SessionAnswer>,
        risk: Option<RiskAnswer>,
        idempotency: Option<IdempotencyAnswer>,
    ) -> Self {
        Self { session, risk, idempotency, ..self }
    }

    /// One of which only this is known.
    fn of(nonce: NonceAnswer) -> Self {
        Self {
            nonce,
            revoked: None,
            suspended: None,
            conduct: None,
            session: None,
            risk: None,
            pass: None,
            approvals: Vec::new(),
            rates: Vec::new(),
            idempotency: None,
            spends: Vec::new(),
        }
    }
}

/// What became of a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonceAnswer {
    /// Never seen; now consumed.
    Fresh,
    /// Seen before.
    Replayed,
    /// Too old to be told from a forgotten one (after a restart that lost nonces, or a clock set back).
    Fenced,
    /// The key has [`MAX_LIVE_NONCES_PER_KEY`] live nonces; not recorded.
    QuotaExceeded,
}

/// What became of a one-action pass, or of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassAnswer {
    /// Good, and everything else holds; now spent, or used once more.
    Redeemed,
    /// Good, and something else refused; it can still be redeemed.
    Unspent,
    /// Redeemed before, or used as often as it may be.
    Replayed,
    /// Too old to be told from a forgotten one (after a restart that lost redemptions, or a clock set back).
    Fenced,
}

/// The answer to a [`RateClaim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct RateAnswer {
    /// Whether the counter had a token. Tokens are taken only when every counter had one.
    pub conforms: bool,
    /// Tokens left after this decision.
    pub remaining: u32,
    /// Seconds until the counter is full again, rounded up.
    pub reset_seconds: u64,
    /// Seconds until the next token, rounded up; 0 when there is one.
    pub retry_after_seconds: u64,
}

/// The answer to a [`SpendClaim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct SpendAnswer {
    /// Whether the amount fits under the cap.
    pub fits: bool,
    /// Spent in the period before this request.
    pub spent_before: MicroUsd,
}

/// The outcome of [`admit`]: the answer and what to write, together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The answer.
    pub admission: Admission,
    /// The rows to write in the same transaction.
    pub writes: Vec<Write>,
    /// What those writes charge to budgets: an allow leaves a [`Lease`] of it in the same transaction.
    pub charged: Vec<Charge>,
    /// What to write of the agent's behaviour in the same transaction, by what becomes of the request.
    pub counted: Counted,
}

/// The identity of an agent in counters, budgets and revocations: base64url SHA-256 over issuer and agent id.
///
/// Hashed so that row keys have one length whatever a passport says. The separator cannot occur in either part.
pub fn agent_key(issuer: &str, agent_id: &str) -> String {
    use sha2::Digest as _;
    digest_key(&sha2::Sha256::new().chain_update(issuer).chain_update([0]).chain_update(agent_id).finalize().into())
}

/// A digest as part of a row's key.
pub(crate) fn digest_key(digest: &[u8; 32]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)
}

/// Rows as a plain map, for stores that load before they call [`admit`].
pub type LoadedRows = SortedMap<String, Vec<u8>>;

#[cfg(test)]
mod tests;
