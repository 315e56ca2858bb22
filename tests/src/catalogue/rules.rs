//! Permission scope, routes, domains, approval, and the order in which guardrails report.

use anyhow::Result;
use serde_json::json;

use super::policy::{PERMISSIONS, SCOUT, ask, email, order, pay, plain, policy, search};
use super::{Draft, Recipe};
use crate::agent::{PassportDraft, RequestDraft};

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = scopes()?;
    recipes.extend(domains()?);
    recipes.extend(order_of_guardrails()?);
    recipes.extend(approval()?);
    Ok(recipes)
}

fn with_permissions(permissions: &[&str], method: &str, target: &str) -> Result<RequestDraft> {
    let passport = PassportDraft::new("agent_scout", SCOUT, permissions)?.issue()?;
    Ok(RequestDraft::new(method, target, &passport, SCOUT))
}

fn scopes() -> Result<Vec<Recipe>> {
    let missing = Some("permission_scope_missing");
    let read = |permissions: &[&str]| with_permissions(permissions, "GET", "/records/7");
    let plain_request =
        Draft::new("A signed request within its passport's permissions is allowed.", plain()?).send(search()?, None)?;
    let scope_missing = Draft::new("What the passport does not permit is denied.", plain()?)
        .send(ask("GET", "/records/7")?, None)?
        .send(ask("DELETE", "/records/7")?, missing)?;
    let spellings = Draft::new("A scope covers whole segments: no prefixes, no letter-case folding.", plain()?)
        .send(read(&["*"])?, None)?
        .send(read(&["records:*"])?, None)?
        .send(read(&["*:read"])?, None)?
        .send(read(&["records:read"])?, None)?
        .send(read(&["records"])?, missing)?
        .send(read(&["records:rea"])?, missing)?
        .send(read(&["records:read:all"])?, missing)?
        .send(read(&["records:read:*"])?, missing)?
        .send(read(&["recordsx:read", "xrecords:read"])?, missing)?
        .send(read(&[])?, missing)?;
    let unmapped = Draft::new("A path or method without a route is denied, whatever the passport permits.", plain()?)
        .send(with_permissions(&["*"], "GET", "/unknown")?, Some("action_unmapped"))?
        .send(with_permissions(&["*"], "PUT", "/search")?, Some("action_unmapped"))?
        .send(with_permissions(&["*"], "GET", "/search/")?, Some("action_unmapped"))?
        .send(with_permissions(&["*"], "GET", "/Search")?, Some("action_unmapped"))?;
    let first_route = Draft::new("The first matching route names the action.", plain()?)
        .send(ask("GET", "/files/secret/key")?, missing)?
        .send(ask("GET", "/files/secret")?, missing)?
        .send(ask("GET", "/files/public/a")?, None)?;
    Ok(vec![
        ("plain_request", plain_request),
        ("scope_missing_deny", scope_missing),
        ("scope_spellings_deny", spellings),
        ("action_unmapped_deny", unmapped),
        ("first_route_counts", first_route),
    ])
}

fn domains() -> Result<Vec<Recipe>> {
    let allowlist = policy(json!({ "allowed_domains": ["example.com", "*.example.org"] }))?;
    let (other, invalid) = (Some("domain_not_allowed"), Some("domain_invalid"));
    let mut spellings =
        Draft::new("A target domain is compared only when it is spelled canonically.", allowlist.clone());
    for good in ["example.com", "EXAMPLE.com", "https://example.com/x?y#z", "http://example.com:80/", "a.b.example.org"]
    {
        spellings = spellings.send(email(good)?, None)?;
    }
    for bad in
        ["evil-example.com", "example.com.evil.test", "example.org", "www.example.com", "https://evil.test/example.com"]
    {
        spellings = spellings.send(email(bad)?, other)?;
    }
    for odd in [
        "https://example.com@evil.test",
        "https://example.com\\@evil.test",
        "example.com.",
        "a..example.org",
        "https://example.com:8443/",
        "exa\u{ad}mple.com",
        "\u{ff45}xample.com",
        "https://%65xample.com/",
        "ftp://example.com",
        "127.1",
        "0x7f.1",
        "",
    ] {
        spellings = spellings.send(email(odd)?, invalid)?;
    }
    let no_domain = Draft::new("A route that names a target domain needs exactly one, as text.", allowlist.clone())
        .send(ask("GET", "/fetch?url=https://example.com/a")?, None)?
        .send(ask("GET", "/fetch?url=example.com&url=example.com")?, invalid)?
        .send(ask("POST", "/email")?.json(r#"{"to":["example.com"]}"#), invalid)?
        .send(ask("POST", "/email")?.json(r#"{"subject":"x"}"#), Some("domain_missing"))?
        .send(ask("GET", "/fetch")?, Some("domain_missing"))?;
    let none_allowed = Draft::new("An empty allowlist allows no domain.", policy(json!({ "allowed_domains": [] }))?)
        .send(search()?, None)?
        .send(email("example.com")?, other)?;
    let unset = Draft::new("Without an allowlist the domain is recorded and not judged.", plain()?)
        .send(email("anything.example")?, None)?;
    let not_applicable =
        Draft::new("A route without a domain is not touched by the allowlist.", allowlist).send(search()?, None)?;
    Ok(vec![
        ("domain_spellings_deny", spellings),
        ("domain_missing_deny", no_domain),
        ("domain_none_allowed_deny", none_allowed),
        ("domain_not_judged", unset),
        ("domain_not_applicable", not_applicable),
    ])
}

fn order_of_guardrails() -> Result<Vec<Recipe>> {
    let all = json!({
        "rate_limits": { "requests_per_minute": 2 },
        "spend_limits": { "per_transaction_usd": 100, "daily_usd": 150, "monthly_usd": 1000 },
        "allowed_domains": ["shop.example"],
        "approval_workflows": { "require_approval_above_usd": 50 },
    });
    let roomy = |mut guardrails: serde_json::Value| {
        if let Some(members) = guardrails.as_object_mut() {
            members.insert("rate_limits".to_owned(), json!({ "requests_per_minute": 100 }));
        }
        guardrails
    };
    let passes = Draft::new("A request that every guardrail applies to and passes.", policy(all.clone())?)
        .send(order("50", "shop.example")?, None)?;
    let rejected = |amount: &str, shop: &str| -> Result<RequestDraft> {
        let body = format!("{{\"amount\":{amount},\"shop\":\"{shop}\"}}");
        Ok(with_permissions(&["web:search"], "POST", "/order")?.json(&body))
    };
    let scope_first =
        Draft::new("A missing permission is reported before rate, spend, domain and approval.", policy(all.clone())?)
            .send(rejected("1000", "evil.test")?, Some("permission_scope_missing"))?
            .send(rejected("1000", "evil.test")?, Some("permission_scope_missing"))?
            .send(rejected("1000", "evil.test")?, Some("permission_scope_missing"))?;
    let rate_second =
        Draft::new("An exhausted rate is reported before spend, domain and approval.", policy(all.clone())?)
            .send(search()?, None)?
            .send(search()?, None)?
            .send(order("1000", "evil.test")?, Some("rate_limit_exceeded"))?;
    let spend_third =
        Draft::new("An exceeded cap is reported before domain and approval.", policy(roomy(all.clone()))?)
            .send(order("100.01", "evil.test")?, Some("spend_per_transaction_exceeded"))?
            .send(order("50", "shop.example")?, None)?
            .send(order("50", "shop.example")?, None)?
            .send(order("50.01", "evil.test")?, Some("spend_daily_exceeded"))?;
    let domain_fourth =
        Draft::new("A domain that is not allowed is reported before approval.", policy(roomy(all.clone()))?)
            .send(order("51", "evil.test")?, Some("domain_not_allowed"))?;
    let approval_last = Draft::new("Approval is asked for when nothing before it failed.", policy(roomy(all))?)
        .send(order("50.01", "shop.example")?, Some("approval_required"))?;
    Ok(vec![
        ("guardrails_all_pass", passes),
        ("order_scope_first_deny", scope_first),
        ("order_rate_second_deny", rate_second),
        ("order_spend_third_deny", spend_third),
        ("order_domain_fourth_deny", domain_fourth),
        ("order_approval_last_stepup", approval_last),
    ])
}

fn approval() -> Result<Vec<Recipe>> {
    let above_50 = policy(json!({
        "spend_limits": { "daily_usd": 100 },
        "approval_workflows": { "require_approval_above_usd": 50 },
    }))?;
    let threshold = Draft::new("The threshold itself needs no approval, a cent above it does.", above_50.clone())
        .send(pay("50")?, None)?
        .send(pay("50.00")?, None)?
        .at(86_400)
        .send(pay("50.01")?, Some("approval_required"))?;
    let uncharged = Draft::new("A step_up charges no budget.", above_50.clone())
        .send(pay("60")?, Some("approval_required"))?
        .send(pay("50")?, None)?
        .send(pay("50")?, None)?;
    let denied = Draft::new("A cap that is exceeded denies, whatever approval would ask.", above_50)
        .send(pay("50")?, None)?
        .send(pay("60")?, Some("spend_daily_exceeded"))?;
    let exempt = Draft::new(
        "Actions without an amount need no approval.",
        policy(json!({
            "approval_workflows": { "require_approval_above_usd": 0 },
        }))?,
    )
    .send(pay("0")?, None)?
    .send(with_permissions(PERMISSIONS, "GET", "/search")?, None)?;
    Ok(vec![
        ("approval_threshold_stepup", threshold),
        ("approval_charges_nothing", uncharged),
        ("approval_after_deny_deny", denied),
        ("approval_not_applicable", exempt),
    ])
}
