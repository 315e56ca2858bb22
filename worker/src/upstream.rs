//! Step 8: what was judged goes upstream, and the response comes back metered.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use passgate_api::edge::EdgeUpstreamDoc;
use passgate_api::http::headers::{self, Field};
use passgate_core::attest::{OutcomeRecord, OutcomeResult, ResponseRecord, sha256_label};
use passgate_core::pipeline::Permit;
use sha2::{Digest as _, Sha256};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use worker::{AbortController, ByteStream, Delay, Headers, Response, ResponseBody, ResponseBuilder, web_sys};

use crate::sql::describe;

#[wasm_bindgen]
extern "C" {
    /// The runtime's own: a stream whose reader is told how long it is.
    type FixedLengthStream;

    #[wasm_bindgen(constructor, catch)]
    fn new(length: js_sys::BigInt) -> Result<FixedLengthStream, wasm_bindgen::JsValue>;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &FixedLengthStream) -> web_sys::ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &FixedLengthStream) -> web_sys::WritableStream;
}

/// What goes upstream.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SendError {
    /// How it ends in the ledger.
    pub(crate) result: OutcomeResult,
    /// For the log.
    pub(crate) why: String,
}

impl SendError {
    pub(crate) fn new(result: OutcomeResult, why: impl ToString) -> Self {
        Self { result, why: why.to_string() }
    }

    /// Status, code and title of the answer.
    pub(crate) fn answer(&self) -> (u16, &'static str, &'static str) {
        match self.result {
            OutcomeResult::TimedOut => (504, "upstream_timeout", "The API behind the gate did not answer in time."),
            OutcomeResult::NotForwarded => {
                (502, "upstream_unsendable", "The allowed request could not be sent as it was judged.")
            }
            _ => (502, "upstream_failed", "The exchange with the API behind the gate failed."),
        }
    }
}

/// Sends exactly what was judged, once. Redirects are answers like any other.
pub(crate) async fn send(
    permit: Permit,
    upstream: &EdgeUpstreamDoc,
    outbound: &Outbound,
) -> Result<web_sys::Response, SendError> {
    let _spent = permit;
    let unsendable = |error: wasm_bindgen::JsValue| SendError::new(OutcomeResult::NotForwarded, describe(&error));
    let controller = AbortController::default();
    let request = request(upstream, outbound, &controller).map_err(unsendable)?;
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let exchange = JsFuture::from(scope.fetch_with_request(&request));
    let deadline = Delay::from(Duration::from_millis(upstream.response_timeout_ms.into()));
    match select(Box::pin(exchange), Box::pin(deadline)).await {
        Either::Left((Ok(response), _)) => response
            .dyn_into()
            .map_err(|other| SendError::new(OutcomeResult::Aborted, format_args!("no response: {}", describe(&other)))),
        // A refused connection and a broken one read alike, so the upstream may have acted.
        Either::Left((Err(error), _)) => Err(SendError::new(OutcomeResult::Aborted, describe(&error))),
        Either::Right(((), _)) => {
            controller.abort();
            Err(SendError::new(OutcomeResult::TimedOut, "no response in time"))
        }
    }
}

fn request(
    upstream: &EdgeUpstreamDoc,
    outbound: &Outbound,
    controller: &AbortController,
) -> Result<web_sys::Request, wasm_bindgen::JsValue> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in &outbound.fields {
        let value: String = value.iter().map(|byte| char::from(*byte)).collect();
        headers.append(name, &value)?;
    }
    // The runtime would decode a coding to read it, and the digest in the ledger is of what the caller gets.
    headers.set("accept-encoding", "identity")?;
    let init = web_sys::RequestInit::new();
    init.set_method(&outbound.method);
    init.set_headers(&headers);
    init.set_redirect(web_sys::RequestRedirect::Manual);
    // An answer from a cache would be another agent's, and an allow that the upstream never saw.
    js_sys::Reflect::set(&init, &"cache".into(), &"no-store".into())?;
    init.set_signal(Some(&controller.signal()));
    if !outbound.body.is_empty() {
        init.set_body(&js_sys::Uint8Array::from(outbound.body.as_slice()));
    }
    let query = outbound.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let origin = upstream.url.trim_end_matches('/');
    let url = format!("{origin}{}{query}", outbound.path);
    let request = web_sys::Request::new_with_str_and_init(&url, &init)?;
    // A parser that reads the target in another way would send something else than was judged.
    if request.url() != url || request.method() != outbound.method {
        return Err(wasm_bindgen::JsValue::from_str("the runtime would send another target"));
    }
    Ok(request)
}

/// How a response body ended.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    result: OutcomeResult,
    bytes: u64,
    sha256: Option<String>,
}

/// Counts and digests a body while it passes. Dropped before its end, it reports that it broke off.
struct Meter {
    inner: Pieces,
    idle: Delay,
    idle_timeout: Duration,
    max_bytes: u64,
    bytes: u64,
    hash: Sha256,
    report: Rc<RefCell<Option<futures_channel::oneshot::Sender<Report>>>>,
}

impl Meter {
    fn end(&mut self, result: OutcomeResult) {
        let sha256 = (result == OutcomeResult::Completed).then(|| sha256_label(&self.hash.finalize_reset().into()));
        if let Some(report) = self.report.borrow_mut().take() {
            // Nobody may be waiting any more; then the platform ended the request.
            let _ = report.send(Report { result, bytes: self.bytes, sha256 });
        }
    }
}

impl Stream for Meter {
    type Item = worker::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match self.inner.poll_next_unpin(cx) {
            Poll::Pending if Pin::new(&mut self.idle).poll_unpin(cx).is_ready() => {
                self.end(OutcomeResult::TimedOut);
                return Poll::Ready(Some(Err(worker::Error::from("the upstream's response stood still"))));
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(piece) => piece,
        };
        Poll::Ready(match piece {
            None => {
                self.end(OutcomeResult::Completed);
                None
            }
            Some(Err(error)) => {
                self.end(OutcomeResult::Aborted);
                Some(Err(error))
            }
            Some(Ok(piece)) if self.bytes.saturating_add(piece.len() as u64) > self.max_bytes => {
                self.end(OutcomeResult::Aborted);
                Some(Err(worker::Error::from("the upstream's response is too large")))
            }
            Some(Ok(piece)) => {
                self.bytes += piece.len() as u64;
                self.hash.update(&piece);
                self.idle = Delay::from(self.idle_timeout);
                Some(Ok(piece))
            }
        })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(OutcomeResult::Aborted);
    }
}

/// The caller's response, and what will be known when its body has ended.
pub(crate) struct Metered {
    pub(crate) response: Response,
    pub(crate) report: futures_channel::oneshot::Receiver<Report>,
}

/// The upstream's response, as far as it goes back.
pub(crate) struct Arrived {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    /// No status that forbids a body comes with one.
    pub(crate) body: Option<Pieces>,
    /// The length of the body, where it is known.
    pub(crate) length: Option<u64>,
}

impl Arrived {
    pub(crate) fn of(answer: &web_sys::Response) -> Self {
        let fields: Vec<Field> =
            Headers(answer.headers()).entries().map(|(name, value)| (name, latin_1(&value))).collect();
        Self {
            status: answer.status(),
            fields: headers::returnable(&fields),
            body: answer.body().map(|body| boxed(ByteStream::from(body))),
            length: length(answer.headers()),
        }
    }
}

/// The upstream's response as it goes on, with the gate's own fields.
pub(crate) fn meter(
    arrived: Arrived,
    upstream: &EdgeUpstreamDoc,
    own: &[(&'static str, String)],
) -> worker::Result<Metered> {
    let Arrived { status, fields, body, length } = arrived;
    let headers = Headers::new();
    for (name, value) in fields {
        // The runtime frames the body anew, and has decoded what it could.
        if name != "content-length" && name != "content-encoding" {
            headers.append(&name, &value.iter().map(|byte| char::from(*byte)).collect::<String>())?;
        }
    }
    for (name, value) in own {
        headers.set(name, value)?;
    }
    let (sender, report) = futures_channel::oneshot::channel();
    let builder = ResponseBuilder::new().with_status(status).with_headers(headers);
    let idle_timeout = Duration::from_millis(upstream.idle_timeout_ms.into());
    let mut meter = Meter {
        inner: Box::pin(futures_util::stream::empty()),
        idle: Delay::from(idle_timeout),
        idle_timeout,
        max_bytes: upstream.max_response_bytes,
        bytes: 0,
        hash: Sha256::new(),
        report: Rc::new(RefCell::new(Some(sender))),
    };
    let response = match body {
        None => {
            meter.end(OutcomeResult::Completed);
            builder.empty()
        }
        Some(body) => {
            meter.inner = body;
            let metered = builder.clone().from_stream(boxed(meter))?;
            match (length, metered.body()) {
                (Some(length), ResponseBody::Stream(body)) => builder.stream(of_length(body, length)?),
                _ => metered,
            }
        }
    };
    Ok(Metered { response, report })
}

/// One type for every body that is made while it is read, so that what carries it to the runtime is compiled once.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = worker::Result<Vec<u8>>>>>;

pub(crate) fn boxed(stream: impl Stream<Item = worker::Result<Vec<u8>>> + 'static) -> Pieces {
    Box::pin(stream)
}

/// The length that the upstream announced for the body as it is read.
fn length(headers: web_sys::Headers) -> Option<u64> {
    let headers = Headers(headers);
    let is_decoded = headers.has("content-encoding").unwrap_or(true);
    headers.get("content-length").ok().flatten()?.parse().ok().filter(|_| !is_decoded)
}

/// The same body, announced with its length: the runtime ends a body without one as if it were whole, also when it breaks
/// off, and nobody could tell.
fn of_length(body: &web_sys::ReadableStream, length: u64) -> worker::Result<web_sys::ReadableStream> {
    let fixed = FixedLengthStream::new(js_sys::BigInt::from(length))?;
    let piped = JsFuture::from(body.pipe_to(&fixed.writable()));
    wasm_bindgen_futures::spawn_local(async move {
        // The meter has reported how it ended.
        let _ended = piped.await;
    });
    Ok(fixed.readable())
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

/// What became of a request, for the ledger.
pub(crate) fn outcome(
    report: Result<Report, OutcomeResult>,
    status: Option<u16>,
    response: Option<ResponseRecord>,
    request_bytes: usize,
    duration_ms: u64,
) -> OutcomeRecord {
    let report = report.unwrap_or_else(|result| Report { result, bytes: 0, sha256: None });
    OutcomeRecord {
        budget: None,
        duration_ms,
        request_bytes: request_bytes as u64,
        response,
        response_bytes: report.bytes,
        response_sha256: report.sha256,
        result: report.result,
        status,
    }
}
