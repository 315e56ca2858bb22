//! Exports of the ledger, in pieces and never as a part that looks whole.

use std::sync::Arc;

use futures_util::stream;
use passgate_core::ledger::{HeadBuilder, head_line, record_line};
use passgate_store::{Cursor, Filter, Ledger, StoreError, StoredRecord};
use sha2::{Digest as _, Sha256};

use super::control::{Controlled, OperationError};
use super::documents::ExportFormat;
use super::reply::Pieces;
use crate::view;

/// Records read at once.
const PAGE: usize = 500;

/// An export of everything that `filter` matches. It is read no faster than its pieces are taken.
#[must_use]
pub fn export(gate: Arc<dyn Controlled>, format: ExportFormat, filter: Filter) -> Pieces {
    let begun = match format {
        ExportFormat::Jsonl => Export::Lines(Box::default()),
        ExportFormat::Csv => Export::Header,
    };
    let reader = Reader { gate, pages: Pages::new(filter) };
    Box::pin(stream::try_unfold((reader, begun), async |(mut reader, export)| {
        let next = reader.piece(export).await?;
        Ok(next.map(|(piece, export)| (piece.into_bytes(), (reader, export))))
    }))
}

/// How far an export is.
enum Export {
    /// The records and their head so far.
    Lines(Box<HeadBuilder>),
    /// Before the header of a table.
    Header,
    /// The rows of a table.
    Rows,
    End,
}

struct Reader {
    gate: Arc<dyn Controlled>,
    pages: Pages,
}

impl Reader {
    async fn piece(&mut self, export: Export) -> Result<Option<(String, Export)>, OperationError> {
        Ok(match export {
            Export::Lines(mut head) => Some(match self.pages.next(self.gate.ledger()).await? {
                Some(records) => (lines(&records, &mut head), Export::Lines(head)),
                None => (self.head(*head)?, Export::End),
            }),
            Export::Header => Some((view::csv_header(), Export::Rows)),
            Export::Rows => match self.pages.next(self.gate.ledger()).await? {
                Some(records) => Some((rows(&records)?, Export::Rows)),
                None => None,
            },
            Export::End => None,
        })
    }

    fn head(&self, head: HeadBuilder) -> Result<String, OperationError> {
        let partial = !self.pages.filter.is_empty();
        let head = head.finish(self.gate.gate().id.clone(), partial, self.gate.now().rfc3339());
        Ok(head_line(&self.gate.seal_head(&head.to_payload())?))
    }
}

fn lines(records: &[StoredRecord], head: &mut HeadBuilder) -> String {
    let mut lines = String::new();
    for record in records {
        head.push(&record.index.chain_uid, &record.jws, &Sha256::digest(&record.jws).into());
        lines.push_str(&record_line(&record.jws));
    }
    lines
}

fn rows(records: &[StoredRecord]) -> Result<String, OperationError> {
    let mut rows = String::new();
    for record in records {
        rows.push_str(&view::csv_row(&record.jws)?);
    }
    Ok(rows)
}

/// The records that match, page by page.
pub(super) struct Pages {
    filter: Filter,
    cursor: Option<Cursor>,
    ended: bool,
}

impl Pages {
    pub(super) fn new(filter: Filter) -> Self {
        Self { filter, cursor: None, ended: false }
    }

    /// The next page that has records; `None` at the end.
    pub(super) async fn next(&mut self, ledger: &dyn Ledger) -> Result<Option<Vec<StoredRecord>>, StoreError> {
        while !self.ended {
            let page = ledger.records(&self.filter, self.cursor, PAGE).await?;
            self.cursor = page.next;
            self.ended = page.next.is_none();
            if !page.records.is_empty() {
                return Ok(Some(page.records));
            }
        }
        Ok(None)
    }
}
