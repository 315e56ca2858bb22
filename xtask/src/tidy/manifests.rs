//! What every package's Cargo.toml has to say.

use super::Findings;

/// The packages whose macros expand to code that the workspace's lints forbid, so that they repeat them with one difference.
const OWN_LINTS: &[&str] =
    &["passgate-component", "passgate-pkg", "passgate-plugin", "passgate-verdicts", "passgate-worker"];
/// That difference: denied can be expected at one place, forbidden cannot.
const OWN_LINT: (&str, &str) = ("unsafe_code = \"forbid\"", "unsafe_code = \"deny\"");

/// `licence` is the resolved field, `text` the file itself: `cargo metadata` does not show the lints. `workspace` is the
/// manifest of the root.
pub(super) fn check(package: &str, licence: Option<&str>, text: &str, workspace: &str, findings: &mut Findings) {
    if licence.is_none() {
        findings.problem(format!("package `{package}` names no licence: add `license.workspace = true`"));
    }
    if OWN_LINTS.contains(&package) {
        for lint in missing_lints(text, workspace) {
            findings.problem(format!("package `{package}` has lints of its own and lacks `{lint}`: add it"));
        }
    } else if !inherits_lints(text) {
        findings.problem(format!(
            "package `{package}` does not inherit the lints: add a section `[lints]` with `workspace = true`"
        ));
    }
}

/// The lints with which the workspace fails a build and that a manifest with its own does not have.
fn missing_lints(text: &str, workspace: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let tables = [("[lints.rust]", "[workspace.lints.rust]"), ("[lints.clippy]", "[workspace.lints.clippy]")];
    for (own, wanted) in tables {
        let own: Vec<&str> = section(text, own).collect();
        let wanted = section(workspace, wanted).filter(|lint| !lint.contains("\"warn\""));
        let wanted = wanted.map(|lint| if lint == OWN_LINT.0 { OWN_LINT.1 } else { lint });
        missing.extend(wanted.filter(|lint| !own.contains(lint)).map(str::to_owned));
    }
    missing
}

/// The assignments of a section, one a line as this repository writes them.
fn section<'a>(text: &'a str, header: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().map(str::trim).skip_while(move |line| *line != header).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
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
    use super::{OWN_LINTS, check, inherits_lints};
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
        check("a", None, "", "", &mut findings);
        assert_eq!(findings.problems.len(), 2);
        assert!(findings.problems.iter().all(|problem| problem.starts_with("package `a`")), "{findings:?}");

        let mut findings = Findings::default();
        check("a", Some("Apache-2.0"), "[lints]\nworkspace = true\n", "", &mut findings);
        assert_eq!(findings, Findings::default());
    }

    #[test]
    fn own_lints_are_those_of_the_workspace_with_unsafe_code_denied() {
        let workspace = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\"\n[workspace.lints.clippy]\n\
                         panic = \"deny\"\ntodo = \"deny\"\n[profile.dev]\ndebug = 1\n";
        let full =
            "[lints.rust]\n# Why.\nunsafe_code = \"deny\"\n\n[lints.clippy]\ntodo = \"deny\"\npanic = \"deny\"\n";
        for (text, problems) in [
            (full.to_owned(), 0),
            (full.replace("todo = \"deny\"", "todo = \"warn\""), 1),
            (full.replace("panic = \"deny\"\n", ""), 1),
            (full.replace("unsafe_code = \"deny\"", "unsafe_code = \"warn\""), 1),
            ("[lints]\n".to_owned(), 3),
        ] {
            let mut findings = Findings::default();
            check(OWN_LINTS[0], Some("Apache-2.0"), &text, workspace, &mut findings);
            assert_eq!(findings.problems.len(), problems, "{text}: {findings:?}");
        }
    }
}
