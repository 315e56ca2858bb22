use alloc::format;
use alloc::string::ToString as _;
use alloc::vec;
use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::http::Header;

pub(crate) const BODY: &[u8] = br#"{"amount":"12.50","to":"acct_7"}"#;
const HEADERS: &[Header<'static>] = &[
    Header { name: "content-type", value: b"application/json" },
    Header { name: "content-encoding", value: b"identity" },
    Header { name: "x-trace", value: b"7" },
];

pub(crate) fn request() -> HttpRequest<'static> {
    HttpRequest {
        method: "POST",
        scheme: "https",
        authority: "gate.example",
        path: "/v1/refunds",
        query: Some("dry=0"),
        headers: HEADERS,
        body: BODY,
    }
}

pub(crate) fn agent() -> Agent {
    Agent { id: "agent-7".into(), issuer: "https://issuer.example".into() }
}

fn of(request: &HttpRequest<'_>) -> Result<Action, ActionError> {
    Action::of_request("gate-1", request, agent(), Sha256::digest(b"a passport").into())
}

fn action() -> Action {
    Action {
        amount_micro_usd: Some(12_500_000),
        name: Some(ActionName::parse("payments:refund").unwrap()),
        target_domain: Some("api.example.com".into()),
        ..of(&request()).unwrap()
    }
}

fn document() -> Value {
    serde_json::from_slice(&action().canonical().unwrap()).unwrap()
}

fn refused_member(document: &Value) -> &'static str {
    match Action::read(document.to_string().as_bytes()) {
        Err(ActionError::Member { member, .. }) => member,
        other => panic!("{document}: {other:?}"),
    }
}

/// The format is stable: neither these bytes nor their hash may ever change.
#[test]
fn the_canonical_action_is_pinned() {
    let expected = concat!(
        r#"{"agent":{"id":"agent-7","issuer":"https://issuer.example"},"amount_micro_usd":12500000,"#,
        r#""authority":"gate.example","content_encoding":"identity","content_type":"application/json","#,
        r#""gate_id":"gate-1","method":"POST","name":"payments:refund","#,
        r#""passport_sha256":"sha256:f6e918ae255da4ebf05a9a1b782eb35d8a96afb96477fe9d77a17fdbf6a9ab5c","path":"/v1/refunds","#,
        r#""payload_sha256":"sha256:62e46125f5c1944b62df956cfe0659d3fcd5c2a457cf6d684a283a4d95b20345","query":"dry=0","scheme":"https","#,
        r#""target_domain":"api.example.com","v":1}"#
    );
    assert_eq!(String::from_utf8(action().canonical().unwrap()).unwrap(), expected);
    assert_eq!(serde_json_canonicalizer::to_string(&document()).unwrap(), expected);
    assert_eq!(
        action().hash().unwrap().label(),
        "sha256:40b194afa06af72e3159d96db289bfbe9d286a0ba044b1d738c454124e8bdc0c"
    );
}

#[test]
fn the_action_of_a_bare_request_has_its_required_members_alone() {
    let bare = HttpRequest { query: None, headers: &[], body: b"", ..request() };
    let document: Value = serde_json::from_slice(&of(&bare).unwrap().canonical().unwrap()).unwrap();
    let members: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    let required =
        ["agent", "authority", "gate_id", "method", "passport_sha256", "path", "payload_sha256", "scheme", "v"];
    assert_eq!(members, required);
    assert_eq!(document["payload_sha256"], sha256_label(&Sha256::digest(b"").into()));
}

#[test]
fn what_is_written_is_read_back() {
    let bare = of(&HttpRequest { query: None, headers: &[], body: b"", ..request() }).unwrap();
    for action in [action(), bare] {
        let read = Action::read(&action.canonical().unwrap()).unwrap();
        assert_eq!(read, action);
        assert_eq!(ActionHash::from_label(&action.hash().unwrap().to_string()), Some(action.hash().unwrap()));
    }
}

/// One member changed at a time: no two of these actions share a hash.
#[test]
fn every_member_counts() {
    let other = [7; 32];
    let mut others = vec![
        action(),
        Action { agent: Agent { id: "agent-8".into(), ..agent() }, ..action() },
        Action { agent: Agent { issuer: "https://other.example".into(), ..agent() }, ..action() },
        Action { amount_micro_usd: Some(12_500_001), ..action() },
        Action { amount_micro_usd: None, ..action() },
        Action { authority: "gate.example:8443".into(), ..action() },
        Action { content_encoding: Some("gzip".into()), ..action() },
        Action { content_encoding: None, ..action() },
        Action { content_type: Some("text/plain".into()), ..action() },
        Action { content_type: None, ..action() },
        Action { gate_id: "gate-2".into(), ..action() },
        Action { method: "post".into(), ..action() },
        Action { name: Some(ActionName::parse("payments:charge").unwrap()), ..action() },
        Action { name: None, ..action() },
        Action { passport_sha256: other, ..action() },
        Action { path: "/v1/refunds/".into(), ..action() },
        Action { payload_sha256: other, ..action() },
        Action { query: Some("dry=1".into()), ..action() },
        Action { query: Some(String::new()), ..action() },
        Action { query: None, ..action() },
        Action { scheme: "http".into(), ..action() },
        Action { target_domain: Some("api.example.org".into()), ..action() },
        Action { target_domain: None, ..action() },
    ];
    // What moves from the path to the query is another action too.
    others.push(Action { path: "/v1".into(), query: Some("refunds".into()), ..action() });
    let hashes: BTreeSet<ActionHash> = others.iter().map(|action| action.hash().unwrap()).collect();
    assert_eq!(hashes.len(), others.len());
}

#[test]
fn field_lines_of_which_readers_take_one_or_the_other() {
    for (name, member) in [("content-type", "content_type"), ("content-encoding", "content_encoding")] {
        let twice = [Header { name, value: b"a/b" }, Header { name, value: b"a/b" }];
        let refused = of(&HttpRequest { headers: &twice, ..request() });
        assert!(matches!(refused, Err(ActionError::Member { member: of, .. }) if of == member), "{refused:?}");
        let no_text = [Header { name, value: b"a/\xff" }];
        assert_eq!(of(&HttpRequest { headers: &no_text, ..request() }), Err(problem(member, NO_FIELD)));
    }
}

#[test]
fn members_left_out_null_or_of_another_type() {
    let others = [json!(null), json!(true), json!([]), json!({}), json!(-1), json!(1.5), json!([action().path])];
    for name in MEMBERS {
        let mut without = document();
        without.as_object_mut().unwrap().remove(name).unwrap();
        let is_optional = Action::read(without.to_string().as_bytes()).is_ok();
        let optional = ["amount_micro_usd", "content_encoding", "content_type", "name", "query", "target_domain"];
        assert_eq!(is_optional, optional.contains(&name), "{name}");
        for other in &others {
            let mut changed = document();
            changed[name] = other.clone();
            assert_eq!(refused_member(&changed), name, "{other}");
        }
    }
}

#[test]
fn members_outside_their_limits() {
    let long = |length: usize| "a".repeat(length);
    let hex = sha256_label(&action().passport_sha256);
    let texts = [
        ("authority", vec!["", "Gate.example", "gate.example:443", "a b", "user@a", "a/b", &long(263), "é"]),
        ("content_encoding", vec!["", " gzip", "gzip ", "a\tb", "é", &long(257)]),
        ("content_type", vec!["", " a/b", "a/b ", "a\nb", "é", &long(257)]),
        ("gate_id", vec!["", "a b", "é", &long(257)]),
        ("method", vec!["", "P OST", "POST\r", "é", "A/B", &long(33)]),
        ("name", vec!["", "payments:*", "A", "a::b"]),
        ("path", vec!["", "v1", "/a?b", "/a#b", "/a b", "/é", "/a\\b", "/\"", &format!("/{}", long(8192))]),
        ("query", vec!["a#b", "a b", "é", "\"", "\\", &long(8193)]),
        ("scheme", vec!["", "HTTPS", "ftp", "https:"]),
        ("target_domain", vec!["", "API.example.com", "a/b", "a b", "é", &long(257)]),
        ("passport_sha256", vec!["", hex.trim_start_matches("sha256:"), &format!("{hex}0")]),
        ("payload_sha256", vec!["sha512:", &hex.to_uppercase()]),
    ]
    .map(|(name, texts)| (name, texts.into_iter().map(String::from).collect::<Vec<_>>()));
    for (name, texts) in texts {
        for text in texts {
            let mut changed = document();
            changed[name] = json!(text);
            assert_eq!(refused_member(&changed), name, "{text:?}");
        }
    }
    for (name, member) in [("id", "agent.id"), ("issuer", "agent.issuer")] {
        for text in ["", "a b", "é", &long(257)] {
            let mut changed = document();
            changed["agent"][name] = json!(text);
            assert_eq!(refused_member(&changed), member, "{text:?}");
        }
    }
    let plain = Action { scheme: "http".into(), authority: "gate.example:80".into(), ..action() };
    assert!(matches!(plain.hash(), Err(ActionError::Member { member: "authority", .. })));
    let most = Action { amount_micro_usd: Some(MAX_SAFE_INTEGER), ..action() };
    assert!(most.hash().is_ok());
    let more = Action { amount_micro_usd: Some(MAX_SAFE_INTEGER + 1), ..action() };
    assert!(matches!(more.hash(), Err(ActionError::Member { member: "amount_micro_usd", .. })));
}

#[test]
fn the_longest_action_fits() {
    let longest = Action {
        agent: Agent { id: "\"".repeat(256), issuer: "\\".repeat(256) },
        amount_micro_usd: Some(MAX_SAFE_INTEGER),
        authority: "a".repeat(MAX_AUTHORITY_BYTES),
        content_encoding: Some("\"".repeat(MAX_FIELD_BYTES)),
        content_type: Some("\"".repeat(MAX_FIELD_BYTES)),
        gate_id: "\"".repeat(256),
        method: "M".repeat(MAX_METHOD_BYTES),
        path: format!("/{}", "a".repeat(MAX_PATH_BYTES - 1)),
        query: Some("a".repeat(MAX_QUERY_BYTES)),
        target_domain: Some("a".repeat(MAX_DOMAIN_BYTES)),
        ..action()
    };
    assert_eq!(Action::read(&longest.canonical().unwrap()).unwrap(), longest);
}

#[test]
fn members_that_nobody_knows_and_documents_with_two_readings() {
    let mut more = document();
    more["headers"] = json!({});
    assert_eq!(refused_member(&more), "unknown");
    let mut more = document();
    more["agent"]["role"] = json!("admin");
    assert_eq!(refused_member(&more), "agent");
    let mut version = document();
    version["v"] = json!(2);
    assert_eq!(refused_member(&version), "v");
    let good = document().to_string();
    let twice = good.replacen('{', r#"{"method":"GET","#, 1);
    assert!(matches!(Action::read(twice.as_bytes()), Err(ActionError::Json(JsonError::DuplicateKey { .. }))));
    for text in ["[]", "null", "1"] {
        assert_eq!(Action::read(text.as_bytes()), Err(problem("(action)", "is no JSON object")), "{text}");
    }
    for text in ["", "{", &format!("{good}{good}"), &" ".repeat(MAX_ACTION_BYTES + 1)] {
        assert!(matches!(Action::read(text.as_bytes()), Err(ActionError::Json(_))), "{text:.80}");
    }
}

/// The members of the document in an order, with white space between them.
fn spelled(order: &[&'static str], space: &str) -> String {
    let document = document();
    let members = order.iter().map(|name| format!("{space}{}:{space}{}", json!(name), document[*name]));
    format!("{{{}{space}}}", members.collect::<Vec<_>>().join(","))
}

proptest! {
    #[test]
    fn equal_actions_have_equal_hashes_whatever_the_order(
        order in Just(MEMBERS.to_vec()).prop_shuffle(),
        space in "[ \n\t\r]{0,3}",
    ) {
        let read = Action::read(spelled(&order, &space).as_bytes()).unwrap();
        prop_assert_eq!(read.canonical().unwrap(), action().canonical().unwrap());
        prop_assert_eq!(read.hash(), action().hash());
    }

    #[test]
    fn any_changed_byte_of_the_action_gives_another_hash(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = action().canonical().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(changed) = Action::read(&bytes) {
            prop_assert_ne!(changed.hash().unwrap(), action().hash().unwrap());
        }
    }

    #[test]
    fn any_changed_byte_of_the_payload_gives_another_hash(at in 0..BODY.len(), flip in 1..=255_u8) {
        let mut body = BODY.to_vec();
        body[at] ^= flip;
        let changed = of(&HttpRequest { body: &body, ..request() }).unwrap();
        prop_assert_ne!(changed.hash(), of(&request()).unwrap().hash());
    }

    #[test]
    fn reading_never_panics_and_what_is_read_has_one_spelling(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
        let _refused = Action::read(&bytes);
        let mut spliced = action().canonical().unwrap();
        let at = at.index(spliced.len());
        let end = spliced.len().min(at + bytes.len());
        spliced.splice(at..end, bytes);
        if let Ok(read) = Action::read(&spliced) {
            let canonical = read.canonical().unwrap();
            prop_assert_eq!(Action::read(&canonical).unwrap(), read);
        }
    }
}
