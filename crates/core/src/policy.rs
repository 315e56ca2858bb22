//! The operator's rules: which requests they match, and what they say of them.
//!
//! A rule matches a request when all of its conditions hold. What matching rules say is combined so that their order never
//! matters: one that denies beats all others, then one whose requirement is not met, then one that asks for approval, then
//! one that allows; a request that no rule allows is denied.
//!
//! What is not known of a request counts against it: a condition on it holds in rules that deny or ask for approval, and
//! holds neither in rules that allow nor in requirements.
//!
//! Rules arrive compiled ([`Policy::read`]): whoever makes a policy has checked it, and a gate needs no more than to
//! evaluate it.

mod condition;
mod index;
mod pattern;
mod wire;
mod zone;

use alloc::string::String;
use alloc::vec::Vec;

use crate::gate::RateLimits;

pub use condition::{Condition, Fact, Facts, Network, Test, Texts, Value};
pub use index::{MAX_ANCHOR_KEYS, Sought};
pub use pattern::{Arc, Pattern, State};
pub use wire::{Corrupt, Tree};
pub use zone::{MINUTES_PER_WEEK, Offset, Zone};

use index::Index;

/// What the rules are there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They decide.
    #[default]
    Enforce,
    /// They are evaluated and recorded, and decide nothing.
    Shadow,
}

/// What a rule says of a request that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Let it through.
    Allow,
    /// Let it through once a person has approved.
    StepUp,
    /// Refuse it.
    Deny,
}

/// Who has to approve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Approval {
    /// The roles of which an approver has one; none means any approver.
    pub roles: Vec<String>,
    /// How many have to.
    pub count: u32,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, which no other rule has.
    pub name: String,
    /// What it says.
    pub effect: Effect,
    /// How many of the first conditions the index looks for: none, one or two.
    pub anchors: usize,
    /// What has to hold for it to match.
    pub when: Vec<Condition>,
    /// What has to hold of every request that it matches.
    pub require: Vec<Condition>,
    /// Who approves, of a rule that asks for approval.
    pub approval: Option<Approval>,
    /// The longest life of a one-action pass for what it allows.
    pub pass_ttl_seconds: Option<i64>,
    /// How often it lets each agent through.
    pub rates: RateLimits,
    /// Where in a JSON body the texts stand that do not go upstream.
    pub redact: Vec<String>,
}

/// The rules of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    mode: Mode,
    zones: Vec<Zone>,
    patterns: Vec<Pattern>,
    /// Ordered by name.
    rules: Vec<Rule>,
    index: Index,
    /// Told of each request, so not looked for in all rules each time.
    asks_closed: bool,
    redacts: bool,
}

/// What becomes of one rule in the face of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained<'p> {
    /// The rule.
    pub rule: &'p Rule,
    /// Which of its conditions hold, in their order.
    pub when: Vec<bool>,
    /// Which of its requirements are met, in their order.
    pub require: Vec<bool>,
}

impl Explained<'_> {
    /// Whether the rule matches.
    pub fn matches(&self) -> bool {
        self.when.iter().all(|holds| *holds)
    }
}

/// What the rules say of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling<'p> {
    /// The rules that match, ordered by name.
    pub matched: Vec<&'p Rule>,
    /// What they come to.
    pub outcome: Outcome<'p>,
}

/// What rules come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'p> {
    /// This rule denies it.
    Denied(&'p Rule),
    /// It does not meet this requirement of this rule.
    Unmet(&'p Rule, &'p Condition),
    /// This rule asks for approval.
    StepUp(&'p Rule),
    /// This rule allows it.
    Allowed(&'p Rule),
    /// No rule allows it.
    Missing,
}

impl<'p> Outcome<'p> {
    /// The rule that decides.
    pub fn rule(self) -> Option<&'p Rule> {
        match self {
            Self::Denied(rule) | Self::Unmet(rule, _) | Self::StepUp(rule) | Self::Allowed(rule) => Some(rule),
            Self::Missing => None,
        }
    }

    /// More beats less.
    fn weight(self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Allowed(_) => 1,
            Self::StepUp(_) => 2,
            Self::Unmet(..) => 3,
            Self::Denied(_) => 4,
        }
    }
}

impl Policy {
    /// The policy of these rules, whose conditions name patterns and zones by their place in the lists.
    pub fn new(mode: Mode, zones: Vec<Zone>, patterns: Vec<Pattern>, mut rules: Vec<Rule>) -> Self {
        rules.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self::in_order(mode, zones, patterns, rules)
    }

    fn in_order(mode: Mode, zones: Vec<Zone>, patterns: Vec<Pattern>, rules: Vec<Rule>) -> Self {
        let index = Index::of(&rules);
        let closed = |condition: &Condition| condition.fact == Fact::Closed;
        let asks_closed = rules.iter().any(|rule| rule.when.iter().chain(&rule.require).any(closed));
        let redacts = rules.iter().any(|rule| !rule.redact.is_empty());
        Self { mode, zones, patterns, rules, index, asks_closed, redacts }
    }

    /// Whether the rules decide.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a rule looks at [`Fact::Closed`].
    pub fn asks_closed(&self) -> bool {
        self.asks_closed
    }

    /// Whether a rule takes texts out of what it lets through, which only those that forward can do.
    pub fn redacts(&self) -> bool {
        self.redacts
    }

    /// The time zones that conditions name by their place.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The patterns that conditions name by their place.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The rules, ordered by name.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What the rules say of a request.
    pub fn evaluate(&self, facts: &Facts<'_>) -> Ruling<'_> {
        let mut ruling = Ruling { matched: Vec::new(), outcome: Outcome::Missing };
        for place in self.index.candidates(facts) {
            let Some(rule) = self.rules.get(place) else { continue };
            if self.matches(rule, facts) {
                let outcome = self.outcome(rule, facts);
                // Of those that weigh the same, the first by name is the one reported.
                if outcome.weight() > ruling.outcome.weight() {
                    ruling.outcome = outcome;
                }
                ruling.matched.push(rule);
            }
        }
        ruling
    }

    /// What becomes of each rule, for whoever wrote them: those that the index passes over are looked at too.
    pub fn explain(&self, facts: &Facts<'_>) -> Vec<Explained<'_>> {
        let holding = |conditions: &[Condition], unknown| {
            conditions.iter().map(|condition| self.holds(condition, facts, unknown)).collect()
        };
        let explained = |rule| Explained {
            rule,
            when: holding(&rule.when, rule.effect != Effect::Allow),
            require: holding(&rule.require, false),
        };
        self.rules.iter().map(explained).collect()
    }

    /// Whether all conditions of `rule` hold.
    pub fn matches(&self, rule: &Rule, facts: &Facts<'_>) -> bool {
        rule.when.iter().all(|condition| self.holds(condition, facts, rule.effect != Effect::Allow))
    }

    /// Whether `condition` holds; `unknown` is what it is of something that is not known.
    pub fn holds(&self, condition: &Condition, facts: &Facts<'_>, unknown: bool) -> bool {
        let value = facts.value(&condition.fact);
        match (&condition.test, &value) {
            (Test::Present, value) => (*value != Value::Unknown) != condition.negated,
            (_, Value::Unknown) => unknown,
            // The table of the zone says nothing of that time.
            (Test::Weekly(zone, _), Value::Number(now)) if self.minute(*zone, *now).is_none() => unknown,
            (test, value) => self.test(test, value) != condition.negated,
        }
    }

    fn outcome<'p>(&'p self, rule: &'p Rule, facts: &Facts<'_>) -> Outcome<'p> {
        if rule.effect == Effect::Deny {
            return Outcome::Denied(rule);
        }
        if let Some(unmet) = rule.require.iter().find(|condition| !self.holds(condition, facts, false)) {
            return Outcome::Unmet(rule, unmet);
        }
        if rule.effect == Effect::StepUp { Outcome::StepUp(rule) } else { Outcome::Allowed(rule) }
    }

    fn test(&self, test: &Test, value: &Value<'_>) -> bool {
        match (test, value) {
            (Test::Texts(texts), Value::Text(text)) => self.has(texts, text),
            (Test::Texts(texts), Value::Labels(labels)) => labels.iter().any(|label| self.has(texts, label)),
            (Test::Ranges(spans), Value::Number(number)) => {
                spans.iter().any(|(least, most)| least <= number && number <= most)
            }
            (Test::Length(least, most), Value::Text(text)) => *least <= text.len() && text.len() <= *most,
            (Test::Networks(networks), Value::Address(address)) => networks.iter().any(|net| net.contains(*address)),
            (Test::Weekly(zone, minutes), Value::Number(now)) => {
                let minute = self.minute(*zone, *now);
                minute.is_some_and(|minute| minutes.iter().any(|(from, until)| *from <= minute && minute < *until))
            }
            _ => false,
        }
    }

    fn minute(&self, zone: usize, now: i64) -> Option<u32> {
        self.zones.get(zone)?.minute_of_week(now)
    }

    fn has(&self, texts: &Texts, text: &str) -> bool {
        texts.exact.binary_search_by(|known| known.as_str().cmp(text)).is_ok()
            || texts.begins.iter().any(|begin| text.starts_with(begin.as_str()))
            || texts.ends.iter().any(|end| text.ends_with(end.as_str()))
            || texts.patterns.iter().any(|place| self.patterns.get(*place).is_some_and(|p| p.matches(text)))
    }
}

#[cfg(test)]
mod tests;
