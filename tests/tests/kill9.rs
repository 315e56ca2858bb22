//! The gateway killed without warning, again and again, under load.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use passgate_tests::case::Request;
use passgate_tests::origin::Origin;
use passgate_tests::site::{Agent, Site};
use passgate_tests::surface::{payload, text_member};
use passgate_tests::wire::exchange;
use serde_json::Value;

const ROUNDS: usize = 8;
const CALLERS: usize = 8;
/// Requests one caller has at hand in a round; it starts over with none.
const SUPPLY: usize = 200;

/// A request that was answered in full.
struct Answered {
    request: Request,
    attestation_id: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answered_is_lost_and_nothing_accepted_is_accepted_again() {
    let origin = Origin::start().await.unwrap();
    let site = Site::new(&origin.url(), "  - {path: '/work/{id}', action: 'web:call'}", "  {}").unwrap();
    let agent = Arc::new(site.agent("agent-load", &["web:*"]).unwrap());
    let mut answered: Vec<Answered> = Vec::new();
    for round in 0..ROUNDS {
        let supplies = (0..CALLERS).map(|caller| supply(&site, &agent, round, caller)).collect::<Vec<_>>();
        site.start().unwrap();
        replay(site.address(), &answered[answered.len().saturating_sub(200)..]).await;
        let stop = Arc::new(AtomicBool::new(false));
        let call = |supply| tokio::spawn(call_until_gone(site.address(), supply, Arc::clone(&stop)));
        let callers: Vec<_> = supplies.into_iter().map(call).collect();
        tokio::time::sleep(Duration::from_millis(100 + 60 * u64::try_from(round).unwrap())).await;
        site.kill().unwrap();
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            answered.extend(caller.await.unwrap());
        }
    }
    assert!(answered.len() >= ROUNDS, "only {} requests were answered: no load", answered.len());
    site.start().unwrap();
    replay(site.address(), &answered).await;
    assert_eq!(site.stop().unwrap(), 0);
    check_ledger(&site, &answered);
    check_origin(&origin);
    println!("{} answers in {ROUNDS} rounds", answered.len());
}

fn supply(site: &Site, agent: &Agent, round: usize, caller: usize) -> Vec<Request> {
    let sign = |number: usize| {
        let name = format!("{round}-{caller}-{number}");
        site.signed(agent, "GET", &format!("/work/{name}"), &format!("nonce-of-load-{name}")).unwrap()
    };
    (0..SUPPLY).map(sign).collect()
}

/// Sends one request after the other until the gateway is gone.
async fn call_until_gone(address: SocketAddr, supply: Vec<Request>, stop: Arc<AtomicBool>) -> Vec<Answered> {
    let mut answered = Vec::new();
    for request in supply {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let Ok(answer) = exchange(address, &request).await else { break };
        assert_eq!(
            (answer.status, answer.decision()),
            (200, Some("allow")),
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let attestation_id = answer.attestation_id().unwrap().to_owned();
        answered.push(Answered { request, attestation_id });
    }
    answered
}

async fn replay(address: SocketAddr, accepted: &[Answered]) {
    for together in accepted.chunks(32) {
        let answers = together.iter().map(|Answered { request, .. }| exchange(address, request));
        for (answer, Answered { request, .. }) in join_all(answers).await.into_iter().zip(together) {
            let answer = answer.unwrap();
            assert_eq!(
                (answer.status, answer.decision()),
                (401, Some("deny")),
                "{} was accepted again",
                request.target
            );
        }
    }
}

/// Every answer has its record, whole and in place.
fn check_ledger(site: &Site, answered: &[Answered]) {
    let (code, said) = site.code(&["ledger", "verify"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let export = site.folder().join("export.jsonl");
    site.output(&["ledger", "export", "--jsonl", "-o", &export.to_string_lossy()]).unwrap();
    let text = std::fs::read_to_string(export).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records = lines.filter_map(|line| line["jws"].as_str().map(|jws| payload(jws).unwrap()));
    let ids: BTreeSet<String> =
        records.map(|record| text_member(&record, "attestation_id").unwrap().unwrap()).collect();
    let lost: Vec<&str> =
        answered.iter().map(|answered| answered.attestation_id.as_str()).filter(|id| !ids.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} answers have no record: {lost:?}", lost.len(), answered.len());
}

/// What the origin saw is the other witness: every request has a target of its own.
fn check_origin(origin: &Origin) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for seen in origin.seen().iter() {
        *counts.entry(seen.target.clone()).or_default() += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "forwarded more than once: {twice:?}");
}
