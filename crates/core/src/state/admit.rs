//! One atomic admission: the whole demand or none of it.

use alloc::string::String;
use alloc::vec::Vec;

use passgate_passport::proof::PROOF_WINDOW_SECONDS;

use super::conduct::Known;
use super::gcra::Cell;
use super::idempotency::Found;
use super::rows::{self, LOAD_BUCKET_SECONDS, Load, RowCorrupt, RowMap, Write};
use super::standing::suspension_key;
use super::{
    Admission, Admitted, Charge, Counted, Demand, IdempotencyAnswer, IdempotencyClaim, MAX_LIVE_NONCES_PER_KEY,
    NonceAnswer, PassAnswer, PassClaim, RateAnswer, SpendAnswer, SpendMode, Subject, UseClaim,
};
use crate::time::UnixMillis;

/// Answers `demand` over `rows`, in this order; the first refusal ends it:
///
/// 1. *Nonce.* A replayed, fenced or over-quota proof consumes nothing, so a captured request cannot drain its agent.
/// 2. *Revocation, then suspension.* The nonce stays burned.
/// 3. *Conduct.* A request that was judged as less than it is consumes nothing, and is judged again. One outside of what its
///    session began with goes on, and charges nothing.
/// 4. *Pass and approvals.* One that was redeemed before, or may have been, takes no tokens.
/// 5. *Rates.* All counters give a token or none does.
/// 6. *Idempotency key.* One that stands for another request charges nothing.
/// 7. *Spends.* All budgets are charged or none is; nonce and tokens stay spent on refusal. A repetition charges nothing, and
///    fits whatever was spent since.
///
/// The pass is redeemed and the approvals are used when all of this holds, so that a request over its rate or budget
/// does not cost them. A request over its rate does not count as behaviour: it was not looked at.
///
/// `rows` must hold the current content of every row named by [`Demand::row_keys`], and nothing may change between
/// that reading and the writing of the returned rows.
///
/// # Errors
///
/// [`RowCorrupt`] when a stored row cannot be read; the store then refuses the request and writes nothing.
pub fn admit(demand: &Demand, rows: &impl RowMap) -> Result<Admitted, RowCorrupt> {
    let (nonce, writes) = claim_nonce(demand, rows)?;
    let mut admitted =
        Admitted { admission: Admission::of(nonce), writes, charged: Vec::new(), counted: Counted::default() };
    let admission = &mut admitted.admission;
    if nonce != NonceAnswer::Fresh {
        return Ok(admitted);
    }
    admission.revoked = find_denied(demand, rows, Subject::row_key)?;
    if admission.revoked.is_none() {
        admission.suspended = find_denied(demand, rows, suspension_key)?;
    }
    if admission.revoked.is_some() || admission.suspended.is_some() {
        return Ok(admitted);
    }
    let known = Known::find(demand, rows)?;
    admission.conduct = known.misjudged(demand.conduct);
    if admission.conduct.is_some() {
        admitted.writes.clear();
        return Ok(admitted);
    }
    known.answer(admission);
    consume(demand, rows, &mut admitted)?;
    if admitted.admission.rates.iter().all(|rate| rate.conforms) {
        admitted.counted = known.counted(demand, &admitted.admission);
    }
    Ok(admitted)
}

/// What a request consumes that nothing speaks against.
fn consume(demand: &Demand, rows: &impl RowMap, admitted: &mut Admitted) -> Result<(), RowCorrupt> {
    let Admitted { admission, writes, charged, .. } = admitted;
    admission.pass = demand.pass.as_ref().map(|claim| look_up_pass(claim, rows)).transpose()?;
    admission.approvals = demand.approvals.iter().map(|claim| look_up_use(claim, rows)).collect::<Result<_, _>>()?;
    let mut spent = admission.pass.iter().chain(&admission.approvals);
    if !spent.all(|answer| *answer == PassAnswer::Unspent) {
        return Ok(());
    }
    admission.rates = take_tokens(demand, rows, writes)?;
    if !admission.rates.iter().all(|rate| rate.conforms) {
        return Ok(());
    }
    let key = demand.idempotency.as_ref().map(|claim| Ok((claim, claim.find(rows, demand.now)?))).transpose()?;
    admission.idempotency = key.as_ref().map(|(_, found)| found.answer);
    if admission.idempotency == Some(IdempotencyAnswer::Reused) {
        return Ok(());
    }
    let is_repeated = admission.idempotency == Some(IdempotencyAnswer::Repeated);
    let mut charging = charge(demand, is_repeated, rows)?;
    admission.spends = charging.answers;
    if admission.session.as_ref().is_some_and(|session| !session.is_within)
        || !admission.spends.iter().all(|spend| spend.fits)
    {
        return Ok(());
    }
    writes.append(&mut charging.writes);
    charged.append(&mut charging.charged);
    let counts = |(claim, found): &(&IdempotencyClaim, Found)| claim.mode == SpendMode::Charge && found.counts(charged);
    if let Some((claim, found)) = key.filter(counts) {
        let (write, of_lease) = claim.remember(found, demand.now);
        writes.push(write);
        charged.extend(of_lease);
    }
    redeem(demand, admission, rows, writes)
}

/// What became of the nonce, and what is written of it.
fn claim_nonce(demand: &Demand, rows: &impl RowMap) -> Result<(NonceAnswer, Vec<Write>), RowCorrupt> {
    let claim = &demand.nonce;
    if rows::read_i64(rows, super::FENCE_KEY)?.is_some_and(|fence| claim.remember_until <= fence) {
        return Ok((NonceAnswer::Fenced, Vec::new()));
    }
    let key = rows::nonce_key(claim);
    if rows.row(&key).is_some() {
        return Ok((NonceAnswer::Replayed, Vec::new()));
    }
    let load_key = rows::load_key(claim);
    let mut load = Load::read(rows, &load_key)?;
    if !count_nonce(&mut load, claim.remember_until, demand.now) {
        return Ok((NonceAnswer::QuotaExceeded, Vec::new()));
    }
    let newest_bucket_end = load.0.last().map(|(bucket, _)| (bucket + 1).saturating_mul(LOAD_BUCKET_SECONDS));
    let writes = alloc::vec![
        Write { key, value: Vec::new(), expires_at: Some(claim.remember_until) },
        Write { key: load_key, value: load.encode(), expires_at: newest_bucket_end },
    ];
    Ok((NonceAnswer::Fresh, writes))
}

/// Adds one nonce to the load of its key, unless the key is at its quota.
fn count_nonce(load: &mut Load, remember_until: i64, now: UnixMillis) -> bool {
    let live_from = now.seconds().div_euclid(LOAD_BUCKET_SECONDS);
    load.0.retain(|(bucket, _)| *bucket >= live_from);
    let live: u32 = load.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count));
    if live >= MAX_LIVE_NONCES_PER_KEY {
        return false;
    }
    let bucket = remember_until.div_euclid(LOAD_BUCKET_SECONDS);
    match load.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
        Ok(at) => load.0.iter_mut().skip(at).take(1).for_each(|(_, count)| *count += 1),
        Err(at) => load.0.insert(at, (bucket, 1)),
    }
    true
}

/// The first demanded subject that has a row of this key, with the second that it names.
fn find_denied(
    demand: &Demand,
    rows: &impl RowMap,
    key: impl Fn(&Subject) -> String,
) -> Result<Option<(Subject, i64)>, RowCorrupt> {
    for subject in &demand.subjects {
        if let Some(at) = rows::read_i64(rows, &key(subject))? {
            return Ok(Some((subject.clone(), at)));
        }
    }
    Ok(None)
}

/// What is known of a pass. None is good for longer than a proof, so what fences a proof made when the pass was minted
/// fences the pass: its redemption is remembered beyond that.
fn look_up_pass(claim: &PassClaim, rows: &impl RowMap) -> Result<PassAnswer, RowCorrupt> {
    let good_until = claim.issued_at.saturating_add(PROOF_WINDOW_SECONDS);
    if rows::read_i64(rows, super::FENCE_KEY)?.is_some_and(|fence| good_until <= fence) {
        return Ok(PassAnswer::Fenced);
    }
    let is_known = rows.row(&rows::pass_key(claim)).is_some();
    Ok(if is_known { PassAnswer::Replayed } else { PassAnswer::Unspent })
}

/// What is known of an approval. The count of its uses is kept for longer than it holds, so only a store that lost its rows
/// cannot tell.
fn look_up_use(claim: &UseClaim, rows: &impl RowMap) -> Result<PassAnswer, RowCorrupt> {
    if rows::read_i64(rows, super::sweep::START_KEY)?.is_some_and(|start| claim.issued_at <= start) {
        return Ok(PassAnswer::Fenced);
    }
    let used = rows::read_u64(rows, &rows::use_key(claim))?.unwrap_or(0);
    Ok(if used < claim.uses { PassAnswer::Unspent } else { PassAnswer::Replayed })
}

/// Spends the pass and uses the approvals of a demand that is met otherwise.
fn redeem(
    demand: &Demand,
    admission: &mut Admission,
    rows: &impl RowMap,
    writes: &mut Vec<Write>,
) -> Result<(), RowCorrupt> {
    if let Some(claim) = &demand.pass {
        let expires_at = Some(claim.remember_until);
        writes.push(Write { key: rows::pass_key(claim), value: Vec::new(), expires_at });
        admission.pass = Some(PassAnswer::Redeemed);
    }
    for (claim, answer) in demand.approvals.iter().zip(&mut admission.approvals) {
        let key = rows::use_key(claim);
        let used = rows::read_u64(rows, &key)?.unwrap_or(0).saturating_add(1);
        let expires_at = Some(rows::use_expiry(claim));
        writes.push(Write { key, value: used.to_be_bytes().to_vec(), expires_at });
        *answer = PassAnswer::Redeemed;
    }
    Ok(())
}

fn take_tokens(demand: &Demand, rows: &impl RowMap, writes: &mut Vec<Write>) -> Result<Vec<RateAnswer>, RowCorrupt> {
    let mut cells = Vec::with_capacity(demand.rates.len());
    for claim in &demand.rates {
        let key = rows::rate_key(claim);
        cells.push((Cell::new(claim, rows::read_u64(rows, &key)?, demand.now), key));
    }
    let all_conform = cells.iter().all(|(cell, _)| cell.conforms());
    let mut answers = Vec::with_capacity(cells.len());
    for (cell, key) in cells {
        let conforms = cell.conforms();
        let cell = if all_conform { cell.taken() } else { cell };
        answers.push(cell.answer(conforms));
        if all_conform || cell.is_clamped() {
            writes.push(Write {
                key,
                value: cell.row().to_be_bytes().to_vec(),
                expires_at: Some(tat_expiry(cell.row())),
            });
        }
    }
    Ok(answers)
}

/// A counter whose arrival time has passed equals an absent one; a day more covers a clock set back.
fn tat_expiry(tat_micros: u64) -> i64 {
    i64::try_from(tat_micros / 1_000_000).unwrap_or(i64::MAX).saturating_add(86_400)
}

/// What a request does to its budgets if everything else holds.
struct Charging {
    answers: Vec<SpendAnswer>,
    writes: Vec<Write>,
    charged: Vec<Charge>,
}

fn charge(demand: &Demand, is_repeated: bool, rows: &impl RowMap) -> Result<Charging, RowCorrupt> {
    let mut charging = Charging { answers: Vec::new(), writes: Vec::new(), charged: Vec::new() };
    for claim in &demand.spends {
        let key = rows::spend_key(claim, demand.now);
        let spent = rows::read_u64(rows, &key)?.unwrap_or(0);
        let total = spent.checked_add(claim.amount.0);
        let fits = is_repeated || total.is_some_and(|total| total <= claim.cap.0);
        charging.answers.push(SpendAnswer { fits, spent_before: crate::money::MicroUsd(spent) });
        if let (Some(total), SpendMode::Charge, false) = (total, claim.mode, is_repeated) {
            let expires_at = rows::spend_expiry(claim, demand.now);
            if claim.amount.0 > 0 {
                charging.charged.push(Charge { row_key: key.clone(), amount: claim.amount, expires_at });
            }
            let value = total.to_be_bytes().to_vec();
            charging.writes.push(Write { key, value, expires_at: Some(expires_at) });
        }
    }
    Ok(charging)
}
