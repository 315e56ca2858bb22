//! The driver: one request through parse, authenticate, judge, admit, decide and attest.
//!
//! It does what every host does alike and nothing a host does its own way: no sockets, no timers, no clock. The host
//! gives the time and the random bits of each record in a [`Stamp`], puts a deadline around the returned futures, and
//! forwards with the [`Forward`] it gets. Whatever goes wrong here ends as [`Answer::Refuse`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use passgate_core::attest::{Body, DecisionKind, Entry, OutcomeRecord, Stamp, Writer};
use passgate_core::flood::{Fold, RefusalBound};
use passgate_core::gate::Gate;
use passgate_core::pipeline::{self, Decision, Judged, Permit, RateView, RawRequest, Refusal, Verdict};
use passgate_core::reason::Reason;
use passgate_core::state::Subject;
use passgate_store::{Admitted, State, StoreError};

/// Carries requests through their life over one store and one chain.
pub struct Driver {
    state: Arc<dyn State>,
    writer: Arc<Writer>,
    bound: Mutex<RefusalBound>,
}

/// What the host does next.
#[derive(Debug)]
pub enum Answer {
    /// Forward exactly what was judged, then settle.
    Forward(Box<Forward>),
    /// Answer with a problem document; nothing is forwarded.
    Refuse(Box<Refused>),
}

/// An allow.
#[derive(Debug)]
pub struct Forward {
    /// The right to forward, once.
    pub permit: Permit,
    /// The decision's record.
    pub attestation_id: String,
    /// The rate counters for the answer's fields.
    pub rates: Vec<RateView>,
    /// The agent's id, for logs and metrics.
    pub agent_id: String,
    /// The action, for logs and metrics.
    pub action: String,
}

/// A deny or a step_up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Deny or step_up.
    pub decision: DecisionKind,
    /// Why.
    pub reason: Reason,
    /// The reason in full for the gate's log, never for the caller.
    pub detail: String,
    /// The decision's record; absent when it could not be written or was folded into a count.
    pub attestation_id: Option<String>,
    /// The rate counters, when they were consulted.
    pub rates: Vec<RateView>,
    /// Seconds after which trying again can help.
    pub retry_after_seconds: Option<u64>,
    /// The agent's id, when its passport was verified.
    pub agent_id: Option<String>,
    /// The action, when the request was mapped.
    pub action: Option<String>,
}

impl Driver {
    /// Starts a new chain in `state` and returns the driver that writes it. `writer` must be new.
    ///
    /// # Errors
    ///
    /// When the store cannot record the start.
    pub async fn start(state: Arc<dyn State>, writer: Writer, stamp: Stamp) -> Result<Self, StoreError> {
        let writer = Arc::new(writer);
        let sealer = Arc::clone(&writer);
        let seal = Box::new(move |previous, link: &_| sealer.seal(link, &stamp, Body::Start(previous)));
        state.start_chain(writer.chain_uid(), seal).await?;
        Ok(Self { state, writer, bound: Mutex::new(RefusalBound::default()) })
    }

    /// The writer of this driver's chain.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Decides one request under one snapshot of the gate, steps 1 to 7.
    pub async fn decide(&self, gate: &Gate, raw: &RawRequest<'_>, stamp: Stamp) -> Answer {
        match judged(gate, raw, stamp) {
            Ok(judged) => self.admit(Arc::new(judged), stamp).await,
            Err(refusal) => self.refuse(gate, &refusal, stamp).await,
        }
    }

    /// Records and answers a refusal the host itself found before the request could be read.
    pub async fn refuse(&self, gate: &Gate, refusal: &Refusal, stamp: Stamp) -> Answer {
        let attestation_id = match self.note(refusal, stamp) {
            Fold::Counted => None,
            Fold::Record => {
                let record = Box::new(refusal.record(gate));
                match self.append(Body::Decision(record), stamp).await {
                    Ok(entry) => Some(entry.index.attestation_id),
                    Err(error) => return Answer::refuse_fault(Reason::StoreUnavailable, &error),
                }
            }
        };
        Answer::Refuse(Box::new(Refused {
            decision: DecisionKind::Deny,
            reason: refusal.reason,
            detail: refusal.detail.clone(),
            attestation_id,
            rates: Vec::new(),
            retry_after_seconds: None,
            agent_id: refusal.agent().map(|agent| agent.agent_id.clone()),
            action: None,
        }))
    }

    /// Refusals whose agent is unknown are bounded; those of a verified agent are always recorded.
    fn note(&self, refusal: &Refusal, stamp: Stamp) -> Fold {
        if refusal.agent().is_some() {
            return Fold::Record;
        }
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).note(stamp.now, refusal.reason)
    }

    async fn admit(&self, judged: Arc<Judged>, stamp: Stamp) -> Answer {
        let (sealer, case) = (Arc::clone(&self.writer), Arc::clone(&judged));
        let sealed = Arc::new(Mutex::new(None));
        let decided = Arc::clone(&sealed);
        let seal = Box::new(move |admission: &_, link: &_| {
            let decision = pipeline::decide(&case, admission);
            let entry = sealer.seal_decision(link, &stamp, case.view(&decision));
            *decided.lock().unwrap_or_else(PoisonError::into_inner) = Some(decision);
            entry
        });
        let admitted = self.state.admit(self.writer.chain_uid(), judged.demand().clone(), seal).await;
        let decision = sealed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (admitted, decision) {
            // The decision sealed last is the one in the record: a store that retries seals again.
            (Ok(Admitted { entry, .. }), Some(decision)) => Answer::of(&judged, decision, entry.index.attestation_id),
            (Ok(_), None) => fault(&judged, "the store admitted a decision that was never sealed".to_owned()),
            (Err(error), _) => fault(&judged, error.to_string()),
        }
    }

    /// Step 9: records what became of an allowed request.
    ///
    /// # Errors
    ///
    /// When the store cannot record it.
    pub async fn settle(&self, decision_id: String, outcome: OutcomeRecord, stamp: Stamp) -> Result<Entry, StoreError> {
        self.append(Body::Outcome { decision_id, outcome }, stamp).await
    }

    /// Revokes `subject`. When this returns, the next admission is refused.
    ///
    /// # Errors
    ///
    /// When the store cannot carry it out; the revocation may then be in force or not, and is safe to repeat.
    pub async fn revoke(&self, subject: Subject, stamp: Stamp) -> Result<Entry, StoreError> {
        let (sealer, body) = (Arc::clone(&self.writer), Body::Revocation(subject.clone()));
        let seal = Box::new(move |link: &_| sealer.seal(link, &stamp, body.clone()));
        self.state.revoke(self.writer.chain_uid(), subject, stamp.now.seconds(), seal).await
    }

    /// Records the refusals counted so far, if any. Hosts call this at least once a minute and before they stop.
    ///
    /// # Errors
    ///
    /// When the store cannot record it; the count is kept.
    pub async fn flush_refusals(&self, stamp: Stamp) -> Result<(), StoreError> {
        let taken = self.bound.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(folded) = taken else { return Ok(()) };
        let recorded = self.append(Body::Folded(folded.clone()), stamp).await;
        if recorded.is_err() {
            self.bound.lock().unwrap_or_else(PoisonError::into_inner).restore(folded);
        }
        recorded.map(|_| ())
    }

    async fn append(&self, body: Body, stamp: Stamp) -> Result<Entry, StoreError> {
        let sealer = Arc::clone(&self.writer);
        let seal = Box::new(move |link: &_| sealer.seal(link, &stamp, body.clone()));
        self.state.append(self.writer.chain_uid(), seal).await
    }
}

/// Steps 1 to 3. A panic in them is a fault, and a fault is a deny; where panics abort, the host's own isolation does
/// this.
fn judged(gate: &Gate, raw: &RawRequest<'_>, stamp: Stamp) -> Result<Judged, Refusal> {
    let steps = || {
        let parsed = pipeline::parse(gate, raw)?;
        let authenticated = pipeline::authenticate(gate, &parsed, stamp.now)?;
        Ok(pipeline::judge(gate, &authenticated))
    };
    catch_unwind(AssertUnwindSafe(steps))
        .unwrap_or_else(|_| Err(Refusal::fault(raw.method, raw.path, "the evaluator panicked".to_owned())))
}

impl Answer {
    /// A deny because the gate itself failed, with nothing recorded.
    pub fn refuse_fault(reason: Reason, cause: &dyn std::fmt::Display) -> Self {
        Self::Refuse(Box::new(Refused {
            decision: DecisionKind::Deny,
            reason,
            detail: cause.to_string(),
            attestation_id: None,
            rates: Vec::new(),
            retry_after_seconds: None,
            agent_id: None,
            action: None,
        }))
    }

    fn of(judged: &Judged, decision: Decision, attestation_id: String) -> Self {
        match decision.verdict {
            Verdict::Allow(permit) => Self::Forward(Box::new(Forward {
                permit,
                attestation_id,
                rates: decision.rates,
                agent_id: judged.agent().agent_id.clone(),
                action: judged.request().action.clone().unwrap_or_default(),
            })),
            _ => Self::Refuse(Box::new(refused(judged, decision, Some(attestation_id)))),
        }
    }
}

/// A deny because the store failed, with nothing recorded or nothing known of it.
fn fault(judged: &Judged, detail: String) -> Answer {
    let decision = judged.fault(Reason::StoreUnavailable);
    Answer::Refuse(Box::new(Refused { detail, ..refused(judged, decision, None) }))
}

fn refused(judged: &Judged, decision: Decision, attestation_id: Option<String>) -> Refused {
    let reason = decision.reason.unwrap_or(Reason::InternalError);
    Refused {
        decision: decision.verdict.kind(),
        reason,
        detail: reason.title().to_owned(),
        attestation_id,
        retry_after_seconds: decision.retry_after_seconds(),
        rates: decision.rates,
        agent_id: Some(judged.agent().agent_id.clone()),
        action: judged.request().action.clone(),
    }
}

#[cfg(test)]
mod tests;
