//! Identifiers of the form `<prefix>_<ULID>`, such as `pass_01ARZ3NDEKTSV4RRFFQ69G5FAV`.

use alloc::format;
use alloc::string::String;

use ulid::Ulid;

/// Prefix of passport ids (`jti`).
pub const PASSPORT_PREFIX: &str = "pass";
/// Prefix of the ids of one-action passes (`jti`).
pub const ACTION_PASS_PREFIX: &str = "actp";
/// Prefix of the ids of attestations.
pub const ATTESTATION_PREFIX: &str = "att";
/// Prefix of the ids of approvals.
pub const APPROVAL_PREFIX: &str = "appr";
/// Prefix of the ids of requests for an approval.
pub const APPROVAL_REQUEST_PREFIX: &str = "areq";

/// Last millisecond a ULID can hold (48 bits), in the year 10889.
const MAX_ULID_MS: u64 = (1 << 48) - 1;

/// Makes an id from unix milliseconds and 80 random bits, which have to come from a secure source. Ids sort by time.
#[must_use]
pub fn new_id(prefix: &str, now_ms: u64, random: [u8; 10]) -> String {
    let random = random.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let mut buffer = [0; ulid::ULID_LEN];
    let ulid = Ulid::from_parts(now_ms.min(MAX_ULID_MS), random);
    format!("{prefix}_{}", ulid.array_to_str(&mut buffer))
}

/// Whether `text` is `<prefix>_` and a ULID in its one canonical spelling: 26 upper-case Crockford characters within
/// 128 bits. Other spellings of the same number are refused, so an id can be compared as text.
#[must_use]
pub fn is_id(text: &str, prefix: &str) -> bool {
    let encoded = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'A'..=b'H' | b'J' | b'K' | b'M' | b'N' | b'P'..=b'T' | b'V'..=b'Z');
    // The first digit has three bits: 26 digits would hold 130.
    encoded.is_some_and(|e| e.len() == ulid::ULID_LEN && e.starts_with(|first| first <= '7') && e.bytes().all(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_ulid_of_their_parts() {
        // The layout of the ULID specification: 48 bits of time, 80 bits of randomness, big-endian.
        assert_eq!(new_id("pass", 0, [0; 10]), "pass_00000000000000000000000000");
        assert_eq!(new_id("att", u64::MAX, [0xff; 10]), "att_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        let id = new_id("pass", 1_469_918_176_385, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(id, "pass_01ARYZ6S410000000000000001");
        assert!(is_id(&id, "pass"));
    }

    #[test]
    fn later_ids_sort_later() {
        let early = new_id("pass", 1_700_000_000_000, [0xff; 10]);
        let late = new_id("pass", 1_700_000_000_001, [0; 10]);
        assert!(early < late);
    }

    proptest::proptest! {
        #[test]
        fn an_id_is_what_a_ulid_reader_writes_again(text in "[0-9A-Za-z]{26}", upper: bool) {
            let text = if upper { text.to_uppercase() } else { text };
            let again = Ulid::from_string(&text).map(|ulid| String::from(ulid.array_to_str(&mut [0; ulid::ULID_LEN])));
            assert_eq!(is_id(&format!("pass_{text}"), "pass"), again.as_ref() == Ok(&text));
        }

        #[test]
        fn every_made_id_is_one(now_ms: u64, random: [u8; 10]) {
            assert!(is_id(&new_id("att", now_ms, random), "att"));
        }
    }

    #[test]
    fn other_spellings_are_no_ids() {
        for text in [
            "",
            "pass",
            "pass_",
            "01ARYZ6S410000000000000001",
            "Pass_01ARYZ6S410000000000000001",
            "pass_01aryz6s410000000000000001",
            "pass_01ARYZ6S41000000000000000",
            "pass_01ARYZ6S4100000000000000011",
            "pass_O1ARYZ6S410000000000000001",
            "pass_01ARYZ6S41000000000000000I",
            "pass_81ARYZ6S410000000000000001",
            "pass_01ARYZ6S4100000000000000\u{e9}",
            "pass__1ARYZ6S410000000000000001",
        ] {
            assert!(!is_id(text, "pass"), "{text}");
        }
    }
}
