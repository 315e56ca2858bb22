//! `cargo xtask web`: the npm package `passgate` and the verify page, from source to `pkg/dist`.
//!
//! Every program that takes part was installed by `cargo xtask setup`; nothing is downloaded here.

mod bundle;
mod modules;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::Checkout;
use crate::process::Task;
use crate::setup::{self, start_over};
use crate::steps::{self, Outcome, Step};

pub(crate) use modules::Build;

#[derive(Clone, Subcommand)]
pub(crate) enum Command {
    /// Build pkg/dist: both WebAssembly modules, the entries, the types and the verify page; sizes printed and checked
    Build,
    /// Set up, build, then run the tests: Node.js, bundlers, Workers and Chromium
    Test,
    /// Build, then compare verification with WebCrypto and others, in Node.js and in Chromium
    Bench,
}

/// The tests need it, and no registry that `setup` reads has it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// # Errors
/// The first step that fails.
pub(crate) fn run(checkout: &Checkout, command: Command) -> Result<()> {
    match command {
        Command::Build => steps::run("web build", build_steps(checkout)),
        Command::Test => {
            let mut steps = setup::steps(checkout);
            steps.extend(build_steps(checkout));
            steps.push(binary(checkout));
            steps.push(crate::worker::build_step(checkout, crate::worker::Flavour::Release));
            steps.push(test_step(checkout));
            steps::run("web test", steps)
        }
        Command::Bench => {
            let mut steps = build_steps(checkout);
            steps.push(bench_step(checkout));
            steps::run("web bench", steps)
        }
    }
}

/// Builds everything.
pub(crate) fn build_steps(checkout: &Checkout) -> Vec<Step> {
    let step = |name, work: fn(&Checkout) -> Result<Outcome>| {
        let checkout = checkout.clone();
        Step::new(name, move || work(&checkout))
    };
    vec![
        step("web: verifier", |checkout| modules::build(checkout, Build::Verifier)),
        step("web: evaluator", |checkout| modules::build(checkout, Build::Full)),
        step("web: types", types),
        step("web: entries", bundle::entries),
        step("web: page", page),
        step("web: sizes", modules::check_sizes),
    ]
}

/// What the tests start beside browsers: the gateway.
fn binary(checkout: &Checkout) -> Step {
    let build =
        Task::new("cargo", "build --package passgate-cli", &checkout.root).remedy("Mend the compile errors above.");
    Step::new("build", move || build.run().map(|()| Outcome::Done))
}

/// `node --test` over `tests/web`. They need the package, `target/debug/passgate` and `worker/build`.
pub(crate) fn test_step(checkout: &Checkout) -> Step {
    let checkout = checkout.clone();
    Step::new("web: test", move || {
        let chromium = std::env::var_os("PASSGATE_CHROMIUM").unwrap_or_else(|| CHROMIUM.into());
        if !Path::new(&chromium).exists() {
            let chromium = chromium.display();
            bail!(
                "{chromium} is not there: install it, on Debian: apt-get install chromium, or name it in PASSGATE_CHROMIUM"
            );
        }
        let task = Task::new(checkout.node(), "--test --test-concurrency=1", &checkout.root)
            .append(&files(&checkout, "tests/web", ".test.mjs")?)
            .remedy("Repeat one: target/tools/bin/node --test tests/web/<name>.test.mjs");
        checkout.with_node(task).run().map(|()| Outcome::Done)
    })
}

fn bench_step(checkout: &Checkout) -> Step {
    let checkout = checkout.clone();
    Step::new("web: bench", move || {
        for file in files(&checkout, "tests/web/bench", ".mjs")? {
            let task = Task::new(checkout.node(), "", &checkout.root)
                .arg(file)
                .remedy("Benchmarks need a quiet machine and Chromium.");
            checkout.with_node(task).run()?;
        }
        Ok(Outcome::Done)
    })
}

/// The files of a folder with this ending, in order.
fn files(checkout: &Checkout, folder: &str, ending: &str) -> Result<Vec<String>> {
    let path = checkout.root.join(folder);
    let entries = fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(ending) {
            files.push(format!("{folder}/{name}"));
        }
    }
    files.sort();
    if files.is_empty() { bail!("there is no *{ending} in {folder}") } else { Ok(files) }
}

/// Where the package is made.
fn dist(checkout: &Checkout) -> PathBuf {
    checkout.root.join("pkg").join("dist")
}

/// Checks the types of package and page, and writes those of the package: once for ES modules, once for CommonJS. Npm packs a
/// licence only from the package's own folder, so it gets a copy.
fn types(checkout: &Checkout) -> Result<Outcome> {
    let (esm, cjs) = (dist(checkout).join("esm"), dist(checkout).join("cjs"));
    start_over(&esm)?;
    start_over(&cjs)?;
    for project in ["pkg", "pkg/page"] {
        let task = Task::new(checkout.npm_tool("tsc"), "--project", &checkout.root)
            .arg(project)
            .remedy("Mend the type errors above.");
        checkout.with_node(task).run()?;
    }
    let (licence, copy) = (checkout.root.join("LICENSE"), checkout.root.join("pkg").join("LICENSE"));
    fs::copy(&licence, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    // The entries export what `index` and `verify` do.
    let entries = esm.join("entry");
    fs::remove_dir_all(&entries).with_context(|| format!("cannot remove {}", entries.display()))?;
    let marker = cjs.join("package.json");
    fs::write(&marker, "{\"type\":\"commonjs\"}\n").with_context(|| format!("cannot write {}", marker.display()))?;
    for entry in fs::read_dir(&esm).with_context(|| format!("cannot read {}", esm.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".d.ts") {
            let to = cjs.join(path.file_name().unwrap_or_default());
            fs::copy(&path, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(Outcome::Done)
}

fn page(checkout: &Checkout) -> Result<Outcome> {
    let task = Task::new(checkout.npm_tool("vite"), "build --config pkg/page/vite.config.ts", &checkout.root)
        .remedy("Mend what vite names above, in pkg/page.");
    checkout.with_node(task).run().map(|()| Outcome::Done)
}
