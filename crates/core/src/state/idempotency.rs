//! Idempotency keys: a request that is sent again is charged once.
//!
//! An agent that does not know what became of a request sends it again with the same `Idempotency-Key`, and an upstream that
//! goes by such keys carries it out once. The row of a key says which request it was first seen with: another one is refused,
//! and the same one is charged nothing.
//!
//! Once a request was let through because an earlier one is charged, that charge is never given back: either of them may be
//! the one that the upstream carried out.

use alloc::string::{String, ToString};

use passgate_passport::json;
use serde::{Deserialize, Serialize};

use super::rows::{RowCorrupt, RowMap, Write};
use super::{Charge, LEASE_SECONDS, SpendMode};
use crate::money::MicroUsd;
use crate::time::UnixMillis;

/// The longest time for which a key is remembered: as long as it can be said what became of its request.
pub const MAX_IDEMPOTENCY_SECONDS: u32 = 30 * 86_400;
const _: () = assert!(MAX_IDEMPOTENCY_SECONDS as i64 == LEASE_SECONDS, "a key is kept as long as its lease");

/// The rows of idempotency keys begin with this.
const PREFIX: &str = "i:";

/// One request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyClaim {
    /// What names the key in state: gate, agent, the agent's key and the idempotency key.
    pub key: String,
    /// Of which request it is: SHA-256 over method, target and payload.
    pub request_sha256: String,
    /// For how long the key stands for this request, at most [`MAX_IDEMPOTENCY_SECONDS`].
    pub seconds: u32,
    /// Whether it is remembered or only looked at.
    pub mode: SpendMode,
}

/// The answer to an [`IdempotencyClaim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdempotencyAnswer {
    /// The key is new, or what it stood for never reached the upstream.
    First,
    /// The same request was charged with it: nothing is charged again.
    Repeated,
    /// It stands for another request.
    Reused,
}

/// What is remembered of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    /// When its request was let through, in Unix seconds.
    begun_at: i64,
    /// Whether another was let through because that one is charged.
    is_repeated: bool,
    request_sha256: String,
    /// Until when it stands for that request, in Unix seconds.
    until: i64,
}

/// A key before the request that has it.
pub(super) struct Found {
    remembered: Option<Remembered>,
    pub(super) answer: IdempotencyAnswer,
}

impl IdempotencyClaim {
    /// The key of its row.
    pub(super) fn row_key(&self) -> String {
        [PREFIX, &self.key].concat()
    }

    pub(super) fn find(&self, rows: &impl RowMap, now: UnixMillis) -> Result<Found, RowCorrupt> {
        let longest = i64::from(self.seconds.min(MAX_IDEMPOTENCY_SECONDS));
        // A policy that has become shorter counts for what was remembered before, too.
        let stands = |known: &Remembered| now.seconds() < known.until.min(known.begun_at.saturating_add(longest));
        let remembered = Remembered::find(rows, &self.row_key())?.filter(stands);
        let answer = match &remembered {
            None => IdempotencyAnswer::First,
            Some(known) if known.request_sha256 == self.request_sha256 => IdempotencyAnswer::Repeated,
            Some(_) => IdempotencyAnswer::Reused,
        };
        Ok(Found { remembered, answer })
    }

    /// What is written of the key once the request is let through and charged, and for its lease, that there is something to forget should
    /// it never reach the upstream.
    pub(super) fn remember(&self, found: Found, now: UnixMillis) -> (Write, Option<Charge>) {
        let row_key = self.row_key();
        let begun_at = now.seconds();
        // For as long as its lease, so that whoever says what became of the request finds it.
        let expires_at = begun_at.saturating_add(LEASE_SECONDS);
        match found.remembered {
            Some(known) => {
                let expires_at = known.begun_at.saturating_add(LEASE_SECONDS);
                (Remembered { is_repeated: true, ..known }.write(row_key, expires_at), None)
            }
            None => {
                let until = begun_at.saturating_add(self.seconds.min(MAX_IDEMPOTENCY_SECONDS).into());
                let request_sha256 = self.request_sha256.clone();
                let known = Remembered { begun_at, is_repeated: false, request_sha256, until };
                let charge = Charge { row_key: row_key.clone(), amount: MicroUsd(0), expires_at };
                (known.write(row_key, expires_at), Some(charge))
            }
        }
    }
}

impl Found {
    /// Whether there is something to remember: what is charged with the key, or was.
    pub(super) fn counts(&self, charged: &[Charge]) -> bool {
        self.remembered.is_some() || !charged.is_empty()
    }
}

impl Remembered {
    fn find(rows: &impl RowMap, key: &str) -> Result<Option<Self>, RowCorrupt> {
        rows.row(key).map(json::read_back).transpose().map_err(|_| RowCorrupt { key: key.to_string() })
    }

    fn write(self, key: String, expires_at: i64) -> Write {
        // Strings and integers always serialise; an empty row would be corrupt.
        Write { key, value: serde_json::to_vec(&self).unwrap_or_default(), expires_at: Some(expires_at) }
    }
}

/// Whether `charge` is that of a key, and not of a budget.
pub(super) fn is_of_key(charge: &Charge) -> bool {
    charge.row_key.starts_with(PREFIX)
}

/// The write that forgets the key of a request that was let through at `begun_at` and never reached the upstream. `None`
/// when a repetition relies on it, and when that cannot be told any more because the key was used anew.
pub(super) fn forget(charge: &Charge, begun_at: i64, rows: &impl RowMap) -> Result<Option<Write>, RowCorrupt> {
    let known = Remembered::find(rows, &charge.row_key)?;
    let known = known.filter(|known| known.begun_at == begun_at && !known.is_repeated);
    // It stands for nothing any more, also for a request that was judged before and is admitted late.
    Ok(known.map(|known| Remembered { until: 0, ..known }.write(charge.row_key.clone(), charge.expires_at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LoadedRows;

    fn claim(request: &str) -> IdempotencyClaim {
        IdempotencyClaim { key: "k".into(), request_sha256: request.into(), seconds: 60, mode: SpendMode::Charge }
    }

    fn answer(rows: &LoadedRows, request: &str, at: u64) -> IdempotencyAnswer {
        claim(request).find(rows, UnixMillis(at * 1000)).unwrap().answer
    }

    #[test]
    fn the_row_is_pinned() {
        let found = claim("a").find(&LoadedRows::default(), UnixMillis(5_000)).unwrap();
        let (write, charge) = claim("a").remember(found, UnixMillis(5_000));
        let value = r#"{"begun_at":5,"is_repeated":false,"request_sha256":"a","until":65}"#;
        assert_eq!((write.key.as_str(), write.expires_at), ("i:k", Some(2_592_005)));
        assert_eq!(write.value, value.as_bytes());
        assert_eq!(charge, Some(Charge { row_key: "i:k".into(), amount: MicroUsd(0), expires_at: 2_592_005 }));
    }

    #[test]
    fn a_key_stands_for_one_request_for_its_time() {
        let found = claim("a").find(&LoadedRows::default(), UnixMillis(5_000)).unwrap();
        let (write, charge) = claim("a").remember(found, UnixMillis(5_000));
        let mut rows = LoadedRows::from([(write.key, write.value)]);
        assert_eq!(answer(&rows, "a", 64), IdempotencyAnswer::Repeated);
        assert_eq!(answer(&rows, "b", 64), IdempotencyAnswer::Reused);
        assert_eq!(answer(&rows, "b", 65), IdempotencyAnswer::First);
        let shorter = IdempotencyClaim { seconds: 30, ..claim("a") };
        assert_eq!(shorter.find(&rows, UnixMillis(34_000)).unwrap().answer, IdempotencyAnswer::Repeated);
        assert_eq!(shorter.find(&rows, UnixMillis(35_000)).unwrap().answer, IdempotencyAnswer::First);
        let charge = charge.unwrap();
        assert_eq!(forget(&charge, 4, &rows).unwrap(), None, "that of another request");
        let forgotten = forget(&charge, 5, &rows).unwrap().unwrap();
        let after = LoadedRows::from([(forgotten.key, forgotten.value)]);
        for (request, at) in [("b", 6), ("a", 6), ("a", 5), ("a", 1)] {
            assert_eq!(answer(&after, request, at), IdempotencyAnswer::First, "{request} {at}");
        }
        let found = claim("a").find(&rows, UnixMillis(9_000)).unwrap();
        let (write, none) = claim("a").remember(found, UnixMillis(9_000));
        assert_eq!(none, None, "it is in the lease of the first");
        rows.insert(write.key, write.value);
        assert_eq!(forget(&charge, 5, &rows).unwrap(), None, "a repetition relies on it");
        assert_eq!(answer(&rows, "a", 65), IdempotencyAnswer::First, "repeating does not extend it");
        assert_eq!(forget(&charge, 5, &LoadedRows::default()).unwrap(), None);
        assert!(claim("a").find(&LoadedRows::from([("i:k".into(), alloc::vec![])]), UnixMillis(0)).is_err());
    }
}
