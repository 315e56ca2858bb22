//! What is found, what is not, and at which cost.

extern crate std;

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::*;

mod classes;
mod corpus;
mod disguises;
mod hostile;
mod presidio;
mod secrets;
pub(super) mod steps;

/// The findings of all classes as class and text.
fn found(text: &str) -> Vec<(&'static str, String)> {
    found_with("", text)
}

fn found_with(hint: &str, text: &str) -> Vec<(&'static str, String)> {
    let findings = find_with_context(text, hint, Classes::ALL);
    findings.iter().map(|found| (found.class.as_str(), text.get(found.start..found.end).unwrap().to_string())).collect()
}

/// The text with every finding replaced.
fn masked(text: &str, findings: &[Found]) -> String {
    let mut masked = String::new();
    let mut end = 0;
    for found in findings {
        masked.push_str(text.get(end..found.start).unwrap());
        masked.push_str("[redacted]");
        end = found.end;
    }
    masked.push_str(text.get(end..).unwrap());
    masked
}

/// What holds for the findings of any text.
fn assert_sound(text: &str, findings: &[Found]) {
    let mut end = 0;
    for found in findings {
        assert!(found.start >= end && found.start < found.end && found.end <= text.len(), "{found:?} in {text:?}");
        assert!(text.is_char_boundary(found.start) && text.is_char_boundary(found.end), "{found:?} in {text:?}");
        end = found.end;
    }
}

#[test]
fn the_names_of_classes_are_stable_and_read_back() {
    let names: Vec<&str> = Class::ALL.into_iter().map(Class::as_str).collect();
    let expected =
        ["card", "iban", "us_ssn", "us_itin", "us_routing", "passport_number", "secret", "phone", "email", "ip"];
    assert_eq!(names, expected);
    for class in Class::ALL {
        assert_eq!(Class::parse(class.as_str()), Some(class));
    }
    assert_eq!(Class::parse("Card"), None);
    assert_eq!(Class::parse(""), None);
}

#[test]
fn sets_hold_what_was_put_in() {
    let set = Classes::of(Class::Card).with(Class::Ip).with(Class::Card);
    assert!(set.contains(Class::Card) && set.contains(Class::Ip) && !set.contains(Class::Email));
    assert!(set.without(Class::Card).without(Class::Ip).is_empty() && Classes::NONE.is_empty());
    assert_eq!(Class::ALL.into_iter().collect::<Classes>(), Classes::ALL);
    assert!(Class::ALL.into_iter().all(|class| Classes::ALL.contains(class)));
}

#[test]
fn only_the_classes_asked_for_are_found() {
    let text = "4111111111111111 jo@example.com 10.0.0.1";
    let names = |classes| find(text, classes).iter().map(|found| found.class).collect::<Vec<_>>();
    assert_eq!(names(Classes::NONE), []);
    assert_eq!(names(Classes::of(Class::Email)), [Class::Email]);
    assert_eq!(names(Classes::ALL.without(Class::Email)), [Class::Card, Class::Ip]);
}

#[test]
fn overlapping_findings_are_one_of_the_first_class() {
    assert_eq!(found("4111111111111111@example.com"), [("card", "4111111111111111@example.com".to_string())]);
    assert_eq!(found("jo@example.com@example.org"), [("email", "jo@example.com@example.org".to_string())]);
}
