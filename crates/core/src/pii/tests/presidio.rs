//! The published cases of microsoft/presidio, read from the folder in `PASSGATE_VECTORS`.
//!
//! Every span that a case expects is a true positive if a finding of its class overlaps it, a false negative otherwise;
//! every finding of the class that overlaps no expected span is a false positive. The counts are pinned, and so are
//! the texts in which the two disagree.

extern crate std;

use alloc::format;
use std::path::Path;
use std::println;

use serde_json::Value;

use super::*;

const FOLDER: &str = "pii/presidio/recognizer-cases.json";

/// A file of cases, its class, and how many true positives, false positives and false negatives there are.
const FILES: &[(&str, Class, [usize; 3])] = &[
    ("test_credit_card_recognizer.py", Class::Card, [16, 0, 0]),
    ("test_iban_recognizer.py", Class::Iban, [158, 1, 0]),
    ("test_us_ssn_recognizer.py", Class::UsSsn, [4, 0, 3]),
    ("test_us_itin_recognizer.py", Class::UsItin, [3, 0, 3]),
    ("test_aba_routing_recognizer.py", Class::UsRouting, [2, 0, 2]),
    ("test_us_passport_recognizer.py", Class::PassportNumber, [2, 0, 3]),
    ("test_phone_recognizer.py", Class::Phone, [32, 1, 2]),
    ("test_tr_phone_number_recognizer.py", Class::Phone, [14, 0, 12]),
    ("test_email_recognizer.py", Class::Email, [7, 0, 0]),
    ("test_ip_recognizer.py", Class::Ip, [83, 0, 6]),
];

#[test]
fn the_cases_of_presidio_are_found_as_counted() {
    let Some(folder) = std::env::var_os("PASSGATE_VECTORS") else {
        println!("skipped: PASSGATE_VECTORS does not name the folder of test vectors");
        return;
    };
    let path = Path::new(&folder).join(FOLDER);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cases: Value = serde_json::from_slice(&text).unwrap();
    println!("{:36} {:16} {:>4} {:>4} {:>4}", "file", "class", "tp", "fp", "fn");
    let mut wrong = Vec::new();
    for &(file, class, expected) in FILES {
        let counts = count(&cases["files"][file], class);
        let [tp, fp, missed] = counts;
        println!("{file:36} {:16} {tp:4} {fp:4} {missed:4}", class.as_str());
        if counts != expected {
            wrong.push(format!("{file}: {counts:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn count(tests: &Value, class: Class) -> [usize; 3] {
    let mut counts = [0; 3];
    for test in tests.as_array().unwrap() {
        let columns: Vec<&str> = test["args"].as_str().unwrap().split(',').map(str::trim).collect();
        let column = columns.iter().position(|name| matches!(*name, "expected_positions" | "expected_res")).unwrap();
        for case in test["cases"].as_array().unwrap() {
            let text = case[0].as_str().unwrap();
            // The cases of leniency expect both answers of the same text; the strictest is no recogniser's default.
            if columns.contains(&"leniency") && case[5].as_u64() == Some(0) {
                continue;
            }
            let spans = spans(text, case[1].as_u64().unwrap(), &case[column]);
            let findings = find(text, Classes::of(class));
            assert_sound(text, &findings);
            let overlap = |span: &(usize, usize), found: &Found| found.start < span.1 && span.0 < found.end;
            let missed = spans.iter().filter(|span| !findings.iter().any(|found| overlap(span, found))).count();
            let wrong = findings.iter().filter(|found| !spans.iter().any(|span| overlap(span, found))).count();
            if missed + wrong > 0 {
                println!("  {class:?} missed {missed}, wrong {wrong}: {text}");
            }
            counts[0] += spans.len() - missed;
            counts[1] += wrong;
            counts[2] += missed;
        }
    }
    counts
}

/// The byte ranges of a case; some give the number of findings only, and then it is the whole text.
fn spans(text: &str, count: u64, value: &Value) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = value
        .as_array()
        .unwrap()
        .iter()
        .map(|span| {
            let byte = |index: usize| {
                let characters = span[index].as_u64().unwrap() as usize;
                text.char_indices().nth(characters).map_or(text.len(), |(byte, _)| byte)
            };
            (byte(0), byte(1))
        })
        .collect();
    if spans.is_empty() && count == 1 {
        spans.push((0, text.len()));
    }
    assert_eq!(spans.len() as u64, count, "{text}");
    spans
}
