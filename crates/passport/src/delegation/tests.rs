mod attacks;
mod cost;
mod making;

use alloc::format;
use alloc::string::ToString as _;
use alloc::vec;
use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::b64;
use crate::did_key;
use crate::digest::sha256_label as sha256_text;
use crate::jws::{self, JwsError, TokenType};
use crate::key::SecretKey;
use crate::passport::MAX_PASSPORT_BYTES;
use crate::trust::{Issuer, IssuerKey, IssuerStatus, SelfIssued};

const ISSUER: &str = "https://issuer.example";
const IAT: i64 = 1_700_000_000;
const ROOT_TTL: i64 = 7 * 24 * 60 * 60;
const TTL: i64 = 3600;
const NOW: i64 = IAT + 60;

/// Seed of the issuer's key; the agent at link n has 10 + n.
const ISSUER_SEED: u8 = 1;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// The key of the agent at `link`.
fn agent(link: usize) -> SecretKey {
    key(10 + u8::try_from(link).unwrap())
}

fn trust() -> TrustStore {
    let keys = vec![IssuerKey::unbounded(key(ISSUER_SEED).public().clone())];
    let issuer = Issuer {
        id: ISSUER.to_string(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys,
        max_passport_ttl_seconds: ROOT_TTL,
    };
    TrustStore::new([issuer], SelfIssued::AnyKey).unwrap()
}

fn at(now: i64) -> VerifyContext<'static> {
    VerifyContext { now, leeway_seconds: 0, audience: None }
}

fn verified(text: &str) -> Result<VerifiedChain, ChainError> {
    verify_chain(text, &trust(), &at(NOW))
}

fn refusal(text: &str) -> ChainError {
    verified(text).unwrap_err()
}

fn jti(link: usize) -> String {
    format!("pass_01ARYZ6S41000000000000000{link}")
}

fn jwk(key: &SecretKey) -> Value {
    serde_json::from_str(&key.public().to_jwk()).unwrap()
}

fn root_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "agent-0", "jti": jti(0), "iat": IAT, "exp": IAT + ROOT_TTL,
        "cnf": {"jwk": jwk(&agent(0))}, "permissions": ["payments:*", "vault:*:read"],
        "delegation": {"depth_left": 5},
    })
}

/// The claims of the passport at `link`, honestly made from the one before it.
fn child_claims(link: usize, parent: &Value, parent_token: &str, root: &Value) -> Value {
    json!({
        "iss": did_key::encode(agent(link - 1).public()), "sub": format!("agent-{link}"), "jti": jti(link),
        "iat": IAT + i64::try_from(link).unwrap(), "exp": IAT + TTL,
        "cnf": {"jwk": jwk(&agent(link))}, "permissions": ["payments:refund"],
        "delegation": {
            "parent": parent["jti"], "parent_sha256": sha256_text(&Sha256::digest(parent_token).into()),
            "root_issuer": root["iss"], "spawned_by": parent["sub"], "depth_left": 5 - link,
        },
    })
}

fn sign(key: &SecretKey, claims: &Value) -> String {
    jws::sign(key, TokenType::Passport, claims.to_string().as_bytes())
}

/// The key that signs the passport at `link`, if all is honest.
fn signer(link: usize) -> SecretKey {
    if link == 0 { key(ISSUER_SEED) } else { agent(link - 1) }
}

/// A chain whose claims are changed before they are signed; what follows a changed link is made from it.
fn forged(delegations: usize, change: impl Fn(usize, &mut Value)) -> String {
    let mut tokens: Vec<String> = vec![];
    let mut claims: Vec<Value> = vec![];
    for link in 0..=delegations {
        let mut next = match (claims.last(), tokens.last()) {
            (Some(parent), Some(token)) => child_claims(link, parent, token, &claims[0]),
            _ => root_claims(),
        };
        change(link, &mut next);
        tokens.push(sign(&signer(link), &next));
        claims.push(next);
    }
    tokens.join("~")
}

fn honest(delegations: usize) -> String {
    forged(delegations, |_, _| {})
}

/// One link's claims are changed.
fn changed(delegations: usize, link: usize, change: impl Fn(&mut Value)) -> String {
    forged(delegations, |at, claims| {
        if at == link {
            change(claims);
        }
    })
}

fn tokens(chain: &str) -> Vec<&str> {
    chain.split('~').collect()
}

/// The same token with a signature of zeros: a refusal of its claims has to come without looking at it.
fn with_broken_signature(token: &str) -> String {
    let (input, _) = token.rsplit_once('.').unwrap();
    format!("{input}.{}", b64::encode(&[0; 64]))
}

#[test]
fn chains_of_every_length_verify() {
    for delegations in 0..=MAX_DELEGATIONS {
        let text = honest(delegations);
        let chain = verified(&text).unwrap();
        assert_eq!(chain.delegations(), delegations);
        let names: Vec<&str> = chain.links().map(|link| link.claims.sub.as_str()).collect();
        let expected: Vec<String> = (0..=delegations).map(|link| format!("agent-{link}")).collect();
        assert_eq!(names, expected);
        assert_eq!(chain.key(), agent(delegations).public());
        assert_eq!((chain.root_issuer(), chain.tier()), (ISSUER, Tier::L2));
        assert_eq!(chain.token_sha256(), <[u8; 32]>::from(Sha256::digest(&text)));
        assert_eq!(usize::from(chain.depth_left()), 5 - delegations);
        assert_eq!(chain.expires_at(), if delegations == 0 { IAT + ROOT_TTL } else { IAT + TTL });
        assert_eq!(inspect_chain(&text).unwrap().iter().collect::<Vec<_>>(), chain.links().collect::<Vec<_>>());
        let permitted = |action| chain.permits(&ActionName::parse(action).unwrap());
        assert!(permitted("payments:refund"));
        assert_eq!(permitted("payments:capture"), delegations == 0);
    }
}

/// A passport that says nothing about delegation, with one claim more.
fn plain(claim: &str, value: Value) -> String {
    changed(0, 0, |claims| {
        claims.as_object_mut().unwrap().remove("delegation");
        claims[claim] = value.clone();
    })
}

#[test]
fn a_passport_by_itself_is_a_chain_of_one_that_ends_there() {
    let chain = verified(&plain("constraints", json!({"max_records": 1}))).unwrap();
    assert_eq!((chain.delegations(), chain.depth_left(), chain.leaf()), (0, 0, chain.root()));
    assert_eq!(chain.constraints().max_records, Some(1));
    // Its refusal reads as that of a passport.
    let expired = PassportError::Expired { exp: NOW - 1, now: NOW };
    let refused = refusal(&plain("exp", json!(NOW - 1)));
    assert_eq!(refused.to_string(), expired.to_string());
    assert_eq!(refused, ChainError::at(0, expired));
}

#[test]
fn the_leaf_has_the_strictest_of_all_limits() {
    let text = forged(3, |link, claims| match link {
        0 => {
            claims["aud"] = json!(["gate-a", "gate-b", "gate-c"]);
            claims["constraints"] = json!({
                "spend": {"daily_micro_usd": 1000}, "domains": ["*.example.com"], "labels": ["pii"], "max_records": 9,
            });
        }
        1 => claims["constraints"] = json!({"spend": {"daily_micro_usd": 400, "monthly_micro_usd": 5000}}),
        2 => {
            claims["aud"] = json!(["gate-b", "gate-a"]);
            claims["constraints"] = json!({"labels": ["pii", "web"], "purpose": "Refunds"});
        }
        _ => claims["constraints"] = json!({"domains": ["api.example.com"], "context": {"team": ["a"]}}),
    });
    let chain = verified(&text).unwrap();
    let expected = json!({
        "spend": {"daily_micro_usd": 400, "monthly_micro_usd": 5000}, "domains": ["api.example.com"], "max_records": 9,
        "labels": ["pii", "web"], "purpose": "Refunds", "context": {"team": ["a"]},
    });
    let expected = Constraints::from_json(expected.to_string().as_bytes(), 1000).unwrap();
    assert_eq!(chain.constraints(), &expected);
    assert_eq!(chain.audience().unwrap(), ["gate-b", "gate-a"]);
    assert_eq!(chain.leaf().constraints.max_records, None, "a link shows what it states itself");
}

#[test]
fn a_self_issued_root_is_delegated_at_l1() {
    let did = did_key::encode(agent(0).public());
    let mut root = root_claims();
    root["iss"] = json!(did);
    let root_token = sign(&agent(0), &root);
    let child = sign(&agent(0), &child_claims(1, &root, &root_token, &root));
    let chain = verified(&format!("{root_token}~{child}")).unwrap();
    assert_eq!((chain.tier(), chain.root_issuer()), (Tier::L1, did.as_str()));
    let refused = TrustStore::new([], SelfIssued::Refused).unwrap();
    let refused = verify_chain(&format!("{root_token}~{child}"), &refused, &at(NOW)).unwrap_err();
    assert_eq!(refused, ChainError::at(0, PassportError::IssuerUnknown));
}

#[test]
fn a_link_may_ask_for_a_lower_tier_and_none_below_it_rises_again() {
    let tiers = |first: &'static str, second: Option<&'static str>| {
        forged(2, move |link, claims| match (link, second) {
            (1, _) => claims["trust_tier"] = json!(first),
            (2, Some(second)) => claims["trust_tier"] = json!(second),
            _ => {}
        })
    };
    assert_eq!(verified(&tiers("L2", None)).unwrap().tier(), Tier::L2);
    assert_eq!(verified(&tiers("L1", None)).unwrap().tier(), Tier::L1);
    assert_eq!(verified(&tiers("L1", Some("L1"))).unwrap().tier(), Tier::L1);
    assert_eq!(refusal(&tiers("L1", Some("L2"))), ChainError::at(2, Violation::WidensTier));
    assert_eq!(refusal(&tiers("L3", None)), ChainError::at(1, Violation::WidensTier));
}

#[test]
fn codes_are_stable_and_each_violation_has_its_own() {
    let codes: Vec<&str> = Violation::ALL.iter().map(Violation::code).collect();
    assert_eq!(
        codes.join(" "),
        "delegation_root_missing delegation_missing delegation_depth delegation_parent_mismatch \
         delegation_parent_hash_mismatch delegation_root_mismatch delegation_spawner_mismatch \
         delegation_issuer_mismatch delegation_key_mismatch delegation_signature_invalid delegation_self \
         delegation_id_reused delegation_lifetime delegation_outlives_parent delegation_predates_parent \
         delegation_status delegation_widens_scope delegation_widens_audience delegation_widens_tier \
         delegation_widens_spend delegation_widens_rate delegation_widens_domains delegation_widens_resources \
         delegation_widens_context delegation_widens_max_records delegation_changes_purpose delegation_changes_task \
         delegation_drops_label"
    );
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
}
