//! One request, from JavaScript's objects to bytes with one reading.
//!
//! The runtime has parsed the request before: its URL has the path in the spelling of the WHATWG URL standard, and its
//! header fields are one line a name. What it shows is what is judged and what is sent on.

use futures_util::StreamExt as _;
use passgate_api::http::headers::Field;
use passgate_api::http::intake::{self, Head, HeadLimits, IntakeError, Target, Version};
use passgate_core::pipeline::RawRequest;
use passgate_passport::http::Header;
use worker::{Headers, Request};

/// One request, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intake {
    pub(crate) line: Line,
    pub(crate) authority: Option<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Vec<u8>,
}

/// Method and target, for everything that is said about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) method: String,
    scheme: String,
    authority: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
}

impl Line {
    /// Reads the line; a URL that the runtime gives has all parts.
    pub(crate) fn of(request: &Request) -> Self {
        let (method, url) = (request.inner().method(), request.inner().url());
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url.as_str()));
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
        let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "/"));
        Self {
            method,
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
        }
    }
}

#[cfg(feature = "testing")]
impl Line {
    /// A line that no URL could carry.
    pub(crate) fn scripted(method: String, path: String, query: Option<String>) -> Self {
        Self { method, scheme: String::new(), authority: String::new(), path, query }
    }
}

/// Takes one request in, reading its whole body.
pub(crate) async fn take(mut request: Request, line: Line, limits: &HeadLimits) -> Result<Intake, IntakeError> {
    let fields = fields(request.headers()).ok_or(IntakeError::HeadersTooLarge)?;
    let target = Target {
        scheme: Some(&line.scheme),
        authority: Some(&line.authority),
        path: &line.path,
        query: line.query.as_deref(),
    };
    let head = Head { method: &line.method, target, version: Version::Http2, fields: &fields };
    let checked = intake::check(&head, limits)?;
    // The runtime's parser writes an apostrophe in a query as %27, and would send another target than was judged.
    if line.query.as_deref().is_some_and(|query| query.contains('\'')) {
        return Err(IntakeError::TargetForm);
    }
    let body = body(&mut request, limits.max_body_bytes).await?;
    // Nor does it send a body with these methods.
    if !body.is_empty() && matches!(line.method.as_str(), "GET" | "HEAD") {
        return Err(IntakeError::Framing);
    }
    Ok(Intake { line, authority: checked.authority, fields, body })
}

/// The fields as bytes. JavaScript shows each byte as one character; others cannot have come over the wire.
///
/// Without the transfer coding: the runtime has undone it, and the body is read from what is left.
fn fields(headers: &Headers) -> Option<Vec<Field>> {
    let bytes = |text: &str| text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>();
    let entries = headers.entries().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let framed = entries.filter(|(name, _)| name != "transfer-encoding");
    framed.map(|(name, value)| Some((name, bytes(&value)?))).collect()
}

/// The whole body, which is not read on beyond `max_bytes`.
pub(crate) async fn body(request: &mut Request, max_bytes: usize) -> Result<Vec<u8>, IntakeError> {
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    let mut stream = request.stream().map_err(|_| IntakeError::BodyUnreadable)?;
    let mut body = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| IntakeError::BodyUnreadable)?;
        if piece.len() > max_bytes.saturating_sub(body.len()) {
            return Err(IntakeError::BodyTooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

impl Intake {
    /// The fields as the pipeline borrows them.
    pub(crate) fn headers(&self) -> Vec<Header<'_>> {
        self.fields.iter().map(|(name, value)| Header { name, value }).collect()
    }

    /// The request as the pipeline reads it.
    pub(crate) fn raw<'a>(&'a self, headers: &'a [Header<'a>]) -> RawRequest<'a> {
        RawRequest {
            method: &self.line.method,
            authority: self.authority.as_deref(),
            path: &self.line.path,
            query: self.line.query.as_deref(),
            headers,
            body: &self.body,
        }
    }
}
