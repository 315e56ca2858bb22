//! What one call of a plugin costs, instance and all: `cargo run --release -p passgate-host --example plugin_call`.
//!
//! Without an argument it calls a plugin that abstains at once; with one, the component in that file.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use passgate_host::plugins::{Agent, Facts, PluginKeys, Question, Request, Trial, TrialSettings, inspect};

#[expect(dead_code, clippy::expect_used, reason = "tests share these guests, use all of them and may stop at any")]
#[path = "../tests/plugins/guest.rs"]
mod guest;

const ROUNDS: usize = 20;
const CALLS: u32 = 1_000;

struct NoKeys;

#[async_trait]
impl PluginKeys for NoKeys {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let trivial = folder.path().join("trivial.wasm");
    std::fs::write(&trivial, guest::Guest::good().component())?;
    let named = std::env::args().nth(1);
    let path = named.as_deref().map_or(trivial.as_path(), Path::new);

    let how = TrialSettings::default();
    let inspected = inspect(path, how.limits.clone()).await?;
    println!("{} {}, {} bytes, imports {:?}", inspected.name, inspected.version, inspected.bytes, inspected.imports);
    let begun = Instant::now();
    let trial = Trial::load(path, TrialSettings { grants: inspected.grants, ..how }, Arc::new(NoKeys)).await?;
    println!("loaded in {} ms", begun.elapsed().as_millis());

    let question = question();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..CALLS {
            trial.evaluate(&question).await;
        }
        rounds.push(begun.elapsed() / CALLS);
    }
    rounds.sort_unstable();
    let (record, problem) = trial.evaluate(&question).await;
    println!("{:?} {:?} {}, {} fuel", record.outcome, record.verdict, problem.unwrap_or_default(), record.fuel);
    println!("per call: least {:?}, median {:?}", rounds.first(), rounds.get(ROUNDS / 2));
    Ok(())
}

fn question() -> Question {
    let text = str::to_owned;
    let agent = Agent {
        id: text("agent-7"),
        issuer: text("https://issuer.example"),
        tier: text("L2"),
        passport_id: text("pass_1"),
        key_thumbprint: text("thumbprint"),
        permissions: vec![text("payments:*")],
    };
    let request = Request {
        method: text("POST"),
        scheme: text("https"),
        authority: text("gate.example"),
        path: text("/pay"),
        query: None,
        headers: Vec::new(),
        body: br#"{"amount_usd":7}"#.to_vec(),
    };
    let facts = Facts {
        now_ms: 1_772_366_400_000,
        gate_id: text("gate_1"),
        action: text("payments:create"),
        amount_micro_usd: Some(7_000_000),
        target_domain: None,
        agent,
    };
    Question { request, facts }
}
