//! A panic at any stage is a deny; what follows it is served as if nothing had been.

use passgate_tests::edge::Agent;

use crate::{allowed, assert_ledger, gate, refused, verdict};

const BEFORE_SENDING: [&str; 5] = ["intake", "judge", "admit", "admitted", "decided"];

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_at_any_stage_is_a_deny_and_the_next_request_is_served() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-panic", 26, &["web:*"]).unwrap();
    let fresh = || agent.request("GET", "/search").unwrap().sign().unwrap();
    assert_eq!(verdict(&edge.send(&fresh()).await.unwrap()), allowed());
    let mut served = 1;
    for stage in BEFORE_SENDING.into_iter().chain(["sent"]) {
        let mut request = fresh();
        request.headers.push(("x-passgate-test-panic".to_owned(), stage.to_owned()));
        let answer = edge.send(&request).await.unwrap();
        let verdict_of_it = verdict(&answer);
        assert_eq!((verdict_of_it.0, answer.decision()), (503, Some("deny")), "{stage}: {verdict_of_it:?}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{stage}");
        // Only after sending has the origin seen it.
        served += usize::from(stage == "sent");
        assert_eq!(origin.seen().len(), served, "{stage}");
        assert_eq!(verdict(&edge.send(&fresh()).await.unwrap()), allowed(), "after {stage}");
        served += 1;
        assert_eq!(origin.seen().len(), served, "after {stage}");
    }
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_without_a_policy_denies() {
    let (origin, edge) = gate(|_| ()).await;
    edge.delete(passgate_tests::edge::BUNDLE_KEY).unwrap();
    let agent = Agent::new("agent-none", 27, &["web:*"]).unwrap();
    let request = agent.request("GET", "/search").unwrap().sign().unwrap();
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), refused(503, "internal_error"));
    assert_eq!(origin.seen().len(), 0);
}
