//! Which conditions the index of a policy looks for.

use std::collections::BTreeMap;

use passgate_core::policy::{Condition, Effect, Fact, MAX_ANCHOR_KEYS, Rule, Test};

/// The most rules that are worth looking at for one key before a second condition narrows them down.
const FEW: usize = 4;

/// Puts those conditions first in each rule that fewest other rules share.
pub(super) fn choose(rules: &mut [Rule]) {
    let mut shared: BTreeMap<(Fact, String), usize> = BTreeMap::new();
    for rule in rules.iter() {
        for (condition, keys) in candidates(rule) {
            for key in keys {
                *shared.entry((condition.fact.clone(), key)).or_default() += 1;
            }
        }
    }
    for rule in rules {
        let of_key = |fact: &Fact, key: String| shared.get(&(fact.clone(), key)).copied().unwrap_or_default();
        let crowd =
            |fact: &Fact, keys: Vec<String>| keys.into_iter().map(|key| of_key(fact, key)).max().unwrap_or_default();
        let mut ranked: Vec<(usize, usize, Condition)> = candidates(rule)
            .map(|(condition, keys)| (keys.len(), condition.clone(), keys))
            .map(|(count, condition, keys)| (crowd(&condition.fact, keys), count, condition))
            .collect();
        ranked.sort_by_key(|(crowd, _, _)| *crowd);
        let mut chosen: Vec<(usize, usize, Condition)> = Vec::new();
        for (crowd, keys, condition) in ranked {
            let is_enough = chosen.first().is_some_and(|(crowd, _, _)| *crowd <= FEW) || chosen.len() == 2;
            let product: usize = chosen.iter().map(|(_, keys, _)| keys).product();
            let is_other = chosen.iter().all(|(_, _, other)| other.fact != condition.fact);
            if !is_enough && is_other && product * keys <= MAX_ANCHOR_KEYS {
                chosen.push((crowd, keys, condition));
            }
        }
        let mut chosen: Vec<Condition> = chosen.into_iter().map(|(_, _, condition)| condition).collect();
        // Rules that look at the same facts share a table.
        chosen.sort_by(|a, b| a.fact.cmp(&b.fact));
        rule.anchors = chosen.len();
        rule.when.retain(|condition| !chosen.contains(condition));
        rule.when.splice(..0, chosen);
    }
}

/// The conditions that can be looked for and do not hold of everything, with their keys.
fn candidates(rule: &Rule) -> impl Iterator<Item = (&Condition, Vec<String>)> {
    let is_known = |condition: &&Condition| rule.effect == Effect::Allow || condition.fact.is_always_known();
    let narrows = |condition: &&Condition| match &condition.test {
        Test::Texts(texts) => !texts.begins.iter().any(String::is_empty),
        _ => false,
    };
    rule.when.iter().filter(is_known).filter(narrows).filter_map(|condition| Some((condition, condition.keys()?)))
}
