//! The rules of delegation a second time, slow and obvious: authority is the set of requests out of a small universe
//! that a passport permits by itself, a chain permits what every link permits, and a link widens when it states a limit
//! that permits what a link above it does not.

use std::collections::BTreeSet;

use serde_json::Value;

/// One thing to ask a passport.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    Action(String),
    Host(String),
    Resource(String),
    Context(&'static str, Option<&'static str>),
    /// An amount under the limit of that name.
    Amount(&'static str, u64),
    Gate(&'static str),
}

const SPEND: [&str; 4] = ["per_transaction_micro_usd", "daily_micro_usd", "monthly_micro_usd", "total_micro_usd"];
const RATE: [&str; 3] = ["requests_per_minute", "requests_per_hour", "requests_per_day"];

/// Everything that can be asked. No passport names `z`, so a wildcard always has a request to show for it.
pub(crate) fn universe() -> Vec<Request> {
    let mut all: Vec<Request> = vec![];
    all.extend(words(4).iter().map(|word| Request::Action(word.join(":"))));
    all.extend(words(4).iter().map(|word| Request::Host(word.join("."))));
    all.extend(words(4).iter().map(|word| Request::Resource(word.join("/"))));
    for name in ["u", "v"] {
        all.extend([None, Some("1"), Some("2"), Some("3")].map(|value| Request::Context(name, value)));
    }
    for name in SPEND.iter().chain(&RATE).chain(&["max_records"]) {
        all.extend((0..5).map(|amount| Request::Amount(name, amount)));
    }
    all.extend(["1", "2", "3"].map(Request::Gate));
    let odd = ["*", "a/*", "a//b", "a/../b", "a/b/", "/a", "", "a/b?", "A", "a/%62", "..", "a/b/a/b/a/b/a/b"];
    all.extend(odd.map(|name| Request::Resource(name.to_owned())));
    all.extend(["", "a.b.", "A.b", "b", "xa.b", "a.b.a.b"].map(|name| Request::Host(name.to_owned())));
    all.extend(["", "4", "1 "].map(|value| Request::Context("u", Some(value))));
    all
}

/// All words of 1 to `longest` out of `a`, `b` and `z`.
fn words(longest: usize) -> Vec<Vec<&'static str>> {
    let mut all = vec![vec![]];
    let mut last: Vec<Vec<&str>> = vec![vec![]];
    for _ in 0..longest {
        last =
            last.iter().flat_map(|word| ["a", "b", "z"].map(|letter| [word.as_slice(), &[letter]].concat())).collect();
        all.extend(last.clone());
    }
    all.retain(|word| !word.is_empty());
    all
}

/// The limit that speaks about `request`, if the passport states one.
fn limit<'a>(link: &'a Value, request: &Request) -> Option<&'a Value> {
    let constraints = &link["constraints"];
    let found = match request {
        Request::Action(_) => &link["permissions"],
        Request::Gate(_) => &link["aud"],
        Request::Host(_) => &constraints["domains"],
        Request::Resource(_) => &constraints["resources"],
        Request::Context(name, _) => &constraints["context"][name],
        Request::Amount("max_records", _) => &constraints["max_records"],
        Request::Amount(name, _) if SPEND.contains(name) => &constraints["spend"][name],
        Request::Amount(name, _) => &constraints["rate"][name],
    };
    Some(found).filter(|value| !value.is_null())
}

/// Whether a passport by itself permits `request`.
fn permits(link: &Value, request: &Request) -> bool {
    let Some(limit) = limit(link, request) else { return true };
    let entries: Vec<&str> = limit.as_array().into_iter().flatten().map(|entry| entry.as_str().unwrap()).collect();
    let any = |separator: char, text: &str| {
        let parts: Vec<&str> = text.split(separator).collect();
        entries.iter().any(|entry| matches(&entry.split(separator).collect::<Vec<_>>(), &parts))
    };
    match request {
        Request::Action(name) => any(':', name),
        Request::Resource(name) => is_resource(name) && any('/', name),
        Request::Host(name) => {
            // Names read from the right, so that what is below comes last.
            let reversed = |name: &str| name.split('.').rev().map(str::to_owned).collect::<Vec<_>>();
            let name = reversed(name);
            let name: Vec<&str> = name.iter().map(String::as_str).collect();
            entries.iter().any(|entry| {
                let entry = reversed(entry);
                matches(&entry.iter().map(String::as_str).collect::<Vec<_>>(), &name)
            })
        }
        Request::Context(_, value) => value.is_some_and(|value| entries.contains(&value)),
        Request::Gate(name) => entries.contains(name),
        Request::Amount(_, amount) => *amount <= limit.as_u64().unwrap(),
    }
}

fn is_resource(name: &str) -> bool {
    name.split('/').all(|part| !["", ".", ".."].contains(&part)) && !name.contains(['*', '%', '\\', '?', '#', '~'])
}

/// `*` is one part, and one or more at the end.
fn matches(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern, parts) {
        ([], rest) => rest.is_empty(),
        (["*"], rest) => !rest.is_empty(),
        (_, []) => false,
        ([first, pattern @ ..], [part, parts @ ..]) => (*first == "*" || first == part) && matches(pattern, parts),
    }
}

/// What the evaluator says about the claims of a chain.
pub(crate) struct Judgement {
    /// Why it is refused, if it is.
    pub(crate) refusal: Option<String>,
    /// What the root permits by itself, request by request.
    pub(crate) by_root: Vec<bool>,
    /// What all links permit.
    pub(crate) by_all: Vec<bool>,
    pub(crate) labels: Vec<String>,
}

pub(crate) fn judge(links: &[Value], universe: &[Request]) -> Judgement {
    let permitted: Vec<Vec<bool>> =
        links.iter().map(|link| universe.iter().map(|request| permits(link, request)).collect()).collect();
    Judgement {
        refusal: refusal(links, universe, &permitted),
        by_all: (0..universe.len()).map(|at| permitted.iter().all(|by_link| by_link[at])).collect(),
        by_root: permitted[0].clone(),
        labels: labels(links),
    }
}

fn refusal(links: &[Value], universe: &[Request], permitted: &[Vec<bool>]) -> Option<String> {
    for child in 1..links.len() {
        for above in 0..child {
            for (at, request) in universe.iter().enumerate() {
                let is_more = permitted[child][at] && !permitted[above][at];
                if is_more && limit(&links[child], request).is_some() {
                    return Some(format!("link {child} permits {request:?} and link {above} does not"));
                }
            }
            if let Some(why) = broken(&links[above], &links[child], above + 1 == child) {
                return Some(format!("link {child} under link {above}: {why}"));
            }
        }
    }
    None
}

/// A rule between a passport and one above it, its parent or not.
fn broken(above: &Value, child: &Value, is_parent: bool) -> Option<&'static str> {
    let number = |link: &Value, pointer: &str| link.pointer(pointer).unwrap().as_i64().unwrap();
    let text = |link: &Value, name: &str| link[name].as_str().map(str::to_owned);
    let tier = |link: &Value| text(link, "trust_tier").unwrap_or("L2".to_owned());
    let (own, wide) = (label_set(child), label_set(above));
    let changes = |name: &str| {
        let (own, wide) = (&child["constraints"][name], &above["constraints"][name]);
        !own.is_null() && !wide.is_null() && own != wide
    };
    let lives = number(child, "/exp") - number(child, "/iat");
    let rules = [
        ("sub", child["sub"] == above["sub"]),
        ("key", child["cnf"] == above["cnf"]),
        ("jti", child["jti"] == above["jti"]),
        ("tier", !child["trust_tier"].is_null() && tier(child) > tier(above)),
        ("labels", !child["constraints"]["labels"].is_null() && !own.is_superset(&wide)),
        ("purpose", changes("purpose")),
        ("task", changes("task")),
        ("depth", is_parent && number(child, "/delegation/depth_left") >= number(above, "/delegation/depth_left")),
        ("exp", number(child, "/exp") > number(above, "/exp")),
        ("iat", number(child, "/iat") < number(above, "/iat")),
        ("lifetime", !(60..=86_400).contains(&lives)),
    ];
    rules.into_iter().find(|(_, broken)| *broken).map(|(name, _)| name)
}

fn label_set(link: &Value) -> BTreeSet<String> {
    let list = link["constraints"]["labels"].as_array();
    list.into_iter().flatten().map(|label| label.as_str().unwrap().to_owned()).collect()
}

/// Every label of the chain, sorted.
fn labels(links: &[Value]) -> Vec<String> {
    let all: BTreeSet<String> = links.iter().flat_map(label_set).collect();
    all.into_iter().collect()
}
