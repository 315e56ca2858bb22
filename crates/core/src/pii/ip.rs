//! Internet addresses.

use super::bytes::{ARROW, DIGIT, DOT, HEX, HYPHEN, LETTER, WORD, at, before, decimal, follows, has, is, part, skip};
use super::context::VERSION;

/// Where the address ends that starts at an index, with its zone (RFC 4007 section 11) and prefix length.
pub(super) fn find(bytes: &[u8], start: usize, words: &dyn Fn() -> u16) -> Option<usize> {
    // What follows the first group of either, which rules most words and numbers out.
    if !is(bytes, skip(bytes, start, 4, HEX), DOT | ARROW) {
        return None;
    }
    if let Some(end) = v6(bytes, start) {
        return Some(end);
    }
    v4_alone(bytes, start).filter(|_| words() & VERSION == 0)
}

/// RFC 4291 section 2.2, all three forms.
fn v6(bytes: &[u8], start: usize) -> Option<usize> {
    if is_joined(bytes, start) || before(bytes, start, 1) == b':' {
        return None;
    }
    let mut address = Address { end: start, ..Address::default() };
    while address.read(bytes)? {}
    let end = address.end;
    let next = at(bytes, end);
    let goes_on = is(bytes, end, WORD) || next == b':' && (at(bytes, end + 1) == b':' || is(bytes, end + 1, HEX));
    if goes_on || !address.is_whole() || !address.is_likely(part(bytes, start, end)) {
        return None;
    }
    let zone = skip(bytes, end + 1, 16, WORD | DOT);
    let end = if next == b'%' && zone > end + 1 { zone } else { end };
    Some(prefix_length(bytes, end, 128))
}

#[derive(Default)]
struct Address {
    end: usize,
    groups: usize,
    compressed: bool,
    /// A group has three or four digits, or the last two are written as an IPv4 address.
    long: bool,
    /// A group has a number of digits other than two.
    uneven: bool,
}

impl Address {
    /// Reads a `::` or a group with its colon; whether more can follow. `None`: this is no address.
    fn read(&mut self, bytes: &[u8]) -> Option<bool> {
        if at(bytes, self.end) == b':' && at(bytes, self.end + 1) == b':' {
            if self.compressed {
                return None;
            }
            self.compressed = true;
            self.end += 2;
            return Some(is(bytes, self.end, HEX));
        }
        let end = skip(bytes, self.end, 5, HEX);
        let size = end - self.end;
        if !(1..=4).contains(&size) || self.groups == 8 {
            return None;
        }
        if at(bytes, end) == b'.' && is(bytes, end + 1, DIGIT) {
            self.end = v4(bytes, self.end)?;
            self.groups += 2;
            self.long = true;
            return Some(false);
        }
        self.groups += 1;
        self.long |= size > 2;
        self.uneven |= size != 2;
        self.end = end;
        if at(bytes, end) != b':' {
            return Some(false);
        }
        let more = is(bytes, end + 1, HEX);
        self.end += usize::from(more);
        Some(more || at(bytes, end + 1) == b':')
    }

    fn is_whole(&self) -> bool {
        if self.compressed { self.groups < 8 } else { self.groups == 8 }
    }

    /// Rules out paths of programming languages, slices (`[1::2]`) and EUI-64 identifiers.
    fn is_likely(&self, text: &[u8]) -> bool {
        let enough = if self.compressed { self.long || self.groups > 2 } else { self.uneven };
        text == b"::1" || (enough && has(text, DIGIT))
    }
}

/// An IPv4 address that is not part of a longer dotted number, a file name or a product with version.
fn v4_alone(bytes: &[u8], start: usize) -> Option<usize> {
    if is_joined(bytes, start) || (before(bytes, start, 1) == b'-' && follows(bytes, start - 1, LETTER)) {
        return None;
    }
    let end = v4(bytes, start)?;
    let joins = is(bytes, end, DOT) && is(bytes, end + 1, WORD) || is(bytes, end, HYPHEN) && is(bytes, end + 1, LETTER);
    if joins || is(bytes, end, WORD) {
        return None;
    }
    // Browsers call themselves `Chrome/120.0.0.0`.
    let is_product = before(bytes, start, 1) == b'/'
        && follows(bytes, start - 1, LETTER)
        && part(bytes, start, end).ends_with(b".0.0.0");
    (!is_product).then(|| prefix_length(bytes, end, 32))
}

/// Whether a word, or a full stop behind a word, touches the index from the front.
fn is_joined(bytes: &[u8], start: usize) -> bool {
    follows(bytes, start, WORD) || (follows(bytes, start, DOT) && follows(bytes, start - 1, WORD))
}

/// Four numbers up to 255 between full stops; leading zeros only in all three digits of a number.
fn v4(bytes: &[u8], start: usize) -> Option<usize> {
    let mut end = start;
    for place in 0..4 {
        if place > 0 {
            if at(bytes, end) != b'.' {
                return None;
            }
            end += 1;
        }
        let first = end;
        end = skip(bytes, first, 4, DIGIT);
        let digits = part(bytes, first, end);
        let value = decimal(digits);
        let padded = digits.len() == 2 && value < 10;
        if !(1..=3).contains(&digits.len()) || value > 255 || padded {
            return None;
        }
    }
    Some(end)
}

/// The end with a prefix length of at most `most` bits (RFC 4632 section 3.1), if one follows.
fn prefix_length(bytes: &[u8], end: usize, most: u32) -> usize {
    let first = end + 1;
    let last = skip(bytes, first, 4, DIGIT);
    let value = decimal(part(bytes, first, last));
    let is_length = at(bytes, end) == b'/' && last > first && value <= most && !is(bytes, last, WORD);
    if is_length { last } else { end }
}
