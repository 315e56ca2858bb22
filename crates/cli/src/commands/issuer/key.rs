//! `issuer key add|retire|compromise|list`: the keys of an issuer from one to the next.
//!
//! An issuer's files are its private key, with which it signs now, and the JWK Set that gates name as `keys_file`, which
//! has all its keys with the times in which they count.

use std::path::PathBuf;

use clap::Subcommand;
use passgate_host::files as host_files;
use passgate_passport::jwk::MAX_JWKS_KEYS;
use passgate_passport::key_set;
use passgate_passport::trust::IssuerKey;
use serde_json::{Value, json};

use super::IssuerFiles;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::span::{Moment, Span, date};
use crate::{files, input, moment};

/// Verbs of `issuer key`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make another key and sign with it from now on; the keys that are there go on counting
    Add {
        /// The issuer's name: its files are issuers/NAME.*
        name: String,
        /// Let the other keys count for this long only: 30d or 12h [default: until they are retired]
        #[arg(long, value_name = "TIME")]
        retire_others_in: Option<Span>,
    },
    /// Let a key count no longer: passports signed with it are refused from then on
    Retire {
        /// The issuer's name
        name: String,
        /// The key's thumbprint, or how it begins
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// When: 30d or 12h from now [default: now]
        #[arg(long = "in", value_name = "TIME")]
        after: Option<Span>,
    },
    /// Say that somebody else may hold a key: what it signed from a time on is void, what is dated before stands
    Compromise {
        /// The issuer's name
        name: String,
        /// The key's thumbprint, or how it begins
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// From when on: RFC 3339 or Unix milliseconds. Whoever holds the key may date what it signs earlier
        #[arg(long, value_name = "TIME", required_unless_present = "all")]
        since: Option<Moment>,
        /// Everything it ever signed is void, whatever it is dated
        #[arg(long, conflicts_with = "since")]
        all: bool,
    },
    /// List an issuer's keys with the times in which they count
    List {
        /// The issuer's name
        name: String,
    },
}

pub(crate) fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Add { name, retire_others_in } => add(name, *retire_others_in, context),
        Command::Retire { name, kid, after } => retire(name, kid, *after, context),
        Command::Compromise { name, kid, since, all: _ } => compromise(name, kid, *since, context),
        Command::List { name } => Keys::read(name, context)?.tell(None, context),
    }
}

fn add(name: &str, retire_others_in: Option<Span>, context: &Context) -> Outcome {
    let mut keys = Keys::read(name, context)?;
    if keys.set.len() >= MAX_JWKS_KEYS {
        return Err(Failure::usage(format_args!("{} has {MAX_JWKS_KEYS} keys already", keys.files.public.display()))
            .hint("take out those that were retired long ago"));
    }
    if let Some(span) = retire_others_in {
        let end = moment::now().seconds().saturating_add(span.seconds);
        for entry in &mut keys.set {
            entry.not_after = Some(entry.not_after.map_or(end, |own| own.min(end)));
        }
    }
    let old = files::read_private_key(&keys.files.private)?;
    let new = moment::new_key()?;
    let kept = keys.retired_file(old.public().thumbprint());
    keys.set.push(IssuerKey::unbounded(new.public().clone()));
    // In this order whatever comes between leaves a key that signs and is in the set.
    keys.write()?;
    host_files::write_key(&kept, &old, files::existing(true))?;
    host_files::write_key(&keys.files.private, &new, files::existing(true))?;
    context.output.say(&format!("the key before is kept in {}; delete it when nothing needs it", kept.display()));
    keys.tell(Some(new.public().thumbprint()), context)
}

fn retire(name: &str, kid: &str, after: Option<Span>, context: &Context) -> Outcome {
    let mut keys = Keys::read(name, context)?;
    let signing = files::read_private_key(&keys.files.private)?;
    let entry = keys.named(kid)?;
    if entry.key == *signing.public() {
        return Err(Failure::usage("this is the key that the issuer signs with")
            .hint(format_args!("make another one first: passgate issuer key add {name}")));
    }
    entry.not_after = Some(moment::now().seconds().saturating_add(after.map_or(-1, |span| span.seconds)));
    let thumbprint = entry.key.thumbprint().to_owned();
    // A key that begins later than it ends would refuse the whole set.
    if entry.not_before > entry.not_after {
        entry.not_before = entry.not_after;
    }
    keys.write()?;
    keys.tell(Some(&thumbprint), context)
}

fn compromise(name: &str, kid: &str, since: Option<Moment>, context: &Context) -> Outcome {
    let mut keys = Keys::read(name, context)?;
    let signing = files::read_private_key(&keys.files.private).ok();
    let entry = keys.named(kid)?;
    let since = since.map_or(0, |moment| i64::try_from(moment.ms / 1000).unwrap_or(i64::MAX));
    // Trust that was taken is not given back by saying it again.
    entry.compromised_at = Some(entry.compromised_at.map_or(since, |earlier| earlier.min(since)));
    let thumbprint = entry.key.thumbprint().to_owned();
    keys.write()?;
    if signing.is_some_and(|key| key.public().thumbprint() == thumbprint) {
        context.output.warn(&format!("the issuer still signs with this key: run `passgate issuer key add {name}`"));
    }
    if since > 0 {
        context.output.warn(
            "whoever holds the key can date what it signs earlier, and no gate sees that; --all takes every trust from it",
        );
    }
    keys.tell(Some(&thumbprint), context)
}

/// The keys of an issuer, as its files have them.
struct Keys {
    name: String,
    files: IssuerFiles,
    set: Vec<IssuerKey>,
}

impl Keys {
    fn read(name: &str, context: &Context) -> Result<Self, Failure> {
        let files = IssuerFiles::of(&context.base(), name)?;
        let shown = files.public.display().to_string();
        let bytes =
            input::read(&shown).map_err(|failure| failure.hint("make an issuer with `passgate issuer create`"))?;
        let set = key_set::parse(&bytes)
            .map_err(|error| Failure::new(Exit::Invalid, "key_malformed", format_args!("{shown}: {error}")))?;
        Ok(Self { name: name.to_owned(), files, set })
    }

    /// The one key whose thumbprint begins so.
    fn named(&mut self, kid: &str) -> Result<&mut IssuerKey, Failure> {
        let unknown = || {
            Failure::new(Exit::Unexpected, "issuer_key_unknown", "no one key of this issuer has such a thumbprint")
                .hint("see `passgate issuer key list`")
        };
        let mut matching = self.set.iter_mut().filter(|entry| entry.key.thumbprint().starts_with(kid));
        match (matching.next(), matching.next()) {
            (Some(entry), None) if !kid.is_empty() => Ok(entry),
            _ => Err(unknown()),
        }
    }

    fn write(&self) -> Result<(), Failure> {
        let mut set = key_set::emit(&self.set);
        set.push('\n');
        Ok(host_files::write_public(&self.files.public, set.as_bytes(), files::existing(true))?)
    }

    /// Where a private key goes that signs no longer.
    fn retired_file(&self, thumbprint: &str) -> PathBuf {
        self.files.private.with_file_name(format!("{}.{thumbprint}.jwk", self.name))
    }

    fn tell(&self, changed: Option<&str>, context: &Context) -> Outcome {
        let signing = files::read_private_key(&self.files.private).ok();
        let signs = |entry: &IssuerKey| signing.as_ref().is_some_and(|key| *key.public() == entry.key);
        let output = &context.output;
        if output.is_json() {
            let keys: Vec<Value> = self.set.iter().map(|entry| to_json(entry, signs(entry))).collect();
            output.json(json!({ "keys": keys, "changed": changed,
                "keys_file": self.files.public.display().to_string() }))?;
            return Ok(Exit::Ok);
        }
        for entry in &self.set {
            output.data(&line(entry, signs(entry)))?;
        }
        if changed.is_some() {
            let file = self.files.public.display();
            output.say(&format!(
                "Gates that name {file} as keys_file read it when they start; edge gates need a new bundle."
            ));
        }
        Ok(Exit::Ok)
    }
}

fn to_json(entry: &IssuerKey, signs: bool) -> Value {
    json!({ "thumbprint": entry.key.thumbprint(), "signs": signs, "not_before": entry.not_before,
        "not_after": entry.not_after, "compromised_at": entry.compromised_at })
}

fn line(entry: &IssuerKey, signs: bool) -> String {
    let compromised = |since: i64| match since {
        0 => "no trust at all".to_owned(),
        since => format!("compromised since {}", date(since)),
    };
    let parts = [
        Some(entry.key.thumbprint().to_owned()),
        signs.then(|| "signs".to_owned()),
        entry.not_before.map(|start| format!("from {}", date(start))),
        entry.not_after.map(|end| format!("until {}", date(end))),
        entry.compromised_at.map(compromised),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}
