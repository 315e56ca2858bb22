//! A policy plugin: payments go to known shops, and large ones to a person first.
//!
//! ```yaml
//! config:
//!   shops: [shop.example.com]
//!   approve_above_usd: 50
//!   roles: [finance]          # who may approve; without it, anybody who may approve
//! ```

use passgate_plugin::{Deny, Description, Facts, Plugin, Request, Verdict, deny, describe, export, step_up};
use serde::Deserialize;

const MICRO_PER_USD: u64 = 1_000_000;

struct Rule;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    shops: Vec<String>,
    approve_above_usd: u64,
    #[serde(default)]
    roles: Vec<String>,
}

impl Plugin for Rule {
    type Config = Config;

    fn describe() -> Description {
        describe!("Payments go to known shops, and large ones to a person first")
    }

    // An error is a deny with its text as the reason. See also `request.json()`, `request.header()`, and the modules
    // `log` and `keys`, which an operator has to grant.
    fn evaluate(_: &Request, facts: &Facts, config: &Config) -> Result<Verdict, Deny> {
        let shop = facts.target_domain.as_deref().ok_or("the payment names no shop")?;
        if !config.shops.iter().any(|known| known == shop) {
            return deny(format_args!("{shop} is no known shop"));
        }
        let amount = facts.amount_micro_usd.ok_or("the payment names no amount")?;
        if amount > config.approve_above_usd.saturating_mul(MICRO_PER_USD) {
            return step_up(&config.roles, format_args!("more than {} USD", config.approve_above_usd));
        }
        Ok(Verdict::Abstain)
    }
}

export!(Rule);

#[cfg(test)]
mod tests {
    use passgate_plugin::judge;
    use passgate_plugin::testing::{facts, request};

    use super::*;

    #[test]
    fn large_payments_wait_for_a_person() {
        let mut facts = facts("payments:create", r#"{"shops": ["shop.example.com"], "approve_above_usd": 50}"#);
        facts.target_domain = Some("shop.example.com".to_owned());
        for (amount, waits) in [(50_000_000, false), (50_000_001, true)] {
            facts.amount_micro_usd = Some(amount);
            let verdict = judge::<Rule>(&request("/pay", "{}"), &facts);
            assert_eq!(matches!(verdict, Verdict::StepUp(_)), waits, "{verdict:?}");
        }
    }
}
