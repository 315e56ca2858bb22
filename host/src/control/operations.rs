//! The gate behind the control routes: a running gateway, or its store when none runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use passgate_api::driver::{Driver, GivenAnswer};
use passgate_api::http::control::Controlled;
pub use passgate_api::http::control::OperationError;
use passgate_api::http::documents::{Reconciliation, Revocation, Rotated, Rotation};
use passgate_api::http::route::PluginKey;
use passgate_api::http::standing::{Change, Suspension};
use passgate_core::approval::{ApprovalRequest, RequestState};
use passgate_core::attest::{RotationScope, Stamp, Writer};
use passgate_core::gate::Gate;
use passgate_core::state::{KeyHistory, Standing, Subject};
use passgate_core::time::UnixMillis;
use passgate_passport::key_set::DatedKey;
use passgate_store::{Ledger, StoreError};

use crate::attestation_key::KeyFiles;
use crate::env::{Environment, RandomError};
use crate::status_lists::{InForce, Snapshot};
use crate::store::Store;

/// Who signs here.
enum Signer {
    /// The driver of a running gateway.
    Driver(Arc<Driver>),
    /// A writer that signs heads and writes no chain.
    Heads(Arc<Writer>),
}

/// A gate over one store.
pub struct Operations {
    signer: Signer,
    store: Arc<dyn Store>,
    env: Arc<dyn Environment>,
    gate: Arc<InForce>,
    keys: Keys,
}

/// The attestation keys: where they are, and which were handed over.
pub(crate) struct Keys {
    files: KeyFiles,
    history: Mutex<KeyHistory>,
}

impl Keys {
    pub(crate) fn new(files: KeyFiles, history: KeyHistory) -> Self {
        Self { files, history: Mutex::new(history) }
    }

    fn history(&self) -> MutexGuard<'_, KeyHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operations {
    pub(crate) fn running(
        driver: Arc<Driver>,
        store: Arc<dyn Store>,
        env: Arc<dyn Environment>,
        gate: Arc<InForce>,
        keys: Keys,
    ) -> Self {
        Self { signer: Signer::Driver(driver), store, env, gate, keys }
    }

    /// Without a driver nothing can be changed; the caller brings one for it.
    pub(crate) fn reading(
        heads: Writer,
        store: Arc<dyn Store>,
        env: Arc<dyn Environment>,
        gate: Snapshot,
        keys: Keys,
    ) -> Self {
        Self { signer: Signer::Heads(Arc::new(heads)), store, env, gate: Arc::new(InForce::new(gate)), keys }
    }

    /// Hands over to the key in the file of the next one, which has to be the one that is named. When this returns, every
    /// record is signed with it. Asked again, it says that nothing is left to do.
    ///
    /// # Errors
    ///
    /// When there is no such key, or one of the two was retired; else when it cannot be carried out: the rotation may then
    /// have happened or not, and is safe to repeat.
    pub async fn rotate_key(&self, asked: &Rotation) -> Result<Rotated, OperationError> {
        let (driver, stamp) = self.recording()?;
        let kid = asked.kid.clone();
        if driver.writer().public_key().thumbprint() == kid {
            // Whoever asked before may have gone away in between.
            *self.keys.history() = self.store.key_history().await?;
            return Ok(Rotated { attestation_id: None, kid });
        }
        let next = self.keys.files.read_next().map_err(|error| OperationError::Gate(error.to_string()))?;
        let next = next.filter(|next| next.public().thumbprint() == kid).ok_or_else(|| {
            let file = self.keys.files.next.display();
            OperationError::Gate(format!("{file} does not hold the key {kid}; run `passgate keys rotate` at this gate"))
        })?;
        // A task of its own: given up half-way, nobody would note that the new key signs.
        let (driver, gate) = (Arc::clone(driver), Arc::clone(&self.gate));
        let rotating = tokio::spawn(async move {
            let rotated = driver.rotate(next, RotationScope::Ledger, stamp).await;
            // Whatever became of it: passes are those of the key that signs.
            gate.mint_with(driver.writer().public_key());
            rotated
        });
        let entry = rotating.await.map_err(|error| OperationError::Gate(error.to_string()))??;
        *self.keys.history() = self.store.key_history().await?;
        Ok(Rotated { attestation_id: entry.map(|entry| entry.index.attestation_id), kid })
    }

    /// The value of a plugin's key, if it has one.
    ///
    /// # Errors
    ///
    /// [`StoreError::PluginKey`] when it is outside the limits; else when the state cannot be asked.
    pub async fn plugin_key(&self, of: &PluginKey) -> Result<Option<Vec<u8>>, OperationError> {
        Ok(self.store.plugin_key(&of.plugin, &of.key).await?)
    }

    /// Gives a plugin's key this value, or deletes it without one, and gives the record of it as signed. When this
    /// returns, the plugin reads it.
    ///
    /// # Errors
    ///
    /// [`StoreError::PluginKey`] when something is outside its limits; else when it cannot be carried out: the change may
    /// then be in force or not, and is safe to repeat.
    pub async fn set_plugin_key(&self, of: &PluginKey, value: Option<Vec<u8>>) -> Result<String, OperationError> {
        let (driver, stamp) = self.recording()?;
        Ok(driver.set_plugin_key(&of.plugin, &of.key, value, stamp).await?.jws)
    }

    /// What a change is recorded with.
    fn recording(&self) -> Result<(&Arc<Driver>, Stamp), OperationError> {
        let Signer::Driver(driver) = &self.signer else {
            return Err(StoreError::Unavailable("no chain is open to record the change".to_owned()).into());
        };
        let stamp = self.env.stamp().map_err(|error: RandomError| OperationError::Gate(error.to_string()))?;
        Ok((driver, stamp))
    }

    fn writer(&self) -> Arc<Writer> {
        match &self.signer {
            Signer::Driver(driver) => driver.writer(),
            Signer::Heads(writer) => Arc::clone(writer),
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

    fn keys(&self) -> Vec<DatedKey> {
        self.keys.history().with(self.writer().public_key())
    }

    fn seal_head(&self, payload: &[u8]) -> Result<String, OperationError> {
        Ok(self.writer().seal_head(payload))
    }

    async fn standing(&self, subjects: &[Subject]) -> Result<Vec<Standing>, OperationError> {
        let mut found = Vec::with_capacity(subjects.len());
        for subject in subjects {
            found.push(self.store.standing(subject).await?);
        }
        Ok(found)
    }

    async fn revoke(&self, what: &Revocation) -> Result<String, OperationError> {
        let (driver, stamp) = self.recording()?;
        Ok(driver.revoke(what.subject().clone(), stamp).await?.jws)
    }

    async fn change(&self, which: Suspension, what: &Revocation) -> Result<Change, OperationError> {
        let ((driver, stamp), subject) = (self.recording()?, what.subject().clone());
        let done = match which {
            Suspension::Suspend => driver.suspend(subject, stamp).await?,
            Suspension::Reinstate => driver.reinstate(subject, stamp).await?,
        };
        Ok(Change { record: done.entry.jws, changed: done.changed })
    }

    async fn reconcile(&self, what: &Reconciliation) -> Result<String, OperationError> {
        let (driver, stamp) = self.recording()?;
        Ok(driver.reconcile(&what.decision_id, what.record(), stamp).await?.jws)
    }

    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, OperationError> {
        Ok(self.store.approval_request(id).await?)
    }

    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, OperationError> {
        Ok(self.store.approval_requests(after, limit).await?)
    }

    async fn answer_request(&self, id: &str, answer: GivenAnswer) -> Result<String, OperationError> {
        let (driver, stamp) = self.recording()?;
        Ok(driver.answer_request(Controlled::gate(self), id, answer, stamp).await?)
    }

    async fn end_request(&self, id: &str, state: RequestState) -> Result<(), OperationError> {
        let (driver, _) = self.recording()?;
        driver.end_request(id, state).await?;
        Ok(())
    }
}
