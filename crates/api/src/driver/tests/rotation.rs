//! A chain whose key changes while it is written.

use std::thread;

use passgate_core::attest::RotationScope;
use passgate_core::state::RotationError;
use passgate_store::failing::{FailingStore, Failure, Verb};

use super::*;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn rotate(driver: &Driver, seed: u8, at: u8) -> Result<Option<Entry>, StoreError> {
    block_on(driver.rotate(key(seed), RotationScope::Ledger, stamp(at)))
}

fn kid(jws: &str) -> String {
    let header = passgate_passport::b64::decode(jws.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<serde_json::Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

fn signers(store: &impl Ledger) -> Vec<String> {
    let page = block_on(store.records(&Filter::default(), None, 1000)).unwrap();
    page.records.iter().map(|record| kid(&record.jws)).collect()
}

#[test]
fn every_record_after_a_rotation_is_signed_with_the_new_key() {
    let world = World::new();
    let ask = |n: u8| world.ask("GET", "/search", "", &signed("GET", "/search", "", n.into()), n);
    let Answer::Forward(allowed) = ask(1) else { panic!("allowed") };
    let rotation = rotate(&world.driver, 2, 2).unwrap().unwrap();
    assert_eq!((rotation.index.kind, kid(&rotation.jws).as_str()), (Kind::KeyRotation, key(9).public().thumbprint()));
    assert_eq!(world.driver.writer().public_key(), key(2).public());
    assert!(matches!(ask(3), Answer::Forward(_)));
    block_on(world.driver.settle(allowed.attestation_id, outcome(OutcomeResult::Completed), stamp(4))).unwrap();
    block_on(world.driver.revoke(Subject::Key("k".to_owned()), stamp(5))).unwrap();
    block_on(world.driver.set_plugin_key("shops", "list", None, stamp(6))).unwrap();
    let (old, new) = (key(9).public().thumbprint().to_owned(), key(2).public().thumbprint().to_owned());
    assert_eq!(signers(world.store.as_ref()), [vec![old; 3], vec![new; 4]].concat());
    // Asked again it is done, and nothing is recorded; a retired key does not come back.
    assert!(rotate(&world.driver, 2, 7).unwrap().is_none());
    assert!(matches!(rotate(&world.driver, 9, 8), Err(StoreError::Rotation(RotationError::Retired))));
    assert_eq!(world.records().len(), 7);
    world.verify();
}

/// A second writer of the store has a key that was retired meanwhile; it cannot hand over with it, nor call it done.
#[test]
fn a_writer_with_a_retired_key_is_not_told_that_all_is_well() {
    let world = World::new();
    let writer = Writer::new(key(9), stamp(1).chain_uid(), world.gate.record());
    let other = block_on(Driver::start(world.store.clone(), writer, stamp(1))).unwrap();
    rotate(&world.driver, 2, 2).unwrap();
    for seed in [2, 3] {
        assert!(matches!(rotate(&other, seed, 3), Err(StoreError::Rotation(RotationError::Retired))), "{seed}");
    }
}

#[test]
fn a_rotation_that_fails_leaves_a_chain_that_verifies_whatever_was_written() {
    for (failure, is_written) in [(Failure::NotWritten, false), (Failure::Written, true)] {
        let mut world = World::new();
        let store = Arc::new(FailingStore::new(MemoryStore::new(i64::try_from(NOW_MS / 1000).unwrap() - 3600)));
        let writer = Writer::new(key(9), stamp(0).chain_uid(), world.gate.record());
        world.driver = block_on(Driver::start(store.clone(), writer, stamp(0))).unwrap();
        store.fail(Verb::RotateKey, failure);
        store.fail(Verb::KeyHistory, Failure::NotWritten);
        assert!(rotate(&world.driver, 2, 1).is_err(), "nothing is known of it");
        assert_eq!(world.driver.writer().public_key(), key(9).public());
        store.heal();
        let ask = |n: u8| world.ask("GET", "/search", "", &signed("GET", "/search", "", n.into()), n);
        assert!(matches!(ask(2), Answer::Forward(_)));
        assert_eq!(rotate(&world.driver, 2, 3).unwrap().is_none(), is_written, "{failure:?}");
        assert!(matches!(ask(4), Answer::Forward(_)));
        let last = signers(store.as_ref()).pop().unwrap();
        assert_eq!(last, key(2).public().thumbprint());
        verify(&world.driver, store.as_ref());
    }
}

#[test]
fn a_lost_answer_is_looked_up() {
    let world = World::new();
    let store = Arc::new(FailingStore::new(MemoryStore::new(i64::try_from(NOW_MS / 1000).unwrap() - 3600)));
    let writer = Writer::new(key(9), stamp(0).chain_uid(), world.gate.record());
    let driver = block_on(Driver::start(store.clone(), writer, stamp(0))).unwrap();
    store.fail(Verb::RotateKey, Failure::Written);
    assert!(rotate(&driver, 2, 1).unwrap().is_none());
    assert_eq!(driver.writer().public_key(), key(2).public());
    verify(&driver, store.as_ref());
}

#[test]
fn requests_and_rotations_at_once_leave_a_chain_that_verifies() {
    let world = World::new();
    thread::scope(|scope| {
        for lane in 0..4_u8 {
            let world = &world;
            scope.spawn(move || {
                for n in 0..12_u8 {
                    let n = lane * 12 + n;
                    let fields = signed("GET", "/search", "", n.into());
                    world.ask("GET", "/search", "", &fields, n.wrapping_add(20));
                }
            });
        }
        scope.spawn(|| {
            for seed in 10..18 {
                rotate(&world.driver, seed, seed.wrapping_add(100)).unwrap().unwrap();
            }
        });
    });
    assert_eq!(world.driver.writer().public_key(), key(17).public());
    world.verify();
}

/// Verifies with the first key alone.
fn verify(driver: &Driver, store: &impl Ledger) {
    let page = block_on(store.records(&Filter::default(), None, 1000)).unwrap();
    let mut verifier = Verifier::new(vec![key(9).public().clone()]);
    let mut head = HeadBuilder::default();
    for record in &page.records {
        verifier.line(record_line(&record.jws).trim_end().as_bytes()).unwrap();
        head.push(&record.index.chain_uid, &record.jws, &Sha256::digest(&record.jws).into());
    }
    let head = head.finish("gate_1".to_owned(), false, stamp(0).now.rfc3339());
    verifier.line(head_line(&driver.writer().seal_head(&head.to_payload())).trim_end().as_bytes()).unwrap();
    verifier.finish().unwrap();
}
