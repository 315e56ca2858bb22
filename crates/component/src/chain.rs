//! The records of one chain.

use passgate_core::attest::{self, Body, GateRecord, OutcomeRecord, PreviousChain, ReconciliationRecord, sha256_label};

use crate::bindings::exports::passgate::gate::evaluator as wit;
use crate::convert;
use crate::gate::Gate;

pub(crate) struct Chain {
    uid: String,
    gate: GateRecord,
    chain: attest::Chain,
}

impl Chain {
    pub(crate) fn gate(&self) -> &GateRecord {
        &self.gate
    }

    pub(crate) fn chain(&self) -> &attest::Chain {
        &self.chain
    }

    /// # Errors
    ///
    /// When the place is none.
    pub(crate) fn draft(&self, body: &Body, place: &wit::Place) -> Result<wit::Draft, String> {
        let (link, stamp) = convert::place(place)?;
        Ok(convert::draft(&self.chain.draft(&link, &stamp, body), &place.kid))
    }
}

impl wit::GuestChain for Chain {
    fn open(gate: wit::GateBorrow<'_>, now: u64, random: Vec<u8>) -> Result<wit::Chain, String> {
        let uid = convert::stamp(now, &random)?.chain_uid();
        let gate = gate.get::<Gate>().get().record();
        let chain = attest::Chain::new(uid.clone(), gate.clone());
        Ok(wit::Chain::new(Self { uid, gate, chain }))
    }

    fn uid(&self) -> String {
        self.uid.clone()
    }

    fn start(&self, previous: Option<wit::PreviousChain>, place: wit::Place) -> Result<wit::Draft, String> {
        let previous = previous.map(|previous| {
            let head = convert::digest(&previous.head_sha256)?;
            Ok::<_, String>(PreviousChain {
                chain_uid: previous.chain_uid,
                head_sha256: sha256_label(&head),
                size: previous.size,
            })
        });
        self.draft(&Body::Start(previous.transpose()?), &place)
    }

    fn revocation(&self, subject: wit::Subject, place: wit::Place) -> Result<wit::Draft, String> {
        self.draft(&Body::Revocation(convert::subject(subject)), &place)
    }

    fn suspension(&self, subject: wit::Subject, place: wit::Place) -> Result<wit::Draft, String> {
        self.draft(&Body::Suspension(convert::subject(subject)), &place)
    }

    fn reinstatement(&self, subject: wit::Subject, place: wit::Place) -> Result<wit::Draft, String> {
        self.draft(&Body::Reinstatement(convert::subject(subject)), &place)
    }

    fn outcome(&self, decision_id: String, outcome: wit::Outcome, place: wit::Place) -> Result<wit::Draft, String> {
        let (budget, result) = (outcome.budget.map(convert::budget), convert::outcome_result(outcome.result));
        let outcome = OutcomeRecord {
            budget,
            duration_ms: outcome.duration_ms,
            request_bytes: outcome.request_bytes,
            response: None,
            response_bytes: outcome.response_bytes,
            response_sha256: outcome.response_sha256,
            result,
            status: outcome.status,
        };
        self.draft(&Body::Outcome { decision_id, outcome }, &place)
    }

    fn reconciliation(
        &self,
        decision_id: String,
        budget: wit::BudgetOutcome,
        note: Option<String>,
        place: wit::Place,
    ) -> Result<wit::Draft, String> {
        let reconciliation = ReconciliationRecord { budget: convert::budget(budget), note };
        if let Some(problem) = reconciliation.problem() {
            return Err(problem.to_owned());
        }
        self.draft(&Body::Reconciliation { decision_id, reconciliation }, &place)
    }
}
