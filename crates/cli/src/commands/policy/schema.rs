//! `policy schema`: what editors know of the files.

use std::path::Path;

use passgate_host::config;
use passgate_host::files::{self, Existing};

use super::cases::Cases;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// The names that first lines of the files give.
const POLICY_SCHEMA: &str = "passgate-policy.schema.json";
const TESTS_SCHEMA: &str = "passgate-tests.schema.json";

/// Arguments of `policy schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of which files
    #[arg(value_enum, default_value_t = Kind::Policy)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Policy files, with routes and rules
    Policy,
    /// Files of tests
    Tests,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    context.output.data(&text(args.kind)?)?;
    Ok(Exit::Ok)
}

fn text(kind: Kind) -> Result<String, Failure> {
    let schema = match kind {
        Kind::Policy => config::policy_schema(),
        Kind::Tests => schemars::schema_for!(Cases).to_value(),
    };
    serde_json::to_string_pretty(&schema).map_err(Failure::unexpected)
}

/// Writes both beside a configuration, where they are not there yet.
pub(crate) fn write(folder: &Path) -> Result<(), Failure> {
    for (name, kind) in [(POLICY_SCHEMA, Kind::Policy), (TESTS_SCHEMA, Kind::Tests)] {
        let path = folder.join(name);
        if !path.exists() {
            let text = format!("{}\n", text(kind)?);
            files::write_public(&path, text.as_bytes(), Existing::Keep).map_err(Failure::usage)?;
        }
    }
    Ok(())
}
