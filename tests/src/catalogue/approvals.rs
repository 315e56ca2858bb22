//! Approvals: what people sign of what a gate holds back.
//!
//! What approvers are shown follows from the policy and the request, so the recipes have the gate make it and sign it
//! themselves: every gate has to make the same.

use anyhow::{Context as _, Result};
use passgate_api::bundle::Bundle;
use passgate_api::driver::Judge;
use passgate_core::attest::DecisionKind;
use passgate_core::state::{Conduct, Subject};
use passgate_core::time::UnixMillis;
use passgate_passport::action::Agent;
use passgate_passport::action_pass::ACTION_PASS_FIELD;
use passgate_passport::approval::{self, APPROVAL_FIELD, Approval, Grant};
use passgate_passport::constraints::Constraints;
use passgate_passport::scope::Scope;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::operator_rules::enforced;
use super::policy::{PERMISSIONS, SCOUT, jwk, pay, policy, search};
use super::{Draft, Recipe, millis};
use crate::agent::{ISSUER, NOW, PassportDraft, RequestDraft, key, with_other_signature};
use crate::surface::{evaluator, seed, stamp};
use crate::traffic::{headers, raw};

const ALICE: u8 = 21;
const BOB: u8 = 22;
const REQUIRED: Option<&str> = Some("approval_required");
const MISMATCH: Option<&str> = Some("approval_content_mismatch");

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = single()?;
    recipes.extend(refusals()?);
    recipes.extend(several()?);
    recipes.extend(grants()?);
    Ok(recipes)
}

pub(super) fn with_approvers(mut bundle: Bundle) -> Result<Bundle> {
    bundle.approvals = Some(serde_json::from_value(json!({ "approvers": [
        { "name": "alice", "key": jwk(ALICE)?, "roles": ["finance"] },
        { "name": "bob", "key": jwk(BOB)?, "roles": ["security"] },
        { "name": "scout", "key": jwk(SCOUT)? },
    ] }))?);
    Ok(bundle)
}

/// Above 10 USD somebody approves.
fn approved(more: &Value) -> Result<Bundle> {
    let mut guardrails = more.as_object().context("guardrails are an object")?.clone();
    guardrails.insert("approval_workflows".to_owned(), json!({ "require_approval_above_usd": 10 }));
    with_approvers(policy(guardrails.into())?)
}

/// SHA-256 of what approvers are shown of a request under this policy.
fn shown(bundle: &Bundle, draft: RequestDraft, conduct: Conduct) -> Result<[u8; 32]> {
    let gate = bundle.compile(evaluator())?;
    let request = draft.nonce("nonce-of-what-is-shown").created(NOW).sign()?;
    let headers = headers(&request);
    let raw = raw(&request, &headers);
    let judged = Judge::new().judge_as(&gate, &raw, UnixMillis(millis(NOW)), conduct);
    let judged = judged.map_err(|refusal| anyhow::anyhow!(refusal.detail))?;
    let judged = judged.restrict(Vec::new(), raw.body, &seed(stamp(millis(NOW), 0))).0;
    let ask = judged.approval_to_ask(DecisionKind::StepUp).context("the request needs approval")?;
    Ok(Sha256::digest(ask.shown).into())
}

pub(super) fn of(bundle: &Bundle, draft: RequestDraft) -> Result<Approval> {
    of_conduct(bundle, draft, Conduct::default())
}

/// Of a request as it is judged of an agent that behaves like this.
pub(super) fn of_conduct(bundle: &Bundle, draft: RequestDraft, conduct: Conduct) -> Result<Approval> {
    Ok(Approval {
        audience: "gate_conformance".to_owned(),
        exp: NOW + 600,
        grant: None,
        iat: NOW,
        issuer: "alice".to_owned(),
        jti: "appr_01ARYZ6S410000000000000001".to_owned(),
        request_id: "areq_01ARYZ6S410000000000000002".to_owned(),
        shown_sha256: shown(bundle, draft, conduct)?,
    })
}

fn by_bob(approval: &Approval) -> Approval {
    Approval { issuer: "bob".to_owned(), jti: "appr_01ARYZ6S410000000000000003".to_owned(), ..approval.clone() }
}

fn signed(seed: u8, approval: &Approval) -> Result<String> {
    Ok(approval::sign(&key(seed), approval)?)
}

fn with(request: RequestDraft, tokens: &[String]) -> RequestDraft {
    request.header(APPROVAL_FIELD, &tokens.join(", "))
}

pub(super) fn alices(request: RequestDraft, approval: &Approval) -> Result<RequestDraft> {
    Ok(with(request, &[signed(ALICE, approval)?]))
}

fn single() -> Result<Vec<Recipe>> {
    let bundle = approved(&json!({}))?;
    let given = of(&bundle, pay("12.5")?)?;
    let once = Draft::new("What a person approves is let through once.", bundle.clone())
        .send(pay("12.5")?, REQUIRED)?
        .at(30)
        .send(alices(pay("12.5")?, &given)?, None)?
        .send(alices(pay("12.5")?, &given)?, Some("approval_used"))?;
    let idle = Draft::new("What needs no approval uses none.", bundle.clone())
        .send(alices(search()?, &given)?, None)?
        .send(alices(pay("12.5")?.dpop(), &given)?, None)?;
    let changed = Draft::new("An approval is of what was shown, down to its last byte.", bundle.clone())
        .send(alices(pay("12.51")?, &given)?, MISMATCH)?
        .send(alices(pay("12.50")?, &given)?, MISMATCH)?
        .send(alices(pay("12.5")?, &given)?, None)?;
    let newer = Bundle { version: 8, ..bundle.clone() };
    let policy = Draft::new("An approval is of what was shown under one policy.", newer)
        .send(alices(pay("12.5")?, &given)?, MISMATCH)?;
    let mut renewed = PassportDraft::new("agent_scout", SCOUT, PERMISSIONS)?;
    renewed.claims.exp += 1;
    let renewed = RequestDraft::new("POST", "/pay", &renewed.issue()?, SCOUT).json(r#"{"amount":12.5}"#);
    let other = PassportDraft::new("agent_courier", 12, PERMISSIONS)?.issue()?;
    let other = RequestDraft::new("POST", "/pay", &other, 12).json(r#"{"amount":12.5}"#);
    let passport = Draft::new("An approval is of one passport's request, and of no other agent's.", bundle.clone())
        .send(alices(renewed, &given)?, MISMATCH)?
        .send(alices(other, &given)?, MISMATCH)?;
    let unspent_policy = approved(&json!({ "rate_limits": { "requests_per_minute": 1 } }))?;
    let kept = of(&unspent_policy, pay("12.5")?)?;
    let unspent = Draft::new("What is refused otherwise costs no approval.", unspent_policy)
        .send(search()?, None)?
        .send(alices(pay("12.5")?, &kept)?, Some("rate_limit_exceeded"))?
        .at(60)
        .send(alices(pay("12.5")?, &kept)?, None)?
        .at(120)
        .send(alices(pay("12.5")?, &kept)?, Some("approval_used"))?;
    let withdrawn = |subject: Subject| {
        Draft::new("An approval that was taken back is none.", bundle.clone())
            .send(pay("12.5")?, REQUIRED)?
            .revoke(subject)
            .send(alices(pay("12.5")?, &given)?, Some("approval_revoked"))
    };
    let alice = key(ALICE).public().thumbprint().to_owned();
    Ok(vec![
        ("approval_used_once_deny", once),
        ("approval_not_needed", idle),
        ("approval_changed_action", changed),
        ("approval_other_policy_deny", policy),
        ("approval_other_passport_deny", passport),
        ("approval_unspent_deny", unspent),
        ("approval_withdrawn_deny", withdrawn(Subject::Approval(given.jti.clone()))?),
        ("approval_request_withdrawn_deny", withdrawn(Subject::Approval(given.request_id.clone()))?),
        ("approval_of_revoked_approver_deny", withdrawn(Subject::Key(alice))?),
    ])
}

fn refusals() -> Result<Vec<Recipe>> {
    let bundle = approved(&json!({}))?;
    let given = of(&bundle, pay("12.5")?)?;
    let elsewhere = Approval { audience: "gate_2".to_owned(), ..given.clone() };
    let early = Approval { iat: NOW + 60, ..given.clone() };
    let late = Approval { iat: NOW - 60, exp: NOW - 1, ..given.clone() };
    let forged = with_other_signature(&signed(ALICE, &given)?);
    let others = Draft::new("What no approver of this gate signed for it is no approval.", bundle.clone())
        .send(alices(pay("12.5")?, &elsewhere)?, Some("approval_audience_mismatch"))?
        .send(with(pay("12.5")?, &[signed(BOB, &given)?]), Some("approval_issuer_mismatch"))?
        .send(with(pay("12.5")?, &[signed(99, &given)?]), Some("approval_key_unknown"))?
        .send(with(pay("12.5")?, &[forged]), Some("approval_signature_invalid"))?
        .send(alices(pay("12.5")?, &early)?, Some("approval_not_yet_valid"))?
        .send(alices(pay("12.5")?, &late)?, Some("approval_expired"))?
        .send(with(pay("12.5")?, &["e30.e30.AA".to_owned()]), Some("approval_malformed"))?
        .send(with(pay("12.5")?, &vec![signed(ALICE, &given)?; 2]), Some("approval_malformed"))?;
    let mut own = given.clone();
    own.issuer = "scout".to_owned();
    let own = Draft::new("An agent approves nothing of its own.", bundle)
        .send(with(pay("12.5")?, &[signed(SCOUT, &own)?]), Some("approval_self"))?;
    let nobody = policy(json!({ "approval_workflows": { "require_approval_above_usd": 10 } }))?;
    let nobody = Draft::new("Where nobody approves, nothing is approved.", nobody)
        .send(alices(pay("12.5")?, &given)?, Some("approval_refused"))?;
    Ok(vec![("approval_of_others_deny", others), ("approval_own_deny", own), ("approval_no_policy_deny", nobody)])
}

fn several() -> Result<Vec<Recipe>> {
    const RULES: &str = r#"
rules:
  - {name: payments, effect: allow, when: {actions: ["payments:*"]}}
  - {name: large, effect: step_up, when: {amount_usd: {above: 50}}, approval: {count: 1, roles: [finance]}}
  - {name: huge, effect: step_up, when: {amount_usd: {above: 90}}, approval: {count: 2, roles: [finance, security]}}
"#;
    let bundle = with_approvers(enforced(RULES)?)?;
    let waits = Some("rule_step_up");
    let given = of(&bundle, pay("100")?)?;
    let (alice, bob) = (signed(ALICE, &given)?, signed(BOB, &by_bob(&given))?);
    let both = Draft::new("Every rule that asks wants its own people, and each of them once.", bundle.clone())
        .send(with(pay("100")?, std::slice::from_ref(&bob)), waits)?
        .send(with(pay("100")?, std::slice::from_ref(&alice)), waits)?
        .send(with(pay("100")?, &[bob.clone(), alice.clone()]), None)?
        .send(with(pay("100")?, &[alice, bob]), Some("approval_used"))?;
    let given = of(&bundle, pay("60")?)?;
    let role = Draft::new("Who has none of the roles does not count.", bundle)
        .send(with(pay("60")?, &[signed(BOB, &by_bob(&given))?]), waits)?
        .send(alices(pay("60")?, &given)?, None)?
        .send(pay("60")?, waits)?;
    Ok(vec![("approval_by_two_deny", both), ("approval_role_stepup", role)])
}

fn granting(approval: Approval, uses: u64, constraints: &Value) -> Result<Approval> {
    let grant = Grant {
        agent: Agent { id: "agent_scout".to_owned(), issuer: ISSUER.to_owned() },
        holder_jkt: None,
        needs: vec!["approval_required".to_owned()],
        constraints: match constraints {
            Value::Null => Constraints::default(),
            limits => Constraints::from_json(limits.to_string().as_bytes(), 4096)?,
        },
        permissions: vec![Scope::parse("payments:create")?],
        uses,
    };
    Ok(Approval { grant: Some(grant), ..approval })
}

fn grants() -> Result<Vec<Recipe>> {
    let bundle = approved(&json!({}))?;
    let given = of(&bundle, pay("12.5")?)?;
    let three = granting(given.clone(), 3, &Value::Null)?;
    let thrice = Draft::new("A grant is good as often as it says.", bundle.clone())
        .send(alices(pay("12.5")?, &three)?, None)?
        .send(alices(pay("20")?, &three)?, None)?
        .send(alices(pay("5")?, &three)?, None)?
        .send(alices(pay("11")?, &three)?, None)?
        .send(alices(pay("11")?, &three)?, Some("approval_used"))?;
    let limits = json!({ "spend": { "per_transaction_micro_usd": 20_000_000, "total_micro_usd": 30_000_000 } });
    let bounded = granting(given.clone(), 9, &limits)?;
    let bounds = Draft::new("A grant bounds what it lets through.", bundle.clone())
        .send(alices(pay("21")?, &bounded)?, Some("approval_out_of_bounds"))?
        .send(alices(pay("20")?, &bounded)?, None)?
        .send(alices(pay("10.5")?, &bounded)?, Some("spend_total_exceeded"))?;
    let task = granting(given.clone(), 9, &json!({ "task": "t-1" }))?;
    let mut other = three.clone();
    if let Some(grant) = &mut other.grant {
        grant.agent.id = "agent_courier".to_owned();
    }
    let outside = Draft::new("A grant is for one agent and its task.", bundle)
        .send(alices(pay("12.5")?, &task)?, Some("approval_out_of_bounds"))?
        .send(alices(pay("12.5")?, &other)?, Some("approval_agent_mismatch"))?;
    let mut minting = approved(&json!({}))?;
    minting.action_passes = Some(serde_json::from_value(json!({}))?);
    let given = of(&minting, pay("12.5")?)?;
    let pass = Draft::new("A pass is minted for what is approved, and names the approval.", minting.clone())
        .send(pay("12.5")?.header(ACTION_PASS_FIELD, "mint"), REQUIRED)?
        .mint(alices(pay("12.5")?, &given)?, "mint")?
        .send(alices(pay("12.5")?, &given)?.header(ACTION_PASS_FIELD, "mint"), Some("approval_used"))?;
    Ok(vec![
        ("approval_grant_used_up_deny", thrice),
        ("approval_grant_bounds_deny", bounds),
        ("approval_grant_outside_deny", outside),
        ("approval_for_pass_deny", pass),
    ])
}
