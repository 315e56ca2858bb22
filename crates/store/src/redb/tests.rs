//! Disks that fail, without a disk.

use std::io;
use std::sync::Mutex;

use futures_executor::block_on;
use futures_util::future::join_all;
use passgate_core::state::NonceAnswer;
use redb::{Database, StorageBackend};

use super::*;
use crate::conformance::Kit;

/// The bytes of a file, and those of them that were flushed.
#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    flushed: Vec<u8>,
    /// How many more operations succeed; `None`: all.
    healthy_for: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct SharedDisk(Arc<Mutex<Disk>>);

impl SharedDisk {
    fn fail_after(&self, operations: Option<u64>) {
        self.0.lock().unwrap().healthy_for = operations;
    }

    /// What a power failure leaves.
    fn lose_unflushed(&self) {
        let mut disk = self.0.lock().unwrap();
        disk.bytes = disk.flushed.clone();
    }

    fn operate<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> io::Result<T> {
        let mut disk = self.0.lock().unwrap();
        match &mut disk.healthy_for {
            Some(0) => return Err(io::Error::other("EIO")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(work(&mut disk))
    }

    fn store(&self) -> RedbStore {
        let disk = self.clone();
        let opener = move || {
            let database = Database::builder().create_with_backend(disk.clone()).map_err(file::engine_error)?;
            tables::prepare(&database)?;
            Ok(database)
        };
        RedbStore::start(File::new(opener).unwrap()).unwrap()
    }
}

impl StorageBackend for SharedDisk {
    fn len(&self) -> io::Result<u64> {
        self.operate(|disk| disk.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.operate(|disk| disk.bytes.get(start..start + out.len()).map(|bytes| out.copy_from_slice(bytes)))?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate(|disk| disk.bytes.resize(usize::try_from(len).unwrap(), 0))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.operate(|disk| disk.flushed = disk.bytes.clone())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.operate(|disk| disk.bytes[start..start + data.len()].copy_from_slice(data))
    }
}

fn admit_all(kit: &Kit, store: &RedbStore, nonces: std::ops::Range<u32>) -> Vec<Result<Admitted, StoreError>> {
    block_on(join_all(nonces.map(|nonce| kit.admit(store, kit.demand(&nonce.to_string())))))
}

/// The disk fails at each operation in turn; then it works again, or the power fails and it works again.
#[test]
fn a_failing_disk_denies_and_recovers() {
    let mut failed_batches = 0;
    for healthy_for in 0..24 {
        for power_fails in [false, true] {
            let disk = SharedDisk::default();
            let kit = Kit::new("gate");
            let mut store = disk.store();
            block_on(kit.start(&store)).unwrap();
            let before = admit_all(&kit, &store, 0..5);
            assert!(before.iter().all(Result::is_ok));
            disk.fail_after(Some(healthy_for));
            let answers = admit_all(&kit, &store, 100..105);
            failed_batches += usize::from(answers.iter().any(Result::is_err));
            for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            }
            if power_fails {
                drop(store);
                disk.lose_unflushed();
                disk.fail_after(None);
                store = disk.store();
            }
            disk.fail_after(None);
            // The first batch after the failure may be the one that finds the file closed.
            let _found_closed = admit_all(&kit, &store, 200..201);
            assert!(admit_all(&kit, &store, 300..305).iter().all(Result::is_ok), "works again");
            let report = block_on(kit.verify_ledger(&store)).expect("the ledger verifies");
            assert_eq!(report.head.chains.len(), 1);
            for admitted in before.into_iter().chain(answers).filter_map(Result::ok) {
                let id = &admitted.entry.as_ref().unwrap().index.attestation_id;
                assert!(block_on(store.record(id)).unwrap().is_some(), "answered, so recorded");
            }
            assert_eq!(admit_all(&kit, &store, 0..1)[0].as_ref().unwrap().admission.nonce, NonceAnswer::Replayed);
        }
    }
    assert!(failed_batches > 10, "the disk failed often enough to tell: {failed_batches}");
}

#[test]
fn reads_fail_while_the_file_is_closed() {
    let disk = SharedDisk::default();
    let kit = Kit::new("gate");
    let store = disk.store();
    block_on(kit.start(&store)).unwrap();
    disk.fail_after(Some(0));
    assert!(admit_all(&kit, &store, 0..1)[0].is_err());
    assert!(matches!(block_on(store.standing(&Subject::Key("key".to_owned()))), Err(StoreError::Unavailable(_))));
    assert!(matches!(block_on(store.records(&Filter::default(), None, 1)), Err(StoreError::Unavailable(_))));
    disk.fail_after(None);
    assert!(admit_all(&kit, &store, 0..1)[0].is_ok());
    assert_eq!(block_on(store.records(&Filter::default(), None, 9)).unwrap().records.len(), 2);
}

/// A request that makes the engine panic takes nobody else down.
#[test]
fn a_panic_in_a_transaction_fails_its_request_only() {
    let disk = SharedDisk::default();
    let kit = Kit::new("gate");
    let store = disk.store();
    block_on(kit.start(&store)).unwrap();
    let bad = store.write::<()>(|_| std::panic::resume_unwind(Box::new("damaged")));
    let good = join_all((0..20).map(|_| kit.append(&store)));
    let (bad, good) = block_on(futures_util::future::join(bad, good));
    assert!(matches!(bad, Err(StoreError::Corrupt(what)) if what == "damaged"));
    assert!(good.iter().all(Result::is_ok), "{good:?}");
    assert_eq!(block_on(kit.verify_ledger(&store)).unwrap().head.records, 21);
}
