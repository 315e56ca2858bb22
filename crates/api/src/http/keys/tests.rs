use passgate_core::attest::sha256_label;

use super::*;
use crate::http::reply::Body;
use crate::http::route::PluginKey;

/// The key with this random byte in all places.
fn key(byte: u8) -> String {
    format!("{KEY_PREFIX}{}", b64::encode(&[byte; KEY_BYTES]))
}

fn sha256(key: &str) -> String {
    b64::encode(&Sha256::digest(key))
}

fn list(entries: &[(&str, String, &[&str])]) -> Vec<u8> {
    let entry = |(id, sha256, scopes): &(&str, String, &[&str])| serde_json::json!({ "id": id, "sha256": sha256, "scopes": scopes });
    serde_json::to_vec(&entries.iter().map(entry).collect::<Vec<_>>()).unwrap()
}

fn bearer(key: &str) -> Vec<u8> {
    format!("Bearer {key}").into_bytes()
}

/// Every route there is.
fn routes() -> Vec<(Route, Option<Scope>)> {
    let id = || "x".to_owned();
    let key = || PluginKey { plugin: id(), key: id() };
    vec![
        (Route::Attestations, Some(Scope::LedgerRead)),
        (Route::Attestation(id()), Some(Scope::LedgerRead)),
        (Route::Export, Some(Scope::LedgerRead)),
        (Route::VerifyLedger, Some(Scope::LedgerRead)),
        (Route::Revocation, Some(Scope::LedgerRead)),
        (Route::RevokePassport(id()), Some(Scope::Revoke)),
        (Route::Revoke, Some(Scope::Revoke)),
        (Route::Suspend, Some(Scope::Revoke)),
        (Route::Reinstate, Some(Scope::Revoke)),
        (Route::Reconcile, Some(Scope::BudgetWrite)),
        (Route::Approvals, Some(Scope::ApprovalRead)),
        (Route::Approval(id()), Some(Scope::ApprovalRead)),
        (Route::Approve(id()), Some(Scope::ApprovalWrite)),
        (Route::DenyApproval(id()), Some(Scope::ApprovalWrite)),
        (Route::WithdrawApproval(id()), Some(Scope::ApprovalWrite)),
        (Route::RotateKey, Some(Scope::BundleWrite)),
        (Route::Bundle, Some(Scope::BundleWrite)),
        (Route::PutBundle, Some(Scope::BundleWrite)),
        (Route::PutStatusLists, Some(Scope::BundleWrite)),
        (Route::PluginKey(key()), Some(Scope::BundleWrite)),
        (Route::PutPluginKey(key()), Some(Scope::BundleWrite)),
        (Route::DeletePluginKey(key()), Some(Scope::BundleWrite)),
        (Route::Keys, None),
        (Route::VerifyPassport, None),
        (Route::StatusList(id()), None),
        // Public on purpose: whoever was told the id of a request for approval looks here how it stands.
        (Route::ApprovalStatus(id()), None),
    ]
}

#[test]
fn no_route_is_missing_from_the_routes() {
    // One of each has to be added here to compile, and above to pass.
    let number = |route: &Route| match route {
        Route::Attestations => 0,
        Route::Attestation(_) => 1,
        Route::Export => 2,
        Route::VerifyLedger => 3,
        Route::Keys => 4,
        Route::RotateKey => 5,
        Route::VerifyPassport => 6,
        Route::RevokePassport(_) => 7,
        Route::Revoke => 8,
        Route::Revocation => 9,
        Route::Suspend => 10,
        Route::Reinstate => 11,
        Route::Reconcile => 12,
        Route::Approvals => 13,
        Route::Approval(_) => 14,
        Route::ApprovalStatus(_) => 15,
        Route::Approve(_) => 16,
        Route::DenyApproval(_) => 17,
        Route::WithdrawApproval(_) => 18,
        Route::Bundle => 19,
        Route::PutBundle => 20,
        Route::PluginKey(_) => 21,
        Route::PutPluginKey(_) => 22,
        Route::DeletePluginKey(_) => 23,
        Route::StatusList(_) => 24,
        Route::PutStatusLists => 25,
    };
    let mut found: Vec<i32> = routes().iter().map(|(route, _)| number(route)).collect();
    found.sort_unstable();
    assert_eq!(found, (0..26).collect::<Vec<_>>());
}

#[test]
fn every_route_opens_to_its_scope_alone() {
    let entries: Vec<(&str, String, &[&str])> = vec![
        ("reader", sha256(&key(1)), &["ledger:read"]),
        ("revoker", sha256(&key(2)), &["revoke"]),
        ("writer", sha256(&key(3)), &["bundle:write"]),
        ("treasurer", sha256(&key(5)), &["budget:write"]),
        ("approvals", sha256(&key(6)), &["approval:read"]),
        ("approver", sha256(&key(7)), &["approval:write"]),
        (
            "all",
            sha256(&key(4)),
            &["ledger:read", "revoke", "budget:write", "approval:read", "approval:write", "bundle:write"],
        ),
    ];
    let keys = ApiKeys::from_json(&list(&entries)).unwrap();
    let holders = [
        ("reader", 1, vec![Scope::LedgerRead]),
        ("revoker", 2, vec![Scope::Revoke]),
        ("writer", 3, vec![Scope::BundleWrite]),
        ("treasurer", 5, vec![Scope::BudgetWrite]),
        ("approvals", 6, vec![Scope::ApprovalRead]),
        ("approver", 7, vec![Scope::ApprovalWrite]),
        ("all", 4, Scope::ALL.to_vec()),
    ];
    for (route, needs) in routes() {
        for (id, byte, scopes) in &holders {
            let found = keys.authorise(&route, [bearer(&key(*byte)).as_slice()]);
            let expected = match needs {
                None => Ok(None),
                Some(scope) if scopes.contains(&scope) => Ok(Some(*id)),
                Some(scope) => Err(KeyError::Scope(scope)),
            };
            assert_eq!(found, expected, "{id} {route:?}");
        }
        let nobody = keys.authorise(&route, []);
        let stranger = keys.authorise(&route, [bearer(&key(9)).as_slice()]);
        assert_eq!(nobody, needs.map_or(Ok(None), |_| Err(KeyError::Missing)), "{route:?}");
        assert_eq!(stranger, needs.map_or(Ok(None), |_| Err(KeyError::Unknown)), "{route:?}");
        let empty = ApiKeys::default();
        assert_eq!(empty.authorise(&route, [bearer(&key(1)).as_slice()]), stranger, "{route:?}");
    }
}

#[test]
fn one_well_formed_key_in_one_field_is_presented_or_none() {
    let keys = ApiKeys::from_json(&list(&[("ci", sha256(&key(1)), &["revoke"])])).unwrap();
    let right = bearer(&key(1));
    let found = |values: &[&[u8]]| keys.authorise(&Route::Revoke, values.iter().copied());
    assert_eq!(found(&[&right]), Ok(Some("ci")));
    assert_eq!(found(&[format!("bEARER {}", key(1)).as_bytes()]), Ok(Some("ci")));
    assert_eq!(found(&[&right, &right]), Err(KeyError::Missing));
    let wrong = [
        String::new(),
        key(1),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer  {}", key(1)),
        format!("Bearer {} ", key(1)),
        format!("Basic {}", key(1)),
        format!("Bearer {}A", key(1)),
        format!("Bearer {}", key(1).replace("pgk_", "PGK_")),
        format!("Bearer {}", key(1).get(..46).unwrap()),
        format!("Bearer {},Bearer {}", key(1), key(1)),
        format!("Bearer {KEY_PREFIX}{}=", b64::encode(&[1; 32]).get(..42).unwrap()),
    ];
    for value in wrong {
        assert_eq!(found(&[value.as_bytes()]), Err(KeyError::Missing), "{value}");
    }
}

#[test]
fn digests_are_hex_or_base64url() {
    let label = sha256_label(&Sha256::digest(key(1)).into());
    let hex = label.strip_prefix("sha256:").unwrap();
    for sha256 in [hex.to_owned(), hex.to_uppercase(), sha256(&key(1))] {
        let keys = ApiKeys::from_json(&list(&[("ci", sha256, &["revoke"])])).unwrap();
        assert_eq!(keys.authorise(&Route::Revoke, [bearer(&key(1)).as_slice()]), Ok(Some("ci")));
    }
}

#[test]
fn unusable_lists_are_refused_without_showing_digests() {
    let good = || sha256(&key(1));
    let marked = "M".repeat(42);
    let plus = format!("+{}", "0".repeat(63));
    let other = || sha256(&key(2));
    for entries in [
        vec![("", good(), &["revoke"][..])],
        vec![("a b", good(), &["revoke"])],
        vec![("a", String::new(), &["revoke"])],
        vec![("a", marked.clone(), &["revoke"])],
        vec![("a", plus, &["revoke"])],
        vec![("a", format!("{}=", good()), &["revoke"])],
        vec![("a", good(), &[])],
        vec![("a", good(), &["admin"])],
        vec![("a", good(), &["revoke"]), ("b", good(), &["revoke"])],
        vec![("a", good(), &["revoke"]), ("a", other(), &["revoke"])],
    ] {
        let error = ApiKeys::from_json(&list(&entries)).unwrap_err();
        assert!(matches!(error, ApiKeysError::Entry { .. }), "{error}");
        assert!(!error.to_string().contains(&good()) && !error.to_string().contains(&marked), "{error}");
    }
    for text in ["", "{}", "null", "[1]", "[{}]", "[{\"id\":\"a\",\"id\":\"a\",\"sha256\":\"\",\"scopes\":[]}]"] {
        assert!(matches!(ApiKeys::from_json(text.as_bytes()), Err(ApiKeysError::Form(_))), "{text}");
    }
    let unknown = format!("[{{\"id\":\"a\",\"sha256\":\"{}\",\"scopes\":[\"revoke\"],\"key\":1}}]", good());
    assert!(matches!(ApiKeys::from_json(unknown.as_bytes()), Err(ApiKeysError::Form(_))));
    let many: Vec<(String, String)> = (0..65_u8).map(|number| (format!("k{number}"), sha256(&key(number)))).collect();
    let many: Vec<(&str, String, &[&str])> =
        many.iter().map(|(id, sha256)| (id.as_str(), sha256.clone(), &["revoke"][..])).collect();
    assert_eq!(ApiKeys::from_json(&list(&many)).unwrap_err(), ApiKeysError::TooMany);
    assert!(ApiKeys::from_json(&list(&many[..64])).is_ok());
    assert!(ApiKeys::from_json(b"[]").is_ok());
}

#[test]
fn refusals_are_problems_with_a_challenge() {
    for (error, status, code, challenge) in [
        (KeyError::Missing, 401, "api_key_rejected", "Bearer realm=\"passgate\""),
        (KeyError::Unknown, 401, "api_key_rejected", "Bearer realm=\"passgate\", error=\"invalid_token\""),
        (
            KeyError::Scope(Scope::Revoke),
            403,
            "api_key_scope",
            "Bearer realm=\"passgate\", error=\"insufficient_scope\", scope=\"revoke\"",
        ),
    ] {
        let reply = Reply::from(error);
        assert_eq!(reply.status, status);
        assert!(reply.fields.contains(&("www-authenticate", challenge.to_owned())), "{:?}", reply.fields);
        assert!(reply.fields.contains(&("content-type", "application/problem+json".to_owned())));
        let Body::Whole(body) = reply.body else { panic!("a problem is whole") };
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!((problem.status, problem.reason_code.as_ref()), (status, code));
    }
}

#[test]
fn keys_are_shown_by_their_ids_alone() {
    let keys = ApiKeys::from_json(&list(&[("ci", sha256(&key(1)), &["revoke"])])).unwrap();
    assert_eq!(format!("{keys:?}"), "[\"ci\"]");
}
