//! Suspending and reinstating, and asking how a subject stands.

use passgate_core::state::{self, Standing, Subject};

use super::{Fault, Tables, append, load};
use crate::{Changed, SealRecord, StoreError};

/// [`State::standing`](crate::State::standing)
///
/// # Errors
///
/// `Corrupt` when a row of it cannot be read, and the faults of `tables`.
pub fn standing(tables: &impl Tables, subject: &Subject) -> Result<Standing, Fault> {
    Ok(Standing::read(subject, &load(tables, Standing::row_keys(subject))?)?)
}

/// [`State::suspend`](crate::State::suspend)
///
/// # Errors
///
/// Those of [`append`], and `Corrupt` when a row about the subject cannot be read.
pub fn suspend(
    tables: &mut impl Tables,
    uid: &str,
    subject: &Subject,
    at: i64,
    seal: &mut SealRecord,
) -> Result<Changed, Fault> {
    let changed = !standing(tables, subject)?.is_denied();
    let entry = append(tables, uid, seal)?;
    if changed {
        tables.put_row(state::suspension_write(subject, at))?;
    }
    Ok(Changed { entry, changed })
}

/// [`State::reinstate`](crate::State::reinstate)
///
/// # Errors
///
/// `Revoked` when the subject is revoked; else those of [`suspend`].
pub fn reinstate(
    tables: &mut impl Tables,
    uid: &str,
    subject: &Subject,
    seal: &mut SealRecord,
) -> Result<Changed, Fault> {
    let known = standing(tables, subject)?;
    if known.revoked_at.is_some() {
        return Err(Fault::Request(StoreError::Revoked(Box::new(subject.clone()))));
    }
    let entry = append(tables, uid, seal)?;
    tables.delete_row(&state::suspension_key(subject), None)?;
    Ok(Changed { entry, changed: known.suspended_at.is_some() })
}

/// Makes the suspension of `subject` what it is in another store, where its records are: since `suspended_at`, or none.
///
/// # Errors
///
/// The faults of `tables`.
pub fn follow(tables: &mut impl Tables, subject: &Subject, suspended_at: Option<i64>) -> Result<(), Fault> {
    match suspended_at {
        Some(at) => tables.put_row(state::suspension_write(subject, at)),
        None => tables.delete_row(&state::suspension_key(subject), None),
    }
}
