//! Words that say what an otherwise shapeless value is.

use super::bytes::{any_word, before, part};

pub(super) const SSN: u16 = 1;
pub(super) const ITIN: u16 = 2;
pub(super) const ROUTING: u16 = 4;
pub(super) const PASSPORT: u16 = 8;
pub(super) const CARD: u16 = 16;
pub(super) const PHONE: u16 = 32;
/// The hint itself, rather than a word of the text, says that this is a phone number.
pub(super) const PHONE_HINT: u16 = 64;
/// What looks like an IPv4 address is a version.
pub(super) const VERSION: u16 = 128;
/// As the last word of a hint: the value describes the thing and is not it.
const ABOUT: u16 = 256;
/// As the last word in front: an identifier.
const IDENTIFIER: u16 = 512;

/// How many bytes in front of a value a word counts.
const REACH: usize = 40;

/// Words in lower case without separators. Those of up to four letters have to be whole words, longer ones to start
/// one.
const WORDS: &[(u16, &[u8])] = &[
    (SSN, b"ssn socialsec"),
    (ITIN, b"itin tin taxpayer taxid"),
    (ROUTING, b"routing aba rtn"),
    (PASSPORT, b"passport passeport pasaporte reisepass traveldocument"),
    (CARD, b"card cardn creditcard debitcard pan"),
    (PHONE, b"phone telephone telefon tel mobile cell cellphone homephone workphone fax cep gsm sms msisdn whatsapp"),
    (VERSION, b"version ver release section"),
    (ABOUT, b"at count date hash time type"),
    (IDENTIFIER, b"id"),
];

/// Names of things that are secrets, as endings of a name in lower case without separators.
const SECRETS: &[u8] =
    b"password passwd pwd passphrase secret apikey apitoken accesskey secretkey privatekey accesstoken \
authtoken refreshtoken bearertoken passwordconfirmation";

/// What the words in front of an offset say.
pub(super) fn words_before(bytes: &[u8], offset: usize) -> u16 {
    let start = offset.saturating_sub(REACH);
    known(words(&Squeezed::new(part(bytes, start, offset), before(bytes, start, 1))))
}

/// What the caller's hint says.
pub(super) fn words_of_hint(hint: &str) -> u16 {
    match words(&Squeezed::new(hint.as_bytes(), 0)) {
        found if found & ABOUT != 0 => 0,
        found if known(found) & PHONE != 0 => found | PHONE_HINT,
        found => known(found),
    }
}

/// An identifier of a telephone or card is not its number.
fn known(found: u16) -> u16 {
    if found & IDENTIFIER != 0 { found & !(PHONE | CARD) } else { found }
}

/// Whether a name, as it stands before `=` or `:` or as a hint, names a secret.
pub(super) fn names_secret(name: &[u8]) -> bool {
    // `password2`, `passwords[]`
    let end = name.iter().rposition(|byte| !matches!(byte, b'0'..=b'9' | b'[' | b']')).map_or(0, |last| last + 1);
    let name = part(name, 0, end - usize::from(matches!(part(name, 0, end).last(), Some(b's' | b'S'))));
    // How the words of the list end; most names end otherwise.
    let last_two = (before(name, name.len(), 2) | 0x20, before(name, name.len(), 1) | 0x20);
    matches!(last_two, (b'r' | b'w', b'd') | (b's', b'e') | (b'e', b't' | b'y' | b'n') | (b'o', b'n')) && {
        let name = Squeezed::new(name, 0);
        any_word(SECRETS, &mut |word| name.letters().ends_with(word))
    }
}

fn words(text: &Squeezed) -> u16 {
    let mut found = 0;
    for (index, rest) in (0..text.length).filter_map(|index| Some((index, text.letters().get(index..)?))) {
        if !text.starts_word(index) {
            continue;
        }
        for (meaning, list) in WORDS {
            let is_tail = meaning & (ABOUT | IDENTIFIER) != 0;
            let is_said = any_word(list, &mut |word| {
                let end = index + word.len();
                let last = end == text.length;
                rest.starts_with(word) && (last || (!is_tail && (word.len() > 4 || text.starts_word(end))))
            });
            if is_said {
                found |= meaning;
            }
        }
    }
    found
}

/// The ASCII letters of a short text in lower case, with a note of where words start: after something that is no
/// letter, and at a capital after a small letter.
struct Squeezed {
    letters: [u8; 48],
    length: usize,
    starts: u64,
}

impl Squeezed {
    /// Of the last 48 bytes of a text in front of which `previous` stands.
    fn new(text: &[u8], mut previous: u8) -> Self {
        let mut squeezed = Self { letters: [0; 48], length: 0, starts: 0 };
        for &byte in part(text, text.len().saturating_sub(squeezed.letters.len()), text.len()) {
            if let Some(place) = squeezed.letters.get_mut(squeezed.length).filter(|_| byte.is_ascii_alphabetic()) {
                *place = byte.to_ascii_lowercase();
                if !previous.is_ascii_alphabetic() || (byte.is_ascii_uppercase() && previous.is_ascii_lowercase()) {
                    squeezed.starts |= 1 << squeezed.length;
                }
                squeezed.length += 1;
            }
            previous = byte;
        }
        squeezed
    }

    fn letters(&self) -> &[u8] {
        part(&self.letters, 0, self.length)
    }

    fn starts_word(&self, index: usize) -> bool {
        self.starts >> index & 1 == 1
    }
}
