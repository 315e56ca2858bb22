//! When `revoke` has returned, the next request is denied: for agents whose object is there, and for those to come.

use passgate_core::state::Subject;
use passgate_tests::agent::{ISSUER, key};
use passgate_tests::edge::{Agent, Edge};

use crate::{allowed, assert_ledger, gate, refused, verdict};

async fn call(edge: &Edge, agent: &Agent) -> (u16, String) {
    let request = agent.request("GET", "/search").unwrap().sign().unwrap();
    verdict(&edge.send(&request).await.unwrap())
}

/// What the caller is told; the record names the reason.
fn revoked() -> (u16, String) {
    refused(401, "credential_rejected")
}

async fn revoke(edge: &Edge, subject: Subject) {
    edge.revoke(&serde_json::to_value(subject).unwrap()).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_denied_at_once_and_nothing_else() {
    let (origin, edge) = gate(|_| ()).await;
    let bystander = agent(30);
    let mut expected = 0;
    for which in 0..3 {
        let (known, later) = (agent(31 + which), agent(41 + which));
        assert_eq!(call(&edge, &known).await, allowed());
        for agent in [&known, &later] {
            revoke(&edge, subjects(agent)[usize::from(which)].clone()).await;
            assert_eq!(call(&edge, agent).await, revoked(), "{}", agent.id);
        }
        assert_eq!(call(&edge, &bystander).await, allowed());
        expected += 2;
        assert_eq!(origin.seen().len(), expected);
    }

    revoke(&edge, Subject::Issuer(ISSUER.to_owned())).await;
    assert_eq!(call(&edge, &bystander).await, revoked(), "an agent that was there");
    assert_eq!(call(&edge, &agent(50)).await, revoked(), "an agent that comes later");
    edge.restart().unwrap();
    assert_eq!(call(&edge, &bystander).await, revoked(), "after a restart");
    assert_eq!(origin.seen().len(), expected);
    let records = edge.records().await.unwrap();
    assert_eq!(
        records.iter().filter(|record| record.get("reason_code").is_some_and(|code| code == "revoked")).count(),
        9
    );
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_key_for_it_revokes() {
    let (_origin, edge) = gate(|_| ()).await;
    let agent = agent(30);
    let body = serde_json::to_string(&subjects(&agent)[0]).unwrap();
    let mut request = passgate_tests::case::Request {
        method: "POST".to_owned(),
        target: "/.passgate/v1/revocations".to_owned(),
        host: passgate_tests::agent::HOST.to_owned(),
        headers: Vec::new(),
        body,
    };
    assert_eq!(edge.send(&request).await.unwrap().status, 401, "no key");
    request.headers.push(("authorization".to_owned(), format!("Bearer pgk_{}", "A".repeat(43))));
    assert_eq!(edge.send(&request).await.unwrap().status, 401, "another key");
    assert_eq!(call(&edge, &agent).await, allowed());
}

/// More than the gate's object tells at the same time.
const WATCHERS: u8 = 45;

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_in_force_in_every_object_that_watches() {
    let (origin, edge) = gate(|_| ()).await;
    let agents: Vec<Agent> = (100..100 + WATCHERS).map(agent).collect();
    for agent in &agents {
        assert_eq!(call(&edge, agent).await, allowed());
    }
    revoke(&edge, Subject::Issuer(ISSUER.to_owned())).await;
    let verdicts = futures_util::future::join_all(agents.iter().map(|agent| call(&edge, agent))).await;
    assert_eq!(verdicts, vec![revoked(); usize::from(WATCHERS)]);
    assert_eq!(origin.seen().len(), usize::from(WATCHERS));
    assert_ledger(&edge).await;
}
