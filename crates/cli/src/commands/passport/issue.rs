//! `passport issue`: a passport, signed here and now.

use std::path::{Path, PathBuf};

use passgate_core::time::UnixMillis;
use passgate_host::config::Loaded;
use passgate_host::files as host_files;
use passgate_passport::delegation::{self, MAX_DELEGATIONS, RootGrant, issue_root};
use passgate_passport::id::{self, PASSPORT_PREFIX};
use passgate_passport::issue::NewPassport;
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_passport::passport::VerifyContext;
use passgate_passport::scope::Scope;
use passgate_passport::status::StatusRef;
use serde_json::json;

use crate::commands::issuer::{IssuerFiles, issuer_of};
use crate::context::Context;
use crate::credentials::{AGENTS_FOLDER, NewCredentials};
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::LimitArgs;
use crate::output::Output;
use crate::span::{self, Span};
use crate::{files, moment};

/// Arguments of `passport issue`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("by").required(true))]
pub(crate) struct Args {
    /// The issuer's name: its key is issuers/NAME.jwk
    #[arg(long, value_name = "NAME", group = "by")]
    issuer: Option<String>,
    /// Let the agent issue its own passport (tier L1)
    #[arg(long = "self", group = "by", conflicts_with = "public_key")]
    self_issued: bool,
    /// The issuer's id [default: that of the issuer with this key in the configuration]
    #[arg(long, value_name = "URL", conflicts_with = "self_issued")]
    issuer_id: Option<String>,
    /// The agent's id
    #[arg(long, value_name = "ID")]
    agent_id: String,
    /// A name for people
    #[arg(long, value_name = "NAME")]
    agent_name: Option<String>,
    /// What the agent may ask for, such as web:search or payments:*; may be given several times
    #[arg(long = "permission", value_name = "SCOPE", required = true, num_args = 1.., value_parser = Scope::parse)]
    permissions: Vec<Scope>,
    /// How long it is valid: 60s, 15m, 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "30d")]
    ttl: Span,
    /// A gate it is meant for; any gate when absent
    #[arg(long = "audience", value_name = "GATE_ID")]
    audiences: Vec<String>,
    /// The URI of the status list that says whether it is revoked
    #[arg(long, value_name = "URI", requires = "status_index")]
    status_list: Option<String>,
    /// Its entry in that list, from 0; no two passports share one
    #[arg(long, value_name = "N", requires = "status_list")]
    status_index: Option<u64>,
    /// How often it may be handed on: 0 to 5 times; never when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=MAX_DELEGATIONS as i64))]
    delegations: Option<u8>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    file: FileArgs,
}

/// The credentials file to be made, and the key in it.
#[derive(Debug, clap::Args)]
pub(super) struct FileArgs {
    /// The public JWK or did:key of the new passport's agent, when it has a key already; the file then holds no private key
    #[arg(long, value_name = "FILE")]
    public_key: Option<String>,
    /// The new credentials file [default: agents/AGENT_ID.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the credentials file if it is there
    #[arg(long)]
    pub(super) force: bool,
}

impl FileArgs {
    /// Where the file of this agent will be.
    pub(super) fn path(&self, base: &Path, agent_id: &str) -> Result<PathBuf, Failure> {
        self.out.clone().map_or_else(|| default_path(base, agent_id), Ok)
    }

    /// A new key for the agent, or the public half of the one it has.
    pub(super) fn agent_key(&self) -> Result<(Option<SecretKey>, PublicKey), Failure> {
        if let Some(name) = &self.public_key {
            return Ok((None, files::named_public_key(name)?));
        }
        let key = moment::new_key()?;
        let public = key.public().clone();
        Ok((Some(key), public))
    }

    /// Says what a file for a key that was brought lacks.
    pub(super) fn say_what_is_missing(&self, output: &Output) {
        if self.public_key.is_some() {
            output.say("The file holds no private key; name the agent's key with `passgate call --key FILE`.");
        }
    }
}

/// What a passport is issued for.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// The issuer's id; `None` when the signing key issues for itself.
    pub(crate) issuer_id: Option<&'a str>,
    /// The agent's id.
    pub(crate) agent_id: &'a str,
    /// A name for people.
    pub(crate) agent_name: Option<&'a str>,
    /// What it may ask for.
    pub(crate) permissions: Vec<Scope>,
    /// How long it is valid.
    pub(crate) ttl_seconds: i64,
    /// For which gates; empty for any.
    pub(crate) audiences: &'a [String],
    /// Where its status is published.
    pub(crate) status_list: Option<StatusRef>,
    /// Its limits, and whether it may be handed on.
    pub(crate) grant: RootGrant,
}

/// A passport as issued.
#[derive(Debug)]
pub(crate) struct Issued {
    /// Its id.
    pub(crate) id: String,
    /// The compact JWS, or the chain that ends with it.
    pub(crate) token: String,
    /// Its end, Unix seconds.
    pub(crate) expires_at: i64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let loaded = context.load_if_there()?;
    let base = context.base();
    let path = args.file.path(&base, &args.agent_id)?;
    let grant = RootGrant { depth_left: args.delegations, constraints: args.limits.constraints()? };
    let (agent_key, bound_to) = args.file.agent_key()?;
    let signer = match &args.issuer {
        Some(name) => Some(
            files::read_private_key(&IssuerFiles::of(&base, name)?.private)
                .map_err(|failure| failure.hint("make an issuer with `passgate issuer create`"))?,
        ),
        None => None,
    };
    let signing =
        signer.as_ref().or(agent_key.as_ref()).ok_or_else(|| Failure::unexpected("there is no key to sign with"))?;
    let issuer_id = match (&signer, &args.issuer_id) {
        (None, _) => None,
        (Some(_), Some(id)) => Some(id.clone()),
        (Some(key), None) => Some(issuer_of(key.public(), loaded.as_ref())?),
    };
    let order = Order {
        issuer_id: issuer_id.as_deref(),
        agent_id: &args.agent_id,
        agent_name: args.agent_name.as_deref(),
        permissions: args.permissions.clone(),
        ttl_seconds: args.ttl.seconds,
        audiences: &args.audiences,
        status_list: status_of(args),
        grant,
    };
    let now = moment::now();
    let issued = sign(&order, signing, bound_to, now)?;
    write(&path, &args.agent_id, &issued, agent_key.as_ref(), args.file.force)?;
    warn_if_refused(&issued.token, loaded.as_ref(), now, context);
    report(args, &path, &issued, context)
}

/// Issues the passport of `order`, bound to `bound_to`.
pub(crate) fn sign(
    order: &Order<'_>,
    signer: &SecretKey,
    bound_to: PublicKey,
    now: UnixMillis,
) -> Result<Issued, Failure> {
    let id = new_id(now)?;
    let (iat, exp) = (now.seconds(), now.seconds().saturating_add(order.ttl_seconds));
    let mut new = NewPassport::new(id, order.agent_id.to_owned(), bound_to, order.permissions.clone(), iat, exp);
    new.iss = order.issuer_id.map(str::to_owned);
    new.agent_name = order.agent_name.map(str::to_owned);
    new.status_list = order.status_list.clone();
    new.aud = (!order.audiences.is_empty()).then(|| order.audiences.to_vec());
    issued(signer, &new, &order.grant)
}

/// Signs `new`.
pub(super) fn issued(signer: &SecretKey, new: &NewPassport, grant: &RootGrant) -> Result<Issued, Failure> {
    let token = issue_root(signer, new, grant).map_err(not_issued)?;
    Ok(Issued { id: new.jti.clone(), token, expires_at: new.exp })
}

/// A passport that no verifier would accept.
pub(super) fn not_issued(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unexpected, "passport_not_issued", error)
}

/// The id of a new passport.
pub(super) fn new_id(now: UnixMillis) -> Result<String, Failure> {
    Ok(id::new_id(PASSPORT_PREFIX, now.0, *moment::random::<10>()?))
}

/// Writes the credentials file of `issued`.
pub(crate) fn write(
    path: &Path,
    agent_id: &str,
    issued: &Issued,
    key: Option<&SecretKey>,
    force: bool,
) -> Result<(), Failure> {
    let credentials = NewCredentials {
        agent_id,
        passport_id: &issued.id,
        passport: &issued.token,
        private_key: key,
        expires_at: issued.expires_at,
    };
    if let Some(folder) = path.parent() {
        host_files::create_private_dir(folder)?;
    }
    Ok(host_files::write_secret(path, credentials.to_json().as_bytes(), files::existing(force))?)
}

fn status_of(args: &Args) -> Option<StatusRef> {
    Some(StatusRef { idx: args.status_index?, uri: args.status_list.clone()? })
}

/// The credentials file of an agent that names none.
fn default_path(base: &Path, agent_id: &str) -> Result<PathBuf, Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if agent_id.is_empty() || agent_id.len() > 128 || agent_id.starts_with('.') || !agent_id.bytes().all(plain) {
        return Err(Failure::usage("the agent's id is no file name").hint("name the credentials file with --out FILE"));
    }
    Ok(base.join(AGENTS_FOLDER).join(format!("{agent_id}.json")))
}

/// A passport or chain that the gate at hand would refuse is most likely a mistake.
pub(super) fn warn_if_refused(token: &str, loaded: Option<&Loaded>, now: UnixMillis, context: &Context) {
    let Some(Loaded { gate, .. }) = loaded else { return };
    let verify = VerifyContext { now: now.seconds(), leeway_seconds: gate.leeway_seconds, audience: Some(&gate.id) };
    match delegation::verify_chain(token, &gate.trust, &verify) {
        Err(error) => context.output.warn(&format!("the gate {} would refuse it: {error}", gate.id)),
        Ok(verified) if verified.tier() < gate.level.minimum_tier() => {
            context.output.warn(&format!(
                "the gate {} is of level {} and would refuse it",
                gate.id,
                gate.level.as_str()
            ));
        }
        Ok(verified) => {
            let claims = &verified.root().claims;
            if claims.status_list.is_none() && gate.status_lists.max_age_seconds(&claims.iss).is_some() {
                let why = "it names no status list (give --status-list and --status-index)";
                context.output.warn(&format!("the gate {} would refuse it: {why}", gate.id));
            }
        }
    }
}

fn report(args: &Args, path: &Path, issued: &Issued, context: &Context) -> Outcome {
    let output = &context.output;
    let (file, expires) = (path.display().to_string(), span::date(issued.expires_at));
    if output.is_json() {
        output.json(
            json!({ "passport_id": issued.id, "agent_id": args.agent_id, "credentials": file, "expires_at": expires }),
        )?;
        return Ok(Exit::Ok);
    }
    output.members(&[("passport id", issued.id.clone()), ("credentials", file), ("expires", expires)])?;
    args.file.say_what_is_missing(output);
    if args.self_issued {
        output.say("Self-issued: accepted at gates of level L1 that say so, and nowhere else.");
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_ids_never_leave_the_folder() {
        let base = Path::new("/x");
        assert_eq!(default_path(base, "agent-1").unwrap(), Path::new("/x/agents/agent-1.json"));
        for id in ["", "..", ".a", "a/b", "../a", "a\u{0}", "a\u{202e}b", "ä"] {
            assert!(default_path(base, id).is_err(), "{id:?}");
        }
    }
}
