//! The signature base (RFC 9421 section 2.5): the text that is signed.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::ProofError;
use super::input::{INPUT_FIELD, SIGNATURE_FIELD};
use super::web_bot_auth::agent::{self, SIGNATURE_AGENT_FIELD};
use crate::http::HttpRequest;

/// Room for the signature base of a usual request, whose passport has some 700 bytes. Longer ones grow.
const BASE_CAPACITY: usize = 2048;
/// Longest accepted name of a covered field in bytes.
const MAX_FIELD_NAME_BYTES: usize = 256;

/// Fields of which a covered request may have one line only. Joined, two lines would read as one value that neither
/// line said, or one reader would take the first and another the last.
const SINGLE_LINE_FIELDS: [&str; 8] = [
    "agent-action-pass",
    "agent-passport",
    "authorization",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
];

/// The covered fields of a request: name, and value as it stands in the signature base.
pub(super) type CoveredFields<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// A message component we can compute (RFC 9421 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component<'a> {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    Field(&'a str),
    /// The member of `signature-agent` with this key (RFC 9421 section 2.1.2).
    AgentMember(&'a str),
    /// The authority of the request, covered by a response to it (RFC 9421 section 2.4).
    AuthorityOfRequest,
}

impl<'a> Component<'a> {
    /// The component with this name; refuses everything we do not compute.
    pub(super) fn parse(name: &'a str) -> Result<Self, ProofError> {
        Ok(match name {
            "@method" => Self::Method,
            "@target-uri" => Self::TargetUri,
            "@authority" => Self::Authority,
            "@scheme" => Self::Scheme,
            "@request-target" => Self::RequestTarget,
            "@path" => Self::Path,
            "@query" => Self::Query,
            _ if name.starts_with('@') => {
                return Err(ProofError::coverage(name, "is not a supported component"));
            }
            INPUT_FIELD | SIGNATURE_FIELD => {
                return Err(ProofError::coverage(name, "cannot cover itself"));
            }
            _ if is_field_name(name) => Self::Field(name),
            _ => return Err(ProofError::coverage(name, "is not a lower-case field name")),
        })
    }

    /// The component's name, without its parameters.
    pub(super) fn name(&self) -> &'a str {
        match self {
            Self::Method => "@method",
            Self::TargetUri => "@target-uri",
            Self::Authority | Self::AuthorityOfRequest => "@authority",
            Self::Scheme => "@scheme",
            Self::RequestTarget => "@request-target",
            Self::Path => "@path",
            Self::Query => "@query",
            Self::Field(name) => name,
            Self::AgentMember(_) => SIGNATURE_AGENT_FIELD,
        }
    }

    /// Appends the component's identifier as written in the component list: the name with its parameters.
    pub(super) fn push_identifier(&self, out: &mut String) {
        push_quoted(out, self.name());
        match self {
            Self::AgentMember(key) => {
                out.push_str(";key=");
                push_quoted(out, key);
            }
            Self::AuthorityOfRequest => out.push_str(";req"),
            _ => {}
        }
    }
}

/// Writes the signature base; also returns the covered fields in the form they were signed in.
///
/// `params_text` is the canonical text of the component list with its parameters. The last line has no line end.
pub(super) fn build<'a>(
    request: &HttpRequest<'a>,
    components: &[Component<'a>],
    params_text: &str,
) -> Result<(String, CoveredFields<'a>), ProofError> {
    check_target(request)?;
    let mut base = String::with_capacity(BASE_CAPACITY);
    let mut covered = CoveredFields::new();
    for component in components {
        component.push_identifier(&mut base);
        base.push_str(": ");
        push_value(&mut base, &mut covered, request, *component)?;
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(params_text);
    Ok((base, covered))
}

/// Refuses targets whose parts could be cut at another place, or could end a line of the signature base.
pub(super) fn check_target(request: &HttpRequest<'_>) -> Result<(), ProofError> {
    let method = request.method;
    if method.is_empty() || !method.bytes().all(is_token_byte) {
        return Err(ProofError::malformed("method", "it is not a token"));
    }
    if request.scheme.is_empty() || !request.scheme.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(ProofError::malformed("scheme", "it must be lower-case letters"));
    }
    if request.authority.is_empty() || !request.authority.bytes().all(is_authority_byte) {
        return Err(ProofError::malformed("authority", "it must be a lower-case host with an optional port"));
    }
    if !request.path.starts_with('/')
        || !request.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#')
    {
        return Err(ProofError::malformed("path", "it must start with `/` and be visible ASCII"));
    }
    if !request.query.unwrap_or("").bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(ProofError::malformed("query", "it must be visible ASCII"));
    }
    Ok(())
}

/// The value of a field as RFC 9421 section 2.1 forms it: each line without surrounding blanks, lines joined with a
/// comma and a space. `None` when the request has no such field.
pub(super) fn field_value<'a>(request: &HttpRequest<'a>, name: &str) -> Result<Option<Cow<'a, str>>, ProofError> {
    let mut lines = request.lines(name);
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    let mut value = Cow::Borrowed(line_value(name, first)?);
    for line in lines {
        if SINGLE_LINE_FIELDS.contains(&name) {
            return Err(ProofError::malformed_field(name, "it stands on several lines"));
        }
        let joined = value.to_mut();
        joined.push_str(", ");
        joined.push_str(line_value(name, line)?);
    }
    Ok(Some(value))
}

fn push_value<'a>(
    base: &mut String,
    covered: &mut CoveredFields<'a>,
    request: &HttpRequest<'a>,
    component: Component<'a>,
) -> Result<(), ProofError> {
    match component {
        Component::Method => base.push_str(request.method),
        Component::TargetUri => base.push_str(&request.target_uri()),
        Component::Authority | Component::AuthorityOfRequest => base.push_str(request.authority),
        Component::Scheme => base.push_str(request.scheme),
        Component::RequestTarget => request.push_request_target(base),
        Component::Path => base.push_str(request.path),
        Component::Query => {
            base.push('?');
            base.push_str(request.query.unwrap_or(""));
        }
        Component::Field(name) => {
            let value = field_value(request, name)?
                .ok_or_else(|| ProofError::coverage(name, "is covered, but the request has no such field"))?;
            base.push_str(&value);
            covered.push((name, value));
        }
        // A member is not the field, so it does not count as a covered field.
        Component::AgentMember(key) => push_quoted(base, agent::member(request, key)?),
    }
    Ok(())
}

/// One line's value without surrounding blanks. Line folding, other control characters and bytes above ASCII are
/// refused: parties on the way read them differently.
fn line_value<'a>(name: &str, line: &'a [u8]) -> Result<&'a str, ProofError> {
    let text = core::str::from_utf8(line).unwrap_or("\u{0}").trim_matches([' ', '\t']);
    // Without an early end the compiler checks many bytes at a time.
    if text.bytes().fold(true, |printable, byte| printable & matches!(byte, b' '..=b'~')) {
        Ok(text)
    } else {
        Err(ProofError::malformed_field(name, "a covered value must be printable ASCII on one line"))
    }
}

/// Appends a text that needs no escape as a string of RFC 9651.
pub(super) fn push_quoted(text: &mut String, plain: &str) {
    text.push('"');
    text.push_str(plain);
    text.push('"');
}

fn is_field_name(name: &str) -> bool {
    (1..=MAX_FIELD_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| is_token_byte(byte) && !byte.is_ascii_uppercase())
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && !b"/?#@\\\"<>^`{|}".contains(&byte)
}
