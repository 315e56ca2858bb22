//! Requests as rules look at them: what the other engine has to be given.

use std::collections::BTreeMap;

use passgate_core::policy::{Fact, Test};
use passgate_host::policy::Compiled;

use super::Refusal;

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
    const fn as_str(self) -> &'static str {
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
pub(super) const NAMED: [Fact; 13] = [
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
pub(super) fn kind(fact: &Fact) -> Option<Kind> {
    match fact {
        Fact::Argument(_) => None,
        Fact::Labels => Some(Kind::Labels),
        Fact::Amount | Fact::Now | Fact::Records => Some(Kind::Number),
        _ => Some(Kind::Text),
    }
}

/// Whether every request has a value of this fact. Of others it may be unknown, or known that there is none.
pub(super) fn is_given(fact: &Fact) -> bool {
    fact.is_always_known() || matches!(fact, Fact::Closed | Fact::Labels | Fact::Now)
}

/// Whether a fact can be known to be nothing. An argument that is not there is unknown.
pub(super) fn can_be_nothing(fact: &Fact) -> bool {
    !is_given(fact) && !matches!(fact, Fact::Argument(_))
}

/// What rules look at beside the facts that all policies know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// The arguments by name, with their kinds.
    pub(super) arguments: BTreeMap<String, Kind>,
    /// The names of the time zones of which the minute of the week is wanted.
    pub(super) zones: Vec<String>,
}

impl Shape {
    /// The shape of the requests that these rules look at. Refused is an argument that rules test as values of two kinds:
    /// routes may declare one name twice, but a record has one value of it.
    pub(super) fn of(compiled: &Compiled) -> Result<Self, Vec<Refusal>> {
        let mut arguments: BTreeMap<String, (Option<Kind>, &str)> = BTreeMap::new();
        let mut refusals = Vec::new();
        for rule in compiled.policy.rules() {
            for condition in rule.when.iter().chain(&rule.require) {
                let Fact::Argument(name) = &condition.fact else { continue };
                let tested = tested(&condition.test);
                let (known, of) = arguments.entry(name.clone()).or_insert((None, &rule.name));
                match (*known, tested) {
                    (Some(one), Some(other)) if one != other => refusals.push(Refusal {
                        rule: rule.name.clone(),
                        fact: condition.fact.name().into_owned(),
                        why: format!("it is {} here and {} in rule `{of}`", other.as_str(), one.as_str()),
                    }),
                    (None, Some(_)) => (*known, *of) = (tested, &rule.name),
                    _ => {}
                }
            }
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let kind = |(name, (kind, _)): (String, (Option<Kind>, &str))| (name, kind.unwrap_or(Kind::Any));
        Ok(Self { arguments: arguments.into_iter().map(kind).collect(), zones: compiled.zones.clone() })
    }
}

/// The kind of value that passes a test; none if it tells nothing of it.
fn tested(test: &Test) -> Option<Kind> {
    match test {
        Test::Texts(_) | Test::Length(..) => Some(Kind::Text),
        Test::Ranges(_) | Test::Weekly(..) => Some(Kind::Number),
        Test::Networks(_) => Some(Kind::Address),
        Test::Present => None,
    }
}
