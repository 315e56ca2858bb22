//! Characters outside ASCII that stand for an ASCII character or cannot be seen.

/// Stands for a letter outside ASCII.
pub(super) const OTHER_LETTER: u8 = 0x80;
/// Stands for a symbol outside ASCII, or for bytes that are not UTF-8.
pub(super) const OTHER_SYMBOL: u8 = 0x81;

/// The byte by which a view shows a character; `None` for what cannot be seen.
pub(super) fn fold(character: u32) -> Option<u8> {
    let (first, shown, cycle) = match character {
        0..=8 | 11..=12 | 14..=31 | 127 => return None,
        0..0x80 => return Some(character as u8),
        _ => range(character)?,
    };
    let place = ((character - first) % cycle) as u8;
    // In the mathematical alphabets the small letters follow the capitals at once.
    Some(if shown == b'A' && place >= 26 { b'a' + place - 26 } else { shown.wrapping_add(place) })
}

/// The range of a character: its first character, the byte shown for that one, and after how many characters the bytes
/// start over. `None` for what cannot be seen.
fn range(character: u32) -> Option<(u32, u8, u32)> {
    let (plane, place) = (character >> 16, character as u16);
    let zeros = if plane == 0 { ZEROS } else { SMP_ZEROS };
    let zero = last_up_to(zeros, place, |&zero| zero).filter(|&&zero| plane < 2 && place - zero < 10);
    if let Some(&zero) = zero {
        return Some((character - u32::from(place - zero), b'0', 10));
    }
    let folded = last_up_to(FOLDS, place, |fold| fold.0).filter(|fold| plane == 0 && place <= fold.1);
    if let Some(&(first, _, shown, cycle)) = folded {
        return (shown != 0).then_some((u32::from(first), shown, u32::from(cycle)));
    }
    match character {
        0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff => None,
        0x1d400..=0x1d6a3 => Some((0x1d400, b'A', 52)),
        0x1d7ce..=0x1d7ff => Some((0x1d7ce, b'0', 10)),
        0x1f100 | 0x1f10b..=0x1f10c => Some((character, b'0', 1)),
        0x1f101..=0x1f10a => Some((0x1f101, b'0', 10)),
        // Four alphabets of squared and circled capitals, 32 characters apart.
        0x1f110..=0x1f189 if (character - 0x1f110) % 32 < 26 => {
            Some((character - (character - 0x1f110) % 32, b'A', 26))
        }
        _ => Some((character, if is_symbol(character) { OTHER_SYMBOL } else { OTHER_LETTER }, 1)),
    }
}

/// The last entry of a table in order whose first character is not behind the one looked for.
fn last_up_to<T>(table: &[T], character: u16, first: impl Fn(&T) -> u16) -> Option<&T> {
    table.partition_point(|entry| first(entry) <= character).checked_sub(1).and_then(|index| table.get(index))
}

/// Punctuation and symbols that are no part of words, of the common blocks.
fn is_symbol(character: u32) -> bool {
    matches!(
        character,
        0xa1..=0xa9 | 0xab..=0xb4 | 0xb6..=0xb9 | 0xbb..=0xbf | 0xd7 | 0xf7
            | 0x2000..=0x2bff | 0x3000..=0x303f | 0xfe10..=0xfe6f | 0xfff0..=0xffff | 0x1f000..=0x1faff
    )
}

/// The zeros of the decimal digits (Nd) of plane 0 in the Unicode Character Database 16.0; the other nine follow each.
#[rustfmt::skip]
const ZEROS: &[u16] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50,
    0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
];

/// The same of plane 1.
#[rustfmt::skip]
const SMP_ZEROS: &[u16] = &[
    0x4a0, 0xd30, 0xd40, 0x1066, 0x10f0, 0x1136, 0x11d0, 0x12f0, 0x1450, 0x14d0, 0x1650, 0x16c0, 0x16d0, 0x16da,
    0x1730, 0x18e0, 0x1950, 0x1bf0, 0x1c50, 0x1d50, 0x1da0, 0x1de0, 0x1f50, 0x6130, 0x6a60, 0x6ac0, 0x6b50, 0x6d70,
    0xccf0, 0xe140, 0xe2f0, 0xe4f0, 0xe5f1, 0xe950, 0xfbf0,
];

/// First and last character of a range of plane 0, the byte shown for the first (0: none), and after how many
/// characters the bytes start over. From the Unicode Character Database 16.0: circled and raised digits, letters in
/// full-width and circled forms, format characters (Cf), combining marks, spaces (Zs), dashes (Pd), full stops.
#[rustfmt::skip]
const FOLDS: &[(u16, u16, u8, u8)] = &[
    (0x80, 0x84, 0, 1),
    (0x85, 0x85, b' ', 1),
    (0x86, 0x9f, 0, 1),
    (0xa0, 0xa0, b' ', 1),
    (0xad, 0xad, 0, 1),
    (0xb2, 0xb3, b'2', 10),
    (0xb7, 0xb7, b'.', 1),
    (0xb9, 0xb9, b'1', 1),
    (0x2d0, 0x2d0, b':', 1),
    (0x2d7, 0x2d7, b'-', 1),
    (0x300, 0x36f, 0, 1),
    (0x58a, 0x58a, b'-', 1),
    (0x5be, 0x5be, b'-', 1),
    (0x61c, 0x61c, 0, 1),
    (0x115f, 0x1160, 0, 1),
    (0x1680, 0x1680, b' ', 1),
    (0x17b4, 0x17b5, 0, 1),
    (0x1806, 0x1806, b'-', 1),
    (0x180b, 0x180f, 0, 1),
    (0x2000, 0x200a, b' ', 1),
    (0x200b, 0x200f, 0, 1),
    (0x2010, 0x2015, b'-', 1),
    (0x2022, 0x2022, b'.', 1),
    (0x2024, 0x2024, b'.', 1),
    (0x2027, 0x2027, b'.', 1),
    (0x2028, 0x2029, b' ', 1),
    (0x202a, 0x202e, 0, 1),
    (0x202f, 0x202f, b' ', 1),
    (0x203f, 0x203f, b'_', 1),
    (0x2043, 0x2043, b'-', 1),
    (0x2044, 0x2044, b'/', 1),
    (0x205f, 0x205f, b' ', 1),
    (0x2060, 0x206f, 0, 1),
    (0x2070, 0x2070, b'0', 1),
    (0x2074, 0x2079, b'4', 10),
    (0x207a, 0x207a, b'+', 1),
    (0x207b, 0x207b, b'-', 1),
    (0x2080, 0x2089, b'0', 10),
    (0x208a, 0x208a, b'+', 1),
    (0x208b, 0x208b, b'-', 1),
    (0x20d0, 0x20ff, 0, 1),
    (0x2212, 0x2212, b'-', 1),
    (0x2215, 0x2215, b'/', 1),
    (0x2236, 0x2236, b':', 1),
    (0x22c5, 0x22c5, b'.', 1),
    (0x2460, 0x2468, b'1', 10),
    (0x2474, 0x247c, b'1', 10),
    (0x2488, 0x2490, b'1', 10),
    (0x249c, 0x24b5, b'a', 26),
    (0x24b6, 0x24cf, b'A', 26),
    (0x24d0, 0x24e9, b'a', 26),
    (0x24ea, 0x24ea, b'0', 1),
    (0x24f5, 0x24fd, b'1', 10),
    (0x24ff, 0x24ff, b'0', 1),
    (0x2776, 0x277e, b'1', 10),
    (0x2780, 0x2788, b'1', 10),
    (0x278a, 0x2792, b'1', 10),
    (0x2795, 0x2795, b'+', 1),
    (0x2796, 0x2796, b'-', 1),
    (0x2800, 0x2800, 0, 1),
    (0x2e3a, 0x2e3b, b'-', 1),
    (0x3000, 0x3000, b' ', 1),
    (0x3002, 0x3002, b'.', 1),
    (0x301c, 0x301c, b'-', 1),
    (0x3030, 0x3030, b'-', 1),
    (0x30fb, 0x30fb, b'.', 1),
    (0x3164, 0x3164, 0, 1),
    (0xa789, 0xa789, b':', 1),
    (0xfe00, 0xfe0f, 0, 1),
    (0xfe20, 0xfe2f, 0, 1),
    (0xfe31, 0xfe32, b'-', 1),
    (0xfe4d, 0xfe4f, b'_', 1),
    (0xfe52, 0xfe52, b'.', 1),
    (0xfe55, 0xfe55, b':', 1),
    (0xfe58, 0xfe58, b'-', 1),
    (0xfe59, 0xfe59, b'(', 1),
    (0xfe5a, 0xfe5a, b')', 1),
    (0xfe5f, 0xfe5f, b'#', 1),
    (0xfe60, 0xfe60, b'&', 1),
    (0xfe62, 0xfe62, b'+', 1),
    (0xfe63, 0xfe63, b'-', 1),
    (0xfe66, 0xfe66, b'=', 1),
    (0xfe68, 0xfe68, b'\\', 1),
    (0xfe6a, 0xfe6a, b'%', 1),
    (0xfe6b, 0xfe6b, b'@', 1),
    (0xfeff, 0xfeff, 0, 1),
    (0xff01, 0xff5e, b'!', 94),
    (0xff61, 0xff61, b'.', 1),
    (0xff65, 0xff65, b'.', 1),
    (0xffa0, 0xffa0, 0, 1),
    (0xfff9, 0xfffb, 0, 1),
];
