//! Rate limits, revocation and suspension.

use anyhow::Result;
use passgate_api::bundle::Bundle;
use passgate_core::state::Subject;
use serde_json::json;

use super::policy::{ask, pay, plain, policy, scout, search};
use super::{Draft, Recipe};
use crate::agent::{ISSUER, PassportDraft, RequestDraft, key};

const COURIER: u8 = 12;

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = rates()?;
    recipes.extend(rates_by_counter()?);
    recipes.extend(revocations()?);
    recipes.extend(suspensions()?);
    Ok(recipes)
}

fn limits(limits: serde_json::Value) -> Result<Bundle> {
    policy(json!({ "rate_limits": limits }))
}

/// A search of another agent of the same issuer.
fn courier() -> Result<RequestDraft> {
    let passport = PassportDraft::new("agent_courier", COURIER, &["web:*"])?.issue()?;
    Ok(RequestDraft::new("GET", "/search?q=bread", &passport, COURIER))
}

fn rates() -> Result<Vec<Recipe>> {
    let exceeded = Some("rate_limit_exceeded");
    let three = limits(json!({ "requests_per_minute": 3 }))?;
    let burst = Draft::new("As many requests as the limit at once, then none.", three.clone())
        .send(search()?, None)?
        .send(search()?, None)?
        .send(search()?, None)?
        .send(search()?, exceeded)?
        .at(19)
        .send(search()?, exceeded)?;
    let refill = Draft::new("A token comes back every third of the minute.", three.clone())
        .send(search()?, None)?
        .send(search()?, None)?
        .send(search()?, None)?
        .at(20)
        .send(search()?, None)?
        .send(search()?, exceeded)?
        .at(80)
        .send(search()?, None)?
        .send(search()?, None)?
        .send(search()?, None)?;
    let denied_count = Draft::new("A request that is denied for another reason takes its token.", three)
        .send(ask("DELETE", "/records/7")?, Some("permission_scope_missing"))?
        .send(ask("DELETE", "/records/7")?, Some("permission_scope_missing"))?
        .send(ask("GET", "/unknown")?, Some("action_unmapped"))?
        .send(search()?, exceeded)?;
    let windows = Draft::new(
        "Every window holds; a token is taken from all or from none.",
        limits(json!({ "requests_per_minute": 2, "requests_per_hour": 3, "requests_per_day": 4 }))?,
    )
    .send(search()?, None)?
    .send(search()?, None)?
    .send(search()?, exceeded)?
    .at(60)
    .send(search()?, None)?
    .send(search()?, exceeded)?
    .at(1260)
    .send(search()?, None)?
    .at(2520)
    .send(search()?, exceeded)?;
    let no_charge = Draft::new(
        "A request over its rate charges no budget.",
        policy(json!({
            "rate_limits": { "requests_per_minute": 1 },
            "spend_limits": { "daily_usd": 100 },
        }))?,
    )
    .send(pay("60")?, None)?
    .send(pay("40")?, exceeded)?
    .at(60)
    .send(pay("40")?, None)?;
    Ok(vec![
        ("rate_burst_deny", burst),
        ("rate_refills", refill),
        ("rate_of_denied_deny", denied_count),
        ("rate_windows_deny", windows),
        ("rate_charges_nothing", no_charge),
    ])
}

fn rates_by_counter() -> Result<Vec<Recipe>> {
    let exceeded = Some("rate_limit_exceeded");
    let agent = Draft::new("Every agent has its own counter.", limits(json!({ "requests_per_minute": 1 }))?)
        .send(search()?, None)?
        .send(search()?, exceeded)?
        .send(courier()?, None)?;
    let tenant = Draft::new(
        "All agents of an issuer share its counter.",
        limits(json!({ "per_tenant": { "requests_per_hour": 2 } }))?,
    )
    .send(search()?, None)?
    .send(courier()?, None)?
    .send(courier()?, exceeded)?;
    let gate =
        Draft::new("All requests share the gate's counter.", limits(json!({ "per_gate": { "requests_per_day": 2 } }))?)
            .send(search()?, None)?
            .send(courier()?, None)?
            .send(search()?, exceeded)?;
    let action = Draft::new(
        "Every action of an agent has its own counter.",
        limits(json!({ "per_action": { "requests_per_minute": 1 } }))?,
    )
    .send(search()?, None)?
    .send(search()?, exceeded)?
    .send(ask("GET", "/records/7")?, None)?
    .send(courier()?, None)?;
    let all = Draft::new(
        "Counters of every kind at once.",
        limits(json!({
            "requests_per_minute": 10, "requests_per_hour": 20, "requests_per_day": 30,
            "per_gate": { "requests_per_minute": 40 }, "per_tenant": { "requests_per_hour": 50 },
            "per_action": { "requests_per_day": 60 },
        }))?,
    )
    .send(search()?, None)?;
    Ok(vec![
        ("rate_of_each_agent", agent),
        ("rate_of_tenant_deny", tenant),
        ("rate_of_gate_deny", gate),
        ("rate_of_each_action", action),
        ("rate_counters_all", all),
    ])
}

fn revocations() -> Result<Vec<Recipe>> {
    let revoked = Some("revoked");
    let jti = scout()?.claims.jti;
    let bites = |description, revoke: Subject| -> Result<Draft> {
        Draft::new(description, plain()?).send(search()?, None)?.revoke(revoke).send(search()?, revoked)
    };
    let passport = bites("A revoked passport is denied at once.", Subject::Passport(jti.clone()))?
        .send(courier()?, None)?
        .at(120)
        .send(search()?, revoked)?;
    let agent = Subject::Agent { issuer: ISSUER.to_owned(), agent_id: "agent_scout".to_owned() };
    let agent = bites("Every passport of a revoked agent is denied.", agent)?;
    let thumbprint = key(super::policy::SCOUT).public().thumbprint().to_owned();
    let key = bites("Every passport bound to a revoked key is denied.", Subject::Key(thumbprint))?;
    let issuer = bites("Every passport of a revoked issuer is denied.", Subject::Issuer(ISSUER.to_owned()))?
        .send(courier()?, revoked)?;
    let others = Draft::new("Revoking others changes nothing.", plain()?)
        .revoke(Subject::Passport("pass_01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned()))
        .revoke(Subject::Agent { issuer: "https://issuer.evil.example".to_owned(), agent_id: "agent_scout".to_owned() })
        .revoke(Subject::Issuer("https://issuer.evil.example".to_owned()))
        .send(search()?, None)?;
    let once = search()?.sign()?;
    let burnt = Draft::new(
        "A request of a revoked passport spends its nonce and takes no token.",
        limits(json!({ "requests_per_minute": 1 }))?,
    )
    .revoke(Subject::Passport(jti))
    .wire(once.clone(), revoked)?
    .wire(once, Some("nonce_replayed"))?
    .send(search()?, revoked)?;
    Ok(vec![
        ("revoked_passport_deny", passport),
        ("revoked_agent_deny", agent),
        ("revoked_key_deny", key),
        ("revoked_issuer_deny", issuer),
        ("revoked_others", others),
        ("revoked_burns_nonce_deny", burnt),
    ])
}

fn suspensions() -> Result<Vec<Recipe>> {
    let suspended = Some("suspended");
    let passport = Subject::Passport(scout()?.claims.jti);
    let agent = Subject::Agent { issuer: ISSUER.to_owned(), agent_id: "agent_scout".to_owned() };
    let key = Subject::Key(key(super::policy::SCOUT).public().thumbprint().to_owned());
    let issuer = Subject::Issuer(ISSUER.to_owned());
    let paused = |description, subject: &Subject| -> Result<Draft> {
        Draft::new(description, plain()?)
            .send(search()?, None)?
            .suspend(subject.clone())
            .send(search()?, suspended)?
            .at(120)
            .send(search()?, suspended)?
            .reinstate(subject.clone())
            .send(search()?, None)
    };
    let switch = Draft::new("Every passport of a suspended issuer is denied until it is reinstated.", plain()?)
        .suspend(issuer.clone())
        .send(search()?, suspended)?
        .send(courier()?, suspended)?
        .reinstate(issuer.clone())
        .send(search()?, None)?
        .send(courier()?, None)?;
    let repeated = Draft::new("Suspending and reinstating again change nothing.", plain()?)
        .reinstate(agent.clone())
        .send(search()?, None)?
        .suspend(agent.clone())
        .suspend(agent.clone())
        .send(search()?, suspended)?
        .reinstate(agent.clone())
        .reinstate(agent.clone())
        .send(search()?, None)?;
    let both =
        Draft::new("A revocation counts more than a suspension, and ends with no reinstatement of others.", plain()?)
            .suspend(issuer.clone())
            .revoke(passport.clone())
            .send(search()?, Some("revoked"))?
            .reinstate(issuer.clone())
            .send(search()?, Some("revoked"))?
            .send(courier()?, None)?;
    let others = Draft::new("Whoever is suspended in two ways is denied until both have ended.", plain()?)
        .suspend(passport.clone())
        .suspend(key.clone())
        .reinstate(passport.clone())
        .send(search()?, suspended)?
        .send(courier()?, None)?
        .reinstate(key.clone())
        .send(search()?, None)?;
    let once = search()?.sign()?;
    let burnt = Draft::new(
        "A request of a suspended passport spends its nonce and takes no token.",
        limits(json!({ "requests_per_minute": 1 }))?,
    )
    .suspend(passport.clone())
    .wire(once.clone(), suspended)?
    .reinstate(passport.clone())
    .send(search()?, None)?
    .wire(once, Some("nonce_replayed"))?;
    Ok(vec![
        ("suspended_passport", paused("A suspended passport is denied at once, until it is reinstated.", &passport)?),
        ("suspended_agent", paused("Every passport of a suspended agent is denied until it is reinstated.", &agent)?),
        ("suspended_key", paused("Every passport bound to a suspended key is denied until it is reinstated.", &key)?),
        ("suspended_issuer", switch),
        ("suspended_again", repeated),
        ("suspended_and_revoked", both),
        ("suspended_twice", others),
        ("suspended_burns_nonce_deny", burnt),
    ])
}
