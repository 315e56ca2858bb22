//! `keys generate|show|thumbprint|jwks|decrypt|rotate|api-key`.

mod api_key;
mod decrypt;
mod rotate;

use std::path::PathBuf;

use clap::Subcommand;
use passgate_host::files as host_files;
use passgate_passport::jwk;
use serde_json::json;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::files::{self, AnyKey};
use crate::moment;

/// Verbs of `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key pair: Ed25519, which signs, or X25519
    Generate {
        /// Make an X25519 key pair, for personal data that a gate encrypts: the public half is `encrypt_to`
        #[arg(long)]
        encryption: bool,
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
    /// Read what a gate encrypted of a request: print the text of a compact JWE
    Decrypt(decrypt::Args),
    /// Make the next attestation key: the present one hands over to it, with a record in the ledger
    Rotate,
    /// Make an API key for a gate that runs elsewhere, and print its entry for that gate's PASSGATE_API_KEYS
    ApiKey(api_key::Args),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Generate { encryption, out, force } => {
            let key = if *encryption { New::encryption()? } else { New::signing()? };
            match out {
                Some(path) => generate_file(&key, path, *force, context),
                None => generate_once(&key, context),
            }
        }
        Command::Decrypt(args) => decrypt::run(args, context),
        Command::Show { file } => show(file, context),
        Command::Jwks { files } => key_set(files, context),
        Command::Rotate => rotate::run(context).await,
        Command::ApiKey(args) => api_key::run(args, context),
        Command::Thumbprint { file } => {
            let (thumbprint, _) = read_public(file)?;
            if context.output.is_json() {
                context.output.json(json!({ "thumbprint": thumbprint }))?;
            } else {
                context.output.data(&thumbprint)?;
            }
            Ok(Exit::Ok)
        }
    }
}

/// A key pair that was just made.
struct New {
    private: Zeroizing<String>,
    public: String,
    thumbprint: String,
}

impl New {
    fn signing() -> Result<Self, Failure> {
        let key = moment::new_key()?;
        let thumbprint = key.public().thumbprint().to_owned();
        Ok(Self { private: key.to_private_jwk(), public: key.public().to_jwk(), thumbprint })
    }

    fn encryption() -> Result<Self, Failure> {
        let key = moment::new_decryption_key()?;
        Ok(Self { private: key.to_private_jwk(), public: key.public().to_jwk(), thumbprint: key.public().thumbprint() })
    }
}

fn generate_file(key: &New, path: &std::path::Path, force: bool, context: &Context) -> Outcome {
    let mut line = key.private.clone();
    line.push('\n');
    host_files::write_secret(path, line.as_bytes(), files::existing(force))?;
    let path = path.display().to_string();
    if context.output.is_json() {
        let public: serde_json::Value = serde_json::from_str(&key.public).map_err(Failure::unexpected)?;
        context.output.json(json!({ "path": path, "thumbprint": key.thumbprint, "public_key": public }))?;
    } else {
        context.output.members(&[("private key", path), ("thumbprint", key.thumbprint.clone())])?;
    }
    Ok(Exit::Ok)
}

fn generate_once(key: &New, context: &Context) -> Outcome {
    context.output.warn("this is the private key, shown once and kept nowhere; use --out FILE to keep it in a file");
    let mut line = key.private.clone();
    line.push('\n');
    context.output.raw(line.as_bytes())?;
    Ok(Exit::Ok)
}

/// The thumbprint and the public JWK of a key of either kind.
fn read_public(file: &str) -> Result<(String, String), Failure> {
    Ok(match files::read_any_public_key(file)? {
        AnyKey::Signing(key) => (key.thumbprint().to_owned(), key.to_jwk()),
        AnyKey::Encryption(key) => (key.thumbprint(), key.to_jwk()),
    })
}

fn show(file: &str, context: &Context) -> Outcome {
    let (thumbprint, jwk) = read_public(file)?;
    if context.output.is_json() {
        let public: serde_json::Value = serde_json::from_str(&jwk).map_err(Failure::unexpected)?;
        context.output.json(json!({ "thumbprint": thumbprint, "public_key": public }))?;
    } else {
        context.output.data(&jwk)?;
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
