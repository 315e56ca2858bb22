//! Generated requests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use passgate_core::policy::{Fact, Facts, Value as FactValue};
use passgate_core::route::ArgumentValue;

/// What is known of a request. What is not in it is unknown, and of a fact that every request has, empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Case(pub(crate) BTreeMap<Fact, Known>);

/// What is known of a fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// There is none.
    Nothing,
    Text(String),
    Labels(Vec<String>),
    Number(i64),
    Address(IpAddr),
}

impl Case {
    /// Hands the request over as the gate's evaluator takes it.
    pub(crate) fn with<R>(&self, ask: impl FnOnce(&Facts<'_>) -> R) -> R {
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

    /// In Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        match self.0.get(&Fact::Now) {
            Some(Known::Number(now)) => *now,
            _ => 0,
        }
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
