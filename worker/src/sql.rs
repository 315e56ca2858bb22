//! The tables of one object's SQLite database, format 1, as a backend of `passgate_store`.
//!
//! | table | columns |
//! | --- | --- |
//! | `meta` | `key`, `value` (text): `format` is 1; the object's own settings |
//! | `rows` | `key`, `value`, `expires_at` (Unix seconds, or null) |
//! | `chains` | `uid`, `number` (place in start order), `next_seq`, `head` |
//! | `records` | `chain` (number), `seq`, `id`, `record` (as `passgate_store::backend::encode_record` has it) |

use passgate_core::attest::Entry;
use passgate_core::state::{self, Demand, LoadedRows, Write};
use passgate_passport::json::MAX_SAFE_INTEGER;
use passgate_store::backend::{Chain, Fault, Tables, decode_record, encode_record};
use passgate_store::{Cursor, Filter, Page, StoreError, StoredRecord};
use wasm_bindgen::prelude::*;
use worker::{SqlStorage, SqlStorageValue, Storage};

const FORMAT: &str = "1";
/// The most records read for one page of a query.
const MAX_SCANNED: usize = 2_000;
/// Records read from the database at once.
const SCAN_STEP: usize = 200;

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires_at INTEGER) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS rows_by_expiry ON rows (expires_at, key) WHERE expires_at IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS chains \
     (uid TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, next_seq INTEGER NOT NULL, head BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS records \
     (chain INTEGER NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, record BLOB NOT NULL, PRIMARY KEY (chain, seq))",
];

const RECORDS: &str = "SELECT records.chain, records.seq, chains.uid, records.record FROM records JOIN chains ON chains.number = records.chain";

#[wasm_bindgen]
extern "C" {
    type Transactional;

    /// Commits what `work` wrote when it returns, and takes it back when it throws.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &Transactional,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;
}

/// The database of one object.
#[derive(Debug)]
pub(crate) struct Database {
    storage: Storage,
    sql: SqlStorage,
}

impl Database {
    /// Opens the database, making the tables of a new object.
    pub(crate) fn open(storage: Storage) -> Result<Self, StoreError> {
        let database = Self { sql: storage.sql(), storage };
        database.transaction(|tables| {
            for statement in SCHEMA {
                tables.execute(statement, Vec::new())?;
            }
            match tables.meta("format")? {
                None => tables.set_meta("format", FORMAT),
                Some(format) if format == FORMAT => Ok(()),
                Some(format) => Err(Fault::Storage(StoreError::Unavailable(format!(
                    "the object was written by another release (format {format}, this one reads {FORMAT})"
                )))),
            }
        })?;
        Ok(database)
    }

    /// Runs `work` in one transaction: everything it wrote stays, or after an error nothing.
    pub(crate) fn transaction<T>(
        &self,
        work: impl FnOnce(&mut SqlTables<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let (mut work, mut result) = (Some(work), None);
        self.transact(&mut |tables| {
            if let Some(work) = work.take() {
                result = Some(work(tables)?);
            }
            Ok(())
        })?;
        result.ok_or_else(|| StoreError::Unavailable("the transaction did not run".to_owned()))
    }

    /// As [`Database::transaction`], compiled once.
    fn transact(&self, work: &mut dyn FnMut(&mut SqlTables<'_>) -> Result<(), Fault>) -> Result<(), StoreError> {
        let mut failed = None;
        let ended = self.storage.as_raw().unchecked_ref::<Transactional>().transaction_sync(&mut || {
            work(&mut SqlTables { sql: &self.sql }).map(|()| JsValue::UNDEFINED).map_err(|fault| {
                failed = Some(fault);
                JsValue::from_str("rolled back")
            })
        });
        match (ended, failed) {
            (_, Some(fault)) => Err(fault.into()),
            (Err(error), None) => Err(StoreError::Unavailable(describe(&error))),
            (Ok(_), None) => Ok(()),
        }
    }

    /// Reads outside a transaction: one event at a time runs in an object, and reads do not wait.
    pub(crate) fn read(&self) -> SqlTables<'_> {
        SqlTables { sql: &self.sql }
    }
}

/// The tables within a transaction.
#[derive(Debug)]
pub(crate) struct SqlTables<'d> {
    sql: &'d SqlStorage,
}

type Columns = Vec<SqlStorageValue>;

impl SqlTables<'_> {
    /// Runs one statement and gives its rows.
    pub(crate) fn execute(&self, statement: &str, values: Columns) -> Result<Vec<Columns>, Fault> {
        let cursor = self.sql.exec(statement, values).map_err(|error| unavailable(&error))?;
        cursor.raw().map(|row| row.map_err(|error| unavailable(&error))).collect()
    }

    fn first(&self, statement: &str, values: Columns) -> Result<Option<Columns>, Fault> {
        Ok(self.execute(statement, values)?.into_iter().next())
    }

    /// One of the object's own settings.
    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>, Fault> {
        let row = self.first("SELECT value FROM meta WHERE key = ?", vec![key.into()])?;
        row.map(|row| take(row).text()).transpose()
    }

    /// Sets one of the object's own settings.
    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<(), Fault> {
        self.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", vec![key.into(), value.into()])?;
        Ok(())
    }

    /// Removes one of the object's own settings.
    pub(crate) fn clear_meta(&self, key: &str) -> Result<(), Fault> {
        self.execute("DELETE FROM meta WHERE key = ?", vec![key.into()])?;
        Ok(())
    }

    pub(crate) fn record(&self, attestation_id: &str) -> Result<Option<StoredRecord>, Fault> {
        let statement = format!("{RECORDS} WHERE id = ?");
        let row = self.first(&statement, vec![attestation_id.into()])?;
        row.map(|row| stored(row).map(|(_, record)| record)).transpose()
    }

    /// Reads at most [`MAX_SCANNED`] records.
    pub(crate) fn page(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, Fault> {
        let mut page = Page { records: Vec::new(), next: cursor };
        let mut scanned = 0;
        while scanned < MAX_SCANNED {
            let rows = self.after(page.next)?;
            let is_last = rows.len() < SCAN_STEP;
            for row in rows {
                if page.records.len() >= limit.max(1) {
                    return Ok(page);
                }
                let (position, record) = stored(row)?;
                page.next = Some(position);
                scanned += 1;
                if filter.matches(&record.index) {
                    page.records.push(record);
                }
            }
            if is_last {
                page.next = None;
                break;
            }
        }
        Ok(page)
    }

    fn after(&self, cursor: Option<Cursor>) -> Result<Vec<Columns>, Fault> {
        let mut values: Columns = cursor.iter().flat_map(|at| [integer(at.chain), integer(at.seq)]).collect();
        let condition = if cursor.is_some() { "WHERE (chain, seq) > (?, ?)" } else { "" };
        values.push(integer(SCAN_STEP as u64));
        self.execute(&format!("{RECORDS} {condition} ORDER BY chain, seq LIMIT ?"), values)
    }

    fn chain_where(&self, condition: &str, values: Columns) -> Result<Option<(String, Chain)>, Fault> {
        let row = self.first(&format!("SELECT uid, number, next_seq, head FROM chains {condition}"), values)?;
        let Some(row) = row else { return Ok(None) };
        let mut columns = take(row);
        let (uid, number, next_seq) = (columns.text()?, columns.number()?, columns.number()?);
        let head = columns.blob()?.try_into().map_err(|_| corrupt(&format!("the head of chain {uid}")))?;
        Ok(Some((uid, Chain { number, next_seq, head })))
    }
}

impl Tables for SqlTables<'_> {
    fn row(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let row = self.first("SELECT value FROM rows WHERE key = ?", vec![key.into()])?;
        row.map(|row| take(row).blob()).transpose()
    }

    /// All rows with one statement: each costs a call out of the module.
    fn answer(&self, demand: &Demand) -> Result<state::Admitted, Fault> {
        let keys = demand.row_keys();
        let places = vec!["?"; keys.len()].join(",");
        let statement = format!("SELECT key, value FROM rows WHERE key IN ({places})");
        let mut rows = LoadedRows::new();
        for row in self.execute(&statement, keys.into_iter().map(Into::into).collect())? {
            let mut columns = take(row);
            rows.insert(columns.text()?, columns.blob()?);
        }
        Ok(state::admit(demand, &rows)?)
    }

    fn put_row(&mut self, write: Write) -> Result<(), Fault> {
        let Write { key, value, expires_at } = write;
        self.execute(
            "INSERT OR REPLACE INTO rows (key, value, expires_at) VALUES (?, ?, ?)",
            vec![key.into(), value.into(), expires_at.map(second).into()],
        )?;
        Ok(())
    }

    fn delete_row(&mut self, key: &str, _expires_at: Option<i64>) -> Result<(), Fault> {
        self.execute("DELETE FROM rows WHERE key = ?", vec![key.into()])?;
        Ok(())
    }

    fn rows_from(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        // A prefix ends with a colon; with the next character in its place it is what follows all that begin with it.
        let end = [prefix.strip_suffix(':').unwrap_or(prefix), ";"].concat();
        let rows = self.execute(
            "SELECT key, value FROM rows WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
            vec![prefix.into(), after.into(), end.into(), integer(limit as u64)],
        )?;
        let pair = |row| {
            let mut columns = take(row);
            Ok((columns.text()?, columns.blob()?))
        };
        rows.into_iter().map(pair).collect()
    }

    fn expired(&self, now: i64, limit: usize) -> Result<Vec<(i64, String)>, Fault> {
        let rows = self.execute(
            "SELECT expires_at, key FROM rows WHERE expires_at < ? ORDER BY expires_at, key LIMIT ?",
            vec![second(now), integer(limit as u64)],
        )?;
        let pair = |row| {
            let mut columns = take(row);
            Ok((columns.integer()?, columns.text()?))
        };
        rows.into_iter().map(pair).collect()
    }

    fn chain(&self, uid: &str) -> Result<Option<Chain>, Fault> {
        Ok(self.chain_where("WHERE uid = ?", vec![uid.into()])?.map(|(_, chain)| chain))
    }

    fn last_chain(&self) -> Result<Option<(String, Chain)>, Fault> {
        self.chain_where("ORDER BY number DESC LIMIT 1", Vec::new())
    }

    fn has_record(&self, attestation_id: &str) -> Result<bool, Fault> {
        Ok(self.first("SELECT 1 FROM records WHERE id = ?", vec![attestation_id.into()])?.is_some())
    }

    fn put_record(&mut self, entry: &Entry, end: Chain) -> Result<(), Fault> {
        let index = &entry.index;
        self.execute(
            "INSERT OR REPLACE INTO chains (uid, number, next_seq, head) VALUES (?, ?, ?, ?)",
            vec![index.chain_uid.as_str().into(), integer(end.number), integer(end.next_seq), end.head.to_vec().into()],
        )?;
        self.execute(
            "INSERT INTO records (chain, seq, id, record) VALUES (?, ?, ?, ?)",
            vec![
                integer(end.number),
                integer(index.seq),
                index.attestation_id.as_str().into(),
                encode_record(index, &entry.jws).into(),
            ],
        )?;
        Ok(())
    }
}

/// One of the rows that [`RECORDS`] selects.
fn stored(row: Columns) -> Result<(Cursor, StoredRecord), Fault> {
    let mut columns = take(row);
    let (chain, seq, uid) = (columns.number()?, columns.number()?, columns.text()?);
    let record = decode_record(uid, seq, &columns.blob()?)
        .ok_or_else(|| corrupt(&format!("record {seq} of chain number {chain}")))?;
    Ok((Cursor { chain, seq }, record))
}

/// The columns of one row, taken from left to right.
pub(crate) struct Taken(std::vec::IntoIter<SqlStorageValue>);

pub(crate) fn take(row: Columns) -> Taken {
    Taken(row.into_iter())
}

impl Taken {
    pub(crate) fn text(&mut self) -> Result<String, Fault> {
        match self.0.next() {
            Some(SqlStorageValue::String(text)) => Ok(text),
            _ => Err(corrupt("a column that holds text")),
        }
    }

    pub(crate) fn integer(&mut self) -> Result<i64, Fault> {
        match self.0.next() {
            Some(SqlStorageValue::Integer(number)) => Ok(number),
            _ => Err(corrupt("a column that holds an integer")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, Fault> {
        u64::try_from(self.integer()?).map_err(|_| corrupt("a column that holds a count"))
    }

    pub(crate) fn blob(&mut self) -> Result<Vec<u8>, Fault> {
        match self.0.next() {
            Some(SqlStorageValue::Blob(bytes)) => Ok(bytes),
            _ => Err(corrupt("a column that holds bytes")),
        }
    }
}

/// Positions and counts stay far below 2^53, the largest integer that JavaScript can carry.
pub(crate) fn integer(value: u64) -> SqlStorageValue {
    SqlStorageValue::Integer(value.cast_signed())
}

/// A Unix second, no later than the largest integer that JavaScript can carry: some 285 million years.
pub(crate) fn second(value: i64) -> SqlStorageValue {
    SqlStorageValue::Integer(value.min(MAX_SAFE_INTEGER.cast_signed()))
}

fn corrupt(what: &str) -> Fault {
    Fault::Storage(StoreError::Corrupt(format!("{what} cannot be read in the object's database")))
}

fn unavailable(error: &worker::Error) -> Fault {
    Fault::Storage(StoreError::Unavailable(error.to_string()))
}

/// The message of an exception, or what was thrown instead of one.
pub(crate) fn describe(error: &JsValue) -> String {
    let message = js_sys::Reflect::get(error, &JsValue::from_str("message")).ok().and_then(|text| text.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| {
        let kind = error.js_typeof().as_string().unwrap_or_default();
        format!("a value without a message, of type {kind}")
    })
}
