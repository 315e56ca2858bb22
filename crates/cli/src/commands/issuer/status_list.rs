//! `issuer status-list`: which of an issuer's passports are revoked, signed for gates to read.

use std::path::{Path, PathBuf};

use passgate_host::files as host_files;
use passgate_passport::status::{NewStatusList, issue};
use serde_json::json;

use super::{IssuerFiles, issuer_of};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::span::{self, Span};
use crate::{files, moment};

/// Arguments of `issuer status-list`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The issuer's name: its key is issuers/NAME.jwk
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// The issuer's id [default: that of the issuer with this key in the configuration]
    #[arg(long, value_name = "URL")]
    issuer_id: Option<String>,
    /// The list's URI, as passports name it
    #[arg(long)]
    uri: String,
    /// How many entries it has: 1 to 8388608, rounded up to a multiple of 8
    #[arg(long, value_name = "N")]
    size: u64,
    /// The entries that are revoked, such as 3,17; all others are valid
    #[arg(long, value_name = "N", value_delimiter = ',')]
    revoked: Vec<u64>,
    /// For how long a reader may keep it before it asks for a newer one: 60s, 15m or 12h
    #[arg(long, value_name = "TIME")]
    ttl: Option<Span>,
    /// How long it holds at most; by default as long as a gate's configuration lets it
    #[arg(long, value_name = "TIME")]
    valid_for: Option<Span>,
    /// The file for it, replaced if it is there [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let key = files::read_private_key(&IssuerFiles::of(&context.base(), &args.issuer)?.private)
        .map_err(|failure| failure.hint("make an issuer with `passgate issuer create`"))?;
    let iss = match &args.issuer_id {
        Some(id) => id.clone(),
        None => issuer_of(key.public(), context.load_if_there()?.as_ref())?,
    };
    let iat = moment::now().seconds();
    let list = NewStatusList {
        iss,
        uri: args.uri.clone(),
        iat,
        exp: args.valid_for.map(|span| iat.saturating_add(span.seconds)),
        ttl_seconds: args.ttl.map(|span| span.seconds.unsigned_abs()),
        entries: args.size,
        revoked: args.revoked.iter().copied().collect(),
    };
    let token = issue(&key, &list).map_err(Failure::usage)?;
    match &args.out {
        Some(path) => write(path, &token, &list, context),
        None => context.output.data(&token).map(|()| Exit::Ok),
    }
}

/// One line, in place of the file in one step: a gate that reads meanwhile sees the old list or the new one.
fn write(path: &Path, token: &str, list: &NewStatusList, context: &Context) -> Outcome {
    host_files::write_public(path, [token, "\n"].concat().as_bytes(), files::existing(true))?;
    let (file, issued) = (path.display().to_string(), span::date(list.iat));
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "file": file, "uri": list.uri, "issuer": list.iss, "issued_at": issued,
            "entries": list.entries, "revoked": list.revoked.len() }))?;
        return Ok(Exit::Ok);
    }
    output.members(&[
        ("uri", list.uri.clone()),
        ("issued", issued),
        ("revoked", format!("{} of {} entries", list.revoked.len(), list.entries)),
        ("file", file),
    ])?;
    Ok(Exit::Ok)
}
