//! `bundle inspect`.

use std::path::PathBuf;

use passgate_api::edge::{self, EdgeBundle};
use passgate_core::attest::sha256_label;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{invalid, lines, members};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Paint;
use crate::{files, input, moment};

/// Arguments of `bundle inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle, or - for stdin
    file: String,
    /// The keys to verify it with, a JWK Set; without them nothing is checked
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let jws = read(&args.file)?;
    let now = moment::now().seconds();
    let bundle = match &args.keys {
        Some(path) => edge::verify(&jws, &files::read_key_set(path)?, now).map(|verified| verified.bundle().clone()),
        None => edge::inspect(&jws),
    };
    let bundle = bundle.map_err(|error| invalid(&error))?;
    if bundle.exp < now {
        context.output.warn("the bundle is past its time: a gate that has no newer one refuses every request");
    }
    show(&bundle, &sha256_label(&Sha256::digest(jws.as_bytes()).into()), args.keys.is_some(), context)?;
    Ok(Exit::Ok)
}

/// The token in the file.
pub(super) fn read(name: &str) -> Result<String, Failure> {
    let bytes = input::read(name)?;
    let text = std::str::from_utf8(bytes.trim_ascii());
    let text = text.map_err(|_| Failure::new(Exit::Invalid, "bundle_invalid", format_args!("{name} is no text")))?;
    Ok(text.to_owned())
}

fn show(bundle: &EdgeBundle, sha256: &str, is_verified: bool, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    if output.is_json() {
        let mut members = members(bundle, sha256);
        if let Value::Object(members) = &mut members {
            let signature = if is_verified { "valid" } else { "not_checked" };
            members.insert("signature".to_owned(), signature.into());
            members.insert("bundle".to_owned(), json!(bundle));
        }
        return output.json(members);
    }
    let signature =
        if is_verified { output.paint(Paint::Good, "valid") } else { "not checked (name keys with --keys)".to_owned() };
    output.data(&format!("signature: {signature}"))?;
    output.members(&lines(bundle, sha256))?;
    let (routes, issuers) = (bundle.policy.routes.len(), bundle.policy.issuers.len());
    output.data(&format!("policy      {routes} routes, {issuers} issuers (--format json shows all of it)"))
}
