//! One attack for each rule, and attacks on the chain as a whole.

use super::*;

/// For each rule a way to break it alone in the last of two delegations.
fn attacks() -> Vec<(Violation, &'static str, Value)> {
    use Violation as V;
    let did = did_key::encode(key(7).public());
    vec![
        (V::ParentMismatch, "/delegation/parent", json!(jti(0))),
        (V::ParentHashMismatch, "/delegation/parent_sha256", json!(sha256_text(&[7; 32]))),
        (V::RootMismatch, "/delegation/root_issuer", json!("https://other.example")),
        (V::SpawnerMismatch, "/delegation/spawned_by", json!("agent-0")),
        (V::IssuerMismatch, "/iss", json!(did)),
        (V::IssuerMismatch, "/iss", json!(ISSUER)),
        (V::TooDeep, "/delegation/depth_left", json!(4)),
        (V::StatusList, "/status", json!({"status_list": {"idx": 0, "uri": "https://issuer.example/1"}})),
        (V::OwnAncestor, "/cnf/jwk", jwk(&agent(1))),
        (V::OwnAncestor, "/cnf/jwk", jwk(&agent(0))),
        (V::OwnAncestor, "/cnf/jwk", jwk(&key(ISSUER_SEED))),
        (V::OwnAncestor, "/sub", json!("agent-1")),
        (V::OwnAncestor, "/sub", json!("agent-0")),
        (V::IdReused, "/jti", json!(jti(1))),
        (V::IdReused, "/jti", json!(jti(0))),
        (V::Lifetime, "/exp", json!(IAT + 2 + 59)),
        (V::Lifetime, "/exp", json!(IAT + 2 + 86_401)),
        (V::OutlivesParent, "/exp", json!(IAT + TTL + 1)),
        (V::PredatesParent, "/iat", json!(IAT)),
        (V::PredatesParent, "/nbf", json!(IAT)),
        (V::WidensScope, "/permissions", json!(["payments:*"])),
        (V::WidensScope, "/permissions", json!(["payments:refund", "vault:keys:read"])),
        (V::WidensScope, "/permissions", json!(["*"])),
        (V::WidensAudience, "/aud", json!(["gate-a", "gate-c"])),
        (V::WidensTier, "/trust_tier", json!("L3")),
        (V::WidensSpend, "/constraints", json!({"spend": {"daily_micro_usd": 6}})),
        (V::WidensRate, "/constraints", json!({"rate": {"requests_per_day": 6}})),
        (V::WidensDomains, "/constraints", json!({"domains": ["example.com"]})),
        (V::WidensResources, "/constraints", json!({"resources": ["*"]})),
        (V::WidensContext, "/constraints", json!({"context": {"user": ["u", "v"]}})),
        (V::WidensMaxRecords, "/constraints", json!({"max_records": 6})),
        (V::ChangesPurpose, "/constraints", json!({"purpose": "Payouts"})),
        (V::WidensSpend, "/constraints", json!({"spend": {"total_micro_usd": 10}})),
        (V::ChangesTask, "/constraints", json!({"task": "T-2"})),
        (V::DropsLabel, "/constraints", json!({"labels": ["web"]})),
    ]
}

/// Limits that the root sets and the middle inherits.
fn limits() -> Value {
    json!({
        "spend": {"daily_micro_usd": 5, "total_micro_usd": 9}, "rate": {"requests_per_day": 5}, "domains": ["*.example.com"],
        "resources": ["a/*"], "context": {"user": "u"}, "max_records": 5, "purpose": "Refunds", "task": "T-1",
        "labels": ["pii"],
    })
}

fn put(claims: &mut Value, pointer: &str, value: &Value) {
    match claims.pointer_mut(pointer) {
        Some(place) => *place = value.clone(),
        None => claims[pointer.trim_start_matches('/')] = value.clone(),
    }
}

/// A chain of two delegations under [`limits`] with one claim changed in the last.
fn attacked(pointer: &str, value: &Value) -> String {
    forged(2, |link, claims| match link {
        0 => {
            claims["constraints"] = limits();
            claims["aud"] = json!(["gate-a", "gate-b"]);
        }
        1 if pointer == "/exp" && value.as_i64() > Some(IAT + 86_400) => claims["exp"] = json!(IAT + 86_401),
        2 => put(claims, pointer, value),
        _ => {}
    })
}

#[test]
fn each_rule_refuses_what_breaks_it_with_its_code() {
    for (violation, pointer, value) in attacks() {
        let text = attacked(pointer, &value);
        assert_eq!(refusal(&text), ChainError::at(2, violation.clone()), "{pointer} {value}");
        // Its signature is not looked at before that.
        let (above, last) = text.rsplit_once('~').unwrap();
        let unsigned = format!("{above}~{}", with_broken_signature(last));
        assert_eq!(refusal(&unsigned), ChainError::at(2, violation), "{pointer} {value}");
    }
}

#[test]
fn every_rule_has_an_attack() {
    let tested: BTreeSet<&str> = attacks().iter().map(|(violation, ..)| violation.code()).collect();
    // These are attacks on the chain as a whole and have tests of their own.
    let elsewhere =
        [Violation::RootMissing, Violation::NotDelegated, Violation::KeyMismatch, Violation::SignatureInvalid];
    for violation in Violation::ALL {
        assert!(tested.contains(violation.code()) != elsewhere.contains(violation), "{}", violation.code());
    }
}

#[test]
fn what_the_attacks_start_from_is_accepted() {
    assert!(verified(&attacked("/agent_name", &json!("Refund bot"))).is_ok());
    for (pointer, value) in [
        ("/permissions", json!([])),
        ("/constraints", json!({"spend": {"daily_micro_usd": 5}, "labels": ["pii", "web"]})),
        ("/aud", json!("gate-a")),
        ("/nbf", json!(IAT + 1)),
        ("/exp", json!(IAT + 2 + 60)),
        ("/iat", json!(IAT + 1)),
        ("/delegation/depth_left", json!(0)),
    ] {
        assert!(verified(&attacked(pointer, &value)).is_ok(), "{pointer} {value}");
    }
    let day = forged(1, |link, claims| {
        if link == 1 {
            claims["exp"] = json!(IAT + 1 + MAX_DELEGATED_TTL_SECONDS);
        }
    });
    assert!(verified(&day).is_ok());
}

#[test]
fn a_refused_chain_costs_no_signature_before_every_link_is_checked() {
    // The first delegation's signature is broken and the second one, made from it, widens: the second is reported.
    let root = honest(0);
    let first_claims = child_claims(1, &root_claims(), &root, &root_claims());
    let first = with_broken_signature(&sign(&agent(0), &first_claims));
    let mut second_claims = child_claims(2, &first_claims, &first, &root_claims());
    let honest_second = sign(&agent(1), &second_claims);
    second_claims["permissions"] = json!(["payments:*"]);
    let second = sign(&agent(1), &second_claims);
    assert_eq!(refusal(&format!("{root}~{first}~{second}")), ChainError::at(2, Violation::WidensScope));
    assert_eq!(refusal(&format!("{root}~{first}~{honest_second}")), ChainError::at(1, Violation::SignatureInvalid));
    // Nor is the root's before every link has its form.
    let rootless = format!("{}~{first}~a.b.c", with_broken_signature(&root));
    assert_eq!(refusal(&rootless).link, 2);
    assert_eq!(refusal(&rootless).code(), "passport_malformed");
}

#[test]
fn depth_is_bounded_by_every_link_and_by_the_format() {
    assert!(verified(&honest(5)).is_ok());
    let six = format!("{}~{}", honest(5), tokens(&honest(1))[1]);
    assert_eq!(refusal(&six), ChainError::at(6, Violation::TooDeep));
    assert_eq!(refusal(&"~".repeat(10_000)).code(), "passport_malformed");
    // By default nothing may be handed on.
    let closed = changed(1, 0, |claims| {
        claims.as_object_mut().unwrap().remove("delegation");
    });
    assert_eq!(refusal(&closed), ChainError::at(1, Violation::TooDeep));
    let none = changed(1, 0, |claims| claims["delegation"] = json!({"depth_left": 0}));
    assert_eq!(refusal(&none), ChainError::at(1, Violation::TooDeep));
    // A middle that keeps some back.
    let held = forged(3, |link, claims| match link {
        1 => claims["delegation"]["depth_left"] = json!(1),
        2 => claims["delegation"]["depth_left"] = json!(0),
        _ => {}
    });
    assert_eq!(refusal(&held), ChainError::at(3, Violation::TooDeep));
    let spent = changed(2, 1, |claims| claims["delegation"]["depth_left"] = json!(0));
    assert_eq!(refusal(&spent), ChainError::at(2, Violation::TooDeep));
}

#[test]
fn malformed_delegation_claims() {
    let good = json!({
        "parent": jti(0), "parent_sha256": sha256_text(&[0; 32]), "root_issuer": ISSUER, "spawned_by": "agent-0",
        "depth_left": 1,
    });
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let without = |name: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(name);
        changed
    };
    for claim in [
        json!(null),
        json!({}),
        json!([]),
        json!("root"),
        json!({"depth_left": 6}),
        json!({"depth_left": -1}),
        json!({"depth_left": 256}),
        json!({"depth_left": 1.0}),
        json!({"depth_left": "1"}),
        json!({"depth_left": null}),
        json!({"parent": jti(0)}),
        json!({"depth_left": 1, "unknown": 1}),
        with("unknown", json!(1)),
        with("depth_left", json!(5)),
        with("parent", json!("1")),
        with("parent", json!(null)),
        with("parent_sha256", json!(sha256_text(&[0xab; 32]).to_uppercase())),
        with("parent_sha256", json!("0".repeat(64))),
        with("parent_sha256", json!(format!("sha256:{}", "0".repeat(63)))),
        with("root_issuer", json!("")),
        with("spawned_by", json!("two words")),
        without("parent"),
        without("parent_sha256"),
        without("root_issuer"),
        without("spawned_by"),
        without("depth_left"),
    ] {
        for (delegations, link) in [(0, 0), (1, 1)] {
            let refused = refusal(&changed(delegations, link, |claims| claims["delegation"] = claim.clone()));
            assert_eq!((refused.link, refused.code()), (link, "passport_malformed"), "{claim}");
        }
    }
}

#[test]
fn a_truncated_chain_is_no_chain() {
    let text = honest(3);
    let all = tokens(&text);
    // Without its root, a delegated passport looks like a self-issued one of its parent.
    for from in 1..=3 {
        let refused = refusal(&all[from..].join("~"));
        assert_eq!((refused.link, refused.code() == "passport_signature_invalid"), (0, false));
        assert!(matches!(refused.violation, Violation::RootMissing), "{refused:?}");
    }
    // Without its end it is a shorter one, whose presenter needs the key of its own end.
    assert_eq!(verified(&all[..3].join("~")).unwrap().key(), agent(2).public());
    // Without its middle.
    let gap = [all[0], all[2], all[3]].join("~");
    assert_eq!(refusal(&gap), ChainError::at(1, Violation::ParentMismatch));
    for text in [format!("~{text}"), format!("{text}~"), text.replacen('~', "~~", 1), text.replacen('~', "", 1)] {
        assert_eq!(refusal(&text).code(), "passport_malformed");
    }
}

#[test]
fn a_reordered_chain_is_no_chain() {
    let text = honest(3);
    let all = tokens(&text);
    for order in [[0, 2, 1, 3], [0, 1, 3, 2], [0, 3, 2, 1], [1, 0, 2, 3], [3, 2, 1, 0], [0, 1, 1, 2], [0, 0, 1, 2]] {
        let refused = refusal(&order.map(|link| all[link]).join("~"));
        assert!(refused.code().starts_with("delegation_"), "{order:?} {refused}");
    }
}

#[test]
fn a_leaf_spliced_below_another_passport_of_the_same_parent_is_refused() {
    // Same agents, same ids, same keys: the other chain's first delegation has one claim more.
    let other = changed(2, 1, |claims| claims["agent_name"] = json!("Other"));
    let text = honest(2);
    let (own, other) = (tokens(&text), tokens(&other));
    let spliced = [own[0], other[1], own[2]].join("~");
    assert_eq!(refusal(&spliced), ChainError::at(2, Violation::ParentHashMismatch));
    // A renewed root, wider than the one the child was made from.
    let wider = changed(0, 0, |claims| claims["permissions"] = json!(["*"]));
    assert_eq!(refusal(&[&wider, own[1]].join("~")), ChainError::at(1, Violation::ParentHashMismatch));
}

#[test]
fn a_root_below_a_root_is_refused() {
    let root = honest(0);
    let other = changed(0, 0, |claims| claims["jti"] = json!(jti(9)));
    assert_eq!(refusal(&format!("{root}~{other}")), ChainError::at(1, Violation::NotDelegated));
    assert_eq!(refusal(&format!("{root}~{root}")), ChainError::at(1, Violation::NotDelegated));
}

#[test]
fn signed_by_anyone_but_the_parent() {
    let root = honest(0);
    let claims = child_claims(1, &root_claims(), &root, &root_claims());
    for seed in [ISSUER_SEED, 7, 11] {
        // With a `kid` of its own, and with the parent's.
        let own = sign(&key(seed), &claims);
        assert_eq!(refusal(&format!("{root}~{own}")), ChainError::at(1, Violation::KeyMismatch));
        let payload = claims.to_string();
        let input = jws::signing_input(agent(0).public().thumbprint(), TokenType::Passport, payload.as_bytes());
        let signature = key(seed).sign(input.as_bytes());
        let forged = jws::with_signature(input, &signature);
        assert_eq!(refusal(&format!("{root}~{forged}")), ChainError::at(1, Violation::SignatureInvalid));
    }
}

#[test]
fn other_tokens_are_no_links() {
    let root = honest(0);
    let claims = child_claims(1, &root_claims(), &root, &root_claims()).to_string();
    for typ in TokenType::ALL.into_iter().filter(|typ| *typ != TokenType::Passport) {
        let token = jws::sign(&agent(0), typ, claims.as_bytes());
        let refused = refusal(&format!("{root}~{token}"));
        assert_eq!((refused.link, refused.code()), (1, "passport_malformed"), "{typ:?}");
    }
}

#[test]
fn every_link_has_to_hold_now() {
    let code = |text: &str, now| verify_chain(text, &trust(), &at(now)).map_err(|error| (error.link, error.code()));
    let text = honest(2);
    assert!(code(&text, IAT + TTL).is_ok());
    assert_eq!(code(&text, IAT + TTL + 1), Err((1, "passport_expired")));
    assert_eq!(code(&text, IAT + 1), Err((2, "passport_not_yet_valid")));
    let short = changed(2, 2, |claims| claims["exp"] = json!(IAT + 100));
    assert_eq!(code(&short, IAT + 101), Err((2, "passport_expired")));
    let late = changed(2, 1, |claims| claims["nbf"] = json!(IAT + 500));
    assert_eq!(code(&late, IAT + 499), Err((1, "passport_not_yet_valid")));
    let ends = changed(1, 0, |claims| claims["exp"] = json!(IAT + TTL));
    assert_eq!(code(&ends, IAT + TTL + 1), Err((0, "passport_expired")));
    let leeway = VerifyContext { leeway_seconds: 60, ..at(IAT + TTL + 60) };
    assert!(verify_chain(&text, &trust(), &leeway).is_ok());
    let beyond = VerifyContext { now: IAT + TTL + 61, ..leeway };
    assert!(verify_chain(&text, &trust(), &beyond).is_err());
}

#[test]
fn a_late_beginning_does_not_hide_an_early_issue_nor_the_other_way_round() {
    for (iat, nbf) in [(IAT, IAT + 500), (IAT + 500, IAT)] {
        let text = changed(2, 2, |claims| {
            claims["iat"] = json!(iat);
            claims["nbf"] = json!(nbf);
        });
        assert_eq!(refusal(&text), ChainError::at(2, Violation::PredatesParent), "{iat} {nbf}");
    }
}

#[test]
fn a_delegated_passport_has_few_permissions() {
    let with =
        |link: usize, count: usize| changed(1, link, |claims| claims["permissions"] = json!(vec!["payments:*"; count]));
    assert!(verified(&with(0, 256)).is_ok());
    assert!(verified(&with(1, MAX_DELEGATED_PERMISSIONS)).is_ok());
    let refused = refusal(&with(1, MAX_DELEGATED_PERMISSIONS + 1));
    assert_eq!((refused.link, refused.code()), (1, "passport_malformed"));
}

#[test]
fn every_link_has_to_be_meant_for_this_gate() {
    let text = forged(2, |link, claims| match link {
        0 => claims["aud"] = json!(["gate-a", "gate-b"]),
        1 => claims["aud"] = json!("gate-b"),
        _ => {}
    });
    let result = |audience| {
        let context = VerifyContext { audience: Some(audience), ..at(NOW) };
        verify_chain(&text, &trust(), &context).map(|_| ()).map_err(|error| (error.link, error.code()))
    };
    assert_eq!(result("gate-b"), Ok(()));
    assert_eq!(result("gate-a"), Err((1, "audience_mismatch")));
    assert_eq!(result("gate-c"), Err((0, "audience_mismatch")));
    // What the middle narrowed, the leaf does not get back.
    let back = forged(2, |link, claims| match link {
        0 => claims["aud"] = json!(["gate-a", "gate-b"]),
        1 => claims["aud"] = json!("gate-b"),
        _ => claims["aud"] = json!("gate-a"),
    });
    assert_eq!(refusal(&back), ChainError::at(2, Violation::WidensAudience));
}

#[test]
fn oversized_chains_are_refused_before_anything_is_read() {
    let huge = format!("{}~{}", honest(1), "a".repeat(MAX_PASSPORT_BYTES));
    assert!(matches!(refusal(&huge).violation, Violation::Passport(PassportError::Token(JwsError::TooLarge { .. }))));
    let padding = json!({"x": "a".repeat(4000)});
    let padded = forged(2, |_, claims| claims["metadata"] = padding.clone());
    assert!(padded.len() > MAX_PASSPORT_BYTES, "each passport alone would fit");
    assert_eq!(refusal(&padded), ChainError::at(0, PassportError::Token(JwsError::TooLarge { limit: 16_384 })));
}
