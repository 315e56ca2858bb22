//! Whether the head of a request has exactly one reading.
//!
//! [`check`] works in this order; each step refuses with its own [`IntakeError`]:
//!
//! 1. the request head is within its limits;
//! 2. the method is one a gate forwards, and nothing asks to leave HTTP;
//! 3. the body's framing has one reading (RFC 9112 section 6);
//! 4. the request target is in origin or absolute form and canonical (see [`passgate_core::path`]);
//! 5. every statement of the authority agrees;
//! 6. the body is not declared to be larger than the gate takes.
//!
//! Then whoever serves reads the body, within its size and its time, and drops trailers.

use passgate_core::path::{self, PathError};
use passgate_core::reason::Reason;

use super::authority::{self, Scheme};
use super::headers::Field;

/// Longest method accepted, in bytes; the longest registered one has 16.
const MAX_METHOD_BYTES: usize = 32;

/// Per-field overhead counted beside name and value, as HTTP/2 does (RFC 9113 section 6.5.2).
pub const FIELD_OVERHEAD_BYTES: usize = 32;

/// What one request may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadLimits {
    /// The scheme under which clients reach the gate.
    pub scheme: Scheme,
    /// Bytes of the body.
    pub max_body_bytes: usize,
    /// Bytes of all header fields, each counted with [`FIELD_OVERHEAD_BYTES`].
    pub max_header_bytes: usize,
    /// Number of header fields.
    pub max_header_count: usize,
}

impl HeadLimits {
    /// The defaults for a gate reached under `scheme`: 1 MiB body, 64 KiB and 100 header fields.
    #[must_use]
    pub fn new(scheme: Scheme) -> Self {
        Self { scheme, max_body_bytes: 1024 * 1024, max_header_bytes: 64 * 1024, max_header_count: 100 }
    }
}

/// The versions of HTTP, as far as the rules for a head differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0 and before: a request may name no host.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2 and later, which carry scheme and authority beside the fields.
    Http2,
}

/// A request target in its parts, as a parser splits it and decodes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The scheme, of the absolute form and of HTTP/2.
    pub scheme: Option<&'a str>,
    /// The authority, of the absolute form, of the authority form and of HTTP/2.
    pub authority: Option<&'a str>,
    /// The path; `*` in the asterisk form.
    pub path: &'a str,
    /// What followed the first `?`, without it; `Some("")` for a bare `?`.
    pub query: Option<&'a str>,
}

/// The head of a request as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method, in the client's case.
    pub method: &'a str,
    /// The request target.
    pub target: Target<'a>,
    /// The version.
    pub version: Version,
    /// Header fields in order. Values hold no NUL, CR or LF: parsers exclude them.
    pub fields: &'a [Field],
}

/// What a checked head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Host and port in the form of [`authority::normalise`]; `None` only for HTTP/1.0 without a `Host`.
    pub authority: Option<String>,
    /// The length of the body in bytes, when it is declared; at most [`HeadLimits::max_body_bytes`].
    pub declared_length: Option<usize>,
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
    /// The body is, or says it is, longer than [`HeadLimits::max_body_bytes`].
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body was not complete in time.
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

/// Checks the head of one request.
///
/// # Errors
///
/// The [`IntakeError`] of the first step of the module's list that refuses. The connection has to be closed after the
/// answer where that is possible: the body may be unread, and a client that framed it differently would see the rest of
/// it taken for a request.
pub fn check(head: &Head<'_>, limits: &HeadLimits) -> Result<Checked, IntakeError> {
    // 1, 2
    check_size(head.fields, limits)?;
    check_method(head.method)?;
    refuse_upgrade(head.fields)?;
    // 3
    let declared = check_framing(head)?;
    // 4
    check_target(&head.target)?;
    // 5
    let authority = authority_of(head, limits.scheme)?;
    // 6
    let fits = |length: u64| usize::try_from(length).ok().filter(|length| *length <= limits.max_body_bytes);
    let declared_length = declared.map(|length| fits(length).ok_or(IntakeError::BodyTooLarge)).transpose()?;
    Ok(Checked { authority, declared_length })
}

/// The fields with the cookie fields joined that HTTP/2 splits (RFC 9113 section 8.2.3).
#[must_use]
pub fn join_cookies(fields: Vec<Field>, version: Version) -> Vec<Field> {
    if version != Version::Http2 {
        return fields;
    }
    let (cookies, mut joined): (Vec<Field>, Vec<Field>) =
        fields.into_iter().partition(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    if !cookies.is_empty() {
        let crumbs: Vec<Vec<u8>> = cookies.into_iter().map(|(_, value)| value).collect();
        joined.push(("cookie".to_owned(), crumbs.join(&b"; "[..])));
    }
    joined
}

/// The values of the field, its name being in lower case.
fn values<'a>(fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
}

fn check_size(fields: &[Field], limits: &HeadLimits) -> Result<(), IntakeError> {
    let field = |(name, value): &Field| name.len() + value.len() + FIELD_OVERHEAD_BYTES;
    let bytes: usize = fields.iter().map(field).sum();
    if fields.len() > limits.max_header_count || bytes > limits.max_header_bytes {
        return Err(IntakeError::HeadersTooLarge);
    }
    Ok(())
}

fn check_method(method: &str) -> Result<(), IntakeError> {
    // Some origins take methods in any case, so `trace` is as good as `TRACE`.
    let refused = ["CONNECT", "TRACE"].iter().any(|name| method.eq_ignore_ascii_case(name));
    if refused || method.len() > MAX_METHOD_BYTES {
        return Err(IntakeError::Method);
    }
    Ok(())
}

fn refuse_upgrade(fields: &[Field]) -> Result<(), IntakeError> {
    let listed = values(fields, "connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|token| token.eq_ignore_ascii_case(b"upgrade") || token.eq_ignore_ascii_case(b"http2-settings"));
    let stated = ["upgrade", "http2-settings"].iter().any(|name| values(fields, name).next().is_some());
    if listed || stated { Err(IntakeError::Upgrade) } else { Ok(()) }
}

/// The length that the head declares, if it declares one.
fn check_framing(head: &Head<'_>) -> Result<Option<u64>, IntakeError> {
    let length = content_length(head.fields)?;
    let mut codings = values(head.fields, "transfer-encoding");
    let Some(coding) = codings.next() else {
        return Ok(length);
    };
    if head.version != Version::Http11 || length.is_some() {
        return Err(IntakeError::Framing);
    }
    if !coding.eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
        return Err(IntakeError::TransferEncoding);
    }
    Ok(None)
}

fn content_length(fields: &[Field]) -> Result<Option<u64>, IntakeError> {
    let mut length = None;
    for value in values(fields, "content-length") {
        let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        // The empty text has no number to parse.
        let value: u64 = digits.and_then(|text| text.parse().ok()).ok_or(IntakeError::ContentLength)?;
        if length.is_some_and(|earlier| earlier != value) {
            return Err(IntakeError::ContentLength);
        }
        length = Some(value);
    }
    Ok(length)
}

/// Only a target in origin form, or in absolute form, is one (RFC 9112 section 3.2).
fn check_target(target: &Target<'_>) -> Result<(), IntakeError> {
    // The authority form has no scheme, the asterisk form no slash.
    if target.path == "*" || (target.authority.is_some() && target.scheme.is_none()) {
        return Err(IntakeError::TargetForm);
    }
    path::check(target.path, target.query).map_err(IntakeError::Target)
}

fn authority_of(head: &Head<'_>, scheme: Scheme) -> Result<Option<String>, IntakeError> {
    let Head { target, version, fields, .. } = *head;
    if let Some(stated) = target.scheme {
        // Over HTTP/2 a TLS terminator in front may state either scheme of its own connection.
        let known = ["http", "https"].contains(&stated);
        if !known || (version != Version::Http2 && stated != scheme.as_str()) {
            return Err(IntakeError::TargetForm);
        }
    }
    let normal = |text: &str| authority::normalise(text, scheme).ok_or(IntakeError::AuthorityInvalid);
    let mut hosts = values(fields, "host");
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(IntakeError::AuthorityDuplicate);
    }
    let host =
        host.map(|value| normal(std::str::from_utf8(value).map_err(|_| IntakeError::AuthorityInvalid)?)).transpose()?;
    let target = target.authority.map(normal).transpose()?;
    match (host, target) {
        (Some(host), Some(target)) if host != target => Err(IntakeError::AuthorityMismatch),
        // An HTTP/1.1 request must have a Host field even beside an absolute target (RFC 9112 section 3.2).
        (None, _) if version == Version::Http11 => Err(IntakeError::AuthorityMissing),
        (None, None) if version == Version::Http2 => Err(IntakeError::AuthorityMissing),
        (host, target) => Ok(target.or(host)),
    }
}

#[cfg(test)]
mod tests;
