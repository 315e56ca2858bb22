//! Limits that a passport sets beside its permissions: what its holder may spend, reach, read and for what.
//!
//! The claim is closed: a member that is not listed here refuses the passport, because ignoring it would widen it.
//! What is absent is not limited; an empty list lets nothing through. Nothing here is enforced by itself: who accepts
//! a passport with constraints has to hold requests against them.

mod narrow;
mod pattern;
mod wire;

use alloc::string::String;
use alloc::vec::Vec;

use crate::claims::{ClaimsError, identifier, invalid, is_plain_text, optional};
use crate::json::{MAX_SAFE_INTEGER, Members, Node};
use crate::sorted::{SortedMap, SortedSet};

pub(crate) use narrow::Widened;
pub use pattern::{DomainPattern, MAX_PATTERN_BYTES, MAX_RESOURCE_SEGMENTS, ResourcePattern, is_resource};
pub(crate) use wire::ConstraintsClaim;

/// Most entries of `domains`, of `resources`, of `labels` and of one list in `context`.
pub const MAX_ENTRIES: usize = 64;
/// Most names in `context`.
pub const MAX_CONTEXT_NAMES: usize = 32;
/// Longest name in `context` and longest label, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// What a passport limits. The default limits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Constraints {
    /// Spend caps.
    pub spend: SpendCaps,
    /// Rate caps.
    pub rate: RateCaps,
    /// The hosts that may be reached; at most [`MAX_ENTRIES`].
    pub domains: Option<Vec<DomainPattern>>,
    /// The resources that may be touched; at most [`MAX_ENTRIES`].
    pub resources: Option<Vec<ResourcePattern>>,
    /// For each name at most [`MAX_ENTRIES`] values, one of which a request has to carry under it. Names are 1 to 64 of
    /// `a-z 0-9 _ . -`, values 1 to 256 characters without control and direction characters.
    pub context: SortedMap<String, SortedSet<String>>,
    /// Most records that one request may return.
    pub max_records: Option<u64>,
    /// What the work is for: 1 to 256 characters without control and direction characters.
    pub purpose: Option<String>,
    /// The task that the work belongs to, under a name that its issuer chose: 1 to 256 visible ASCII characters.
    pub task: Option<String>,
    /// What the holder has been in touch with. Labels say more the more there are: none may be dropped down a chain.
    /// 1 to 64 of `a-z 0-9 _ . -` each; at most [`MAX_ENTRIES`].
    pub labels: Option<SortedSet<String>>,
}

/// Spend caps in integer micro-USD from 0 to 2^53-1; 0 is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpendCaps {
    /// Of one request.
    pub per_transaction_micro_usd: Option<u64>,
    /// Of a day.
    pub daily_micro_usd: Option<u64>,
    /// Of a month.
    pub monthly_micro_usd: Option<u64>,
    /// Of the whole life of the passport.
    pub total_micro_usd: Option<u64>,
}

/// Rate caps in requests from 0 to 2^53-1; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateCaps {
    /// In a minute.
    pub requests_per_minute: Option<u64>,
    /// In an hour.
    pub requests_per_hour: Option<u64>,
    /// In a day.
    pub requests_per_day: Option<u64>,
}

impl Constraints {
    /// Reads the JSON of a `constraints` claim of at most `limit_bytes` bytes.
    ///
    /// # Errors
    /// [`ClaimsError`], as for the claim in a passport.
    pub fn from_json(json: &[u8], limit_bytes: usize) -> Result<Self, ClaimsError> {
        Self::from_node(&crate::json::read(json, limit_bytes).map_err(ClaimsError::Json)?)
    }

    /// Whether nothing is limited and no label given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `host`, in canonical spelling, may be reached.
    #[must_use]
    pub fn permits_domain(&self, host: &str) -> bool {
        self.domains.as_ref().is_none_or(|list| list.iter().any(|entry| entry.matches(host)))
    }

    /// Whether `resource` may be touched. A text that is no resource is touched by nobody.
    #[must_use]
    pub fn permits_resource(&self, resource: &str) -> bool {
        self.resources.as_ref().is_none_or(|list| list.iter().any(|entry| entry.matches(resource)))
    }

    /// Whether a request that carries `value` under `name` is within the context; `None` when it carries nothing.
    #[must_use]
    pub fn permits_context(&self, name: &str, value: Option<&str>) -> bool {
        self.context.get(name).is_none_or(|values| value.is_some_and(|value| values.contains(value)))
    }

    /// Reads the claim.
    pub(crate) fn from_node(value: &Node<'_>) -> Result<Self, ClaimsError> {
        const CLAIM: &str = "constraints";
        let members = value.as_object().filter(|members| !members.is_empty());
        let members = members.ok_or(invalid(CLAIM, "is no object with a member: leave it out instead"))?;
        const KNOWN: [&str; 9] =
            ["spend", "rate", "domains", "resources", "context", "max_records", "purpose", "task", "labels"];
        closed(members, CLAIM, &KNOWN)?;
        Ok(Self {
            spend: optional(members, "spend", spend)?.unwrap_or_default(),
            rate: optional(members, "rate", rate)?.unwrap_or_default(),
            domains: optional(members, "domains", |value| list(value, DomainPattern::parse, DOMAINS))?,
            resources: optional(members, "resources", |value| list(value, ResourcePattern::parse, RESOURCES))?,
            context: optional(members, "context", context)?.unwrap_or_default(),
            max_records: optional(members, "max_records", |value| amount(value, "constraints.max_records"))?,
            purpose: optional(members, "purpose", purpose)?,
            task: optional(members, "task", |value| identifier(value, "constraints.task"))?,
            labels: optional(members, "labels", labels)?,
        })
    }
}

const DOMAINS: ClaimsError = invalid(
    "constraints.domains",
    "is not a list of at most 64 hosts in lower case such as `api.example.com` or `*.example.com`",
);
const RESOURCES: ClaimsError = invalid(
    "constraints.resources",
    "is not a list of at most 64 patterns such as `customers/42/notes` or `customers/*`",
);
const CONTEXT: ClaimsError = invalid(
    "constraints.context",
    "is not an object of 1 to 32 names of a-z 0-9 _ . -, each with a text or a list of at most 64 texts",
);

fn closed(members: &Members<'_>, claim: &'static str, known: &[&str]) -> Result<(), ClaimsError> {
    match members.keys().all(|name| known.contains(&name.as_ref())) {
        true => Ok(()),
        false => Err(invalid(claim, "has a member that is not known here: present a passport without it")),
    }
}

/// The integers of an object that may have the members `known` and has one of them.
fn amounts<const N: usize>(
    value: &Node<'_>,
    claim: &'static str,
    known: [&'static str; N],
) -> Result<[Option<u64>; N], ClaimsError> {
    let members = value.as_object().filter(|members| !members.is_empty());
    let members = members.ok_or(invalid(claim, "is no object with a member: leave it out instead"))?;
    closed(members, claim, &known)?;
    let mut read = [None; N];
    for (slot, name) in read.iter_mut().zip(known) {
        *slot = optional(members, name, |value| amount(value, claim))?;
    }
    Ok(read)
}

fn amount(value: &Node<'_>, claim: &'static str) -> Result<u64, ClaimsError> {
    let number = value.as_u64().filter(|number| *number <= MAX_SAFE_INTEGER);
    number.ok_or(invalid(claim, "has a number that is no integer from 0 to 2^53-1"))
}

fn spend(value: &Node<'_>) -> Result<SpendCaps, ClaimsError> {
    let known = ["per_transaction_micro_usd", "daily_micro_usd", "monthly_micro_usd", "total_micro_usd"];
    let [per_transaction_micro_usd, daily_micro_usd, monthly_micro_usd, total_micro_usd] =
        amounts(value, "constraints.spend", known)?;
    Ok(SpendCaps { per_transaction_micro_usd, daily_micro_usd, monthly_micro_usd, total_micro_usd })
}

fn rate(value: &Node<'_>) -> Result<RateCaps, ClaimsError> {
    let known = ["requests_per_minute", "requests_per_hour", "requests_per_day"];
    let [requests_per_minute, requests_per_hour, requests_per_day] = amounts(value, "constraints.rate", known)?;
    Ok(RateCaps { requests_per_minute, requests_per_hour, requests_per_day })
}

fn list<T, C: FromIterator<T>>(
    value: &Node<'_>,
    read: impl Fn(&str) -> Option<T>,
    problem: ClaimsError,
) -> Result<C, ClaimsError> {
    let entries = value.as_array().filter(|list| list.len() <= MAX_ENTRIES);
    let entries = entries.and_then(|list| list.iter().map(|entry| read(entry.as_str()?)).collect());
    entries.ok_or(problem)
}

fn context(value: &Node<'_>) -> Result<SortedMap<String, SortedSet<String>>, ClaimsError> {
    let members = value.as_object().filter(|members| (1..=MAX_CONTEXT_NAMES).contains(&members.len()));
    let mut read = SortedMap::new();
    for (name, value) in members.ok_or(CONTEXT)? {
        let values = match value.as_str() {
            Some(text) => plain_text(text).map(|text| SortedSet::from([text])).ok_or(CONTEXT)?,
            None => list(value, plain_text, CONTEXT)?,
        };
        read.insert(label(name).ok_or(CONTEXT)?, values);
    }
    Ok(read)
}

fn purpose(value: &Node<'_>) -> Result<String, ClaimsError> {
    let problem = invalid("constraints.purpose", "is not a string of 1 to 256 characters without control characters");
    value.as_str().and_then(plain_text).ok_or(problem)
}

fn labels(value: &Node<'_>) -> Result<SortedSet<String>, ClaimsError> {
    list(value, label, invalid("constraints.labels", "is not a list of at most 64 labels of 1 to 64 of a-z 0-9 _ . -"))
}

fn plain_text(text: &str) -> Option<String> {
    is_plain_text(text).then(|| String::from(text))
}

fn label(text: &str) -> Option<String> {
    is_name(text).then(|| String::from(text))
}

/// Whether `text` can be a name in `context` or a label: 1 to 64 of `a-z 0-9 _ . -`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests;
