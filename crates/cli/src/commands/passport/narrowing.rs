//! What each passport of a chain has, and in what it differs from its parent.
//!
//! Nothing is judged here. Of a verified chain every difference is a narrowing; of one that was only read it is what the
//! passports say.

use passgate_passport::constraints::{Constraints, RateCaps, SpendCaps};
use passgate_passport::delegation::Link;
use passgate_passport::scope::Scope;
use passgate_passport::trust::Tier;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::limits::{self, Limit, listed};
use crate::output::Output;
use crate::span;

/// What a passport has: what it states, and where it states nothing, what its parent has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) permissions: Vec<Scope>,
    pub(super) constraints: Constraints,
    pub(super) audience: Option<Vec<String>>,
    tier: Option<Tier>,
}

impl Held {
    fn of_root(root: &Link) -> Self {
        Self {
            permissions: root.claims.permissions.clone(),
            constraints: root.constraints.clone(),
            audience: root.claims.aud.clone(),
            tier: root.claims.trust_tier,
        }
    }

    fn handed_to(&self, child: &Link) -> Self {
        Self {
            permissions: child.claims.permissions.clone(),
            constraints: inherited(&self.constraints, &child.constraints),
            audience: child.claims.aud.clone().or_else(|| self.audience.clone()),
            tier: child.claims.trust_tier.or(self.tier),
        }
    }

    /// What the last passport of `links` has.
    pub(super) fn at_the_end<'a>(links: impl IntoIterator<Item = &'a Link>) -> Option<Self> {
        let mut links = links.into_iter();
        let root = Self::of_root(links.next()?);
        Some(links.fold(root, |held, link| held.handed_to(link)))
    }
}

fn inherited(parent: &Constraints, child: &Constraints) -> Constraints {
    let (spend, rate) = (parent.spend, parent.rate);
    let mut context = parent.context.clone();
    context.extend(child.context.clone());
    Constraints {
        spend: SpendCaps {
            per_transaction_micro_usd: child.spend.per_transaction_micro_usd.or(spend.per_transaction_micro_usd),
            daily_micro_usd: child.spend.daily_micro_usd.or(spend.daily_micro_usd),
            monthly_micro_usd: child.spend.monthly_micro_usd.or(spend.monthly_micro_usd),
            total_micro_usd: child.spend.total_micro_usd.or(spend.total_micro_usd),
        },
        rate: RateCaps {
            requests_per_minute: child.rate.requests_per_minute.or(rate.requests_per_minute),
            requests_per_hour: child.rate.requests_per_hour.or(rate.requests_per_hour),
            requests_per_day: child.rate.requests_per_day.or(rate.requests_per_day),
        },
        domains: child.domains.clone().or_else(|| parent.domains.clone()),
        resources: child.resources.clone().or_else(|| parent.resources.clone()),
        context,
        max_records: child.max_records.or(parent.max_records),
        purpose: child.purpose.clone().or_else(|| parent.purpose.clone()),
        task: child.task.clone().or_else(|| parent.task.clone()),
        labels: child.labels.clone().or_else(|| parent.labels.clone()),
    }
}

/// One thing that a passport has otherwise than its parent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Where it stands in a passport.
    what: String,
    /// The parent's; null where the parent has no limit.
    parent: Value,
    /// Its own.
    own: Value,
    /// For people.
    words: String,
}

impl Difference {
    fn to_json(&self) -> Value {
        json!({ "what": self.what, "parent": self.parent, "own": self.own, "text": self.words })
    }
}

/// A passport of a chain with its differences.
#[derive(Debug)]
pub(super) struct Step<'a> {
    link: &'a Link,
    parent: Option<&'a Link>,
    differences: Vec<Difference>,
}

/// The passports from the root to the leaf, each beside its parent.
pub(super) fn steps<'a>(links: impl IntoIterator<Item = &'a Link>) -> Vec<Step<'a>> {
    let mut above: Option<(&Link, Held)> = None;
    let mut steps = Vec::new();
    for link in links {
        let (held, differences) = match &above {
            None => (Held::of_root(link), Vec::new()),
            Some((parent, theirs)) => {
                let own = theirs.handed_to(link);
                let differences = differences((parent, theirs), (link, &own));
                (own, differences)
            }
        };
        steps.push(Step { link, parent: above.as_ref().map(|(parent, _)| *parent), differences });
        above = Some((link, held));
    }
    steps
}

fn differences((parent, theirs): (&Link, &Held), (link, own): (&Link, &Held)) -> Vec<Difference> {
    let mut found = Vec::new();
    let scopes = |held: &Held| held.permissions.iter().map(|scope| scope.as_str().to_owned()).collect::<Vec<_>>();
    found.extend(of_lists("permissions", Some(scopes(theirs)), Some(scopes(own))));
    found.extend(of_limits(&theirs.constraints, &own.constraints));
    found.extend(of_lists("aud", theirs.audience.clone(), own.audience.clone()));
    if let Some(tier) = own.tier.filter(|_| own.tier != theirs.tier) {
        let parent = theirs.tier.map(Tier::as_str);
        let words = format!("tier: at most {tier}");
        found.push(Difference {
            what: "trust_tier".to_owned(),
            parent: json!(parent),
            own: tier.as_str().into(),
            words,
        });
    }
    found.extend(of_ends(parent.claims.exp, link.claims.exp));
    let (before, after) = (parent.depth_left(), link.depth_left());
    if before != after {
        let words = format!("handed on: {}; its parent: {}", times(after), times(before));
        let what = "delegation.depth_left".to_owned();
        found.push(Difference { what, parent: before.into(), own: after.into(), words });
    }
    found
}

fn of_lists(claim: &str, parent: Option<Vec<String>>, own: Option<Vec<String>>) -> Option<Difference> {
    let sorted = |list: &Option<Vec<String>>| {
        list.clone().map(|mut list| {
            list.sort_unstable();
            list
        })
    };
    if sorted(&parent) == sorted(&own) {
        return None;
    }
    let shown = |list: &Option<Vec<String>>| match list {
        Some(list) => listed(&list.iter().map(String::as_str).collect::<Vec<_>>()),
        None => "any".to_owned(),
    };
    let title = if claim == "aud" { "audience" } else { claim };
    let words = format!("{title}: {}; its parent: {}", shown(&own), shown(&parent));
    Some(Difference { what: claim.to_owned(), parent: json!(parent), own: json!(own), words })
}

fn of_limits(parent: &Constraints, own: &Constraints) -> Vec<Difference> {
    let theirs = limits::all(parent);
    let differs = |limit: Limit| {
        let path = limit.path();
        let before = theirs.iter().find(|other| other.path() == path);
        if before.is_some_and(|before| before.json == limit.json) {
            return None;
        }
        let unlimited = if limit.member == "labels" { "none" } else { "no limit" };
        let parent_words = before.map_or(unlimited, |before| &before.words);
        let words = format!("{}: {}; its parent: {parent_words}", limit.title, limit.words);
        let parent = before.map(|before| before.json.clone()).unwrap_or_default();
        Some(Difference { what: path, parent, own: limit.json, words })
    };
    limits::all(own).into_iter().filter_map(differs).collect()
}

fn of_ends(parent: i64, own: i64) -> Option<Difference> {
    let seconds = parent.saturating_sub(own);
    let order = match seconds {
        0 => return None,
        1.. => "before",
        _ => "after",
    };
    let words = format!("ends {} {order} its parent", span::length(seconds));
    let what = "exp".to_owned();
    Some(Difference { what, parent: span::date(parent).into(), own: span::date(own).into(), words })
}

/// How often something may be handed on, in words.
pub(super) fn times(most: u8) -> String {
    match most {
        0 => "never".to_owned(),
        1 => "once at most".to_owned(),
        2 => "twice at most".to_owned(),
        most => format!("{most} times at most"),
    }
}

impl Step<'_> {
    /// The members that a chain shows of each passport; `differences` is the name of the last.
    pub(super) fn to_json(&self, differences: &str) -> Value {
        let claims = &self.link.claims;
        let permissions: Vec<&str> = claims.permissions.iter().map(Scope::as_str).collect();
        let mut members = json!({ "passport_id": claims.jti, "agent_id": claims.sub, "agent_name": claims.agent_name,
            "issuer": claims.iss, "key_thumbprint": claims.cnf_key.thumbprint(), "issued_at": span::date(claims.iat),
            "expires_at": span::date(claims.exp), "permissions": permissions, "audience": claims.aud,
            "constraints": limits::to_json(&self.link.constraints), "depth_left": self.link.depth_left(),
            "spawned_by": self.link.parent().map(|parent| parent.spawned_by.as_str()) });
        if let Value::Object(members) = &mut members {
            members.insert(differences.to_owned(), self.differences.iter().map(Difference::to_json).collect());
        }
        members
    }

    /// The same for people; `verb` says what the differences are.
    pub(super) fn print(&self, index: usize, verb: &str, output: &Output) -> Result<(), Failure> {
        let claims = &self.link.claims;
        let heading = if index == 0 { "root".to_owned() } else { format!("delegation {index}") };
        output.data(&heading)?;
        let permissions: Vec<&str> = claims.permissions.iter().map(Scope::as_str).collect();
        let mut rows = vec![
            ("  passport id", claims.jti.clone()),
            ("  agent", self.agent()),
            ("  issuer", claims.iss.clone()),
            ("  expires", span::date(claims.exp)),
            ("  permissions", listed(&permissions)),
        ];
        if self.parent.is_none() {
            rows.extend(limit_rows(&self.link.constraints).map(|row| ("  limit", row)));
            rows.push(("  handed on", times(self.link.depth_left())));
        }
        let narrowed = format!("  {verb}");
        rows.extend(self.differences.iter().map(|difference| (narrowed.as_str(), difference.words.clone())));
        output.members(&rows)
    }

    /// Who it is. A name in a delegated passport is not the issuer's word.
    fn agent(&self) -> String {
        let claims = &self.link.claims;
        match (&claims.agent_name, self.parent) {
            (Some(name), None) => format!("{} ({name})", claims.sub),
            (Some(name), Some(parent)) => format!("{} ({name}, says {})", claims.sub, parent.claims.sub),
            (None, _) => claims.sub.clone(),
        }
    }
}

/// Each limit in words.
pub(super) fn limit_rows(constraints: &Constraints) -> impl Iterator<Item = String> {
    limits::all(constraints).into_iter().map(|limit| format!("{}: {}", limit.title, limit.words))
}
