//! `keys api-key`: a key for the control routes of a gate that runs elsewhere.

use std::path::PathBuf;

use clap::ValueEnum;
use passgate_api::http::keys::{ApiKeys, KEY_BYTES, KEY_PREFIX};
use passgate_api::http::route::Scope;
use passgate_host::files as host_files;
use passgate_passport::b64;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::{files, moment};

/// Arguments of `keys api-key`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A name for the key, to find it again in the gate's list
    #[arg(long, value_name = "NAME")]
    id: String,
    /// What the key allows; repeat it for more
    #[arg(long = "scope", value_enum, required = true, value_name = "SCOPE")]
    scopes: Vec<ScopeArg>,
    /// The file for the key (mode 0600); it is shown nowhere else
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// A scope of API keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum ScopeArg {
    /// Read, export and verify the ledger, and look up revocations.
    #[value(name = Scope::LedgerRead.as_str())]
    LedgerRead,
    /// Revoke.
    #[value(name = Scope::Revoke.as_str())]
    Revoke,
    /// Say what became of requests whose outcome was not known.
    #[value(name = Scope::BudgetWrite.as_str())]
    BudgetWrite,
    /// List and show requests for approval.
    #[value(name = Scope::ApprovalRead.as_str())]
    ApprovalRead,
    /// Answer them.
    #[value(name = Scope::ApprovalWrite.as_str())]
    ApprovalWrite,
    /// Push bundles and status lists.
    #[value(name = Scope::BundleWrite.as_str())]
    BundleWrite,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::LedgerRead => Self::LedgerRead,
            ScopeArg::Revoke => Self::Revoke,
            ScopeArg::BudgetWrite => Self::BudgetWrite,
            ScopeArg::ApprovalRead => Self::ApprovalRead,
            ScopeArg::ApprovalWrite => Self::ApprovalWrite,
            ScopeArg::BundleWrite => Self::BundleWrite,
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let mut scopes = args.scopes.clone();
    scopes.sort();
    scopes.dedup();
    let scopes: Vec<&str> = scopes.into_iter().map(|scope| Scope::from(scope).as_str()).collect();
    let key = new_key()?;
    let sha256 = b64::encode(&Sha256::digest(key.as_bytes()));
    let entry = json!({ "id": args.id, "scopes": scopes, "sha256": sha256 });
    // A gate reads it in the same way, and says here what it would say there.
    ApiKeys::from_json(json!([entry]).to_string().as_bytes()).map_err(Failure::usage)?;
    let line = Zeroizing::new([key.as_str(), "\n"].concat());
    host_files::write_secret(&args.out, line.as_bytes(), files::existing(args.force))?;

    let (output, path) = (&context.output, args.out.display().to_string());
    if output.is_json() {
        output.json(json!({ "path": path, "entry": entry }))?;
        return Ok(Exit::Ok);
    }
    output.say(&format!("The key is in {path} and nowhere else."));
    output.say("Add this to the list in the gate's secret PASSGATE_API_KEYS:");
    output.data(&entry.to_string())?;
    Ok(Exit::Ok)
}

/// A new key's text.
fn new_key() -> Result<Zeroizing<String>, Failure> {
    let random = Zeroizing::new(b64::encode(moment::random::<KEY_BYTES>()?.as_slice()));
    Ok(Zeroizing::new([KEY_PREFIX, random.as_str()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_have_every_scope_there_is() {
        let scopes: Vec<Scope> = ScopeArg::value_variants().iter().copied().map(Scope::from).collect();
        assert_eq!(scopes, Scope::ALL);
    }
}
