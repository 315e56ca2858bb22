//! A request after the steps that need no state, and the steps that do.

use std::cell::RefCell;

use passgate_api::driver::{Decided, RefusalRecord, Refused};
use passgate_core::attest::Body;
use passgate_core::attest::DelegatorRecord;
use passgate_core::pipeline::{self, Ask, Judged, Verdict};
use passgate_core::state::{self, LoadedRows};

use crate::bindings::exports::passgate::gate::evaluator as wit;
use crate::chain::Chain;
use crate::convert;

pub(crate) struct Judgement(RefCell<Judged>);

impl Judgement {
    pub(crate) fn new(judged: Judged) -> Self {
        Self(RefCell::new(judged))
    }
}

fn delegator(delegator: &DelegatorRecord) -> wit::Delegator {
    let DelegatorRecord { agent_id, key_thumbprint, passport_id } = delegator.clone();
    wit::Delegator { agent_id, key_thumbprint, passport_id }
}

impl wit::GuestJudgement for Judgement {
    fn facts(&self) -> wit::Facts {
        let judged = self.0.borrow();
        let (agent, request) = (judged.agent(), judged.request());
        wit::Facts {
            action: request.action.clone(),
            amount: request.amount_micro_usd,
            target_domain: request.target_domain.clone(),
            agent_id: agent.agent_id.clone(),
            issuer: agent.issuer.clone(),
            trust_tier: agent.trust_tier.clone(),
            passport_id: agent.passport_id.clone(),
            passport_sha256: agent.passport_sha256.clone(),
            key_thumbprint: agent.key_thumbprint.clone(),
            permissions: judged.permissions().to_vec(),
            delegated_by: agent.delegated_by.iter().map(delegator).collect(),
            labels: agent.labels.clone(),
            purpose: agent.purpose.clone(),
            task: agent.task.clone(),
            max_records: judged.max_records(),
            covered: judged.covered_fields().to_vec(),
            denied: judged.is_denied(),
            effect_class: request.effect_class.as_deref().map(str::to_owned),
            wants_review: judged.wants_review(),
        }
    }

    fn restrict(
        &self,
        plugins: Vec<wit::PluginReport>,
        body: Vec<u8>,
        random: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, String> {
        let seed = convert::seed(random)?;
        let plugins = plugins.into_iter().map(convert::plugin_record).collect();
        let (judged, forwarded) = self.0.borrow().clone().restrict(plugins, &body, &seed);
        *self.0.borrow_mut() = judged;
        Ok(forwarded)
    }

    fn reviewed(&self, review: wit::Review) {
        let judged = self.0.borrow().clone().reviewed(convert::review(review));
        *self.0.borrow_mut() = judged;
    }

    fn demand(&self) -> wit::Demand {
        convert::demand(self.0.borrow().demand())
    }

    fn row_keys(&self) -> Vec<String> {
        self.0.borrow().demand().row_keys()
    }

    fn admit(&self, rows: Vec<wit::Row>) -> Result<wit::Admitted, String> {
        let rows: LoadedRows = rows.into_iter().map(|row| (row.key, row.value)).collect();
        let admitted = state::admit(self.0.borrow().demand(), &rows).map_err(|error| error.to_string())?;
        Ok(wit::Admitted {
            admission: convert::admission(admitted.admission),
            writes: admitted.writes.into_iter().map(convert::write).collect(),
            charges: admitted.charged.into_iter().map(convert::from_charge).collect(),
            counted: convert::counted(admitted.counted),
        })
    }

    fn decide(
        &self,
        admission: wit::Admission,
        chain: wit::ChainBorrow<'_>,
        place: wit::Place,
    ) -> Result<wit::Decided, String> {
        let judged = self.0.borrow();
        let chain = chain.get::<Chain>();
        if judged.gate() != chain.gate() {
            return Err("the request was judged for another gate than the chain's".to_owned());
        }
        if admission.conduct.is_some() {
            return Err("nothing was admitted: judge the request once more, as `admission.conduct` says".to_owned());
        }
        let decision = pipeline::decide(&judged, &convert::into_admission(admission));
        let (link, stamp) = convert::place(&place)?;
        let draft = chain.chain().draft_decision(&link, &stamp, judged.view(&decision));
        let draft = convert::draft(&draft, &place.kid);
        let rates = decision.rates.iter().cloned().map(convert::rate).collect();
        let verdict = convert::verdict(decision.verdict.kind());
        if decision.verdict == Verdict::Mint {
            let pass = judged.pass_to_mint(&decision, &stamp).ok_or("a pass was decided on and none was made")?;
            let mint = Some(convert::mint_draft(&pass, &place.kid)?);
            return Ok(wit::Decided {
                verdict: wit::Verdict::Mint,
                permit: None,
                mint,
                refused: None,
                ask: None,
                rates,
                draft,
            });
        }
        if let Verdict::Allow(permit) = decision.verdict {
            let permit = Some(permit.hand_over().to_bytes());
            return Ok(wit::Decided { verdict, permit, mint: None, refused: None, ask: None, rates, draft });
        }
        let ask = judged.approval_to_ask(decision.verdict.kind());
        let ask = ask.map(|Ask { agent, shown, ttl_seconds }| wit::Ask { agent, shown, ttl_seconds });
        let refused = convert::refused(Refused::of(&*judged, Decided::new(decision, None, None), None));
        Ok(wit::Decided { verdict, permit: None, mint: None, refused: Some(refused), ask, rates, draft })
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.borrow().to_bytes()
    }
}

pub(crate) struct Refusal(RefusalRecord);

impl Refusal {
    pub(crate) fn new(record: RefusalRecord) -> Self {
        Self(record)
    }
}

impl wit::GuestRefusal for Refusal {
    fn refused(&self) -> wit::Refused {
        convert::refused(self.0.refused(None))
    }

    fn attest(&self, chain: wit::ChainBorrow<'_>, place: wit::Place) -> Result<wit::Draft, String> {
        let chain = chain.get::<Chain>();
        if self.0.gate() != chain.gate() {
            return Err("the request was refused by another gate than the chain's".to_owned());
        }
        let body: Body = self.0.body();
        chain.draft(&body, &place)
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}
