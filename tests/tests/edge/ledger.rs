//! The records of all objects, exported as one ledger.

use std::collections::BTreeSet;

use passgate_tests::edge::{Agent, Edge};
use serde_json::Value;

use crate::{allowed, assert_ledger, gate, verdict};

#[tokio::test(flavor = "multi_thread")]
async fn the_chains_of_all_objects_verify_as_one_export() {
    let (_origin, edge) = gate(|_| ()).await;
    let mut decided = BTreeSet::new();
    for seed in 60..64 {
        let agent = Agent::new(&format!("agent-{seed}"), seed, &["web:*"]).unwrap();
        for _ in 0..3 {
            let request = agent.request("GET", "/search").unwrap().sign().unwrap();
            let answer = edge.send(&request).await.unwrap();
            assert_eq!(verdict(&answer), allowed());
            decided.insert(answer.attestation_id().unwrap().to_owned());
            let unsigned = agent.request("GET", "/search").unwrap().unsigned();
            let answer = edge.send(&unsigned).await.unwrap();
            assert_eq!(answer.status, 401);
            decided.insert(answer.attestation_id().unwrap().to_owned());
        }
    }
    for id in &decided {
        let answer = edge.control("GET", &format!("/.passgate/v1/attestations/{id}"), "").await.unwrap();
        assert_eq!(answer.status, 200, "{id}");
    }
    let records = edge.records().await.unwrap();
    let text = |name: &str| -> BTreeSet<String> {
        records.iter().filter_map(|record| record.get(name)?.as_str()).map(str::to_owned).collect()
    };
    assert!(decided.is_subset(&text("attestation_id")));
    assert_eq!(text("chain_uid").len(), 5, "one chain for each agent and one for the gate");
    assert_ledger(&edge).await;

    // A change is noticed, so that the verification above could have failed.
    let export = edge.export().await.unwrap();
    let lines: Vec<&str> = export.lines().collect();
    let path = edge.folder().join("shortened.jsonl");
    std::fs::write(&path, [&lines[..1], &lines[2..]].concat().join("\n")).unwrap();
    let mut command = std::process::Command::new(passgate_tests::program::passgate().unwrap());
    command.args(["ledger", "verify"]).arg(&path).arg("--jwks").arg(edge.folder().join("keys.json"));
    let output = passgate_tests::program::run(&mut command, "").unwrap();
    assert_eq!(output.status.code(), Some(7));

    let answer = edge.control("GET", "/.passgate/v1/ledger/verify", "").await.unwrap();
    let report: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &report["valid"]), (200, &Value::Bool(true)), "{report}");
}

/// More than the gate asks for one page.
const OBJECTS: u8 = 45;

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_more_objects_than_one_page_asks_are_all_there_once() {
    let (_origin, edge) = gate(|_| ()).await;
    let mut decided = BTreeSet::new();
    for seed in 140..140 + OBJECTS {
        let agent = Agent::new(&format!("agent-{seed}"), seed, &["web:*"]).unwrap();
        let request = agent.request("GET", "/search").unwrap().sign().unwrap();
        let answer = edge.send(&request).await.unwrap();
        assert_eq!(verdict(&answer), allowed());
        decided.insert(answer.attestation_id().unwrap().to_owned());
    }
    for id in &decided {
        edge.outcome_of(id).await.unwrap();
    }
    let exported: Vec<String> = edge
        .records()
        .await
        .unwrap()
        .iter()
        .map(|record| record["attestation_id"].as_str().unwrap().to_owned())
        .collect();
    assert_ledger(&edge).await;
    // Every agent's start, decision and outcome, and the start of the gate's own chain.
    assert_eq!(exported.len(), 3 * usize::from(OBJECTS) + 1);

    let all = pages(&edge, "limit=7").await;
    assert_eq!(all.iter().collect::<BTreeSet<_>>(), exported.iter().collect());
    assert_eq!(all.len(), exported.len(), "a record is on two pages");
    let allows = pages(&edge, "limit=7&decision=allow").await;
    assert_eq!(allows.len(), decided.len());
    assert_eq!(allows.into_iter().collect::<BTreeSet<_>>(), decided);
    // Found in the last object as in the first.
    let last = "/.passgate/v1/attestations?limit=7&agent_id=agent-184";
    assert_eq!(pages(&edge, last.split_once('?').unwrap().1).await.len(), 1);
}

/// The ids on all pages of a query, none of which has more than 7.
async fn pages(edge: &Edge, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let target = format!("/.passgate/v1/attestations?{query}{cursor}");
        let answer = edge.control("GET", &target, "").await.unwrap();
        let page: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 200, "{page}");
        let found = page["attestations"].as_array().unwrap();
        assert!(found.len() <= 7, "{page}");
        ids.extend(found.iter().map(|record| record["attestation_id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}
