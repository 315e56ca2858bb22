//! A request's life. The numbers are the same everywhere in this project.
//!
//! 1. [`parse`]: bytes to a request with one reading: canonical path, this gate's host, limits.
//! 2. [`authenticate`]: passport, issuer and tier, proof of possession. Leaves an [`Authenticated`].
//! 3. [`judge`]: everything that needs no state. Leaves a [`Judged`], which [`Judged::restrict`] narrows by what
//!    plugins say.
//! 4. *Demand*: [`Judged::demand`] lists the state the decision consumes.
//! 5. *Admit*: a store answers the whole demand with [`crate::state::admit`].
//! 6. [`decide`]: folds judgement and admission into one [`Decision`]. Only here an allow is made.
//! 7. *Attest*: [`Judged::record`] with a [`crate::attest::Writer`], before anything is forwarded.
//! 8. *Forward*: the caller sends exactly what was judged; it needs the [`Permit`] of an allow to do so. A request that
//!    asked for a one-action pass is answered with [`Judged::pass_to_mint`] instead, and is over. What comes back is
//!    held against [`ResponseRules`] before the agent gets it.
//! 9. *Settle*: the caller appends the outcome as a second record.
//!
//! Steps 1 to 3 may run in one place and steps 5 to 7 in another: [`Judged::to_bytes`] carries the judgement over a
//! channel that only the gate can write to, and a [`HandedPermit`] the right to forward back.
//!
//! A failure in steps 1 and 2 ends the request as a [`Refusal`]: a deny with its reason. Nothing here fails otherwise;
//! the driver turns faults around these steps, a lost store or a panic, into denies.
//!
//! The loop every driver runs:
//!
//! ```text
//! parse -> authenticate -> judge -> store.admit(demand, || decide + seal) -> decide -> forward(permit) -> settle
//! ```

mod approvals;
mod authenticate;
mod credential;
mod decide;
mod demand;
mod guardian;
mod idempotency;
mod judge;
mod limits;
mod parse;
mod passes;
mod pii;
mod replacement;
mod response;
mod restrict;
mod rules;
mod sessions;

pub use approvals::Ask;
pub use authenticate::{Authenticated, authenticate};
pub use credential::subjects;
pub use decide::{Decision, HandedPermit, Permit, RateView, Verdict, decide, retry_after_seconds};
pub use judge::{HandoffError, Judged, judge, judge_as};
pub use parse::{MAX_HEADERS, MAX_RECORDED_PATH_BYTES, Parsed, RawRequest, Refusal, parse};
pub use response::{JudgedResponse, ResponseHead, ResponseRules, ResponseVerdict, ToRead};
pub use rules::explain;

use passgate_passport::memory::{Recall, SeenChain};

use crate::gate::Gate;
use crate::state::Conduct;
use crate::time::UnixMillis;

/// Steps 1 to 3: everything about a request that needs no state, but for how its agent behaves: at first as any does,
/// and as [`Admission::conduct`](crate::state::Admission::conduct) says when that is not so. Passports that `memory`
/// has seen are neither read nor their signatures verified once more; the judgement is the same. The second half is
/// what the caller may remember, if there is something new. Nobody but the passport's holder can cause it.
///
/// # Errors
///
/// The [`Refusal`] of the step that ends the request, with nothing to remember.
pub fn judge_request(
    gate: &Gate,
    raw: &RawRequest<'_>,
    now: UnixMillis,
    conduct: Conduct,
    memory: &dyn Recall,
) -> Result<(Judged, Option<SeenChain>), Refusal> {
    let parsed = parse(gate, raw, now)?;
    let mut authenticated = authenticate::authenticate_with(gate, &parsed, now, memory)?;
    let seen = authenticated.seen.take();
    Ok((judge_as(gate, &authenticated, conduct), seen))
}

#[cfg(test)]
mod tests;
