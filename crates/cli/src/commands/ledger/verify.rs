//! `ledger verify`: an export against the attestation key, line by line. Memory grows with chains, not with records.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use passgate_core::ledger::{Break, MAX_HEAD_BYTES, Report, Verifier};
use passgate_host::attestation_key::KeyFiles;
use passgate_host::control::{Access, ExportFormat, Query};
use passgate_passport::key::PublicKey;
use serde_json::{Value, json};

use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::{Output, Paint};
use crate::{files, input};

/// The longest line: a head and the JSON around it.
const MAX_LINE_BYTES: usize = MAX_HEAD_BYTES + 64;

/// Arguments of `ledger verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The export (JSON lines), or - for stdin; without it the gate's whole ledger
    file: Option<String>,
    /// The keys to trust, a JWK Set [default: the configuration's attestation key and those before it, or what the named gate says]
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    #[command(flatten)]
    gate: GateArgs,
}

/// The keys that records have to verify with.
struct TrustedKeys {
    keys: Vec<PublicKey>,
    /// Whether they are only what the gate itself says.
    is_claimed: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let TrustedKeys { keys, is_claimed } = trusted_keys(args, context).await?;
    let verified = match args.file.as_deref() {
        Some(input::STDIN) => verify(io::stdin().lock(), &keys)?,
        Some(name) => {
            let file = File::open(name).map_err(|error| {
                Failure::io("open", Path::new(name), &error).hint(
                    "write one with `passgate ledger export -o FILE`; without a file the gate's own ledger is verified",
                )
            })?;
            verify(BufReader::new(file), &keys)?
        }
        None => verify_own(&keys, &args.gate, context).await?,
    };
    match verified {
        Ok(report) => succeed(&report, is_claimed, &context.output),
        Err(broken) => fail(&broken, &context.output),
    }
}

async fn trusted_keys(args: &Args, context: &Context) -> Result<TrustedKeys, Failure> {
    if let Some(path) = &args.jwks {
        return Ok(TrustedKeys { keys: files::read_key_set(path)?, is_claimed: false });
    }
    if let Some(remote) = args.gate.named(context)? {
        return Ok(TrustedKeys { keys: Access::remote(remote)?.keys().await?, is_claimed: true });
    }
    let loaded = context
        .load()
        .map_err(|failure| failure.hint("name the keys with --jwks FILE, or the configuration with --config"))?;
    let files = KeyFiles::of(&loaded.paths.attestation_key);
    let present = files::read_private_key(&files.present)?.public().clone();
    let mut keys: Vec<PublicKey> = files::read_dated_keys(&files.set)?.into_iter().map(|entry| entry.key).collect();
    if !keys.contains(&present) {
        keys.push(present);
    }
    Ok(TrustedKeys { keys, is_claimed: false })
}

/// A break with the last record before it, which helps to find a record that cannot name itself.
#[derive(Debug)]
pub(crate) struct Located {
    /// What is wrong where.
    pub(crate) broken: Break,
    /// The id of the record on the line before.
    pub(crate) after: Option<String>,
}

/// Verifies an export. The outer error is a failure to read it.
pub(crate) fn verify(mut export: impl BufRead, keys: &[PublicKey]) -> Result<Result<Report, Located>, Failure> {
    let mut verifier = Verifier::new(keys);
    let (mut line, mut before) = (Vec::new(), Vec::new());
    loop {
        std::mem::swap(&mut line, &mut before);
        line.clear();
        let limit = MAX_LINE_BYTES as u64;
        let read = export.by_ref().take(limit).read_until(b'\n', &mut line);
        let read = read
            .map_err(|error| Failure::new(Exit::Unexpected, "io", format_args!("cannot read the export: {error}")))?;
        if read == 0 {
            break;
        }
        let content = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Err(mut broken) = verifier.line(content) {
            // What the line says of itself is not to be trusted, and helps to find it.
            broken.attestation_id = broken.attestation_id.or_else(|| record_id(content));
            return Ok(Err(Located { broken, after: record_id(&before) }));
        }
    }
    Ok(verifier.finish().map_err(|broken| Located { broken, after: None }))
}

fn record_id(line: &[u8]) -> Option<String> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let view = passgate_api::view::attestation(line.get("jws")?.as_str()?).ok()?;
    view.get("attestation_id")?.as_str().map(str::to_owned)
}

fn succeed(report: &Report, is_claimed: bool, output: &Output) -> Outcome {
    let head = &report.head;
    let mut not_checked = report.not_checked.clone();
    if is_claimed {
        not_checked.push("whose the keys are: the gate itself named them (pin them with --jwks FILE)".to_owned());
    }
    not_checked.push(
        "whether records were cut off the end before this head was signed (compare with a head kept elsewhere)"
            .to_owned(),
    );
    if output.is_json() {
        output.json(json!({ "valid": true, "gate_id": head.gate_id, "records": head.records, "chains": head.chains,
            "partial": head.partial, "head_sha256": head.records_sha256, "timestamp": head.timestamp, "not_checked": not_checked }))?;
        return Ok(Exit::Ok);
    }
    let chains = if head.partial { "not in a filtered export".to_owned() } else { head.chains.len().to_string() };
    output.data(&format!("{}: every signature, position and hash holds", output.paint(Paint::Good, "ledger valid")))?;
    output.members(&[
        ("gate", head.gate_id.clone()),
        ("records", head.records.to_string()),
        ("chains", chains),
        ("head", head.records_sha256.clone()),
        ("signed at", head.timestamp.clone()),
    ])?;
    not_checked.iter().try_for_each(|line| output.data(&format!("not checked: {}", inert(line))))?;
    Ok(Exit::Ok)
}

fn fail(located: &Located, output: &Output) -> Outcome {
    let Located { broken, after } = located;
    if output.is_json() {
        let (chain, seq) = broken.position.clone().unzip();
        output.json(json!({ "valid": false, "line": broken.line, "attestation_id": broken.attestation_id,
            "chain_uid": chain, "seq": seq, "after": after, "problem": broken.what.to_string() }))?;
    }
    let after = after.as_ref().map(|id| format!(" (the line after record {id})")).unwrap_or_default();
    Err(Failure::new(Exit::LedgerBroken, "ledger_broken", format_args!("the ledger is broken at {broken}{after}"))
        .hint("keep this export and the store as they are; compare with an earlier export or head"))
}

/// Exports the whole ledger into a file without a name, so that it is never in memory as a whole either.
async fn verify_own(
    keys: &[PublicKey],
    gate: &GateArgs,
    context: &Context,
) -> Result<Result<Report, Located>, Failure> {
    let access = access::open(gate, context).await?;
    let failed = |error: io::Error| Failure::unexpected(format_args!("the temporary file failed: {error}"));
    let mut export = tokio::fs::File::from_std(tempfile::tempfile().map_err(failed)?);
    access.export(ExportFormat::Jsonl, &Query::default(), &mut export).await?;
    let mut export = export.into_std().await;
    export.rewind().map_err(failed)?;
    verify(BufReader::new(export), keys)
}

#[cfg(test)]
mod tests;
