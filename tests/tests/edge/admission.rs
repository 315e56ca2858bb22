//! One request, one decision: replays, evictions, restarts, budgets, limits across agents, and what a decision costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use passgate_host::open_files;
use passgate_tests::case::Request;
use passgate_tests::edge::{Agent, Edge, WITHIN};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{allowed, assert_ledger, gate, is_kind, refused, verdict};

const COPIES: usize = 1_000;
const PAYMENTS: usize = 100;
/// After this long without a call, workerd evicts an object.
const EVICTED_AFTER: Duration = Duration::from_secs(11);

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_copies_one_is_allowed() {
    open_files::make_room(COPIES.try_into().unwrap()).unwrap();
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-copies", 21, &["web:*"]).unwrap();
    let request = Arc::new(agent.request("GET", "/once?a=1").unwrap().sign().unwrap());
    let edge = Arc::new(edge);
    let counts = at_once(&edge, (0..COPIES).map(|_| Arc::clone(&request)).collect()).await;
    assert_eq!(counts, BTreeMap::from([(allowed(), 1), (refused(401, "nonce_replayed"), COPIES - 1)]));
    assert_eq!(origin.seen().len(), 1);
    assert_ledger(&edge).await;
}

/// Sends all requests at the same moment; how often each verdict came.
async fn at_once(edge: &Arc<Edge>, requests: Vec<Arc<Request>>) -> BTreeMap<(u16, String), usize> {
    let barrier = Arc::new(Barrier::new(requests.len()));
    let sent = requests.into_iter().map(|request| {
        let (barrier, edge) = (Arc::clone(&barrier), Arc::clone(edge));
        tokio::spawn(async move {
            barrier.wait().await;
            edge.send(&request).await.unwrap()
        })
    });
    let mut counts: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for answer in sent.collect::<Vec<_>>() {
        *counts.entry(verdict(&answer.await.unwrap())).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_payments_as_many_are_allowed_as_the_cap_has_room_for() {
    let (origin, edge) = gate(|document| {
        document["policy"]["guardrails"] = json!({ "spend_limits": { "daily_usd": 100 } });
    })
    .await;
    let edge = Arc::new(edge);
    for (room, seed) in [(1, 26), (10, 27)] {
        let agent = Agent::new(&format!("agent-of-{room}"), seed, &["payments:*"]).unwrap();
        let pay = |usd: usize| {
            let draft = agent.request("POST", "/pay").unwrap().json(&format!("{{\"amount\":{usd}}}"));
            Arc::new(draft.sign().unwrap())
        };
        let before = origin.seen().len();
        assert_eq!(verdict(&edge.send(&pay(100 - room)).await.unwrap()), allowed());
        let counts = at_once(&edge, (0..PAYMENTS).map(|_| pay(1)).collect()).await;
        let expected = [(allowed(), room), (refused(403, "spend_daily_exceeded"), PAYMENTS - room)];
        assert_eq!(counts, BTreeMap::from(expected));
        assert_eq!(origin.seen().len() - before, room + 1, "the API saw what was allowed");
    }
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_denied_after_eviction_and_after_a_restart() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-replay", 22, &["web:*"]).unwrap();
    let request = agent.request("GET", "/once").unwrap().sign().unwrap();
    let answer = edge.send(&request).await.unwrap();
    assert_eq!(verdict(&answer), allowed());
    edge.outcome_of(answer.attestation_id().unwrap()).await.unwrap();

    // The chain itself says whether the object was evicted: it goes on with a record of the restart.
    let mut evicted = false;
    for _ in 0..4 {
        tokio::time::sleep(EVICTED_AFTER).await;
        assert_eq!(verdict(&edge.send(&request).await.unwrap()), refused(401, "nonce_replayed"));
        evicted = edge.records().await.unwrap().iter().any(|record| is_kind(record, "restart"));
        if evicted {
            break;
        }
    }
    assert!(evicted, "the object was never evicted");

    edge.restart().unwrap();
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), refused(401, "nonce_replayed"));
    assert_eq!(origin.seen().len(), 1);
    let another = agent.request("GET", "/again").unwrap().sign().unwrap();
    assert_eq!(verdict(&edge.send(&another).await.unwrap()), allowed());
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_gate_counts_all_agents_in_one_object() {
    let (origin, edge) = gate(|document| {
        document["edge"]["admission"] = json!("gate");
        document["policy"]["guardrails"] = json!({
            "rate_limits": { "requests_per_minute": 50, "per_gate": { "requests_per_hour": 3 } },
        });
    })
    .await;
    let agents = [23, 24].map(|seed| Agent::new(&format!("agent-{seed}"), seed, &["web:*"]).unwrap());
    let mut verdicts = Vec::new();
    for (agent, left) in agents.iter().cycle().zip([2, 1, 0, 0]) {
        let request = agent.request("GET", "/counted").unwrap().sign().unwrap();
        let answer = edge.send(&request).await.unwrap();
        verdicts.push(verdict(&answer));
        let policy = "\"agent-minute\";q=50;w=60, \"gate-hour\";q=3;w=3600";
        assert_eq!(answer.field("ratelimit-policy"), Some(policy), "{answer:?}");
        let told: Vec<&str> = answer.field("ratelimit").unwrap().split(", ").collect();
        assert!(told.len() == 2 && told[1].starts_with(&format!("\"gate-hour\";r={left};t=")), "{told:?}");
        let waits = answer.field("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
        // A token comes back within 20 minutes of the first.
        assert!(if verdicts.len() < 4 { waits.is_none() } else { matches!(waits, Some(1..=1200)) }, "{waits:?}");
    }
    assert_eq!(verdicts, [allowed(), allowed(), allowed(), refused(429, "rate_limit_exceeded")]);
    assert_eq!(origin.seen().len(), 3);
    // One object admits for both, so both stand in one chain.
    let records = edge.records().await.unwrap();
    let chains = |agent: &str| -> Vec<Value> {
        let of_agent = records.iter().filter(|record| record.get("agent").is_some_and(|of| of["agent_id"] == agent));
        of_agent.map(|record| record["chain_uid"].clone()).collect()
    };
    assert!(!chains("agent-23").is_empty() && chains("agent-23").first() == chains("agent-24").first(), "{records:?}");
    let stranger = agents[0].request("GET", "/counted").unwrap().unsigned();
    assert_eq!(edge.send(&stranger).await.unwrap().field("ratelimit"), None, "nothing was counted");
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_one_call_of_an_object_and_one_fetch() {
    let (_origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-counted", 25, &["web:*"]).unwrap();
    let call = async || {
        let request = agent.request("GET", "/counted").unwrap().sign().unwrap();
        assert_eq!(verdict(&edge.send(&request).await.unwrap()), allowed());
        let deadline = tokio::time::Instant::now() + WITHIN;
        loop {
            let mut counts: BTreeMap<String, u64> =
                serde_json::from_slice(&edge.test("counts", &Value::Null).await.unwrap()).unwrap();
            // An isolate looks for a newer bundle when it starts, and now and then beside a request.
            counts.remove("object /in-force");
            if counts.contains_key("object /settle") {
                edge.test("reset", &Value::Null).await.unwrap();
                return counts;
            }
            assert!(tokio::time::Instant::now() < deadline, "no settling: {counts:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let count = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 1)).collect::<BTreeMap<_, u64>>();
    // The agent's object asks the gate's about subjects that it meets for the first time.
    assert_eq!(call().await, count(&["object /admit", "object /watch", "object /settle", "upstream"]));
    for _ in 0..3 {
        assert_eq!(call().await, count(&["object /admit", "object /settle", "upstream"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_an_object_conforms() {
    let (_origin, edge) = gate(|_| ()).await;
    let said = edge.test("conformance", &Value::Null).await.unwrap_or_else(|error| panic!("{error}\n{}", edge.log()));
    assert_eq!(String::from_utf8(said).unwrap(), "the store in this object passes");
}
