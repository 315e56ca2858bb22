//! Project tasks, run as `cargo xtask <command>`.
//!
//! # In scope
//! Everything a checkout needs beyond `cargo build`: setting up the tools the tests use, checking the rules of the
//! repository, building for other targets, and the run that continuous integration does.
//!
//! # Out of scope
//! Anything an operator needs: that belongs to the `passgate` binary.

mod bench;
mod ci;
mod component;
mod process;
mod reproducible;
mod setup;
mod small;
mod steps;
mod test;
mod tidy;
mod vectors;
mod wasm;
mod web;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::process::Task;

/// Project tasks of Passgate.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// One variant per file of the same name.
#[derive(Clone, Subcommand)]
enum Command {
    /// Install what the tests need from the registries, into target/tools (does nothing when it is all there)
    Setup,
    /// Check the rules of the repository: dependencies, sizes, crate docs, links
    Tidy,
    /// Everything continuous integration runs: setup, component, web, format, tidy, clippy, plugins, wasm, worker, test
    Ci,
    /// Set up, build the component, the npm package and the edge worker, run every test
    Test,
    /// Check the crates that also build for wasm32-unknown-unknown
    Wasm,
    /// Build the evaluator as a WebAssembly component, which the gateway carries in itself from its next build on
    Component,
    /// Build what judges published test vectors as WebAssembly, for the test that compares it with this machine
    Vectors,
    /// Build, try, test and deploy the edge worker
    #[command(subcommand)]
    Worker(worker::Command),
    /// Build, test and measure the npm package and the verify page
    #[command(subcommand)]
    Web(web::Command),
    /// Run the benchmarks
    Bench,
}

fn main() -> ExitCode {
    match dispatch(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    let checkout = Checkout::locate()?;
    match command {
        Command::Setup => steps::run("setup", setup::steps(&checkout)),
        Command::Tidy => steps::run("tidy", tidy::steps(&checkout)),
        Command::Ci => steps::run("ci", ci::steps(&checkout)),
        Command::Test => steps::run("test", test::steps(&checkout)),
        Command::Wasm => steps::run("wasm", wasm::steps(&checkout)),
        Command::Component => component::run(&checkout),
        Command::Vectors => steps::run("vectors", vec![vectors::step(&checkout)]),
        Command::Worker(command) => worker::run(&checkout, command),
        Command::Web(command) => web::run(&checkout, command),
        Command::Bench => steps::run("bench", bench::steps(&checkout)),
    }
}

/// Where the repository is on this machine.
#[derive(Clone)]
struct Checkout {
    /// Absolute path of the folder that holds the workspace's Cargo.toml.
    root: PathBuf,
}

impl Checkout {
    /// Cargo names this package's folder in the environment; the workspace is its parent.
    fn locate() -> Result<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`, not by its path")?;
        let root = PathBuf::from(package).parent().context("xtask has no parent folder")?.to_path_buf();
        Ok(Self { root })
    }

    /// Where `setup` installs, and where tests look: `target/tools`.
    fn tools(&self) -> PathBuf {
        self.root.join("target").join("tools")
    }

    /// The Node.js that runs the npm packages of `setup`.
    fn node(&self) -> PathBuf {
        self.tools().join("bin").join("node")
    }

    /// A program of the npm packages of `setup`.
    fn npm_tool(&self, name: &str) -> PathBuf {
        self.tools().join("npm").join("node_modules").join(".bin").join(name)
    }

    /// A program that `setup` installed from crates.io.
    fn cargo_tool(&self, name: &str) -> PathBuf {
        self.tools().join("cargo").join("bin").join(name)
    }

    /// `task` with the Node.js of `setup` first in its PATH: programs of npm packages look there for theirs.
    fn with_node(&self, task: Task) -> Task {
        let path = std::env::var("PATH").unwrap_or_default();
        task.env("PATH", &format!("{}:{path}", self.tools().join("bin").display()))
    }
}
