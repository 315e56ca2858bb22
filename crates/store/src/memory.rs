//! The store in memory: for tests, demonstrations and browsers.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use passgate_core::approval::{ApprovalRequest, Asked};
use passgate_core::attest::Entry;
use passgate_core::state::{
    self, Admission, Demand, KeyHistory, KeyRotation, RowMap, Standing, Subject, Write, restart_fences,
};

use crate::backend::{self, Chain, Fault, Tables};
use crate::{
    Admitted, ChangeRequest, Changed, Cursor, Durability, Filter, Ledger, Page, SealDecision, SealOutcome, SealRecord,
    SealStart, Settlement, State, StoreError, StoredRecord,
};

/// State and ledger of one process, lost when it ends. One lock makes every verb one transaction.
#[derive(Debug)]
pub struct MemoryStore {
    data: Mutex<Data>,
}

impl MemoryStore {
    /// An empty store that starts at Unix second `now`: proofs made up to then are refused, because an earlier process
    /// may have accepted them.
    pub fn new(now: i64) -> Self {
        let mut data = Data::default();
        restart_fences(now).into_iter().for_each(|fence| data.set_row(fence));
        Self { data: Mutex::new(data) }
    }

    /// A thread that panicked while it held the lock changed nothing half: verbs write last, and writing maps does not
    /// panic. So the lock stays usable.
    fn lock(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl State for MemoryStore {
    async fn start_chain(&self, chain_uid: &str, mut seal: SealStart) -> Result<Entry, StoreError> {
        Ok(backend::start_chain(&mut *self.lock(), chain_uid, &mut seal)?)
    }

    async fn admit(&self, chain_uid: &str, demand: Demand, mut seal: SealDecision) -> Result<Admitted, StoreError> {
        let mut data = self.lock();
        let admitted = backend::admit(&mut *data, chain_uid, &demand, &mut seal)?;
        backend::sweep_along(&mut *data, demand.now.seconds(), 1)?;
        Ok(admitted)
    }

    async fn look(&self, demand: &Demand) -> Result<Admission, StoreError> {
        Ok(backend::look(&*self.lock(), demand)?)
    }

    async fn append(&self, chain_uid: &str, mut seal: SealRecord) -> Result<Entry, StoreError> {
        Ok(backend::append(&mut *self.lock(), chain_uid, &mut seal)?)
    }

    async fn settle(
        &self,
        chain_uid: &str,
        decision_id: &str,
        how: Settlement,
        mut seal: SealOutcome,
    ) -> Result<Entry, StoreError> {
        Ok(backend::settle(&mut *self.lock(), chain_uid, decision_id, how, &mut seal)?)
    }

    async fn revoke(
        &self,
        chain_uid: &str,
        subject: Subject,
        at: i64,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        Ok(backend::revoke(&mut *self.lock(), chain_uid, &subject, at, &mut seal)?)
    }

    async fn suspend(
        &self,
        chain_uid: &str,
        subject: Subject,
        at: i64,
        mut seal: SealRecord,
    ) -> Result<Changed, StoreError> {
        Ok(backend::suspend(&mut *self.lock(), chain_uid, &subject, at, &mut seal)?)
    }

    async fn reinstate(&self, chain_uid: &str, subject: Subject, mut seal: SealRecord) -> Result<Changed, StoreError> {
        Ok(backend::reinstate(&mut *self.lock(), chain_uid, &subject, &mut seal)?)
    }

    async fn standing(&self, subject: &Subject) -> Result<Standing, StoreError> {
        Ok(backend::standing(&*self.lock(), subject)?)
    }

    async fn set_plugin_key(
        &self,
        chain_uid: &str,
        plugin: &str,
        key: &str,
        value: Option<Vec<u8>>,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        Ok(backend::set_plugin_key(&mut *self.lock(), chain_uid, plugin, key, value.as_deref(), &mut seal)?)
    }

    async fn plugin_key(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(backend::plugin_key(&*self.lock(), plugin, key)?)
    }

    async fn rotate_key(
        &self,
        chain_uid: &str,
        rotation: KeyRotation,
        mut seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        Ok(backend::rotate_key(&mut *self.lock(), chain_uid, &rotation, &mut seal)?)
    }

    async fn key_history(&self) -> Result<KeyHistory, StoreError> {
        Ok(backend::key_history(&*self.lock())?)
    }

    async fn ask(&self, request: ApprovalRequest) -> Result<Asked, StoreError> {
        Ok(backend::ask(&mut *self.lock(), &request)?)
    }

    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, StoreError> {
        Ok(backend::approval_request(&*self.lock(), id)?)
    }

    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, StoreError> {
        Ok(backend::approval_requests(&*self.lock(), after, limit)?)
    }

    async fn change_request(
        &self,
        chain_uid: &str,
        id: &str,
        mut change: ChangeRequest,
    ) -> Result<(ApprovalRequest, Option<Entry>), StoreError> {
        Ok(backend::change_request(&mut *self.lock(), chain_uid, id, &mut change)?)
    }

    async fn sweep(&self, now: i64, limit: usize) -> Result<usize, StoreError> {
        Ok(backend::sweep(&mut *self.lock(), now, limit)?)
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Ledger for MemoryStore {
    async fn records(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let data = self.lock();
        let after = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Page { records: Vec::new(), next: cursor };
        for (position, record) in data.records.range((after, Bound::Unbounded)) {
            if page.records.len() >= limit.max(1) {
                return Ok(page);
            }
            page.next = Some(*position);
            if filter.matches(&record.index) {
                page.records.push(record.clone());
            }
        }
        page.next = None;
        Ok(page)
    }

    async fn record(&self, attestation_id: &str) -> Result<Option<StoredRecord>, StoreError> {
        let data = self.lock();
        Ok(data.ids.get(attestation_id).and_then(|position| data.records.get(position)).cloned())
    }
}

#[derive(Debug, Default)]
struct Data {
    rows: BTreeMap<String, Row>,
    /// Keys of the rows that expire, by when and by the order in which they were put.
    expiry: BTreeMap<(i64, u64), String>,
    puts: u64,
    chains: BTreeMap<String, Chain>,
    last_chain: Option<String>,
    records: BTreeMap<Cursor, StoredRecord>,
    ids: HashMap<String, Cursor>,
}

#[derive(Debug)]
struct Row {
    value: Vec<u8>,
    /// Its place in `Data::expiry`.
    expiry: Option<(i64, u64)>,
}

impl Data {
    fn set_row(&mut self, write: Write) {
        let Write { key, value, expires_at } = write;
        let entry = match self.rows.entry(key) {
            Slot::Occupied(mut row) if row.get().expiry.map(|(at, _)| at) == expires_at => {
                row.get_mut().value = value;
                return;
            }
            entry => entry,
        };
        self.puts += 1;
        let expiry = expires_at.map(|at| (at, self.puts));
        if let Some(expiry) = expiry {
            self.expiry.insert(expiry, entry.key().clone());
        }
        let row = Row { value, expiry };
        match entry {
            Slot::Occupied(mut old) => {
                if let Some(expiry) = old.insert(row).expiry {
                    self.expiry.remove(&expiry);
                }
            }
            Slot::Vacant(vacant) => {
                vacant.insert(row);
            }
        }
    }
}

impl RowMap for Data {
    fn row(&self, key: &str) -> Option<&[u8]> {
        self.rows.get(key).map(|row| row.value.as_slice())
    }
}

impl Tables for Data {
    fn row(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(RowMap::row(self, key).map(<[u8]>::to_vec))
    }

    fn answer(&self, demand: &Demand) -> Result<state::Admitted, Fault> {
        Ok(state::admit(demand, self)?)
    }

    fn put_row(&mut self, write: Write) -> Result<(), Fault> {
        self.set_row(write);
        Ok(())
    }

    fn delete_row(&mut self, key: &str, _expires_at: Option<i64>) -> Result<(), Fault> {
        let row = self.rows.remove(key);
        if let Some(expiry) = row.and_then(|row| row.expiry) {
            self.expiry.remove(&expiry);
        }
        Ok(())
    }

    fn rows_from(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let rows = self.rows.range::<str, _>((from, Bound::Unbounded));
        let rows = rows.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(rows.map(|(key, row)| (key.clone(), row.value.clone())).collect())
    }

    fn expired(&self, now: i64, limit: usize) -> Result<Vec<(i64, String)>, Fault> {
        let expired = self.expiry.range(..(now, 0)).take(limit);
        Ok(expired.map(|((expires_at, _), key)| (*expires_at, key.clone())).collect())
    }

    fn chain(&self, uid: &str) -> Result<Option<Chain>, Fault> {
        Ok(self.chains.get(uid).copied())
    }

    fn last_chain(&self) -> Result<Option<(String, Chain)>, Fault> {
        let last = self.last_chain.as_ref();
        Ok(last.and_then(|uid| self.chains.get(uid).map(|chain| (uid.clone(), *chain))))
    }

    fn has_record(&self, attestation_id: &str) -> Result<bool, Fault> {
        Ok(self.ids.contains_key(attestation_id))
    }

    fn put_record(&mut self, entry: &Entry, end: Chain) -> Result<(), Fault> {
        let uid = &entry.index.chain_uid;
        let position = Cursor { chain: end.number, seq: entry.index.seq };
        if self.chains.insert(uid.clone(), end).is_none() {
            self.last_chain = Some(uid.clone());
        }
        self.ids.insert(entry.index.attestation_id.clone(), position);
        self.records.insert(position, StoredRecord { jws: entry.jws.clone(), index: entry.index.clone() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_denied_without_a_record() {
        let mut data = Data::default();
        let subject = Subject::Passport("pass_1".to_owned());
        for at in [20, 10, 30] {
            backend::deny(&mut data, &subject, at).unwrap();
            assert_eq!(backend::standing(&data, &subject).unwrap().revoked_at, Some(20), "the first time stays");
        }
        data.set_row(Write { value: b"?".to_vec(), ..state::revocation_write(&subject, 0) });
        assert!(matches!(backend::deny(&mut data, &subject, 1), Err(Fault::Request(StoreError::Corrupt(_)))));
    }

    #[test]
    fn a_suspension_elsewhere_is_followed_without_a_record() {
        let mut data = Data::default();
        let subject = Subject::Issuer("issuer".to_owned());
        backend::deny(&mut data, &subject, 5).unwrap();
        for suspended_at in [Some(20), Some(10), None, None, Some(30)] {
            backend::follow(&mut data, &subject, suspended_at).unwrap();
            assert_eq!(backend::standing(&data, &subject).unwrap(), Standing { revoked_at: Some(5), suspended_at });
        }
    }
}
