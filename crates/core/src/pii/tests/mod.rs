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
        let written = serde_json::to_string(&class).unwrap();
        assert_eq!(written.trim_matches('"'), class.as_str());
        assert_eq!(serde_json::from_str::<Class>(&written).unwrap(), class);
    }
    assert!(serde_json::from_str::<Class>("\"Card\"").is_err());
}

#[test]
fn sets_hold_what_was_put_in() {
    let set = Classes::of(Class::Card).with(Class::Ip).with(Class::Card);
    assert!(set.contains(Class::Card) && set.contains(Class::Ip) && !set.contains(Class::Email));
    assert!(Classes::NONE.is_empty() && !set.is_empty());
    assert_eq!(Class::ALL.into_iter().collect::<Classes>(), Classes::ALL);
    assert!(Class::ALL.into_iter().all(|class| Classes::ALL.contains(class)));
}

#[test]
fn only_the_classes_asked_for_are_found() {
    let text = "4111111111111111 jo@example.com 10.0.0.1";
    let names = |classes| find(text, classes).iter().map(|found| found.class).collect::<Vec<_>>();
    assert_eq!(names(Classes::NONE), []);
    assert_eq!(names(Classes::of(Class::Email)), [Class::Email]);
    let all_but_email = Class::ALL.into_iter().filter(|class| *class != Class::Email).collect();
    assert_eq!(names(all_but_email), [Class::Card, Class::Ip]);
}

#[test]
fn overlapping_findings_are_one_of_the_first_class() {
    assert_eq!(found("4111111111111111@example.com"), [("card", "4111111111111111@example.com".to_string())]);
    assert_eq!(found("jo@example.com@example.org"), [("email", "jo@example.com@example.org".to_string())]);
}
