//! `plugin sign`.

use std::path::{Path, PathBuf};

use passgate_core::attest::sha256_label;
use passgate_host::config::PluginLimitsDoc;
use passgate_host::files as host_files;
use passgate_host::plugins;
use passgate_passport::plugin_signature::{Claims, POLICY_WORLD, sign};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{LimitArgs, refused};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::{files, moment};

/// Arguments of `plugin sign`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component; the signature goes to FILE.jws
    file: PathBuf,
    /// The private JWK whose public half is in the gate's plugins.trusted_keys_file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Replace a signature that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let key = files::read_private_key(&args.key)?;
    let limits = args.limits.over(&PluginLimitsDoc::default())?;
    // Only what a gate would load is signed.
    let inspected = plugins::inspect(&args.file, limits).await.map_err(|error| refused(Exit::Config, error))?;
    let sha256 = digest(&args.file)?;
    if inspected.digest != sha256_label(&sha256) {
        return Err(Failure::unexpected(format_args!("{} has changed meanwhile", args.file.display())));
    }
    let (name, version) = (inspected.name, inspected.version);
    let claims = Claims { iat: moment::now().seconds(), name, sha256, version, world: POLICY_WORLD.to_owned() };
    let mut path = args.file.clone().into_os_string();
    path.push(".jws");
    let path = PathBuf::from(path);
    let line = format!("{}\n", sign(&key, &claims));
    host_files::write_public(&path, line.as_bytes(), files::existing(args.force))?;
    let thumbprint = key.public().thumbprint();
    if context.output.is_json() {
        context.output.json(json!({ "path": path, "digest": inspected.digest, "name": claims.name,
            "version": claims.version, "world": claims.world, "key_thumbprint": thumbprint }))?;
        return Ok(Exit::Ok);
    }
    context.output.members(&[
        ("signature", path.display().to_string()),
        ("component", format!("{} {}", claims.name, claims.version)),
        ("digest", inspected.digest),
        ("world", claims.world),
        ("key", thumbprint.to_owned()),
    ])?;
    context.output.say(&format!(
        "Gates take it whose plugins.trusted_keys_file lists the key: passgate keys jwks {} shows the list.",
        args.key.display()
    ));
    Ok(Exit::Ok)
}

fn digest(path: &Path) -> Result<[u8; 32], Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    Ok(Sha256::digest(&bytes).into())
}
