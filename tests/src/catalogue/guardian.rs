//! The guardian: a score before the past of the agent, and no reviewer, which none of these surfaces has.

use anyhow::Result;
use passgate_api::bundle::Bundle;
use passgate_core::state::{Conduct, Risk};
use serde_json::{Value, json};

use super::approvals::{alices, of_conduct as of, with_approvers};
use super::policy::{SCOUT, ask, order, pay, policy, search};
use super::{Draft, Recipe};
use crate::agent::{PassportDraft, RequestDraft};

const RISK: Option<&str> = Some("risk_step_up");
const UNAVAILABLE: Option<&str> = Some("guardian_unavailable");

fn guarded(doc: &Value) -> Result<Bundle> {
    with_approvers(policy(json!({ "guardian": doc }))?)
}

/// A request that takes something away, of an agent that may.
fn delete() -> Result<RequestDraft> {
    let passport = PassportDraft::new("agent_scout", SCOUT, &["records:*"])?;
    Ok(RequestDraft::new("DELETE", "/records/7", &passport.issue()?, SCOUT))
}

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let spot = |step_up_at: u32| guarded(&json!({ "spot": { "step_up_at": step_up_at } }));
    let known = Draft::new("What an agent did before is less of a risk.", spot(55)?)
        .send(search()?, None)?
        .send(pay("1")?, None)?
        .send(order("1", "api.shop.example")?, RISK)?
        .send(pay("1.5")?, None)?;
    let amount = Draft::new("An amount ten times the largest is more of a risk.", spot(45)?)
        .send(pay("0")?, None)?
        .send(pay("1")?, None)?
        .send(pay("9.99")?, None)?
        .send(pay("99.9")?, RISK)?;
    let bundle = spot(45)?;
    let given = of(&bundle, pay("1")?, Conduct { risk: Risk::High, ..Conduct::default() })?;
    let approved = Draft::new("A person approves a risk, once.", bundle)
        .send(pay("1")?, RISK)?
        .send(alices(pay("1")?, &given)?, None)?
        .send(pay("1")?, None)?
        .send(pay("100")?, RISK)?;
    let mut refused = Draft::new(
        "Refusals are a risk, up to what is refused.",
        guarded(&json!({ "spot": { "step_up_at": 61, "deny_at": 62 } }))?,
    );
    for _ in 0..4 {
        refused = refused.send(ask("GET", "/nothing")?, Some("action_unmapped"))?;
    }
    let refused = refused.send(pay("1")?, Some("risk_denied"))?;
    let deep = Draft::new("What takes something away needs a reviewer.", spot(100)?).send(delete()?, UNAVAILABLE)?;
    let tier = Draft::new("And a score; what changes something needs neither.", guarded(&json!({}))?)
        .send(pay("1")?, None)?
        .send(delete()?, UNAVAILABLE)?;
    Ok(vec![
        ("guardian_known", known),
        ("guardian_amount_stepup", amount),
        ("guardian_approved_stepup", approved),
        ("guardian_refusals_deny", refused),
        ("guardian_no_reviewer_deny", deep),
        ("guardian_no_score_deny", tier),
    ])
}
