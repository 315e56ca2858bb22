//! Sessions: read-only until a person elevates them, bounded by what they began with, and watched.

use anyhow::{Context as _, Result};
use passgate_api::bundle::Bundle;
use passgate_passport::action::Agent;
use passgate_passport::approval::{Approval, Grant};
use passgate_passport::constraints::Constraints;
use passgate_passport::scope::Scope;
use serde_json::{Value, json};

use super::approvals::{alices, of, with_approvers};
use super::operator_rules::enforced;
use super::policy::{PERMISSIONS, SCOUT, ask, pay, policy, search};
use super::{Draft, Recipe};
use crate::agent::{ISSUER, NOW, PassportDraft, RequestDraft, key};

const ELEVATION: Option<&str> = Some("session_elevation_required");
const SCOPE: Option<&str> = Some("session_scope_exceeded");
const UNMAPPED: Option<&str> = Some("action_unmapped");

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = read_only()?;
    recipes.extend(bounded()?);
    recipes.extend(watched()?);
    Ok(recipes)
}

fn sessions(doc: &Value) -> Result<Bundle> {
    with_approvers(policy(json!({ "sessions": doc }))?)
}

/// A request with a passport of these permissions.
fn with_permissions(method: &str, target: &str, permissions: &[&str]) -> Result<RequestDraft> {
    let passport = PassportDraft::new("agent_scout", SCOUT, permissions)?;
    Ok(RequestDraft::new(method, target, &passport.issue()?, SCOUT))
}

fn paying(permissions: &[&str]) -> Result<RequestDraft> {
    Ok(with_permissions("POST", "/pay", permissions)?.json(r#"{"amount":1}"#))
}

fn elevating(approval: Approval, uses: u64) -> Result<Approval> {
    let grant = Grant {
        agent: Agent { id: "agent_scout".to_owned(), issuer: ISSUER.to_owned() },
        holder_jkt: Some(key(SCOUT).public().thumbprint().to_owned()),
        constraints: Constraints::default(),
        needs: vec![ELEVATION.context("a need")?.to_owned()],
        permissions: vec![Scope::parse("payments:create")?],
        uses,
    };
    Ok(Approval { exp: NOW + 300, grant: Some(grant), ..approval })
}

fn read_only() -> Result<Vec<Recipe>> {
    let bundle = sessions(&json!({}))?;
    let held = Draft::new("A session lets through what changes nothing.", bundle.clone())
        .send(search()?, None)?
        .send(pay("1")?, ELEVATION)?;
    let given = of(&bundle, pay("1")?)?;
    let once = Draft::new("An approval elevates a session for its one request.", bundle.clone())
        .send(search()?, None)?
        .send(alices(pay("1")?, &given)?, None)?
        .send(pay("2")?, ELEVATION)?;
    let elevation = elevating(given.clone(), 2)?;
    let elevated = Draft::new("A session is elevated for named actions, so many times.", bundle.clone())
        .send(alices(pay("1")?, &elevation)?, None)?
        .send(alices(pay("9")?, &elevation)?, None)?
        .send(alices(pay("9")?, &elevation)?, Some("approval_used"))?;
    let over = Draft::new("A session is elevated for five minutes.", bundle.clone())
        .send(alices(pay("1")?, &elevation)?, None)?
        .at(331)
        .send(alices(pay("1")?, &elevation)?, Some("approval_expired"))?;
    let long = Approval { exp: NOW + 301, ..elevation };
    let long =
        Draft::new("What is longer elevates no session.", bundle.clone()).send(alices(pay("1")?, &long)?, ELEVATION)?;
    let admin = Draft::new("No session is elevated to what changes what others may do.", bundle)
        .send(with_permissions("GET", "/files/secret/key", &["files:*"])?, Some("session_admin_refused"))?;
    let open =
        Draft::new("A session that is not read-only is not elevated.", sessions(&json!({ "read_only": false }))?)
            .send(pay("1")?, None)?;
    Ok(vec![
        ("session_read_only_stepup", held),
        ("session_elevated_once_stepup", once),
        ("session_elevated_uses_deny", elevated),
        ("session_elevated_over_deny", over),
        ("session_elevated_long_stepup", long),
        ("session_admin_deny", admin),
        ("session_open", open),
    ])
}

fn bounded() -> Result<Vec<Recipe>> {
    let bundle = sessions(&json!({ "read_only": false, "idle_seconds": 60, "max_seconds": 100 }))?;
    let narrow = || with_permissions("GET", "/search", &["web:*"]);
    let ceiling = Draft::new("What a session began with bounds it, whatever later passports permit.", bundle.clone())
        .send(narrow()?, None)?
        .send(paying(PERMISSIONS)?, SCOPE)?
        .at(59)
        .send(search()?, None)?
        .at(99)
        .send(paying(PERMISSIONS)?, SCOPE)?;
    let idle = Draft::new("A session is over when nothing comes.", bundle.clone())
        .send(narrow()?, None)?
        .at(60)
        .send(paying(PERMISSIONS)?, None)?;
    let longest = Draft::new("A session is over after its longest time.", bundle)
        .send(narrow()?, None)?
        .at(50)
        .send(paying(PERMISSIONS)?, SCOPE)?
        .at(100)
        .send(paying(PERMISSIONS)?, None)?;
    Ok(vec![("session_scope_deny", ceiling), ("session_idle", idle), ("session_longest", longest)])
}

fn watched() -> Result<Vec<Recipe>> {
    let mut probing = Draft::new(
        "Whoever is refused too often counts as doing more than reading.",
        sessions(&json!({ "anomaly": {} }))?,
    );
    for _ in 0..5 {
        probing = probing.send(ask("GET", "/nothing")?, UNMAPPED)?;
    }
    let probing = probing.send(search()?, ELEVATION)?;
    let anomaly = json!({ "read_only": false, "anomaly": { "min_calls": 3, "window_calls": 3 } });
    let guardrails = sessions(&anomaly)?.guardrails;
    let rules = "rules:
  - {name: all, effect: allow}
  - {name: no-destruction, effect: deny, when: {classes: [destructive]}}";
    let bundle = Bundle { guardrails, ..enforced(rules)? };
    let mut burst = Draft::new("Whoever changes things too often counts as taking them away, for rules too.", bundle);
    for _ in 0..3 {
        burst = burst.send(pay("1")?, None)?;
    }
    burst = burst.send(pay("1")?, Some("rule_denied"))?;
    for _ in 0..3 {
        burst = burst.send(search()?, None)?;
    }
    let burst = burst.send(pay("1")?, None)?;
    Ok(vec![("session_probing_stepup", probing), ("session_burst", burst)])
}
