//! Steps 1 to 3: judged by the evaluator, narrowed by the operator's plugins.

use std::sync::Arc;

use passgate_api::driver::{CaseError, RefusalRecord};
use passgate_core::attest::Stamp;
use passgate_core::pipeline::{RawRequest, Refusal, ResponseRules};
use passgate_core::reason::Reason;
use passgate_core::state::Conduct;
use passgate_passport::jwe::Seed;

use super::Core;
use super::reviewer::Asked;
use crate::evaluator::EngineCase;
use crate::plugins::Question;
use crate::status_lists::Snapshot;

/// A judged request, the body to forward instead of its own when plugins, rules or the search for personal data take something
/// out of it or encrypt it, and what its response is held against.
type Answered = (EngineCase, Option<Vec<u8>>, Option<ResponseRules>);

/// Judges one request. What is encrypted of it has keys that are made from `seed`, which no other request has.
///
/// # Errors
///
/// The refusal to record. Waiting for an instance and for plugins counts towards the time for a decision.
pub(super) async fn judge(
    core: &Core,
    raw: &RawRequest<'_>,
    stamp: Stamp,
    conduct: Conduct,
    seed: &Seed,
) -> Result<Answered, RefusalRecord> {
    let gate = core.gate.get();
    let judging = judge_and_ask(core, &gate, raw, stamp, conduct, seed);
    let judged = tokio::time::timeout(core.limits.decision_timeout, judging).await.unwrap_or_else(|_| {
        let detail = "no judgement within the deadline".to_owned();
        let refusal = Refusal::early(raw.method, raw.path, Reason::GateOverloaded, detail);
        Err(RefusalRecord::new(&gate, &refusal, stamp.now))
    });
    let (case, redacted, rules) = judged?;
    let body = redacted.as_deref().unwrap_or(raw.body);
    let case = review(core, &gate, case, raw, body).await.map_err(|error| {
        RefusalRecord::new(&gate, &Refusal::fault(raw.method, raw.path, error.to_string()), stamp.now)
    })?;
    Ok((case, redacted, rules))
}

/// Asks the reviewer, where the request takes one that the state does not refuse as it stands: a replay and a request over its
/// rate cost no review. It has a deadline of its own; without a reviewer the request stays refused.
async fn review(
    core: &Core,
    gate: &Snapshot,
    case: EngineCase,
    raw: &RawRequest<'_>,
    body: &[u8],
) -> Result<EngineCase, CaseError> {
    let Some(reviewer) = core.reviewer.as_ref().filter(|_| case.wants_review()) else { return Ok(case) };
    let looking = tokio::time::timeout(core.limits.decision_timeout, core.store.look(case.demand()));
    if !looking.await.is_ok_and(|seen| seen.is_ok_and(|admission| !admission.refuses())) {
        return Ok(case);
    }
    let path = gate.shown_path(raw.path);
    let asked = Asked { shown: case.shown(), method: raw.method, path: &path, body };
    let review = reviewer.review(asked).await;
    case.reviewed(review)
}

async fn judge_and_ask(
    core: &Core,
    gate: &Arc<Snapshot>,
    raw: &RawRequest<'_>,
    stamp: Stamp,
    conduct: Conduct,
    seed: &Seed,
) -> Result<Answered, RefusalRecord> {
    let case = core.engine.judge(gate, raw, stamp.now, conduct).await?;
    let rules = gate.response_rules(raw.method, raw.path, case.max_records());
    let fault = |error: &dyn std::fmt::Display| {
        RefusalRecord::new(gate, &Refusal::fault(raw.method, raw.path, error.to_string()), stamp.now)
    };
    if !core.plugins.concerns(case.action().unwrap_or_default()) {
        return if gate.redacts() {
            let restricted = case.restrict(Vec::new(), raw.body, seed).map_err(|error| fault(&error));
            restricted.map(|(case, body)| (case, body, rules))
        } else {
            Ok((case, None, rules))
        };
    }
    // Who waits for plugins holds an instance of the evaluator: some are left for those who need no plugin.
    let Ok(_asking) = core.limits.asking.try_acquire() else {
        let detail = "too many requests wait for plugins".to_owned();
        let refusal = Refusal::early(raw.method, raw.path, Reason::GateOverloaded, detail);
        return Err(RefusalRecord::new(gate, &refusal, stamp.now));
    };
    let question = Question::new(case.shown(), gate, raw, stamp.now);
    let said = core.plugins.evaluate(question, case.is_denied()).await;
    let (case, body) = case.restrict(said, raw.body, seed).map_err(|error| fault(&error))?;
    Ok((case, body, rules))
}
