//! Permission scopes and the action names they cover.
//!
//! Both are segments joined by `:`. A segment has 1 to 64 characters of `[a-z0-9_.-]`; a name has at most 8 segments
//! and 256 bytes. In a scope `*` may stand for a whole segment: as the last one it covers one or more segments, before
//! that exactly one. So `*` covers everything, `payments:*` covers `payments:refund:all` but not `payments`, and
//! `vault:*:read` covers `vault:keys:read` alone.

use alloc::string::String;
use core::fmt;

/// Most segments of a scope or an action name.
pub const MAX_SEGMENTS: usize = 8;
/// Longest segment in bytes.
pub const MAX_SEGMENT_BYTES: usize = 64;
/// Longest scope or action name in bytes.
pub const MAX_BYTES: usize = 256;

const WILDCARD: &str = "*";

/// Why a text is no scope or no action name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// Longer than [`MAX_BYTES`].
    #[error("scope or action name exceeds 256 bytes")]
    TooLong,
    /// More segments than [`MAX_SEGMENTS`].
    #[error("scope or action name has more than 8 segments")]
    TooManySegments,
    /// A segment that is empty, too long, or has other characters.
    #[error(
        "segment {index} of the scope or action name is malformed: use 1 to 64 of a-z 0-9 _ . - (in a scope also `*` alone)"
    )]
    Segment {
        /// Its position, from 0.
        index: usize,
    },
}

/// A concrete action, such as `payments:refund`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName(String);

impl ActionName {
    /// Reads an action name; there are no wildcards in it.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        check(text, is_plain_segment)?;
        Ok(Self(String::from(text)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pattern of actions, such as `payments:*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

impl Scope {
    /// Reads a scope.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        check(text, |segment| segment == WILDCARD.as_bytes() || is_plain_segment(segment))?;
        Ok(Self(String::from(text)))
    }

    /// The scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this scope permits `action`.
    #[must_use]
    pub fn covers(&self, action: &ActionName) -> bool {
        covers(&self.0, &action.0)
    }

    /// Whether this scope permits every action that `narrower` permits, as attenuation demands.
    #[must_use]
    pub fn covers_scope(&self, narrower: &Self) -> bool {
        covers(&self.0, &narrower.0)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Matches segment by segment. `narrower` may be a scope too: only a wildcard covers its wildcards, and its open end
/// stands last, so that a pattern with more segments runs out of something to cover.
fn covers(pattern: &str, narrower: &str) -> bool {
    let mut patterns = pattern.split(':').peekable();
    let mut segments = narrower.split(':');
    while let Some(pattern) = patterns.next() {
        match segments.next() {
            Some(_) if pattern == WILDCARD && patterns.peek().is_none() => return true,
            Some(segment) if pattern == WILDCARD || pattern == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

fn check(text: &str, is_segment: impl Fn(&[u8]) -> bool) -> Result<(), ScopeError> {
    if text.len() > MAX_BYTES {
        return Err(ScopeError::TooLong);
    }
    for (index, segment) in text.as_bytes().split(|byte| *byte == b':').enumerate() {
        if index >= MAX_SEGMENTS {
            return Err(ScopeError::TooManySegments);
        }
        if !is_segment(segment) {
            return Err(ScopeError::Segment { index });
        }
    }
    Ok(())
}

fn is_plain_segment(segment: &[u8]) -> bool {
    let is_allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
    (1..=MAX_SEGMENT_BYTES).contains(&segment.len()) && segment.iter().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn permits(scope: &str, action: &str) -> bool {
        Scope::parse(scope).unwrap().covers(&ActionName::parse(action).unwrap())
    }

    #[test]
    fn wildcards_cover_whole_segments() {
        for (scope, action, expected) in [
            ("*", "payments", true),
            ("*", "payments:refund:all", true),
            ("payments", "payments", true),
            ("payments", "payments:a", false),
            ("payments:*", "payments", false),
            ("payments:*", "payments:a", true),
            ("payments:*", "payments:refund:all", true),
            ("payments:*", "paymentsx:a", false),
            ("payments:*", "payment:a", false),
            ("payments:refund", "payments:refund:all", false),
            ("vault:*:read", "vault:keys:read", true),
            ("vault:*:read", "vault:read", false),
            ("vault:*:read", "vault:a:b:read", false),
            ("vault:*:read", "vault:keys:write", false),
            ("*:read", "vault:read", true),
            ("*:read", "read", false),
            ("*:read", "vault:keys:read", false),
            ("*:*", "vault", false),
            ("*:*", "vault:read", true),
            ("*:*", "vault:keys:read", true),
            ("a.b", "a.b", true),
            ("a.b", "axb", false),
            ("a-b_c.9", "a-b_c.9", true),
        ] {
            assert_eq!(permits(scope, action), expected, "{scope} over {action}");
        }
    }

    #[test]
    fn malformed_scopes_are_refused() {
        let long_segment = "a".repeat(65);
        let nine = "a:a:a:a:a:a:a:a:a";
        for (text, error) in [
            ("", ScopeError::Segment { index: 0 }),
            ("payments:", ScopeError::Segment { index: 1 }),
            (":payments", ScopeError::Segment { index: 0 }),
            ("a::b", ScopeError::Segment { index: 1 }),
            ("**", ScopeError::Segment { index: 0 }),
            ("payments:**", ScopeError::Segment { index: 1 }),
            ("pay*", ScopeError::Segment { index: 0 }),
            ("payments:*x", ScopeError::Segment { index: 1 }),
            ("PAYMENTS:a", ScopeError::Segment { index: 0 }),
            ("payments:a b", ScopeError::Segment { index: 1 }),
            ("payments:a\n", ScopeError::Segment { index: 1 }),
            ("payments:a\0", ScopeError::Segment { index: 1 }),
            ("payments:.+$", ScopeError::Segment { index: 1 }),
            ("payments:[a-z]", ScopeError::Segment { index: 1 }),
            ("payments:(a|b)", ScopeError::Segment { index: 1 }),
            ("payments/a", ScopeError::Segment { index: 0 }),
            ("p\u{430}yments", ScopeError::Segment { index: 0 }),
            ("payments\u{ff1a}a", ScopeError::Segment { index: 0 }),
            (&long_segment, ScopeError::Segment { index: 0 }),
            (nine, ScopeError::TooManySegments),
            (&"a".repeat(257), ScopeError::TooLong),
        ] {
            assert_eq!(Scope::parse(text), Err(error), "{text:?}");
            assert_eq!(ActionName::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn limits_are_inclusive_and_actions_have_no_wildcards() {
        assert!(Scope::parse(&"a".repeat(64)).is_ok());
        assert!(Scope::parse("a:a:a:a:a:a:a:*").is_ok());
        let longest = format!("{0}:{0}:{0}:{1}", "a".repeat(64), "a".repeat(61));
        assert_eq!(longest.len(), MAX_BYTES);
        assert!(ActionName::parse(&longest).is_ok());
        for text in ["*", "payments:*", "*:read"] {
            assert!(ActionName::parse(text).is_err(), "{text}");
        }
    }

    /// A small alphabet, so that random patterns and names meet.
    fn segments(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(choices), 1..5).prop_map(|parts: Vec<&str>| parts.join(":"))
    }

    /// The definition, written a second way: expand wildcards by recursion over segment lists.
    fn covers_by_definition(pattern: &[&str], action: &[&str]) -> bool {
        match (pattern, action) {
            ([], rest) => rest.is_empty(),
            (["*"], rest) => !rest.is_empty(),
            (_, []) => false,
            ([first, pattern @ ..], [segment, action @ ..]) => {
                (*first == "*" || first == segment) && covers_by_definition(pattern, action)
            }
        }
    }

    proptest! {
        #[test]
        fn covers_follows_the_definition(scope in segments(&["a", "b", "*"]), action in segments(&["a", "b"])) {
            let pattern: Vec<&str> = scope.split(':').collect();
            let actual: Vec<&str> = action.split(':').collect();
            prop_assert_eq!(permits(&scope, &action), covers_by_definition(&pattern, &actual));
        }

        #[test]
        fn a_covered_scope_permits_nothing_more(
            wide in segments(&["a", "b", "*"]),
            narrow in segments(&["a", "b", "*"]),
            action in segments(&["a", "b"]),
        ) {
            let (wide, narrow) = (Scope::parse(&wide).unwrap(), Scope::parse(&narrow).unwrap());
            let action = ActionName::parse(&action).unwrap();
            if wide.covers_scope(&narrow) && narrow.covers(&action) {
                prop_assert!(wide.covers(&action), "{} claims to cover {} but not {}", wide, narrow, action);
            }
        }

        #[test]
        fn a_scope_that_is_not_covered_has_an_action_to_show_for_it(
            wide in segments(&["a", "b", "*"]),
            narrow in segments(&["a", "b", "*"]),
        ) {
            let (wide, narrow) = (Scope::parse(&wide).unwrap(), Scope::parse(&narrow).unwrap());
            if !wide.covers_scope(&narrow) {
                // Filling wildcards with a fresh segment, the last one with one or two, shows a difference if any.
                let filled = narrow.as_str().replace('*', "z");
                let longer = match narrow.as_str().ends_with('*') {
                    true => format!("{filled}:z"),
                    false => filled.clone(),
                };
                let shown = [filled, longer].into_iter().any(|name| {
                    let action = ActionName::parse(&name).unwrap();
                    narrow.covers(&action) && !wide.covers(&action)
                });
                prop_assert!(shown, "{} should cover {}", wide, narrow);
            }
        }

        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in ".{0,300}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(scope.as_str(), &text);
                prop_assert!(scope.covers_scope(&scope));
            }
        }
    }
}
