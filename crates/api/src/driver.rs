//! The driver: one request through parse, authenticate, judge, admit, decide and attest.
//!
//! It does what every host does alike and nothing a host does its own way: no sockets, no timers, no clock. The host
//! gives the time and the random bits of each record in a [`Stamp`], puts a deadline around the returned futures, and
//! forwards with the [`Forward`] it gets. Whatever goes wrong here ends as [`Answer::Refuse`].

mod approvals;
mod case;
mod handover;
mod judge;
mod pen;
mod rotate;
mod standing;

use std::sync::{Arc, Mutex, PoisonError};

use passgate_core::attest::{
    Body, Chain, DecisionKind, Entry, FoldedRecord, GapRecord, GateRecord, Link, OutcomeRecord, PluginKeyRecord,
    PreviousChain, ReconciliationRecord, Stamp, Writer, sha256_label,
};
use passgate_core::flood::{Fold, RefusalBound};
use passgate_core::gate::Gate;
use passgate_core::pipeline::{self, Ask, Permit, RateView, RawRequest, Refusal, Verdict};
use passgate_core::plugin::PluginVerdict;
use passgate_core::reason::Reason;
use passgate_core::state::{Admission, Conduct, NonceAnswer, Subject};
use passgate_store::{Admitted, SealRecord, Settlement, State, StoreError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use pen::Pen;

#[cfg(feature = "http")]
pub(crate) use approvals::ANSWER_RETRY_SECONDS;
pub use approvals::{ApprovalNotice, GivenAnswer, new_request, used_up};
pub use case::{Case, CaseError, Decided};
pub use handover::RefusalRecord;
pub use judge::{Judge, judge};
pub use passgate_core::pipeline::HandoffError;

/// Carries requests through their life over one store and one chain.
pub struct Driver {
    state: Arc<dyn State>,
    chain: Chain,
    pen: Arc<Pen>,
    bound: Arc<Mutex<RefusalBound>>,
    judge: Judge,
}

/// What the host does next.
#[derive(Debug)]
pub enum Answer {
    /// Forward exactly what was judged, then settle.
    Forward(Box<Forward>),
    /// Answer with a one-action pass; nothing is forwarded, and there is nothing to settle.
    Mint(Box<Minted>),
    /// Answer with a problem document; nothing is forwarded.
    Refuse(Box<Refused>),
}

/// The request was judged as what it is not: judge it once more, as that of an agent that behaves like this. Nothing was
/// decided, consumed or recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misjudged(pub Conduct);

/// How often a request is judged. Behaviour only gets worse from one time to the next, and has as many steps.
pub const MAX_JUDGED: usize = 4;

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

/// An allow of a request that asked for a one-action pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minted {
    /// The pass.
    pub pass: MintedPass,
    /// The decision's record.
    pub attestation_id: String,
    /// The rate counters for the answer's fields.
    pub rates: Vec<RateView>,
    /// The agent's id, for logs and metrics.
    pub agent_id: String,
    /// The action, for logs and metrics.
    pub action: String,
}

/// A one-action pass, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintedPass {
    /// The pass.
    pub token: String,
    /// SHA-256 of the action that it is for.
    pub action_sha256: String,
    /// The last Unix second in which it is good.
    pub expires_at: i64,
}

/// A deny or a step_up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// The plugin whose answer this is, when it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRefusal>,
    /// The request for approval that waits, where people were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalNotice>,
}

/// What a plugin has against a request, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginRefusal {
    /// The name the operator gave it.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Who may approve, when approval is what it asks for; empty is anybody who may approve at this gate.
    pub roles: Vec<String>,
}

impl Driver {
    /// Starts a new chain in `state` and returns the driver that writes it. `writer` must be new.
    ///
    /// # Errors
    ///
    /// When the store cannot record the start.
    pub async fn start(state: Arc<dyn State>, writer: Writer, stamp: Stamp) -> Result<Self, StoreError> {
        Self::start_after(state, writer, None, stamp).await
    }

    /// As [`Driver::start`], of a gate with several stores: the first chain in `state` names `elsewhere`, a chain of
    /// another store, as the one before.
    ///
    /// # Errors
    ///
    /// When the store cannot record the start.
    pub async fn start_after(
        state: Arc<dyn State>,
        writer: Writer,
        elsewhere: Option<PreviousChain>,
        stamp: Stamp,
    ) -> Result<Self, StoreError> {
        let driver = Self::new(state, writer);
        let pen = Arc::clone(&driver.pen);
        let seal = Box::new(move |here: Option<PreviousChain>, link: &Link| {
            pen.at(link).seal(link, &stamp, Body::Start(here.or_else(|| elsewhere.clone())))
        });
        driver.state.start_chain(driver.chain_uid(), seal).await?;
        Ok(driver)
    }

    /// Goes on with a chain that `state` holds already, with a record that says so, and returns the driver that writes
    /// it. `writer` must be made for that chain, and nobody else may write it any more.
    ///
    /// # Errors
    ///
    /// When the store cannot record the restart, or holds no such chain.
    pub async fn resume(state: Arc<dyn State>, writer: Writer, stamp: Stamp) -> Result<Self, StoreError> {
        let driver = Self::new(state, writer);
        driver.append(Body::Restart, stamp).await?;
        Ok(driver)
    }

    fn new(state: Arc<dyn State>, writer: Writer) -> Self {
        Self {
            state,
            chain: writer.chain().clone(),
            pen: Arc::new(Pen::new(writer)),
            bound: Arc::default(),
            judge: Judge::default(),
        }
    }

    /// Records that something may be missing from the chain, such as what was kept in memory before a restart.
    ///
    /// # Errors
    ///
    /// When the store cannot record it.
    pub async fn gap(&self, gap: GapRecord, stamp: Stamp) -> Result<Entry, StoreError> {
        self.append(Body::Gap(gap), stamp).await
    }

    /// The writer of this driver's chain under the key that is in force, for what is signed outside the chain. Records are
    /// sealed by [`Driver::writer_at`].
    pub fn writer(&self) -> Arc<Writer> {
        self.pen.settled()
    }

    /// The writer of the record at `link`. Ask within the seal that a store calls, when the place of the record is known.
    pub fn writer_at(&self, link: &Link) -> Arc<Writer> {
        self.pen.at(link)
    }

    /// The gate whose records this driver makes.
    pub fn gate(&self) -> &GateRecord {
        self.chain.gate()
    }

    /// The chain that it writes.
    pub fn chain_uid(&self) -> &str {
        self.chain.uid()
    }

    /// Decides one request under one snapshot of the gate, steps 1 to 7.
    ///
    /// It gives no body, so it does not restrict: where rules or the search for personal data want something taken out of this
    /// one, the request is refused. A host that forwards such bodies judges, calls [`Judged::restrict`](pipeline::Judged::restrict)
    /// and admits.
    pub async fn decide(&self, gate: &Gate, raw: &RawRequest<'_>, stamp: Stamp) -> Answer {
        let mut conduct = Conduct::default();
        for _ in 0..MAX_JUDGED {
            let judged = match self.judge.judge_as(gate, raw, stamp.now, conduct) {
                Ok(judged) => judged,
                Err(refusal) => return self.refuse(gate, &refusal, stamp).await,
            };
            match self.admit(Box::new(judged), stamp).await {
                Ok(answer) => return answer,
                Err(Misjudged(as_it_is)) => conduct = as_it_is,
            }
        }
        Answer::unsettled()
    }

    /// Records and answers a refusal of steps 1 and 2, or one the host found before the request could be read. Past a
    /// bound a minute refusals are counted instead; see [`Driver::flush_refusals`].
    pub async fn refuse(&self, gate: &Gate, refusal: &Refusal, stamp: Stamp) -> Answer {
        self.record_refusal(&RefusalRecord::new(gate, refusal, stamp.now), stamp).await
    }

    /// As [`Driver::refuse`], of a refusal found here, or found elsewhere and handed over.
    pub async fn record_refusal(&self, refusal: &RefusalRecord, stamp: Stamp) -> Answer {
        if refusal.gate() != self.gate() {
            return Answer::fault(Reason::InternalError, &"the request was refused by another gate", None);
        }
        let attestation_id = match note(&self.bound, stamp, refusal.reason()) {
            Fold::Counted => None,
            Fold::Record => match self.append(refusal.body(), stamp).await {
                Ok(entry) => Some(entry.index.attestation_id),
                Err(error) => return Answer::fault(Reason::StoreUnavailable, &error, None),
            },
        };
        Answer::Refuse(Box::new(refusal.refused(attestation_id)))
    }

    /// Steps 4 to 7 of a request judged here, or judged elsewhere and handed over.
    ///
    /// # Errors
    ///
    /// [`Misjudged`], at most [`MAX_JUDGED`] times less one in a row.
    pub async fn admit(&self, case: Box<dyn Case>, stamp: Stamp) -> Result<Answer, Misjudged> {
        if case.gate() != self.gate() {
            let why = "the request was judged for another gate";
            return Ok(Answer::fault(Reason::InternalError, &why, Some(case.as_ref())));
        }
        let demand = case.demand().clone();
        let sealing = Arc::new(Mutex::new(Sealing { case, decided: None }));
        let (pen, shared, bound) = (Arc::clone(&self.pen), Arc::clone(&sealing), Arc::clone(&self.bound));
        let seal = Box::new(move |admission: &Admission, link: &Link| {
            if admission.conduct.is_some() {
                return None;
            }
            let mut sealing = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (decided, entry) = sealing.seal(&pen.at(link), admission, link, stamp);
            // A replay consumed nothing, and whoever saw one request can send it for ever.
            let replayed = decided.as_ref().ok().and_then(|decided| decided.reason);
            let replayed = replayed.filter(|_| admission.nonce != NonceAnswer::Fresh);
            let counted = replayed.is_some_and(|reason| note(&bound, stamp, reason) == Fold::Counted);
            sealing.decided = Some(decided);
            (!counted).then_some(entry)
        });
        let admitted = self.state.admit(self.chain_uid(), demand, seal).await;
        if let Ok(Admitted { admission: Admission { conduct: Some(conduct), .. }, .. }) = admitted {
            return Err(Misjudged(conduct));
        }
        let decided = sealing.lock().unwrap_or_else(PoisonError::into_inner).decided(admitted);
        Ok(self.follow_approvals(decided, stamp).await)
    }

    /// Step 9: records what became of an allowed request, and says in the record what became of the budgets it charged:
    /// [`OutcomeResult::budget`](passgate_core::attest::OutcomeResult::budget). Settling again gives nothing back.
    ///
    /// # Errors
    ///
    /// When the store cannot record it; what was charged may then be given back or not.
    pub async fn settle(&self, decision_id: String, outcome: OutcomeRecord, stamp: Stamp) -> Result<Entry, StoreError> {
        let how = Settlement::Outcome(outcome.result.budget());
        let (pen, id) = (Arc::clone(&self.pen), decision_id.clone());
        let seal = Box::new(move |budget, link: &Link| {
            let outcome = OutcomeRecord { budget, ..outcome.clone() };
            pen.at(link).seal(link, &stamp, Body::Outcome { decision_id: id.clone(), outcome })
        });
        self.state.settle(self.chain_uid(), &decision_id, how, seal).await
    }

    /// Says what became of an allowed request whose outcome was not known, with its record, and gives back what it charged or
    /// leaves it charged for good.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotHeld`] when there is nothing to say it of; else when the store cannot record it: what was charged may
    /// then be given back or not, and it is safe to repeat.
    pub async fn reconcile(
        &self,
        decision_id: &str,
        reconciliation: ReconciliationRecord,
        stamp: Stamp,
    ) -> Result<Entry, StoreError> {
        let how = Settlement::Reconciliation { budget: reconciliation.budget, now: stamp.now.seconds() };
        let body = Body::Reconciliation { decision_id: decision_id.to_owned(), reconciliation };
        let mut seal = self.sealing(body, stamp);
        self.state.settle(self.chain_uid(), decision_id, how, Box::new(move |_, link: &Link| seal(link))).await
    }

    /// Revokes `subject`. When this returns, the next admission is refused.
    ///
    /// # Errors
    ///
    /// When the store cannot carry it out; the revocation may then be in force or not, and is safe to repeat.
    pub async fn revoke(&self, subject: Subject, stamp: Stamp) -> Result<Entry, StoreError> {
        let seal = self.sealing(Body::Revocation(subject.clone()), stamp);
        self.state.revoke(self.chain_uid(), subject, stamp.now.seconds(), seal).await
    }

    /// Gives `key` of the plugin `plugin` this value, or deletes it without one; the record has the value's digest. When
    /// this returns, the plugin reads it.
    ///
    /// # Errors
    ///
    /// [`StoreError::PluginKey`] when something is outside its limits; else when the store cannot carry it out: the change
    /// may then be in force or not, and is safe to repeat.
    pub async fn set_plugin_key(
        &self,
        plugin: &str,
        key: &str,
        value: Option<Vec<u8>>,
        stamp: Stamp,
    ) -> Result<Entry, StoreError> {
        let value_sha256 = value.as_ref().map(|value| sha256_label(&Sha256::digest(value).into()));
        let changed = PluginKeyRecord { key: key.to_owned(), plugin: plugin.to_owned(), value_sha256 };
        let seal = self.sealing(Body::PluginKey(changed), stamp);
        self.state.set_plugin_key(self.chain_uid(), plugin, key, value, seal).await
    }

    /// Records refusals that were counted elsewhere.
    ///
    /// # Errors
    ///
    /// When the store cannot record them.
    pub async fn fold(&self, folded: FoldedRecord, stamp: Stamp) -> Result<Entry, StoreError> {
        self.append(Body::Folded(folded), stamp).await
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
        self.state.append(self.chain_uid(), self.sealing(body, stamp)).await
    }

    fn sealing(&self, body: Body, stamp: Stamp) -> SealRecord {
        let pen = Arc::clone(&self.pen);
        Box::new(move |link: &Link| pen.at(link).seal(link, &stamp, body.clone()))
    }
}

fn note(bound: &Mutex<RefusalBound>, stamp: Stamp, reason: Reason) -> Fold {
    bound.lock().unwrap_or_else(PoisonError::into_inner).note(stamp.now, reason)
}

/// A case while the store asks for its record.
struct Sealing {
    case: Box<dyn Case>,
    decided: Option<Result<Decided, CaseError>>,
}

/// A decision whose record is stored, or a fault, with what follows from it for requests for approval.
struct Followed {
    answer: Answer,
    /// What is asked of approvers.
    ask: Option<Ask>,
    /// The requests whose approvals were used up.
    used: Vec<String>,
}

impl Sealing {
    fn decided(&mut self, admitted: Result<Admitted, StoreError>) -> Followed {
        let decided = self.decided.take();
        let case = self.case.as_ref();
        let (mut ask, mut used) = (None, Vec::new());
        let answer = match (admitted, decided) {
            // The decision sealed last is the one in the record: a store that retries seals again.
            (Ok(Admitted { entry, .. }), Some(Ok(mut decided))) => {
                ask = decided.ask.take();
                used = approvals::used_up(case.demand(), decided.verdict.kind(), decided.reason);
                Answer::of(case, decided, entry)
            }
            (Ok(Admitted { entry, .. }), Some(Err(error))) => {
                Answer::recorded_fault(Reason::InternalError, &error, Some(case), entry)
            }
            (Ok(_), None) => Answer::fault(Reason::InternalError, &"the store sealed no decision", Some(case)),
            (Err(error), _) => Answer::fault(Reason::StoreUnavailable, &error, Some(case)),
        };
        Followed { answer, ask, used }
    }

    /// Steps 6 and 7. An evaluator that fails here leaves a record that says so: its demand is consumed by then.
    fn seal(
        &mut self,
        writer: &Writer,
        admission: &Admission,
        link: &Link,
        stamp: Stamp,
    ) -> (Result<Decided, CaseError>, Entry) {
        match self.case.decide(writer, admission, link, &stamp) {
            Ok((decided, entry)) => (Ok(decided), entry),
            Err(error) => {
                let entry = writer.seal(link, &stamp, Body::Decision(Box::new(self.case.fault(admission))));
                (Err(error), entry)
            }
        }
    }
}

impl Answer {
    /// The one function that turns a fault into a deny: the store, the clock, randomness or the gate itself failed, so
    /// nothing is recorded, or nothing is known of it.
    pub fn fault(reason: Reason, cause: &dyn std::fmt::Display, case: Option<&dyn Case>) -> Self {
        Self::recorded_fault(reason, cause, case, None)
    }

    /// The refusal of a request whose agent behaves otherwise whenever it is judged.
    pub fn unsettled() -> Self {
        Self::fault(Reason::InternalError, &"the agent behaves otherwise each time the request is judged", None)
    }

    fn recorded_fault(
        reason: Reason,
        cause: &dyn std::fmt::Display,
        case: Option<&dyn Case>,
        entry: Option<Entry>,
    ) -> Self {
        Self::Refuse(Box::new(Refused {
            decision: DecisionKind::Deny,
            reason,
            detail: cause.to_string(),
            attestation_id: entry.map(|entry| entry.index.attestation_id),
            rates: Vec::new(),
            retry_after_seconds: None,
            agent_id: case.map(|case| case.agent_id().to_owned()),
            action: case.and_then(|case| case.action().map(str::to_owned)),
            plugin: None,
            approval: None,
        }))
    }

    /// An allow goes ahead only with its record, and so does a pass.
    fn of(case: &dyn Case, decided: Decided, entry: Option<Entry>) -> Self {
        let attestation_id = entry.map(|entry| entry.index.attestation_id);
        match (decided.verdict, attestation_id) {
            (Verdict::Allow(permit), Some(attestation_id)) => Self::Forward(Box::new(Forward {
                permit,
                attestation_id,
                rates: decided.rates,
                agent_id: case.agent_id().to_owned(),
                action: case.action().unwrap_or_default().to_owned(),
            })),
            (Verdict::Mint, Some(attestation_id)) => match decided.minted {
                Some(pass) => Self::Mint(Box::new(Minted {
                    pass,
                    attestation_id,
                    rates: decided.rates,
                    agent_id: case.agent_id().to_owned(),
                    action: case.action().unwrap_or_default().to_owned(),
                })),
                None => Self::fault(Reason::InternalError, &"a pass was decided on and none was made", Some(case)),
            },
            (Verdict::Allow(_) | Verdict::Mint, None) => {
                Self::fault(Reason::InternalError, &"an allow without a record", Some(case))
            }
            (verdict, attestation_id) => {
                Self::Refuse(Box::new(Refused::of(case, Decided { verdict, ..decided }, attestation_id)))
            }
        }
    }
}

impl Refused {
    /// The refusal of `case`. `attestation_id` is its record, `None` when it is only counted.
    pub fn of(case: &dyn Case, decided: Decided, attestation_id: Option<String>) -> Self {
        let reason = decided.reason.unwrap_or(Reason::InternalError);
        let plugin = plugin_refusal(case, reason);
        let said = plugin.as_ref().map(|plugin| format!("{}: {}", plugin.name, plugin.reason));
        Self {
            decision: decided.verdict.kind(),
            reason,
            detail: said.unwrap_or_else(|| reason.title().to_owned()),
            attestation_id,
            retry_after_seconds: pipeline::retry_after_seconds(&decided.rates),
            rates: decided.rates,
            agent_id: Some(case.agent_id().to_owned()),
            action: case.action().map(str::to_owned),
            plugin,
            approval: None,
        }
    }
}

/// What the plugin says whose answer the refusal is. How plugins fail is the operator's business.
fn plugin_refusal(case: &dyn Case, reason: Reason) -> Option<PluginRefusal> {
    let decisive = case.plugins().iter().find(|plugin| plugin.reason_code() == Some(reason))?;
    matches!(decisive.verdict, Some(PluginVerdict::Deny | PluginVerdict::StepUp)).then(|| PluginRefusal {
        name: decisive.name.clone(),
        reason: decisive.reason.clone().unwrap_or_default(),
        roles: decisive.roles.clone(),
    })
}

#[cfg(test)]
mod tests;
