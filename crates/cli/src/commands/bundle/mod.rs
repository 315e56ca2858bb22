//! `bundle sign|inspect|push`: the policy of a gate that runs elsewhere.

mod inspect;
mod push;
mod sign;

use clap::Subcommand;
use passgate_api::edge::{BundleError, EdgeBundle, VerifiedBundle};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::span;

/// Verbs of `bundle`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compile the configuration's policy and sign it
    Sign(sign::Args),
    /// Show what a bundle says, and verify it when keys are named
    Inspect(inspect::Args),
    /// Give a gate a bundle, and newer status lists
    Push(push::Args),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Sign(args) => sign::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Push(args) => push::run(args, context).await,
    }
}

/// A bundle that does not hold.
fn invalid(error: &BundleError) -> Failure {
    Failure::new(Exit::Invalid, error.code(), error)
}

/// What a bundle is, for programs.
fn members(bundle: &EdgeBundle, sha256: &str) -> Value {
    json!({
        "gate_id": bundle.policy.gate.id, "version": bundle.policy.version, "sha256": sha256,
        "signed_at": span::date(bundle.iat), "good_until": span::date(bundle.exp),
        "admission": bundle.edge.admission.as_str(), "upstream": bundle.edge.upstream.url,
    })
}

/// What a bundle is, for people.
fn lines(bundle: &EdgeBundle, sha256: &str) -> [(&'static str, String); 7] {
    [
        ("gate", bundle.policy.gate.id.clone()),
        ("version", bundle.policy.version.to_string()),
        ("digest", sha256.to_owned()),
        ("signed at", span::date(bundle.iat)),
        ("good until", span::date(bundle.exp)),
        ("admission", bundle.edge.admission.as_str().to_owned()),
        ("upstream", bundle.edge.upstream.url.clone()),
    ]
}

/// Prints a bundle that was just signed or pushed.
fn report(bundle: &VerifiedBundle, extra: &[(&'static str, Value)], context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    if output.is_json() {
        let mut members = members(bundle.bundle(), bundle.sha256());
        if let Value::Object(members) = &mut members {
            members.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        }
        return output.json(members);
    }
    output.members(&lines(bundle.bundle(), bundle.sha256()))
}
