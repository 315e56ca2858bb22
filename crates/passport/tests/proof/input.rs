//! The `signature-input` and `signature` fields: each flaw, most under a good signature, with its code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::message::{COVERED, Message, NONCE, NOW, agent, good, good_params, other_agent};

/// Replaces a field of a good message after signing; every value must be malformed.
fn check_malformed(field: &str, values: &[(&str, Vec<u8>)]) {
    for (name, value) in values {
        let mut message = good();
        message.set(field, value.as_slice());
        assert_eq!(message.code(), "proof_malformed", "{field}: {name}");
    }
}

#[test]
fn malformed_signature_input() {
    let good = good().value("signature-input");
    let before = |text: &str| [text.as_bytes(), &good].concat();
    let after = |text: &str| [&good, text.as_bytes()].concat();
    let label = |text: &str| [text.as_bytes(), &good[1..]].concat();
    check_malformed(
        "signature-input",
        &[
            ("two labels", after(", q=(\"@method\");created=1")),
            ("two labels, ours second", before("q=(), ")),
            ("label twice", [&good[..], b", ", &good].concat()),
            ("label twice, first a flag", before("p, ")),
            ("label of the signature differs", label("q")),
            ("upper-case label", label("P")),
            ("unknown flag", after(";x")),
            ("blank before", before(" ")),
            ("blank after", after(" ")),
            ("comma after", after(",")),
            ("empty", Vec::new()),
            ("no list", b"p=1".to_vec()),
            ("bare label", b"p".to_vec()),
            ("not ASCII", after("\u{e9}")),
            ("not UTF-8", [&good[..], b"\xff"].concat()),
            ("NUL", after("\0")),
            ("folded", after("\r\n ;x")),
        ],
    );
}

#[test]
fn malformed_signature() {
    let good = good().value("signature");
    let before = |text: &str| [text.as_bytes(), &good].concat();
    let after = |text: &str| [&good, text.as_bytes()].concat();
    let unpadded = String::from_utf8(good.clone()).unwrap().replace("==", "");
    let long = STANDARD.encode([1; 65]);
    check_malformed(
        "signature",
        &[
            ("two labels", after(", q=:AA==:")),
            ("two labels, ours second", before("q=:AA==:, ")),
            ("label twice", [&good[..], b", ", &good].concat()),
            ("other label", [b"q", &good[1..]].concat()),
            ("parameter", after(";x")),
            ("blank before", before(" ")),
            ("blank after", after(" ")),
            ("empty", Vec::new()),
            ("text", b"p=\"x\"".to_vec()),
            ("list", b"p=(:AAAA:)".to_vec()),
            ("short", b"p=:AAAA:".to_vec()),
            ("65 bytes", format!("p=:{long}:").into()),
            ("without padding", unpadded.into()),
            ("over the limit", format!("p=:{}:", "A".repeat(1024)).into()),
        ],
    );
    let mut zeros = crate::message::good();
    zeros.set("signature", format!("p=:{}:", STANDARD.encode([0; 64])));
    assert_eq!(zeros.code(), "proof_signature_invalid");
}

#[test]
fn malformed_passport_field() {
    check_malformed(
        "agent-passport",
        &[
            ("empty", Vec::new()),
            ("blank", b" ".to_vec()),
            ("two words", b"aaa bbb".to_vec()),
            ("not ASCII", "aaa.b\u{e9}.c".into()),
            ("line feed", b"aaa.bbb.ccc\nx".to_vec()),
        ],
    );
}

/// Signs a good message with these parameters and compares the code.
fn check_params(cases: &[(&str, String, &str)]) {
    for (name, params, code) in cases {
        assert_eq!(Message::post().signed(COVERED, params).code(), *code, "{name}");
    }
}

/// Parameters with everything given as text; `rest` starts with a semicolon or is empty.
fn params(created: &str, nonce: &str, rest: &str) -> String {
    let keyid = agent().public().thumbprint().to_owned();
    format!(r#"created={created};nonce="{nonce}";keyid="{keyid}"{rest}"#)
}

fn rest(rest: &str) -> String {
    params(&NOW.to_string(), NONCE, rest)
}

#[test]
fn accepted_parameters() {
    let keyid = agent().public().thumbprint().to_owned();
    let turned = format!(r#"keyid="{keyid}";tag="passgate";nonce="{NONCE}";created={NOW}"#);
    check_params(&[
        ("the required ones", rest(""), "ok"),
        ("alg", rest(";alg=\"ed25519\""), "ok"),
        ("tag", rest(";tag=\"passgate\""), "ok"),
        ("expires", rest(&format!(";expires={NOW}")), "ok"),
        ("another order", turned, "ok"),
        ("nonce shortest", params(&NOW.to_string(), &"n".repeat(16), ""), "ok"),
        ("nonce longest", params(&NOW.to_string(), &"~".repeat(128), ""), "ok"),
    ]);
}

#[test]
fn created_and_expires() {
    let created = |text: &str| params(text, NONCE, "");
    let bad = "proof_malformed";
    check_params(&[
        ("no parameters", String::new(), bad),
        ("missing", rest("").replace(&format!("created={NOW};"), ""), bad),
        ("ahead", created(&(NOW + 31).to_string()), "proof_in_future"),
        ("too old", created(&(NOW - 301).to_string()), "proof_expired"),
        ("decimal", created(&format!("{NOW}.0")), bad),
        ("string", created(&format!("\"{NOW}\"")), bad),
        ("date", created(&format!("@{NOW}")), bad),
        ("token", created("now"), bad),
        ("boolean", created("?1"), bad),
        ("flag", rest("").replace(&format!("created={NOW}"), "created"), bad),
        ("negative", created("-1"), bad),
        ("minus zero", created("-0"), bad),
        ("leading zero", created(&format!("0{NOW}")), bad),
        ("16 digits", created("1000000000000000"), bad),
        ("twice", rest(&format!(";created={NOW}")), bad),
        ("twice, old first", params("1", NONCE, &format!(";created={NOW}")), bad),
        ("expires before created", rest(&format!(";expires={}", NOW - 1)), bad),
        ("expires as string", rest(&format!(";expires=\"{NOW}\"")), bad),
        ("expires as decimal", rest(&format!(";expires={NOW}.5")), bad),
        ("expires negative", rest(";expires=-1"), bad),
        ("expires twice", rest(&format!(";expires={NOW};expires={NOW}")), bad),
    ]);
}

#[test]
fn nonce_and_keyid() {
    let nonce = |text: &str| params(&NOW.to_string(), text, "");
    let keyid = |text: &str| format!(r#"created={NOW};nonce="{NONCE}";keyid={text}"#);
    let own = agent().public().thumbprint().to_owned();
    let other = other_agent().public().thumbprint().to_owned();
    let bad = "proof_malformed";
    check_params(&[
        ("nonce missing", format!(r#"created={NOW};keyid="{own}""#), bad),
        ("nonce short", nonce(&"n".repeat(15)), bad),
        ("nonce long", nonce(&"n".repeat(129)), bad),
        ("nonce with blank", nonce("0123456789 abcdef"), bad),
        ("nonce with quotes", nonce(r#"0123456789\"abcdef"#), bad),
        ("nonce with backslash", nonce(r"0123456789\\abcdef"), bad),
        ("nonce as integer", rest("").replace(&format!("\"{NONCE}\""), "123456789012345"), bad),
        ("nonce as token", rest("").replace(&format!("\"{NONCE}\""), NONCE), bad),
        ("nonce twice", rest(&format!(";nonce=\"{NONCE}\"")), bad),
        ("keyid missing", format!(r#"created={NOW};nonce="{NONCE}""#), bad),
        ("keyid as token", keyid("abc"), bad),
        ("keyid twice", rest(&format!(";keyid=\"{own}\"")), bad),
        ("keyid empty", keyid("\"\""), "proof_key_mismatch"),
        ("keyid of another key", keyid(&format!("\"{other}\"")), "proof_key_mismatch"),
        ("keyid with suffix", keyid(&format!("\"{own}=\"")), "proof_key_mismatch"),
    ]);
}

#[test]
fn alg_tag_and_unknown_parameters() {
    let bad = "proof_malformed";
    check_params(&[
        ("alg of another kind", rest(";alg=\"hmac-sha256\""), bad),
        ("alg upper case", rest(";alg=\"Ed25519\""), bad),
        ("alg as token", rest(";alg=ed25519"), bad),
        ("alg empty", rest(";alg=\"\""), bad),
        ("alg twice", rest(";alg=\"ed25519\";alg=\"ed25519\""), bad),
        ("tag of another profile", rest(";tag=\"web-bot-auth\""), bad),
        ("tag as token", rest(";tag=passgate"), bad),
        ("unknown parameter", rest(";scope=\"all\""), bad),
        ("unknown flag", rest(";x"), bad),
        ("blank before a parameter", rest("; tag=\"passgate\""), bad),
    ]);
}

const MUST: &str = r#""@method" "@target-uri" "agent-passport" "content-digest" "content-type""#;

/// Signs a good message with these components and compares the code.
fn check_components(cases: &[(&str, String, &str)]) {
    for (name, components, code) in cases {
        let message = Message::post().signed(components, &good_params());
        assert_eq!(message.code(), *code, "{name}");
    }
}

#[test]
fn mandatory_components() {
    let without = |name: &str| {
        let kept = MUST.split(' ').filter(|item| item.trim_matches('"') != name);
        kept.collect::<Vec<_>>().join(" ")
    };
    let parts = r#"@scheme" "@authority" "@path" "@query" "@request-target"#;
    check_components(&[
        ("all", MUST.into(), "ok"),
        ("in another order", MUST.split(' ').rev().collect::<Vec<_>>().join(" "), "ok"),
        ("all derived ones", format!("{MUST} \"{parts}\""), "ok"),
        ("no component", String::new(), "proof_coverage"),
        ("no @method", without("@method"), "proof_coverage"),
        ("no @target-uri", without("@target-uri"), "proof_coverage"),
        ("no passport", without("agent-passport"), "proof_coverage"),
        ("no digest", without("content-digest"), "proof_coverage"),
        ("no type", without("content-type"), "proof_coverage"),
        ("parts of the target", without("@target-uri") + &format!(" \"{parts}\""), "proof_coverage"),
    ]);
}

#[test]
fn other_components() {
    let with = |more: &str| format!("{MUST} {more}");
    check_components(&[
        ("absent field", with("\"x-absent\""), "proof_coverage"),
        ("component twice", with("\"@method\""), "proof_malformed"),
        ("field twice", with("\"x-intent\" \"x-intent\""), "proof_malformed"),
        ("upper-case field", with("\"X-Intent\""), "proof_coverage"),
        ("status", with("\"@status\""), "proof_coverage"),
        ("query parameter", with("\"@query-param\";name=\"a\""), "proof_coverage"),
        ("unknown derived", with("\"@everything\""), "proof_coverage"),
        ("itself", with("\"@signature-params\""), "proof_coverage"),
        ("its own field", with("\"signature-input\""), "proof_coverage"),
        ("a signature", with("\"signature\";key=\"p\""), "proof_coverage"),
        (";sf", with("\"x-intent\";sf"), "proof_coverage"),
        (";key", with("\"x-intent\";key=\"a\""), "proof_coverage"),
        (";bs", with("\"x-intent\";bs"), "proof_coverage"),
        (";req", with("\"x-intent\";req"), "proof_coverage"),
        (";tr", with("\"x-intent\";tr"), "proof_coverage"),
        ("unknown flag", with("\"x-intent\";x=?0"), "proof_coverage"),
        ("token", with("x-intent"), "proof_malformed"),
        ("integer", with("1"), "proof_malformed"),
        ("escaped name", with(r#""x\\y""#), "proof_malformed"),
        ("two blanks", with(" \"x-intent\""), "proof_malformed"),
        ("blank at the end", with("\"x-intent\" "), "proof_malformed"),
        ("tab", with("\t\"x-intent\""), "proof_malformed"),
    ]);
}
