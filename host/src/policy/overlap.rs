//! Rules that never decide anything, because of what they say themselves or because of others.

use std::collections::{BTreeMap, BTreeSet};

use passgate_core::policy::{Condition, Effect, Fact, Network, Rule, Sought, Test, Texts, Value};

/// Finds them; each rule comes with its place in what was written. What is found is said of that place and, if it is about
/// one, of a member there.
pub(super) fn find(rules: &[(usize, Rule)]) -> Vec<(usize, &'static str, String)> {
    let mut faults = Vec::new();
    let wider = Wider::of(rules);
    for (place, rule) in rules {
        faults.extend(contradiction(rule).map(|(member, why)| (*place, member, why)));
        let others = wider.than(rule).into_iter().filter_map(|at| rules.get(at)).filter(|(other, _)| other != place);
        let why = others.into_iter().find_map(|(other, stronger)| overruled(rule, stronger, place < other));
        faults.extend(why.map(|why| (*place, "", why)));
    }
    faults
}

/// Rules by what they look for, so that those which may overrule one are found without comparing all with all.
pub(super) struct Wider<'r> {
    /// Those that look for nothing that can be found.
    always: Vec<usize>,
    by_key: BTreeMap<(&'r Fact, String), Vec<usize>>,
    sought: BTreeMap<&'r Fact, Sought>,
}

impl<'r> Wider<'r> {
    pub(super) fn of(rules: &'r [(usize, Rule)]) -> Self {
        let mut shared: BTreeMap<(&Fact, String), usize> = BTreeMap::new();
        for (fact, key) in rules.iter().flat_map(|(_, rule)| keys(rule)).flat_map(|(fact, keys)| with(fact, keys)) {
            *shared.entry((fact, key)).or_default() += 1;
        }
        let mut wider = Self { always: Vec::new(), by_key: BTreeMap::new(), sought: BTreeMap::new() };
        for condition in rules.iter().flat_map(|(_, rule)| &rule.when).filter(|condition| condition.keys().is_some()) {
            wider.sought.entry(&condition.fact).or_default().add(condition);
        }
        for (at, (_, rule)) in rules.iter().enumerate() {
            let crowd = |(fact, keys): &(&'r Fact, Vec<String>)| {
                keys.iter().filter_map(|key| shared.get(&(*fact, key.clone()))).max().copied().unwrap_or_default()
            };
            match keys(rule).min_by_key(crowd) {
                Some((fact, keys)) => {
                    with(fact, keys).for_each(|key| wider.by_key.entry(key).or_default().push(at));
                }
                None => wider.always.push(at),
            }
        }
        wider
    }

    /// The places of the rules that may match all that `rule` matches, in order. What they look for has to be found in every
    /// text that a condition of it names, so in the first.
    pub(super) fn than(&self, rule: &'r Rule) -> BTreeSet<usize> {
        let mut places: BTreeSet<usize> = self.always.iter().copied().collect();
        for condition in rule.when.iter().filter(|condition| !condition.negated) {
            let Test::Texts(texts) = &condition.test else { continue };
            let Some(first) = texts.exact.iter().chain(&texts.begins).chain(&texts.ends).next() else { continue };
            let Some(sought) = self.sought.get(&condition.fact) else { continue };
            for key in with(&condition.fact, sought.keys(&Value::Text(first))) {
                places.extend(self.by_key.get(&key).into_iter().flatten());
            }
        }
        places
    }
}

/// What a rule looks for that can be found, condition by condition.
fn keys(rule: &Rule) -> impl Iterator<Item = (&Fact, Vec<String>)> {
    rule.when.iter().filter_map(|condition| Some((&condition.fact, condition.keys()?)))
}

fn with(fact: &Fact, keys: Vec<String>) -> impl Iterator<Item = (&Fact, String)> {
    keys.into_iter().map(move |key| (fact, key))
}

/// Conditions of one rule that cannot hold together.
fn contradiction(rule: &Rule) -> Option<(&'static str, String)> {
    let against = |one: &Condition, others: &[Condition]| others.iter().any(|other| excludes(one, other));
    for (place, condition) in rule.when.iter().enumerate() {
        if rule.when.get(place + 1..).is_some_and(|rest| against(condition, rest)) {
            let why = format!("never holds: its conditions on `{}` exclude each other", condition.fact.name());
            return Some((".when", why));
        }
        if against(condition, &rule.require) {
            let why = format!("is never met: what it asks of `{}` excludes what `when` does", condition.fact.name());
            return Some((".require", why));
        }
    }
    None
}

/// Why `rule` decides nothing beside `other`. Of two that say the same, the one that stands first is to blame.
fn overruled(rule: &Rule, other: &Rule, is_first: bool) -> Option<String> {
    if !implies(&rule.when, &other.when) {
        return None;
    }
    let is_same = implies(&other.when, &rule.when);
    let says_more = !rule.require.is_empty()
        || rule.rates.windows().next().is_some()
        || rule.pass_ttl_seconds.is_some()
        || !rule.redact.is_empty();
    if rule.effect == other.effect {
        let bare = !says_more && (rule.approval == other.approval || rule.effect != Effect::StepUp);
        let is_spare = bare && (!is_same || is_first) && (other.require.is_empty() || other.effect == Effect::Deny);
        return is_spare.then(|| format!("says nothing that rule `{}` does not say: remove one of them", other.name));
    }
    if other.effect < rule.effect {
        return None;
    }
    if is_same {
        return Some(format!("contradicts rule `{}`, which matches the same requests: remove one of them", other.name));
    }
    let verb = if other.effect == Effect::Deny { "denies" } else { "asks for approval of" };
    let is_dead = other.effect == Effect::Deny || !says_more;
    is_dead.then(|| {
        format!("is dead: rule `{}` {verb} everything that it matches; remove it, or narrow that one", other.name)
    })
}

/// Whether what all of `narrow` hold of, all of `wide` hold of.
pub(super) fn implies(narrow: &[Condition], wide: &[Condition]) -> bool {
    wide.iter().all(|wide| {
        let covers = |narrow: &Condition| {
            let is_alike = narrow.fact == wide.fact && narrow.negated == wide.negated;
            is_alike && if wide.negated { covers(&narrow.test, &wide.test) } else { covers(&wide.test, &narrow.test) }
        };
        narrow.iter().any(covers)
    })
}

/// Whether the two never hold together.
fn excludes(one: &Condition, other: &Condition) -> bool {
    if one.fact != other.fact {
        return false;
    }
    match (one.negated, other.negated) {
        (false, true) => covers(&other.test, &one.test),
        (true, false) => covers(&one.test, &other.test),
        // An agent may have a label of both lists.
        (false, false) => one.fact != Fact::Labels && is_apart(&one.test, &other.test),
        (true, true) => false,
    }
}

/// Whether `wide` holds wherever `narrow` does, as far as can be told.
fn covers(wide: &Test, narrow: &Test) -> bool {
    match (wide, narrow) {
        (Test::Texts(wide), Test::Texts(narrow)) => covers_texts(wide, narrow),
        (Test::Ranges(wide), Test::Ranges(narrow)) => {
            narrow.iter().all(|(least, most)| wide.iter().any(|(from, until)| from <= least && most <= until))
        }
        (Test::Length(from, until), Test::Length(least, most)) => from <= least && most <= until,
        (Test::Networks(wide), Test::Networks(narrow)) => narrow
            .iter()
            .all(|narrow| wide.iter().any(|wide| wide.bits <= narrow.bits && wide.contains(narrow.address))),
        (Test::Weekly(zone, wide), Test::Weekly(other, narrow)) => {
            let is_in = |(from, until): &(u32, u32)| wide.iter().any(|(first, last)| first <= from && until <= last);
            zone == other && narrow.iter().all(is_in)
        }
        (Test::Present, Test::Present) => true,
        _ => false,
    }
}

fn covers_texts(wide: &Texts, narrow: &Texts) -> bool {
    let begins = |text: &String| wide.begins.iter().any(|begin| text.starts_with(begin.as_str()));
    let ends = |text: &String| wide.ends.iter().any(|end| text.ends_with(end.as_str()));
    narrow.exact.iter().all(|text| wide.exact.binary_search(text).is_ok() || begins(text) || ends(text))
        && narrow.begins.iter().all(begins)
        && narrow.ends.iter().all(ends)
        && narrow.patterns.iter().all(|place| wide.patterns.contains(place))
}

/// Whether nothing passes both.
fn is_apart(one: &Test, other: &Test) -> bool {
    match (one, other) {
        (Test::Texts(one), Test::Texts(other)) => {
            let is_listed =
                |texts: &Texts| texts.begins.is_empty() && texts.ends.is_empty() && texts.patterns.is_empty();
            let has_one =
                |texts: &Texts, list: &Texts| list.exact.iter().any(|text| covers_texts(texts, &exactly(text)));
            if is_listed(one) && other.patterns.is_empty() {
                !has_one(other, one)
            } else {
                is_listed(other) && one.patterns.is_empty() && !has_one(one, other)
            }
        }
        (Test::Ranges(one), Test::Ranges(other)) => {
            !one.iter().any(|(least, most)| other.iter().any(|(from, until)| least <= until && from <= most))
        }
        (Test::Length(least, most), Test::Length(from, until)) => most < from || until < least,
        (Test::Networks(one), Test::Networks(other)) => {
            let meet = |a: &Network, b: &Network| a.contains(b.address) || b.contains(a.address);
            !one.iter().any(|one| other.iter().any(|other| meet(one, other)))
        }
        (Test::Weekly(zone, one), Test::Weekly(of, other)) => {
            let meet = |(a, b): &(u32, u32), (c, d): &(u32, u32)| a < d && c < b;
            zone == of && !one.iter().any(|one| other.iter().any(|other| meet(one, other)))
        }
        _ => false,
    }
}

fn exactly(text: &str) -> Texts {
    Texts { exact: vec![text.to_owned()], ..Texts::default() }
}
