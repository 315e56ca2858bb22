//! Passport numbers, which have a shape but no check digit outside the machine readable zone.

use super::bytes::{ALNUM, LETTER, WORD, follows, is, part, skip};
use super::context::PASSPORT;

/// Where the passport number that starts at an index ends.
///
/// Nine digits (United States until 2021, United Kingdom and others), one letter and seven or eight digits (United
/// States since 2021, India and others), two letters and six or seven digits (Italy, France's old form and others), or
/// nine letters and digits that start with a letter and hold at least four digits (Germany and others).
pub(super) fn find(bytes: &[u8], start: usize, words: &dyn Fn() -> u16) -> Option<usize> {
    let end = skip(bytes, start, 10, ALNUM);
    // Few words are this long; the rest is for them.
    if end - start < 8 || follows(bytes, start, WORD) || is(bytes, end, WORD) {
        return None;
    }
    let letters = skip(bytes, start, 3, LETTER) - start;
    let digits = part(bytes, start, end).iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_shape = match (end - start - digits, letters, digits) {
        (0, 0, 9) | (1, 1, 7 | 8) | (2, 2, 6 | 7) => true,
        (others, 1.., 4..) => others + digits == 9,
        _ => false,
    };
    (is_shape && words() & PASSPORT != 0).then_some(end)
}
