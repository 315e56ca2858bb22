//! A response body that is bounded in size and time and reports what was delivered.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

/// How a response body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// The origin sent all of it and the client's connection took all of it.
    Complete,
    /// It grew past the limit and was cut before the byte that did.
    TooLarge,
    /// The origin sent nothing for too long.
    IdleTimeout,
    /// It was not complete within its total time.
    TotalTimeout,
    /// The origin's connection broke or its framing was wrong.
    UpstreamFailed,
    /// The client went away first.
    Dropped,
}

/// What was delivered of a response body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyReport {
    /// Bytes handed to the client's connection.
    pub bytes: u64,
    /// SHA-256 of those bytes.
    pub sha256: [u8; 32],
    /// How it ended.
    pub end: BodyEnd,
}

/// The error by which a body is aborted; the client sees its connection or stream broken, never a complete response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response body was aborted: {0:?}")]
pub struct BodyError(pub BodyEnd);

/// A response body under limits. Trailers are dropped.
#[derive(Debug)]
pub struct MeteredBody<B = Incoming> {
    body: B,
    limit: u64,
    bytes: u64,
    digest: Sha256,
    idle_timeout: Duration,
    idle: Pin<Box<Sleep>>,
    total: Pin<Box<Sleep>>,
    report: Option<oneshot::Sender<BodyReport>>,
    ended: Option<BodyEnd>,
}

/// How a body ended whose connection failed.
impl From<hyper::Error> for BodyEnd {
    fn from(_: hyper::Error) -> Self {
        Self::UpstreamFailed
    }
}

impl From<BodyError> for BodyEnd {
    fn from(BodyError(end): BodyError) -> Self {
        end
    }
}

impl<B: Body<Data = Bytes, Error: Into<BodyEnd>> + Unpin> MeteredBody<B> {
    pub(super) fn new(
        body: B,
        limit: u64,
        idle_timeout: Duration,
        total_timeout: Duration,
    ) -> (Self, oneshot::Receiver<BodyReport>) {
        let (report, receiver) = oneshot::channel();
        let mut metered = Self {
            body,
            limit,
            bytes: 0,
            digest: Sha256::new(),
            idle_timeout,
            idle: Box::pin(tokio::time::sleep(idle_timeout)),
            total: Box::pin(tokio::time::sleep(total_timeout)),
            report: Some(report),
            ended: None,
        };
        // Servers do not poll a body that is known to be empty.
        if metered.body.is_end_stream() {
            metered.finish(BodyEnd::Complete);
        }
        (metered, receiver)
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BodyEnd>> {
        if let Some(end) = self.ended {
            return Poll::Ready(Err(end));
        }
        // Looked at first, so that a body that always has more cannot outrun it.
        if self.total.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(BodyEnd::TotalTimeout));
        }
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            match frame {
                None => return Poll::Ready(Err(BodyEnd::Complete)),
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(self.deliver(data));
                    }
                }
            }
        }
        self.idle.as_mut().poll(cx).map(|()| Err(BodyEnd::IdleTimeout))
    }

    fn deliver(&mut self, data: Bytes) -> Result<Bytes, BodyEnd> {
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if length > self.limit - self.bytes {
            return Err(BodyEnd::TooLarge);
        }
        self.bytes += length;
        self.digest.update(&data);
        let next = Instant::now() + self.idle_timeout;
        self.idle.as_mut().reset(next);
        Ok(data)
    }
}

impl<B> MeteredBody<B> {
    fn finish(&mut self, end: BodyEnd) {
        self.ended.get_or_insert(end);
        if let Some(report) = self.report.take() {
            let sha256 = std::mem::take(&mut self.digest).finalize().into();
            // Nobody listening is the listener's choice.
            let _ = report.send(BodyReport { bytes: self.bytes, sha256, end });
        }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BodyEnd>> + Unpin> Body for MeteredBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.step(cx).map(|step| match step {
            Ok(data) => {
                // The server asks no more once the announced length is reached.
                if self.body.is_end_stream() {
                    self.finish(BodyEnd::Complete);
                }
                Some(Ok(Frame::data(data)))
            }
            Err(end) => {
                self.finish(end);
                (end != BodyEnd::Complete).then_some(Err(BodyError(end)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended == Some(BodyEnd::Complete) || (self.ended.is_none() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for MeteredBody<B> {
    fn drop(&mut self) {
        self.finish(BodyEnd::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http::HeaderMap;
    use http_body_util::BodyExt as _;

    use super::*;

    impl From<&'static str> for BodyEnd {
        fn from(_: &'static str) -> Self {
            Self::UpstreamFailed
        }
    }

    impl From<std::convert::Infallible> for BodyEnd {
        fn from(never: std::convert::Infallible) -> Self {
            match never {}
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    /// Frames one by one; a `None` waits for ever.
    struct Script(VecDeque<Option<Result<Frame<Bytes>, &'static str>>>);

    impl Body for Script {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match self.0.front() {
                Some(None) => Poll::Pending,
                _ => Poll::Ready(self.0.pop_front().flatten()),
            }
        }
    }

    fn data(text: &'static str) -> Option<Result<Frame<Bytes>, &'static str>> {
        Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
    }

    fn meter(
        limit: u64,
        script: impl IntoIterator<Item = Option<Result<Frame<Bytes>, &'static str>>>,
    ) -> (MeteredBody<Script>, oneshot::Receiver<BodyReport>) {
        MeteredBody::new(Script(script.into_iter().collect()), limit, MINUTE, 10 * MINUTE)
    }

    fn report(text: &str, end: BodyEnd) -> BodyReport {
        BodyReport { bytes: text.len() as u64, sha256: Sha256::digest(text).into(), end }
    }

    #[tokio::test]
    async fn a_whole_body_is_reported_whole_without_its_trailers() {
        let trailers = Some(Ok(Frame::trailers(HeaderMap::new())));
        let (body, receiver) = meter(5, [data("ab"), data("cde"), trailers]);
        let collected = body.collect().await.unwrap();
        assert!(collected.trailers().is_none());
        assert_eq!(collected.to_bytes(), "abcde");
        assert_eq!(receiver.await.unwrap(), report("abcde", BodyEnd::Complete));
    }

    #[tokio::test]
    async fn a_body_past_the_limit_is_cut() {
        let (mut body, receiver) = meter(4, [data("ab"), data("cde"), data("f")]);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert_eq!(body.frame().await.unwrap().unwrap_err(), BodyError(BodyEnd::TooLarge));
        assert_eq!(body.frame().await.unwrap().unwrap_err(), BodyError(BodyEnd::TooLarge));
        assert!(!body.is_end_stream());
        assert_eq!(receiver.await.unwrap(), report("ab", BodyEnd::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_cut() {
        let (body, receiver) = meter(4, [data("ab"), None]);
        assert_eq!(body.collect().await.unwrap_err(), BodyError(BodyEnd::IdleTimeout));
        assert_eq!(receiver.await.unwrap(), report("ab", BodyEnd::IdleTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_takes_too_long_in_all_is_cut() {
        let (mut body, receiver) = meter(4, [data("ab"), data("cd")]);
        assert!(body.frame().await.unwrap().is_ok());
        tokio::time::advance(10 * MINUTE).await;
        assert_eq!(body.frame().await.unwrap().unwrap_err(), BodyError(BodyEnd::TotalTimeout));
        assert_eq!(receiver.await.unwrap(), report("ab", BodyEnd::TotalTimeout));
    }

    #[tokio::test]
    async fn failures_and_departures_are_told_apart() {
        let (body, receiver) = meter(4, [data("ab"), Some(Err("reset"))]);
        assert_eq!(body.collect().await.unwrap_err(), BodyError(BodyEnd::UpstreamFailed));
        assert_eq!(receiver.await.unwrap(), report("ab", BodyEnd::UpstreamFailed));

        let (mut body, receiver) = meter(4, [data("ab"), data("cd")]);
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        assert_eq!(receiver.await.unwrap(), report("ab", BodyEnd::Dropped));
    }

    #[tokio::test]
    async fn bodies_that_the_server_need_not_poll_are_complete() {
        let full = |text: &'static str| http_body_util::Full::new(Bytes::from_static(text.as_bytes()));
        let (body, receiver) = MeteredBody::new(full(""), 4, MINUTE, MINUTE);
        drop(body);
        assert_eq!(receiver.await.unwrap(), report("", BodyEnd::Complete));

        let (mut body, receiver) = MeteredBody::new(full("ab"), 4, MINUTE, MINUTE);
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(receiver.await.unwrap(), report("ab", BodyEnd::Complete));
    }
}
