//! Documents in the one spelling of RFC 8785, as far as their numbers are integers.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::Serialize;

use super::{JsonError, Node, printable, scan};

/// The canonical form (RFC 8785) of a document whose numbers are integers: every reader of it gets the same bytes.
///
/// # Errors
/// [`JsonError::Shape`] when `value` does not serialise or holds a number that is no integer, and whatever the
/// [module](super) refuses, such as an integer beyond 2^53-1.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, JsonError> {
    let shape = |error: serde_json::Error| JsonError::Shape(printable(&error.to_string()));
    let text = serde_json::to_string(value).map_err(shape)?;
    let document = scan(&text)?;
    match fraction(&document) {
        Some(number) => Err(JsonError::Shape(alloc::format!("the number {number} is no integer"))),
        None => Ok(document.to_json().into_bytes()),
    }
}

impl Node<'_> {
    /// The document as text without white space, members sorted as RFC 8785 sorts them, numbers as they were written.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        write(self, &mut text);
        text
    }
}

/// A number that is no integer, or minus zero. Recursion ends with the reader's bound on depth.
fn fraction<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    let is_integer = |text: &str| text != "-0" && text.bytes().all(|b| b == b'-' || b.is_ascii_digit());
    match node {
        Node::Number(text) if !is_integer(text) => Some(text),
        Node::Array(items) => items.iter().find_map(fraction),
        Node::Object(members) => members.values().find_map(fraction),
        _ => None,
    }
}

fn write(node: &Node<'_>, to: &mut String) {
    match node {
        Node::Null => to.push_str("null"),
        Node::Bool(true) => to.push_str("true"),
        Node::Bool(false) => to.push_str("false"),
        Node::Number(text) => to.push_str(text),
        Node::String(text) => write_text(text, to),
        Node::Array(items) => {
            to.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(i, to);
                write(item, to);
            }
            to.push(']');
        }
        Node::Object(members) => {
            to.push('{');
            // Section 3.2.3 sorts by UTF-16, which the order at hand differs from only in rare characters.
            let mut sorted: Vec<(&str, &Node<'_>)> = Vec::with_capacity(members.len());
            for (name, value) in members {
                let at = sorted.partition_point(|(other, _)| other.encode_utf16().lt(name.encode_utf16()));
                sorted.insert(at, (name, value));
            }
            for (i, (name, value)) in sorted.into_iter().enumerate() {
                separate(i, to);
                write_text(name, to);
                to.push(':');
                write(value, to);
            }
            to.push('}');
        }
    }
}

fn separate(i: usize, to: &mut String) {
    if i > 0 {
        to.push(',');
    }
}

/// The escapes of section 3.2.2.2 are those that serde_json writes.
fn write_text(text: &str, to: &mut String) {
    // Text always serialises.
    to.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn document() -> impl Strategy<Value = Value> {
        let limit = super::super::MAX_SAFE_INTEGER as i64;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-limit..=limit).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x7f\u{2028}]{0,8}".prop_map(Value::from),
        ];
        let name = prop_oneof!["[a-z]{0,3}", "[\u{d000}-\u{d7ff}\u{e000}-\u{10ffff}]{0,2}", any::<String>()];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            let members = proptest::collection::vec((name.clone(), inner.clone()), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..6).prop_map(Value::from),
                members.prop_map(|members| Value::Object(Map::from_iter(members))),
            ]
        })
    }

    proptest! {
        #[test]
        fn is_what_others_write(value in document()) {
            prop_assert_eq!(canonical(&value).unwrap(), serde_json_canonicalizer::to_vec(&value).unwrap());
        }
    }

    #[test]
    fn only_integers_have_a_form() {
        assert_eq!(canonical(&[0_i64, -7]).unwrap(), b"[0,-7]");
        assert!(matches!(canonical(&[0.5]), Err(JsonError::Shape(_))));
        assert!(matches!(canonical(&-0.0), Err(JsonError::Shape(_))));
        assert!(matches!(canonical(&u64::MAX), Err(JsonError::NumberRange { .. })));
    }
}
