//! What rules take out of a request does not go upstream.

use alloc::sync::Arc;

use super::*;
use crate::policy::{Effect, Mode, Policy, Rule};

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
        (judged, forwarded) = judged.restrict(Vec::new(), body.as_bytes());
        assert_eq!(judged.request().forwarded_payload_sha256.is_some(), forwarded.is_some());
    }
    let admission = admit(&mut LoadedRows::new(), &judged);
    (decide(&judged, &admission), forwarded.map(|body| String::from_utf8(body).unwrap()))
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
