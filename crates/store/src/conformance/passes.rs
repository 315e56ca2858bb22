//! Cases about one-action passes.

use futures_util::future::join_all;
use passgate_core::state::{Demand, NonceAnswer, PassAnswer, PassClaim, RateWindow, SpendPeriod, Subject};

use super::{Kit, answer, with_pass, with_rate, with_spend};
use crate::{Durability, Ledger, State};

async fn started(store: &impl State) -> Kit {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("a chain starts");
    kit
}

pub(super) async fn a_pass_is_redeemed_once(store: &impl State) {
    let kit = started(store).await;
    assert_eq!(answer(&kit, store, kit.demand("without")).await.pass, None, "nothing is answered that was not asked");
    assert_eq!(answer(&kit, store, with_pass(kit.demand("a"), "one")).await.pass, Some(PassAnswer::Redeemed));
    for nonce in ["b", "c"] {
        assert_eq!(answer(&kit, store, with_pass(kit.demand(nonce), "one")).await.pass, Some(PassAnswer::Replayed));
    }
    let replay = answer(&kit, store, with_pass(kit.demand("a"), "two")).await;
    assert_eq!((replay.nonce, replay.pass), (NonceAnswer::Replayed, None), "a replayed proof spends no pass");
    assert_eq!(answer(&kit, store, with_pass(kit.demand("d"), "two")).await.pass, Some(PassAnswer::Redeemed));
}

pub(super) async fn one_of_a_hundred_redemptions_counts(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    for pass in ["one", "two"] {
        let redeem = |call: usize| with_pass(kit.demand(&format!("{pass} {call}")), pass);
        let answers = join_all((0..100).map(|call| answer(&kit, store, redeem(call)))).await;
        let count = |wanted| answers.iter().filter(|answer| answer.pass == Some(wanted)).count();
        assert_eq!((count(PassAnswer::Redeemed), count(PassAnswer::Replayed)), (1, 99), "pass {pass}");
    }
    let report = kit.verify_ledger(store).await.expect("the ledger verifies");
    assert_eq!(report.head.records, 201);
}

pub(super) async fn what_is_refused_leaves_the_pass(store: &impl State) {
    let kit = started(store).await;
    let revoked = Subject::Passport("revoked".to_owned());
    kit.revoke(store, revoked.clone(), 1).await.expect("a subject is revoked");
    let refused = [
        (Demand { subjects: vec![revoked], ..kit.demand("revoked") }, None),
        (with_spend(kit.demand("dear"), SpendPeriod::Day, 100, 101), Some(PassAnswer::Unspent)),
    ];
    for (demand, pass) in refused {
        assert_eq!(answer(&kit, store, with_pass(demand, "one")).await.pass, pass);
    }
    let once_a_day = |nonce| with_rate(kit.demand(nonce), RateWindow::Day, 1);
    assert_eq!(answer(&kit, store, once_a_day("first")).await.pass, None);
    let over = answer(&kit, store, with_pass(once_a_day("second"), "one")).await;
    assert_eq!((over.pass, over.rates.iter().any(|rate| rate.conforms)), (Some(PassAnswer::Unspent), false));
    assert_eq!(answer(&kit, store, with_pass(kit.demand("at last"), "one")).await.pass, Some(PassAnswer::Redeemed));
}

pub(super) async fn a_redeemed_pass_takes_no_tokens(store: &impl State) {
    let kit = started(store).await;
    let demand = |nonce: &str| with_spend(with_rate(kit.demand(nonce), RateWindow::Day, 2), SpendPeriod::Day, 100, 10);
    assert_eq!(answer(&kit, store, with_pass(demand("a"), "one")).await.pass, Some(PassAnswer::Redeemed));
    for nonce in ["b", "c"] {
        let again = answer(&kit, store, with_pass(demand(nonce), "one")).await;
        assert!(again.rates.is_empty() && again.spends.is_empty(), "nothing after the pass is evaluated");
        assert_eq!(answer(&kit, store, kit.demand(nonce)).await.nonce, NonceAnswer::Replayed, "the nonce stays burned");
    }
    let last = answer(&kit, store, demand("d")).await;
    assert_eq!(last.rates.first().map(|rate| (rate.conforms, rate.remaining)), Some((true, 0)));
}

pub(super) async fn a_pass_is_remembered_to_its_end(store: &impl State) {
    let kit = started(store).await;
    let demand = with_pass(kit.demand("a"), "one");
    let until = demand.pass.as_ref().map(|pass| pass.remember_until).expect("a demand with a pass");
    assert_eq!(answer(&kit, store, demand.clone()).await.pass, Some(PassAnswer::Redeemed));
    // All else of that admission has expired before.
    assert!(store.sweep(until, 100).await.expect("sweeps") > 0);
    assert_eq!(store.sweep(until, 100).await.expect("sweeps"), 0);
    assert_eq!(store.sweep(until + 1, 100).await.expect("sweeps"), 1, "the pass, one second later");
}

pub(super) async fn a_forgotten_pass_is_not_accepted_again(store: &impl State) {
    let kit = started(store).await;
    let pass = |nonce: &str| with_pass(kit.demand(nonce), "one");
    assert_eq!(answer(&kit, store, pass("a")).await.pass, Some(PassAnswer::Redeemed));
    // The clock jumps ahead, the pass is forgotten, the clock is set right again. The proof is a newer one than any that
    // was forgotten.
    assert!(store.sweep(kit.now() + 3600, 100).await.expect("sweeps") > 0);
    let again = |nonce: &str, issued_at: i64| {
        let mut demand = kit.demand(nonce);
        demand.nonce.remember_until += 3600;
        let (key, remember_until) = ("gate:one".to_owned(), issued_at + 600);
        Demand { pass: Some(PassClaim { key, remember_until, issued_at }), ..demand }
    };
    let minted = kit.now() - 120;
    assert_eq!(answer(&kit, store, again("b", minted)).await.pass, Some(PassAnswer::Fenced));
    assert_eq!(answer(&kit, store, again("c", minted + 3600)).await.pass, Some(PassAnswer::Redeemed));
    if store.durability() == Durability::Volatile {
        let before_the_start = again("d", super::START_SECONDS);
        assert_eq!(answer(&kit, store, before_the_start).await.pass, Some(PassAnswer::Fenced));
    }
}
