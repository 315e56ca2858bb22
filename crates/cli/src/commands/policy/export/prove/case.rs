//! Generated requests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use passgate_core::policy::{Fact, Facts, Value as FactValue, Zone};
use passgate_core::route::ArgumentValue;
use passgate_host::policy::Compiled;
use serde_json::{Map, Value, json};

use super::super::shape::{can_be_nothing, is_given};

/// What is known of a request. What is not in it is unknown, and of a fact that every request has, empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Case(pub(super) BTreeMap<Fact, Known>);

/// What is known of a fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// There is none.
    Nothing,
    Text(String),
    Labels(Vec<String>),
    Number(i64),
    Address(IpAddr),
}

impl Case {
    /// Hands the request over as the gate's evaluator takes it.
    pub(super) fn with<R>(&self, ask: impl FnOnce(&Facts<'_>) -> R) -> R {
        let arguments: Vec<(&str, Option<ArgumentValue>)> = self.0.iter().filter_map(argument).collect();
        let text = |fact: Fact| match self.0.get(&fact) {
            Some(Known::Text(text)) => text.as_str(),
            _ => "",
        };
        let labels: &[String] = match self.0.get(&Fact::Labels) {
            Some(Known::Labels(labels)) => labels,
            _ => &[],
        };
        ask(&Facts {
            action: text(Fact::Action),
            agent: text(Fact::Agent),
            amount: self.value(&Fact::Amount),
            class: self.value(&Fact::Class),
            closed: text(Fact::Closed) == "true",
            domain: self.value(&Fact::Domain),
            issuer: text(Fact::Issuer),
            labels: labels.iter().map(String::as_str).collect(),
            now: self.now(),
            purpose: self.value(&Fact::Purpose),
            records: self.value(&Fact::Records),
            resource: self.value(&Fact::Resource),
            tier: text(Fact::Tier),
            arguments: arguments.iter().map(|(name, value)| (*name, value.as_ref())).collect(),
        })
    }

    fn value(&self, fact: &Fact) -> FactValue<'_> {
        match self.0.get(fact) {
            None => FactValue::Unknown,
            Some(Known::Text(text)) => FactValue::Text(text),
            Some(Known::Number(number)) => FactValue::Number(*number),
            Some(Known::Address(address)) => FactValue::Address(*address),
            Some(Known::Nothing | Known::Labels(_)) => FactValue::Nothing,
        }
    }

    fn now(&self) -> i64 {
        match self.0.get(&Fact::Now) {
            Some(Known::Number(now)) => *now,
            _ => 0,
        }
    }

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

fn argument<'a>((fact, known): (&'a Fact, &Known)) -> Option<(&'a str, Option<ArgumentValue>)> {
    let Fact::Argument(name) = fact else { return None };
    let value = match known {
        Known::Nothing | Known::Labels(_) => None,
        Known::Text(text) => Some(ArgumentValue::Text(text.clone())),
        Known::Number(number) => Some(ArgumentValue::Number(*number)),
        Known::Address(address) => Some(ArgumentValue::Address(*address)),
    };
    Some((name, value))
}

/// What the clocks of a zone show; -1 where its table says nothing.
fn minute(zone: &Zone, now: i64) -> Value {
    zone.minute_of_week(now).map_or(json!(-1), |minute| json!(minute))
}
