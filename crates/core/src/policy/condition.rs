//! What a rule looks at in a request, and what it says of it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::route::ArgumentValue;

/// Something known of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// The action that the request maps to.
    Action,
    /// The agent that the issuer vouches for: those it hands on to choose their names themselves.
    Agent,
    /// The amount, in millionths of a US dollar.
    Amount,
    /// The effect class that the route declares.
    Class,
    /// Whether the request has only what the route declares: `true` or `false`.
    Closed,
    /// The host that the request targets.
    Domain,
    /// Who vouches for the agent.
    Issuer,
    /// The labels of its passports.
    Labels,
    /// The Unix second of the decision.
    Now,
    /// What the passport says the work is for.
    Purpose,
    /// How many records the request asks for at most.
    Records,
    /// The resource that the request touches.
    Resource,
    /// The trust tier.
    Tier,
    /// The argument of this name.
    Argument(String),
}

const NAMED: [(&str, Fact); 13] = [
    ("action", Fact::Action),
    ("agent", Fact::Agent),
    ("amount", Fact::Amount),
    ("class", Fact::Class),
    ("closed", Fact::Closed),
    ("domain", Fact::Domain),
    ("issuer", Fact::Issuer),
    ("labels", Fact::Labels),
    ("now", Fact::Now),
    ("purpose", Fact::Purpose),
    ("records", Fact::Records),
    ("resource", Fact::Resource),
    ("tier", Fact::Tier),
];

const ARGUMENT: &str = "arguments.";

impl Fact {
    /// Its name, as records have it: `amount`, or `arguments.path`.
    pub fn name(&self) -> Cow<'static, str> {
        if let Self::Argument(name) = self {
            return Cow::Owned([ARGUMENT, name].concat());
        }
        let named = NAMED.iter().find(|(_, fact)| fact == self);
        Cow::Borrowed(named.map_or("", |(name, _)| name))
    }

    /// Whether it is known of every request.
    pub fn is_always_known(&self) -> bool {
        matches!(self, Self::Action | Self::Agent | Self::Issuer | Self::Tier)
    }

    /// The fact of this name.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(argument) = name.strip_prefix(ARGUMENT) {
            return Some(Self::Argument(argument.into()));
        }
        NAMED.iter().find(|(known, _)| *known == name).map(|(_, fact)| fact.clone())
    }
}

/// What is known of one request.
#[derive(Debug, Clone, Default)]
pub struct Facts<'a> {
    /// [`Fact::Action`]
    pub action: &'a str,
    /// [`Fact::Agent`]
    pub agent: &'a str,
    /// [`Fact::Amount`]
    pub amount: Value<'a>,
    /// [`Fact::Class`]
    pub class: Value<'a>,
    /// [`Fact::Closed`]
    pub closed: bool,
    /// [`Fact::Domain`]
    pub domain: Value<'a>,
    /// [`Fact::Issuer`]
    pub issuer: &'a str,
    /// [`Fact::Labels`]
    pub labels: Vec<&'a str>,
    /// [`Fact::Now`]
    pub now: i64,
    /// [`Fact::Purpose`]
    pub purpose: Value<'a>,
    /// [`Fact::Records`]
    pub records: Value<'a>,
    /// [`Fact::Resource`]
    pub resource: Value<'a>,
    /// [`Fact::Tier`]
    pub tier: &'a str,
    /// [`Fact::Argument`]: those that the route declares, with their values where the request has them.
    pub arguments: Vec<(&'a str, Option<&'a ArgumentValue>)>,
}

/// The value of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Value<'a> {
    /// Nobody knows.
    #[default]
    Unknown,
    /// There is none.
    Nothing,
    /// A text.
    Text(&'a str),
    /// Some texts.
    Labels(&'a [&'a str]),
    /// A number.
    Number(i64),
    /// An address.
    Address(IpAddr),
}

impl Facts<'_> {
    /// The value of `fact`.
    pub fn value(&self, fact: &Fact) -> Value<'_> {
        match fact {
            Fact::Action => Value::Text(self.action),
            Fact::Agent => Value::Text(self.agent),
            Fact::Amount => self.amount,
            Fact::Class => self.class,
            Fact::Closed => Value::Text(if self.closed { "true" } else { "false" }),
            Fact::Domain => self.domain,
            Fact::Issuer => Value::Text(self.issuer),
            Fact::Labels => Value::Labels(&self.labels),
            Fact::Now => Value::Number(self.now),
            Fact::Purpose => self.purpose,
            Fact::Records => self.records,
            Fact::Resource => self.resource,
            Fact::Tier => Value::Text(self.tier),
            Fact::Argument(name) => {
                let argument = self.arguments.iter().find(|(known, _)| known == name);
                match argument.and_then(|(_, value)| *value) {
                    None => Value::Unknown,
                    Some(ArgumentValue::Text(text)) => Value::Text(text),
                    Some(ArgumentValue::Number(number)) => Value::Number(*number),
                    Some(ArgumentValue::Address(address)) => Value::Address(*address),
                }
            }
        }
    }
}

/// One thing that has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at.
    pub fact: Fact,
    /// Whether the test must fail.
    pub negated: bool,
    /// What it has to be.
    pub test: Test,
}

/// What something has to be. A test of another kind of value than it has fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// One of these texts; of several, at least one.
    Texts(Texts),
    /// A number in one of these spans, from the first to the second.
    Ranges(Vec<(i64, i64)>),
    /// A text of so many bytes, from the first to the second.
    Length(usize, usize),
    /// An address in one of these networks.
    Networks(Vec<Network>),
    /// A second in one of these spans of minutes of the week, from the first up to the second, in the zone at this place.
    Weekly(usize, Vec<(u32, u32)>),
    /// There at all.
    Present,
}

/// Some texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    /// These, in order.
    pub exact: Vec<String>,
    /// Those that begin so.
    pub begins: Vec<String>,
    /// Those that end so.
    pub ends: Vec<String>,
    /// Those that the patterns at these places match.
    pub patterns: Vec<usize>,
}

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first of them.
    pub address: IpAddr,
    /// How many bits are the same.
    pub bits: u8,
}

impl Network {
    /// Whether `address` is one of them. An IPv4 address is never in a network of IPv6, however it is written there.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, other, width) = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits().into(), other.to_bits().into(), 32_u32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let free = width.saturating_sub(self.bits.into());
        u128::checked_shr(own ^ other, free).unwrap_or_default() == 0
    }
}
