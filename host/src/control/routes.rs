//! The routes of the control plane.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query as QueryString, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{StatusCode, header};
use passgate_api::answer::{PROBLEM_MEDIA_TYPE, Problem};
use passgate_core::state::Subject;
use passgate_passport::jwk::emit_set;
use passgate_store::StoreError;
use serde::Serialize;
use serde_json::json;

use super::Control;
use super::export::Export;
use super::operations::OperationError;
use crate::metrics;
use passgate_api::http::documents::{DocumentError, ExportFormat, Query, Revocation, from_body};

/// The longest request body, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// Everything.
pub(super) fn all(control: Control) -> Router {
    Router::new()
        .route("/v1/attestations", get(query))
        .route("/v1/attestations/export", get(export))
        .route("/v1/attestations/{id}", get(attestation))
        .route("/v1/keys", get(keys))
        .route("/v1/revocations", post(revoke).get(revocation))
        .route("/v1/passports/{id}/revoke", post(revoke_passport))
        .with_state(control.clone())
        .merge(observing(control))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// Health and metrics alone.
pub(super) fn observing(control: Control) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(control)
}

/// A problem document as a response.
struct Failed(Box<Problem>);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, PROBLEM_MEDIA_TYPE)], self.0.to_json()).into_response()
    }
}

impl Failed {
    fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self(Box::new(Problem::new(status.as_u16(), code, title)))
    }

    fn detail(mut self, detail: impl ToString) -> Self {
        self.0.detail = Some(detail.to_string());
        self
    }

    fn bad_request(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request_malformed", "The request is malformed.").detail(detail)
    }

    fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such thing here.").detail(detail)
    }
}

impl From<OperationError> for Failed {
    fn from(error: OperationError) -> Self {
        let detail = error.to_string();
        let (status, code, title) = match error {
            OperationError::Document(_) => return Self::bad_request(detail),
            OperationError::Store(StoreError::Corrupt(_)) | OperationError::View(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "store_corrupt", "What is stored cannot be read.")
            }
            OperationError::Store(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "The state cannot be reached.")
            }
            OperationError::Random(_) | OperationError::BrokenOff => {
                (StatusCode::SERVICE_UNAVAILABLE, "internal_error", "The gate failed.")
            }
        };
        Self::new(status, code, title).detail(detail)
    }
}

impl From<DocumentError> for Failed {
    fn from(error: DocumentError) -> Self {
        Self::bad_request(error)
    }
}

impl From<QueryRejection> for Failed {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

type Answer = Result<Response, Failed>;
type MaybeQuery<T> = Result<QueryString<T>, QueryRejection>;

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let unwritten = |error: serde_json::Error| {
        Failed::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "The answer could not be written.")
            .detail(error)
    };
    let body = serde_json::to_vec(value).map_err(unwritten)?;
    let fields = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((status, fields, body).into_response())
}

async fn query(State(control): State<Control>, query: MaybeQuery<Query>) -> Answer {
    let QueryString(query) = query?;
    if query.format.is_some() {
        return Err(Failed::bad_request("`format` belongs to an export"));
    }
    json(StatusCode::OK, &control.operations.query(&query).await?)
}

async fn attestation(State(control): State<Control>, Path(id): Path<String>) -> Answer {
    let found = control.operations.attestation(&id).await?;
    json(StatusCode::OK, &found.ok_or_else(|| Failed::not_found("no attestation has this id"))?)
}

async fn export(State(control): State<Control>, query: MaybeQuery<Query>) -> Answer {
    let QueryString(query) = query?;
    if query.limit.is_some() || query.cursor.is_some() {
        return Err(Failed::bad_request("an export has neither `limit` nor `cursor`"));
    }
    let (filter, format) = (query.filter()?, query.format.unwrap_or_default());
    let body = Body::new(Export::start(control.operations, format, filter));
    let kind = match format {
        ExportFormat::Jsonl => "application/jsonl",
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
    };
    let fields = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::OK, fields, body).into_response())
}

async fn keys(State(control): State<Control>) -> Response {
    ([(header::CONTENT_TYPE, "application/jwk-set+json")], emit_set([control.operations.key()])).into_response()
}

async fn revoke(State(control): State<Control>, body: Bytes) -> Answer {
    let what: Revocation = from_body(&body, MAX_BODY_BYTES)?;
    json(StatusCode::CREATED, &control.operations.revoke(&what).await?)
}

async fn revocation(State(control): State<Control>, of: MaybeQuery<Revocation>) -> Answer {
    let QueryString(of) = of?;
    json(StatusCode::OK, &control.operations.revocation(&of).await?)
}

async fn revoke_passport(State(control): State<Control>, Path(id): Path<String>) -> Answer {
    let what = Revocation::try_from(Subject::Passport(id))?;
    json(StatusCode::CREATED, &control.operations.revoke(&what).await?)
}

async fn healthz(State(control): State<Control>) -> Answer {
    health(control.health.store_is_up(), &control)
}

async fn readyz(State(control): State<Control>) -> Answer {
    health(control.health.is_ready(), &control)
}

fn health(well: bool, control: &Control) -> Answer {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let store = if control.health.store_is_up() { "up" } else { "failing" };
    json(status, &json!({ "status": if well { "ok" } else { "failing" }, "store": store }))
}

async fn show_metrics(State(control): State<Control>) -> Response {
    match control.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// An answer that no route gave.
pub(super) fn failure(status: StatusCode, code: &'static str, title: &'static str) -> Response {
    Failed::new(status, code, title).into_response()
}

async fn not_found() -> Failed {
    Failed::not_found("no route of the control plane has this path")
}

async fn method_not_allowed() -> Failed {
    Failed::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The route has no such method.")
}
