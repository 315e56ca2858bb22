//! Relative links in Markdown lead to files that are in the repository.

use std::collections::BTreeSet;

use super::Findings;

/// `files` are the paths of the repository's files, relative to its root, with `/`.
pub(super) fn check(path: &str, text: &str, files: &BTreeSet<String>, findings: &mut Findings) {
    for (number, target) in targets(text) {
        if let Err(why) = resolve(path, &target, files) {
            findings.problem(format!("{path}:{number} links to `{target}`, {why}"));
        }
    }
}

/// Line number and target of each link and link definition outside code.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        let marker = ["```", "~~~"].into_iter().find(|marker| line.starts_with(marker));
        match (fence, marker) {
            (None, Some(opened)) => fence = Some(opened),
            (Some(open), Some(marker)) if open == marker => fence = None,
            (Some(_), _) => {}
            (None, None) => found.extend(targets_of_line(line).into_iter().map(|target| (number, target))),
        }
    }
    found
}

fn targets_of_line(line: &str) -> Vec<String> {
    // Every second piece between backticks is code.
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let mut found: Vec<String> = prose.split("](").skip(1).filter_map(inline_target).collect();
    found.extend(definition_target(&prose));
    found
}

/// The target of `](target "title") more text`, without the two characters before it.
fn inline_target(rest: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut inside = String::new();
    for character in rest.chars() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return first_word(&inside),
            ')' => depth -= 1,
            _ => {}
        }
        inside.push(character);
    }
    None
}

/// The target of `[label]: target`; footnotes are text, not links.
fn definition_target(line: &str) -> Option<String> {
    let (label, target) = line.strip_prefix('[')?.split_once("]:")?;
    if label.starts_with('^') || label.contains(']') { None } else { first_word(target) }
}

fn first_word(text: &str) -> Option<String> {
    let text = text.trim();
    match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((target, _title)) => Some(target.to_owned()),
        None => text.split_whitespace().next().map(str::to_owned),
    }
}

fn resolve(from: &str, target: &str, files: &BTreeSet<String>) -> Result<(), &'static str> {
    if is_external(target) || target.starts_with('#') {
        return Ok(());
    }
    if target.starts_with('/') {
        return Err("which starts at no folder of the repository: make it relative to this file");
    }
    let path = target.split(['#', '?']).next().unwrap_or_default();
    let mut folders: Vec<&str> = from.split('/').collect();
    folders.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                folders.pop().ok_or("which leaves the repository")?;
            }
            name => folders.push(name),
        }
    }
    let resolved = folders.join("/");
    let folder = format!("{resolved}/");
    if resolved.is_empty() || files.contains(&resolved) || files.iter().any(|file| file.starts_with(&folder)) {
        Ok(())
    } else {
        Err("which is not in the repository")
    }
}

/// Whether the target has a scheme (RFC 3986 section 3.1) or names a host.
fn is_external(target: &str) -> bool {
    let of_scheme = |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.');
    let has_scheme = target.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.chars().all(of_scheme)
    });
    has_scheme || target.starts_with("//")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{check, targets};
    use crate::tidy::Findings;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let files = ["README.md", "docs/a.md", "docs/spec/b (1).md", "crates/core/src/lib.rs"];
        let files: BTreeSet<String> = files.into_iter().map(str::to_owned).collect();
        let mut findings = Findings::default();
        check(path, text, &files, &mut findings);
        findings.problems
    }

    #[test]
    fn links_to_files_folders_anchors_and_elsewhere_resolve() {
        for text in [
            "[a](docs/a.md) and [b](./docs/a.md#part)",
            "![picture](docs/a.md \"title\")",
            "[folder](docs) [folder](crates/core/) [root](.)",
            "[spaces](<docs/spec/b (1).md>)",
            "[part](#part) [site](https://example.com/x) [mail](mailto:a@example.com) [host](//example.com)",
            "[label]: docs/a.md",
            "[^note]: nowhere.md is only mentioned",
            "text without links (nowhere.md)",
        ] {
            assert_eq!(problems("README.md", text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(problems("docs/a.md", "[up](../README.md) [down](spec)"), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_named_with_their_line() {
        for (path, text, expected) in [
            ("README.md", "\n[a](docs/missing.md)", "README.md:2 links to `docs/missing.md`, which is not in"),
            ("docs/a.md", "[a](docs/a.md)", "docs/a.md:1 links to `docs/a.md`, which is not in"),
            ("README.md", "[a](doc)", "which is not in the repository"),
            ("README.md", "[a](../outside.md)", "which leaves the repository"),
            ("README.md", "[a](/docs/a.md)", "make it relative"),
            ("README.md", "[label]: missing.md", "README.md:1 links to `missing.md`"),
            ("README.md", "[a](docs/a.md) then [b](gone.md#x)", "`gone.md#x`"),
        ] {
            let found = problems(path, text);
            assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
        }
    }

    #[test]
    fn code_is_not_searched_and_the_text_after_it_is() {
        let text = "```\n[a](one)\n```\n`[b](two)` and [c](three)\n~~~\n```\n[d](four)\n~~~\n[e](five)\n";
        assert_eq!(targets(text), [(4, "three".to_owned()), (9, "five".to_owned())]);
    }

    #[test]
    fn nested_and_unclosed_parentheses_are_told_apart() {
        assert_eq!(targets("([a](one(1)))"), [(1, "one(1)".to_owned())]);
        assert_eq!(targets("[a](one"), []);
    }
}
