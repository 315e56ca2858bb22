//! The native library: in memory, on disk, and with the judgement handed over as bytes.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use passgate_api::answer;
use passgate_api::driver::{Answer, Driver, Judge, MAX_JUDGED, Misjudged, RefusalRecord};
use passgate_core::attest::Stamp;
use passgate_core::gate::Gate;
use passgate_core::pipeline::Judged;
use passgate_core::state::Conduct;
use passgate_store::{Ledger, MemoryStore, RedbStore, State};

use super::{Implementation, StepResult, gate_and_writer, payload, seed, stamp, text_member};
use crate::case::{Case, Step};
use crate::traffic::{headers, raw};

/// When the store in memory of a case started, in Unix seconds: long enough before it for the fence of a volatile store to
/// have no effect.
///
/// # Errors
/// When the case's time is none.
pub(super) fn started(case: &Case) -> Result<i64> {
    Ok(i64::try_from(case.now_ms / 1000)? - 100_000)
}

/// The driver of the API crate over the store in memory.
#[derive(Debug, Default)]
pub struct Memory;

/// The driver of the API crate over the store on disk.
#[derive(Debug, Default)]
pub struct Redb;

/// Parse, authenticate and judge in one place; admit, decide and attest in another that sees and gives only bytes.
#[derive(Debug, Default)]
pub struct Handoff;

#[async_trait]
impl Implementation for Memory {
    fn name(&self) -> &'static str {
        "native, memory"
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        let store = Arc::new(memory(case)?);
        drive(case, Handover::None, Arc::clone(&store) as Arc<dyn State>, store).await
    }
}

#[async_trait]
impl Implementation for Redb {
    fn name(&self) -> &'static str {
        "native, redb"
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        let folder = tempfile::tempdir()?;
        let store = Arc::new(RedbStore::open(folder.path().join("passgate.redb"))?);
        drive(case, Handover::None, Arc::clone(&store) as Arc<dyn State>, store).await
    }
}

#[async_trait]
impl Implementation for Handoff {
    fn name(&self) -> &'static str {
        "native, handed over"
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        let store = Arc::new(memory(case)?);
        drive(case, Handover::Bytes, Arc::clone(&store) as Arc<dyn State>, store).await
    }
}

/// How a judgement reaches the place that admits.
#[derive(Debug, Clone, Copy)]
enum Handover {
    /// It stays where it is.
    None,
    /// As bytes, as to another process.
    Bytes,
}

pub(super) fn memory(case: &Case) -> Result<MemoryStore> {
    Ok(MemoryStore::new(started(case)?))
}

async fn drive(
    case: &Case,
    handover: Handover,
    state: Arc<dyn State>,
    ledger: Arc<dyn Ledger>,
) -> Result<Vec<StepResult>> {
    let (gate, writer) = gate_and_writer(case)?;
    let driver = Driver::start(state, writer, stamp(case.now_ms, 0)).await?;
    let mut results = Vec::new();
    for (step, number) in case.steps.iter().zip(1..) {
        results.push(drive_step(&driver, &gate, handover, ledger.as_ref(), step, stamp(step.at_ms, number)).await?);
    }
    Ok(results)
}

async fn drive_step(
    driver: &Driver,
    gate: &Gate,
    handover: Handover,
    ledger: &dyn Ledger,
    step: &Step,
    stamp: Stamp,
) -> Result<StepResult> {
    if let Some(change) = step.change() {
        let entry = change.carry_out(driver, stamp).await?;
        return Ok(StepResult { attestation: payload(&entry.jws)?, ..StepResult::default() });
    }
    let request = step.request.as_ref().context("a step is a change or a request")?;
    let headers = headers(request);
    let raw = raw(request, &headers);
    let (mut conduct, seed) = (Conduct::default(), seed(stamp));
    for _ in 0..MAX_JUDGED {
        let judged = Judge::new().judge_as(gate, &raw, stamp.now, conduct);
        let judged = judged.map(|judged| judged.restrict(Vec::new(), raw.body, &seed).0);
        let answer = match (handover, judged) {
            (Handover::None, Ok(judged)) => driver.admit(Box::new(judged), stamp).await,
            (Handover::None, Err(_)) => Ok(driver.decide(gate, &raw, stamp).await),
            (Handover::Bytes, Ok(judged)) => {
                over(driver.admit(Box::new(Judged::from_bytes(&judged.to_bytes())?), stamp).await)?
            }
            (Handover::Bytes, Err(refusal)) => {
                let refusal = RefusalRecord::from_bytes(&RefusalRecord::new(gate, &refusal, stamp.now).to_bytes())?;
                over(Ok(driver.record_refusal(&refusal, stamp).await))?
            }
        };
        match answer {
            Ok(answer) => return answered(gate, &answer, ledger).await,
            Err(Misjudged(as_it_is)) => conduct = as_it_is,
        }
    }
    bail!("the request was not decided")
}

/// What became of a request, with its record from `ledger`.
pub(super) async fn answered(gate: &Gate, answer: &Answer, ledger: &dyn Ledger) -> Result<StepResult> {
    let id = match answer {
        Answer::Forward(forward) => Some(&forward.attestation_id),
        Answer::Mint(minted) => Some(&minted.attestation_id),
        Answer::Refuse(refused) => refused.attestation_id.as_ref(),
    };
    let id = id.context("the decision is not recorded")?;
    let record = ledger.record(id).await?.context("the record is not in the ledger")?;
    result(gate, answer, &record.jws)
}

/// The answer as it comes back.
fn over(answer: Result<Answer, Misjudged>) -> Result<Result<Answer, Misjudged>> {
    Ok(Misjudged::or_answer(&answer.map_or_else(Misjudged::to_bytes, Answer::to_bytes))?)
}

/// What the caller sees: the gate's own answer, or the 200 of the upstream that an allowed request reaches.
fn result(gate: &Gate, answer: &Answer, jws: &str) -> Result<StepResult> {
    let attestation = payload(jws)?;
    let reason_code = text_member(&attestation, "reason_code")?;
    let result = StepResult { reason_code, attestation, ..StepResult::default() };
    Ok(match answer {
        Answer::Forward(_) => StepResult { decision: Some("allow".to_owned()), status: Some(200), ..result },
        Answer::Mint(minted) => {
            let answer = answer::minted(minted);
            let action_pass = super::minted(answer.status, &answer.body)?;
            StepResult { decision: Some("allow".to_owned()), status: Some(answer.status), action_pass, ..result }
        }
        Answer::Refuse(refused) => {
            let answer = answer::refusal(refused, &gate.id, answer::ToCover::default());
            let public_code = text_member(&answer.body, "reason_code")?;
            let decision = Some(refused.decision.as_str().to_owned());
            StepResult { decision, public_code, status: Some(answer.status), ..result }
        }
    })
}
