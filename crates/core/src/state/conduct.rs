//! What the state knows of an agent, and a judgement has to go by.
//!
//! How an agent behaves is known only in the state, and what follows from it is judged before. A request that was
//! judged as that of an agent like any other, and is not, is therefore not admitted: [`Admission::conduct`] says so,
//! nothing is consumed, and the request is judged once more, as what it is. Whoever is known for less than it was
//! judged as is admitted: that only restricts.
//!
//! [`Admission::conduct`]: super::Admission::conduct

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::risk::{self, Risk};
use super::rows::{RowCorrupt, RowMap, Write};
use super::session::{self, MAX_WINDOW_CALLS};
use super::{Admission, Demand};
use crate::attest::DecisionKind;

/// How an agent behaves, and how risky its request is, as far as that changes what it is judged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conduct {
    /// Its requests count as one class higher than they are.
    pub is_raised: bool,
    /// How risky this one is.
    pub risk: Risk,
}

impl Conduct {
    /// Whether nothing is known that changes anything.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What to write of an agent's behaviour after a request, by what becomes of it: one of them, with the record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// When it is allowed.
    pub allowed: Vec<Write>,
    /// When it is denied.
    pub denied: Vec<Write>,
    /// When it is held back.
    pub held: Vec<Write>,
}

impl Counted {
    /// The rows after this decision.
    pub fn after(self, decision: DecisionKind) -> Vec<Write> {
        match decision {
            DecisionKind::Allow => self.allowed,
            DecisionKind::Deny => self.denied,
            DecisionKind::StepUp => self.held,
        }
    }
}

/// Which of the last [`MAX_WINDOW_CALLS`] requests were of a kind, a bit each and the latest lowest, with one more.
pub(super) fn recent_after(bits: u64, is_of_kind: bool) -> u64 {
    ((bits << 1) | u64::from(is_of_kind)) & ((1 << MAX_WINDOW_CALLS) - 1)
}

/// What is known of the agent of a demand.
pub(super) struct Known {
    session: Option<session::Found>,
    risk: Option<risk::Known>,
}

impl Known {
    pub(super) fn find(demand: &Demand, rows: &impl RowMap) -> Result<Self, RowCorrupt> {
        Ok(Self {
            session: demand.session.as_ref().map(|claim| claim.find(rows, demand.now)).transpose()?,
            risk: demand.risk.as_ref().map(|claim| claim.find(rows, demand.now)).transpose()?,
        })
    }

    /// As what the request has to be judged, when it was judged as less.
    pub(super) fn misjudged(&self, judged: Conduct) -> Option<Conduct> {
        let actual = Conduct {
            is_raised: self.session.as_ref().is_some_and(|found| found.is_unusual),
            risk: self.risk.as_ref().map_or(Risk::Usual, |known| known.risk),
        };
        let worse = Conduct { is_raised: actual.is_raised || judged.is_raised, risk: actual.risk.max(judged.risk) };
        (worse != judged).then_some(worse)
    }

    pub(super) fn answer(&self, admission: &mut Admission) {
        admission.session = self.session.as_ref().map(|found| found.answer.clone());
        admission.risk = self.risk.as_ref().and_then(|known| known.answer);
    }

    /// What is written after the request. That the gate failed, or others used up a shared budget, is not the agent's doing.
    pub(super) fn counted(&self, demand: &Demand, admission: &Admission) -> Counted {
        let mut spends = demand.spends.iter().zip(&admission.spends);
        let shared = spends.any(|(claim, answer)| !answer.fits && matches!(claim.per.as_str(), "gate" | "tenant"));
        let is_excused = demand.is_excused || shared;
        let after = |decision| {
            let decision = if is_excused && decision == DecisionKind::Deny { DecisionKind::StepUp } else { decision };
            let session = demand.session.as_ref().zip(self.session.as_ref());
            let risk = demand.risk.as_ref().zip(self.risk.as_ref());
            let session = session.map(|(claim, found)| claim.after(found, decision, demand.now));
            session.into_iter().chain(risk.map(|(claim, known)| claim.after(known, decision, demand.now))).collect()
        };
        Counted {
            allowed: after(DecisionKind::Allow),
            denied: after(DecisionKind::Deny),
            held: after(DecisionKind::StepUp),
        }
    }
}
