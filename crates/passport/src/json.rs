//! Strict JSON: RFC 8259 within the limits of I-JSON (RFC 7493), so that every reader of a document sees the same document.
//!
//! One scanner reads the bytes before any value is built. It refuses what readers are known to disagree about:
//! duplicate member names (at every depth, compared after unescaping, in members nobody reads too), integers beyond
//! 2^53-1 in magnitude, numbers that overflow a double, lone surrogates, invalid UTF-8, a byte order mark, bytes after
//! the value and nesting deeper than [`MAX_DEPTH`]. Noncharacters (RFC 7493 section 2.1) are let through.
//!
//! [`read`] gives the document as it was scanned, borrowing its text; [`parse`] and [`parse_into`] copy it.
//! [`read_back`] is for what the program itself has written.

mod canonical;
mod locate;
mod node;
mod range;
mod shape;
mod texts;

use alloc::borrow::Cow;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use canonical::canonical;
pub use locate::locate_strings;
pub use node::{Members, Node};
pub use texts::{Text, TextKind, visit_texts};

/// Objects and arrays may nest this deep; documents of the protocols served here stay under ten.
pub const MAX_DEPTH: usize = 32;

/// The largest integer every JSON reader holds exactly: 2^53-1 (RFC 7493 section 2.2).
pub const MAX_SAFE_INTEGER: u64 = 9_007_199_254_740_991;

/// The name under which a type asks for a newtype struct when it wants a number as the text that it was written as,
/// digit by digit. Other readers than this one give such a type the newtype's content.
pub const DECIMAL: &str = "passgate::decimal";

/// The name, given with `#[serde(rename)]`, of a struct that ignores members it has no field for. Any other struct refuses
/// them when this reader reads it, whether or not it has `#[serde(deny_unknown_fields)]`.
pub const OPEN: &str = "passgate::open";

/// Longest message kept from a typed reader, in characters: it may quote the document.
const MAX_SHAPE_MESSAGE: usize = 200;

/// Why a document was refused. Positions are byte offsets; the document itself is quoted nowhere but in `Shape`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// More bytes than the caller allows.
    #[error("JSON document exceeds {limit} bytes: send a smaller one")]
    TooLarge {
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// Not UTF-8 (RFC 8259 section 8.1).
    #[error("JSON document is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first invalid byte.
        at: usize,
    },
    /// Not JSON.
    #[error("JSON syntax error at byte {at}")]
    Syntax {
        /// Offset of the first byte that fits no rule.
        at: usize,
    },
    /// Bytes other than white space after the value.
    #[error("JSON document goes on after its value at byte {at}: send exactly one value")]
    TrailingBytes {
        /// Offset of the first byte too many.
        at: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("JSON nests deeper than 32 levels at byte {at}")]
    TooDeep {
        /// Offset of the bracket that goes too deep.
        at: usize,
    },
    /// One object names a member twice.
    #[error("JSON object repeats a member name at byte {at}: each name may stand once")]
    DuplicateKey {
        /// Offset of the second spelling.
        at: usize,
    },
    /// An integer that not every reader holds exactly, or a number beyond the range of a double.
    #[error("JSON number at byte {at} is out of range: integers go to 2^53-1 in magnitude")]
    NumberRange {
        /// Offset of the number.
        at: usize,
    },
    /// A `\u` escape that is half of a surrogate pair.
    #[error("JSON string has a lone surrogate at byte {at}")]
    LoneSurrogate {
        /// Offset of the escape.
        at: usize,
    },
    /// Valid JSON of another shape than the reader wants.
    #[error("JSON has an unexpected shape: {0}")]
    Shape(String),
    /// The pointer does not follow RFC 6901.
    #[error("JSON pointer is malformed: it starts with `/`, and `~` stands only in `~0` and `~1`")]
    Pointer,
}

/// Reads one document of at most `limit_bytes` bytes, borrowing its text wherever it has no escapes.
///
/// # Errors
/// [`JsonError`] for anything the [module](self) refuses.
pub fn read(bytes: &[u8], limit_bytes: usize) -> Result<Node<'_>, JsonError> {
    scan(bounded_text(bytes, limit_bytes)?)
}

/// Reads one document of at most `limit_bytes` bytes.
///
/// # Errors
/// [`JsonError`] for anything the [module](self) refuses.
pub fn parse(bytes: &[u8], limit_bytes: usize) -> Result<Value, JsonError> {
    read(bytes, limit_bytes).map(|document| document.to_value())
}

/// Reads one document of at most `limit_bytes` bytes into `T`.
///
/// Members that `T` ignores are checked too. A struct is an object, never an array of its fields, and a number is an
/// integer: types with floats read nothing.
///
/// # Errors
/// [`JsonError`] for anything the [module](self) refuses, [`JsonError::Shape`] when `T` does.
pub fn parse_into<T: DeserializeOwned>(bytes: &[u8], limit_bytes: usize) -> Result<T, JsonError> {
    typed(&read(bytes, limit_bytes)?)
}

/// Reads what the program has itself written: as [`parse_into`], with integers of 64 bits, and of any length.
///
/// # Errors
/// As [`parse_into`], except for those of size.
pub fn read_back<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    typed(&node_back(bytes)?)
}

/// As [`read_back`], but gives the document as it was scanned.
///
/// # Errors
/// As [`read_back`], except for [`JsonError::Shape`].
pub fn node_back(bytes: &[u8]) -> Result<Node<'_>, JsonError> {
    Scanner { text: bounded_text(bytes, usize::MAX)?, at: 0, largest: u64::MAX }.document()
}

/// Reads a document that was scanned before, or made.
///
/// # Errors
/// [`JsonError::Shape`] when `T` refuses it.
pub fn typed<T: DeserializeOwned>(document: &Node<'_>) -> Result<T, JsonError> {
    shape::read(document).map_err(|why| JsonError::Shape(printable(&why)))
}

/// Whether [`typed`] reads a `T` from it.
#[must_use]
pub fn fits<T: DeserializeOwned>(document: &Node<'_>) -> bool {
    shape::read::<T>(document).is_ok()
}

fn bounded_text(bytes: &[u8], limit_bytes: usize) -> Result<&str, JsonError> {
    if bytes.len() > limit_bytes {
        return Err(JsonError::TooLarge { limit: limit_bytes });
    }
    core::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 { at: error.valid_up_to() })
}

/// A typed reader's message quotes the document, so control characters are escaped and the length is bounded.
fn printable(message: &str) -> String {
    message.chars().flat_map(char::escape_debug).take(MAX_SHAPE_MESSAGE).collect()
}

/// Checks `text` whole and gives its value.
fn scan(text: &str) -> Result<Node<'_>, JsonError> {
    Scanner { text, at: 0, largest: MAX_SAFE_INTEGER }.document()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The largest magnitude of an integer.
    largest: u64,
}

impl<'a> Scanner<'a> {
    fn document(&mut self) -> Result<Node<'a>, JsonError> {
        let value = self.value(0)?;
        self.skip_white_space();
        if self.at == self.text.len() { Ok(value) } else { Err(JsonError::TrailingBytes { at: self.at }) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn syntax<T>(&self) -> Result<T, JsonError> {
        Err(JsonError::Syntax { at: self.at })
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    /// The text from `start` to here. Both ends stand at ASCII bytes, so the slice always exists.
    fn since(&self, start: usize) -> Result<&'a str, JsonError> {
        self.text.get(start..self.at).ok_or(JsonError::Syntax { at: start })
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, JsonError> {
        self.skip_white_space();
        match self.peek() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(JsonError::TooDeep { at: self.at }),
            Some(b'{') => self.object(depth).map(Node::Object),
            Some(b'[') => self.array(depth).map(Node::Array),
            Some(b'"') => self.string().map(Node::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|text| Node::Number(Cow::Borrowed(text))),
            Some(b't') => self.literal("true", Node::Bool(true)),
            Some(b'f') => self.literal("false", Node::Bool(false)),
            Some(b'n') => self.literal("null", Node::Null),
            _ => self.syntax(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Members<'a>, JsonError> {
        let mut members = Members::new();
        self.each_member(|scanner, at, name| {
            // The name is refused before its value is read: what comes first in the text is what is reported.
            let Entry::Vacant(member) = members.entry(name) else {
                return Err(JsonError::DuplicateKey { at });
            };
            scanner.colon()?;
            member.insert(scanner.value(depth + 1)?);
            Ok(())
        })?;
        Ok(members)
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node<'a>>, JsonError> {
        let mut items = Vec::new();
        self.each_item(|scanner| {
            items.push(scanner.value(depth + 1)?);
            Ok(())
        })?;
        Ok(items)
    }

    /// Passes over the object that begins here. `each` is given where a name begins and the name, and passes over its colon and
    /// its value.
    fn each_member(
        &mut self,
        mut each: impl FnMut(&mut Self, usize, Cow<'a, str>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.at += 1;
        self.skip_white_space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.skip_white_space();
            let start = self.at;
            let name = self.string()?;
            each(self, start, name)?;
            self.skip_white_space();
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.syntax();
            }
        }
    }

    fn colon(&mut self) -> Result<(), JsonError> {
        self.skip_white_space();
        if self.take(b':') { Ok(()) } else { self.syntax() }
    }

    /// Passes over the array that begins here. `each` passes over an item.
    fn each_item(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        self.at += 1;
        self.skip_white_space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            self.skip_white_space();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.syntax();
            }
        }
    }

    fn literal(&mut self, word: &str, value: Node<'a>) -> Result<Node<'a>, JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return self.syntax();
        }
        self.at += word.len();
        Ok(value)
    }

    /// RFC 8259 section 6, then the ranges of RFC 7493 section 2.2. Gives the text of the number.
    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let integer = self.since(start)?;
        let fraction = self.take(b'.');
        if fraction {
            self.digits()?;
        }
        let exponent = self.take(b'e') || self.take(b'E');
        if exponent {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let text = self.since(start)?;
        let in_range = if fraction || exponent {
            range::is_double(text)
        } else {
            integer.trim_start_matches('-').parse().is_ok_and(|n: u64| n <= self.largest)
        };
        if in_range { Ok(text) } else { Err(JsonError::NumberRange { at: start }) }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.syntax() } else { Ok(()) }
    }

    /// A string, unescaped; borrowed when it has no escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if !self.take(b'"') {
            return self.syntax();
        }
        let plain = self.plain_run()?;
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut unescaped = String::from(plain);
        loop {
            match self.peek() {
                Some(b'\\') => unescaped.push(self.escape()?),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(unescaped));
                }
                _ => unescaped.push_str(self.plain_run()?),
            }
        }
    }

    /// The text up to the next quote or backslash; control characters and the end of the text are errors.
    fn plain_run(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
        match self.peek() {
            Some(b'"' | b'\\') => self.since(start),
            _ => self.syntax(),
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(b'u') => return self.unicode_escape(start),
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return self.syntax(),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, JsonError> {
        let lone = JsonError::LoneSurrogate { at: start };
        let first = self.hex4()?;
        if !(0xd800..=0xdbff).contains(&first) {
            return char::from_u32(first).ok_or(lone);
        }
        if !(self.take(b'\\') && self.peek() == Some(b'u')) {
            return Err(lone);
        }
        let second = self.hex4()?;
        if !(0xdc00..=0xdfff).contains(&second) {
            return Err(lone);
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(lone)
    }

    /// The four digits after the `u` at which the scanner stands.
    fn hex4(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return self.syntax();
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests;
