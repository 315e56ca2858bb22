//! Detectors of personal data and secrets in the texts of a request.
//!
//! # In scope
//!
//! Values with a shape that can be checked: a checksum, a registry of prefixes or lengths, a grammar, or a loose shape
//! next to a word that names it. [`find`] also looks through disguises: digits and letters of other Unicode blocks,
//! invisible characters, combining marks, typographic dashes and spaces, percent-encoding, `\u` and `\x` escapes and
//! HTML character references (three layers of them in any mixture), and base64 or hexadecimal runs that hold text (two
//! layers). Ranges are those of the text as it was given, disguise included.
//!
//! # Out of scope
//!
//! Names, addresses, dates of birth and whatever else has no shape of its own; values that are split over several
//! texts; the structure of bodies (the caller passes names and values of JSON after unescaping, numbers as their text).
//! Entropy alone never makes a finding.
//!
//! # What is not found
//!
//! * Cards: digits with line breaks or two or more separators between them, separators of two kinds, numbers that touch
//!   other digits, and 12 or 13 digits without a word such as `card` in front (13 digits are mostly barcodes).
//! * Nine digits without separators (`us_ssn`, `us_itin`, `us_routing`, `passport_number`) and ten or more without plus
//!   or separators (`phone`) where no word or member name in front says what they are.
//! * Secrets without a known prefix or with letters, digits or (for most) hyphens in front of it, unless they are
//!   assigned to a name such as `password`; values of fewer than six bytes, and in running text values of letters alone
//!   (`password: required`).
//! * `::` and IPv6 addresses without a decimal digit (`std::fs`, `a::b`) or with two short groups (`[1::2]`), IPv4
//!   addresses after the words `version`, `release` or `section`, in `Name/1.0.0.0`, or glued to words or a fifth
//!   number.
//! * Letters that only look alike (Cyrillic `а`), words for digits (`four one`, 四一), pictures, quoted-printable, UTF-16
//!   inside base64, base64 cut by other characters, compressed or encrypted content, numbers in exponent form.
//!
//! # What is found without being there
//!
//! * Identifiers of 14 to 19 digits that start like a card pass its check digit one time in ten.
//! * Version numbers of four parts without the word, and of three parts in the groups of a Social Security number
//!   (`118.05.1938`); zero-padded numbers in the groups of a telephone number.
//! * Where a whole body is one string, a word counts for all values within 40 bytes behind it.
//!
//! # Where the published cases disagree
//!
//! Of the cases of microsoft/presidio for these classes (counted and pinned in the tests) these are judged otherwise:
//!
//! * Presidio finds nine bare digits as `us_ssn` (also in two groups), `us_itin` and passport number, and bare or oddly
//!   grouped ten digits as telephone numbers of the country it was told, with the low score of a weak pattern; and nine
//!   bare digits as `us_routing` for their check digit alone, which about 4 % of all such numbers pass. A gate has no
//!   score to weigh and denies, so these need a word in front (`Phone: 5321234567`).
//! * Presidio gives `::` (alone or with a prefix length) its lowest score, and finds an address in `192.168.1.1.1`,
//!   which here is a dotted number of five parts.
//! * Presidio's IBAN is upper-case; here `LV80 bANK 0000 4351 9500 1` is one.
//! * Presidio's strictest leniency refuses `+91 4155 550132` for its grouping; its other levels, and this module, do
//!   not.
//!
//! # Cost
//!
//! Time and memory are linear in the length of the text: every look at the surroundings of a byte has a constant bound,
//! each layer is looked at once, and the number of layers is constant.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

mod bytes;
mod card;
mod context;
mod email;
mod encoded;
mod escape;
mod findings;
mod fold;
mod iban;
mod ip;
mod number;
mod passport;
mod phone;
mod scan;
mod secret;
mod view;

/// What a finding is. The order is that of precedence: where findings overlap, the first class names the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A payment card number: ISO/IEC 7812-1 length, known issuer range, Luhn check digit.
    Card,
    /// An IBAN: ISO 13616 country, its length in the IBAN registry, ISO 7064 mod 97-10.
    Iban,
    /// A US Social Security number in the ranges that the SSA assigns.
    UsSsn,
    /// A US individual taxpayer identification number in the ranges of IRS Publication 1915.
    UsItin,
    /// An ABA routing transit number: Federal Reserve prefix and check digit.
    UsRouting,
    /// A passport number, only next to a word that says so.
    PassportNumber,
    /// A key, token, private key or password.
    Secret,
    /// A telephone number: E.164 with plus, North American, or national with a leading zero.
    Phone,
    /// An e-mail address (RFC 5321 section 4.1.2, domains also internationalised).
    Email,
    /// An IPv4 or IPv6 address (RFC 4291 section 2.2), with zone and prefix length.
    Ip,
}

impl Class {
    /// All classes, in the order of precedence.
    pub const ALL: [Self; 10] = [
        Self::Card,
        Self::Iban,
        Self::UsSsn,
        Self::UsItin,
        Self::UsRouting,
        Self::PassportNumber,
        Self::Secret,
        Self::Phone,
        Self::Email,
        Self::Ip,
    ];

    /// The name in configuration and reasons, in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Iban => "iban",
            Self::UsSsn => "us_ssn",
            Self::UsItin => "us_itin",
            Self::UsRouting => "us_routing",
            Self::PassportNumber => "passport_number",
            Self::Secret => "secret",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Ip => "ip",
        }
    }
}

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes(u16);

impl Classes {
    /// No class.
    pub const NONE: Self = Self(0);

    /// Every class.
    pub const ALL: Self = Self((1 << Class::ALL.len()) - 1);

    /// One class.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        Self(1 << class as u16)
    }

    /// The set with one class more.
    #[must_use]
    pub const fn with(self, class: Class) -> Self {
        self.union(Self::of(class))
    }

    /// The classes of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the class is in the set.
    #[must_use]
    pub const fn contains(self, class: Class) -> bool {
        self.0 & Self::of(class).0 != 0
    }

    /// Whether a class is in both sets.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no class is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<T: IntoIterator<Item = Class>>(classes: T) -> Self {
        classes.into_iter().fold(Self::NONE, Self::with)
    }
}

/// One finding: the bytes `start..end` of the text as given, on character boundaries and never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub class: Class,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

/// The personal data and secrets of these classes in the text, in its order and without overlaps.
///
/// Findings that overlap are one finding with the range of all and the class of the first in the order of [`Class`]; a
/// base64 or hexadecimal run is one finding, and nothing is looked for in a private key. So whoever does not do the
/// same with all classes looks for those that are treated alike at a time. Replacing each range by `[redacted]` leaves
/// a text without findings (up to four rounds of values that only stand free once their neighbours are gone are looked
/// for). Nothing is allocated for a text in which nothing could be found. A text of 4 GiB or more is not read but is
/// one finding.
#[must_use]
pub fn find(text: &str, classes: Classes) -> Vec<Found> {
    find_with_context(text, "", classes)
}

/// Like [`find`], where `hint`, such as the name of the JSON member whose value the text is, counts as a word in front.
///
/// `ssn`, `socialSecurityNumber`, `routing_number`, `passportNo`, `phone`, `card_number` and the like admit digits
/// without separators; below `password`, `client_secret`, `api_key` and the like a whole text of 6 to 512 bytes without
/// a space is a secret unless it is a placeholder. Only the last 48 bytes of the hint count.
#[must_use]
pub fn find_with_context(text: &str, hint: &str, classes: Classes) -> Vec<Found> {
    scan::find(text, hint, classes)
}

#[cfg(test)]
mod tests;
