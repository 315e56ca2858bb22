//! One attack for each check of a foreign agent's signature.

use passgate_passport::digest::content_digest;
use passgate_passport::proof::web_bot_auth::{Coverage, Directory, ForeignAgent, MAX_SIGNATURE_AGENT_BYTES};
use passgate_passport::proof::{MAX_NONCE_CHARS, MAX_SIGNATURE_INPUT_BYTES};

use crate::message::{Message, NOW, agent, other_agent};
use crate::web_bot_auth::{
    LITTLE, MEMBER, NAMED, WHOLE, bare_params, code, code_of, get, good, listed, params, post, signed, signed_by,
    signer, verified,
};

const MALFORMED: &str = "proof_malformed";
const COVERAGE: &str = "proof_coverage";
const INVALID: &str = "proof_signature_invalid";

/// Makes one change to a good request after it was signed.
fn changed(change: impl FnOnce(&mut Message)) -> &'static str {
    let mut message = good();
    assert_eq!(code(&message), "ok");
    change(&mut message);
    code(&message)
}

/// A safe request with these parameters.
fn with_params(params: &str) -> &'static str {
    code(&signed(get(), LITTLE, params))
}

/// A safe request with this `signature-agent`, and this covered of it.
fn naming(field: &str, covered: &str) -> &'static str {
    let mut message = get();
    message.set("signature-agent", field);
    code(&signed(message, &format!(r#""@authority" {covered}"#), &bare_params()))
}

#[test]
fn no_signature_or_half_of_one() {
    assert_eq!(code(&get()), "proof_missing");
    assert_eq!(changed(|it| it.remove("signature")), "proof_missing");
    assert_eq!(changed(|it| it.remove("signature-input")), "proof_missing");
}

#[test]
fn a_field_that_two_readers_read_differently() {
    for field in ["signature", "signature-input", "signature-agent"] {
        assert_eq!(changed(|it| it.add(field, it.clone().value(field))), MALFORMED, "{field}");
        assert_eq!(changed(|it| it.add(&field.to_uppercase(), "x")), MALFORMED, "{field}");
        assert_eq!(changed(|it| it.set(field, [0xff])), MALFORMED, "{field}");
        let blank = |it: &mut Message| it.line(field).extend_from_slice(b";a");
        assert_eq!(changed(blank), MALFORMED, "{field}");
    }
    let spaced = |it: &mut Message| {
        let text = String::from_utf8(it.value("signature-input")).unwrap();
        it.set("signature-input", text.replacen("\" \"", "\"  \"", 1));
    };
    assert_eq!(changed(spaced), MALFORMED);
}

#[test]
fn a_second_credential_beside_it() {
    assert_eq!(changed(|it| it.add("agent-passport", "aaa.bbb.ccc")), "proof_ambiguous");
    assert_eq!(changed(|it| it.add("dpop", "aaa.bbb.ccc")), "proof_ambiguous");
}

#[test]
fn a_second_signature_beside_it() {
    for tag in ["web-bot-auth", "passgate", "somebody-else"] {
        let both = |it: &mut Message| {
            it.line("signature-input").extend(format!(r#", t=("@method");created={NOW};tag="{tag}""#).into_bytes());
            let signature = it.value("signature");
            it.line("signature").extend([b", t", &signature[1..]].concat());
        };
        assert_eq!(changed(both), MALFORMED, "{tag}");
    }
    let labelled = |it: &mut Message| it.line("signature")[0] = b't';
    assert_eq!(changed(labelled), MALFORMED);
}

#[test]
fn a_signature_made_for_another_use() {
    for tag in ["", "passgate", "WEB-BOT-AUTH", "web-bot-auth ", "http-message-signatures-directory"] {
        assert_eq!(with_params(&bare_params().replace("web-bot-auth", tag)), MALFORMED, "{tag}");
    }
    assert_eq!(with_params(&bare_params().replace(";tag=\"web-bot-auth\"", "")), MALFORMED);
    assert_eq!(with_params(&bare_params().replace("\"web-bot-auth\"", "web-bot-auth")), MALFORMED);
}

#[test]
fn a_parameter_left_out_doubled_or_unknown() {
    let expires = format!(";expires={}", NOW + 60);
    let created = format!("created={NOW};");
    let keyid = format!(";keyid=\"{}\"", agent().public().thumbprint());
    for cut in [&expires, &created, &keyid] {
        let params = bare_params().replace(cut.as_str(), "");
        assert_ne!(params, bare_params());
        assert_eq!(with_params(&params), MALFORMED, "{cut}");
    }
    for more in ["context=\"x\"", "created=1", "expires=1;expires=2", "alg=\"ed25519\"", "nonce=1", "tag=\"passgate\""]
    {
        assert_eq!(with_params(&format!("{};{more}", bare_params())), MALFORMED, "{more}");
    }
    assert_eq!(with_params(&bare_params().replace(&(NOW + 60).to_string(), &(NOW - 1).to_string())), MALFORMED);
}

#[test]
fn another_algorithm() {
    for algorithm in ["rsa-pss-sha512", "hmac-sha256", "ecdsa-p256-sha256", "Ed25519", "none", ""] {
        assert_eq!(with_params(&bare_params().replace("ed25519", algorithm)), MALFORMED, "{algorithm}");
    }
    assert_eq!(with_params(&bare_params().replace(";alg=\"ed25519\"", "")), "ok", "the key says it");
}

#[test]
fn more_than_is_read() {
    let filler = "x".repeat(MAX_SIGNATURE_INPUT_BYTES);
    assert_eq!(changed(|it| it.line("signature-input").extend(format!(";tag=\"{filler}\"").into_bytes())), MALFORMED);
    assert_eq!(changed(|it| it.line("signature").extend(vec![b' '; 1024])), MALFORMED);
    let many: Vec<String> = (0..9).map(|index| format!("m{index}=\"https://signer.example\"")).collect();
    assert_eq!(naming(&many.join(", "), r#""signature-agent";key="m0""#), MALFORMED);
    assert_eq!(naming(&many[..8].join(", "), r#""signature-agent";key="m0""#), "ok");
    let long = format!("{NAMED}, b=\"https://{}\"", "b".repeat(MAX_SIGNATURE_AGENT_BYTES));
    assert_eq!(naming(&long, MEMBER), MALFORMED);
}

#[test]
fn components_that_are_not_what_they_seem() {
    for covered in [
        r#""@authority";req"#,
        r#""@query-param";name="a""#,
        r#""@method";key="a""#,
        r#""signature-agent";key="a";req"#,
        r#""signature-agent";sf"#,
        r#""signature-agent";bs"#,
        r#""x-other";key="a""#,
        r#""x-other";tr"#,
        r#""signature";key="s""#,
        r#""@status""#,
        r#""X-Other""#,
    ] {
        assert_eq!(code(&signed(get(), &format!("{covered} {LITTLE}"), &bare_params())), COVERAGE, "{covered}");
    }
    let twice = format!("{MEMBER} {LITTLE}");
    assert_eq!(code(&signed(get(), &twice, &bare_params())), MALFORMED);
    assert_eq!(code(&signed(get(), r#""@authority" "signature-agent";key=a"#, &bare_params())), MALFORMED);
    assert_eq!(code(&signed(get(), &format!(r#""x-missing" {LITTLE}"#), &bare_params())), COVERAGE);
}

#[test]
fn a_signature_that_holds_at_every_site() {
    assert_eq!(code(&signed(get(), MEMBER, &bare_params())), COVERAGE);
    let pathwise = format!(r#""@method" "@request-target" {MEMBER}"#);
    assert_eq!(code(&signed(get(), &pathwise, &bare_params())), COVERAGE);
    let mut elsewhere = signed(get(), LITTLE, &bare_params());
    elsewhere.authority = "bank.example".into();
    assert_eq!(code(&elsewhere), INVALID);
}

#[test]
fn an_agent_named_but_not_signed() {
    assert_eq!(naming(NAMED, r#""@method""#), COVERAGE);
    assert_eq!(naming(r#""https://signer.example""#, r#""@method""#), COVERAGE);
    assert_eq!(naming(r#"a="https://signer.example", b="https://victim.example""#, r#""signature-agent""#), COVERAGE);
    let both = r#""signature-agent";key="a" "signature-agent";key="b""#;
    assert_eq!(naming(r#"a="https://signer.example", b="https://signer.example""#, both), COVERAGE);
    assert_eq!(naming(NAMED, r#""signature-agent";key="c""#), COVERAGE);
    assert_eq!(naming(r#""https://signer.example""#, MEMBER), MALFORMED);
    let mut silent = get();
    silent.remove("signature-agent");
    assert_eq!(code(&signed(silent.clone(), LITTLE, &bare_params())), COVERAGE);
    assert_eq!(code(&signed(silent, r#""@authority" "signature-agent""#, &bare_params())), COVERAGE);
}

#[test]
fn an_agent_exchanged_added_or_taken_away() {
    assert_eq!(changed(|it| it.set("signature-agent", r#"a="https://other.example""#)), "proof_agent_mismatch");
    assert_eq!(changed(|it| it.set("signature-agent", r#"b="https://signer.example""#)), COVERAGE);
    assert_eq!(changed(|it| it.remove("signature-agent")), COVERAGE);
    // Another spelling of the same agent is another text that was signed.
    assert_eq!(changed(|it| it.set("signature-agent", r#"a="https://signer.example/""#)), INVALID);
    let mut silent = get();
    silent.remove("signature-agent");
    let mut named = signed(silent, r#""@authority""#, &bare_params());
    named.add("signature-agent", NAMED);
    assert_eq!(code(&named), COVERAGE);
}

#[test]
fn an_agent_that_is_no_https_url() {
    for url in
        ["http://signer.example", "https://a@signer.example", "https://signer.example#x", "data:,x", "", "signer"]
    {
        assert_eq!(naming(&format!("a=\"{url}\""), MEMBER), MALFORMED, "{url}");
    }
    for member in ["a", "a=1", "a=token", "a=:aHR0cHM6:", "a=(\"https://signer.example\")", "a=\"https:\\\\\""] {
        assert_eq!(naming(member, MEMBER), MALFORMED, "{member}");
    }
    assert_eq!(naming(r#"a="https://signer.example";type=jwks_uri"#, MEMBER), MALFORMED);
    assert_eq!(naming(r#"a="https://signer.example", a="https://signer.example""#, MEMBER), MALFORMED);
    assert_eq!(naming(r#""https://signer.example";x"#, r#""signature-agent""#), MALFORMED);
    assert_eq!(naming(r#""https://signer.example", "https://signer.example""#, r#""signature-agent""#), MALFORMED);
}

#[test]
fn a_key_of_one_agent_under_the_name_of_another() {
    let keyid = |key: &str| params().replace(agent().public().thumbprint(), key);
    let stranger = signed_by(post(), &other_agent(), WHOLE, &keyid(other_agent().public().thumbprint()));
    assert_eq!(code(&stranger), "proof_key_unknown");
    let stolen_name = signed_by(post(), &other_agent(), WHOLE, &params());
    assert_eq!(code(&stolen_name), INVALID);
    let elsewhere = listed("https://other.example", &[&agent()]);
    assert_eq!(code_of(&good(), &elsewhere, Coverage::UnlessSafe, NOW), "proof_agent_mismatch");
    for unknown in ["", "test-key-ed25519", &format!("{}=", agent().public().thumbprint())] {
        assert_eq!(code(&signed(post(), WHOLE, &keyid(unknown))), "proof_key_unknown", "{unknown}");
    }
}

#[test]
fn a_key_before_and_after_its_time() {
    let jwk = agent().public().to_jwk();
    let at = |now: i64| {
        let set = jwk.replace("\"kty\"", &format!("\"exp\":{},\"nbf\":{},\"kty\"", NOW + 2, NOW - 1));
        let directory = Directory::read(format!("{{\"keys\":[{set}]}}").as_bytes()).unwrap();
        let agent = ForeignAgent { directory, ..signer() };
        code_of(&good(), &agent, Coverage::UnlessSafe, now)
    };
    let expected = ["proof_key_unknown", "ok", "ok", "ok", "proof_key_unknown"];
    assert_eq!([NOW - 2, NOW - 1, NOW, NOW + 1, NOW + 2].map(at), expected);
}

#[test]
fn a_signature_used_too_early_or_too_late() {
    let at = |now| code_of(&good(), &signer(), Coverage::UnlessSafe, now);
    assert_eq!([NOW - 31, NOW - 30, NOW + 60, NOW + 61].map(at), ["proof_in_future", "ok", "ok", "proof_expired"]);
    // The day that the drafts recommend is more than a gate remembers.
    let lasting = signed(post(), WHOLE, &params().replace(&(NOW + 60).to_string(), &(NOW + 86_400).to_string()));
    let at = |now| code_of(&lasting, &signer(), Coverage::UnlessSafe, now);
    assert_eq!([NOW + 300, NOW + 301].map(at), ["ok", "proof_expired"]);
}

#[test]
fn a_signature_of_the_authority_used_for_what_is_not_safe() {
    for (method, body) in [("POST", ""), ("DELETE", ""), ("get", ""), ("OPTIONS", ""), ("GET", "x"), ("HEAD", "x")] {
        let mut captured = signed(get(), LITTLE, &params());
        assert_eq!(code(&captured), "ok");
        captured.method = method.into();
        captured.body = body.into();
        assert_eq!(code(&captured), COVERAGE, "{method} {body}");
    }
    for left_out in [r#""@method" "#, r#""@target-uri" "#] {
        assert_eq!(code(&signed(post(), &WHOLE.replace(left_out, ""), &params())), COVERAGE, "{left_out}");
    }
    for parts in [r#""@authority" "@path""#, r#""@authority" "@query""#, r#""@request-target""#] {
        assert_eq!(code(&signed(post(), &WHOLE.replace("\"@target-uri\"", parts), &params())), COVERAGE, "{parts}");
    }
    for parts in [r#""@authority" "@path" "@query""#, r#""@authority" "@request-target""#] {
        assert_eq!(code(&signed(post(), &WHOLE.replace("\"@target-uri\"", parts), &params())), "ok", "{parts}");
    }
}

#[test]
fn little_coverage_where_the_gate_asks_for_all() {
    let strict =
        |covered: &str| code_of(&signed(get(), covered, &bare_params()), &signer(), Coverage::EveryRequest, NOW);
    assert_eq!(strict(LITTLE), COVERAGE);
    assert_eq!(strict(&format!(r#""@method" "@path" {LITTLE}"#)), COVERAGE);
    assert_eq!(strict(&format!(r#""@method" "@target-uri" {MEMBER}"#)), "ok");
}

#[test]
fn no_nonce_where_a_repetition_would_act_again() {
    assert_eq!(code(&signed(post(), WHOLE, &bare_params())), "proof_nonce_missing");
    let mut delete = get();
    delete.method = "DELETE".into();
    let covered = format!(r#""@method" "@target-uri" {MEMBER}"#);
    assert_eq!(code(&signed(delete, &covered, &bare_params())), "proof_nonce_missing");
    for nonce in ["", "short", &"n".repeat(MAX_NONCE_CHARS + 1), "nonce with a blank"] {
        assert_eq!(with_params(&format!("{};nonce=\"{nonce}\"", bare_params())), MALFORMED, "{nonce}");
    }
}

#[test]
fn another_body_or_another_reading_of_it() {
    assert_eq!(changed(|it| it.body = b"{}".to_vec()), "content_digest_mismatch");
    let redigested = |it: &mut Message| {
        it.body = b"{}".to_vec();
        it.set("content-digest", content_digest(b"{}"));
    };
    assert_eq!(changed(redigested), INVALID);
    assert_eq!(changed(|it| it.set("content-type", "text/plain")), INVALID);
    assert_eq!(changed(|it| it.add("content-encoding", "gzip")), COVERAGE);
    for left_out in ["content-digest", "content-type"] {
        let covered = WHOLE.replace(&format!("\"{left_out}\" "), "");
        assert_eq!(code(&signed(post(), &covered, &params())), COVERAGE, "{left_out}");
    }
    let mut undigested = post();
    undigested.remove("content-digest");
    let covered = WHOLE.replace("\"content-digest\" ", "");
    assert_eq!(code(&signed(undigested, &covered, &params())), "content_digest_missing");
    let mut hollow = signed(get(), LITTLE, &bare_params());
    hollow.add("content-digest", content_digest(b"a body that was taken away"));
    assert_eq!(code(&hollow), "content_digest_mismatch");
}

#[test]
fn another_method_target_or_signature() {
    assert_eq!(changed(|it| it.method = "PUT".into()), INVALID);
    assert_eq!(changed(|it| it.path = "/v1/pay/all".into()), INVALID);
    assert_eq!(changed(|it| it.query = None), INVALID);
    assert_eq!(changed(|it| it.query = Some("a=2".into())), INVALID);
    assert_eq!(changed(|it| it.authority = "bank.example".into()), INVALID);
    assert_eq!(changed(|it| it.scheme = "http".into()), INVALID);
    assert_eq!(changed(|it| it.set("signature", format!("s=:{}==:", "A".repeat(86)))), INVALID);
}

#[test]
fn a_replay_under_another_label() {
    for params in [params(), bare_params()] {
        let sent = signed(get(), LITTLE, &params);
        let mut again = sent.clone();
        for field in ["signature", "signature-input"] {
            again.line(field)[0] = b't';
        }
        let key = |message: &Message| verified(message, |proof| proof.nonce().to_owned());
        assert_eq!(key(&again), key(&sent));
    }
}
