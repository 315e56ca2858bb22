//! `passport revoke`: in force when it returns.

use passgate_core::state::Subject;
use passgate_host::control::Revocation;
use passgate_passport::id::{self, PASSPORT_PREFIX};
use serde_json::{Value, json};

use super::unchecked;
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::input;

/// Arguments of `passport revoke`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Args {
    /// A passport's id, a passport or a chain (its last passport), a file with one or with credentials, or - for stdin
    #[arg(group = "what")]
    passport: Option<String>,
    /// Every passport of an agent: its issuer's id and its own
    #[arg(long, group = "what", num_args = 2, value_names = ["ISSUER", "AGENT"])]
    agent: Option<Vec<String>>,
    /// Every passport bound to the key with this RFC 7638 thumbprint
    #[arg(long, group = "what", value_name = "THUMBPRINT", allow_hyphen_values = true)]
    key: Option<String>,
    /// Every passport of an issuer
    #[arg(long, group = "what", value_name = "ISSUER")]
    issuer_id: Option<String>,
    #[command(flatten)]
    gate: GateArgs,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let what = revocation(args)?;
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

fn revocation(args: &Args) -> Result<Revocation, Failure> {
    Revocation::try_from(subject(args)?).map_err(Failure::usage)
}

fn subject(args: &Args) -> Result<Subject, Failure> {
    if let Some([issuer, agent_id]) = args.agent.as_deref() {
        return Ok(Subject::Agent { issuer: issuer.clone(), agent_id: agent_id.clone() });
    }
    if let Some(thumbprint) = &args.key {
        return Ok(Subject::Key(thumbprint.clone()));
    }
    if let Some(issuer) = &args.issuer_id {
        return Ok(Subject::Issuer(issuer.clone()));
    }
    let named = args.passport.as_deref().ok_or_else(|| Failure::usage("name what to revoke"))?;
    if id::is_id(named, PASSPORT_PREFIX) {
        return Ok(Subject::Passport(named.to_owned()));
    }
    // What stands below the last passport of a chain ends with it. Valid or not, expired or not: a revocation only narrows.
    Ok(Subject::Passport(unchecked(&input::passport(named)?)?.leaf.claims.jti))
}
