//! Reading single bytes without panics, and sets of bytes.

/// A decimal digit.
pub(super) const DIGIT: u32 = 1;
/// A letter that is no hexadecimal digit; [`LETTER`] for all.
const PLAIN_LETTER: u32 = 1 << 1;
/// `a` to `f` and `A` to `F`.
const HEX_LETTER: u32 = 1 << 2;
pub(super) const UPPER: u32 = 1 << 3;
pub(super) const UNDERSCORE: u32 = 1 << 4;
pub(super) const HYPHEN: u32 = 1 << 5;
pub(super) const DOT: u32 = 1 << 6;
pub(super) const PLUS: u32 = 1 << 7;
pub(super) const SLASH: u32 = 1 << 8;
pub(super) const LINE_BREAK: u32 = 1 << 9;
pub(super) const QUOTE: u32 = 1 << 10;
pub(super) const SPACE: u32 = 1 << 11;
/// At which something other than a word or a number can start.
pub(super) const ANCHOR: u32 = 1 << 12;
/// At which an escape sequence can start.
pub(super) const ESCAPE: u32 = 1 << 13;
/// What the detectors do not read: not ASCII, or a control character.
pub(super) const FOLD: u32 = 1 << 14;
/// A letter outside ASCII, in a view.
pub(super) const OTHER_LETTER: u32 = 1 << 15;
/// Of the local part of an e-mail address, besides word characters, hyphen, full stop and plus.
pub(super) const LOCAL: u32 = 1 << 16;
/// Of an unquoted value.
pub(super) const VALUE: u32 = 1 << 17;
/// `:` and `>`, which with `=` stand between a name and its value.
pub(super) const ARROW: u32 = 1 << 18;
pub(super) const EQUALS: u32 = 1 << 21;
pub(super) const ASSIGN: u32 = ARROW | EQUALS;
pub(super) const TILDE: u32 = 1 << 19;
pub(super) const PARENTHESIS: u32 = 1 << 20;
pub(super) const LETTER: u32 = PLAIN_LETTER | HEX_LETTER;
pub(super) const ALNUM: u32 = DIGIT | LETTER;
pub(super) const HEX: u32 = DIGIT | HEX_LETTER;
/// Letters of other scripts are no word characters, because some scripts put no spaces between words and numbers.
pub(super) const WORD: u32 = ALNUM | UNDERSCORE;
/// The alphabets of base64 and base64url.
pub(super) const BASE64: u32 = WORD | HYPHEN | PLUS | SLASH;

const KINDS: [u32; 256] = kinds();

const fn kinds() -> [u32; 256] {
    let mut table = [0; 256];
    let mut rest: &mut [u32] = &mut table;
    let mut byte = 0_u8;
    while let Some((kind, tail)) = rest.split_first_mut() {
        *kind = kind_of(byte);
        rest = tail;
        byte = byte.wrapping_add(1);
    }
    table
}

const fn kind_of(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => DIGIT | VALUE,
        b'a'..=b'f' => HEX_LETTER | VALUE,
        b'g'..=b'z' => PLAIN_LETTER | VALUE,
        b'A'..=b'F' => HEX_LETTER | UPPER | VALUE,
        b'G'..=b'Z' => PLAIN_LETTER | UPPER | VALUE,
        b'_' => UNDERSCORE | VALUE,
        b'-' => HYPHEN | ANCHOR | VALUE,
        b'.' => DOT | VALUE,
        b'+' => PLUS | ANCHOR | VALUE,
        b'/' => SLASH | VALUE,
        b'\n' | b'\r' => LINE_BREAK,
        b' ' | b'\t' => SPACE,
        b'"' => QUOTE,
        b'\'' | b'`' => QUOTE | LOCAL,
        b'=' => ANCHOR | EQUALS | VALUE,
        b':' => ANCHOR | ARROW | VALUE,
        b'>' => ARROW,
        b'@' => ANCHOR | VALUE,
        b'(' => ANCHOR | PARENTHESIS | VALUE,
        b')' => PARENTHESIS | VALUE,
        b'%' => ESCAPE | LOCAL | VALUE,
        b'\\' => ESCAPE | VALUE,
        b'&' => ESCAPE,
        b'~' => TILDE | LOCAL | VALUE,
        b'!' | b'#' | b'$' | b'*' | b'^' | b'{' | b'}' => LOCAL | VALUE,
        b'?' | b'[' | b']' | b'|' => VALUE,
        super::fold::OTHER_LETTER => FOLD | OTHER_LETTER | VALUE,
        0..=31 | 127.. => FOLD | VALUE,
        _ => 0,
    }
}

/// The sets that a byte belongs to.
#[inline]
pub(super) fn kind(byte: u8) -> u32 {
    KINDS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// The byte at an index; 0, which no detector accepts, past the end.
// WebAssembly is to be small.
#[cfg_attr(target_family = "wasm", inline(never))]
#[cfg_attr(not(target_family = "wasm"), inline)]
pub(super) fn at(bytes: &[u8], index: usize) -> u8 {
    #[cfg(test)]
    super::tests::steps::count();
    bytes.get(index).copied().unwrap_or(0)
}

/// Whether the byte at an index is one of a set.
#[cfg_attr(target_family = "wasm", inline(never))]
#[cfg_attr(not(target_family = "wasm"), inline)]
pub(super) fn is(bytes: &[u8], index: usize, set: u32) -> bool {
    kind(at(bytes, index)) & set != 0
}

/// Whether the byte in front of an index is one of a set.
#[cfg_attr(target_family = "wasm", inline(never))]
pub(super) fn follows(bytes: &[u8], index: usize, set: u32) -> bool {
    kind(before(bytes, index, 1)) & set != 0
}

/// The byte `back` bytes before an index; 0 before the start.
#[cfg_attr(target_family = "wasm", inline(never))]
pub(super) fn before(bytes: &[u8], index: usize, back: usize) -> u8 {
    at(bytes, index.wrapping_sub(back))
}

/// The bytes from `start` to `end`, fewer at the end of the text.
#[inline(never)]
pub(super) fn part(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    bytes.get(start..end.min(bytes.len())).unwrap_or_default()
}

/// Whether the text continues at an index with these bytes, in any case of the ASCII letters.
#[inline(never)]
pub(super) fn continues(bytes: &[u8], index: usize, with: &[u8]) -> bool {
    part(bytes, index, index + with.len()).eq_ignore_ascii_case(with)
}

/// The first index from `start` on whose byte is not of the set, at most `limit` bytes on.
#[inline(never)]
pub(super) fn skip(bytes: &[u8], start: usize, limit: usize, set: u32) -> usize {
    let mut end = start;
    while end - start < limit && end < bytes.len() && is(bytes, end, set) {
        end += 1;
    }
    end
}

/// The first index down from `end` such that all bytes from it to `end` are of the set, at most `limit` bytes down.
#[inline(never)]
pub(super) fn skip_back(bytes: &[u8], end: usize, limit: usize, set: u32) -> usize {
    let mut start = end;
    while end - start < limit && start > 0 && follows(bytes, start, set) {
        start -= 1;
    }
    start
}

/// Whether one of the bytes is one of a set.
#[inline(never)]
pub(super) fn has(bytes: &[u8], set: u32) -> bool {
    bytes.iter().any(|&byte| kind(byte) & set != 0)
}

/// The number that decimal digits write; of more digits than fit any number.
#[inline(never)]
pub(super) fn decimal(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value: u32, byte| value.wrapping_mul(10).wrapping_add(u32::from(byte & 15)))
}

/// Whether one of the words, which spaces separate, is accepted.
#[inline(never)]
pub(super) fn any_word(words: &[u8], accepted: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    #[cfg(test)]
    words.iter().for_each(|_| super::tests::steps::count());
    words.split(|byte| *byte == b' ').any(accepted)
}
