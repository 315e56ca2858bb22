//! A policy or a status list that is too old, or older than what was seen before, is not relied on.

use passgate_api::edge::EdgeBundle;
use passgate_passport::status::{NewStatusList, StatusRef, issue};
use passgate_tests::agent::{ISSUER, ISSUER_SEED, key};
use passgate_tests::edge::{Agent, BUNDLE_KEY, Edge, bundle, bundle_key};
use passgate_tests::origin::Origin;
use passgate_tests::site::now;
use serde_json::{Map, Value, json};

use crate::{allowed, assert_ledger, gate, refused, stamp, verdict};

const LIST: &str = "https://issuer.acme.example/status/1";

fn decision(records: &[Map<String, Value>], code: &str) -> Map<String, Value> {
    let found = records.iter().find(|record| record.get("reason_code").is_some_and(|reason| reason == code));
    found.unwrap_or_else(|| panic!("no record of {code} in {records:?}")).clone()
}

async fn call(edge: &Edge, agent: &Agent) -> (u16, String) {
    verdict(&edge.send(&agent.request("GET", "/search").unwrap().sign().unwrap()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_beyond_its_end_denies_and_the_record_has_its_age() {
    let (origin, edge) = gate(|document| {
        let now = document["iat"].as_i64().unwrap();
        (document["iat"], document["exp"]) = (json!(now - 500), json!(now - 100));
    })
    .await;
    let agent = Agent::new("agent-late", 80, &["web:*"]).unwrap();
    assert_eq!(call(&edge, &agent).await, refused(503, "policy_stale"));
    let record = decision(&edge.records().await.unwrap(), "policy_stale");
    let age = record["policy"]["age_seconds"].as_i64().unwrap();
    assert!((500..600).contains(&age), "{record:?}");

    // The same policy signed anew brings it back at once.
    let fresh = bundle(&origin.url(), |_| ()).unwrap();
    assert_eq!(edge.push(&fresh).await.unwrap().status, 200);
    assert_eq!(call(&edge, &agent).await, allowed());
    assert_eq!(origin.seen().len(), 1);
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_ends_while_it_is_served_denies_from_then_on() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-late", 81, &["web:*"]).unwrap();
    assert_eq!(call(&edge, &agent).await, allowed());
    // The bundle is valid for a day, and the passport for a day from a little later on.
    let later = now().unwrap() + 86_400 + 60;
    let lasting = Agent::with("agent-lasting", 82, &["web:*"], |draft| draft.claims.exp = later + 3600).unwrap();
    let mut request = lasting.request("GET", "/search").unwrap().created(later).sign().unwrap();
    request.headers.push(stamp(later * 1000, 1));
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), refused(503, "policy_stale"));
    assert_eq!(origin.seen().len(), 1);
}

/// Version 2 of the usual policy: it has no route but one.
fn second(origin: &Origin) -> EdgeBundle {
    let change = |document: &mut Value| {
        document["policy"]["version"] = json!(2);
        document["policy"]["routes"] = json!([{ "path": "/only", "action": "web:call" }]);
    };
    bundle(&origin.url(), change).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_bundle_is_not_taken_back() {
    let (origin, edge) = gate(|_| ()).await;
    let first = bundle(&origin.url(), |_| ()).unwrap();
    let (known, new) =
        (Agent::new("agent-known", 82, &["web:*"]).unwrap(), Agent::new("agent-new", 83, &["web:*"]).unwrap());
    assert_eq!(edge.push(&first).await.unwrap().status, 200);
    assert_eq!(call(&edge, &known).await, allowed());
    assert_eq!(edge.push(&second(&origin)).await.unwrap().status, 200);
    assert_eq!(call(&edge, &known).await, refused(403, "action_unmapped"));
    assert_eq!(edge.push(&first).await.unwrap().status, 409);

    // Workers KV shows the first again, to an isolate that has seen neither.
    edge.publish(&first).unwrap();
    edge.restart().unwrap();
    for agent in [&known, &new] {
        let answer = edge.send(&agent.request("GET", "/only").unwrap().sign().unwrap()).await.unwrap();
        assert_eq!(verdict(&answer), allowed());
        let id = answer.attestation_id().unwrap().to_owned();
        let record = edge.wait_for("the decision", |record| record["attestation_id"] == id.as_str()).await.unwrap();
        assert_eq!(record["policy"]["version"], 2);
    }
    assert_eq!(call(&edge, &new).await, refused(403, "action_unmapped"));
    assert_ledger(&edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_bundle_of_this_gate_is_not_taken() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-kept", 84, &["web:*"]).unwrap();
    assert_eq!(call(&edge, &agent).await, allowed());
    let newer = second(&origin);
    let mut other_gate = newer.clone();
    other_gate.policy.gate.id = "gate_other".to_owned();
    let mut other_mode = newer.clone();
    other_mode.edge.admission = passgate_api::edge::AdmissionDoc::Gate;
    for (token, why) in [
        (newer.sign(&key(99)), "another key"),
        (newer.sign(&bundle_key()).replace('.', ".A"), "no token"),
        (other_gate.sign(&bundle_key()), "another gate"),
        (other_mode.sign(&bundle_key()), "another admission"),
        (String::new(), "nothing"),
    ] {
        let answer = edge.control("PUT", "/.passgate/v1/bundle", &token).await.unwrap();
        assert!((400..500).contains(&answer.status), "{why}: {}", answer.status);
        edge.put(BUNDLE_KEY, &token).unwrap();
        edge.restart().unwrap();
        let (status, code) = call(&edge, &agent).await;
        assert_eq!(status, 503, "{why}: {code}");
    }
    assert_eq!(origin.seen().len(), 1);
    edge.publish(&newer).unwrap();
    edge.restart().unwrap();
    assert_eq!(call(&edge, &agent).await, refused(403, "action_unmapped"));
}

/// A list of the issuer, signed `age` seconds ago, on which these entries are revoked.
fn list(age: i64, revoked: &[u64]) -> String {
    let list = NewStatusList {
        iss: ISSUER.to_owned(),
        uri: LIST.to_owned(),
        iat: now().unwrap() - age,
        exp: None,
        ttl_seconds: None,
        entries: 64,
        revoked: revoked.iter().copied().collect(),
    };
    issue(&key(ISSUER_SEED), &list).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_list_counts_while_it_is_recent() {
    let (origin, edge) = gate(|document| {
        document["policy"]["issuers"][0]["status_list"] = json!({ "max_age_seconds": 300 });
    })
    .await;
    let listed = |seed: u8, idx: u64| {
        Agent::with(&format!("agent-{seed}"), seed, &["web:*"], |draft| {
            draft.claims.status_list = Some(StatusRef { idx, uri: LIST.to_owned() });
        })
        .unwrap()
    };
    let (good, bad) = (listed(85, 3), listed(86, 4));
    let put = async |age: i64, revoked: &[u64]| {
        let answer = edge.control("PUT", "/.passgate/v1/status-lists", &list(age, revoked)).await.unwrap();
        // An isolate looks for newer lists now and then; a new one looks at once.
        edge.restart().unwrap();
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    assert_eq!(call(&edge, &good).await, refused(503, "status_list_unavailable"));

    let (status, said) = put(500, &[]).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(call(&edge, &good).await, refused(503, "status_list_stale"));
    let record = decision(&edge.records().await.unwrap(), "status_list_stale");
    let age = record["status_list"]["age_seconds"].as_i64().unwrap();
    assert!((500..600).contains(&age), "{record:?}");

    let (status, said) = put(0, &[4]).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(call(&edge, &good).await, allowed());
    assert_eq!(call(&edge, &bad).await, refused(401, "credential_rejected"));
    decision(&edge.records().await.unwrap(), "status_revoked");

    assert_eq!(put(100, &[]).await.0, 409, "an older one");
    assert_eq!(call(&edge, &bad).await, refused(401, "credential_rejected"));
    assert_eq!(origin.seen().len(), 1);
    assert_ledger(&edge).await;
}
