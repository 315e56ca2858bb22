//! The records of all objects as one ledger: the gate's object first, then the admission objects in the order in which it
//! met them.

use async_trait::async_trait;
use passgate_store::{Cursor, Filter, Ledger, Page, StoreError, StoredRecord};
use worker::{Env, Stub};

use crate::calls::{self, Boxed, Call, CallError, try_join_all};
use crate::messages::{AFTER_FIELD, ObjectNames, Record, RecordPage, Records};

/// A cursor's `chain` is the object's number times this, plus the chain's number in the object. An object starts a chain
/// when its gate changes its level, so it has a few.
const CHAINS_OF_ONE_OBJECT: u64 = 1 << 20;
/// A cursor's `seq` is the number of the last object that belongs to the reading times this, plus the position in the chain:
/// room for a million million records in each chain and 16 million objects.
const RECORDS_OF_ONE_CHAIN: u64 = 1 << 40;
/// The chain number that stands for the end of an object.
const END: u64 = CHAINS_OF_ONE_OBJECT - 1;
/// Objects asked for one record at the same time.
const ASKED_IN_PARALLEL: usize = 20;
/// The most objects that are asked for one page: what is left stands behind the cursor.
const OBJECTS_A_PAGE: usize = 40;

/// Every record of the gate.
pub(crate) struct GateLedger {
    pub(crate) env: Env,
}

/// An object by its place in the ledger.
struct Place {
    number: u64,
    stub: Stub,
}

impl GateLedger {
    /// The objects from number `from` on; 0 is the gate's own. And the highest number there is.
    async fn places(&self, from: u64) -> Result<(Vec<Place>, u64), StoreError> {
        let gate = calls::gate(&self.env).map_err(unavailable)?;
        let after = from.saturating_sub(1).to_string();
        let told = Call::new("/objects").with(AFTER_FIELD, &after).ask(&gate).await;
        let ObjectNames { names, last } = told.map_err(unavailable)?;
        let mut places = Vec::with_capacity(names.len() + 1);
        if from == 0 {
            places.push(Place { number: 0, stub: gate });
        }
        for (number, name) in names {
            places.push(Place { number, stub: calls::admission(&self.env, &name).map_err(unavailable)? });
        }
        Ok((places, last))
    }
}

/// A position in the whole ledger.
#[derive(Clone, Copy)]
struct At {
    /// The object.
    number: u64,
    /// The position in it; `None` at its end.
    within: Option<Cursor>,
    /// The last object that belongs to this reading: one that the gate met later may name a record of the gate's chain
    /// that was not read.
    last: u64,
}

impl At {
    fn read(cursor: Cursor) -> Self {
        let (number, chain) = (cursor.chain / CHAINS_OF_ONE_OBJECT, cursor.chain % CHAINS_OF_ONE_OBJECT);
        let (last, seq) = (cursor.seq / RECORDS_OF_ONE_CHAIN, cursor.seq % RECORDS_OF_ONE_CHAIN);
        Self { number, within: (chain != END).then_some(Cursor { chain, seq }), last }
    }

    fn cursor(self) -> Cursor {
        let Self { number, within, last } = self;
        let Cursor { chain, seq } = within.unwrap_or(Cursor { chain: END, seq: 0 });
        Cursor { chain: number * CHAINS_OF_ONE_OBJECT + chain, seq: last * RECORDS_OF_ONE_CHAIN + seq }
    }
}

#[async_trait(?Send)]
impl Ledger for GateLedger {
    async fn records(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let at = cursor.map(At::read);
        let from = at.map_or(0, |at| at.number + u64::from(at.within.is_none()));
        let (places, known) = self.places(from).await?;
        let last = at.map_or(known, |at| at.last);
        let places: Vec<Place> = places.into_iter().filter(|place| place.number <= last).collect();
        let mut page = Page { records: Vec::new(), next: None };
        let mut within = at.and_then(|at| at.within);
        for Place { number, stub } in places.iter().take(OBJECTS_A_PAGE) {
            let asked = Records::new(filter, within.take(), limit.saturating_sub(page.records.len()).max(1));
            let found: RecordPage = Call::new("/records").json(&asked).ask(stub).await.map_err(unavailable)?;
            for record in found.records {
                page.records.push(record.stored().ok_or_else(unreadable)?);
            }
            let rest = found.next.map(|(chain, seq)| Cursor { chain, seq });
            page.next = Some(At { number: *number, within: rest, last }.cursor());
            if rest.is_some() || page.records.len() >= limit.max(1) {
                return Ok(page);
            }
        }
        if places.len() <= OBJECTS_A_PAGE {
            page.next = None;
        }
        Ok(page)
    }

    async fn record(&self, attestation_id: &str) -> Result<Option<StoredRecord>, StoreError> {
        let mut from = 0;
        loop {
            let (places, _) = self.places(from).await?;
            let Some(last) = places.last().map(|place| place.number) else { return Ok(None) };
            for some in places.chunks(ASKED_IN_PARALLEL) {
                let mut asked: Vec<Boxed<'_, Result<Option<Record>, CallError>>> = Vec::new();
                for Place { stub, .. } in some {
                    let call = Call::new("/record").json(&attestation_id);
                    asked.push(Box::pin(async move { call.ask(stub).await }));
                }
                let found = try_join_all(asked).await.map_err(unavailable)?;
                if let Some(record) = found.into_iter().flatten().next() {
                    return Ok(Some(record.stored().ok_or_else(unreadable)?));
                }
            }
            from = last + 1;
        }
    }
}

fn unreadable() -> StoreError {
    StoreError::Corrupt("a record of an object cannot be read".to_owned())
}

fn unavailable(error: CallError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
