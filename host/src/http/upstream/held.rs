//! A response body that is read before it goes back.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Answer;
use super::meter::{BodyEnd, BodyError, MeteredBody};

/// What was read of a response body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// All of it.
    Whole(Bytes),
    /// Its beginning: it is longer than was to be read, or did not end in time.
    Beginning(Bytes),
    /// It broke off.
    CutOff(BodyEnd),
}

impl Answer {
    /// Reads the body, if it has at most `max_bytes` and ends within `time`.
    pub(super) async fn read(&mut self, max_bytes: usize, time: Duration) -> Read {
        if self.body.size_hint().lower() > u64::try_from(max_bytes).unwrap_or(u64::MAX) {
            return Read::Beginning(Bytes::new());
        }
        let (mut read, deadline) = (BytesMut::new(), Instant::now() + time);
        while let Ok(frame) = tokio::time::timeout_at(deadline, self.body.frame()).await {
            match frame {
                None => return Read::Whole(read.freeze()),
                Some(Err(BodyError(end))) => return Read::CutOff(end),
                Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
            }
            if read.len() > max_bytes {
                break;
            }
        }
        Read::Beginning(read.freeze())
    }
}

/// A body of which the beginning, or all, is at hand.
#[derive(Debug)]
pub struct HeldBody {
    held: Option<Bytes>,
    rest: Option<MeteredBody>,
}

impl HeldBody {
    /// A body that is at hand.
    #[must_use]
    pub fn whole(body: Bytes) -> Self {
        Self { held: Some(body).filter(|body| !body.is_empty()), rest: None }
    }

    /// A body whose beginning was read.
    #[must_use]
    pub fn going_on(beginning: Bytes, rest: MeteredBody) -> Self {
        Self { rest: Some(rest), ..Self::whole(beginning) }
    }
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(held) = self.held.take() {
            return Poll::Ready(Some(Ok(Frame::data(held))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |held| u64::try_from(held.len()).unwrap_or(u64::MAX));
        let rest = self.rest.as_ref().map(Body::size_hint).unwrap_or_else(|| SizeHint::with_exact(0));
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}
