//! `plugin inspect`.

use std::path::PathBuf;

use passgate_host::config::PluginLimitsDoc;
use passgate_host::plugins::{self, Inspected};
use serde_json::{Value, json};

use super::{LimitArgs, lines, list, refused};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Output;

/// Arguments of `plugin inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component
    file: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let limits = args.limits.over(&PluginLimitsDoc::default())?;
    let inspected = plugins::inspect(&args.file, limits).await.map_err(|error| refused(Exit::Config, error))?;
    report(&inspected, &context.output)?;
    Ok(Exit::Ok)
}

fn report(inspected: &Inspected, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(json!(inspected));
    }
    let mut members = lines(inspected);
    if let Value::Object(limits) = json!(inspected.limits) {
        members.extend(limits.iter().map(|(name, value)| ("limit", format!("{name} {value}"))));
    }
    output.members(&members)?;
    output.say(&format!(
        "\nIn passgate.yml:\nplugins:\n  policies:\n    - name: {}\n      file: {}\n      sha256: \"{}\"\n      grants: {}",
        inspected.name,
        inspected.file.display(),
        inspected.digest,
        list(&inspected.grants),
    ));
    Ok(())
}
