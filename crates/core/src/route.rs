//! The declared mapping of a request to an action, its amount, its target domain and what else passports limit.
//!
//! Values are read only from what the proof covers: the target and, when it is digest-verified, the body.

mod argument;
mod effect;
mod template;

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::OnceCell;

use passgate_passport::constraints::Constraints;
use passgate_passport::json::{self, Node};
use passgate_passport::proof::CoveredRequest;
use passgate_passport::scope::ActionName;
use passgate_passport::sorted::{SortedMap, SortedSet};

use crate::domain;
use crate::money::{MicroUsd, Unit};
use crate::reason::Reason;
pub use argument::{Argument, ArgumentFault, ArgumentKind, ArgumentValue, MAX_PATH_ARGUMENT_BYTES};
pub use effect::EffectClass;
pub use template::{ResourceTemplate, ResourceTemplateError};

/// The largest JSON body values are read from, in bytes. A gate's own body limit may be lower.
pub const MAX_JSON_BODY_BYTES: usize = 16 * 1024 * 1024;

/// One entry of the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method, exactly as on the wire; absent matches every method.
    pub method: Option<String>,
    /// The path.
    pub path: PathPattern,
    /// The action it maps to.
    pub action: ActionName,
    /// Where the amount stands; absent means the action costs nothing.
    pub amount: Option<AmountSource>,
    /// For how many seconds the upstream carries out requests with one `Idempotency-Key` once; absent, it does not go by such
    /// keys.
    pub idempotency_seconds: Option<u32>,
    /// Where the target domain stands; absent means the action has none.
    pub domain: Option<ValueSource>,
    /// The resource that the action touches; absent means that it is not known, so passports that limit it are refused.
    pub resource: Option<Declared<ResourceSource>>,
    /// How many records the action returns at most; absent means that it is not known.
    pub records: Option<Declared<ValueSource>>,
    /// Where records stand in the response, and how many there may be.
    pub response_records: Option<ResponseRecords>,
    /// Where the value of each name in a passport's `context` stands.
    pub context: SortedMap<String, ValueSource>,
    /// Labels with which the action is refused.
    pub refused_labels: SortedSet<String>,
    /// What the action does to what it touches.
    pub class: EffectClass,
    /// What else of the request rules may look at, ordered by name.
    pub arguments: Vec<Argument>,
}

/// Where records stand in a JSON response, and how many there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRecords {
    /// RFC 6901 pointer to the array; empty where the array is the whole document.
    pub pointer: String,
    /// The most, whoever asks; absent, what passports permit.
    pub max_records: Option<u64>,
}

/// What a route says of something that passports limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared<T> {
    /// The action has none.
    None,
    /// It stands here.
    At(T),
}

impl<T> Declared<T> {
    fn source(&self) -> Option<&T> {
        match self {
            Self::None => None,
            Self::At(source) => Some(source),
        }
    }
}

/// Where a resource stands in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceSource {
    /// In the path.
    Path(ResourceTemplate),
    /// In a text.
    Value(ValueSource),
}

/// Where an amount stands in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmountSource {
    /// RFC 6901 pointer to a number in the JSON body.
    pub pointer: String,
    /// The unit of that number.
    pub unit: Unit,
}

/// Where a text stands in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// RFC 6901 pointer to a string in the JSON body.
    Pointer(String),
    /// A query parameter, which must occur exactly once.
    Query(String),
}

impl ResourceSource {
    fn value(&self) -> Option<&ValueSource> {
        match self {
            Self::Value(source) => Some(source),
            Self::Path(_) => None,
        }
    }
}

impl ValueSource {
    fn is_pointer(&self, pointer: &str) -> bool {
        matches!(self, Self::Pointer(own) if own == pointer)
    }

    fn is_query(&self, name: &str) -> bool {
        matches!(self, Self::Query(own) if own == name)
    }
}

/// A path with optional wildcards: `/pay`, `/users/{id}`, `/files/**`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    /// Whether `**` ends the pattern: any further segments, or none.
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// A parameter, by its name.
    Any(String),
}

/// The text is not a path pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path pattern starts with '/'; a segment is literal canonical text or {{name}}; '**' may stand only as the last segment"
)]
pub struct PathPatternError;

impl PathPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let rest = text.strip_prefix('/').filter(|_| !text.contains("//")).ok_or(PathPatternError)?;
        let (rest, open) = match rest.strip_suffix("**") {
            Some("") => return Ok(Self { segments: Vec::new(), open: true }),
            Some(before) => (before.strip_suffix('/').ok_or(PathPatternError)?, true),
            None => (rest, false),
        };
        let segments = rest.split('/').map(Segment::parse).collect::<Result<_, _>>()?;
        Ok(Self { segments, open })
    }

    /// Whether a canonical path matches. Segments are compared as written.
    pub fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut written = rest.split('/');
        let all = self.segments.iter().all(|segment| written.next().is_some_and(|text| segment.matches(text)));
        all && (self.open || written.next().is_none())
    }

    /// Whether there is a parameter of this name.
    pub fn has_parameter(&self, name: &str) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Any(known) if known == name))
    }

    /// What stands in a path that matches where the pattern has the parameter `name`.
    fn parameter<'a>(&self, path: &'a str, name: &str) -> Option<&'a str> {
        let at = self.segments.iter().position(|segment| matches!(segment, Segment::Any(known) if known == name))?;
        path.strip_prefix('/')?.split('/').nth(at)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PathPatternError> {
        if let Some(name) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            return if plain { Ok(Self::Any(name.to_string())) } else { Err(PathPatternError) };
        }
        let path = alloc::format!("/{text}");
        if crate::path::check(&path, None).is_err() || text.contains('*') {
            return Err(PathPatternError);
        }
        Ok(Self::Literal(text.to_string()))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == text,
            Self::Any(_) => !text.is_empty(),
        }
    }
}

impl Route {
    /// Whether this route maps the request.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|m| m == method) && self.path.matches(path)
    }

    /// Reads the declared values of a request: amount, host and arguments, and what `needs` asks for. The body is read
    /// once, and only when a value stands in it.
    pub fn read(&self, request: &CoveredRequest<'_>, needs: &Needs<'_>) -> Values {
        let reader = Reader::new(request);
        let limits = needs.limits;
        let resource = self.resource.as_ref().filter(|_| needs.rules || limits.resources.is_some());
        let records = self.records.as_ref().filter(|_| needs.rules || limits.max_records.is_some());
        Values {
            amount: self.amount.as_ref().map(|source| reader.amount(source)),
            host: self.domain.as_ref().map(|source| reader.host(source)),
            resource: resource.map(|declared| match declared {
                Declared::None => Declared::None,
                Declared::At(source) => Declared::At(self.read_resource(source, &reader)),
            }),
            records: records.map(|declared| match declared {
                Declared::None => Declared::None,
                Declared::At(source) => Declared::At(reader.count(source)),
            }),
            context: limits
                .context
                .keys()
                .map(|name| self.context.get(name).map(|source| reader.text(source)))
                .collect(),
            arguments: self.arguments.iter().map(|argument| argument.read(self, &reader)).collect(),
            is_closed: needs.closed && self.is_closed(&reader),
        }
    }

    /// Where in a JSON body the texts stand that [`Route::read`] reads for `needs`: what was judged there must be what goes
    /// upstream.
    pub fn judged_texts(&self, needs: &Needs<'_>) -> Vec<String> {
        let mut judged: Vec<&ValueSource> = self.domain.iter().collect();
        judged.extend(self.arguments.iter().filter_map(|argument| argument.source.value()));
        if needs.rules || needs.limits.resources.is_some() {
            judged.extend(self.resource_value());
        }
        judged.extend(needs.limits.context.keys().filter_map(|name| self.context.get(name)));
        let pointer = |source: &ValueSource| match source {
            ValueSource::Pointer(pointer) => Some(pointer.clone()),
            ValueSource::Query(_) => None,
        };
        judged.into_iter().filter_map(pointer).collect()
    }

    fn resource_value(&self) -> Option<&ValueSource> {
        self.resource.as_ref()?.source()?.value()
    }

    fn read_resource(&self, source: &ResourceSource, reader: &Reader<'_, '_>) -> Option<String> {
        match source {
            ResourceSource::Path(template) => template.fill(|name| self.path.parameter(reader.request.path(), name)),
            ResourceSource::Value(source) => reader.text(source),
        }
    }
}

/// For what values of a request are read.
#[derive(Debug, Clone, Copy)]
pub struct Needs<'a> {
    /// What the passport limits.
    pub limits: &'a Constraints,
    /// Whether rules look at the request.
    pub rules: bool,
    /// Whether they ask for requests that have nothing but what their route declares.
    pub closed: bool,
}

/// What a route reads from a request; `None` where the route declares no such value, or the passport does not limit it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values {
    /// The amount the request states.
    pub amount: Option<Result<MicroUsd, Reason>>,
    /// The canonical host the request names.
    pub host: Option<Result<String, Reason>>,
    /// The resource it names, if it names one.
    pub resource: Option<Declared<Option<String>>>,
    /// How many records it asks for, if it says so.
    pub records: Option<Declared<Option<u64>>>,
    /// For each name that the passport limits, in its order: nothing where the route does not say where it stands, else
    /// the text there, if there is one.
    pub context: Vec<Option<Option<String>>>,
    /// The route's arguments in its order: nothing where one is left out that may be.
    pub arguments: Vec<Result<Option<ArgumentValue>, ArgumentFault>>,
    /// Whether the request has nothing but what the route declares; false where nobody asks.
    pub is_closed: bool,
}

/// Reads values of one request.
struct Reader<'r, 'a> {
    request: &'r CoveredRequest<'a>,
    body: OnceCell<Body<'a>>,
}

impl<'r, 'a> Reader<'r, 'a> {
    fn new(request: &'r CoveredRequest<'a>) -> Self {
        Self { request, body: OnceCell::new() }
    }

    fn body(&self) -> Result<&Node<'a>, Reason> {
        self.body.get_or_init(|| read_body(self.request)).as_ref().map_err(|reason| *reason)
    }

    /// The body, if there is one.
    fn given_body(&self) -> Option<Result<&Node<'a>, Reason>> {
        (!self.request.body().is_empty()).then(|| self.body())
    }

    fn query(&self, name: &str) -> Result<String, Reason> {
        query_parameter(self.request.query().unwrap_or_default(), name)
    }

    fn amount(&self, source: &AmountSource) -> Result<MicroUsd, Reason> {
        let value = self.body()?.pointer(&source.pointer);
        match value.map_err(|_| Reason::AmountInvalid)?.ok_or(Reason::AmountMissing)? {
            Node::Number(text) => MicroUsd::parse(text, source.unit).map_err(|_| Reason::AmountInvalid),
            _ => Err(Reason::AmountInvalid),
        }
    }

    fn host(&self, source: &ValueSource) -> Result<String, Reason> {
        let host = match source {
            ValueSource::Pointer(pointer) => {
                let value = self.body()?.pointer(pointer).ok().flatten().ok_or(Reason::DomainMissing)?;
                domain::target_host(value.as_str().ok_or(Reason::DomainInvalid)?)
            }
            ValueSource::Query(name) => domain::target_host(&self.query(name)?),
        };
        host.map_err(|_| Reason::DomainInvalid)
    }

    fn text(&self, source: &ValueSource) -> Option<String> {
        match source {
            ValueSource::Pointer(pointer) => {
                Some(self.body().ok()?.pointer(pointer).ok().flatten()?.as_str()?.to_string())
            }
            ValueSource::Query(name) => self.query(name).ok(),
        }
    }

    /// A plain integer: what another reader could take for another number is none.
    fn count(&self, source: &ValueSource) -> Option<u64> {
        match source {
            ValueSource::Pointer(pointer) => self.body().ok()?.pointer(pointer).ok().flatten()?.as_u64(),
            ValueSource::Query(name) => {
                let text = self.query(name).ok()?;
                let number: u64 = text.parse().ok()?;
                (number.to_string() == text).then_some(number)
            }
        }
    }
}

fn query_values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    form_urlencoded::parse(query.as_bytes()).filter(move |(key, _)| key == name).map(|(_, value)| value)
}

fn query_parameter(query: &str, name: &str) -> Result<String, Reason> {
    let mut found = query_values(query, name);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value.into_owned()),
        (None, _) => Err(Reason::DomainMissing),
        _ => Err(Reason::DomainInvalid),
    }
}

/// The JSON body, or why there is none.
type Body<'a> = Result<Node<'a>, Reason>;

/// Whether the body is said to be JSON. A coded body would be read here as another text than the upstream's.
pub(crate) fn has_json_body(request: &CoveredRequest<'_>) -> bool {
    is_json(request.header("content-type").unwrap_or_default()) && request.header("content-encoding").is_none()
}

fn read_body<'a>(request: &CoveredRequest<'a>) -> Body<'a> {
    if !has_json_body(request) {
        return Err(Reason::BodyNotJson);
    }
    json::read(request.body(), MAX_JSON_BODY_BYTES).map_err(|_| Reason::BodyNotJson)
}

/// `application/json` or a `+json` type, with UTF-8 as the only charset.
pub(crate) fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let known = media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"));
    known && parts.all(|p| p.eq_ignore_ascii_case("charset=utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/", "/", true),
            ("/pay", "/pay", true),
            ("/pay", "/pay/", false),
            ("/pay", "/payx", false),
            ("/pay", "/PAY", false),
            ("/users/{id}", "/users/7", true),
            ("/users/{id}", "/users/", false),
            ("/users/{id}", "/users/7/x", false),
            ("/files/**", "/files", true),
            ("/files/**", "/files/a/b", true),
            ("/files/**", "/filesystem", false),
            ("/**", "/", true),
            ("/**", "/a/b", true),
        ] {
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in ["", "pay", "/a**", "/**/b", "/a/*", "/{}", "/{a-b}", "/a/../b", "/a//b", "/%2e", "/a;b"] {
            assert_eq!(PathPattern::parse(pattern), Err(PathPatternError), "{pattern}");
        }
    }

    #[test]
    fn json_media_types() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/problem+json"] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
            "application/jsonx",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn query_parameters_occur_once() {
        assert_eq!(query_parameter("u=a.example&x=1", "u"), Ok("a.example".to_string()));
        assert_eq!(query_parameter("u=a&u=b", "u"), Err(Reason::DomainInvalid));
        assert_eq!(query_parameter("%75=a&u=b", "u"), Err(Reason::DomainInvalid));
        assert_eq!(query_parameter("x=1", "u"), Err(Reason::DomainMissing));
    }
}
