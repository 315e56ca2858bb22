//! Keys that sign records, from one to the next.

use passgate_core::attest::{Body, Kind, Link};
use passgate_core::passport::key::{PublicKey, SecretKey};
use passgate_core::state::{KeyRotation, RotationError};

use super::Kit;
use crate::{Ledger, State, StoreError};

async fn started(store: &impl State) -> Kit {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("a chain starts");
    kit
}

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public().clone()
}

async fn present(store: &impl State) -> Option<PublicKey> {
    store.key_history().await.expect("readable").current().cloned()
}

pub(super) async fn a_rotation_is_recorded_and_noted_at_once(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    assert_eq!(present(store).await, None, "no key was handed over yet");
    let entry = kit.rotate(store, 2).await.expect("written");
    assert_eq!((entry.index.kind, entry.index.seq), (Kind::KeyRotation, 1));
    let history = store.key_history().await.expect("readable");
    assert_eq!(history.current(), Some(&key(2)));
    assert!(history.is_retired(&key(7)) && !history.is_retired(&key(2)));
    let kit = kit.with_key(2);
    kit.append(store).await.expect("the new key goes on");
    kit.rotate(store, 3).await.expect("and hands over again");
    assert_eq!(present(store).await, Some(key(3)));
    let last = kit.with_key(3);
    last.append(store).await.expect("written");
    assert_eq!(last.verify_ledger(store).await.expect("the ledger verifies").head.records, 5);
}

pub(super) async fn a_rotation_happens_once_and_never_back(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    kit.rotate(store, 2).await.expect("written");
    for (refused, expected) in [
        (kit.rotate(store, 2).await, RotationError::Done),
        (kit.rotate(store, 3).await, RotationError::Retired),
        (kit.with_key(2).rotate(store, 7).await, RotationError::Retired),
    ] {
        assert!(matches!(refused, Err(StoreError::Rotation(error)) if error == expected), "{refused:?}");
    }
    assert_eq!(present(store).await, Some(key(2)));
    assert_eq!(kit.with_key(2).verify_ledger(store).await.expect("the ledger verifies").head.records, 2);
}

pub(super) async fn without_its_record_no_key_is_handed_over(store: &(impl State + Ledger)) {
    let other = Kit::new("gate");
    let refused = other.rotate(store, 2).await;
    assert!(matches!(refused, Err(StoreError::ChainState(_))), "its chain is not started: {refused:?}");
    let kit = started(store).await;
    let mut sealed = kit.seal_record(Body::Restart);
    let elsewhere = Box::new(move |link: &Link| sealed(&Link { seq: link.seq + 1, prev: link.prev }));
    let rotation = KeyRotation { old: key(7), new: key(2), at: kit.now() };
    let refused = store.rotate_key(kit.chain_uid(), rotation, elsewhere).await;
    assert!(matches!(refused, Err(StoreError::ChainState(_))), "{refused:?}");
    assert_eq!(present(store).await, None);
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 1);
}
