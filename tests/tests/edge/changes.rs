//! A new version of the policy changes the level of the gate, and each level is a chain of its own.

use std::collections::BTreeSet;

use passgate_tests::edge::{Agent, Edge, bundle};
use passgate_tests::origin::Origin;
use serde_json::{Map, Value, json};

use crate::{allowed, assert_ledger, gate, verdict};

async fn at_level(edge: &Edge, origin: &Origin, version: u64, level: &str) {
    let change = |document: &mut Value| {
        document["policy"]["version"] = json!(version);
        document["policy"]["gate"]["level"] = json!(level);
    };
    let answer = edge.push(&bundle(&origin.url(), change).unwrap()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

/// An allowed request and one that is refused before authentication, both recorded.
async fn call(edge: &Edge, agent: &Agent) {
    let answer = edge.send(&agent.request("GET", "/search").unwrap().sign().unwrap()).await.unwrap();
    assert_eq!(verdict(&answer), allowed());
    edge.outcome_of(answer.attestation_id().unwrap()).await.unwrap();
    let answer = edge.send(&agent.request("GET", "/search").unwrap().unsigned()).await.unwrap();
    assert_eq!((answer.status, answer.attestation_id().is_some()), (401, true));
}

fn chains(records: &[Map<String, Value>], level: &str) -> BTreeSet<String> {
    let of_level = records.iter().filter(|record| record["gate"]["level"] == level);
    of_level.map(|record| record["chain_uid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_changes_its_level_writes_new_chains() {
    let (origin, edge) = gate(|document| document["policy"]["gate"]["level"] = json!("L1")).await;
    let agent = Agent::new("agent-level", 130, &["web:*"]).unwrap();
    call(&edge, &agent).await;
    at_level(&edge, &origin, 2, "L2").await;
    for _ in 0..2 {
        call(&edge, &agent).await;
    }
    let records = edge.records().await.unwrap();
    let (first, second) = (chains(&records, "L1"), chains(&records, "L2"));
    // The agent's and the gate's.
    assert_eq!((first.len(), second.len()), (2, 2), "{records:?}");
    assert_eq!(first.intersection(&second).count(), 0);
    assert_ledger(&edge).await;

    // After a restart the last chain goes on; the first stays as it is.
    edge.restart().unwrap();
    call(&edge, &agent).await;
    let records = edge.records().await.unwrap();
    assert_eq!((chains(&records, "L1"), chains(&records, "L2")), (first, second));
    assert_eq!(origin.seen().len(), 4);
    assert_ledger(&edge).await;
}
