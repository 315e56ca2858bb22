//! Patterns of hosts and of resources.

use alloc::string::String;

/// Longest pattern in bytes.
pub const MAX_PATTERN_BYTES: usize = 256;
/// Most segments of a resource and of its pattern.
pub const MAX_RESOURCE_SEGMENTS: usize = 16;

/// A host (`api.example.com`, `192.0.2.7`, `[2001:db8::1]`) or every name below one (`*.example.com`, at any depth and
/// without `example.com` itself), in lower case.
///
/// A host that is not spelled canonically is read and matches nothing, because requests are held against patterns
/// with canonical hosts only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DomainPattern(String);

impl DomainPattern {
    /// Reads a pattern; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= MAX_PATTERN_BYTES
            && match text.strip_prefix("*.") {
                Some(parent) => is_parent(parent),
                None => is_name(text) || is_bracketed(text),
            };
        fits.then(|| Self(String::from(text)))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `host`, in canonical spelling, is the host or below it.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix("*.") {
            Some(parent) => is_below(host, parent),
            None => self.0 == host,
        }
    }

    /// Whether every host that `narrower` matches is matched.
    #[must_use]
    pub fn covers(&self, narrower: &Self) -> bool {
        let (wide, narrow) = (self.0.strip_prefix("*."), narrower.0.strip_prefix("*."));
        match (wide, narrow) {
            (Some(parent), Some(name)) => name == parent || is_below(name, parent),
            (Some(parent), None) => is_below(&narrower.0, parent),
            (None, None) => self.0 == narrower.0,
            (None, Some(_)) => false,
        }
    }
}

/// A resource (`customers/42/notes`) or every one below a path (`customers/*`, at any depth and without `customers`
/// itself); `*` alone is every resource.
///
/// Segments are 1 or more visible ASCII characters other than `*`, `%`, `\`, `?`, `#` and `~`, and neither `.` nor `..`:
/// there is one way to spell a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourcePattern(String);

impl ResourcePattern {
    /// Reads a pattern; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text == "*" || is_resource(text.strip_suffix("/*").unwrap_or(text));
        let fits = fits && text.len() <= MAX_PATTERN_BYTES && text.split('/').count() <= MAX_RESOURCE_SEGMENTS;
        fits.then(|| Self(String::from(text)))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `resource` is the one named or below it. A text that is no resource is not.
    #[must_use]
    pub fn matches(&self, resource: &str) -> bool {
        is_resource(resource) && self.covers_text(resource)
    }

    /// Whether every resource that `narrower` matches is matched.
    #[must_use]
    pub fn covers(&self, narrower: &Self) -> bool {
        self.covers_text(&narrower.0)
    }

    fn covers_text(&self, narrower: &str) -> bool {
        match self.0.strip_suffix('*') {
            // What is left ends with `/` or is empty. Resources and patterns do not, so something follows it in them.
            Some(parent) => narrower.starts_with(parent),
            None => self.0 == narrower,
        }
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    let below = name.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.'));
    below.is_some_and(|labels| !labels.is_empty())
}

fn is_name(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(known))
}

/// A name with at least two labels that does not end like an address, or names would stand below addresses.
fn is_parent(text: &str) -> bool {
    let starts_like_a_name = |label: &str| label.starts_with(|c: char| c.is_ascii_lowercase());
    is_name(text) && text.rsplit_once('.').is_some_and(|(_, last)| starts_like_a_name(last))
}

fn is_bracketed(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b':')))
}

/// Whether a text is a resource, in the one spelling that resources have.
#[must_use]
pub fn is_resource(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_graphic() && !matches!(b, b'*' | b'%' | b'\\' | b'?' | b'#' | b'~');
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(known);
    text.split('/').all(is_segment)
}
