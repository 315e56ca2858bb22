//! A panic at any stage is a deny; what follows it is served as if nothing had been.

use std::time::{Duration, Instant};

use passgate_core::state::Subject;
use passgate_tests::edge::{Agent, Edge, WITHIN};

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

async fn call(edge: &Edge, agent: &Agent, stage: Option<&str>) -> anyhow::Result<(u16, String)> {
    let mut request = agent.request("GET", "/search").unwrap().sign().unwrap();
    request.headers.extend(stage.map(panic_at));
    edge.send(&request).await.map(|answer| verdict(&answer))
}

fn panic_at(stage: &str) -> (String, String) {
    ("x-passgate-test-panic".to_owned(), stage.to_owned())
}

/// The worker prints it just before.
async fn wait_for_panic(edge: &Edge, stage: &str) {
    let said = format!("asked to panic at {stage}\n");
    let deadline = Instant::now() + WITHIN;
    while !edge.log().contains(&said) {
        assert!(Instant::now() < deadline, "no panic at {stage}: {}", edge.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_settling_leaves_the_answer_and_the_chain() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-settle", 190, &["web:*"]).unwrap();
    for (stage, seen) in [("settle", 2), ("settled", 4)] {
        let told = call(&edge, &agent, Some(stage)).await.unwrap();
        assert!([allowed(), refused(503, "internal_error")].contains(&told), "{stage}: {told:?}");
        // It comes after the answer.
        wait_for_panic(&edge, stage).await;
        assert_eq!(call(&edge, &agent, None).await.unwrap(), allowed(), "after {stage}");
        assert_eq!(origin.seen().len(), seen, "{stage}");
        assert_ledger(&edge).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_asking_what_is_revoked_is_a_deny() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-watch", 191, &["web:*"]).unwrap();
    let (status, code) = call(&edge, &agent, Some("watch")).await.unwrap();
    assert_eq!((status, origin.seen().len()), (503, 0), "{code}");
    wait_for_panic(&edge, "watch").await;
    assert_eq!(call(&edge, &agent, None).await.unwrap(), allowed());
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_panicked_is_said_to_have_failed_and_works_when_repeated() {
    let (_origin, edge) = gate(|_| ()).await;
    for (stage, seed) in ["revoke", "revoked", "tell", "deny"].into_iter().zip(192..) {
        let agent = Agent::new(&format!("agent-{stage}"), seed, &["web:*"]).unwrap();
        let bystander = Agent::new(&format!("bystander-{stage}"), seed + 20, &["web:*"]).unwrap();
        assert_eq!(call(&edge, &agent, None).await.unwrap(), allowed());
        let subject = serde_json::to_value(Subject::Passport(agent.passport_id.clone())).unwrap();
        let target = "/.passgate/v1/revocations";
        let answer = edge.control_of("POST", target, &subject.to_string(), &[panic_at(stage)]).await.unwrap();
        assert_eq!(answer.status, 503, "{stage}: {}", String::from_utf8_lossy(&answer.body));
        wait_for_panic(&edge, stage).await;
        assert_eq!(call(&edge, &bystander, None).await.unwrap(), allowed(), "after {stage}");
        edge.revoke(&subject).await.unwrap();
        assert_eq!(call(&edge, &agent, None).await.unwrap(), refused(401, "credential_rejected"), "after {stage}");
        assert_eq!(call(&edge, &bystander, None).await.unwrap(), allowed(), "after {stage}");
        assert_ledger(&edge).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_whose_telling_panicked_is_finished_without_a_repeat() {
    let (_origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-untold", 199, &["web:*"]).unwrap();
    assert_eq!(call(&edge, &agent, None).await.unwrap(), allowed());
    let subject = serde_json::to_value(Subject::Passport(agent.passport_id.clone())).unwrap();
    let answer =
        edge.control_of("POST", "/.passgate/v1/revocations", &subject.to_string(), &[panic_at("tell")]).await.unwrap();
    assert_eq!(answer.status, 503);
    // The object's alarm takes it up.
    let deadline = Instant::now() + WITHIN;
    while call(&edge, &agent, None).await.unwrap() == allowed() {
        assert!(Instant::now() < deadline, "the agent was never told: {}", edge.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(call(&edge, &agent, None).await.unwrap(), refused(401, "credential_rejected"));
    assert_ledger(&edge).await;
}
