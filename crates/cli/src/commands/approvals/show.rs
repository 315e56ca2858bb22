//! `approvals show`.

use super::refused;
use super::shown::Sheet;
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Arguments of `approvals show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of the request for approval
    id: String,
    #[command(flatten)]
    gate: GateArgs,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let access = access::open(&args.gate, context).await?;
    let doc = access.approval(&args.id).await.map_err(refused)?;
    let sheet = Sheet::of(&doc)?;
    let output = &context.output;
    if output.is_json() {
        output.json(serde_json::to_value(&doc).map_err(Failure::unexpected)?)?;
        return Ok(Exit::Ok);
    }
    sheet.lines(&doc).iter().try_for_each(|line| output.data(line))?;
    Ok(Exit::Ok)
}
