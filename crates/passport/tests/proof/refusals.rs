//! Single changes to a signed request, and single flaws of the request under a good signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use passgate_passport::digest::content_digest;
use passgate_passport::proof;
use passgate_passport::proof::dpop::DpopRules;

use crate::message::{BODY, COVERED, Message, NONCE, NOW, agent, good, good_params, other_agent};

type Change = fn(&mut Message);

const INVALID: &str = "proof_signature_invalid";

/// Makes one change to a good message after signing and compares the code.
fn check_changes(changes: &[(&str, Change, &str)]) {
    assert_eq!(good().code(), "ok");
    for (name, change, code) in changes {
        let mut message = good();
        change(&mut message);
        assert_eq!(message.code(), *code, "{name}");
    }
}

#[test]
fn changing_the_target() {
    check_changes(&[
        ("method", |m| m.method = "PUT".into(), INVALID),
        ("method case", |m| m.method = "post".into(), INVALID),
        ("scheme", |m| m.scheme = "http".into(), INVALID),
        ("authority", |m| m.authority = "api.example.evil".into(), INVALID),
        ("port", |m| m.authority = "api.example:8443".into(), INVALID),
        ("path", |m| m.path = "/v1/pay/all".into(), INVALID),
        ("path case", |m| m.path = "/v1/Pay".into(), INVALID),
        ("path slash", |m| m.path = "/v1/pay/".into(), INVALID),
        ("path encoding", |m| m.path = "/v1/%70ay".into(), INVALID),
        ("query order", |m| m.query = Some("b=%2F&a=1".into()), INVALID),
        ("query encoding", |m| m.query = Some("a=1&b=/".into()), INVALID),
        ("query escape case", |m| m.query = Some("a=1&b=%2f".into()), INVALID),
        ("query repeated", |m| m.query = Some("a=1&b=%2F&a=2".into()), INVALID),
        ("query dropped", |m| m.query = None, INVALID),
        ("query emptied", |m| m.query = Some(String::new()), INVALID),
    ]);
}

#[test]
fn changing_fields_and_body() {
    check_changes(&[
        ("passport", |m| m.set("agent-passport", "aaa.bbb.ddd"), INVALID),
        ("field", |m| m.set("x-intent", "pay the invoices"), INVALID),
        ("field emptied", |m| m.set("x-intent", ""), INVALID),
        ("field line added", |m| m.add("x-intent", "twice"), INVALID),
        ("field dropped", |m| m.remove("x-intent"), "proof_coverage"),
        ("content type", |m| m.set("content-type", "text/plain"), INVALID),
        ("content type dropped", |m| m.remove("content-type"), "proof_coverage"),
        ("body", |m| m.body = b"{}".into(), "content_digest_mismatch"),
        ("body longer", |m| m.body.push(b' '), "content_digest_mismatch"),
        ("body emptied", |m| m.body.clear(), "content_digest_mismatch"),
        ("digest", |m| m.set("content-digest", content_digest(b"{}")), INVALID),
        ("digest dropped", |m| m.remove("content-digest"), "content_digest_missing"),
    ]);
    let mut both = good();
    both.body = b"other".into();
    both.set("content-digest", content_digest(b"other"));
    assert_eq!(both.code(), INVALID, "body and digest");
}

#[test]
fn missing_and_repeated_lines() {
    for field in ["signature-input", "signature", "agent-passport"] {
        let mut missing = good();
        missing.remove(field);
        assert_eq!(missing.code(), "proof_missing", "{field}");
        let mut repeated = good();
        repeated.add(field, repeated.value(field));
        assert_eq!(repeated.code(), "proof_malformed", "{field}");
    }
    assert_eq!(Message::post().code(), "proof_missing");
    let mut upper = good();
    upper.add("X-Late", "1");
    assert_eq!(upper.code(), "proof_malformed");
}

/// What is mandatory follows from the request as received, not from what was signed.
#[test]
fn coverage_follows_the_request() {
    let least = r#""@method" "@target-uri" "agent-passport""#;
    let signed = || Message::get().signed(least, &good_params());
    assert_eq!(signed().code(), "ok");

    let mut late = signed();
    late.add("content-type", "application/json");
    assert_eq!(late.code(), "proof_coverage", "a type added after signing");
    let mut late = signed();
    late.add("content-encoding", "gzip");
    assert_eq!(late.code(), "proof_coverage", "a coding added after signing");
    let mut late = signed();
    late.add("content-digest", content_digest(b""));
    assert_eq!(late.code(), "proof_coverage", "a digest added after signing");
    let mut late = signed();
    late.body = b"x".into();
    assert_eq!(late.code(), "content_digest_missing", "a body added after signing");
    late.add("content-digest", content_digest(b"x"));
    assert_eq!(late.code(), "proof_coverage", "a body and its digest added after signing");

    let with_digest = |of: &[u8]| {
        let mut message = Message::get();
        message.add("content-digest", content_digest(of));
        message.signed(&format!("{least} \"content-digest\""), &good_params())
    };
    assert_eq!(with_digest(b"").code(), "ok", "the digest of no body");
    assert_eq!(with_digest(b"x").code(), "content_digest_mismatch");
}

/// Field values that two parties could read differently.
#[test]
fn covered_values() {
    let cases: [(&str, &[u8], Option<&str>); 13] = [
        ("empty", b"", Some("")),
        ("blanks around", b"  a b ", Some("a b")),
        ("tabs around", b"\ta\t", Some("a")),
        ("blanks only", b"   ", Some("")),
        ("blanks inside", b"a   b", Some("a   b")),
        ("tab inside", b"a\tb", None),
        ("folded line", b"a\r\n b", None),
        ("line feed", b"a\nb", None),
        ("a whole base line", b"a\n\"x-admin\": true", None),
        ("NUL", b"a\0b", None),
        ("delete", b"a\x7f", None),
        ("Latin-1", b"caf\xe9", None),
        ("UTF-8", "caf\u{e9}".as_bytes(), None),
    ];
    for (name, value, read) in cases {
        let mut message = Message::post();
        message.set("x-intent", value);
        let message = message.signed(COVERED, &good_params());
        match read {
            None => assert_eq!(message.code(), "proof_malformed", "{name}"),
            Some(_) => message.verified(|proof| {
                assert_eq!(proof.covered().header("x-intent"), read, "{name}");
            }),
        }
    }
}

#[test]
fn several_lines_of_a_covered_field() {
    let mut message = Message::post();
    message.add("x-intent", " and more ");
    message.signed(COVERED, &good_params()).verified(|proof| {
        assert_eq!(proof.covered().header("x-intent"), Some("pay the invoice, and more"));
    });
    let digest = content_digest(BODY);
    for (field, value) in [
        ("content-type", "application/json"),
        ("content-digest", &digest),
        ("content-length", "25"),
        ("host", "api.example"),
        ("authorization", "Bearer x"),
    ] {
        let mut message = Message::post();
        message.headers.retain(|(name, _)| name != field);
        message.add(field, value);
        let mut list = COVERED.to_owned();
        if !COVERED.contains(field) {
            list.push_str(&format!(" \"{field}\""));
        }
        assert_eq!(message.clone().signed(&list, &good_params()).code(), "ok", "{field}");
        message.add(field, value);
        assert_eq!(message.signed(&list, &good_params()).code(), "proof_malformed", "{field}");
    }
}

/// Flawed digests under a good signature.
#[test]
fn digests() {
    let right = content_digest(BODY);
    let sha512_wrong = format!("sha-512=:{}:", STANDARD.encode([0; 64]));
    let bad = "content_digest_mismatch";
    let cases = [
        ("right", right.clone(), "ok"),
        ("right and an unknown one", format!("{right}, sha3-256=:AAAA:"), "ok"),
        ("wrong", content_digest(b"other"), bad),
        ("two, the second wrong", format!("{right}, {sha512_wrong}"), bad),
        ("two, the first wrong", format!("{sha512_wrong}, {right}"), bad),
        ("weak only", "md5=:AAAAAAAAAAAAAAAAAAAAAA==:".to_owned(), bad),
        ("upper-case name", right.replace("sha", "SHA"), bad),
        ("twice", format!("{right}, {right}"), bad),
        ("empty", String::new(), bad),
        ("wrong length", "sha-256=:AAAA:".to_owned(), bad),
        ("hexadecimal", format!("sha-256={}", "ab".repeat(32)), bad),
        ("too long", format!("{right}, x=:{}:", "A".repeat(1024)), bad),
    ];
    for (name, field, code) in cases {
        let mut message = Message::post();
        message.set("content-digest", field);
        assert_eq!(message.signed(COVERED, &good_params()).code(), code, "{name}");
    }
}

/// The digest is that of the bytes as sent (RFC 9530 section 2), whatever they decode to.
#[test]
fn the_digest_of_what_a_coded_body_decodes_to() {
    // `{}` in one stored block of gzip.
    let coded = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x02\0\xfd\xff{}\x43\xbf\xa6\xa3\x02\0\0\0";
    for (digested, code) in [(&coded[..], "ok"), (b"{}", "content_digest_mismatch")] {
        let mut message = Message { body: coded.to_vec(), ..Message::post() };
        message.add("content-encoding", "gzip");
        message.set("content-digest", content_digest(digested));
        let message = message.signed(&format!("{COVERED} \"content-encoding\""), &good_params());
        assert_eq!(message.code(), code);
    }
}

/// A challenge makes a proof impossible to prepare: it has to begin the nonce, and be one that is accepted now.
#[test]
fn a_challenge_that_is_not_answered() {
    let answering = |nonce: &str, accepted: Option<&[&str]>| {
        let params = good_params().replace(NONCE, nonce);
        Message::post().signed(COVERED, &params).view(|request| {
            let rules = DpopRules { nonces: accepted };
            proof::verify_either(request, agent().public(), NOW, &rules).map_or_else(|error| error.code(), |_| "ok")
        })
    };
    let accepted: Option<&[&str]> = Some(&["current-challenge", "previous-challenge"]);
    assert_eq!(answering("current-challenge.own", accepted), "ok");
    assert_eq!(answering("previous-challenge.own", accepted), "ok");
    for nonce in [
        NONCE,
        "current-challenge",
        "current-challengeown",
        "current-challenge-.own",
        "Current-Challenge.own",
        "older-challenge.own",
        "own.current-challenge",
        ".current-challenge.own",
    ] {
        assert_eq!(answering(nonce, accepted), "proof_nonce_required", "{nonce}");
    }
    let none_given_out: Option<&[&str]> = Some(&[]);
    assert_eq!(answering("current-challenge.own", none_given_out), "proof_nonce_required");
    assert_eq!(answering(NONCE, None), "ok", "nobody asked");
}

#[test]
fn keys() {
    let by_other = Message::post().signed_by(&other_agent(), COVERED, &good_params());
    assert_eq!(by_other.code(), "proof_signature_invalid", "another key under our keyid");
    let (own, other) = (agent(), other_agent());
    let params = good_params().replace(own.public().thumbprint(), other.public().thumbprint());
    let consistent = Message::post().signed_by(&other, COVERED, &params);
    assert_eq!(consistent.code(), "proof_key_mismatch", "a valid proof of another agent");
}

#[test]
fn sizes() {
    let covering = |fields: usize| {
        let mut message = Message::post();
        let mut list = COVERED.to_owned();
        for number in 6..fields {
            message.add(&format!("x-{number}"), "v");
            list.push_str(&format!(" \"x-{number}\""));
        }
        message.signed(&list, &good_params()).code()
    };
    assert_eq!(covering(32), "ok");
    assert_eq!(covering(33), "proof_malformed");

    let named = |bytes: usize| {
        let name = "x".repeat(bytes);
        let mut message = Message::post();
        message.add(&name, "v");
        message.signed(&format!("{COVERED} \"{name}\""), &good_params()).code()
    };
    assert_eq!(named(256), "ok");
    assert_eq!(named(257), "proof_coverage");
    assert_eq!(named(5000), "proof_malformed");
}

#[test]
fn window_edges() {
    let message = good();
    assert_eq!(message.code_at(NOW - 31), "proof_in_future");
    assert_eq!(message.code_at(NOW - 30), "ok");
    assert_eq!(message.code_at(NOW + 300), "ok");
    assert_eq!(message.code_at(NOW + 301), "proof_expired");
    let params = format!("{};expires={}", good_params(), NOW + 10);
    let short = Message::post().signed(COVERED, &params);
    assert_eq!(short.code_at(NOW + 10), "ok");
    assert_eq!(short.code_at(NOW + 11), "proof_expired");
    short.verified(|proof| assert_eq!(proof.expires_at(), NOW + 10));
    for now in [i64::MIN, -1, 0, i64::MAX] {
        assert_ne!(message.code_at(now), "ok", "{now}");
    }
}
