//! The writers of one chain, from one key to the next.
//!
//! Records are sealed within the store's transactions, in the order of the chain. Which key seals a record therefore
//! follows from its place alone: up to the record of a rotation the old key, after it the new one. A transaction that is
//! given up takes its rotation with it: then the place of that record is sealed anew, and the old key goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use passgate_core::attest::{Entry, Link, Writer};
use passgate_passport::key::PublicKey;

/// A rotation whose record was sealed; whether it stays in the chain shows with the next record, or when it is settled.
struct Handover {
    seq: u64,
    record: [u8; 32],
    next: Arc<Writer>,
}

struct Writers {
    /// The writer whose key is in force for certain.
    settled: Arc<Writer>,
    /// In the order of the chain.
    handovers: Vec<Handover>,
}

/// Seals the records of one chain.
pub(super) struct Pen(Mutex<Writers>);

impl Pen {
    pub(super) fn new(writer: Writer) -> Self {
        Self(Mutex::new(Writers { settled: Arc::new(writer), handovers: Vec::new() }))
    }

    /// The writer that seals the record at `link`. Called in the transaction that appends the record.
    pub(super) fn at(&self, link: &Link) -> Arc<Writer> {
        self.lock().at(link)
    }

    /// The writer whose key is in force for certain.
    pub(super) fn settled(&self) -> Arc<Writer> {
        Arc::clone(&self.lock().settled)
    }

    /// Seals the record at `link` in which the key that is in force there hands over to `next`.
    pub(super) fn hand_over(&self, link: &Link, next: &Arc<Writer>, seal: impl FnOnce(&Writer) -> Entry) -> Entry {
        let mut writers = self.lock();
        let entry = seal(&writers.at(link));
        writers.handovers.push(Handover { seq: link.seq, record: entry.sha256, next: Arc::clone(next) });
        entry
    }

    /// The rotation to `key` is durable: the keys before it are forgotten.
    pub(super) fn settle(&self, key: &PublicKey) {
        let mut writers = self.lock();
        if let Some(at) = writers.handovers.iter().rposition(|handover| handover.next.public_key() == key) {
            let last = writers.handovers.drain(..=at).next_back();
            if let Some(last) = last {
                writers.settled = last.next;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writers {
    fn at(&mut self, link: &Link) -> Arc<Writer> {
        // What stands at the place of a rotation, or follows it without naming it, stands in for it.
        let stays = |handover: &Handover| match link.seq.checked_sub(handover.seq) {
            None | Some(0) => false,
            Some(1) => link.prev == Some(handover.record),
            Some(_) => true,
        };
        self.handovers.retain(stays);
        let writer = self.handovers.last().map_or(&self.settled, |handover| &handover.next);
        Arc::clone(writer)
    }
}

#[cfg(test)]
mod tests {
    use passgate_core::attest::{Body, GateRecord, KeyRotationRecord, RotationScope, Stamp};
    use passgate_core::time::UnixMillis;
    use passgate_passport::key::SecretKey;

    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn pen() -> Pen {
        let gate = GateRecord { gate_id: "gate".to_owned(), level: "L1".to_owned() };
        Pen::new(Writer::new(key(1), "chain_1".to_owned(), gate))
    }

    fn link(seq: u64, prev: Option<[u8; 32]>) -> Link {
        Link { seq, prev }
    }

    fn signs(pen: &Pen, link: &Link) -> PublicKey {
        pen.at(link).public_key().clone()
    }

    fn rotate(pen: &Pen, to: u8, link: &Link) -> Entry {
        let next = Arc::new(pen.settled().with_key(key(to)));
        let body = Body::KeyRotation(KeyRotationRecord::new(next.public_key(), RotationScope::Ledger));
        let stamp = Stamp { now: UnixMillis(0), random: [to; 10] };
        pen.hand_over(link, &next, |writer| writer.seal(link, &stamp, body))
    }

    #[test]
    fn the_place_says_which_key_signs() {
        let pen = pen();
        assert_eq!(signs(&pen, &link(4, None)), *key(1).public());
        let rotation = rotate(&pen, 2, &link(5, None));
        assert_eq!(pen.settled().public_key(), key(1).public(), "not before it is durable");
        for seq in 6..9 {
            let prev = (seq == 6).then_some(rotation.sha256);
            assert_eq!(signs(&pen, &link(seq, prev)), *key(2).public(), "{seq}");
        }
        pen.settle(key(2).public());
        assert_eq!(pen.settled().public_key(), key(2).public());
        assert_eq!(signs(&pen, &link(9, None)), *key(2).public());
    }

    #[test]
    fn a_rotation_that_was_given_up_leaves_the_old_key_in_force() {
        let given_up = pen();
        rotate(&given_up, 2, &link(5, None));
        assert_eq!(signs(&given_up, &link(6, Some([9; 32]))), *key(1).public(), "its place has another record");
        for (before, again) in [(3, 3), (5, 5), (4, 6)] {
            let pen = pen();
            let rotation = rotate(&pen, 2, &link(5, None));
            assert_eq!(signs(&pen, &link(6, Some(rotation.sha256))), *key(2).public());
            // The batch is given up, and the chain goes on from an earlier place.
            assert_eq!(signs(&pen, &link(before, None)), *key(1).public());
            assert_eq!(signs(&pen, &link(again, None)), *key(1).public());
            assert_eq!(signs(&pen, &link(7, None)), *key(1).public());
            pen.settle(key(2).public());
            assert_eq!(pen.settled().public_key(), key(1).public(), "there is nothing to settle");
        }
    }

    #[test]
    fn two_rotations_that_were_given_up_together_leave_the_first_key() {
        let pen = pen();
        let first = rotate(&pen, 2, &link(5, None));
        let second = rotate(&pen, 3, &link(6, Some(first.sha256)));
        assert_eq!(signs(&pen, &link(7, Some(second.sha256))), *key(3).public());
        let again = rotate(&pen, 2, &link(5, None));
        assert_eq!(signs(&pen, &link(6, Some(again.sha256))), *key(2).public());
        pen.settle(key(2).public());
        assert_eq!(signs(&pen, &link(7, None)), *key(2).public());
    }
}
