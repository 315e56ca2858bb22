//! Steps 1 to 3 of a request, with a memory for what is the same in many of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};

use passgate_core::gate::Gate;
use passgate_core::pipeline::{self, Judged, RawRequest, Refusal};
use passgate_core::state::Conduct;
use passgate_core::time::UnixMillis;
use passgate_passport::memory::{Known, PassportMemory, Recall, SeenChain};

/// How much is remembered of passports that descend from a registered issuer, in bytes of their texts: about two thousand.
const REGISTERED: usize = 2 << 20;
/// How much of agents that issue for themselves.
const SELF_ISSUED: usize = 256 << 10;

/// Judges requests, and reads and verifies a passport once however many requests present it.
///
/// A judgement is the same as that of [`judge`], byte for byte. Where it is kept is a matter of speed alone: what bytes
/// say and a valid signature stay what they are, under any policy.
#[derive(Debug)]
pub struct Judge(RwLock<PassportMemory>);

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}

impl Judge {
    /// One that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(RwLock::new(PassportMemory::new(REGISTERED, SELF_ISSUED)))
    }

    /// As [`judge`].
    ///
    /// # Errors
    ///
    /// As [`judge`].
    pub fn judge(&self, gate: &Gate, raw: &RawRequest<'_>, now: UnixMillis) -> Result<Judged, Refusal> {
        self.judge_as(gate, raw, now, Conduct::default())
    }

    /// As [`judge`], of an agent that behaves like this, as [`Misjudged`](super::Misjudged) says.
    ///
    /// # Errors
    ///
    /// As [`judge`].
    pub fn judge_as(
        &self,
        gate: &Gate,
        raw: &RawRequest<'_>,
        now: UnixMillis,
        conduct: Conduct,
    ) -> Result<Judged, Refusal> {
        let (judged, seen) = judge_with(gate, raw, now, conduct, self)?;
        if let Some(seen) = seen {
            self.0.write().unwrap_or_else(PoisonError::into_inner).remember(&seen);
        }
        Ok(judged)
    }

    /// How many passports it remembers.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The lock is held for one question, not for a judgement: with one that waits to write, long judgements would stop all
/// others.
impl Recall for Judge {
    fn recall(&self, chain_sha256: &[u8; 32]) -> Option<Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).recall(chain_sha256)
    }
}

/// Steps 1 to 3. A panic in them is refused like anything else, and recorded; where panics abort, the host's own
/// isolation refuses.
///
/// # Errors
///
/// The [`Refusal`] of the step that ends the request.
pub fn judge(gate: &Gate, raw: &RawRequest<'_>, now: UnixMillis) -> Result<Judged, Refusal> {
    judge_with(gate, raw, now, Conduct::default(), &PassportMemory::NOTHING).map(|(judged, _)| judged)
}

fn judge_with(
    gate: &Gate,
    raw: &RawRequest<'_>,
    now: UnixMillis,
    conduct: Conduct,
    memory: &dyn Recall,
) -> Result<(Judged, Option<SeenChain>), Refusal> {
    catch_unwind(AssertUnwindSafe(|| pipeline::judge_request(gate, raw, now, conduct, memory)))
        .unwrap_or_else(|_| Err(Refusal::fault(raw.method, raw.path, "the evaluator panicked".to_owned())))
}
