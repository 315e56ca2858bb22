//! Steps 3 to 6 of a request at a gate with a guardian: by what its action does, it is looked at in one, two or three tiers.
//!
//! | class | tiers |
//! | --- | --- |
//! | `read` | fast: the guardrails and rules themselves |
//! | `write` | fast, and spot where the policy has it |
//! | `destructive`, `admin` | fast, spot and deep; where one is missing, refused |
//!
//! Spot is a score of the request before the past of its agent, see [`RiskClaim`]. Deep is a reviewer that the host asks.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};

use super::authenticate::Authenticated;
use super::decide::{Evidence, outcome_of, record};
use super::judge::{Finding, Judged, Mapped};
use super::passes::{self, JudgedValues, PassUse};
use super::restrict::first_reason;
use crate::approval::Need;
use crate::attest::{EvidenceValue, GuardrailOutcome, GuardrailRecord};
use crate::gate::{Gate, Spot};
use crate::reason::Reason;
use crate::review::Review;
use crate::route::EffectClass;
use crate::state::{Admission, Conduct, Risk, RiskClaim, Scored, agent_key};

const GUARDRAIL: &str = "guardian";

/// A passport that was issued so many seconds ago is young, and brand new.
const YOUNG_SECONDS: [i64; 2] = [3_600, 600];
const YOUNG: u32 = 5;
const BRAND_NEW: u32 = 10;

/// What is known of a request at a gate with a guardian before a reviewer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guarded {
    /// What the guardrails' own tiers say.
    pub(super) finding: Finding,
    /// Whether it takes a reviewer.
    pub(super) takes_review: bool,
}

impl Guarded {
    const NOT_APPLICABLE: Self = Self { finding: Finding::NotApplicable, takes_review: false };
}

/// A one-action pass was looked at when it was minted, and stands for the approval of a risk.
pub(super) fn judge(
    gate: &Gate,
    mapped: Option<Mapped<'_>>,
    conduct: Conduct,
    pass: &Result<Option<PassUse>, Reason>,
) -> Guarded {
    let Some(guardian) = &gate.guardrails.guardian else { return Guarded::NOT_APPLICABLE };
    let class = mapped.map_or(EffectClass::Read, |mapped| mapped.class);
    let is_grave = class >= EffectClass::Destructive;
    let finding = match conduct.risk {
        _ if is_grave && guardian.spot.is_none() => Finding::Fail(Reason::GuardianUnavailable),
        Risk::TooHigh => Finding::Fail(Reason::RiskDenied),
        Risk::High if !passes::redeems(pass) => Finding::Fail(Reason::RiskStepUp),
        Risk::High | Risk::Usual => Finding::Pass,
    };
    Guarded { finding, takes_review: is_grave }
}

/// The approval that a risk wants.
pub(super) fn need(guarded: Guarded) -> Option<Need> {
    let reason_code = Reason::RiskStepUp;
    (guarded.finding == Finding::Fail(reason_code)).then(|| Need::of(reason_code))
}

/// The request before the past of its agent. Those that only read are counted.
pub(super) fn claim(
    gate: &Gate,
    authenticated: &Authenticated<'_>,
    mapped: Option<Mapped<'_>>,
    judged: &JudgedValues<'_>,
) -> Option<RiskClaim> {
    let spot = gate.guardrails.guardian.as_ref()?.spot?;
    let credential = &authenticated.credential;
    let agent = agent_key(credential.issuer(), credential.vouched_agent_id());
    let scored = mapped.and_then(|mapped| {
        let class = class_points(mapped.class)?;
        let Spot { step_up_at, deny_at } = spot;
        Some(Scored {
            action: mapped.route.action.as_str().to_string(),
            domain: judged.target_domain.map(String::from),
            amount: judged.amount.map(|amount| amount.0),
            class,
            credential: credential_points(authenticated),
            high_at: step_up_at,
            too_high_at: deny_at,
        })
    });
    Some(RiskClaim { key: [gate.id.as_str(), ":", &agent].concat(), scored, learns: true })
}

fn class_points(class: EffectClass) -> Option<u32> {
    match class {
        EffectClass::Read => None,
        EffectClass::Write => Some(10),
        EffectClass::Destructive => Some(30),
        EffectClass::Admin => Some(40),
    }
}

/// The youngest passport of a chain counts. An agent without any has none that grew old.
fn credential_points(authenticated: &Authenticated<'_>) -> u32 {
    // What an agent says of its own passport is no age.
    let vouched = Some(&authenticated.credential).filter(|credential| !credential.is_self_issued());
    let issued = vouched.and_then(|credential| credential.links().map(|link| link.claims.iat).max());
    let [young, brand_new] = YOUNG_SECONDS;
    match issued.map(|issued| authenticated.now.seconds().saturating_sub(issued)) {
        Some(age) if age >= young => 0,
        Some(age) if age >= brand_new => YOUNG,
        _ => BRAND_NEW,
    }
}

impl Judged {
    /// Whether a reviewer has to be asked: nothing else is known to be missing, and it would be refused without one.
    pub fn wants_review(&self) -> bool {
        self.review_is_due
    }

    /// Takes in what a reviewer said of the request, after [`Judged::restrict`].
    #[must_use]
    pub fn reviewed(mut self, review: Review) -> Self {
        self.review = Some(review);
        self.settle_demand();
        self.note_forwarded();
        self
    }

    /// Whether no reviewer is needed, or one let the request through.
    pub(super) fn passes_review(&self) -> bool {
        !self.takes_review || self.review.as_ref().is_some_and(|review| review.outcome.reason_code().is_none())
    }

    /// Why the reviewer's part does not let the request through.
    pub(super) fn review_reason(&self) -> Option<Reason> {
        match &self.review {
            None => self.review_is_due.then_some(Reason::GuardianUnavailable),
            Some(review) => review.outcome.reason_code(),
        }
    }
}

/// Nothing at a gate without a guardian.
pub(super) fn guardrail(judged: &Judged, admission: &Admission) -> Option<GuardrailRecord> {
    let finding = judged.findings.guardian;
    if finding == Finding::NotApplicable {
        return None;
    }
    let mut evidence = Evidence::new();
    let mut put = |name: &'static str, value| _ = evidence.insert(Cow::Borrowed(name), value);
    let scored = judged.demand.is_scored();
    put("tier", EvidenceValue::Text(tier(judged, scored).to_string()));
    if let Some(risk) = &admission.risk {
        put("risk", EvidenceValue::Number(risk.total().into()));
        risk.parts().iter().filter(|(_, points)| *points > 0).for_each(|(name, points)| {
            put(name, EvidenceValue::Number((*points).into()));
        });
    }
    if let Some(Review { confidence, model, outcome, reason }) = &judged.review {
        put("review", EvidenceValue::Text(outcome.as_str().to_string()));
        put("review_model", EvidenceValue::Text(model.clone()));
        confidence.iter().for_each(|percent| put("review_confidence", EvidenceValue::Number((*percent).into())));
        reason.iter().for_each(|reason| put("review_reason", EvidenceValue::Text(reason.clone())));
    }
    if scored && admission.risk.is_none() {
        return Some(record(GUARDRAIL, GuardrailOutcome::NotEvaluated, None, evidence));
    }
    let reason = first_reason([finding.reason(), judged.review_reason()].into_iter().flatten());
    Some(record(GUARDRAIL, outcome_of(reason), reason, evidence))
}

fn tier(judged: &Judged, scored: bool) -> &'static str {
    if judged.takes_review {
        "deep"
    } else if scored {
        "spot"
    } else {
        "fast"
    }
}
