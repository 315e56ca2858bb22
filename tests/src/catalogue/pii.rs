//! Personal data and secrets.

use anyhow::Result;
use serde_json::json;

use super::policy::{ask, policy};
use super::{Draft, Recipe};
use crate::agent::RequestDraft;

/// A card of the scheme's own examples, and a key that opens nothing.
const CARD: &str = "4111 1111 1111 1111";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// A public X25519 key: Bob's of RFC 8037 appendix A.6.
const READER: &str = "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08";

fn note(text: &str) -> Result<RequestDraft> {
    Ok(ask("POST", "/pay")?.json(&json!({ "amount": 1, "note": text }).to_string()))
}

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let controls = |controls: serde_json::Value| policy(json!({ "pii_controls": controls }));
    let blocked = Some("pii_blocked");
    let block = Draft::new(
        "What is blocked refuses, in every disguise that is seen through.",
        controls(json!({ "mode": "block" }))?,
    )
    .send(note("nothing to see")?, None)?
    .send(note(CARD)?, blocked)?
    .send(note("4111\u{200b}1111\u{200b}1111\u{200b}1111")?, blocked)?
    .send(note("\u{ff14}\u{ff11}\u{ff11}\u{ff11}111111111111")?, blocked)?
    .send(note("NDExMTExMTExMTExMTExMQ==")?, blocked)?
    .send(note("alice%40example.com")?, blocked)?
    .send(note(&format!("key {KEY}"))?, blocked)?
    .send(ask("POST", "/pay")?.json(r#"{"amount":1,"\u0034111 1111 1111 1111":1}"#), blocked)?
    .send(ask("GET", "/search?q=4111+1111+1111+1111")?, blocked)?
    .send(ask("GET", "/search?s%73n=219099998")?, blocked)?
    .send(ask("POST", "/pay")?.json(r#"{"amount":1,"ssn":{"value":219099998.0}}"#), blocked)?
    .send(ask("GET", "/files/public/4111111111111111")?, blocked)?;
    let redact = Draft::new(
        "What is redacted is not forwarded, and refuses where it cannot be taken out.",
        controls(json!({ "mode": "redact", "classes": { "ip": "log_only", "phone": "log_only" } }))?,
    )
    .send(note(&format!("pay with {CARD}, ask alice@example.com, from 192.0.2.7"))?, None)?
    .send(note("+14155552671@example.com")?, None)?
    .send(ask("POST", "/pay")?.json(r#"{"amount":1,"cards":["4111-1111-1111-1111",{"ssn":"219099998"}]}"#), None)?
    .send(ask("POST", "/pay")?.json(r#"{"amount":1,"card":4111111111111111}"#), Some("pii_unredactable"))?
    .send(note("from 192.0.2.7")?, None)?
    .send(ask("POST", "/email")?.json(r#"{"to":"shop.example","4111 1111 1111 1111":1}"#), Some("pii_unredactable"))?;
    let key = json!({ "kty": "OKP", "crv": "X25519", "kid": "reader-1", "x": READER });
    let encrypt = Draft::new(
        "What is encrypted is forwarded as JWE, made from the random bits of its step; where it cannot be, it refuses.",
        controls(json!({ "mode": "encrypt", "classes": { "ip": "log_only", "us_ssn": "redact" }, "encrypt_to": key }))?,
    )
    .send(note(&format!("pay with {CARD}, ask alice@example.com, from 192.0.2.7"))?, None)?
    .send(note(&format!("pay with {CARD}, ask alice@example.com, from 192.0.2.7"))?, None)?
    .send(
        ask("POST", "/pay")?
            .json(r#"{"amount":1,"gr\u00fc\u00df":["a@b.co \"4111-1111-1111-1111\"",{"ssn":"219099998"}]}"#),
        None,
    )?
    .send(ask("POST", "/pay")?.json(r#"{"amount":1,"card":4111111111111111}"#), Some("pii_unredactable"))?
    .send(ask("GET", "/search?q=alice%40example.com")?, Some("pii_unredactable"))?
    .send(note(&"a1@b.co ".repeat(257))?, Some("pii_unredactable"))?;
    let log = Draft::new("What is logged passes, and is counted.", controls(json!({ "mode": "log_only" }))?)
        .send(note(&format!("{CARD}, {CARD}, alice@example.com"))?, None)?;
    let classes = Draft::new(
        "A body that cannot be looked at is refused, and so is what is blocked; a class that is ignored passes.",
        controls(json!({ "mode": "ignore", "classes": { "card": "block" } }))?,
    )
    .send(ask("POST", "/pay")?.header("content-encoding", "gzip").json(r#"{"amount":1}"#), Some("body_not_json"))?
    .send(ask("POST", "/search")?.header("content-encoding", "br").body("x"), Some("action_unmapped"))?
    .send(ask("POST", "/files/public/7")?.header("content-encoding", "br").body("x"), Some("pii_unscannable"))?
    .send(note("alice@example.com")?, None)?
    .send(note(CARD)?, blocked)?;
    let mut answered = policy(json!({
        "pii_controls": { "mode": "ignore", "responses": { "mode": "redact", "classes": { "card": "block" } } },
        "max_scanned_response_bytes": 65_536,
    }))?;
    // What answers behind the gates of this catalogue has no records.
    for route in answered.routes.iter_mut().filter(|route| route.path == "/files/**") {
        route.response_records = Some(serde_json::from_value(json!({ "pointer": "/items", "max_records": 10 }))?);
    }
    let responses = Draft::new("What becomes of responses decides nothing about requests.", answered)
        .send(note(CARD)?, None)?
        .send(ask("GET", "/search?q=alice%40example.com")?, None)?;
    Ok(vec![
        ("pii_block_deny", block),
        ("pii_redact_deny", redact),
        ("pii_encrypt_deny", encrypt),
        ("pii_log_only", log),
        ("pii_classes_deny", classes),
        ("pii_responses", responses),
    ])
}
