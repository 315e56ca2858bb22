//! Texts as the detectors read them, with the way back to the text as given.
//!
//! Detectors read ASCII. In a view every other character has become the ASCII character it stands for, or nothing if
//! it cannot be seen, or one of two markers.

use alloc::vec::Vec;

use super::bytes::at;
use super::escape;
use super::fold::fold;

/// What [`decode`] reads from bytes that are not UTF-8.
const REPLACEMENT: u32 = 0xfffd;
/// Added to an ASCII character, the tag character that hides it.
const TAGS: u32 = 0xe0000;

/// A text, and for each of its bytes where in the text as given its source starts; one offset more for the end.
#[derive(Default)]
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    starts: Vec<u32>,
}

/// A borrowed [`View`], or a text as given.
#[derive(Clone, Copy)]
pub(super) struct Slice<'a> {
    pub(super) bytes: &'a [u8],
    /// `None`: offsets are those of the text as given.
    starts: Option<&'a [u32]>,
}

impl<'a> Slice<'a> {
    pub(super) fn as_given(bytes: &'a [u8]) -> Self {
        Self { bytes, starts: None }
    }

    /// Where the source of a byte starts, which is also where that of the byte before it ends.
    pub(super) fn source(&self, index: usize) -> usize {
        match self.starts {
            None => index,
            Some(starts) => starts.get(index).or(starts.last()).map_or(0, |&start| start as usize),
        }
    }

    /// Whether the range stands in the text as given just like this.
    pub(super) fn is_verbatim(&self, start: usize, end: usize) -> bool {
        self.source(end) - self.source(start) == end - start
    }

    /// The view of a text in which characters outside ASCII and control characters may stand. With `tags`, tag
    /// characters are read as the ASCII characters they hide instead of dropped.
    pub(super) fn fold(&self, tags: bool) -> View {
        let mut view = View::with_capacity(self.bytes.len());
        let mut index = 0;
        while index < self.bytes.len() {
            let (character, length) = decode(self.bytes, index);
            let hidden = character.wrapping_sub(TAGS);
            view.push(if tags && hidden < 128 { hidden } else { character }, self.source(index));
            index += length;
        }
        view.close(self.source(index))
    }

    /// The view of a view with its escapes replaced; `None` if it has none.
    pub(super) fn unescape(&self) -> Option<View> {
        let mut view = View::with_capacity(self.bytes.len());
        let mut index = 0;
        let mut replaced = false;
        while index < self.bytes.len() {
            let source = self.source(index);
            if let Some((character, length)) = escape::read(self.bytes, index) {
                view.push(character, source);
                index += length;
                replaced = true;
            } else {
                view.push_byte(at(self.bytes, index), source);
                index += 1;
            }
        }
        replaced.then(|| view.close(self.source(index)))
    }
}

impl View {
    pub(super) fn with_capacity(length: usize) -> Self {
        Self { bytes: Vec::with_capacity(length), starts: Vec::with_capacity(length + 1) }
    }

    pub(super) fn slice(&self) -> Slice<'_> {
        Slice { bytes: &self.bytes, starts: Some(&self.starts) }
    }

    pub(super) fn push_byte(&mut self, byte: u8, source: usize) {
        self.bytes.push(byte);
        self.starts.push(source as u32);
    }

    /// Adds the offset behind the last byte.
    pub(super) fn close(mut self, source: usize) -> Self {
        self.starts.push(source as u32);
        self
    }

    fn push(&mut self, character: u32, source: usize) {
        if let Some(byte) = fold(character) {
            self.push_byte(byte, source);
        }
    }
}

/// The UTF-8 character at an index and its length; U+FFFD and 1 where there is none (RFC 3629 section 4).
pub(super) fn decode(bytes: &[u8], index: usize) -> (u32, usize) {
    let first = at(bytes, index);
    let (length, least) = match first {
        0..0x80 => return (u32::from(first), 1),
        0xc0..0xe0 => (2, 0x80),
        0xe0..0xf0 => (3, 0x800),
        0xf0..0xf8 => (4, 0x10000),
        _ => return (REPLACEMENT, 1),
    };
    let mut character = u32::from(first) & (0x7f >> length);
    for place in 1..length {
        let byte = at(bytes, index + place);
        if byte & 0xc0 != 0x80 {
            return (REPLACEMENT, 1);
        }
        character = character << 6 | u32::from(byte & 0x3f);
    }
    if character < least { (REPLACEMENT, 1) } else { (character, length) }
}

/// Whether a character counts as text when encoded bytes are judged.
pub(super) fn is_text(character: u32) -> bool {
    character != REPLACEMENT && !matches!(character, 0..=8 | 11..=12 | 14..=31 | 127..=159)
}
