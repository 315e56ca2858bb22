//! `passport suspend` and `passport reinstate`: in force when they return.

use passgate_host::control::{Change, Revocation, Suspension};
use serde_json::{Value, json};

use super::subject::Args;
use crate::access;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

pub(crate) async fn run(which: Suspension, args: &Args, context: &Context) -> Outcome {
    let what = args.what.named()?;
    let access = access::open_or_create(&args.gate, context).await?;
    let Change { record, changed } = access.change(which, &what).await.map_err(|error| match error.is_revoked() {
        true => Failure::new(Exit::Invalid, "revoked", error),
        false => error.into(),
    })?;
    let through = access::describe(&access);
    let id = record.get("attestation_id").and_then(Value::as_str).unwrap_or_default();
    let (done, output) = (word(which), &context.output);
    if output.is_json() {
        output.json(json!({ done: what.to_string(), "changed": changed, "attestation_id": id, "through": through }))?;
        return Ok(Exit::Ok);
    }
    output.members(&[(done, what.to_string()), ("record", id.to_owned()), ("through", through.into_owned())])?;
    output.say(&consequence(which, changed, &what));
    Ok(Exit::Ok)
}

const fn word(which: Suspension) -> &'static str {
    match which {
        Suspension::Suspend => "suspended",
        Suspension::Reinstate => "reinstated",
    }
}

fn consequence(which: Suspension, changed: bool, what: &Revocation) -> String {
    match (which, changed) {
        (_, true) => "In force from the next request on.".to_owned(),
        (Suspension::Suspend, false) => format!("Nothing changes: the {what} was suspended or revoked before."),
        (Suspension::Reinstate, false) => format!("Nothing changes: the {what} was not suspended."),
    }
}
