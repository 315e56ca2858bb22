//! Forgetting: which rows may go, and the fence that keeps a forgotten nonce or pass from being accepted again.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::proof::{PROOF_FUTURE_SKEW_SECONDS, PROOF_WINDOW_SECONDS};

use super::rows::{self, RowCorrupt, RowMap, Write};

/// The row holding the replay fence: proofs that expire at or before this second are refused, and so are one-action
/// passes that were minted when such a proof was made.
pub const FENCE_KEY: &str = "fence";

/// The row of a store that may have lost what it held: approvals that were signed up to this second are refused.
pub const START_KEY: &str = "start";

pub(super) const NONCE_PREFIX: &str = "n:";
pub(super) const PASS_PREFIX: &str = "a:";

/// What one sweep deletes and writes, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Keys to delete.
    pub delete: Vec<String>,
    /// The raised fence, when a nonce or a pass is forgotten.
    pub write: Option<Write>,
}

/// Plans the deletion of `expired` rows (key and expiry second, each before the sweeper's now).
///
/// With a steady clock the fence changes nothing, because a proof whose nonce expired is outside its window. When the
/// clock is set back, the fence refuses exactly the proofs whose nonces may be gone. The same holds for one-action passes:
/// one is remembered for longer than it is good after it was minted, and none is good for longer than a proof.
///
/// # Errors
///
/// [`RowCorrupt`] when the stored fence cannot be read.
pub fn sweep<'a>(expired: impl IntoIterator<Item = (&'a str, i64)>, rows: &impl RowMap) -> Result<Sweep, RowCorrupt> {
    let stored = rows::read_i64(rows, FENCE_KEY)?;
    let mut fence = stored;
    let mut delete = Vec::new();
    for (key, expires_at) in expired {
        delete.push(key.to_string());
        if key.starts_with(NONCE_PREFIX) || key.starts_with(PASS_PREFIX) {
            fence = fence.max(Some(expires_at));
        }
    }
    let write = (fence != stored).then_some(fence).flatten().map(fence_write);
    Ok(Sweep { delete, write })
}

/// The fence of a store that starts empty at `now` (Unix seconds). Proofs may be dated ahead by the tolerated skew, so
/// those created up to that much later may have been consumed before the restart, and are refused. Passes minted up to
/// then are refused with them, and so are approvals signed up to then.
pub fn restart_fences(now: i64) -> [Write; 2] {
    let dated_ahead = now.saturating_add(PROOF_FUTURE_SKEW_SECONDS);
    [fence_write(dated_ahead.saturating_add(PROOF_WINDOW_SECONDS)), start_write(dated_ahead)]
}

/// The row of a store that is new at `now` (Unix seconds): it may be in the place of one that is gone, and knows no use
/// of an approval that was signed before.
pub fn new_store_write(now: i64) -> Write {
    start_write(now.saturating_sub(1))
}

fn start_write(until: i64) -> Write {
    Write { key: START_KEY.to_string(), value: until.to_be_bytes().to_vec(), expires_at: None }
}

fn fence_write(until: i64) -> Write {
    Write { key: FENCE_KEY.to_string(), value: until.to_be_bytes().to_vec(), expires_at: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Conduct, Demand, LoadedRows, NonceAnswer, NonceClaim, admit};
    use crate::time::UnixMillis;

    #[test]
    fn a_restart_refuses_every_proof_that_may_have_been_consumed_before_it() {
        let start = 1_800_000_000;
        let rows: LoadedRows = restart_fences(start).into_iter().map(|write| (write.key, write.value)).collect();
        let answer = |created: i64| {
            let remember_until = created + PROOF_WINDOW_SECONDS;
            let nonce = NonceClaim { key: "k".to_string(), nonce: "n".to_string(), remember_until };
            let now = UnixMillis(u64::try_from(start).unwrap() * 1000);
            let demand = Demand {
                now,
                nonce,
                subjects: Vec::new(),
                conduct: Conduct::default(),
                is_excused: false,
                session: None,
                risk: None,
                pass: None,
                approvals: Vec::new(),
                rates: Vec::new(),
                idempotency: None,
                spends: Vec::new(),
            };
            admit(&demand, &rows).unwrap().admission.nonce
        };
        // A proof dated ahead by the whole tolerated skew could have been accepted in the second before the restart.
        assert_eq!(answer(start + PROOF_FUTURE_SKEW_SECONDS), NonceAnswer::Fenced);
        assert_eq!(answer(start + PROOF_FUTURE_SKEW_SECONDS + 1), NonceAnswer::Fresh);
    }
}
