//! `approvals list`.

use clap::ValueEnum;
use passgate_core::money::MicroUsd;
use passgate_host::control::{Access, ApprovalDoc, ApprovalQuery};
use serde_json::json;

use super::{people, refused, standing, times};
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;

/// How many a gate gives at once.
const PAGE: usize = 100;

/// Arguments of `approvals list`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Those that stand so
    #[arg(long, value_enum, value_name = "STATE", default_value_t = StateArg::Pending)]
    state: StateArg,
    /// How many at most, the oldest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    #[command(flatten)]
    gate: GateArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateArg {
    /// Wait for approvers.
    Pending,
    /// Have enough approvals.
    Approved,
    /// Were denied.
    Denied,
    /// Were taken back.
    Withdrawn,
    /// Have no approvals left.
    Used,
    /// Were not answered or not used in time.
    Expired,
    /// Any.
    All,
}

impl StateArg {
    /// As the gate has it; none is any.
    fn wanted(self) -> Option<String> {
        let text = match self {
            Self::All => return None,
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
            Self::Expired => "expired",
        };
        Some(text.to_owned())
    }
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let access = access::open(&args.gate, context).await?;
    let limit = usize::from(args.limit);
    let (found, more) = requests(&access, args.state.wanted(), limit).await?;
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "approvals": found, "more": more }))?;
        return Ok(Exit::Ok);
    }
    found.iter().try_for_each(|doc| output.data(&line(doc)))?;
    match found.first() {
        None => output.say("No such request for approval."),
        Some(_) if more => output.say("There are more: list them with a larger --limit."),
        Some(first) => output.say(&format!("Look at one: passgate approvals show {}", inert(&first.id))),
    }
    Ok(Exit::Ok)
}

/// The first `limit` requests that stand as `state` says, and whether there are more.
async fn requests(access: &Access, state: Option<String>, limit: usize) -> Result<(Vec<ApprovalDoc>, bool), Failure> {
    let mut query = ApprovalQuery { state, limit: None, after: None };
    let mut found: Vec<ApprovalDoc> = Vec::new();
    loop {
        // One more than is wanted says whether there are more.
        query.limit = Some(limit.saturating_add(1).saturating_sub(found.len()).clamp(1, PAGE));
        let page = access.approvals(&query).await.map_err(refused)?;
        found.extend(page.approvals);
        query.after = page.next;
        if found.len() > limit || query.after.is_none() {
            let more = found.len() > limit;
            found.truncate(limit);
            return Ok((found, more));
        }
    }
}

fn line(doc: &ApprovalDoc) -> String {
    let amount = doc.amount_micro_usd.map(|amount| format!("{} USD", MicroUsd(amount)));
    let parts = [
        Some(doc.id.clone()),
        Some(standing(doc)),
        Some(format!("until {}", doc.expires_at)),
        Some(doc.agent_id.clone()),
        doc.action.clone(),
        amount,
        Some(people(&doc.needs)),
        Some(format!("asked {}", times(doc.asked))),
    ];
    parts.iter().flatten().map(|part| inert(part)).collect::<Vec<_>>().join("  ")
}
