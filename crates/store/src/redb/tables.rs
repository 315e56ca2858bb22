//! The tables of the file, format 1.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | 1 |
//! | `rows` | row key | expiry (Unix seconds) if any, bytes |
//! | `expiry` | expiry, row key | – |
//! | `chains` | chain uid | place in start order, records, SHA-256 of the last one |
//! | `chain_uids` | place in start order | chain uid |
//! | `records` | chain's place, `seq` | see [`encode_record`](crate::backend::encode_record) |
//! | `ids` | attestation id | chain's place, `seq` |

use std::ops::Bound;

use passgate_core::attest::Entry;
use passgate_core::state::Write;
use passgate_core::time::UnixMillis;
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, ReadableTable, Table, TableDefinition,
    TableHandle as _, WriteTransaction,
};

use super::MAX_SCANNED;
use super::file::engine_error;
use crate::backend::{self, Chain, Fault, Tables, decode_record, encode_record};
use crate::{Cursor, Filter, Page, StoreError, StoredRecord};

const FORMAT: u64 = 1;

type RowValue = (Option<i64>, &'static [u8]);
type ChainValue = (u64, u64, &'static [u8; 32]);

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const ROWS: TableDefinition<'_, &str, RowValue> = TableDefinition::new("rows");
const EXPIRY: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("expiry");
const CHAINS: TableDefinition<'_, &str, ChainValue> = TableDefinition::new("chains");
const CHAIN_UIDS: TableDefinition<'_, u64, &str> = TableDefinition::new("chain_uids");
const RECORDS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("records");
const IDS: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("ids");

/// Creates the tables of an empty database, and refuses one that is not a store or newer than this code.
pub(super) fn prepare(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(engine_error)?;
    let tables: Vec<String> =
        transaction.list_tables().map_err(engine_error)?.map(|table| table.name().to_owned()).collect();
    let is_empty = tables.is_empty();
    if !is_empty && !tables.iter().any(|name| name == META.name()) {
        return Err(StoreError::Corrupt("a database of another program".to_owned()));
    }
    {
        let mut meta = transaction.open_table(META).map_err(engine_error)?;
        let format = meta.get("format").map_err(engine_error)?.map(|value| value.value());
        match format {
            Some(FORMAT) => return Ok(()),
            Some(newer) if newer > FORMAT => {
                return Err(StoreError::Unavailable(format!(
                    "written by a newer release (format {newer}, this one reads {FORMAT}); use that release"
                )));
            }
            None if is_empty => drop(meta.insert("format", FORMAT).map_err(engine_error)?),
            _ => return Err(StoreError::Corrupt("the format number is missing".to_owned())),
        }
        Writable::open(&transaction)?;
    }
    transaction.commit().map_err(engine_error)
}

/// The tables within a write transaction.
pub(super) struct Writable<'t> {
    rows: Table<'t, &'static str, RowValue>,
    expiry: Table<'t, (i64, &'static str), ()>,
    chains: Table<'t, &'static str, ChainValue>,
    chain_uids: Table<'t, u64, &'static str>,
    records: Table<'t, (u64, u64), &'static [u8]>,
    ids: Table<'t, &'static str, (u64, u64)>,
    admissions: usize,
    latest: i64,
}

impl<'t> Writable<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            rows: transaction.open_table(ROWS).map_err(engine_error)?,
            expiry: transaction.open_table(EXPIRY).map_err(engine_error)?,
            chains: transaction.open_table(CHAINS).map_err(engine_error)?,
            chain_uids: transaction.open_table(CHAIN_UIDS).map_err(engine_error)?,
            records: transaction.open_table(RECORDS).map_err(engine_error)?,
            ids: transaction.open_table(IDS).map_err(engine_error)?,
            admissions: 0,
            latest: i64::MIN,
        })
    }

    /// Notes an admission, for [`Writable::sweep_along`].
    pub(super) fn admitted_at(&mut self, now: UnixMillis) {
        self.admissions += 1;
        self.latest = self.latest.max(now.seconds());
    }

    /// Sweeps as much as goes with the admissions of this transaction.
    pub(super) fn sweep_along(&mut self) -> Result<(), StoreError> {
        let (latest, admissions) = (self.latest, self.admissions);
        Ok(backend::sweep_along(self, latest, admissions)?)
    }
}

fn storage(error: redb::StorageError) -> Fault {
    Fault::Storage(engine_error(error))
}

fn chain_of((number, next_seq, head): (u64, u64, &[u8; 32])) -> Chain {
    Chain { number, next_seq, head: *head }
}

impl Tables for Writable<'_> {
    fn row(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.rows.get(key).map_err(storage)?.map(|row| row.value().1.to_vec()))
    }

    fn put_row(&mut self, write: Write) -> Result<(), Fault> {
        let Write { key, value, expires_at } = write;
        let old = self.rows.insert(key.as_str(), (expires_at, value.as_slice())).map_err(storage)?;
        let old_expiry = old.and_then(|row| row.value().0);
        if old_expiry == expires_at {
            return Ok(());
        }
        if let Some(old_expiry) = old_expiry {
            self.expiry.remove((old_expiry, key.as_str())).map_err(storage)?;
        }
        if let Some(expires_at) = expires_at {
            self.expiry.insert((expires_at, key.as_str()), ()).map_err(storage)?;
        }
        Ok(())
    }

    fn delete_row(&mut self, key: &str, expires_at: Option<i64>) -> Result<(), Fault> {
        self.rows.remove(key).map_err(storage)?;
        if let Some(expires_at) = expires_at {
            self.expiry.remove((expires_at, key)).map_err(storage)?;
        }
        Ok(())
    }

    fn rows_from(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        rows_from(&self.rows, prefix, after, limit).map_err(storage)
    }

    fn expired(&self, now: i64, limit: usize) -> Result<Vec<(i64, String)>, Fault> {
        let expired = self.expiry.range(..(now, "")).map_err(storage)?.take(limit);
        expired
            .map(|entry| {
                let (key, _) = entry.map_err(storage)?;
                let (expires_at, key) = key.value();
                Ok((expires_at, key.to_owned()))
            })
            .collect()
    }

    fn chain(&self, uid: &str) -> Result<Option<Chain>, Fault> {
        Ok(self.chains.get(uid).map_err(storage)?.map(|chain| chain_of(chain.value())))
    }

    fn last_chain(&self) -> Result<Option<(String, Chain)>, Fault> {
        let Some((_, uid)) = self.chain_uids.last().map_err(storage)? else { return Ok(None) };
        let uid = uid.value().to_owned();
        Ok(self.chain(&uid)?.map(|chain| (uid, chain)))
    }

    fn has_record(&self, attestation_id: &str) -> Result<bool, Fault> {
        Ok(self.ids.get(attestation_id).map_err(storage)?.is_some())
    }

    fn put_record(&mut self, entry: &Entry, end: Chain) -> Result<(), Fault> {
        let index = &entry.index;
        let uid = index.chain_uid.as_str();
        let position = (end.number, index.seq);
        if index.seq == 0 {
            self.chain_uids.insert(end.number, uid).map_err(storage)?;
        }
        self.chains.insert(uid, (end.number, end.next_seq, &end.head)).map_err(storage)?;
        self.ids.insert(index.attestation_id.as_str(), position).map_err(storage)?;
        self.records.insert(position, encode_record(index, &entry.jws).as_slice()).map_err(storage)?;
        Ok(())
    }
}

fn rows_from(
    rows: &impl ReadableTable<&'static str, RowValue>,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, Vec<u8>)>, redb::StorageError> {
    let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
    let mut found = Vec::new();
    for row in rows.range::<&str>((from, Bound::Unbounded))?.take(limit) {
        let (key, value) = row?;
        if !key.value().starts_with(prefix) {
            break;
        }
        found.push((key.value().to_owned(), value.value().1.to_vec()));
    }
    Ok(found)
}

/// A snapshot for reading.
pub(super) struct Reader {
    transaction: ReadTransaction,
}

impl Reader {
    pub(super) fn begin(database: &Database) -> Result<Self, StoreError> {
        Ok(Self { transaction: database.begin_read().map_err(engine_error)? })
    }

    pub(super) fn row(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.transaction.open_table(ROWS).map_err(engine_error)?;
        let row = rows.get(key).map_err(engine_error)?;
        Ok(row.map(|row| row.value().1.to_vec()))
    }

    pub(super) fn rows_from(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = self.transaction.open_table(ROWS).map_err(engine_error)?;
        rows_from(&rows, prefix, after, limit).map_err(engine_error)
    }

    pub(super) fn record(&self, attestation_id: &str) -> Result<Option<StoredRecord>, StoreError> {
        let ids = self.transaction.open_table(IDS).map_err(engine_error)?;
        let Some(position) = ids.get(attestation_id).map_err(engine_error)?.map(|position| position.value()) else {
            return Ok(None);
        };
        let records = self.transaction.open_table(RECORDS).map_err(engine_error)?;
        let stored = records.get(position).map_err(engine_error)?.ok_or_else(|| record_corrupt(position))?;
        Ok(Some(self.decode(position, stored.value(), &mut None)?))
    }

    /// Reads at most [`MAX_SCANNED`] records.
    pub(super) fn page(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let records: ReadOnlyTable<(u64, u64), &[u8]> = self.transaction.open_table(RECORDS).map_err(engine_error)?;
        let after = cursor.map_or(Bound::Unbounded, |cursor| Bound::Excluded((cursor.chain, cursor.seq)));
        let range = records.range::<(u64, u64)>((after, Bound::Unbounded)).map_err(engine_error)?;
        let mut page = Page { records: Vec::new(), next: cursor };
        let mut chain_uid = None;
        for (scanned, record) in range.enumerate() {
            if scanned >= MAX_SCANNED || page.records.len() >= limit.max(1) {
                return Ok(page);
            }
            let (position, stored) = record.map_err(engine_error)?;
            let position = position.value();
            page.next = Some(Cursor { chain: position.0, seq: position.1 });
            let record = self.decode(position, stored.value(), &mut chain_uid)?;
            if filter.matches(&record.index) {
                page.records.push(record);
            }
        }
        page.next = None;
        Ok(page)
    }

    /// Decodes the record at `position`; `chain_uid` keeps the uid of the chain read last.
    fn decode(
        &self,
        position: (u64, u64),
        stored: &[u8],
        chain_uid: &mut Option<(u64, String)>,
    ) -> Result<StoredRecord, StoreError> {
        let uid = match chain_uid {
            Some((number, uid)) if *number == position.0 => uid.clone(),
            _ => {
                let uids = self.transaction.open_table(CHAIN_UIDS).map_err(engine_error)?;
                let uid = uids.get(position.0).map_err(engine_error)?.map(|uid| uid.value().to_owned());
                let uid = uid.ok_or_else(|| record_corrupt(position))?;
                *chain_uid = Some((position.0, uid.clone()));
                uid
            }
        };
        decode_record(uid, position.1, stored).ok_or_else(|| record_corrupt(position))
    }
}

fn record_corrupt((chain, seq): (u64, u64)) -> StoreError {
    StoreError::Corrupt(format!("record {seq} of chain number {chain} cannot be read; restore the store from a backup"))
}
