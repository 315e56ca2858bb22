//! `passgate`: the command that operates a gate.
//!
//! stdout carries data, stderr carries talk, and the exit code says what happened: see [`exit::Exit`].

mod access;
mod client;
mod commands;
mod context;
mod credentials;
mod exit;
mod files;
mod inert;
mod input;
mod limits;
mod moment;
mod output;
mod request;
mod span;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _, Parser};

use commands::Command;
use context::Context;
use exit::{Exit, Failure};
use output::{CLOSED_PIPE, Color, Format, Output};

/// Operates a Passgate gate: a guard in front of a tool API that decides allow, deny or step_up for each agent's request
#[derive(Debug, Parser)]
#[command(name = "passgate", version, after_help = exit::table(), arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Globals {
    /// The configuration [default: $PASSGATE_CONFIG, passgate.yml here or above, the user's configuration folder]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How data is printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    format: Format,
    /// When colour is used; NO_COLOR counts too
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
    /// Print data, warnings and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let Globals { config, format, color, quiet, verbose } = cli.globals;
    let output = Output::new(format, color, quiet, verbose);
    match run(cli.command, Context { output, config }) {
        Ok(exit) => exit.into(),
        Err(failure) if failure.code == CLOSED_PIPE => Exit::Ok.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

fn run(command: Command, context: Context) -> exit::Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::unexpected(format_args!("no threads to run on: {error}")))?;
    let outcome = runtime.block_on(commands::run(command, context));
    // A reader of stdin that nobody waits for any more must not keep the program.
    runtime.shutdown_background();
    outcome
}

/// Reads the command line. Help and version are data; everything else clap says is a usage error, which has its own
/// exit code here because clap's is that of a deny.
fn parse(arguments: &[std::ffi::OsString]) -> Result<Cli, Exit> {
    let command = Cli::command().color(color_choice(arguments));
    let matches = command.try_get_matches_from(arguments);
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            let _closed_pipe = error.print();
            return Exit::Ok;
        }
        if wants(arguments, "--format", "json") {
            let text = error.render().to_string();
            let said = text.split("\n\nUsage").next().unwrap_or_default().trim_start_matches("error: ");
            let message = said.split_whitespace().collect::<Vec<_>>().join(" ");
            let failure = Failure::usage(message).hint("see `passgate --help`");
            Output::new(Format::Json, Color::Never, false, false).failure(&failure);
        } else {
            let _unreported = error.print();
        }
        Exit::Unexpected
    })
}

/// What the arguments say about colour, for the messages that come before they are understood.
fn color_choice(arguments: &[std::ffi::OsString]) -> ColorChoice {
    if wants(arguments, "--color", "never") {
        ColorChoice::Never
    } else if wants(arguments, "--color", "always") {
        ColorChoice::Always
    } else {
        ColorChoice::Auto
    }
}

fn wants(arguments: &[std::ffi::OsString], flag: &str, value: &str) -> bool {
    let joined = format!("{flag}={value}");
    let pairs = arguments.iter().zip(arguments.iter().skip(1));
    arguments.iter().any(|argument| *argument == *joined) || pairs.into_iter().any(|(a, b)| a == flag && b == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
