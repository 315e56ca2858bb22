//! How fast an export verifies against verifying and hashing its records alone, and how many decisions a second the
//! store on disk takes from one caller and from 64.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use passgate_api::driver::{Answer, Driver};
use passgate_core::gate::Gate;
use passgate_core::ledger::{HeadBuilder, Verifier, head_line, record_line};
use passgate_core::time::UnixMillis;
use passgate_passport::key::PublicKey;
use passgate_store::{Filter, Ledger, MemoryStore, RedbStore, State};
use passgate_tests::agent::NOW;
use passgate_tests::case::Request;
use passgate_tests::measure::{Ratio, Sample, micros, per_second};
use passgate_tests::surface::{attestation_key, gate_and_writer, stamp};
use passgate_tests::traffic::{headers, orders, raw, roomy_case};
use sha2::{Digest as _, Sha256};

const RECORDS: usize = 4_000;
const ROUNDS: usize = 5;
const APPENDS: usize = 640;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(verification())?;
    println!("decisions on redb, each durable before its answer ({APPENDS} each)");
    let alone = runtime.block_on(appends(1))?;
    let together = runtime.block_on(appends(64))?;
    println!("  group commit gains             {} times", Ratio::of(together, alone));
    Ok(())
}

async fn decide(driver: &Driver, gate: &Gate, request: &Request, number: usize) -> Result<()> {
    let headers = headers(request);
    let stamp = stamp(1000 * NOW.unsigned_abs(), number);
    let answer = driver.decide(gate, &raw(request, &headers), stamp).await;
    ensure!(matches!(answer, Answer::Forward(_)), "request {number} was not allowed: {answer:?}");
    Ok(())
}

async fn verification() -> Result<()> {
    let case = roomy_case(1_000_000)?;
    let (gate, writer) = gate_and_writer(&case)?;
    let store = Arc::new(MemoryStore::new(NOW - 100_000));
    let driver = Driver::start(Arc::clone(&store) as Arc<dyn State>, writer, stamp(case.now_ms, 0)).await?;
    for (number, request) in orders("ledger", RECORDS, NOW)?.iter().enumerate() {
        decide(&driver, &gate, request, number + 1).await?;
    }
    let records = store.records(&Filter::default(), None, usize::MAX).await?.records;
    let mut heads = HeadBuilder::default();
    let mut lines = Vec::with_capacity(records.len() + 1);
    for record in &records {
        heads.push(driver.writer().chain_uid(), &record.jws, &Sha256::digest(record.jws.as_bytes()).into());
        lines.push(record_line(&record.jws));
    }
    let head = heads.finish(gate.id.clone(), false, UnixMillis(case.now_ms).rfc3339());
    lines.push(head_line(&driver.writer().seal_head(&head.to_payload())));
    let key = attestation_key().public().clone();
    let keys = [key.clone()];
    let raw_records = records.iter().map(|record| RawRecord::of(&record.jws)).collect::<Result<Vec<_>>>()?;
    let (mut whole, mut bare) = (Sample::default(), Sample::default());
    for _ in 0..ROUNDS {
        whole.time(|| verify(&lines, &keys))?;
        bare.time(|| raw_records.iter().try_for_each(|record| record.verify(&key)))?;
    }
    println!("ledger verification ({} records, {ROUNDS} rounds, medians)", records.len());
    println!("  verifier                       {} records/s", per_second(records.len(), whole.median()));
    println!("  signature and hash alone       {} records/s", per_second(records.len(), bare.median()));
    println!(
        "  ratio                          {} (target at least 0.80)",
        Ratio::of_durations(bare.median(), whole.median())
    );
    Ok(())
}

fn verify(lines: &[String], keys: &[PublicKey]) -> Result<()> {
    let mut verifier = Verifier::new(keys);
    for line in lines {
        verifier.line(line.trim_end().as_bytes())?;
    }
    verifier.finish()?;
    Ok(())
}

/// A record taken apart beforehand.
struct RawRecord {
    jws: String,
    signed: usize,
    signature: Vec<u8>,
}

impl RawRecord {
    fn of(jws: &str) -> Result<Self> {
        let (signed, signature) = jws.rsplit_once('.').context("no JWS")?;
        let signature = passgate_passport::b64::decode(signature)?;
        Ok(Self { jws: jws.to_owned(), signed: signed.len(), signature })
    }

    fn verify(&self, key: &PublicKey) -> Result<()> {
        let signed = self.jws.as_bytes().get(..self.signed).context("shorter than its part")?;
        key.verify(signed, &self.signature)?;
        std::hint::black_box(Sha256::digest(self.jws.as_bytes()));
        Ok(())
    }
}

/// Decisions a second with so many at once.
async fn appends(at_once: usize) -> Result<u128> {
    let folder = tempfile::tempdir()?;
    let case = roomy_case(1_000_000)?;
    let (gate, writer) = gate_and_writer(&case)?;
    let store = Arc::new(RedbStore::open(folder.path().join("bench.redb"))?);
    let driver = Driver::start(store as Arc<dyn State>, writer, stamp(case.now_ms, 0)).await?;
    let requests = orders("append", APPENDS, NOW)?;
    let mut sample = Sample::default();
    let started = Instant::now();
    for (round, batch) in requests.chunks(at_once).enumerate() {
        let first = round * at_once + 1;
        let deciding = Instant::now();
        let decisions = batch.iter().zip(first..).map(|(request, number)| decide(&driver, &gate, request, number));
        join_all(decisions).await.into_iter().collect::<Result<()>>()?;
        sample.push(deciding.elapsed());
    }
    let rate = per_second(APPENDS, started.elapsed());
    println!(
        "  {at_once:>3} at once                     {rate} decisions/s, {} a round (median)",
        micros(sample.median())
    );
    Ok(rate)
}
