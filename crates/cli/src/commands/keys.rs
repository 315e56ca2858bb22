//! `keys generate|show|thumbprint|jwks|rotate|api-key`.

mod api_key;
mod rotate;

use std::path::PathBuf;

use clap::Subcommand;
use passgate_host::files as host_files;
use passgate_passport::jwk;
use serde_json::json;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::{files, moment};

/// Verbs of `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an Ed25519 key pair
    Generate {
        /// The file for the private JWK (mode 0600); without it the key is printed once
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Replace the file if it is there
        #[arg(long, requires = "out")]
        force: bool,
    },
    /// Print the public JWK of a key
    Show {
        /// A file with a private or public JWK, or - for stdin
        file: String,
    },
    /// Print the RFC 7638 thumbprint of a key, its `kid`
    Thumbprint {
        /// A file with a private or public JWK, or - for stdin
        file: String,
    },
    /// Print the public JWK Set of keys: what a gate verifies bundles with
    Jwks {
        /// Files with private or public JWKs, the present key and those before or after it
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Make the next attestation key: the present one hands over to it, with a record in the ledger
    Rotate,
    /// Make an API key for a gate that runs elsewhere, and print its entry for that gate's PASSGATE_API_KEYS
    ApiKey(api_key::Args),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Generate { out: Some(path), force } => generate_file(path, *force, context),
        Command::Generate { out: None, .. } => generate_once(context),
        Command::Show { file } => show(file, context),
        Command::Jwks { files } => key_set(files, context),
        Command::Rotate => rotate::run(context).await,
        Command::ApiKey(args) => api_key::run(args, context),
        Command::Thumbprint { file } => {
            let key = files::read_public_key(file)?;
            if context.output.is_json() {
                context.output.json(json!({ "thumbprint": key.thumbprint() }))?;
            } else {
                context.output.data(key.thumbprint())?;
            }
            Ok(Exit::Ok)
        }
    }
}

fn generate_file(path: &std::path::Path, force: bool, context: &Context) -> Outcome {
    let key = moment::new_key()?;
    host_files::write_key(path, &key, files::existing(force))?;
    let (path, public) = (path.display().to_string(), public_jwk(key.public())?);
    if context.output.is_json() {
        context.output.json(json!({ "path": path, "thumbprint": key.public().thumbprint(), "public_key": public }))?;
    } else {
        context.output.members(&[("private key", path), ("thumbprint", key.public().thumbprint().to_owned())])?;
    }
    Ok(Exit::Ok)
}

fn generate_once(context: &Context) -> Outcome {
    let key = moment::new_key()?;
    context.output.warn("this is the private key, shown once and kept nowhere; use --out FILE to keep it in a file");
    let mut line = key.to_private_jwk();
    line.push('\n');
    context.output.raw(line.as_bytes())?;
    Ok(Exit::Ok)
}

fn show(file: &str, context: &Context) -> Outcome {
    let key = files::read_public_key(file)?;
    if context.output.is_json() {
        context.output.json(json!({ "thumbprint": key.thumbprint(), "public_key": public_jwk(&key)? }))?;
    } else {
        context.output.data(&key.to_jwk())?;
    }
    Ok(Exit::Ok)
}

fn key_set(names: &[String], context: &Context) -> Outcome {
    let keys = names.iter().map(|name| files::read_public_key(name)).collect::<Result<Vec<_>, _>>()?;
    let set = jwk::emit_set(&keys);
    // What is printed is what a gate can read.
    jwk::parse_set(set.as_bytes()).map_err(Failure::usage)?;
    if context.output.is_json() {
        let set: serde_json::Value = serde_json::from_str(&set).map_err(Failure::unexpected)?;
        context.output.json(json!({ "jwks": set }))?;
    } else {
        context.output.data(&set)?;
    }
    Ok(Exit::Ok)
}

/// The public JWK as a JSON value.
pub(crate) fn public_jwk(key: &passgate_passport::key::PublicKey) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(&key.to_jwk()).map_err(Failure::unexpected)
}
