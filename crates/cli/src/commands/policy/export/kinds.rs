//! Arguments that are of several kinds: routes may declare one name twice, but an exported record has one value of it.

use std::collections::BTreeMap;

use passgate_core::policy::Fact;
use passgate_core::route::{ArgumentKind, Route};
use passgate_host::policy::Compiled;

use super::super::generated::shape::{Kind, tested};
use super::Refusal;

/// What is wrong with rules that want an argument to be of several kinds, with the routes that they are for.
pub(super) fn refusals(compiled: &Compiled, routes: &[Route]) -> Vec<Refusal> {
    let mut uses: BTreeMap<&str, Vec<Use<'_>>> = BTreeMap::new();
    for rule in compiled.policy.rules() {
        for condition in rule.when.iter().chain(&rule.require) {
            let Fact::Argument(name) = &condition.fact else { continue };
            uses.entry(name).or_default().push((&rule.name, tested(&condition.test)));
        }
    }
    uses.iter().flat_map(|(name, uses)| mixed(name, uses, routes)).collect()
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
