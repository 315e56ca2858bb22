//! The evaluator of a gate as a WebAssembly component: `passgate:gate@0.1.0`, see `wit/gate.wit`.
//!
//! # In scope
//!
//! The exports of that world over `passgate_core` and `passgate_api`: resources that hold what the steps of a request's life
//! leave, and the conversion of records at the boundary.
//!
//! # Out of scope
//!
//! Deciding anything: what could be a unit test in core is in core. Imports: the component has none, so time, random bits
//! and stored rows are arguments, and no private key ever enters it.

mod bindings;
mod chain;
mod convert;
mod gate;
mod judgement;

use bindings::exports::passgate::gate::evaluator as wit;
use passgate_api::answer;
use passgate_core::state::{self, Lease, LoadedRows};
use passgate_core::time::UnixMillis;

/// What the world exports.
struct Component;

impl wit::Guest for Component {
    type Gate = gate::Gate;
    type Judgement = judgement::Judgement;
    type Refusal = judgement::Refusal;
    type Chain = chain::Chain;

    fn allowed_fields(rates: Vec<wit::Rate>, attestation_id: String) -> Vec<(String, String)> {
        let rates: Vec<_> = rates.into_iter().map(convert::rate_view).collect();
        answer::allow_fields(&attestation_id, &rates).into_iter().map(convert::field).collect()
    }

    fn revoke(subject: wit::Subject, at: i64) -> wit::Write {
        convert::write(state::revocation_write(&convert::subject(subject), at))
    }

    fn suspend(subject: wit::Subject, at: i64) -> wit::Write {
        convert::write(state::suspension_write(&convert::subject(subject), at))
    }

    fn suspension_key(subject: wit::Subject) -> String {
        state::suspension_key(&convert::subject(subject))
    }

    fn lease(attestation_id: String, charges: Vec<wit::Charge>, now: u64) -> Option<wit::Write> {
        let charges = charges.into_iter().map(convert::charge).collect();
        Lease::of(charges, UnixMillis(now)).map(|lease| convert::write(lease.write(&attestation_id)))
    }

    fn lease_key(attestation_id: String) -> String {
        Lease::row_key(&attestation_id)
    }

    fn budget_of(result: wit::OutcomeResult) -> wit::BudgetOutcome {
        convert::from_budget(convert::outcome_result(result).budget())
    }

    fn hold(attestation_id: String, lease: wit::Row) -> Result<wit::Write, String> {
        let lease = Lease::read(&lease.key, &lease.value).map_err(|error| error.to_string())?;
        Ok(convert::write(lease.held().write(&attestation_id)))
    }

    fn is_under_way(lease: wit::Row, now: i64) -> Result<bool, String> {
        Ok(Lease::read(&lease.key, &lease.value).map_err(|error| error.to_string())?.is_under_way(now))
    }

    fn charged_rows(lease: wit::Row) -> Result<Vec<String>, String> {
        let lease = Lease::read(&lease.key, &lease.value).map_err(|error| error.to_string())?;
        Ok(lease.charged_rows().map(str::to_owned).collect())
    }

    fn release(lease: wit::Row, rows: Vec<wit::Row>) -> Result<Option<Vec<wit::Write>>, String> {
        let rows: LoadedRows = rows.into_iter().map(|row| (row.key, row.value)).collect();
        let lease = Lease::read(&lease.key, &lease.value).map_err(|error| error.to_string())?;
        let writes = lease.release(&rows).map_err(|error| error.to_string())?;
        Ok(writes.map(|writes| writes.into_iter().map(convert::write).collect()))
    }

    fn restart_fences(now: i64) -> Vec<wit::Write> {
        state::restart_fences(now).into_iter().map(convert::write).collect()
    }

    fn fence_key() -> String {
        state::FENCE_KEY.to_owned()
    }

    fn sweep(expired: Vec<wit::ExpiredRow>, fence: Option<wit::Row>) -> Result<Option<wit::Write>, String> {
        if let Some(other) = fence.as_ref().filter(|row| row.key != state::FENCE_KEY) {
            return Err(format!("the row `{}` is not the fence; give that of `fence-key`", other.key));
        }
        let fence: LoadedRows = fence.into_iter().map(|row| (row.key, row.value)).collect();
        let expired = expired.iter().map(|row| (row.key.as_str(), row.expires_at));
        let swept = state::sweep(expired, &fence).map_err(|error| error.to_string())?;
        Ok(swept.write.map(convert::write))
    }
}
