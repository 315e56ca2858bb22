//! What rules take out of a request does not go upstream.

use alloc::sync::Arc;

use super::*;
use crate::policy::{Condition, Effect, Fact, Mode, Policy, Rule, Test, Texts};
use crate::route::{Argument, ArgumentKind, ArgumentValue, ResourceSource, ResourceTemplate};

const BODY: &str = r#"{"usd":20,"to":"shop.example","card":"4111 1111","n":{"x":[7]}}"#;

fn allowing(mode: Mode, redact: &[&str]) -> Gate {
    let rule = Rule {
        name: "all".to_owned(),
        effect: Effect::Allow,
        anchors: 0,
        when: Vec::new(),
        require: Vec::new(),
        approval: None,
        pass_ttl_seconds: None,
        rates: RateLimits::default(),
        redact: redact.iter().map(|pointer| (*pointer).to_owned()).collect(),
    };
    Gate { rules: Some(Arc::new(Policy::new(mode, Vec::new(), Vec::new(), vec![rule]))), ..gate() }
}

fn decided(gate: &Gate, body: &str, restrict: bool) -> (Decision, Option<String>) {
    let mut judged = Call::new("POST", "/pay", body).signed(1).judged(gate).unwrap();
    let mut forwarded = None;
    if restrict {
        (judged, forwarded) = judged.restrict(Vec::new(), body.as_bytes(), &seed());
        assert_eq!(judged.request().forwarded_payload_sha256.is_some(), forwarded.is_some());
    }
    let admission = admit(&mut LoadedRows::new(), &judged);
    (decide(&judged, &admission), forwarded.map(|body| String::from_utf8(body).unwrap()))
}

#[test]
fn nothing_is_known_of_what_no_route_declares() {
    let closed = Texts { exact: vec!["true".to_owned()], ..Texts::default() };
    let condition = Condition { fact: Fact::Closed, negated: false, test: Test::Texts(closed) };
    let rule = Rule { require: vec![condition], ..allowing(Mode::Enforce, &[]).rules.unwrap().rules()[0].clone() };
    let gate = Gate { rules: Some(Arc::new(Policy::new(Mode::Enforce, Vec::new(), Vec::new(), vec![rule]))), ..gate() };
    for (more, reason) in [
        ("", None),
        (r#","query":{}"#, Some(Reason::RuleUnmet)),
        (r#","query":{"match_all":{}}"#, Some(Reason::RuleUnmet)),
        (r#","usdx":{}"#, Some(Reason::RuleUnmet)),
        (r#","force":[]"#, Some(Reason::RuleUnmet)),
    ] {
        let body = format!(r#"{{"usd":20,"to":"shop.example"{more}}}"#);
        assert_eq!(decided(&gate, &body, true).0.reason, reason, "{body}");
    }
}

#[test]
fn texts_are_taken_out() {
    let gate = allowing(Mode::Enforce, &["/card", "/missing"]);
    let (decision, forwarded) = decided(&gate, BODY, true);
    assert_eq!(decision.verdict.kind(), DecisionKind::Allow);
    assert_eq!(forwarded.unwrap(), BODY.replace("4111 1111", "[redacted]"));
    let (decision, forwarded) = decided(&gate, r#"{"usd":20,"to":"shop.example"}"#, true);
    assert_eq!((decision.verdict.kind(), forwarded), (DecisionKind::Allow, None));
}

#[test]
fn what_is_taken_in_later_brings_nothing_back() {
    let gate = allowing(Mode::Enforce, &["/card"]);
    let judged = Call::new("POST", "/pay", BODY).signed(1).judged(&gate).unwrap();
    let (judged, once) = judged.restrict(Vec::new(), BODY.as_bytes(), &seed());
    let (_, twice) = judged.restrict(Vec::new(), BODY.as_bytes(), &seed());
    assert!(once.is_some());
    assert_eq!(once, twice);
}

#[test]
fn a_judgement_that_was_handed_over_takes_nothing_out() {
    let gate = allowing(Mode::Enforce, &["/card"]);
    let judged = Call::new("POST", "/pay", BODY).signed(1).judged(&gate).unwrap();
    let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
    let (handed, forwarded) = handed.restrict(Vec::new(), BODY.as_bytes(), &seed());
    let admission = admit(&mut LoadedRows::new(), &handed);
    assert_eq!((decide(&handed, &admission).reason, forwarded), (Some(Reason::InternalError), None));
}

#[test]
fn arguments_are_held_to_their_kind_whatever_rules_say() {
    let path = PathPattern::parse("/files/{name}").unwrap();
    let source = ResourceSource::Path(ResourceTemplate::parse("{name}", &path).unwrap());
    let argument =
        Argument { name: "name".to_owned(), kind: ArgumentKind::Text, source, is_optional: false, default: None };
    for mode in [Some(Mode::Enforce), Some(Mode::Shadow), None] {
        let mut gate = mode.map_or_else(gate, |mode| allowing(mode, &[]));
        let route = Route { path: path.clone(), arguments: vec![argument.clone()], ..gate.routes[0].clone() };
        gate.routes.insert(0, route);
        for (target, reason) in [("/files/a", None), ("/files/a%20b", Some(Reason::ArgumentInvalid))] {
            let judged = Call::new("GET", target, "").signed(1).judged(&gate).unwrap();
            let admission = admit(&mut LoadedRows::new(), &judged);
            assert_eq!(decide(&judged, &admission).reason, reason, "{mode:?} {target}");
        }
    }
}

/// An amount is one of dollars, whatever stands beside it; a rule that requires the argument lets nothing else through.
#[test]
fn another_currency_is_refused_by_a_rule_alone() {
    let argument = Argument {
        name: "currency".to_owned(),
        kind: ArgumentKind::Text,
        source: ResourceSource::Value(ValueSource::Pointer("/currency".to_owned())),
        is_optional: true,
        default: Some(ArgumentValue::Text("USD".to_owned())),
    };
    let usd = Texts { exact: vec!["USD".to_owned()], ..Texts::default() };
    let condition = Condition { fact: Fact::Argument("currency".to_owned()), negated: false, test: Test::Texts(usd) };
    let mut gate = allowing(Mode::Enforce, &[]);
    gate.routes[1].arguments.push(argument);
    let mut ruled = gate.clone();
    let rule = Rule { require: vec![condition], ..gate.rules.as_ref().unwrap().rules()[0].clone() };
    ruled.rules = Some(Arc::new(Policy::new(Mode::Enforce, Vec::new(), Vec::new(), vec![rule])));
    for (more, reason) in [
        (r#","currency":"USD""#, None),
        ("", None),
        (r#","currency":"EUR""#, Some(Reason::RuleUnmet)),
        (r#","currency":"usd""#, Some(Reason::RuleUnmet)),
        (r#","currency":null"#, Some(Reason::ArgumentInvalid)),
    ] {
        let body = format!(r#"{{"usd":20,"to":"shop.example"{more}}}"#);
        assert_eq!(decided(&ruled, &body, true).0.reason, reason, "{body}");
        let unruled = reason.filter(|reason| *reason == Reason::ArgumentInvalid);
        assert_eq!(decided(&gate, &body, true).0.reason, unruled, "{body}");
    }
}

#[test]
fn what_cannot_be_taken_out_is_denied() {
    for pointer in ["/n", "/n/x/0", "/to"] {
        let (decision, forwarded) = decided(&allowing(Mode::Enforce, &[pointer]), BODY, true);
        assert_eq!((decision.reason, forwarded), (Some(Reason::RuleUnmet), None), "{pointer}");
    }
}

#[test]
fn nothing_is_forwarded_before_it_is_taken_out() {
    let (decision, _) = decided(&allowing(Mode::Enforce, &["/card"]), BODY, false);
    assert_eq!((decision.verdict.kind(), decision.reason), (DecisionKind::Deny, Some(Reason::InternalError)));
    let (decision, forwarded) = decided(&allowing(Mode::Shadow, &["/card"]), BODY, false);
    assert_eq!((decision.verdict.kind(), forwarded), (DecisionKind::Allow, None));
}
