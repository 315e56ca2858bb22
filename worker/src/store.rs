//! State and ledger of one object: each verb is one transaction of its database.

use std::rc::Rc;

use async_trait::async_trait;
use passgate_core::approval::{ApprovalRequest, Asked};
use passgate_core::attest::Entry;
use passgate_core::state::{Admission, Demand, KeyHistory, KeyRotation, Standing, Subject};
use passgate_store::backend::{self, Fault};
use passgate_store::{
    Admitted, ChangeRequest, Changed, Cursor, Durability, Filter, Ledger, Page, SealDecision, SealOutcome, SealRecord,
    SealStart, Settlement, State, StoreError, StoredRecord,
};

use crate::sql::{Database, SqlTables};

/// The store over an object's database. The runtime gives an answer to nobody before what it tells of is on disk.
#[derive(Debug, Clone)]
pub(crate) struct ObjectStore {
    database: Rc<Database>,
}

impl ObjectStore {
    pub(crate) fn new(database: Rc<Database>) -> Self {
        Self { database }
    }

    fn write<T>(&self, work: impl FnOnce(&mut SqlTables<'_>) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.database.transaction(work)
    }
}

#[async_trait(?Send)]
impl State for ObjectStore {
    async fn start_chain(&self, chain_uid: &str, mut seal: SealStart) -> Result<Entry, StoreError> {
        self.write(|tables| backend::start_chain(tables, chain_uid, &mut seal))
    }

    async fn admit(&self, chain_uid: &str, demand: Demand, mut seal: SealDecision) -> Result<Admitted, StoreError> {
        self.write(|tables| {
            let admitted = backend::admit(tables, chain_uid, &demand, &mut seal)?;
            backend::sweep_along(tables, demand.now.seconds(), 1)?;
            Ok(admitted)
        })
    }

    async fn settle(
        &self,
        chain_uid: &str,
        decision_id: &str,
        how: Settlement,
        mut seal: SealOutcome,
    ) -> Result<Entry, StoreError> {
        self.write(|tables| backend::settle(tables, chain_uid, decision_id, how, &mut seal))
    }

    async fn look(&self, demand: &Demand) -> Result<Admission, StoreError> {
        Ok(backend::look(&self.database.read(), demand)?)
    }

    async fn append(&self, chain_uid: &str, mut seal: SealRecord) -> Result<Entry, StoreError> {
        self.write(|tables| backend::append(tables, chain_uid, &mut seal))
    }

    async fn revoke(
        &self,
        chain_uid: &str,
        subject: Subject,
        at: i64,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        self.write(|tables| backend::revoke(tables, chain_uid, &subject, at, &mut seal))
    }

    async fn suspend(
        &self,
        chain_uid: &str,
        subject: Subject,
        at: i64,
        mut seal: SealRecord,
    ) -> Result<Changed, StoreError> {
        self.write(|tables| backend::suspend(tables, chain_uid, &subject, at, &mut seal))
    }

    async fn reinstate(&self, chain_uid: &str, subject: Subject, mut seal: SealRecord) -> Result<Changed, StoreError> {
        self.write(|tables| backend::reinstate(tables, chain_uid, &subject, &mut seal))
    }

    async fn standing(&self, subject: &Subject) -> Result<Standing, StoreError> {
        Ok(backend::standing(&self.database.read(), subject)?)
    }

    async fn set_plugin_key(
        &self,
        chain_uid: &str,
        plugin: &str,
        key: &str,
        value: Option<Vec<u8>>,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        self.write(|tables| backend::set_plugin_key(tables, chain_uid, plugin, key, value.as_deref(), &mut seal))
    }

    async fn plugin_key(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(backend::plugin_key(&self.database.read(), plugin, key)?)
    }

    async fn rotate_key(
        &self,
        chain_uid: &str,
        rotation: KeyRotation,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        self.write(|tables| backend::rotate_key(tables, chain_uid, &rotation, &mut seal))
    }

    async fn key_history(&self) -> Result<KeyHistory, StoreError> {
        Ok(backend::key_history(&self.database.read())?)
    }

    async fn ask(&self, request: ApprovalRequest) -> Result<Asked, StoreError> {
        self.write(|tables| backend::ask(tables, &request))
    }

    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, StoreError> {
        Ok(backend::approval_request(&self.database.read(), id)?)
    }

    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, StoreError> {
        Ok(backend::approval_requests(&self.database.read(), after, limit)?)
    }

    async fn change_request(
        &self,
        chain_uid: &str,
        id: &str,
        mut change: ChangeRequest,
    ) -> Result<(ApprovalRequest, Option<Entry>), StoreError> {
        self.write(|tables| backend::change_request(tables, chain_uid, id, &mut change))
    }

    async fn sweep(&self, now: i64, limit: usize) -> Result<usize, StoreError> {
        self.write(|tables| backend::sweep(tables, now, limit))
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }
}

#[async_trait(?Send)]
impl Ledger for ObjectStore {
    async fn records(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        Ok(self.database.read().page(filter, cursor, limit)?)
    }

    async fn record(&self, attestation_id: &str) -> Result<Option<StoredRecord>, StoreError> {
        Ok(self.database.read().record(attestation_id)?)
    }
}
