//! Cases about idempotency keys: what is charged once, and what can then be given back.

use futures_util::future::join_all;
use passgate_core::attest::{BudgetOutcome, OutcomeResult};
use passgate_core::state::{Demand, IdempotencyAnswer, IdempotencyClaim, SpendMode, SpendPeriod};

use super::leases::{allowed, settled, spent, started};
use super::{Kit, with_spend};
use crate::{Ledger, State, StoreError};

pub(super) async fn all<S: State + Ledger>(make: &impl AsyncFn() -> S) {
    a_hundred_requests_with_one_key_are_charged_once(&make().await).await;
    looking_consumes_nothing(&make().await).await;
    what_never_arrived_is_forgotten_with_its_key(&make().await).await;
    what_was_repeated_stays_charged(&make().await).await;
    what_was_repeated_is_reconciled_as_committed(&make().await).await;
}

/// Of `request` with the key `key`: 60 from a day of 100.
fn demand(kit: &Kit, nonce: &str, key: &str, request: &str) -> Demand {
    let mut demand = with_spend(kit.demand(nonce), SpendPeriod::Day, 100, 60);
    demand.nonce.remember_until += 30 * 86_400;
    demand.idempotency = Some(IdempotencyClaim {
        key: key.to_owned(),
        request_sha256: request.to_owned(),
        seconds: 3_600,
        mode: SpendMode::Charge,
    });
    demand
}

async fn said(kit: &Kit, store: &impl State, demand: Demand) -> Option<IdempotencyAnswer> {
    kit.admit(store, demand).await.expect("the store admits").admission.idempotency
}

async fn a_hundred_requests_with_one_key_are_charged_once(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let call = |number: usize| said(&kit, store, demand(&kit, &number.to_string(), "k", "one"));
    let answers = join_all((0..100).map(call)).await;
    let count = |answer| answers.iter().filter(|said| **said == Some(answer)).count();
    assert_eq!((count(IdempotencyAnswer::First), count(IdempotencyAnswer::Repeated)), (1, 99));
    let other = said(&kit, store, demand(&kit, "other", "k", "two")).await;
    assert_eq!(other, Some(IdempotencyAnswer::Reused));
    assert_eq!(spent(&kit, store, "spent").await, 60);
    assert!(kit.verify_ledger(store).await.is_ok());
}

async fn looking_consumes_nothing(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let seen = demand(&kit, "a", "k", "one");
    for _ in 0..2 {
        assert!(!store.look(&seen).await.expect("the store looks").refuses());
    }
    assert!(allowed(&kit, store, seen.clone()).await.is_some(), "nonce, key and budget are as they were");
    assert!(store.look(&seen).await.expect("the store looks").refuses(), "a replay");
    let after = |nonce, key, request| demand(&kit, nonce, key, request);
    assert!(!store.look(&after("b", "k", "one")).await.expect("the store looks").refuses(), "a repetition");
    assert!(store.look(&after("b", "k", "two")).await.expect("the store looks").refuses(), "the key is another's");
    assert!(store.look(&after("b", "other", "one")).await.expect("the store looks").refuses(), "the budget is spent");
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 2);
}

async fn what_never_arrived_is_forgotten_with_its_key(store: &impl State) {
    let kit = started(store).await;
    let id = allowed(&kit, store, demand(&kit, "a", "k", "one")).await.expect("it fits");
    assert_eq!(settled(&kit, store, &id, OutcomeResult::Unreachable).await, Some(BudgetOutcome::Released));
    assert_eq!(spent(&kit, store, "b").await, 0);
    assert_eq!(said(&kit, store, demand(&kit, "c", "k", "two")).await, Some(IdempotencyAnswer::First));
    assert_eq!(spent(&kit, store, "d").await, 60);
}

async fn what_was_repeated_stays_charged(store: &impl State) {
    let kit = started(store).await;
    let id = allowed(&kit, store, demand(&kit, "a", "k", "one")).await.expect("it fits");
    let again = allowed(&kit, store, demand(&kit, "b", "k", "one")).await.expect("it is charged already");
    assert_eq!(settled(&kit, store, &id, OutcomeResult::Unreachable).await, Some(BudgetOutcome::Committed));
    assert_eq!(settled(&kit, store, &again, OutcomeResult::Unreachable).await, None, "it charged nothing");
    assert_eq!(spent(&kit, store, "c").await, 60);
}

async fn what_was_repeated_is_reconciled_as_committed(store: &impl State) {
    let kit = started(store).await;
    let id = allowed(&kit, store, demand(&kit, "a", "k", "one")).await.expect("it fits");
    assert_eq!(settled(&kit, store, &id, OutcomeResult::TimedOut).await, Some(BudgetOutcome::Held));
    assert_eq!(said(&kit, store, demand(&kit, "b", "k", "one")).await, Some(IdempotencyAnswer::Repeated));
    let released = kit.reconcile(store, &id, BudgetOutcome::Released).await;
    assert!(matches!(released, Err(StoreError::NotHeld(of)) if of == id), "the repetition may have arrived");
    kit.reconcile(store, &id, BudgetOutcome::Committed).await.expect("it is held");
    assert_eq!(spent(&kit, store, "c").await, 60);
}
