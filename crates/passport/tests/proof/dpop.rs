//! A DPoP proof that can be changed at will, and what a good one gives.
//!
//! It is put together from RFC 9449 and signed here, so that a flawed proof carries a good signature and only the flaw
//! can be the reason of a refusal.

#![expect(clippy::panic, reason = "a failing helper fails its test")]

use passgate_passport::b64;
use passgate_passport::http::HttpRequest;
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_passport::proof::dpop::{self, DpopParams, DpopRules};
use passgate_passport::proof::{self, ProofForm, VerifiedProof};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::message::{COVERED, Message, NONCE, NOW, agent, good_params};

pub(crate) const JTI: &str = "anRpLW9mLXRlc3RpbmcgIQ";
pub(crate) const PARAMS: DpopParams<'static> = DpopParams { created: NOW, jti: JTI, expires: None, nonce: None };

pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    b64::encode(&Sha256::digest(bytes))
}

/// A request and the parts of its proof, not signed yet.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) message: Message,
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) key: [u8; 32],
}

impl Draft {
    /// With a query, a body, its type and one more field: everything that a proof can cover.
    pub(crate) fn post() -> Self {
        let mut message = Message::post();
        message.remove("content-digest");
        let mut draft = Self::of(message);
        let claims = &mut draft.claims;
        claims["htb"] = sha256(&draft.message.body).into();
        claims["htf"] = json!({"content-type": "application/json", "x-intent": "pay the invoice"});
        draft
    }

    /// With a query alone.
    pub(crate) fn get() -> Self {
        Self::of(Message::get())
    }

    /// As any DPoP library makes it: nothing beyond RFC 9449.
    pub(crate) fn plain() -> Self {
        let mut draft = Self::of(Message { query: None, ..Message::get() });
        draft.drop_claim("htq");
        draft
    }

    fn of(message: Message) -> Self {
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk(agent().public())});
        let claims = json!({
            "jti": JTI,
            "htm": message.method,
            "htu": "https://api.example/v1/pay",
            "iat": NOW,
            "ath": sha256("aaa.bbb.ccc"),
            "htq": sha256("a=1&b=%2F"),
        });
        Self { message, header, claims, key: [7; 32] }
    }

    pub(crate) fn set_claim(&mut self, claim: &str, value: Value) {
        let claims = self.claims.as_object_mut().unwrap_or_else(|| panic!("the claims are no object"));
        claims.insert(claim.into(), value);
    }

    pub(crate) fn drop_claim(&mut self, claim: &str) {
        let claims = self.claims.as_object_mut().unwrap_or_else(|| panic!("the claims are no object"));
        assert!(claims.remove(claim).is_some(), "{claim} is not there");
    }

    pub(crate) fn signed(&self) -> Message {
        self.signed_as(&self.header.to_string(), &self.claims.to_string())
    }

    /// Signs header and claims given as text, whatever they say.
    pub(crate) fn signed_as(&self, header: &str, claims: &str) -> Message {
        let input = format!("{}.{}", b64::encode(header.as_bytes()), b64::encode(claims.as_bytes()));
        let signature = SecretKey::from_seed(self.key).sign(input.as_bytes());
        let mut message = self.message.clone();
        message.add("dpop", format!("{input}.{}", b64::encode(&signature)));
        message
    }

    pub(crate) fn code(&self) -> &'static str {
        dpop_code(&self.signed(), NOW, None)
    }
}

pub(crate) fn jwk(key: &PublicKey) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": b64::encode(key.as_bytes())})
}

/// The refusal's code, or `ok`; asked of both functions that verify, which must agree.
pub(crate) fn dpop_code(message: &Message, now: i64, nonces: Option<&[&str]>) -> &'static str {
    let rules = DpopRules { nonces };
    message.view(|request| {
        let code = |proof: Result<VerifiedProof<'_>, proof::ProofError>| match proof {
            Ok(_) => "ok",
            Err(error) => {
                assert!(!error.to_string().is_empty());
                error.code()
            }
        };
        let one = code(dpop::verify(request, agent().public(), now, &rules));
        if ProofForm::of(request) == Ok(ProofForm::Dpop) {
            assert_eq!(code(proof::verify_either(request, agent().public(), now, &rules)), one);
        }
        one
    })
}

/// Runs on the verified proof, which must be good.
pub(crate) fn verified<T>(message: &Message, run: impl FnOnce(&VerifiedProof<'_>) -> T) -> T {
    message.view(|request| match proof::verify_either(request, agent().public(), NOW, &DpopRules::default()) {
        Ok(proof) => run(&proof),
        Err(error) => panic!("{error}"),
    })
}

/// Signs with the library's signer and adds the field.
pub(crate) fn signed_by_library(message: &Message, params: &DpopParams<'_>, extra: &[&str]) -> Message {
    let proof = message.view(|request| dpop::sign(request, &agent(), params, extra));
    let mut message = message.clone();
    message.add("dpop", proof.unwrap_or_else(|error| panic!("{error}")));
    message
}

#[test]
fn good_proofs_are_accepted() {
    assert_eq!(Draft::post().code(), "ok");
    assert_eq!(Draft::get().code(), "ok");
    assert_eq!(Draft::plain().code(), "ok");
    let mut named = Draft::plain();
    named.header["alg"] = "Ed25519".into();
    named.header["jwk"]["kid"] = agent().public().thumbprint().into();
    named.claims["aud"] = "ignored".into();
    assert_eq!(named.code(), "ok");
}

#[test]
fn a_verified_proof_says_what_it_covers_and_what_to_remember() {
    verified(&Draft::post().signed(), |proof| {
        assert_eq!(proof.form(), ProofForm::Dpop);
        assert_eq!((proof.created(), proof.expires_at()), (NOW, NOW + 300));
        assert_eq!(proof.nonce(), dpop::replay_key(JTI, "POST", "https://api.example/v1/pay"));
        assert_eq!(proof.key_thumbprint(), agent().public().thumbprint());
        let covered = proof.covered();
        assert_eq!((covered.method(), covered.path()), ("POST", "/v1/pay"));
        assert_eq!(covered.query(), Some("a=1&b=%2F"));
        assert_eq!(covered.body(), crate::message::BODY);
        let fields: Vec<_> = covered.fields().collect();
        let expected =
            [("agent-passport", "aaa.bbb.ccc"), ("content-type", "application/json"), ("x-intent", "pay the invoice")];
        assert_eq!(fields, expected);
        assert_eq!(covered.header("x-other"), None, "a field that nobody signed is reachable");
        assert_eq!(covered.header("host"), None);
    });
}

#[test]
fn both_forms_end_alike() {
    let signature = Message::post().signed(COVERED, &good_params());
    let mut draft = Draft::post();
    draft.message = Message::post();
    draft.claims["htf"]["content-digest"] = String::from_utf8(draft.message.value("content-digest")).unwrap().into();
    let read = |message: &Message| {
        verified(message, |proof| {
            let mut fields: Vec<(String, String)> =
                proof.covered().fields().map(|(name, value)| (name.into(), value.into())).collect();
            fields.sort();
            (proof.created(), proof.expires_at(), proof.key_thumbprint().to_owned(), fields)
        })
    };
    assert_eq!(read(&signature), read(&draft.signed()));
    assert_eq!(verified(&signature, |proof| (proof.form(), proof.nonce().to_owned())).1, NONCE);
}

#[test]
fn the_library_signs_what_it_verifies() {
    for (message, extra) in [(Message::post(), &["x-intent"][..]), (Message::get(), &[]), (Draft::plain().message, &[])]
    {
        let params = DpopParams { nonce: Some("server-nonce"), expires: Some(NOW + 5), ..PARAMS };
        let signed = signed_by_library(&message, &params, extra);
        assert_eq!(dpop_code(&signed, NOW + 5, Some(&["server-nonce"])), "ok");
        assert_eq!(dpop_code(&signed, NOW + 6, Some(&["server-nonce"])), "proof_expired");
    }
}

#[test]
fn a_key_held_elsewhere_signs_the_same() {
    let message = Message::post();
    let whole = message.view(|request| dpop::sign(request, &agent(), &PARAMS, &[])).unwrap();
    let input = message.view(|request| dpop::signing_input(request, agent().public(), &PARAMS, &[])).unwrap();
    let signature = agent().sign(input.as_bytes());
    assert_eq!(dpop::with_signature(input, &signature), whole);
}

/// Ed25519 is deterministic, so the whole value can be held against bytes that were written down.
#[test]
fn the_bytes_of_a_proof_are_pinned() {
    let proof = Draft::plain().message.view(|request| dpop::sign(request, &agent(), &PARAMS, &[])).unwrap();
    let parts: Vec<Vec<u8>> = proof.split('.').map(|part| b64::decode(part).unwrap()).collect();
    let x = b64::encode(agent().public().as_bytes());
    let header = format!(r#"{{"alg":"EdDSA","jwk":{{"crv":"Ed25519","kty":"OKP","x":"{x}"}},"typ":"dpop+jwt"}}"#);
    assert_eq!(String::from_utf8_lossy(&parts[0]), header);
    let claims = format!(
        r#"{{"jti":"{JTI}","htm":"GET","htu":"https://api.example/v1/pay","iat":{NOW},"ath":"{}"}}"#,
        sha256("aaa.bbb.ccc")
    );
    assert_eq!(String::from_utf8_lossy(&parts[1]), claims);
}

#[test]
fn nothing_is_signed_that_would_be_refused() {
    let code = |message: &Message, params: &DpopParams<'_>, extra: &[&str]| {
        let sign = |request: &HttpRequest<'_>| dpop::sign(request, &agent(), params, extra);
        message.view(sign).map_or_else(|error| error.code(), |_| "ok")
    };
    let good = Message::get();
    assert_eq!(code(&good, &PARAMS, &[]), "ok");
    let long = "a".repeat(129);
    for jti in ["", "fifteen-letters", &long, "sixteen letters!", "sixteen-l\u{e9}tters"] {
        assert_eq!(code(&good, &DpopParams { jti, ..PARAMS }, &[]), "proof_malformed", "{jti}");
    }
    assert_eq!(code(&good, &DpopParams { created: -1, ..PARAMS }, &[]), "proof_malformed");
    assert_eq!(code(&good, &DpopParams { expires: Some(NOW - 1), ..PARAMS }, &[]), "proof_malformed");
    for extra in ["dpop", "agent-passport", "signature", "@path", "X-Other", "x-missing", ""] {
        assert_eq!(code(&good, &PARAMS, &[extra]), "proof_coverage", "{extra}");
    }
    assert_eq!(code(&Message { path: "/v1/../pay".into(), ..good.clone() }, &PARAMS, &[]), "proof_malformed");
    let mut bare = good.clone();
    bare.remove("agent-passport");
    assert_eq!(code(&bare, &PARAMS, &[]), "proof_missing");
    let mut wrong_digest = good.clone();
    wrong_digest.add("content-digest", "sha-256=:AAAA:");
    assert_eq!(code(&wrong_digest, &PARAMS, &[]), "content_digest_mismatch");
    let mut long = good;
    long.add("x-long", "a".repeat(6000));
    assert_eq!(code(&long, &PARAMS, &["x-long"]), "proof_malformed");
}
