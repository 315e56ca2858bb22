//! Every record that a query wants, however many pages it takes.

use passgate_host::control::{Access, MAX_QUERY_LIMIT, Query};
use serde_json::{Map, Value};

use crate::exit::Failure;
use crate::moment;

/// A record as the gate shows it.
pub(crate) type Record = Map<String, Value>;

/// Takes each record that `query` wants, in the order of the ledger.
pub(crate) async fn each(
    access: &Access,
    query: &Query,
    mut take: impl FnMut(Record) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut cursor = None;
    loop {
        let page = Query { limit: Some(MAX_QUERY_LIMIT), cursor: cursor.take(), ..query.clone() };
        let page = access.query(&page).await?;
        page.attestations.into_iter().try_for_each(&mut take)?;
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// As [`each`], those of the last so many milliseconds.
pub(crate) async fn each_of_last(
    access: &Access,
    milliseconds: u64,
    mut take: impl FnMut(&Record),
) -> Result<(), Failure> {
    let after = moment::now().0.saturating_sub(milliseconds);
    let query = Query { after: Some(after.to_string()), ..Query::default() };
    each(access, &query, |record| {
        take(&record);
        Ok(())
    })
    .await
}
