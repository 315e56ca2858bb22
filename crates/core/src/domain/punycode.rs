//! Punycode (RFC 3492), as far as it takes to see that an A-label stands for a name that needs one.

/// Parameters of RFC 3492 section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// Whether `text`, lower-case ASCII after `xn--`, decodes to code points of which at least one is not ASCII.
///
/// So nothing passes that decodes to the name of somebody else in plain letters. Code points that no name may have
/// because parsers fold them or take them for punctuation are refused as far as they stand in a few ranges
/// ([`is_folded`]). A label may still hold others that IDNA disallows; parsers that validate refuse it, and the rest
/// see these very letters, because an A-label is never folded to another name.
pub(super) fn is_encoded(text: &str) -> bool {
    let (plain, digits) = match text.rsplit_once('-') {
        // The delimiter stands only after at least one plain letter.
        Some((plain, digits)) if !plain.is_empty() => (plain, digits),
        _ => ("", text),
    };
    !digits.is_empty() && u32::try_from(plain.len()).is_ok_and(|length| decode(length, digits.bytes()).is_some())
}

/// RFC 3492 section 6.2 with `length` plain letters in the label; where a code point is inserted is not kept.
fn decode(mut length: u32, mut digits: impl Iterator<Item = u8>) -> Option<()> {
    let (mut n, mut i, mut bias) = (INITIAL_N, 0_u32, INITIAL_BIAS);
    while let Some(first) = digits.next() {
        let before = i;
        i = i.checked_add(delta(first, &mut digits, bias)?)?;
        length = length.checked_add(1)?;
        bias = adapt(i - before, length, before == 0);
        n = n.checked_add(i / length)?;
        if char::from_u32(n).is_none_or(is_folded) {
            return None;
        }
        i = i % length + 1;
    }
    Some(())
}

/// One generalized variable-length integer (RFC 3492 section 3.3), of which `first` is the first digit.
fn delta(first: u8, rest: &mut impl Iterator<Item = u8>, bias: u32) -> Option<u32> {
    let (mut value, mut weight, mut k) = (0_u32, 1_u32, BASE);
    let mut byte = first;
    loop {
        let digit = match byte {
            b'a'..=b'z' => u32::from(byte - b'a'),
            b'0'..=b'9' => u32::from(byte - b'0') + 26,
            _ => return None,
        };
        value = value.checked_add(digit.checked_mul(weight)?)?;
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if digit < threshold {
            return Some(value);
        }
        weight = weight.checked_mul(BASE - threshold)?;
        k += BASE;
        byte = rest.next()?;
    }
}

/// RFC 3492 section 6.1.
fn adapt(delta: u32, length: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

/// Code points that UTS 46 maps to others or disallows, in whole ranges: controls, spaces and invisible marks, the
/// ideographic full stop, compatibility forms of `/`, `?`, `@`, `:` and `.`, private use and specials.
fn is_folded(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{a0}'
        | '\u{ad}'
        | '\u{2000}'..='\u{200b}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2024}'..='\u{2026}'
        | '\u{2028}'..='\u{202f}'
        | '\u{2100}'..='\u{2101}'
        | '\u{2105}'..='\u{2106}'
        | '\u{3000}'
        | '\u{3002}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{fe10}'..='\u{fe19}'
        | '\u{fe50}'..='\u{fe6b}'
        | '\u{ff00}'..='\u{ffff}'
        | '\u{e0000}'..='\u{10ffff}')
}
