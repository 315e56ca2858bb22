//! Status lists in files: what a running gate makes of them.

use std::fs;

use passgate_passport::status::{NewStatusList, StatusRef, issue};

use crate::origin::{Origin, ok};
use crate::support::{Agent, ISSUER, Reply, Site, Wish, eventually};

const URI: &str = "https://issuer.acme.example/status/1";

/// A gate that checks lists in `lists.txt`, which is not there yet.
async fn checking(origin: &Origin) -> Site {
    // The clock stands still while these tests ask again and again, so there is no limit that they could meet.
    let guardrails = "rate_limits: {requests_per_minute: 1000000}".to_owned();
    let site = Site::new(Wish { guardrails, ..Wish::before(origin) }).await;
    let text = fs::read_to_string(&site.config).unwrap();
    let setting = "keys_file: issuer.jwks.json, status_list: {max_age_seconds: 60, file: lists.txt}";
    fs::write(&site.config, text.replace("keys_file: issuer.jwks.json", setting)).unwrap();
    site
}

fn publish(site: &Site, revoked: &[u64]) {
    let list = NewStatusList {
        iss: ISSUER.to_owned(),
        uri: URI.to_owned(),
        iat: site.env.seconds(),
        exp: None,
        ttl_seconds: None,
        entries: 8,
        revoked: revoked.iter().copied().collect(),
    };
    fs::write(site.folder.path().join("lists.txt"), issue(&site.issuer, &list).unwrap()).unwrap();
}

fn agent(site: &Site) -> Agent {
    site.listed_agent("agent-7", &["web:*"], Some(StatusRef { idx: 3, uri: URI.to_owned() }))
}

/// Asks until the answer has this status.
async fn answer(site: &Site, agent: &Agent, status: u16) -> Reply {
    eventually(async || {
        let reply = site.send(&agent.get("/search")).await;
        (reply.status == status).then_some(reply)
    })
    .await
}

#[tokio::test]
async fn a_list_is_read_again_while_the_gate_runs() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = checking(&origin).await;
    publish(&site, &[]);
    let gate = site.start_in_memory().await;
    let agent = agent(&site);
    assert_eq!(site.send(&agent.get("/search")).await.status, 200, "it is read before the first request");

    publish(&site, &[3]);
    answer(&site, &agent, 401).await.assert_refusal(401, "credential_rejected");
    publish(&site, &[]);
    answer(&site, &agent, 200).await;

    fs::write(site.folder.path().join("lists.txt"), "garbage").unwrap();
    site.env.advance(60);
    assert_eq!(site.send(&agent.get("/search")).await.status, 200, "the last good list counts until it is too old");
    site.env.advance(1);
    site.send(&agent.get("/search")).await.assert_refusal(503, "status_list_stale");
    publish(&site, &[]);
    answer(&site, &agent, 200).await;

    let reasons: Vec<_> =
        site.attestations().await.iter().filter_map(|record| record.get("reason_code").cloned()).collect();
    assert!(reasons.iter().any(|reason| reason == "status_revoked"), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason == "status_list_stale"), "{reasons:?}");
    gate.shutdown().await;
}

#[tokio::test]
async fn a_gate_starts_without_its_lists_and_refuses_until_they_come() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = checking(&origin).await;
    let gate = site.start_in_memory().await;
    let agent = agent(&site);
    site.send(&agent.get("/search")).await.assert_refusal(503, "status_list_unavailable");
    let unlisted = site.agent("agent-8", &["web:*"]);
    site.send(&unlisted.get("/search")).await.assert_refusal(401, "credential_rejected");
    assert!(origin.seen().is_empty());
    publish(&site, &[]);
    answer(&site, &agent, 200).await;
    gate.shutdown().await;
}
