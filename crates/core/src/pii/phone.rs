//! Telephone numbers.

use super::bytes::{DIGIT, DOT, HYPHEN, PARENTHESIS, PLUS, SLASH, SPACE, WORD, at, before, follows, is, kind};
use super::context::{PHONE, PHONE_HINT};

/// The most digits of an international number (ITU-T E.164 section 6).
const MAX_DIGITS: usize = 15;
const MAX_GROUPS: usize = 8;

/// Where the telephone number ends that starts at an index with a plus sign, a digit or an opening parenthesis.
///
/// Accepted are 8 to 15 digits behind a plus sign; ten digits in the groups of the North American plan; 9 to 11 digits
/// in groups that start with a trunk zero, or with a parenthesised area code; and next to a word that says so other
/// digits that are neither a date nor a time.
pub(super) fn find(bytes: &[u8], start: usize, words: &dyn Fn() -> u16) -> Option<usize> {
    let number = Number::read(bytes, start)?;
    let end = number.end;
    if number.plus {
        return number.international().filter(|&end| !is(bytes, end, WORD));
    }
    let time_follows = at(bytes, end) == b':' && is(bytes, end + 1, DIGIT);
    let is_free = !is(bytes, end, WORD) && !time_follows && !number.is_cut && !number.is_date();
    if !is_free || number.count < 7 {
        return None;
    }
    (number.is_north_american() || number.is_national() || number.is_named(words())).then_some(end)
}

/// Groups of digits as telephone numbers separate them.
#[derive(Default)]
struct Number {
    plus: bool,
    digits: [u8; MAX_DIGITS],
    count: usize,
    end: usize,
    /// How many groups there are, and their sizes, a hexadecimal digit for each (the last for the last).
    groups: usize,
    shape: u32,
    /// Where the eleventh digit ends, if a group ends with it.
    eleventh: usize,
    /// What stands between the groups.
    separators: u32,
    /// More digits followed than a number has.
    is_cut: bool,
}

impl Number {
    fn read(bytes: &[u8], start: usize) -> Option<Self> {
        let mut number = Self { plus: at(bytes, start) == b'+', ..Self::default() };
        let is_joined = follows(bytes, start, SPACE | HYPHEN | DOT | SLASH | PLUS | PARENTHESIS)
            && kind(before(bytes, start, 2)) & DIGIT != 0;
        if follows(bytes, start, WORD) || (is_joined && !number.plus) {
            return None;
        }
        let mut index = start + usize::from(number.plus);
        while number.groups < MAX_GROUPS {
            let mut end = number.gap(bytes, index);
            let first = number.count;
            while is(bytes, end, DIGIT) {
                let Some(slot) = number.digits.get_mut(number.count) else {
                    number.is_cut = true;
                    number.count = first;
                    return (first > 0).then_some(number);
                };
                *slot = at(bytes, end) & 15;
                number.count += 1;
                end += 1;
            }
            if number.count == first {
                break;
            }
            number.shape = number.shape << 4 | (number.count - first) as u32;
            number.groups += 1;
            number.end = end;
            if number.count == 11 {
                number.eleventh = end;
            }
            index = end;
        }
        (number.groups > 0).then_some(number)
    }

    /// Reads what may stand between groups: one separator, or parentheses with at most one. Where a digit follows.
    fn gap(&mut self, bytes: &[u8], start: usize) -> usize {
        const SEPARATORS: u32 = SPACE | HYPHEN | DOT | SLASH;
        let mut separators = 0;
        let mut found = 0;
        let mut index = start;
        while is(bytes, index, SEPARATORS | PARENTHESIS) && index - start < 4 {
            separators += usize::from(is(bytes, index, SEPARATORS));
            found |= kind(at(bytes, index));
            index += 1;
        }
        let digit_follows = is(bytes, index, DIGIT) && separators < 2;
        self.separators |= if digit_follows { found } else { 0 };
        if digit_follows { index } else { bytes.len() }
    }

    fn digit(&self, index: usize) -> u8 {
        at(&self.digits, index)
    }

    /// The end of a number behind a plus sign. A North American one has 11 digits; what follows is not part of it.
    fn international(&self) -> Option<usize> {
        let unassigned = matches!((self.digit(0), self.digit(1)), (0, _) | (2, 8) | (8, 3 | 9));
        let is_amount = self.separators & DOT != 0 && self.groups == 2 && self.shape & 15 < 3;
        if self.digit(0) == 1 {
            return (self.digit(1) > 1 && self.eleventh > 0).then_some(self.eleventh);
        }
        (self.count >= 8 && !unassigned && !is_amount).then_some(self.end)
    }

    /// The groups 3-3-4 with or without the 1, area and exchange codes starting with 2 to 9 (NANPA numbering plan).
    fn is_north_american(&self) -> bool {
        let one = usize::from(self.digit(0) == 1);
        self.shape == if one == 1 { 0x1334 } else { 0x334 } && self.digit(one) > 1 && self.digit(one + 3) > 1
    }

    /// A trunk zero and an area code, or an area code in parentheses, in front of other groups.
    fn is_national(&self) -> bool {
        let rest = 4 * (self.groups as u32 - 1);
        let parenthesis = self.separators & PARENTHESIS != 0;
        let area = match self.shape >> rest {
            1 => self.count == 11 && self.digit(0) == 0 && self.separators & (PARENTHESIS | HYPHEN) != 0,
            2..=5 => parenthesis || (self.digit(0) == 0 && (self.digit(1) != 0 || self.digit(2) != 0)),
            _ => false,
        };
        // The other groups have two digits or more; 3-2-4 is how no country but the United States groups any number.
        let even = (0..self.groups - 1).all(|group| self.shape >> (4 * group) & 15 > 1);
        area && even
            && self.groups > 1
            && self.shape != 0x324
            && self.separators & DOT == 0
            && (9..=11).contains(&self.count)
    }

    fn is_named(&self, words: u16) -> bool {
        let bare = self.groups == 1;
        let least = if bare && words & PHONE_HINT == 0 { 10 } else { 7 };
        // Unix time in seconds and milliseconds, and dates without separators.
        let is_time = matches!(
            (self.count, self.digit(0), self.digit(1)),
            (10 | 13, 1, _) | (8 | 12 | 14, 1, 9) | (8 | 12 | 14, 2, 0)
        );
        words & (PHONE | PHONE_HINT) != 0 && self.count >= least && !(bare && is_time)
    }

    /// Whether the first groups are those of a date, a time behind it or not.
    fn is_date(&self) -> bool {
        let first = self.shape >> (4 * self.groups.saturating_sub(3));
        self.separators & PARENTHESIS == 0 && matches!(first, 0x422 | 0x224)
    }
}
