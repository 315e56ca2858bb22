use passgate_core::attest::{Body, FoldedRecord, GateRecord, Link, Stamp, Writer};
use passgate_core::ledger::{HeadBuilder, What, head_line, record_line};
use passgate_core::time::UnixMillis;
use passgate_passport::key::SecretKey;

use super::*;

/// Two chains, the second with three records.
fn export() -> (Vec<u8>, Vec<PublicKey>) {
    let key = || SecretKey::from_seed([9; 32]);
    let (mut text, mut head, mut previous) = (String::new(), HeadBuilder::default(), None);
    for (chain, records) in [("chain_a", 1), ("chain_b", 3)] {
        let gate = GateRecord { gate_id: "gate_t".into(), level: "L2".into() };
        let writer = Writer::new(key(), chain.into(), gate);
        let mut link = Link { seq: 0, prev: None };
        for number in 0..records {
            let stamp =
                Stamp { now: UnixMillis(1_700_000_000_000 + number), random: [u8::try_from(number).unwrap(); 10] };
            let body = if number == 0 { Body::Start(previous.take()) } else { Body::Folded(FoldedRecord::default()) };
            let entry = writer.seal(&link, &stamp, body);
            head.push(chain, &entry.jws, &entry.sha256);
            text.push_str(&record_line(&entry.jws));
            link = Link { seq: number + 1, prev: Some(entry.sha256) };
        }
        let so_far = head.clone().finish("gate_t".into(), false, String::new());
        previous = so_far.chains.last().cloned();
    }
    let head = head.finish("gate_t".into(), false, UnixMillis(1_700_000_001_000).rfc3339());
    let signer = Writer::new(key(), String::new(), GateRecord { gate_id: String::new(), level: String::new() });
    text.push_str(&head_line(&signer.seal_head(&head.to_payload())));
    (text.into_bytes(), vec![key().public().clone()])
}

#[test]
fn a_whole_export_holds() {
    let (bytes, keys) = export();
    let report = verify(bytes.as_slice(), &keys).unwrap().unwrap();
    assert_eq!((report.head.records, report.head.chains.len()), (4, 2));
    assert!(report.not_checked.is_empty());
    let other = [SecretKey::from_seed([8; 32]).public().clone()];
    assert_eq!(verify(bytes.as_slice(), &other).unwrap().unwrap_err().broken.what, What::Key);
}

#[test]
fn any_changed_byte_is_found_on_its_line() {
    let (bytes, keys) = export();
    let mut line = 1;
    for at in 0..bytes.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            let located = verify(changed.as_slice(), &keys).unwrap().expect_err("a changed byte went unnoticed");
            assert_eq!(located.broken.line, line, "byte {at} mask {mask:02x}");
        }
        line += u64::from(bytes[at] == b'\n');
    }
}

#[test]
fn removed_doubled_and_reordered_lines_are_found() {
    let (bytes, keys) = export();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        let mut removed = lines.clone();
        removed.remove(at);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        for changed in [removed.concat(), doubled.concat()] {
            assert!(verify(changed.as_slice(), &keys).unwrap().is_err(), "line {at}");
        }
        for other in 0..at {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            assert!(verify(swapped.concat().as_slice(), &keys).unwrap().is_err(), "lines {at} and {other}");
        }
    }
    assert!(verify(&b""[..], &keys).unwrap().is_err());
}

#[test]
fn a_record_that_cannot_name_itself_is_located_by_the_one_before() {
    let (bytes, keys) = export();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut changed = bytes.clone();
    changed[second + 10] = b'!';
    let located = verify(changed.as_slice(), &keys).unwrap().unwrap_err();
    assert_eq!((located.broken.line, located.broken.attestation_id), (2, None));
    assert!(located.after.unwrap().starts_with("att_"));
    // A signature that is no base64url leaves the record readable.
    let end = second + bytes[second..].iter().position(|byte| *byte == b'\n').unwrap();
    let mut changed = bytes;
    changed[end - 10] = b'!';
    let located = verify(changed.as_slice(), &keys).unwrap().unwrap_err();
    assert_eq!((located.broken.line, located.broken.what), (2, What::Token));
    assert!(located.broken.attestation_id.unwrap().starts_with("att_"));
}
