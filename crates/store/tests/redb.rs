//! What only the store on disk does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the first surprise")]

use std::path::Path;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};

use futures_executor::block_on;
use futures_util::future::join_all;
use passgate_core::state::{NonceAnswer, Subject};
use passgate_store::conformance::{Kit, NOW_SECONDS};
use passgate_store::{Durability, Filter, Ledger as _, RedbStore, State as _, StoreError};
use redb::{Database, ReadableDatabase as _, TableDefinition};

fn admitted(kit: &Kit, store: &RedbStore, nonce: &str) -> NonceAnswer {
    block_on(kit.admit(store, kit.demand(nonce))).unwrap().admission.nonce
}

/// A store at `path` with a chain of `records` records, closed again.
fn filled(path: &Path, records: u32) -> Kit {
    let kit = Kit::new("gate");
    let store = RedbStore::open(path).unwrap();
    block_on(kit.start(&store)).unwrap();
    block_on(join_all((1..records).map(|nonce| kit.admit(&store, kit.demand(&nonce.to_string())))));
    kit
}

#[test]
fn reopening_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    let (kit, subject) = (filled(&path, 10), Subject::Key("key".to_owned()));
    {
        let store = RedbStore::open(&path).unwrap();
        assert_eq!(store.durability(), Durability::Durable);
        block_on(kit.revoke(&store, subject.clone(), 5)).unwrap();
        assert!(block_on(store.sweep(NOW_SECONDS + 301, 2)).unwrap() > 0);
    }
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(block_on(store.standing(&subject)).unwrap().revoked_at, Some(5));
    assert!((1..10).all(|nonce| admitted(&kit, &store, &nonce.to_string()) != NonceAnswer::Fresh));
    let next = Kit::new("gate");
    block_on(next.start(&store)).unwrap();
    let report = block_on(kit.verify_ledger(&store)).unwrap();
    assert_eq!((report.head.records, report.head.chains.len()), (21, 2));
    assert_eq!(report.not_checked, Vec::<String>::new());
}

#[test]
fn parallel_requests_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("gate.redb")).unwrap();
    let kit = Kit::new("gate");
    block_on(kit.start(&store)).unwrap();
    let before = store.commits();
    // The writer is held up until all requests wait.
    let (release, released) = channel::<()>();
    let mut seal = kit.seal_record(passgate_core::attest::Body::Folded(Default::default()));
    let held_up = store.append(
        kit.chain_uid(),
        Box::new(move |link| {
            let _closed = released.recv();
            seal(link)
        }),
    );
    let calls = join_all((0..200).map(|nonce| kit.admit(&store, kit.demand(&nonce.to_string()))));
    let both = futures_util::future::join(held_up, calls);
    let mut both = pin!(both);
    assert!(both.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(release);
    let (held_up, calls) = block_on(both);
    assert!(held_up.is_ok() && calls.iter().all(Result::is_ok));
    // The one held up, perhaps with some of the others, and the others.
    assert!(store.commits() - before <= 2, "{} commits", store.commits() - before);
}

#[test]
fn a_full_queue_refuses_at_once_and_who_left_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("gate.redb")).unwrap();
    let kit = Kit::new("gate");
    block_on(kit.start(&store)).unwrap();
    let (begin, begun) = channel::<()>();
    let (release, released) = channel::<()>();
    let mut seal = kit.seal_record(passgate_core::attest::Body::Folded(Default::default()));
    let mut held_up = pin!(store.append(
        kit.chain_uid(),
        Box::new(move |link| {
            let _listening = begin.send(());
            let _closed = released.recv();
            seal(link)
        }),
    ));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(held_up.as_mut().poll(context).is_pending());
    begun.recv().unwrap();
    let mut waiting = Vec::new();
    let refused = loop {
        let mut call = Box::pin(kit.admit(&store, kit.demand(&waiting.len().to_string())));
        match call.as_mut().poll(context) {
            Poll::Pending => waiting.push(call),
            Poll::Ready(answer) => break answer,
        }
    };
    assert!(matches!(refused, Err(StoreError::Unavailable(why)) if why.contains("busy")));
    assert!(waiting.len() >= 1024);
    let left = waiting.len() / 2;
    waiting.truncate(left);
    drop(release);
    block_on(held_up).unwrap();
    assert!(block_on(join_all(waiting)).iter().all(Result::is_ok));
    assert_eq!(admitted(&kit, &store, "0"), NonceAnswer::Replayed);
    assert_eq!(admitted(&kit, &store, &left.to_string()), NonceAnswer::Fresh, "nobody waited for it");
}

#[test]
fn one_corrupt_row_harms_only_those_who_need_it() {
    const ROWS: TableDefinition<'_, &str, (Option<i64>, &[u8])> = TableDefinition::new("rows");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    let kit = filled(&path, 1);
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(ROWS).unwrap().insert("r:key:revoked?", (None, b"?".as_slice())).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let store = RedbStore::open(&path).unwrap();
    let subject = Subject::Key("revoked?".to_owned());
    let calls = (0..20).map(|call| {
        let mut demand = kit.demand(&call.to_string());
        demand.subjects.extend((call == 7).then(|| subject.clone()));
        kit.admit(&store, demand)
    });
    for (call, answer) in block_on(join_all(calls)).into_iter().enumerate() {
        match answer {
            Err(StoreError::Corrupt(what)) => assert!(call == 7 && what.contains("r:key:revoked?"), "{call}: {what}"),
            answer => assert!(call != 7 && answer.is_ok(), "{call}: {answer:?}"),
        }
    }
    assert!(matches!(block_on(store.standing(&subject)), Err(StoreError::Corrupt(_))));
    assert!(matches!(block_on(kit.revoke(&store, subject, 1)), Err(StoreError::Corrupt(_))));
    assert_eq!(block_on(kit.verify_ledger(&store)).unwrap().head.records, 20);
}

#[test]
fn an_open_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    let store = RedbStore::open(&path).unwrap();
    let name = path.display().to_string();
    assert!(matches!(RedbStore::open(&path), Err(StoreError::InUse(path)) if path == name));
    drop(store);
    RedbStore::open(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    drop(RedbStore::open(&path).unwrap());
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn places_without_a_file_are_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing").join("gate.redb"), folder.path().to_owned()] {
        let name = path.display().to_string();
        assert!(matches!(RedbStore::open(&path), Err(StoreError::Unavailable(why)) if why.contains(&name)));
    }
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_unavailable() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(folder.path().join("probe"), "").is_ok() {
        println!("skipped: permissions do not bind this user");
        return;
    }
    let path = folder.path().join("gate.redb");
    let name = path.display().to_string();
    assert!(matches!(RedbStore::open(&path), Err(StoreError::Unavailable(why)) if why.contains(&name)));
}

fn assert_corrupt(path: &Path, what: &str) {
    let name = path.display().to_string();
    match RedbStore::open(path) {
        Err(StoreError::Corrupt(why)) => assert!(why.contains(&name) && why.contains("backup"), "{what}: {why}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn files_that_are_no_store_are_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    for garbage in
        [b"x".to_vec(), b"SQLite format 3\0".repeat(1000), vec![0xff; 100_000], b"redb\x1a\x0a\xa9\x0d\x0a".to_vec()]
    {
        std::fs::write(&path, &garbage).unwrap();
        assert_corrupt(&path, "garbage");
        assert_eq!(std::fs::read(&path).unwrap(), garbage, "left as it was");
    }
    let mut zeros_then_data = vec![0; 1 << 20];
    zeros_then_data[500_000] = 1;
    std::fs::write(&path, &zeros_then_data).unwrap();
    assert_corrupt(&path, "data without a header");
}

#[test]
fn a_file_that_was_never_finished_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    for length in [0, 1, 9, 5000, 1 << 20] {
        let mut bytes = vec![0; length];
        bytes.iter_mut().skip(9).take(300).for_each(|byte| *byte = 7);
        std::fs::write(&path, &bytes).unwrap();
        let store = RedbStore::open(&path).unwrap();
        block_on(Kit::new("gate").start(&store)).unwrap();
    }
}

#[test]
fn truncated_files_are_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    filled(&path, 50);
    let whole = std::fs::read(&path).unwrap();
    for length in [1, 100, 320, 4096, 5000, whole.len() / 4, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_corrupt(&path, &format!("{length} of {} bytes", whole.len()));
    }
}

/// Whatever is damaged, nothing panics, and what is read without an error is either what was written or breaks the
/// ledger.
#[test]
fn damaged_pages_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    let kit = filled(&path, 50);
    let read = |store: &RedbStore| block_on(store.records(&Filter::default(), None, 1000)).map(|page| page.records);
    let written = read(&RedbStore::open(&path).unwrap()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut noticed = 0;
    for offset in (0..whole.len()).step_by(12_001) {
        let mut damaged = whole.clone();
        damaged.iter_mut().skip(offset).take(64).for_each(|byte| *byte ^= 0xa5);
        std::fs::write(&path, &damaged).unwrap();
        let records = RedbStore::open(&path).and_then(|store| {
            block_on(kit.append(&store))?;
            read(&store).map(|records| (store, records))
        });
        match records {
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupt(_) | StoreError::Unavailable(_)), "{offset}: {error:?}");
                noticed += 1;
            }
            Ok((_, records)) if records.starts_with(&written) && records.len() == written.len() + 1 => {}
            Ok((store, _)) => {
                assert!(block_on(kit.verify_ledger(&store)).is_err(), "{offset}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > 5, "{noticed}");
}

#[test]
fn other_formats_are_refused() {
    const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    const OTHER: TableDefinition<'_, &str, u64> = TableDefinition::new("other");
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer.redb");
    filled(&newer, 1);
    let database = Database::open(&newer).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = RedbStore::open(&newer);
    assert!(matches!(refused, Err(StoreError::Unavailable(why)) if why.contains("newer release")));

    let foreign = folder.path().join("foreign.redb");
    let database = Database::create(&foreign).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(OTHER).unwrap().insert("answer", 42).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert_corrupt(&foreign, "a database of another program");
    let database = Database::open(&foreign).unwrap();
    assert_eq!(database.begin_read().unwrap().list_tables().unwrap().count(), 1, "left as it was");
}
