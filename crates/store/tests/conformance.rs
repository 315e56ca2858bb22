//! The stores of this crate pass the suite.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_executor::block_on;
use passgate_store::conformance::{self, START_SECONDS};
use passgate_store::{MemoryStore, RedbStore};

#[test]
fn memory_conforms() {
    block_on(conformance::all(async || MemoryStore::new(START_SECONDS)));
}

#[test]
fn redb_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicU64::new(0);
    block_on(conformance::all(async || {
        let name = count.fetch_add(1, Ordering::Relaxed).to_string();
        RedbStore::open(folder.path().join(name)).unwrap()
    }));
}
