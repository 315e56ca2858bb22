//! One attack for each of the checks of RFC 9449 section 4.3, and for what a gate asks beyond them.

use passgate_passport::b64;
use passgate_passport::digest::content_digest;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::proof::dpop::{DpopRules, MAX_DPOP_BYTES};
use passgate_passport::proof::{self, ProofForm};
use serde_json::{Value, json};

use crate::dpop::{Draft, dpop_code, jwk, sha256};
use crate::message::{COVERED, Message, NOW, agent, good_params, other_agent};

const MALFORMED: &str = "proof_malformed";
const TARGET: &str = "proof_target_mismatch";
const INVALID: &str = "proof_signature_invalid";

fn code(message: &Message) -> &'static str {
    dpop_code(message, NOW, None)
}

/// Makes one change to the claims of a good proof before it is signed.
fn with_claim(claim: &str, value: Value) -> &'static str {
    let mut draft = Draft::post();
    draft.set_claim(claim, value);
    draft.code()
}

/// Makes one change to the request of a good proof after it was signed.
fn changed(change: impl FnOnce(&mut Message)) -> &'static str {
    let mut message = Draft::post().signed();
    assert_eq!(code(&message), "ok");
    change(&mut message);
    code(&message)
}

#[test]
fn check_1_no_proof_or_two() {
    assert_eq!(code(&Message::get()), "proof_missing");
    let one = Draft::post().signed();
    let mut two = one.clone();
    two.add("dpop", one.value("dpop"));
    assert_eq!(code(&two), MALFORMED);
    let mut joined = one.clone();
    joined.set("dpop", [one.value("dpop"), one.value("dpop")].join(&b", "[..]));
    assert_eq!(code(&joined), MALFORMED);
    let mut upper = one.clone();
    upper.headers.push(("DPoP".into(), one.value("dpop")));
    assert_eq!(code(&upper), MALFORMED);
    let mut bare = one;
    bare.remove("agent-passport");
    assert_eq!(code(&bare), "proof_missing");
}

#[test]
fn check_2_no_well_formed_jwt() {
    let good = Draft::post().signed();
    let text = String::from_utf8(good.value("dpop")).unwrap();
    let (input, signature) = text.rsplit_once('.').unwrap();
    let bad = [
        String::new(),
        "a.b".into(),
        input.into(),
        format!("{input}."),
        format!("{text}.{signature}"),
        format!("{text}="),
        format!(" {text}"),
        format!("{text}\n"),
        format!("{text}~"),
        text.replacen('.', "..", 1),
        json!({"payload": input, "signature": signature}).to_string(),
    ];
    for value in bad {
        let mut message = good.clone();
        message.set("dpop", value.clone());
        assert_eq!(code(&message), MALFORMED, "{value}");
    }
    let draft = Draft::post();
    let header = draft.header.to_string();
    for claims in ["[]", "null", "\"x\"", "1", "", "{", "{}x", "{\"jti\":1e400}"] {
        assert_eq!(code(&draft.signed_as(&header, claims)), MALFORMED, "{claims}");
    }
    for header in ["[]", "null", "{}", "{"] {
        assert_eq!(code(&draft.signed_as(header, &draft.claims.to_string())), MALFORMED, "{header}");
    }
}

#[test]
fn check_2_repeated_names() {
    let draft = Draft::post();
    let (header, claims) = (draft.header.to_string(), draft.claims.to_string());
    let twice = |text: &str, name: &str, value: &str| text.replacen('{', &format!("{{\"{name}\":{value},"), 1);
    assert_eq!(code(&draft.signed_as(&twice(&header, "alg", "\"none\""), &claims)), MALFORMED);
    assert_eq!(code(&draft.signed_as(&header, &twice(&claims, "htm", "\"GET\""))), MALFORMED);
    assert_eq!(code(&draft.signed_as(&header, &twice(&claims, "\\u0068tm", "\"GET\""))), MALFORMED);
    assert_eq!(code(&draft.signed_as(&header, &twice(&claims, "x", "{\"a\":1,\"a\":2}"))), MALFORMED);
}

#[test]
fn check_2_oversized() {
    let mut draft = Draft::post();
    let room = MAX_DPOP_BYTES - draft.signed().value("dpop").len();
    draft.claims["x"] = "a".repeat(room / 4 * 3 - 10).into();
    assert_eq!(draft.code(), "ok");
    draft.claims["x"] = "a".repeat(room).into();
    assert_eq!(draft.code(), MALFORMED);
    let mut header = Draft::post();
    header.header["jwk"]["x5u"] = "a".repeat(800).into();
    assert_eq!(header.code(), MALFORMED);
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("x-{n}"), "".into())).collect();
    assert_eq!(with_claim("htf", many.into()), MALFORMED);
}

#[test]
fn check_3_missing_and_mistyped_claims() {
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        let mut draft = Draft::post();
        draft.drop_claim(claim);
        assert_eq!(draft.code(), MALFORMED, "{claim}");
    }
    let claims = ["jti", "htm", "htu", "iat", "ath", "exp", "nbf", "nonce", "htq", "htb", "htf"];
    for claim in claims {
        for value in [Value::Null, true.into(), json!([]), json!(["a"]), json!(-1), json!(1.5)] {
            assert_eq!(with_claim(claim, value.clone()), MALFORMED, "{claim}: {value}");
        }
    }
    for claim in ["iat", "exp", "nbf"] {
        assert_eq!(with_claim(claim, NOW.to_string().into()), MALFORMED, "{claim}");
        assert_eq!(with_claim(claim, json!(9_007_199_254_740_992_u64)), MALFORMED, "{claim}");
    }
    for claim in ["ath", "htq", "htb"] {
        for value in [
            "",
            "AAAA",
            &b64::encode(&[0; 31]),
            &b64::encode(&[0; 33]),
            &format!("{}=", sha256("x")),
            &"a".repeat(10_000),
        ] {
            assert_eq!(with_claim(claim, value.into()), MALFORMED, "{claim}");
        }
    }
    assert_eq!(with_claim("htf", json!({"content-type": 1})), MALFORMED);
}

#[test]
fn check_3_a_jti_that_is_guessable_or_fills_the_store() {
    for jti in
        ["", "fifteen-letters", "sixteen letters!", "sixteen-l\u{e9}tters", "sixteen-letters\n", &"a".repeat(129)]
    {
        assert_eq!(with_claim("jti", jti.into()), MALFORMED, "{jti}");
    }
    for jti in ["a".repeat(16), "a".repeat(128), "\"\\sixteen-letter".into()] {
        assert_eq!(with_claim("jti", jti.clone().into()), "ok", "{jti}");
    }
}

#[test]
fn check_4_another_kind_of_token() {
    for typ in ["", "JWT", "dpop", "DPOP+JWT", "application/dpop+jwt", "passport+jwt", "dpop+jwt "] {
        let mut draft = Draft::post();
        draft.header["typ"] = typ.into();
        assert_eq!(draft.code(), MALFORMED, "{typ}");
    }
    let draft = Draft::post();
    for typ in TokenType::ALL {
        let mut message = draft.message.clone();
        message.add("dpop", jws::sign(&agent(), typ, draft.claims.to_string().as_bytes()));
        assert_eq!(code(&message), MALFORMED, "{typ:?}");
        let proof = String::from_utf8(draft.signed().value("dpop")).unwrap();
        assert!(jws::decode(&proof, typ, 1 << 16).is_err(), "{typ:?}");
    }
}

#[test]
fn check_5_another_algorithm() {
    for alg in ["none", "None", "", "HS256", "ES256", "RS256", "PS256", "Ed448", "eddsa", "EdDSA ", "EdDSA\u{0}"] {
        let mut draft = Draft::post();
        draft.header["alg"] = alg.into();
        assert_eq!(draft.code(), "proof_algorithm", "{alg}");
    }
    for alg in [Value::Null, json!(["EdDSA"]), json!(1)] {
        let mut draft = Draft::post();
        draft.header["alg"] = alg.clone();
        assert_eq!(draft.code(), MALFORMED, "{alg}");
    }
}

#[test]
fn check_6_a_signature_by_another_key() {
    let forged = Draft { key: [8; 32], ..Draft::post() };
    assert_eq!(forged.code(), INVALID);
    let good = Draft::post().signed();
    let text = String::from_utf8(good.value("dpop")).unwrap();
    let (input, _) = text.rsplit_once('.').unwrap();
    let mut zero = good;
    zero.set("dpop", format!("{input}.{}", b64::encode(&[0; 64])));
    assert_eq!(code(&zero), INVALID);
}

#[test]
fn check_7_a_private_key_in_the_header() {
    for member in ["d", "k", "p", "q", "oth"] {
        let mut draft = Draft::post();
        draft.header["jwk"][member] = b64::encode(&[7; 32]).into();
        assert_eq!(draft.code(), MALFORMED, "{member}");
    }
}

#[test]
fn header_members_that_choose_another_key_or_reading() {
    for member in ["crit", "b64", "zip", "cty", "jku", "kid", "x5u", "x5c", "x5t", "unknown"] {
        let mut draft = Draft::post();
        draft.header[member] = json!([]);
        assert_eq!(draft.code(), MALFORMED, "{member}");
    }
    let weak = json!({"kty": "OKP", "crv": "Ed25519", "x": b64::encode(&[0; 32])});
    for key in [weak, Value::Null, json!("x"), json!({}), json!({"kty": "OKP", "crv": "X25519", "x": sha256("")})] {
        let mut draft = Draft::post();
        draft.header["jwk"] = key.clone();
        assert_eq!(draft.code(), MALFORMED, "{key}");
    }
    let mut missing = Draft::post();
    missing.header.as_object_mut().unwrap().remove("jwk");
    assert_eq!(missing.code(), MALFORMED);
}

#[test]
fn check_8_another_method() {
    assert_eq!(changed(|m| m.method = "PUT".into()), "proof_method_mismatch");
    assert_eq!(changed(|m| m.method = "post".into()), "proof_method_mismatch");
    assert_eq!(with_claim("htm", "post".into()), "proof_method_mismatch");
    assert_eq!(with_claim("htm", "".into()), "proof_method_mismatch");
    assert_eq!(changed(|m| m.method = "POST\n".into()), MALFORMED);
}

#[test]
fn check_9_another_target() {
    assert_eq!(changed(|m| m.scheme = "http".into()), TARGET);
    assert_eq!(changed(|m| m.authority = "api.example.evil".into()), TARGET);
    assert_eq!(changed(|m| m.authority = "api.example:8443".into()), TARGET);
    assert_eq!(changed(|m| m.path = "/v1/pay/".into()), TARGET, "a trailing slash is another path");
    assert_eq!(changed(|m| m.path = "/v1/Pay".into()), TARGET);
    assert_eq!(changed(|m| m.path = "/v1//pay".into()), TARGET);
    assert_eq!(with_claim("htu", "https://api.example/v1/pay/all".into()), TARGET);
    for htu in ["", "/v1/pay", "//api.example/v1/pay", "https://u@api.example/v1/pay", "https://api.example/%"] {
        assert_eq!(with_claim("htu", htu.into()), MALFORMED, "{htu}");
    }
}

#[test]
fn check_9_another_spelling_of_the_target() {
    // Of the claim every spelling is good; of the request only the normal one is.
    for htu in [
        "HTTPS://API.EXAMPLE:443/v1/pay",
        "https://api.example:/v1/./x/../%70ay",
        "https://api.example/v1/pay?a=other#fragment",
    ] {
        assert_eq!(with_claim("htu", htu.into()), "ok", "{htu}");
    }
    for path in ["/v1/%70ay", "/v1/x/../pay", "/v1/./pay", "/v1/x/%2e%2e/pay", "/%2e/v1/pay", "/v1/pay%2f", "/v1/%zz"] {
        assert_eq!(changed(|m| m.path = path.into()), MALFORMED, "{path}");
    }
    assert_eq!(changed(|m| m.authority = "api.example:443".into()), MALFORMED);
}

#[test]
fn another_query() {
    for query in ["b=%2F&a=1", "a=1&b=/", "a=1&b=%2f", "a=1&b=%2F&a=2", "", "a=1&b=%2F&"] {
        assert_eq!(changed(|m| m.query = Some(query.into())), TARGET, "{query}");
    }
    assert_eq!(changed(|m| m.query = None), TARGET, "dropped");
    let mut added = Draft::plain().signed();
    assert_eq!(code(&added), "ok");
    added.query = Some(String::new());
    assert_eq!(code(&added), "proof_coverage", "a proof for no query is none for an empty one");
    // A query in `htu` covers nothing: RFC 9449 has it ignored.
    let mut draft = Draft::plain();
    draft.message.query = Some("a=1".into());
    draft.claims["htu"] = "https://api.example/v1/pay?a=1".into();
    assert_eq!(draft.code(), "proof_coverage");
}

#[test]
fn check_10_no_nonce_of_the_verifier() {
    let with = |nonce: Option<&str>, accepted: Option<&[&str]>| {
        let mut draft = Draft::post();
        nonce.into_iter().for_each(|nonce| draft.claims["nonce"] = nonce.into());
        dpop_code(&draft.signed(), NOW, accepted)
    };
    assert_eq!(with(None, None), "ok");
    assert_eq!(with(Some("unasked"), None), "ok");
    assert_eq!(with(Some("current"), Some(&["current", "previous"])), "ok");
    assert_eq!(with(Some("previous"), Some(&["current", "previous"])), "ok");
    for nonce in [None, Some("older"), Some(""), Some("curren"), Some("Current")] {
        assert_eq!(with(nonce, Some(&["current", "previous"])), "proof_nonce_required", "{nonce:?}");
    }
    assert_eq!(with(Some("current"), Some(&[])), "proof_nonce_required", "no nonce given out is none accepted");
    assert_eq!(with(Some(&"n".repeat(129)), None), MALFORMED);
    assert_eq!(with(Some("two words"), None), MALFORMED);
}

#[test]
fn check_11_too_old_or_from_the_future() {
    let at = |now| dpop_code(&Draft::post().signed(), now, None);
    assert_eq!(at(NOW - 31), "proof_in_future");
    assert_eq!(at(NOW - 30), "ok");
    assert_eq!(at(NOW + 300), "ok");
    assert_eq!(at(NOW + 301), "proof_expired");
    assert_eq!(at(i64::MIN), "proof_in_future");
    assert_eq!(at(i64::MAX), "proof_expired");
    let mut short = Draft::post();
    short.claims["exp"] = (NOW + 10).into();
    assert_eq!(dpop_code(&short.signed(), NOW + 9, None), "ok");
    assert_eq!(dpop_code(&short.signed(), NOW + 10, None), "proof_expired");
    short.claims["exp"] = NOW.into();
    assert_eq!(short.code(), MALFORMED);
    assert_eq!(with_claim("exp", (NOW + 9_000).into()), "ok");
    assert_eq!(with_claim("nbf", (NOW + 30).into()), "ok");
    assert_eq!(with_claim("nbf", (NOW + 31).into()), "proof_in_future");
}

#[test]
fn check_12_another_passport() {
    assert_eq!(changed(|m| m.set("agent-passport", "aaa.bbb.ddd")), "proof_passport_mismatch");
    assert_eq!(changed(|m| m.set("agent-passport", "aaa.bbb.ccc~d.e.f")), "proof_passport_mismatch");
    assert_eq!(changed(|m| m.add("agent-passport", "aaa.bbb.ccc")), MALFORMED);
    assert_eq!(with_claim("ath", sha256("aaa.bbb.ddd").into()), "proof_passport_mismatch");
    let mut chain = Draft::post();
    chain.message.set("agent-passport", "aaa.bbb.ccc~d.e.f");
    chain.claims["ath"] = sha256("aaa.bbb.ccc~d.e.f").into();
    assert_eq!(chain.code(), "ok");
}

#[test]
fn check_12_another_agents_own_good_proof() {
    let mut other = Draft { key: [8; 32], ..Draft::post() };
    other.header["jwk"] = jwk(other_agent().public());
    assert_eq!(other.code(), "proof_key_mismatch");
}

#[test]
fn another_body() {
    const MISMATCH: &str = "content_digest_mismatch";
    assert_eq!(changed(|m| m.body = b"{}".into()), MISMATCH);
    assert_eq!(changed(|m| m.body.push(b' ')), MISMATCH);
    assert_eq!(changed(|m| m.body.clear()), MISMATCH);
    assert_eq!(with_claim("htb", sha256("{}").into()), MISMATCH);
    let mut uncovered = Draft::post();
    uncovered.drop_claim("htb");
    assert_eq!(uncovered.code(), "content_digest_missing");
    let mut smuggled = Draft::plain().signed();
    smuggled.body.push(b'x');
    assert_eq!(code(&smuggled), "content_digest_missing");
    // A field that says something else about the body is refused, though nobody signed it.
    assert_eq!(changed(|m| m.add("content-digest", content_digest(b"{}"))), MISMATCH);
    assert_eq!(changed(|m| m.add("content-digest", content_digest(crate::message::BODY))), "ok");
}

#[test]
fn another_reading_of_the_body() {
    assert_eq!(changed(|m| m.set("content-type", "text/plain")), "proof_field_mismatch");
    assert_eq!(changed(|m| m.set("x-intent", "pay all")), "proof_field_mismatch");
    assert_eq!(changed(|m| m.add("x-intent", "twice")), "proof_field_mismatch");
    assert_eq!(changed(|m| m.remove("content-type")), "proof_coverage");
    assert_eq!(changed(|m| m.add("content-encoding", "gzip")), "proof_coverage");
    assert_eq!(changed(|m| m.add("content-type", "application/json")), MALFORMED);
    let mut uncovered = Draft::post();
    uncovered.claims["htf"] = json!({"x-intent": "pay the invoice"});
    assert_eq!(uncovered.code(), "proof_coverage");
    for name in ["dpop", "agent-passport", "signature", "signature-input", "@path", "X-Other", "x-missing", ""] {
        let mut draft = Draft::post();
        draft.claims["htf"][name] = "loose".into();
        assert_eq!(draft.code(), "proof_coverage", "{name}");
    }
}

#[test]
fn two_forms_of_proof_at_once() {
    let mut draft = Draft::post();
    draft.message = Message::post().signed(COVERED, &good_params());
    let both = draft.signed();
    let half = |field: &str| {
        let mut message = both.clone();
        message.remove(field);
        message
    };
    for message in [&both, &half("signature"), &half("signature-input")] {
        let code = message.view(|request| {
            let error = proof::verify_either(request, agent().public(), NOW, &DpopRules::default()).err();
            error.map(|error| error.code())
        });
        assert_eq!(code, Some("proof_ambiguous"));
    }
    assert_eq!(half("dpop").view(ProofForm::of), Ok(ProofForm::MessageSignature));
    let none = Message::get().view(|request| {
        proof::verify_either(request, agent().public(), NOW, &DpopRules::default()).err().map(|error| error.code())
    });
    assert_eq!(none, Some("proof_missing"));
}
