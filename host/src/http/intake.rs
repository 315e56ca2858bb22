//! Turns what arrived into one owned, unambiguous request, or refuses it.
//!
//! [`intake`] works in this order; each step refuses with its own [`IntakeError`]:
//!
//! 1. the request head is within its limits;
//! 2. the method is one a gate forwards, and nothing asks to leave HTTP;
//! 3. the body's framing has one reading (RFC 9112 section 6);
//! 4. the request target is in origin or absolute form and canonical (see [`passgate_core::path`]);
//! 5. every statement of the authority agrees;
//! 6. the body arrives complete, within its size and its time; trailers are dropped.
//!
//! Header values cannot contain NUL, CR or LF: the types of the `http` crate exclude them. The protocol library drops a
//! `Content-Length` that comes with a `Transfer-Encoding` and closes the connection after the answer, as RFC 9112
//! section 6.3 permits, so the conflict is not visible here; nothing of the client's framing is sent on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use passgate_core::path::{self, PathError};
use passgate_core::reason::Reason;

use super::BoxError;
use super::authority::{self, Scheme};

/// Longest method accepted, in bytes; the longest registered one has 16.
const MAX_METHOD_BYTES: usize = 32;

/// Per-field overhead counted beside name and value, as HTTP/2 does (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD_BYTES: usize = 32;

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
    /// The defaults for a gate reached under `scheme`: 1 MiB body within 30 s, 64 KiB and 100 header fields.
    #[must_use]
    pub fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            max_body_bytes: 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            max_header_bytes: 64 * 1024,
            max_header_count: 100,
        }
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
    /// Host and port in the form of [`authority::normalise`]; `None` only for HTTP/1.0 without a `Host`.
    pub authority: Option<String>,
    /// Header fields with lower-case names in order of first appearance; a name may repeat. Cookie fields that HTTP/2
    /// split are joined (RFC 9113 section 8.2.3).
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body without transfer coding; a content coding is left as it is.
    pub body: Bytes,
}

/// Why a request was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntakeError {
    /// Too many header fields, or too many bytes of them.
    #[error("the header fields are too large")]
    HeadersTooLarge,
    /// `CONNECT`, `TRACE` or a method of absurd length.
    #[error("the method is not supported")]
    Method,
    /// The client asks to switch protocols: `Upgrade`, `Connection: upgrade`, `HTTP2-Settings`.
    #[error("protocol upgrades are not supported")]
    Upgrade,
    /// A transfer coding other than exactly `chunked`.
    #[error("the transfer coding is not supported")]
    TransferEncoding,
    /// `Transfer-Encoding` where it must not be: in HTTP/1.0 or HTTP/2, or beside a `Content-Length`.
    #[error("the framing of the body is ambiguous")]
    Framing,
    /// `Content-Length` is not one plain decimal number.
    #[error("the content length is invalid")]
    ContentLength,
    /// The request target is `*` or an authority, or names a scheme that is not the gate's.
    #[error("the form of the request target is not supported")]
    TargetForm,
    /// The request target has more than one reading.
    #[error("the request target is not canonical: {0}")]
    Target(PathError),
    /// No authority where the protocol version demands one.
    #[error("the request names no host")]
    AuthorityMissing,
    /// More than one `Host` field.
    #[error("the request has more than one host field")]
    AuthorityDuplicate,
    /// An authority that [`authority::normalise`] does not accept.
    #[error("the host is invalid")]
    AuthorityInvalid,
    /// `Host` and the request target name different authorities.
    #[error("the host and the request target disagree")]
    AuthorityMismatch,
    /// The body is, or says it is, longer than [`IntakeLimits::max_body_bytes`].
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body was not complete after [`IntakeLimits::body_timeout`].
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The body ended early or its chunks are malformed.
    #[error("the body could not be read")]
    BodyUnreadable,
}

impl IntakeError {
    /// Under which of the stable reasons the refusal is recorded and answered.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::HeadersTooLarge => Reason::HeadersTooLarge,
            Self::Method => Reason::MethodUnsupported,
            Self::Upgrade => Reason::UpgradeUnsupported,
            Self::TransferEncoding => Reason::TransferEncodingUnsupported,
            Self::Target(error) if error.is_length() => Reason::TargetTooLong,
            Self::Target(_) | Self::TargetForm => Reason::PathNotCanonical,
            Self::AuthorityMissing | Self::AuthorityDuplicate | Self::AuthorityInvalid | Self::AuthorityMismatch => {
                Reason::HostMismatch
            }
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::BodyTimeout => Reason::BodyTimeout,
            Self::Framing | Self::ContentLength | Self::BodyUnreadable => Reason::RequestMalformed,
        }
    }
}

/// Takes one request in, reading its whole body.
///
/// # Errors
///
/// The [`IntakeError`] of the first step of the module's list that refuses. Its response must be marked
/// [`CloseAfter`](super::server::CloseAfter): the body may be unread, and a client that framed it differently would see
/// the rest of it taken for a request.
pub async fn intake<B>(request: Request<B>, limits: &IntakeLimits) -> Result<Intake, IntakeError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (head, body) = request.into_parts();
    // 1, 2
    check_size(&head.headers, limits)?;
    check_method(&head.method)?;
    refuse_upgrade(&head.headers)?;
    // 3
    let declared = check_framing(&head.headers, head.version)?;
    // 4
    let (path, query) = target(&head.uri)?;
    // 5
    let authority = authority_of(&head.uri, &head.headers, head.version, limits.scheme)?;
    // 6
    let read = read_body(body, declared, limits.max_body_bytes);
    let body = tokio::time::timeout(limits.body_timeout, read).await.map_err(|_| IntakeError::BodyTimeout)??;
    Ok(Intake {
        method: head.method.as_str().to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        authority,
        headers: owned_headers(&head.headers, head.version),
        body,
    })
}

fn check_size(headers: &HeaderMap, limits: &IntakeLimits) -> Result<(), IntakeError> {
    let field =
        |(name, value): (&header::HeaderName, &HeaderValue)| name.as_str().len() + value.len() + FIELD_OVERHEAD_BYTES;
    let bytes: usize = headers.iter().map(field).sum();
    if headers.len() > limits.max_header_count || bytes > limits.max_header_bytes {
        return Err(IntakeError::HeadersTooLarge);
    }
    Ok(())
}

fn check_method(method: &Method) -> Result<(), IntakeError> {
    // Some origins take methods in any case, so `trace` is as good as `TRACE`.
    let refused = ["CONNECT", "TRACE"].iter().any(|name| method.as_str().eq_ignore_ascii_case(name));
    if refused || method.as_str().len() > MAX_METHOD_BYTES {
        return Err(IntakeError::Method);
    }
    Ok(())
}

fn refuse_upgrade(headers: &HeaderMap) -> Result<(), IntakeError> {
    let listed = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|token| token.eq_ignore_ascii_case(b"upgrade") || token.eq_ignore_ascii_case(b"http2-settings"));
    if listed || headers.contains_key(header::UPGRADE) || headers.contains_key("http2-settings") {
        return Err(IntakeError::Upgrade);
    }
    Ok(())
}

/// The length that the head declares, if it declares one.
fn check_framing(headers: &HeaderMap, version: Version) -> Result<Option<u64>, IntakeError> {
    let length = content_length(headers)?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(length);
    };
    if version != Version::HTTP_11 || length.is_some() {
        return Err(IntakeError::Framing);
    }
    let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !chunked || codings.next().is_some() {
        return Err(IntakeError::TransferEncoding);
    }
    Ok(None)
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, IntakeError> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let text = value.to_str().map_err(|_| IntakeError::ContentLength)?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(IntakeError::ContentLength);
        }
        let value: u64 = text.parse().map_err(|_| IntakeError::ContentLength)?;
        if length.is_some_and(|earlier| earlier != value) {
            return Err(IntakeError::ContentLength);
        }
        length = Some(value);
    }
    Ok(length)
}

/// Path and query of a target in origin form, or of one in absolute form (RFC 9112 section 3.2).
fn target(uri: &Uri) -> Result<(&str, Option<&str>), IntakeError> {
    // The authority form has no scheme, the asterisk form no slash.
    if uri.path() == "*" || (uri.authority().is_some() && uri.scheme().is_none()) {
        return Err(IntakeError::TargetForm);
    }
    path::check(uri.path(), uri.query()).map_err(IntakeError::Target)?;
    Ok((uri.path(), uri.query()))
}

fn authority_of(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
    scheme: Scheme,
) -> Result<Option<String>, IntakeError> {
    if let Some(stated) = uri.scheme_str() {
        // Over HTTP/2 a TLS terminator in front may state either scheme of its own connection.
        let known = ["http", "https"].contains(&stated);
        if !known || (version != Version::HTTP_2 && stated != scheme.as_str()) {
            return Err(IntakeError::TargetForm);
        }
    }
    let normal = |text: &str| authority::normalise(text, scheme).ok_or(IntakeError::AuthorityInvalid);
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(IntakeError::AuthorityDuplicate);
    }
    let host = host.map(|value| normal(value.to_str().map_err(|_| IntakeError::AuthorityInvalid)?)).transpose()?;
    let target = uri.authority().map(|value| normal(value.as_str())).transpose()?;
    match (host, target) {
        (Some(host), Some(target)) if host != target => Err(IntakeError::AuthorityMismatch),
        // An HTTP/1.1 request must have a Host field even beside an absolute target (RFC 9112 section 3.2).
        (None, _) if version == Version::HTTP_11 => Err(IntakeError::AuthorityMissing),
        (None, None) if version == Version::HTTP_2 => Err(IntakeError::AuthorityMissing),
        (host, target) => Ok(target.or(host)),
    }
}

async fn read_body<B>(mut body: B, declared: Option<u64>, max_bytes: usize) -> Result<Bytes, IntakeError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max_bytes)) {
        return Err(IntakeError::BodyTooLarge);
    }
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

fn owned_headers(headers: &HeaderMap, version: Version) -> Vec<(String, Vec<u8>)> {
    let join_cookies = version == Version::HTTP_2;
    let mut owned = Vec::with_capacity(headers.len());
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in headers {
        if join_cookies && name == header::COOKIE {
            cookies.push(value.as_bytes());
        } else {
            owned.push((name.as_str().to_owned(), value.as_bytes().to_vec()));
        }
    }
    if !cookies.is_empty() {
        owned.push((header::COOKIE.as_str().to_owned(), cookies.join(&b"; "[..])));
    }
    owned
}

#[cfg(test)]
mod tests;
