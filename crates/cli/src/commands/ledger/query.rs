//! `ledger query`.

use clap::builder::PossibleValuesParser;
use passgate_host::control::{Access, MAX_QUERY_LIMIT, Query, QueryPage};
use serde_json::json;

use super::{FilterArgs, table};
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// The guardrails that records name, in the order in which they are evaluated; the last is one of responses.
const GUARDRAILS: [&str; 11] = [
    "permission_scope",
    "rate",
    "spend",
    "domain",
    "pii",
    "approval",
    "rules",
    "session",
    "guardian",
    "plugins",
    "max_records",
];

/// Arguments of `ledger query`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    gate: GateArgs,
    /// Show below each record what this guardrail said of it, and by what; repeat for several
    #[arg(long = "guardrail", value_name = "NAME", value_parser = PossibleValuesParser::new(GUARDRAILS))]
    guardrails: Vec<String>,
    /// How many records at most, oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Where to go on: the next_cursor of the answer before
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let access = access::open(&args.gate, context).await?;
    let page = read(&access, &args.filter.to_query(), args.cursor.clone(), args.limit).await?;
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "attestations": page.attestations, "next_cursor": page.next_cursor }))?;
        return Ok(Exit::Ok);
    }
    for record in &page.attestations {
        output.data(&table::lines(record, &args.guardrails, output))?;
    }
    if let Some(cursor) = &page.next_cursor {
        output.say(&format!("There are more: --cursor {cursor}"));
    }
    Ok(Exit::Ok)
}

/// Up to `limit` records, in as many pages as it takes.
async fn read(access: &Access, query: &Query, cursor: Option<String>, limit: usize) -> Result<QueryPage, Failure> {
    let mut found = QueryPage { attestations: Vec::new(), next_cursor: cursor };
    loop {
        let missing = limit.saturating_sub(found.attestations.len()).min(MAX_QUERY_LIMIT);
        if missing == 0 {
            return Ok(found);
        }
        let page = Query { limit: Some(missing), cursor: found.next_cursor.take(), ..query.clone() };
        let page = access.query(&page).await?;
        found.attestations.extend(page.attestations);
        found.next_cursor = page.next_cursor;
        if found.next_cursor.is_none() {
            return Ok(found);
        }
    }
}
