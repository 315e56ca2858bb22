//! One request, from its arrival to the head of its answer.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use passgate_api::answer;
use passgate_api::driver::{Answer, Refused};
use passgate_core::attest::DecisionKind;
use passgate_core::pipeline::{RawRequest, Refusal};
use passgate_core::reason::{Class, Reason};
use passgate_passport::http::Header;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Core;
use super::forward::forward;
use crate::http::headers::{self, HeaderError};
use crate::http::intake::{Intake, IntakeError, intake};
use crate::http::server::{CloseAfter, Fault, Handler};
use crate::http::upstream::{MeteredBody, Outbound};
use crate::logging::inert;
use crate::metrics::InFlight;

/// A document of the gate's own, or the upstream's response passing by.
pub(super) type GateBody = Either<Full<Bytes>, MeteredBody>;

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

    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<GateBody> {
        let Ok(permit) = Arc::clone(&self.core.slots).try_acquire_owned() else {
            return self.fault(Fault::Overloaded);
        };
        let slot = Slot { _permit: permit, _in_flight: self.core.metrics.in_flight() };
        let line = Line {
            method: request.method().as_str().to_owned(),
            path: request.uri().path().to_owned(),
            peer,
            arrived: Instant::now(),
        };
        let taken = intake(request, &self.core.intake).await;
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
            Answer::Refuse(refused) => respond(answer::refusal(&refused, &self.core.gate.id)),
            Answer::Forward(_) => empty(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// Steps 1 to 8.
async fn live(core: Arc<Core>, line: Line, taken: Result<Intake, IntakeError>, slot: Slot) -> Response<GateBody> {
    let unreadable = taken.is_err();
    let (answer, outbound) = match taken.map_err(intake_refusal).and_then(|taken| outbound(&core, &line, taken)) {
        Ok((taken, outbound)) => (decide(&core, &taken).await, Some(outbound)),
        Err((reason, detail)) => {
            let refusal = Refusal::early(&line.method, &line.path, reason, detail.to_owned());
            (refuse(&core, &refusal).await, None)
        }
    };
    core.metrics.decision_took(line.arrived.elapsed());
    let mut response = match (answer, outbound) {
        (Answer::Forward(allowed), Some(outbound)) => forward(&core, *allowed, outbound, &line, slot).await,
        // Without something to send there is nothing to allow; refusals never make an allow.
        (Answer::Forward(_), None) => empty(StatusCode::SERVICE_UNAVAILABLE),
        (Answer::Refuse(refused), _) => refusal(&core, &refused, &line),
    };
    if unreadable {
        response.extensions_mut().insert(CloseAfter);
    }
    response
}

/// What will be sent if the request is allowed. Made before it is judged, so that an allow cannot fail on it.
fn outbound(core: &Core, line: &Line, taken: Intake) -> Result<(Intake, Outbound), (Reason, &'static str)> {
    let scheme = core.intake.scheme;
    let mut fields = headers::forwardable(&taken.headers, &[], &[]).map_err(header_refusal)?;
    fields.extend(headers::proxy_claims(line.peer.ip(), scheme, taken.authority.as_deref()));
    let outbound = Outbound {
        method: taken.method.clone(),
        path: taken.path.clone(),
        query: taken.query.clone(),
        authority: taken.authority.clone(),
        headers: fields,
        body: taken.body.clone(),
    };
    Ok((taken, outbound))
}

async fn decide(core: &Core, taken: &Intake) -> Answer {
    let stamp = match core.env.stamp() {
        Ok(stamp) => stamp,
        Err(error) => return Answer::fault(Reason::InternalError, &error, None),
    };
    let headers: Vec<Header<'_>> = taken.headers.iter().map(|(name, value)| Header { name, value }).collect();
    let raw = RawRequest {
        method: &taken.method,
        authority: taken.authority.as_deref(),
        path: &taken.path,
        query: taken.query.as_deref(),
        headers: &headers,
        body: &taken.body,
    };
    within_deadline(core, core.driver.decide(&core.gate, &raw, stamp)).await
}

async fn refuse(core: &Core, refusal: &Refusal) -> Answer {
    match core.env.stamp() {
        Ok(stamp) => within_deadline(core, core.driver.refuse(&core.gate, refusal, stamp)).await,
        Err(error) => Answer::fault(Reason::InternalError, &error, None),
    }
}

/// A decision that comes too late is none.
async fn within_deadline(core: &Core, decision: impl Future<Output = Answer>) -> Answer {
    let answer = tokio::time::timeout(core.decision_timeout, decision)
        .await
        .unwrap_or_else(|_| Answer::fault(Reason::StoreUnavailable, &"no decision within the deadline", None));
    match &answer {
        Answer::Forward(_) => core.health.store_write(true),
        Answer::Refuse(refused) if refused.attestation_id.is_some() => core.health.store_write(true),
        Answer::Refuse(refused) if refused.reason == Reason::StoreUnavailable => {
            core.metrics.append_failed();
            core.health.store_write(false);
        }
        Answer::Refuse(refused) if refused.reason.class() != Class::Fault => core.metrics.refusal_folded(),
        Answer::Refuse(_) => {}
    }
    answer
}

fn refusal(core: &Core, refused: &Refused, line: &Line) -> Response<GateBody> {
    core.metrics.decided(refused.decision, Some(refused.reason));
    let response = respond(answer::refusal(refused, &core.gate.id));
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

fn intake_refusal(error: IntakeError) -> (Reason, &'static str) {
    let reason = match error {
        IntakeError::HeadersTooLarge => Reason::HeadersTooLarge,
        IntakeError::Method => Reason::MethodUnsupported,
        IntakeError::Upgrade => Reason::UpgradeUnsupported,
        IntakeError::TransferEncoding => Reason::TransferEncodingUnsupported,
        IntakeError::LengthRequired => Reason::LengthRequired,
        IntakeError::Target(target) if target.is_length() => Reason::TargetTooLong,
        IntakeError::Target(_) | IntakeError::TargetForm => Reason::PathNotCanonical,
        IntakeError::AuthorityMissing
        | IntakeError::AuthorityDuplicate
        | IntakeError::AuthorityInvalid
        | IntakeError::AuthorityMismatch => Reason::HostMismatch,
        IntakeError::BodyTooLarge => Reason::BodyTooLarge,
        IntakeError::BodyTimeout => Reason::BodyTimeout,
        _ => Reason::RequestMalformed,
    };
    (reason, error.code())
}

fn header_refusal(error: HeaderError) -> (Reason, &'static str) {
    (Reason::HeaderInvalid, error.code())
}

#[cfg(test)]
mod tests {
    use passgate_core::path;

    use super::*;

    #[test]
    fn refusals_keep_the_status_of_the_intake() {
        let errors = [
            IntakeError::HeadersTooLarge,
            IntakeError::Method,
            IntakeError::Upgrade,
            IntakeError::TransferEncoding,
            IntakeError::Framing,
            IntakeError::ContentLength,
            IntakeError::LengthRequired,
            IntakeError::TargetForm,
            IntakeError::Target(path::check("/..", None).unwrap_err()),
            IntakeError::Target(path::check(&"/a".repeat(8192), None).unwrap_err()),
            IntakeError::AuthorityMissing,
            IntakeError::AuthorityDuplicate,
            IntakeError::AuthorityInvalid,
            IntakeError::AuthorityMismatch,
            IntakeError::BodyTooLarge,
            IntakeError::BodyTimeout,
            IntakeError::BodyUnreadable,
        ];
        for error in errors {
            let (reason, _) = intake_refusal(error);
            assert_eq!(reason.class().status(), error.status().as_u16(), "{error:?}");
        }
    }
}
