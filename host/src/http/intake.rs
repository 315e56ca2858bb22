//! Turns what arrived into one owned, unambiguous request, or refuses it.
//!
//! The head is checked by [`passgate_api::http::intake`], whose list this goes on with: the body arrives complete, within
//! its size and its time; trailers are dropped.
//!
//! Header values cannot contain NUL, CR or LF: the types of the `http` crate exclude them. The protocol library drops a
//! `Content-Length` that comes with a `Transfer-Encoding` and closes the connection after the answer, as RFC 9112
//! section 6.3 permits, so the conflict is not visible here; nothing of the client's framing is sent on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http::{Request, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use passgate_api::http::authority::Scheme;
use passgate_api::http::headers::Field;
pub use passgate_api::http::intake::IntakeError;
use passgate_api::http::intake::{Head, HeadLimits, Target, Version, check, join_cookies};

use super::BoxError;

/// What one request may be.
#[derive(Debug, Clone)]
pub struct IntakeLimits {
    /// The scheme under which clients reach the gate.
    pub scheme: Scheme,
    /// Bytes of the body.
    pub max_body_bytes: usize,
    /// Time for the whole body, from the end of the head.
    pub body_timeout: Duration,
    /// Bytes of all header fields, each counted with 32 bytes of overhead.
    pub max_header_bytes: usize,
    /// Number of header fields.
    pub max_header_count: usize,
}

impl IntakeLimits {
    /// The defaults of [`HeadLimits::new`], and 30 s for the body.
    #[must_use]
    pub fn new(scheme: Scheme) -> Self {
        let HeadLimits { scheme, max_body_bytes, max_header_bytes, max_header_count } = HeadLimits::new(scheme);
        Self { scheme, max_body_bytes, body_timeout: Duration::from_secs(30), max_header_bytes, max_header_count }
    }

    fn head(&self) -> HeadLimits {
        let Self { scheme, max_body_bytes, max_header_bytes, max_header_count, .. } = *self;
        HeadLimits { scheme, max_body_bytes, max_header_bytes, max_header_count }
    }
}

/// One request, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// The method, in the client's case.
    pub method: String,
    /// The canonical path, starting with `/`.
    pub path: String,
    /// What followed the first `?`, without it; `Some("")` for a bare `?`.
    pub query: Option<String>,
    /// Host and port in their one spelling; `None` only for HTTP/1.0 without a `Host`.
    pub authority: Option<String>,
    /// Header fields with lower-case names in order of first appearance; a name may repeat. Cookie fields that HTTP/2
    /// split are joined (RFC 9113 section 8.2.3).
    pub headers: Vec<Field>,
    /// The body without transfer coding; a content coding is left as it is.
    pub body: Bytes,
}

/// Takes one request in, reading its whole body.
///
/// # Errors
///
/// The [`IntakeError`] of the first step that refuses. Its response must be marked
/// [`CloseAfter`](super::server::CloseAfter): the body may be unread, and a client that framed it differently would see
/// the rest of it taken for a request.
pub async fn intake<B>(request: Request<B>, limits: &IntakeLimits) -> Result<Intake, IntakeError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (parts, body) = request.into_parts();
    let (version, fields) = (version(parts.version), owned(&parts.headers));
    let head = Head { method: parts.method.as_str(), target: target(&parts.uri), version, fields: &fields };
    let checked = check(&head, &limits.head())?;
    let read = read_body(body, limits.max_body_bytes);
    let body = tokio::time::timeout(limits.body_timeout, read).await.map_err(|_| IntakeError::BodyTimeout)??;
    Ok(Intake {
        method: head.method.to_owned(),
        path: head.target.path.to_owned(),
        query: head.target.query.map(str::to_owned),
        authority: checked.authority,
        headers: join_cookies(fields, version),
        body,
    })
}

fn version(version: http::Version) -> Version {
    match version {
        http::Version::HTTP_09 | http::Version::HTTP_10 => Version::Http10,
        http::Version::HTTP_11 => Version::Http11,
        _ => Version::Http2,
    }
}

fn target(uri: &Uri) -> Target<'_> {
    Target {
        scheme: uri.scheme_str(),
        authority: uri.authority().map(http::uri::Authority::as_str),
        path: uri.path(),
        query: uri.query(),
    }
}

fn owned(headers: &HeaderMap) -> Vec<Field> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

async fn read_body<B>(mut body: B, max_bytes: usize) -> Result<Bytes, IntakeError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(error = %error.into(), "reading a request body failed");
            IntakeError::BodyUnreadable
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > max_bytes - collected.len() {
            return Err(IntakeError::BodyTooLarge);
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

#[cfg(test)]
mod tests;
