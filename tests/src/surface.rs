//! Implementations of the gate, behind one trait, so that every case runs on all of them.

pub mod component;
pub mod edge;
pub mod gateway;
pub mod native;
pub mod node;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use passgate_api::answer::MINTED_STATUS;
use passgate_core::attest::{GateRecord, Stamp, Writer};
use passgate_core::gate::{EvaluatorRef, Gate};
use passgate_core::time::UnixMillis;
use passgate_passport::jwe::Seed;
use serde_json::{Map, Value};

use crate::agent;
use crate::case::{Case, Expect};

/// Something that decides requests and attests to it.
#[async_trait]
pub trait Implementation {
    /// What failures are reported under.
    fn name(&self) -> &'static str;

    /// Members of a record that this surface does not share with the others, and why that is so is said there.
    fn own_members(&self) -> &'static [&'static str] {
        &[]
    }

    /// Runs the steps of a case in order on a fresh state.
    ///
    /// # Errors
    /// When the surface fails, which is something else than a deny.
    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>>;
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepResult {
    /// `allow`, `deny` or `step_up`; none for a revocation.
    pub decision: Option<String>,
    /// The recorded reason.
    pub reason_code: Option<String>,
    /// The reason as the caller sees it.
    pub public_code: Option<String>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The one-action pass in the answer.
    pub action_pass: Option<String>,
    /// The payload of the record, as signed.
    pub attestation: Vec<u8>,
}

/// Runs `case` on `surface` and compares every step with what it expects.
///
/// # Errors
/// The first difference, or the surface's failure.
pub async fn check(surface: &mut dyn Implementation, name: &str, case: &Case) -> Result<()> {
    let context = format!("case {name} on {}", surface.name());
    let results = surface.run(case).await.with_context(|| context.clone())?;
    ensure!(results.len() == case.steps.len(), "{context}: {} results of {} steps", results.len(), case.steps.len());
    for (number, (step, result)) in case.steps.iter().zip(&results).enumerate() {
        compare(&step.expect, result, surface.own_members()).with_context(|| format!("{context}, step {number}"))?;
    }
    Ok(())
}

fn compare(expect: &Expect, result: &StepResult, own_members: &[&str]) -> Result<()> {
    let wanted = (&expect.decision, &expect.reason_code, &expect.public_code, expect.status, &expect.action_pass);
    let got = (&result.decision, &result.reason_code, &result.public_code, result.status, &result.action_pass);
    ensure!(wanted == got, "expected {wanted:?}, got {got:?}");
    let wanted = canonical(&expect.attestation, own_members)?;
    let got = if own_members.is_empty() {
        result.attestation.clone()
    } else {
        canonical(&serde_json::from_slice(&result.attestation)?, own_members)?
    };
    if wanted != got {
        bail!(
            "the record differs\n  expected {}\n  got      {}",
            String::from_utf8_lossy(&wanted),
            String::from_utf8_lossy(&got)
        );
    }
    Ok(())
}

/// The canonical bytes (RFC 8785) of a record without some of its members.
fn canonical(record: &Map<String, Value>, without: &[&str]) -> Result<Vec<u8>> {
    let mut record = record.clone();
    record.retain(|name, _| !without.contains(&name.as_str()));
    Ok(serde_json_canonicalizer::to_vec(&record)?)
}

/// The payload of a compact JWS, unverified.
///
/// # Errors
/// When it is none.
pub fn payload(jws: &str) -> Result<Vec<u8>> {
    let encoded = jws.split('.').nth(1).context("no compact JWS")?;
    Ok(passgate_passport::b64::decode(encoded)?)
}

/// One text member of a record.
///
/// # Errors
/// When the payload is no JSON object.
pub fn text_member(payload: &[u8], name: &str) -> Result<Option<String>> {
    let record: Map<String, Value> = serde_json::from_slice(payload)?;
    Ok(record.get(name).and_then(Value::as_str).map(str::to_owned))
}

/// The one-action pass in the answer to a request that asked for one.
///
/// # Errors
/// When the answer has another body.
pub fn minted(status: u16, body: &[u8]) -> Result<Option<String>> {
    if status != MINTED_STATUS { Ok(None) } else { text_member(body, "action_pass") }
}

/// The key every surface signs records with.
pub fn attestation_key() -> passgate_passport::key::SecretKey {
    agent::key(250)
}

/// The evaluator every surface states, whatever binary it is in.
pub fn evaluator() -> EvaluatorRef {
    EvaluatorRef {
        digest: passgate_core::attest::sha256_label(&[0; 32]),
        engine: "native".to_owned(),
        version: "conformance".to_owned(),
    }
}

/// The stamp of a step; number 0 starts the chain, the steps count from 1.
pub fn stamp(at_ms: u64, number: usize) -> Stamp {
    let [a, b, c, d, e, f, g, h] = u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes();
    Stamp { now: UnixMillis(at_ms), random: [0, 0, a, b, c, d, e, f, g, h] }
}

/// What the keys of a step are made from: the random bits of its stamp, and zeros.
pub fn seed(stamp: Stamp) -> Seed {
    let mut bytes = [0; Seed::BYTES];
    bytes.iter_mut().zip(stamp.random).for_each(|(byte, random)| *byte = random);
    Seed::new(bytes)
}

/// The gate of a case and the writer of its chain.
///
/// # Errors
/// When the policy does not compile.
pub fn gate_and_writer(case: &Case) -> Result<(Gate, Writer)> {
    let mut gate = case.policy.compile(evaluator())?;
    gate.mint_with(vec![attestation_key().public().clone()]);
    for (uri, token) in &case.status_lists {
        // A list that is refused is one the gate does not have.
        let _ = gate.add_status_list(Some(uri), token, UnixMillis(case.now_ms));
    }
    let record = GateRecord { gate_id: gate.id.clone(), level: gate.level.as_str().to_owned() };
    Ok((gate, Writer::new(attestation_key(), stamp(case.now_ms, 0).chain_uid(), record)))
}
