//! Accepts connections and serves HTTP/1.1 and HTTP/2 (prior knowledge) on them, each within [`ServerLimits`].
//!
//! Every wait has an end: for the first request head, between requests, for a client that stops reading, for a
//! connection's age and for shutdown. A panic in a [`Handler`] costs the request it happened in and nothing else.
//!
//! Requests that are not HTTP at all (bytes that do not parse, too many header fields) are answered by the protocol
//! library with an empty 400, 414 or 431 and never reach the handler.

mod accept;
mod patrol;
mod places;
mod stall;

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, Version};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::accept::Acceptor;
pub use self::accept::{Listener, Local};
use self::patrol::{Activity, Order, Patrol};
use self::places::Places;
use self::stall::StallGuard;
use super::BoxError;

/// How much longer than the drain deadline the server waits for connections to see it.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// The least read buffer the protocol library takes, in bytes.
const MIN_READ_BUFFER_BYTES: usize = 8 * 1024;

/// What clients may take of the server. Worst-case memory for bodies is the sum of `max_connections`,
/// `max_parallel_reads` and `max_requests_in_flight`, times the body limit.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Connections held at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// Requests being answered at once over all connections, each counted from when it is read; further ones get
    /// [`Fault::Overloaded`].
    pub max_requests_in_flight: usize,
    /// Requests of one connection, at least 1, whose bodies are read at once; further ones get [`Fault::Overloaded`].
    pub max_reads_per_connection: usize,
    /// Requests whose bodies are read at once over all connections, not counting one for each connection.
    pub max_parallel_reads: usize,
    /// Time for a complete request head, counted from the accept for the first one, and for an HTTP/1.1 connection also
    /// the time it may idle between requests.
    pub header_read_timeout: Duration,
    /// Bytes of one request head.
    pub max_header_bytes: usize,
    /// Header fields of one HTTP/1.1 request.
    pub max_header_count: usize,
    /// Time an HTTP/2 connection may stay without a request.
    pub idle_timeout: Duration,
    /// Age at which a connection stops taking requests.
    pub max_connection_age: Duration,
    /// Time for which a client may read nothing while there is something to write to it.
    pub write_stall_timeout: Duration,
    /// HTTP/2 streams open at once on one connection.
    pub h2_max_concurrent_streams: u32,
    /// HTTP/2 streams that the client reset before they were accepted; beyond it the connection is closed.
    pub h2_max_pending_reset_streams: usize,
    /// HTTP/2 streams reset for the client's protocol errors; beyond it the connection is closed.
    pub h2_max_error_reset_streams: usize,
    /// Interval of HTTP/2 pings.
    pub h2_keep_alive_interval: Duration,
    /// Time for the answer to an HTTP/2 ping.
    pub h2_keep_alive_timeout: Duration,
    /// Time for running requests to finish once a connection, or the whole server, stops taking new ones.
    pub drain_deadline: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_requests_in_flight: 512,
            max_reads_per_connection: 64,
            max_parallel_reads: 1024,
            header_read_timeout: Duration::from_secs(10),
            max_header_bytes: 64 * 1024,
            max_header_count: 100,
            idle_timeout: Duration::from_secs(60),
            max_connection_age: Duration::from_secs(3600),
            write_stall_timeout: Duration::from_secs(30),
            h2_max_concurrent_streams: 100,
            h2_max_pending_reset_streams: 20,
            h2_max_error_reset_streams: 100,
            h2_keep_alive_interval: Duration::from_secs(20),
            h2_keep_alive_timeout: Duration::from_secs(20),
            drain_deadline: Duration::from_secs(30),
        }
    }
}

/// A condition under which the server, not the handler's ordinary path, answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The handler panicked: status 500.
    Panicked,
    /// [`ServerLimits::max_requests_in_flight`] or a limit of bodies read at once is reached: status 503.
    Overloaded,
}

/// Marks a response (as an extension) after which an HTTP/1.1 connection is closed, because what follows the request on
/// it may not be what its sender took for the next request. Has no effect over HTTP/2, where streams keep apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseAfter;

/// Answers requests from a peer `P`.
pub trait Handler<P = SocketAddr>: Send + Sync + 'static {
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;
    /// A request as far as it is read before it is answered.
    type Taken: Send;

    /// Reads one request. Meanwhile it takes none of [`ServerLimits::max_requests_in_flight`].
    fn take(&self, request: Request<Incoming>, peer: P) -> impl Future<Output = Self::Taken> + Send;

    /// Answers one request. The future is dropped when the client goes away, so work that must be completed once begun
    /// belongs on a task of its own.
    fn call(&self, taken: Self::Taken) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The response for a fault. It must not depend on what may have caused the fault.
    fn fault(&self, fault: Fault) -> Response<Self::Body>;

    /// Hears `false` each time that accepting a connection failed, and `true` once that is over.
    fn accepting(&self, _well: bool) {}
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut because they outlived [`ServerLimits::drain_deadline`].
    pub connections_cut: usize,
}

/// Serves connections of `listener` until `shutdown` completes, then lets running requests finish for at most
/// [`ServerLimits::drain_deadline`]. Failures to accept and failing connections are logged and do not end it.
pub async fn serve<L: Listener, H: Handler<L::Peer>>(
    listener: L,
    limits: ServerLimits,
    handler: Arc<H>,
    shutdown: impl Future<Output = ()>,
) -> Stopped {
    let drain_deadline = limits.drain_deadline;
    let mut acceptor = Acceptor::new(listener, limits.max_connections);
    let shared = Arc::new(Shared {
        builder: builder(&limits),
        requests: Arc::new(Semaphore::new(limits.max_requests_in_flight)),
        reads: Arc::new(Semaphore::new(limits.max_parallel_reads)),
        limits,
        handler,
    });
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut connections_cut = 0;
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            (permit, stream, peer) = acceptor.next(|well| shared.handler.accepting(well)) => {
                let connection = drive(stream, peer, Arc::clone(&shared), stopping.clone());
                tasks.spawn(async move {
                    let end = connection.await;
                    drop(permit);
                    end
                });
            }
        }
    }
    drop(acceptor);
    stop.send_replace(true);
    let drained = async {
        while let Some(end) = tasks.join_next().await {
            connections_cut += usize::from(matches!(end, Ok(End::Cut)));
        }
    };
    // The connections cut themselves; this covers one whose task does not yield.
    let _ = tokio::time::timeout(drain_deadline + DRAIN_GRACE, drained).await;
    connections_cut += tasks.len();
    tasks.shutdown().await;
    Stopped { connections_cut }
}

struct Shared<H> {
    builder: auto::Builder<TokioExecutor>,
    requests: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    limits: ServerLimits,
    handler: Arc<H>,
}

fn builder(limits: &ServerLimits) -> auto::Builder<TokioExecutor> {
    let header_list = u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(limits.max_header_bytes.max(MIN_READ_BUFFER_BYTES))
        .max_headers(limits.max_header_count)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_max_concurrent_streams)
        .max_header_list_size(header_list)
        .max_pending_accept_reset_streams(limits.h2_max_pending_reset_streams)
        .max_local_error_reset_streams(limits.h2_max_error_reset_streams)
        // What one connection can make the gate hold before any body is read.
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .keep_alive_interval(limits.h2_keep_alive_interval)
        .keep_alive_timeout(limits.h2_keep_alive_timeout);
    builder
}

/// How a connection ended.
enum End {
    Closed,
    Cut,
}

/// Runs one connection to its end, sending it home when the patrol says so.
async fn drive<S, P, H>(stream: S, peer: P, shared: Arc<Shared<H>>, mut stopping: watch::Receiver<bool>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    P: fmt::Debug + Copy + Send + Sync + 'static,
    H: Handler<P>,
{
    let activity = Arc::new(Activity::default());
    let places = Arc::new(Places::new(&shared.limits, &shared.reads));
    let mut patrol = Patrol::new(&shared.limits, Instant::now());
    let service = service_fn(|request| {
        let hold = Hold::new(Arc::clone(&activity));
        answer(Arc::clone(&shared), Arc::clone(&places), hold, peer, request)
    });
    let io = TokioIo::new(StallGuard::new(stream, shared.limits.write_stall_timeout));
    let mut connection = pin!(shared.builder.serve_connection(io, service));
    loop {
        let now = Instant::now();
        if *stopping.borrow_and_update() && patrol.drain(now) {
            connection.as_mut().graceful_shutdown();
        }
        let next = match patrol.order(now, &activity) {
            Order::Wait(next) => next,
            Order::Close => {
                tracing::debug!(?peer, "connection cut at its time limit");
                return End::Cut;
            }
            Order::Drain => {
                connection.as_mut().graceful_shutdown();
                continue;
            }
        };
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(?peer, %error, "connection failed");
                }
                return End::Closed;
            }
            () = tokio::time::sleep_until(next) => {}
            Ok(()) = stopping.changed() => {}
        }
    }
}

/// A request for which not even the fault could be answered; ends the connection.
#[derive(Debug)]
struct Unanswerable;

impl fmt::Display for Unanswerable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler failed and could not answer for it")
    }
}

impl std::error::Error for Unanswerable {}

async fn answer<P: fmt::Debug + Copy + Send + Sync, H: Handler<P>>(
    shared: Arc<Shared<H>>,
    places: Arc<Places>,
    mut hold: Hold,
    peer: P,
    request: Request<Incoming>,
) -> Result<Response<Held<H::Body>>, Unanswerable> {
    let handler = shared.handler.as_ref();
    let version = request.version();
    let answered = match places.take(request.body()) {
        None => Err(Fault::Overloaded),
        Some(place) => {
            let taken = unwound(|| handler.take(request, peer)).await;
            drop(place);
            hold.permit = Arc::clone(&shared.requests).try_acquire_owned().ok();
            match taken {
                Ok(_) if hold.permit.is_none() => Err(Fault::Overloaded),
                Ok(taken) => unwound(|| handler.call(taken)).await.map_err(|cause| panicked(&peer, &cause)),
                Err(cause) => Err(panicked(&peer, &cause)),
            }
        }
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(fault) => {
            let mut response = catch_unwind(AssertUnwindSafe(|| handler.fault(fault))).map_err(|_| Unanswerable)?;
            response.extensions_mut().insert(CloseAfter);
            response
        }
    };
    if version < Version::HTTP_2 && response.extensions_mut().remove::<CloseAfter>().is_some() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Held { body, _hold: hold }))
}

type PanicCause = Box<dyn Any + Send>;

fn panicked(peer: &impl fmt::Debug, cause: &PanicCause) -> Fault {
    tracing::error!(?peer, panic = panic_text(cause), "a request handler panicked");
    Fault::Panicked
}

/// Runs a future and gives a panic, in its making or in its running, as an error.
async fn unwound<F: Future>(make: impl FnOnce() -> F) -> Result<F::Output, PanicCause> {
    // A panicked handler is never called into again and its shared state is its own to guard, so nothing is observed
    // half-changed through this boundary that a lock would not also show.
    let future = catch_unwind(AssertUnwindSafe(make))?;
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(cause) => Poll::Ready(Err(cause)),
    })
    .await
}

fn panic_text(cause: &PanicCause) -> &str {
    let text = cause.downcast_ref::<&str>().copied();
    text.or_else(|| cause.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}

/// Counts a request as running until its response body is done.
struct Hold {
    activity: Arc<Activity>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Hold {
    fn new(activity: Arc<Activity>) -> Self {
        activity.begin();
        Self { activity, permit: None }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.activity.end();
    }
}

/// A response body that holds its request's place, and whose panics end only itself.
struct Held<B> {
    body: B,
    _hold: Hold,
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for Held<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = Pin::new(&mut self.body);
        match catch_unwind(AssertUnwindSafe(|| body.poll_frame(cx))) {
            Ok(poll) => poll.map_err(Into::into),
            Err(cause) => {
                tracing::error!(panic = panic_text(&cause), "a response body panicked");
                Poll::Ready(Some(Err(io::Error::other("the body failed").into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
