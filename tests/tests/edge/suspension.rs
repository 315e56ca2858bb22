//! When `suspend` has returned, the next request is denied; when `reinstate` has returned, the next is let in.

use std::time::{Duration, Instant};

use passgate_core::state::Subject;
use passgate_tests::agent::{ISSUER, key};
use passgate_tests::edge::{Agent, Edge, WITHIN};
use serde_json::Value;

use crate::{allowed, assert_ledger, gate, refused, verdict};

async fn call(edge: &Edge, agent: &Agent) -> (u16, String) {
    let request = agent.request("GET", "/search").unwrap().sign().unwrap();
    verdict(&edge.send(&request).await.unwrap())
}

/// What the caller is told; the record names the reason.
fn denied() -> (u16, String) {
    refused(401, "credential_rejected")
}

fn agent(number: u8) -> Agent {
    Agent::new(&format!("agent-{number}"), number, &["web:*"]).unwrap()
}

fn subjects(agent: &Agent) -> [Subject; 3] {
    [
        Subject::Passport(agent.passport_id.clone()),
        Subject::Agent { issuer: ISSUER.to_owned(), agent_id: agent.id.clone() },
        Subject::Key(key(agent.seed).public().thumbprint().to_owned()),
    ]
}

fn issuer() -> Subject {
    Subject::Issuer(ISSUER.to_owned())
}

const SUSPEND: &str = "suspensions";
const REINSTATE: &str = "reinstatements";

/// The status of the answer, and what it says.
async fn change(edge: &Edge, verb: &str, subject: &Subject, script: &[(String, String)]) -> (u16, Value) {
    let (target, body) = (format!("/.passgate/v1/{verb}"), serde_json::to_string(subject).unwrap());
    let answer = edge.control_of("POST", &target, &body, script).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

async fn is_done(edge: &Edge, verb: &str, subject: &Subject) {
    let (status, said) = change(edge, verb, subject, &[]).await;
    assert_eq!(status, 201, "{verb} {subject}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suspended_is_denied_at_once_and_let_in_when_it_is_reinstated() {
    let (_origin, edge) = gate(|_| ()).await;
    let bystander = agent(30);
    for which in 0..3 {
        let (known, later) = (agent(31 + which), agent(41 + which));
        assert_eq!(call(&edge, &known).await, allowed());
        for agent in [&known, &later] {
            let subject = &subjects(agent)[usize::from(which)];
            for _ in 0..2 {
                is_done(&edge, SUSPEND, subject).await;
                assert_eq!(call(&edge, agent).await, denied(), "{subject}");
                assert_eq!(call(&edge, agent).await, denied(), "{subject}");
                assert_eq!(call(&edge, &bystander).await, allowed());
                is_done(&edge, REINSTATE, subject).await;
                assert_eq!(call(&edge, agent).await, allowed(), "{subject}");
            }
        }
    }

    is_done(&edge, SUSPEND, &issuer()).await;
    assert_eq!(change(&edge, SUSPEND, &issuer(), &[]).await.0, 200, "nothing changes");
    assert_eq!(call(&edge, &bystander).await, denied(), "an agent that was there");
    assert_eq!(call(&edge, &agent(50)).await, denied(), "an agent that comes later");
    edge.restart().unwrap();
    assert_eq!(call(&edge, &bystander).await, denied(), "after a restart");
    is_done(&edge, REINSTATE, &issuer()).await;
    assert_eq!(change(&edge, REINSTATE, &issuer(), &[]).await.0, 200, "nothing changes");
    assert_eq!(call(&edge, &bystander).await, allowed());
    assert_eq!(call(&edge, &agent(50)).await, allowed());
    let records = edge.records().await.unwrap();
    let suspended = records.iter().filter(|record| record.get("reason_code").is_some_and(|code| code == "suspended"));
    assert_eq!(suspended.count(), 6 * 2 * 2 + 3);
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_stays_revoked() {
    let (_origin, edge) = gate(|_| ()).await;
    let agent = agent(60);
    let subject = subjects(&agent)[0].clone();
    assert_eq!(call(&edge, &agent).await, allowed());
    is_done(&edge, SUSPEND, &subject).await;
    edge.revoke(&serde_json::to_value(&subject).unwrap()).await.unwrap();
    assert_eq!(call(&edge, &agent).await, denied());
    assert_eq!(change(&edge, SUSPEND, &subject, &[]).await.0, 200);
    let (status, problem) = change(&edge, REINSTATE, &subject, &[]).await;
    assert_eq!((status, problem["reason_code"].as_str()), (409, Some("revoked")), "{problem}");
    assert_eq!(call(&edge, &agent).await, denied());
    let asked = format!("/.passgate/v1/revocations?kind=passport&id={}", agent.passport_id);
    let state: Value = serde_json::from_slice(&edge.control("GET", &asked, "").await.unwrap().body).unwrap();
    assert!(state["revoked_at"].is_i64() && state["suspended_at"].is_i64(), "{state}");
    assert_ledger(&edge).await;
}

/// More than the gate's object tells at the same time.
const WATCHERS: u8 = 45;

/// Prints how long it takes until no object lets anybody in, and until all do again.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_is_in_force_in_every_object_that_watches() {
    let (origin, edge) = gate(|_| ()).await;
    let agents: Vec<Agent> = (100..100 + WATCHERS).map(agent).collect();
    let all = async || futures_util::future::join_all(agents.iter().map(|agent| call(&edge, agent))).await;
    for agent in &agents {
        assert_eq!(call(&edge, agent).await, allowed());
    }
    for (verb, then) in [(SUSPEND, denied()), (REINSTATE, allowed())] {
        let sent = Instant::now();
        is_done(&edge, verb, &issuer()).await;
        let returned = sent.elapsed();
        assert_eq!(call(&edge, &agents[0]).await, then);
        let first = sent.elapsed();
        assert_eq!(all().await, vec![then; usize::from(WATCHERS)]);
        println!("{verb}, {WATCHERS} objects: returned after {returned:?}, first answer that follows it {first:?}");
    }
    let sent = Instant::now();
    edge.revoke(&serde_json::to_value(issuer()).unwrap()).await.unwrap();
    let returned = sent.elapsed();
    assert_eq!(call(&edge, &agents[0]).await, denied());
    println!("revocations, {WATCHERS} objects: returned after {returned:?}, first denial {:?}", sent.elapsed());
    assert_eq!(origin.seen().len(), usize::from(WATCHERS) * 2 + 1);
    assert_ledger(&edge).await;
}

async fn said(edge: &Edge, what: &str) {
    let deadline = Instant::now() + WITHIN;
    while !edge.log().contains(what) {
        assert!(Instant::now() < deadline, "nobody said {what}: {}", edge.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_that_overtakes_the_answer_to_a_watch_counts() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = agent(70);
    let mut request = agent.request("GET", "/search").unwrap().sign().unwrap();
    request.headers.push(("x-passgate-test-overtaken".to_owned(), "1".to_owned()));
    let suspended = async {
        said(&edge, "an answer about subjects is held back").await;
        is_done(&edge, SUSPEND, &subjects(&agent)[1]).await;
    };
    let (answer, ()) = tokio::join!(edge.send(&request), suspended);
    assert_eq!(verdict(&answer.unwrap()), denied());
    assert_eq!(origin.seen().len(), 0);
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_told_of_a_reinstatement_goes_on_denying() {
    let (_origin, edge) = gate(|_| ()).await;
    let agent = agent(71);
    let subject = subjects(&agent)[2].clone();
    let unheard = [("x-passgate-test-panic".to_owned(), "ask-again".to_owned())];
    assert_eq!(call(&edge, &agent).await, allowed());
    assert_eq!(change(&edge, SUSPEND, &subject, &unheard).await.0, 503, "not everyone was told");
    said(&edge, "asked to panic at ask-again").await;
    assert_eq!(change(&edge, SUSPEND, &subject, &[]).await.0, 200, "recorded before, told now");
    assert_eq!(call(&edge, &agent).await, denied());
    assert_eq!(change(&edge, REINSTATE, &subject, &unheard).await.0, 503, "not everyone was told");
    assert_eq!(call(&edge, &agent).await, denied());
    assert_eq!(change(&edge, REINSTATE, &subject, &[]).await.0, 200, "recorded before, told now");
    assert_eq!(call(&edge, &agent).await, allowed());
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reinstatement_whose_telling_panicked_is_finished_without_a_repeat() {
    let (_origin, edge) = gate(|_| ()).await;
    let agent = agent(72);
    let subject = subjects(&agent)[0].clone();
    assert_eq!(call(&edge, &agent).await, allowed());
    is_done(&edge, SUSPEND, &subject).await;
    assert_eq!(call(&edge, &agent).await, denied());
    let untold = [("x-passgate-test-panic".to_owned(), "tell".to_owned())];
    assert_eq!(change(&edge, REINSTATE, &subject, &untold).await.0, 503);
    // The object's alarm takes it up.
    let deadline = Instant::now() + WITHIN;
    while call(&edge, &agent).await == denied() {
        assert!(Instant::now() < deadline, "the agent's object was never told: {}", edge.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(call(&edge, &agent).await, allowed());
    assert_ledger(&edge).await;
}
