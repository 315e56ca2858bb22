//! `bundle push`: the gate takes it, and usually decides under it everywhere within a minute or two. What must stop at
//! once has to be revoked.

use std::path::PathBuf;

use passgate_api::edge::{self, EdgeBundle};
use passgate_core::attest::sha256_label;
use passgate_host::control::{AccessError, ClientError, ControlClient};
use passgate_passport::jws::{self, TokenType};
use passgate_passport::status::MAX_STATUS_LIST_TOKEN_BYTES;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::inspect::read;
use super::{invalid, lines, members, sign};
use crate::access::GateArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;

/// Arguments of `bundle push`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("pushed").required(true).multiple(true))]
pub(crate) struct Args {
    #[command(flatten)]
    gate: GateArgs,
    /// A signed bundle, or - for stdin
    #[arg(long, value_name = "FILE", group = "pushed", conflicts_with = "key")]
    bundle: Option<String>,
    /// Sign the configuration's policy with this private JWK, and push that
    #[arg(long, value_name = "FILE", group = "pushed")]
    key: Option<PathBuf>,
    /// A newer status list, an issuer's token; repeat it for more
    #[arg(long = "status-list", value_name = "FILE", group = "pushed")]
    status_lists: Vec<String>,
}

/// A bundle on its way.
struct Pushed {
    jws: String,
    sha256: String,
    bundle: EdgeBundle,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let bundle = bundle(args, context)?;
    let lists = args.status_lists.iter().map(|name| List::read(name)).collect::<Result<Vec<_>, _>>()?;
    let client = ControlClient::remote(args.gate.required()?)?;
    let origin = client.remote_origin().unwrap_or_default().to_owned();
    if let Some(pushed) = &bundle {
        let said = client.put_bundle(&pushed.jws).await.map_err(refused)?;
        check_echo(&said, &pushed.bundle)?;
        if !context.output.is_json() {
            context.output.members(&lines(&pushed.bundle, &pushed.sha256))?;
        }
    }
    for list in &lists {
        client.put_status_list(&list.jws).await.map_err(refused)?;
        if !context.output.is_json() {
            context.output.data(&format!("status list {}", inert(&list.uri)))?;
        }
    }
    if context.output.is_json() {
        context.output.json(told(bundle.as_ref(), &lists, &origin))?;
    } else {
        context.output.say(&format!(
            "Taken by {origin}, and usually in use everywhere within a minute or two, sometimes later. Revoke what must \
             stop at once."
        ));
    }
    Ok(Exit::Ok)
}

fn told(bundle: Option<&Pushed>, lists: &[List], origin: &str) -> Value {
    let mut told = match bundle {
        Some(pushed) => members(&pushed.bundle, &pushed.sha256),
        None => json!({}),
    };
    if let Value::Object(members) = &mut told {
        let uris = lists.iter().map(|list| Value::from(list.uri.as_str()));
        members.insert("status_lists".to_owned(), uris.collect());
        members.insert("gate".to_owned(), origin.into());
    }
    told
}

fn bundle(args: &Args, context: &Context) -> Result<Option<Pushed>, Failure> {
    if let Some(key) = &args.key {
        let signed = sign::signed(&context.load()?, key)?;
        let (jws, sha256) = (signed.jws().to_owned(), signed.sha256().to_owned());
        return Ok(Some(Pushed { jws, sha256, bundle: signed.bundle().clone() }));
    }
    let Some(name) = &args.bundle else { return Ok(None) };
    let jws = read(name)?;
    // The gate verifies it; what cannot be one need not travel.
    let bundle = edge::inspect(&jws).map_err(|error| invalid(&error))?;
    let sha256 = sha256_label(&Sha256::digest(jws.as_bytes()).into());
    Ok(Some(Pushed { jws, sha256, bundle }))
}

/// A status list token on its way.
struct List {
    jws: String,
    uri: String,
}

impl List {
    fn read(name: &str) -> Result<Self, Failure> {
        let malformed = |why: &dyn std::fmt::Display| {
            Failure::new(Exit::Invalid, "status_list_malformed", format_args!("{name} holds no status list: {why}"))
        };
        let jws = read(name)?;
        let unverified =
            jws::decode(&jws, TokenType::StatusList, MAX_STATUS_LIST_TOKEN_BYTES).map_err(|error| malformed(&error))?;
        let payload: Option<Value> = serde_json::from_slice(unverified.payload()).ok();
        let uri = payload.as_ref().and_then(|payload| payload.get("sub")?.as_str()).map(str::to_owned);
        let uri = uri.ok_or_else(|| malformed(&"its `sub`, the list's URI, is missing"))?;
        Ok(Self { jws, uri })
    }
}

/// A gate that names what it took must have taken this.
fn check_echo(said: &Map<String, Value>, pushed: &EdgeBundle) -> Result<(), Failure> {
    let (gate_id, version) = (json!(pushed.policy.gate.id), json!(pushed.policy.version));
    let differs = [("gate_id", gate_id), ("version", version)]
        .into_iter()
        .find_map(|(name, ours)| said.get(name).filter(|theirs| **theirs != ours).map(|theirs| (name, theirs)));
    match differs {
        None => Ok(()),
        Some((name, theirs)) => Err(Failure::unexpected(format_args!(
            "the gate says that it serves another bundle: its {name} is {}",
            inert(&theirs.to_string())
        ))),
    }
}

/// What a gate does not take is a mistake in the policy, unless it is one of the key, the way or the gate.
fn refused(error: ClientError) -> Failure {
    if let ClientError::Refused { status: 400 | 409 | 413 | 415 | 422, code, .. } = &error
        && !code.is_empty()
    {
        return Failure::new(Exit::Config, "bundle_refused", &error);
    }
    AccessError::from(error).into()
}
