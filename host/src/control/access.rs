//! The operations, wherever they can be done: by the running gateway, or on the store when none runs.

use std::path::PathBuf;
use std::sync::Arc;

use passgate_api::driver::Driver;
use passgate_core::attest::{GateRecord, Stamp, Writer};
use passgate_passport::key::PublicKey;
use passgate_store::StoreError;
use serde_json::{Map, Value};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::client::{ClientError, ControlClient};
use super::export::Export;
use super::operations::{self, OperationError, Operations};
use super::remote::{RemoteGate, RemoteGateError};
use crate::config::Loaded;
use crate::env::{Environment, RandomError};
use crate::files::{self, FileError};
use crate::gateway::ErrorClass;
use crate::store::{self, Store};
use passgate_api::http::documents::{ExportFormat, Query, QueryPage, Revocation, RevocationState};

/// An operation that could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// There is no store yet.
    #[error("no gateway runs, and there is no store at {}", path.display())]
    NoStore {
        /// Where it would be.
        path: PathBuf,
    },
    /// The store is in the memory of a gateway, and none runs.
    #[error("no gateway runs, and its store is in memory: there is nothing to look at")]
    Volatile,
    /// The running gateway did not do it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It could not be done on the store.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The attestation key cannot be used.
    #[error("the attestation key: {0}")]
    Key(#[from] FileError),
    /// What was read could not be written.
    #[error("the export could not be written: {0}")]
    Output(std::io::Error),
}

impl AccessError {
    /// Whose fault it is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Key(_) => ErrorClass::Configuration,
            Self::NoStore { .. }
            | Self::Volatile
            | Self::Client(
                ClientError::NotRunning { .. } | ClientError::Unreachable { .. } | ClientError::Exchange(_),
            )
            | Self::Operation(OperationError::Store(_)) => ErrorClass::Unreachable,
            Self::Client(ClientError::Refused { status, .. }) if *status >= 500 => ErrorClass::Unreachable,
            _ => ErrorClass::Unexpected,
        }
    }
}

impl From<StoreError> for AccessError {
    fn from(error: StoreError) -> Self {
        Self::Operation(error.into())
    }
}

impl From<RandomError> for AccessError {
    fn from(error: RandomError) -> Self {
        Self::Operation(error.into())
    }
}

/// The running gateway, or its store.
pub enum Access {
    /// A gateway runs, here or elsewhere.
    Running(ControlClient),
    /// None runs.
    Offline(Box<Offline>),
}

impl Access {
    /// The running gateway of this configuration; without one, its store.
    ///
    /// # Errors
    ///
    /// [`AccessError`]; among them [`StoreError::InUse`] when another program has the store open.
    pub async fn open(loaded: &Loaded, env: Arc<dyn Environment>) -> Result<Self, AccessError> {
        match ControlClient::connect(&loaded.paths.socket).await {
            Ok(client) => Ok(Self::Running(client)),
            Err(_) => Ok(Self::Offline(Box::new(Offline::open(loaded, env).await?))),
        }
    }

    /// A gate that runs elsewhere. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`RemoteGateError`].
    pub fn remote(gate: RemoteGate) -> Result<Self, RemoteGateError> {
        Ok(Self::Running(ControlClient::remote(gate)?))
    }

    /// As [`Access::open`], and makes the store when the gate was never served, so that what is revoked before the
    /// first start is revoked from the first start on.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn open_or_create(loaded: &Loaded, env: Arc<dyn Environment>) -> Result<Self, AccessError> {
        match Self::open(loaded, Arc::clone(&env)).await {
            Err(AccessError::NoStore { .. }) => Ok(Self::Offline(Box::new(Offline::create(loaded, env).await?))),
            opened => opened,
        }
    }

    /// One page of attestations.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn query(&self, query: &Query) -> Result<QueryPage, AccessError> {
        match self {
            Self::Running(client) => Ok(client.query(query).await?),
            Self::Offline(offline) => Ok(offline.operations.query(query).await?),
        }
    }

    /// The attestation with this id.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn attestation(&self, id: &str) -> Result<Option<Map<String, Value>>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.attestation(id).await?),
            Self::Offline(offline) => Ok(offline.operations.attestation(id).await?),
        }
    }

    /// Writes an export of everything that `query` matches; its `limit` and `cursor` are not looked at.
    ///
    /// # Errors
    ///
    /// [`AccessError`]; what was written by then is not a whole export.
    pub async fn export(
        &self,
        format: ExportFormat,
        query: &Query,
        output: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<(), AccessError> {
        match self {
            Self::Running(client) => Ok(client.export(format, query, output).await?),
            Self::Offline(offline) => offline.export(format, query, output).await,
        }
    }

    /// The keys that attestations verify with.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn keys(&self) -> Result<Vec<PublicKey>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.keys().await?),
            Self::Offline(offline) => Ok(vec![offline.operations.key().clone()]),
        }
    }

    /// Revokes; when this returns, the next admission is refused. Gives the record of it.
    ///
    /// # Errors
    ///
    /// [`AccessError`]; the revocation may then be in force or not, and is safe to repeat.
    pub async fn revoke(&self, what: &Revocation) -> Result<Map<String, Value>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.revoke(what).await?),
            Self::Offline(offline) => offline.revoke(what).await,
        }
    }

    /// Since when something is revoked.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn revocation(&self, of: &Revocation) -> Result<RevocationState, AccessError> {
        match self {
            Self::Running(client) => Ok(client.revocation(of).await?),
            Self::Offline(offline) => Ok(offline.operations.revocation(of).await?),
        }
    }
}

/// The store of a gateway that does not run.
pub struct Offline {
    operations: Arc<Operations>,
    store: Arc<dyn Store>,
    env: Arc<dyn Environment>,
    gate: GateRecord,
    key_file: PathBuf,
}

impl Offline {
    /// Opens the store. It is not made when it is not there.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn open(loaded: &Loaded, env: Arc<dyn Environment>) -> Result<Self, AccessError> {
        let path = loaded.paths.store.as_ref().ok_or(AccessError::Volatile)?;
        if !path.exists() {
            return Err(AccessError::NoStore { path: path.clone() });
        }
        Self::create(loaded, env).await
    }

    async fn create(loaded: &Loaded, env: Arc<dyn Environment>) -> Result<Self, AccessError> {
        let gate = GateRecord { gate_id: loaded.gate.id.clone(), level: loaded.gate.level.as_str().to_owned() };
        let key_file = loaded.paths.attestation_key.clone();
        let store = store::open(&loaded.paths, env.as_ref()).await?;
        let heads = Writer::new(files::read_key(&key_file)?, String::new(), gate.clone());
        let operations = Operations::reading(heads, Arc::clone(&store), Arc::clone(&env), gate.gate_id.clone());
        Ok(Self { operations: Arc::new(operations), store, env, gate, key_file })
    }

    async fn export(
        &self,
        format: ExportFormat,
        query: &Query,
        output: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<(), AccessError> {
        let filter = query.filter().map_err(OperationError::from)?;
        let mut export = Export::start(Arc::clone(&self.operations), format, filter);
        while let Some(piece) = export.next().await {
            output.write_all(&piece?).await.map_err(AccessError::Output)?;
        }
        output.flush().await.map_err(AccessError::Output)
    }

    /// Starts a chain of its own for the record.
    async fn revoke(&self, what: &Revocation) -> Result<Map<String, Value>, AccessError> {
        let stamp: Stamp = self.env.stamp()?;
        let writer = Writer::new(files::read_key(&self.key_file)?, stamp.chain_uid(), self.gate.clone());
        let state = Arc::<dyn Store>::clone(&self.store);
        let driver = Driver::start(state, writer, self.env.stamp()?).await?;
        Ok(operations::revoke(&driver, self.env.as_ref(), what).await?)
    }
}
