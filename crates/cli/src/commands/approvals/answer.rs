//! `approvals deny` and `approvals withdraw`: in force when they return.

use passgate_host::control::Deny;
use serde_json::{Map, Value, json};

use super::{checked, refused};
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Outcome};

/// Arguments of `approvals deny`.
#[derive(Debug, clap::Args)]
pub(crate) struct DenyArgs {
    /// The id of the request for approval
    id: String,
    /// Why; whoever asked is told
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    gate: GateArgs,
}

/// Arguments of `approvals withdraw`.
#[derive(Debug, clap::Args)]
pub(crate) struct WithdrawArgs {
    /// The id of the request for approval
    id: String,
    #[command(flatten)]
    gate: GateArgs,
}

pub(super) async fn deny(args: &DenyArgs, context: &Context) -> Outcome {
    checked(args.note.as_deref())?;
    let access = access::open(&args.gate, context).await?;
    let record = access.deny(&args.id, &Deny { note: args.note.clone() }).await.map_err(refused)?;
    report("denied", &args.id, &record, context)?;
    context.output.say("Whoever asks for the same is denied until it expires.");
    Ok(Exit::Ok)
}

pub(super) async fn withdraw(args: &WithdrawArgs, context: &Context) -> Outcome {
    let access = access::open(&args.gate, context).await?;
    let record = access.withdraw(&args.id).await.map_err(refused)?;
    report("withdrawn", &args.id, &record, context)?;
    context.output.say("No approval of it is accepted from the next request on.");
    Ok(Exit::Ok)
}

fn report(state: &str, id: &str, record: &Map<String, Value>, context: &Context) -> Outcome {
    let record = record.get("attestation_id").and_then(Value::as_str).unwrap_or_default();
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "request_id": id, "state": state, "attestation_id": record }))?;
        return Ok(Exit::Ok);
    }
    output.members(&[(state, id.to_owned()), ("record", record.to_owned())])?;
    Ok(Exit::Ok)
}
