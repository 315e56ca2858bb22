//! Finding the rules that can match a request without looking at the others.
//!
//! A rule stands in the index under the texts of its anchors, its first one or two conditions: what is looked for is no
//! more than the request's own texts, however many rules there are. A rule without anchors is looked at for every request.

use alloc::string::String;
use alloc::vec::Vec;

use super::condition::{Condition, Fact, Facts, Test, Value};
use super::{Effect, Rule};

/// The most keys that one rule may have.
pub const MAX_ANCHOR_KEYS: usize = 64;

/// The rules by what they can match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Index {
    /// Those that can match anything.
    always: Vec<usize>,
    pub(super) tables: Vec<Table>,
}

/// The rules that look at the same facts first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) facts: Vec<(Fact, Sought)>,
    /// By key, each with the place of a rule.
    keys: Vec<(String, usize)>,
}

/// What conditions on a fact look for: texts are asked for nothing else, however long they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sought {
    /// The longest whole text, if there is one.
    exact: Option<usize>,
    /// How long the beginnings are, in order.
    begins: Vec<usize>,
    /// How long the ends are, in order.
    ends: Vec<usize>,
}

impl Index {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (place, rule) in rules.iter().enumerate() {
            let Some((facts, keys)) = anchors(rule) else {
                index.always.push(place);
                continue;
            };
            let keys = keys.into_iter().map(|key| (key, place));
            let is_same = |table: &&mut Table| table.facts.iter().map(|(fact, _)| fact).eq(&facts);
            let place = match index.tables.iter_mut().find(is_same) {
                Some(table) => table,
                None => {
                    let facts = facts.into_iter().map(|fact| (fact, Sought::default())).collect();
                    index.tables.push(Table { facts, keys: Vec::new() });
                    let Some(table) = index.tables.last_mut() else { continue };
                    table
                }
            };
            place.keys.extend(keys);
            for ((_, sought), condition) in place.facts.iter_mut().zip(&rule.when) {
                sought.add(condition);
            }
        }
        for table in &mut index.tables {
            table.keys.sort_unstable();
        }
        index
    }

    /// The places of the rules that may match, in order.
    pub(super) fn candidates(&self, facts: &Facts<'_>) -> Vec<usize> {
        let mut places = self.always.clone();
        for table in &self.tables {
            let mut wanted = alloc::vec![String::new()];
            for (fact, sought) in &table.facts {
                wanted = combined(&wanted, &sought.keys(&facts.value(fact)));
            }
            for key in wanted {
                let from = table.keys.partition_point(|(known, _)| *known < key);
                let found = table.keys.iter().skip(from).take_while(|(known, _)| *known == key);
                places.extend(found.map(|(_, place)| *place));
            }
        }
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// The facts that a rule is found by, and the keys it stands under. None when it has no anchors, or they cannot be found.
fn anchors(rule: &Rule) -> Option<(Vec<Fact>, Vec<String>)> {
    let anchors = rule.when.get(..rule.anchors).filter(|anchors| !anchors.is_empty())?;
    let mut keys = alloc::vec![String::new()];
    for condition in anchors {
        // What is not known must not keep a rule from being looked at that it counts for.
        if rule.effect != Effect::Allow && !condition.fact.is_always_known() {
            return None;
        }
        keys = combined(&keys, &condition.keys()?);
    }
    let facts = anchors.iter().map(|condition| condition.fact.clone()).collect();
    (keys.len() <= MAX_ANCHOR_KEYS).then_some((facts, keys))
}

impl Condition {
    /// The keys under which the index finds it; none when it cannot be looked for.
    pub fn keys(&self) -> Option<Vec<String>> {
        let Test::Texts(texts) = &self.test else { return None };
        if self.negated || !texts.patterns.is_empty() {
            return None;
        }
        let mut keys = Vec::new();
        for (mark, list) in [("=", &texts.exact), ("<", &texts.begins), (">", &texts.ends)] {
            keys.extend(list.iter().map(|text| [mark, text].concat()));
        }
        Some(keys)
    }
}

impl Sought {
    /// Looks for what a condition with [`Condition::keys`] does as well.
    pub fn add(&mut self, condition: &Condition) {
        let Test::Texts(texts) = &condition.test else { return };
        self.exact = texts.exact.iter().map(String::len).chain(self.exact).max();
        for (lengths, list) in [(&mut self.begins, &texts.begins), (&mut self.ends, &texts.ends)] {
            lengths.extend(list.iter().map(String::len));
            lengths.sort_unstable();
            lengths.dedup();
        }
    }

    /// The keys under which the conditions stand that a value can match.
    pub fn keys(&self, value: &Value<'_>) -> Vec<String> {
        let mut keys = Vec::new();
        let texts = match value {
            Value::Text(text) => core::slice::from_ref(text),
            Value::Labels(labels) => *labels,
            _ => return keys,
        };
        for text in texts {
            if self.exact.is_some_and(|longest| text.len() <= longest) {
                keys.push(["=", text].concat());
            }
            keys.extend(self.begins.iter().filter_map(|length| text.get(..*length)).map(|begin| ["<", begin].concat()));
            let from = |length: &usize| text.len().checked_sub(*length).and_then(|at| text.get(at..));
            keys.extend(self.ends.iter().filter_map(from).map(|end| [">", end].concat()));
        }
        keys
    }
}

/// Each of the keys with each of those that come after.
fn combined(keys: &[String], next: &[String]) -> Vec<String> {
    let mut all = Vec::with_capacity(keys.len() * next.len());
    for key in keys {
        all.extend(next.iter().map(|next| [key, "\0", next].concat()));
    }
    all
}
