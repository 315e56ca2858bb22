//! Chains of passports and their limits.

use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{NewDelegation, RootGrant, delegate, issue_root};

use super::plugins::redacts;
use super::*;
use crate::route::{Declared, ResourceSource, ResourceTemplate};
use crate::state::Demand;

/// The keys of the root agent and of those below it.
pub(super) const AGENTS: [u8; 4] = [2, 5, 6, 7];

/// A chain for the agents `bot-1`, `bot-2` … with these limits, the first those of the root.
pub(super) fn chain(permissions: &[&str], limits: &[&str]) -> String {
    chain_of(ISSUER, 1, permissions, limits)
}

/// A chain of this issuer, whose key has this seed.
pub(super) fn chain_of(issuer: &str, seed: u8, permissions: &[&str], limits: &[&str]) -> String {
    let scopes: Vec<Scope> = permissions.iter().map(|p| Scope::parse(p).unwrap()).collect();
    let key = |depth: usize| SecretKey::from_seed([AGENTS[depth]; 32]);
    let jti = |depth: usize| passgate_passport::id::new_id("pass", NOW.0, [u8::try_from(depth).unwrap(); 10]);
    let read = |json: &str| match json {
        "" => Constraints::default(),
        json => Constraints::from_json(json.as_bytes(), 4096).unwrap(),
    };
    let (from, until) = (NOW.seconds() - 10, NOW.seconds() + 3600);
    let mut root = NewPassport::new(jti(0), "bot-1".to_owned(), key(0).public().clone(), scopes.clone(), from, until);
    root.iss = Some(issuer.to_owned());
    let grant = RootGrant { depth_left: Some(5), constraints: read(limits[0]) };
    let mut chain = issue_root(&SecretKey::from_seed([seed; 32]), &root, &grant).unwrap();
    for (depth, json) in limits.iter().enumerate().skip(1) {
        let sub = format!("bot-{}", depth + 1);
        let new = NewDelegation::new(jti(depth), sub, key(depth).public().clone(), scopes.clone(), from, until);
        let new = NewDelegation { constraints: read(json), depth_left: 5 - u8::try_from(depth).unwrap(), ..new };
        chain = delegate(&chain, &key(depth - 1), &new).unwrap();
    }
    chain
}

/// A request signed with the key of the chain's last agent.
pub(super) fn call(method: &'static str, path: &str, body: &str, chain: &str, nonce: u32) -> Call {
    let mut call = Call::new(method, path, body);
    call.headers[0].1 = chain.as_bytes().to_vec();
    call.key = SecretKey::from_seed([AGENTS[chain.matches('~').count()]; 32]);
    call.signed(nonce)
}

pub(super) fn pay(usd: &str, chain: &str, nonce: u32) -> Call {
    call("POST", "/pay", &format!(r#"{{"usd":{usd},"to":"shop.example"}}"#), chain, nonce)
}

pub(super) fn reason(rows: &mut LoadedRows, gate: &Gate, call: &Call) -> Option<Reason> {
    let judged = call.judged(gate).unwrap();
    let admission = admit(rows, &judged);
    decide(&judged, &admission).reason
}

pub(super) fn open_gate() -> Gate {
    Gate { guardrails: Guardrails::default(), ..gate() }
}

#[test]
fn the_leaf_acts_and_the_record_names_those_above() {
    let chain =
        chain(&["payments:*"], &[r#"{"purpose":"refunds"}"#, r#"{"labels":["pii"]}"#, r#"{"labels":["pii","web"]}"#]);
    let judged = pay("20", &chain, 1).judged(&gate()).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    assert_eq!(decision.reason, None);
    let agent = judged.agent();
    assert_eq!((agent.agent_id.as_str(), agent.issuer.as_str(), agent.root_agent_id()), ("bot-3", ISSUER, "bot-1"));
    let above: Vec<_> = agent.delegated_by.iter().map(|link| link.agent_id.as_str()).collect();
    assert_eq!(above, ["bot-1", "bot-2"]);
    assert_eq!(agent.labels, ["pii", "web"]);
    assert_eq!(agent.purpose.as_deref(), Some("refunds"));
}

#[test]
fn only_the_leaf_s_key_proves_possession() {
    let chain = chain(&["payments:*"], &["", ""]);
    for (seed, holds) in [(AGENTS[1], true), (AGENTS[0], false), (1, false)] {
        let mut call = Call::new("GET", "/search", "");
        call.headers[0].1 = chain.as_bytes().to_vec();
        call.key = SecretKey::from_seed([seed; 32]);
        let judged = call.signed(1).judged(&gate());
        assert_eq!(judged.is_ok(), holds, "{seed}");
    }
}

#[test]
fn a_part_of_a_chain_is_refused() {
    let whole = chain(&["web:*"], &["", "", ""]);
    let parts: Vec<&str> = whole.split('~').collect();
    for (text, expected) in [
        (parts[2].to_owned(), Reason::IssuerUnknown),
        ([parts[1], parts[2]].join("~"), Reason::IssuerUnknown),
        ([parts[0], parts[2]].join("~"), Reason::DelegationParentMismatch),
        ([parts[0], parts[2], parts[1]].join("~"), Reason::DelegationParentMismatch),
        ([parts[0], parts[0]].join("~"), Reason::DelegationMissing),
        (format!("{whole}~"), Reason::PassportMalformed),
    ] {
        let refusal = call("GET", "/search", "", &text, 1).judged(&gate()).unwrap_err();
        assert_eq!((refusal.reason, refusal.agent()), (expected, None));
        assert_eq!(refusal.reason.public_code(), "credential_rejected");
    }
}

#[test]
fn revoking_or_suspending_any_link_its_agent_or_its_key_ends_the_chain() {
    let chain = chain(&["web:*"], &["", "", ""]);
    let search = call("GET", "/search", "", &chain, 1);
    let demand = search.judged(&gate()).unwrap().demand().clone();
    assert_eq!(demand.subjects.len(), 3 * 3 + 1);
    for subject in &demand.subjects {
        for (write, expected) in [
            (state::revocation_write(subject, NOW.seconds()), Reason::Revoked),
            (state::suspension_write(subject, NOW.seconds()), Reason::Suspended),
        ] {
            let mut rows = LoadedRows::from([(write.key, write.value)]);
            assert_eq!(reason(&mut rows, &gate(), &search), Some(expected), "{subject}");
        }
    }
    let other = Subject::Agent { issuer: "https://other.example".to_owned(), agent_id: "bot-2".to_owned() };
    assert!(!demand.subjects.contains(&other));
}

#[test]
fn the_gate_s_limits_of_an_agent_hold_for_all_below_it_together() {
    let mut rows = LoadedRows::new();
    let (alone, two) = (chain(&["payments:*"], &[""]), chain(&["payments:*"], &["", ""]));
    assert_eq!(reason(&mut rows, &gate(), &pay("50", &alone, 1)), None);
    assert_eq!(reason(&mut rows, &gate(), &pay("50", &two, 2)), None);
    assert_eq!(reason(&mut rows, &gate(), &pay("50", &two, 3)), Some(Reason::SpendDailyExceeded));
    assert_eq!(reason(&mut rows, &gate(), &pay("1", &two, 4)), Some(Reason::RateLimitExceeded));
}

#[test]
fn a_parent_s_budget_bounds_the_sum_of_its_children_s() {
    let (gate, mut rows) = (open_gate(), LoadedRows::new());
    let cap = |micro: u64| format!(r#"{{"spend":{{"daily_micro_usd":{micro}}}}}"#);
    let (ten, six) = (cap(10_000_000), cap(6_000_000));
    let one = chain(&["payments:*"], &[&ten, &six]);
    // Another child of the same parent: other bytes, so a budget of its own below the parent's.
    let other = chain(&["payments:*", "web:*"], &[&ten, &six]);
    assert_eq!(reason(&mut rows, &gate, &pay("6", &one, 1)), None);
    assert_eq!(reason(&mut rows, &gate, &pay("0.01", &one, 2)), Some(Reason::SpendDailyExceeded));
    assert_eq!(reason(&mut rows, &gate, &pay("4.01", &other, 3)), Some(Reason::SpendDailyExceeded));
    assert_eq!(reason(&mut rows, &gate, &pay("4", &other, 4)), None);
    let root = chain(&["payments:*"], &[&ten]);
    assert_eq!(reason(&mut rows, &gate, &pay("0.01", &root, 5)), Some(Reason::SpendDailyExceeded));
}

#[test]
fn the_strictest_transaction_cap_counts() {
    let (gate, limits) = (open_gate(), [r#"{"spend":{"per_transaction_micro_usd":5000000}}"#, ""]);
    let mut rows = LoadedRows::new();
    assert_eq!(reason(&mut rows, &gate, &pay("5", &chain(&["payments:*"], &limits), 1)), None);
    let refused = reason(&mut rows, &gate, &pay("5.01", &chain(&["payments:*"], &limits), 2));
    assert_eq!(refused, Some(Reason::SpendTransactionExceeded));
}

#[test]
fn rates_of_passports_count_what_all_below_do() {
    let (gate, mut rows) = (open_gate(), LoadedRows::new());
    let rate = |n: u64| format!(r#"{{"rate":{{"requests_per_minute":{n}}}}}"#);
    let (three, two, none) = (rate(3), rate(2), rate(0));
    let search = |chain: &str, nonce| call("GET", "/search", "", chain, nonce);
    let child = chain(&["web:*"], &[&three, &two]);
    assert_eq!(reason(&mut rows, &gate, &search(&child, 1)), None);
    assert_eq!(reason(&mut rows, &gate, &search(&child, 2)), None);
    let judged = search(&child, 3).judged(&gate).unwrap();
    let refused = decide(&judged, &admit(&mut rows, &judged));
    assert_eq!(refused.reason, Some(Reason::RateLimitExceeded));
    let [view] = refused.rates.as_slice() else { panic!("one view of both counters: {:?}", refused.rates) };
    assert_eq!((view.per.as_str(), view.limit, view.answer.conforms), ("passport", 2, false));
    let root = chain(&["web:*"], &[&three]);
    assert_eq!(reason(&mut rows, &gate, &search(&root, 4)), None);
    assert_eq!(reason(&mut rows, &gate, &search(&root, 5)), Some(Reason::RateLimitExceeded));
    let stopped = chain(&["web:*"], &[&three, &none]);
    assert_eq!(reason(&mut LoadedRows::new(), &gate, &search(&stopped, 6)), Some(Reason::RateLimitExceeded));
}

#[test]
fn counters_of_one_chain_are_not_those_of_another() {
    let demand = |chain: &str| -> Demand { pay("1", chain, 1).judged(&open_gate()).unwrap().demand().clone() };
    let cap = r#"{"spend":{"daily_micro_usd":9000000}}"#;
    let (one, other) = (demand(&chain(&["payments:*"], &["", cap])), demand(&chain(&["payments:*"], &["", "", cap])));
    assert_eq!((one.spends.len(), other.spends.len()), (1, 1));
    assert_ne!(one.spends[0].account, other.spends[0].account);
}

#[test]
fn domains_of_gate_and_passport_both_count() {
    let mut gate = gate();
    let domains = [r#"{"domains":["*.shop.example","shop.example"]}"#, r#"{"domains":["a.shop.example"]}"#];
    let wide = chain(&["payments:*"], &domains[..1]);
    let narrow = chain(&["payments:*"], &domains);
    let mut rows = LoadedRows::new();
    assert_eq!(reason(&mut rows, &gate, &pay("1", &wide, 1)), None);
    assert_eq!(reason(&mut rows, &gate, &pay("1", &narrow, 2)), Some(Reason::DomainNotAllowed));
    gate.guardrails.allowed_domains = None;
    assert_eq!(reason(&mut rows, &gate, &pay("1", &narrow, 3)), Some(Reason::DomainNotAllowed));
}

/// A gate whose routes say what passports limit.
fn declaring() -> Gate {
    let mut gate = open_gate();
    let path = PathPattern::parse("/records/{id}").unwrap();
    let route = gate.routes.iter_mut().find(|route| route.path == path).unwrap();
    let template = ResourceTemplate::parse("records/{id}", &path).unwrap();
    route.resource = Some(Declared::At(ResourceSource::Path(template)));
    route.records = Some(Declared::At(ValueSource::Pointer("/limit".to_owned())));
    route.context.insert("tenant".to_owned(), ValueSource::Pointer("/tenant".to_owned()));
    route.refused_labels.insert("web".to_owned());
    gate
}

#[test]
fn resources_context_and_records_are_held_against_the_request() {
    use Reason::{ContextNotPermitted, RecordsNotPermitted, ResourceNotPermitted};
    for (limits, path, body, expected) in [
        (r#"{"resources":["records/7"]}"#, "/records/7", "", None),
        (r#"{"resources":["records/7"]}"#, "/records/8", "", Some(ResourceNotPermitted)),
        (r#"{"resources":["records/*"]}"#, "/records/a%20b", "", Some(ResourceNotPermitted)),
        (r#"{"resources":[]}"#, "/records/7", "", Some(ResourceNotPermitted)),
        (r#"{"context":{"tenant":["a","b"]}}"#, "/records/7", r#"{"tenant":"b"}"#, None),
        (r#"{"context":{"tenant":["a","b"]}}"#, "/records/7", r#"{"tenant":"c"}"#, Some(ContextNotPermitted)),
        (r#"{"context":{"tenant":["a","b"]}}"#, "/records/7", r#"{"tenant":["a"]}"#, Some(ContextNotPermitted)),
        (r#"{"context":{"tenant":["a","b"]}}"#, "/records/7", "", Some(ContextNotPermitted)),
        (r#"{"max_records":10}"#, "/records/7", r#"{"limit":10}"#, None),
        (r#"{"max_records":10}"#, "/records/7", r#"{"limit":11}"#, Some(RecordsNotPermitted)),
        (r#"{"max_records":10}"#, "/records/7", r#"{"limit":-1}"#, Some(RecordsNotPermitted)),
        (r#"{"max_records":10}"#, "/records/7", r#"{"limit":1e0}"#, Some(RecordsNotPermitted)),
        (r#"{"max_records":10}"#, "/records/7", r#"{"limit":"5"}"#, Some(RecordsNotPermitted)),
        (r#"{"max_records":10}"#, "/records/7", "", Some(RecordsNotPermitted)),
        (r#"{"labels":["pii"]}"#, "/records/7", "", None),
        (r#"{"labels":["pii","web"]}"#, "/records/7", "", Some(Reason::LabelRefused)),
    ] {
        for links in [&[limits][..], &[limits, "", ""]] {
            let request = call("DELETE", path, body, &chain(&["records:*"], links), 1);
            assert_eq!(reason(&mut LoadedRows::new(), &declaring(), &request), expected, "{limits} {path} {body}");
        }
    }
}

#[test]
fn what_hosts_hold_a_response_against_is_the_least_of_the_chain() {
    for (links, expected) in [
        (&[r#"{"max_records":10}"#][..], Some(10)),
        (&[r#"{"max_records":10}"#, "", r#"{"max_records":7}"#], Some(7)),
        (&["", ""], None),
    ] {
        let judged = call("DELETE", "/records/7", "", &chain(&["records:*"], links), 1).judged(&declaring()).unwrap();
        assert_eq!(judged.max_records(), expected, "{links:?}");
    }
}

#[test]
fn what_the_route_does_not_tell_is_refused() {
    for limits in [r#"{"resources":["*"]}"#, r#"{"context":{"tenant":["a"]}}"#, r#"{"max_records":10}"#] {
        let request = call("DELETE", "/records/7", "", &chain(&["records:*"], &[limits]), 1);
        let refused = reason(&mut LoadedRows::new(), &open_gate(), &request);
        assert_eq!(refused, Some(Reason::ConstraintsUnsupported), "{limits}");
    }
    let mut gate = open_gate();
    gate.routes.iter_mut().for_each(|route| {
        route.resource = Some(Declared::None);
        route.records = Some(Declared::None);
    });
    let limits = r#"{"resources":[],"max_records":0}"#;
    let request = call("DELETE", "/records/7", "", &chain(&["records:*"], &[limits]), 1);
    assert_eq!(reason(&mut LoadedRows::new(), &gate, &request), None, "the action has neither");
}

/// The agent has a hand in what a plugin takes out: it writes the body.
#[test]
fn what_a_limit_was_held_against_is_not_taken_out() {
    let mut gate = declaring();
    for route in &mut gate.routes {
        let source = ValueSource::Pointer("/record".to_owned());
        route.resource = route.resource.is_some().then_some(Declared::At(ResourceSource::Value(source)));
    }
    let limits = r#"{"resources":["records/7"],"context":{"tenant":["a"]}}"#;
    let body = r#"{"record":"records/7","tenant":"a","note":"b"}"#;
    for (links, pointer, is_taken) in [
        (&[limits][..], "/record", false),
        (&[limits, "", ""], "/record", false),
        (&[limits, ""], "/tenant", false),
        (&["", limits], "/tenant", false),
        (&[limits], "/note", true),
        (&[""], "/record", true),
        (&[""], "/tenant", true),
    ] {
        let judged = call("DELETE", "/records/7", body, &chain(&["records:*"], links), 1).judged(&gate).unwrap();
        let (judged, forwarded) = judged.restrict(vec![redacts(&[pointer])], body.as_bytes(), &seed());
        assert_eq!(forwarded.is_some(), is_taken, "{pointer}");
        let refused = (!is_taken).then_some(Reason::PluginAnswerInvalid);
        assert_eq!(decide(&judged, &admit(&mut LoadedRows::new(), &judged)).reason, refused, "{pointer}");
    }
}
