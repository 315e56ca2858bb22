//! `passport inspect`: what a passport says.

use passgate_passport::{b64, passport};
use serde_json::{Value, json};

use super::invalid;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::{inert, inert_json};
use crate::{input, span};

/// Arguments of `passport inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A passport, a file with one or with credentials, or - for stdin
    token: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let token = input::passport(&args.token)?;
    let claims = passport::inspect(&token).map_err(|error| invalid(&error))?;
    let mut parts = token.split('.').map(object);
    let (header, payload) = match (parts.next(), parts.next()) {
        (Some(header), Some(payload)) => (header?, payload?),
        _ => return Err(Failure::unexpected("the passport has no header and payload")),
    };
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "signature": "not_checked", "header": header, "claims": payload }))?;
        return Ok(Exit::Ok);
    }
    output.data("signature: not checked")?;
    output.data("validity, issuer and revocation: not checked (see `passgate passport verify`)")?;
    output.data(&format!("issued {}, expires {}", span::date(claims.iat), span::date(claims.exp)))?;
    if let Some(status) = &claims.status_list {
        output.data(&format!("status: entry {} of {} (not looked at)", status.idx, inert(&status.uri)))?;
    }
    output.data(&format!("header {}", inert_json(&format!("{header:#}"))))?;
    output.data(&format!("claims {}", inert_json(&format!("{payload:#}"))))?;
    Ok(Exit::Ok)
}

/// A part that the reader above has accepted as an object already.
fn object(part: &str) -> Result<Value, Failure> {
    let bytes = b64::decode(part).map_err(Failure::unexpected)?;
    serde_json::from_slice(&bytes).map_err(Failure::unexpected)
}
