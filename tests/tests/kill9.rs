//! The gateway killed without warning, again and again, under load.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use passgate_tests::case::Request;
use passgate_tests::chance::Chance;
use passgate_tests::origin::Origin;
use passgate_tests::site::{Agent, Site, now};
use passgate_tests::surface::{payload, text_member};
use passgate_tests::wire::{Answer, exchange};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const ROUNDS: usize = 8;
const CALLERS: usize = 8;
/// Requests one caller has at hand in a round; it stops without them.
const SUPPLY: usize = 400;
/// A round ends after fewer answers than this.
const MAX_ANSWERS: u64 = 300;
/// How long a proof is accepted, in seconds. Later it is refused as expired, whether its nonce is known or not.
const PROOF_WINDOW_SECONDS: i64 = 300;

/// A request with the time of its proof.
struct Signed {
    request: Request,
    created: i64,
}

/// A request that was answered in full.
struct Answered {
    signed: Signed,
    attestation_id: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answered_is_lost_and_nothing_accepted_is_accepted_again() {
    let mut chance = Chance::of_environment().unwrap();
    let origin = Origin::start().await.unwrap();
    let site = Site::new(&origin.url(), "  - {path: '/work/{id}', action: 'web:call'}", "  {}").unwrap();
    let agent = Arc::new(site.agent("agent-load", &["web:*"]).unwrap());
    let (mut answered, mut unanswered): (Vec<Answered>, Vec<Signed>) = (Vec::new(), Vec::new());
    let mut broken_off = 0;
    for round in 0..ROUNDS {
        let supplies = (0..CALLERS).map(|caller| supply(&site, &agent, round, caller)).collect::<Vec<_>>();
        site.start().unwrap();
        broken_off += unanswered.len();
        answered.extend(send_again(site.address(), std::mem::take(&mut unanswered)).await);
        replay(site.address(), &answered[answered.len().saturating_sub(200)..]).await;
        let (told, mut heard) = unbounded_channel();
        let call = |supply| tokio::spawn(call_until_gone(site.address(), supply, told.clone()));
        let callers: Vec<_> = supplies.into_iter().map(call).collect();
        drop(told);
        for _ in 0..chance.below(MAX_ANSWERS) {
            heard.recv().await.expect("the callers go on until the gateway is gone");
        }
        tokio::time::sleep(Duration::from_micros(chance.below(20_000))).await;
        site.kill().unwrap();
        for caller in callers {
            let (whole, cut_off) = caller.await.unwrap();
            answered.extend(whole);
            unanswered.extend(cut_off);
        }
    }
    site.start().unwrap();
    broken_off += unanswered.len();
    answered.extend(send_again(site.address(), unanswered).await);
    replay(site.address(), &answered).await;
    assert_eq!(site.stop().unwrap(), 0);
    check_ledger(&site, &answered);
    check_origin(&origin);
    assert!(
        answered.len() >= ROUNDS && broken_off >= ROUNDS,
        "no load: {} answers, {broken_off} cut off",
        answered.len()
    );
    println!("{} answers and {broken_off} requests broken off in {ROUNDS} rounds", answered.len());
}

fn supply(site: &Site, agent: &Agent, round: usize, caller: usize) -> Vec<Signed> {
    let created = now().unwrap();
    let sign = |number: usize| {
        let name = format!("{round}-{caller}-{number}");
        let request = site.signed(agent, "GET", &format!("/work/{name}"), &format!("nonce-of-load-{name}")).unwrap();
        Signed { request, created }
    };
    (0..SUPPLY).map(sign).collect()
}

/// Sends one request after the other until the gateway is gone, and tells of each answer. The last request has no answer,
/// and the gateway may have admitted and forwarded it.
async fn call_until_gone(
    address: SocketAddr,
    supply: Vec<Signed>,
    told: UnboundedSender<()>,
) -> (Vec<Answered>, Option<Signed>) {
    let mut answered = Vec::new();
    for signed in supply {
        let Ok(answer) = exchange(address, &signed.request).await else { return (answered, Some(signed)) };
        assert_eq!((answer.status, answer.decision()), (200, Some("allow")), "{}", text(&answer));
        answered.push(accepted(signed, &answer));
        // Nobody listens any more once the gateway is killed.
        let _heard = told.send(());
    }
    (answered, None)
}

fn accepted(signed: Signed, answer: &Answer) -> Answered {
    Answered { signed, attestation_id: answer.attestation_id().unwrap().to_owned() }
}

/// Sends each request that had no answer once more. It is accepted if it never got in, and refused if it did: that the
/// origin saw it at most once is what [`check_origin`] looks at.
async fn send_again(address: SocketAddr, unanswered: Vec<Signed>) -> Vec<Answered> {
    let mut answered = Vec::new();
    for signed in unanswered {
        let answer = exchange(address, &signed.request).await.unwrap();
        if answer.status == 200 {
            answered.push(accepted(signed, &answer));
        } else {
            check_replayed(&signed, &answer);
        }
    }
    answered
}

async fn replay(address: SocketAddr, accepted: &[Answered]) {
    for together in accepted.chunks(32) {
        let answers = together.iter().map(|answered| exchange(address, &answered.signed.request));
        for (answer, answered) in join_all(answers).await.into_iter().zip(together) {
            check_replayed(&answered.signed, &answer.unwrap());
        }
    }
}

/// Refused because its nonce is used up, not for another reason that happens to hold.
fn check_replayed(signed: &Signed, answer: &Answer) {
    let target = &signed.request.target;
    assert_eq!((answer.status, answer.decision()), (401, Some("deny")), "{target} was accepted again");
    let reason = text_member(&answer.body, "reason_code").unwrap();
    let expired = now().unwrap() - signed.created > PROOF_WINDOW_SECONDS;
    assert!(expired || reason.as_deref() == Some("nonce_replayed"), "{target}: {}", text(answer));
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Every answer has its record, whole and in place.
fn check_ledger(site: &Site, answered: &[Answered]) {
    let (code, said) = site.code(&["ledger", "verify"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let ids: BTreeSet<String> =
        records(site).iter().map(|record| record["attestation_id"].as_str().unwrap().to_owned()).collect();
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

/// Every record of the ledger.
fn records(site: &Site) -> Vec<Value> {
    let export = site.folder().join("export.jsonl");
    site.output(&["ledger", "export", "--jsonl", "--force", "-o", &export.to_string_lossy()]).unwrap();
    let text = std::fs::read_to_string(export).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| Some(serde_json::from_slice(&payload(line["jws"].as_str()?).unwrap()).unwrap())).collect()
}

/// What all may spend together, in payments of one dollar.
const CAP: usize = 60;

/// Pays until the gateway is gone, or the cap is reached.
async fn pay_until_gone(address: SocketAddr, orders: Vec<Request>, told: UnboundedSender<()>) {
    for order in orders {
        let Ok(answer) = exchange(address, &order).await else { return };
        if answer.decision() != Some("allow") {
            assert!(text(&answer).contains("spend_daily_exceeded"), "{}", text(&answer));
            return;
        }
        let _heard = told.send(());
    }
}

/// Of each decision that charged it is known what became of it, or `budgets held` lists it for somebody to find out.
fn check_held(site: &Site, all: &[Value]) {
    let of_kind = |kind: &'static str| all.iter().filter(move |record| record["kind"] == kind);
    let id = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    let settled = |record: &&Value| ["committed", "released"].iter().any(|end| record["outcome"]["budget"] == *end);
    let known: BTreeSet<String> = of_kind("outcome").filter(settled).map(|record| id(record, "decision_id")).collect();
    let charged = of_kind("decision").filter(|record| record["decision"] == "allow");
    let unknown: BTreeSet<String> =
        charged.map(|record| id(record, "attestation_id")).filter(|id| !known.contains(id)).collect();
    let listed: Value = serde_json::from_str(&site.output(&["budgets", "held", "--format", "json"]).unwrap()).unwrap();
    let listed: Vec<String> = listed["held"].as_array().unwrap().iter().map(|held| id(held, "decision_id")).collect();
    assert_eq!(listed.len(), unknown.len(), "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), unknown);
    println!("{} of them held", unknown.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crash_between_reserving_forwarding_and_settling_spends_more_than_the_cap() {
    let mut chance = Chance::of_environment().unwrap();
    let origin = Origin::start().await.unwrap();
    let routes = "  - {method: POST, path: '/pay/{id}', action: 'payments:create', amount: {pointer: /usd}}";
    let caps = "  spend_limits: {daily_usd: 1000, per_gate: {daily_usd: 60}, per_action: {daily_usd: 900}}";
    let site = Site::new(&origin.url(), routes, caps).unwrap();
    let agents: Vec<Agent> =
        (0..3).map(|number| site.agent(&format!("agent-{number}"), &["payments:*"]).unwrap()).collect();
    let order = |name: String, number: usize| {
        let nonce = format!("nonce-of-payment-{name}");
        site.signed_json(&agents[number % 3], &format!("/pay/{name}"), &nonce, r#"{"usd":1}"#).unwrap()
    };
    for round in 0..6 {
        let orders = |caller: usize| (0..CAP).map(move |number| (format!("{round}-{caller}-{number}"), number));
        let supplies: Vec<Vec<Request>> =
            (0..6).map(|caller| orders(caller).map(|(name, number)| order(name, number)).collect()).collect();
        site.start().unwrap();
        let (told, mut heard) = unbounded_channel();
        let pay = |supply| tokio::spawn(pay_until_gone(site.address(), supply, told.clone()));
        let callers: Vec<_> = supplies.into_iter().map(pay).collect();
        drop(told);
        for _ in 0..chance.below(9) {
            heard.recv().await;
        }
        tokio::time::sleep(Duration::from_micros(chance.below(8_000))).await;
        site.kill().unwrap();
        for caller in callers {
            caller.await.unwrap();
        }
    }
    site.start().unwrap();
    let (told, _heard) = unbounded_channel();
    let rest = (0..=CAP).map(|number| order(format!("rest-{number}"), number)).collect();
    pay_until_gone(site.address(), rest, told).await;
    assert_eq!(site.stop().unwrap(), 0);
    let (code, said) = site.code(&["ledger", "verify"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let all = records(&site);
    let allowed = all.iter().filter(|record| record["decision"] == "allow").count();
    let released = all.iter().filter(|record| record["outcome"]["budget"] == "released").count();
    assert_eq!(allowed - released, CAP, "what was not given back is charged, and nothing else is");
    check_held(&site, &all);
    check_origin(&origin);
    let spent = origin.seen().len();
    assert!(spent <= CAP, "{spent} payments of {CAP}");
    let outcomes = all.iter().filter(|record| record["kind"] == "outcome").count();
    println!("{spent} payments of {CAP}, {allowed} allowed, {outcomes} of them with an outcome");
}
