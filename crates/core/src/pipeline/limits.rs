//! What the passport and those above it limit, beside what the gate does.

use passgate_passport::constraints::Constraints;

use crate::domain::DomainPattern;
use crate::gate::Guardrails;
use crate::money::MicroUsd;
use crate::reason::Reason;
use crate::route::{Declared, Route, Values};

/// The stricter of the gate's limits and the passport's.
pub(super) struct Limits<'a> {
    constraints: &'a Constraints,
    allowed_domains: Option<&'a [DomainPattern]>,
    pub(super) transaction_cap: Option<MicroUsd>,
}

impl<'a> Limits<'a> {
    pub(super) fn of(guardrails: &'a Guardrails, constraints: &'a Constraints) -> Self {
        let own = constraints.spend.per_transaction_micro_usd.map(MicroUsd);
        Self {
            constraints,
            allowed_domains: guardrails.allowed_domains.as_deref(),
            transaction_cap: guardrails.spend.per_transaction.into_iter().chain(own).min(),
        }
    }

    /// Whether a canonical host may be reached; `None` when nobody limits that.
    pub(super) fn permits_domain(&self, host: &str) -> Option<bool> {
        let gate = self.allowed_domains.map(|allowed| allowed.iter().any(|pattern| pattern.matches(host)));
        let own = self.constraints.domains.as_ref().map(|_| self.constraints.permits_domain(host));
        gate.into_iter().chain(own).reduce(|gate, own| gate && own)
    }

    /// Whether the passport limits requests to none at all, which no counter can say.
    pub(super) fn lets_nothing_through(&self) -> bool {
        let rate = self.constraints.rate;
        [rate.requests_per_minute, rate.requests_per_hour, rate.requests_per_day].contains(&Some(0))
    }
}

/// Why the action is outside of what the passport permits, apart from amounts, domains and counters. What the route does
/// not tell of the action is outside: nobody knows whether it is inside.
pub(super) fn outside(constraints: &Constraints, route: &Route, values: &Values) -> Option<Reason> {
    label(constraints, route)
        .or_else(|| resource(constraints, values))
        .or_else(|| context(constraints, values))
        .or_else(|| records(constraints, values))
}

fn label(constraints: &Constraints, route: &Route) -> Option<Reason> {
    let mut labels = constraints.labels.iter().flatten();
    labels.any(|label| route.refused_labels.contains(label)).then_some(Reason::LabelRefused)
}

fn resource(constraints: &Constraints, values: &Values) -> Option<Reason> {
    constraints.resources.as_ref()?;
    match &values.resource {
        None => Some(Reason::ConstraintsUnsupported),
        Some(Declared::None) => None,
        Some(Declared::At(Some(resource))) if constraints.permits_resource(resource) => None,
        Some(Declared::At(_)) => Some(Reason::ResourceNotPermitted),
    }
}

fn context(constraints: &Constraints, values: &Values) -> Option<Reason> {
    let mut pairs = constraints.context.keys().zip(&values.context);
    pairs.find_map(|(name, value)| match value {
        None => Some(Reason::ConstraintsUnsupported),
        Some(value) if constraints.permits_context(name, value.as_deref()) => None,
        Some(_) => Some(Reason::ContextNotPermitted),
    })
}

fn records(constraints: &Constraints, values: &Values) -> Option<Reason> {
    let most = constraints.max_records?;
    match values.records {
        None => Some(Reason::ConstraintsUnsupported),
        Some(Declared::None) => None,
        Some(Declared::At(Some(asked))) if asked <= most => None,
        Some(Declared::At(_)) => Some(Reason::RecordsNotPermitted),
    }
}
