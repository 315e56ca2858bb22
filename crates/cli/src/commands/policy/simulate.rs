//! `policy simulate`: which decisions another policy would change.

use std::path::PathBuf;

use passgate_core::state::LoadedRows;
use passgate_host::config::Config;
use serde_json::{Value, json};

use super::cases::Cases;
use super::test::Decided;
use super::trial::Trial;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;

/// Arguments of `policy simulate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The other configuration
    other: PathBuf,
    /// Files of tests, whose requests are made under both; what they expect does not matter
    #[arg(long, value_name = "FILE", required = true)]
    requests: Vec<PathBuf>,
}

/// A request that is decided otherwise.
struct Change {
    name: String,
    before: String,
    after: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let before = Trial::new(&context.load()?.gate)?;
    let after = Trial::new(&Config::load(&args.other)?.gate)?;
    let (mut changes, mut total) = (Vec::new(), 0);
    for file in &args.requests {
        for case in Cases::read(file)?.tests {
            let now = case.request.now().ok_or_else(|| Failure::usage("the request has no instant"))?;
            let words = |trial: &Trial| {
                trial.run(&case.request, now, &mut LoadedRows::new()).map(|tried| words(&Decided::of(&tried)))
            };
            let (before, after) = (words(&before)?, words(&after)?);
            total += 1;
            if before != after {
                changes.push(Change { name: case.name, before, after });
            }
        }
    }
    if context.output.is_json() {
        let of_change = |change: &Change| json!({"name": change.name, "before": change.before, "after": change.after});
        let changes: Vec<Value> = changes.iter().map(of_change).collect();
        context.output.json(json!({"requests": total, "changes": changes}))?;
    } else {
        for change in &changes {
            context.output.data(&format!("{}: {} -> {}", inert(&change.name), change.before, change.after))?;
        }
        context.output.data(&format!("{} of {total} requests are decided otherwise", changes.len()))?;
    }
    Ok(Exit::Ok)
}

fn words(decided: &Decided) -> String {
    let reason = decided.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    let rule = decided.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
    format!("{}{reason}{rule}", decided.kind.as_str())
}
