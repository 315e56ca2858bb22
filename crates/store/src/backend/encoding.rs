//! Records as bytes.

use passgate_core::attest::{DecisionKind, EntryIndex, Kind};

use crate::StoredRecord;

const RECORD_FORMAT: u8 = 1;
/// By their byte: only ever appended to.
const KINDS: [Kind; 13] = [
    Kind::ChainStart,
    Kind::Decision,
    Kind::Outcome,
    Kind::Revocation,
    Kind::RefusalsFolded,
    Kind::Restart,
    Kind::Gap,
    Kind::PluginKey,
    Kind::KeyRotation,
    Kind::Suspension,
    Kind::Reinstatement,
    Kind::Reconciliation,
    Kind::Approval,
];
const DECISIONS: [Option<DecisionKind>; 4] =
    [None, Some(DecisionKind::Allow), Some(DecisionKind::Deny), Some(DecisionKind::StepUp)];

/// A record as bytes: one byte each for the format (1), the kind and the decision; the time in 8 bytes, big-endian;
/// attestation id, gate id and agent id, each after its length (LEB128; for the agent id one more than its length, and
/// 0 if there is none); the JWS. Chain and position are not in it: they are its key.
pub fn encode_record(index: &EntryIndex, jws: &str) -> Vec<u8> {
    let code = |position: Option<usize>| position.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX);
    let kind = code(KINDS.iter().position(|kind| *kind == index.kind));
    let decision = code(DECISIONS.iter().position(|decision| *decision == index.decision));
    let mut bytes = Vec::with_capacity(jws.len() + 128);
    bytes.extend_from_slice(&[RECORD_FORMAT, kind, decision]);
    bytes.extend_from_slice(&index.timestamp_ms.to_be_bytes());
    for text in [&index.attestation_id, &index.gate_id] {
        push_length(&mut bytes, text.len());
        bytes.extend_from_slice(text.as_bytes());
    }
    push_length(&mut bytes, index.agent_id.as_ref().map_or(0, |id| id.len() + 1));
    bytes.extend_from_slice(index.agent_id.as_deref().unwrap_or_default().as_bytes());
    bytes.extend_from_slice(jws.as_bytes());
    bytes
}

fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or_default());
}

/// The record from the bytes of [`encode_record`], this release's or an earlier one's, and its key; `None` when they are
/// anything else.
pub fn decode_record(chain_uid: String, seq: u64, bytes: &[u8]) -> Option<StoredRecord> {
    let ([format, kind, decision], rest) = bytes.split_first_chunk()?;
    let (time, rest) = rest.split_first_chunk()?;
    if *format != RECORD_FORMAT {
        return None;
    }
    let (id_length, rest) = take_length(rest)?;
    let (attestation_id, rest) = take_text(rest, id_length)?;
    let (gate_length, rest) = take_length(rest)?;
    let (gate_id, rest) = take_text(rest, gate_length)?;
    let (agent_length, rest) = take_length(rest)?;
    let (agent_id, rest) = take_text(rest, agent_length.saturating_sub(1))?;
    let index = EntryIndex {
        attestation_id: attestation_id.to_owned(),
        chain_uid,
        seq,
        kind: *KINDS.get(usize::from(*kind))?,
        timestamp_ms: u64::from_be_bytes(*time),
        gate_id: gate_id.to_owned(),
        agent_id: (agent_length > 0).then(|| agent_id.to_owned()),
        decision: *DECISIONS.get(usize::from(*decision))?,
    };
    Some(StoredRecord { jws: std::str::from_utf8(rest).ok()?.to_owned(), index })
}

fn take_length(mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0_usize;
    let mut shift = 0;
    loop {
        let (byte, rest) = bytes.split_first()?;
        bytes = rest;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((length, bytes));
        }
        shift += 7;
    }
}

fn take_text(bytes: &[u8], length: usize) -> Option<(&str, &[u8])> {
    let (text, rest) = bytes.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> EntryIndex {
        EntryIndex {
            attestation_id: "att_01".to_owned(),
            chain_uid: "chain_01".to_owned(),
            seq: 7,
            kind: Kind::Decision,
            timestamp_ms: 0x0102_0304_0506_0708,
            gate_id: "g".repeat(300),
            agent_id: Some("agent".to_owned()),
            decision: Some(DecisionKind::StepUp),
        }
    }

    /// Files written by earlier releases must stay readable.
    #[test]
    fn records_are_encoded_as_documented() {
        let short = EntryIndex { gate_id: "gate".to_owned(), ..index() };
        let mut expected = vec![1, 1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 6];
        expected.extend_from_slice(b"att_01\x04gate\x06agentA.B.C");
        assert_eq!(encode_record(&short, "A.B.C"), expected);
        let without_agent = EntryIndex { agent_id: None, ..short };
        assert!(encode_record(&without_agent, "A.B.C").ends_with(b"gate\x00A.B.C"));
    }

    #[test]
    fn every_kind_keeps_its_byte() {
        let names = KINDS.map(Kind::as_str);
        assert_eq!(
            names,
            [
                "chain_start",
                "decision",
                "outcome",
                "revocation",
                "refusals_folded",
                "restart",
                "gap",
                "plugin_key",
                "key_rotation",
                "suspension",
                "reinstatement",
                "reconciliation",
                "approval"
            ],
            "stored records are read by these places"
        );
    }

    #[test]
    fn records_survive_the_encoding() {
        for kind in KINDS {
            for decision in DECISIONS {
                for agent_id in [None, Some(String::new()), Some("a".repeat(70_000))] {
                    let index = EntryIndex { kind, decision, agent_id, ..index() };
                    let bytes = encode_record(&index, "A.B.C");
                    let stored = StoredRecord { jws: "A.B.C".to_owned(), index };
                    assert_eq!(decode_record("chain_01".to_owned(), 7, &bytes), Some(stored));
                }
            }
        }
    }

    #[test]
    fn cut_records_are_refused() {
        let bytes = encode_record(&index(), "");
        for length in 0..bytes.len() {
            assert_eq!(decode_record("chain_01".to_owned(), 7, &bytes[..length]), None, "{length}");
        }
        assert_eq!(decode_record("chain_01".to_owned(), 7, &[&[9], &bytes[1..]].concat()), None);
        let endless = [&bytes[..11], &[0xff; 40]].concat();
        assert_eq!(decode_record("chain_01".to_owned(), 7, &endless), None);
    }
}
