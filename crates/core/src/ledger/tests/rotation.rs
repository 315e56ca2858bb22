//! Keys that hand over to others, honestly and otherwise.

use proptest::prelude::*;

use super::*;
use crate::attest::{KeyRotationRecord, RotationScope};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn to(seed: u8, scope: RotationScope) -> Body {
    Body::KeyRotation(KeyRotationRecord::new(key(seed).public(), scope))
}

fn revocation(n: u8) -> Body {
    Body::Revocation(Subject::Passport(format!("pass_{n}")))
}

/// Records with their signers, chain by chain.
#[derive(Clone)]
struct Book {
    entries: Vec<Entry>,
}

impl Book {
    fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Starts a chain after the last record there is.
    fn start(mut self, chain: &str, signer: u8) -> Self {
        let previous = self.entries.last().map(|_| head_of(&self.entries));
        self.push(chain, signer, Body::Start(previous));
        self
    }

    /// Starts a chain that leaves chain `before` after `size` records.
    fn start_at(mut self, chain: &str, signer: u8, before: &str, size: u64) -> Self {
        let last = self.entries.iter().find(|entry| entry.index.chain_uid == before && entry.index.seq + 1 == size);
        let head_sha256 = sha256_label(&last.unwrap().sha256);
        let previous = PreviousChain { chain_uid: before.to_owned(), head_sha256, size };
        self.push(chain, signer, Body::Start(Some(previous)));
        self
    }

    /// Goes on with the last chain.
    fn then(mut self, signer: u8, body: Body) -> Self {
        let chain = self.entries.last().unwrap().index.chain_uid.clone();
        self.push(&chain, signer, body);
        self
    }

    fn push(&mut self, chain: &str, signer: u8, body: Body) {
        let last = self.entries.last().filter(|entry| entry.index.chain_uid == chain);
        let link = Link { seq: last.map_or(0, |entry| entry.index.seq + 1), prev: last.map(|entry| entry.sha256) };
        let n = u8::try_from(self.entries.len()).unwrap();
        let stamp = Stamp { now: UnixMillis(1_800_000_000_000), random: [n; 10] };
        let sealed = writer(chain).with_key(key(signer)).seal(&link, &stamp, body);
        self.entries.push(sealed);
    }

    /// What a verifier that trusts `trusted` says of the export, whose head `signer` signed.
    fn read(&self, signer: u8, trusted: &[u8], partial: bool) -> Result<Report, Break> {
        let mut lines = lines(&self.entries, partial);
        let mut head = HeadBuilder::default();
        self.entries.iter().for_each(|entry| head.push(&entry.index.chain_uid, &entry.jws, &entry.sha256));
        let head = head.finish("gate_1".to_owned(), partial, "2027-01-15T08:00:00.000Z".to_owned());
        lines.pop();
        lines.push(head_line(&writer("any").with_key(key(signer)).seal_head(&head.to_payload())));
        let trusted: Vec<PublicKey> = trusted.iter().map(|seed| key(*seed).public().clone()).collect();
        let mut verifier = Verifier::new(trusted);
        for line in lines {
            verifier.line(line.trim_end_matches('\n').as_bytes())?;
        }
        verifier.finish()
    }

    fn broken(&self, signer: u8, trusted: &[u8]) -> (u64, What) {
        let broken = self.read(signer, trusted, false).unwrap_err();
        (broken.line, broken.what)
    }
}

/// Key 1, then key 2 within the first chain, then a second chain.
fn rotated(scope: RotationScope) -> Book {
    Book::new()
        .start("chain_1", 1)
        .then(1, revocation(1))
        .then(1, to(2, scope))
        .then(2, revocation(2))
        .start("chain_2", 2)
        .then(2, revocation(3))
}

const SCOPES: [RotationScope; 2] = [RotationScope::Chain, RotationScope::Ledger];

#[test]
fn the_first_key_verifies_everything_after_it() {
    for scope in SCOPES {
        let book = rotated(scope);
        let report = book.read(2, &[1], false).unwrap();
        assert_eq!((report.head.records, report.not_checked), (6, vec![]));
        assert!(book.read(2, &[1, 2], false).is_ok() && book.read(2, &[2, 1], false).is_ok());
        // Trust goes forward only: who knows the newest key alone cannot tell what was before it.
        assert_eq!(book.broken(2, &[2]), (1, What::Key));
        let again = book.then(2, to(3, scope)).then(3, revocation(4)).start("chain_3", 3);
        assert_eq!(again.read(3, &[1], false).unwrap().head.chains.len(), 3);
    }
}

#[test]
fn a_retired_key_appends_nothing() {
    for scope in SCOPES {
        for trusted in [&[1][..], &[1, 2]] {
            let here = rotated(scope).then(1, revocation(9));
            assert_eq!(here.broken(2, trusted), (7, What::Retired), "in a chain after it");
            let beside = Book::new().start("chain_1", 1).then(1, to(2, scope)).then(1, revocation(9));
            assert_eq!(beside.broken(2, trusted), (3, What::Retired), "in the same chain");
            assert_eq!(rotated(scope).start("chain_3", 1).broken(2, trusted), (7, What::Retired), "a chain of its own");
            let back = rotated(scope).then(1, to(3, scope));
            assert_eq!(back.broken(2, trusted), (7, What::Retired), "a second rotation");
            assert_eq!(rotated(scope).broken(1, trusted), (7, What::Retired), "a head");
        }
    }
}

#[test]
fn a_chain_that_claims_to_be_older_does_not_help_who_has_the_retired_key() {
    let forged = |scope| rotated(scope).start_at("chain_3", 1, "chain_1", 2).then(1, revocation(9));
    assert_eq!(forged(RotationScope::Ledger).broken(2, &[1]), (7, What::Retired));
    // Where several chains are written at once it may be true. Then it is said that nobody checked it.
    let report = forged(RotationScope::Chain).read(2, &[1], false).unwrap();
    assert_eq!(report.not_checked, ["where 1 chains left a predecessor that went on"]);
}

#[test]
fn chains_that_are_written_at_once_rotate_for_themselves() {
    let scope = RotationScope::Chain;
    let book = Book::new()
        .start("gate", 1)
        .then(1, revocation(1))
        .then(1, to(2, scope))
        .start_at("agent_1", 1, "gate", 1)
        .then(1, to(2, scope))
        .then(2, revocation(2))
        .start_at("agent_2", 2, "gate", 3);
    assert_eq!(book.read(2, &[1], false).unwrap().head.chains.len(), 3);
    // The new key is nobody's in a chain that did not hand over to it.
    let early = Book::new().start("gate", 1).then(1, to(2, scope)).start_at("agent_1", 2, "gate", 1);
    assert_eq!(early.broken(2, &[1]), (3, What::Key));
}

#[test]
fn a_forged_rotation_is_named() {
    for scope in SCOPES {
        let start = || Book::new().start("chain_1", 1);
        let stranger = start().then(7, to(7, scope)).then(7, revocation(1));
        assert_eq!(stranger.broken(7, &[1]), (2, What::Key), "signed by the key it names");
        assert_eq!(start().then(1, to(1, scope)).broken(1, &[1]), (2, What::Rotation), "to itself");
        let back = start().then(1, to(2, scope)).then(2, to(1, scope));
        assert_eq!(back.broken(1, &[1]), (3, What::Rotation), "back to a retired key");
        let mut unusable = KeyRotationRecord::new(key(2).public(), scope);
        unusable.new_key.x = "A".repeat(43);
        let unusable = start().then(1, Body::KeyRotation(unusable));
        assert_eq!(unusable.broken(1, &[1]), (2, What::Rotation), "to no key");
        // Its break names the record, whose place the signature vouches for.
        let broken = back.read(1, &[1], false).unwrap_err();
        assert_eq!(broken.position, Some(("chain_1".to_owned(), 2)));
        assert_eq!(broken.attestation_id.as_ref(), Some(&back.entries[2].index.attestation_id));
    }
}

#[test]
fn a_rotation_that_is_left_out_is_missed() {
    let mut book = rotated(RotationScope::Ledger);
    book.entries.remove(2);
    assert_eq!(book.broken(2, &[1]), (3, What::Key));
    assert_eq!(book.broken(2, &[1, 2]), (3, What::Sequence));
}

#[test]
fn a_filtered_export_follows_what_it_shows_and_says_what_it_does_not() {
    let mut book = rotated(RotationScope::Ledger);
    book.entries.remove(1);
    let report = book.read(2, &[1], true).unwrap();
    assert_eq!(report.not_checked, ["chain links, and so from when on a key signed (the export is filtered)"]);
    // Without the rotation in it, the new key has to be trusted from elsewhere.
    book.entries.remove(1);
    assert_eq!(book.read(2, &[1], true).unwrap_err().what, What::Key);
    assert!(book.read(2, &[1, 2], true).is_ok());
    // What it shows of a rotation holds in it.
    let forged = rotated(RotationScope::Ledger).then(1, revocation(9));
    assert_eq!(forged.read(2, &[1, 2], true).unwrap_err().what, What::Retired);
}

/// What a gate does from one record to the next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Record,
    Chain,
    Rotate(RotationScope),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scope = prop_oneof![Just(RotationScope::Chain), Just(RotationScope::Ledger)];
    proptest::collection::vec(
        prop_oneof![3 => Just(Step::Record), 1 => Just(Step::Chain), 2 => scope.prop_map(Step::Rotate)],
        0..24,
    )
}

/// The book, and which key signed each record.
fn written(steps: &[Step]) -> (Book, Vec<u8>) {
    let (mut book, mut present) = (Book::new().start("chain_0", 1), 1);
    let mut signers = vec![1];
    for (n, step) in (1_u8..).zip(steps) {
        signers.push(present);
        book = match step {
            Step::Record => book.then(present, revocation(n)),
            Step::Chain => book.start(&format!("chain_{n}"), present),
            Step::Rotate(scope) => {
                let next = present + 1;
                let rotated = book.then(present, to(next, *scope));
                present = next;
                rotated
            }
        };
    }
    signers.push(present);
    (book, signers)
}

proptest! {
    #[test]
    fn every_sequence_of_rotations_verifies_from_its_first_key(steps in steps()) {
        let (book, signers) = written(&steps);
        let report = book.read(*signers.last().unwrap(), &[1], false);
        prop_assert_eq!(report.map(|report| report.not_checked), Ok(vec![]));
    }

    #[test]
    fn no_key_signs_before_or_after_its_time(steps in steps(), at in any::<prop::sample::Index>(), other in 1_u8..30) {
        let (book, signers) = written(&steps);
        let (signers, head) = (&signers[..signers.len() - 1], *signers.last().unwrap());
        let at = at.index(signers.len());
        prop_assume!(other != signers[at]);
        // The same records, one of them signed by another key of the gate, and all after it in their places.
        let mut forged = Book::new();
        for (n, entry) in book.entries.iter().enumerate() {
            let step = n.checked_sub(1).and_then(|n| steps.get(n)).copied();
            let signer = if n == at { other } else { signers[n] };
            let body = match step {
                None => Body::Start(None),
                Some(Step::Chain) => Body::Start(Some(head_of(&forged.entries))),
                Some(Step::Record) => revocation(u8::try_from(n).unwrap()),
                Some(Step::Rotate(scope)) => to(signers[n] + 1, scope),
            };
            forged.push(&entry.index.chain_uid, signer, body);
        }
        let broken = forged.read(head, &[1], false).unwrap_err();
        let line = u64::try_from(at).unwrap() + 1;
        prop_assert!(broken.line <= line + 1, "{broken}");
        let wrong = matches!(broken.what, What::Key | What::Retired | What::Rotation);
        prop_assert!(wrong && broken.line == line, "{broken} where record {line} is forged");
    }
}
