//! Exports of the ledger, in pieces and never as a part that looks whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use passgate_api::view;
use passgate_core::ledger::{HeadBuilder, head_line, record_line};
use passgate_store::{Cursor, Filter, StoreError, StoredRecord};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::operations::{OperationError, Operations};
use crate::store::Store;
use passgate_api::http::documents::ExportFormat;

/// Records read at once.
const PAGE: usize = 500;
/// Pieces that wait to be taken.
const WAITING: usize = 4;

/// A running export. Its end is said, not concluded from silence: a reader that fails leaves a broken-off export.
pub(super) struct Export {
    arriving: mpsc::Receiver<Piece>,
    ended: bool,
}

enum Piece {
    Bytes(Bytes),
    Failed(OperationError),
    End,
}

impl Export {
    /// Begins an export; it is read no faster than it is taken.
    pub(super) fn start(operations: Arc<Operations>, format: ExportFormat, filter: Filter) -> Self {
        let (pieces, arriving) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let reader = Reader { operations: &operations, filter: &filter, pieces: &pieces };
            let last = match reader.run(format).await {
                Ok(()) => Piece::End,
                Err(Stop::Failed(error)) => Piece::Failed(error),
                Err(Stop::Unwanted) => return,
            };
            // Whoever asked may be gone.
            let _ = pieces.send(last).await;
        });
        Self { arriving, ended: false }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, OperationError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, OperationError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.arriving.poll_recv(cx).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            Some(Piece::Failed(error)) => {
                self.ended = true;
                Some(Err(error))
            }
            None => {
                self.ended = true;
                Some(Err(OperationError::BrokenOff))
            }
        })
    }
}

impl Body for Export {
    type Data = Bytes;
    type Error = OperationError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OperationError>>> {
        self.poll_next(cx).map(|next| next.map(|piece| piece.map(Frame::data)))
    }
}

/// Why reading stops early.
enum Stop {
    Failed(OperationError),
    /// Nobody takes the pieces any more.
    Unwanted,
}

impl<E: Into<OperationError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

struct Reader<'a> {
    operations: &'a Operations,
    filter: &'a Filter,
    pieces: &'a mpsc::Sender<Piece>,
}

impl Reader<'_> {
    async fn run(&self, format: ExportFormat) -> Result<(), Stop> {
        match format {
            ExportFormat::Jsonl => self.lines().await,
            ExportFormat::Csv => self.table().await,
        }
    }

    async fn lines(&self) -> Result<(), Stop> {
        let mut head = HeadBuilder::default();
        let mut pages = self.pages();
        while let Some(records) = pages.next().await? {
            let mut lines = String::new();
            for record in &records {
                head.push(&record.index.chain_uid, &record.jws, &Sha256::digest(&record.jws).into());
                lines.push_str(&record_line(&record.jws));
            }
            self.send(lines).await?;
        }
        let Operations { gate_id, env, .. } = self.operations;
        let head = head.finish(gate_id.clone(), !self.filter.is_empty(), env.now().rfc3339());
        self.send(head_line(&self.operations.writer().seal_head(&head.to_payload()))).await
    }

    async fn table(&self) -> Result<(), Stop> {
        self.send(view::csv_header()).await?;
        let mut pages = self.pages();
        while let Some(records) = pages.next().await? {
            let mut rows = String::new();
            for record in &records {
                rows.push_str(&view::csv_row(&record.jws).map_err(OperationError::from)?);
            }
            self.send(rows).await?;
        }
        Ok(())
    }

    fn pages(&self) -> Pages<'_> {
        Pages { store: self.operations.store.as_ref(), filter: self.filter, cursor: None, ended: false }
    }

    async fn send(&self, text: String) -> Result<(), Stop> {
        if text.is_empty() {
            return Ok(());
        }
        self.pieces.send(Piece::Bytes(text.into())).await.map_err(|_| Stop::Unwanted)
    }
}

struct Pages<'a> {
    store: &'a dyn Store,
    filter: &'a Filter,
    cursor: Option<Cursor>,
    ended: bool,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<StoredRecord>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let page = self.store.records(self.filter, self.cursor, PAGE).await?;
        self.cursor = page.next;
        self.ended = page.next.is_none();
        Ok(Some(page.records))
    }
}
