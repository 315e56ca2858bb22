//! What a whole decision costs against its own signature operations, measured in turn in one run.
//!
//! A decision here is everything between the request's bytes and the sealed record: parse, authenticate, judge, admit
//! in memory, decide, attest. Its signature operations are two verifications (passport, proof) and one signature (the
//! record), over messages of the same lengths. The agent's key arrives with the passport, so decoding it (decompressing
//! its point, refusing weak ones, naming it by thumbprint) is part of verifying the proof; the issuer's key is known.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures_executor::block_on;
use passgate_api::driver::{Answer, Driver};
use passgate_core::gate::Gate;
use passgate_core::pipeline;
use passgate_core::time::UnixMillis;
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_store::{Ledger, MemoryStore, State};
use passgate_tests::agent::{NOW, key};
use passgate_tests::case::Request;
use passgate_tests::measure::{Ratio, Sample, micros};
use passgate_tests::surface::{gate_and_writer, stamp};
use passgate_tests::traffic::{SEED, headers, orders, raw, roomy_case};

const ROUNDS: usize = 4_000;
const WARM_UP: usize = 500;
const TARGET: &str = "1.10";

fn main() -> Result<()> {
    let case = roomy_case(1_000_000)?;
    let (gate, writer) = gate_and_writer(&case)?;
    let store = Arc::new(MemoryStore::new(NOW - 100_000));
    let start = stamp(case.now_ms, 0);
    let driver = block_on(Driver::start(Arc::clone(&store) as Arc<dyn State>, writer, start))?;
    let requests = orders("bench", ROUNDS + WARM_UP, NOW)?;
    let messages = Messages::like(&driver, &gate, store.as_ref(), &orders("first", 1, NOW)?)?;

    let (mut whole, mut signatures, mut pure) = (Sample::default(), Sample::default(), Sample::default());
    for (number, request) in requests.iter().enumerate() {
        if number == WARM_UP {
            (whole, signatures, pure) = Default::default();
        }
        let (headers, stamp) = (headers(request), stamp(1000 * NOW.unsigned_abs(), number + 2));
        let answer = whole.time(|| block_on(driver.decide(&gate, &raw(request, &headers), stamp)));
        ensure!(matches!(answer, Answer::Forward(_)), "request {number} was not allowed: {answer:?}");
        signatures.time(|| messages.operations())?;
        pure.time(|| authenticate_and_judge(&gate, request))?;
    }
    println!("decision, native, in memory, every guardrail set ({ROUNDS} rounds, medians)");
    println!("  whole decision                 {}", micros(whole.median()));
    println!("  of it parse to judge           {}", micros(pure.median()));
    println!("  signature operations           {}", micros(signatures.median()));
    println!("    (decode the agent's key, verify passport and proof, sign the record)");
    println!(
        "  ratio                          {} (target {TARGET})",
        Ratio::of_durations(whole.median(), signatures.median())
    );
    Ok(())
}

fn authenticate_and_judge(gate: &Gate, request: &Request) -> Result<()> {
    let headers = headers(request);
    let raw = raw(request, &headers);
    let refused = |refusal: pipeline::Refusal| anyhow::anyhow!("refused: {}", refusal.detail);
    let now = UnixMillis(1000 * NOW.unsigned_abs());
    let parsed = pipeline::parse(gate, &raw, now).map_err(refused)?;
    let authenticated = pipeline::authenticate(gate, &parsed, now).map_err(refused)?;
    std::hint::black_box(pipeline::judge(gate, &authenticated));
    Ok(())
}

/// What a decision verifies and signs, by length.
struct Messages {
    key: SecretKey,
    passport: Vec<u8>,
    passport_signature: [u8; 64],
    proof: Vec<u8>,
    proof_signature: [u8; 64],
    record: Vec<u8>,
}

impl Messages {
    fn like(driver: &Driver, gate: &Gate, ledger: &dyn Ledger, requests: &[Request]) -> Result<Self> {
        let request = requests.first().context("no request")?;
        let headers = headers(request);
        let stamp = stamp(1000 * NOW.unsigned_abs(), 1);
        let answer = block_on(driver.decide(gate, &raw(request, &headers), stamp));
        let Answer::Forward(forward) = answer else { anyhow::bail!("the first request was not allowed") };
        let record = block_on(ledger.record(&forward.attestation_id))?.context("no record")?;
        let field =
            |name: &str| request.headers.iter().find(|(field, _)| field == name).map_or(0, |(_, value)| value.len());
        // A signature base has a line for each covered component, and the parameters.
        let base = field("agent-passport") + field("content-digest") + field("content-type") + field("signature-input");
        let names = "\"@method\": POST\n\"@target-uri\": http://tools.example/order\n\"agent-passport\": \n\"content-digest\": \n\"content-type\": \n\"@signature-params\": ";
        let message = |length: usize| vec![b'x'; length];
        let key = key(SEED);
        let (passport, proof) = (message(field("agent-passport") - 87), message(base + names.len()));
        let (passport_signature, proof_signature) = (key.sign(&passport), key.sign(&proof));
        Ok(Self { key, passport, passport_signature, proof, proof_signature, record: message(record.jws.len() - 87) })
    }

    fn operations(&self) -> Result<()> {
        let agent_key = PublicKey::from_bytes(self.key.public().as_bytes())?;
        self.key.public().verify(&self.passport, &self.passport_signature)?;
        agent_key.verify(&self.proof, &self.proof_signature)?;
        std::hint::black_box(self.key.sign(&self.record));
        Ok(())
    }
}
