//! What the gate adds to a request against a plain proxy of the same stack in front of the same origin, and how many
//! requests a second both carry.
//!
//! Both proxies take requests in, strip fields and send with the same code; the gate also decides and records. Rounds
//! alternate between them, so that both see the same machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use passgate_host::config::{Config, FILE_NAME};
use passgate_host::env::SystemEnvironment;
use passgate_host::files::{self, Existing};
use passgate_host::gateway::{Gateway, RunningGateway};
use passgate_host::http::authority::Scheme;
use passgate_host::http::headers::forwardable;
use passgate_host::http::intake::{Intake, IntakeError, IntakeLimits, intake};
use passgate_host::http::server::{Fault, Handler, ServerLimits, serve};
use passgate_host::http::upstream::{MeteredBody, Outbound, Upstream, UpstreamConfig};
use passgate_store::{MemoryStore, RedbStore};
use passgate_tests::agent::key;
use passgate_tests::caller::{AT_ONCE, Caller};
use passgate_tests::measure::{Ratio, Sample, micros, per_second};
use passgate_tests::origin::Origin;
use passgate_tests::site::now;
use passgate_tests::surface::attestation_key;
use passgate_tests::traffic::{SEED, orders, roomy_case};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

const ROUNDS: usize = 20;
const ALONE: usize = 50;
const TOGETHER: usize = 160;
const TARGET: &str = "1.50";

#[tokio::main]
async fn main() -> Result<()> {
    let origin = Origin::start().await?;
    let plain = plain_proxy(&origin.url()).await?;
    let signatures = signature_operations();
    println!("gateway against a plain proxy of the same stack ({} requests each)", ROUNDS * (ALONE + TOGETHER));
    println!("  2 verifications and 1 signature  {}", micros(signatures.median()));
    for (name, durable) in [("state in memory", false), ("state on redb", true)] {
        let folder = tempfile::tempdir()?;
        let (gateway, address) = gateway(&folder, &origin.url(), durable).await?;
        compare(name, plain, address, &signatures).await?;
        gateway.shutdown().await;
    }
    Ok(())
}

async fn compare(name: &str, plain: SocketAddr, gate: SocketAddr, signatures: &Sample) -> Result<()> {
    let caller = Caller::default();
    let [mut plain_alone, mut gate_alone, mut plain_busy, mut gate_busy] = std::array::from_fn(|_| Sample::default());
    let [mut plain_time, mut gate_time] = [std::time::Duration::ZERO; 2];
    let prefix = name.replace(' ', "-");
    for round in 0..ROUNDS {
        let requests = orders(&format!("{prefix}-{round}"), ALONE + TOGETHER, now()?)?;
        let (alone, together) = requests.split_at(ALONE);
        for (address, sample) in [(plain, &mut plain_alone), (gate, &mut gate_alone)] {
            for request in alone {
                sample.push(caller.send(address, request).await?);
            }
        }
        for (address, sample, time) in
            [(plain, &mut plain_busy, &mut plain_time), (gate, &mut gate_busy, &mut gate_time)]
        {
            let started = Instant::now();
            caller.send_together(address, together, sample).await?;
            *time += started.elapsed();
        }
    }
    let added = gate_alone.median().saturating_sub(plain_alone.median());
    println!("{name}");
    println!(
        "  one after the other: plain p50 {}, p99 {}",
        micros(plain_alone.median()),
        micros(plain_alone.percentile(99))
    );
    println!(
        "                       gate  p50 {}, p99 {}",
        micros(gate_alone.median()),
        micros(gate_alone.percentile(99))
    );
    println!(
        "  {AT_ONCE} at once:          plain {}/s, p99 {}",
        per_second(ROUNDS * TOGETHER, plain_time),
        micros(plain_busy.percentile(99))
    );
    println!(
        "                       gate  {}/s, p99 {}",
        per_second(ROUNDS * TOGETHER, gate_time),
        micros(gate_busy.percentile(99))
    );
    println!("  added latency                    {}", micros(added));
    println!(
        "  ratio to signature operations    {} (target {TARGET})",
        Ratio::of_durations(added, signatures.median())
    );
    Ok(())
}

async fn gateway(folder: &TempDir, upstream: &str, durable: bool) -> Result<(RunningGateway, SocketAddr)> {
    files::write_key(&folder.path().join("attestation.jwk"), &attestation_key(), Existing::Keep)?;
    let mut config = serde_json::to_value(roomy_case(1_000_000)?.policy)?;
    let members = config.as_object_mut().context("a policy is an object")?;
    members.insert("upstream".to_owned(), json!({ "url": upstream }));
    members.insert("store".to_owned(), json!({ "kind": "redb", "path": "bench.redb" }));
    members.insert("attestation".to_owned(), json!({ "key_file": "attestation.jwk" }));
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, config.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let gateway = Gateway::new(Config::load(&path)?, Arc::new(SystemEnvironment)).listener(listener);
    let gateway = if durable {
        gateway.store(Arc::new(RedbStore::open(folder.path().join("bench.redb"))?))
    } else {
        gateway.store(Arc::new(MemoryStore::new(now()? - 1000)))
    };
    Ok((gateway.start().await?, address))
}

/// Takes in, strips and sends, and decides nothing.
struct Plain {
    upstream: Upstream,
    limits: IntakeLimits,
}

async fn plain_proxy(upstream: &str) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let upstream = Upstream::new(UpstreamConfig::new(upstream))?;
    let handler = Arc::new(Plain { upstream, limits: IntakeLimits::new(Scheme::Http) });
    tokio::spawn(serve(listener, ServerLimits::default(), handler, std::future::pending()));
    Ok(address)
}

impl Handler for Plain {
    type Body = Either<Full<Bytes>, MeteredBody>;
    type Taken = Result<Intake, IntakeError>;

    async fn take(&self, request: http::Request<Incoming>, _peer: SocketAddr) -> Self::Taken {
        intake(request, &self.limits).await
    }

    async fn call(&self, taken: Self::Taken) -> Response<Self::Body> {
        let Ok(taken) = taken else { return failed(StatusCode::BAD_REQUEST) };
        let Ok(headers) = forwardable(&taken.headers) else { return failed(StatusCode::BAD_REQUEST) };
        let outbound =
            Outbound { method: taken.method, path: taken.path, query: taken.query, headers, body: taken.body };
        let Ok(answer) = self.upstream.send(outbound).await else { return failed(StatusCode::BAD_GATEWAY) };
        let mut response = Response::new(Either::Right(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    }

    fn fault(&self, _fault: Fault) -> Response<Self::Body> {
        failed(StatusCode::SERVICE_UNAVAILABLE)
    }
}

fn failed(status: StatusCode) -> Response<Either<Full<Bytes>, MeteredBody>> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

/// The signature operations of one decision, over messages of usual lengths.
fn signature_operations() -> Sample {
    let (key, message) = (key(SEED), [b'x'; 1024]);
    let signature = key.sign(&message);
    let mut sample = Sample::default();
    for _ in 0..2_000 {
        sample.time(|| {
            let verify = || std::hint::black_box(key.public().verify(&message, &signature).is_ok());
            (verify(), verify(), key.sign(&message))
        });
    }
    sample
}
