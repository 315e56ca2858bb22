//! The native library: in memory, on disk, and with the judgement handed over as bytes.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use passgate_api::answer;
use passgate_api::driver::{Answer, Driver, Refused};
use passgate_core::attest::{Body, Stamp, Writer};
use passgate_core::gate::Gate;
use passgate_core::pipeline::{self, Decision, Judged, Verdict};
use passgate_core::reason::Reason;
use passgate_core::state::Subject;
use passgate_store::{Ledger, MemoryStore, RedbStore, State};

use super::{Implementation, StepResult, gate_and_writer, payload, stamp, text_member};
use crate::case::{Case, Request, Step};
use crate::traffic::{headers, raw};

/// Long enough before a case for the fence of a volatile store to have no effect on it.
const STARTED_BEFORE_SECONDS: i64 = 100_000;

/// The driver of the API crate over the store in memory.
#[derive(Debug, Default)]
pub struct Memory;

/// The driver of the API crate over the store on disk.
#[derive(Debug, Default)]
pub struct Redb;

/// Parse, authenticate and judge in one place; admit, decide and attest in another that sees only bytes.
#[derive(Debug, Default)]
pub struct Handoff;

#[async_trait]
impl Implementation for Memory {
    fn name(&self) -> &'static str {
        "native, memory"
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        let store = Arc::new(memory(case)?);
        drive(case, Arc::clone(&store) as Arc<dyn State>, store).await
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
        drive(case, Arc::clone(&store) as Arc<dyn State>, store).await
    }
}

#[async_trait]
impl Implementation for Handoff {
    fn name(&self) -> &'static str {
        "native, handed over"
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        let (gate, writer) = gate_and_writer(case)?;
        let (store, writer) = (memory(case)?, Arc::new(writer));
        let (sealer, start) = (Arc::clone(&writer), stamp(case.now_ms, 0));
        let seal = Box::new(move |previous, link: &_| sealer.seal(link, &start, Body::Start(previous)));
        store.start_chain(writer.chain_uid(), seal).await?;
        let place = AdmissionPlace { store, writer };
        let mut results = Vec::new();
        for (step, number) in case.steps.iter().zip(1..) {
            let stamp = stamp(step.at_ms, number);
            let result = match (&step.revoke, &step.request) {
                (Some(revoke), _) => place.revoke(revoke.subject(), stamp).await?,
                (None, Some(request)) => place.request(&gate, request, stamp).await?,
                (None, None) => StepResult::default(),
            };
            results.push(result);
        }
        Ok(results)
    }
}

fn memory(case: &Case) -> Result<MemoryStore> {
    Ok(MemoryStore::new(i64::try_from(case.now_ms / 1000)? - STARTED_BEFORE_SECONDS))
}

async fn drive(case: &Case, state: Arc<dyn State>, ledger: Arc<dyn Ledger>) -> Result<Vec<StepResult>> {
    let (gate, writer) = gate_and_writer(case)?;
    let driver = Driver::start(state, writer, stamp(case.now_ms, 0)).await?;
    let mut results = Vec::new();
    for (step, number) in case.steps.iter().zip(1..) {
        results.push(drive_step(&driver, &gate, ledger.as_ref(), step, stamp(step.at_ms, number)).await?);
    }
    Ok(results)
}

async fn drive_step(
    driver: &Driver,
    gate: &Gate,
    ledger: &dyn Ledger,
    step: &Step,
    stamp: Stamp,
) -> Result<StepResult> {
    if let Some(revoke) = &step.revoke {
        let entry = driver.revoke(revoke.subject(), stamp).await?;
        return Ok(StepResult { attestation: payload(&entry.jws)?, ..StepResult::default() });
    }
    let request = step.request.as_ref().context("a step revokes or requests")?;
    let headers = headers(request);
    let answer = driver.decide(gate, &raw(request, &headers), stamp).await;
    let id = match &answer {
        Answer::Forward(forward) => Some(&forward.attestation_id),
        Answer::Refuse(refused) => refused.attestation_id.as_ref(),
    };
    let id = id.context("the decision is not recorded")?;
    let record = ledger.record(id).await?.context("the record is not in the ledger")?;
    let refused = match &answer {
        Answer::Forward(_) => None,
        Answer::Refuse(refused) => Some(refused.as_ref()),
    };
    result(gate, refused, &record.jws)
}

/// A refusal as the caller sees it, or the 200 of the upstream that an allowed request reaches.
fn result(gate: &Gate, refused: Option<&Refused>, jws: &str) -> Result<StepResult> {
    let attestation = payload(jws)?;
    let reason_code = text_member(&attestation, "reason_code")?;
    let (decision, status, public_code) = match refused {
        None => ("allow", 200, None),
        Some(refused) => {
            let answer = answer::refusal(refused, &gate.id);
            (refused.decision.as_str(), answer.status, text_member(&answer.body, "reason_code")?)
        }
    };
    Ok(StepResult { decision: Some(decision.to_owned()), reason_code, public_code, status: Some(status), attestation })
}

/// Where state lives. It gets a judgement as bytes and gives back the record.
struct AdmissionPlace {
    store: MemoryStore,
    writer: Arc<Writer>,
}

impl AdmissionPlace {
    async fn request(&self, gate: &Gate, request: &Request, stamp: Stamp) -> Result<StepResult> {
        let headers = headers(request);
        let raw = raw(request, &headers);
        let judged = pipeline::parse(gate, &raw).and_then(|parsed| {
            let authenticated = pipeline::authenticate(gate, &parsed, stamp.now)?;
            Ok(pipeline::judge(gate, &authenticated))
        });
        match judged {
            Ok(judged) => self.admit(gate, &judged.to_bytes(), stamp).await,
            Err(refusal) => {
                let jws = self.append(Body::Decision(Box::new(refusal.record(gate))), stamp).await?;
                let decision = passgate_core::attest::DecisionKind::Deny;
                result(gate, Some(&refused(decision, refusal.reason, None)), &jws)
            }
        }
    }

    async fn admit(&self, gate: &Gate, handed_over: &[u8], stamp: Stamp) -> Result<StepResult> {
        let judged = Arc::new(Judged::from_bytes(handed_over)?);
        let (sealer, case) = (Arc::clone(&self.writer), Arc::clone(&judged));
        let seal = Box::new(move |admission: &_, link: &_| {
            let decision = pipeline::decide(&case, admission);
            sealer.seal(link, &stamp, Body::Decision(Box::new(case.record(&decision))))
        });
        let admitted = self.store.admit(self.writer.chain_uid(), judged.demand().clone(), seal).await?;
        let decision = pipeline::decide(&judged, &admitted.admission);
        match &decision.verdict {
            Verdict::Allow(_) => result(gate, None, &admitted.entry.jws),
            verdict => {
                let reason = decision.reason.unwrap_or(Reason::InternalError);
                let refused = refused(verdict.kind(), reason, Some(&decision));
                result(gate, Some(&refused), &admitted.entry.jws)
            }
        }
    }

    async fn revoke(&self, subject: Subject, stamp: Stamp) -> Result<StepResult> {
        let (sealer, body) = (Arc::clone(&self.writer), Body::Revocation(subject.clone()));
        let seal = Box::new(move |link: &_| sealer.seal(link, &stamp, body.clone()));
        let entry = self.store.revoke(self.writer.chain_uid(), subject, stamp.now.seconds(), seal).await?;
        Ok(StepResult { attestation: payload(&entry.jws)?, ..StepResult::default() })
    }

    async fn append(&self, body: Body, stamp: Stamp) -> Result<String> {
        let sealer = Arc::clone(&self.writer);
        let seal = Box::new(move |link: &_| sealer.seal(link, &stamp, body.clone()));
        Ok(self.store.append(self.writer.chain_uid(), seal).await?.jws)
    }
}

fn refused(decision: passgate_core::attest::DecisionKind, reason: Reason, of: Option<&Decision>) -> Refused {
    Refused {
        decision,
        reason,
        detail: String::new(),
        attestation_id: None,
        rates: of.map(|decision| decision.rates.clone()).unwrap_or_default(),
        retry_after_seconds: of.and_then(Decision::retry_after_seconds),
        agent_id: None,
        action: None,
    }
}
