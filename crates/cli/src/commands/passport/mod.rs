//! `passport issue|inspect|verify|revoke`.

mod inspect;
pub(crate) mod issue;
mod revoke;
mod verify;

use clap::Subcommand;
use passgate_passport::passport::PassportError;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Verbs of `passport`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue a passport and write the agent's credentials file
    Issue(issue::Args),
    /// Show what a passport says, without checking anything
    Inspect(inspect::Args),
    /// Verify a passport against the configuration's trust store
    Verify(verify::Args),
    /// Revoke a passport, an agent, a key or an issuer, at once
    Revoke(revoke::Args),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Issue(args) => issue::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Verify(args) => verify::run(args, context).await,
        Command::Revoke(args) => revoke::run(args, context).await,
    }
}

/// A passport that does not hold.
fn invalid(error: &PassportError) -> Failure {
    Failure::new(Exit::Invalid, error.code(), error)
}
