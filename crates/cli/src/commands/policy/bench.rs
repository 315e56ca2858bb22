//! `policy bench`: what the rules cost.

use std::hint::black_box;
use std::time::{Duration, Instant};

use passgate_core::policy::{Policy, Tree};
use passgate_host::policy::Compiled;
use serde_json::{Value, json};

use super::generated::shape::Shape;
use super::generated::{Case, Generator, Random};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// The most requests that are made.
const MAX_REQUESTS: u64 = 1_000_000;
/// How often compiled rules are read.
const READINGS: u32 = 9;
/// A request is decided so often that the clock's own steps do not matter.
const WORTHWHILE: Duration = Duration::from_micros(50);
const MAX_REPEATS: u32 = 100;

/// Arguments of `policy bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many requests are made up, at the bounds that rules set and at random
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=MAX_REQUESTS))]
    requests: u64,
    /// What the requests depend on: the same seed gives the same requests
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Measure the engine of this language with the exported rules in the same run
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    beside: Vec<super::export::Target>,
}

/// What an engine took for each request.
struct Measured {
    engine: &'static str,
    /// In order.
    times: Vec<Duration>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    if !args.beside.is_empty() {
        super::needs_engines()?;
    }
    let loaded = context.load()?;
    let compiled = loaded.rules.as_ref().ok_or_else(super::no_rules)?;
    let cases = requests(compiled, args);
    let ours =
        cases.iter().map(|case| case.with(|facts| repeated(|| drop(black_box(compiled.policy.evaluate(facts))))));
    let mut measured = vec![Measured::new("passgate", ours.collect())];
    measured.extend(others(args, &loaded, compiled, &cases)?);
    let bundled = serde_json::to_string(&compiled.policy.to_tree()).map_err(Failure::unexpected)?;
    let reading = reading(&bundled)?;
    if context.output.is_json() {
        context.output.json(json!({
            "rules": compiled.policy.rules().len(), "requests": cases.len(), "seed": args.seed,
            "compiled_bytes": bundled.len(), "read_ns": nanoseconds(reading),
            "engines": measured.iter().map(Measured::to_json).collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Ok);
    }
    let mut lines = vec![
        ("rules", compiled.policy.rules().len().to_string()),
        ("requests", cases.len().to_string()),
        ("compiled", format!("{} bytes, read in {}", bundled.len(), micros(reading))),
    ];
    lines.extend(measured.iter().map(|one| (one.engine, one.words(measured.first()))));
    context.output.members(&lines)?;
    Ok(Exit::Ok)
}

fn requests(compiled: &Compiled, args: &Args) -> Vec<Case> {
    let mut random = Random::new(args.seed);
    let generator = Generator::new(compiled, &Shape::of(compiled), &mut random);
    (0..args.requests).map(|number| generator.request(number, &mut random)).collect()
}

/// How long it takes to read compiled rules, as a gate does when it gets a bundle.
fn reading(bundled: &str) -> Result<Duration, Failure> {
    let mut times = Vec::new();
    for _ in 0..READINGS {
        let started = Instant::now();
        let tree: Tree = serde_json::from_str(bundled).map_err(Failure::unexpected)?;
        black_box(Policy::read(&tree).map_err(Failure::unexpected)?);
        times.push(started.elapsed());
    }
    Ok(Measured::new("reading", times).at(50))
}

/// How long `work` takes.
fn repeated(work: impl Fn()) -> Duration {
    let time = |repeats: u32| {
        let started = Instant::now();
        (0..repeats).for_each(|_| work());
        started.elapsed() / repeats
    };
    let once = time(1);
    let repeats = WORTHWHILE.as_nanos().checked_div(once.as_nanos()).unwrap_or(u128::MAX);
    let repeats = u32::try_from(repeats).unwrap_or(MAX_REPEATS).min(MAX_REPEATS);
    if repeats > 1 { time(repeats) } else { once }
}

/// The other engines, each asked about all requests.
#[cfg(feature = "prove")]
fn others(
    args: &Args,
    loaded: &passgate_host::config::Loaded,
    compiled: &Compiled,
    cases: &[Case],
) -> Result<Vec<Measured>, Failure> {
    let mut measured = Vec::new();
    for target in &args.beside {
        let engine = super::export::engine(*target, loaded, compiled)?;
        let mut times = Vec::new();
        for case in cases {
            let ask = engine.prepared(case).map_err(Failure::unexpected)?;
            ask().map_err(Failure::unexpected)?;
            times.push(repeated(|| drop(black_box(ask()))));
        }
        measured.push(Measured::new(target.as_str(), times));
    }
    Ok(measured)
}

/// This program was built without the other engines.
#[cfg(not(feature = "prove"))]
fn others(_: &Args, _: &passgate_host::config::Loaded, _: &Compiled, _: &[Case]) -> Result<Vec<Measured>, Failure> {
    Ok(Vec::new())
}

impl Measured {
    fn new(engine: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { engine, times }
    }

    /// The time that so many hundredths of the requests do not exceed.
    fn at(&self, hundredths: usize) -> Duration {
        let place = (self.times.len() * hundredths / 100).min(self.times.len().saturating_sub(1));
        self.times.get(place).copied().unwrap_or_default()
    }

    fn words(&self, first: Option<&Self>) -> String {
        let (median, most) = (self.at(50), self.at(99));
        let words = format!("median {}, p99 {}", micros(median), micros(most));
        let Some(first) = first.filter(|first| first.engine != self.engine) else { return words };
        let times = (median.as_nanos() * 10).checked_div(first.at(50).as_nanos()).unwrap_or_default();
        format!("{words}, {}.{} times {}", times / 10, times % 10, first.engine)
    }

    fn to_json(&self) -> Value {
        json!({ "engine": self.engine, "median_ns": nanoseconds(self.at(50)), "p99_ns": nanoseconds(self.at(99)) })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Microseconds with two decimals.
fn micros(duration: Duration) -> String {
    let hundredths = duration.as_nanos() / 10;
    format!("{}.{:02} us", hundredths / 100, hundredths % 100)
}
