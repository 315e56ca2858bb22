//! Killing the process at any moment loses nothing that was answered and lets nothing through twice.
//!
//! The test starts itself as a child process that admits and says what was answered, kills it, and looks at the file.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests stop at the first surprise")]

use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_executor::block_on;
use passgate_core::state::NonceAnswer;
use passgate_store::conformance::Kit;
use passgate_store::{Ledger as _, RedbStore};

/// Names the store to the child process.
const PATH: &str = "PASSGATE_TEST_KILLED_STORE";
/// Names the seed to a test that has to run as it did before.
const SEED: &str = "PASSGATE_TEST_SEED";
const ROUNDS: u64 = 12;

#[test]
#[ignore = "the child process of the other test"]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let store = RedbStore::open(path).unwrap();
    let kit = Kit::new("gate");
    block_on(kit.start(&store)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, kit) = (&store, &kit);
            scope.spawn(move || {
                for call in 0_u64.. {
                    let nonce = format!("{}/{thread}/{call}", kit.chain_uid());
                    let admitted = block_on(kit.admit(store, kit.demand(&nonce))).unwrap();
                    assert_eq!(admitted.admission.nonce, NonceAnswer::Fresh);
                    // One write for the line, so that lines of threads do not mix.
                    let line = format!("\nanswered {nonce} {}\n", admitted.entry.unwrap().index.attestation_id);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    std::io::stdout().flush().unwrap();
                }
            });
        }
    });
}

/// Runs a child, kills it after about `answers` answers and `pause`, and returns the nonces and ids it answered.
fn killed_child(path: &Path, answers: usize, pause: Duration) -> Vec<(String, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
    let mut said = Vec::new();
    let mut heard = 0;
    while heard < answers {
        let line = lines.next().expect("the child goes on until it is killed").unwrap();
        heard += usize::from(line.starts_with(b"answered "));
        said.push(line);
    }
    std::thread::sleep(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(lines.map(Result::unwrap));
    // What follows the last line feed is a line cut off, if anything.
    said.iter().filter_map(|line| parse(std::str::from_utf8(line).ok()?)).collect()
}

fn parse(line: &str) -> Option<(String, String)> {
    let (nonce, id) = line.strip_prefix("answered ")?.split_once(' ')?;
    // An id cut off by the kill was not wholly said; `att_` and a ULID have 30 characters.
    (id.len() == 30).then(|| (nonce.to_owned(), id.to_owned()))
}

/// The seed of this run, printed so that a failed run can be repeated.
fn seed() -> u64 {
    let given = std::env::var(SEED).ok().map(|seed| seed.parse().expect("the seed is a number"));
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("run again with {SEED}={seed}");
    seed
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn nothing_answered_is_lost_and_nothing_is_accepted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.redb");
    let mut random = seed();
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        // The first rounds kill it while it creates or opens the file.
        let answers = if round < 3 { 0 } else { usize::try_from(next(&mut random) % 200).unwrap() };
        let pause = Duration::from_micros(next(&mut random) % 20_000);
        answered.extend(killed_child(&path, answers, pause));

        let store = RedbStore::open(&path).expect("a killed store opens");
        let kit = Kit::new("gate");
        block_on(kit.start(&store)).unwrap();
        block_on(kit.verify_ledger(&store)).expect("the ledger verifies");
        for (_, id) in &answered {
            assert!(block_on(store.record(id)).unwrap().is_some(), "round {round}: {id} was answered");
        }
        for (nonce, _) in answered.iter().rev().take(50) {
            let again = block_on(kit.admit(&store, kit.demand(nonce))).unwrap();
            assert_eq!(again.admission.nonce, NonceAnswer::Replayed, "round {round}: {nonce} was answered");
        }
    }
    assert!(answered.len() > 50, "the children were killed in the middle of their work: {}", answered.len());
}
