//! What a control route answers, without its transport.

use std::fmt;
use std::pin::Pin;

use futures_util::Stream;
use serde::Serialize;

use super::control::OperationError;
use crate::answer::{PROBLEM_MEDIA_TYPE, Problem};

/// A body that is made while it is read. An error in it means that the body is not whole, and has to break off the
/// connection: what was sent by then must not look like everything.
#[cfg(not(target_arch = "wasm32"))]
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Vec<u8>, OperationError>> + Send>>;
/// As natively; a Worker's isolate has one thread.
#[cfg(target_arch = "wasm32")]
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Vec<u8>, OperationError>>>>;

/// A body.
pub enum Body {
    /// The whole of it.
    Whole(Vec<u8>),
    /// One piece after another.
    Pieces(Pieces),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Self::Pieces(_) => f.write_str("Pieces"),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
}

impl Reply {
    /// A body of this media type that nobody may keep.
    #[must_use]
    pub fn new(status: u16, media_type: &str, body: Body) -> Self {
        let fields = vec![("content-type", media_type.to_owned()), ("cache-control", "no-store".to_owned())];
        Self { status, fields, body }
    }

    /// A JSON document.
    #[must_use]
    pub fn json(status: u16, document: &impl Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(body) => Self::json_text(status, body),
            Err(_) => Self::problem(&Problem::new(500, "internal_error", "The answer could not be written.")),
        }
    }

    /// A JSON document that is already written.
    #[must_use]
    pub fn json_text(status: u16, text: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", Body::Whole(text.into()))
    }

    /// A problem document.
    #[must_use]
    pub fn problem(problem: &Problem) -> Self {
        Self::new(problem.status, PROBLEM_MEDIA_TYPE, Body::Whole(problem.to_json()))
    }

    /// 400: the request makes no sense.
    #[must_use]
    pub fn bad_request(detail: impl ToString) -> Self {
        let problem = Problem::new(400, "request_malformed", "The request is malformed.");
        Self::problem(&Problem { detail: Some(detail.to_string()), ..problem })
    }

    /// 404.
    #[must_use]
    pub fn not_found(detail: impl ToString) -> Self {
        let problem = Problem::new(404, "not_found", "There is no such thing here.");
        Self::problem(&Problem { detail: Some(detail.to_string()), ..problem })
    }

    /// 413: the body is longer than the route takes.
    #[must_use]
    pub fn too_large() -> Self {
        Self::problem(&Problem::new(413, "body_too_large", "The body is larger than this route takes."))
    }

    /// With another field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}
