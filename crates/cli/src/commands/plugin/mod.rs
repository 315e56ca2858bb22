//! `plugin new|build|inspect|test|sign|keys`.

mod build;
mod cases;
mod inspect;
mod keys;
mod new;
mod sign;
mod test;

use clap::Subcommand;
use passgate_host::config::PluginLimitsDoc;
use passgate_host::plugins::{Inspected, PluginError};
use serde_json::{Map, Value};

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Verbs of `plugin`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the project of a policy plugin in a new folder
    New(new::Args),
    /// Build a project into its plugin.wasm
    Build(build::Args),
    /// Show what a component is, what it has to be granted, and its limits
    Inspect(inspect::Args),
    /// Run a plugin's cases.yml through the gate's own plugin host
    Test(test::Args),
    /// Sign a component, so that gates load it without a pin
    Sign(sign::Args),
    /// Write, read and delete the keys that a plugin reads from the gate's store
    #[command(subcommand)]
    Keys(keys::Command),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::New(args) => new::run(args, context),
        Command::Build(args) => build::run(args, context),
        Command::Inspect(args) => inspect::run(args, context).await,
        Command::Test(args) => test::run(args, context).await,
        Command::Sign(args) => sign::run(args, context).await,
        Command::Keys(command) => keys::run(command, context).await,
    }
}

/// Limits other than the defaults.
#[derive(Debug, clap::Args)]
struct LimitArgs {
    /// A limit as in passgate.yml, such as memory_bytes=67108864; repeat it for more
    #[arg(long = "limit", value_name = "NAME=NUMBER")]
    limits: Vec<String>,
}

impl LimitArgs {
    /// The limits `base` with those of the command line.
    fn over(&self, base: &PluginLimitsDoc) -> Result<PluginLimitsDoc, Failure> {
        let mut members = Map::new();
        for limit in &self.limits {
            let number = limit.split_once('=').and_then(|(name, number)| Some((name, number.parse::<u64>().ok()?)));
            let (name, number) = number.ok_or_else(|| {
                Failure::usage(format_args!("`{limit}` is no limit")).hint("write it as in memory_bytes=67108864")
            })?;
            members.insert(name.to_owned(), number.into());
        }
        let Ok(Value::Object(mut all)) = serde_json::to_value(base) else {
            return Err(Failure::unexpected("limits are an object"));
        };
        all.extend(members);
        serde_json::from_value(Value::Object(all))
            .map_err(|error| Failure::usage(format_args!("--limit: {error}")).hint("`plugin inspect` shows all limits"))
    }
}

/// A component that a gate would not load.
fn refused(exit: Exit, error: PluginError) -> Failure {
    let PluginError { file, problem, remedy, .. } = error;
    Failure::new(exit, "plugin_refused", format_args!("{}: {problem}", file.display())).hint(remedy)
}

/// What a component is, for people.
fn lines(inspected: &Inspected) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("file", inspected.file.display().to_string()),
        ("digest", inspected.digest.clone()),
        ("size", format!("{} bytes", inspected.bytes)),
        ("name", inspected.name.clone()),
        ("version", inspected.version.clone()),
        ("summary", inspected.summary.clone()),
    ];
    lines.extend(inspected.imports.iter().map(|import| ("imports", import.clone())));
    lines.extend(inspected.exports.iter().map(|export| ("exports", export.clone())));
    lines.push(("grants", list(&inspected.grants)));
    lines
}

/// Texts as a YAML list.
fn list(items: &[impl serde::Serialize]) -> String {
    let names = items.iter().map(|item| match serde_json::to_value(item) {
        Ok(Value::String(name)) => name,
        other => other.unwrap_or_default().to_string(),
    });
    format!("[{}]", names.collect::<Vec<_>>().join(", "))
}
