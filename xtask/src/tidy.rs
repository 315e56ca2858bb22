//! `cargo xtask tidy`: the rules of the repository that no compiler checks.
//!
//! - who may depend on whom, in the code's table, in `cargo metadata` and in ARCHITECTURE.md ([`dependencies`])
//! - every package inherits the workspace's lints and names its licence ([`manifests`])
//! - file sizes, unfinished code, crate docs, `no_std` ([`sources`])
//! - relative links in Markdown ([`links`])
//! - dependencies that are declared and not used ([`unused`])
//!
//! Each check is a pure function from text to findings; only this file reads the repository.

mod dependencies;
mod links;
mod manifests;
mod sources;
mod unused;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::Checkout;
use crate::process::Task;
use crate::steps::{Outcome, Step};

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    let checkout = checkout.clone();
    vec![Step::new("tidy", move || tidy(&checkout))]
}

/// What the checks found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// Each fails the run; says where, what and what to do.
    problems: Vec<String>,
    /// Each is printed only.
    warnings: Vec<String>,
}

impl Findings {
    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    fn warning(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }
}

fn tidy(checkout: &Checkout) -> Result<Outcome> {
    let metadata = MetadataCommand::new()
        .manifest_path(checkout.root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("`cargo metadata` failed; mend the Cargo.toml it names")?;
    let mut findings = Findings::default();
    let files = listed(checkout)?;
    check_packages(checkout, &metadata, &mut findings)?;
    check_unused(checkout, &metadata, &files, &mut findings)?;
    check_files(checkout, &files, &mut findings)?;
    for warning in &findings.warnings {
        eprintln!("  warning: {warning}");
    }
    for problem in &findings.problems {
        eprintln!("  problem: {problem}");
    }
    if !findings.problems.is_empty() {
        bail!("tidy found {}; mend what is listed above", counted(findings.problems.len(), "problem"));
    }
    Ok(Outcome::Note(format!("{}, {}", counted(files.len(), "file"), counted(findings.warnings.len(), "warning"))))
}

fn check_packages(checkout: &Checkout, metadata: &Metadata, findings: &mut Findings) -> Result<()> {
    let packages = metadata.workspace_packages();
    let workspace = read(checkout, &checkout.root.join("Cargo.toml"))?;
    let members: Vec<_> = packages.iter().map(|package| dependencies::Member::of(package)).collect();
    dependencies::check_members(&members, findings);
    let page = fs::read_to_string(checkout.root.join("ARCHITECTURE.md")).ok();
    dependencies::check_page(page.as_deref(), &members, findings);
    for package in packages {
        let manifest = read(checkout, package.manifest_path.as_std_path())?;
        manifests::check(&package.name, package.license.as_deref(), &manifest, &workspace, findings);
        check_crate_root(checkout, package, findings)?;
    }
    Ok(())
}

/// Libraries of the product describe their scope; tests and tasks need not.
fn check_crate_root(checkout: &Checkout, package: &Package, findings: &mut Findings) -> Result<()> {
    let Some(library) = package.targets.iter().find(|target| target.is_lib() || target.is_cdylib()) else {
        return Ok(());
    };
    let path = library.src_path.as_std_path();
    let shown = path.strip_prefix(&checkout.root).unwrap_or(path).to_string_lossy().into_owned();
    let text = read(checkout, path)?;
    if ["crates/", "host/", "worker/"].iter().any(|folder| shown.starts_with(folder)) {
        sources::check_scope(&shown, &text, findings);
    }
    if dependencies::is_pure(&package.name) {
        sources::check_no_std(&shown, &text, findings);
    }
    Ok(())
}

fn check_unused(
    checkout: &Checkout,
    metadata: &Metadata,
    files: &BTreeSet<String>,
    findings: &mut Findings,
) -> Result<()> {
    let mut used = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().and_then(|path| path.strip_prefix(&checkout.root).ok());
        let folder = folder.with_context(|| format!("`{}` lies outside the repository", package.name))?;
        let code = files.iter().filter(|path| path.ends_with(".rs") && std::path::Path::new(path).starts_with(folder));
        let code = code.map(|path| read(checkout, &checkout.root.join(path))).collect::<Result<Vec<_>>>()?;
        let named = package.dependencies.iter();
        let named = named.map(|dependency| dependency.rename.as_ref().unwrap_or(&dependency.name).clone()).collect();
        unused::check_package(&package.name, &named, &code, findings);
        used.extend(named);
    }
    unused::check_workspace(&read(checkout, &checkout.root.join("Cargo.toml"))?, &used, findings);
    Ok(())
}

/// Every file that git knows or would add.
fn listed(checkout: &Checkout) -> Result<BTreeSet<String>> {
    let listing = Task::new("git", "ls-files -z --cached --others --exclude-standard --deduplicate", &checkout.root)
        .remedy("Run this in a git checkout of the repository.")
        .output()?;
    // A file that was deleted but not yet committed is still listed.
    let there = listing.split('\0').filter(|path| !path.is_empty() && checkout.root.join(path).is_file());
    Ok(there.map(str::to_owned).collect())
}

fn check_files(checkout: &Checkout, files: &BTreeSet<String>, findings: &mut Findings) -> Result<()> {
    for path in files {
        let text = || read(checkout, &checkout.root.join(path));
        if path.ends_with(".rs") {
            sources::check_length(path, &text()?, findings);
        }
        if sources::is_code(path) {
            sources::check_unfinished(path, &text()?, findings);
        }
        if path.ends_with(".md") {
            links::check(path, &text()?, files, findings);
        }
    }
    Ok(())
}

fn read(checkout: &Checkout, path: &std::path::Path) -> Result<String> {
    let shown = path.strip_prefix(&checkout.root).unwrap_or(path).display();
    fs::read_to_string(path).with_context(|| format!("cannot read {shown} as UTF-8 text"))
}

fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
