//! `passport issue|delegate|rotate|inspect|verify|revoke|suspend|reinstate`.

mod delegate;
mod inspect;
pub(crate) mod issue;
mod narrowing;
mod revoke;
mod rotate;
mod subject;
mod suspend;
mod verify;

use clap::Subcommand;
use passgate_host::control::Suspension;
use passgate_passport::delegation::{ChainError, Link, inspect_chain};

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Verbs of `passport`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue a passport and write the agent's credentials file
    Issue(Box<issue::Args>),
    /// Hand a narrower passport to a sub-agent, offline, and write its credentials file
    Delegate(Box<delegate::Args>),
    /// Renew a credentials file before its passport expires
    Rotate(rotate::Args),
    /// Show what a passport or a chain says, without checking anything
    Inspect(inspect::Args),
    /// Verify a passport or a chain against the configuration's trust store
    Verify(verify::Args),
    /// Revoke a passport, an agent, a key or an issuer, at once and for good
    Revoke(subject::Args),
    /// Suspend a passport, an agent, a key or an issuer, at once and until it is reinstated
    Suspend(subject::Args),
    /// End the suspension of a passport, an agent, a key or an issuer
    Reinstate(subject::Args),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Issue(args) => issue::run(args, context),
        Command::Delegate(args) => delegate::run(args, context),
        Command::Rotate(args) => rotate::run(args, context).await,
        Command::Inspect(args) => inspect::run(args, context),
        Command::Verify(args) => verify::run(args, context).await,
        Command::Revoke(args) => revoke::run(args, context).await,
        Command::Suspend(args) => suspend::run(Suspension::Suspend, args, context).await,
        Command::Reinstate(args) => suspend::run(Suspension::Reinstate, args, context).await,
    }
}

/// A passport or chain that does not hold.
fn invalid(error: &ChainError) -> Failure {
    Failure::new(Exit::Invalid, error.code(), error)
}

/// The passports of a text from the root to the leaf, none of them checked.
fn unchecked(text: &str) -> Result<Links, Failure> {
    let mut above = inspect_chain(text).map_err(|error| invalid(&error))?;
    let leaf = above.pop().ok_or_else(|| Failure::unexpected("the chain has no passport"))?;
    Ok(Links { above, leaf })
}

/// The passports of a chain; there is always a leaf.
#[derive(Debug)]
struct Links {
    /// Those above the leaf, from the root on.
    above: Vec<Link>,
    /// The last.
    leaf: Link,
}

impl Links {
    fn iter(&self) -> impl Iterator<Item = &Link> {
        self.above.iter().chain(std::iter::once(&self.leaf))
    }

    /// How many there are.
    fn count(&self) -> usize {
        self.above.len() + 1
    }
}
