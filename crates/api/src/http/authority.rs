//! The one spelling of a host and port.

use std::net::Ipv6Addr;

/// Longest host accepted, in bytes: the limit of a DNS name.
const MAX_HOST_BYTES: usize = 253;

/// The scheme under which clients reach the gate; with a TLS terminator in front this is the outer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`, default port 80.
    Http,
    /// `https`, default port 443.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that is left out of an authority.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The authority in the form that RFC 9421 section 2.2.3 signs: lower case, without the scheme's default port.
///
/// Accepted are DNS names (letters, digits, `-` and `_` in non-empty labels), IPv4 addresses and bracketed IPv6
/// addresses, each with an optional port from 1 to 65535. `None` for everything else: user information, an empty host
/// or port, port 0, leading zeros in the port, a trailing dot, percent-escapes and non-ASCII.
#[must_use]
pub fn normalise(authority: &str, scheme: Scheme) -> Option<String> {
    let (host, port) = split_port(authority)?;
    let valid = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    if !valid {
        return None;
    }
    let host = host.to_ascii_lowercase();
    match port.map(parse_port) {
        None => Some(host),
        Some(None) => None,
        Some(Some(port)) if port == scheme.default_port() => Some(host),
        Some(Some(port)) => Some(format!("{host}:{port}")),
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let (host, after) = authority.split_at_checked(authority.find(']')? + 1)?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if after.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(allowed)
    };
    host.len() <= MAX_HOST_BYTES && host.split('.').all(label)
}

fn parse_port(port: &str) -> Option<u16> {
    // `parse` takes a sign, and a leading zero would give one port two spellings.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.starts_with('0') {
        return None;
    }
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_get_one_spelling() {
        let accepted = [
            ("example.com", Scheme::Https, "example.com"),
            ("EXAMPLE.Com:443", Scheme::Https, "example.com"),
            ("example.com:80", Scheme::Https, "example.com:80"),
            ("example.com:80", Scheme::Http, "example.com"),
            ("127.0.0.1:8080", Scheme::Http, "127.0.0.1:8080"),
            ("[::1]", Scheme::Http, "[::1]"),
            ("[2001:DB8::1]:443", Scheme::Https, "[2001:db8::1]"),
            ("my_tool.internal:65535", Scheme::Http, "my_tool.internal:65535"),
            ("localhost", Scheme::Http, "localhost"),
        ];
        for (authority, scheme, expected) in accepted {
            let found = normalise(authority, scheme);
            assert_eq!(found.as_deref(), Some(expected), "{authority}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = "a.".repeat(127) + "a";
        let refused = [
            "",
            ":80",
            "example.com:",
            "example.com:0",
            "example.com:00",
            "example.com:080",
            "example.com:+80",
            "example.com:65536",
            "example.com:80:80",
            "example.com:80a",
            "user@example.com",
            "user:pass@example.com",
            "example.com@evil.example",
            "example.com/",
            "example.com,evil.example",
            "example.com evil.example",
            " example.com",
            "example.com.",
            ".example.com",
            "a..b",
            "example%2ecom",
            "ex\u{e4}mple.com",
            "example.com\u{3002}",
            "example.com#",
            "example.com?",
            "example.com\\",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[::1%25eth0]",
            "[127.0.0.1]",
            "[]",
            "*",
            long.as_str(),
        ];
        for authority in refused {
            assert_eq!(normalise(authority, Scheme::Http), None, "{authority}");
        }
    }
}
