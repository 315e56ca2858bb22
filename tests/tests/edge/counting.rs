//! Refusals beyond the bound a minute are counted, and the count is recorded, or its loss is.

use std::time::Duration;

use passgate_core::flood::MAX_REFUSAL_RECORDS_PER_MINUTE;
use passgate_tests::edge::{Agent, Edge, bundle};
use passgate_tests::site::now;
use serde_json::{Map, Value, json};

use crate::{allowed, assert_ledger, gate, is_kind, refused, stamp, verdict};

/// Refusals that are counted when these come beyond the bound.
const BEYOND: u32 = 5;
/// Longer than any count is kept in memory.
const FLUSHED_AFTER: Duration = Duration::from_secs(12);

fn of_kind(records: &[Map<String, Value>], kind: &str) -> Vec<Map<String, Value>> {
    records.iter().filter(|record| is_kind(record, kind)).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unauthenticated_requests_is_counted_in_one_record() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-flood", 120, &["web:*"]).unwrap();
    // All in one minute, however long it takes to send them.
    let at = now().unwrap() * 1000;
    let mut recorded = Vec::new();
    for number in 0..MAX_REFUSAL_RECORDS_PER_MINUTE + BEYOND {
        let mut request = agent.request("GET", "/search").unwrap().unsigned();
        request.headers.push(stamp(at, number));
        let answer = edge.send(&request).await.unwrap();
        assert_eq!(verdict(&answer), refused(401, "credential_missing"), "{number}");
        recorded.extend(answer.attestation_id().map(str::to_owned));
    }
    assert_eq!(recorded.len(), MAX_REFUSAL_RECORDS_PER_MINUTE as usize);
    // Who is known is not kept waiting by it.
    let request = agent.request("GET", "/search").unwrap().sign().unwrap();
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), allowed());

    let folded = edge.wait_for("the count", |record| is_kind(record, "refusals_folded")).await.unwrap();
    assert_eq!(folded["folded"]["by_reason"], json!({ "proof_missing": BEYOND }), "{folded:?}");
    let refusals = edge.records().await.unwrap();
    let refusals = refusals.iter().filter(|record| record.get("decision").is_some_and(|decision| decision == "deny"));
    assert_eq!(refusals.count(), MAX_REFUSAL_RECORDS_PER_MINUTE as usize);
    assert_eq!(origin.seen().len(), 1);
    assert_ledger(&edge).await;
}

/// Sends one request, and again until some of its replays are only counted.
async fn replay(edge: &Edge, agent: &Agent) {
    let at = now().unwrap() * 1000;
    let request = agent.request("GET", "/once").unwrap().sign().unwrap();
    let mut counted = 0;
    for number in 0..=MAX_REFUSAL_RECORDS_PER_MINUTE + BEYOND {
        let mut request = request.clone();
        request.headers.push(stamp(at, number));
        let answer = edge.send(&request).await.unwrap();
        let expected = if number == 0 { allowed() } else { refused(401, "nonce_replayed") };
        assert_eq!(verdict(&answer), expected, "{number}");
        counted += u32::from(answer.attestation_id().is_none());
    }
    assert_eq!(counted, BEYOND);
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_that_an_object_counted_are_recorded_as_one_count() {
    let (_origin, edge) = gate(|_| ()).await;
    replay(&edge, &Agent::new("agent-replays", 121, &["web:*"]).unwrap()).await;
    let folded = edge.wait_for("the count", |record| is_kind(record, "refusals_folded")).await.unwrap();
    assert_eq!(folded["folded"]["by_reason"], json!({ "nonce_replayed": BEYOND }), "{folded:?}");
    tokio::time::sleep(FLUSHED_AFTER).await;
    edge.restart().unwrap();
    let records = edge.records().await.unwrap();
    assert_eq!((of_kind(&records, "refusals_folded").len(), of_kind(&records, "gap").len()), (1, 0), "{records:?}");
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_a_restart_lost_is_recorded_as_a_gap_once() {
    let (_origin, edge) = gate(|_| ()).await;
    // On a busy machine the count may be recorded before the restart; then it is the next agent's turn.
    for seed in 122..126 {
        let agent = Agent::new(&format!("agent-gap-{seed}"), seed, &["web:*"]).unwrap();
        let chain_of = |records: &[Map<String, Value>]| -> Vec<Map<String, Value>> {
            let is_ours = |record: &&Map<String, Value>| {
                record.get("agent").is_some_and(|of| of["agent_id"] == agent.id.as_str())
            };
            let uid = records.iter().find(is_ours).unwrap()["chain_uid"].clone();
            records.iter().filter(|record| record["chain_uid"] == uid).cloned().collect()
        };
        replay(&edge, &agent).await;
        edge.restart().unwrap();
        for _ in 0..2 {
            let request = agent.request("GET", "/again").unwrap().sign().unwrap();
            assert_eq!(verdict(&edge.send(&request).await.unwrap()), allowed());
            edge.restart().unwrap();
        }
        let records = chain_of(&edge.records().await.unwrap());
        if !of_kind(&records, "refusals_folded").is_empty() {
            continue;
        }
        let gaps = of_kind(&records, "gap");
        assert_eq!(gaps.len(), 1, "{records:?}");
        assert_eq!(gaps[0]["gap"]["lost"], json!(["refusal_counts"]), "{gaps:?}");
        assert_eq!(gaps[0]["chain_uid"], records[0]["chain_uid"]);
        assert!(of_kind(&records, "restart").len() >= 2, "{records:?}");
        assert_ledger(&edge).await;
        return;
    }
    panic!("every count was recorded before the restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_recorded_when_the_gate_changes_its_level() {
    let (origin, edge) = gate(|document| document["policy"]["gate"]["level"] = json!("L1")).await;
    let agent = Agent::new("agent-level", 127, &["web:*"]).unwrap();
    replay(&edge, &agent).await;
    let second = bundle(&origin.url(), |document| document["policy"]["version"] = json!(2)).unwrap();
    assert_eq!(edge.push(&second).await.unwrap().status, 200);
    let request = agent.request("GET", "/again").unwrap().sign().unwrap();
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), allowed());
    let folded = edge.wait_for("the count", |record| is_kind(record, "refusals_folded")).await.unwrap();
    assert_eq!(
        (&folded["folded"]["by_reason"], &folded["gate"]["level"]),
        (&json!({ "nonce_replayed": BEYOND }), &json!("L1"))
    );
    edge.restart().unwrap();
    let request = agent.request("GET", "/later").unwrap().sign().unwrap();
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), allowed());
    let gaps = of_kind(&edge.records().await.unwrap(), "gap");
    assert!(gaps.is_empty(), "what is recorded is not lost: {gaps:?}");
    assert_ledger(&edge).await;
}
