//! What both classes of objects have: a database, a store over it, and the chain they write.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use passgate_api::driver::{Answer, Driver};
use passgate_api::edge::Current;
use passgate_core::attest::{GapRecord, GateRecord, PreviousChain, RotationScope, Stamp, Writer};
use passgate_core::time::UnixMillis;
use passgate_passport::json as strict;
use passgate_passport::key::SecretKey;
use passgate_store::backend::Tables as _;
use passgate_store::{Ledger as _, State as _, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Headers, Request, Response, State};

use crate::messages::{CURRENT_FIELD, GATE_FIELD, Record, RecordPage, Records, STAMP_FIELD, gate_from, gate_text};
use crate::sql::Database;
use crate::store::ObjectStore;
use crate::{clock, settings, testing};

/// How long refusals are counted in memory before the count is recorded. Idle objects are evicted sooner than a minute.
const FLUSH_AFTER_MS: i64 = 5_000;
/// What a gap record says may be missing.
const COUNTS: &str = "refusal_counts";
/// Setting: the gate whose chain was last started.
const META_GATE: &str = "gate";
/// Setting: the chain that the first chain here names as the one before, as JSON.
pub(crate) const META_ANCHOR: &str = "anchor";
/// Setting: since when refusals are counted in memory.
const META_COUNTING: &str = "counting_since";

/// The status of an answer to a reinstatement of what is revoked.
pub(crate) const REVOKED: u16 = 409;

/// The status of an answer to a reconciliation where nothing is held.
pub(crate) const NOT_HELD: u16 = 410;
/// The status of an answer to a change of a request for approval that is not what it was.
pub(crate) const CHANGED: u16 = 412;

/// Why a message was not carried out. Nothing was changed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The status of the answer.
    pub(crate) status: u16,
    /// For the caller's log.
    pub(crate) why: String,
}

impl Failure {
    pub(crate) fn new(status: u16, why: impl ToString) -> Self {
        Self { status, why: why.to_string() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Corrupt(_) => 500,
            StoreError::Revoked(_) => REVOKED,
            StoreError::NotHeld(_) => NOT_HELD,
            StoreError::Answer(_) => CHANGED,
            _ => 503,
        };
        Self::new(status, error)
    }
}

/// The database and the chain of one object.
pub(crate) struct Chain {
    state: State,
    pub(crate) env: Env,
    pub(crate) database: Rc<Database>,
    pub(crate) store: ObjectStore,
    driver: RefCell<Option<Rc<Driver>>>,
    /// How often what was counted in memory was recorded.
    flushes: Cell<u64>,
    /// The value of `flushes` for which [`META_COUNTING`] and the alarm are set.
    minded: Cell<Option<u64>>,
}

impl Chain {
    pub(crate) fn open(state: State, env: Env) -> Result<Self, StoreError> {
        let database = Rc::new(Database::open(state.storage())?);
        let store = ObjectStore::new(Rc::clone(&database));
        let (flushes, minded) = (Cell::default(), Cell::default());
        Ok(Self { state, env, database, store, driver: RefCell::default(), flushes, minded })
    }

    /// The driver of the chain that is open, if one is.
    pub(crate) fn open_driver(&self) -> Option<Rc<Driver>> {
        self.driver.borrow().clone()
    }

    /// The driver of this object's chain for `gate`.
    ///
    /// The first call after the object was made or evicted goes on with the chain it finds, and says so in it. A gate
    /// that changed its level gets a chain of its own, because every record names the gate.
    ///
    /// Nothing in here waits, so no other event comes between.
    pub(crate) async fn driver(&self, gate: &GateRecord) -> Result<Rc<Driver>, Failure> {
        let current = self.driver.borrow().clone();
        if let Some(driver) = current.as_ref().filter(|driver| driver.gate() == gate) {
            return Ok(Rc::clone(driver));
        }
        if let Some(replaced) = &current {
            // What it counted is in its memory alone.
            self.flush_counts(replaced).await?;
        }
        let (key, next) = self.keys().await?;
        let driver = Rc::new(match self.chain_to_resume(gate, current.is_none())? {
            Some(chain_uid) => self.resume(chain_uid, key, gate).await?,
            None => self.start(key, gate).await?,
        });
        if let Some(next) = next {
            driver.rotate(next, RotationScope::Chain, stamp()?).await?;
        }
        if current.is_none() {
            self.record_loss(&driver).await?;
        }
        *self.driver.borrow_mut() = Some(Rc::clone(&driver));
        Ok(driver)
    }

    fn anchor(&self) -> Result<Option<PreviousChain>, Failure> {
        let text = self.database.read().meta(META_ANCHOR).map_err(StoreError::from)?;
        text.map(|text| strict::read_back(text.as_bytes())).transpose().map_err(|error| Failure::new(500, error))
    }

    fn chain_to_resume(&self, gate: &GateRecord, is_first: bool) -> Result<Option<String>, Failure> {
        let tables = self.database.read();
        let known = tables.meta(META_GATE).map_err(StoreError::from)?;
        if !is_first || known.as_deref() != Some(gate_text(gate).as_str()) {
            return Ok(None);
        }
        Ok(tables.last_chain().map_err(StoreError::from)?.map(|(uid, _)| uid))
    }

    async fn start(&self, key: SecretKey, gate: &GateRecord) -> Result<Driver, Failure> {
        let stamp = testing::start_stamp().map_or_else(clock::stamp, Ok).map_err(|error| Failure::new(503, error))?;
        let writer = Writer::new(key, stamp.chain_uid(), gate.clone());
        let anchor = self.anchor()?;
        let driver = Driver::start_after(self.shared_store(), writer, anchor, stamp).await?;
        self.database.transaction(|tables| tables.set_meta(META_GATE, &gate_text(gate)))?;
        Ok(driver)
    }

    async fn resume(&self, chain_uid: String, key: SecretKey, gate: &GateRecord) -> Result<Driver, Failure> {
        let writer = Writer::new(key, chain_uid, gate.clone());
        Ok(Driver::resume(self.shared_store(), writer, stamp()?).await?)
    }

    /// Records that what was counted before this object was made or evicted is lost, if something was.
    async fn record_loss(&self, driver: &Driver) -> Result<(), Failure> {
        let counting_since = self.database.read().meta(META_COUNTING).map_err(StoreError::from)?;
        let Some(from) = counting_since else { return Ok(()) };
        let gap = GapRecord { from, to: clock::now().rfc3339(), lost: vec![COUNTS.to_owned()] };
        driver.gap(gap, stamp()?).await?;
        Ok(self.database.transaction(|tables| tables.clear_meta(META_COUNTING))?)
    }

    /// The key that this object's chain is signed with at first, and the one that it hands over to there: a new chain too
    /// begins with the key before, so that whoever trusts that one can follow.
    async fn keys(&self) -> Result<(SecretKey, Option<SecretKey>), Failure> {
        let unusable = |error| Failure::new(503, error);
        let present = settings::attestation_key(&self.env).map_err(unusable)?;
        let before = settings::attestation_key_before(&self.env).map_err(unusable)?;
        let history = self.store.key_history().await?;
        if history.is_retired(present.public()) {
            return Err(Failure::new(503, "the attestation key was retired by a rotation: give the gate a new one"));
        }
        let hands_over = |before: &SecretKey| {
            let is_done = before.public() == present.public() || history.current() == Some(present.public());
            !is_done && !history.is_retired(before.public())
        };
        Ok(match before.filter(hands_over) {
            Some(before) => (before, Some(present)),
            None => (present, None),
        })
    }

    #[expect(clippy::arc_with_non_send_sync, reason = "the driver is the same where there are threads")]
    fn shared_store(&self) -> Arc<ObjectStore> {
        Arc::new(self.store.clone())
    }

    /// Sees to it that refusals counted in memory are recorded, or that their loss is.
    pub(crate) async fn mind_counts(&self, answer: &Answer, now: UnixMillis) -> Result<(), Failure> {
        let Answer::Refuse(refused) = answer else { return Ok(()) };
        let is_counted = refused.attestation_id.is_none() && refused.reason.is_decided();
        let flushes = self.flushes.get();
        if !is_counted || self.minded.get() == Some(flushes) {
            return Ok(());
        }
        self.database.transaction(|tables| {
            // One that is there is of an earlier refusal, which is not recorded yet either.
            if tables.meta(META_COUNTING)?.is_none() {
                tables.set_meta(META_COUNTING, &now.rfc3339())?;
            }
            Ok(())
        })?;
        self.wake_in(FLUSH_AFTER_MS).await?;
        // A failure above is tried again at the next refusal. So is this when a flush came between and took the setting away.
        self.minded.set(Some(flushes));
        Ok(())
    }

    /// Sets the object's alarm.
    pub(crate) async fn wake_in(&self, milliseconds: i64) -> Result<(), Failure> {
        let offset = std::time::Duration::from_millis(milliseconds.unsigned_abs());
        self.state.storage().set_alarm(offset).await.map_err(|error| Failure::new(503, error))
    }

    /// Records the refusals counted so far.
    pub(crate) async fn flush(&self) -> Result<(), Failure> {
        let driver = self.driver.borrow().clone();
        // Without a driver the object was evicted meanwhile; the next request records the gap.
        let Some(driver) = driver else { return Ok(()) };
        self.flush_counts(&driver).await
    }

    /// Records what `driver` counted, after which nothing is in memory alone.
    async fn flush_counts(&self, driver: &Driver) -> Result<(), Failure> {
        driver.flush_refusals(stamp()?).await?;
        self.flushes.set(self.flushes.get().wrapping_add(1));
        Ok(self.database.transaction(|tables| tables.clear_meta(META_COUNTING))?)
    }

    /// A page of this object's records.
    pub(crate) async fn records(&self, asked: &Records) -> Result<RecordPage, Failure> {
        Ok(self.store.records(&asked.filter(), asked.cursor(), asked.limit).await?.into())
    }

    /// One of this object's records.
    pub(crate) async fn record(&self, attestation_id: &str) -> Result<Option<Record>, Failure> {
        Ok(self.store.record(attestation_id).await?.as_ref().map(Record::of))
    }
}

/// The stamp of a record that no message has one for.
fn stamp() -> Result<Stamp, Failure> {
    clock::stamp().map_err(|error| Failure::new(503, error))
}

/// A message as it arrived.
pub(crate) struct Message {
    pub(crate) path: String,
    headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) async fn read(mut request: Request) -> Result<Self, Failure> {
        testing::take_over(request.headers());
        let (path, headers) = (request.path(), request.headers().clone());
        let body = request.bytes().await.map_err(|error| Failure::new(400, error))?;
        Ok(Self { path, headers, body })
    }

    /// The document in the body.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        strict::read_back(&self.body).map_err(|error| self.unreadable(&error))
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Result<String, Failure> {
        self.headers.get(name).ok().flatten().ok_or_else(|| self.unreadable(&name))
    }

    /// The stamp of the record it leads to.
    pub(crate) fn stamp(&self) -> Result<Stamp, Failure> {
        clock::from_text(&self.field(STAMP_FIELD)?).ok_or_else(|| self.unreadable(&STAMP_FIELD))
    }

    /// The gate whose record it leads to.
    pub(crate) fn gate(&self) -> Result<GateRecord, Failure> {
        gate_from(&self.field(GATE_FIELD)?).ok_or_else(|| self.unreadable(&GATE_FIELD))
    }

    /// The bundle in use where it came from.
    pub(crate) fn current(&self) -> Result<Current, Failure> {
        strict::read_back(self.field(CURRENT_FIELD)?.as_bytes()).map_err(|error| self.unreadable(&error))
    }

    pub(crate) fn unreadable(&self, what: &dyn std::fmt::Display) -> Failure {
        Failure::new(400, format_args!("{}: {what}: both ends must run the same release", self.path))
    }
}

/// The answer to a message.
pub(crate) fn reply(answer: Result<Vec<u8>, Failure>) -> worker::Result<Response> {
    match answer {
        Ok(bytes) => Response::from_bytes(bytes),
        Err(Failure { status, why }) => Response::error(why, status),
    }
}

pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::new(500, error))
}
