//! What chains cost in verifications, and that what was verified before changes nothing but that.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::counter::{cost, verifications};

/// A memory that has accepted the chain.
fn having_seen(text: &str) -> PassportMemory {
    let mut memory = PassportMemory::new(100_000, 100_000);
    memory.remember(&verify_chain_with(text, &trust(), &at(NOW), &memory).unwrap().1.unwrap());
    assert_eq!(memory.len(), tokens(text).len());
    memory
}

/// With how many signatures it verified, and how many passports it read.
fn verified_with(text: &str, memory: &PassportMemory) -> (Result<VerifiedChain, ChainError>, [usize; 2]) {
    let (result, cost) = cost(|| verify_chain_with(text, &trust(), &at(NOW), memory));
    (result.map(|(chain, _)| chain), cost)
}

#[test]
fn a_chain_costs_its_passports_and_what_was_seen_costs_nothing() {
    for delegations in 0..=MAX_DELEGATIONS {
        let text = honest(delegations);
        let (expected, cold) = cost(|| verified(&text).unwrap());
        assert_eq!(cold, [delegations + 1; 2]);
        for seen in 0..=delegations {
            let memory = having_seen(&tokens(&text)[..=seen].join("~"));
            assert_eq!(verified_with(&text, &memory), (Ok(expected.clone()), [delegations - seen; 2]));
        }
        let (_, news) = verify_chain_with(&text, &trust(), &at(NOW), &having_seen(&text)).unwrap();
        assert!(news.is_none());
    }
}

#[test]
fn another_sub_agent_of_a_parent_that_was_seen_costs_one() {
    let (one, other) = (honest(3), changed(3, 3, |claims| claims["jti"] = json!(jti(9))));
    let (result, cost) = verified_with(&other, &having_seen(&one));
    assert!(result.is_ok());
    assert_eq!(cost, [1, 1]);
}

#[test]
fn a_self_issuer_that_was_seen_costs_nothing_whichever_key_it_issues_for() {
    for holder in [signer(0), agent(0)] {
        let text = changed(1, 0, |claims| {
            claims["iss"] = json!(did_key::encode(signer(0).public()));
            claims["cnf"] = json!({"jwk": jwk(&holder)});
            claims["exp"] = json!(IAT + 24 * 3600);
        });
        // The second was signed by another than the first names.
        let root = tokens(&text)[0];
        assert_eq!(verified_with(root, &having_seen(root)), (verified(root), [0, 0]));
        let code = verified(&text).err().map(|error| error.code());
        assert_eq!(code, (holder.public() == signer(0).public()).then_some("delegation_issuer_mismatch"));
    }
}

#[test]
fn no_changed_byte_of_a_chain_that_was_seen_is_accepted() {
    let text = honest(2);
    let memory = having_seen(&text);
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let (again, _) = verified_with(&changed, &memory);
        assert!(again.is_err(), "byte {at}");
        assert_eq!(again, verified(&changed), "byte {at}");
    }
}

#[test]
fn a_passport_is_known_in_its_chain_alone() {
    // Two of the same issuer for the same agent, and what the agent made of the one.
    let (one, other) = (honest(1), changed(1, 0, |claims| claims["jti"] = json!(jti(9))));
    let mut memory = having_seen(&one);
    memory.remember(&verify_chain_with(&other, &trust(), &at(NOW), &memory).unwrap().1.unwrap());
    let mixed = [tokens(&other)[0], tokens(&one)[1]].join("~");
    let (result, cost) = verified_with(&mixed, &memory);
    assert_eq!(result.unwrap_err().code(), "delegation_parent_mismatch");
    assert_eq!(cost, [0, 1]);
}

/// Whatever changes but the bytes: the verdict is that of a verifier that never saw the chain.
#[test]
fn what_was_seen_expires_and_is_suspended_as_ever() {
    let text = changed(2, 1, |claims| claims["aud"] = json!("gate-a"));
    let memory = having_seen(&text);
    let issuer = |change: &dyn Fn(&mut Issuer)| {
        let mut issuer = trust().issuer(ISSUER).unwrap().clone();
        change(&mut issuer);
        TrustStore::new([issuer], SelfIssued::AnyKey).unwrap()
    };
    let stores = [
        trust(),
        TrustStore::new([], SelfIssued::AnyKey).unwrap(),
        issuer(&|issuer| issuer.status = IssuerStatus::Suspended),
        issuer(&|issuer| issuer.keys[0].key = key(2).public().clone()),
        issuer(&|issuer| issuer.keys[0].not_after = Some(IAT - 1)),
        issuer(&|issuer| issuer.keys[0].compromised_at = Some(IAT)),
        issuer(&|issuer| issuer.max_passport_ttl_seconds = 60),
        issuer(&|issuer| issuer.tier = Tier::L3),
    ];
    let mut codes = BTreeSet::new();
    for (store, now, audience) in stores.iter().flat_map(|store| {
        [IAT - 9, NOW, IAT + TTL + 1, IAT + ROOT_TTL + 1]
            .into_iter()
            .flat_map(move |now| [None, Some("gate-a"), Some("gate-b")].map(|audience| (store, now, audience)))
    }) {
        let context = VerifyContext { now, leeway_seconds: 0, audience };
        let cold = verify_chain(&text, store, &context);
        let (again, cost) = cost(|| verify_chain_with(&text, store, &context, &memory));
        assert_eq!(again.map(|(chain, _)| chain), cold);
        assert_eq!(cost, [0, 0]);
        codes.insert(cold.map_or_else(|error| error.code(), |_| "accepted"));
    }
    let expected = [
        "accepted",
        "audience_mismatch",
        "issuer_key_compromised",
        "issuer_key_unknown",
        "issuer_suspended",
        "issuer_unknown",
        "passport_expired",
        "passport_lifetime_exceeded",
        "passport_not_yet_valid",
    ];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
}

/// How many tokens of the text have the signature of whom they come after, asked of the curve library itself.
fn valid_signatures(text: &str) -> usize {
    let mut signer = Some(*key(ISSUER_SEED).public().as_bytes());
    let mut count = 0;
    for token in text.split('~') {
        let payload = token.split('.').nth(1).and_then(|payload| b64::decode(payload).ok()).unwrap_or_default();
        let claims: Value = serde_json::from_slice(&payload).unwrap_or_default();
        let signature = token.rsplit_once('.').and_then(|(input, end)| Some((input, b64::decode_array(end).ok()?)));
        if let (Some(key), Some((input, signature))) = (signer, signature) {
            let signature = ed25519_dalek::Signature::from_bytes(&signature);
            let key = ed25519_dalek::VerifyingKey::from_bytes(&key);
            count += usize::from(key.is_ok_and(|key| key.verify_strict(input.as_bytes(), &signature).is_ok()));
        }
        signer = claims.pointer("/cnf/jwk/x").and_then(|x| b64::decode_array(x.as_str()?).ok());
    }
    count
}

/// What is done to a chain that was honestly made.
fn tampered(text: &str, damage: u8, first: Index, second: Index) -> String {
    let mut all: Vec<String> = tokens(text).into_iter().map(String::from).collect();
    let (one, other) = (first.index(all.len()), second.index(all.len()));
    match damage {
        // What was damaged before may be no token any more.
        0 if all[one].contains('.') => all[one] = with_broken_signature(&all[one]),
        1 => all.swap(one, other),
        2 => drop(all.remove(one)),
        3 => all.insert(one, text.split('~').nth(other).unwrap().into()),
        4 => {
            // Another key over the same claims.
            let payload = all[one].split('.').nth(1).and_then(|payload| b64::decode(payload).ok());
            all[one] = jws::sign(&key(77), TokenType::Passport, &payload.unwrap_or_default());
        }
        _ => {
            let mut bytes = all[one].clone().into_bytes();
            let at = second.index(bytes.len().max(1));
            bytes.resize(bytes.len().max(1), b'A');
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            all[one] = String::from_utf8(bytes).unwrap();
        }
    }
    all.join("~")
}

proptest! {
    #[test]
    fn a_refused_chain_costs_at_most_one_more_than_its_valid_signatures(
        delegations in 0..=MAX_DELEGATIONS,
        widened in proptest::option::of(any::<Index>()),
        damages in proptest::collection::vec((0_u8..6, any::<Index>(), any::<Index>()), 0..3),
    ) {
        let mut text = match widened {
            Some(link) => {
                changed(delegations, link.index(delegations + 1), |claims| claims["permissions"] = json!(["*"]))
            }
            None => honest(delegations),
        };
        for (damage, first, second) in damages {
            text = tampered(&text, damage, first, second);
        }
        let (result, count) = verifications(|| verified(&text));
        let valid = valid_signatures(&text);
        prop_assert!(count <= valid + 1, "{count} verifications, {valid} valid");
        prop_assert!(result.is_err() || (count == valid && valid == tokens(&text).len()));
        // Nor does a memory of the honest chain accept anything else.
        let (again, with_memory) = verified_with(&text, &having_seen(&honest(delegations)));
        prop_assert_eq!(again, result);
        prop_assert!(with_memory[0] <= count);
    }
}
