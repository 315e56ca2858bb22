//! `completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::context::Context;
use crate::exit::{Exit, Outcome};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "passgate", &mut script);
    context.output.raw(&script)?;
    Ok(Exit::Ok)
}
