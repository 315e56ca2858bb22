//! `policy`: checking, testing and explaining rules.

mod bench;
mod cases;
mod check;
mod coverage;
mod explain;
mod export;
mod generated;
mod recorded;
mod schema;
mod simulate;
mod test;
mod trial;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Failure, Outcome};

pub(crate) use schema::write as write_schemas;

/// Verbs of `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find everything that is wrong with the policy, each with its place
    Check(check::Args),
    /// Run the tests of a policy, and show which rules none of them reaches
    Test(test::Args),
    /// Show what every guardrail and every rule says of a request, and why
    Explain(explain::Args),
    /// Measure what the rules cost, and how other engines do beside them
    Bench(bench::Args),
    /// Show which decisions another policy would change
    Simulate(simulate::Args),
    /// Write the rules in the language of another policy engine, and prove that they decide the same there
    Export(export::Args),
    /// Print the JSON Schema of policy files or of test files
    Schema(schema::Args),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Check(args) => check::run(args, context),
        Command::Test(args) => test::run(args, context),
        Command::Explain(args) => explain::run(args, context),
        Command::Bench(args) => bench::run(args, context),
        Command::Simulate(args) => simulate::run(args, context).await,
        Command::Export(args) => export::run(args, context),
        Command::Schema(args) => schema::run(args, context),
    }
}

/// Refuses what only a program does that brings the engines of other languages along.
fn needs_engines() -> Result<(), Failure> {
    if cfg!(feature = "prove") {
        return Ok(());
    }
    Err(Failure::usage("this program was built without the engines of other languages")
        .hint("build it with `cargo build --release --features prove`"))
}

fn no_rules() -> Failure {
    Failure::config("the configuration has no rules, and guardrails are not looked at here")
        .hint("write rules under `rules` or in a policy file")
}
