//! Domain allowlists that spelling tricks do not get past.
//!
//! A target is accepted only when it is *spelled canonically*: the host as written must equal the host a WHATWG
//! parser reads from it. Percent-escapes, full-width letters, soft hyphens, `127.1` and the like are refused instead
//! of folded, so whatever parser the upstream uses sees the same name. Internationalised names are written as A-labels.

use alloc::string::{String, ToString};

use url::{Host, Url};

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
    /// Not an http or https URL, or it carries user information, a port or a fragment.
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
        let is_name = matches!(Host::parse(&parent), Ok(Host::Domain(_)));
        if !parent.contains('.') || !is_name {
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
        Some((_, rest)) => url_host(text, rest),
    }
}

fn url_host(text: &str, after_scheme: &str) -> Result<String, DomainError> {
    let url = Url::parse(text).map_err(|_| DomainError::Url)?;
    let web = matches!(url.scheme(), "http" | "https");
    if !web || !url.username().is_empty() || url.password().is_some() || url.port().is_some() {
        return Err(DomainError::Url);
    }
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let default_port = if url.scheme() == "https" { ":443" } else { ":80" };
    let written = authority.strip_suffix(default_port).unwrap_or(authority);
    let host = canonical_host(written)?;
    // The parser that decides and the parser that connects must read the same host.
    if url.host_str() == Some(host.as_str()) { Ok(host) } else { Err(DomainError::Host) }
}

fn canonical_host(written: &str) -> Result<String, DomainError> {
    let lower = written.to_ascii_lowercase();
    let parsed = Host::parse(&lower).map_err(|_| DomainError::Host)?;
    let is_canonical = match &parsed {
        Host::Domain(name) => *name == lower && name.split('.').all(is_label),
        address => address.to_string() == lower,
    };
    if is_canonical { Ok(lower) } else { Err(DomainError::Host) }
}

fn is_label(label: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    !label.is_empty() && label.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn allowed(pattern: &str, target: &str) -> Result<bool, DomainError> {
        let pattern = DomainPattern::parse(pattern).unwrap();
        target_host(target).map(|host| pattern.matches(&host))
    }

    #[test]
    fn plain_targets() {
        for target in [
            "example.com",
            "EXAMPLE.com",
            "https://example.com/a?b#c",
            "http://example.com:80",
            "https://example.com:443/",
        ] {
            assert_eq!(allowed("example.com", target), Ok(true), "{target}");
        }
        assert_eq!(allowed("*.example.com", "a.b.example.com"), Ok(true));
        assert_eq!(allowed("[2001:db8::1]", "https://[2001:db8::1]/"), Ok(true));
        assert_eq!(allowed("xn--bcher-kva.example", "https://xn--bcher-kva.example"), Ok(true));
    }

    #[test]
    fn other_names_do_not_match() {
        for target in [
            "evil-example.com",
            "example.com.evil.com",
            "https://evil.com/example.com",
            "https://evil.com?example.com",
            "https://evil.com#example.com",
        ] {
            assert_eq!(allowed("example.com", target), Ok(false), "{target}");
        }
        for target in ["example.com", "evil-example.com", "evilexample.com"] {
            assert_eq!(allowed("*.example.com", target), Ok(false), "{target}");
        }
    }

    #[test]
    fn spelling_tricks_are_refused() {
        let tricks = [
            "https://example.com@evil.com",
            "https://example.com%2f@evil.com",
            "https://example.com\\@evil.com",
            "https://evil.com\\@example.com",
            "example.com.",
            "https://example.com./",
            "a..example.com",
            "https://example.com:8443/",
            "https://example.com:0/",
            "exa\u{ad}mple.com",
            "ｅxample.com",
            "ⓔxample.com",
            "exam\tple.com",
            "exam\nple.com",
            "%65xample.com",
            "https://%65xample.com/",
            "https:///example.com",
            "https://user@example.com",
            "ftp://example.com",
            "javascript://example.com",
            "//example.com",
            "https:example.com",
            "",
            " example.com",
            "example.com ",
            "https://bücher.example/",
            ".example.com",
        ];
        for target in tricks {
            assert!(target_host(target).is_err(), "{target:?}");
        }
    }

    #[test]
    fn unusual_ip_spellings_are_refused_or_stay_different() {
        for target in [
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "1.2.3",
            "127.0.0.1.",
            "[::ffff:127.0.0.1]",
            "[0:0:0:0:0:0:0:1]",
            "[fe80::1%25eth0]",
        ] {
            for written in [target.to_string(), format!("http://{target}/")] {
                assert_ne!(target_host(&written).as_deref(), Ok("127.0.0.1"), "{written}");
                assert!(target_host(&written).is_err(), "{written}");
            }
        }
        for target in ["[::]", "0.0.0.0", "169.254.169.254", "[fe80::]", "[64:ff9b::7f00:1]"] {
            assert_eq!(allowed("example.com", target), Ok(false), "{target}");
        }
    }

    #[test]
    fn wildcards_only_as_whole_left_label() {
        for pattern in ["*", "*.", "*.com", "a.*.com", "ex*.com", "*.*.com", "*.127.0.0.1"] {
            assert!(DomainPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
