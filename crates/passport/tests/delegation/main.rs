//! Chains of delegated passports against a slow evaluator, and chains that were tampered with.
//!
//! `PROPTEST_CASES` sets how many cases each property looks at, and `PASSGATE_RANDOM_CHAINS` how many chains the slow
//! verifier does. A million of them: `CARGO_PROFILE_DEV_OPT_LEVEL=2 PASSGATE_RANDOM_CHAINS=1000000 cargo test --package
//! passgate-passport --test delegation random_chains_are_judged -- --nocapture`
#![cfg(test)]

mod random;
mod reference;
mod verifier;

use std::sync::OnceLock;

use passgate_passport::delegation::{ChainError, VerifiedChain, verify_chain};
use passgate_passport::key::SecretKey;
use passgate_passport::passport::{MAX_PASSPORT_BYTES, VerifyContext};
use passgate_passport::scope::ActionName;
use passgate_passport::trust::{Issuer, IssuerKey, IssuerStatus, SelfIssued, Tier, TrustStore};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::random::{Chain, ISSUER, NOW, ROOT_TTL};
use crate::reference::{Judgement, Request};
use crate::verifier::Moment;

fn trust() -> &'static TrustStore {
    static TRUST: OnceLock<TrustStore> = OnceLock::new();
    TRUST.get_or_init(|| {
        let key = SecretKey::from_seed([random::ISSUER_SEED; 32]).public().clone();
        let issuer = Issuer {
            id: ISSUER.to_owned(),
            tier: Tier::L2,
            status: IssuerStatus::Active,
            keys: vec![IssuerKey::unbounded(key)],
            max_passport_ttl_seconds: ROOT_TTL,
        };
        TrustStore::new([issuer], SelfIssued::AnyKey).unwrap()
    })
}

fn universe() -> &'static [Request] {
    static UNIVERSE: OnceLock<Vec<Request>> = OnceLock::new();
    UNIVERSE.get_or_init(reference::universe)
}

fn verified(text: &str) -> Result<VerifiedChain, ChainError> {
    verified_at(text, Moment { now: NOW, leeway: 0, audience: None })
}

fn verified_at(text: &str, moment: Moment) -> Result<VerifiedChain, ChainError> {
    let Moment { now, leeway, audience } = moment;
    verify_chain(text, trust(), &VerifyContext { now, leeway_seconds: leeway, audience })
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
        Request::Amount("total_micro_usd", amount) => within(spend.total_micro_usd, *amount),
        Request::Amount("requests_per_minute", amount) => within(rate.requests_per_minute, *amount),
        Request::Amount("requests_per_hour", amount) => within(rate.requests_per_hour, *amount),
        Request::Amount("requests_per_day", amount) => within(rate.requests_per_day, *amount),
        Request::Amount("max_records", amount) => within(limits.max_records, *amount),
        Request::Amount(other, _) => panic!("{other}"),
        Request::Gate(name) => chain.audience().is_none_or(|list| list.iter().any(|gate| gate == name)),
    }
}

/// Compares the verdict on a chain and, where it is accepted, its authority with the evaluator's.
fn compare(chain: &Chain) -> Result<(), TestCaseError> {
    let result = verified(&chain.text());
    if chain.text().len() > MAX_PASSPORT_BYTES {
        prop_assert!(result.is_err());
        return Ok(());
    }
    let judgement = reference::judge(&chain.claims, universe());
    let judged = judgement.refusal.clone().map_or(Ok(judgement), Err);
    agree(&result, &judged).map_err(|why| TestCaseError::fail(format!("{why}: {:#?}", chain.claims)))
}

/// The number of requests that were compared and permitted, or where the two verdicts differ.
fn agree(result: &Result<VerifiedChain, ChainError>, judged: &Result<Judgement, String>) -> Result<(), String> {
    let (accepted, judgement) = match (result, judged) {
        (Ok(accepted), Ok(judgement)) => (accepted, judgement),
        (Err(_), Err(_)) => return Ok(()),
        (real, judged) => return Err(format!("{:?}, but {:?}", real.as_ref().err(), judged.as_ref().err())),
    };
    for (at, request) in universe().iter().enumerate() {
        let real = permits(accepted, request);
        if real && !judgement.by_root[at] {
            return Err(format!("the root lacks {request:?}"));
        }
        if real != judgement.by_all[at] {
            return Err(format!("{real} for {request:?}"));
        }
    }
    let labels: Vec<String> = accepted.constraints().labels.iter().flatten().cloned().collect();
    match labels == judgement.labels && accepted.tier() <= Tier::L2 {
        true => Ok(()),
        false => Err(format!("labels {labels:?}, tier {}", accepted.tier())),
    }
}

/// How many random chains `random_chains_are_judged_as_by_the_slow_verifier` looks at.
fn random_chains() -> u64 {
    let asked = std::env::var("PASSGATE_RANDOM_CHAINS").ok();
    asked.map_or(2_000, |count| count.parse().expect("PASSGATE_RANDOM_CHAINS is a number"))
}

/// Every seed from 0 on, whose chain is presented at some moment; every request of the universe is asked of each chain
/// that is accepted.
#[test]
#[expect(clippy::disallowed_methods, reason = "a million chains take all cores")]
fn random_chains_are_judged_as_by_the_slow_verifier() {
    let threads = std::thread::available_parallelism().map_or(1, |count| u64::try_from(count.get()).unwrap());
    let judge = |seed: u64| {
        let (text, moment) = random::presented(seed);
        let result = verified_at(&text, moment);
        let agreed = agree(&result, &verifier::judge(&text, moment, universe()));
        agreed.unwrap_or_else(|why| panic!("seed {seed}: {why}\n{moment:?}\n{text}"));
        u64::from(result.is_ok())
    };
    let accepted: u64 = std::thread::scope(|scope| {
        let part =
            |first: u64| (first..random_chains()).step_by(usize::try_from(threads).unwrap()).map(judge).sum::<u64>();
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        parts.into_iter().map(|part| part.join().unwrap()).sum()
    });
    let all = random_chains();
    println!("{all} chains, {accepted} of them accepted, {} requests asked", accepted * universe().len() as u64);
    assert!(accepted * 10 > all && accepted * 10 < all * 9, "{accepted} of {all}");
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
