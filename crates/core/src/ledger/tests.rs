use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use passgate_passport::key::SecretKey;

use super::*;
use crate::attest::{Body, Entry, GapRecord, GateRecord, Link, Stamp, Writer};
use crate::state::Subject;
use crate::time::UnixMillis;

mod rotation;

fn writer(chain: &str) -> Writer {
    Writer::new(
        SecretKey::from_seed([9; 32]),
        chain.to_owned(),
        GateRecord { gate_id: "gate_1".to_owned(), level: "L2".to_owned() },
    )
}

/// A chain of `size` records, the first a start after `previous`.
fn chain(uid: &str, previous: Option<PreviousChain>, size: u8) -> Vec<Entry> {
    let writer = writer(uid);
    let mut entries: Vec<Entry> = Vec::new();
    for n in 0..size {
        let link = Link { seq: n.into(), prev: entries.last().map(|entry| entry.sha256) };
        let body = if n == 0 {
            Body::Start(previous.clone())
        } else {
            Body::Revocation(Subject::Passport(format!("pass_{n}")))
        };
        entries.push(writer.seal(&link, &Stamp { now: UnixMillis(1_800_000_000_000), random: [n; 10] }, body));
    }
    entries
}

fn head_of(entries: &[Entry]) -> PreviousChain {
    let last = entries.last().unwrap();
    PreviousChain {
        chain_uid: last.index.chain_uid.clone(),
        head_sha256: sha256_label(&last.sha256),
        size: last.index.seq + 1,
    }
}

fn two_chains() -> Vec<Entry> {
    let first = chain("chain_1", None, 4);
    let second = chain("chain_2", Some(head_of(&first)), 3);
    first.into_iter().chain(second).collect()
}

fn lines(entries: &[Entry], partial: bool) -> Vec<String> {
    let mut head = HeadBuilder::default();
    let mut lines = Vec::new();
    for entry in entries {
        head.push(&entry.index.chain_uid, &entry.jws, &entry.sha256);
        lines.push(record_line(&entry.jws));
    }
    let head = head.finish("gate_1".to_owned(), partial, "2027-01-15T08:00:00.000Z".to_owned());
    lines.push(head_line(&writer("any").seal_head(&head.to_payload())));
    lines
}

fn verify(lines: &[String]) -> Result<Report, Break> {
    let keys = [SecretKey::from_seed([9; 32]).public().clone()];
    let mut verifier = Verifier::new(&keys);
    for line in lines {
        verifier.line(line.trim_end_matches('\n').as_bytes())?;
    }
    verifier.finish()
}

#[test]
fn a_whole_export_verifies() {
    let report = verify(&lines(&two_chains(), false)).unwrap();
    assert_eq!((report.head.records, report.head.chains.len()), (7, 2));
    assert!(report.not_checked.is_empty());
    assert!(verify(&lines(&[], false)).is_ok());
}

#[test]
fn a_summary_is_shown_of_records_and_of_nothing_else() {
    let lines = lines(&two_chains(), false);
    let keys = [SecretKey::from_seed([9; 32]).public().clone()];
    let mut verifier = Verifier::new(&keys);
    assert_eq!(verifier.last_seen(), None);
    verifier.line(lines[0].trim_end().as_bytes()).unwrap();
    let seen = verifier.last_seen().unwrap();
    assert_eq!((seen.timestamp.as_str(), seen.decision), ("2027-01-15T08:00:00.000Z", None));
    verifier.line(b"no record").unwrap_err();
    assert_eq!(verifier.last_seen(), None);
}

#[test]
fn what_is_done_to_records_is_named() {
    let whole = lines(&two_chains(), false);
    let edited = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut lines = whole.clone();
        edit(&mut lines);
        let broken = verify(&lines).unwrap_err();
        (broken.line, broken.what)
    };
    assert_eq!(edited(&|l| drop(l.remove(2))), (3, What::Sequence), "deleted");
    assert_eq!(edited(&|l| l.swap(1, 2)), (2, What::Sequence), "reordered");
    assert_eq!(edited(&|l| l.insert(2, l[1].clone())), (3, What::Sequence), "duplicated");
    assert_eq!(edited(&|l| drop(l.remove(0))), (1, What::Start), "beginning cut off");
    assert_eq!(edited(&|l| drop(l.drain(0..4))), (1, What::Predecessor), "first chain cut off");
    assert_eq!(edited(&|l| drop(l.remove(6))), (7, What::Head), "last record cut off");
    assert_eq!(edited(&|l| l.truncate(5)), (5, What::NoHead), "head cut off");
    assert_eq!(edited(&|l| l.push(l[0].clone())), (9, What::AfterHead), "something appended");
    let other_chain = record_line(&chain("chain_9", None, 2)[1].jws);
    assert_eq!(edited(&|l| l[1] = other_chain.clone()), (2, What::Start), "spliced");
}

#[test]
fn a_fork_is_named() {
    let entries = chain("chain_1", None, 3);
    let fork = writer("chain_1").seal(
        &Link { seq: 2, prev: Some([1; 32]) },
        &Stamp { now: UnixMillis(1_800_000_000_000), random: [8; 10] },
        Body::Revocation(Subject::Key("k".to_owned())),
    );
    let forked = vec![entries[0].clone(), entries[1].clone(), fork];
    let broken = verify(&lines(&forked, false)).unwrap_err();
    assert_eq!((broken.line, broken.what), (3, What::Previous));
    assert_eq!(broken.position, Some(("chain_1".to_owned(), 2)));
}

#[test]
fn any_changed_byte_is_found() {
    let whole = lines(&chain("chain_1", None, 3), false).concat();
    for at in 0..whole.len() {
        for bit in [1_u8, 0x20] {
            let mut bytes = whole.clone().into_bytes();
            bytes[at] ^= bit;
            let keys = [SecretKey::from_seed([9; 32]).public().clone()];
            let mut verifier = Verifier::new(&keys);
            // As a reader splits lines: what follows the last line feed is a line only when it is not empty.
            let mut parts: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
            if parts.last().is_some_and(|last| last.is_empty()) {
                parts.pop();
            }
            let read = parts.into_iter().try_for_each(|line| verifier.line(line));
            assert!(read.and_then(|()| verifier.finish()).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn another_key_is_not_trusted() {
    let keys = [SecretKey::from_seed([8; 32]).public().clone()];
    let mut verifier = Verifier::new(&keys);
    let line = record_line(&chain("chain_1", None, 1)[0].jws);
    let broken = verifier.line(line.trim_end().as_bytes()).unwrap_err();
    assert_eq!(broken.what, What::Key);
    assert!(broken.attestation_id.is_some());
}

#[test]
fn a_filtered_export_says_what_it_does_not_show() {
    let mut entries = two_chains();
    entries.remove(1);
    let report = verify(&lines(&entries, true)).unwrap();
    assert_eq!(report.not_checked.len(), 1);
    let mut cut = lines(&entries, true);
    cut.remove(2);
    assert_eq!(verify(&cut).unwrap_err().what, What::Head);
}

#[test]
fn a_chain_that_went_on_after_a_restart_verifies_and_its_gaps_are_named() {
    let mut entries = chain("chain_1", None, 2);
    let gap = GapRecord { from: "f".to_owned(), lost: vec!["refusal_counts".to_owned()], to: "t".to_owned() };
    for (n, body) in (2_u8..).zip([Body::Restart, Body::Gap(gap.clone()), Body::Restart, Body::Gap(gap)]) {
        let link = Link { seq: n.into(), prev: entries.last().map(|entry| entry.sha256) };
        let stamp = Stamp { now: UnixMillis(1_800_000_000_000), random: [n; 10] };
        entries.push(writer("chain_1").seal(&link, &stamp, body));
    }
    let report = verify(&lines(&entries, false)).unwrap();
    assert_eq!(report.head.records, 6);
    assert_eq!(report.not_checked, ["what 2 gap records say may be missing"]);
    // A restart goes on with a chain; it starts none.
    let restart = writer("chain_1").seal(
        &Link { seq: 0, prev: None },
        &Stamp { now: UnixMillis(1_800_000_000_000), random: [9; 10] },
        Body::Restart,
    );
    assert_eq!(verify(&lines(&[restart], false)).unwrap_err().what, What::Start);
}
