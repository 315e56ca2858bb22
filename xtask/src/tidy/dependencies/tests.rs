use super::{Member, TABLE, check_members, check_page, expected_table, is_pure, short};
use crate::tidy::Findings;

fn member(name: &str, normal: &[&str], dev: &[&str]) -> Member {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Member { name: name.to_owned(), normal: owned(normal), dev: owned(dev) }
}

/// The problems of these packages, which all have a row in the page.
fn member_problems(members: &[Member]) -> Vec<String> {
    let mut findings = Findings::default();
    check_members(members, &mut findings);
    findings.problems
}

fn page_problems(page: Option<&str>, members: &[Member]) -> Vec<String> {
    let mut findings = Findings::default();
    check_page(page, members, &mut findings);
    findings.problems
}

#[test]
fn the_table_names_each_package_once_and_only_packages_of_the_table() {
    for rule in TABLE {
        assert_eq!(TABLE.iter().filter(|other| other.package == rule.package).count(), 1, "{}", rule.package);
        for name in rule.may_depend_on {
            assert!(TABLE.iter().any(|other| other.package == *name), "{name}");
            assert_ne!(*name, rule.package);
        }
    }
}

#[test]
fn every_allowed_dependency_passes() {
    for rule in TABLE {
        assert_eq!(member_problems(&[member(rule.package, rule.may_depend_on, &[])]), Vec::<String>::new());
    }
}

#[test]
fn a_dependency_outside_the_table_is_named_with_what_is_allowed() {
    let problems = member_problems(&[member("core", &["passport", "store"], &[]), member("passport", &["core"], &[])]);
    assert_eq!(
        problems,
        [
            "`core` depends on `store`, but may depend only on: passport",
            "`passport` depends on `core`, but may depend only on: none",
        ]
    );
}

#[test]
fn a_package_without_a_row_is_a_problem() {
    let problems = member_problems(&[member("extra", &[], &[])]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("package `extra` has no row"), "{problems:?}");
}

#[test]
fn only_pure_crates_are_barred_from_testing_with_the_host_or_the_binary() {
    assert_eq!(member_problems(&[member("core", &[], &["host"])]).len(), 1);
    assert_eq!(member_problems(&[member("passport", &[], &["cli"])]).len(), 1);
    assert_eq!(member_problems(&[member("core", &[], &["store"])]).len(), 0);
    assert_eq!(member_problems(&[member("api", &[], &["host"])]).len(), 0);
    assert!(is_pure("passgate-core") && is_pure("passport") && !is_pure("passgate-host"));
}

#[test]
fn the_page_that_a_failure_prints_is_accepted() {
    let members = [member("passport", &[], &[]), member("core", &[], &[]), member("xtask", &[], &[])];
    let page = format!("# Architecture\n\n{}\n\nMore.\n", expected_table(&members));
    assert_eq!(page_problems(Some(&page), &members), Vec::<String>::new());
}

#[test]
fn a_page_may_use_full_names_code_spans_a_third_column_shared_rows_and_rows_for_later() {
    let page = "<!-- tidy:dependencies -->\n\n| package | may depend on | builds for |\n| :-- | --- | --- |\n\
                | `passgate-passport` | \u{2013} | all |\n| core | `passport` | all |\n\
                | component, pkg | api, passport, core | wasm |\n\n<!-- tidy:dependencies -->\n";
    let members = [member("passport", &[], &[]), member("core", &[], &[])];
    assert_eq!(page_problems(Some(page), &members), Vec::<String>::new());
}

#[test]
fn a_page_that_is_missing_or_has_no_table_is_a_problem() {
    let header = "| package | may depend on |\n| --- | --- |\n";
    for (page, expected) in [
        (None, "ARCHITECTURE.md is missing"),
        (Some("# Architecture\n".to_owned()), "exactly two"),
        (Some(format!("<!-- tidy:dependencies -->\n{header}")), "exactly two"),
        (Some("<!-- tidy:dependencies -->\n<!-- tidy:dependencies -->".to_owned()), "starts with `| package"),
        (Some(format!("<!-- tidy:dependencies -->\n{header}words\n<!-- tidy:dependencies -->")), "not a row"),
        (
            Some(format!("<!-- tidy:dependencies -->\n{header}| a | b |\n| a | b |\n<!-- tidy:dependencies -->")),
            "two rows",
        ),
    ] {
        let problems = page_problems(page.as_deref(), &[]);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{page:?}: {problems:?}");
    }
}

#[test]
fn a_page_that_differs_from_the_code_is_a_problem_that_shows_the_table() {
    let members = [member("passport", &[], &[]), member("core", &[], &[])];
    let good = expected_table(&members);
    for (page, expected) in [
        (good.replace("| core | passport |", "| core | none |"), "the row of `core` differs"),
        (good.replace("| passport | none |", "| passport | core |"), "the row of `passport` differs"),
        (good.replace("| core | passport |\n", ""), "the row of `core` is missing"),
        (good.replace("| core |", "| extra | none |\n| core |"), "nothing is known of `extra`"),
    ] {
        let problems = page_problems(Some(&page), &members);
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        assert!(problems[0].contains(&good), "{problems:?}");
    }
}

#[test]
fn short_names_drop_the_prefix_only() {
    assert_eq!(short("passgate-core"), "core");
    assert_eq!(short("xtask"), "xtask");
}
