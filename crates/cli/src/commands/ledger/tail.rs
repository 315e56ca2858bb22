//! `ledger tail [-f]`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use passgate_host::control::{Access, Query};
use serde_json::Value;

use super::pages::{Record, each};
use super::{FilterArgs, table};
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::span::Moment;

/// How often a followed ledger is looked at on this machine.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How often elsewhere, where every look takes a request.
const REMOTE_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// A record is dated when its request came and appended when it was decided, so a later record may have an earlier
/// date. Decisions take a minute at most.
const OVERLAP_MS: u64 = 120_000;

/// Arguments of `ledger tail`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    gate: GateArgs,
    /// How many of the last records to begin with
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    count: usize,
    /// Go on with the records to come, until interrupted
    #[arg(short, long)]
    follow: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let access = access::open(&args.gate, context).await?;
    let query = args.filter.to_query();
    let mut window = Window::default();
    let mut last = VecDeque::new();
    each(&access, &query, |record| {
        window.is_new(&record);
        last.push_back(record);
        if last.len() > args.count {
            last.pop_front();
        }
        Ok(())
    })
    .await?;
    last.iter().try_for_each(|record| print(record, &context.output))?;
    if !args.follow {
        return Ok(Exit::Ok);
    }
    let interval = match &access {
        Access::Running(client) if client.remote_origin().is_some() => REMOTE_POLL_INTERVAL,
        Access::Running(_) => POLL_INTERVAL,
        Access::Offline(_) => {
            return Err(Failure::unreachable("no gateway runs, so there is nothing to follow")
                .hint("start it with `passgate serve`"));
        }
    };
    loop {
        tokio::time::sleep(interval).await;
        let recent = Query { after: window.start().or_else(|| query.after.clone()), ..query.clone() };
        each(&access, &recent, |record| if window.is_new(&record) { print(&record, &context.output) } else { Ok(()) })
            .await?;
    }
}

/// The ids of recent records with their times.
#[derive(Debug, Default)]
struct Window {
    newest_ms: u64,
    seen: BTreeMap<String, u64>,
}

impl Window {
    /// Whether the record was not seen; notes it.
    fn is_new(&mut self, record: &Record) -> bool {
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        let at = text("timestamp").parse::<Moment>().map(|moment| moment.ms).unwrap_or_default();
        let is_new = self.seen.insert(text("attestation_id").to_owned(), at).is_none();
        if at > self.newest_ms {
            self.newest_ms = at;
            let start = self.newest_ms.saturating_sub(OVERLAP_MS);
            self.seen.retain(|_, seen_at| *seen_at >= start);
        }
        is_new
    }

    /// From when on to ask again.
    fn start(&self) -> Option<String> {
        (self.newest_ms > 0).then(|| self.newest_ms.saturating_sub(OVERLAP_MS).to_string())
    }
}

fn print(record: &Record, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        output.json(Value::Object(record.clone()))
    } else {
        output.data(&table::lines(record, &[], output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, timestamp: &str) -> Record {
        let value = serde_json::json!({ "attestation_id": id, "timestamp": timestamp });
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn records_are_new_once_also_when_dated_earlier() {
        let mut window = Window::default();
        assert_eq!(window.start(), None);
        assert!(window.is_new(&record("a", "2026-01-01T00:10:00Z")));
        assert!(!window.is_new(&record("a", "2026-01-01T00:10:00Z")));
        assert!(window.is_new(&record("b", "2026-01-01T00:09:00Z")));
        assert!(!window.is_new(&record("b", "2026-01-01T00:09:00Z")));
        let start: Moment = window.start().unwrap().parse().unwrap();
        assert_eq!(Ok(start), "2026-01-01T00:08:00Z".parse());
        assert!(window.is_new(&record("c", "2026-01-01T01:00:00Z")));
        assert_eq!(window.seen.len(), 1);
    }
}
