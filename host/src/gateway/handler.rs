//! One request, from its arrival to the head of its answer.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use passgate_api::answer::{self, ToCover};
use passgate_api::driver::{Answer, MAX_JUDGED, Minted, Misjudged, RefusalRecord, Refused};
use passgate_core::attest::{DecisionKind, Stamp};
use passgate_core::pipeline::{RawRequest, Refusal, ResponseRules};
use passgate_core::reason::Reason;
use passgate_core::state::Conduct;
use passgate_passport::http::Header;
use passgate_passport::jwe::Seed;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Core;
use super::forward::forward;
use super::judge::judge;
use super::page;
use super::settle::carry_on;
use super::status;
use crate::http::headers::{self, HeaderError};
use crate::http::intake::{Intake, IntakeError, intake};
use crate::http::server::{CloseAfter, Fault, Handler};
use crate::http::upstream::{HeldBody, MeteredBody, Outbound};
use crate::logging::inert;
use crate::metrics::InFlight;

/// A document of the gate's own, or the upstream's response passing by.
pub(super) type GateBody = Either<Full<Bytes>, CarriedBody>;

/// The upstream's response passing by, or one that was read before.
pub(super) type CarriedBody = Either<MeteredBody, MeteredBody<HeldBody>>;

/// Where requests come in.
pub(super) struct Door {
    core: Arc<Core>,
}

/// What holds a request's place until its outcome is recorded.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    _in_flight: InFlight,
}

/// What is known of a request before it is taken in, for logs and refusals.
pub(super) struct Line {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) peer: SocketAddr,
    pub(super) arrived: Instant,
}

impl Door {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

impl Handler for Door {
    type Body = GateBody;
    type Taken = (Line, Result<Intake, IntakeError>);

    async fn take(&self, request: Request<Incoming>, peer: SocketAddr) -> Self::Taken {
        let line = Line {
            method: request.method().as_str().to_owned(),
            path: self.core.gate.get().shown_path(request.uri().path()).into_owned(),
            peer,
            arrived: Instant::now(),
        };
        (line, intake(request, &self.core.limits.intake).await)
    }

    async fn call(&self, (line, taken): Self::Taken) -> Response<GateBody> {
        let Ok(permit) = Arc::clone(&self.core.limits.slots).try_acquire_owned() else {
            return self.fault(Fault::Overloaded);
        };
        let slot = Arc::new(Slot { _permit: permit, _in_flight: self.core.metrics.in_flight() });
        // A task of its own: once a decision is begun it is carried out and recorded, whether the caller waits or not.
        let life = tokio::spawn(live(Arc::clone(&self.core), line, taken, slot));
        life.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request ended in a panic");
            self.fault(Fault::Panicked)
        })
    }

    fn fault(&self, fault: Fault) -> Response<GateBody> {
        let reason = match fault {
            Fault::Panicked => {
                self.core.metrics.panicked();
                Reason::InternalError
            }
            Fault::Overloaded => Reason::GateOverloaded,
        };
        self.core.metrics.decided(DecisionKind::Deny, Some(reason));
        match Answer::fault(reason, &"", None) {
            Answer::Refuse(refused) => respond(answer::refusal(&refused, &self.core.gate.get().id, ToCover::default())),
            Answer::Forward(_) | Answer::Mint(_) => empty(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    fn accepting(&self, well: bool) {
        if !well {
            self.core.metrics.accept_failed();
        }
        self.core.health.accepting(well);
    }
}

/// Steps 1 to 8.
async fn live(core: Arc<Core>, line: Line, taken: Result<Intake, IntakeError>, slot: Arc<Slot>) -> Response<GateBody> {
    let taken = match taken {
        Ok(taken) => taken,
        Err(error) => {
            let mut response = refuse(&core, &line, &slot, error.reason(), error.to_string()).await;
            response.extensions_mut().insert(CloseAfter);
            return response;
        }
    };
    if let Some(page) = page::asked_for(&taken) {
        return page;
    }
    if let Some(status) = status::asked_for(&core, &taken).await {
        return status;
    }
    // Made before the request is judged, so that an allow cannot fail on it.
    let mut fields = match fields_to_send(&core, &line, &taken) {
        Ok(fields) => fields,
        Err(error) => return refuse(&core, &line, &slot, Reason::HeaderInvalid, error.to_string()).await,
    };
    let Decided { answer, to_cover, redacted, rules } = decide(&core, &taken, &slot).await;
    core.metrics.decision_took(line.arrived.elapsed());
    match answer {
        Answer::Forward(allowed) => {
            let Intake { method, path, query, body, .. } = taken;
            let body = headers::with_body(&mut fields, body, redacted);
            if rules.is_some() {
                headers::ask_for_whole(&mut fields);
            }
            let outbound = Outbound { method, path, query, headers: fields, body };
            forward(&core, *allowed, outbound, rules, &line, slot).await
        }
        Answer::Mint(minted) => mint(&core, &minted, &line),
        Answer::Refuse(refused) => {
            core.webhook.tell(&refused, &core.gate.get().id, core.env.now());
            refusal(&core, &refused, to_cover, &line)
        }
    }
}

/// An allowed request that asked for a one-action pass is over with it.
fn mint(core: &Core, minted: &Minted, line: &Line) -> Response<GateBody> {
    core.metrics.decided(DecisionKind::Allow, None);
    let response = respond(answer::minted(minted));
    tracing::info!(
        target: "passgate::decision",
        decision = "allow",
        reason = "none",
        detail = "a one-action pass was minted",
        attestation_id = minted.attestation_id,
        agent = %inert(&minted.agent_id),
        action = %inert(&minted.action),
        method = %inert(&line.method),
        path = %inert(&line.path),
        status = response.status().as_u16(),
        ms = elapsed_ms(line),
        "decision"
    );
    response
}

fn fields_to_send(core: &Core, line: &Line, taken: &Intake) -> Result<Vec<(String, Vec<u8>)>, HeaderError> {
    let mut fields = headers::forwardable(&taken.headers)?;
    fields.extend(headers::proxy_claims(line.peer.ip(), core.limits.intake.scheme, taken.authority.as_deref()));
    Ok(fields)
}

/// A request after steps 1 to 7.
struct Decided {
    answer: Answer,
    /// What a proof of it has to cover.
    to_cover: ToCover,
    /// The body to forward instead of its own.
    redacted: Option<Vec<u8>>,
    /// What the response is held against.
    rules: Option<ResponseRules>,
}

/// Steps 1 to 7.
async fn decide(core: &Arc<Core>, taken: &Intake, slot: &Arc<Slot>) -> Decided {
    let headers: Vec<Header<'_>> = taken.headers.iter().map(|(name, value)| Header { name, value }).collect();
    let raw = RawRequest {
        method: &taken.method,
        authority: taken.authority.as_deref(),
        path: &taken.path,
        query: taken.query.as_deref(),
        headers: &headers,
        body: &taken.body,
    };
    let drawn = core.env.stamp().and_then(|stamp| Ok((stamp, core.env.seed()?)));
    let (answer, redacted, rules) = match drawn {
        Ok((stamp, seed)) => judge_and_admit(core, &raw, stamp, &seed, slot).await,
        Err(error) => (Answer::fault(Reason::InternalError, &error, None), None, None),
    };
    let to_cover = ToCover::of(&raw).answering(core.gate.get().challenge(core.env.now()));
    Decided { answer, to_cover, redacted, rules }
}

/// Steps 1 to 7; once more where the state knows the agent better than it was judged. The bytes are the body to forward
/// instead of the request's own, the rules those of its response.
async fn judge_and_admit(
    core: &Arc<Core>,
    raw: &RawRequest<'_>,
    stamp: Stamp,
    seed: &Seed,
    slot: &Arc<Slot>,
) -> (Answer, Option<Vec<u8>>, Option<ResponseRules>) {
    let mut conduct = Conduct::default();
    for _ in 0..MAX_JUDGED {
        let (case, redacted, rules) = match judge(core, raw, stamp, conduct, seed).await {
            Ok(judged) => judged,
            Err(refusal) => return (record(core, refusal, stamp, slot).await, None, None),
        };
        let driver = Arc::clone(&core.driver);
        let decision = async move { driver.admit(case.into_case(), stamp).await };
        let request_bytes = redacted.as_ref().map_or(raw.body.len(), Vec::len);
        match within_deadline(core, decision, request_bytes, slot).await {
            Ok(answer) => return (answer, redacted, rules),
            Err(Misjudged(as_it_is)) => conduct = as_it_is,
        }
    }
    (Answer::unsettled(), None, None)
}

/// Records and answers a refusal of a request that cannot be judged.
async fn refuse(core: &Arc<Core>, line: &Line, slot: &Arc<Slot>, reason: Reason, detail: String) -> Response<GateBody> {
    let early = Refusal::early(&line.method, &line.path, reason, detail);
    let answer = match core.env.stamp() {
        Ok(stamp) => record(core, RefusalRecord::new(&core.gate.get(), &early, stamp.now), stamp, slot).await,
        Err(error) => Answer::fault(Reason::InternalError, &error, None),
    };
    core.metrics.decision_took(line.arrived.elapsed());
    match answer {
        Answer::Refuse(refused) => refusal(core, &refused, ToCover::default(), line),
        // Refusing never makes an allow; if it did, nothing would be sent.
        Answer::Forward(_) | Answer::Mint(_) => empty(StatusCode::SERVICE_UNAVAILABLE),
    }
}

async fn record(core: &Arc<Core>, refusal: RefusalRecord, stamp: Stamp, slot: &Arc<Slot>) -> Answer {
    let driver = Arc::clone(&core.driver);
    let decision = async move { Ok(driver.record_refusal(&refusal, stamp).await) };
    let recorded = within_deadline(core, decision, 0, slot).await;
    recorded.unwrap_or_else(|Misjudged(_)| Answer::unsettled())
}

/// A decision that comes too late is none. The store may have begun it all the same, so it is carried on, to settle it
/// should it have become an allow.
async fn within_deadline(
    core: &Arc<Core>,
    decision: impl Future<Output = Result<Answer, Misjudged>> + Send + 'static,
    request_bytes: usize,
    slot: &Arc<Slot>,
) -> Result<Answer, Misjudged> {
    let mut decision = Box::pin(decision);
    let answer = match tokio::time::timeout(core.limits.decision_timeout, decision.as_mut()).await {
        Ok(decided) => decided?,
        Err(_) => {
            tokio::spawn(carry_on(Arc::clone(core), decision, request_bytes, Arc::clone(slot)));
            Answer::fault(Reason::StoreUnavailable, &"no decision within the deadline", None)
        }
    };
    match &answer {
        Answer::Forward(_) | Answer::Mint(_) => core.health.store_write(true),
        Answer::Refuse(refused) if refused.attestation_id.is_some() => core.health.store_write(true),
        Answer::Refuse(refused) if refused.reason == Reason::StoreUnavailable => {
            core.metrics.append_failed();
            core.unrecorded.note(core.env.now().rfc3339());
            core.health.store_write(false);
        }
        Answer::Refuse(refused) if refused.reason.is_decided() => core.metrics.refusal_folded(),
        Answer::Refuse(_) => {}
    }
    Ok(answer)
}

fn refusal(core: &Core, refused: &Refused, to_cover: ToCover, line: &Line) -> Response<GateBody> {
    core.metrics.decided(refused.decision, Some(refused.reason));
    let response = respond(answer::refusal(refused, &core.gate.get().id, to_cover));
    tracing::info!(
        target: "passgate::decision",
        decision = refused.decision.as_str(),
        reason = refused.reason.code(),
        detail = %inert(&refused.detail),
        attestation_id = refused.attestation_id.as_deref().unwrap_or("none"),
        agent = %inert(refused.agent_id.as_deref().unwrap_or("none")),
        action = %inert(refused.action.as_deref().unwrap_or("none")),
        method = %inert(&line.method),
        path = %inert(&line.path),
        status = response.status().as_u16(),
        ms = elapsed_ms(line),
        "decision"
    );
    response
}

pub(super) fn elapsed_ms(line: &Line) -> u64 {
    u64::try_from(line.arrived.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The response without its transport, on hyper.
pub(super) fn respond(given: answer::Response) -> Response<GateBody> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(given.body))));
    *response.status_mut() = StatusCode::from_u16(given.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    add_fields(&mut response, given.headers);
    response
}

/// Adds fields whose names and values the gate made itself.
pub(super) fn add_fields<B>(response: &mut Response<B>, fields: Vec<(&'static str, String)>) {
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
}

fn empty(status: StatusCode) -> Response<GateBody> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}
