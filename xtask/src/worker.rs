//! `cargo xtask worker`: the edge worker, from source to a deployment.
//!
//! Every program that takes part was installed by `cargo xtask setup`; nothing is downloaded here.

mod build;
mod startup;

use clap::Subcommand;

pub(crate) use build::Flavour;

use anyhow::Result;

use crate::Checkout;
use crate::process::Task;
use crate::setup;
use crate::steps::{self, Outcome, Step};

#[derive(Clone, Subcommand)]
pub(crate) enum Command {
    /// Build worker/build: the Worker as it is deployed, its size printed and checked
    Build {
        /// Build worker/build-testing instead: time and randomness come from the tests
        #[arg(long)]
        testing: bool,
    },
    /// Build, then serve on http://127.0.0.1:8787 with local state in worker/.wrangler and secrets from worker/.dev.vars
    Dev {
        /// Further arguments of `wrangler dev`
        #[arg(last = true)]
        wrangler: Vec<String>,
    },
    /// Build, then deploy as worker/wrangler.jsonc says
    Deploy {
        /// Stop before anything is sent: needs no account and no network
        #[arg(long)]
        dry_run: bool,
        /// Further arguments of `wrangler deploy`
        #[arg(last = true)]
        wrangler: Vec<String>,
    },
    /// Set up, build both, run the tests that start the worker
    Test,
    /// Build worker/build-bench, optimised as the release is, and run the worker's benchmark on it
    Bench,
}

/// # Errors
/// The first step that fails.
pub(crate) fn run(checkout: &Checkout, command: Command) -> Result<()> {
    let release = || build_step(checkout, Flavour::Release);
    match command {
        Command::Build { testing: false } => steps::run("worker build", vec![release(), size_step(checkout)]),
        Command::Build { testing: true } => {
            steps::run("worker build --testing", vec![build_step(checkout, Flavour::Testing)])
        }
        Command::Dev { wrangler } => steps::run("worker dev", vec![release(), serve(checkout, &wrangler)]),
        Command::Deploy { dry_run: true, wrangler } => {
            steps::run("worker deploy --dry-run", vec![release(), dry_run_step(checkout, &wrangler)])
        }
        Command::Deploy { dry_run: false, wrangler } => {
            steps::run("worker deploy", vec![release(), size_step(checkout), deploy(checkout, &wrangler)])
        }
        Command::Test => steps::run("worker test", test_steps(checkout)),
        Command::Bench => steps::run("worker bench", bench_steps(checkout)),
    }
}

/// What every change has to pass: the release build with its size, its startup, and a deployment short of sending it.
pub(crate) fn release_steps(checkout: &Checkout) -> Vec<Step> {
    let build = build_step(checkout, Flavour::Release);
    vec![build, size_step(checkout), startup::step(checkout), dry_run_step(checkout, &[])]
}

fn size_step(checkout: &Checkout) -> Step {
    let checkout = checkout.clone();
    Step::new("worker: size", move || build::check_size(&checkout))
}

/// Builds one flavour.
pub(crate) fn build_step(checkout: &Checkout, flavour: Flavour) -> Step {
    let checkout = checkout.clone();
    let name = match flavour {
        Flavour::Release => "worker: build",
        Flavour::Testing => "worker: build for tests",
        Flavour::Bench => "worker: build for benchmarks",
    };
    Step::new(name, move || build::build(&checkout, flavour))
}

fn test_steps(checkout: &Checkout) -> Vec<Step> {
    let mut steps = setup::steps(checkout);
    steps.push(build_step(checkout, Flavour::Release));
    steps.push(build_step(checkout, Flavour::Testing));
    let test = Task::new("cargo", "test --package passgate-tests --all-features", &checkout.root)
        .args("--test edge --test conformance")
        .remedy("Repeat one failing test with `cargo test --package passgate-tests <test name>`.");
    steps.push(Step::new("worker: test", move || test.run().map(|()| Outcome::Done)));
    steps
}

fn bench_steps(checkout: &Checkout) -> Vec<Step> {
    let bench = Task::new("cargo", "bench --package passgate-tests --bench edge", &checkout.root)
        .remedy("Read the benchmark's own output above; benchmarks need a quiet machine.");
    vec![build_step(checkout, Flavour::Bench), Step::new("worker: bench", move || bench.run().map(|()| Outcome::Done))]
}

fn serve(checkout: &Checkout, further: &[String]) -> Step {
    let task = wrangler(checkout, "dev", further)
        .remedy("Port 8787 may be taken: `cargo xtask worker dev -- --port <another>`.");
    Step::new("worker: serve", move || task.run().map(|()| Outcome::Done))
}

fn deploy(checkout: &Checkout, further: &[String]) -> Step {
    let task = wrangler(checkout, "deploy", further).remedy(
        "wrangler needs an account: `target/tools/bin/node target/tools/npm/node_modules/.bin/wrangler login`.",
    );
    Step::new("worker: deploy", move || task.run().map(|()| Outcome::Done))
}

fn dry_run_step(checkout: &Checkout, further: &[String]) -> Step {
    let folder = build::stage(checkout).join("dry-run");
    let task = wrangler(checkout, "deploy --dry-run --outdir", &[])
        .arg(folder)
        .append(further)
        .remedy("Mend what wrangler says about worker/wrangler.jsonc.");
    Step::new("worker: dry run", move || task.run().map(|()| Outcome::Done))
}

/// `wrangler` in `worker/`. It sends nothing about its use, asks nobody for an example of a request's properties, and keeps
/// its logs under `target`.
fn wrangler(checkout: &Checkout, arguments: &str, further: &[String]) -> Task {
    let task = Task::new(checkout.npm_tool("wrangler"), arguments, &checkout.root.join("worker"));
    checkout
        .with_node(task)
        .append(further)
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
        .env("WRANGLER_LOG_PATH", &build::stage(checkout).join("logs").to_string_lossy())
}
