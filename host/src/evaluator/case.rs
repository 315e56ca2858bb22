//! A judged request, in whichever engine judged it.

use std::sync::Arc;

use passgate_api::driver::{Case, CaseError, Decided};
use passgate_core::attest::{
    AgentRecord, DecisionRecord, DelegatorRecord, Entry, EntryIndex, GateRecord, Kind, Link, RequestRecord,
    RevocationCheck, Stamp, Writer,
};
use passgate_core::pipeline::{Judged, Refusal};
use passgate_core::plugin::PluginRecord;
use passgate_core::review::Review;
use passgate_core::state::{Admission, Demand, NonceAnswer};
use passgate_passport::jwe::Seed;
use wasmtime::component::ResourceAny;

use super::bindings::exports::passgate::gate::evaluator as wit;
use super::convert;
use super::pool::Lent;
use crate::status_lists::Snapshot;

/// A judged request.
pub struct EngineCase(Judgement);

enum Judgement {
    /// Made in this program.
    Native(Box<Judged>),
    /// Made in an instance, which the request keeps until it is decided.
    Component(Box<ComponentCase>),
}

/// What plugins are shown of a judged request, beside its bytes: the members of `facts` in `wit/gate.wit`.
#[expect(missing_docs, reason = "each field is the member of that record with the same name")]
pub struct Shown {
    pub action: String,
    pub amount_micro_usd: Option<u64>,
    pub target_domain: Option<String>,
    pub agent_id: String,
    pub issuer: String,
    pub trust_tier: String,
    pub passport_id: String,
    pub key_thumbprint: String,
    pub permissions: Vec<String>,
    pub delegated_by: Vec<DelegatorRecord>,
    pub labels: Vec<String>,
    pub purpose: Option<String>,
    pub covered: Vec<(String, String)>,
    pub effect_class: Option<String>,
    pub task: Option<String>,
}

impl EngineCase {
    pub(super) fn native(judged: Judged) -> Self {
        Self(Judgement::Native(Box::new(judged)))
    }

    pub(super) fn component(case: ComponentCase) -> Self {
        Self(Judgement::Component(Box::new(case)))
    }

    /// Whether the request is denied already, whatever plugins say.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match &self.0 {
            Judgement::Native(judged) => judged.is_denied(),
            Judgement::Component(case) => case.facts.denied,
        }
    }

    /// What plugins are shown.
    #[must_use]
    pub fn shown(&self) -> Shown {
        match &self.0 {
            Judgement::Native(judged) => judged.as_ref().into(),
            Judgement::Component(case) => case.shown(),
        }
    }

    /// Takes in what plugins said. Gives the body to forward instead, when they or the policy take something out of it, or the
    /// policy encrypts something in it, with keys that are made from `seed`.
    ///
    /// # Errors
    ///
    /// When the evaluator fails. The request is refused.
    pub fn restrict(
        self,
        plugins: Vec<PluginRecord>,
        body: &[u8],
        seed: &Seed,
    ) -> Result<(Self, Option<Vec<u8>>), CaseError> {
        match self.0 {
            Judgement::Native(judged) => {
                let (judged, redacted) = judged.restrict(plugins, body, seed);
                Ok((Self::native(judged), redacted))
            }
            Judgement::Component(mut case) => {
                let redacted = case.restrict(plugins, body, seed).map_err(CaseError)?;
                Ok((Self(Judgement::Component(case)), redacted))
            }
        }
    }

    /// Whether a reviewer has to be asked, as [`Judged::wants_review`] says.
    #[must_use]
    pub fn wants_review(&self) -> bool {
        match &self.0 {
            Judgement::Native(judged) => judged.wants_review(),
            Judgement::Component(case) => case.facts.wants_review,
        }
    }

    /// What the decision needs from the state, as far as it is judged.
    #[must_use]
    pub fn demand(&self) -> &Demand {
        match &self.0 {
            Judgement::Native(judged) => judged.demand(),
            Judgement::Component(case) => case.demand(),
        }
    }

    /// Takes in what a reviewer said.
    ///
    /// # Errors
    ///
    /// When the evaluator fails. The request is refused.
    pub fn reviewed(self, review: Review) -> Result<Self, CaseError> {
        match self.0 {
            Judgement::Native(judged) => Ok(Self::native(judged.reviewed(review))),
            Judgement::Component(mut case) => {
                case.reviewed(review).map_err(CaseError)?;
                Ok(Self(Judgement::Component(case)))
            }
        }
    }

    /// How many records the passport and those above it permit.
    #[must_use]
    pub fn max_records(&self) -> Option<u64> {
        match &self.0 {
            Judgement::Native(judged) => judged.max_records(),
            Judgement::Component(case) => case.facts.max_records,
        }
    }

    /// The action, when the request was mapped.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        match &self.0 {
            Judgement::Native(judged) => judged.request().action.as_deref(),
            Judgement::Component(case) => case.action(),
        }
    }

    /// The case, ready to be admitted and decided.
    #[must_use]
    pub fn into_case(self) -> Box<dyn Case> {
        match self.0 {
            Judgement::Native(judged) => judged,
            Judgement::Component(case) => case,
        }
    }
}

impl From<&Judged> for Shown {
    fn from(judged: &Judged) -> Self {
        let (agent, request) = (judged.agent(), judged.request());
        Self {
            action: request.action.clone().unwrap_or_default(),
            amount_micro_usd: request.amount_micro_usd,
            target_domain: request.target_domain.clone(),
            agent_id: agent.agent_id.clone(),
            issuer: agent.issuer.clone(),
            trust_tier: agent.trust_tier.clone(),
            passport_id: agent.passport_id.clone(),
            key_thumbprint: agent.key_thumbprint.clone(),
            permissions: judged.permissions().to_vec(),
            delegated_by: agent.delegated_by.clone(),
            labels: agent.labels.clone(),
            purpose: agent.purpose.clone(),
            covered: judged.covered_fields().to_vec(),
            effect_class: request.effect_class.as_deref().map(str::to_owned),
            task: agent.task.clone(),
        }
    }
}

/// A request judged in an instance.
pub(super) struct ComponentCase {
    lent: Lent,
    judgement: ResourceAny,
    gate: Arc<Snapshot>,
    record: GateRecord,
    demand: Demand,
    facts: wit::Facts,
    plugins: Vec<PluginRecord>,
    request: (String, String),
}

impl ComponentCase {
    /// # Errors
    ///
    /// When the evaluator fails.
    pub(super) fn new(
        mut lent: Lent,
        judgement: ResourceAny,
        gate: &Arc<Snapshot>,
        request: (String, String),
    ) -> Result<Self, String> {
        let (demand, facts) = known(&mut lent, judgement)?;
        Ok(Self {
            lent,
            judgement,
            record: gate.record(),
            gate: Arc::clone(gate),
            demand,
            facts,
            plugins: Vec::new(),
            request,
        })
    }

    fn shown(&self) -> Shown {
        let facts = self.facts.clone();
        Shown {
            action: facts.action.unwrap_or_default(),
            amount_micro_usd: facts.amount,
            target_domain: facts.target_domain,
            agent_id: facts.agent_id,
            issuer: facts.issuer,
            trust_tier: facts.trust_tier,
            passport_id: facts.passport_id,
            key_thumbprint: facts.key_thumbprint,
            permissions: facts.permissions,
            delegated_by: facts.delegated_by.into_iter().map(convert::delegator).collect(),
            labels: facts.labels,
            purpose: facts.purpose,
            covered: facts.covered,
            effect_class: facts.effect_class,
            task: facts.task,
        }
    }

    fn restrict(&mut self, plugins: Vec<PluginRecord>, body: &[u8], seed: &Seed) -> Result<Option<Vec<u8>>, String> {
        let reports: Vec<_> = plugins.iter().map(convert::plugin_report).collect();
        let judgement = self.judgement;
        let redacted = self.lent.call(|instance| {
            let guest = instance.guest();
            guest.judgement().call_restrict(&mut instance.store, judgement, &reports, body, seed.as_bytes())
        })?;
        self.plugins.extend(plugins);
        self.read_again()?;
        redacted
    }

    fn reviewed(&mut self, review: Review) -> Result<(), String> {
        let (judgement, review) = (self.judgement, convert::review(review));
        self.lent
            .call(|instance| instance.guest().judgement().call_reviewed(&mut instance.store, judgement, &review))?;
        self.read_again()
    }

    /// What follows from what was taken in.
    fn read_again(&mut self) -> Result<(), String> {
        (self.demand, self.facts) = known(&mut self.lent, self.judgement)?;
        Ok(())
    }
}

/// What the host has to know of a judgement as it stands.
fn known(lent: &mut Lent, judgement: ResourceAny) -> Result<(Demand, wit::Facts), String> {
    let (demand, facts) = lent.call(|instance| {
        let guest = instance.guest();
        let demand = guest.judgement().call_demand(&mut instance.store, judgement)?;
        Ok((demand, guest.judgement().call_facts(&mut instance.store, judgement)?))
    })?;
    Ok((convert::demand(demand), facts))
}

impl Case for ComponentCase {
    fn gate(&self) -> &GateRecord {
        &self.record
    }

    fn demand(&self) -> &Demand {
        &self.demand
    }

    fn agent_id(&self) -> &str {
        &self.facts.agent_id
    }

    fn action(&self) -> Option<&str> {
        self.facts.action.as_deref()
    }

    fn plugins(&self) -> &[PluginRecord] {
        &self.plugins
    }

    fn decide(
        &mut self,
        writer: &Writer,
        admission: &Admission,
        link: &Link,
        stamp: &Stamp,
    ) -> Result<(Decided, Entry), CaseError> {
        let (admission, place) = (convert::admission(admission), convert::place(writer, link, stamp));
        let judgement = self.judgement;
        let decided = self.lent.call(|instance| {
            let (guest, chain) = (instance.guest(), instance.chain);
            guest.judgement().call_decide(&mut instance.store, judgement, &admission, chain, &place)
        });
        let decided = decided.and_then(|answered| answered).map_err(CaseError)?;
        let (decided, draft) = convert::decided(decided, writer).map_err(CaseError)?;
        let index = EntryIndex {
            attestation_id: draft.attestation_id,
            chain_uid: writer.chain_uid().to_owned(),
            seq: link.seq,
            kind: Kind::Decision,
            timestamp_ms: stamp.now.0,
            gate_id: self.record.gate_id.clone(),
            agent_id: Some(self.facts.agent_id.clone()),
            decision: Some(decided.verdict.kind()),
        };
        Ok((decided, writer.seal_draft(draft.signing_input, index)))
    }

    /// What the host knows of the request: the instance that knows the rest is gone.
    fn fault(&self, admission: &Admission) -> DecisionRecord {
        let (method, path) = &self.request;
        let (facts, early) = (self.facts.clone(), Refusal::fault(method, path, String::new()));
        let is_fresh = admission.nonce == NonceAnswer::Fresh;
        let record = early.record(&self.gate, self.demand.now);
        DecisionRecord {
            agent: Some(AgentRecord {
                agent_id: facts.agent_id,
                delegated_by: facts.delegated_by.into_iter().map(convert::delegator).collect(),
                issuer: facts.issuer,
                key_thumbprint: facts.key_thumbprint,
                labels: facts.labels,
                passport_id: facts.passport_id,
                passport_sha256: facts.passport_sha256,
                purpose: facts.purpose,
                task: facts.task,
                trust_tier: facts.trust_tier,
            }),
            evaluator: self.lent.evaluator().clone(),
            plugins: self.plugins.clone(),
            request: RequestRecord {
                action: facts.action,
                amount_micro_usd: facts.amount,
                target_domain: facts.target_domain,
                ..record.request
            },
            revocation: if is_fresh { RevocationCheck::Admission } else { RevocationCheck::NotChecked },
            ..record
        }
    }
}

impl Drop for ComponentCase {
    fn drop(&mut self) {
        let judgement = self.judgement;
        // One that fails is thrown away with its instance.
        let _dropped = self.lent.call(|instance| judgement.resource_drop(&mut instance.store));
    }
}

#[cfg(test)]
mod tests;
