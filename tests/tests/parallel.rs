//! A thousand copies of one request at once, against the gateway on its embedded store: one is forwarded.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use passgate_host::open_files;
use passgate_tests::origin::Origin;
use passgate_tests::site::Site;
use passgate_tests::wire::exchange;
use tokio::sync::Barrier;

const COPIES: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_copies_one_is_allowed() {
    open_files::make_room(COPIES.try_into().unwrap()).unwrap();
    let origin = Origin::start().await.unwrap();
    let site = Site::new(&origin.url(), "  - {path: '/**', action: 'web:call'}", "  {}").unwrap();
    let agent = site.agent("agent-copies", &["web:*"]).unwrap();
    site.start().unwrap();
    let request = Arc::new(site.signed(&agent, "GET", "/once?a=1", "nonce-of-all-copies").unwrap());
    let (address, barrier) = (site.address(), Arc::new(Barrier::new(COPIES)));
    let copies = (0..COPIES).map(|_| {
        let (request, barrier) = (Arc::clone(&request), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            exchange(address, &request).await.unwrap()
        })
    });
    let mut counts: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for copy in copies.collect::<Vec<_>>() {
        let answer = copy.await.unwrap();
        let decision = answer.decision().unwrap_or_default().to_owned();
        *counts.entry((answer.status, decision)).or_default() += 1;
    }
    let expected = BTreeMap::from([((200, "allow".to_owned()), 1), ((401, "deny".to_owned()), COPIES - 1)]);
    assert_eq!(counts, expected);
    assert_eq!(origin.seen().len(), 1);
    assert_eq!(site.stop().unwrap(), 0);
    let (code, said) = site.code(&["ledger", "verify"]).unwrap();
    assert_eq!(code, 0, "{said}");
}
