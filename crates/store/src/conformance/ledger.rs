//! Cases about the ledger.

use futures_util::future::{join, join_all};
use passgate_core::attest::{Body, DecisionKind, FoldedRecord, Kind, Link, PreviousChain, sha256_label};
use passgate_core::state::NonceAnswer;

use super::{Kit, answer, read_all};
use crate::{Filter, Ledger, State, StoreError};

pub(super) async fn chains_are_linear(store: &(impl State + Ledger)) {
    let (one, two) = (Kit::new("gate"), Kit::new("gate"));
    for kit in [&one, &two] {
        kit.start(store).await.expect("a chain starts");
    }
    let admits = (0..100).map(|call: usize| {
        let kit = if call.is_multiple_of(2) { &one } else { &two };
        async move {
            kit.admit(store, kit.demand(&call.to_string())).await.map(|admitted| admitted.entry.expect("recorded"))
        }
    });
    let appends = (0..100_usize).map(|call| if call.is_multiple_of(3) { &one } else { &two });
    let appends = appends.map(|kit| kit.append(store));
    let (admitted, appended) = join(join_all(admits), join_all(appends)).await;
    let entries: Vec<_> = admitted.into_iter().chain(appended).collect::<Result<_, _>>().expect("all are appended");
    let report = one.verify_ledger(store).await.expect("the ledger verifies");
    assert_eq!((report.head.records, report.head.chains.len()), (202, 2));
    for entry in entries {
        let stored = store.record(&entry.index.attestation_id).await.expect("readable").expect("there");
        assert_eq!((stored.jws, stored.index), (entry.jws, entry.index), "what was answered is what is stored");
    }
}

pub(super) async fn chains_start_once(store: &(impl State + Ledger)) {
    let kit = Kit::new("gate");
    assert!(matches!(kit.append(store).await, Err(StoreError::ChainState(uid)) if uid == kit.chain_uid()));
    let admitted = kit.admit(store, kit.demand("a")).await;
    assert!(matches!(admitted, Err(StoreError::ChainState(_))));
    let subject = passgate_core::state::Subject::Key("key".to_owned());
    assert!(matches!(kit.revoke(store, subject.clone(), 1).await, Err(StoreError::ChainState(_))));
    assert_eq!(store.standing(&subject).await.expect("readable").revoked_at, None, "nothing without its record");
    kit.start(store).await.expect("a chain starts");
    assert!(matches!(kit.start(store).await, Err(StoreError::ChainState(_))));
    assert_eq!(answer(&kit, store, kit.demand("a")).await.nonce, NonceAnswer::Fresh, "the refused one burned nothing");
    let records = read_all(store, &Filter::default(), 10).await;
    assert_eq!(records.iter().map(|record| record.index.kind).collect::<Vec<_>>(), [Kind::ChainStart, Kind::Decision]);
}

pub(super) async fn the_next_chain_names_the_one_before(store: &(impl State + Ledger)) {
    let first = Kit::new("gate");
    let mut seen = Vec::new();
    let mut last = None;
    for kit in [first.clone(), Kit::new("gate"), Kit::new("gate")] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let writer = kit.clone();
        let seal = Box::new(move |previous: Option<PreviousChain>, link: &Link| {
            // The receiver lives until the chain is started.
            let _sent = sender.send(previous.clone());
            writer.seal_record(Body::Start(previous))(link)
        });
        store.start_chain(kit.chain_uid(), seal).await.expect("a chain starts");
        seen.push(receiver.try_iter().last().expect("the record was sealed"));
        let entry = kit.append(store).await.expect("appended");
        let size = entry.index.seq + 1;
        let before = last.replace((kit.chain_uid().to_owned(), sha256_label(&entry.sha256), size));
        let named = seen.last().cloned().flatten();
        assert_eq!(named.map(|chain| (chain.chain_uid, chain.head_sha256, chain.size)), before);
    }
    first.verify_ledger(store).await.expect("the ledger verifies");
}

#[cfg(panic = "unwind")]
pub(super) async fn a_failing_seal_changes_nothing(store: &(impl State + Ledger)) {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("a chain starts");
    let fails =
        || store.admit(kit.chain_uid(), kit.demand("a"), Box::new(|_, _| std::panic::resume_unwind(Box::new("no"))));
    let (failed, others) = join(fails(), join_all((0..20).map(|_| kit.append(store)))).await;
    assert!(matches!(failed, Err(StoreError::SealFailed(_))), "{failed:?}");
    assert!(others.iter().all(Result::is_ok), "requests at the same time are not affected");
    assert_eq!(answer(&kit, store, kit.demand("a")).await.nonce, NonceAnswer::Fresh);
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 22);
}

pub(super) async fn a_record_for_another_place_is_refused(store: &(impl State + Ledger)) {
    let kit = Kit::new("gate");
    let other = Kit::new("gate");
    let start = kit.start(store).await.expect("a chain starts");
    other.start(store).await.expect("a chain starts");
    let mut body = kit.seal_record(Body::Folded(FoldedRecord::default()));
    let gap = Box::new(move |link: &Link| body(&Link { seq: link.seq + 1, prev: link.prev }));
    assert!(matches!(store.append(kit.chain_uid(), gap).await, Err(StoreError::ChainState(_))));
    let foreign = other.seal_record(Body::Folded(FoldedRecord::default()));
    assert!(matches!(store.append(kit.chain_uid(), foreign).await, Err(StoreError::ChainState(_))));
    let mut body = kit.seal_record(Body::Folded(FoldedRecord::default()));
    let same_id = Box::new(move |link: &Link| {
        let mut entry = body(link);
        entry.index.attestation_id.clone_from(&start.index.attestation_id);
        entry
    });
    assert!(matches!(store.append(kit.chain_uid(), same_id).await, Err(StoreError::ChainState(_))));
    assert_eq!(kit.append(store).await.expect("appended").index.seq, 1);
    kit.verify_ledger(store).await.expect("the ledger verifies");
}

pub(super) async fn filters_select(store: &(impl State + Ledger)) {
    let (north, south) = (Kit::new("north"), Kit::new("south"));
    for kit in [&north, &south] {
        kit.start(store).await.expect("a chain starts");
        for (agent, seconds) in [("ann", 1), ("bob", 2), ("ann", 3)] {
            let kit = kit.with_agent(agent).later(seconds);
            // The second of each nonce is denied.
            for _ in 0..2 {
                answer(&kit, store, kit.demand(&format!("{} {seconds}", kit.chain_uid()))).await;
            }
        }
    }
    let start_ms = u64::try_from(north.now()).unwrap_or(0) * 1000;
    let (any, text) = (Filter::default, |text: &str| Some(text.to_owned()));
    for (filter, count) in [
        (any(), 14),
        (Filter { agent_id: text("ann"), ..any() }, 8),
        (Filter { agent_id: text("an"), ..any() }, 0),
        (Filter { gate_id: text("south"), ..any() }, 7),
        (Filter { gate_id: text("south"), agent_id: text("bob"), ..any() }, 2),
        (Filter { decision: Some(DecisionKind::Allow), ..any() }, 6),
        (Filter { decision: Some(DecisionKind::Deny), gate_id: text("north"), ..any() }, 3),
        (Filter { decision: Some(DecisionKind::StepUp), ..any() }, 0),
        (Filter { after_ms: Some(start_ms + 2000), ..any() }, 8),
        (Filter { before_ms: Some(start_ms + 2000), ..any() }, 6),
        (Filter { after_ms: Some(start_ms + 2000), before_ms: Some(start_ms + 2001), ..any() }, 4),
    ] {
        for limit in [1, 3, 100] {
            let records = read_all(store, &filter, limit).await;
            assert_eq!(records.len(), count, "{filter:?}");
            assert!(records.iter().all(|record| filter.matches(&record.index)));
        }
    }
}

pub(super) async fn pages_cover_everything_once(store: &(impl State + Ledger)) {
    assert!(read_all(store, &Filter::default(), 10).await.is_empty());
    let kits = [Kit::new("gate"), Kit::new("gate"), Kit::new("gate")];
    for kit in &kits {
        kit.start(store).await.expect("a chain starts");
    }
    for kit in kits.iter().cycle().take(27) {
        kit.append(store).await.expect("appended");
    }
    let expected: Vec<_> = kits.iter().flat_map(|kit| (0..10).map(|seq| (kit.chain_uid().to_owned(), seq))).collect();
    for limit in [1, 2, 7, 10, 29, 30, 31] {
        let records = read_all(store, &Filter::default(), limit).await;
        let places: Vec<_> = records.into_iter().map(|record| (record.index.chain_uid, record.index.seq)).collect();
        assert_eq!(places, expected, "pages of {limit}");
    }
}

pub(super) async fn records_are_found_by_id(store: &(impl State + Ledger)) {
    let kit = Kit::new("gate");
    let start = kit.start(store).await.expect("a chain starts");
    let admitted = kit.admit(store, kit.demand("a")).await.expect("admitted").entry.expect("recorded");
    for entry in [start, admitted] {
        let record = store.record(&entry.index.attestation_id).await.expect("readable").expect("there");
        assert_eq!((record.jws, record.index), (entry.jws, entry.index));
    }
    for absent in ["", "att_", "att_01JZZZZZZZZZZZZZZZZZZZZZZZ"] {
        assert_eq!(store.record(absent).await.expect("readable"), None);
    }
}
