//! Every class behind every disguise.

use alloc::format;
use core::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

/// A value of each class, with the hint that it needs.
const VALUES: &[(&str, &str, &str)] = &[
    ("card", "4111 1111 1111 1111", ""),
    ("card", "4111111111111111", ""),
    ("iban", "DE89 3704 0044 0532 0130 00", ""),
    ("us_ssn", "078-05-1123", ""),
    ("us_ssn", "078051123", "ssn"),
    ("us_itin", "911-70-1234", ""),
    ("us_routing", "0711-0130-7", ""),
    ("passport_number", "A12803456", "passport"),
    ("secret", "sk_live_a1B2c3D4e5F6a1B2", ""),
    ("secret", "password=hunter2", ""),
    ("phone", "+1 (415) 555-0132", ""),
    ("phone", "415-555-0132", ""),
    ("email", "jo.doe@example.com", ""),
    ("ip", "192.168.0.1", ""),
    ("ip", "2001:db8::1", ""),
];

/// Each character replaced by what is written for it.
fn each(text: &str, write: impl Fn(char) -> String) -> String {
    text.chars().map(write).collect()
}

/// Characters of the block that starts at an offset from ASCII.
fn shifted(text: &str, accepted: impl Fn(char) -> bool, offset: u32) -> String {
    each(text, |c| if accepted(c) { char::from_u32(c as u32 + offset).unwrap().to_string() } else { c.to_string() })
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").unwrap();
        out
    })
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

/// Disguises of single characters, which keep the value's place in its surroundings.
fn light(text: &str) -> Vec<(&'static str, String)> {
    let graphic = |c: char| c.is_ascii_graphic();
    let digit = |c: char| c.is_ascii_digit();
    alloc::vec![
        ("full width", shifted(text, graphic, 0xfee0)),
        ("arabic-indic digits", shifted(text, digit, 0x660 - 0x30)),
        ("persian digits", shifted(text, digit, 0x6f0 - 0x30)),
        ("devanagari digits", shifted(text, digit, 0x966 - 0x30)),
        ("nko digits", shifted(text, digit, 0x7c0 - 0x30)),
        ("thai digits", shifted(text, digit, 0xe50 - 0x30)),
        ("mathematical bold digits", shifted(text, digit, 0x1d7ce - 0x30)),
        ("mathematical monospace digits", shifted(text, digit, 0x1d7f6 - 0x30)),
        ("adlam digits", shifted(text, digit, 0x1e950 - 0x30)),
        ("segmented digits", shifted(text, digit, 0x1fbf0 - 0x30)),
        ("subscript digits", shifted(text, digit, 0x2080 - 0x30)),
        ("mathematical capitals", shifted(text, |c| c.is_ascii_uppercase(), 0x1d400 - 0x41)),
        ("mathematical small letters", shifted(text, |c| c.is_ascii_lowercase(), 0x1d41a - 0x61)),
        ("circled small letters", shifted(text, |c| c.is_ascii_lowercase(), 0x24d0 - 0x61)),
        ("zero-width space", each(text, |c| format!("{c}\u{200b}"))),
        ("zero-width joiner", each(text, |c| format!("{c}\u{200d}"))),
        ("word joiner", each(text, |c| format!("{c}\u{2060}"))),
        ("byte order mark", each(text, |c| format!("\u{feff}{c}"))),
        ("soft hyphen", each(text, |c| format!("{c}\u{ad}"))),
        ("combining grapheme joiner", each(text, |c| format!("{c}\u{34f}"))),
        ("mongolian vowel separator", each(text, |c| format!("{c}\u{180e}"))),
        ("variation selector", each(text, |c| format!("{c}\u{fe0f}"))),
        ("stroke", each(text, |c| format!("{c}\u{336}"))),
        ("keycap", each(text, |c| format!("{c}\u{fe0f}\u{20e3}"))),
        ("tag between", each(text, |c| format!("{c}\u{e0041}"))),
        ("tags only", shifted(text, |c| c.is_ascii(), 0xe0000)),
        ("bidirectional marks", each(text, |c| format!("\u{202d}{c}\u{202c}"))),
        ("en dash", text.replace('-', "\u{2013}")),
        ("non-breaking hyphen", text.replace('-', "\u{2011}")),
        ("minus", text.replace('-', "\u{2212}")),
        ("no-break space", text.replace(' ', "\u{a0}")),
        ("thin space", text.replace(' ', "\u{2009}")),
        ("ideographic space", text.replace(' ', "\u{3000}")),
        ("percent", percent(text)),
        ("percent of full width", percent(&shifted(text, graphic, 0xfee0))),
        ("percent twice", percent(&percent(text))),
        ("percent thrice", percent(&percent(&percent(text)))),
        ("percent with u", each(text, |c| format!("%u{:04x}", c as u32))),
        ("backslash u", each(text, |c| format!("\\u{:04x}", c as u32))),
        ("two backslashes u", each(text, |c| format!("\\\\u{:04X}", c as u32))),
        (
            "surrogate pairs",
            each(text, |c| match c.to_digit(10) {
                Some(digit) => format!("\\ud835\\u{:04x}", 0xdfce + digit),
                None => c.to_string(),
            })
        ),
        ("backslash u in braces", each(text, |c| format!("\\u{{{:x}}}", c as u32))),
        ("backslash x", each(text, |c| format!("\\x{:02x}", c as u32))),
        ("decimal reference", each(text, |c| format!("&#{};", c as u32))),
        ("padded reference", each(text, |c| format!("&#{:012};", c as u32))),
        ("hexadecimal reference", each(text, |c| format!("&#x{:x};", c as u32))),
        ("reference of reference", each(text, |c| format!("&amp;#{};", c as u32))),
        ("percent of reference", percent(&each(text, |c| format!("&#{};", c as u32)))),
        (
            "named references",
            text.replace('@', "&commat;")
                .replace('.', "&period;")
                .replace('_', "&lowbar;")
                .replace('-', "&hyphen;")
                .replace(' ', "&nbsp;")
                .replace('=', "&equals;")
                .replace('+', "&plus;")
                .replace(':', "&colon;")
        ),
    ]
}

/// Encodings of the whole value with what stands around it.
fn whole(text: &str) -> Vec<(&'static str, String)> {
    let long = format!("the value is: {text} .");
    alloc::vec![
        ("base64", STANDARD.encode(&long)),
        ("base64url", URL_SAFE_NO_PAD.encode(&long)),
        ("base64 of base64", STANDARD.encode(STANDARD.encode(&long))),
        ("base64 of percent", STANDARD.encode(percent(text))),
        ("base64 of full width", STANDARD.encode(shifted(text, |c| c.is_ascii_graphic(), 0xfee0))),
        ("percent of base64", percent(&STANDARD.encode(&long))),
        (
            "base64 in lines",
            STANDARD
                .encode(&long)
                .as_bytes()
                .chunks(20)
                .map(|line| { format!("{}\r\n", core::str::from_utf8(line).unwrap()) })
                .collect()
        ),
        ("base64 behind a path", format!("api/{}", STANDARD.encode(&long))),
        ("hexadecimal", hexadecimal(&long)),
        ("base64 of hexadecimal", STANDARD.encode(hexadecimal(&long))),
    ]
}

/// The class is found in the text, and the finding covers the disguise from its first to its last visible character.
fn assert_covered(class: &str, hint: &str, disguise: &str, before: &str, value: &str, after: &str) {
    let text = [before, value, after].concat();
    let findings = find_with_context(&text, hint, Classes::ALL);
    assert_sound(&text, &findings);
    let covers = findings.iter().any(|found| {
        found.class.as_str() == class
            && found.start <= before.len() + value.len() * 3 / 4
            && found.end + 16 >= before.len() + value.len()
    });
    assert!(covers, "{class} as {disguise}: {findings:?} in {text:?}");
}

#[test]
fn every_class_is_found_behind_every_disguise() {
    for &(class, value, hint) in VALUES {
        for (before, after) in [("", ""), ("see ", " ok"), ("\"", "\""), ("é (", ")")] {
            for (disguise, text) in light(value) {
                // Of an assignment only the value is the finding, so it may start late.
                assert_covered(class, hint, disguise, before, &text, after);
            }
        }
        for (disguise, text) in whole(value) {
            for (before, after) in [("", ""), ("see ", " ok"), ("\"", "\""), ("é (", ")")] {
                assert_covered(class, hint, disguise, before, &text, after);
            }
        }
    }
}

#[test]
fn findings_cover_the_whole_disguise() {
    let exact = [
        "%34111111111111111",
        "411111111111111\\u0031",
        "&#52;11111111111111&#x31;",
        "\u{ff14}11111111111111\u{ff11}",
        "4\u{200b}11111111111111\u{1d7cf}",
        "NDExMTExMTExMTExMTExMQ==",
        "%4E%44%45xMTExMTExMTExMTExMQ%3D%3D",
        "34313131313131313131313131313131",
    ];
    for text in exact {
        let around = format!("a: {text}, b");
        assert_eq!(found(&around), [("card", text.to_string())], "{around}");
    }
}

#[test]
fn layers_are_removed_to_their_depth_only() {
    let mut text = "4111111111111111".to_string();
    for _ in 0..3 {
        text = percent(&text);
        assert_eq!(found(&text).len(), 1, "{text}");
    }
    assert_eq!(found(&percent(&text)), []);
    let mut text = "4111111111111111 is a card number".to_string();
    for _ in 0..2 {
        text = STANDARD.encode(&text);
        assert_eq!(found(&text).len(), 1, "{text}");
    }
    assert_eq!(found(&STANDARD.encode(&text)), []);
}

#[test]
fn escapes_are_no_reason_to_miss_what_stands_plainly() {
    assert_eq!(found("C:\\x41\\4111111111111111"), [("card", "4111111111111111".to_string())]);
    assert_eq!(found("100% of 4111111111111111 & more"), [("card", "4111111111111111".to_string())]);
    assert_eq!(found("%zz jo@example.com \\q &nope;"), [("email", "jo@example.com".to_string())]);
}
