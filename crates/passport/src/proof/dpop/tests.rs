//! RFC 9449's own examples. They are signed with ES256, so their claims are also signed anew with an Ed25519 key: then
//! nothing but the algorithm can have been the reason of the refusal.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::*;
use crate::http::Header;
use crate::json::canonical;
use crate::proof::tests::{text, vector};

const NO_RULES: DpopRules<'static> = DpopRules { nonces: None };

/// The published proofs; none, said aloud, when the tests run without the vectors.
fn proofs() -> Vec<Value> {
    let Some(file) = vector("rfc9449/examples.json") else { return Vec::new() };
    let vectors = file["vectors"].as_array().unwrap().clone();
    let proofs: Vec<Value> = vectors.into_iter().filter(|vector| vector["kind"] == "dpop-proof").collect();
    assert_eq!(proofs.len(), 3);
    proofs
}

fn code(vector: &Value, token: &str, passport: &str, key: &PublicKey, now: i64) -> &'static str {
    let url = text(vector, "/http/url");
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let headers = [
        Header { name: "agent-passport", value: passport.as_bytes() },
        Header { name: "dpop", value: token.as_bytes() },
    ];
    let method = text(vector, "/http/method");
    let request = HttpRequest { method, scheme, authority, path, query: None, headers: &headers, body: b"" };
    verify(&request, key, now, &NO_RULES).map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn rfc9449_proofs_are_refused_for_their_algorithm_alone() {
    let key = SecretKey::from_seed([7; 32]);
    for vector in proofs() {
        let now = vector["claims"]["iat"].as_i64().unwrap();
        let passport = vector["access_token"].as_str().unwrap_or("aaa.bbb.ccc");
        assert_eq!(code(&vector, text(&vector, "/jwt"), passport, key.public(), now), "proof_algorithm");

        let jwk: Value = serde_json::from_str(&key.public().to_jwk()).unwrap();
        let header = json!({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk});
        let sign = |claims: &Value| {
            let input = format!(
                "{}.{}",
                b64::encode(header.to_string().as_bytes()),
                b64::encode(claims.to_string().as_bytes())
            );
            let signature = key.sign(input.as_bytes());
            with_signature(input, &signature)
        };
        let mut claims = vector["claims"].clone();
        // Two of them are for a token endpoint, where there is no token yet to be bound to.
        let bound = claims.get("ath").is_some();
        let expected = if bound { "ok" } else { "proof_malformed" };
        assert_eq!(code(&vector, &sign(&claims), passport, key.public(), now), expected);
        claims["ath"] = b64::encode(&hash(passport.as_bytes())).into();
        assert_eq!(code(&vector, &sign(&claims), passport, key.public(), now), "ok");
    }
}

#[test]
fn rfc9449_hashes_of_token_and_key_agree() {
    for vector in proofs() {
        if let Some(token) = vector["access_token"].as_str() {
            assert_eq!(b64::encode(&hash(token.as_bytes())), text(&vector, "/claims/ath"));
        }
        // RFC 7638 section 3.2: of an EC key these four members count.
        let jwk = &vector["header"]["jwk"];
        let members = json!({"crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"], "y": jwk["y"]});
        assert_eq!(b64::encode(&hash(&canonical(&members).unwrap())), text(&vector, "/jkt"));
        let jwk = jwk.to_string();
        assert!(PublicKey::from_jwk(jwk.as_bytes()).is_err(), "a key of another curve was read");
    }
}

#[test]
fn the_replay_key_is_pinned_and_depends_on_all_three() {
    let pinned = replay_key("-BwC3ESc6acc2lTc", "POST", "https://server.example.com/token");
    assert_eq!(pinned, "dpop:6G5WFJ15Evgii__AIG-N4Db18l8GgJ0TAMWyCl9ITcI");
    let others = [
        replay_key("-BwC3ESc6acc2lTd", "POST", "https://server.example.com/token"),
        replay_key("-BwC3ESc6acc2lTc", "PUT", "https://server.example.com/token"),
        replay_key("-BwC3ESc6acc2lTc", "POST", "https://server.example.com/tokens"),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, pinned);
        assert!(!others[..index].contains(other));
    }
}

/// The page's example is what this code makes.
#[test]
fn the_example_of_the_page_is_made_here() {
    let page = include_str!("../../../../../docs/spec/dpop.md");
    let key = SecretKey::from_seed(b64::decode_array("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap());
    let headers = [
        Header { name: "content-type", value: b"application/json" },
        Header { name: "agent-passport", value: b"aaa.bbb.ccc" },
    ];
    let request = HttpRequest {
        method: "POST",
        scheme: "https",
        authority: "gate.example",
        path: "/pay",
        query: Some("draft=1"),
        headers: &headers,
        body: br#"{"hello": "world"}"#,
    };
    let params = DpopParams { created: 1_800_000_000, jti: "b64Zk1uq0y7cT5mC", expires: None, nonce: None };
    let proof = sign(&request, &key, &params, &[]).unwrap();
    assert!(page.contains(&format!("DPoP: {proof}\n")), "{proof}");
    for part in proof.split('.').take(2) {
        let json: Value = serde_json::from_slice(&b64::decode(part).unwrap()).unwrap();
        let block = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
        assert!(block.clone().any(|block| serde_json::from_str::<Value>(block).unwrap() == json), "{json}");
    }
}

/// Every code that the page names in its table is one of these, and every one of these stands there.
#[test]
fn the_codes_of_the_page() {
    let page = include_str!("../../../../../docs/spec/dpop.md");
    let (_, checks) = page.split_once("| check | else | |").unwrap();
    let (checks, _) = checks.split_once("\n\n").unwrap();
    let named: BTreeSet<&str> = checks.lines().skip(2).map(|line| line.split('`').rev().nth(1).unwrap()).collect();
    let errors = [
        ProofError::Missing { field: DPOP_FIELD },
        malformed("example"),
        ProofError::coverage("htq", "example"),
        ProofError::Algorithm,
        ProofError::KeyMismatch,
        ProofError::InFuture { created: 1, now: 0 },
        ProofError::Expired { expires_at: 0, now: 1 },
        ProofError::MethodMismatch,
        ProofError::TargetMismatch { claim: "htu" },
        ProofError::PassportMismatch,
        ProofError::NonceRequired,
        ProofError::FieldMismatch { field: "host".to_string() },
        ProofError::BodyHashMissing,
        ProofError::BodyHashMismatch,
        ProofError::SignatureInvalid,
    ];
    assert_eq!(named, errors.iter().map(ProofError::code).collect());
    assert!(page.contains(ProofError::Ambiguous.code()));
}
