use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde_json::{Value, json};

use sha2::{Digest as _, Sha256};

use super::*;
use crate::b64;
use crate::delegation::{ChainError, VerifiedChain, Violation, inspect_chain, verify_chain};
use crate::json::JsonError;
use crate::jws::{self, TokenType};
use crate::key::SecretKey;
use crate::trust::{Issuer, IssuerKey, SelfIssued};

const ISSUER: &str = "https://issuer.example";
const IAT: i64 = 1_700_000_000;
const TTL: i64 = 3600;
const EXP: i64 = IAT + TTL;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn issuer_key(seed: u8) -> IssuerKey {
    IssuerKey::unbounded(key(seed).public().clone())
}

fn issuer() -> Issuer {
    Issuer {
        id: ISSUER.to_string(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys: vec![issuer_key(1)],
        max_passport_ttl_seconds: TTL,
    }
}

/// Trusts the issuer with key 1, a second one with key 2, and every self-issuer.
fn trust() -> TrustStore {
    let other =
        Issuer { id: "https://other.example".to_string(), tier: Tier::L3, keys: vec![issuer_key(2)], ..issuer() };
    TrustStore::new([issuer(), other], SelfIssued::AnyKey).unwrap()
}

fn claims() -> Value {
    let jwk: Value = serde_json::from_str(&key(9).public().to_jwk()).unwrap();
    json!({
        "iss": ISSUER, "sub": "agent-1", "jti": "pass_01ARYZ6S410000000000000001",
        "iat": IAT, "exp": EXP, "cnf": {"jwk": jwk}, "permissions": ["payments:*"],
    })
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut changed = claims();
    changed[name] = value.into();
    changed
}

fn signed(seed: u8, claims: &Value) -> String {
    jws::sign(&key(seed), TokenType::Passport, claims.to_string().as_bytes())
}

fn at(now: i64) -> VerifyContext<'static> {
    VerifyContext { now, leeway_seconds: 0, audience: None }
}

/// What is wrong with a single passport is wrong with the passport, and with no chain.
fn violated(error: ChainError) -> PassportError {
    match error {
        ChainError { link: 0, violation: Violation::Passport(error) } => error,
        other => panic!("{other:?}"),
    }
}

fn verify(token: &str, trust: &TrustStore, context: &VerifyContext<'_>) -> Result<VerifiedChain, PassportError> {
    verify_chain(token, trust, context).map_err(violated)
}

fn refusal(token: &str) -> PassportError {
    verify(token, &trust(), &at(IAT + 1)).unwrap_err()
}

/// The same token with a signature of zeros: a refusal of its form has to come without looking at it.
fn with_broken_signature(token: &str) -> String {
    let (input, _) = token.rsplit_once('.').unwrap();
    format!("{input}.{}", b64::encode(&[0; 64]))
}

#[test]
fn a_registered_issuers_passport_verifies() {
    let token = signed(1, &claims());
    let passport = verify(&token, &trust(), &at(IAT + 1)).unwrap();
    assert_eq!(passport.tier(), Tier::L2);
    assert_eq!(passport.root_issuer(), ISSUER);
    assert_eq!(passport.leaf().kid, key(1).public().thumbprint());
    assert_eq!(passport.leaf().claims.sub, "agent-1");
    assert_eq!(passport.token_sha256(), <[u8; 32]>::from(Sha256::digest(&token)));
    assert_eq!(passport.leaf().token_sha256, passport.token_sha256());
    assert_eq!(inspect_chain(&token).unwrap(), [passport.leaf().clone()]);
}

#[test]
fn a_self_issued_passport_verifies_with_the_key_of_its_issuer_alone() {
    let did = did_key::encode(key(5).public());
    let passport = verify(&signed(5, &with("iss", did.as_str())), &trust(), &at(IAT + 1)).unwrap();
    assert_eq!((passport.tier(), passport.root_issuer()), (Tier::L1, did.as_str()));
    // Signed by another key, even a registered issuer's.
    for seed in [1, 6] {
        assert_eq!(refusal(&signed(seed, &with("iss", did.as_str()))), PassportError::IssuerKeyUnknown);
    }
    for iss in ["did:key:", "did:key:z6Mk", &format!("{did}#fragment")] {
        let refused = refusal(&signed(5, &with("iss", iss)));
        assert!(matches!(refused, PassportError::Claims(ClaimsError::Invalid { claim: "iss", .. })), "{iss}");
    }
}

#[test]
fn self_issuers_are_refused_as_configured() {
    let did = did_key::encode(key(5).public());
    let token = signed(5, &with("iss", did.as_str()));
    let listed = |seed| SelfIssued::Listed(vec![key(seed).public().thumbprint().to_string()]);
    for (mode, accepted) in
        [(SelfIssued::Refused, false), (SelfIssued::AnyKey, true), (listed(5), true), (listed(6), false)]
    {
        let store = TrustStore::new([issuer()], mode.clone()).unwrap();
        let result = verify(&token, &store, &at(IAT + 1));
        assert_eq!(result.is_ok(), accepted, "{mode:?}");
        assert!(accepted || result == Err(PassportError::IssuerUnknown));
    }
}

#[test]
fn issuer_confusion() {
    let trust_with = |changed: Issuer| TrustStore::new([changed], SelfIssued::AnyKey).unwrap();
    // Signed by one issuer in the name of another, in either direction.
    assert_eq!(refusal(&signed(2, &claims())), PassportError::IssuerKeyUnknown);
    assert_eq!(refusal(&signed(1, &with("iss", "https://other.example"))), PassportError::IssuerKeyUnknown);
    // Names that only look like a registered one.
    for iss in
        ["https://unknown.example", "https://issuer.example/", "HTTPS://issuer.example", "https://issuer.exampl", "*"]
    {
        assert_eq!(refusal(&signed(1, &with("iss", iss))), PassportError::IssuerUnknown, "{iss}");
    }
    let suspended = trust_with(Issuer { status: IssuerStatus::Suspended, ..issuer() });
    let refused = verify(&signed(1, &claims()), &suspended, &at(IAT + 1));
    assert_eq!(refused, Err(PassportError::IssuerSuspended));
    // The key was rotated out of the store.
    let rotated = trust_with(Issuer { keys: vec![issuer_key(3)], ..issuer() });
    assert_eq!(verify(&signed(1, &claims()), &rotated, &at(IAT + 1)), Err(PassportError::IssuerKeyUnknown));
    // A header that names the right key over a signature by the wrong one.
    let forged = signed(4, &claims());
    let (_, signature) = forged.rsplit_once('.').unwrap();
    let honest = signed(1, &claims());
    let (input, _) = honest.rsplit_once('.').unwrap();
    assert_eq!(refusal(&format!("{input}.{signature}")), PassportError::SignatureInvalid);
    assert_eq!(refusal(&with_broken_signature(&honest)), PassportError::SignatureInvalid);
}

#[test]
fn an_issuers_key_counts_in_its_interval_for_issuing_and_for_now() {
    let now = IAT + 100;
    for (not_before, not_after, accepted) in [
        (None, None, true),
        (Some(IAT), Some(now), true),
        (Some(IAT + 1), None, false),
        (None, Some(now - 1), false),
        (None, Some(IAT - 1), false),
        (Some(now + 1), None, false),
        (None, Some(IAT), false),
        (Some(now), None, false),
    ] {
        let keys = vec![IssuerKey { not_before, not_after, ..issuer_key(1) }];
        let store = TrustStore::new([Issuer { keys, ..issuer() }], SelfIssued::Refused).unwrap();
        // Leeway stretches the passport's times, never the interval of a key.
        let context = VerifyContext { leeway_seconds: 60, ..at(now) };
        let result = verify(&signed(1, &claims()), &store, &context).map(|_| ());
        let expected = if accepted { Ok(()) } else { Err(PassportError::IssuerKeyUnknown) };
        assert_eq!(result, expected, "{not_before:?} to {not_after:?}");
    }
}

#[test]
fn a_compromised_key_voids_what_is_dated_from_then_on() {
    let unknown = Err(PassportError::IssuerKeyUnknown);
    let compromised = |since| Err(PassportError::IssuerKeyCompromised { iat: IAT, since });
    for (compromised_at, not_after, expected) in [
        (Some(IAT + 1), None, Ok(())),
        (Some(IAT), None, compromised(IAT)),
        (Some(IAT - 1), None, compromised(IAT - 1)),
        // No trust in what is dated earlier either.
        (Some(0), None, compromised(0)),
        // What is dated before still needs the key's interval.
        (Some(IAT + 1), Some(IAT + 50), unknown.clone()),
        (Some(IAT), Some(IAT - 1), compromised(IAT)),
        // Not known yet when the passport is used: known since the store says so.
        (Some(IAT + 1000), None, Ok(())),
    ] {
        let keys = vec![IssuerKey { compromised_at, not_after, ..issuer_key(1) }, issuer_key(2)];
        let store = TrustStore::new([Issuer { keys, ..issuer() }], SelfIssued::Refused).unwrap();
        // Leeway is for clocks, not for thieves.
        let context = VerifyContext { leeway_seconds: 60, ..at(IAT + 100) };
        let result = verify(&signed(1, &claims()), &store, &context).map(|_| ());
        assert_eq!(result, expected, "{compromised_at:?} {not_after:?}");
        assert!(verify(&signed(2, &claims()), &store, &context).is_ok(), "the other key is as good as before");
    }
}

/// Whoever holds a compromised key may date what it signs as they like: the date does not stop them, its removal does.
#[test]
fn a_backdated_passport_of_a_compromised_key_passes_and_one_of_a_key_without_trust_does_not() {
    let mut backdated = claims();
    backdated["iat"] = json!(IAT - 10);
    backdated["exp"] = json!(IAT - 10 + TTL);
    let with = |compromised_at| {
        let keys = vec![IssuerKey { compromised_at: Some(compromised_at), ..issuer_key(1) }];
        let store = TrustStore::new([Issuer { keys, ..issuer() }], SelfIssued::Refused).unwrap();
        verify(&signed(1, &backdated), &store, &at(IAT + 1)).map(|_| ())
    };
    assert_eq!(with(IAT), Ok(()));
    assert_eq!(with(0), Err(PassportError::IssuerKeyCompromised { iat: IAT - 10, since: 0 }));
}

#[test]
fn both_keys_of_a_rotation_verify() {
    let store = TrustStore::new([Issuer { keys: vec![issuer_key(1), issuer_key(2)], ..issuer() }], SelfIssued::Refused)
        .unwrap();
    for seed in [1, 2] {
        let passport = verify(&signed(seed, &claims()), &store, &at(IAT + 1)).unwrap();
        assert_eq!(passport.leaf().kid, key(seed).public().thumbprint());
    }
}

#[test]
fn the_lifetime_is_bounded_by_the_issuer() {
    let refused = refusal(&signed(1, &with("exp", EXP + 1)));
    assert_eq!(refused, PassportError::LifetimeExceeded { seconds: TTL + 1, max_seconds: TTL });
    let far = with("exp", 9_007_199_254_740_991_i64);
    assert!(matches!(refusal(&signed(1, &far)), PassportError::LifetimeExceeded { .. }));
    // Self-issued: 30 days to the second.
    let did = did_key::encode(key(5).public());
    for (seconds, accepted) in [(SELF_ISSUED_MAX_TTL_SECONDS, true), (SELF_ISSUED_MAX_TTL_SECONDS + 1, false)] {
        let mut own = with("iss", did.as_str());
        own["exp"] = json!(IAT + seconds);
        assert_eq!(verify(&signed(5, &own), &trust(), &at(IAT + 1)).is_ok(), accepted, "{seconds}");
    }
}

#[test]
fn time_boundaries_are_inclusive_with_leeway() {
    let token = signed(1, &with("nbf", IAT + 10));
    let backdated = signed(1, &with("nbf", IAT - 1000));
    assert_eq!(verify(&backdated, &trust(), &at(IAT - 1)), Err(PassportError::NotYetValid { from: IAT, now: IAT - 1 }));
    let plain = signed(1, &claims());
    let at_with = |now, leeway_seconds| VerifyContext { now, leeway_seconds, audience: None };
    for leeway in [0, 1, 60, MAX_LEEWAY_SECONDS] {
        let result = |token: &str, now| verify(token, &trust(), &at_with(now, leeway)).map(|_| ());
        for (now, early) in [(IAT - leeway - 1, true), (IAT - leeway, false), (IAT, false)] {
            let expected = if early { Err(PassportError::NotYetValid { from: IAT, now }) } else { Ok(()) };
            assert_eq!(result(&plain, now), expected, "iat, leeway {leeway}");
        }
        for (now, early) in [(IAT + 10 - leeway - 1, true), (IAT + 10 - leeway, false), (IAT + 10, false)] {
            let expected = if early { Err(PassportError::NotYetValid { from: IAT + 10, now }) } else { Ok(()) };
            assert_eq!(result(&token, now), expected, "nbf, leeway {leeway}");
        }
        for (now, late) in [(EXP, false), (EXP + leeway, false), (EXP + leeway + 1, true)] {
            let expected = if late { Err(PassportError::Expired { exp: EXP, now }) } else { Ok(()) };
            assert_eq!(result(&plain, now), expected, "exp, leeway {leeway}");
        }
    }
}

#[test]
fn leeway_is_cut_to_its_range() {
    let token = signed(1, &claims());
    let result =
        |now, leeway_seconds| verify(&token, &trust(), &VerifyContext { now, leeway_seconds, audience: None }).is_ok();
    assert!(result(EXP + MAX_LEEWAY_SECONDS, i64::MAX));
    assert!(!result(EXP + MAX_LEEWAY_SECONDS + 1, i64::MAX));
    assert!(result(EXP, -60));
    assert!(result(IAT, i64::MIN));
    for now in [i64::MIN, -1, 0, i64::MAX] {
        assert!(!result(now, i64::MAX), "{now}");
    }
}

#[test]
fn the_tier_is_computed_and_a_claim_has_to_agree() {
    assert!(verify(&signed(1, &with("trust_tier", "L2")), &trust(), &at(IAT + 1)).is_ok());
    for (claim, claimed) in [("L1", Tier::L1), ("L3", Tier::L3)] {
        let refused = refusal(&signed(1, &with("trust_tier", claim)));
        assert_eq!(refused, PassportError::TierMismatch { claimed, computed: Tier::L2 });
    }
    let did = did_key::encode(key(5).public());
    for claim in ["L2", "L3"] {
        let mut own = with("iss", did.as_str());
        own["trust_tier"] = json!(claim);
        assert!(matches!(refusal(&signed(5, &own)), PassportError::TierMismatch { computed: Tier::L1, .. }));
    }
    assert_eq!(refusal(&signed(1, &with("trust_tier", "L9"))).code(), "passport_malformed");
}

#[test]
fn the_audience_names_this_gate() {
    let result = |aud: Value, audience| {
        let token = signed(1, &with("aud", aud));
        verify(&token, &trust(), &VerifyContext { audience, ..at(IAT + 1) }).map(|_| ())
    };
    assert_eq!(result(json!("gate-a"), Some("gate-a")), Ok(()));
    assert_eq!(result(json!(["gate-b", "gate-a"]), Some("gate-a")), Ok(()));
    assert_eq!(result(json!("gate-a"), None), Ok(()));
    for aud in
        [json!("gate-b"), json!(["gate-b", "gate-c"]), json!("GATE-A"), json!("gate-a:x"), json!("gate"), json!("*")]
    {
        assert_eq!(result(aud.clone(), Some("gate-a")), Err(PassportError::AudienceMismatch), "{aud}");
    }
    assert_eq!(result(json!([]), None).unwrap_err().code(), "passport_malformed");
    let unbound = verify(&signed(1, &claims()), &trust(), &VerifyContext { audience: Some("gate-a"), ..at(IAT + 1) });
    assert!(unbound.is_ok());
}

#[test]
fn oversized_and_overdeep_passports_are_refused_before_the_signature_is_looked_at() {
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let deep = claims().to_string().replacen('{', &format!("{{\"unknown\":{nested},"), 1);
    let deep = jws::sign(&key(1), TokenType::Passport, deep.as_bytes());
    for (name, token) in [
        ("a megabyte of text", "a".repeat(1 << 20)),
        ("a megabyte of claims", signed(1, &with("metadata", json!({"x": "a".repeat(1 << 20)})))),
        ("one byte too long", format!("{:a<1$}", "", MAX_PASSPORT_BYTES + 1)),
        ("10,000 permissions", signed(1, &with("permissions", vec!["a:b"; 10_000]))),
        ("257 permissions", signed(1, &with("permissions", vec!["a:b"; 257]))),
        ("depth 200", deep),
        ("10,000 characters of agent id", signed(1, &with("sub", "a".repeat(10_000)))),
        ("257 characters of agent id", signed(1, &with("sub", "a".repeat(257)))),
    ] {
        assert_eq!(refusal(&token).code(), "passport_malformed", "{name}");
        if token.contains('.') {
            assert_eq!(refusal(&with_broken_signature(&token)).code(), "passport_malformed", "{name}");
        }
    }
}

#[test]
fn the_largest_passport_is_accepted() {
    let padded = |length: usize| signed(1, &with("metadata", json!({"x": "a".repeat(length)})));
    let excess = padded(0).len();
    // Three characters of padding make four of token.
    let most = (MAX_PASSPORT_BYTES - excess) / 4 * 3;
    let largest = (most..most + 6).rev().map(padded).find(|token| token.len() <= MAX_PASSPORT_BYTES).unwrap();
    assert!(MAX_PASSPORT_BYTES - largest.len() < 4);
    assert!(verify(&largest, &trust(), &at(IAT + 1)).is_ok());
}

#[test]
fn other_tokens_are_no_passports() {
    for typ in TokenType::ALL.into_iter().filter(|typ| *typ != TokenType::Passport) {
        let token = jws::sign(&key(1), typ, claims().to_string().as_bytes());
        assert!(matches!(refusal(&token), PassportError::Token(JwsError::Type { .. })), "{typ:?}");
        assert_eq!(inspect_chain(&token).unwrap_err().code(), "passport_malformed");
    }
}

#[test]
fn payloads_of_other_shapes() {
    for payload in ["[]", "null", "1", "\"text\"", "true", "{}", "x"] {
        let token = jws::sign(&key(1), TokenType::Passport, payload.as_bytes());
        assert_eq!(refusal(&token).code(), "passport_malformed", "{payload}");
    }
    let twice = claims().to_string().replacen('{', "{\"e\\u0078p\":1,", 1);
    let token = jws::sign(&key(1), TokenType::Passport, twice.as_bytes());
    assert!(matches!(refusal(&token), PassportError::Claims(ClaimsError::Json(JsonError::DuplicateKey { .. }))));
}

#[test]
fn codes_are_stable() {
    let now = IAT;
    let errors = [
        (PassportError::Token(JwsError::Segments), "passport_malformed"),
        (PassportError::Claims(ClaimsError::NotAnObject), "passport_malformed"),
        (PassportError::SignatureInvalid, "passport_signature_invalid"),
        (PassportError::Expired { exp: EXP, now }, "passport_expired"),
        (PassportError::NotYetValid { from: IAT, now }, "passport_not_yet_valid"),
        (PassportError::LifetimeExceeded { seconds: 2, max_seconds: 1 }, "passport_lifetime_exceeded"),
        (PassportError::IssuerUnknown, "issuer_unknown"),
        (PassportError::IssuerSuspended, "issuer_suspended"),
        (PassportError::IssuerKeyUnknown, "issuer_key_unknown"),
        (PassportError::IssuerKeyCompromised { iat: 2, since: 1 }, "issuer_key_compromised"),
        (PassportError::TierMismatch { claimed: Tier::L3, computed: Tier::L1 }, "tier_mismatch"),
        (PassportError::AudienceMismatch, "audience_mismatch"),
    ];
    for (error, code) in errors {
        assert_eq!(error.code(), code);
    }
}

#[test]
fn messages_never_quote_the_token() {
    let marker = "\u{1b}[31mMARK";
    for changed in [
        with("sub", marker),
        with("iss", marker),
        with("jti", marker),
        with("agent_name", marker),
        with("permissions", vec![marker]),
    ] {
        let message = format!("{0} {0:?}", refusal(&signed(1, &changed)));
        assert!(!message.contains("MARK") && !message.contains('\u{1b}'), "{message}");
    }
}

proptest! {
    #[test]
    fn validity_is_the_documented_interval(
        nbf in proptest::option::of(-600_i64..TTL),
        offset in -700_i64..TTL + 700,
        leeway in 0_i64..=MAX_LEEWAY_SECONDS,
    ) {
        let mut payload = claims();
        if let Some(nbf) = nbf {
            payload["nbf"] = json!(IAT + nbf);
        }
        let now = IAT + offset;
        let context = VerifyContext { now, leeway_seconds: leeway, audience: None };
        let result = verify(&signed(1, &payload), &trust(), &context);
        let started = -leeway <= offset && nbf.is_none_or(|nbf| nbf - leeway <= offset);
        let ended = offset > TTL + leeway;
        match result {
            Ok(_) => prop_assert!(started && !ended),
            Err(PassportError::NotYetValid { .. }) => prop_assert!(!started),
            Err(PassportError::Expired { .. }) => prop_assert!(ended),
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn one_flipped_bit_refuses_the_passport(at in any::<prop::sample::Index>(), bit in 0_u32..7) {
        let token = signed(1, &claims());
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed: Vec<u8> = bytes;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(verify(&changed, &trust(), &at_now()).is_err());
    }
}

fn at_now() -> VerifyContext<'static> {
    at(IAT + 1)
}
