//! What source files have to look like.

use super::Findings;

/// Past this many lines a Rust file is hard to enter; it should be split.
const LINES_WARNED: usize = 500;
/// Past this many lines it must be.
const LINES_ALLOWED: usize = 800;

/// What may not be committed: code that is not written yet, and failures that are thrown away. Spelled in halves, so
/// that this file passes its own check.
const UNFINISHED: &[&str] =
    &[concat!("to", "do!"), concat!("unimpl", "emented!"), concat!("FIX", "ME"), concat!("|| ", "true")];

/// The first part of each pair of headings in a library's crate docs.
const SCOPE_HEADINGS: &[&str] = &["In scope", "Out of scope"];

pub(super) fn check_length(path: &str, text: &str, findings: &mut Findings) {
    let lines = text.lines().count();
    if lines > LINES_ALLOWED {
        findings.problem(format!("{path} has {lines} lines, more than {LINES_ALLOWED}: split it"));
    } else if lines > LINES_WARNED {
        findings.warning(format!("{path} has {lines} lines, more than {LINES_WARNED}: consider splitting it"));
    }
}

/// Files in which [`check_unfinished`] looks.
pub(super) fn is_code(path: &str) -> bool {
    let endings = [".rs", ".sh", ".py", ".js", ".mjs", ".ts", ".yml", ".yaml", ".toml", ".wit"];
    path.starts_with(".ci/") || endings.iter().any(|ending| path.ends_with(ending))
}

pub(super) fn check_unfinished(path: &str, text: &str, findings: &mut Findings) {
    for (line, number) in text.lines().zip(1..) {
        for word in UNFINISHED.iter().filter(|word| contains_word(line, word)) {
            findings.problem(format!("{path}:{number} contains `{word}`: finish it, or let the failure be seen"));
        }
    }
}

/// Whether `word` stands in `line` (or several), and not as a part of a longer name.
pub(super) fn contains_word(line: &str, word: &str) -> bool {
    let of_name = |character: char| character.is_alphanumeric() || character == '_';
    let continues =
        |outside: Option<char>, inside: Option<char>| outside.is_some_and(of_name) && inside.is_some_and(of_name);
    line.match_indices(word).any(|(start, found)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line.get(start + found.len()..).and_then(|text| text.chars().next());
        !continues(before, word.chars().next()) && !continues(after, word.chars().next_back())
    })
}

/// A library starts with docs that say what belongs into it and what does not.
pub(super) fn check_scope(path: &str, text: &str, findings: &mut Findings) {
    let docs: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    if docs.is_empty() {
        findings.problem(format!("{path} does not start with crate docs (`//!`)"));
        return;
    }
    for heading in SCOPE_HEADINGS {
        let is_heading = |line: &str| line.starts_with('#') && line.trim_start_matches('#').trim() == *heading;
        if !docs.iter().copied().any(is_heading) {
            findings.problem(format!("{path}: its crate docs have no heading `# {heading}`"));
        }
    }
}

/// A pure crate cannot name the operating system.
pub(super) fn check_no_std(path: &str, text: &str, findings: &mut Findings) {
    if !text.lines().any(|line| line.trim_end() == "#![no_std]") {
        findings.problem(format!("{path} is the root of a pure crate and must say `#![no_std]`"));
    }
}

#[cfg(test)]
mod tests {
    use super::{UNFINISHED, check_length, check_no_std, check_scope, check_unfinished, contains_word, is_code};
    use crate::tidy::Findings;

    fn findings(check: impl FnOnce(&mut Findings)) -> Findings {
        let mut findings = Findings::default();
        check(&mut findings);
        findings
    }

    #[test]
    fn length_warns_past_500_lines_and_fails_past_800() {
        for (lines, problems, warnings) in [(500, 0, 0), (501, 0, 1), (800, 0, 1), (801, 1, 0)] {
            let found = findings(|findings| check_length("a.rs", &"x\n".repeat(lines), findings));
            assert_eq!((found.problems.len(), found.warnings.len()), (problems, warnings), "{lines} lines");
        }
    }

    #[test]
    fn unfinished_code_is_found_with_its_line() {
        for word in UNFINISHED {
            let text = format!("one\n    {word}\nthree {word} and {word}\n");
            let found = findings(|findings| check_unfinished("a.rs", &text, findings)).problems;
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found[0].starts_with("a.rs:2 ") && found[1].starts_with("a.rs:3 "), "{found:?}");
        }
    }

    #[test]
    fn parts_of_longer_names_are_not_unfinished_code() {
        for word in UNFINISHED {
            let is_operator = word.starts_with('|');
            assert_eq!(contains_word(&format!("x{word};"), word), is_operator, "{word}");
            assert_eq!(contains_word(&format!("{word}_x"), word), word.ends_with('!'), "{word}");
        }
    }

    #[test]
    fn code_is_told_from_prose() {
        for code in ["host/src/lib.rs", ".ci/run", "tests/clients/sign.py", "deny.toml"] {
            assert!(is_code(code), "{code}");
        }
        for prose in ["README.md", "LICENSE", "tests/vectors/a.json"] {
            assert!(!is_code(prose), "{prose}");
        }
    }

    #[test]
    fn crate_docs_come_first_and_have_both_headings() {
        let good = "//! Title.\n//!\n//! # In scope\n//! This.\n//!\n//! ## Out of scope\n//! That.\n#![no_std]\n";
        for (text, problems) in [
            (good.to_owned(), 0),
            (good.replace("# In scope", "In scope"), 1),
            (good.replace("Out of scope", "Outside"), 1),
            (good.replace("//! # In scope", "#![no_std]\n//! # In scope"), 2),
            (format!("#![no_std]\n{good}"), 1),
            ("//! Title.\n".to_owned(), 2),
            (String::new(), 1),
        ] {
            let found = findings(|findings| check_scope("lib.rs", &text, findings)).problems;
            assert_eq!(found.len(), problems, "{text}: {found:?}");
        }
    }

    #[test]
    fn a_pure_crate_says_no_std_without_a_condition() {
        for (text, problems) in [
            ("//! Docs.\n#![no_std]\n", 0),
            ("//! Docs.\n", 1),
            ("// #![no_std]\n", 1),
            ("#![cfg_attr(not(test), no_std)]\n", 1),
        ] {
            assert_eq!(findings(|findings| check_no_std("lib.rs", text, findings)).problems.len(), problems, "{text}");
        }
    }
}
