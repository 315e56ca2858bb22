//! Where strings stand in a document, so that one can be replaced without writing the rest of it anew.

use alloc::borrow::Cow;
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
    let paths = pointers.iter().map(|pointer| tokens(pointer.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let wanted: Vec<Wanted<'_>> = paths.iter().enumerate().map(|(number, path)| (number, path.as_slice())).collect();
    let mut found = alloc::vec![None; pointers.len()];
    Scanner { text, at: 0, largest: super::MAX_SAFE_INTEGER }.locate(&wanted, &mut found)?;
    Ok(found)
}

/// Which pointer it is, and what is left of it.
type Wanted<'a> = (usize, &'a [Cow<'a, str>]);

fn tokens(pointer: &str) -> Result<Vec<Cow<'_, str>>, JsonError> {
    match pointer.strip_prefix('/') {
        Some(rest) => rest.split('/').map(pointer_token).collect(),
        None if pointer.is_empty() => Ok(Vec::new()),
        None => Err(JsonError::Pointer),
    }
}

/// Those that lead through a child whose token `is_it` knows, seen from there.
fn through<'a>(wanted: &[Wanted<'a>], is_it: impl Fn(&str) -> bool) -> Vec<Wanted<'a>> {
    let step = |(number, path): &Wanted<'a>| {
        let (first, rest) = path.split_first()?;
        is_it(first).then_some((*number, rest))
    };
    wanted.iter().filter_map(step).collect()
}

impl Scanner<'_> {
    /// Passes over one value of a document that was scanned before, once for all that is wanted in it. It goes no deeper
    /// than the document, whose depth is bounded.
    fn locate(&mut self, wanted: &[Wanted<'_>], found: &mut [Option<Range<usize>>]) -> Result<(), JsonError> {
        self.skip_white_space();
        let start = self.at;
        match self.peek() {
            _ if wanted.is_empty() => self.value(0).map(drop),
            Some(b'{') => self.each_member(|scanner, _, name| {
                scanner.colon()?;
                scanner.locate(&through(wanted, |token| token == name), found)
            }),
            Some(b'[') => {
                let mut index = 0;
                self.each_item(|scanner| {
                    scanner.locate(&through(wanted, |token| array_index(token) == Some(index)), found)?;
                    index += 1;
                    Ok(())
                })
            }
            Some(b'"') => {
                self.string()?;
                for (number, path) in wanted {
                    if let Some(place) = found.get_mut(*number).filter(|_| path.is_empty()) {
                        *place = Some(start..self.at);
                    }
                }
                Ok(())
            }
            _ => self.value(0).map(drop),
        }
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
        let next = |n: u8| document(seed.wrapping_mul(31).wrapping_add(n), depth.saturating_sub(1));
        match (depth, seed % 4) {
            (0, _) | (_, 0) => serde_json::Value::String(seed.to_string()),
            (_, 1) => serde_json::json!([next(1), next(2)]),
            (_, 2) => serde_json::json!({"b": next(1), "a": next(2), "0": next(3)}),
            _ => serde_json::json!(seed),
        }
    }
}
