//! What every package's Cargo.toml has to say.

use super::Findings;

/// `licence` is the resolved field, `text` the file itself: `cargo metadata` does not show the lints.
pub(super) fn check(package: &str, licence: Option<&str>, text: &str, findings: &mut Findings) {
    if licence.is_none() {
        findings.problem(format!("package `{package}` names no licence: add `license.workspace = true`"));
    }
    if !inherits_lints(text) {
        findings.problem(format!(
            "package `{package}` does not inherit the lints: add a section `[lints]` with `workspace = true`"
        ));
    }
}

fn inherits_lints(text: &str) -> bool {
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let assignment: String = line.chars().filter(|character| !character.is_whitespace()).collect();
        let uncommented = assignment.split('#').next().unwrap_or_default();
        if (section == "[lints]" && uncommented == "workspace=true")
            || (section.is_empty() && uncommented == "lints.workspace=true")
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{check, inherits_lints};
    use crate::tidy::Findings;

    #[test]
    fn the_lints_of_the_workspace_must_be_inherited() {
        for good in [
            "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n",
            "[lints]\nworkspace=true # all of them\n[dependencies]\n",
            "lints.workspace = true\n[package]\n",
        ] {
            assert!(inherits_lints(good), "{good}");
        }
        for bad in [
            "",
            "[package]\nname = \"a\"\n",
            "[lints]\nworkspace = false\n",
            "[lints]\n# workspace = true\n",
            "[lints.rust]\nworkspace = true\n",
            "[dependencies]\nworkspace = true\n",
            "[lints]\n[dependencies]\nworkspace = true\n",
            "[dependencies]\nlints.workspace = true\n",
        ] {
            assert!(!inherits_lints(bad), "{bad}");
        }
    }

    #[test]
    fn each_missing_part_is_its_own_problem() {
        let mut findings = Findings::default();
        check("a", None, "", &mut findings);
        assert_eq!(findings.problems.len(), 2);
        assert!(findings.problems.iter().all(|problem| problem.starts_with("package `a`")), "{findings:?}");

        let mut findings = Findings::default();
        check("a", Some("Apache-2.0"), "[lints]\nworkspace = true\n", &mut findings);
        assert_eq!(findings, Findings::default());
    }
}
