//! A strictly read document that borrows its text.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde_json::{Number, Value};

use super::JsonError;

/// The members of an object, by unescaped name.
pub type Members<'a> = BTreeMap<Cow<'a, str>, Node<'a>>;

/// One value of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it was written, so that an amount never passes through a float.
    Number(Cow<'a, str>),
    /// A string, unescaped; borrowed when it has no escapes.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object.
    Object(Members<'a>),
}

impl<'a> Node<'a> {
    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a number written as a plain non-negative integer.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The items of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members of an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Members<'a>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The value at an RFC 6901 pointer; `None` when nothing stands there.
    ///
    /// # Errors
    /// [`JsonError::Pointer`] when the pointer is malformed.
    pub fn pointer(&self, pointer: &str) -> Result<Option<&Self>, JsonError> {
        if pointer.is_empty() {
            return Ok(Some(self));
        }
        let mut at = Some(self);
        for raw in pointer.strip_prefix('/').ok_or(JsonError::Pointer)?.split('/') {
            let token = pointer_token(raw)?;
            at = at.and_then(|node| node.child(&token));
        }
        Ok(at)
    }

    fn child(&self, token: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(token),
            Self::Array(items) => items.get(array_index(token)?),
            _ => None,
        }
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn to_static(&self) -> Node<'static> {
        let owned = |text: &Cow<'_, str>| Cow::Owned(String::from(text.as_ref()));
        match self {
            Self::Null => Node::Null,
            Self::Bool(value) => Node::Bool(*value),
            Self::Number(text) => Node::Number(owned(text)),
            Self::String(text) => Node::String(owned(text)),
            Self::Array(items) => Node::Array(items.iter().map(Self::to_static).collect()),
            Self::Object(members) => {
                let mut copy = Members::new();
                for (name, value) in members {
                    copy.insert(owned(name), value.to_static());
                }
                Node::Object(copy)
            }
        }
    }

    /// About how many bytes it takes, apart from its texts: up to eighty times what was sent, where that nests.
    pub(crate) fn weight(&self) -> usize {
        /// Of a tree, which has room for eleven members from the first on.
        const OBJECT: usize = 11 * size_of::<(Cow<'_, str>, Node<'_>)>();
        size_of::<Self>()
            + match self {
                Self::Array(items) => items.iter().map(Self::weight).sum(),
                Self::Object(members) => OBJECT + members.values().map(Self::weight).sum::<usize>(),
                _ => 0,
            }
    }

    /// The same document as the value that serde_json has for it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            // What the scanner lets through as a number is one to every reader.
            Self::Number(text) => text.parse::<Number>().map_or(Value::Null, Value::Number),
            Self::String(text) => Value::String(text.to_string()),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(members) => members.iter().map(|(name, value)| (name.as_ref(), value.to_value())).collect(),
        }
    }
}

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(Cow::Owned(number.to_string())),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), value.into())).collect())
            }
        }
    }
}

/// A reference token, unescaped (RFC 6901 section 4).
pub(super) fn pointer_token(raw: &str) -> Result<Cow<'_, str>, JsonError> {
    if !raw.contains('~') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut parts = raw.split('~');
    let mut token = String::from(parts.next().unwrap_or_default());
    for part in parts {
        let (escaped, rest) = match part.split_at_checked(1) {
            Some(("0", rest)) => ('~', rest),
            Some(("1", rest)) => ('/', rest),
            _ => return Err(JsonError::Pointer),
        };
        token.push(escaped);
        token.push_str(rest);
    }
    Ok(Cow::Owned(token))
}

/// RFC 6901 section 4: digits without a leading zero.
pub(super) fn array_index(token: &str) -> Option<usize> {
    let is_canonical = token == "0" || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
    if is_canonical { token.parse().ok() } else { None }
}
