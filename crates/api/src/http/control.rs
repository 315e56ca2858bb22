//! The control routes: what operators and auditors ask of a gate, over whatever transport and store it has.
//!
//! Whoever serves parses the [`Route`], lets in whom [`keys`](super::keys) lets in, reads the body within
//! [`Route::max_body_bytes`], and gives back the [`Reply`] of [`respond`].

use std::sync::Arc;

use async_trait::async_trait;
use passgate_core::approval::{ApprovalRequest, RefusedAnswer, RequestState};
use passgate_core::gate::Gate;
use passgate_core::state::{Standing, Subject};
use passgate_core::time::UnixMillis;
use passgate_passport::key_set::{self, DatedKey};
use passgate_store::{Ledger, Page, Shared, StoreError};
use serde_json::{Map, Value};

use super::approvals::{self, Approve, Deny};
use super::documents::{
    DocumentError, ExportFormat, Query, QueryPage, Reconciliation, Revocation, RevocationState, cursor_text, from_body,
    from_query,
};
use super::export::export;
use super::ledger;
use super::passports::{self, Presented};
use super::reply::{Body, Reply};
use super::route::Route;
use super::standing::{self, Change, Suspension};
use crate::answer::Problem;
use crate::driver::GivenAnswer;
use crate::view::{self, ViewError};

/// How many pages of the store one query looks at before it answers with what it found.
const MAX_PAGES_PER_QUERY: usize = 20;

/// The code of the refusal to reinstate what is revoked.
pub const REVOKED_CODE: &str = "revoked";

/// The code of the refusal to reconcile where nothing is held.
pub const NOT_HELD_CODE: &str = "not_held";

/// A gate as its control routes see it.
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
pub trait Controlled: Shared {
    /// The gate as requests are judged by it at present.
    fn gate(&self) -> Arc<Gate>;

    /// The time.
    fn now(&self) -> UnixMillis;

    /// The records.
    fn ledger(&self) -> &dyn Ledger;

    /// The keys that the records verify with, oldest first, each with the times from and until which it signed.
    fn keys(&self) -> Vec<DatedKey>;

    /// Signs the head of an export (see `passgate_core::attest::Writer::seal_head`).
    ///
    /// # Errors
    ///
    /// When there is nothing to sign with.
    fn seal_head(&self, payload: &[u8]) -> Result<String, OperationError>;

    /// Whether each of `subjects` is revoked or suspended, in their order.
    ///
    /// # Errors
    ///
    /// When the state cannot be asked.
    async fn standing(&self, subjects: &[Subject]) -> Result<Vec<Standing>, OperationError>;

    /// Revokes, and gives the record of it as signed. When this returns, the next admission is refused.
    ///
    /// # Errors
    ///
    /// When it cannot be carried out; the revocation may then be in force or not, and is safe to repeat.
    async fn revoke(&self, what: &Revocation) -> Result<String, OperationError>;

    /// Suspends or reinstates. When this returns, the next admission is refused or let in.
    ///
    /// # Errors
    ///
    /// [`StoreError::Revoked`] when what is revoked is to be reinstated; else when it cannot be carried out: the change may
    /// then be in force or not, and is safe to repeat.
    async fn change(&self, which: Suspension, what: &Revocation) -> Result<Change, OperationError>;

    /// Says what became of a request whose outcome was not known, and gives the record of it as signed.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotHeld`] when there is nothing to say it of; else when it cannot be carried out: it may then have
    /// happened or not, and is safe to repeat.
    async fn reconcile(&self, what: &Reconciliation) -> Result<String, OperationError>;

    /// The request for approval with this id, as long as it is kept.
    ///
    /// # Errors
    ///
    /// When the state cannot be asked.
    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, OperationError>;

    /// Up to `limit` requests for approval whose ids follow `after`, in the order in which they were asked for.
    ///
    /// # Errors
    ///
    /// When the state cannot be asked.
    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, OperationError>;

    /// Takes in an answer to a request for approval, and gives the record of it as signed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Answer`] when it is not taken in; else when it cannot be carried out: it may then have happened or not.
    async fn answer_request(&self, id: &str, answer: GivenAnswer) -> Result<String, OperationError>;

    /// Ends a request for approval whose approvals were revoked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Answer`] when there is none; else when it cannot be carried out, and is safe to repeat.
    async fn end_request(&self, id: &str, state: RequestState) -> Result<(), OperationError>;
}

/// An operation that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The request makes no sense.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is no record.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The gate failed, such as for want of randomness.
    #[error("{0}")]
    Gate(String),
}

impl From<OperationError> for Reply {
    fn from(error: OperationError) -> Self {
        let (status, code, title) = match &error {
            OperationError::Document(problem) => return Self::bad_request(problem),
            OperationError::Store(StoreError::PluginKey(problem)) => return Self::bad_request(problem),
            OperationError::Store(StoreError::Rotation(problem)) => return Self::bad_request(problem),
            OperationError::Store(StoreError::Revoked(_)) => (409, REVOKED_CODE, "What is revoked stays revoked."),
            OperationError::Store(StoreError::NotHeld(_)) => (409, NOT_HELD_CODE, "Nothing is held."),
            OperationError::Store(StoreError::Answer(RefusedAnswer::NotFound)) => {
                return Self::not_found(RefusedAnswer::NotFound);
            }
            OperationError::Store(StoreError::Answer(refused)) => {
                let problem = Problem::new(409, refused.code(), "The answer is not taken in.");
                return Self::problem(&Problem { detail: Some(refused.to_string()), ..problem });
            }
            OperationError::Store(StoreError::Corrupt(_)) | OperationError::View(_) => {
                (500, "store_corrupt", "What is stored cannot be read.")
            }
            OperationError::Store(_) => (503, "store_unavailable", "The state cannot be reached."),
            OperationError::Gate(_) => (503, "internal_error", "The gate failed."),
        };
        Self::problem(&Problem { detail: Some(error.to_string()), ..Problem::new(status, code, title) })
    }
}

impl From<DocumentError> for Reply {
    fn from(error: DocumentError) -> Self {
        Self::bad_request(error)
    }
}

/// Answers a request of `route` with its query string (without `?`) and its body. Whether the caller may is settled
/// before.
///
/// Routes of bundles, status lists and plugins are not found here: a gate that has them answers them itself.
pub async fn respond(gate: Arc<dyn Controlled>, route: Route, query: Option<&str>, body: &[u8]) -> Reply {
    answer(gate, route, query, body).await.unwrap_or_else(Reply::from)
}

async fn answer(
    gate: Arc<dyn Controlled>,
    route: Route,
    query: Option<&str>,
    body: &[u8],
) -> Result<Reply, OperationError> {
    let limit = route.max_body_bytes();
    if body.len() > limit {
        return Ok(Reply::too_large());
    }
    Ok(match route {
        Route::Attestations => {
            let query: Query = from_query(query)?;
            Reply::json_text(200, page_json(found(gate.as_ref(), &query).await?)?)
        }
        Route::Attestation(id) => match gate.ledger().record(&id).await? {
            Some(found) => Reply::json_text(200, view::attestation_json(&found.jws)?),
            None => Reply::not_found("no attestation has this id"),
        },
        Route::Export => exported(gate, &from_query(query)?)?,
        Route::VerifyLedger => Reply::new(200, "application/json", Body::Pieces(ledger::report(gate))),
        Route::Keys => key_set(gate.as_ref()),
        Route::VerifyPassport => {
            let presented: Presented = from_body(body, limit)?;
            Reply::json(200, &passports::verify(gate.as_ref(), &presented).await)
        }
        Route::RevokePassport(id) => {
            let what = Revocation::try_from(Subject::Passport(id))?;
            Reply::json_text(201, view::attestation_json(&gate.revoke(&what).await?)?)
        }
        Route::Revoke => Reply::json_text(201, view::attestation_json(&gate.revoke(&from_body(body, limit)?).await?)?),
        Route::Suspend => standing::answer(gate.as_ref(), Suspension::Suspend, &from_body(body, limit)?).await?,
        Route::Reinstate => standing::answer(gate.as_ref(), Suspension::Reinstate, &from_body(body, limit)?).await?,
        Route::Revocation => Reply::json(200, &revocation(gate.as_ref(), &from_query(query)?).await?),
        Route::Reconcile => {
            let what: Reconciliation = from_body(body, limit)?;
            what.check()?;
            Reply::json_text(201, view::attestation_json(&gate.reconcile(&what).await?)?)
        }
        Route::Approvals => Reply::json(200, &approvals::page(gate.as_ref(), &from_query(query)?).await?),
        Route::Approval(id) => Reply::json(200, &approvals::one(gate.as_ref(), &id).await?),
        Route::ApprovalStatus(id) => approvals::status(gate.as_ref(), &id).await?,
        Route::Approve(id) => {
            let given: Approve = from_body(body, limit)?;
            Reply::json_text(201, view::attestation_json(&approvals::approve(gate.as_ref(), &id, given).await?)?)
        }
        Route::DenyApproval(id) => {
            let given: Deny = from_body(body, limit)?;
            Reply::json_text(201, view::attestation_json(&approvals::deny(gate.as_ref(), &id, given).await?)?)
        }
        Route::WithdrawApproval(id) => {
            Reply::json_text(201, view::attestation_json(&approvals::withdraw(gate.as_ref(), &id).await?)?)
        }
        Route::Bundle | Route::PutBundle => Reply::not_found("this gate does not run on a bundle"),
        Route::PluginKey(_) | Route::PutPluginKey(_) | Route::DeletePluginKey(_) => {
            Reply::not_found("this gate has no plugins")
        }
        Route::RotateKey => Reply::not_found("the key of this gate is not changed by a request"),
        Route::StatusList(_) | Route::PutStatusLists => Reply::not_found("no status lists are pushed to this gate"),
    })
}

/// One page of attestations.
///
/// # Errors
///
/// [`OperationError`].
pub async fn attestations(gate: &dyn Controlled, query: &Query) -> Result<QueryPage, OperationError> {
    let page = found(gate, query).await?;
    let attestations = page.records.iter().map(|record| view::attestation(&record.jws)).collect::<Result<_, _>>()?;
    Ok(QueryPage { attestations, next_cursor: page.next.map(cursor_text) })
}

/// A [`QueryPage`] as text.
fn page_json(page: Page) -> Result<String, OperationError> {
    let mut text = String::from("{\"attestations\":[");
    for (i, record) in page.records.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(&view::attestation_json(&record.jws)?);
    }
    text.push_str("],\"next_cursor\":");
    match page.next {
        // A cursor is two numbers and a point.
        Some(cursor) => text.push_str(&format!("\"{}\"}}", cursor_text(cursor))),
        None => text.push_str("null}"),
    }
    Ok(text)
}

async fn found(gate: &dyn Controlled, query: &Query) -> Result<Page, OperationError> {
    if query.format.is_some() {
        return Err(DocumentError::new("`format` belongs to an export").into());
    }
    let (filter, limit) = (query.filter()?, query.checked_limit()?);
    let mut cursor = query.parsed_cursor()?;
    let mut records = Vec::new();
    for _ in 0..MAX_PAGES_PER_QUERY {
        let page = gate.ledger().records(&filter, cursor, limit.saturating_sub(records.len())).await?;
        records.extend(page.records);
        cursor = page.next;
        if cursor.is_none() || records.len() >= limit {
            break;
        }
    }
    Ok(Page { records, next: cursor })
}

/// The attestation with this id.
///
/// # Errors
///
/// [`OperationError`].
pub async fn attestation(gate: &dyn Controlled, id: &str) -> Result<Option<Map<String, Value>>, OperationError> {
    let record = gate.ledger().record(id).await?;
    Ok(record.map(|record| view::attestation(&record.jws)).transpose()?)
}

/// Whether something is revoked or suspended, and since when.
///
/// # Errors
///
/// [`OperationError`].
pub async fn revocation(gate: &dyn Controlled, of: &Revocation) -> Result<RevocationState, OperationError> {
    let found = gate.standing(std::slice::from_ref(of.subject())).await?.into_iter().next();
    let found = found.ok_or_else(|| OperationError::Gate("the state gave no answer".to_owned()))?;
    Ok(RevocationState { revoked_at: found.revoked_at, suspended_at: found.suspended_at })
}

/// Revokes; when this returns, the next admission is refused. Gives the record of it.
///
/// # Errors
///
/// [`OperationError`]; the revocation may then be in force or not, and is safe to repeat.
pub async fn revoke(gate: &dyn Controlled, what: &Revocation) -> Result<Map<String, Value>, OperationError> {
    Ok(view::attestation(&gate.revoke(what).await?)?)
}

/// Says what became of a request whose outcome was not known. Gives the record of it.
///
/// # Errors
///
/// [`OperationError`]; it may then have happened or not, and is safe to repeat.
pub async fn reconcile(gate: &dyn Controlled, what: &Reconciliation) -> Result<Map<String, Value>, OperationError> {
    what.check()?;
    Ok(view::attestation(&gate.reconcile(what).await?)?)
}

fn exported(gate: Arc<dyn Controlled>, query: &Query) -> Result<Reply, OperationError> {
    if query.limit.is_some() || query.cursor.is_some() {
        return Err(DocumentError::new("an export has neither `limit` nor `cursor`").into());
    }
    let (filter, format) = (query.filter()?, query.format.unwrap_or_default());
    let media_type = match format {
        ExportFormat::Jsonl => "application/jsonl",
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
    };
    Ok(Reply::new(200, media_type, Body::Pieces(export(gate, format, filter))))
}

/// Public, and the same until the gate gets another key: a cache may keep it, as long as it asks whether it still holds.
fn key_set(gate: &dyn Controlled) -> Reply {
    let fields =
        vec![("content-type", "application/jwk-set+json".to_owned()), ("cache-control", "no-cache".to_owned())];
    Reply { status: 200, fields, body: Body::Whole(key_set::emit(&gate.keys()).into_bytes()) }
}

#[cfg(test)]
pub(super) mod tests;
