//! A thousand copies of one request at once, and a hundred requests with one pass, against the gateway on its embedded store:
//! one is forwarded.
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
