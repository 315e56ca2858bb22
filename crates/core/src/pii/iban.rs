//! International bank account numbers (ISO 13616).

use super::bytes::{ALNUM, DIGIT, HYPHEN, PLUS, SPACE, at, follows, is, skip};

/// Country codes and lengths of the IBAN registry, and of the countries outside it that use the format.
const LENGTHS: &[u8] = b"AD24AE23AL28AT20AZ28BA20BE16BF28BG22BH22BI27BJ28BR29BY28CF27CG27CH21CI28CM27CR22CV25CY28CZ24\
DE22DJ27DK18DO28DZ26EE20EG29ES24FI18FK18FO18FR27GA27GB22GE22GI23GL18GQ27GR27GT28GW25HN28HR21HU28IE22IL23IQ23IR26IS26\
IT27JO30KM27KW30KZ20LB28LC32LI21LT20LU20LV21LY25MA28MC27MD24ME22MG27MK19ML28MN20MR27MT31MU30MZ25NE28NI28NL18NO15\
OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SN28SO23ST25SV28TD27TG28TL23TN24TR26UA29VA22VG24\
XK20YE30";

/// Where the IBAN that starts at an index ends. Letters in either case; single spaces, hyphens or plus signs may stand
/// between any two characters after the check digits. At least half of the characters are digits in every country.
pub(super) fn find(bytes: &[u8], start: usize) -> Option<usize> {
    if skip(bytes, start + 2, 2, DIGIT) != start + 4 || follows(bytes, start, ALNUM) {
        return None;
    }
    let length = length(at(bytes, start).to_ascii_uppercase(), at(bytes, start + 1).to_ascii_uppercase())?;
    let mut rest = Remainder::default();
    let mut end = start + 4;
    for _ in 4..length {
        let gap = usize::from(is(bytes, end, SPACE | HYPHEN | PLUS));
        rest.read(at(bytes, end + gap))?;
        end += gap + 1;
    }
    for index in start..start + 4 {
        rest.read(at(bytes, index))?;
    }
    (!is(bytes, end, ALNUM) && rest.value == 1 && rest.digits * 2 >= length).then_some(end)
}

fn length(first: u8, second: u8) -> Option<usize> {
    LENGTHS.chunks(4).find_map(|country| match *country {
        [a, b, tens, ones] if a == first && b == second => Some(usize::from(tens & 15) * 10 + usize::from(ones & 15)),
        _ => None,
    })
}

/// The remainder of ISO 7064 mod 97-10, character by character.
#[derive(Default)]
struct Remainder {
    value: u32,
    digits: usize,
}

impl Remainder {
    fn read(&mut self, character: u8) -> Option<()> {
        let value = char::from(character).to_digit(36)?;
        self.digits += usize::from(value < 10);
        self.value = (self.value * if value < 10 { 10 } else { 100 } + value) % 97;
        Some(())
    }
}
