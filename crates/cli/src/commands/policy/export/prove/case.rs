//! Generated requests as other engines are given them, and made smaller.

use std::net::IpAddr;

use passgate_core::policy::{Fact, Zone};
use passgate_host::policy::Compiled;
use serde_json::{Map, Value, json};

use super::super::super::generated::shape::{can_be_nothing, is_given};
use super::super::super::generated::{Case, Known};

impl Case {
    /// The request as the exported rules look at it, its addresses written by `address`.
    pub(super) fn to_json(&self, compiled: &Compiled, address: fn(IpAddr) -> Value) -> Value {
        let (mut members, mut arguments, mut none) = (Map::new(), Map::new(), Vec::new());
        for given in [Fact::Action, Fact::Agent, Fact::Issuer, Fact::Tier] {
            members.insert(given.name().into_owned(), json!(""));
        }
        for (given, empty) in [(Fact::Closed, json!("false")), (Fact::Labels, json!([])), (Fact::Now, json!(0))] {
            members.insert(given.name().into_owned(), empty);
        }
        for (fact, known) in &self.0 {
            let value = match known {
                Known::Nothing => {
                    none.push(fact.name().into_owned());
                    continue;
                }
                Known::Text(text) => json!(text),
                Known::Labels(labels) => json!(labels),
                Known::Number(number) => json!(number),
                Known::Address(known) => address(*known),
            };
            match fact {
                Fact::Argument(name) => arguments.insert(name.clone(), value),
                named => members.insert(named.name().into_owned(), value),
            };
        }
        let zones = compiled.zones.iter().zip(compiled.policy.zones());
        let clock: Map<String, Value> = zones.map(|(name, zone)| (name.clone(), minute(zone, self.now()))).collect();
        members.extend([
            ("arguments".to_owned(), Value::Object(arguments)),
            ("clock".to_owned(), Value::Object(clock)),
            ("none".to_owned(), json!(none)),
        ]);
        Value::Object(members)
    }

    /// The cases with one fact less, or a simpler one; always fewer than before.
    pub(super) fn simpler(&self) -> Vec<Self> {
        let mut cases = Vec::new();
        for (fact, known) in &self.0 {
            let mut without = self.clone();
            without.0.remove(fact);
            cases.push(without);
            let simple = [Known::Nothing, Known::Number(0), Known::Text(String::new()), Known::Labels(Vec::new())];
            let fits = |other: &&Known| match other {
                Known::Nothing => can_be_nothing(fact),
                other => core::mem::discriminant(*other) == core::mem::discriminant(known) && !is_given(fact),
            };
            for other in simple.iter().filter(fits).filter(|other| *other < known) {
                let mut changed = self.clone();
                changed.0.insert(fact.clone(), other.clone());
                cases.push(changed);
            }
        }
        cases
    }
}

/// What the clocks of a zone show; -1 where its table says nothing.
fn minute(zone: &Zone, now: i64) -> Value {
    zone.minute_of_week(now).map_or(json!(-1), |minute| json!(minute))
}
