//! One-action passes.
//!
//! A pass that a gate mints follows from the policy, the request and the step, so the recipes sign it themselves: what
//! gates and recipes say of one action has to be the same.

use anyhow::{Context as _, Result};
use passgate_api::bundle::Bundle;
use passgate_core::attest::Writer;
use passgate_passport::action::{Action, ActionHash, Agent};
use passgate_passport::action_pass::{ACTION_PASS_FIELD, ActionPass, mint};
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::jws::{self, TokenType};
use passgate_passport::scope::ActionName;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::policy::{PERMISSIONS, SCOUT, ask, pay, plain, policy, search};
use super::{Draft, Recipe, millis};
use crate::agent::{HOST, ISSUER, NOW, PassportDraft, RequestDraft, SCHEME, key, with_other_signature};
use crate::surface::{attestation_key, stamp};

const COURIER: u8 = 12;
const GATE: &str = "gate_conformance";
const MISMATCH: Option<&str> = Some("action_pass_content_mismatch");

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = redemptions()?;
    recipes.extend(bindings()?);
    recipes.extend(moments()?);
    recipes.extend(refusals()?);
    recipes.extend(limits()?);
    Ok(recipes)
}

/// A policy with these guardrails and passes.
fn passes(guardrails: Value, passes: Value) -> Result<Bundle> {
    let mut bundle = policy(guardrails)?;
    bundle.action_passes = Some(serde_json::from_value(passes)?);
    Ok(bundle)
}

/// What the gate judges of a request, whose route has this name.
fn action(draft: &RequestDraft, name: &str, amount_micro_usd: Option<u64>) -> Result<ActionHash> {
    let (path, query) = draft.request.path_and_query();
    let headers: Vec<Header<'_>> =
        draft.request.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let body = draft.request.body.as_bytes();
    let request = HttpRequest {
        method: &draft.request.method,
        scheme: SCHEME,
        authority: HOST,
        path,
        query,
        headers: &headers,
        body,
    };
    let agent = Agent { id: "agent_scout".to_owned(), issuer: ISSUER.to_owned() };
    let action = Action::of_request(GATE, &request, agent, Sha256::digest(&draft.passport).into())?;
    let name = Some(ActionName::parse(name)?);
    Ok(Action { name, amount_micro_usd, ..action }.hash()?)
}

/// The pass that a gate mints at [`NOW`] with the first step of a case, bound to the key of the agent.
fn pass(action: ActionHash) -> ActionPass {
    let attestation_id = Writer::attestation_id(&stamp(millis(NOW), 1));
    ActionPass {
        action,
        approvals: Vec::new(),
        jti: attestation_id.replacen("att_", "actp_", 1),
        attestation_id,
        audience: GATE.to_owned(),
        exp: NOW + 120,
        holder_jkt: Some(key(SCOUT).public().thumbprint().to_owned()),
        iat: NOW,
        issuer: GATE.to_owned(),
    }
}

/// The request with a pass, signed as the gate does.
fn with(request: RequestDraft, pass: &ActionPass) -> Result<RequestDraft> {
    Ok(request.header(ACTION_PASS_FIELD, &mint(&attestation_key(), pass)?))
}

fn searching() -> Result<ActionPass> {
    Ok(pass(action(&search()?, "web:search", None)?))
}

fn paying() -> Result<ActionPass> {
    Ok(pass(action(&pay("12.5")?, "payments:create", Some(12_500_000))?))
}

fn redemptions() -> Result<Vec<Recipe>> {
    let good = passes(json!({}), json!({}))?;
    let once = Draft::new("A pass is minted for what is allowed, and redeemed for that.", good.clone())
        .mint(search()?, "mint")?
        .at(119)
        .send(with(search()?, &searching()?)?, None)?;
    let twice = Draft::new("A pass is redeemed once.", good.clone())
        .mint(pay("12.5")?, "mint;v=1")?
        .send(with(pay("12.5")?, &paying()?)?, None)?
        .send(with(pay("12.5")?, &paying()?)?, Some("action_pass_redeemed"))?
        .at(120)
        .send(with(pay("12.5")?, &paying()?)?, Some("action_pass_redeemed"))?;
    let dpop = Draft::new("A pass asked for with one form of proof is redeemed with the other.", good.clone())
        .mint(search()?.dpop(), "mint")?
        .send(with(search()?, &searching()?)?, None)?
        .mint(search()?, "mint")?
        .send(with(search()?.dpop(), &searching()?)?, Some("action_pass_redeemed"))?;
    let once_more = with(search()?, &searching()?)?.nonce("nonce-of-a-redemption").sign()?;
    let replay = Draft::new("A request that is replayed is no second redemption.", good)
        .mint(search()?, "mint")?
        .wire(once_more.clone(), None)?
        .wire(once_more, Some("nonce_replayed"))?;
    Ok(vec![
        ("action_pass_minted_and_redeemed", once),
        ("action_pass_redeemed_deny", twice),
        ("action_pass_of_dpop_deny", dpop),
        ("action_pass_replayed_proof_deny", replay),
    ])
}

fn bindings() -> Result<Vec<Recipe>> {
    let good = passes(json!({}), json!({}))?;
    let post = ask("POST", "/pay")?;
    let paid = || post.clone();
    let typed = |kind: &str| paid().header("content-type", kind).body(r#"{"amount":12.5}"#);
    let changed =
        Draft::new("A pass is for the action down to its last byte, and what is refused leaves it unspent.", good)
            .mint(pay("12.5")?, "mint")?
            .send(with(pay("12.6")?, &paying()?)?, MISMATCH)?
            .send(with(pay("12.50")?, &paying()?)?, MISMATCH)?
            .send(with(paid().json(r#"{"amount":12.5} "#), &paying()?)?, MISMATCH)?
            .send(with(typed("application/json;charset=utf-8"), &paying()?)?, MISMATCH)?
            .send(with(ask("POST", "/pay?draft=1")?.json(r#"{"amount":12.5}"#), &paying()?)?, MISMATCH)?
            .send(with(ask("POST", "/pay?")?.json(r#"{"amount":12.5}"#), &paying()?)?, MISMATCH)?
            .send(with(ask("POST", "/pay/micro")?.json(r#"{"amount":12500000}"#), &paying()?)?, MISMATCH)?
            .send(with(search()?, &paying()?)?, MISMATCH)?
            .send(with(typed("application/json"), &paying()?)?, None)?;
    let file = |method: &str| ask(method, "/files/a");
    let reading = pass(action(&file("GET")?, "files:read", None)?);
    let method = Draft::new("A pass is for one method and one coding of the body.", passes(json!({}), json!({}))?)
        .mint(file("GET")?, "mint")?
        .send(with(file("POST")?, &reading)?, MISMATCH)?
        .send(with(file("GET")?.header("content-encoding", "gzip"), &reading)?, MISMATCH)?
        .send(with(file("GET")?, &reading)?, None)?;
    let mut renewed = PassportDraft::new("agent_scout", SCOUT, PERMISSIONS)?;
    renewed.claims.exp += 1;
    let renewed = RequestDraft::new("GET", "/search?q=bread", &renewed.issue()?, SCOUT);
    let passport = Draft::new("A pass is for the passport that it was asked for with.", passes(json!({}), json!({}))?)
        .mint(search()?, "mint")?
        .send(with(renewed, &searching()?)?, MISMATCH)?;
    let courier = PassportDraft::new("agent_courier", COURIER, PERMISSIONS)?.issue()?;
    let courier = RequestDraft::new("GET", "/search?q=bread", &courier, COURIER);
    let others = Draft::new("A pass is nobody else's.", passes(json!({}), json!({ "version": 0 }))?)
        .mint(search()?, "mint;v=0")?
        .send(with(courier, &ActionPass { holder_jkt: None, ..searching()? })?, MISMATCH)?;
    let other_key = ActionPass { holder_jkt: Some(key(COURIER).public().thumbprint().to_owned()), ..searching()? };
    let key = Draft::new("A pass of version 1 is for the key that it names.", passes(json!({}), json!({}))?)
        .send(with(search()?, &other_key)?, Some("action_pass_key_mismatch"))?;
    let unbound = ActionPass { holder_jkt: None, ..searching()? };
    let unbound_taken =
        Draft::new("A gate may take passes that are bound to no key.", passes(json!({}), json!({ "version": 0 }))?)
            .mint(search()?, "mint;v=0")?
            .send(with(search()?, &unbound)?, None)?
            .mint(search()?, "mint")?;
    let required = Some("action_pass_key_required");
    let unbound = Draft::new(
        "A gate takes only passes that are bound to a key, unless its policy says otherwise.",
        passes(json!({}), json!({}))?,
    )
    .send(search()?.header(ACTION_PASS_FIELD, "mint;v=0"), required)?
    .send(with(search()?, &unbound)?, required)?;
    Ok(vec![
        ("action_pass_changed_action", changed),
        ("action_pass_other_method", method),
        ("action_pass_other_passport_deny", passport),
        ("action_pass_other_agent_deny", others),
        ("action_pass_other_key_deny", key),
        ("action_pass_without_key", unbound_taken),
        ("action_pass_key_required_deny", unbound),
    ])
}

fn moments() -> Result<Vec<Recipe>> {
    let expired = Some("action_pass_expired");
    let late = Draft::new("A pass ends with its lifetime and the gate's leeway.", passes(json!({}), json!({}))?)
        .mint(search()?, "mint")?
        .at(151)
        .send(with(search()?, &searching()?)?, expired)?;
    let last = Draft::new("The last second of a pass counts.", passes(json!({}), json!({}))?)
        .mint(search()?, "mint")?
        .at(150)
        .send(with(search()?, &searching()?)?, None)?;
    let mut lenient = passes(json!({}), json!({ "ttl_seconds": 300 }))?;
    lenient.gate.leeway_seconds = 300;
    let longest = ActionPass { exp: NOW + 300, ..searching()? };
    let ended = Draft::new("No leeway makes a pass last for more than five minutes.", lenient.clone())
        .mint(search()?, "mint")?
        .at(300)
        .send(with(search()?, &longest)?, None)?
        .at(301)
        .send(with(search()?, &longest)?, expired)?;
    let early = ActionPass { iat: NOW + 31, exp: NOW + 60, ..searching()? };
    let early = Draft::new("A pass of the future is none.", passes(json!({}), json!({}))?)
        .send(with(search()?, &early)?, Some("action_pass_not_yet_valid"))?
        .at(1)
        .send(with(search()?, &early)?, None)?;
    Ok(vec![
        ("action_pass_late_deny", late),
        ("action_pass_last_second", last),
        ("action_pass_longest_deny", ended),
        ("action_pass_early", early),
    ])
}

/// A pass with changed claims, which no gate would mint.
fn forged(change: Value) -> Result<String> {
    let token = mint(&attestation_key(), &searching()?)?;
    let payload = crate::surface::payload(&token)?;
    let mut claims: serde_json::Map<String, Value> = serde_json::from_slice(&payload)?;
    claims.extend(change.as_object().context("claims are an object")?.clone());
    Ok(jws::sign(&attestation_key(), TokenType::ActionPass, &serde_json_canonicalizer::to_vec(&claims)?))
}

fn refusals() -> Result<Vec<Recipe>> {
    let good = || passes(json!({}), json!({}));
    let presented = |token: &str| Ok::<_, anyhow::Error>(search()?.header(ACTION_PASS_FIELD, token));
    let token = mint(&attestation_key(), &searching()?)?;
    let elsewhere = ActionPass { audience: "gate_2".to_owned(), issuer: "gate_2".to_owned(), ..searching()? };
    let other = Draft::new("A gate redeems what it minted itself.", good()?)
        .send(with(search()?, &elsewhere)?, Some("action_pass_audience_mismatch"))?
        .send(presented(&forged(json!({ "iss": "gate_2" }))?)?, Some("action_pass_issuer_mismatch"))?
        .send(presented(&forged(json!({ "exp": NOW + 301 }))?)?, Some("action_pass_lifetime_exceeded"))?
        .send(presented(&mint(&key(SCOUT), &searching()?)?)?, Some("action_pass_key_unknown"))?
        .send(presented(&with_other_signature(&token))?, Some("action_pass_signature_invalid"))?;
    let malformed = Some("action_pass_malformed");
    let mut texts = Draft::new("What is no pass and asks for none is malformed.", good()?);
    for text in ["mint;v=2", "Mint", "mint, mint", "mint;v=1;v=0", "none", "e30.e30.AA"] {
        texts = texts.send(presented(text)?, malformed)?;
    }
    let texts = texts.send(presented(&forged(json!({ "scope": "all" }))?)?, malformed)?;
    let mut uncovered = search()?.sign()?;
    uncovered.headers.push((ACTION_PASS_FIELD.to_owned(), "mint".to_owned()));
    let mut proven = search()?.dpop().sign()?;
    proven.headers.push((ACTION_PASS_FIELD.to_owned(), "mint".to_owned()));
    let mut twice = presented("mint")?.sign()?;
    twice.headers.push((ACTION_PASS_FIELD.to_owned(), "mint".to_owned()));
    let asked = presented("mint")?.sign()?;
    let mut taken = asked.clone();
    taken.headers.retain(|(name, _)| name != ACTION_PASS_FIELD);
    let coverage = Some("proof_coverage");
    let proof = Draft::new("The proof covers what is asked for.", good()?)
        .wire(uncovered, coverage)?
        .wire(proven, coverage)?
        .wire(taken, coverage)?
        .wire(twice, Some("header_invalid"))?;
    let refused = Some("action_pass_refused");
    let absent = Draft::new("A gate whose policy has no passes mints and redeems none.", plain()?)
        .send(presented("mint")?, refused)?
        .send(presented(&token)?, refused)?
        .send(presented("none")?, refused)?;
    let longer = format!("text/plain;a={}", "b".repeat(256));
    let no_action = Draft::new("For what is no action nothing is minted, and no pass is for it.", good()?)
        .send(presented("mint")?.header("content-type", &longer), refused)?
        .send(presented(&token)?.header("content-type", &longer), MISMATCH)?;
    Ok(vec![
        ("action_pass_of_others_deny", other),
        ("action_pass_malformed_deny", texts),
        ("action_pass_uncovered_deny", proof),
        ("action_pass_no_policy_deny", absent),
        ("action_pass_no_action_deny", no_action),
    ])
}

fn limits() -> Result<Vec<Recipe>> {
    let approval =
        json!({ "approval_workflows": { "require_approval_above_usd": 10 }, "spend_limits": { "daily_usd": 20 } });
    let required = Some("approval_required");
    let approved =
        Draft::new("A pass stands for an approval; asking for one does not.", passes(approval.clone(), json!({}))?)
            .send(pay("12.5")?, required)?
            .send(pay("12.5")?.header(ACTION_PASS_FIELD, "mint"), required)?
            .send(with(pay("12.5")?, &paying()?)?, None)?;
    let still = Draft::new("A pass stands for nothing but an approval.", passes(approval, json!({}))?)
        .send(pay("10")?, None)?
        .send(with(pay("12.5")?, &paying()?)?, Some("spend_daily_exceeded"))?
        .send(pay("12.5")?, Some("spend_daily_exceeded"))?;
    let unscoped = Draft::new("What is not permitted leads to no pass.", passes(json!({}), json!({}))?)
        .send(ask("DELETE", "/records/7")?.header(ACTION_PASS_FIELD, "mint"), Some("permission_scope_missing"))?;
    let budget = json!({ "spend_limits": { "daily_usd": 20 }, "rate_limits": { "requests_per_minute": 4 } });
    let free = Draft::new("Asking takes a token and charges no budget.", passes(budget, json!({}))?)
        .mint(pay("12.5")?, "mint")?
        .mint(pay("12.5")?, "mint")?
        .send(with(pay("12.5")?, &paying()?)?, None)?
        .send(pay("12.5")?.header(ACTION_PASS_FIELD, "mint"), Some("spend_daily_exceeded"))?
        .send(search()?, Some("rate_limit_exceeded"))?;
    let rates = json!({ "rate_limits": { "requests_per_minute": 2 } });
    let unspent = Draft::new("A request over its rate leaves its pass unspent.", passes(rates, json!({}))?)
        .mint(search()?, "mint")?
        .send(search()?, None)?
        .send(with(search()?, &searching()?)?, Some("rate_limit_exceeded"))?
        .at(30)
        .send(with(search()?, &searching()?)?, None)?
        .at(60)
        .send(with(search()?, &searching()?)?, Some("action_pass_redeemed"))?
        .send(search()?, None)?;
    Ok(vec![
        ("action_pass_for_approval", approved),
        ("action_pass_over_budget_deny", still),
        ("action_pass_not_permitted_deny", unscoped),
        ("action_pass_minting_charges_nothing_deny", free),
        ("action_pass_over_rate", unspent),
    ])
}
