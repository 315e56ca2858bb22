//! What a whole decision costs in this isolate against its own signature operations.
//!
//! A decision here is everything between the request's bytes and the sealed record, with its state in memory. Its
//! signature operations are two verifications (passport, proof), with decoding the agent's key, and one signature (the
//! record), over messages of the same lengths. The runtime's clock moves with input and output only, so each loop is
//! measured from one timer to the next.

use std::sync::Arc;
use std::time::Duration;

use passgate_api::bundle::Bundle;
use passgate_api::driver::{Answer, Driver};
use passgate_core::attest::{GateRecord, Stamp, Writer};
use passgate_core::gate::EvaluatorRef;
use passgate_core::pipeline::RawRequest;
use passgate_core::time::UnixMillis;
use passgate_passport::http::Header;
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_store::{Ledger as _, MemoryStore, State};
use serde::{Deserialize, Serialize};
use worker::Delay;

/// What to measure.
#[derive(Deserialize)]
#[serde(rename = "passgate::open")]
pub(super) struct Bench {
    policy: Bundle,
    evaluator: EvaluatorRef,
    now_ms: u64,
    requests: Vec<Wire>,
}

#[derive(Deserialize)]
#[serde(rename = "passgate::open")]
struct Wire {
    method: String,
    host: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// Milliseconds of each loop over all requests but the first.
#[derive(Serialize)]
pub(super) struct Report {
    rounds: usize,
    decisions_ms: u64,
    signatures_ms: u64,
}

struct Messages {
    key: SecretKey,
    passport: Vec<u8>,
    passport_signature: [u8; 64],
    proof: Vec<u8>,
    proof_signature: [u8; 64],
    record: Vec<u8>,
}

impl Bench {
    pub(super) async fn run(self) -> Result<Report, String> {
        let gate = self.policy.compile(self.evaluator.clone()).map_err(|error| error.to_string())?;
        let record = GateRecord { gate_id: gate.id.clone(), level: gate.level.as_str().to_owned() };
        let store = Arc::new(MemoryStore::new(0));
        let writer = Writer::new(SecretKey::from_seed([250; 32]), self.stamp(0).chain_uid(), record);
        let shared: Arc<dyn State> = Arc::<MemoryStore>::clone(&store);
        let driver = Driver::start(shared, writer, self.stamp(0)).await.map_err(|error| error.to_string())?;
        let (first, rest) = self.requests.split_first().ok_or("no requests")?;
        let id = decide(&driver, &gate, first, self.stamp(1)).await?;
        let sealed = store.record(&id).await.map_err(|error| error.to_string())?.ok_or("no record")?;
        let messages = Messages::like(first, sealed.jws.len());

        let before = time().await;
        for (number, request) in rest.iter().enumerate() {
            decide(&driver, &gate, request, self.stamp(number + 2)).await?;
        }
        let between = time().await;
        for _ in rest {
            messages.operations()?;
        }
        let after = time().await;
        Ok(Report { rounds: rest.len(), decisions_ms: between - before, signatures_ms: after - between })
    }

    fn stamp(&self, number: usize) -> Stamp {
        let [a, b, c, d] = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        Stamp { now: UnixMillis(self.now_ms), random: [0, 0, 0, 0, 0, 0, a, b, c, d] }
    }
}

/// The time after an event: only then the clock has moved.
async fn time() -> u64 {
    Delay::from(Duration::from_millis(1)).await;
    worker::Date::now().as_millis()
}

async fn decide(
    driver: &Driver,
    gate: &passgate_core::gate::Gate,
    request: &Wire,
    stamp: Stamp,
) -> Result<String, String> {
    let headers: Vec<Header<'_>> =
        request.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let (path, query) = request.target.split_once('?').map_or((request.target.as_str(), None), |(p, q)| (p, Some(q)));
    let raw = RawRequest {
        method: &request.method,
        authority: Some(&request.host),
        path,
        query,
        headers: &headers,
        body: request.body.as_bytes(),
    };
    match driver.decide(gate, &raw, stamp).await {
        Answer::Forward(forward) => Ok(forward.attestation_id),
        Answer::Refuse(refused) => Err(format!("a request was refused: {} {}", refused.reason, refused.detail)),
        Answer::Mint(_) => Err("a request was answered with a pass that it did not ask for".to_owned()),
    }
}

impl Messages {
    fn like(request: &Wire, record: usize) -> Self {
        let field =
            |name: &str| request.headers.iter().find(|(field, _)| field == name).map_or(0, |(_, value)| value.len());
        let signed = ["agent-passport", "content-digest", "content-type", "signature-input"];
        let lines: usize = signed.into_iter().map(field).sum();
        // A line for each covered component names it; method and target have lines too.
        let names = 120 + request.target.len() + request.host.len();
        let message = |length: usize| vec![b'x'; length];
        let key = SecretKey::from_seed([11; 32]);
        let (passport, proof) = (message(field("agent-passport") - 87), message(lines + names));
        let (passport_signature, proof_signature) = (key.sign(&passport), key.sign(&proof));
        Self { key, passport, passport_signature, proof, proof_signature, record: message(record - 87) }
    }

    fn operations(&self) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let agent_key = PublicKey::from_bytes(self.key.public().as_bytes()).map_err(|error| failed(&error))?;
        self.key.public().verify(&self.passport, &self.passport_signature).map_err(|error| failed(&error))?;
        agent_key.verify(&self.proof, &self.proof_signature).map_err(|error| failed(&error))?;
        std::hint::black_box(self.key.sign(&self.record));
        Ok(())
    }
}
