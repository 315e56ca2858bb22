//! The one spelling of a request target that a gate accepts.
//!
//! Proxies and origins disagree about dot segments, doubled slashes, path parameters and percent-escapes; every such
//! disagreement lets a request be judged as one resource and served as another. [`check`] repairs nothing: it accepts
//! the targets on which all readers agree and refuses the rest, so the string that was judged can be forwarded as it is.

use alloc::vec::Vec;

/// Longest path accepted, in bytes: what common origins accept for a whole request line.
pub const MAX_PATH_BYTES: usize = 8 * 1024;

/// Longest query accepted, in bytes, without its leading `?`.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;

/// Why a request target is not canonical. Offsets count bytes from the start of the path or of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path does not start with `/`: empty, `*`, an absolute URI or an authority.
    #[error("the path does not start with '/'")]
    NotAbsolute,
    /// The path is longer than [`MAX_PATH_BYTES`].
    #[error("the path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// A byte that RFC 3986 does not allow in a path: `\`, `#`, a space, a control, raw non-ASCII.
    #[error("byte {at} of the path is not allowed there")]
    Character {
        /// Offset of the byte.
        at: usize,
    },
    /// A `;`, with which some origins start a path parameter that others keep as part of the segment.
    #[error("byte {at} of the path starts a path parameter")]
    Parameter {
        /// Offset of the `;`.
        at: usize,
    },
    /// A `%` that two upper-case hexadecimal digits do not follow (RFC 3986 section 2.1).
    #[error("byte {at} of the path starts a malformed or lower-case percent-escape")]
    Escape {
        /// Offset of the `%`.
        at: usize,
    },
    /// An escape of a byte that must be written plainly or must not occur: unreserved characters, `/`, `\`, `%`, `;`
    /// and controls.
    #[error("byte {at} of the path escapes a character that must not be escaped")]
    EscapedCharacter {
        /// Offset of the `%`.
        at: usize,
    },
    /// The escapes do not decode to UTF-8 free of control characters; overlong forms fall under this.
    #[error("the escapes of the path are not clean UTF-8")]
    NotUtf8,
    /// Two slashes in a row.
    #[error("byte {at} of the path ends an empty segment")]
    EmptySegment {
        /// Offset of the second slash.
        at: usize,
    },
    /// A segment that is exactly `.` or `..`.
    #[error("the path has a '.' or '..' segment")]
    DotSegment,
    /// The query is longer than [`MAX_QUERY_BYTES`].
    #[error("the query is longer than {MAX_QUERY_BYTES} bytes")]
    QueryTooLong,
    /// A byte that RFC 3986 section 3.4 does not allow in a query.
    #[error("byte {at} of the query is not allowed there")]
    QueryCharacter {
        /// Offset of the byte.
        at: usize,
    },
    /// A `%` in the query that two hexadecimal digits do not follow.
    #[error("byte {at} of the query starts a malformed percent-escape")]
    QueryEscape {
        /// Offset of the `%`.
        at: usize,
    },
}

impl PathError {
    /// Whether the target is refused for its length alone (HTTP status 414 rather than 400).
    #[must_use]
    pub fn is_length(&self) -> bool {
        matches!(self, Self::TooLong | Self::QueryTooLong)
    }
}

/// Accepts a request target that has exactly one reading.
///
/// `path` is the path as it stood on the wire, `query` what followed the first `?`, without it; a present but empty
/// query is accepted. The path is made of RFC 3986 `pchar` and `/` only, without `;`; its escapes are upper-case and
/// escape only what cannot stand there plainly; it has no empty, `.` or `..` segment (a trailing slash is fine). The
/// query is data and is checked for its alphabet only: its escapes may have either case and any value.
///
/// # Errors
///
/// The first [`PathError`] met.
pub fn check(path: &str, query: Option<&str>) -> Result<(), PathError> {
    check_path(path)?;
    query.map_or(Ok(()), check_query)
}

fn check_path(path: &str) -> Result<(), PathError> {
    if path.len() > MAX_PATH_BYTES {
        return Err(PathError::TooLong);
    }
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let decoded = decode_path(path.as_bytes())?;
    let text = core::str::from_utf8(&decoded).map_err(|_| PathError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathError::NotUtf8);
    }
    // No escape decodes to '.' or '/', so the raw segments are the decoded ones.
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(PathError::DotSegment);
    }
    Ok(())
}

fn decode_path(path: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut previous = None;
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        let at = path.len() - rest.len();
        rest = tail;
        match byte {
            b'%' => {
                let (value, after) = split_escape(tail, upper_hex).ok_or(PathError::Escape { at })?;
                if must_not_be_escaped(value) {
                    return Err(PathError::EscapedCharacter { at });
                }
                decoded.push(value);
                rest = after;
            }
            b';' => return Err(PathError::Parameter { at }),
            b'/' if previous == Some(b'/') => return Err(PathError::EmptySegment { at }),
            b'/' => decoded.push(byte),
            _ if is_pchar(byte) => decoded.push(byte),
            _ => return Err(PathError::Character { at }),
        }
        previous = Some(byte);
    }
    Ok(decoded)
}

fn check_query(query: &str) -> Result<(), PathError> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(PathError::QueryTooLong);
    }
    let bytes = query.as_bytes();
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        let at = bytes.len() - rest.len();
        rest = match byte {
            b'%' => split_escape(tail, any_hex).ok_or(PathError::QueryEscape { at })?.1,
            b'/' | b'?' => tail,
            _ if is_pchar(byte) => tail,
            _ => return Err(PathError::QueryCharacter { at }),
        };
    }
    Ok(())
}

/// The value of the two digits at the front of `tail`, and what follows them.
fn split_escape(tail: &[u8], digit: fn(u8) -> Option<u8>) -> Option<(u8, &[u8])> {
    let (&high, tail) = tail.split_first()?;
    let (&low, tail) = tail.split_first()?;
    Some(((digit(high)? << 4) | digit(low)?, tail))
}

fn upper_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn any_hex(digit: u8) -> Option<u8> {
    upper_hex(digit.to_ascii_uppercase())
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 3.3, without the escapes.
fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

fn must_not_be_escaped(byte: u8) -> bool {
    is_unreserved(byte) || byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'%' | b';')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    #[test]
    fn canonical_targets_are_accepted() {
        let accepted = [
            ("/", None),
            ("/v1/refunds", None),
            ("/v1/refunds/", Some("")),
            ("/a/...", None),
            ("/.well-known/jwks.json", None),
            ("/a/b:c@d!$&'()*+,=", Some("x=1&y=a/b?c;d")),
            ("/caf%C3%A9/%E2%82%AC", Some("q=%c3%a9%2F%00")),
            ("/a%20b", Some("redirect=https://example.com/")),
            ("/%3F%23", None),
        ];
        for (path, query) in accepted {
            assert_eq!(check(path, query), Ok(()), "{path}?{query:?}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        use PathError::*;
        let refused = [
            ("", NotAbsolute),
            ("*", NotAbsolute),
            ("a/b", NotAbsolute),
            ("http://example.com/a", NotAbsolute),
            ("example.com:80", NotAbsolute),
            ("/a/..;x/b", Parameter { at: 5 }),
            ("/a;jsessionid=1", Parameter { at: 2 }),
            ("/a/%2e%2e/b", Escape { at: 3 }),
            ("/a/%2E%2E/b", EscapedCharacter { at: 3 }),
            ("/a%2fb", Escape { at: 2 }),
            ("/a%2Fb", EscapedCharacter { at: 2 }),
            ("/a%5cb", Escape { at: 2 }),
            ("/a%5Cb", EscapedCharacter { at: 2 }),
            ("/a%3Bb", EscapedCharacter { at: 2 }),
            ("/a%00", EscapedCharacter { at: 2 }),
            ("/a%0D%0Ab", EscapedCharacter { at: 2 }),
            ("/a%7F", EscapedCharacter { at: 2 }),
            ("/%61dmin", EscapedCharacter { at: 1 }),
            ("/a%252e", EscapedCharacter { at: 2 }),
            ("/a%25%32%65", EscapedCharacter { at: 2 }),
            ("/a%c0%ae", Escape { at: 2 }),
            ("/a%C0%AE", NotUtf8),
            ("/a%C0%AF", NotUtf8),
            ("/a%E0%80%AE", NotUtf8),
            ("/a%FF", NotUtf8),
            ("/a%ED%A0%80", NotUtf8),
            ("/a%C2%85", NotUtf8),
            ("/a%", Escape { at: 2 }),
            ("/a%2", Escape { at: 2 }),
            ("/a%u002e", Escape { at: 2 }),
            ("/a%+2", Escape { at: 2 }),
            ("//", EmptySegment { at: 1 }),
            ("//example.com/a", EmptySegment { at: 1 }),
            ("/a//b", EmptySegment { at: 3 }),
            ("/a//", EmptySegment { at: 3 }),
            ("/./a", DotSegment),
            ("/a/.", DotSegment),
            ("/..", DotSegment),
            ("/a/../b", DotSegment),
            ("/a\\b", Character { at: 2 }),
            ("/a#b", Character { at: 2 }),
            ("/a?b", Character { at: 2 }),
            ("/a b", Character { at: 2 }),
            ("/a\0", Character { at: 2 }),
            ("/a\r\n", Character { at: 2 }),
            ("/a\u{7f}", Character { at: 2 }),
            ("/caf\u{e9}", Character { at: 4 }),
            ("/a\u{ff0e}\u{ff0e}/b", Character { at: 2 }),
            ("/a|b", Character { at: 2 }),
            ("/{id}", Character { at: 1 }),
            ("/[x]", Character { at: 1 }),
            ("/\"", Character { at: 1 }),
        ];
        for (path, error) in refused {
            assert_eq!(check(path, None), Err(error), "{path}");
        }
    }

    #[test]
    fn queries_are_checked_for_their_alphabet() {
        use PathError::*;
        let refused = [
            ("a=%", QueryEscape { at: 2 }),
            ("a=%4", QueryEscape { at: 2 }),
            ("a=%zz", QueryEscape { at: 2 }),
            ("a#b", QueryCharacter { at: 1 }),
            ("a b", QueryCharacter { at: 1 }),
            ("a\\b", QueryCharacter { at: 1 }),
            ("a[0]=1", QueryCharacter { at: 1 }),
            ("a=\u{e9}", QueryCharacter { at: 2 }),
            ("a=\r\n", QueryCharacter { at: 2 }),
        ];
        for (query, error) in refused {
            assert_eq!(check("/", Some(query)), Err(error), "{query}");
        }
    }

    #[test]
    fn lengths_are_bounded_at_their_edge() {
        let path = |length: usize| format!("/{}", "a".repeat(length - 1));
        let query = |length: usize| "q".repeat(length);
        assert_eq!(check(&path(MAX_PATH_BYTES), None), Ok(()));
        assert_eq!(check(&path(MAX_PATH_BYTES + 1), None), Err(PathError::TooLong));
        assert_eq!(check("/", Some(&query(MAX_QUERY_BYTES))), Ok(()));
        assert_eq!(check("/", Some(&query(MAX_QUERY_BYTES + 1))), Err(PathError::QueryTooLong));
        assert!(PathError::TooLong.is_length() && PathError::QueryTooLong.is_length());
        assert!(!PathError::DotSegment.is_length());
    }

    #[test]
    fn every_accepted_path_reads_the_same_to_decoding_and_normalising_origins() {
        const ALPHABET: &[char] = &['/', '.', '%', '2', 'E', 'F', '5', 'C', 'e', ';', '\\', 'a'];
        let mut accepted = 0_usize;
        let mut level = vec![String::from("/")];
        for _ in 0..4 {
            let mut next = Vec::new();
            for stem in &level {
                for character in ALPHABET {
                    let path = format!("{stem}{character}");
                    if check(&path, None).is_ok() {
                        accepted += 1;
                        assert_reads_one_way(&path);
                    }
                    next.push(path);
                }
            }
            level = next;
        }
        assert!(accepted > 100, "the search must accept something: {accepted}");
    }

    /// What an origin that decodes, that decodes twice, or that cuts path parameters would serve.
    fn assert_reads_one_way(path: &str) {
        let once = String::from_utf8(decode_leniently(path.as_bytes())).unwrap();
        let twice = String::from_utf8(decode_leniently(once.as_bytes())).unwrap();
        assert_eq!(once, twice, "{path}");
        assert_eq!(once.matches('/').count(), path.matches('/').count(), "{path}");
        assert!(!once.contains(['\\', ';', '%']), "{path}");
        let inner: Vec<&str> = once.split('/').skip(1).collect();
        let (last, earlier) = inner.split_last().unwrap();
        assert!(!earlier.contains(&""), "{path}");
        assert!(!inner.contains(&".") && !inner.contains(&".."), "{path} {last}");
    }

    fn decode_leniently(text: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        let mut rest = text;
        while let Some((&byte, tail)) = rest.split_first() {
            match split_escape(tail, any_hex).filter(|_| byte == b'%') {
                Some((value, after)) => {
                    decoded.push(value);
                    rest = after;
                }
                None => {
                    decoded.push(byte);
                    rest = tail;
                }
            }
        }
        decoded
    }
}
