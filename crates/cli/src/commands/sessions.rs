//! `sessions list`: what agents do in one go, as the ledger has it.

use std::collections::BTreeMap;

use clap::Subcommand;
use passgate_host::control::Access;
use serde_json::{Map, Value, json};

use super::ledger::pages::each_of_last;
use super::ledger::table::pointer_in;
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;

/// The longest session, in milliseconds: a day.
const LONGEST_MS: u64 = 86_400_000;

/// Verbs of `sessions`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the sessions that had requests in the last day
    List(ListArgs),
}

/// Arguments of `sessions list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    gate: GateArgs,
    /// Of this agent
    #[arg(long, value_name = "AGENT_ID")]
    agent: Option<String>,
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::List(args) => list(args, context).await,
    }
}

/// A session after its latest request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    issuer: String,
    agent: String,
    first_at: String,
    last_at: String,
    calls: u64,
    recent: [u64; 3],
    raised: bool,
}

async fn list(args: &ListArgs, context: &Context) -> Outcome {
    let access = access::open(&args.gate, context).await?;
    let mut found: Vec<(String, Seen)> = seen(&access).await?.into_iter().collect();
    found.retain(|(_, seen)| args.agent.as_ref().is_none_or(|agent| *agent == seen.agent));
    found.sort_by(|(_, one), (_, other)| one.last_at.cmp(&other.last_at));
    let output = &context.output;
    if output.is_json() {
        let rows = found.iter().map(|(id, seen)| {
            let [recent, denied, writes] = seen.recent;
            json!({ "session_id": id, "agent_id": seen.agent, "issuer": seen.issuer, "first_at": seen.first_at,
                "last_at": seen.last_at, "calls": seen.calls, "recent_calls": recent, "recent_denied": denied,
                "recent_writes": writes, "raised": seen.raised })
        });
        output.json(json!({ "sessions": rows.collect::<Vec<_>>() }))?;
        return Ok(Exit::Ok);
    }
    for (id, seen) in &found {
        let [recent, denied, writes] = seen.recent;
        let raised = if seen.raised { "  unusual: counts one class higher" } else { "" };
        let behaviour = format!("before the last, of {recent}: {denied} denied, {writes} writes{raised}");
        let Seen { agent, first_at, last_at, calls, .. } = seen;
        output.data(&inert(&format!("{id}  {agent}  {first_at} to {last_at}  {calls} requests; {behaviour}")))?;
    }
    if found.is_empty() {
        output.say(
            "No session had requests in the last day; sessions are kept where the policy has `guardrails.sessions`.",
        );
    }
    Ok(Exit::Ok)
}

async fn seen(access: &Access) -> Result<BTreeMap<String, Seen>, Failure> {
    let mut found = BTreeMap::new();
    each_of_last(access, LONGEST_MS, |record| follow(&mut found, record)).await?;
    Ok(found)
}

/// Takes in a record: those of one session come in their order.
fn follow(found: &mut BTreeMap<String, Seen>, record: &Map<String, Value>) {
    let guardrails = record.get("guardrails_evaluated").and_then(Value::as_array);
    let session = guardrails.into_iter().flatten().find(|guardrail| guardrail["guardrail"] == "session");
    let Some(evidence) = session.and_then(|session| session["evidence"].as_object()) else { return };
    let Some(id) = evidence.get("id").and_then(Value::as_str) else { return };
    let text = |pointer: &str| pointer_in(record, pointer).and_then(Value::as_str).map(str::to_owned);
    let figure = |name: &str| evidence.get(name).and_then(Value::as_u64).unwrap_or(0);
    let at = text("/timestamp").unwrap_or_default();
    let first_at = found.get(id).map_or_else(|| at.clone(), |seen| seen.first_at.clone());
    let above = pointer_in(record, "/agent/delegated_by").and_then(|chain| chain.get(0)?.get("agent_id")?.as_str());
    let root = above.map(str::to_owned).or_else(|| text("/agent/agent_id"));
    let seen = Seen {
        issuer: text("/agent/issuer").unwrap_or_default(),
        agent: root.unwrap_or_default(),
        first_at,
        last_at: at,
        calls: figure("calls").saturating_add(1),
        recent: ["recent_calls", "recent_denied", "recent_writes"].map(figure),
        raised: evidence.contains_key("raised"),
    };
    found.insert(id.to_owned(), seen);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_record_of_a_session_says_how_it_stands() {
        let record = |at: &str, calls: u64, more: Value| {
            let mut evidence = json!({ "id": "sess_1", "calls": calls, "recent_calls": calls, "recent_denied": 1,
                "recent_writes": 0 });
            if let (Some(evidence), Value::Object(more)) = (evidence.as_object_mut(), more) {
                evidence.extend(more);
            }
            let record = json!({ "timestamp": at, "agent": { "agent_id": "sub", "issuer": "i",
                "delegated_by": [{ "agent_id": "root" }] },
                "guardrails_evaluated": [{ "guardrail": "rate" }, { "guardrail": "session", "evidence": evidence }] });
            record.as_object().unwrap().clone()
        };
        let mut found = BTreeMap::new();
        follow(&mut found, &record("t1", 0, json!({})));
        follow(&mut found, &record("t2", 5, json!({ "raised": "unusual_behavior" })));
        follow(&mut found, json!({ "timestamp": "t3" }).as_object().unwrap());
        let seen = &found["sess_1"];
        assert_eq!((seen.agent.as_str(), seen.first_at.as_str(), seen.last_at.as_str()), ("root", "t1", "t2"));
        assert_eq!((seen.calls, seen.recent, seen.raised), (6, [5, 1, 0], true));
    }
}
