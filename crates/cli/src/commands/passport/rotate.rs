//! `passport rotate`: the same passport anew, before the old one expires.
//!
//! Whoever signs vouches for what the file says, so the old passport is held against its signer's key first: a file that
//! somebody else wrote must not become a passport that holds. One that has expired, is revoked or suspended, or says more
//! than can be renewed is not renewed.

use std::path::{Path, PathBuf};

use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_host::config::Loaded;
use passgate_host::control::Revocation;
use passgate_passport::claims::Claims;
use passgate_passport::delegation::{NewDelegation, RootGrant, SEPARATOR, verify_chain};
use passgate_passport::did_key;
use passgate_passport::issue::NewPassport;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_passport::passport::{MAX_PASSPORT_BYTES, PassportError, VerifyContext};
use serde_json::{Map, Value, json};

use super::delegate::Parent;
use super::issue::{self, Issued};
use super::{Links, invalid, unchecked};
use crate::access::{self, GateArgs, RevocationCheck};
use crate::commands::issuer::IssuerFiles;
use crate::context::Context;
use crate::credentials::{self, Stored};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::span::{self, Span};
use crate::{files, moment};

/// The claims that a renewed passport can have.
const KNOWN_CLAIMS: [&str; 15] = [
    "iss",
    "sub",
    "jti",
    "iat",
    "nbf",
    "exp",
    "cnf",
    "permissions",
    "agent_name",
    "aud",
    "trust_tier",
    "status",
    "delegation",
    "constraints",
    "metadata",
];

/// Arguments of `passport rotate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The credentials file to renew [default: $PASSGATE_CREDENTIALS, or the only file in agents/]
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// The key that self-issued the passport, when the credentials file has none
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The name of the registered issuer that signs: its key is issuers/NAME.jwk
    #[arg(long, value_name = "NAME", conflicts_with_all = ["parent", "key"])]
    issuer: Option<String>,
    /// The credentials of the agent that handed it on, for a delegated passport
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    parent: Option<PathBuf>,
    /// That agent's private key, when its credentials file has none
    #[arg(long, value_name = "FILE", requires = "parent")]
    parent_key: Option<PathBuf>,
    /// Bind the new passport to a new key pair
    #[arg(long)]
    new_key: bool,
    /// Do nothing while the passport is valid for longer than this: 60s, 15m, 12h or 30d
    #[arg(long, value_name = "TIME")]
    if_within: Option<Span>,
    /// Revoke the old passport once the new one is written, instead of letting it expire
    #[arg(long)]
    revoke_old: bool,
    #[command(flatten)]
    gate: GateArgs,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let base = context.base();
    let path = credentials::locate(args.credentials.as_deref(), &base)?;
    let stored = credentials::read(&path)?;
    let links = unchecked(&stored.passport)?;
    let now = moment::now();
    let (old, exp) = (links.leaf.claims.jti.clone(), links.leaf.claims.exp);
    let left = exp.saturating_sub(now.seconds());
    if left < 0 {
        let expired = PassportError::Expired { exp, now: now.seconds() };
        return Err(Failure::new(Exit::Invalid, expired.code(), "the passport has expired and is not renewed")
            .hint("have a new one issued or delegated"));
    }
    if args.if_within.is_some_and(|within| left > within.seconds) {
        return not_yet(&old, exp, left, &context.output);
    }
    let loaded = context.load_if_there()?;
    let renewal = Renewal { stored: &stored, links: &links, now };
    renewal.check_claims()?;
    let subjects = Revocation::all_of(links.iter());
    let revocation = access::revocation(args.gate.named(context)?, loaded.as_ref(), &subjects).await?;
    if let Some(code) = revocation.denied() {
        return Err(Failure::new(Exit::Invalid, code, format_args!("it is not renewed: {revocation}")));
    }
    let new_key = if args.new_key { Some(moment::new_key()?) } else { None };
    let issued = renewal.signed(args, new_key.as_ref(), loaded.as_ref(), &base)?;
    let kept = new_key.as_ref().or(stored.private_key.as_ref());
    issue::write(&path, &links.leaf.claims.sub, &issued, kept, true)?;
    issue::warn_if_refused(&issued.token, loaded.as_ref(), now, context);
    let revoked = if args.revoke_old { Some(revoke(&old, &path, args, context).await?) } else { None };
    report(&Done { path: &path, issued: &issued, links: &links, revocation, revoked }, args, &context.output)
}

/// One passport to be renewed.
struct Renewal<'a> {
    stored: &'a Stored,
    links: &'a Links,
    now: UnixMillis,
}

impl Renewal<'_> {
    fn claims(&self) -> &Claims {
        &self.links.leaf.claims
    }

    /// The passport itself, without the chain above it.
    fn token(&self) -> &str {
        let text = &self.stored.passport;
        text.rsplit_once(SEPARATOR).map_or(text, |(_, leaf)| leaf)
    }

    /// A claim that would be lost might be a limit to whoever reads it.
    fn check_claims(&self) -> Result<(), Failure> {
        let token = jws::decode(self.token(), TokenType::Passport, MAX_PASSPORT_BYTES).map_err(Failure::unexpected)?;
        let claims: Map<String, Value> = serde_json::from_slice(token.payload()).map_err(Failure::unexpected)?;
        match claims.keys().find(|name| !KNOWN_CLAIMS.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(Failure::usage(format_args!("the passport has a claim that would be lost: {name}"))
                .hint("renew it with what issued it")),
        }
    }

    /// Whether `key` signed the passport.
    fn is_signed_by(&self, key: &PublicKey) -> bool {
        let token = jws::decode(self.token(), TokenType::Passport, MAX_PASSPORT_BYTES);
        token.is_ok_and(|token| token.verify(key).is_ok())
    }

    fn signed(
        &self,
        args: &Args,
        new_key: Option<&SecretKey>,
        loaded: Option<&Loaded>,
        base: &Path,
    ) -> Result<Issued, Failure> {
        let bound_to = new_key.map_or(&self.claims().cnf_key, SecretKey::public);
        if self.links.leaf.parent().is_some() {
            return self.delegated(args, bound_to, base);
        }
        if self.claims().iss.starts_with(did_key::SCHEME) {
            return self.self_issued(args, new_key);
        }
        self.registered(args, bound_to, loaded, base)
    }

    fn delegated(&self, args: &Args, bound_to: &PublicKey, base: &Path) -> Result<Issued, Failure> {
        let file = args.parent.as_deref().ok_or_else(|| {
            Failure::usage("a delegated passport is renewed by the agent that handed it on")
                .hint("give that agent's credentials with --parent FILE")
        })?;
        let parent = Parent::load(Some(file), args.parent_key.as_deref(), base)?;
        if !self.is_signed_by(parent.credentials.key.public()) {
            return Err(not_the_signer("the key of --parent did not sign the passport").hint(
                "name the credentials of the agent that did, or hand it on anew with `passgate passport delegate`",
            ));
        }
        let old = self.claims();
        let (iat, mut exp) = self.times();
        let ends = parent.links.leaf.claims.exp;
        if ends > old.exp {
            // A renewed parent may have been made for as long, and be some seconds old.
            exp = exp.min(ends);
        }
        let mut new = NewDelegation::new(
            issue::new_id(self.now)?,
            old.sub.clone(),
            bound_to.clone(),
            old.permissions.clone(),
            iat,
            exp,
        );
        new.depth_left = self.links.leaf.depth_left();
        new.constraints = self.links.leaf.constraints.clone();
        new.agent_name = old.agent_name.clone();
        new.aud = old.aud.clone();
        new.trust_tier = old.trust_tier;
        new.metadata = metadata(old);
        parent.delegate(&new, self.now)
    }

    /// A new key is a new issuer: there is nobody else to say that it is the same agent.
    fn self_issued(&self, args: &Args, new_key: Option<&SecretKey>) -> Result<Issued, Failure> {
        if args.issuer.is_some() || args.parent.is_some() {
            return Err(Failure::usage("the passport is self-issued")
                .hint("leave --issuer and --parent out; its own key renews it"));
        }
        let brought = args.key.as_deref().map(files::read_private_key).transpose()?;
        let own = brought.as_ref().or(self.stored.private_key.as_ref()).ok_or_else(|| {
            Failure::usage("the credentials file has no private key").hint("name the key's file with --key")
        })?;
        if did_key::encode(own.public()) != self.claims().iss || !self.is_signed_by(own.public()) {
            return Err(not_the_signer("the key at hand did not issue the passport"));
        }
        let signer = new_key.unwrap_or(own);
        issue::issued(signer, &self.root(None, signer.public())?, &self.grant())
    }

    fn registered(
        &self,
        args: &Args,
        bound_to: &PublicKey,
        loaded: Option<&Loaded>,
        base: &Path,
    ) -> Result<Issued, Failure> {
        let name = args.issuer.as_deref().ok_or_else(|| {
            Failure::usage("the passport is of a registered issuer, whose key renews it")
                .hint("name the issuer with --issuer NAME")
        })?;
        let signer = files::read_private_key(&IssuerFiles::of(base, name)?.private)?;
        self.check_issuer(signer.public(), loaded)?;
        let iss = Some(self.claims().iss.clone());
        issue::issued(&signer, &self.root(iss, bound_to)?, &self.grant())
    }

    /// The configuration knows which keys an issuer has and had. Without it the issuer is who signed the old passport.
    fn check_issuer(&self, key: &PublicKey, loaded: Option<&Loaded>) -> Result<(), Failure> {
        let gate = loaded.map(|loaded| &loaded.gate);
        let known = gate.and_then(|gate| Some((gate, gate.trust.issuer(&self.claims().iss)?)));
        let Some((gate, issuer)) = known else {
            let signed = self.is_signed_by(key);
            return if signed { Ok(()) } else { Err(not_the_signer("the issuer's key did not sign the passport")) };
        };
        if !issuer.keys.iter().any(|entry| entry.key == *key) {
            return Err(not_the_signer("the configuration lists the key of --issuer under no such issuer"));
        }
        let verify = VerifyContext { now: self.now.seconds(), leeway_seconds: gate.leeway_seconds, audience: None };
        verify_chain(&self.stored.passport, &gate.trust, &verify).map(|_| ()).map_err(|error| invalid(&error))
    }

    fn root(&self, iss: Option<String>, bound_to: &PublicKey) -> Result<NewPassport, Failure> {
        let old = self.claims();
        let (iat, exp) = self.times();
        let mut new = NewPassport::new(
            issue::new_id(self.now)?,
            old.sub.clone(),
            bound_to.clone(),
            old.permissions.clone(),
            iat,
            exp,
        );
        new.iss = iss;
        new.agent_name = old.agent_name.clone();
        new.aud = old.aud.clone();
        new.trust_tier = old.trust_tier;
        new.status_list = old.status_list.clone();
        new.metadata = metadata(old);
        Ok(new)
    }

    fn grant(&self) -> RootGrant {
        let depth_left = self.links.leaf.delegation.as_ref().map(|delegation| delegation.depth_left);
        RootGrant { depth_left, constraints: self.links.leaf.constraints.clone() }
    }

    /// From now on, for as long as the old one was made for.
    fn times(&self) -> (i64, i64) {
        let (now, old) = (self.now.seconds(), self.claims());
        (now, now.saturating_add(old.exp.saturating_sub(old.iat)))
    }
}

fn metadata(claims: &Claims) -> Option<Map<String, Value>> {
    let members = claims.metadata.as_ref()?;
    Some(members.iter().map(|(name, value)| (name.to_string(), value.to_value())).collect())
}

fn not_the_signer(message: &str) -> Failure {
    Failure::new(Exit::Invalid, "passport_signature_invalid", format_args!("it is not renewed: {message}"))
}

fn not_yet(id: &str, exp: i64, left: i64, output: &Output) -> Outcome {
    if output.is_json() {
        output.json(json!({ "rotated": false, "passport_id": id, "expires_at": span::date(exp) }))?;
    } else {
        output.members(&[("passport id", id.to_owned()), ("expires", span::date(exp))])?;
        output.say(&format!("Nothing to do: it is valid for another {}.", span::length(left)));
    }
    Ok(Exit::Ok)
}

/// Revokes the old passport; the new one is in its place already. Gives the id of the record.
async fn revoke(old: &str, path: &Path, args: &Args, context: &Context) -> Result<String, Failure> {
    let attempt = async {
        let what = Revocation::try_from(Subject::Passport(old.to_owned())).map_err(Failure::usage)?;
        let access = access::open_or_create(&args.gate, context).await?;
        let record = access.revoke(&what).await?;
        Ok::<_, Failure>(record.get("attestation_id").and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    attempt.await.map_err(|failure| {
        let message =
            format!("{} is renewed, but the old passport is not revoked: {}", path.display(), failure.message);
        Failure { message, ..failure }.hint(format_args!("revoke it with `passgate passport revoke {old}`"))
    })
}

/// What was done.
struct Done<'a> {
    path: &'a Path,
    issued: &'a Issued,
    links: &'a Links,
    revocation: RevocationCheck,
    revoked: Option<String>,
}

fn report(done: &Done<'_>, args: &Args, output: &Output) -> Outcome {
    let old = &done.links.leaf.claims;
    let (file, expires) = (done.path.display().to_string(), span::date(done.issued.expires_at));
    let old_ends = span::date(old.exp);
    if output.is_json() {
        output.json(
            json!({ "rotated": true, "passport_id": done.issued.id, "agent_id": old.sub, "credentials": file,
            "expires_at": expires, "new_key": args.new_key, "revocation": done.revocation.to_string(),
            "old": { "passport_id": old.jti, "expires_at": old_ends, "revoked": done.revoked.is_some(),
                "attestation_id": done.revoked } }),
        )?;
        return Ok(Exit::Ok);
    }
    let fate = match &done.revoked {
        Some(record) => format!("{}, revoked ({record})", old.jti),
        None => format!("{}, valid until {old_ends}", old.jti),
    };
    output.members(&[
        ("passport id", done.issued.id.clone()),
        ("credentials", file),
        ("expires", expires),
        ("old passport", fate),
        ("revocation", done.revocation.to_string()),
    ])?;
    if done.revoked.is_none() {
        output.say("The old passport stays valid until it expires, so whoever still presents it is not cut off.");
    }
    if done.links.leaf.depth_left() > 0 {
        let end = if done.revoked.is_some() { "is refused from now on" } else { "ends with it" };
        let how = if args.new_key { "hand it on anew" } else { "renew it with --parent" };
        output.say(&format!("What was handed on from the old passport {end}: {how}."));
    }
    if args.new_key && old.iss.starts_with(did_key::SCHEME) && done.links.count() == 1 {
        output.say("Self-issued with another key: gates that list keys have to list the new one.");
    }
    Ok(Exit::Ok)
}
