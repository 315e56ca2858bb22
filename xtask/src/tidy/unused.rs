//! Dependencies that are declared and not used. Each costs a build, an audit and a place in the lock file.

use std::collections::BTreeSet;

use super::{Findings, sources};

/// Compares the names in `[workspace.dependencies]` of the root's manifest with those that packages depend on.
pub(super) fn check_workspace(manifest: &str, used: &BTreeSet<String>, findings: &mut Findings) {
    for name in workspace_dependencies(manifest).filter(|name| !used.contains(*name)) {
        findings.problem(format!(
            "no package depends on `{name}`, which stands in [workspace.dependencies] of Cargo.toml: remove it there"
        ));
    }
}

/// Looks for each dependency's name in the sources of the package that declares it.
pub(super) fn check_package(package: &str, dependencies: &BTreeSet<String>, code: &[String], findings: &mut Findings) {
    for name in dependencies {
        let in_code = name.replace('-', "_");
        if !code.iter().any(|text| sources::contains_word(text, &in_code)) {
            findings
                .problem(format!("`{package}` depends on `{name}` and never names it: remove it from its Cargo.toml"));
        }
    }
}

/// The keys of the section, one a line as this repository writes them.
fn workspace_dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.lines().map(str::trim).skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let keys = section.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    keys.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_workspace_dependency_that_no_package_has_is_found() {
        let manifest = "[package]\nzero = 1\n[workspace.dependencies]\none = \"1\"\n# three = \"3\"\n\ntwo-b = { version = \"2\", features = [\"x\"] }\n\n[profile.dev]\nfour = 4\n";
        assert_eq!(workspace_dependencies(manifest).collect::<Vec<_>>(), ["one", "two-b"]);
        for (used, problems) in [(set(&["one", "two-b", "five"]), 0), (set(&["one"]), 1), (set(&[]), 2)] {
            let mut findings = Findings::default();
            check_workspace(manifest, &used, &mut findings);
            assert_eq!(findings.problems.len(), problems, "{findings:?}");
        }
    }

    #[test]
    fn a_dependency_that_the_code_never_names_is_found() {
        let code = ["use one::a;\n".to_owned(), "let b = two_b::c(d_three);\n".to_owned()];
        for (name, problems) in [("one", 0), ("two-b", 0), ("three", 1), ("two", 1)] {
            let mut findings = Findings::default();
            check_package("p", &set(&[name]), &code, &mut findings);
            assert_eq!(findings.problems.len(), problems, "{name}: {findings:?}");
        }
    }
}
