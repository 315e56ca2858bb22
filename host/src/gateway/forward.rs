//! Step 8: an allowed request goes upstream and its response comes back, looked at where the policy says so.

use std::sync::Arc;

use http::Response;
use http_body_util::Either;
use passgate_api::answer;
use passgate_api::driver::Forward;
use passgate_core::attest::DecisionKind;
use passgate_core::pipeline::{Permit, ResponseRules};
use tokio::time::Instant;

use super::Core;
use super::handler::{GateBody, Line, Slot, add_fields, elapsed_ms, respond};
use super::look::{GoesBack, Looked, look};
use super::settle::Settlement;
use crate::http::upstream::{Answer, BodyEnd, Outbound, Upstream, UpstreamError};
use crate::logging::inert;

/// Forwards and gives the response: as soon as its head is there, or held against `rules` once it is read. The outcome is
/// recorded when its body has ended.
pub(super) async fn forward(
    core: &Arc<Core>,
    allowed: Forward,
    outbound: Outbound,
    rules: Option<ResponseRules>,
    line: &Line,
    slot: Arc<Slot>,
) -> Response<GateBody> {
    core.metrics.decided(DecisionKind::Allow, None);
    let fields = answer::allow_fields(&allowed.attestation_id, &allowed.rates);
    let Forward { permit, attestation_id, agent_id, action, .. } = allowed;
    let mut settlement = Settlement::open(core, attestation_id.clone(), outbound.body.len(), slot);
    let response = match exchange(core, permit, outbound, rules, &mut settlement).await {
        Ok(Looked::GoesBack(back)) => {
            let GoesBack { status, headers, body, report } = *back;
            settlement.follow(report);
            let mut response = Response::new(Either::Right(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            add_fields(&mut response, fields);
            response
        }
        Ok(Looked::Withheld { status, reason }) => {
            tracing::warn!(
                reason = reason.code(),
                decision_id = attestation_id,
                "the response to an allowed request is withheld"
            );
            settlement.withheld();
            respond(answer::withheld(reason, status.as_u16(), fields))
        }
        Err(error) => {
            tracing::warn!(%error, code = error.code(), "an allowed request got no answer from upstream");
            settlement.failed(&error);
            respond(answer::upstream_failure(error.status().as_u16(), error.code(), title(&error), fields))
        }
    };
    tracing::info!(
        target: "passgate::decision",
        decision = "allow",
        reason = "none",
        attestation_id,
        agent = %inert(&agent_id),
        action = %inert(&action),
        method = %inert(&line.method),
        path = %inert(&line.path),
        status = response.status().as_u16(),
        ms = elapsed_ms(line),
        "decision"
    );
    response
}

/// Sends the request, and holds what comes back against `rules`.
async fn exchange(
    core: &Core,
    permit: Permit,
    outbound: Outbound,
    rules: Option<ResponseRules>,
    settlement: &mut Settlement,
) -> Result<Looked, UpstreamError> {
    let (sent, method) = (Instant::now(), outbound.method.clone());
    let answer = send(&core.upstream, permit, outbound).await?;
    core.metrics.upstream_took(sent.elapsed());
    settlement.answered(answer.status.as_u16());
    match rules {
        Some(rules) => look(core, &rules, &method, answer, settlement).await,
        None => Ok(Looked::as_it_comes(answer)),
    }
}

/// Takes the permit with it: what was allowed once is sent once.
async fn send(upstream: &Upstream, permit: Permit, outbound: Outbound) -> Result<Answer, UpstreamError> {
    let _spent = permit;
    upstream.send(outbound).await
}

fn title(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Unsendable => "The allowed request could not be sent as it was judged.",
        UpstreamError::Connect(_) => "The API behind the gate cannot be reached.",
        UpstreamError::HeadTimeout | UpstreamError::CutOff(BodyEnd::IdleTimeout | BodyEnd::TotalTimeout) => {
            "The API behind the gate did not answer in time."
        }
        UpstreamError::ResponseTooLarge | UpstreamError::CutOff(BodyEnd::TooLarge) => {
            "The response of the API behind the gate is too large."
        }
        _ => "The exchange with the API behind the gate failed.",
    }
}
