//! `ledger query|tail|export|verify`.

mod export;
pub(crate) mod pages;
mod query;
pub(crate) mod table;
mod tail;
pub(crate) mod verify;

use clap::{Subcommand, ValueEnum};
use passgate_core::attest::DecisionKind;
use passgate_host::control::Query;

use crate::context::Context;
use crate::exit::Outcome;
use crate::span::Moment;

/// Verbs of `ledger`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List records
    Query(query::Args),
    /// Print the last records, and those to come
    Tail(tail::Args),
    /// Write records as signed, with a signed head
    Export(export::Args),
    /// Verify an export, or the gate's whole ledger
    Verify(verify::Args),
}

/// Which records are wanted.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FilterArgs {
    /// Of this agent
    #[arg(long, value_name = "AGENT_ID")]
    agent: Option<String>,
    /// Of the gate with this id
    #[arg(long, value_name = "GATE_ID")]
    gate_id: Option<String>,
    /// With this decision
    #[arg(long, value_enum, value_name = "DECISION")]
    decision: Option<DecisionArg>,
    /// From this time on: RFC 3339 or Unix milliseconds
    #[arg(long, value_name = "TIME")]
    after: Option<Moment>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    before: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum DecisionArg {
    Allow,
    Deny,
    StepUp,
}

impl FilterArgs {
    pub(crate) fn to_query(&self) -> Query {
        Query {
            agent_id: self.agent.clone(),
            gate_id: self.gate_id.clone(),
            decision: self.decision.map(|decision| match decision {
                DecisionArg::Allow => DecisionKind::Allow,
                DecisionArg::Deny => DecisionKind::Deny,
                DecisionArg::StepUp => DecisionKind::StepUp,
            }),
            after: self.after.map(|moment| moment.ms.to_string()),
            before: self.before.map(|moment| moment.ms.to_string()),
            ..Query::default()
        }
    }
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Query(args) => query::run(args, context).await,
        Command::Tail(args) => tail::run(args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
    }
}
