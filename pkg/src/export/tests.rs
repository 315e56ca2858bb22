use passgate_core::attest::{Body, GateRecord, Link, Stamp, Writer};
use passgate_core::ledger::{HeadBuilder, head_line, record_line};
use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_passport::key::SecretKey;
use serde_json::Value;

use super::*;

fn key() -> SecretKey {
    SecretKey::from_seed([9; 32])
}

/// An export of `records` records.
fn export(records: u8) -> String {
    let gate = GateRecord { gate_id: "gate_1".to_owned(), level: "L1".to_owned() };
    let writer = Writer::new(key(), "chain_1".to_owned(), gate);
    let (mut link, mut head, mut text) = (Link { seq: 0, prev: None }, HeadBuilder::default(), String::new());
    for number in 0..records {
        let stamp = Stamp { now: UnixMillis(1_800_000_000_000 + u64::from(number)), random: [number; 10] };
        let body = if number == 0 { Body::Start(None) } else { Body::Revocation(Subject::Key("k".to_owned())) };
        let entry = writer.seal(&link, &stamp, body);
        head.push("chain_1", &entry.jws, &entry.sha256);
        text.push_str(&record_line(&entry.jws));
        link = Link { seq: link.seq + 1, prev: Some(entry.sha256) };
    }
    let head = head.finish("gate_1".to_owned(), false, "2027-01-15T08:00:00.000Z".to_owned());
    text.push_str(&head_line(&writer.seal_head(&head.to_payload())));
    text
}

fn verify(bytes: &[u8], piece: usize) -> Value {
    let mut verifier = ExportVerifier::new(&key().public().to_jwk()).unwrap();
    for piece in bytes.chunks(piece) {
        verifier.push(piece).unwrap();
    }
    serde_json::from_str(&verifier.finish().unwrap()).unwrap()
}

#[test]
fn pieces_of_any_length_are_the_same_export() {
    let text = export(5);
    let whole = verify(text.as_bytes(), text.len());
    assert_eq!((&whole["valid"], &whole["records"], &whole["other"]), (&true.into(), &5.into(), &5.into()));
    assert_eq!((&whole["lines"], &whole["bytes"]), (&6.into(), &text.len().into()));
    assert_eq!(whole["head"]["chains"][0]["size"], 5);
    assert_eq!(whole["firstTimestamp"], "2027-01-15T08:00:00.000Z");
    for piece in [1, 7, 64, 1000] {
        assert_eq!(verify(text.as_bytes(), piece), whole, "pieces of {piece}");
    }
    let without_end = text.trim_end();
    assert_eq!(verify(without_end.as_bytes(), 100)["valid"], true, "the last line feed may be missing");
}

#[test]
fn progress_counts_all_and_the_last_piece() {
    let text = export(4);
    let mut verifier = ExportVerifier::new(&key().public().to_jwk()).unwrap();
    let at = text.match_indices('\n').nth(2).unwrap().0 + 1;
    let push = |verifier: &mut ExportVerifier, piece: &str| -> Value {
        serde_json::from_str(&verifier.push(piece.as_bytes()).unwrap()).unwrap()
    };
    let first = push(&mut verifier, text.split_at(at).0);
    assert_eq!((&first["records"], &first["batch"]["records"], &first["lines"]), (&3.into(), &3.into(), &3.into()));
    let second = push(&mut verifier, text.split_at(at).1);
    assert_eq!((&second["records"], &second["batch"]["records"]), (&4.into(), &1.into()));
    assert_eq!(second["broken"], Value::Null);
}

#[test]
fn the_first_break_is_named_and_ends_the_work() {
    let text = export(5);
    let third = text.lines().nth(2).unwrap();
    let changed = text.replace(third, &third.replace("eyJ", "eyK"));
    let report = verify(changed.as_bytes(), 50);
    assert_eq!(
        (&report["valid"], &report["broken"]["line"], &report["records"]),
        (&false.into(), &3.into(), &2.into())
    );
    assert_eq!(report["head"], Value::Null);
    let cut: Vec<&str> = text.lines().enumerate().filter(|(n, _)| *n != 2).map(|(_, line)| line).collect();
    let report = verify(cut.join("\n").as_bytes(), 50);
    assert_eq!((&report["broken"]["code"], &report["broken"]["line"]), (&"sequence".into(), &3.into()));
    assert_eq!(verify(b"", 1)["broken"]["code"], "no_head");
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let mut verifier = ExportVerifier::new(&key().public().to_jwk()).unwrap();
    let piece = vec![b'x'; 32 * 1024];
    for _ in 0..100 {
        verifier.push(&piece).unwrap();
        assert!(verifier.rest.capacity() < 4 * MAX_RECORD_BYTES);
    }
    let report: Value = serde_json::from_str(&verifier.finish().unwrap()).unwrap();
    assert_eq!((&report["broken"]["line"], &report["broken"]["code"]), (&1.into(), &"line".into()));
}
