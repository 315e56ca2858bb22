//! Threads at once on one store.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

use std::sync::atomic::{AtomicU64, Ordering};

use futures_executor::block_on;
use passgate_core::attest::OutcomeResult;
use passgate_core::money::MicroUsd;
use passgate_core::state::{Admission, Demand, NonceAnswer, SpendClaim, SpendMode, SpendPeriod};
use passgate_store::conformance::{Kit, START_SECONDS};
use passgate_store::{Ledger, MemoryStore, RedbStore, State};

const THREADS: usize = 8;

/// Every thread admits `demand(thread, call)` for each of `calls`.
fn in_parallel(
    kit: &Kit,
    store: &impl State,
    calls: usize,
    demand: impl Fn(usize, usize) -> Demand + Sync,
) -> Vec<Admission> {
    let admit = |thread, call| block_on(kit.admit(store, demand(thread, call))).unwrap().admission;
    std::thread::scope(|scope| {
        let admit = &admit;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || (0..calls).map(|call| admit(thread, call)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// The demand with `amount` of a day's `cap`, in micro-USD.
fn spending(mut demand: Demand, cap: u64, amount: u64, mode: SpendMode) -> Demand {
    demand.spends.push(SpendClaim {
        per: "agent".to_owned(),
        account: "agent".to_owned(),
        period: SpendPeriod::Day,
        cap: MicroUsd(cap),
        amount: MicroUsd(amount),
        mode,
        until: None,
    });
    demand
}

fn admits_exactly_one_of_many(store: &(impl State + Ledger)) {
    let kit = Kit::new("gate");
    block_on(kit.start(store)).unwrap();
    let answers = in_parallel(&kit, store, 125, |_, _| kit.demand("same"));
    assert_eq!(answers.iter().filter(|answer| answer.nonce == NonceAnswer::Fresh).count(), 1);

    let answers = in_parallel(&kit, store, 50, |thread, call| {
        spending(kit.demand(&format!("{thread} {call}")), 1009, 100, SpendMode::Charge)
    });
    assert_eq!(answers.iter().filter(|answer| answer.spends.iter().all(|spend| spend.fits)).count(), 10);

    let report = block_on(kit.verify_ledger(store)).unwrap();
    assert_eq!(report.head.records, 1 + 125 * 8 + 50 * 8);
}

/// Threads charge one budget and give half of it back; what is charged and not given back never exceeds the cap.
fn keeps_the_cap(store: &(impl State + Ledger)) {
    const CAP: u64 = 1_000;
    let kit = Kit::new("gate");
    block_on(kit.start(store)).unwrap();
    let demand = |nonce: &str, mode| spending(kit.demand(nonce), CAP, 70, mode);
    // Counted after the store charges and before it gives back, so never more than what the store has charged.
    let (held, committed) = (AtomicU64::new(0), AtomicU64::new(0));
    let call = |thread: usize, call: usize| {
        let admitted = block_on(kit.admit(store, demand(&format!("{thread} {call}"), SpendMode::Charge))).unwrap();
        if admitted.admission.spends.iter().any(|spend| !spend.fits) {
            return;
        }
        assert!(held.fetch_add(70, Ordering::SeqCst) + 70 <= CAP);
        let id = admitted.entry.unwrap().index.attestation_id;
        if (thread + call).is_multiple_of(10) {
            block_on(kit.settle(store, &id, OutcomeResult::Completed)).unwrap();
            committed.fetch_add(70, Ordering::SeqCst);
        } else {
            held.fetch_sub(70, Ordering::SeqCst);
            block_on(kit.settle(store, &id, OutcomeResult::NotForwarded)).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let call = &call;
            scope.spawn(move || (0..60).for_each(|number| call(thread, number)));
        }
    });
    let probe = block_on(kit.admit(store, demand("probe", SpendMode::Probe))).unwrap().admission;
    let committed = committed.into_inner();
    assert!(committed > 0 && held.into_inner() == committed);
    assert_eq!(probe.spends.first().map(|spend| spend.spent_before), Some(MicroUsd(committed)));
    block_on(kit.verify_ledger(store)).unwrap();
}

#[test]
fn memory() {
    admits_exactly_one_of_many(&MemoryStore::new(START_SECONDS));
    keeps_the_cap(&MemoryStore::new(START_SECONDS));
}

#[test]
fn redb() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("gate.redb")).unwrap();
    admits_exactly_one_of_many(&store);
    assert!(store.commits() < 1 + 125 * 8 + 50 * 8, "threads share commits: {}", store.commits());
    keeps_the_cap(&RedbStore::open(folder.path().join("budgets.redb")).unwrap());
}
