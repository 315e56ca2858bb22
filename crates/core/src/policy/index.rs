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
    tables: Vec<Table>,
}

/// The rules that look at the same facts first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    facts: Vec<Fact>,
    /// By key, each with the place of a rule.
    keys: Vec<(String, usize)>,
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
            match index.tables.iter_mut().find(|table| table.facts == facts) {
                Some(table) => table.keys.extend(keys),
                None => index.tables.push(Table { facts, keys: keys.collect() }),
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
            for fact in &table.facts {
                wanted = combined(&wanted, &facts.value(fact).keys());
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
        let open = |begin: &String| begin.is_empty() || begin.ends_with(SEPARATORS);
        let is_found = texts.patterns.is_empty() && texts.begins.iter().all(open);
        if self.negated || !is_found || !texts.ends.iter().all(|end| end.starts_with('.')) {
            return None;
        }
        let mut keys = Vec::new();
        for (mark, list) in [("=", &texts.exact), ("<", &texts.begins), (">", &texts.ends)] {
            keys.extend(list.iter().map(|text| [mark, text].concat()));
        }
        Some(keys)
    }
}

/// After these a text goes on that rules may leave open.
const SEPARATORS: [char; 2] = [':', '/'];

impl Value<'_> {
    /// The keys under which the index finds the conditions that it can match.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let texts = match self {
            Value::Text(text) => core::slice::from_ref(text),
            Value::Labels(labels) => *labels,
            _ => return keys,
        };
        for text in texts {
            keys.push(["=", text].concat());
            keys.push(String::from("<"));
            for (at, c) in text.char_indices() {
                let (before, from) = text.split_at(at);
                if c == '.' {
                    keys.push([">", from].concat());
                }
                if SEPARATORS.contains(&c) {
                    keys.push(["<", before, c.encode_utf8(&mut [0; 4])].concat());
                }
            }
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
