//! The records of all objects, exported as one ledger.

use std::collections::BTreeSet;

use passgate_tests::edge::Agent;
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
