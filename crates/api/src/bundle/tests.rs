use passgate_core::gate::{EvaluatorRef, Gate, Guardrails};
use passgate_core::pii::Classes;
use passgate_core::route::EffectClass;
use passgate_passport::jwe::DecryptionKey;
use passgate_passport::key::SecretKey;
use serde_json::{Value, json};

use super::*;

fn policy() -> Value {
    let key: Value = serde_json::from_str(&SecretKey::from_seed([1; 32]).public().to_jwk()).unwrap();
    json!({
        "version": 3,
        "gate": { "id": "gate_1", "level": "L2", "public_url": "https://gate.example" },
        "issuers": [{ "id": "https://issuer.example", "tier": "L2", "keys": [{ "jwk": key }] }],
        "routes": [
            { "method": "POST", "path": "/pay", "action": "payments:create",
              "amount": { "pointer": "/usd", "unit": "usd" }, "domain": { "pointer": "/to" } },
            { "path": "/files/**", "action": "files:read", "domain": { "query": "url" } }
        ],
        "guardrails": {
            "rate_limits": { "requests_per_minute": 60, "per_gate": { "requests_per_day": 1000 } },
            "spend_limits": { "per_transaction_usd": 10, "daily_usd": 100.5, "monthly_usd": "1000" },
            "allowed_domains": ["shop.example", "*.shop.example"],
            "approval_workflows": { "require_approval_above_usd": 5 }
        }
    })
}

fn compile(policy: &Value) -> Result<Gate, String> {
    let bundle: Bundle = serde_json::from_value(policy.clone()).map_err(|e| e.to_string())?;
    let evaluator = EvaluatorRef { digest: "d".to_owned(), engine: "native".to_owned(), version: "0".to_owned() };
    bundle.compile(evaluator).map_err(|e| e.to_string())
}

fn set(pointer: &str, value: Value) -> Value {
    let mut policy = policy();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    policy.pointer_mut(parent).unwrap()[name] = value;
    policy
}

#[test]
fn a_policy_compiles() {
    let gate = compile(&policy()).unwrap();
    assert_eq!((gate.id.as_str(), gate.policy.version, gate.routes.len()), ("gate_1", 3, 2));
    assert_eq!(gate.guardrails.spend.agent.daily.map(|usd| usd.0), Some(100_500_000));
    assert_eq!(gate.guardrails.rates.gate.requests_per_day, Some(1000));
    assert_eq!(gate.origin.authority, "gate.example");
}

#[test]
fn idempotency_keys_are_of_what_is_charged_and_for_a_time() {
    let with = |seconds: u32, amount: Value| {
        let mut route = json!({ "method": "POST", "path": "/pay", "action": "payments:create" });
        route["idempotency_seconds"] = json!(seconds);
        if !amount.is_null() {
            route["amount"] = amount;
        }
        compile(&set("/routes", json!([route]))).map(|gate| gate.routes[0].idempotency_seconds)
    };
    let amount = json!({ "pointer": "/usd" });
    for seconds in [1, 2_592_000] {
        assert_eq!(with(seconds, amount.clone()), Ok(Some(seconds)));
    }
    for (seconds, amount) in [(0, amount.clone()), (2_592_001, amount), (60, Value::Null)] {
        let error = with(seconds, amount).unwrap_err();
        assert!(error.contains("routes[0].idempotency_seconds"), "{error}");
    }
}

#[test]
fn the_class_that_a_route_says_wins_over_words_and_methods() {
    let with = |method: &str, action: &str, class: Option<&str>| {
        let mut route = json!({ "method": method, "path": "/records/{id}", "action": action });
        route["class"] = class.into();
        compile(&set("/routes", json!([route]))).unwrap().routes[0].class
    };
    for (method, action, otherwise) in [
        ("DELETE", "files:get", EffectClass::Destructive),
        ("GET", "files:delete", EffectClass::Destructive),
        ("DELETE", "files:delete", EffectClass::Destructive),
        ("POST", "roles:grant", EffectClass::Admin),
        ("GET", "files:get", EffectClass::Read),
    ] {
        assert_eq!(with(method, action, None), otherwise, "{method} {action}");
        for (said, class) in [
            ("read", EffectClass::Read),
            ("write", EffectClass::Write),
            ("destructive", EffectClass::Destructive),
            ("admin", EffectClass::Admin),
        ] {
            assert_eq!(with(method, action, Some(said)), class, "{method} {action} {said}");
        }
    }
}

#[test]
fn the_digest_depends_on_what_is_said_and_not_on_how() {
    let digest = |policy: &Value| compile(policy).unwrap().policy.sha256;
    assert_eq!(digest(&policy()), digest(&set("/guardrails/spend_limits/monthly_usd", json!(1000.0))));
    assert_eq!(digest(&policy()), digest(&set("/gate/leeway_seconds", json!(30))));
    assert_ne!(digest(&policy()), digest(&set("/guardrails/spend_limits/monthly_usd", json!(1001))));
}

#[test]
fn status_lists_are_checked_where_the_policy_says_so() {
    let unchecked = compile(&policy()).unwrap();
    assert_eq!(unchecked.status_lists.max_age_seconds("https://issuer.example"), None);
    let checked = compile(&set("/issuers/0/status_list", json!({ "max_age_seconds": 300 }))).unwrap();
    assert_eq!(checked.status_lists.max_age_seconds("https://issuer.example"), Some(300));
    assert_ne!(unchecked.policy.sha256, checked.policy.sha256);
    assert_eq!(unchecked.policy_freshness, None);
}

#[test]
fn responses_are_looked_at_where_the_policy_says_so() {
    assert_eq!(compile(&policy()).unwrap().response_rules("POST", "/pay", Some(1)), None);
    let looking = json!({ "mode": "ignore", "responses": { "mode": "redact", "classes": { "ip": "ignore" } } });
    let mut looking = set("/guardrails/pii_controls", looking);
    looking["guardrails"]["max_scanned_response_bytes"] = json!(8_388_608);
    let responses = compile(&looking).unwrap().guardrails.responses;
    let pii = responses.pii.unwrap();
    assert_eq!((responses.max_bytes, pii.denies_unscannable), (8_388_608, true));
    assert_eq!((pii.redact.contains(Class::Email), pii.redact.contains(Class::Ip)), (true, false));
    for (pointer, records, is_bound) in [
        (json!({ "pointer": "", "max_records": 5 }), None, true),
        (json!({ "pointer": "/items" }), Some(json!({ "query": "limit" })), false),
    ] {
        let mut counting = set("/routes/0/response_records", pointer);
        counting["routes"][0]["records"] = records.unwrap_or(Value::Null);
        let gate = compile(&counting).unwrap();
        assert_eq!(gate.response_rules("POST", "/pay", None).is_some(), is_bound);
        assert!(gate.response_rules("POST", "/pay", Some(1)).is_some());
        assert_eq!(gate.response_rules("GET", "/files/a", Some(1)), None);
    }
    let mut none = set("/routes/0/response_records", json!({ "pointer": "/items", "max_records": 5 }));
    none["routes"][0]["records"] = json!("none");
    assert!(compile(&none).unwrap_err().contains("routes[0].response_records: `records` says"));
}

#[test]
fn absent_domains_are_unchecked_and_empty_ones_are_none() {
    let mut unchecked = policy();
    unchecked["guardrails"].as_object_mut().unwrap().remove("allowed_domains");
    assert_eq!(compile(&unchecked).unwrap().guardrails.allowed_domains, None);
    let none = set("/guardrails/allowed_domains", json!([]));
    assert_eq!(compile(&none).unwrap().guardrails.allowed_domains, Some(Vec::new()));
}

fn reader() -> DecryptionKey {
    DecryptionKey::from_seed([5; 32])
}

/// The controls with this key, the public half of the reader's where it is not changed.
fn encrypting(mut controls: Value, change: &[(&str, Value)]) -> Value {
    let mut key: Value = serde_json::from_str(&reader().public().to_jwk()).unwrap();
    change.iter().for_each(|(name, value)| key[*name] = value.clone());
    controls["encrypt_to"] = key;
    set("/guardrails/pii_controls", controls)
}

#[test]
fn what_is_encrypted_has_a_reader() {
    let gate = compile(&encrypting(json!({ "mode": "redact", "classes": { "email": "encrypt" } }), &[])).unwrap();
    let pii = gate.guardrails.pii.as_ref().unwrap();
    let encrypt = pii.encrypt.as_ref().unwrap();
    assert_eq!((encrypt.classes, &encrypt.to), (Classes::of(Class::Email), reader().public()));
    assert!(!pii.redact.contains(Class::Email) && pii.redact.contains(Class::Card) && pii.denies_unscannable);
    assert!(gate.redacts());
    let gate = compile(&encrypting(json!({ "mode": "block" }), &[])).unwrap();
    assert_eq!(gate.guardrails.pii.unwrap().encrypt, None, "a key alone encrypts nothing");
    let named = encrypting(json!({ "mode": "encrypt" }), &[("kid", json!("ops 1")), ("use", json!("enc"))]);
    assert!(compile(&named).unwrap_err().contains("`kid`"));
    let named = encrypting(json!({ "mode": "encrypt" }), &[("kid", json!("ops-1")), ("alg", json!("ECDH-ES"))]);
    let read: Bundle = serde_json::from_value(named.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap()["guardrails"]["pii_controls"], named["guardrails"]["pii_controls"]);
}

#[test]
fn responses_are_not_encrypted() {
    for responses in [json!({ "mode": "encrypt" }), json!({ "mode": "redact", "classes": { "ip": "encrypt" } })] {
        let policy = encrypting(json!({ "mode": "encrypt", "responses": responses }), &[]);
        let error = compile(&policy).unwrap_err();
        assert!(error.starts_with("guardrails.pii_controls.responses: `encrypt` is for requests alone"), "{error}");
    }
    let gate = compile(&encrypting(json!({ "mode": "encrypt", "responses": { "mode": "redact" } }), &[])).unwrap();
    let Guardrails { pii, responses, .. } = gate.guardrails;
    assert_eq!((pii.unwrap().redact, responses.pii.unwrap().redact), (Classes::NONE, Classes::ALL));
}

#[test]
fn a_reader_that_everybody_could_be_is_refused_and_never_quoted() {
    const SECRET: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MDE";
    let at = "guardrails.pii_controls.encrypt_to: ";
    let all = || json!({ "mode": "encrypt" });
    let one = || json!({ "mode": "ignore", "classes": { "card": "encrypt" } });
    for (policy, why) in [
        (set("/guardrails/pii_controls", all()), "give the public key"),
        (set("/guardrails/pii_controls", one()), "give the public key"),
        (encrypting(all(), &[("d", json!(SECRET))]), "private key material"),
        (encrypting(json!({ "mode": "block" }), &[("d", json!(SECRET))]), "private key material"),
        (encrypting(all(), &[("d", json!({ "a": [SECRET] }))]), "private key material"),
        (encrypting(all(), &[("x", json!("A".repeat(43)))]), "weak"),
        (encrypting(all(), &[("x", json!("AQ".to_owned() + &"A".repeat(41)))]), "weak"),
        (encrypting(all(), &[("x", json!(format!("7P{}38", "_".repeat(39))))]), "weak"),
        (encrypting(all(), &[("x", json!(format!("7f{}38", "_".repeat(39))))]), "canonically"),
        (encrypting(all(), &[("x", json!("AAAA"))]), "32 bytes"),
        (encrypting(all(), &[("crv", json!("Ed25519"))]), "`crv`"),
        (encrypting(all(), &[("kty", json!("EC"))]), "`kty`"),
    ] {
        let error = compile(&policy).unwrap_err();
        assert!(error.starts_with(at) && error.contains(why) && !error.contains(SECRET), "{error}");
    }
    for (name, value) in [("k", json!(SECRET)), ("p", json!(SECRET)), ("thumbprint", json!("A"))] {
        let error = compile(&encrypting(all(), &[(name, value)])).unwrap_err();
        assert!(error.contains(&format!("unknown field `{name}`")) && !error.contains(SECRET), "{error}");
    }
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let issuer = &policy()["issuers"][0];
    for (policy, place) in [
        (set("/guardrails/rate_limit", json!({})), "rate_limit"),
        (set("/guardrails/pii_guards", json!({})), "pii_controls"),
        (set("/gate/id", json!("a b")), "gate.id"),
        (set("/gate/id", json!("")), "gate.id"),
        (set("/gate/level", json!("L4")), "L4"),
        (set("/gate/leeway_seconds", json!(301)), "gate.leeway_seconds"),
        (set("/gate/public_url", json!("gate.example")), "gate.public_url"),
        (set("/gate/public_url", json!("https://gate.example/")), "gate.public_url"),
        (set("/gate/public_url", json!("https://GATE.example")), "gate.public_url"),
        (set("/gate/public_url", json!("https://gate.example:443")), "gate.public_url"),
        (set("/gate/public_url", json!("https://gate.example:0")), "gate.public_url"),
        (set("/gate/public_url", json!("https://user@gate.example")), "gate.public_url"),
        (set("/gate/public_url", json!("ftp://gate.example")), "gate.public_url"),
        (set("/self_issued", json!("any_key")), "self_issued"),
        (set("/issuers/0/id", json!("did:key:z6Mk")), "issuers[0].id"),
        (set("/issuers/0/keys", json!([])), "issuers[0].keys"),
        (set("/issuers/0/keys/0/jwk/x", json!("AAAA")), "issuers[0].keys[0].jwk"),
        (set("/issuers/0/keys/0/jwk/d", json!("AAAA")), "unknown field `d`"),
        (set("/issuers/0/max_passport_ttl_days", json!(0)), "issuers[0].max_passport_ttl_days"),
        (set("/issuers/0/status_list", json!({})), "max_age_seconds"),
        (set("/issuers/0/status_list", json!({ "max_age_seconds": 0 })), "issuers[0].status_list.max_age_seconds"),
        (set("/issuers/0/status_list", json!({ "max_age_seconds": 31_536_001 })), "issuers[0].status_list"),
        (set("/issuers/0/status_list", json!({ "max_age_seconds": 60, "file": "x" })), "file"),
        (set("/issuers", json!([issuer, issuer])), "issuers"),
        (set("/routes/0/method", json!("post")), "routes[0].method"),
        (set("/routes/0/path", json!("/a/../b")), "routes[0].path"),
        (set("/routes/1/action", json!("files:*")), "routes[1].action"),
        (set("/routes/0/amount/pointer", json!("usd")), "routes[0].amount.pointer"),
        (set("/routes/0/amount/pointer", json!("/a~2")), "routes[0].amount.pointer"),
        (set("/routes/1/domain", json!({ "query": "" })), "routes[1].domain.query"),
        (
            set("/routes/0/response_records", json!({ "pointer": "/items" })),
            "routes[0].response_records: nothing bounds them",
        ),
        (
            set("/routes/0/response_records", json!({ "pointer": "items", "max_records": 1 })),
            "routes[0].response_records.pointer",
        ),
        (set("/routes/0/response_records", json!({ "pointer": "/items", "max_records": 0 })), "at least 1"),
        (set("/routes/0/response_records", json!({ "max_records": 1 })), "pointer"),
        (set("/routes/0/response_records", json!({ "pointer": "/items", "most": 1 })), "most"),
        (set("/guardrails/pii_controls", json!({ "mode": "block", "responses": {} })), "mode"),
        (set("/guardrails/pii_controls", json!({ "mode": "block", "responses": { "mode": "hide" } })), "hide"),
        (
            set(
                "/guardrails/pii_controls",
                json!({ "mode": "block", "responses": { "mode": "ignore", "unscannable": "deny" } }),
            ),
            "guardrails.pii_controls.responses: every class is ignored",
        ),
        (set("/guardrails/max_scanned_response_bytes", json!(1000)), "no response is looked at"),
        (
            set("/guardrails/max_scanned_response_bytes", json!(0)),
            "guardrails.max_scanned_response_bytes: from 1 to 8388608",
        ),
        (set("/guardrails/max_scanned_response_bytes", json!(8_388_609)), "from 1 to 8388608"),
        (set("/guardrails/allowed_domains", json!(["shop.example", "*"])), "guardrails.allowed_domains[1]"),
        (set("/guardrails/allowed_domains", json!(["b\u{fc}cher.example"])), "guardrails.allowed_domains[0]"),
        (set("/guardrails/rate_limits/per_gate/requests_per_day", json!(0)), "guardrails.rate_limits.per_gate"),
        (set("/guardrails/rate_limits/requests_per_minute", json!(-1)), "invalid value"),
        (set("/guardrails/spend_limits/daily_usd", json!(-1)), "-1"),
        (set("/guardrails/spend_limits/daily_usd", json!("1e9")), "1e9"),
    ] {
        let error = compile(&policy).unwrap_err();
        assert!(error.contains(place), "{error} should name {place}");
    }
}
