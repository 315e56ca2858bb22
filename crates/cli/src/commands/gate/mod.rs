//! `gate check`.

pub(crate) mod check;

use clap::Subcommand;

/// Verbs of `gate`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what the configured gate would decide about a request, and why
    Check(check::Args),
}
