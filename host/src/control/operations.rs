//! What an operator can ask of a ledger and its state, on a running gateway or on its store.

use std::sync::Arc;

use passgate_api::driver::Driver;
use passgate_api::view::{self, ViewError};
use passgate_core::attest::Writer;
use passgate_passport::key::PublicKey;
use passgate_store::StoreError;
use serde_json::{Map, Value};

use crate::env::{Environment, RandomError};
use crate::store::{Store, remedy};
use passgate_api::http::documents::{DocumentError, Query, QueryPage, Revocation, RevocationState, cursor_text};

/// How many pages of the store one query looks at before it answers with what it found.
const MAX_PAGES_PER_QUERY: usize = 20;

/// An operation that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The request makes no sense.
    #[error("{0}")]
    Document(#[from] DocumentError),
    /// The store failed.
    #[error("{error}{remedy}", error = .0, remedy = remedy(.0))]
    Store(#[from] StoreError),
    /// What is stored is no record.
    #[error("{0}")]
    View(#[from] ViewError),
    /// The export ended before its end.
    #[error("the export broke off")]
    BrokenOff,
    /// No secure randomness.
    #[error("{0}")]
    Random(#[from] RandomError),
}

/// Who signs here.
enum Signer {
    /// The driver of a running gateway.
    Driver(Arc<Driver>),
    /// A writer that signs heads and writes no chain.
    Heads(Box<Writer>),
}

/// The operations over one store.
pub struct Operations {
    signer: Signer,
    pub(super) store: Arc<dyn Store>,
    pub(super) env: Arc<dyn Environment>,
    pub(super) gate_id: String,
}

impl Operations {
    pub(crate) fn running(
        driver: Arc<Driver>,
        store: Arc<dyn Store>,
        env: Arc<dyn Environment>,
        gate_id: String,
    ) -> Self {
        Self { signer: Signer::Driver(driver), store, env, gate_id }
    }

    /// Without a driver, revoking is not among the operations; the caller brings one for it.
    pub(crate) fn reading(heads: Writer, store: Arc<dyn Store>, env: Arc<dyn Environment>, gate_id: String) -> Self {
        Self { signer: Signer::Heads(Box::new(heads)), store, env, gate_id }
    }

    pub(super) fn writer(&self) -> &Writer {
        match &self.signer {
            Signer::Driver(driver) => driver.writer(),
            Signer::Heads(writer) => writer,
        }
    }

    /// The key that signs attestations here.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        self.writer().public_key()
    }

    /// One page of attestations.
    ///
    /// # Errors
    ///
    /// [`OperationError`].
    pub async fn query(&self, query: &Query) -> Result<QueryPage, OperationError> {
        let (filter, limit) = (query.filter()?, query.checked_limit()?);
        let mut cursor = query.parsed_cursor()?;
        let mut attestations = Vec::new();
        for _ in 0..MAX_PAGES_PER_QUERY {
            let page = self.store.records(&filter, cursor, limit.saturating_sub(attestations.len())).await?;
            for record in &page.records {
                attestations.push(view::attestation(&record.jws)?);
            }
            cursor = page.next;
            if cursor.is_none() || attestations.len() >= limit {
                break;
            }
        }
        Ok(QueryPage { attestations, next_cursor: cursor.map(cursor_text) })
    }

    /// The attestation with this id.
    ///
    /// # Errors
    ///
    /// [`OperationError`].
    pub async fn attestation(&self, id: &str) -> Result<Option<Map<String, Value>>, OperationError> {
        let record = self.store.record(id).await?;
        Ok(record.map(|record| view::attestation(&record.jws)).transpose()?)
    }

    /// Since when something is revoked.
    ///
    /// # Errors
    ///
    /// [`OperationError`].
    pub async fn revocation(&self, of: &Revocation) -> Result<RevocationState, OperationError> {
        Ok(RevocationState { revoked_at: self.store.revoked_at(of.subject()).await? })
    }

    /// Revokes; when this returns, the next admission is refused. Gives the record of it.
    ///
    /// # Errors
    ///
    /// [`OperationError`]; the revocation may then be in force or not, and is safe to repeat.
    pub async fn revoke(&self, what: &Revocation) -> Result<Map<String, Value>, OperationError> {
        let Signer::Driver(driver) = &self.signer else {
            return Err(StoreError::Unavailable("no chain is open to record the revocation".to_owned()).into());
        };
        revoke(driver, self.env.as_ref(), what).await
    }
}

/// Revokes with a record in the driver's chain.
pub(super) async fn revoke(
    driver: &Driver,
    env: &dyn Environment,
    what: &Revocation,
) -> Result<Map<String, Value>, OperationError> {
    let entry = driver.revoke(what.subject().clone(), env.stamp()?).await?;
    Ok(view::attestation(&entry.jws)?)
}
