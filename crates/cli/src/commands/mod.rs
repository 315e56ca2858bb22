//! One file for each verb.

mod approvals;
mod budgets;
mod bundle;
mod call;
mod completions;
mod demo;
mod doctor;
mod gate;
mod init;
mod issuer;
mod keys;
mod ledger;
mod passport;
mod plugin;
mod policy;
mod serve;
mod sessions;
mod template;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Outcome;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a configuration with its keys in a folder
    Init(init::Args),
    /// Show everything once: a gate, a tool API and agents on this machine
    Demo(demo::Args),
    /// Run the gate that the configuration describes
    Serve(serve::Args),
    /// Send a signed request, in the manner of curl
    Call(call::Args),
    /// Make and show keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make and list issuers of passports
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// Issue, hand on, renew, read, verify and revoke passports
    #[command(subcommand)]
    Passport(passport::Command),
    /// Sign, read and push the policy of a gate that runs elsewhere
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Check, test and explain the policy
    #[command(subcommand)]
    Policy(policy::Command),
    /// Write, build, test and sign policy plugins, and give them what they read
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// List, show and apply policies to begin with
    #[command(subcommand)]
    Template(template::Command),
    /// Ask a gate without sending anything
    #[command(subcommand)]
    Gate(gate::Command),
    /// Read, export and verify the ledger
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Show what is charged and not known to be spent, and say what became of it
    #[command(subcommand)]
    Budgets(budgets::Command),
    /// List, show, approve, deny and withdraw what the gate holds back until people approve
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// List the sessions of agents
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Check the configuration, files, store, gateway and upstream
    Doctor(doctor::Args),
    /// Print the completions of a shell
    Completions(completions::Args),
}

/// Runs one command.
pub(crate) async fn run(command: Command, context: Context) -> Outcome {
    match command {
        Command::Init(args) => init::run(&args, &context),
        Command::Demo(args) => demo::run(&args, &context).await,
        Command::Serve(args) => serve::run(&args, &context).await,
        Command::Call(args) => call::run(&args, &context).await,
        Command::Keys(command) => keys::run(&command, &context).await,
        Command::Issuer(command) => issuer::run(&command, &context),
        Command::Passport(command) => passport::run(&command, &context).await,
        Command::Policy(command) => policy::run(&command, &context).await,
        Command::Plugin(command) => plugin::run(&command, &context).await,
        Command::Template(command) => template::run(&command, &context),
        Command::Bundle(command) => bundle::run(&command, &context).await,
        Command::Gate(gate::Command::Check(args)) => gate::check::run(&args, &context).await,
        Command::Ledger(command) => ledger::run(&command, &context).await,
        Command::Budgets(command) => budgets::run(&command, &context).await,
        Command::Approvals(command) => approvals::run(&command, &context).await,
        Command::Sessions(command) => sessions::run(&command, &context).await,
        Command::Doctor(args) => doctor::run(&args, &context).await,
        Command::Completions(args) => completions::run(&args, &context),
    }
}
