//! Arguments of a request, read as the API behind the gate will read them.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use passgate_passport::json::Node;

use super::{Reader, ResourceSource, Route, ValueSource, query_values};
use crate::domain;

/// The longest path that an argument may be.
pub const MAX_PATH_ARGUMENT_BYTES: usize = 4096;

/// Something in a request that rules may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// How it is read.
    pub kind: ArgumentKind,
    /// Where it stands.
    pub source: ResourceSource,
    /// Whether it may be left out.
    pub is_optional: bool,
    /// What the API takes in its place when it is left out.
    pub default: Option<ArgumentValue>,
}

/// How an argument is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A text.
    Text,
    /// An integer in its one spelling, of at most 2^53-1 either way.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An absolute path of files without `.`, `..`, empty segments, `\`, `%` and control characters.
    Path,
    /// The same without a `/` or `~` at its beginning, for an API that begins at a folder of its own.
    RelativePath,
    /// A host, or the host of an http(s) URL, spelled canonically.
    Host,
    /// An IP address in its one spelling, and none of IPv4 within IPv6.
    Address,
    /// Anything: only whether it is there.
    Any,
}

/// What an argument is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// An address.
    Address(IpAddr),
}

/// Why an argument is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentFault {
    /// It is not there.
    Missing,
    /// It is not of its kind, or stands there more than once.
    Invalid,
}

const LARGEST: i64 = 9_007_199_254_740_991;
const LARGEST_DIGITS: usize = 16;

impl ArgumentKind {
    /// Reads a text.
    pub fn read(self, text: &str) -> Option<ArgumentValue> {
        match self {
            Self::Integer => {
                // Read without its sign: the largest has 16 digits, which no unsigned reader has to check for overflow.
                let digits = text.strip_prefix('-').unwrap_or(text);
                let size: u64 = digits.parse().ok().filter(|_| digits.len() <= LARGEST_DIGITS)?;
                let size = i64::try_from(size).ok().filter(|size| *size <= LARGEST)?;
                let number = if digits.len() < text.len() { -size } else { size };
                (number.to_string() == text).then_some(ArgumentValue::Number(number))
            }
            Self::Address => {
                let address: IpAddr = text.parse().ok()?;
                // What connects to it reaches the address of IPv4, which rules would not see.
                let is_hidden = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
                (address.to_string() == text && !is_hidden).then_some(ArgumentValue::Address(address))
            }
            Self::Host => domain::target_host(text).ok().map(ArgumentValue::Text),
            Self::Boolean if text != "true" && text != "false" => None,
            Self::Path | Self::RelativePath if text.len() > MAX_PATH_ARGUMENT_BYTES => None,
            Self::Path if !text.strip_prefix('/').is_some_and(|below| below.is_empty() || is_path(below)) => None,
            Self::RelativePath if text.starts_with('~') || !is_path(text) => None,
            Self::Any => Some(ArgumentValue::Text(String::new())),
            Self::Text | Self::Boolean | Self::Path | Self::RelativePath => Some(ArgumentValue::Text(text.to_string())),
        }
    }

    /// Reads a value of a JSON body, which has to be of the type that the kind is written as there.
    fn read_node(self, node: &Node<'_>) -> Option<ArgumentValue> {
        match (self, node) {
            (Self::Any, _) => self.read(""),
            (Self::Integer, Node::Number(text)) => self.read(text),
            (Self::Boolean, Node::Bool(value)) => self.read(if *value { "true" } else { "false" }),
            (Self::Integer | Self::Boolean, _) => None,
            (_, Node::String(text)) => self.read(text),
            _ => None,
        }
    }
}

/// Whether every reader of files takes the text for the same path below where it begins.
fn is_path(text: &str) -> bool {
    let bad = |c: char| c.is_control() || c == '\\' || c == '%';
    let is_name = |segment: &str| !matches!(segment, "" | "." | "..");
    !text.contains(bad) && text.split('/').all(is_name)
}

impl Argument {
    /// Its value; none when it may be left out, and is, without anything in its place.
    pub(super) fn read(&self, route: &Route, reader: &Reader<'_, '_>) -> Result<Option<ArgumentValue>, ArgumentFault> {
        match self.read_given(route, reader) {
            Err(ArgumentFault::Missing) if self.is_optional => Ok(self.default.clone()),
            read => read.map(Some),
        }
    }

    fn read_given(&self, route: &Route, reader: &Reader<'_, '_>) -> Result<ArgumentValue, ArgumentFault> {
        let text = match &self.source {
            ResourceSource::Value(ValueSource::Pointer(pointer)) => {
                let Some(body) = reader.given_body() else { return Err(ArgumentFault::Missing) };
                let body = body.map_err(|_| ArgumentFault::Invalid)?;
                let node = body.pointer(pointer).ok().flatten().ok_or(ArgumentFault::Missing)?;
                return self.kind.read_node(node).ok_or(ArgumentFault::Invalid);
            }
            ResourceSource::Value(ValueSource::Query(name)) => {
                let mut values = query_values(reader.request.query().unwrap_or_default(), name);
                let first = values.next().ok_or(ArgumentFault::Missing)?;
                if values.next().is_some() {
                    return Err(ArgumentFault::Invalid);
                }
                first
            }
            source @ ResourceSource::Path(_) => {
                let text = route.read_resource(source, reader).ok_or(ArgumentFault::Missing)?;
                // What is encoded here the API reads decoded.
                if text.contains('%') {
                    return Err(ArgumentFault::Invalid);
                }
                Cow::Owned(text)
            }
        };
        self.kind.read(&text).ok_or(ArgumentFault::Invalid)
    }
}

impl Route {
    /// Whether the request has nothing in its query and its JSON body but what the route says where it stands. Another
    /// body than a JSON one is something else.
    pub(super) fn is_closed(&self, reader: &Reader<'_, '_>) -> bool {
        let query = form_urlencoded::parse(reader.request.query().unwrap_or_default().as_bytes());
        let sources = self.sources();
        let body = match reader.given_body() {
            None => true,
            Some(Ok(body)) => self.is_known(body, &sources, &mut String::new()),
            Some(Err(_)) => false,
        };
        body && query.into_iter().all(|(name, _)| sources.iter().any(|source| source.is_query(&name)))
    }

    /// Whether what stands at `pointer` is declared, or an object of nothing else than what is.
    fn is_known(&self, node: &Node<'_>, sources: &[&ValueSource], pointer: &mut String) -> bool {
        let amount = self.amount.iter().any(|amount| amount.pointer == *pointer);
        if amount || sources.iter().any(|source| source.is_pointer(pointer)) {
            return true;
        }
        let Node::Object(members) = node else { return false };
        if members.is_empty() {
            return pointer.is_empty() || self.judges(pointer);
        }
        members.iter().all(|(name, value)| {
            let before = pointer.len();
            pointer.push('/');
            pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            let is_known = self.is_known(value, sources, pointer);
            pointer.truncate(before);
            is_known
        })
    }

    /// Whether the decision is made of what stands at `pointer` in the JSON body, or of something in it or around it.
    pub fn judges(&self, pointer: &str) -> bool {
        let is_within = |one: &str, other: &str| {
            one.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let touches = |other: &str| is_within(pointer, other) || is_within(other, pointer);
        let judged = |source: &&ValueSource| match source {
            ValueSource::Pointer(other) => touches(other),
            ValueSource::Query(_) => false,
        };
        self.amount.iter().any(|amount| touches(&amount.pointer)) || self.sources().iter().any(judged)
    }

    /// Where everything stands that the route says where it stands, but for the amount.
    fn sources(&self) -> Vec<&ValueSource> {
        let mut sources: Vec<&ValueSource> = self.context.values().collect();
        sources.extend(self.arguments.iter().filter_map(|argument| argument.source.value()));
        sources.extend(self.resource_value());
        sources.extend(self.records.as_ref().and_then(super::Declared::source));
        sources.extend(&self.domain);
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_reading() {
        use ArgumentKind::{Path, RelativePath};
        for (kind, good) in [
            (Path, &["/", "/srv/data/a.txt", "/a:b/c d", "/ä", "/~a"][..]),
            (RelativePath, &["a", "a/b", "a.txt/~b", "ä"]),
        ] {
            assert!(good.iter().all(|text| kind.read(text).is_some()), "{good:?}");
            let other = if kind == Path { RelativePath } else { Path };
            assert!(good.iter().all(|text| other.read(text).is_none()), "{good:?}");
        }
        for bad in [
            "", "//", "/a//b", "/a/", "../a", "/a/../b", "/a/.", ".", "..", "a\\b", "/a%2e", "~/a", "~root", "/a\0",
            "/\n", "a//b", "a/",
        ] {
            assert!(Path.read(bad).is_none() && RelativePath.read(bad).is_none(), "{bad}");
        }
        for (kind, root) in [(Path, "/"), (RelativePath, "")] {
            let longest = root.to_string() + &"a".repeat(MAX_PATH_ARGUMENT_BYTES - root.len());
            assert!(kind.read(&longest).is_some() && kind.read(&(longest + "a")).is_none());
        }
    }

    #[test]
    fn each_kind_has_one_spelling() {
        use ArgumentKind::{Address, Any, Boolean, Host, Integer, Text};
        let text = |text: &str| Some(ArgumentValue::Text(text.to_string()));
        let address = |text: &str| Some(ArgumentValue::Address(text.parse().unwrap()));
        for (kind, written, read) in [
            (Integer, "-7", Some(ArgumentValue::Number(-7))),
            (Integer, "9007199254740991", Some(ArgumentValue::Number(LARGEST))),
            (Integer, "9007199254740992", None),
            (Integer, "-9223372036854775808", None),
            (Integer, "+7", None),
            (Integer, "07", None),
            (Integer, "-0", None),
            (Integer, "7.0", None),
            (Boolean, "true", text("true")),
            (Boolean, "True", None),
            (Boolean, "1", None),
            (Host, "https://API.example/x", text("api.example")),
            (Host, "https://api.example@evil.example", None),
            (Address, "192.0.2.1", address("192.0.2.1")),
            (Address, "192.0.2.01", None),
            (Address, "0xc0000201", None),
            (Address, "2001:db8::1", address("2001:db8::1")),
            (Address, "2001:DB8::1", None),
            (Address, "2001:db8:0:0::1", None),
            (Address, "::ffff:192.0.2.1", None),
            (Host, "https://[::ffff:c000:201]/", None),
            (Text, "", text("")),
            (Any, "x", text("")),
        ] {
            assert_eq!(kind.read(written), read, "{kind:?} {written}");
        }
    }
}
