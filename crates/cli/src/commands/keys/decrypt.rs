//! `keys decrypt`: what a gate encrypted of a request, for who has the key.

use std::path::PathBuf;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::{files, input};

/// Arguments of `keys decrypt`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The compact JWE, a file with it, or - for stdin
    token: String,
    /// The file with the private X25519 JWK
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let key = files::read_decryption_key(&args.key)?;
    let is_token = args.token.starts_with("eyJ") && args.token.contains('.');
    let given = if is_token { args.token.clone().into_bytes() } else { input::read(&args.token)?.to_vec() };
    let token = std::str::from_utf8(given.trim_ascii()).unwrap_or_default();
    let text = key.decrypt(token).map_err(|error| Failure::new(Exit::Invalid, "jwe_invalid", error))?;
    if context.output.is_json() {
        let text = std::str::from_utf8(&text).map_err(Failure::unexpected)?;
        context.output.json(serde_json::json!({ "text": text }))?;
    } else {
        // As it is, for who pipes it on.
        context.output.raw(&text)?;
        context.output.raw(b"\n")?;
    }
    Ok(Exit::Ok)
}
