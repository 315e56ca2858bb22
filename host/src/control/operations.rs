//! The gate behind the control routes: a running gateway, or its store when none runs.

use std::sync::Arc;

use passgate_api::driver::Driver;
use passgate_api::http::control::Controlled;
pub use passgate_api::http::control::OperationError;
use passgate_api::http::documents::Revocation;
use passgate_core::attest::Writer;
use passgate_core::gate::Gate;
use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_passport::key::PublicKey;
use passgate_store::{Ledger, StoreError};

use crate::env::{Environment, RandomError};
use crate::status_lists::{InForce, Snapshot};
use crate::store::Store;

/// Who signs here.
enum Signer {
    /// The driver of a running gateway.
    Driver(Arc<Driver>),
    /// A writer that signs heads and writes no chain.
    Heads(Box<Writer>),
}

/// A gate over one store.
pub struct Operations {
    signer: Signer,
    store: Arc<dyn Store>,
    env: Arc<dyn Environment>,
    gate: Arc<InForce>,
}

impl Operations {
    pub(crate) fn running(
        driver: Arc<Driver>,
        store: Arc<dyn Store>,
        env: Arc<dyn Environment>,
        gate: Arc<InForce>,
    ) -> Self {
        Self { signer: Signer::Driver(driver), store, env, gate }
    }

    /// Without a driver nothing can be revoked; the caller brings one for it.
    pub(crate) fn reading(heads: Writer, store: Arc<dyn Store>, env: Arc<dyn Environment>, gate: Snapshot) -> Self {
        Self { signer: Signer::Heads(Box::new(heads)), store, env, gate: Arc::new(InForce::new(gate)) }
    }

    fn writer(&self) -> &Writer {
        match &self.signer {
            Signer::Driver(driver) => driver.writer(),
            Signer::Heads(writer) => writer,
        }
    }
}

#[async_trait::async_trait]
impl Controlled for Operations {
    fn gate(&self) -> Arc<Gate> {
        self.gate.get().gate()
    }

    fn now(&self) -> UnixMillis {
        self.env.now()
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.as_ref()
    }

    fn keys(&self) -> Vec<PublicKey> {
        vec![self.writer().public_key().clone()]
    }

    fn seal_head(&self, payload: &[u8]) -> Result<String, OperationError> {
        Ok(self.writer().seal_head(payload))
    }

    async fn revoked_at(&self, subjects: &[Subject]) -> Result<Vec<Option<i64>>, OperationError> {
        let mut found = Vec::with_capacity(subjects.len());
        for subject in subjects {
            found.push(self.store.revoked_at(subject).await?);
        }
        Ok(found)
    }

    async fn revoke(&self, what: &Revocation) -> Result<String, OperationError> {
        let Signer::Driver(driver) = &self.signer else {
            return Err(StoreError::Unavailable("no chain is open to record the revocation".to_owned()).into());
        };
        let stamp = self.env.stamp().map_err(|error: RandomError| OperationError::Gate(error.to_string()))?;
        Ok(driver.revoke(what.subject().clone(), stamp).await?.jws)
    }
}
