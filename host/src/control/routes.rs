//! The control routes, and those of health and metrics, over hyper.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Frame, Incoming};
use passgate_api::answer::Problem;
use passgate_api::http::control::{Controlled, OperationError, respond};
use passgate_api::http::documents::from_body;
use passgate_api::http::reply::{Body, Pieces, Reply};
use passgate_api::http::route::{Route, RouteError};
use passgate_api::view;
use serde_json::json;

use super::{Control, Operations};
use crate::http::server::CloseAfter;
use crate::metrics;

/// The body of an answer.
pub(super) type ControlBody = Either<Full<Bytes>, Streamed>;

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// Everything.
    All,
    /// Health and metrics alone.
    Observing,
}

/// Answers one request.
pub(super) async fn answer(control: &Control, surface: Surface, request: Request<Incoming>) -> Response<ControlBody> {
    if let Some(reply) = observed(control, request.method(), request.uri().path()) {
        return written(reply);
    }
    if surface == Surface::Observing {
        return written(RouteError::NotFound.into());
    }
    let (head, body) = request.into_parts();
    let route = match Route::parse(head.method.as_str(), head.uri.path()) {
        Ok(route) => route,
        Err(error) => return written(error.into()),
    };
    let body = if route.method() == "GET" { Ok(Bytes::new()) } else { read(body, route.max_body_bytes()).await };
    match body {
        Ok(body) => written(replied(&control.operations, route, head.uri.query(), &body).await),
        Err(reply) => {
            let mut response = written(reply);
            // What is left of the body must not be taken for a request.
            response.extensions_mut().insert(CloseAfter);
            response
        }
    }
}

/// Routes of plugins are the native gateway's own; all others are those of every gate.
async fn replied(operations: &Arc<Operations>, route: Route, query: Option<&str>, body: &[u8]) -> Reply {
    let changed = match route {
        Route::PluginKey(of) => {
            return match operations.plugin_key(&of).await {
                Ok(Some(value)) => Reply::new(200, "application/octet-stream", Body::Whole(value)),
                Ok(None) => Reply::not_found("the plugin has no such key"),
                Err(error) => error.into(),
            };
        }
        Route::RotateKey => {
            let rotated =
                async { operations.rotate_key(&from_body(body, Route::RotateKey.max_body_bytes())?).await }.await;
            return rotated.map_or_else(Reply::from, |rotated| Reply::json(200, &rotated));
        }
        Route::PutPluginKey(of) => operations.set_plugin_key(&of, Some(body.to_vec())).await,
        Route::DeletePluginKey(of) => operations.set_plugin_key(&of, None).await,
        route => return respond(Arc::clone(operations) as Arc<dyn Controlled>, route, query, body).await,
    };
    let record = changed.and_then(|jws| Ok(view::attestation_json(&jws)?));
    record.map_or_else(Reply::from, |record| Reply::json_text(200, record))
}

/// Health and metrics, when the path is one of theirs.
fn observed(control: &Control, method: &Method, path: &str) -> Option<Reply> {
    let known = ["/healthz", "/readyz", "/metrics"].contains(&path);
    if known && ![Method::GET, Method::HEAD].contains(method) {
        return Some(RouteError::MethodNotAllowed { allow: "GET".to_owned() }.into());
    }
    match path {
        "/healthz" => Some(health(control.health.store_is_up(), control)),
        "/readyz" => Some(health(control.health.is_ready(), control)),
        "/metrics" => Some(shown_metrics(control)),
        _ => None,
    }
}

fn health(well: bool, control: &Control) -> Reply {
    let store = if control.health.store_is_up() { "up" } else { "failing" };
    let (status, word) = if well { (200, "ok") } else { (503, "failing") };
    Reply::json(status, &json!({ "status": word, "store": store }))
}

fn shown_metrics(control: &Control) -> Reply {
    match control.metrics.encode() {
        Ok(text) => Reply::new(200, metrics::MEDIA_TYPE, Body::Whole(text.into_bytes())),
        Err(_) => Reply::problem(&Problem::new(500, "internal_error", "The metrics could not be written.")),
    }
}

async fn read(body: Incoming, max_bytes: usize) -> Result<Bytes, Reply> {
    if usize::try_from(body.size_hint().lower()).map_or(true, |declared| declared > max_bytes) {
        return Err(Reply::too_large());
    }
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Reply::too_large()),
        Err(_) => Err(Reply::bad_request("the body could not be read")),
    }
}

/// The reply on hyper.
pub(super) fn written(reply: Reply) -> Response<ControlBody> {
    let body = match reply.body {
        Body::Whole(bytes) => Either::Left(Full::new(Bytes::from(bytes))),
        Body::Pieces(pieces) => Either::Right(Streamed(pieces)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response
}

/// Pieces as a body. An error among them breaks the connection off.
pub(super) struct Streamed(Pieces);

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = OperationError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OperationError>>> {
        self.0.as_mut().poll_next(context).map(|piece| piece.map(|bytes| Ok(Frame::data(Bytes::from(bytes?)))))
    }
}
