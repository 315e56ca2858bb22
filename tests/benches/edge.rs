//! What a decision costs at the edge, in workerd: against its own signature operations in one isolate, and what the gate
//! adds to a request against the origin alone.
//!
//! Runs the worker's build for benchmarks: optimised as the one that is deployed, with the routes that measure.
//! `cargo xtask worker bench` makes it first.

use std::time::{Duration, Instant};

use anyhow::Result;
use passgate_api::edge::EdgeBundle;
use passgate_tests::agent::NOW;
use passgate_tests::caller::{AT_ONCE, Caller};
use passgate_tests::edge::{Build, Edge, bundle};
use passgate_tests::measure::{Ratio, Sample, micros, per_second};
use passgate_tests::origin::Origin;
use passgate_tests::site::now;
use passgate_tests::surface::evaluator;
use passgate_tests::traffic::{orders, roomy_case};
use serde::Deserialize;
use serde_json::json;

const IN_ISOLATE: usize = 1_000;
const ISOLATE_ROUNDS: usize = 3;
const ROUNDS: usize = 5;
const ALONE: usize = 50;
const TOGETHER: usize = 320;
const TARGET: &str = "1.15";

/// What the worker measured.
#[derive(Debug, Deserialize)]
struct Report {
    rounds: usize,
    decisions_ms: u64,
    signatures_ms: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let edge = Edge::start(Build::Bench)?;
    in_isolate(&edge).await?;
    end_to_end(&edge).await
}

/// A decision with state in memory against its signature operations, without any input or output.
async fn in_isolate(edge: &Edge) -> Result<()> {
    let case = roomy_case(1_000_000)?;
    let (mut decisions, mut operations, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    for round in 0..ISOLATE_ROUNDS {
        let requests = orders(&format!("isolate-{round}"), IN_ISOLATE + 1, NOW)?;
        let job = json!({
            "policy": case.policy, "evaluator": evaluator(), "now_ms": NOW * 1000, "requests": requests,
        });
        let report: Report = serde_json::from_slice(&edge.test("bench", &job).await?)?;
        decisions += Duration::from_millis(report.decisions_ms);
        operations += Duration::from_millis(report.signatures_ms);
        count += u32::try_from(report.rounds)?;
    }
    println!("edge worker in workerd, one isolate ({count} decisions, state in memory)");
    println!("  decision                         {}", micros(decisions / count));
    println!("  2 verifications and 1 signature  {}", micros(operations / count));
    println!("  ratio                            {} (target {TARGET})", Ratio::of_durations(decisions, operations));
    Ok(())
}

fn roomy_bundle(origin: &Origin) -> Result<EdgeBundle> {
    let mut policy = roomy_case(1_000_000)?.policy;
    policy.guardrails.rate_limits.per_gate = Default::default();
    policy.guardrails.rate_limits.per_tenant = Default::default();
    let mut made = bundle(&origin.url(), |_| ())?;
    made.policy = policy;
    Ok(made)
}

/// Whole requests, with state and ledger in an object on disk.
async fn end_to_end(edge: &Edge) -> Result<()> {
    let origin = Origin::start().await?;
    edge.publish(&roomy_bundle(&origin)?)?;
    let caller = Caller::default();
    let places = [("origin alone", origin.address), ("gate", edge.address()?)];
    // The first request makes the object and its chain.
    for request in &orders("warm", 1, now()?)? {
        caller.send(edge.address()?, request).await?;
    }
    let mut samples: [[Sample; 2]; 2] = Default::default();
    let mut elapsed = [Duration::ZERO; 2];
    for round in 0..ROUNDS {
        let requests = orders(&format!("round-{round}"), ALONE + TOGETHER, now()?)?;
        let (alone, together) = requests.split_at(ALONE);
        for (((_, address), [one, many]), elapsed) in places.iter().zip(&mut samples).zip(&mut elapsed) {
            for request in alone {
                one.push(caller.send(*address, request).await?);
            }
            let started = Instant::now();
            caller.send_together(*address, together, many).await?;
            *elapsed += started.elapsed();
        }
    }
    println!("end to end, one agent, {} requests each", ROUNDS * (ALONE + TOGETHER));
    for (((name, _), [one, many]), elapsed) in places.iter().zip(&samples).zip(elapsed) {
        println!(
            "  {name:<13} one after the other p50 {}, p99 {}; {AT_ONCE} at once {}/s, p50 {}, p99 {}",
            micros(one.median()),
            micros(one.percentile(99)),
            per_second(ROUNDS * TOGETHER, elapsed),
            micros(many.median()),
            micros(many.percentile(99)),
        );
    }
    let [[origin_one, origin_many], [gate_one, gate_many]] = &samples;
    for (name, gate, origin) in [("alone", gate_one, origin_one), ("at once", gate_many, origin_many)] {
        println!("  added, {name:<7}   {}", micros(gate.median().saturating_sub(origin.median())));
    }
    Ok(())
}
