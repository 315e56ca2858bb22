//! Whether what a plugin says is within the bounds that `wit/plugin.wit` sets.

use std::ops::RangeInclusive;

use passgate_core::plugin::{
    MAX_POINTER_BYTES, MAX_REASON_BYTES, MAX_REDACTIONS, MAX_ROLE_BYTES, MAX_ROLES, PluginVerdict,
};
use semver::Version;

use super::bindings::exports::passgate::policy::plugin::Description;
use super::bindings::passgate::policy::types::Verdict;
use super::settings::is_name;

/// The longest version, in bytes.
const MAX_VERSION_BYTES: usize = 64;
/// The longest summary, in bytes.
const MAX_SUMMARY_BYTES: usize = 256;

/// A verdict within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: PluginVerdict,
    pub(super) reason: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) redacted: Vec<String>,
}

impl Answer {
    /// Checks a verdict.
    ///
    /// # Errors
    ///
    /// What is out of bounds.
    pub(super) fn of(verdict: Verdict) -> Result<Self, String> {
        let answer = Self { verdict: PluginVerdict::Abstain, reason: None, roles: Vec::new(), redacted: Vec::new() };
        match verdict {
            Verdict::Abstain => Ok(answer),
            Verdict::Deny(reason) => {
                check_line("its reason", &reason, 1..=MAX_REASON_BYTES)?;
                Ok(Self { verdict: PluginVerdict::Deny, reason: Some(reason), ..answer })
            }
            Verdict::StepUp(obligation) => {
                check_line("its reason", &obligation.reason, 1..=MAX_REASON_BYTES)?;
                check_count("roles", obligation.roles.len(), 0..=MAX_ROLES)?;
                for role in &obligation.roles {
                    check_line("a role", role, 1..=MAX_ROLE_BYTES)?;
                }
                let (reason, roles) = (Some(obligation.reason), obligation.roles);
                Ok(Self { verdict: PluginVerdict::StepUp, reason, roles, ..answer })
            }
            Verdict::Redact(redacted) => {
                check_count("pointers", redacted.len(), 1..=MAX_REDACTIONS)?;
                redacted.iter().try_for_each(|pointer| check_pointer(pointer))?;
                Ok(Self { verdict: PluginVerdict::Redact, redacted, ..answer })
            }
        }
    }
}

/// Checks what a plugin says of itself.
///
/// # Errors
///
/// What is out of bounds.
pub(super) fn check_description(description: &Description) -> Result<(), String> {
    if !is_name(&description.name) {
        return Err("its name is not 1 to 64 lower-case letters, digits and `-`".to_owned());
    }
    let version = &description.version;
    if version.len() > MAX_VERSION_BYTES || Version::parse(version).is_err() {
        return Err(format!("its version is no semantic version of at most {MAX_VERSION_BYTES} bytes"));
    }
    check_line("its summary", &description.summary, 0..=MAX_SUMMARY_BYTES)
}

fn check_line(what: &str, text: &str, bytes: RangeInclusive<usize>) -> Result<(), String> {
    if !bytes.contains(&text.len()) {
        return Err(format!("{what} has {} bytes, and has to have {} to {}", text.len(), bytes.start(), bytes.end()));
    }
    match text.chars().any(char::is_control) {
        true => Err(format!("{what} has control characters")),
        false => Ok(()),
    }
}

fn check_count(what: &str, count: usize, range: RangeInclusive<usize>) -> Result<(), String> {
    match range.contains(&count) {
        true => Ok(()),
        false => Err(format!("it gives {count} {what}, and has to give {} to {}", range.start(), range.end())),
    }
}

/// Whether `pointer` is a JSON pointer (RFC 6901, section 3).
fn check_pointer(pointer: &str) -> Result<(), String> {
    if pointer.len() > MAX_POINTER_BYTES {
        return Err(format!("a pointer has {} bytes, and may have {MAX_POINTER_BYTES}", pointer.len()));
    }
    if pointer.chars().any(char::is_control) {
        return Err("a pointer has a control character".to_owned());
    }
    let starts = pointer.is_empty() || pointer.starts_with('/');
    let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    match starts && escapes {
        true => Ok(()),
        false => Err("a pointer does not follow RFC 6901".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bindings::passgate::policy::types::Obligation;
    use super::*;

    fn redact(pointers: &[&str]) -> Verdict {
        Verdict::Redact(pointers.iter().map(|pointer| (*pointer).to_owned()).collect())
    }

    fn step_up(reason: &str, roles: &[&str]) -> Verdict {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Verdict::StepUp(Obligation { roles, reason: reason.to_owned() })
    }

    #[test]
    fn answers_at_their_bounds_are_taken() {
        let longest = "é".repeat(128);
        let role = "r".repeat(64);
        for verdict in [
            Verdict::Abstain,
            Verdict::Deny("x".to_owned()),
            Verdict::Deny(longest.clone()),
            step_up(&longest, &[role.as_str(); 8]),
            step_up("why", &[]),
            redact(&["", "/", "/a~0b~1c/0", &format!("/{}", "p".repeat(255))]),
            redact(&["/a"; 64]),
        ] {
            let answer = Answer::of(verdict.clone()).unwrap();
            let (reason, roles, redacted) = match verdict {
                Verdict::Abstain => (None, vec![], vec![]),
                Verdict::Deny(reason) => (Some(reason), vec![], vec![]),
                Verdict::StepUp(obligation) => (Some(obligation.reason), obligation.roles, vec![]),
                Verdict::Redact(pointers) => (None, vec![], pointers),
            };
            assert_eq!((answer.reason, answer.roles, answer.redacted), (reason, roles, redacted));
        }
    }

    #[test]
    fn answers_beyond_their_bounds_are_none() {
        for verdict in [
            Verdict::Deny(String::new()),
            Verdict::Deny("x".repeat(257)),
            Verdict::Deny("é".repeat(129)),
            Verdict::Deny("a\nb".to_owned()),
            Verdict::Deny("\u{1b}[31m".to_owned()),
            Verdict::Deny("a\u{9b}".to_owned()),
            Verdict::Deny("\0".to_owned()),
            step_up("", &[]),
            step_up("why", &["r"; 9]),
            step_up("why", &[""]),
            step_up("why", &["r\r"]),
            step_up("why", &[&"r".repeat(65)]),
            redact(&[]),
            redact(&["/a"; 65]),
            redact(&["a"]),
            redact(&["#/a"]),
            redact(&["/a~"]),
            redact(&["/a~2"]),
            redact(&[&format!("/{}", "p".repeat(256))]),
        ] {
            let answer = Answer::of(verdict.clone());
            assert!(answer.is_err(), "{verdict:?}");
        }
    }

    #[test]
    fn descriptions_have_bounds_too() {
        let description = |name: &str, version: &str, summary: &str| {
            let [name, version, summary] = [name, version, summary].map(str::to_owned);
            check_description(&Description { name, version, summary })
        };
        assert_eq!(description("business-hours", "1.2.3-rc.1+b", ""), Ok(()));
        assert_eq!(description("a", "0.0.0", &"s".repeat(256)), Ok(()));
        for (name, version, summary) in [
            ("", "1.0.0", ""),
            ("A", "1.0.0", ""),
            ("a", "1.0", ""),
            ("a", "", ""),
            ("a", &format!("1.0.0-{}", "x".repeat(64)), ""),
            ("a", "1.0.0", "two\nlines"),
            ("a", "1.0.0", &"s".repeat(257)),
        ] {
            assert!(description(name, version, summary).is_err(), "{name} {version}");
        }
    }
}
