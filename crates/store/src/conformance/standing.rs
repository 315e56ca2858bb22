//! Cases about suspensions.

use futures_util::future::join_all;
use passgate_core::attest::{Body, Kind, Link};
use passgate_core::state::{NonceAnswer, Standing, Subject};

use super::{Kit, answer, read_all};
use crate::{Filter, Ledger, State, StoreError};

async fn started(store: &impl State) -> Kit {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("a chain starts");
    kit
}

async fn standing(store: &impl State, subject: &Subject) -> Standing {
    store.standing(subject).await.expect("readable")
}

const fn suspended(at: i64) -> Standing {
    Standing { revoked_at: None, suspended_at: Some(at) }
}

/// One of each kind, with this id.
fn subjects(id: &str) -> [Subject; 4] {
    let id = || id.to_owned();
    [
        Subject::Passport(id()),
        Subject::Agent { issuer: id(), agent_id: id() },
        Subject::Key(id()),
        Subject::Issuer(id()),
    ]
}

pub(super) async fn suspensions_bite_at_once_and_end_at_once(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    for (at, subject) in (1..).zip(subjects("id")) {
        let asked = async |nonce: &str| {
            let mut demand = kit.demand(&format!("{subject} {nonce}"));
            demand.subjects = vec![Subject::Passport("other".to_owned()), subject.clone()];
            answer(&kit, store, demand).await
        };
        assert_eq!(asked("before").await.suspended, None);
        assert!(kit.suspend(store, subject.clone(), at).await.expect("suspended").changed);
        assert_eq!(standing(store, &subject).await, suspended(at));
        for other in subjects("id").into_iter().filter(|other| *other != subject) {
            assert_eq!(standing(store, &other).await, Standing::default(), "{other} for {subject}");
        }
        let refused = asked("during").await;
        assert_eq!((refused.revoked, refused.suspended), (None, Some((subject.clone(), at))));
        assert_eq!(asked("during").await.nonce, NonceAnswer::Replayed, "the nonce stays burned");
        assert!(kit.reinstate(store, subject.clone()).await.expect("reinstated").changed);
        assert_eq!(standing(store, &subject).await, Standing::default());
        assert_eq!(asked("after").await.suspended, None);
    }
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 1 + 4 * 6);
}

pub(super) async fn what_changes_nothing_is_recorded_and_said(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let subject = Subject::Issuer("issuer".to_owned());
    assert!(!kit.reinstate(store, subject.clone()).await.expect("reinstated").changed);
    for (at, changed) in [(20, true), (10, false), (30, false)] {
        assert_eq!(kit.suspend(store, subject.clone(), at).await.expect("suspended").changed, changed, "{at}");
        assert_eq!(standing(store, &subject).await, suspended(20), "the first time stays");
    }
    for changed in [true, false] {
        let done = kit.reinstate(store, subject.clone()).await.expect("reinstated");
        assert_eq!(done.changed, changed);
        let stored = store.record(&done.entry.index.attestation_id).await.expect("readable").expect("there");
        assert_eq!(stored.jws, done.entry.jws);
        assert_eq!(standing(store, &subject).await, Standing::default());
    }
    let kinds: Vec<_> =
        read_all(store, &Filter::default(), 10).await.into_iter().map(|record| record.index.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Suspension).count(), 3);
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Reinstatement).count(), 3);
    let all = join_all((0..20).map(|at| kit.suspend(store, subject.clone(), at))).await;
    let changed = all.into_iter().filter(|done| done.as_ref().expect("suspended").changed).count();
    assert_eq!(changed, 1, "one of them is the first");
    kit.verify_ledger(store).await.expect("the ledger verifies");
}

pub(super) async fn a_revocation_is_not_lifted(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    for (id, suspended_at) in [("one", None), ("two", Some(5))] {
        for subject in subjects(id) {
            if let Some(at) = suspended_at {
                kit.suspend(store, subject.clone(), at).await.expect("suspended");
            }
            kit.revoke(store, subject.clone(), 10).await.expect("revoked");
            assert!(!kit.suspend(store, subject.clone(), 20).await.expect("suspended").changed);
            let refused = kit.reinstate(store, subject.clone()).await;
            assert!(matches!(&refused, Err(StoreError::Revoked(named)) if **named == subject), "{refused:?}");
            assert_eq!(standing(store, &subject).await, Standing { revoked_at: Some(10), suspended_at });
            let mut demand = kit.demand(&subject.to_string());
            demand.subjects = vec![subject.clone()];
            assert_eq!(answer(&kit, store, demand).await.revoked, Some((subject.clone(), 10)));
        }
    }
    let records = read_all(store, &Filter::default(), 10).await;
    assert!(records.iter().all(|record| record.index.kind != Kind::Reinstatement), "what is refused is not recorded");
    kit.verify_ledger(store).await.expect("the ledger verifies");
}

pub(super) async fn without_its_record_nothing_is_suspended_or_reinstated(store: &(impl State + Ledger)) {
    let (other, subject) = (Kit::new("gate"), Subject::Key("key".to_owned()));
    let refused = other.suspend(store, subject.clone(), 1).await;
    assert!(matches!(refused, Err(StoreError::ChainState(_))), "its chain is not started: {refused:?}");
    assert_eq!(standing(store, &subject).await, Standing::default());
    let kit = started(store).await;
    let elsewhere = || {
        let mut sealed = kit.seal_record(Body::Restart);
        Box::new(move |link: &Link| sealed(&Link { seq: link.seq + 1, prev: link.prev }))
    };
    let refused = store.suspend(kit.chain_uid(), subject.clone(), 1, elsewhere()).await;
    assert!(matches!(refused, Err(StoreError::ChainState(_))), "{refused:?}");
    assert_eq!(standing(store, &subject).await, Standing::default());
    kit.suspend(store, subject.clone(), 2).await.expect("suspended");
    let refused = store.reinstate(kit.chain_uid(), subject.clone(), elsewhere()).await;
    assert!(matches!(refused, Err(StoreError::ChainState(_))), "{refused:?}");
    assert_eq!(standing(store, &subject).await, suspended(2));
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 2);
}

pub(super) async fn a_suspension_is_not_swept(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let subject = Subject::Passport("pass_1".to_owned());
    kit.suspend(store, subject.clone(), 1).await.expect("suspended");
    assert_eq!(store.sweep(i64::MAX, 100).await.expect("sweeps"), 0);
    assert_eq!(standing(store, &subject).await, suspended(1));
}
