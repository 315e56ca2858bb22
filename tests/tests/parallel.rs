//! A thousand copies of one request at once, a hundred requests with one pass, and a hundred payments with little left of the
//! budget, against the gateway on its embedded store: as many are forwarded as there is room for.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use passgate_host::open_files;
use passgate_tests::case::Request;
use passgate_tests::origin::Origin;
use passgate_tests::site::Site;
use passgate_tests::surface::text_member;
use passgate_tests::wire::exchange;
use tokio::sync::Barrier;

const COPIES: usize = 1_000;
const REDEMPTIONS: usize = 100;
const PAYMENTS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_copies_one_is_allowed() {
    open_files::make_room(COPIES.try_into().unwrap()).unwrap();
    let origin = Origin::start().await.unwrap();
    let site = Site::new(&origin.url(), "  - {path: '/**', action: 'web:call'}", "  {}").unwrap();
    let agent = site.agent("agent-copies", &["web:*"]).unwrap();
    site.start().unwrap();
    let request = Arc::new(site.signed(&agent, "GET", "/once?a=1", "nonce-of-all-copies").unwrap());
    let counts = at_once(&site, (0..COPIES).map(|_| Arc::clone(&request)).collect()).await;
    let expected = BTreeMap::from([((200, "allow".to_owned()), 1), ((401, "deny".to_owned()), COPIES - 1)]);
    assert_eq!(counts, expected);
    assert_eq!(origin.seen().len(), 1);
    assert_eq!(site.stop().unwrap(), 0);
    let (code, said) = site.code(&["ledger", "verify"]).unwrap();
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_redemptions_of_one_pass_one_is_allowed() {
    let origin = Origin::start().await.unwrap();
    let routes = "  - {path: '/**', action: 'web:call'}";
    let site = Site::new(&origin.url(), routes, "  {}\naction_passes: {}").unwrap();
    let agent = site.agent("agent-redeemer", &["web:*"]).unwrap();
    site.start().unwrap();
    let asking = site.signed_with(&agent, "/once?a=1", "nonce-of-the-minting", ("agent-action-pass", "mint")).unwrap();
    let answer = exchange(site.address(), &asking).await.unwrap();
    assert_eq!((answer.status, answer.decision()), (201, Some("allow")));
    assert_eq!(origin.seen().len(), 0, "asking forwards nothing");
    let pass = text_member(&answer.body, "action_pass").unwrap().unwrap();
    let redeem = |call| {
        let nonce = format!("nonce-of-redemption-{call:03}");
        Arc::new(site.signed_with(&agent, "/once?a=1", &nonce, ("agent-action-pass", &pass)).unwrap())
    };
    let counts = at_once(&site, (0..REDEMPTIONS).map(redeem).collect()).await;
    let expected = BTreeMap::from([((200, "allow".to_owned()), 1), ((403, "deny".to_owned()), REDEMPTIONS - 1)]);
    assert_eq!(counts, expected);
    assert_eq!(origin.seen().len(), 1);
    assert_eq!(site.stop().unwrap(), 0);
    let (code, said) = site.code(&["ledger", "verify"]).unwrap();
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_payments_as_many_are_allowed_as_the_cap_has_room_for() {
    let origin = Origin::start().await.unwrap();
    let routes = "  - {method: POST, path: '/pay/**', action: 'payments:create', amount: {pointer: /usd}}";
    let site = Site::new(&origin.url(), routes, "  spend_limits: {daily_usd: 100}").unwrap();
    let agents: Vec<_> =
        [1, 10].iter().map(|room| site.agent(&format!("agent-of-{room}"), &["payments:*"]).unwrap()).collect();
    site.start().unwrap();
    for (room, agent) in [1, 10].into_iter().zip(&agents) {
        let pay = |name: &str, usd: usize| {
            let target = format!("/pay/{room}/{name}");
            site.signed_json(agent, &target, &format!("nonce-of-{room}-{name}-payment"), &format!("{{\"usd\":{usd}}}"))
                .unwrap()
        };
        let first = exchange(site.address(), &pay("first", 100 - room)).await.unwrap();
        assert_eq!((first.status, first.decision()), (200, Some("allow")));
        let payments = (0..PAYMENTS).map(|number| Arc::new(pay(&number.to_string(), 1)));
        let counts = at_once(&site, payments.collect()).await;
        let expected = [((200, "allow".to_owned()), room), ((403, "deny".to_owned()), PAYMENTS - room)];
        assert_eq!(counts, BTreeMap::from(expected));
        let seen = origin.seen().iter().filter(|seen| seen.target.starts_with(&format!("/pay/{room}/"))).count();
        assert_eq!(seen, room + 1, "the API saw what was allowed");
    }
    assert_eq!(site.stop().unwrap(), 0);
    let (code, said) = site.code(&["ledger", "verify"]).unwrap();
    assert_eq!(code, 0, "{said}");
}

/// Sends all requests at the same moment; how often each status came with each decision.
async fn at_once(site: &Site, requests: Vec<Arc<Request>>) -> BTreeMap<(u16, String), usize> {
    let (address, barrier) = (site.address(), Arc::new(Barrier::new(requests.len())));
    let sent = requests.into_iter().map(|request| {
        let barrier = Arc::clone(&barrier);
        tokio::spawn(async move {
            barrier.wait().await;
            exchange(address, &request).await.unwrap()
        })
    });
    let mut counts: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for copy in sent.collect::<Vec<_>>() {
        let answer = copy.await.unwrap();
        let decision = answer.decision().unwrap_or_default().to_owned();
        *counts.entry((answer.status, decision)).or_default() += 1;
    }
    counts
}
