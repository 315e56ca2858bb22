//! `budgets held|reconcile`: what allowed requests charged whose outcome is not known.

use std::collections::BTreeMap;

use clap::Subcommand;
use passgate_core::attest::{BudgetOutcome, Kind};
use passgate_core::money::MicroUsd;
use passgate_core::state::LEASE_SECONDS;
use passgate_host::control::{Access, Reconciliation};
use serde_json::{Map, Value, json};

use super::ledger::pages::each_of_last;
use super::ledger::table::pointer_in;
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Verbs of `budgets`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the decisions of the last 30 days whose amounts stay charged because nobody knows what became of them
    Held(HeldArgs),
    /// Say what became of one of them
    Reconcile(ReconcileArgs),
}

/// Arguments of `budgets held`.
#[derive(Debug, clap::Args)]
pub(crate) struct HeldArgs {
    #[command(flatten)]
    gate: GateArgs,
    /// Of this agent
    #[arg(long, value_name = "AGENT_ID")]
    agent: Option<String>,
}

/// Arguments of `budgets reconcile`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReconcileArgs {
    /// The attestation id of the decision
    decision: String,
    #[command(flatten)]
    found: Found,
    /// How that is known
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    gate: GateArgs,
}

/// What became of it.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Found {
    /// It was carried out: what it charged is spent
    #[arg(long)]
    committed: bool,
    /// It was not carried out: what it charged is given back
    #[arg(long)]
    released: bool,
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Held(args) => held(args, context).await,
        Command::Reconcile(args) => reconcile(args, context).await,
    }
}

/// A decision that charged something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Charged {
    agent: String,
    action: String,
    amount: u64,
    at: String,
    /// How its request ended; `None` without an outcome.
    ended: Option<String>,
}

async fn held(args: &HeldArgs, context: &Context) -> Outcome {
    let access = access::open(&args.gate, context).await?;
    let found = unsettled(&access).await?;
    let of_agent = |charged: &Charged| args.agent.as_ref().is_none_or(|agent| *agent == charged.agent);
    let found: Vec<(String, Charged)> = found.into_iter().filter(|(_, charged)| of_agent(charged)).collect();
    let output = &context.output;
    if output.is_json() {
        let rows = found.iter().map(|(id, charged)| {
            json!({ "decision_id": id, "agent_id": charged.agent, "action": charged.action,
                "amount_micro_usd": charged.amount, "decided_at": charged.at, "result": charged.ended })
        });
        output.json(json!({ "held": rows.collect::<Vec<_>>() }))?;
        return Ok(Exit::Ok);
    }
    for (id, Charged { agent, action, amount, at, ended }) in &found {
        let ended = ended.as_deref().unwrap_or("no outcome yet");
        output.data(&format!("{id}  {at}  {} USD  {agent}  {action}  {ended}", MicroUsd(*amount)))?;
    }
    match found.as_slice() {
        [] => output.say("Nothing is held."),
        [(id, _), ..] => output.say(&format!(
            "Find out whether it was carried out, then say so: passgate budgets reconcile {id} --committed, or --released"
        )),
    }
    Ok(Exit::Ok)
}

/// The decisions whose leases may still be there: those that charged and have no outcome that settled them.
async fn unsettled(access: &Access) -> Result<BTreeMap<String, Charged>, Failure> {
    let longest_ms = LEASE_SECONDS.unsigned_abs().saturating_mul(1000);
    let mut found = BTreeMap::new();
    each_of_last(access, longest_ms, |record| follow(&mut found, record)).await?;
    Ok(found)
}

/// Takes in a record; an outcome comes after its decision.
fn follow(found: &mut BTreeMap<String, Charged>, record: &Map<String, Value>) {
    let text = |pointer: &str| pointer_in(record, pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = text("/kind");
    if kind == Kind::Decision.as_str() {
        let amount = pointer_in(record, "/request/amount_micro_usd").and_then(Value::as_u64).unwrap_or(0);
        if text("/decision") == "allow" && amount > 0 && is_charged(record) {
            let charged = Charged {
                agent: text("/agent/agent_id"),
                action: text("/request/action"),
                amount,
                at: text("/timestamp"),
                ended: None,
            };
            found.insert(text("/attestation_id"), charged);
        }
    } else if kind == Kind::Reconciliation.as_str() {
        found.remove(&text("/decision_id"));
    } else if kind == Kind::Outcome.as_str() {
        let id = text("/decision_id");
        match found.get_mut(&id) {
            Some(charged) if text("/outcome/budget") == "held" => charged.ended = Some(text("/outcome/result")),
            _ => {
                found.remove(&id);
            }
        }
    }
}

/// Whether an allow charged a budget: a pass that is minted charges none, nor does a request without a cap for a period, nor
/// one that is sent again.
fn is_charged(record: &Map<String, Value>) -> bool {
    let mints = pointer_in(record, "/request/action_pass/use").and_then(Value::as_str) == Some("mint");
    let guardrails = record.get("guardrails_evaluated").and_then(Value::as_array);
    let spend = guardrails.into_iter().flatten().find(|guardrail| guardrail["guardrail"] == "spend");
    let evidence = spend.and_then(|spend| spend["evidence"].as_object());
    let charges = |evidence: &Map<String, Value>| {
        let is_repeated = evidence.get("idempotency_key").and_then(Value::as_str) == Some("repeated");
        !is_repeated && evidence.keys().any(|name| name.ends_with("_spent_before_micro_usd"))
    };
    !mints && evidence.is_some_and(charges)
}

async fn reconcile(args: &ReconcileArgs, context: &Context) -> Outcome {
    let budget = if args.found.released { BudgetOutcome::Released } else { BudgetOutcome::Committed };
    let what = Reconciliation { decision_id: args.decision.clone(), budget, note: args.note.clone() };
    what.check().map_err(Failure::usage)?;
    let access = access::open(&args.gate, context).await?;
    let record = access.reconcile(&what).await.map_err(|error| {
        let is_not_held = error.is_not_held();
        let failure = Failure::from(error);
        if is_not_held { failure.hint("`passgate budgets held` lists what is") } else { failure }
    })?;
    let id = record.get("attestation_id").and_then(Value::as_str).unwrap_or_default();
    let done = if args.found.released { "given back" } else { "spent" };
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "decision_id": args.decision, "attestation_id": id, "budget": budget }))?;
        return Ok(Exit::Ok);
    }
    output.members(&[("decision", args.decision.clone()), ("charge", done.to_owned()), ("record", id.to_owned())])?;
    Ok(Exit::Ok)
}
