//! Requests as rules look at them.

use std::collections::BTreeMap;

use passgate_core::policy::{Fact, Test};
use passgate_host::policy::Compiled;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// Some texts.
    Labels,
    /// An integer.
    Number,
    /// An IP address.
    Address,
    /// Anything: rules look at no more than whether it is there.
    Any,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Labels => "labels",
            Self::Number => "an integer",
            Self::Address => "an address",
            Self::Any => "anything",
        }
    }
}

/// The facts that are no arguments, in order.
pub(crate) const NAMED: [Fact; 13] = [
    Fact::Action,
    Fact::Agent,
    Fact::Amount,
    Fact::Class,
    Fact::Closed,
    Fact::Domain,
    Fact::Issuer,
    Fact::Labels,
    Fact::Now,
    Fact::Purpose,
    Fact::Records,
    Fact::Resource,
    Fact::Tier,
];

/// The kind that a fact has, if it is no argument.
pub(crate) fn kind(fact: &Fact) -> Option<Kind> {
    match fact {
        Fact::Argument(_) => None,
        Fact::Labels => Some(Kind::Labels),
        Fact::Amount | Fact::Now | Fact::Records => Some(Kind::Number),
        _ => Some(Kind::Text),
    }
}

/// Whether every request has a value of this fact. Of others it may be unknown, or known that there is none.
pub(crate) fn is_given(fact: &Fact) -> bool {
    fact.is_always_known() || matches!(fact, Fact::Closed | Fact::Labels | Fact::Now)
}

/// Whether a fact can be known to be nothing. An argument that is not there is unknown.
pub(crate) fn can_be_nothing(fact: &Fact) -> bool {
    !is_given(fact) && !matches!(fact, Fact::Argument(_))
}

/// What rules look at beside the facts that all policies know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The arguments by name, with their kinds.
    pub(crate) arguments: BTreeMap<String, Kind>,
    /// The names of the time zones of which the minute of the week is wanted.
    pub(crate) zones: Vec<String>,
}

impl Shape {
    /// The shape of the requests that these rules look at. An argument that is of several kinds has the first of them.
    pub(crate) fn of(compiled: &Compiled) -> Self {
        let mut arguments: BTreeMap<String, Kind> = BTreeMap::new();
        for condition in compiled.policy.rules().iter().flat_map(|rule| rule.when.iter().chain(&rule.require)) {
            let Fact::Argument(name) = &condition.fact else { continue };
            let kind = arguments.entry(name.clone()).or_insert(Kind::Any);
            if *kind == Kind::Any {
                *kind = tested(&condition.test).unwrap_or(Kind::Any);
            }
        }
        Self { arguments, zones: compiled.zones.clone() }
    }
}

/// The kind of value that passes a test; none if it tells nothing of it.
pub(crate) fn tested(test: &Test) -> Option<Kind> {
    match test {
        Test::Texts(_) | Test::Length(..) => Some(Kind::Text),
        Test::Ranges(_) | Test::Weekly(..) => Some(Kind::Number),
        Test::Networks(_) => Some(Kind::Address),
        Test::Present => None,
    }
}
