//! What a holder of constraints may hand on.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Constraints, RateCaps, SpendCaps};
use crate::sorted::{SortedMap, SortedSet};

/// Which limit a child states wider than its parent has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Widened {
    Spend,
    Rate,
    Domains,
    Resources,
    Context,
    MaxRecords,
    Purpose,
    Task,
    Labels,
}

/// A limit is wider than the one it stands under.
struct Wider;

impl Constraints {
    /// What holds for a child that states `child` under these constraints: the stricter of both, limit by limit. What
    /// the child does not state it inherits; what it states wider is refused and never cut.
    pub(crate) fn narrowed(self, child: &Self) -> Result<Self, Widened> {
        Ok(Self {
            spend: spend(self.spend, child.spend).map_err(|Wider| Widened::Spend)?,
            rate: rate(self.rate, child.rate).map_err(|Wider| Widened::Rate)?,
            domains: patterns(self.domains, child.domains.as_ref(), |wide, narrow| wide.covers(narrow))
                .map_err(|Wider| Widened::Domains)?,
            resources: patterns(self.resources, child.resources.as_ref(), |wide, narrow| wide.covers(narrow))
                .map_err(|Wider| Widened::Resources)?,
            context: context(self.context, &child.context).map_err(|Wider| Widened::Context)?,
            max_records: number(self.max_records, child.max_records).map_err(|Wider| Widened::MaxRecords)?,
            purpose: stricter(self.purpose, child.purpose.as_ref(), |parent, child| parent == child)
                .map_err(|Wider| Widened::Purpose)?,
            task: stricter(self.task, child.task.as_ref(), |parent, child| parent == child)
                .map_err(|Wider| Widened::Task)?,
            labels: stricter(self.labels, child.labels.as_ref(), |parent, child| child.is_superset(parent))
                .map_err(|Wider| Widened::Labels)?,
        })
    }
}

/// The child's limit where both have one and the child's is as strict; the only one where one has.
fn stricter<T: Clone>(
    parent: Option<T>,
    child: Option<&T>,
    is_as_strict: impl Fn(&T, &T) -> bool,
) -> Result<Option<T>, Wider> {
    match (parent, child) {
        (Some(parent), Some(child)) if !is_as_strict(&parent, child) => Err(Wider),
        (parent, None) => Ok(parent),
        (_, child) => Ok(child.cloned()),
    }
}

fn number(parent: Option<u64>, child: Option<u64>) -> Result<Option<u64>, Wider> {
    stricter(parent, child.as_ref(), |parent, child| child <= parent)
}

fn patterns<T: Clone>(
    parent: Option<Vec<T>>,
    child: Option<&Vec<T>>,
    covers: impl Fn(&T, &T) -> bool,
) -> Result<Option<Vec<T>>, Wider> {
    stricter(parent, child, |wide, narrow| narrow.iter().all(|entry| wide.iter().any(|pattern| covers(pattern, entry))))
}

fn spend(parent: SpendCaps, child: SpendCaps) -> Result<SpendCaps, Wider> {
    Ok(SpendCaps {
        per_transaction_micro_usd: number(parent.per_transaction_micro_usd, child.per_transaction_micro_usd)?,
        daily_micro_usd: number(parent.daily_micro_usd, child.daily_micro_usd)?,
        monthly_micro_usd: number(parent.monthly_micro_usd, child.monthly_micro_usd)?,
        total_micro_usd: number(parent.total_micro_usd, child.total_micro_usd)?,
    })
}

fn rate(parent: RateCaps, child: RateCaps) -> Result<RateCaps, Wider> {
    Ok(RateCaps {
        requests_per_minute: number(parent.requests_per_minute, child.requests_per_minute)?,
        requests_per_hour: number(parent.requests_per_hour, child.requests_per_hour)?,
        requests_per_day: number(parent.requests_per_day, child.requests_per_day)?,
    })
}

type Context = SortedMap<String, SortedSet<String>>;

/// A name that the parent does not limit is the child's to limit.
fn context(parent: Context, child: &Context) -> Result<Context, Wider> {
    let mut both = parent;
    for (name, values) in child {
        if both.get(name).is_some_and(|wide| !values.is_subset(wide)) {
            return Err(Wider);
        }
        both.insert(name.clone(), values.clone());
    }
    Ok(both)
}
