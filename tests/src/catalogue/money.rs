//! Amounts and spend caps.

use anyhow::Result;
use serde_json::json;

use super::policy::{ask, order, pay, plain, policy};
use super::{Draft, Recipe};
use crate::agent::{PassportDraft, RequestDraft};

const DAY: i64 = 86_400;

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = amounts()?;
    recipes.extend(bodies()?);
    recipes.extend(caps()?);
    recipes.extend(shared_caps()?);
    recipes.extend(idempotency()?);
    Ok(recipes)
}

fn amounts() -> Result<Vec<Recipe>> {
    let capped = policy(json!({ "spend_limits": { "daily_usd": 1_000_000_000_i64 } }))?;
    let mut good = Draft::new("Plain amounts of the declared unit are read exactly.", capped.clone());
    for amount in ["0", "0.01", "12", "12.5", "12.50", "999.99", "0.00"] {
        good = good.send(pay(amount)?, None)?;
    }
    let unit = |path: &str, amount: &str| -> Result<RequestDraft> {
        Ok(ask("POST", path)?.json(&format!("{{\"amount\":{amount}}}")))
    };
    let units = Draft::new("Cents and micro-dollars are whole numbers.", capped.clone())
        .send(unit("/pay/cents", "1250")?, None)?
        .send(unit("/pay/micro", "12500000")?, None)?
        .send(unit("/pay/cents", "12.5")?, Some("amount_invalid"))?
        .send(unit("/pay/micro", "1.0")?, Some("amount_invalid"))?
        .send(unit("/pay/micro", "7")?, None)?;
    let mut bad = Draft::new("Whatever is not a plain non-negative amount is refused, not interpreted.", capped);
    let texts = [
        "-1",
        "-0",
        "1e3",
        "1E3",
        "1e-400",
        "1.234",
        "1000000000.01",
        "\"12\"",
        "\"\"",
        "true",
        "null",
        "[12]",
        "{\"value\":12}",
    ];
    for amount in texts {
        bad = bad.send(pay(amount)?, Some("amount_invalid"))?;
    }
    Ok(vec![("amounts_plain", good), ("amounts_units", units), ("amounts_refused_deny", bad)])
}

fn bodies() -> Result<Vec<Recipe>> {
    let (missing, not_json) = (Some("amount_missing"), Some("body_not_json"));
    let absent = Draft::new("A route that needs an amount gets one, at its place.", plain()?)
        .send(ask("POST", "/pay")?.json("{}"), missing)?
        .send(ask("POST", "/pay")?.json(r#"{"Amount":1}"#), missing)?
        .send(ask("POST", "/pay")?.json(r#"{"nested":{"amount":1}}"#), missing)?
        .send(ask("POST", "/pay")?.json("[1]"), missing)?;
    let mut malformed = Draft::new("Values are read from strict JSON only.", plain()?)
        .send(ask("POST", "/pay")?, not_json)?
        .send(ask("POST", "/pay")?.body(r#"{"amount":1}"#), not_json)?
        .send(ask("POST", "/pay")?.header("content-type", "text/plain").body(r#"{"amount":1}"#), not_json)?
        .send(
            ask("POST", "/pay")?.header("content-type", "application/json; charset=utf-16").body(r#"{"amount":1}"#),
            not_json,
        )?;
    for body in [
        "",
        "{",
        "{\"amount\":1}x",
        "{\"amount\":01}",
        "{\"amount\":1e400}",
        "{\"amount\":99999999999999999999}",
        "{\"amount\":.5}",
        "{\"amount\":NaN}",
        "{'amount':1}",
        "\u{feff}{\"amount\":1}",
        "{\"amount\":1,}",
    ] {
        malformed = malformed.send(ask("POST", "/pay")?.json(body), not_json)?;
    }
    let duplicates = Draft::new("A member that stands twice has two readings, at any depth.", plain()?)
        .send(ask("POST", "/pay")?.json(r#"{"amount":1,"amount":1000}"#), not_json)?
        .send(ask("POST", "/pay")?.json(r#"{"amount":1,"am\u006funt":1000}"#), not_json)?
        .send(ask("POST", "/pay")?.json(r#"{"amount":1,"note":{"a":1,"a":2}}"#), not_json)?;
    let suffix = Draft::new("Media types ending in +json are JSON.", plain()?)
        .send(ask("POST", "/pay")?.header("content-type", "application/order+json").body(r#"{"amount":1}"#), None)?;
    Ok(vec![
        ("amount_missing_deny", absent),
        ("body_not_json_deny", malformed),
        ("body_duplicate_members_deny", duplicates),
        ("body_json_suffix", suffix),
    ])
}

fn shared_caps() -> Result<Vec<Recipe>> {
    let cap = |limits: serde_json::Value| policy(json!({ "spend_limits": limits }));
    let courier = PassportDraft::new("agent_courier", 12, &["payments:*"])?.issue()?;
    let action = Draft::new("Each action has its own budget.", cap(json!({ "per_action": { "daily_usd": 50 } }))?)
        .send(pay("50")?, None)?
        .send(order("50", "shop.example")?, None)?
        .send(pay("0.01")?, Some("spend_daily_exceeded"))?;
    let everybody = Draft::new(
        "The gate, an issuer and an agent by itself have budgets.",
        cap(json!({ "per_gate": { "monthly_usd": 80 }, "per_tenant": { "daily_usd": 70 }, "per_actor": { "daily_usd": 50 } }))?,
    )
    .send(pay("50")?, None)?
    .send(pay("1")?, Some("spend_daily_exceeded"))?
    .send(RequestDraft::new("POST", "/pay", &courier, 12).json("{\"amount\":21}"), Some("spend_daily_exceeded"))?
    .send(RequestDraft::new("POST", "/pay", &courier, 12).json("{\"amount\":20}"), None)?
    .at(DAY)
    .send(pay("10.01")?, Some("spend_monthly_exceeded"))?
    .send(pay("10")?, None)?;
    Ok(vec![("spend_of_each_action_deny", action), ("spend_of_everybody", everybody)])
}

/// Payments in dollars go by keys for an hour, those in cents do not.
fn idempotency() -> Result<Vec<Recipe>> {
    let mut keyed = policy(json!({ "spend_limits": { "daily_usd": 100 } }))?;
    let routes = keyed.routes.iter_mut().filter(|route| route.path == "/pay");
    routes.for_each(|route| route.idempotency_seconds = Some(3_600));
    let with = |key: &str, amount: &str| Ok::<_, anyhow::Error>(pay(amount)?.header("idempotency-key", key));
    let once = Draft::new("What is sent again with its idempotency key is charged once.", keyed.clone())
        .send(with("k-1", "60")?, None)?
        .send(with("k-1", "60")?, None)?
        .send(with("k-1", "60")?.dpop(), None)?
        .send(with("k-1", "40")?, Some("idempotency_key_reused"))?
        .send(with("k-2", "60")?, Some("spend_daily_exceeded"))?
        .send(with("k-2", "40")?, None)?
        .send(pay("0.01")?, Some("spend_daily_exceeded"))?
        .send(with("k-3", "0")?, None)?
        .send(with("k-3", "0.00")?, None)?
        .at(3_599)
        .send(with("k-1", "60")?, None)?
        .at(3_600)
        .send(with("k-1", "60")?, Some("spend_daily_exceeded"))?;
    let cents = ask("POST", "/pay/cents")?.json("{\"amount\":6000}").header("idempotency-key", "k-1");
    let elsewhere = Draft::new("Where the upstream goes by no keys, each request is charged.", keyed.clone())
        .send(cents.clone(), None)?
        .send(cents, Some("spend_daily_exceeded"))?;
    let mut added = pay("1")?.sign()?;
    added.headers.push(("idempotency-key".to_owned(), "k-1".to_owned()));
    let none = Draft::new("A key that is none, or that the proof does not cover, is refused.", keyed)
        .send(with("k 1", "1")?, Some("idempotency_key_invalid"))?
        .send(with(&"k".repeat(256), "1")?, Some("idempotency_key_invalid"))?
        .wire(added, Some("idempotency_key_invalid"))?;
    Ok(vec![
        ("spend_idempotency_key_deny", once),
        ("spend_without_idempotency_deny", elsewhere),
        ("spend_idempotency_key_invalid_deny", none),
    ])
}

fn caps() -> Result<Vec<Recipe>> {
    let cap = |limits: serde_json::Value| policy(json!({ "spend_limits": limits }));
    let transaction =
        Draft::new("The cap of one transaction includes itself.", cap(json!({ "per_transaction_usd": 25.5 }))?)
            .send(pay("25.50")?, None)?
            .send(pay("25.51")?, Some("spend_per_transaction_exceeded"))?;
    let daily = cap(json!({ "daily_usd": 100 }))?;
    let day_edge = Draft::new("The daily cap can be spent whole and not exceeded.", daily.clone())
        .send(pay("99.99")?, None)?
        .send(pay("0.02")?, Some("spend_daily_exceeded"))?
        .send(pay("0.01")?, None)?
        .send(pay("0")?, None)?
        .send(pay("0.01")?, Some("spend_daily_exceeded"))?;
    // The catalogue's present is 08:00:00 UTC.
    let day_roll = Draft::new("The daily budget is that of the UTC day.", daily.clone())
        .send(pay("100")?, None)?
        .at(16 * 3600 - 1)
        .send(pay("100")?, Some("spend_daily_exceeded"))?
        .at(16 * 3600)
        .send(pay("100")?, None)?;
    let month = cap(json!({ "daily_usd": 100, "monthly_usd": 150 }))?;
    let month_edge = Draft::new("The monthly cap holds across days.", month.clone())
        .send(pay("100")?, None)?
        .at(DAY)
        .send(pay("50.01")?, Some("spend_monthly_exceeded"))?
        .send(pay("50")?, None)?
        .at(2 * DAY)
        .send(pay("0.01")?, Some("spend_monthly_exceeded"))?;
    let month_roll = Draft::new("The monthly budget is that of the UTC month.", month.clone())
        .send(pay("100")?, None)?
        .at(DAY)
        .send(pay("50")?, None)?
        .at(17 * DAY)
        .send(pay("100")?, None)?;
    let both = Draft::new("When both periods are exceeded the day is reported.", month)
        .send(pay("100")?, None)?
        .send(pay("60")?, Some("spend_daily_exceeded"))?;
    let uncharged = Draft::new(
        "What another guardrail denies charges nothing.",
        policy(json!({
            "spend_limits": { "daily_usd": 100 },
            "allowed_domains": ["shop.example"],
        }))?,
    )
    .send(order("100", "evil.test")?, Some("domain_not_allowed"))?
    .send(order("100", "shop.example")?, None)?;
    let courier = PassportDraft::new("agent_courier", 12, &["payments:*"])?.issue()?;
    let two_agents = Draft::new("Every agent has its own budget.", daily)
        .send(pay("100")?, None)?
        .send(RequestDraft::new("POST", "/pay", &courier, 12).json("{\"amount\":100}"), None)?;
    Ok(vec![
        ("spend_transaction_deny", transaction),
        ("spend_daily_deny", day_edge),
        ("spend_day_rolls_over", day_roll),
        ("spend_monthly_deny", month_edge),
        ("spend_month_rolls_over", month_roll),
        ("spend_both_exceeded_deny", both),
        ("spend_not_charged_by_denied", uncharged),
        ("spend_of_each_agent", two_agents),
    ])
}
