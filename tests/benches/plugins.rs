//! What plugins and the gate component cost, measured in turn in one run, and what plugins that mean harm do to others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use passgate_api::driver::{Answer, Driver};
use passgate_core::attest::sha256_label;
use passgate_core::state::Conduct;
use passgate_host::config::{Config, FILE_NAME, PluginLimitsDoc};
use passgate_host::env::SystemEnvironment;
use passgate_host::evaluator::Engine;
use passgate_host::files::{self, Existing};
use passgate_host::gateway::{Gateway, RunningGateway};
use passgate_host::plugins::{Agent, Facts, PluginKeys, Question, Request, Trial};
use passgate_host::status_lists::Snapshot;
use passgate_passport::challenge::ChallengeKey;
use passgate_passport::json;
use passgate_store::{MemoryStore, State};
use passgate_tests::agent::{NOW, key};
use passgate_tests::caller::Caller;
use passgate_tests::measure::{Ratio, Sample, micros, per_second};
use passgate_tests::origin::Origin;
use passgate_tests::program;
use passgate_tests::site::now;
use passgate_tests::surface::component::component;
use passgate_tests::surface::{attestation_key, gate_and_writer, stamp};
use passgate_tests::traffic::{SEED, headers, orders, raw, roomy_case};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::net::TcpListener;
// The guests are written with it.
use wat as _;

#[expect(dead_code, clippy::expect_used, reason = "the tests of the plugin host use all of it, and may stop anywhere")]
#[path = "../../host/tests/plugins/guest.rs"]
mod guest;

use guest::{Guest, verdict};

const CALLS: usize = 4_000;
const ROUNDS: usize = 12;
const BUSY: usize = 160;

#[tokio::main]
async fn main() -> Result<()> {
    let hours = business_hours()?;
    one_call(&hours).await?;
    one_decision().await?;
    throughput(&hours).await?;
    harm().await
}

/// The example plugin, built as its author would.
fn business_hours() -> Result<PathBuf> {
    let folder = program::root().join("examples/plugins/business-hours");
    program::output(Command::new(program::passgate()?).args(["plugin", "test"]).arg(&folder), "")?;
    Ok(folder.join("plugin.wasm"))
}

fn configuration() -> Value {
    let day = json!(["00:00-24:00"]);
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let open: serde_json::Map<String, Value> = days.map(|name| (name.to_owned(), day.clone())).into_iter().collect();
    json!({ "time_zone": "Europe/Berlin", "open": open })
}

/// Fresh instance and call of a plugin, beside one verification of a signature.
async fn one_call(hours: &Path) -> Result<()> {
    let trial = Trial::load(hours, PluginLimitsDoc::default(), Arc::new(NoKeys)).await?;
    let (question, configuration) = (question(), configuration());
    let (key, message) = (key(SEED), [b'x'; 1024]);
    let signature = key.sign(&message);
    let (mut call, mut verify) = (Sample::default(), Sample::default());
    let mut fuel = 0;
    for _ in 0..CALLS {
        let begun = Instant::now();
        let (record, problem) = trial.evaluate(&question, &configuration).await?;
        call.push(begun.elapsed());
        ensure!(record.reason_code().is_none(), "{record:?} {problem:?}");
        fuel = record.fuel;
        verify.time(|| key.public().verify(&message, &signature).is_ok());
    }
    println!("one call of business-hours, instance and all ({CALLS} calls, medians)");
    println!("  call                 {}, {fuel} fuel", micros(call.median()));
    println!("  Ed25519 verification {}", micros(verify.median()));
    println!("  ratio                {} (target below 1)", Ratio::of_durations(call.median(), verify.median()));
    Ok(())
}

struct NoKeys;

#[async_trait]
impl PluginKeys for NoKeys {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}

fn question() -> Question {
    let agent = Agent {
        id: "agent_scout".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        tier: "L2".to_owned(),
        passport_id: "pass_1".to_owned(),
        key_thumbprint: "thumbprint".to_owned(),
        permissions: vec!["orders:create".to_owned()],
        delegated_by: Vec::new(),
        labels: Vec::new(),
        purpose: None,
    };
    Question {
        request: Request {
            method: "POST".to_owned(),
            scheme: "http".to_owned(),
            authority: "tools.example".to_owned(),
            path: "/order".to_owned(),
            query: None,
            headers: Vec::new(),
            body: br#"{"amount":50,"shop":"shop.example"}"#.to_vec(),
        },
        facts: Facts {
            now_ms: NOW.unsigned_abs() * 1000,
            gate_id: "gate_1".to_owned(),
            action: "orders:create".to_owned(),
            amount_micro_usd: Some(50_000_000),
            target_domain: Some("shop.example".to_owned()),
            agent,
        },
    }
}

/// A whole decision in memory, in the component and natively.
async fn one_decision() -> Result<()> {
    let case = roomy_case(1_000_000)?;
    let requests = orders("engine", CALLS, NOW)?;
    let policy = json::canonical(&case.policy)?;
    let start = stamp(case.now_ms, 0);
    let engines =
        [Engine::native(), Engine::component(component()?, policy, ChallengeKey::new([9; 32]), start, 1 << 20)?];
    let mut samples = [Sample::default(), Sample::default()];
    let mut drivers = Vec::new();
    for _ in &engines {
        let (_, writer) = gate_and_writer(&case)?;
        let store = Arc::new(MemoryStore::new(NOW - 100_000));
        drivers.push(Driver::start(store as Arc<dyn State>, writer, start).await?);
    }
    let gate = Arc::new(Snapshot::from(gate_and_writer(&case)?.0));
    for (number, request) in requests.iter().enumerate() {
        let (headers, stamp) = (headers(request), stamp(1000 * NOW.unsigned_abs(), number + 2));
        for ((engine, driver), sample) in engines.iter().zip(&drivers).zip(&mut samples) {
            let begun = Instant::now();
            let judged = engine.judge(&gate, &raw(request, &headers), stamp.now, Conduct::default()).await;
            let answer = driver.admit(judged.ok().context("refused")?.into_case(), stamp).await;
            sample.push(begun.elapsed());
            ensure!(matches!(answer, Ok(Answer::Forward(_))), "request {number} was not allowed: {answer:?}");
        }
    }
    let [native, hosted] = samples.map(|sample| sample.median());
    println!("one decision, record and all, state in memory ({CALLS} requests, medians)");
    println!("  native               {}", micros(native));
    println!("  component            {}", micros(hosted));
    println!("  ratio                {}", Ratio::of_durations(hosted, native));
    Ok(())
}

/// What a gateway carries with 0, 1 and 4 plugins. Rounds alternate.
async fn throughput(hours: &Path) -> Result<()> {
    let origin = Origin::start().await?;
    let component = std::fs::read(hours)?;
    let (caller, mut gates) = (Caller::default(), Vec::new());
    for count in [0, 1, 4] {
        let names: Vec<String> = (0..count).map(|number| format!("hours-{number}")).collect();
        let plugins: Vec<_> = names.iter().map(|name| (name.as_str(), "*", component.as_slice())).collect();
        gates.push((count, Site::start(&origin, &plugins).await?, Sample::default(), std::time::Duration::ZERO));
    }
    for round in 0..ROUNDS {
        for (count, site, sample, time) in &mut gates {
            let requests = orders(&format!("busy-{count}-{round}"), BUSY, now()?)?;
            let begun = Instant::now();
            caller.send_together(site.address, &requests, sample).await?;
            *time += begun.elapsed();
        }
    }
    println!("a gateway with business-hours several times, 16 requests at once ({} each)", ROUNDS * BUSY);
    for (count, site, sample, time) in gates {
        println!(
            "  {count} plugins: {}/s, p50 {}, p99 {}",
            per_second(ROUNDS * BUSY, time),
            micros(sample.median()),
            micros(sample.percentile(99))
        );
        site.gateway.shutdown().await;
    }
    Ok(())
}

/// How long requests take that have nothing to do with harmful plugins, while others call those without a pause and
/// while nobody does. Rounds alternate.
async fn harm() -> Result<()> {
    let origin = Origin::start().await?;
    let harmful = harmful();
    let plugins: Vec<_> = harmful.iter().map(|(name, component)| (*name, "web:search", component.as_slice())).collect();
    let mut quiet = Sample::default();
    let mut disturbed = Sample::default();
    let (mut refused, mut turns) = (0_usize, 0_usize);
    for (name, action, component) in plugins {
        let site = Site::start(&origin, &[(name, action, component)]).await?;
        let caller = Caller::default();
        for round in 0..ROUNDS / 2 {
            let prefix = format!("{name}-{round}");
            let requests = orders(&prefix, 2 * BUSY, now()?)?;
            let (before, during) = requests.split_at(BUSY);
            caller.send_together(site.address, before, &mut quiet).await?;
            let stop = Arc::new(AtomicBool::new(false));
            let harm = tokio::spawn(search(site.address, prefix, Arc::clone(&stop)));
            caller.send_together(site.address, during, &mut disturbed).await?;
            stop.store(true, Ordering::Relaxed);
            let (asked, denied) = harm.await??;
            (turns, refused) = (turns + asked, refused + denied);
        }
        site.gateway.shutdown().await;
    }
    println!("requests beside calls of {} harmful plugins ({turns} such calls, {refused} refused)", harmful.len());
    println!("  without: p50 {}, p99 {}", micros(quiet.median()), micros(quiet.percentile(99)));
    println!("  with:    p50 {}, p99 {}", micros(disturbed.median()), micros(disturbed.percentile(99)));
    println!(
        "  ratio of p99         {} (target 2)",
        Ratio::of_durations(disturbed.percentile(99), quiet.percentile(99))
    );
    Ok(())
}

/// Calls the harmful plugin again and again, and counts calls and refusals.
async fn search(address: SocketAddr, prefix: String, stop: Arc<AtomicBool>) -> Result<(usize, usize)> {
    let caller = Caller::default();
    let (mut asked, mut refused) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        for request in passgate_tests::traffic::searches(&format!("{prefix}-{asked}"), 8, now()?)? {
            asked += 1;
            refused += usize::from(caller.send(address, &request).await.is_err());
        }
    }
    Ok((asked, refused))
}

fn harmful() -> Vec<(&'static str, Vec<u8>)> {
    let forever = "(loop $l (br $l)) (unreachable)";
    let recursion = "(drop (call $deeper (i32.const 0))) (unreachable)";
    let memory = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1024)) (i32.const -1)))) (unreachable)";
    let long = verdict(1, "i32.const 0", "i32.const 200000000");
    let deeper = "(func $deeper (param i32) (result i32) (call $deeper (i32.add (local.get 0) (i32.const 1))))";
    [
        ("loops", Guest::new(forever)),
        ("recurses", Guest::new(recursion).with_fields(deeper)),
        ("grows", Guest::new(memory)),
        ("rambles", Guest::new(&long)),
        ("traps", Guest::new("(unreachable)")),
    ]
    .map(|(name, guest)| (name, guest.component()))
    .into()
}

/// A gateway with plugins, its state in memory.
struct Site {
    gateway: RunningGateway,
    address: SocketAddr,
    _folder: TempDir,
}

impl Site {
    async fn start(origin: &Origin, plugins: &[(&str, &str, &[u8])]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        files::write_key(&folder.path().join("attestation.jwk"), &attestation_key(), Existing::Keep)?;
        let mut policies = Vec::new();
        for (name, action, component) in plugins {
            let file = format!("{name}.wasm");
            std::fs::write(folder.path().join(&file), component)?;
            let digest = sha256_label(&Sha256::digest(component).into());
            policies.push(json!({ "name": name, "file": file, "sha256": digest, "actions": [action], "grants": ["keys"], "config": configuration() }));
        }
        let mut config = serde_json::to_value(roomy_case(1_000_000)?.policy)?;
        let members = config.as_object_mut().context("a policy is an object")?;
        members.insert("plugins".to_owned(), json!({ "policies": policies }));
        members.insert("upstream".to_owned(), json!({ "url": origin.url() }));
        members.insert("attestation".to_owned(), json!({ "key_file": "attestation.jwk" }));
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, config.to_string())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let store = Arc::new(MemoryStore::new(now()? - 1000));
        let gateway = Gateway::new(Config::load(&path)?, Arc::new(SystemEnvironment)).listener(listener).store(store);
        Ok(Self { gateway: gateway.start().await?, address, _folder: folder })
    }
}
