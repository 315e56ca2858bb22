//! Requests as rules look at them: what the other engine has to be given.

use std::collections::BTreeMap;

use passgate_core::policy::{Fact, Test};
use passgate_core::route::{ArgumentKind, Route};
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
    /// The shape of the requests that these rules look at, with the routes that they are for. Refused is an argument that is
    /// of two kinds in what is exported: routes may declare one name twice, but a record has one value of it.
    pub(super) fn of(compiled: &Compiled, routes: &[Route]) -> Result<Self, Vec<Refusal>> {
        let mut uses: BTreeMap<&str, Vec<Use<'_>>> = BTreeMap::new();
        for rule in compiled.policy.rules() {
            for condition in rule.when.iter().chain(&rule.require) {
                let Fact::Argument(name) = &condition.fact else { continue };
                uses.entry(name).or_default().push((&rule.name, tested(&condition.test)));
            }
        }
        let refusals: Vec<Refusal> = uses.iter().flat_map(|(name, uses)| mixed(name, uses, routes)).collect();
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let kind = |uses: &[Use<'_>]| uses.iter().find_map(|(_, kind)| *kind).unwrap_or(Kind::Any);
        let arguments = uses.into_iter().map(|(name, uses)| (name.to_owned(), kind(&uses))).collect();
        Ok(Self { arguments, zones: compiled.zones.clone() })
    }
}

/// A rule that looks at an argument, and the kind of value that it wants, if it wants one.
type Use<'a> = (&'a str, Option<Kind>);

/// What is wrong with the rules that look at an argument.
fn mixed(name: &str, uses: &[Use<'_>], routes: &[Route]) -> Vec<Refusal> {
    let Some((of, one)) = uses.iter().find_map(|(rule, kind)| Some((rule, (*kind)?))) else { return Vec::new() };
    let several = declared(name, routes) > 1;
    let refusal = |(rule, kind): &Use<'_>| {
        let why = match kind {
            Some(other) if *other != one => {
                format!("it is {} here and {} in rule `{of}`", other.as_str(), one.as_str())
            }
            // Where it is of another kind it has to be left out, and would seem not to be there.
            None if several => {
                format!(
                    "it is asked whether it is there, and routes declare it as others than {}, as rule `{of}` has it",
                    one.as_str()
                )
            }
            _ => return None,
        };
        let fact = Fact::Argument(name.to_owned()).name().into_owned();
        Some(Refusal { rule: (*rule).to_owned(), fact, why })
    };
    uses.iter().filter_map(refusal).collect()
}

/// As how many kinds of values routes declare an argument.
fn declared(name: &str, routes: &[Route]) -> usize {
    let arguments = routes.iter().flat_map(|route| &route.arguments).filter(|argument| argument.name == name);
    let mut kinds: Vec<&str> = arguments
        .map(|argument| match argument.kind {
            ArgumentKind::Integer => Kind::Number.as_str(),
            ArgumentKind::Address => Kind::Address.as_str(),
            _ => Kind::Text.as_str(),
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len()
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
