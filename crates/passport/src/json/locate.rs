//! Where strings stand in a document, so that one can be replaced without writing the rest of it anew.

use alloc::vec::Vec;
use core::ops::Range;

use super::node::{array_index, pointer_token};
use super::{JsonError, Scanner, bounded_text, scan};

/// The byte range of the string at each RFC 6901 pointer, quotes included; `None` where no string stands.
///
/// # Errors
/// [`JsonError`] for anything [`read`](super::read) refuses, and [`JsonError::Pointer`].
pub fn locate_strings(
    bytes: &[u8],
    limit_bytes: usize,
    pointers: &[impl AsRef<str>],
) -> Result<Vec<Option<Range<usize>>>, JsonError> {
    let text = bounded_text(bytes, limit_bytes)?;
    scan(text)?;
    let locate = |pointer: &str| Scanner { text, at: 0, largest: super::MAX_SAFE_INTEGER }.string_at(pointer);
    pointers.iter().map(|pointer| locate(pointer.as_ref())).collect()
}

impl Scanner<'_> {
    /// Steps down to the value at `pointer`, in a document that was scanned before.
    fn string_at(&mut self, pointer: &str) -> Result<Option<Range<usize>>, JsonError> {
        let tokens = match pointer.strip_prefix('/') {
            Some(rest) => rest.split('/').map(pointer_token).collect::<Result<Vec<_>, _>>()?,
            None if pointer.is_empty() => Vec::new(),
            None => return Err(JsonError::Pointer),
        };
        for token in tokens {
            self.skip_white_space();
            let found = match self.peek() {
                Some(b'{') => self.enter_member(&token)?,
                Some(b'[') => self.enter_item(array_index(&token))?,
                _ => false,
            };
            if !found {
                return Ok(None);
            }
        }
        self.skip_white_space();
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Ok(None);
        }
        self.string()?;
        Ok(Some(start..self.at))
    }

    /// Moves from the bracket of an object to the value of a member; says whether there is one.
    fn enter_member(&mut self, name: &str) -> Result<bool, JsonError> {
        loop {
            // The bracket, and from the second round on the comma.
            self.at += 1;
            self.skip_white_space();
            if self.peek() != Some(b'"') {
                return Ok(false);
            }
            let is_it = self.string()? == name;
            self.skip_white_space();
            self.take(b':');
            if is_it {
                return Ok(true);
            }
            self.value(0)?;
            self.skip_white_space();
            if self.peek() != Some(b',') {
                return Ok(false);
            }
        }
    }

    /// As [`Scanner::enter_member`], for the item of an array.
    fn enter_item(&mut self, index: Option<usize>) -> Result<bool, JsonError> {
        let Some(index) = index else { return Ok(false) };
        for _ in 0..index {
            self.at += 1;
            self.skip_white_space();
            if self.peek() == Some(b']') {
                return Ok(false);
            }
            self.value(0)?;
            self.skip_white_space();
            if self.peek() != Some(b',') {
                return Ok(false);
            }
        }
        self.at += 1;
        self.skip_white_space();
        Ok(self.peek() != Some(b']'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use alloc::borrow::ToOwned as _;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    fn located<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
        let ranges = locate_strings(text.as_bytes(), 4096, &[pointer]).unwrap();
        ranges.into_iter().next().flatten().map(|range| text.get(range).unwrap())
    }

    #[test]
    fn a_string_is_found_where_the_pointer_leads() {
        let text = r#" {"a" : [ {"b\u0031":"x\"y"}, "z" ,[]], "a/b":"s", "":"e", "n":1, "o":{}} "#;
        for (pointer, expected) in [
            ("/a/0/b1", Some(r#""x\"y""#)),
            ("/a/1", Some(r#""z""#)),
            ("/a~1b", Some(r#""s""#)),
            ("/", Some(r#""e""#)),
            ("", None),
            ("/a/2/0", None),
            ("/a/3", None),
            ("/a/01", None),
            ("/a/-", None),
            ("/n", None),
            ("/n/0", None),
            ("/o/x", None),
            ("/x", None),
        ] {
            assert_eq!(located(text, pointer), expected, "{pointer}");
        }
        assert_eq!(located(r#""whole""#, ""), Some(r#""whole""#));
        assert_eq!(locate_strings(b"{}", 10, &["a"]), Err(JsonError::Pointer));
        assert!(locate_strings(br#"{"a":"x","a":"y"}"#, 100, &["/a"]).is_err());
    }

    proptest! {
        #[test]
        fn finds_what_the_reader_finds(
            seed in any::<u8>(),
            pointer in "(/[a-c0-2]){0,4}",
        ) {
            let text = document(seed, 3).to_string();
            let node = json::read(text.as_bytes(), 1 << 16).unwrap();
            let expected = node.pointer(&pointer).unwrap().and_then(json::Node::as_str).map(str::to_owned);
            let got = located(&text, &pointer).map(|text| text.trim_matches('"').to_owned());
            prop_assert_eq!(got, expected, "{} in {}", pointer, text);
        }
    }

    /// A document whose shape follows from `seed`.
    fn document(seed: u8, depth: u8) -> serde_json::Value {
        use alloc::string::ToString as _;
        let next = |n: u8| document(seed.wrapping_mul(31).wrapping_add(n), depth.saturating_sub(1));
        match (depth, seed % 4) {
            (0, _) | (_, 0) => serde_json::Value::String(seed.to_string()),
            (_, 1) => serde_json::json!([next(1), next(2)]),
            (_, 2) => serde_json::json!({"b": next(1), "a": next(2), "0": next(3)}),
            _ => serde_json::json!(seed),
        }
    }
}
