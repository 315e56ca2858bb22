//! Who may depend on whom inside the workspace: the rule that keeps the core pure and the host free of policy.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Package};

use super::Findings;

/// One row: a package and the packages that its normal and build dependencies may name.
struct Rule {
    package: &'static str,
    may_depend_on: &'static [&'static str],
}

const fn rule(package: &'static str, may_depend_on: &'static [&'static str]) -> Rule {
    Rule { package, may_depend_on }
}

/// The table, by package name without `passgate-`. ARCHITECTURE.md shows the same rows.
const TABLE: &[Rule] = &[
    rule("passport", &[]),
    rule("core", &["passport"]),
    rule("store", &["core", "passport"]),
    rule("api", &["store", "core", "passport"]),
    rule("plugin", &[]),
    rule("component", &["core", "passport", "api"]),
    rule("pkg", &["core", "passport", "api"]),
    rule("worker", &["api", "store", "core", "passport"]),
    rule("host", &["api", "store", "core", "passport"]),
    rule("cli", &["host", "api", "store", "core", "passport"]),
    rule("verdicts", &["passport"]),
    rule("tests", &["verdicts", "cli", "host", "api", "store", "core", "passport"]),
    rule("xtask", &[]),
];

/// No clock, randomness, input, output or global state; not even their tests may reach for what has them.
const PURE: &[&str] = &["passport", "core"];
const BARRED_FROM_PURE_TESTS: &[&str] = &["host", "cli"];

/// The table in ARCHITECTURE.md stands between two of these lines.
const MARKER: &str = "<!-- tidy:dependencies -->";

/// A workspace package with its dependencies inside the workspace, all by short name.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    /// Normal and build dependencies, also optional ones and those of one target only.
    normal: Vec<String>,
    /// Dependencies of tests, benches and examples.
    dev: Vec<String>,
}

impl Member {
    pub(super) fn of(package: &Package) -> Self {
        let mut member = Self { name: short(&package.name).to_owned(), normal: Vec::new(), dev: Vec::new() };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let names =
                if dependency.kind == DependencyKind::Development { &mut member.dev } else { &mut member.normal };
            names.push(short(&dependency.name).to_owned());
        }
        member
    }
}

/// Whether `package` (short or full name) is one of the pure crates.
pub(super) fn is_pure(package: &str) -> bool {
    PURE.contains(&short(package))
}

/// Compares what the packages depend on with the table.
pub(super) fn check_members(members: &[Member], findings: &mut Findings) {
    for member in members {
        let Some(rule) = TABLE.iter().find(|rule| rule.package == member.name) else {
            findings.problem(format!(
                "package `{}` has no row in the dependency table: add one in xtask/src/tidy/dependencies.rs and in \
                 ARCHITECTURE.md",
                member.name
            ));
            continue;
        };
        for barred in member.normal.iter().filter(|name| !rule.may_depend_on.contains(&name.as_str())) {
            findings.problem(format!(
                "`{}` depends on `{barred}`, but may depend only on: {}",
                member.name,
                listed(rule.may_depend_on)
            ));
        }
        check_dev(member, findings);
    }
}

fn check_dev(member: &Member, findings: &mut Findings) {
    if !is_pure(&member.name) {
        return;
    }
    for barred in member.dev.iter().filter(|name| BARRED_FROM_PURE_TESTS.contains(&name.as_str())) {
        findings.problem(format!(
            "`{}` is pure, so its tests may not depend on `{barred}`: put the test into the `tests` package",
            member.name
        ));
    }
}

/// Compares the table in ARCHITECTURE.md (`None`: no such file) with the one in this file. Every package of the
/// workspace needs a row; rows for packages that the table foresees but the workspace does not have yet may be there.
pub(super) fn check_page(page: Option<&str>, members: &[Member], findings: &mut Findings) {
    let Some(page) = page else {
        findings.problem("ARCHITECTURE.md is missing; it shows who may depend on whom");
        return;
    };
    let rows = match parse_page(page) {
        Ok(rows) => rows,
        Err(problem) => {
            findings.problem(format!("ARCHITECTURE.md: {problem}. The table is:\n{}", expected_table(members)));
            return;
        }
    };
    let problems = compare_rows(&rows, members);
    if !problems.is_empty() {
        let wanted = expected_table(members);
        findings.problem(format!("ARCHITECTURE.md: {}. The table is:\n{wanted}", problems.join("; ")));
    }
}

fn compare_rows(rows: &BTreeMap<String, Vec<String>>, members: &[Member]) -> Vec<String> {
    let mut problems = Vec::new();
    for rule in TABLE {
        match rows.get(rule.package) {
            Some(names) if *names != sorted(rule.may_depend_on) => {
                problems.push(format!("the row of `{}` differs", rule.package));
            }
            None if members.iter().any(|member| member.name == rule.package) => {
                problems.push(format!("the row of `{}` is missing", rule.package));
            }
            _ => {}
        }
    }
    let known = |name: &str| TABLE.iter().any(|rule| rule.package == name);
    problems.extend(rows.keys().filter(|name| !known(name)).map(|name| format!("nothing is known of `{name}`")));
    problems
}

/// Short package name to the sorted short names it may depend on.
fn parse_page(page: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut parts = page.split(MARKER);
    let (Some(_before), Some(table), Some(_after), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!("expected exactly two `{MARKER}` lines around the dependency table"));
    };
    let mut lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    let header = lines.next().map(cells).unwrap_or_default();
    if header.first().map(String::as_str) != Some("package")
        || header.get(1).map(String::as_str) != Some("may depend on")
    {
        return Err("expected a table that starts with `| package | may depend on |`".to_owned());
    }
    let mut rows = BTreeMap::new();
    for line in lines.filter(|line| !is_separator(line)) {
        for (name, names) in parse_row(line)? {
            if rows.insert(name.clone(), names).is_some() {
                return Err(format!("`{name}` has two rows"));
            }
        }
    }
    Ok(rows)
}

/// One line may name several packages that share a rule: `| host, cli | api, core |`.
fn parse_row(line: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let cells = cells(line);
    let (Some(packages), Some(may_depend_on)) = (cells.first(), cells.get(1)) else {
        return Err(format!("not a row of the dependency table: {line}"));
    };
    let names = names(may_depend_on);
    Ok(self::names(packages).into_iter().map(|package| (package, names.clone())).collect())
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().replace('`', "")).collect()
}

fn is_separator(line: &str) -> bool {
    line.contains('-') && line.chars().all(|character| matches!(character, '|' | '-' | ':' | ' '))
}

/// The sorted short names in a cell; a dash or "none" means that there are none.
fn names(cell: &str) -> Vec<String> {
    let nothing = ["", "-", "\u{2013}", "\u{2014}", "none"];
    let names = cell.split(',').map(|name| short(name.trim()));
    sorted(&names.filter(|name| !nothing.contains(name)).collect::<Vec<_>>())
}

fn expected_table(members: &[Member]) -> String {
    let mut lines = vec![MARKER.to_owned(), "| package | may depend on |".to_owned(), "| --- | --- |".to_owned()];
    let present = |rule: &&Rule| members.iter().any(|member| member.name == rule.package);
    let row = |rule: &Rule| format!("| {} | {} |", rule.package, listed(rule.may_depend_on));
    lines.extend(TABLE.iter().filter(present).map(row));
    lines.push(MARKER.to_owned());
    lines.join("\n")
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    names.sort();
    names
}

fn short(package: &str) -> &str {
    package.strip_prefix("passgate-").unwrap_or(package)
}

#[cfg(test)]
mod tests;
