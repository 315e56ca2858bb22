//! What the library signs, what it refuses to sign, and what a verified proof shows.

use passgate_passport::digest::content_digest;
use passgate_passport::proof::{self, ProofParams};

use crate::message::{BODY, Message, NONCE, NOW, agent, good};

const PARAMS: ProofParams<'_> = ProofParams { created: NOW, nonce: NONCE, expires: None };

#[test]
fn a_verified_proof_tells_what_was_signed() {
    good().verified(|proof| {
        assert_eq!((proof.created(), proof.expires_at()), (NOW, NOW + 300));
        assert_eq!(proof.nonce(), NONCE);
        assert_eq!(proof.key_thumbprint(), agent().public().thumbprint());
        let covered = proof.covered();
        assert_eq!(covered.method(), "POST");
        assert_eq!((covered.scheme(), covered.authority()), ("https", "api.example"));
        assert_eq!((covered.path(), covered.query()), ("/v1/pay", Some("a=1&b=%2F")));
        assert_eq!(covered.body(), BODY);
    });
}

#[test]
fn only_covered_fields_can_be_read() {
    let mut message = good();
    message.set("x-other", "changed after signing");
    message.add("host", "elsewhere");
    message.add("x-late", [0xff, 0x00]);
    message.verified(|proof| {
        let covered = proof.covered();
        assert_eq!(covered.header("x-intent"), Some("pay the invoice"));
        assert_eq!(covered.header("agent-passport"), Some("aaa.bbb.ccc"));
        for name in ["x-other", "host", "x-late", "signature", "@method", "X-Intent"] {
            assert_eq!(covered.header(name), None, "{name}");
        }
    });
}

#[test]
fn the_library_signs_what_it_verifies() {
    let mut message = Message::post();
    message.remove("content-digest");
    let message = message.signed_by_library(&PARAMS, &["x-intent", "@method", "@authority"]);
    assert_eq!(message.code(), "ok");
    assert_eq!(message.value("content-digest"), content_digest(BODY).into_bytes());
    let expected = format!(
        "sig1=(\"@method\" \"@target-uri\" \"agent-passport\" \"content-digest\" \"content-type\" \
         \"x-intent\" \"@authority\");created={NOW};nonce=\"{NONCE}\";keyid=\"{}\";\
         alg=\"ed25519\";tag=\"passgate\"",
        agent().public().thumbprint()
    );
    assert_eq!(String::from_utf8(message.value("signature-input")).unwrap(), expected);
}

#[test]
fn a_request_without_body_needs_no_digest() {
    let params = ProofParams { expires: Some(NOW + 5), ..PARAMS };
    let plain = Message::get().signed_by_library(&params, &[]);
    assert_eq!(plain.code_at(NOW + 5), "ok");
    assert_eq!(plain.code_at(NOW + 6), "proof_expired");
    assert!(!plain.has("content-digest"));
}

#[test]
fn the_library_refuses_to_sign_what_it_would_refuse() {
    let code = |message: &Message, params: ProofParams<'_>, extra: &[&str]| {
        message.view(|request| match proof::sign_covering(request, &agent(), &params, extra) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        })
    };
    let post = Message::post();
    assert_eq!(code(&post, PARAMS, &[]), "ok");
    for params in [
        ProofParams { nonce: "short", ..PARAMS },
        ProofParams { nonce: "quoted\"quoted\"quoted", ..PARAMS },
        ProofParams { created: -1, ..PARAMS },
        ProofParams { expires: Some(NOW - 1), ..PARAMS },
        ProofParams { expires: Some(i64::MAX), ..PARAMS },
    ] {
        assert_eq!(code(&post, params, &[]), "proof_malformed", "{params:?}");
    }
    assert_eq!(code(&post, PARAMS, &["x-absent"]), "proof_coverage");
    assert_eq!(code(&post, PARAMS, &["@status"]), "proof_coverage");
    assert_eq!(code(&post, PARAMS, &["X-Intent"]), "proof_coverage");

    let names: Vec<String> = (0..32).map(|number| format!("x-{number}")).collect();
    let mut wide = Message::post();
    names.iter().for_each(|name| wide.add(name, "v"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(code(&wide, PARAMS, &names), "proof_malformed");

    let mut wrong = Message::post();
    wrong.set("content-digest", content_digest(b"other"));
    assert_eq!(code(&wrong, PARAMS, &[]), "content_digest_mismatch");
    let mut twice = Message::post();
    twice.add("content-type", "text/plain");
    assert_eq!(code(&twice, PARAMS, &[]), "proof_malformed");
    let mut bare = Message::post();
    bare.remove("agent-passport");
    assert_eq!(code(&bare, PARAMS, &[]), "proof_missing");
}

#[test]
fn debug_output_shows_no_value() {
    good().view(|request| {
        let text = format!("{request:?} {:?}", proof::verify(request, agent().public(), NOW));
        for secret in ["aaa.bbb.ccc", "amount_micros", "loose", "invoice"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    });
}
