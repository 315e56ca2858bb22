//! Rules read as they are written, one after the other: slow, and with nothing of the code that it is compared with.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZoneDatabase;
use passgate_api::bundle::{EffectClassDoc, Scalar};
use regex::Regex;

use super::*;

/// A request, as people would describe it.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) route: usize,
    pub(super) agent: String,
    pub(super) issuer: String,
    pub(super) tier: &'static str,
    pub(super) labels: Vec<String>,
    pub(super) purpose: Option<String>,
    pub(super) cents: u64,
    pub(super) domain: String,
    pub(super) resource: Option<String>,
    pub(super) records: u64,
    pub(super) now: i64,
    pub(super) note: Option<String>,
    pub(super) path: String,
    pub(super) host: Option<String>,
    pub(super) ip: Option<IpAddr>,
    pub(super) count: i64,
    pub(super) force: Option<bool>,
    pub(super) filter: bool,
    pub(super) closed: bool,
}

pub(super) const ACTIONS: [&str; 4] = ["payments:create", "payments:refund:full", "files:read", "bare"];
const CLASSES: [EffectClassDoc; 4] =
    [EffectClassDoc::Write, EffectClassDoc::Destructive, EffectClassDoc::Read, EffectClassDoc::Write];

impl Request {
    pub(super) fn pays(&self) -> bool {
        self.route < 2
    }

    pub(super) fn reads(&self) -> bool {
        self.route == 2
    }
}

/// What the rules come to, with the name of the rule that says so.
pub(super) fn decide(rules: &[RuleDoc], request: &Request) -> (&'static str, Option<String>) {
    let mut sorted: Vec<&RuleDoc> = rules.iter().collect();
    sorted.sort_by_key(|rule| &rule.name);
    let matching: Vec<&RuleDoc> =
        sorted.into_iter().filter(|rule| holds(&rule.when, request, rule.effect != EffectDoc::Allow)).collect();
    let first =
        |wanted: &dyn Fn(&RuleDoc) -> bool| matching.iter().find(|rule| wanted(rule)).map(|rule| rule.name.clone());
    type Wanted<'a> = &'a dyn Fn(&RuleDoc) -> bool;
    let checks: [(&str, Wanted<'_>); 4] = [
        ("denied", &|rule| rule.effect == EffectDoc::Deny),
        ("unmet", &|rule| !holds(&rule.require, request, false)),
        ("step_up", &|rule| rule.effect == EffectDoc::StepUp),
        ("allowed", &|rule| rule.effect == EffectDoc::Allow),
    ];
    for (word, wanted) in checks {
        if let Some(name) = first(wanted) {
            return (word, Some(name));
        }
    }
    ("missing", None)
}

fn one<T>(list: &Option<Vec<T>>, not_list: &Option<Vec<T>>, fits: impl Fn(&T) -> bool) -> bool {
    list.as_ref().is_none_or(|list| list.iter().any(&fits)) && !not_list.iter().flatten().any(fits)
}

/// `unknown` is what a condition is on what the request does not say.
fn holds(doc: &ConditionsDoc, request: &Request, unknown: bool) -> bool {
    let action = ACTIONS[request.route];
    let scope =
        |scope: &String| scope_covers(&scope.split(':').collect::<Vec<_>>(), &action.split(':').collect::<Vec<_>>());
    let agent = |text: &String| match text.split_once('*') {
        Some((begin, _)) => request.agent.starts_with(begin),
        None => request.agent == *text,
    };
    let domain = |text: &String| request.pays() && host_fits(text, &request.domain);
    let resource = |text: &String| match text.strip_suffix('*') {
        Some(begin) => request.resource.as_ref().is_some_and(|resource| resource.starts_with(begin)),
        None => request.resource.as_ref() == Some(text),
    };
    // Payments have no resource, which is known; of files it may not be.
    let asks_resource = doc.resources.is_some() || doc.not_resources.is_some();
    let resources = if asks_resource && !request.pays() && request.resource.is_none() {
        unknown
    } else {
        one(&doc.resources, &doc.not_resources, resource)
    };
    let tier = doc.tiers.as_ref().is_none_or(|tiers| tiers.iter().any(|tier| format!("{tier:?}") == request.tier));
    let purpose = |text: &String| request.purpose.as_ref() == Some(text);
    one(&doc.actions, &doc.not_actions, scope)
        && one(&doc.agents, &doc.not_agents, agent)
        && one(&doc.issuers, &doc.not_issuers, |issuer| request.issuer == *issuer)
        && tier
        && one(&doc.classes, &doc.not_classes, |class| CLASSES[request.route] == *class)
        && one(&doc.labels, &doc.not_labels, |label| request.labels.contains(label))
        && one(&doc.domains, &doc.not_domains, domain)
        && resources
        && one(&doc.purposes, &doc.not_purposes, purpose)
        && times(doc, request)
        && amount(doc, request)
        && doc.max_records.is_none_or(|most| if request.pays() { true } else { request.records <= most })
        && (!doc.only_known_arguments || request.closed)
        && doc.arguments.iter().all(|(name, test)| argument(name, test, request, unknown))
}

fn scope_covers(scope: &[&str], action: &[&str]) -> bool {
    match (scope, action) {
        (["*"], [_, ..]) => true,
        (["*", scope @ ..], [_, action @ ..]) => scope_covers(scope, action),
        ([one, scope @ ..], [other, action @ ..]) => one == other && scope_covers(scope, action),
        ([], []) => true,
        _ => false,
    }
}

fn host_fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some() && host.ends_with(&format!(".{parent}")),
        None => pattern == host,
    }
}

fn amount(doc: &ConditionsDoc, request: &Request) -> bool {
    let Some(range) = &doc.amount_usd else { return true };
    let micro = request.cents * 10_000;
    request.pays()
        && range.above.is_none_or(|usd| micro > usd.0.0)
        && range.at_least.is_none_or(|usd| micro >= usd.0.0)
        && range.below.is_none_or(|usd| micro < usd.0.0)
        && range.at_most.is_none_or(|usd| micro <= usd.0.0)
}

fn times(doc: &ConditionsDoc, request: &Request) -> bool {
    let second = |text: &String| text.parse::<Timestamp>().unwrap().as_second();
    doc.not_before.as_ref().is_none_or(|text| request.now >= second(text))
        && doc.not_after.as_ref().is_none_or(|text| request.now < second(text))
        && doc.during.as_ref().is_none_or(|during| is_during(during, request.now))
        && doc.not_during.as_ref().is_none_or(|during| !is_during(during, request.now))
}

fn is_during(doc: &DuringDoc, now: i64) -> bool {
    let zone = TimeZoneDatabase::bundled().get(&doc.zone).unwrap();
    let local = Timestamp::from_second(now).unwrap().to_zoned(zone);
    let clock = format!("{:02}:{:02}", local.hour(), local.minute());
    let day = |back: i8| local.weekday().wrapping_sub(i32::from(back)).since(Weekday::Monday);
    doc.windows.iter().any(|window| {
        let on = |back: i8| window.days.as_ref().is_none_or(|days| days.iter().any(|known| *known as i8 == day(back)));
        let (from, until) = (window.from.as_deref().unwrap_or("00:00"), window.until.as_deref().unwrap_or("24:00"));
        let clock = clock.as_str();
        if from < until {
            on(0) && from <= clock && clock < until
        } else {
            (on(0) && from <= clock) || (on(1) && clock < until)
        }
    })
}

fn argument(name: &str, test: &ArgumentTestDoc, request: &Request, unknown: bool) -> bool {
    let value = match name {
        "note" => request.note.clone().map(Scalar::Text),
        "path" => Some(Scalar::Text(request.path.clone())),
        "host" => request.host.clone().map(Scalar::Text),
        "ip" => request.ip.map(|ip| Scalar::Text(ip.to_string())),
        "count" => Some(Scalar::Integer(request.count)),
        "force" => request.force.map(Scalar::Boolean),
        _ => request.filter.then_some(Scalar::Text(String::new())),
    };
    if test.present.is_some_and(|present| present != value.is_some()) {
        return false;
    }
    let Some(value) = value else {
        return unknown || *test == ArgumentTestDoc { present: test.present, ..Default::default() };
    };
    let text = if let Scalar::Text(text) = &value { text.as_str() } else { "" };
    let number = if let Scalar::Integer(number) = value { number } else { 0 };
    let whole = |expression: &String| Regex::new(&format!("^(?:{expression})$")).unwrap().is_match(text);
    let below = |path: &String| text == path || text.starts_with(&format!("{}/", path.trim_end_matches('/')));
    test.is.as_ref().is_none_or(|other| *other == value)
        && one(&test.one_of, &test.none_of, |other| *other == value)
        && test.at_least.is_none_or(|least| number >= least)
        && test.at_most.is_none_or(|most| number <= most)
        && test.matches.as_ref().is_none_or(whole)
        && !test.not_matches.as_ref().is_some_and(whole)
        && test.min_length.is_none_or(|least| text.len() >= least as usize)
        && test.max_length.is_none_or(|most| text.len() <= most as usize)
        && one(&test.below, &test.not_below, below)
        && one(&test.hosts, &test.not_hosts, |pattern| host_fits(pattern, text))
        && one(&test.networks, &test.not_networks, |network| in_network(network, request.ip.unwrap()))
}

/// By the digits of the addresses.
fn in_network(network: &str, address: IpAddr) -> bool {
    let digits = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().iter().map(|byte| format!("{byte:08b}")).collect::<String>(),
        IpAddr::V6(v6) => v6.octets().iter().map(|byte| format!("{byte:08b}")).collect(),
    };
    let (first, bits) = network.split_once('/').unwrap();
    let first: IpAddr = first.parse().unwrap();
    first.is_ipv4() == address.is_ipv4()
        && digits(address).starts_with(digits(first).get(..bits.parse().unwrap()).unwrap())
}
