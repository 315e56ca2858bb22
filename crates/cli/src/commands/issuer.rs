//! `issuer create|list|show|key|status-list`.

mod key;
mod status_list;

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use passgate_host::config::Loaded;
use passgate_host::files as host_files;
use passgate_passport::jwk;
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_passport::trust::{Issuer, IssuerStatus};
use serde_json::{Value, json};

use super::keys::public_jwk;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::{files, moment};

/// The folder in which issuers' keys are kept.
pub(crate) const ISSUERS_FOLDER: &str = "issuers";

/// Verbs of `issuer`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an issuer's key pair and print what to add to the configuration
    Create {
        /// A short name for its files: letters, digits, `_` and `-`
        name: String,
        /// The issuer's id, as passports name it in `iss`
        #[arg(long, value_name = "URL")]
        id: String,
        /// The tier that its passports shall have
        #[arg(long, value_enum, default_value_t = TierArg::L2)]
        tier: TierArg,
        /// Replace the files if they are there
        #[arg(long)]
        force: bool,
    },
    /// List the issuers that the configuration trusts
    List,
    /// Show one issuer that the configuration trusts
    Show {
        /// The issuer's id
        id: String,
    },
    /// Add, retire and list an issuer's keys, and say that one is compromised
    #[command(subcommand)]
    Key(key::Command),
    /// Sign the list that says which of an issuer's passports are revoked
    StatusList(status_list::Args),
}

/// A tier of registered issuers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierArg {
    /// Managed.
    #[value(name = "L2")]
    L2,
    /// Certified.
    #[value(name = "L3")]
    L3,
}

impl TierArg {
    /// `L2` or `L3`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }
}

pub(crate) fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Create { name, id, tier, force } => create(name, id, *tier, *force, context),
        Command::List => list(context),
        Command::Show { id } => show(id, context),
        Command::Key(command) => key::run(command, context),
        Command::StatusList(args) => status_list::run(args, context),
    }
}

/// The two files of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerFiles {
    /// The private JWK.
    pub(crate) private: PathBuf,
    /// The public JWK Set, as the configuration names it.
    pub(crate) public: PathBuf,
}

impl IssuerFiles {
    /// The files of the issuer `name` in `base`.
    pub(crate) fn of(base: &Path, name: &str) -> Result<Self, Failure> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(Failure::usage("an issuer's name has 1 to 64 letters, digits, `_` and `-`"));
        }
        let folder = base.join(ISSUERS_FOLDER);
        Ok(Self { private: folder.join(format!("{name}.jwk")), public: folder.join(format!("{name}.jwks.json")) })
    }

    /// Writes both halves of a new key.
    pub(crate) fn create(&self, force: bool) -> Result<SecretKey, Failure> {
        let key = moment::new_key()?;
        if let Some(folder) = self.private.parent() {
            host_files::create_private_dir(folder)?;
        }
        host_files::write_key(&self.private, &key, files::existing(force))?;
        let mut set = jwk::emit_set([key.public()]);
        set.push('\n');
        host_files::write_public(&self.public, set.as_bytes(), files::existing(force))?;
        Ok(key)
    }
}

fn create(name: &str, id: &str, tier: TierArg, force: bool, context: &Context) -> Outcome {
    check_id(id)?;
    let issuer = IssuerFiles::of(&context.base(), name)?;
    let key = issuer.create(force)?;
    let entry =
        format!("{{id: {}, tier: {}, keys_file: {ISSUERS_FOLDER}/{name}.jwks.json}}", Value::from(id), tier.as_str());
    let thumbprint = key.public().thumbprint();
    let (private, public) = (issuer.private.display().to_string(), issuer.public.display().to_string());
    let output = &context.output;
    if output.is_json() {
        let members = json!({ "id": id, "tier": tier.as_str(), "thumbprint": thumbprint, "private_key_file": private,
            "keys_file": public, "configuration": format!("issuers:\n  - {entry}\n") });
        output.json(members)?;
        return Ok(Exit::Ok);
    }
    output.say(&format!("private key: {private}\npublic keys: {public}\nthumbprint:  {thumbprint}"));
    output.say("Add this to the configuration, and restart the gate:");
    output.data(&format!("issuers:\n  - {entry}"))?;
    Ok(Exit::Ok)
}

/// The id of the configured issuer with this key.
pub(crate) fn issuer_of(key: &PublicKey, loaded: Option<&Loaded>) -> Result<String, Failure> {
    let has_key = |issuer: &&Issuer| issuer.keys.iter().any(|entry| entry.key == *key);
    let found = loaded.and_then(|loaded| loaded.gate.trust.issuers().find(has_key));
    found.map(|issuer| issuer.id.clone()).ok_or_else(|| {
        Failure::usage("no issuer of the configuration has this key, so the issuer's id is not known")
            .hint("add the issuer to the configuration, or give --issuer-id")
    })
}

/// What a trust store accepts as an id of a registered issuer.
pub(crate) fn check_id(id: &str) -> Result<(), Failure> {
    let visible = (1..=256).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    if !visible || id.starts_with("did:key:") {
        return Err(Failure::usage("an issuer's id has 1 to 256 visible ASCII characters, and is no did:key"));
    }
    Ok(())
}

fn list(context: &Context) -> Outcome {
    let loaded = context.load()?;
    let issuers: Vec<&Issuer> = loaded.gate.trust.issuers().collect();
    let output = &context.output;
    if output.is_json() {
        let members = issuers.iter().map(|issuer| to_json(issuer)).collect::<Result<Vec<_>, _>>()?;
        output.json(json!({ "issuers": members }))?;
        return Ok(Exit::Ok);
    }
    for issuer in issuers {
        let keys = counted(issuer.keys.len(), "key");
        output.data(&format!("{}  {}  {}  {keys}", inert(&issuer.id), issuer.tier, status(issuer)))?;
    }
    output.say(&format!("self-issued passports: {}", self_issued(&loaded)));
    Ok(Exit::Ok)
}

fn show(id: &str, context: &Context) -> Outcome {
    let loaded = context.load()?;
    let issuer = loaded.gate.trust.issuer(id).ok_or_else(|| {
        Failure::new(Exit::Unexpected, "issuer_unknown", "the configuration trusts no issuer with this id")
            .hint("see `passgate issuer list`")
    })?;
    let output = &context.output;
    if output.is_json() {
        output.json(to_json(issuer)?)?;
        return Ok(Exit::Ok);
    }
    let keys: Vec<&str> = issuer.keys.iter().map(|entry| entry.key.thumbprint()).collect();
    output.members(&[
        ("id", issuer.id.clone()),
        ("tier", issuer.tier.to_string()),
        ("status", status(issuer).to_owned()),
        ("longest passport life", format!("{} days", issuer.max_passport_ttl_seconds / 86_400)),
        ("keys", keys.join(", ")),
    ])?;
    Ok(Exit::Ok)
}

fn to_json(issuer: &Issuer) -> Result<Value, Failure> {
    let key = |entry: &passgate_passport::trust::IssuerKey| -> Result<Value, Failure> {
        Ok(json!({ "jwk": public_jwk(&entry.key)?, "not_before": entry.not_before, "not_after": entry.not_after,
            "compromised_at": entry.compromised_at }))
    };
    let keys = issuer.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "id": issuer.id, "tier": issuer.tier.as_str(), "status": status(issuer), "keys": keys,
        "max_passport_ttl_seconds": issuer.max_passport_ttl_seconds }))
}

const fn status(issuer: &Issuer) -> &'static str {
    match issuer.status {
        IssuerStatus::Active => "active",
        IssuerStatus::Suspended => "suspended",
    }
}

fn self_issued(loaded: &Loaded) -> String {
    use passgate_passport::trust::SelfIssued;
    match loaded.gate.trust.self_issued() {
        SelfIssued::Refused => "refused".to_owned(),
        SelfIssued::AnyKey => "accepted from any key".to_owned(),
        SelfIssued::Listed(keys) => format!("accepted from {}", counted(keys.len(), "listed key")),
    }
}

fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
