//! URIs in the one spelling that is compared (RFC 3986 sections 6.2.2 and 6.2.3).

use alloc::string::String;
use alloc::vec::Vec;

/// An absolute `http` or `https` URI, normalised and without query and fragment; `None` when it is none.
///
/// Scheme and host go to lower case, the scheme's default port and an empty port go, `%` escapes go to upper case or
/// to the unreserved character they stand for, dot segments are resolved, and an empty path becomes `/`. User
/// information and escapes in the host are refused.
pub(super) fn normalize(uri: &str) -> Option<String> {
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    let (scheme, rest) = uri.get(..end)?.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let host = authority.strip_suffix(default_port).or(authority.strip_suffix(':')).unwrap_or(&authority);
    if host.is_empty() || !host.bytes().all(is_host_byte) {
        return None;
    }
    Some([scheme.as_str(), "://", host, &without_dot_segments(&unescaped(path)?)].concat())
}

/// RFC 3986 section 6.2.2.2: an unreserved character is never escaped, and what stays escaped is in upper case.
fn unescaped(path: &str) -> Option<String> {
    let mut text = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (bytes.next().and_then(hex)?, bytes.next().and_then(hex)?);
            let escaped = high << 4 | low;
            if escaped.is_ascii_alphanumeric() || b"-._~".contains(&escaped) {
                text.push(char::from(escaped));
            } else {
                text.push('%');
                let digits = [high, low].into_iter().filter_map(|nibble| char::from_digit(nibble.into(), 16));
                text.extend(digits.map(|digit| digit.to_ascii_uppercase()));
            }
        } else if byte.is_ascii_graphic() {
            text.push(char::from(byte));
        } else {
            return None;
        }
    }
    Some(text)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// RFC 3986 section 5.2.4, for a path that is empty or begins with a slash.
fn without_dot_segments(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = rest.next() {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => {
                segments.push(segment);
                continue;
            }
        }
        // What is resolved at the end leaves the slash before it.
        if rest.peek().is_none() {
            segments.push("");
        }
    }
    ["/", &segments.join("/")].concat()
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && !b"/?#@%\\\"<>^`{|}".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(left: &str, right: &str) {
        assert_eq!(normalize(left).as_deref(), Some(right), "{left}");
        assert_eq!(normalize(right).as_deref(), Some(right), "{right}");
    }

    #[test]
    fn spellings_of_one_target() {
        same("HTTPS://API.Example/Pay", "https://api.example/Pay");
        same("https://api.example", "https://api.example/");
        same("https://api.example:443/a", "https://api.example/a");
        same("https://api.example:/a", "https://api.example/a");
        same("http://api.example:80", "http://api.example/");
        same("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/");
        same("https://api.example/%7eagent/%70ay", "https://api.example/~agent/pay");
        same("https://api.example/a%2fb%3f", "https://api.example/a%2Fb%3F");
        same("https://api.example/%2570", "https://api.example/%2570");
        same("https://api.example/a?b=c#d", "https://api.example/a");
        same("https://api.example?b", "https://api.example/");
        same("https://api.example#/..", "https://api.example/");
        same("https://api.example/a/b/c/./../../g", "https://api.example/a/g");
        same("https://api.example/a/..", "https://api.example/");
        same("https://api.example/a/.", "https://api.example/a/");
        same("https://api.example/%2e%2E/a/%2e", "https://api.example/a/");
        same("https://api.example//..", "https://api.example/");
        same("https://api.example/..", "https://api.example/");
    }

    #[test]
    fn different_targets_stay_different() {
        let kept = [
            "http://api.example:443/",
            "https://api.example:80/",
            "https://api.example:8443/",
            "https://api.example/a",
            "https://api.example/a/",
            "https://api.example//a",
            "https://api.example/A",
            "https://api.example/a%2Fb",
            "https://api.example/a/b",
            "https://api.example/a;b",
            "https://api.example/a%3Bb",
            "https://api.example./a",
        ];
        for uri in kept {
            assert_eq!(normalize(uri).as_deref(), Some(uri));
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        let bad = [
            "",
            "/",
            "//api.example/",
            "api.example/a",
            "https:/api.example",
            "https://",
            "https:///a",
            "https://:443/",
            "ftp://api.example/",
            "wss://api.example/",
            "https://user@api.example/",
            "https://api%2Eexample/",
            "https://api.example\\@evil/",
            "https://api.example/%",
            "https://api.example/%4",
            "https://api.example/%zz",
            "https://api.example/a b",
            "https://api.example/\u{e9}",
            "https://\u{e9}.example/",
            " https://api.example/",
        ];
        for uri in bad {
            assert_eq!(normalize(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "(/|\\.|%2[eEfF5]|%7[0eE]|[a-c]|%){0,20}", port in "(:|:443|:80|)") {
            let uri = ["https://API.example", &port, "/", &path].concat();
            if let Some(normal) = normalize(&uri) {
                prop_assert_eq!(normalize(&normal), Some(normal.clone()));
                prop_assert!(!normal.contains("/./") && !normal.contains("/../"));
            }
        }
    }
}
