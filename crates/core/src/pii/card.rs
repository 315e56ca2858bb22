//! Payment card numbers.

use super::bytes::{ALNUM, DIGIT, LETTER, at, before, decimal, follows, is, kind, part, skip, skip_back};
use super::context::CARD;
use super::number::{Group, Run};

/// First and last four digits of the ranges that card schemes have published, and the lengths in use as bits: the
/// lowest bit stands for 12 digits.
const RANGES: &[(u16, u16, u8)] = &[
    // UATP
    (1000, 1999, 0b0000_1000),
    // Mir, Borica
    (2200, 2205, 0b1111_0000),
    // Mastercard
    (2221, 2720, 0b0001_0000),
    // Diners Club
    (3000, 3059, 0b1111_0100),
    (3095, 3095, 0b1111_0100),
    // American Express
    (3400, 3499, 0b0000_1000),
    // JCB
    (3528, 3589, 0b1111_0000),
    // Diners Club
    (3600, 3699, 0b1111_0100),
    // American Express
    (3700, 3799, 0b0000_1000),
    // Diners Club
    (3800, 3999, 0b1111_0100),
    // Visa
    (4000, 4999, 0b1001_0010),
    // Maestro, Dankort
    (5018, 5020, 0b1111_1111),
    (5038, 5038, 0b1111_1111),
    // Verve, Elo, RuPay
    (5060, 5061, 0b1101_0000),
    (5066, 5067, 0b0001_0000),
    (5080, 5099, 0b0001_0000),
    // Mastercard
    (5100, 5599, 0b0001_0000),
    // Maestro
    (5612, 5612, 0b1111_1111),
    (5893, 5893, 0b1111_1111),
    // Discover, RuPay, Hipercard
    (6000, 6099, 0b1111_0000),
    // UnionPay
    (6200, 6299, 0b1111_0000),
    // Maestro, InterPayment, InstaPayment
    (6304, 6304, 0b1111_1111),
    (6360, 6399, 0b1111_0000),
    // Discover, RuPay, Elo, Verve
    (6440, 6599, 0b1111_0000),
    // Maestro
    (6759, 6763, 0b1111_1111),
    (6767, 6767, 0b1111_1111),
    // UnionPay, RuPay
    (8100, 8299, 0b1111_0000),
    // Uzcard, Troy, Humo
    (8600, 8600, 0b0001_0000),
    (9792, 9792, 0b0001_0000),
    (9860, 9860, 0b0001_0000),
];

/// Whether the digits up to a group of a run are a card number.
///
/// The digits stand together, or in groups as they are embossed, or in any other groups if these are all digits of
/// the run. Letters may touch them, as long as these are not part of a word with further digits, as in hashes.
pub(super) fn is_card(bytes: &[u8], run: &Run, group: Group, words: &dyn Fn() -> u16) -> bool {
    let digits = run.digits(group.digits);
    digits.len() >= 12
        && is_known(digits)
        && luhn(digits)
        && is_grouped(bytes, run, group)
        && is_free(bytes, run.start, group)
        && (digits.len() >= 14 || words() & CARD != 0)
}

/// Whether these are groups of a card: all digits together, fours with a rest, 4-6-5 and the like, or all there is.
fn is_grouped(bytes: &[u8], run: &Run, group: Group) -> bool {
    let joined = |byte: u8, other: u8| byte == run.separator && kind(other) & ALNUM != 0;
    let is_embossed = matches!(group.shape >> 4, 0 | 0x4 | 0x44 | 0x444 | 0x4444 | 0x46);
    let (start, end) = (run.start, group.end);
    is_embossed
        || (matches!(run.separator, b' ' | b'-')
            && !joined(before(bytes, start, 1), before(bytes, start, 2))
            && !joined(at(bytes, end), at(bytes, end + 1)))
}

/// Whether no other digits touch the number, neither directly nor through letters, nor as the other side of a decimal
/// point (except `.0`, which some writers add to integers).
fn is_free(bytes: &[u8], start: usize, group: Group) -> bool {
    const REACH: usize = 24;
    let end = group.end;
    let first = skip_back(bytes, start, REACH, LETTER);
    let last = skip(bytes, end, REACH, LETTER);
    if follows(bytes, first, DIGIT) || is(bytes, last, DIGIT) {
        return false;
    }
    let is_fraction = before(bytes, start, 1) == b'.' && follows(bytes, start - 1, DIGIT);
    let has_fraction = at(bytes, end) == b'.' && is(bytes, end + 1, DIGIT);
    let is_zero = at(bytes, end + 1) == b'0' && !is(bytes, end + 2, DIGIT);
    group.shape > 15 || (!is_fraction && (!has_fraction || is_zero))
}

fn is_known(digits: &[u8]) -> bool {
    let issuer = decimal(part(digits, 0, 4)) as u16;
    let lengths = RANGES.iter().find(|&&(first, last, _)| (first..=last).contains(&issuer)).map_or(0, |range| range.2);
    digits.len().checked_sub(12).is_some_and(|length| lengths >> length & 1 == 1)
}

/// ISO/IEC 7812-1 annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, &digit)| match u32::from(digit) << (index & 1) {
            value @ 10.. => value - 9,
            value => value,
        })
        .sum();
    sum.is_multiple_of(10)
}
