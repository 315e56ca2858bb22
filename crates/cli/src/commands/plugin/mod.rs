//! `plugin keys`.

mod keys;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Outcome;

/// Verbs of `plugin`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write, read and delete the keys that a plugin reads from the gate's store
    #[command(subcommand)]
    Keys(keys::Command),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Keys(command) => keys::run(command, context).await,
    }
}
