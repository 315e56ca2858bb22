//! Compiled rules as they stand in a policy: lists of numbers, texts and lists, each at its place.
//!
//! ```text
//! policy    [format, mode, [zone…], [pattern…], [rule…]]         format 1; mode 0 enforce, 1 shadow
//! zone      [until, from, ahead, from, ahead…]                   seconds
//! pattern   [state…]        state [accepts, first, last, to…]    0 or 1; bytes; a place among the states
//! rule      [name, effect, anchors, [condition…], [condition…], approval, pass ttl, [minute, hour, day], [pointer…]]
//!                           effect 0 allow, 1 step_up, 2 deny; conditions of `when`, of `require`
//! approval  [] or [count, role…]                                 0 in place of a number is none
//! condition [fact, negated, test, …]                             0 or 1
//! test      0 [exact…] [begin…] [end…] [pattern…]   1 [least, most…]   2 least most   3 [[address, bits]…]
//!           4 zone [from, until…]   5
//! ```

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::slice;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::condition::{Condition, Fact, Network, Test, Texts};
use super::pattern::{Arc, Pattern, State};
use super::zone::{Offset, Zone};
use super::{Approval, Effect, Mode, Policy, Rule};
use crate::gate::RateLimits;

/// The one form of compiled rules there is.
const FORMAT: i64 = 1;

/// A document of nothing else than numbers, texts and lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// An integer.
    Number(i64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
}

/// The document is no compiled rules of this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are no compiled rules of this release: compile the policy with the release that reads it")]
pub struct Corrupt;

impl Policy {
    /// Reads compiled rules.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] for anything that [`Policy::to_tree`] does not write.
    pub fn read(document: &Tree) -> Result<Self, Corrupt> {
        let mut items = document.items()?;
        if items.number()? != FORMAT {
            return Err(Corrupt);
        }
        let mode = if items.flag()? { Mode::Shadow } else { Mode::Enforce };
        let zones = items.each(zone)?;
        let patterns = items.each(pattern)?;
        let rules: Vec<Rule> = items.each(rule)?;
        items.end()?;
        let policy = Self::in_order(mode, zones, patterns, rules);
        if policy.is_whole() { Ok(policy) } else { Err(Corrupt) }
    }

    /// Whether every place that is named is there, what is searched is in order, and no two rules have one name.
    fn is_whole(&self) -> bool {
        let is_there = |condition: &Condition| match &condition.test {
            Test::Texts(texts) => {
                texts.exact.is_sorted() && texts.patterns.iter().all(|place| *place < self.patterns.len())
            }
            Test::Weekly(zone, _) => *zone < self.zones.len(),
            Test::Ranges(_) | Test::Length(..) | Test::Networks(_) | Test::Present => true,
        };
        let states = |pattern: &Pattern| {
            pattern.states.iter().all(|state| state.arcs.iter().all(|arc| arc.to < pattern.states.len()))
        };
        self.rules.iter().all(|rule| rule.when.iter().chain(&rule.require).all(is_there))
            && self.patterns.iter().all(states)
            && self.rules.is_sorted_by(|a, b| a.name < b.name)
    }

    /// The rules as a document.
    pub fn to_tree(&self) -> Tree {
        list([
            Tree::Number(FORMAT),
            (self.mode == Mode::Shadow).into(),
            list(self.zones.iter().map(Tree::from)),
            list(self.patterns.iter().map(Tree::from)),
            list(self.rules.iter().map(Tree::from)),
        ])
    }
}

/// What is still to be read of a list.
struct Items<'t>(slice::Iter<'t, Tree>);

impl Tree {
    fn items(&self) -> Result<Items<'_>, Corrupt> {
        match self {
            Self::List(items) => Ok(Items(items.iter())),
            Self::Number(_) | Self::Text(_) => Err(Corrupt),
        }
    }
}

impl<'t> Items<'t> {
    fn is_over(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    fn end(&self) -> Result<(), Corrupt> {
        if self.is_over() { Ok(()) } else { Err(Corrupt) }
    }

    fn next(&mut self) -> Result<&'t Tree, Corrupt> {
        self.0.next().ok_or(Corrupt)
    }

    fn number(&mut self) -> Result<i64, Corrupt> {
        match self.next()? {
            Tree::Number(number) => Ok(*number),
            Tree::Text(_) | Tree::List(_) => Err(Corrupt),
        }
    }

    fn small<T: TryFrom<i64>>(&mut self) -> Result<T, Corrupt> {
        T::try_from(self.number()?).map_err(|_| Corrupt)
    }

    fn flag(&mut self) -> Result<bool, Corrupt> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Corrupt),
        }
    }

    fn text(&mut self) -> Result<&'t str, Corrupt> {
        match self.next()? {
            Tree::Text(text) => Ok(text),
            Tree::Number(_) | Tree::List(_) => Err(Corrupt),
        }
    }

    fn items(&mut self) -> Result<Self, Corrupt> {
        self.next()?.items()
    }

    /// Reads all that is left, one after the other.
    fn rest<T>(&mut self, read: fn(&mut Self) -> Result<T, Corrupt>) -> Result<Vec<T>, Corrupt> {
        let mut all = Vec::with_capacity(self.0.len());
        while !self.is_over() {
            all.push(read(self)?);
        }
        Ok(all)
    }

    /// Reads a list of lists, each to its end.
    fn each<T>(&mut self, read: fn(&mut Self) -> Result<T, Corrupt>) -> Result<Vec<T>, Corrupt> {
        let mut lists = self.items()?;
        let mut all = Vec::with_capacity(lists.0.len());
        while !lists.is_over() {
            let mut items = lists.items()?;
            all.push(read(&mut items)?);
            items.end()?;
        }
        Ok(all)
    }

    fn texts(&mut self) -> Result<Vec<String>, Corrupt> {
        self.items()?.rest(|items| items.text().map(String::from))
    }
}

fn zone(items: &mut Items<'_>) -> Result<Zone, Corrupt> {
    let until = items.number()?;
    let offsets = items.rest(|items| Ok(Offset { from: items.number()?, ahead_seconds: items.number()? }))?;
    Ok(Zone { offsets, until })
}

fn pattern(items: &mut Items<'_>) -> Result<Pattern, Corrupt> {
    Ok(Pattern { states: items.rest(state)? })
}

fn state(items: &mut Items<'_>) -> Result<State, Corrupt> {
    let mut items = items.items()?;
    let accepts = items.flag()?;
    let arcs = items.rest(|items| Ok(Arc { first: items.small()?, last: items.small()?, to: items.small()? }))?;
    Ok(State { accepts, arcs })
}

fn rule(items: &mut Items<'_>) -> Result<Rule, Corrupt> {
    let name = items.text()?.to_string();
    let effect = match items.number()? {
        0 => Effect::Allow,
        1 => Effect::StepUp,
        2 => Effect::Deny,
        _ => return Err(Corrupt),
    };
    Ok(Rule {
        name,
        effect,
        anchors: items.small()?,
        when: items.each(condition)?,
        require: items.each(condition)?,
        approval: approval(items.items()?)?,
        pass_ttl_seconds: Some(items.number()?).filter(|ttl| *ttl != 0),
        rates: rates(items.items()?)?,
        redact: items.texts()?,
    })
}

fn approval(mut items: Items<'_>) -> Result<Option<Approval>, Corrupt> {
    if items.is_over() {
        return Ok(None);
    }
    let count = items.small()?;
    Ok(Some(Approval { roles: items.rest(|items| items.text().map(String::from))?, count }))
}

fn rates(mut items: Items<'_>) -> Result<RateLimits, Corrupt> {
    let mut limit = || Ok(Some(items.small()?).filter(|limit| *limit != 0_u32));
    let (requests_per_minute, requests_per_hour, requests_per_day) = (limit()?, limit()?, limit()?);
    items.end()?;
    Ok(RateLimits { requests_per_minute, requests_per_hour, requests_per_day })
}

fn condition(items: &mut Items<'_>) -> Result<Condition, Corrupt> {
    let fact = Fact::parse(items.text()?).ok_or(Corrupt)?;
    let negated = items.flag()?;
    let test = match items.number()? {
        0 => Test::Texts(Texts {
            exact: items.texts()?,
            begins: items.texts()?,
            ends: items.texts()?,
            patterns: items.items()?.rest(Items::small)?,
        }),
        1 => Test::Ranges(items.items()?.rest(|items| Ok((items.number()?, items.number()?)))?),
        2 => Test::Length(items.small()?, items.small()?),
        3 => Test::Networks(items.each(network)?),
        4 => Test::Weekly(items.small()?, items.items()?.rest(|items| Ok((items.small()?, items.small()?)))?),
        5 => Test::Present,
        _ => return Err(Corrupt),
    };
    Ok(Condition { fact, negated, test })
}

fn network(items: &mut Items<'_>) -> Result<Network, Corrupt> {
    Ok(Network { address: items.text()?.parse().map_err(|_| Corrupt)?, bits: items.small()? })
}

fn list(items: impl IntoIterator<Item = Tree>) -> Tree {
    Tree::List(items.into_iter().collect())
}

fn texts(items: &[String]) -> Tree {
    list(items.iter().cloned().map(Tree::Text))
}

/// A number of a policy is far below the largest there is.
fn count(number: usize) -> Tree {
    Tree::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

impl From<bool> for Tree {
    fn from(flag: bool) -> Self {
        Self::Number(flag.into())
    }
}

impl From<&Zone> for Tree {
    fn from(zone: &Zone) -> Self {
        let offsets = zone.offsets.iter().flat_map(|offset| [offset.from, offset.ahead_seconds]);
        list(core::iter::once(zone.until).chain(offsets).map(Self::Number))
    }
}

impl From<&Pattern> for Tree {
    fn from(pattern: &Pattern) -> Self {
        list(pattern.states.iter().map(|state| {
            let arcs = state.arcs.iter();
            let arcs =
                arcs.flat_map(|arc| [Self::Number(arc.first.into()), Self::Number(arc.last.into()), count(arc.to)]);
            list(core::iter::once(state.accepts.into()).chain(arcs))
        }))
    }
}

impl From<&Rule> for Tree {
    fn from(rule: &Rule) -> Self {
        let effect = match rule.effect {
            Effect::Allow => 0,
            Effect::StepUp => 1,
            Effect::Deny => 2,
        };
        let approval = rule.approval.iter().flat_map(|approval| {
            let roles = approval.roles.iter().cloned().map(Self::Text);
            core::iter::once(Self::Number(approval.count.into())).chain(roles)
        });
        let rates = [rule.rates.requests_per_minute, rule.rates.requests_per_hour, rule.rates.requests_per_day];
        list([
            Self::Text(rule.name.clone()),
            Self::Number(effect),
            count(rule.anchors),
            list(rule.when.iter().map(Self::from)),
            list(rule.require.iter().map(Self::from)),
            list(approval),
            Self::Number(rule.pass_ttl_seconds.unwrap_or_default()),
            list(rates.map(|limit| Self::Number(limit.unwrap_or_default().into()))),
            texts(&rule.redact),
        ])
    }
}

impl From<&Condition> for Tree {
    fn from(condition: &Condition) -> Self {
        let mut items = alloc::vec![Self::Text(condition.fact.name().into_owned()), condition.negated.into()];
        items.extend(match &condition.test {
            Test::Texts(one_of) => alloc::vec![
                Self::Number(0),
                texts(&one_of.exact),
                texts(&one_of.begins),
                texts(&one_of.ends),
                list(one_of.patterns.iter().copied().map(count)),
            ],
            Test::Ranges(spans) => {
                let spans = spans.iter().flat_map(|(least, most)| [*least, *most]);
                alloc::vec![Self::Number(1), list(spans.map(Self::Number))]
            }
            Test::Length(least, most) => alloc::vec![Self::Number(2), count(*least), count(*most)],
            Test::Networks(networks) => {
                let pair = |net: &Network| list([Self::Text(net.address.to_string()), Self::Number(net.bits.into())]);
                alloc::vec![Self::Number(3), list(networks.iter().map(pair))]
            }
            Test::Weekly(zone, spans) => {
                let spans = spans.iter().flat_map(|(from, until)| [*from, *until]);
                alloc::vec![Self::Number(4), count(*zone), list(spans.map(|minute| Self::Number(minute.into())))]
            }
            Test::Present => alloc::vec![Self::Number(5)],
        });
        Self::List(items)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => items.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads a [`Tree`].
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, a text or an integer")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Tree, E> {
        i64::try_from(number).map(Tree::Number).map_err(|_| E::custom("the integer is too large"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }
}
