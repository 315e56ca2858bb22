//! Chains of delegated passports against a slow evaluator, and chains that were tampered with.
//!
//! `PROPTEST_CASES` sets how many random chains are looked at.
#![cfg(test)]

mod random;
mod reference;

use passgate_passport::delegation::{ChainError, VerifiedChain, verify_chain};
use passgate_passport::key::SecretKey;
use passgate_passport::passport::{MAX_PASSPORT_BYTES, VerifyContext};
use passgate_passport::scope::ActionName;
use passgate_passport::trust::{Issuer, IssuerKey, IssuerStatus, SelfIssued, Tier, TrustStore};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::random::{Chain, ISSUER, NOW, ROOT_TTL};
use crate::reference::Request;

fn trust() -> TrustStore {
    let key = SecretKey::from_seed([random::ISSUER_SEED; 32]).public().clone();
    let issuer = Issuer {
        id: ISSUER.to_owned(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys: vec![IssuerKey { key, not_before: None, not_after: None }],
        max_passport_ttl_seconds: ROOT_TTL,
    };
    TrustStore::new([issuer], SelfIssued::AnyKey).unwrap()
}

fn verified(text: &str) -> Result<VerifiedChain, ChainError> {
    verify_chain(text, &trust(), &VerifyContext { now: NOW, leeway_seconds: 0, audience: None })
}

/// What the verified chain says about `request`.
fn permits(chain: &VerifiedChain, request: &Request) -> bool {
    let within = |cap: Option<u64>, amount: u64| cap.is_none_or(|cap| amount <= cap);
    let limits = chain.constraints();
    let (spend, rate) = (limits.spend, limits.rate);
    match request {
        Request::Action(name) => chain.permits(&ActionName::parse(name).unwrap()),
        Request::Host(host) => limits.permits_domain(host),
        Request::Resource(resource) => limits.permits_resource(resource),
        Request::Context(name, value) => limits.permits_context(name, *value),
        Request::Amount("per_transaction_micro_usd", amount) => within(spend.per_transaction_micro_usd, *amount),
        Request::Amount("daily_micro_usd", amount) => within(spend.daily_micro_usd, *amount),
        Request::Amount("monthly_micro_usd", amount) => within(spend.monthly_micro_usd, *amount),
        Request::Amount("requests_per_minute", amount) => within(rate.requests_per_minute, *amount),
        Request::Amount("requests_per_hour", amount) => within(rate.requests_per_hour, *amount),
        Request::Amount("requests_per_day", amount) => within(rate.requests_per_day, *amount),
        Request::Amount("max_records", amount) => within(limits.max_records, *amount),
        Request::Amount(other, _) => panic!("{other}"),
        Request::Gate(name) => chain.audience().is_none_or(|list| list.iter().any(|gate| gate == name)),
    }
}

/// Compares the verdict on a chain and, where it is accepted, its authority with the evaluator's.
fn compare(chain: &Chain) -> Result<Option<VerifiedChain>, TestCaseError> {
    let result = verified(&chain.text());
    if chain.text().len() > MAX_PASSPORT_BYTES {
        prop_assert!(result.is_err());
        return Ok(None);
    }
    let universe = reference::universe();
    let verdict = reference::refusal(&chain.claims, &universe);
    let Ok(accepted) = result else {
        prop_assert!(verdict.is_some(), "only refused here: {:?} {:#?}", result, chain.claims);
        return Ok(None);
    };
    prop_assert!(verdict.is_none(), "only refused by the evaluator: {:?} {:#?}", verdict, chain.claims);
    for request in &universe {
        let by_each = chain.claims.iter().map(|link| reference::permits(link, request));
        let by_each: Vec<bool> = by_each.collect();
        let real = permits(&accepted, request);
        prop_assert!(!real || by_each[0], "the root lacks {request:?}: {:#?}", chain.claims);
        prop_assert_eq!(real, by_each.iter().all(|permitted| *permitted), "{:?} {:#?}", request, chain.claims);
    }
    let labels: Vec<String> = accepted.constraints().labels.iter().flatten().cloned().collect();
    prop_assert_eq!(labels, reference::labels(&chain.claims));
    prop_assert!(accepted.tier() <= Tier::L2);
    Ok(Some(accepted))
}

#[test]
fn the_random_chains_are_of_every_kind() {
    let mut lengths = [0; 7];
    let mut refusals = std::collections::BTreeMap::new();
    for seed in 0..600 {
        let chain = random::chain(seed);
        compare(&chain).unwrap();
        match verified(&chain.text()) {
            Ok(accepted) => lengths[accepted.links().count()] += 1,
            Err(error) => *refusals.entry(error.code()).or_insert(0) += 1,
        }
    }
    assert!(lengths[1..].iter().all(|count| *count > 10), "{lengths:?}");
    let kinds = refusals.keys().filter(|code| code.starts_with("delegation_")).count();
    assert!(kinds >= 15, "{refusals:?}");
}

proptest! {
    #[test]
    fn no_chain_has_authority_that_its_root_lacks(seed in any::<u64>()) {
        compare(&random::chain(seed))?;
    }

    #[test]
    fn any_changed_byte_is_refused(seed in any::<u64>(), position in any::<Index>(), byte in b' '..=b'~') {
        let text = random::honest(seed).text();
        prop_assert!(verified(&text).is_ok());
        let mut bytes = text.clone().into_bytes();
        let index = position.index(bytes.len());
        bytes[index] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(changed == text || verified(&changed).is_err(), "byte {index}");
    }

    #[test]
    fn a_missing_or_added_byte_is_refused(seed in any::<u64>(), position in any::<Index>(), byte in b' '..=b'~') {
        let text = random::honest(seed).text();
        let index = position.index(text.len());
        let (before, after) = text.split_at(index);
        let without: String = before.chars().chain(after.chars().skip(1)).collect();
        let with = format!("{before}{}{after}", char::from(byte));
        prop_assert!(verified(&without).is_err() && verified(&with).is_err(), "byte {index}");
    }

    /// Passports of two chains between the same agents in any order, number and mixture.
    #[test]
    fn only_beginnings_of_chains_that_were_made_are_chains(
        seeds in (any::<u64>(), any::<u64>()),
        picks in proptest::collection::vec((any::<bool>(), any::<Index>()), 1..7),
        straight in any::<bool>(),
    ) {
        let (one, other) = (random::honest(seeds.0), random::honest(seeds.1));
        let pick = |(link, (first, index)): (usize, &(bool, Index))| {
            let tokens = if *first { &one.tokens } else { &other.tokens };
            let at = if straight { link.min(tokens.len() - 1) } else { index.index(tokens.len()) };
            tokens[at].clone()
        };
        let spliced: Vec<String> = picks.iter().enumerate().map(pick).collect();
        let is_beginning = |chain: &Chain| chain.tokens.starts_with(&spliced);
        prop_assert_eq!(verified(&spliced.join("~")).is_ok(), is_beginning(&one) || is_beginning(&other));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[a-zA-Z0-9_.~-]{0,200}") {
        prop_assert!(verified(&text).is_err());
    }
}
