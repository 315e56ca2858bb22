//! Sessions: what an agent and all it hands on to do in one go, and how they behave in it.
//!
//! A session begins with the first request of the agent's key and ends when nothing comes for a while, or after its
//! longest time. What the passport of that request permits bounds it from then on: a wider passport of the same key
//! waits for the next session. The session keeps what became of the last requests, and says of an agent that is refused
//! too often, or changes things too often, that its requests count as one class higher than they are.
//!
//! How an agent behaves is known only here, and what it means is judged before: see [`Conduct`](super::Conduct).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::json;
use passgate_passport::scope::{ActionName, Scope};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::conduct::recent_after;
use super::rows::{RowCorrupt, RowMap, Write};
use crate::attest::DecisionKind;
use crate::gate::Anomaly;
use crate::time::UnixMillis;

/// The most requests that a session, and the past of an agent, remember what became of.
pub const MAX_WINDOW_CALLS: u32 = 50;
/// The rows of sessions begin with this.
const SESSION_PREFIX: &str = "e:";

const ID_PREFIX: &str = "sess_";
/// Of its digest, an id has so many characters: 128 bits and more.
const ID_DIGEST_CHARS: usize = 22;
/// A session's row stays so long after its end, so that a clock set back finds it again.
const GRACE_SECONDS: i64 = 86_400;

/// One request in the session of its agent's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaim {
    /// What names the session in state: gate, agent and the key that the issuer vouches for.
    pub key: String,
    /// What the agent's passport permits: what bounds a session that begins with this request.
    pub ceiling: Vec<String>,
    /// The action; absent where no route maps the request to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Whether the action changes something.
    pub writes: bool,
    /// A session without requests for so long is over.
    pub idle_seconds: i64,
    /// The longest time of a session.
    pub max_seconds: i64,
    /// From when on behaviour counts as unusual; absent, it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
}

/// The answer to a [`SessionClaim`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct SessionAnswer {
    /// The session's id.
    pub id: String,
    /// When it began, in Unix seconds.
    pub opened_at: i64,
    /// How many requests it had before this one.
    pub calls: u64,
    /// Of the last ones, how many are looked at.
    pub window: u32,
    /// How many of those were denied.
    pub denied: u32,
    /// How many of those were to change something.
    pub writes: u32,
    /// Whether the action is within what the session began with.
    pub is_within: bool,
}

/// A session, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    /// How many requests it had.
    calls: u64,
    /// The scopes that it began with.
    ceiling: Vec<String>,
    /// Which of the last requests were denied, a bit each, the latest lowest.
    denied: u64,
    /// When it is over if nothing more comes, in Unix seconds.
    ends_at: i64,
    /// Its id.
    id: String,
    /// When it began, in Unix seconds.
    opened_at: i64,
    /// Which of the last requests were to change something, a bit each, the latest lowest.
    writes: u64,
}

/// The session of a request before it counts.
pub(super) struct Found {
    session: Session,
    pub(super) answer: SessionAnswer,
    /// Whether its agent behaves unusually.
    pub(super) is_unusual: bool,
}

impl SessionClaim {
    /// The key of its row.
    pub(super) fn row_key(&self) -> String {
        [SESSION_PREFIX, &self.key].concat()
    }

    /// The session that the request is in: the one that goes on, or a new one.
    pub(super) fn find(&self, rows: &impl RowMap, now: UnixMillis) -> Result<Found, RowCorrupt> {
        let key = self.row_key();
        let stored = rows.row(&key).map(|row| Session::read(&key, row)).transpose()?;
        let session = stored.filter(|session| now.seconds() < session.ends_at).unwrap_or_else(|| self.open(now));
        let window = self.anomaly.map_or(MAX_WINDOW_CALLS, |anomaly| anomaly.window_calls);
        let answer = session.answer(window, self.action.as_deref());
        let is_unusual = self.anomaly.is_some_and(|anomaly| answer.is_unusual(&anomaly));
        Ok(Found { session, answer, is_unusual })
    }

    fn open(&self, now: UnixMillis) -> Session {
        let opened_at = now.seconds();
        let digest = Sha256::new().chain_update(&self.key).chain_update([0]).chain_update(now.0.to_be_bytes());
        let digest = super::digest_key(&digest.finalize().into());
        Session {
            calls: 0,
            ceiling: self.ceiling.clone(),
            denied: 0,
            ends_at: opened_at.saturating_add(self.idle_seconds.min(self.max_seconds)),
            id: [ID_PREFIX, digest.get(..ID_DIGEST_CHARS).unwrap_or(&digest)].concat(),
            opened_at,
            writes: 0,
        }
    }

    /// What is written of the session after this request.
    pub(super) fn after(&self, found: &Found, decision: DecisionKind, now: UnixMillis) -> Write {
        found.session.after(self, decision == DecisionKind::Deny, now).write(self.row_key())
    }
}

impl SessionAnswer {
    fn is_unusual(&self, anomaly: &Anomaly) -> bool {
        let reaches = |count: u32, percent: u32| count.saturating_mul(100) >= self.window.saturating_mul(percent);
        self.window >= anomaly.min_calls
            && (reaches(self.denied, anomaly.denied_percent) || reaches(self.writes, anomaly.write_percent))
    }
}

impl Session {
    fn read(key: &str, row: &[u8]) -> Result<Self, RowCorrupt> {
        json::read_back(row).map_err(|_| RowCorrupt { key: key.to_string() })
    }

    fn write(self, key: String) -> Write {
        let expires_at = Some(self.ends_at.saturating_add(GRACE_SECONDS));
        // Strings and integers always serialise; an empty row would be corrupt.
        Write { key, value: serde_json::to_vec(&self).unwrap_or_default(), expires_at }
    }

    fn answer(&self, window: u32, action: Option<&str>) -> SessionAnswer {
        let window = u32::try_from(self.calls).unwrap_or(u32::MAX).min(window);
        let mask = 1_u64.checked_shl(window).map_or(u64::MAX, |bit| bit - 1);
        SessionAnswer {
            id: self.id.clone(),
            opened_at: self.opened_at,
            calls: self.calls,
            window,
            denied: (self.denied & mask).count_ones(),
            writes: (self.writes & mask).count_ones(),
            // What is no action at this gate is refused for that.
            is_within: action.is_none_or(|action| self.permits(action)),
        }
    }

    fn permits(&self, action: &str) -> bool {
        let Ok(action) = ActionName::parse(action) else { return false };
        self.ceiling.iter().any(|scope| Scope::parse(scope).is_ok_and(|scope| scope.covers(&action)))
    }

    fn after(&self, claim: &SessionClaim, is_denied: bool, now: UnixMillis) -> Self {
        let longest = self.opened_at.saturating_add(claim.max_seconds);
        Self {
            calls: self.calls.saturating_add(1),
            denied: recent_after(self.denied, is_denied),
            // A clock set back shortens nothing.
            ends_at: now.seconds().saturating_add(claim.idle_seconds).max(self.ends_at).min(longest),
            writes: recent_after(self.writes, claim.writes),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
