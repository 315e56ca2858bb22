//! Suspending and reinstating: what is denied for a while. What is revoked is denied for good.

use passgate_core::state::Standing;
use serde_json::{Map, Value};

use super::control::{Controlled, OperationError};
use super::documents::Revocation;
use super::reply::Reply;
use crate::view;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// Deny until reinstated.
    Suspend,
    /// End a suspension.
    Reinstate,
}

impl Suspension {
    /// The path of the control route that does it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Suspend => "/v1/suspensions",
            Self::Reinstate => "/v1/reinstatements",
        }
    }
}

/// What a suspension or a reinstatement leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<R = String> {
    /// The record of it: as signed, or as the REST API shows it.
    pub record: R,
    /// Whether what the subject may do is different now. Suspending what is suspended and reinstating what is not
    /// changes nothing.
    pub changed: bool,
}

/// Suspends or reinstates. When this returns, the next admission is refused or let in. Gives the record of it.
///
/// # Errors
///
/// [`OperationError`]; the change may then be in force or not, and is safe to repeat. What is revoked is not reinstated.
pub async fn change(
    gate: &dyn Controlled,
    which: Suspension,
    what: &Revocation,
) -> Result<Change<Map<String, Value>>, OperationError> {
    let Change { record, changed } = gate.change(which, what).await?;
    Ok(Change { record: view::attestation(&record)?, changed })
}

/// 201 with the record, or 200 when nothing changed.
pub(super) async fn answer(
    gate: &dyn Controlled,
    which: Suspension,
    what: &Revocation,
) -> Result<Reply, OperationError> {
    let Change { record, changed } = gate.change(which, what).await?;
    let status = if changed { 201 } else { 200 };
    Ok(Reply::json_text(status, view::attestation_json(&record)?))
}

/// Whether one of several is revoked; else, whether one is suspended.
pub(super) fn worst(all: &[Standing]) -> Standing {
    let revoked = all.iter().find(|standing| standing.revoked_at.is_some());
    let denied = revoked.or_else(|| all.iter().find(|standing| standing.is_denied()));
    denied.copied().unwrap_or_default()
}
