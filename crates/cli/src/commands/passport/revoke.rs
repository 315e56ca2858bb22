//! `passport revoke`: in force when it returns.

use serde_json::{Value, json};

use super::subject::Args;
use crate::access;
use crate::context::Context;
use crate::exit::{Exit, Outcome};

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let what = args.what.named()?;
    let access = access::open_or_create(&args.gate, context).await?;
    let record = access.revoke(&what).await?;
    let (name, through) = (what.to_string(), access::describe(&access));
    let id = record.get("attestation_id").and_then(Value::as_str).unwrap_or_default();
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "revoked": name, "attestation_id": id, "through": through }))?;
        return Ok(Exit::Ok);
    }
    output.members(&[("revoked", name), ("record", id.to_owned()), ("through", through.into_owned())])?;
    output.say("In force from the next request on.");
    Ok(Exit::Ok)
}
