//! Escape sequences: one character each.

use super::bytes::{DIGIT, HEX, LETTER, at, decimal, part, skip};
use super::view::decode;

/// Named character references of HTML, each in front of the ASCII character that it stands for (HTML Living Standard,
/// section 13.5). Those that cannot be seen stand in front of a NUL, dashes in front of a hyphen.
const NAMED: &[u8] =
    b"amp&commat@period.lowbar_hyphen-dash-ndash-mdash-minus-plus+colon:equals=sol/bsol\\num#percnt%lpar(rpar)\
quot\"apos'lt<gt>nbsp ensp emsp thinsp Tab NewLine\nshy\0zwj\0zwnj\0";

/// The character that an escape sequence at an index stands for, and the length of the sequence.
///
/// Percent-encoding (RFC 3986 section 2.1, also `%uXXXX`) of a whole UTF-8 character or of a stray byte, escapes of
/// JSON and programming languages (`\uXXXX` alone or as a surrogate pair, `\u{X}`, `\UXXXXXXXX`, `\xXX`, `\n`, `\/` and the
/// like), and HTML character references with or without their semicolon.
pub(super) fn read(bytes: &[u8], index: usize) -> Option<(u32, usize)> {
    match at(bytes, index) {
        b'%' if at(bytes, index + 1) == b'u' => digits(bytes, index + 2, 4, 4).map(|(value, _)| (value, 6)),
        b'%' => percent(bytes, index),
        b'\\' => backslash(bytes, index + 1).map(|(character, length)| (character, length + 1)),
        b'&' if at(bytes, index + 1) == b'#' => numeric(bytes, index),
        b'&' => named(bytes, index),
        _ => None,
    }
}

/// A number of `least` to `most` hexadecimal digits, and how many there are.
fn digits(bytes: &[u8], index: usize, least: usize, most: usize) -> Option<(u32, usize)> {
    let end = skip(bytes, index, most, HEX);
    let value = part(bytes, index, end).iter().fold(0, |value, &byte| value << 4 | nibble(byte));
    (end - index >= least).then_some((value, end - index))
}

fn percent(bytes: &[u8], index: usize) -> Option<(u32, usize)> {
    let mut octets = [0; 4];
    let mut count = 0;
    for octet in &mut octets {
        let start = index + 3 * count;
        let Some((value, _)) = digits(bytes, start + 1, 2, 2).filter(|_| at(bytes, start) == b'%') else { break };
        *octet = value as u8;
        count += 1;
    }
    let (character, length) = decode(part(&octets, 0, count), 0);
    (count > 0).then_some((character, 3 * length))
}

/// What stands behind a backslash.
fn backslash(bytes: &[u8], index: usize) -> Option<(u32, usize)> {
    let (before, least, most) = match at(bytes, index) {
        b'u' if at(bytes, index + 1) == b'{' => (2, 1, 6),
        b'u' => (1, 4, 4),
        b'U' => (1, 8, 8),
        b'x' => (1, 2, 2),
        b'n' | b'r' => return Some((0x0a, 1)),
        b't' => return Some((0x20, 1)),
        quoted @ (b'\\' | b'/' | b'"' | b'\'') => return Some((u32::from(quoted), 1)),
        _ => return None,
    };
    let (high, length) = digits(bytes, index + before, least, most)?;
    let end = index + before + length;
    if before == 2 {
        return (at(bytes, end) == b'}').then_some((high, length + 3));
    }
    if high >> 10 == 0xd800 >> 10
        && part(bytes, end, end + 2) == b"\\u"
        && let Some((low, _)) = digits(bytes, end + 2, 4, 4)
        && low >> 10 == 0xdc00 >> 10
    {
        return Some((0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff)), 11));
    }
    Some((high, length + 1))
}

fn numeric(bytes: &[u8], index: usize) -> Option<(u32, usize)> {
    let start = index + 2;
    let (value, end) = if at(bytes, start) | 0x20 == b'x' {
        let (value, length) = digits(bytes, start + 1, 1, 32)?;
        (value, start + 1 + length)
    } else {
        let end = skip(bytes, start, 32, DIGIT);
        (decimal(part(bytes, start, end)), end)
    };
    (end > start).then_some((value, end + semicolon(bytes, end) - index))
}

fn named(bytes: &[u8], index: usize) -> Option<(u32, usize)> {
    let start = index + 1;
    let end = skip(bytes, start, 8, LETTER);
    let name = part(bytes, start, end);
    let mut names = NAMED.split_inclusive(|byte| !byte.is_ascii_alphabetic());
    let character = names.find_map(|known| known.strip_prefix(name).filter(|rest| rest.len() == 1)?.first())?;
    if name.is_empty() { None } else { Some((u32::from(*character), end + semicolon(bytes, end) - index)) }
}

fn semicolon(bytes: &[u8], index: usize) -> usize {
    usize::from(at(bytes, index) == b';')
}

/// The value of a hexadecimal digit.
pub(super) fn nibble(digit: u8) -> u32 {
    u32::from(if digit > b'9' { digit + 9 } else { digit } & 15)
}
