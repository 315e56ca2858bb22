//! `business-hours`: actions wait until somebody is there to see what they do.
//!
//! ```yaml
//! - name: business-hours
//!   file: plugins/business-hours.wasm
//!   sha256: "sha256:…"                  # `passgate plugin inspect` shows it
//!   actions: ["payments:*", "deploy:*"]
//!   grants: [keys]
//!   config:
//!     time_zone: Europe/Berlin          # a name of the IANA database; it is built in, with its daylight saving rules
//!     open:                             # a day that is not named is closed
//!       monday: ["09:00-12:30", "13:30-17:30"]
//!       friday: ["09:00-15:00"]
//!     freezes:                          # in local time; the end is no longer frozen
//!       - { from: "2026-12-21T00:00", until: "2027-01-04T00:00", reason: year-end freeze }
//!     outside_hours: step_up            # or deny, the default
//!     roles: [on-call]                  # who may approve outside hours; without it, anybody who may approve
//! ```
//!
//! While the key `freeze` has a value, every action is refused with that value as the reason:
//!
//! ```sh
//! passgate plugin keys set business-hours freeze "incident 42"
//! passgate plugin keys rm business-hours freeze
//! ```
//!
//! A freeze is always a deny. The time is the gate's clock, and a configuration that does not make sense refuses
//! everything.

mod hours;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use passgate_plugin::{Deny, Description, Facts, Plugin, Request, Verdict, deny, describe, export, keys, step_up};
use serde::Deserialize;

use crate::hours::{Day, Hours};

/// The key that freezes everything.
const FREEZE_KEY: &str = "freeze";

struct BusinessHours;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    time_zone: String,
    open: BTreeMap<Day, Vec<Hours>>,
    #[serde(default)]
    freezes: Vec<Freeze>,
    #[serde(default)]
    outside_hours: OutsideHours,
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Freeze {
    from: DateTime,
    until: DateTime,
    reason: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutsideHours {
    #[default]
    Deny,
    StepUp,
}

impl Plugin for BusinessHours {
    type Config = Config;

    fn describe() -> Description {
        describe!("Lets actions through in opening hours only, and in no freeze")
    }

    fn evaluate(_: &Request, facts: &Facts, config: &Config) -> Result<Verdict, Deny> {
        if let Some(reason) = keys::get(FREEZE_KEY).filter(|value| !value.is_empty()) {
            return deny(format_args!("frozen: {}", String::from_utf8_lossy(&reason)));
        }
        let now = local(facts, config)?;
        if let Some(freeze) = freeze_at(config, now)? {
            return deny(format_args!("frozen until {}: {}", minute(freeze.until), freeze.reason));
        }
        let day = Day::of(now.weekday());
        if config.open.get(&day).is_some_and(|open| open.iter().any(|hours| hours.contains(now.time()))) {
            return Ok(Verdict::Abstain);
        }
        let reason = format!("outside opening hours: it is {day} {} in {}", now.strftime("%H:%M"), config.time_zone);
        match config.outside_hours {
            OutsideHours::Deny => deny(reason),
            OutsideHours::StepUp => step_up(&config.roles, reason),
        }
    }
}

export!(BusinessHours);

/// The gate's clock on the wall of the configured place. The zones stand in the plugin as tables that need no reading:
/// every call is a new instance, and would read the rules of its zone anew.
fn local(facts: &Facts, config: &Config) -> Result<DateTime, Deny> {
    let zone = tzdb_data::find_tz(config.time_zone.as_bytes())
        .ok_or_else(|| Deny::new(format_args!("there is no time zone `{}`", config.time_zone)))?;
    let now = Timestamp::from_millisecond(i64::try_from(facts.now_ms)?)?;
    let offset = Offset::from_seconds(zone.find_local_time_type(now.as_second())?.ut_offset())?;
    Ok(offset.to_datetime(now))
}

/// The freeze that is in force. One that ends before it begins is a mistake, and nobody knows which.
fn freeze_at(config: &Config, now: DateTime) -> Result<Option<&Freeze>, Deny> {
    if let Some(freeze) = config.freezes.iter().find(|freeze| freeze.until <= freeze.from) {
        return Err(Deny::new(format_args!("the freeze `{}` ends before it begins", freeze.reason)));
    }
    Ok(config.freezes.iter().find(|freeze| (freeze.from..freeze.until).contains(&now)))
}

fn minute(time: DateTime) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests;
