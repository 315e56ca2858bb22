//! The operations, wherever they can be done: by the running gateway, or on the store when none runs.

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;

use passgate_api::driver::Driver;
use passgate_api::http::approvals::{self, ApprovalDoc, ApprovalPage, ApprovalQuery, Approve, Deny};
use passgate_api::http::control::{self, Controlled};
use passgate_api::http::export;
use passgate_api::http::route::PluginKey;
use passgate_api::http::standing::{self, Change, Suspension};
use passgate_api::view;
use passgate_core::attest::{Stamp, Writer};
use passgate_passport::key::PublicKey;
use passgate_store::StoreError;
use serde_json::{Map, Value};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::client::{ClientError, ControlClient};
use super::operations::{Keys, OperationError, Operations};
use super::remote::{RemoteGate, RemoteGateError};
use crate::attestation_key::{KeyError, KeyFiles};
use crate::config::Loaded;
use crate::env::{Environment, RandomError};
use crate::gateway::ErrorClass;
use crate::status_lists::{self, InForce};
use crate::store::{self, Store, remedy};
use passgate_api::http::documents::{
    ExportFormat, Query, QueryPage, Reconciliation, Revocation, RevocationState, Rotated, Rotation,
};

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
    /// The store cannot be opened.
    #[error("{error}{remedy}", error = .0, remedy = remedy(.0))]
    Store(#[from] StoreError),
    /// It could not be done on the store.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// No secure randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The attestation key cannot be used.
    #[error("the attestation key: {0}")]
    Key(#[from] KeyError),
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
            Self::Operation(OperationError::Store(
                StoreError::PluginKey(_) | StoreError::Revoked(_) | StoreError::NotHeld(_) | StoreError::Answer(_),
            )) => ErrorClass::Unexpected,
            Self::NoStore { .. }
            | Self::Volatile
            | Self::Client(
                ClientError::NotRunning { .. } | ClientError::Unreachable { .. } | ClientError::Exchange(_),
            )
            | Self::Store(_)
            | Self::Operation(OperationError::Store(_)) => ErrorClass::Unreachable,
            Self::Client(ClientError::Refused { status, .. }) if *status >= 500 => ErrorClass::Unreachable,
            _ => ErrorClass::Unexpected,
        }
    }

    /// Whether it is that a revocation cannot be lifted.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        match self {
            Self::Operation(OperationError::Store(StoreError::Revoked(_))) => true,
            Self::Client(ClientError::Refused { status, code, .. }) => *status == 409 && code == control::REVOKED_CODE,
            _ => false,
        }
    }

    /// Whether it is that there is nothing to reconcile.
    #[must_use]
    pub fn is_not_held(&self) -> bool {
        match self {
            Self::Operation(OperationError::Store(StoreError::NotHeld(_))) => true,
            Self::Client(ClientError::Refused { status, code, .. }) => *status == 409 && code == control::NOT_HELD_CODE,
            _ => false,
        }
    }

    /// The code of the refusal to take in an answer to a request for approval, if it is one.
    #[must_use]
    pub fn refused_answer(&self) -> Option<&str> {
        match self {
            Self::Operation(OperationError::Store(StoreError::Answer(refused))) => Some(refused.code()),
            Self::Client(ClientError::Refused { status: 404 | 409, code, .. }) if !code.is_empty() => Some(code),
            _ => None,
        }
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
            Self::Offline(offline) => Ok(control::attestations(offline.gate.as_ref(), query).await?),
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
            Self::Offline(offline) => Ok(control::attestation(offline.gate.as_ref(), id).await?),
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
            Self::Offline(offline) => Ok(offline.gate.keys().into_iter().map(|entry| entry.key).collect()),
        }
    }

    /// Hands over to the key in the file of the next one (see [`KeyFiles`]), which is the one that is named. Safe to repeat.
    ///
    /// # Errors
    ///
    /// [`AccessError`]; the rotation may then have happened or not.
    pub async fn rotate_key(&self, rotation: &Rotation) -> Result<Rotated, AccessError> {
        match self {
            Self::Running(client) => Ok(client.rotate_key(rotation).await?),
            Self::Offline(offline) => Ok(offline.recording().await?.rotate_key(rotation).await?),
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
            Self::Offline(offline) => Ok(control::revoke(&offline.recording().await?, what).await?),
        }
    }

    /// Suspends or reinstates; when this returns, the next admission is refused or let in. Gives the record of it.
    ///
    /// # Errors
    ///
    /// [`AccessError`], [`AccessError::is_revoked`] when what is revoked is to be reinstated; else the change may be in force
    /// or not, and is safe to repeat.
    pub async fn change(
        &self,
        which: Suspension,
        what: &Revocation,
    ) -> Result<Change<Map<String, Value>>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.change(which, what).await?),
            Self::Offline(offline) => Ok(standing::change(&offline.recording().await?, which, what).await?),
        }
    }

    /// Says what became of a request whose outcome was not known. Gives the record of it.
    ///
    /// # Errors
    ///
    /// [`AccessError`], [`AccessError::is_not_held`] when there is nothing to say it of; else it may have happened or not.
    pub async fn reconcile(&self, what: &Reconciliation) -> Result<Map<String, Value>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.reconcile(what).await?),
            Self::Offline(offline) => Ok(control::reconcile(&offline.recording().await?, what).await?),
        }
    }

    /// One page of requests for approval.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn approvals(&self, query: &ApprovalQuery) -> Result<ApprovalPage, AccessError> {
        match self {
            Self::Running(client) => Ok(client.approvals(query).await?),
            Self::Offline(offline) => Ok(approvals::page(offline.gate.as_ref(), query).await?),
        }
    }

    /// The request for approval with this id, with what approvers are shown.
    ///
    /// # Errors
    ///
    /// [`AccessError`], [`AccessError::refused_answer`] when there is none.
    pub async fn approval(&self, id: &str) -> Result<ApprovalDoc, AccessError> {
        match self {
            Self::Running(client) => Ok(client.approval(id).await?),
            Self::Offline(offline) => Ok(approvals::one(offline.gate.as_ref(), id).await?),
        }
    }

    /// Gives an approval; when this returns, it counts. Gives the record of it.
    ///
    /// # Errors
    ///
    /// [`AccessError`], [`AccessError::refused_answer`] when it is not taken in; else it may count or not.
    pub async fn approve(&self, id: &str, given: &Approve) -> Result<Map<String, Value>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.approve(id, given).await?),
            Self::Offline(offline) => {
                recorded(&approvals::approve(&offline.recording().await?, id, given.clone()).await?)
            }
        }
    }

    /// Denies a request for approval. Gives the record of it.
    ///
    /// # Errors
    ///
    /// [`AccessError`], [`AccessError::refused_answer`] when it is not taken in; else it may be denied or not.
    pub async fn deny(&self, id: &str, given: &Deny) -> Result<Map<String, Value>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.deny(id, given).await?),
            Self::Offline(offline) => recorded(&approvals::deny(&offline.recording().await?, id, given.clone()).await?),
        }
    }

    /// Takes a request for approval back; when this returns, no approval of it is accepted. Gives the record of it.
    ///
    /// # Errors
    ///
    /// [`AccessError`]; it may then be in force or not, and is safe to repeat.
    pub async fn withdraw(&self, id: &str) -> Result<Map<String, Value>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.withdraw(id).await?),
            Self::Offline(offline) => recorded(&approvals::withdraw(&offline.recording().await?, id).await?),
        }
    }

    /// The value of a plugin's key, if it has one.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn plugin_key(&self, of: &PluginKey) -> Result<Option<Vec<u8>>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.plugin_key(of).await?),
            Self::Offline(offline) => Ok(offline.gate.plugin_key(of).await?),
        }
    }

    /// Gives a plugin's key this value, or deletes it without one; when this returns, the plugin reads it. Gives the
    /// record of it.
    ///
    /// # Errors
    ///
    /// [`AccessError`]; the change may then be in force or not, and is safe to repeat.
    pub async fn set_plugin_key(
        &self,
        of: &PluginKey,
        value: Option<Vec<u8>>,
    ) -> Result<Map<String, Value>, AccessError> {
        match self {
            Self::Running(client) => Ok(client.set_plugin_key(of, value).await?),
            Self::Offline(offline) => recorded(&offline.recording().await?.set_plugin_key(of, value).await?),
        }
    }

    /// Since when something is revoked or suspended.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn revocation(&self, of: &Revocation) -> Result<RevocationState, AccessError> {
        match self {
            Self::Running(client) => Ok(client.revocation(of).await?),
            Self::Offline(offline) => Ok(control::revocation(offline.gate.as_ref(), of).await?),
        }
    }
}

/// A record as signed, for people.
fn recorded(jws: &str) -> Result<Map<String, Value>, AccessError> {
    Ok(view::attestation(jws).map_err(OperationError::from)?)
}

/// The store of a gateway that does not run.
pub struct Offline {
    gate: Arc<Operations>,
    store: Arc<dyn Store>,
    env: Arc<dyn Environment>,
    keys: KeyFiles,
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
        let keys = KeyFiles::of(&loaded.paths.attestation_key);
        let store = store::open(&loaded.paths, env.as_ref()).await?;
        let history = store.key_history().await?;
        let heads = Writer::new(keys.signing(&history)?.key, String::new(), loaded.gate.record());
        let (gate, _) = status_lists::gate_at(loaded, env.now());
        let named = Keys::new(keys.clone(), history);
        let gate = Operations::reading(heads, Arc::clone(&store), Arc::clone(&env), gate, named);
        Ok(Self { gate: Arc::new(gate), store, env, keys })
    }

    async fn export(
        &self,
        format: ExportFormat,
        query: &Query,
        output: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<(), AccessError> {
        let filter = query.filter().map_err(OperationError::from)?;
        let gate = Arc::clone(&self.gate) as Arc<dyn Controlled>;
        let mut pieces = export::export(gate, format, filter);
        while let Some(piece) = poll_fn(|context| pieces.as_mut().poll_next(context)).await {
            output.write_all(&piece?).await.map_err(AccessError::Output)?;
        }
        output.flush().await.map_err(AccessError::Output)
    }

    /// The same store with a chain of its own, started for a record.
    async fn recording(&self) -> Result<Operations, AccessError> {
        let gate = self.gate.gate();
        let stamp: Stamp = self.env.stamp()?;
        let history = self.store.key_history().await?;
        let writer = Writer::new(self.keys.signing(&history)?.key, stamp.chain_uid(), gate.record());
        let state = Arc::<dyn Store>::clone(&self.store);
        let driver = Arc::new(Driver::start(state, writer, self.env.stamp()?).await?);
        let (store, env) = (Arc::clone(&self.store), Arc::clone(&self.env));
        let named = Keys::new(self.keys.clone(), history);
        Ok(Operations::running(driver, store, env, Arc::new(InForce::new(gate)), named))
    }
}
