//! Cases about what an admission consumes.

use futures_util::future::join_all;
use passgate_core::money::MicroUsd;
use passgate_core::state::{Demand, MAX_LIVE_NONCES_PER_KEY, NonceAnswer, RateWindow, SpendMode, SpendPeriod, Subject};

use super::{Kit, answer, with_rate, with_spend};
use crate::{Durability, Ledger, State};

async fn started(store: &impl State) -> Kit {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("a chain starts");
    kit
}

pub(super) async fn nonces_are_consumed_once(store: &impl State) {
    let kit = started(store).await;
    assert_eq!(answer(&kit, store, kit.demand("a")).await.nonce, NonceAnswer::Fresh);
    for _ in 0..3 {
        assert_eq!(answer(&kit, store, kit.demand("a")).await.nonce, NonceAnswer::Replayed);
    }
    assert_eq!(answer(&kit, store, kit.demand("b")).await.nonce, NonceAnswer::Fresh);
    // Also at the last second of the proof's window, and with the clock set back.
    for seconds in [300, -30] {
        let again = Demand { now: kit.later(seconds).now, ..kit.demand("a") };
        assert_eq!(answer(&kit, store, again).await.nonce, NonceAnswer::Replayed, "{seconds} s later");
    }
}

pub(super) async fn one_of_a_thousand_identical_demands_is_fresh(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    for round in ["a", "b", "c"] {
        let answers = join_all((0..1000).map(|_| answer(&kit, store, kit.demand(round)))).await;
        let fresh = answers.iter().filter(|answer| answer.nonce == NonceAnswer::Fresh).count();
        let replayed = answers.iter().filter(|answer| answer.nonce == NonceAnswer::Replayed).count();
        assert_eq!((fresh, replayed), (1, 999), "round {round}");
    }
    let report = kit.verify_ledger(store).await.expect("the ledger verifies");
    assert_eq!(report.head.records, 3001);
}

pub(super) async fn keys_have_their_own_nonces(store: &impl State) {
    let kit = started(store).await;
    for key in ["one", "two"] {
        let mut demand = kit.demand("same");
        key.clone_into(&mut demand.nonce.key);
        assert_eq!(answer(&kit, store, demand.clone()).await.nonce, NonceAnswer::Fresh, "{key}");
        assert_eq!(answer(&kit, store, demand).await.nonce, NonceAnswer::Replayed, "{key}");
    }
}

pub(super) async fn a_replay_consumes_nothing(store: &impl State) {
    let kit = started(store).await;
    let demand = |nonce| with_spend(with_rate(kit.demand(nonce), RateWindow::Hour, 3), SpendPeriod::Day, 100, 10);
    let first = answer(&kit, store, demand("a")).await;
    assert_eq!((first.rates.len(), first.spends.len()), (1, 1));
    for _ in 0..10 {
        let replay = answer(&kit, store, demand("a")).await;
        assert!(replay.rates.is_empty() && replay.spends.is_empty(), "a replay is not evaluated further");
    }
    let second = answer(&kit, store, demand("b")).await;
    assert_eq!(second.rates.first().map(|rate| (rate.conforms, rate.remaining)), Some((true, 1)));
    assert_eq!(second.spends.first().map(|spend| spend.spent_before), Some(MicroUsd(10)));
}

pub(super) async fn rates_are_taken_all_or_none(store: &impl State) {
    let kit = started(store).await;
    let both = |nonce: &str| with_rate(with_rate(kit.demand(nonce), RateWindow::Minute, 5), RateWindow::Hour, 3);
    for call in ["1", "2", "3"] {
        assert!(answer(&kit, store, both(call)).await.rates.iter().all(|rate| rate.conforms), "call {call}");
    }
    for call in ["4", "5", "6"] {
        let refused = answer(&kit, store, both(call)).await;
        let conforms: Vec<_> = refused.rates.iter().map(|rate| rate.conforms).collect();
        assert_eq!(conforms, [true, false], "call {call}");
        assert_eq!(refused.rates.first().map(|rate| rate.remaining), Some(2), "call {call}");
        assert!(refused.rates.last().is_some_and(|rate| rate.retry_after_seconds > 0));
        assert_eq!(answer(&kit, store, both(call)).await.nonce, NonceAnswer::Replayed, "the nonce stays burned");
    }
    // The minute's counter still has the two tokens the refused calls did not take.
    for (call, conforms) in [("7", true), ("8", true), ("9", false)] {
        let minute = answer(&kit, store, with_rate(kit.demand(call), RateWindow::Minute, 5)).await;
        assert_eq!(minute.rates.first().map(|rate| rate.conforms), Some(conforms), "call {call}");
    }
    // A token of the minute's counter comes back after a fifth of a minute.
    let later = kit.later(12);
    let minute = answer(&later, store, with_rate(later.demand("10"), RateWindow::Minute, 5)).await;
    assert_eq!(minute.rates.first().map(|rate| (rate.conforms, rate.remaining)), Some((true, 0)));
}

pub(super) async fn one_of_a_hundred_gets_the_last_of_a_budget(store: &impl State) {
    let kit = started(store).await;
    let used = answer(&kit, store, with_spend(kit.demand("used"), SpendPeriod::Day, 1000, 990)).await;
    assert!(used.spends.iter().all(|spend| spend.fits));
    let last = |call: usize| with_spend(kit.demand(&call.to_string()), SpendPeriod::Day, 1000, 10);
    let answers = join_all((0..100).map(|call| answer(&kit, store, last(call)))).await;
    let fitting = answers.iter().filter(|answer| answer.spends.iter().all(|spend| spend.fits)).count();
    assert_eq!(fitting, 1);
    let after = answer(&kit, store, with_spend(kit.demand("after"), SpendPeriod::Day, 2000, 0)).await;
    assert_eq!(after.spends.first().map(|spend| spend.spent_before), Some(MicroUsd(1000)), "never above the cap");
}

pub(super) async fn a_refused_spend_charges_nothing(store: &impl State) {
    let kit = started(store).await;
    // The month has room, the day has not: neither is charged.
    let demand = |nonce: &str| {
        let demand = with_rate(kit.demand(nonce), RateWindow::Day, 10);
        with_spend(with_spend(demand, SpendPeriod::Day, 100, 101), SpendPeriod::Month, 1000, 101)
    };
    let refused = answer(&kit, store, demand("a")).await;
    assert_eq!(refused.spends.iter().map(|spend| spend.fits).collect::<Vec<_>>(), [false, true]);
    assert_eq!(answer(&kit, store, demand("a")).await.nonce, NonceAnswer::Replayed, "the nonce stays burned");
    let again = answer(&kit, store, demand("b")).await;
    assert_eq!(again.rates.first().map(|rate| rate.remaining), Some(8), "the token stays taken");
    assert!(again.spends.iter().all(|spend| spend.spent_before == MicroUsd(0)));
    let overflow = with_spend(kit.demand("c"), SpendPeriod::Day, u64::MAX, u64::MAX);
    assert!(answer(&kit, store, overflow).await.spends.iter().all(|spend| spend.fits));
    let overflow = answer(&kit, store, with_spend(kit.demand("d"), SpendPeriod::Day, u64::MAX, 1)).await;
    assert!(overflow.spends.iter().all(|spend| !spend.fits), "a sum beyond the number's range fits no cap");
}

pub(super) async fn a_probe_charges_nothing(store: &impl State) {
    let kit = started(store).await;
    for (nonce, amount, fits) in [("a", 60, true), ("b", 60, true), ("c", 101, false)] {
        let mut demand = with_spend(kit.demand(nonce), SpendPeriod::Day, 100, amount);
        demand.spends.iter_mut().for_each(|spend| spend.mode = SpendMode::Probe);
        let spends = answer(&kit, store, demand).await.spends;
        assert_eq!(spends.first().map(|spend| (spend.fits, spend.spent_before)), Some((fits, MicroUsd(0))));
    }
}

pub(super) async fn spends_start_anew_with_the_period(store: &impl State) {
    let kit = started(store).await;
    // The kit's day is 24 February; 9.5 hours later it is the 25th, four days after that it is March.
    let midnight = 9 * 3600 + 30 * 60;
    let calls = [
        (0, 0, 0),
        (midnight - 1, 60, 60),
        (midnight, 0, 120),
        (midnight + 4 * 86_400 - 1, 0, 180),
        (midnight + 4 * 86_400, 0, 0),
        // A clock set back finds the budget of its day again.
        (1, 120, 240),
    ];
    for (at, (seconds, day, month)) in calls.into_iter().enumerate() {
        let kit = kit.later(seconds);
        let mut demand = with_spend(kit.demand(&at.to_string()), SpendPeriod::Day, 1000, 60);
        // Not fenced when the clock is set back.
        demand.nonce.remember_until += 30 * 86_400;
        let spends = answer(&kit, store, with_spend(demand, SpendPeriod::Month, 1000, 60)).await.spends;
        let before: Vec<_> = spends.iter().map(|spend| spend.spent_before).collect();
        assert_eq!(before, [MicroUsd(day), MicroUsd(month)], "{seconds} s after 14:30");
    }
}

pub(super) async fn revocations_bite_at_once(store: &impl State) {
    let kit = started(store).await;
    let subjects = [
        Subject::Passport("id".to_owned()),
        Subject::Agent { issuer: "id".to_owned(), agent_id: "id".to_owned() },
        Subject::Key("id".to_owned()),
        Subject::Issuer("id".to_owned()),
    ];
    for (at, subject) in (1..).zip(&subjects) {
        let demand = |nonce: &str| {
            let mut demand = with_rate(kit.demand(&format!("{subject} {nonce}")), RateWindow::Day, 100);
            demand.subjects = vec![Subject::Passport("other".to_owned()), subject.clone()];
            demand
        };
        assert_eq!(answer(&kit, store, demand("before")).await.revoked, None);
        assert_eq!(store.standing(subject).await.expect("readable").revoked_at, None);
        kit.revoke(store, subject.clone(), at).await.expect("a subject is revoked");
        let revoked = answer(&kit, store, demand("after")).await;
        assert_eq!(revoked.revoked, Some((subject.clone(), at)));
        assert!(revoked.rates.is_empty(), "nothing after the revocation is evaluated");
        assert_eq!(answer(&kit, store, demand("after")).await.nonce, NonceAnswer::Replayed);
        assert_eq!(store.standing(subject).await.expect("readable").revoked_at, Some(at));
    }
}

pub(super) async fn the_first_revocation_counts(store: &impl State) {
    let kit = started(store).await;
    let subject = Subject::Passport("pass_1".to_owned());
    let first = kit.revoke(store, subject.clone(), 20).await.expect("revoked");
    let second = kit.revoke(store, subject.clone(), 10).await.expect("revoked again");
    assert_eq!((first.index.seq, second.index.seq), (1, 2), "both are recorded");
    assert_eq!(store.standing(&subject).await.expect("readable").revoked_at, Some(20));
}

pub(super) async fn nonces_have_a_quota_for_each_key(store: &impl State) {
    let kit = started(store).await;
    let mut count = 0;
    while count < MAX_LIVE_NONCES_PER_KEY {
        let batch = (count + 500).min(MAX_LIVE_NONCES_PER_KEY);
        let answers = join_all((count..batch).map(|call| answer(&kit, store, kit.demand(&call.to_string())))).await;
        assert!(answers.iter().all(|answer| answer.nonce == NonceAnswer::Fresh));
        count = batch;
    }
    let over = with_rate(kit.demand("over"), RateWindow::Day, 1);
    for _ in 0..2 {
        let refused = answer(&kit, store, over.clone()).await;
        assert_eq!(refused.nonce, NonceAnswer::QuotaExceeded, "it is not remembered either");
        assert!(refused.rates.is_empty());
    }
    assert_eq!(answer(&kit, store, kit.demand("0")).await.nonce, NonceAnswer::Replayed, "no live nonce is forgotten");
    let mut other = over;
    "other".clone_into(&mut other.nonce.key);
    assert_eq!(answer(&kit, store, other).await.nonce, NonceAnswer::Fresh, "other keys are not affected");
    let later = kit.later(361);
    assert_eq!(answer(&later, store, later.demand("later")).await.nonce, NonceAnswer::Fresh);
}

pub(super) async fn sweeping_deletes_expired_rows_only(store: &impl State) {
    let kit = started(store).await;
    let subject = Subject::Passport("pass_1".to_owned());
    kit.revoke(store, subject.clone(), 1).await.expect("revoked");
    for (key, nonce) in [("one", "a"), ("one", "b"), ("two", "a")] {
        let mut demand = kit.demand(nonce);
        key.clone_into(&mut demand.nonce.key);
        assert_eq!(answer(&kit, store, demand).await.nonce, NonceAnswer::Fresh);
    }
    let until = kit.now() + 300;
    assert_eq!(store.sweep(until, 100).await.expect("sweeps"), 0, "the last second of the window is not over");
    assert_eq!(store.sweep(until + 1, 1).await.expect("sweeps"), 1, "no more than asked for");
    // Two more nonces, and the counters of the two keys, which expire with the minute.
    assert_eq!(store.sweep(until + 61, 100).await.expect("sweeps"), 4);
    assert_eq!(store.sweep(i64::MAX, 100).await.expect("sweeps"), 0, "nothing is left that expires");
    assert_eq!(store.standing(&subject).await.expect("readable").revoked_at, Some(1), "revocations stay");
}

pub(super) async fn admissions_sweep_a_little(store: &impl State) {
    let kit = started(store).await;
    for nonce in 0..50 {
        answer(&kit, store, kit.demand(&nonce.to_string())).await;
    }
    let later = kit.later(400);
    for nonce in 100..130 {
        answer(&later, store, later.demand(&nonce.to_string())).await;
    }
    assert_eq!(store.sweep(later.now(), 100).await.expect("sweeps"), 0, "nothing expired is left");
}

pub(super) async fn a_swept_nonce_is_not_accepted_again(store: &impl State) {
    let kit = started(store).await;
    let demand = kit.demand("a");
    assert_eq!(answer(&kit, store, demand.clone()).await.nonce, NonceAnswer::Fresh);
    // The clock jumps ahead, the nonce is forgotten, the clock is set right again.
    assert!(store.sweep(kit.now() + 3600, 100).await.expect("sweeps") > 0);
    assert_eq!(answer(&kit, store, demand).await.nonce, NonceAnswer::Fenced);
    let later = kit.later(1);
    assert_eq!(answer(&later, store, later.demand("b")).await.nonce, NonceAnswer::Fresh);
    if store.durability() == Durability::Volatile {
        let mut before_the_start = kit.demand("c");
        before_the_start.nonce.remember_until = super::START_SECONDS + 300;
        assert_eq!(answer(&kit, store, before_the_start).await.nonce, NonceAnswer::Fenced);
    }
}
