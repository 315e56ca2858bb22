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
    /// The objects from number `from` on; 0 is the gate's own.
    async fn places(&self, from: u64) -> Result<Vec<Place>, StoreError> {
        let gate = calls::gate(&self.env).map_err(unavailable)?;
        let after = from.saturating_sub(1).to_string();
        let names = Call::new("/objects").with(AFTER_FIELD, &after).ask(&gate).await;
        let ObjectNames(names) = names.map_err(unavailable)?;
        let mut places = Vec::with_capacity(names.len() + 1);
        if from == 0 {
            places.push(Place { number: 0, stub: gate });
        }
        for (number, name) in names {
            places.push(Place { number, stub: calls::admission(&self.env, &name).map_err(unavailable)? });
        }
        Ok(places)
    }
}

#[async_trait(?Send)]
impl Ledger for GateLedger {
    async fn records(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        let from = cursor.map_or(0, |at| at.chain / CHAINS_OF_ONE_OBJECT + u64::from(is_end(at)));
        let places = self.places(from).await?;
        let mut page = Page { records: Vec::new(), next: cursor };
        for Place { number, stub } in places.iter().take(OBJECTS_A_PAGE) {
            let within = page.next.filter(|at| at.chain / CHAINS_OF_ONE_OBJECT == *number);
            let within = within.map(|at| Cursor { chain: at.chain % CHAINS_OF_ONE_OBJECT, seq: at.seq });
            let asked = Records::new(filter, within, limit.saturating_sub(page.records.len()).max(1));
            let found: RecordPage = Call::new("/records").json(&asked).ask(stub).await.map_err(unavailable)?;
            for record in found.records {
                page.records.push(record.stored().ok_or_else(unreadable)?);
            }
            if let Some((chain, seq)) = found.next {
                page.next = Some(Cursor { chain: number * CHAINS_OF_ONE_OBJECT + chain, seq });
                return Ok(page);
            }
            page.next = Some(Cursor { chain: number * CHAINS_OF_ONE_OBJECT + END, seq: 0 });
            if page.records.len() >= limit.max(1) {
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
            let places = self.places(from).await?;
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

/// Whether nothing of the cursor's object is left.
fn is_end(at: Cursor) -> bool {
    at.chain % CHAINS_OF_ONE_OBJECT == END
}

fn unreadable() -> StoreError {
    StoreError::Corrupt("a record of an object cannot be read".to_owned())
}

fn unavailable(error: CallError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
