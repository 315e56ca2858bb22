//! `policy export`: the rules of a policy.

mod export;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Outcome;

/// Verbs of `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the rules in the language of another policy engine, and prove that they decide the same there
    Export(export::Args),
}

pub(crate) fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Export(args) => export::run(args, context),
    }
}
