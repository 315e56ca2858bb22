//! Cases about leases: what becomes of a charge once the outcome is known.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use passgate_core::attest::{BudgetOutcome, Entry, Kind, OutcomeResult, Record};
use passgate_core::passport::b64;
use passgate_core::state::{Demand, LEASE_SECONDS, SpendMode, SpendPeriod, UNDER_WAY_SECONDS};

use super::{Kit, with_spend};
#[cfg(panic = "unwind")]
use crate::Settlement;
use crate::{Ledger, State, StoreError};

pub(super) async fn all<S: State + Ledger>(make: &impl AsyncFn() -> S) {
    a_released_lease_gives_back_what_was_charged(&make().await).await;
    a_committed_lease_stays_charged(&make().await).await;
    a_lease_is_settled_once(&make().await).await;
    without_a_charge_there_is_no_lease(&make().await).await;
    amounts_go_back_to_the_period_they_were_charged_to(&make().await).await;
    an_unsettled_lease_expires_and_stays_charged(&make().await).await;
    #[cfg(panic = "unwind")]
    a_failing_seal_settles_nothing(&make().await).await;
    a_held_lease_stays_charged_until_it_is_reconciled(&make().await).await;
    a_request_without_an_outcome_is_reconciled_after_an_hour(&make().await).await;
    totals_are_kept_as_long_as_what_they_are_of(&make().await).await;
    charges_and_releases_at_once_keep_the_cap(&make().await).await;
    for seed in 1..=3 {
        periods_hold_what_was_charged_and_not_given_back(&make().await, seed).await;
    }
}

pub(super) async fn started(store: &impl State) -> Kit {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("a chain starts");
    kit
}

/// A demand of `nonce` and of 60 from a day of 100.
fn demand(kit: &Kit, nonce: &str) -> Demand {
    let mut demand = with_spend(kit.demand(nonce), SpendPeriod::Day, 100, 60);
    // Not fenced when the clock is set back.
    demand.nonce.remember_until += 30 * 86_400;
    demand
}

/// The id of the decision when everything was given.
pub(super) async fn allowed(kit: &Kit, store: &impl State, demand: Demand) -> Option<String> {
    let admitted = kit.admit(store, demand).await.expect("the store admits");
    let fits = admitted.admission.spends.iter().all(|spend| spend.fits);
    admitted.entry.filter(|_| fits).map(|entry| entry.index.attestation_id)
}

pub(super) async fn settled(
    kit: &Kit,
    store: &impl State,
    decision_id: &str,
    result: OutcomeResult,
) -> Option<BudgetOutcome> {
    let entry = kit.settle(store, decision_id, result).await.expect("the store settles");
    let record = read(&entry);
    assert_eq!((record.kind, record.decision_id.as_deref()), (Kind::Outcome, Some(decision_id)));
    record.outcome.expect("an outcome").budget
}

fn read(entry: &Entry) -> Record {
    let payload = entry.jws.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&b64::decode(payload).expect("base64url")).expect("a record")
}

/// What is spent of the day at the kit's time.
pub(super) async fn spent(kit: &Kit, store: &impl State, nonce: &str) -> u64 {
    let mut probe = demand(kit, nonce);
    probe.spends.iter_mut().for_each(|claim| claim.mode = SpendMode::Probe);
    let admitted = kit.admit(store, probe).await.expect("the store admits");
    admitted.admission.spends.first().expect("an answer").spent_before.0
}

async fn a_released_lease_gives_back_what_was_charged(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    for (nonce, result) in [("a", OutcomeResult::Unreachable), ("b", OutcomeResult::NotForwarded)] {
        let mut both = with_spend(demand(&kit, nonce), SpendPeriod::Month, 100, 60);
        both.spends.push(both.spends.first().cloned().expect("a claim"));
        both.spends.iter_mut().skip(2).for_each(|claim| "other".clone_into(&mut claim.account));
        let id = allowed(&kit, store, both).await.expect("it fits");
        assert_eq!(allowed(&kit, store, demand(&kit, &format!("{nonce} full"))).await, None, "charged while under way");
        assert_eq!(settled(&kit, store, &id, result).await, Some(BudgetOutcome::Released));
    }
    assert_eq!(spent(&kit, store, "c").await, 0);
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 8);
}

async fn a_committed_lease_stays_charged(store: &impl State) {
    let kit = started(store).await;
    let id = allowed(&kit, store, demand(&kit, "a")).await.expect("it fits");
    assert_eq!(settled(&kit, store, &id, OutcomeResult::Completed).await, Some(BudgetOutcome::Committed));
    assert_eq!(spent(&kit, store, "b").await, 60);
    let late = kit.later(86_400).reconcile(store, &id, BudgetOutcome::Released).await;
    assert!(matches!(late, Err(StoreError::NotHeld(of)) if of == id), "what is spent stays spent");
}

async fn a_held_lease_stays_charged_until_it_is_reconciled(store: &(impl State + Ledger)) {
    for (day, result, budget, left) in [
        (0, OutcomeResult::TimedOut, BudgetOutcome::Released, 0),
        (1, OutcomeResult::Aborted, BudgetOutcome::Committed, 60),
    ] {
        let kit = started(store).await.later(day * 86_400);
        let id = allowed(&kit, store, demand(&kit, &format!("a {day}"))).await.expect("it fits");
        assert_eq!(settled(&kit, store, &id, result).await, Some(BudgetOutcome::Held));
        assert_eq!(spent(&kit, store, &format!("b {day}")).await, 60, "it stays charged");
        let entry = kit.reconcile(store, &id, budget).await.expect("it is held");
        let record = read(&entry);
        assert_eq!((record.kind, record.decision_id.as_deref()), (Kind::Reconciliation, Some(id.as_str())));
        assert_eq!(record.reconciliation.expect("what was found").budget, budget);
        assert_eq!(spent(&kit, store, &format!("c {day}")).await, left);
        let again = kit.reconcile(store, &id, BudgetOutcome::Released).await;
        assert!(matches!(again, Err(StoreError::NotHeld(_))), "once");
        assert_eq!(spent(&kit, store, &format!("d {day}")).await, left);
        assert!(kit.verify_ledger(store).await.is_ok());
    }
}

async fn a_request_without_an_outcome_is_reconciled_after_an_hour(store: &impl State) {
    let kit = started(store).await;
    let id = allowed(&kit, store, demand(&kit, "a")).await.expect("it fits");
    let early = kit.later(UNDER_WAY_SECONDS - 1).reconcile(store, &id, BudgetOutcome::Released).await;
    assert!(matches!(early, Err(StoreError::NotHeld(_))), "it may be under way");
    kit.later(UNDER_WAY_SECONDS).reconcile(store, &id, BudgetOutcome::Released).await.expect("it is over");
    assert_eq!(spent(&kit, store, "b").await, 0);
    for nobodys in ["att_01JZZZZZZZZZZZZZZZZZZZZZZZ", &id] {
        assert!(kit.later(86_400).reconcile(store, nobodys, BudgetOutcome::Released).await.is_err());
    }
}

/// A total goes on where days and months begin anew, and is remembered for as long as what it is of can go on.
async fn totals_are_kept_as_long_as_what_they_are_of(store: &impl State) {
    let kit = started(store).await;
    let until = kit.now() + 200 * 86_400;
    let total = |kit: &Kit, nonce: &str| {
        let mut demand = with_spend(kit.demand(nonce), SpendPeriod::Total, 100, 60);
        demand.nonce.remember_until += 400 * 86_400;
        demand.spends.iter_mut().for_each(|claim| claim.until = Some(until));
        demand
    };
    let id = allowed(&kit, store, total(&kit, "a")).await.expect("it fits");
    let later = kit.later(199 * 86_400);
    while store.sweep(later.now(), 100).await.expect("sweeps") > 0 {}
    assert_eq!(allowed(&later, store, total(&later, "b")).await, None, "nothing begins anew");
    assert_eq!(settled(&later, store, &id, OutcomeResult::Unreachable).await, None, "the lease is gone by then");
    while store.sweep(until + 41 * 86_400, 100).await.expect("sweeps") > 0 {}
    let over = kit.later(242 * 86_400);
    assert!(allowed(&over, store, total(&over, "c")).await.is_some(), "then it is forgotten");
}

async fn a_lease_is_settled_once(store: &impl State) {
    let kit = started(store).await;
    let one = allowed(&kit, store, demand(&kit, "a")).await.expect("it fits");
    assert_eq!(settled(&kit, store, &one, OutcomeResult::Unreachable).await, Some(BudgetOutcome::Released));
    let two = allowed(&kit, store, demand(&kit, "b")).await.expect("it fits");
    for _ in 0..3 {
        assert_eq!(settled(&kit, store, &one, OutcomeResult::Unreachable).await, None);
    }
    assert_eq!(spent(&kit, store, "c").await, 60, "the other's charge is not given back");
    assert_eq!(settled(&kit, store, &two, OutcomeResult::Completed).await, Some(BudgetOutcome::Committed));
    assert_eq!(settled(&kit, store, &two, OutcomeResult::Unreachable).await, None, "what is committed stays");
    assert_eq!(spent(&kit, store, "d").await, 60);
}

async fn without_a_charge_there_is_no_lease(store: &impl State) {
    let kit = started(store).await;
    let nothing = allowed(&kit, store, kit.demand("a")).await.expect("allowed");
    let free = with_spend(kit.demand("b"), SpendPeriod::Day, 100, 0);
    let free = allowed(&kit, store, free).await.expect("allowed");
    let id = allowed(&kit, store, demand(&kit, "c")).await.expect("it fits");
    let refused = kit.admit(store, demand(&kit, "d")).await.expect("the store admits").entry.expect("recorded");
    for id in [&nothing, &free, &refused.index.attestation_id, "att_01JZZZZZZZZZZZZZZZZZZZZZZZ"] {
        assert_eq!(settled(&kit, store, id, OutcomeResult::NotForwarded).await, None);
    }
    assert_eq!(spent(&kit, store, "e").await, 60);
    assert_eq!(settled(&kit, store, &id, OutcomeResult::NotForwarded).await, Some(BudgetOutcome::Released));
}

async fn amounts_go_back_to_the_period_they_were_charged_to(store: &impl State) {
    let today = started(store).await;
    let id = allowed(&today, store, demand(&today, "a")).await.expect("it fits");
    let tomorrow = today.later(86_400 - 60);
    allowed(&tomorrow, store, demand(&tomorrow, "b")).await.expect("it fits");
    assert_eq!(settled(&tomorrow, store, &id, OutcomeResult::Unreachable).await, Some(BudgetOutcome::Released));
    assert_eq!(spent(&tomorrow, store, "c").await, 60, "tomorrow's budget is another one");
    assert_eq!(spent(&today, store, "d").await, 0);
}

async fn an_unsettled_lease_expires_and_stays_charged(store: &impl State) {
    let kit = started(store).await;
    let id = allowed(&kit, store, demand(&kit, "a")).await.expect("it fits");
    let end = kit.now() + LEASE_SECONDS;
    store.sweep(end, 100).await.expect("sweeps");
    assert_eq!(store.sweep(end + 1, 100).await.expect("sweeps"), 1, "the lease");
    assert_eq!(settled(&kit, store, &id, OutcomeResult::Unreachable).await, None);
    assert_eq!(spent(&kit, store, "b").await, 60);
}

#[cfg(panic = "unwind")]
async fn a_failing_seal_settles_nothing(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let id = allowed(&kit, store, demand(&kit, "a")).await.expect("it fits");
    let panics = Box::new(|_, _: &_| std::panic::resume_unwind(Box::new("no")));
    let how = Settlement::Outcome(BudgetOutcome::Released);
    let failed = store.settle(kit.chain_uid(), &id, how, panics).await;
    assert!(matches!(failed, Err(StoreError::SealFailed(_))), "{failed:?}");
    let unstarted = Kit::new("gate").settle(store, &id, OutcomeResult::Unreachable).await;
    assert!(matches!(unstarted, Err(StoreError::ChainState(_))), "{unstarted:?}");
    assert_eq!(spent(&kit, store, "b").await, 60);
    assert_eq!(settled(&kit, store, &id, OutcomeResult::Unreachable).await, Some(BudgetOutcome::Released));
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 4);
}

/// Fifty agents' worth of calls at once over a budget of ten; every other one that is let through never reaches the
/// upstream. What is spent in the end is what was committed.
async fn charges_and_releases_at_once_keep_the_cap(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let call = |number: usize| {
        let kit = &kit;
        async move {
            let demand = with_spend(kit.demand(&number.to_string()), SpendPeriod::Day, 100, 10);
            let Some(id) = allowed(kit, store, demand).await else { return 0 };
            let is_sent = number.is_multiple_of(2);
            let result = if is_sent { OutcomeResult::Completed } else { OutcomeResult::Unreachable };
            settled(kit, store, &id, result).await.expect("there was a lease");
            if is_sent { 10 } else { 0 }
        }
    };
    let committed: u64 = join_all((0..50).map(call)).await.into_iter().sum();
    assert!(committed <= 100, "{committed} of 100");
    let mut probe = with_spend(kit.demand("probe"), SpendPeriod::Day, 100, 10);
    probe.spends.iter_mut().for_each(|claim| claim.mode = SpendMode::Probe);
    let answer = kit.admit(store, probe).await.expect("the store admits").admission;
    assert_eq!(answer.spends.first().map(|spend| spend.spent_before.0), Some(committed));
    kit.verify_ledger(store).await.expect("the ledger verifies");
}

/// Caps of the day and of the month in traces.
const CAPS: [u64; 2] = [1_000, 3_000];

/// Numbers that are the same for each seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn seconds(&mut self, bound: u64) -> i64 {
        i64::try_from(self.below(bound)).unwrap_or_default()
    }
}

/// A demand of as much from the day as from the month.
fn of_both(kit: &Kit, nonce: &str, amount: u64) -> Demand {
    let mut demand = kit.demand(nonce);
    for (period, cap) in [SpendPeriod::Day, SpendPeriod::Month].into_iter().zip(CAPS) {
        demand = with_spend(demand, period, cap, amount);
    }
    // Looking back at days that are over is not fenced.
    demand.nonce.remember_until += 90 * 86_400;
    demand
}

/// What is spent of day and month at the kit's time.
async fn spent_of_both(kit: &Kit, store: &impl State, nonce: &str) -> Vec<u64> {
    let mut probe = of_both(kit, nonce, 0);
    probe.spends.iter_mut().for_each(|claim| claim.mode = SpendMode::Probe);
    let admitted = kit.admit(store, probe).await.expect("the store admits");
    admitted.admission.spends.iter().map(|spend| spend.spent_before.0).collect()
}

/// Ends a request in one of the ways there are, at once or by reconciling it, and says whether its charge is given back.
async fn is_given_back(kit: &Kit, store: &impl State, id: &str, way: u64) -> bool {
    let budget = if way.is_multiple_of(2) { BudgetOutcome::Released } else { BudgetOutcome::Committed };
    let result = match way {
        0 => OutcomeResult::Unreachable,
        1 => OutcomeResult::Completed,
        _ => OutcomeResult::TimedOut,
    };
    let told = settled(kit, store, id, result).await.expect("there was a lease");
    if way < 2 {
        assert_eq!(told, budget);
    } else {
        assert_eq!(told, BudgetOutcome::Held);
        kit.reconcile(store, id, budget).await.expect("it is held");
    }
    budget == BudgetOutcome::Released
}

/// Whatever is charged, committed, held and given back in whatever order, over days and into another month: each period holds
/// exactly what was charged to it and not given back, and never more than its cap.
async fn periods_hold_what_was_charged_and_not_given_back(store: &(impl State + Ledger), seed: u64) {
    let (mut kit, mut numbers) = (started(store).await, Numbers(seed));
    let mut spent = BTreeMap::<String, u64>::new();
    let mut under_way: Vec<(String, u64, [String; 2])> = Vec::new();
    let mut days = BTreeMap::<String, Kit>::new();
    for step in 0..120 {
        kit = kit.later(numbers.seconds(20_000));
        let periods = [kit.now.utc_day(), kit.now.utc_month()];
        let holds =
            |spent: &BTreeMap<String, u64>| periods.clone().map(|of| spent.get(&of).copied().unwrap_or_default());
        let [day, _] = &periods;
        days.entry(day.clone()).or_insert_with(|| kit.clone());
        if numbers.below(5) < 3 {
            let amount = 1 + numbers.below(400);
            let fits = holds(&spent).iter().zip(CAPS).all(|(held, cap)| held + amount <= cap);
            let id = allowed(&kit, store, of_both(&kit, &step.to_string(), amount)).await;
            assert_eq!(id.is_some(), fits, "seed {seed}, step {step}");
            if let Some(id) = id {
                periods.iter().for_each(|of| *spent.entry(of.clone()).or_default() += amount);
                under_way.push((id, amount, periods.clone()));
            }
        } else if !under_way.is_empty() {
            let which = numbers.seconds(under_way.len().try_into().expect("a few"));
            let (id, amount, charged) = under_way.swap_remove(which.try_into().expect("a few"));
            if is_given_back(&kit, store, &id, numbers.below(4)).await {
                charged.iter().for_each(|of| *spent.entry(of.clone()).or_default() -= amount);
            }
        }
        assert_eq!(
            spent_of_both(&kit, store, &format!("probe {step}")).await,
            holds(&spent),
            "seed {seed}, step {step}"
        );
    }
    assert!(
        days.len() > 7 && spent.keys().filter(|of| of.len() == 7).count() > 1,
        "it takes days, and ends in another month"
    );
    for (day, at) in &days {
        let held = spent_of_both(at, store, day).await;
        assert_eq!(held.first(), Some(&spent.get(day).copied().unwrap_or_default()), "seed {seed}, {day}");
    }
    kit.verify_ledger(store).await.expect("the ledger verifies");
}
