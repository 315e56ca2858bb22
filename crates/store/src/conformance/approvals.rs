//! Requests for approval, and the uses of approvals.

use futures_util::future::join_all;
use passgate_core::approval::{Asked, MAX_WAITING_PER_AGENT, RefusedAnswer};

use super::*;

async fn ask(store: &impl State, request: ApprovalRequest) -> Option<ApprovalRequest> {
    match store.ask(request).await.expect("the store keeps requests") {
        Asked::Waiting(request) => Some(request),
        Asked::TooMany => None,
    }
}

pub(super) async fn who_asks_for_the_same_gets_the_same(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let first = ask(store, kit.asks("a")).await.expect("there is room");
    let again = ask(store, kit.later(60).asks("a")).await.expect("there is room");
    assert_eq!(again, ApprovalRequest { asked: 2, ..first.clone() });
    assert_eq!(store.approval_request(&first.id).await.expect("the store reads"), Some(again));
    let other = ask(store, kit.asks("b")).await.expect("there is room");
    let of_another = ask(store, kit.with_agent("other").asks("a")).await.expect("there is room");
    assert!(other.id != first.id && of_another.id != first.id);
    assert_eq!(store.approval_request("areq_1").await.expect("the store reads"), None);
}

pub(super) async fn a_bounded_number_waits_for_each_agent(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    for i in 0..MAX_WAITING_PER_AGENT {
        assert!(ask(store, kit.asks(&i.to_string())).await.is_some(), "{i}");
    }
    assert_eq!(ask(store, kit.asks("one more")).await, None);
    assert!(ask(store, kit.asks("0")).await.is_some(), "it waits already");
    assert!(ask(store, kit.with_agent("other").asks("one more")).await.is_some());
    let listed = store.approval_requests("", 1_000).await.expect("the store reads");
    assert_eq!(listed.len(), MAX_WAITING_PER_AGENT + 1);
    let used = kit.use_up(store, &listed.first().expect("there are some").id).await.expect("it is there");
    assert_eq!(used.state, RequestState::Used);
    assert!(ask(store, kit.asks("one more")).await.is_some(), "what is over takes no room");
}

pub(super) async fn requests_are_listed_in_the_order_of_time(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let mut asked = Vec::new();
    for (seconds, what) in [(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "e")] {
        asked.push(ask(store, kit.later(seconds).asks(what)).await.expect("there is room").id);
    }
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = store.approval_requests(&after, 2).await.expect("the store reads");
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        listed.extend(page.into_iter().map(|request| request.id));
    }
    assert_eq!(listed, asked);
}

pub(super) async fn an_answer_is_recorded_and_ends_the_waiting(store: &(impl State + Ledger)) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let request = ask(store, kit.asks("a")).await.expect("there is room");
    let (denied, entry) = kit.deny(store, &request.id).await.expect("it waits");
    assert_eq!(denied.state, RequestState::Denied);
    let entry = entry.expect("it is recorded");
    let found = store.record(&entry.index.attestation_id).await.expect("the store reads");
    assert_eq!(found.map(|record| record.jws), Some(entry.jws));
    let again = ask(store, kit.asks("a")).await.expect("there is room");
    assert_eq!((again.id, again.state), (request.id.clone(), RequestState::Denied), "nobody is asked again");
    let refused = kit.deny(store, &request.id).await.expect_err("once");
    assert!(matches!(refused, StoreError::Answer(RefusedAnswer::Closed("denied"))), "{refused}");
    kit.use_up(store, &request.id).await.expect("it is there");
    let anew = ask(store, kit.asks("a")).await.expect("there is room");
    kit.use_up(store, &request.id).await.expect("it is there");
    let same = ask(store, kit.asks("a")).await.expect("there is room");
    assert!(anew.id != request.id && same.id == anew.id, "ending the one before leaves the new one");
    let missing = kit.deny(store, "areq_1").await.expect_err("there is none");
    assert!(matches!(missing, StoreError::Answer(RefusedAnswer::NotFound)), "{missing}");
    assert_eq!(kit.verify_ledger(store).await.expect("it verifies").head.records, 2, "refused answers leave no record");
}

pub(super) async fn one_of_a_hundred_answers_counts(store: &(impl State + Ledger)) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let request = ask(store, kit.asks("a")).await.expect("there is room");
    let answers = join_all((0..100).map(|_| kit.deny(store, &request.id))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(kit.verify_ledger(store).await.expect("it verifies").head.records, 2);
}

pub(super) async fn without_its_record_nothing_is_answered(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let request = ask(store, kit.asks("a")).await.expect("there is room");
    let elsewhere = Kit::new("gate");
    assert!(elsewhere.deny(store, &request.id).await.is_err(), "its chain was not started here");
    let found = store.approval_request(&request.id).await.expect("the store reads");
    assert_eq!(found, Some(request));
}

pub(super) async fn forgotten_requests_are_asked_anew(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let first = ask(store, kit.asks("a")).await.expect("there is room");
    let late = kit.later(3_601);
    let second = ask(store, late.asks("a")).await.expect("there is room");
    assert!(second.id != first.id, "the first has expired");
    while store.sweep(late.now(), 100).await.expect("the store sweeps") > 0 {}
    assert_eq!(store.approval_request(&first.id).await.expect("the store reads"), None);
    assert!(store.approval_request(&second.id).await.expect("the store reads").is_some());
}

pub(super) async fn an_approval_is_used_as_often_as_it_says(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    for (nonce, expected) in [
        ("1", PassAnswer::Redeemed),
        ("2", PassAnswer::Redeemed),
        ("3", PassAnswer::Redeemed),
        ("4", PassAnswer::Replayed),
    ] {
        let admission = answer(&kit, store, with_approval(kit.demand(nonce), "grant", 3)).await;
        assert_eq!(admission.approvals, [expected], "{nonce}");
    }
    let both = with_approval(with_approval(kit.demand("5"), "fresh", 1), "grant", 3);
    let admission = answer(&kit, store, both).await;
    assert_eq!(admission.approvals, [PassAnswer::Unspent, PassAnswer::Replayed]);
    let fresh = answer(&kit, store, with_approval(kit.demand("6"), "fresh", 1)).await;
    assert_eq!(fresh.approvals, [PassAnswer::Redeemed], "it was not used for half of what was needed");
    // Its uses are remembered for longer than it holds.
    let late = kit.later(86_400);
    while store.sweep(late.now(), 1_000).await.expect("the store sweeps") > 0 {}
    let mut again = with_approval(late.demand("7"), "grant", 3);
    again.approvals.iter_mut().for_each(|claim| claim.issued_at = kit.now());
    assert_eq!(answer(&kit, store, again).await.approvals, [PassAnswer::Replayed]);
}

pub(super) async fn of_a_hundred_uses_at_once_as_many_count_as_it_says(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    for uses in [1, 3, 10] {
        let name = format!("good for {uses}");
        let demands = (0..100).map(|i| with_approval(kit.demand(&format!("{uses} {i}")), &name, uses));
        let answers = join_all(demands.map(|demand| answer(&kit, store, demand))).await;
        let used = |answer| answers.iter().filter(|admission| admission.approvals == [answer]).count();
        let uses = usize::try_from(uses).expect("a few");
        assert_eq!((used(PassAnswer::Redeemed), used(PassAnswer::Replayed)), (uses, 100 - uses));
    }
}

pub(super) async fn what_is_refused_uses_no_approval(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let over = with_spend(with_approval(kit.demand("1"), "a", 1), SpendPeriod::Day, 10, 11);
    assert_eq!(answer(&kit, store, over).await.approvals, [PassAnswer::Unspent]);
    let limited = |nonce| with_rate(with_approval(kit.demand(nonce), "a", 1), RateWindow::Minute, 1);
    assert_eq!(answer(&kit, store, limited("2")).await.approvals, [PassAnswer::Redeemed]);
    assert_eq!(answer(&kit, store, limited("3")).await.approvals, [PassAnswer::Replayed]);
    let fresh = |nonce| with_rate(with_approval(kit.demand(nonce), "b", 1), RateWindow::Minute, 1);
    assert_eq!(answer(&kit, store, fresh("4")).await.approvals, [PassAnswer::Unspent], "over the rate");
}

pub(super) async fn a_new_store_takes_no_approval_of_before(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let mut before = with_approval(kit.demand("1"), "a", 1);
    before.approvals.iter_mut().for_each(|claim| claim.issued_at = START_SECONDS - 1);
    assert_eq!(answer(&kit, store, before).await.approvals, [PassAnswer::Fenced]);
    let after = with_approval(kit.demand("2"), "a", 1);
    assert_eq!(answer(&kit, store, after).await.approvals, [PassAnswer::Redeemed]);
}

pub(super) async fn a_withdrawn_approval_is_not_used(store: &impl State) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("the chain starts");
    let subject = Subject::Approval("appr_1".to_owned());
    kit.revoke(store, subject.clone(), kit.now()).await.expect("it revokes");
    let demand = Demand { subjects: vec![subject.clone()], ..with_approval(kit.demand("1"), "a", 1) };
    let admission = answer(&kit, store, demand).await;
    assert_eq!(admission.revoked.map(|(revoked, _)| revoked), Some(subject));
    assert_eq!(admission.approvals, []);
}
