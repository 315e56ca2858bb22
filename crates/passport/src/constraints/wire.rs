//! The claim as it is written.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Serialize, Serializer};

use super::{Constraints, RateCaps, SpendCaps};
use crate::sorted::{SortedMap, SortedSet};

/// The order of the fields is the order of the bytes; names in `context`, its values and labels are sorted.
#[derive(Serialize)]
pub(crate) struct ConstraintsClaim<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    spend: Option<Spend>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domains: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    context: &'a SortedMap<String, SortedSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a SortedSet<String>>,
}

#[derive(Serialize)]
struct Spend {
    #[serde(skip_serializing_if = "Option::is_none")]
    per_transaction_micro_usd: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_micro_usd: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly_micro_usd: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_micro_usd: Option<u64>,
}

#[derive(Serialize)]
struct Rate {
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_hour: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_day: Option<u64>,
}

/// As the claim is written; `null` when nothing is limited.
impl Serialize for Constraints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ConstraintsClaim::of(self).serialize(serializer)
    }
}

impl<'a> ConstraintsClaim<'a> {
    /// `None` when there is nothing to say: an empty claim is refused.
    pub(crate) fn of(constraints: &'a Constraints) -> Option<Self> {
        let SpendCaps { per_transaction_micro_usd, daily_micro_usd, monthly_micro_usd, total_micro_usd } =
            constraints.spend;
        let RateCaps { requests_per_minute, requests_per_hour, requests_per_day } = constraints.rate;
        let spend = Spend { per_transaction_micro_usd, daily_micro_usd, monthly_micro_usd, total_micro_usd };
        let rate = Rate { requests_per_minute, requests_per_hour, requests_per_day };
        (!constraints.is_empty()).then(|| Self {
            spend: (constraints.spend != SpendCaps::default()).then_some(spend),
            rate: (constraints.rate != RateCaps::default()).then_some(rate),
            domains: constraints.domains.as_ref().map(|list| list.iter().map(|entry| entry.as_str()).collect()),
            resources: constraints.resources.as_ref().map(|list| list.iter().map(|entry| entry.as_str()).collect()),
            context: &constraints.context,
            max_records: constraints.max_records,
            purpose: constraints.purpose.as_deref(),
            task: constraints.task.as_deref(),
            labels: constraints.labels.as_ref(),
        })
    }
}
