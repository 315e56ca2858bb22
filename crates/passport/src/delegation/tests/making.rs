//! Making chains: what is made verifies, and what would not verify is not made.

use super::*;
use crate::issue::{IssueError, NewPassport, issue};

fn scopes(texts: &[&str]) -> Vec<Scope> {
    texts.iter().map(|text| Scope::parse(text).unwrap()).collect()
}

fn new_root() -> NewPassport {
    let own = agent(0).public().clone();
    let root = NewPassport::new(jti(0), "agent-0".to_string(), own, scopes(&["payments:*"]), IAT, IAT + ROOT_TTL);
    NewPassport { iss: Some(ISSUER.to_string()), ..root }
}

fn limits(json: &Value) -> Constraints {
    Constraints::from_json(json.to_string().as_bytes(), 1000).unwrap()
}

fn grant() -> RootGrant {
    let constraints = limits(&json!({"spend": {"daily_micro_usd": 1000}, "labels": ["pii"]}));
    RootGrant { depth_left: Some(2), constraints }
}

fn root() -> String {
    issue_root(&key(ISSUER_SEED), &new_root(), &grant()).unwrap()
}

fn new(link: usize) -> NewDelegation {
    let (name, key) = (format!("agent-{link}"), agent(link).public().clone());
    let next = NewDelegation::new(jti(link), name, key, scopes(&["payments:refund"]), IAT + 1, IAT + TTL);
    NewDelegation { depth_left: 2 - u8::try_from(link).unwrap(), ..next }
}

fn payload(token: &str) -> String {
    String::from_utf8(b64::decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[test]
fn what_is_delegated_verifies_and_says_what_was_asked() {
    let first = NewDelegation {
        nbf: Some(IAT + 5),
        constraints: limits(&json!({"spend": {"daily_micro_usd": 10}, "resources": ["refunds/*"]})),
        agent_name: Some("Refund bot".to_string()),
        aud: Some(vec!["gate-a".to_string()]),
        trust_tier: Some(Tier::L1),
        metadata: json!({"z": 1, "a": 2}).as_object().cloned(),
        ..new(1)
    };
    let chain = delegate(&root(), &agent(0), &first).unwrap();
    assert!(chain.starts_with(&root()));
    let chain = delegate(&chain, &agent(1), &new(2)).unwrap();
    let verified = verified(&chain).unwrap();
    assert_eq!(verified.tier(), Tier::L1);
    assert_eq!(verified.audience().unwrap(), ["gate-a"]);
    let expected = json!({"spend": {"daily_micro_usd": 10}, "resources": ["refunds/*"], "labels": ["pii"]});
    assert_eq!(verified.constraints(), &limits(&expected));
    let middle = verified.links().nth(1).unwrap();
    assert_eq!((middle.claims.nbf, middle.claims.exp), (first.nbf, first.exp));
    assert_eq!(middle.claims.agent_name, first.agent_name);
    assert_eq!(middle.constraints, first.constraints);
    assert_eq!(middle.parent().unwrap().spawned_by, "agent-0");
    assert_eq!(middle.kid, agent(0).public().thumbprint());
}

#[test]
fn payloads_have_their_documented_bytes() {
    let chain = delegate(&root(), &agent(0), &NewDelegation { constraints: grant().constraints, ..new(1) }).unwrap();
    let all = tokens(&chain);
    let jwk = |link: usize| {
        let key = agent(link);
        let (kid, x) = (key.public().thumbprint(), b64::encode(key.public().as_bytes()));
        format!(r#"{{"jwk":{{"crv":"Ed25519","kid":"{kid}","kty":"OKP","x":"{x}"}}}}"#)
    };
    let constraints = r#""constraints":{"spend":{"daily_micro_usd":1000},"labels":["pii"]}"#;
    let root = format!(
        concat!(
            r#"{{"iss":"https://issuer.example","sub":"agent-0","jti":"{}","iat":1700000000,"exp":1700604800,"#,
            r#""cnf":{},"permissions":["payments:*"],"delegation":{{"depth_left":2}},{}}}"#
        ),
        jti(0),
        jwk(0),
        constraints
    );
    assert_eq!(payload(all[0]), root);
    let delegated = format!(
        concat!(
            r#"{{"iss":"{}","sub":"agent-1","jti":"{}","iat":1700000001,"exp":1700003600,"cnf":{},"#,
            r#""permissions":["payments:refund"],"delegation":{{"parent":"{}","parent_sha256":"{}","#,
            r#""root_issuer":"https://issuer.example","spawned_by":"agent-0","depth_left":1}},{}}}"#
        ),
        did_key::encode(agent(0).public()),
        jti(1),
        jwk(1),
        jti(0),
        sha256_text(&Sha256::digest(all[0]).into()),
        constraints
    );
    assert_eq!(payload(all[1]), delegated);
    let again = delegate(&root_of(&chain), &agent(0), &NewDelegation { constraints: grant().constraints, ..new(1) });
    assert_eq!(again.unwrap(), chain);
}

fn root_of(chain: &str) -> String {
    tokens(chain)[0].to_string()
}

#[test]
fn a_chain_has_its_pinned_bytes() {
    let chain = delegate(&root(), &agent(0), &new(1)).unwrap();
    let chain = delegate(&chain, &agent(1), &new(2)).unwrap();
    assert_eq!(chain, include_str!("pinned_chain.txt").trim_end());
    // Bytes that were valid stay readable.
    assert_eq!(verified(include_str!("pinned_chain.txt").trim_end()).unwrap().delegations(), 2);
}

const PAGE: &str = include_str!("../../../../../docs/spec/delegation.md");

#[test]
fn the_example_of_the_specification_is_the_pinned_chain() {
    let shown = PAGE.split("```json").skip(1).map(|rest| rest.split("```").next().unwrap());
    let shown: Vec<Value> = shown.map(|json| serde_json::from_str(json).unwrap()).collect();
    let pinned = tokens(include_str!("pinned_chain.txt").trim_end()).into_iter().map(payload);
    let pinned: Vec<Value> = pinned.map(|json| serde_json::from_str(&json).unwrap()).collect();
    assert_eq!(shown, pinned);
}

#[test]
fn every_code_stands_in_the_specification() {
    for violation in Violation::ALL {
        let row = format!("| `{}` |", violation.code());
        // These two stand in the order of the checks.
        let elsewhere = matches!(violation, Violation::RootMissing | Violation::SignatureInvalid);
        assert_eq!(PAGE.matches(&row).count(), usize::from(!elsewhere), "{row}");
        assert!(PAGE.contains(&format!("`{}`", violation.code())), "{row}");
    }
}

#[test]
fn a_root_without_a_grant_is_the_passport_it_always_was() {
    let plain = issue(&key(ISSUER_SEED), &new_root()).unwrap();
    assert_eq!(issue_root(&key(ISSUER_SEED), &new_root(), &RootGrant::default()).unwrap(), plain);
    let refused = delegate(&plain, &agent(0), &new(1)).unwrap_err();
    assert_eq!(refused, DelegateError::Chain(ChainError::at(1, Violation::TooDeep)));
}

#[test]
fn no_root_is_issued_that_no_verifier_would_accept() {
    let issued = |passport: &NewPassport, grant: &RootGrant| issue_root(&key(ISSUER_SEED), passport, grant);
    let deep = RootGrant { depth_left: Some(6), ..grant() };
    assert!(matches!(issued(&new_root(), &deep), Err(IssueError::Claims(_))));
    let purpose = Constraints { purpose: Some(String::new()), ..Constraints::default() };
    let unreadable = RootGrant { constraints: purpose, ..grant() };
    assert!(matches!(issued(&new_root(), &unreadable), Err(IssueError::Claims(_))));
    let of_another = NewPassport { iss: Some(did_key::encode(key(6).public())), ..new_root() };
    assert_eq!(issued(&of_another, &grant()), Err(IssueError::IssuerMismatch));
    let large = json!({"x": "a".repeat(MAX_PASSPORT_BYTES * 3 / 4)});
    let large = NewPassport { metadata: large.as_object().cloned(), ..new_root() };
    assert_eq!(issued(&large, &grant()), Err(IssueError::TooLarge));
}

#[test]
fn only_the_holder_of_the_last_passport_delegates() {
    let chain = delegate(&root(), &agent(0), &new(1)).unwrap();
    for signer in [agent(0), key(ISSUER_SEED), agent(2)] {
        assert_eq!(delegate(&chain, &signer, &new(2)), Err(DelegateError::WrongKey));
    }
    assert!(delegate(&chain, &agent(1), &new(2)).is_ok());
}

#[test]
fn nothing_is_delegated_that_no_verifier_would_accept() {
    let spend = limits(&json!({"spend": {"daily_micro_usd": 1001}}));
    let status = |new: &NewDelegation| match delegate(&root(), &agent(0), new) {
        Err(DelegateError::Chain(error)) => (error.link, error.code()),
        other => panic!("{other:?}"),
    };
    for (code, new) in [
        ("delegation_widens_scope", NewDelegation { permissions: scopes(&["*"]), ..new(1) }),
        ("delegation_widens_spend", NewDelegation { constraints: spend, ..new(1) }),
        ("delegation_depth", NewDelegation { depth_left: 2, ..new(1) }),
        ("delegation_self", NewDelegation { cnf_key: agent(0).public().clone(), ..new(1) }),
        ("delegation_self", NewDelegation { sub: "agent-0".to_string(), ..new(1) }),
        ("delegation_id_reused", NewDelegation { jti: jti(0), ..new(1) }),
        ("delegation_lifetime", NewDelegation { exp: IAT + 60, ..new(1) }),
        ("delegation_outlives_parent", NewDelegation { iat: IAT + ROOT_TTL - 60, exp: IAT + ROOT_TTL + 1, ..new(1) }),
        ("delegation_predates_parent", NewDelegation { iat: IAT - 1, ..new(1) }),
        ("passport_malformed", NewDelegation { depth_left: 5, ..new(1) }),
        ("passport_malformed", NewDelegation { jti: "1".to_string(), ..new(1) }),
        ("passport_malformed", NewDelegation { exp: IAT, ..new(1) }),
        ("passport_malformed", NewDelegation { aud: Some(vec![]), ..new(1) }),
    ] {
        assert_eq!(status(&new), (1, code));
    }
    let large = json!({"x": "a".repeat(MAX_PASSPORT_BYTES)});
    let large = NewDelegation { metadata: large.as_object().cloned(), ..new(1) };
    assert_eq!(status(&large), (0, "passport_malformed"));
}

#[test]
fn a_tier_is_bounded_by_what_any_verifier_can_compute() {
    let tier = |root: &str, trust_tier| {
        delegate(root, &agent(0), &NewDelegation { trust_tier: Some(trust_tier), ..new(1) }).is_ok()
    };
    assert!(tier(&root(), Tier::L3), "the store may give the issuer L3");
    let claimed = NewPassport { trust_tier: Some(Tier::L2), ..new_root() };
    let claimed = issue_root(&key(ISSUER_SEED), &claimed, &grant()).unwrap();
    assert!(tier(&claimed, Tier::L2) && !tier(&claimed, Tier::L3));
    let own =
        issue_root(&agent(0), &NewPassport { iss: None, ..new_root() }, &RootGrant { depth_left: Some(1), ..grant() });
    // Thirty days are the most that a self-issued root lives.
    let own = own.unwrap();
    assert!(!tier(&own, Tier::L2));
}

#[test]
fn a_chain_that_does_not_hold_is_not_continued() {
    let chain = delegate(&root(), &agent(0), &new(1)).unwrap();
    let broken = with_broken_signature(&chain);
    let refused = delegate(&broken, &agent(1), &new(2)).unwrap_err();
    assert_eq!(refused, DelegateError::Chain(ChainError::at(1, Violation::SignatureInvalid)));
    for text in ["", "a.b.c", "~", &format!("{chain}~")] {
        assert!(matches!(delegate(text, &agent(1), &new(2)), Err(DelegateError::Chain(_))), "{text:?}");
    }
}

#[test]
fn messages_hold_nothing_of_a_token() {
    let secret = "s3cr3t-agent";
    let text = changed(2, 2, |claims| {
        claims["sub"] = json!(secret);
        claims["permissions"] = json!(["s3cr3t-agent"]);
    });
    let refused = refusal(&text);
    let message = refused.to_string();
    assert_eq!(refused.violation, Violation::WidensScope);
    assert!(message.starts_with("delegation 2 of the passport chain: ") && !message.contains(secret), "{message}");
}
