//! Texts made to cost time, and random ones.

extern crate std;

use alloc::format;

use proptest::prelude::*;

use super::*;

/// The most bytes read per byte of text.
const MAX_STEPS: u64 = 300;

/// Beginnings, near misses and disguises, to be repeated.
#[rustfmt::skip]
const PATTERNS: &[&str] = &[
    "4", "1 ", "4111 ", "12-", "@", "a@b.", "a@", "eyJ", "eyJ.", "eyJ-", "eyJhbGciOiJ.", "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----", "-", "%25", "%2525", "%", "%4", "&#", "&#52;", "&amp;", "&#x", "\\u0034", "\\",
    "\\\\", "+", "(", "+1 ", "+4", "::", "1:", "a:", "1.", "1.1.1.1 ", "password=", "password:1", "sk-ant-", "ghp_",
    "ghp_1-", "Bearer ", "Bearer a1", "Basic QTpC", "QUFB", "QUFBQUFBQUFBQUFB ", "34",
    "3131313131313131313131313131 ", "\u{200b}", "4\u{200b}", "\u{ff14}", "\u{e0034}", "\u{e9}", "é@é.", "AKIA",
    "DE89", "DE89 3704 ", "ssn 078051123 ", "phone 5321234567 ", "4111111111111111 ", "jo@example.com ", "\"@a.bc",
    "\u{1d7d2}", "passport A12803456 ", "123456789 ", "/", "aaaaaaaaaaaA", "SGVsbG8gd29ybGQh\n", "%u0034",
    "%e2%80%8b", "\\ud835\\udfd2", "abcde1234 ", "A1", "A.1.", "SG.", "SG.1", "SG. 1 ", "ya29.a.",
];

fn steps(text: &str) -> u64 {
    steps::take();
    let findings = find(text, Classes::ALL);
    let steps = steps::take();
    assert_sound(text, &findings);
    steps
}

/// Each repeated to 32 KiB and to 128 KiB: four times the text may cost at most a little more than four
/// times the steps, and every byte only so much.
#[test]
fn hostile_texts_cost_linear_time() {
    let mut worst = (0, "");
    for &pattern in PATTERNS {
        let small = steps(&pattern.repeat((32 << 10) / pattern.len()));
        let text = pattern.repeat((128 << 10) / pattern.len());
        let large = steps(&text);
        let per_byte = large / text.len() as u64;
        worst = worst.max((per_byte, pattern));
        assert!(large <= 5 * small, "{pattern:?}: {small} steps, {large} for four times the text");
        assert!(per_byte <= MAX_STEPS, "{pattern:?}: {per_byte} steps per byte");
    }
    std::println!("most steps per byte: {} for {:?}", worst.0, worst.1);
}

#[test]
fn a_megabyte_of_one_thing_ends() {
    for pattern in ["4", "1 ", "@", "eyJ", "-----BEGIN ", "%25", "&#"] {
        let text = pattern.repeat((1 << 20) / pattern.len());
        let steps = steps(&text);
        assert!(steps <= MAX_STEPS * text.len() as u64, "{pattern:?}: {steps}");
    }
}

#[test]
fn plain_texts_are_read_a_few_times() {
    let text = "The quick brown fox jumps over the lazy dog, and nothing comes of it. ".repeat(1000);
    let steps = steps(&text);
    assert!(steps < 12 * text.len() as u64, "{} per byte", steps / text.len() as u64);
}

/// Pieces that together come close to what the detectors look for.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[0-9]{1,5}",
        "[ .:/@+()=-]",
        "\\PC",
        "[a-zA-Z]{1,4}",
        proptest::sample::select(alloc::vec![
            "4111111111111111",
            "078-05-1123",
            "ssn ",
            "password=",
            "hunter2",
            "jo@example.com",
            "10.0.0.1",
            "::",
            "+14155550132",
            "DE89370400440532013000",
            "%34",
            "\\u0034",
            "&#52;",
            "\u{200b}",
            "\u{ff14}",
            "eyJhbGciOiJ9.",
            "NDExMTExMTExMTExMTExMQ==",
            "-----BEGIN PRIVATE KEY-----",
            "Bearer ",
            "sk-ant-",
            "passport A12803456",
            "\u{e0034}",
            "[redacted]",
            "%",
            "\\",
            "&",
            "415 555 0132",
            "\n",
        ])
        .prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_gives_sound_findings(text in "\\PC{0,80}", hint in "\\PC{0,20}") {
        assert_sound(&text, &find_with_context(&text, &hint, Classes::ALL));
    }

    #[test]
    fn any_bytes_read_as_text_give_sound_findings(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        assert_sound(&text, &find(&text, Classes::ALL));
    }

    #[test]
    fn masked_texts_have_no_findings(text in pieces(), hint in proptest::sample::select(alloc::vec!["", "ssn", "phone", "password"])) {
        let findings = find_with_context(&text, hint, Classes::ALL);
        assert_sound(&text, &findings);
        let masked = masked(&text, &findings);
        let again = find_with_context(&masked, hint, Classes::ALL);
        prop_assert!(again.is_empty(), "{text:?} became {masked:?} with {again:?}");
    }

    #[test]
    fn the_same_text_gives_the_same_findings(text in pieces()) {
        prop_assert_eq!(find(&text, Classes::ALL), find(&text, Classes::ALL));
    }

    #[test]
    fn fewer_classes_give_no_other_places(text in pieces()) {
        let all = find(&text, Classes::ALL);
        for class in Class::ALL {
            for found in find(&text, Classes::of(class)) {
                let covered = all.iter().any(|other| other.start <= found.start && found.end <= other.end);
                prop_assert!(covered, "{}", format!("{found:?} of {text:?} is not in {all:?}"));
            }
        }
    }
}
