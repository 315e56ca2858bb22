//! Groups of digits, and the numbers of nine digits that the United States hand out.

use super::Class;
use super::bytes::{DIGIT, DOT, HYPHEN, PLUS, SPACE, UNDERSCORE, WORD, at, before, decimal, follows, is, kind, part};
use super::context::{ITIN, ROUTING, SSN};

/// The most digits that a run holds: those of the longest card number.
const MAX_DIGITS: usize = 19;

/// Groups of digits with one and the same separator between them, read from the start of the first group.
#[derive(Default)]
pub(super) struct Run {
    pub(super) start: usize,
    digits: [u8; MAX_DIGITS],
    /// Between the groups; 0 if there is but one.
    pub(super) separator: u8,
}

/// The groups up to one of a run.
#[derive(Clone, Copy, Default)]
pub(super) struct Group {
    /// How many digits there are up to the end of the group.
    pub(super) digits: usize,
    pub(super) end: usize,
    /// The sizes of the groups, one hexadecimal digit for each (the last for the last, `f` for more than 14).
    pub(super) shape: u64,
}

impl Run {
    /// Reads as many whole groups as have 19 digits together, and tells what there is after each.
    pub(super) fn read(bytes: &[u8], start: usize, each: &mut dyn FnMut(&Self, Group)) {
        let mut run = Self { start, ..Self::default() };
        let mut group = Group { end: start, ..Group::default() };
        loop {
            let first = group.digits;
            while is(bytes, group.end, DIGIT) {
                let Some(place) = run.digits.get_mut(group.digits) else { return };
                *place = at(bytes, group.end) & 15;
                group.digits += 1;
                group.end += 1;
            }
            group.shape = group.shape << 4 | (group.digits - first).min(15) as u64;
            each(&run, group);
            let separator = at(bytes, group.end);
            let fits = separator == run.separator
                || run.separator == 0 && is(bytes, group.end, SPACE | HYPHEN | DOT | UNDERSCORE | PLUS);
            if !fits || !is(bytes, group.end + 1, DIGIT) {
                return;
            }
            run.separator = separator;
            group.end += 1;
        }
    }

    /// The first digits of the run.
    pub(super) fn digits(&self, count: usize) -> &[u8] {
        part(&self.digits, 0, count)
    }
}

/// Whether the bytes from `start` to `end` stand free: no word touches them, and no further digits follow or lead with
/// the separator of the run, a hyphen or a full stop.
pub(super) fn stands_free(bytes: &[u8], start: usize, end: usize, separator: u8) -> bool {
    let joins = |byte: u8| byte == separator || matches!(byte, b'-' | b'.');
    let joined_ahead = joins(before(bytes, start, 1)) && kind(before(bytes, start, 2)) & DIGIT != 0;
    let joined_behind = joins(at(bytes, end)) && is(bytes, end + 1, DIGIT);
    !follows(bytes, start, WORD) && !is(bytes, end, WORD) && !joined_ahead && !joined_behind
}

/// What the nine digits up to a group of a run are: a Social Security number, a taxpayer identification number or a
/// routing number.
///
/// Without a word in front only their usual groups count: 3-2-4 with hyphens, full stops or spaces for the first two,
/// 4-4-1 with hyphens for the last. With one, also nine digits together or in two groups.
pub(super) fn nine_digits(bytes: &[u8], run: &Run, group: Group, words: &dyn Fn() -> u16) -> Option<Class> {
    let separator = run.separator;
    if group.digits != 9 || !stands_free(bytes, run.start, group.end, separator) {
        return None;
    }
    let digits = run.digits(9);
    let tax = tax_number(decimal(digits)).filter(|_| matches!(separator, 0 | b'-' | b'.' | b' '));
    let routing = is_routing(digits);
    match (group.shape, tax) {
        (0x324, _) => tax.map(|(class, _)| class),
        (0x441, _) if routing && separator == b'-' => Some(Class::UsRouting),
        (0x100.., _) => None,
        (_, Some((class, word))) if words() & word != 0 => Some(class),
        _ => (routing && words() & ROUTING != 0).then_some(Class::UsRouting),
    }
}

/// Social Security numbers: 42 U.S.C. 405(c)(2) as randomised in 2011 (SSA POMS RM 10201.035), without the three that
/// were advertised. Taxpayer numbers: IRS Publication 1915.
fn tax_number(number: u32) -> Option<(Class, u16)> {
    let (area, group, serial) = (number / 1_000_000, number / 10_000 % 100, number % 10_000);
    let advertised = matches!(number, 78_051_120 | 219_099_999 | 457_555_462);
    let repeated = number.is_multiple_of(111_111_111);
    match area {
        0 | 666 => None,
        900.. => matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99).then_some((Class::UsItin, ITIN)),
        _ => (group != 0 && serial != 0 && !advertised && !repeated).then_some((Class::UsSsn, SSN)),
    }
}

/// The Federal Reserve prefixes and the check digit of the ABA routing number policy.
fn is_routing(digits: &[u8]) -> bool {
    const WEIGHTS: [u8; 9] = [3, 7, 1, 3, 7, 1, 3, 7, 1];
    let prefix = decimal(part(digits, 0, 2));
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit * weight)).sum();
    matches!(prefix, 0..=12 | 21..=32 | 61..=72 | 80) && sum.is_multiple_of(10) && sum > 0
}
