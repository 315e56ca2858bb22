use alloc::format;
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::delegation::{RootGrant, inspect_chain, issue_root};
use crate::issue::NewPassport;
use crate::key::SecretKey;

/// No two numbers have the same.
fn sha256(number: u16) -> [u8; 32] {
    let mut sha256 = [7; 32];
    [sha256[0], sha256[31]] = number.to_be_bytes();
    sha256
}

fn chain(passports: &[(u16, usize)], iss: &str, sub: &str) -> SeenChain {
    let key = SecretKey::from_seed([1; 32]);
    let id = String::from("pass_01ARYZ6S410000000000000000");
    let mut new = NewPassport::new(id, String::from("a"), key.public().clone(), vec![], 1, 2);
    new.iss = None;
    let text = issue_root(&key, &new, &RootGrant::default()).unwrap();
    let mut link = inspect_chain(&text).unwrap().remove(0);
    (link.claims.iss, link.claims.sub) = (String::from(iss), String::from(sub));
    let link = Arc::new(link);
    let seen = |(number, bytes): &(u16, usize)| SeenPassport {
        chain_sha256: sha256(*number),
        link: Arc::clone(&link),
        bytes: *bytes,
    };
    SeenChain(passports.iter().map(seen).collect())
}

/// Passports of one byte each.
fn valid(numbers: &[u16], agent: &str) -> SeenChain {
    let passports: Vec<(u16, usize)> = numbers.iter().map(|number| (*number, 1)).collect();
    chain(&passports, "https://issuer.example", agent)
}

fn self_issued(numbers: &[u16], agent: u16) -> SeenChain {
    let passports: Vec<(u16, usize)> = numbers.iter().map(|number| (*number, 1)).collect();
    chain(&passports, &format!("did:key:z{agent}"), "agent")
}

fn known(memory: &PassportMemory, numbers: &[u16]) -> Vec<u16> {
    numbers.iter().copied().filter(|number| memory.recall(&sha256(*number)).is_some()).collect()
}

#[test]
fn only_the_same_bytes_are_known() {
    let mut memory = PassportMemory::new(8, 8);
    assert!(memory.is_empty() && memory.recall(&sha256(1)).is_none());
    memory.remember(&valid(&[1], "a"));
    assert!(memory.recall(&sha256(1)).is_some());
    for at in 0..32 {
        let mut other = sha256(1);
        other[at] ^= 1;
        assert!(memory.recall(&other).is_none(), "byte {at}");
    }
}

#[test]
fn long_passports_take_the_room_of_many() {
    let mut memory = PassportMemory::new(10, 0);
    memory.remember(&valid(&[1, 2, 3], "a"));
    memory.remember(&chain(&[(4, 4), (5, 5)], "https://issuer.example", "b"));
    assert_eq!(known(&memory, &[1, 2, 3, 4, 5]), [1, 2, 3, 5]);
    // What does not fit at all is not kept, and displaces nothing of others.
    memory.remember(&chain(&[(6, 11)], "https://issuer.example", "c"));
    assert_eq!(known(&memory, &[1, 2, 3, 4, 5, 6]), [1, 2, 3, 5]);
}

#[test]
fn the_least_recently_used_is_displaced() {
    let mut memory = PassportMemory::new(3, 0);
    memory.remember(&valid(&[1, 2, 3], "a"));
    memory.remember(&valid(&[1], "a"));
    memory.remember(&valid(&[4], "a"));
    assert_eq!(known(&memory, &[1, 2, 3, 4]), [1, 3, 4]);
    // Of agents that have as much, the one whose oldest entry is older loses it.
    let mut memory = PassportMemory::new(2, 0);
    memory.remember(&valid(&[1], "a"));
    memory.remember(&valid(&[2], "b"));
    memory.remember(&valid(&[1], "a"));
    memory.remember(&valid(&[3], "c"));
    assert_eq!(known(&memory, &[1, 2, 3]), [1, 3]);
}

#[test]
fn an_agent_that_delegates_without_end_displaces_its_own_entries_alone() {
    let mut memory = PassportMemory::new(10, 0);
    for agent in 0..4 {
        memory.remember(&valid(&[agent], &format!("agent-{agent}")));
    }
    for number in 100..1000 {
        memory.remember(&valid(&[number], "flood"));
    }
    assert_eq!(known(&memory, &[0, 1, 2, 3]), [0, 1, 2, 3]);
    assert_eq!(memory.len(), 10);
    assert_eq!(known(&memory, &[993, 994, 995, 999]), [994, 995, 999]);
}

#[test]
fn new_self_issuers_displace_nothing_of_registered_agents() {
    let mut memory = PassportMemory::new(2, 3);
    memory.remember(&valid(&[1, 2], "a"));
    for number in 100..200 {
        memory.remember(&self_issued(&[number], number));
    }
    assert_eq!(known(&memory, &[1, 2, 196, 197, 198, 199]), [1, 2, 197, 198, 199]);
}

#[test]
fn a_self_issuer_is_one_holder_whatever_it_calls_itself() {
    let holder = |iss, sub| Holder::of(iss, sub);
    assert_eq!(holder("did:key:z1", "a"), holder("did:key:z1", "b"));
    assert_ne!(holder("did:key:z1", "a"), holder("did:key:z2", "a"));
    assert_ne!(holder("https://i.example", "a"), holder("https://i.example", "b"));
    assert_ne!(holder("https://i.example/a", "b"), holder("https://i.example", "/ab"));
}

#[test]
fn without_room_nothing_is_remembered() {
    let mut memory = PassportMemory::new(0, 0);
    memory.remember(&valid(&[1], "a"));
    memory.remember(&self_issued(&[2], 1));
    assert_eq!((memory.len(), known(&memory, &[1, 2])), (0, vec![]));
}

/// A list of (passport, holder, bytes), the last used last.
fn naive(list: &mut Vec<(u16, u16, usize)>, number: u16, agent: u16, capacity: usize) {
    let at = list.iter().position(|(entry, ..)| *entry == number);
    let entry = at.map_or((number, agent, bytes(number)), |at| list.remove(at));
    list.push(entry);
    while list.iter().map(|(.., bytes)| bytes).sum::<usize>() > capacity {
        let held = |agent: u16| list.iter().filter(|(_, holder, _)| *holder == agent).map(|(.., bytes)| bytes).sum();
        let most: usize = list.iter().map(|(_, holder, _)| held(*holder)).max().unwrap();
        let at = list.iter().position(|(_, holder, _)| held(*holder) == most).unwrap();
        list.remove(at);
    }
}

/// How long the passport of that number is.
fn bytes(number: u16) -> usize {
    1 + usize::from(number % 3)
}

proptest! {
    #[test]
    fn the_memory_is_a_list_that_is_looked_through(
        capacity in 1_usize..24,
        uses in proptest::collection::vec((0_u16..30, 0_u16..5), 1..200),
    ) {
        let mut memory = PassportMemory::new(capacity, 0);
        let mut list = vec![];
        for (number, agent) in uses {
            memory.remember(&chain(&[(number, bytes(number))], "https://issuer.example", &format!("agent-{agent}")));
            naive(&mut list, number, agent, capacity);
            let mut expected: Vec<u16> = list.iter().map(|(entry, ..)| *entry).collect();
            expected.sort_unstable();
            prop_assert_eq!(known(&memory, &(0..30).collect::<Vec<_>>()), expected);
            prop_assert_eq!(memory.len(), list.len());
        }
    }
}
