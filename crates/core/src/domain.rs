//! Domain allowlists that spelling tricks do not get past.
//!
//! A target is accepted only when it is *spelled canonically*: the host as written must equal the host a WHATWG
//! parser reads from it. Percent-escapes, full-width letters, soft hyphens, `127.1` and the like are refused instead
//! of folded, so whatever parser the upstream uses sees the same name. Internationalised names are written as A-labels.
//!
//! A canonical spelling needs no folding, so nothing here knows Unicode: the tests hold it against a WHATWG parser.

use alloc::string::String;

mod host;
mod punycode;

/// The longest URL or host a request may name, in bytes.
pub const MAX_TARGET_BYTES: usize = 2048;

/// One entry of an allowlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainPattern {
    /// This host only (a name in A-label form, or an IP address).
    Exact(String),
    /// Every name below this one, at any depth; not the name itself. Written `*.example.com`.
    Below(String),
}

/// The text does not name a host in canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Too long, empty, or not ASCII.
    #[error("the target must be 1 to 2048 printable ASCII characters without spaces or backslashes")]
    Text,
    /// Not an http or https URL, or it carries user information or a port.
    #[error("the target must be a host or an http(s) URL without user information and with the default port")]
    Url,
    /// The host is not spelled canonically.
    #[error(
        "the host must be spelled canonically: ASCII (A-labels for international names), no trailing dot, no empty label, IP addresses in their usual form"
    )]
    Host,
    /// A wildcard stands elsewhere than as the whole left-most label.
    #[error("a wildcard must be the whole left-most label of a name with at least two more labels, like *.example.com")]
    Wildcard,
}

impl DomainPattern {
    /// Reads an allowlist entry: `api.example.com`, `*.example.com`, `192.0.2.7` or `[2001:db8::1]`.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let Some(parent) = text.strip_prefix("*.") else {
            return canonical_host(text).map(Self::Exact);
        };
        let parent = canonical_host(parent)?;
        if !parent.contains('.') || !host::is_name(&parent) {
            return Err(DomainError::Wildcard);
        }
        Ok(Self::Below(parent))
    }

    /// Whether `host`, a result of [`target_host`], is allowed by this entry.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(parent) => {
                let below = host.strip_suffix(parent.as_str()).and_then(|rest| rest.strip_suffix('.'));
                below.is_some_and(|label| !label.is_empty())
            }
        }
    }
}

/// The host that a declared target (a URL or a bare host) names, in lower case.
pub fn target_host(text: &str) -> Result<String, DomainError> {
    let bad_byte = |b: u8| !b.is_ascii_graphic() || b == b'\\';
    if text.is_empty() || text.len() > MAX_TARGET_BYTES || text.bytes().any(bad_byte) {
        return Err(DomainError::Text);
    }
    match text.split_once("://") {
        None => canonical_host(text),
        Some((scheme, rest)) => url_host(scheme, rest),
    }
}

/// The authority must be the host and at most the scheme's default port; what follows it does not matter.
fn url_host(scheme: &str, after_scheme: &str) -> Result<String, DomainError> {
    let default_port = if scheme.eq_ignore_ascii_case("https") {
        "443"
    } else if scheme.eq_ignore_ascii_case("http") {
        "80"
    } else {
        return Err(DomainError::Url);
    };
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    // The last colon may stand inside an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, default_port),
    };
    if port != default_port || host.contains('@') {
        return Err(DomainError::Url);
    }
    canonical_host(host)
}

fn canonical_host(written: &str) -> Result<String, DomainError> {
    let lower = written.to_ascii_lowercase();
    if host::is_name(&lower) || host::is_address(&lower) { Ok(lower) } else { Err(DomainError::Host) }
}

#[cfg(test)]
mod tests;
