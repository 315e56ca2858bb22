//! How a request for approval stands, for whoever waits for it: `GET /.passgate/v1/approvals/{id}/status`.
//!
//! Below that prefix a gate at the edge has all its control routes; here this is the only one. It hides a path of the upstream's
//! from callers without a passport alone, as the page at `/verify` does: a request with a passport is an agent's.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use passgate_api::http::control::{Controlled, respond};
use passgate_api::http::reply::{Body, Reply};
use passgate_api::http::route::Route;

use super::Core;
use super::handler::GateBody;
use crate::http::intake::Intake;

const PREFIX: &str = "/.passgate";
/// The field that makes a request an agent's.
const PASSPORT: &str = "agent-passport";

/// The answer, if that is what is asked for.
pub(super) async fn asked_for(core: &Core, taken: &Intake) -> Option<Response<GateBody>> {
    let path = taken.path.strip_prefix(PREFIX)?;
    if taken.headers.iter().any(|(name, _)| name == PASSPORT) {
        return None;
    }
    let route = Route::parse(&taken.method, path).ok().filter(|route| matches!(route, Route::ApprovalStatus(_)))?;
    let gate = Arc::clone(&core.operations) as Arc<dyn Controlled>;
    Some(written(respond(gate, route, None, &[]).await))
}

fn written(reply: Reply) -> Response<GateBody> {
    let body = match reply.body {
        Body::Whole(bytes) => Bytes::from(bytes),
        // A status is short.
        Body::Pieces(_) => Bytes::new(),
    };
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
