use alloc::format;
use alloc::vec;

use proptest::prelude::*;

use super::*;

/// The signature of that number; no two are the same.
fn id(number: u16) -> SignatureId {
    let mut id = SignatureId { token_sha256: [7; 32], key: [9; 32] };
    [id.token_sha256[0], id.key[31]] = number.to_be_bytes();
    id
}

fn valid(ids: &[u16], agent: &str) -> ValidSignatures {
    let checked: Vec<Checked> = ids.iter().map(|number| Checked { id: id(*number), is_new: true }).collect();
    ValidSignatures::new(&checked, "https://issuer.example", agent)
}

fn self_issued(ids: &[u16], agent: u16) -> ValidSignatures {
    let checked: Vec<Checked> = ids.iter().map(|number| Checked { id: id(*number), is_new: true }).collect();
    ValidSignatures::new(&checked, &format!("did:key:z{agent}"), "agent")
}

fn known(memory: &SignatureMemory, numbers: &[u16]) -> Vec<u16> {
    numbers.iter().copied().filter(|number| memory.is_known(&id(*number))).collect()
}

#[test]
fn only_the_same_bytes_under_the_same_key_are_known() {
    let mut memory = SignatureMemory::new(8, 8);
    assert!(memory.is_empty() && !memory.is_known(&id(1)));
    memory.remember(&valid(&[1], "a"));
    assert!(memory.is_known(&id(1)));
    for at in 0..SIGNATURE_ID_BYTES {
        let mut bytes = id(1).to_bytes();
        bytes[at] ^= 1;
        assert!(!memory.is_known(&SignatureId::from_bytes(&bytes)), "byte {at}");
    }
    assert_eq!(SignatureId::from_bytes(&id(1).to_bytes()), id(1));
    assert_eq!(id(1).to_bytes()[..32], id(1).token_sha256());
}

#[test]
fn hints_are_looked_through() {
    assert!([id(1), id(2)].is_known(&id(2)) && !NOTHING.is_known(&id(1)));
    assert!(![id(1), id(2)][..].is_known(&id(3)));
}

#[test]
fn the_least_recently_used_is_displaced() {
    let mut memory = SignatureMemory::new(3, 0);
    memory.remember(&valid(&[1, 2, 3], "a"));
    memory.remember(&valid(&[1], "a"));
    memory.remember(&valid(&[4], "a"));
    assert_eq!(known(&memory, &[1, 2, 3, 4]), [1, 3, 4]);
    // Of agents that have as much, the one whose oldest entry is older loses it.
    let mut memory = SignatureMemory::new(2, 0);
    memory.remember(&valid(&[1], "a"));
    memory.remember(&valid(&[2], "b"));
    memory.remember(&valid(&[1], "a"));
    memory.remember(&valid(&[3], "c"));
    assert_eq!(known(&memory, &[1, 2, 3]), [1, 3]);
}

#[test]
fn an_agent_that_delegates_without_end_displaces_its_own_entries_alone() {
    let mut memory = SignatureMemory::new(10, 0);
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
    let mut memory = SignatureMemory::new(2, 3);
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
    let mut memory = SignatureMemory::new(0, 0);
    memory.remember(&valid(&[1], "a"));
    memory.remember(&self_issued(&[2], 1));
    assert_eq!((memory.len(), known(&memory, &[1, 2])), (0, vec![]));
}

/// A list of (entry, holder), the last used last.
fn naive(list: &mut Vec<(u16, u16)>, number: u16, agent: u16, capacity: usize) {
    let at = list.iter().position(|(entry, _)| *entry == number);
    let entry = at.map_or((number, agent), |at| list.remove(at));
    list.push(entry);
    while list.len() > capacity {
        let count = |agent: u16| list.iter().filter(|(_, holder)| *holder == agent).count();
        let most = list.iter().map(|(_, holder)| count(*holder)).max().unwrap();
        let at = list.iter().position(|(_, holder)| count(*holder) == most).unwrap();
        list.remove(at);
    }
}

proptest! {
    #[test]
    fn the_memory_is_a_list_that_is_looked_through(
        capacity in 1_usize..12,
        uses in proptest::collection::vec((0_u16..30, 0_u16..5), 1..200),
    ) {
        let mut memory = SignatureMemory::new(capacity, 0);
        let mut list = vec![];
        for (number, agent) in uses {
            memory.remember(&valid(&[number], &format!("agent-{agent}")));
            naive(&mut list, number, agent, capacity);
            let mut expected: Vec<u16> = list.iter().map(|(entry, _)| *entry).collect();
            expected.sort_unstable();
            prop_assert_eq!(known(&memory, &(0..30).collect::<Vec<_>>()), expected);
            prop_assert_eq!(memory.len(), list.len());
        }
    }
}
