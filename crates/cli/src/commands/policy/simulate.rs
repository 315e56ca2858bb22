//! `policy simulate`: which decisions another policy would change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use passgate_core::attest::Record;
use passgate_core::gate::Gate;
use passgate_core::state::LoadedRows;
use passgate_host::config::Config;
use passgate_host::control::Query;
use serde_json::{Map, Value, json};

use super::cases::Cases;
use super::recorded::{Recorded, Verdict};
use super::test::Decided;
use super::trial::Trial;
use crate::access::{self, GateArgs};
use crate::commands::ledger::{FilterArgs, pages};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;

/// Arguments of `policy simulate`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Args {
    /// The other configuration
    other: PathBuf,
    /// Files of tests, whose requests are made under both; what they expect does not matter
    #[arg(long, value_name = "FILE", group = "what")]
    requests: Vec<PathBuf>,
    /// The decisions in the gate's ledger, as far as records tell what rules look at
    #[arg(long, group = "what")]
    ledger: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    gate: GateArgs,
}

/// What was found.
#[derive(Default)]
struct Found {
    total: u64,
    changes: Vec<Change>,
    /// How many decisions cannot be told, by the facts that they depend on.
    open: BTreeMap<String, u64>,
    /// How many were refused before rules were looked at.
    refused: u64,
}

/// A request that is decided otherwise.
struct Change {
    name: String,
    before: String,
    after: String,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let wanted = args.filter.to_query();
    if !args.ledger && wanted != Query::default() {
        return Err(Failure::usage("which records are wanted matters with --ledger alone")
            .hint("add --ledger, or leave the filters out"));
    }
    let other = Config::load(&args.other)?;
    let mut found = Found::default();
    if args.ledger {
        let access = access::open(&args.gate, context).await?;
        pages::each(&access, &wanted, |record| found.recorded(record, &other.gate)).await?;
    } else {
        let (before, after) = (Trial::new(&context.load()?.gate)?, Trial::new(&other.gate)?);
        for file in &args.requests {
            found.made(Cases::read(file)?, &before, &after)?;
        }
    }
    found.tell(args.ledger, context)
}

impl Found {
    /// Makes requests under both policies.
    fn made(&mut self, cases: Cases, before: &Trial, after: &Trial) -> Result<(), Failure> {
        for case in cases.tests {
            let now = case.request.now().ok_or_else(|| Failure::usage("the request has no instant"))?;
            let words = |trial: &Trial| {
                trial.run(&case.request, now, &mut LoadedRows::new()).map(|tried| words(&Decided::of(&tried)))
            };
            let (before, after) = (words(before)?, words(after)?);
            self.total += 1;
            if before != after {
                self.changes.push(Change { name: case.name, before, after });
            }
        }
        Ok(())
    }

    /// Looks at a record, if it is of a decision.
    fn recorded(&mut self, record: Map<String, Value>, gate: &Gate) -> Result<(), Failure> {
        let record = signed(record)?;
        if record.decision.is_none() {
            return Ok(());
        }
        self.total += 1;
        let Some(recorded) = Recorded::of(&record) else {
            self.refused += 1;
            return Ok(());
        };
        match recorded.under(gate) {
            Verdict::Decided(kind, rule) if kind != recorded.decided => {
                let by = rule.map(|rule| format!(" by {rule}")).unwrap_or_default();
                let reason = record.reason_code.map(|reason| format!(" {reason}")).unwrap_or_default();
                self.changes.push(Change {
                    name: recorded.id().to_owned(),
                    before: format!("{}{reason}", recorded.decided.as_str()),
                    after: format!("{}{by}", kind.as_str()),
                });
            }
            Verdict::Decided(..) => {}
            Verdict::Depends(facts) => {
                let facts: Vec<String> = facts.into_iter().collect();
                *self.open.entry(facts.join(", ")).or_default() += 1;
            }
        }
        Ok(())
    }

    fn tell(&self, is_ledger: bool, context: &Context) -> Outcome {
        let output = &context.output;
        if output.is_json() {
            let of_change =
                |change: &Change| json!({"name": change.name, "before": change.before, "after": change.after});
            let changes: Vec<Value> = self.changes.iter().map(of_change).collect();
            output.json(json!({
                "requests": self.total, "changes": changes, "open": self.open, "refused_before": self.refused,
            }))?;
            return Ok(Exit::Ok);
        }
        for change in &self.changes {
            output.data(&format!("{}: {} -> {}", inert(&change.name), inert(&change.before), inert(&change.after)))?;
        }
        output.data(&format!("{} of {} requests are decided otherwise", self.changes.len(), self.total))?;
        for (facts, count) in &self.open {
            output.data(&format!("{count} depend on what records do not hold: {}", inert(facts)))?;
        }
        if is_ledger {
            output.data(&format!("{} were refused before rules are looked at, and stay so", self.refused))?;
        }
        Ok(Exit::Ok)
    }
}

/// A record without what the view of it adds.
fn signed(mut record: Map<String, Value>) -> Result<Record, Failure> {
    for added in ["chain_hash", "jws", "signature"] {
        record.remove(added);
    }
    let id = record.get("attestation_id").and_then(Value::as_str).map(inert).unwrap_or_default();
    serde_json::from_value(Value::Object(record)).map_err(|error| {
        Failure::unexpected(format_args!("record {id} cannot be read: {error}"))
            .hint("use the release of the gate that wrote it")
    })
}

fn words(decided: &Decided) -> String {
    let reason = decided.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    let rule = decided.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
    format!("{}{reason}{rule}", decided.kind.as_str())
}
