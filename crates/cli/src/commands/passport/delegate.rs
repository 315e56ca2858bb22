//! `passport delegate`: a narrower passport for a sub-agent, signed by the agent itself and without asking anybody.

use std::path::Path;

use passgate_core::time::UnixMillis;
use passgate_passport::delegation::{
    ChainError, DelegateError, MAX_DELEGATIONS, MIN_DELEGATED_TTL_SECONDS, NewDelegation, Violation, delegate,
};
use passgate_passport::jws::JwsError;
use passgate_passport::passport::PassportError;
use passgate_passport::scope::Scope;
use serde_json::json;

use super::issue::{self, FileArgs, Issued};
use super::narrowing::{Held, times};
use super::{Links, invalid, unchecked};
use crate::context::Context;
use crate::credentials::{self, Credentials};
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::{self, LimitArgs, listed};
use crate::moment;
use crate::request::SignerArgs;
use crate::span::{self, Span};

/// How long a passport is handed on for when nothing is said, in seconds.
const DEFAULT_TTL_SECONDS: i64 = 60 * 60;

/// Arguments of `passport delegate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    parent: SignerArgs,
    /// The sub-agent's id; another than that of every agent above it
    #[arg(long, value_name = "ID")]
    agent_id: String,
    /// A name for people, which is the delegating agent's word
    #[arg(long, value_name = "NAME")]
    agent_name: Option<String>,
    /// What the sub-agent may ask for, within what its parent may; may be given several times
    #[arg(long = "permission", value_name = "SCOPE", required = true, num_args = 1.., value_parser = Scope::parse)]
    permissions: Vec<Scope>,
    /// How long it is valid: 60s to 24h, and no longer than its parent [default: 1h, or until its parent ends]
    #[arg(long, value_name = "TIME")]
    ttl: Option<Span>,
    /// A gate it is meant for; those of its parent when absent
    #[arg(long = "audience", value_name = "GATE_ID")]
    audiences: Vec<String>,
    /// How often the sub-agent may hand it on; less often than its parent
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..MAX_DELEGATIONS as i64))]
    delegations: u8,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    file: FileArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let loaded = context.load_if_there()?;
    let base = context.base();
    let parent = Parent::load(args.parent.credentials.as_deref(), args.parent.key.as_deref(), &base)?;
    let now = moment::now();
    let path = args.file.path(&base, &args.agent_id)?;
    let constraints = args.limits.constraints()?;
    let (agent_key, bound_to) = args.file.agent_key()?;
    let (iat, exp) = (now.seconds(), parent.end_of(args.ttl, now));
    let permissions = args.permissions.clone();
    let mut new = NewDelegation::new(issue::new_id(now)?, args.agent_id.clone(), bound_to, permissions, iat, exp);
    new.agent_name = args.agent_name.clone();
    new.aud = (!args.audiences.is_empty()).then(|| args.audiences.clone());
    new.depth_left = args.delegations;
    new.constraints = constraints;
    let issued = parent.delegate(&new, now)?;
    issue::write(&path, &args.agent_id, &issued, agent_key.as_ref(), args.file.force)?;
    issue::warn_if_refused(&issued.token, loaded.as_ref(), now, context);
    report(args, &parent, &path, &issued, context)
}

/// The agent that delegates.
pub(super) struct Parent {
    pub(super) credentials: Credentials,
    /// What its credentials say; the key shows whether they are its own.
    pub(super) links: Links,
}

impl Parent {
    /// Reads its credentials, as [`credentials::load`] does.
    pub(super) fn load(file: Option<&Path>, key_file: Option<&Path>, base: &Path) -> Result<Self, Failure> {
        let credentials = credentials::load(file, key_file, base)?;
        let links = unchecked(&credentials.passport)?;
        Ok(Self { credentials, links })
    }

    /// The end of a passport handed on now. One that was asked for is never cut to fit.
    fn end_of(&self, ttl: Option<Span>, now: UnixMillis) -> i64 {
        let after = |seconds| now.seconds().saturating_add(seconds);
        match ttl {
            Some(ttl) => after(ttl.seconds),
            None => after(DEFAULT_TTL_SECONDS).min(self.links.leaf.claims.exp),
        }
    }

    /// The parent's chain with one more passport, or why no verifier would accept it.
    pub(super) fn delegate(&self, new: &NewDelegation, now: UnixMillis) -> Result<Issued, Failure> {
        let exp = self.links.leaf.claims.exp;
        if exp < now.seconds() {
            let expired = PassportError::Expired { exp, now: now.seconds() };
            return Err(Failure::new(Exit::Invalid, expired.code(), format_args!("of the parent: {expired}"))
                .hint("renew the parent's credentials with `passgate passport rotate`, or have new ones made"));
        }
        let chain = delegate(&self.credentials.passport, &self.credentials.key, new);
        let token = chain.map_err(|error| self.refused(&error, now))?;
        Ok(Issued { id: new.jti.clone(), token, expires_at: new.exp })
    }

    /// What is wrong with the parent's own credentials is invalid; what the new passport asks for too much is usage.
    fn refused(&self, error: &DelegateError, now: UnixMillis) -> Failure {
        let error = match error {
            DelegateError::Chain(error) => error,
            DelegateError::WrongKey => return Failure::new(Exit::Invalid, "proof_key_mismatch", error),
            other => return issue::not_issued(other),
        };
        if matches!(&error.violation, Violation::Passport(PassportError::Token(JwsError::TooLarge { .. }))) {
            return Failure::new(Exit::Unexpected, error.code(), "the chain would be longer than 16 KiB")
                .hint("name fewer permissions and limits: what is left out is inherited");
        }
        if error.link < self.links.count() {
            return invalid(error).hint("the parent's credentials do not hold; have them made again");
        }
        let failure = Failure::new(
            Exit::Unexpected,
            error.code(),
            format_args!("nothing was delegated ({}): {error}", error.code()),
        );
        match self.remedy(error, now) {
            Some(remedy) => failure.hint(remedy),
            None => failure,
        }
    }

    /// What to change about the new passport.
    fn remedy(&self, error: &ChainError, now: UnixMillis) -> Option<String> {
        let parent = &self.links.leaf;
        let held = Held::at_the_end(self.links.iter())?;
        let left = parent.claims.exp.saturating_sub(now.seconds());
        let limit = |member: &str, flag: &str| {
            let own = limits::all(&held.constraints).into_iter().filter(|limit| limit.member == member);
            let words: Vec<String> = own.map(|limit| format!("{}: {}", limit.title, limit.words)).collect();
            format!("the parent has {}; {flag}", words.join("; "))
        };
        Some(match error.violation {
            Violation::TooDeep if parent.depth_left() == 0 => {
                "the parent may not be handed on: have it made anew with --delegations N".to_owned()
            }
            Violation::TooDeep => format!("give --delegations {} or less", parent.depth_left() - 1),
            Violation::OwnAncestor => "choose another --agent-id, and a key of its own".to_owned(),
            Violation::Lifetime | Violation::OutlivesParent if left < MIN_DELEGATED_TTL_SECONDS => {
                "the parent is about to end: renew it with `passgate passport rotate` first".to_owned()
            }
            Violation::Lifetime => "choose from 60s to 24h (--ttl)".to_owned(),
            Violation::OutlivesParent => {
                format!("the parent ends in {left} s: end no later (--ttl {left}s), or renew the parent first")
            }
            Violation::PredatesParent => "the parent was issued later than now: check this machine's clock".to_owned(),
            Violation::WidensScope => {
                let scopes: Vec<&str> = held.permissions.iter().map(Scope::as_str).collect();
                format!("the parent has {}; choose --permission within that", listed(&scopes))
            }
            Violation::WidensAudience => {
                let gates: Vec<&str> = held.audience.iter().flatten().map(String::as_str).collect();
                format!("the parent names {}; choose --audience among these or leave it out", listed(&gates))
            }
            Violation::WidensSpend => limit("spend", "give no more"),
            Violation::WidensRate => limit("rate", "give no more"),
            Violation::WidensDomains => limit("domains", "choose --domain within that"),
            Violation::WidensResources => limit("resources", "choose --resource within that"),
            Violation::WidensContext => limit("context", "choose --context among these values"),
            Violation::WidensMaxRecords => limit("max_records", "give no more"),
            Violation::ChangesPurpose => limit("purpose", "leave --purpose out"),
            Violation::ChangesTask => limit("task", "leave --task out"),
            Violation::DropsLabel => limit("labels", "repeat them with --label, or leave it out"),
            _ => return None,
        })
    }
}

fn report(args: &Args, parent: &Parent, path: &Path, issued: &Issued, context: &Context) -> Outcome {
    let output = &context.output;
    let (file, expires) = (path.display().to_string(), span::date(issued.expires_at));
    let from = &parent.links.leaf.claims;
    if output.is_json() {
        output.json(json!({ "passport_id": issued.id, "agent_id": args.agent_id, "parent": from.jti,
            "spawned_by": from.sub, "delegations": parent.links.count(), "depth_left": args.delegations,
            "credentials": file, "expires_at": expires }))?;
        return Ok(Exit::Ok);
    }
    output.members(&[
        ("passport id", issued.id.clone()),
        ("handed on by", format!("{} ({})", from.sub, from.jti)),
        ("handed on", times(args.delegations)),
        ("credentials", file),
        ("expires", expires),
    ])?;
    args.file.say_what_is_missing(output);
    output.say("Revoking any passport above it ends it too.");
    Ok(Exit::Ok)
}
