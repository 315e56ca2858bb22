//! Responses: what goes back of them, and what is recorded.

use passgate_passport::jwe::DecryptionKey;

use super::*;
use crate::attest::{EvidenceValue, ResponseRecord};
use crate::gate::{Encryption, PiiControls, ResponseControls};
use crate::pii::{Class, Classes};
use crate::pipeline::{JudgedResponse, ResponseHead, ResponseVerdict, ToRead};
use crate::route::ResponseRecords;

const CARD: &str = "4111 1111 1111 1111";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn looking(pii: Option<PiiControls>) -> Gate {
    let mut gate = gate();
    gate.guardrails = Guardrails::default();
    gate.guardrails.responses = ResponseControls { pii, max_bytes: 4096 };
    gate
}

fn block() -> PiiControls {
    PiiControls { block: Classes::ALL, denies_unscannable: true, ..PiiControls::default() }
}

fn redact() -> PiiControls {
    PiiControls { redact: Classes::ALL, denies_unscannable: true, ..PiiControls::default() }
}

/// The response to a request for `/search`, with these fields.
fn judged(controls: PiiControls, fields: &[(&str, &str)], body: Option<&[u8]>) -> JudgedResponse {
    let rules = looking(Some(controls)).response_rules("GET", "/search", None).unwrap();
    let headers: Vec<Header<'_>> =
        fields.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    rules.judge(&ResponseHead { method: "GET", status: 200, headers: &headers }, body)
}

fn of_type(controls: PiiControls, content_type: &str, body: &str) -> ResponseVerdict {
    judged(controls, &[("content-type", content_type)], Some(body.as_bytes())).verdict
}

fn changed(body: &str) -> ResponseVerdict {
    ResponseVerdict::Changed(body.as_bytes().to_vec())
}

fn evidence(record: &ResponseRecord, guardrail: &str, name: &str) -> Option<EvidenceValue> {
    let mut evaluated = record.guardrails_evaluated.iter();
    evaluated.find(|evaluated| evaluated.guardrail == guardrail)?.evidence.get(name).cloned()
}

#[test]
fn a_response_is_looked_at_where_the_policy_says_so() {
    let mut gate = looking(None);
    assert_eq!(gate.response_rules("GET", "/search", Some(3)), None, "nobody says where the records stand");
    gate.routes[0].response_records = Some(ResponseRecords { pointer: "/items".to_owned(), max_records: None });
    let (method, path) = (gate.routes[0].method.clone().unwrap_or_default(), "/search");
    assert!(gate.routes[0].matches(&method, path));
    assert_eq!(gate.response_rules(&method, path, None), None, "and nothing bounds them");
    assert!(gate.response_rules(&method, path, Some(3)).is_some());
    assert!(looking(Some(block())).response_rules("PUT", "/unmapped", None).is_some());
}

#[test]
fn what_is_redacted_does_not_go_back() {
    let body = format!(r#"{{"note":"pay with {CARD}, or ask alice@example.com","n":[1.50,"a\u0062"],"x":"{CARD}"}}"#);
    assert_eq!(
        of_type(redact(), JSON, &body),
        changed(r#"{"note":"pay with [redacted], or ask [redacted]","n":[1.50,"a\u0062"],"x":"[redacted]"}"#),
        "the rest stays as it is, byte by byte"
    );
    let escaped = r#"{"a":"\u0034111 1111 1111\u00201111","b":"alice%40example.com"}"#;
    assert_eq!(
        of_type(redact(), "application/problem+json", escaped),
        changed(r#"{"a":"[redacted]","b":"[redacted]"}"#)
    );
    assert_eq!(of_type(redact(), FORM, "a=b&m=alice%40example.com"), changed("a=b&m=%5Bredacted%5D"));
    assert_eq!(of_type(redact(), "Text/Plain; charset=utf-8", "ask alice@example.com\n"), changed("ask [redacted]\n"));
    for clean in [r#"{"order":"ord_4111"}"#, ""] {
        assert_eq!(of_type(redact(), JSON, clean), ResponseVerdict::AsItCame);
    }
}

#[test]
fn what_cannot_be_taken_out_is_withheld() {
    for (content_type, body) in [
        (JSON, r#"{"alice@example.com":1}"#),
        (JSON, r#"{"card":4111111111111111}"#),
        // No JSON: twice the same member, and cut off.
        (JSON, r#"{"a":1,"a":"alice@example.com"}"#),
        (JSON, r#"{"a":"alice@example.com""#),
        (FORM, "alice%40example.com=1"),
        // Said to be something else than it is.
        ("text/html", r#"{"a":"alice@example.com"}"#),
        ("", r#"{"a":"alice@example.com"}"#),
        ("application/x-ndjson", "{\"a\":\"alice@example.com\"}\n{}\n"),
    ] {
        let withheld = ResponseVerdict::Withheld(Reason::ResponsePiiUnredactable);
        assert_eq!(of_type(redact(), content_type, body), withheld, "{content_type} {body}");
    }
}

#[test]
fn what_is_blocked_withholds_the_response_in_every_disguise() {
    for body in [
        format!(r#"{{"note":"{CARD}"}}"#),
        format!(r#"{{"{CARD}":1}}"#),
        r#"{"ssn":{"value":219099998.0}}"#.to_owned(),
        r#"{"a":"\u0034111 1111 1111 1111"}"#.to_owned(),
        r#"{"a":"NDExMTExMTExMTExMTExMQ=="}"#.to_owned(),
        format!("<p>{CARD}</p>"),
    ] {
        let withheld = ResponseVerdict::Withheld(Reason::ResponsePiiBlocked);
        assert_eq!(of_type(block(), JSON, &body), withheld, "{body}");
    }
}

#[test]
fn what_cannot_be_looked_at_gets_the_configured_verdict() {
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0];
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a [u8]>);
    let cases: &[Case<'_>] = &[
        (&[("content-type", JSON), ("content-encoding", "gzip")], Some(&gzip)),
        (&[("content-type", JSON), ("content-encoding", "identity"), ("content-encoding", "br")], Some(b"{}")),
        (&[("content-type", "image/png")], Some(&[0x89, 0xff])),
        (&[("content-type", "text/plain; charset=utf-16")], Some(b"a")),
        (&[("content-type", JSON), ("content-type", "text/plain")], Some(b"{}")),
        (&[("content-type", JSON), ("content-range", "bytes 0-1/9")], Some(b"{}")),
        (&[("content-type", "Text/Event-Stream; charset=utf-8")], Some(b"data: x\n\n")),
        // Too long, or without an end.
        (&[("content-type", JSON)], None),
    ];
    let allowing = PiiControls { denies_unscannable: false, ..redact() };
    for (fields, body) in cases {
        let denied = judged(redact(), fields, *body);
        assert_eq!(denied.verdict, ResponseVerdict::Withheld(Reason::ResponsePiiUnscannable), "{fields:?}");
        let allowed = judged(allowing.clone(), fields, *body);
        assert_eq!(allowed.verdict, ResponseVerdict::AsItCame, "{fields:?}");
        let said = Some(EvidenceValue::Text("unscannable".to_owned()));
        assert_eq!(evidence(&allowed.record, "pii", "body"), said, "{fields:?}");
    }
    let plain = &[("content-type", JSON), ("content-encoding", "identity")];
    assert_eq!(judged(redact(), plain, Some(b"{}")).verdict, ResponseVerdict::AsItCame);
}

#[test]
fn the_head_says_how_much_is_read() {
    let rules = looking(Some(redact())).response_rules("GET", "/search", None).unwrap();
    let to_read = |method, status, fields: &[(&str, &str)]| {
        let headers: Vec<Header<'_>> =
            fields.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        rules.to_read(&ResponseHead { method, status, headers: &headers })
    };
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        assert_eq!(to_read(method, status, &[("content-encoding", "gzip")]), ToRead::Nothing, "{method} {status}");
    }
    // A body that should not be there is looked at like any other.
    for status in [200, 205, 302, 404, 500] {
        assert_eq!(to_read("GET", status, &[("content-type", JSON)]), ToRead::Whole(4096), "{status}");
    }
    for part in [206, 226] {
        assert_eq!(to_read("GET", part, &[("content-type", JSON)]), ToRead::Unreadable, "{part}");
    }
    assert_eq!(to_read("GET", 200, &[("content-encoding", "gzip")]), ToRead::Unreadable);
    assert_eq!(to_read("GET", 200, &[("content-type", "text/event-stream")]), ToRead::Unreadable);
    let logging = PiiControls { log: Classes::ALL, ..PiiControls::default() };
    for (controls, hides) in [(redact(), true), (block(), true), (logging, false)] {
        assert_eq!(
            looking(Some(controls)).response_rules("GET", "/search", None).map(|rules| rules.hides()),
            Some(hides)
        );
    }
}

#[test]
fn every_class_has_its_own_mode_and_the_record_has_counts_alone() {
    let controls = PiiControls {
        block: Classes::of(Class::Card),
        redact: Classes::of(Class::Email),
        log: Classes::of(Class::Ip),
        denies_unscannable: true,
        ..PiiControls::default()
    };
    let body = r#"{"a":"alice@example.com from 192.0.2.7","b":"192.0.2.8"}"#;
    let redacted = judged(controls.clone(), &[("content-type", JSON)], Some(body.as_bytes()));
    assert_eq!(redacted.verdict, changed(r#"{"a":"[redacted] from 192.0.2.7","b":"192.0.2.8"}"#));
    let number = |name| evidence(&redacted.record, "pii", name);
    assert_eq!(number("email_found"), Some(EvidenceValue::Number(1)));
    assert_eq!(number("ip_found"), Some(EvidenceValue::Number(2)));
    assert_eq!(number("texts_redacted"), Some(EvidenceValue::Number(1)));
    assert_eq!(redacted.record.received_bytes, Some(body.len() as u64));
    let withheld = judged(controls, &[("content-type", JSON)], Some(format!(r#"{{"a":"{CARD}"}}"#).as_bytes()));
    assert_eq!(withheld.record.reason_code, Some(Reason::ResponsePiiBlocked));
    assert_eq!(evidence(&withheld.record, "pii", "card_found"), Some(EvidenceValue::Number(1)));
    let recorded = serde_json::to_string(&[redacted.record, withheld.record]).unwrap();
    for raw in ["alice", "192.0.2", "4111"] {
        assert!(!recorded.contains(raw), "{recorded}");
    }
}

#[test]
fn nothing_is_encrypted_and_what_would_be_is_taken_out() {
    let to = DecryptionKey::from_seed([9; 32]).public().clone();
    let controls = PiiControls {
        redact: Classes::of(Class::Ip),
        encrypt: Some(Encryption { classes: Classes::of(Class::Email), to }),
        ..PiiControls::default()
    };
    let rules = looking(Some(controls.clone())).response_rules("GET", "/search", None).unwrap();
    assert!(rules.hides());
    for (content_type, body, expected) in [
        (JSON, r#"{"a":"alice@example.com at 192.0.2.7"}"#, r#"{"a":"[redacted] at [redacted]"}"#),
        (FORM, "a=alice%40example.com", "a=%5Bredacted%5D"),
        ("text/plain", "ask alice@example.com", "ask [redacted]"),
    ] {
        assert_eq!(of_type(controls.clone(), content_type, body), changed(expected));
    }
    let unredactable = ResponseVerdict::Withheld(Reason::ResponsePiiUnredactable);
    assert_eq!(of_type(controls, JSON, r#"{"alice@example.com":1}"#), unredactable);
}

/// The verdict of a gate whose search route permits so many records, and whose agent so many.
fn counted(route: Option<u64>, agent: Option<u64>, content_type: &str, body: Option<&str>) -> JudgedResponse {
    let mut gate = looking(None);
    for entry in &mut gate.routes {
        entry.response_records = Some(ResponseRecords { pointer: "/items".to_owned(), max_records: route });
    }
    let rules = gate.response_rules("GET", "/search", agent).unwrap();
    let headers = [Header { name: "content-type", value: content_type.as_bytes() }];
    rules.judge(&ResponseHead { method: "GET", status: 200, headers: &headers }, body.map(str::as_bytes))
}

#[test]
fn more_records_than_permitted_are_withheld() {
    let three = Some(r#"{"items":[1,[2,2],{"3":3}],"more":[1,2,3,4,5]}"#);
    let exceeded = ResponseVerdict::Withheld(Reason::ResponseRecordsExceeded);
    for (route, agent, verdict) in [
        (Some(3), None, ResponseVerdict::AsItCame),
        (Some(2), None, exceeded.clone()),
        (None, Some(3), ResponseVerdict::AsItCame),
        (Some(9), Some(2), exceeded.clone()),
        (Some(2), Some(9), exceeded.clone()),
        (Some(9), Some(0), exceeded),
    ] {
        let judged = counted(route, agent, JSON, three);
        assert_eq!(judged.verdict, verdict, "{route:?} {agent:?}");
        assert_eq!(evidence(&judged.record, "max_records", "records"), Some(EvidenceValue::Number(3)));
    }
    assert_eq!(counted(Some(0), None, JSON, Some(r#"{"items":[]}"#)).verdict, ResponseVerdict::AsItCame);
    assert_eq!(counted(Some(0), None, "", Some("")).verdict, ResponseVerdict::AsItCame, "no content has no records");
}

#[test]
fn records_that_cannot_be_counted_are_withheld() {
    let unreadable = ResponseVerdict::Withheld(Reason::ResponseRecordsUnreadable);
    for (content_type, body) in [
        (JSON, Some(r#"{"item":[]}"#)),
        (JSON, Some(r#"{"items":{"0":1}}"#)),
        (JSON, Some(r#"[[]]"#)),
        // Two readers could see two arrays.
        (JSON, Some(r#"{"items":[],"items":[1,2,3]}"#)),
        (JSON, Some("{\"items\":[]} []")),
        ("text/html", Some(r#"{"items":[]}"#)),
        ("application/json; charset=utf-16", Some(r#"{"items":[]}"#)),
        ("text/event-stream", Some("data: []\n\n")),
        (JSON, None),
    ] {
        assert_eq!(counted(Some(5), None, content_type, body).verdict, unreadable, "{content_type} {body:?}");
    }
}

#[test]
fn a_whole_document_may_be_the_records_and_their_number_comes_before_what_they_hold() {
    let mut gate = looking(Some(block()));
    for entry in &mut gate.routes {
        entry.response_records = Some(ResponseRecords { pointer: String::new(), max_records: Some(1) });
    }
    let rules = gate.response_rules("GET", "/search", None).unwrap();
    let headers = [Header { name: "content-type", value: JSON.as_bytes() }];
    let head = ResponseHead { method: "GET", status: 200, headers: &headers };
    let judged = rules.judge(&head, Some(br#"["alice@example.com","bob@example.com"]"#));
    assert_eq!(judged.verdict, ResponseVerdict::Withheld(Reason::ResponseRecordsExceeded));
    assert_eq!(
        evidence(&judged.record, "pii", "email_found"),
        Some(EvidenceValue::Number(2)),
        "what it holds is counted too"
    );
    let names: Vec<_> = judged.record.guardrails_evaluated.iter().map(|record| record.guardrail.as_ref()).collect();
    assert_eq!(names, ["max_records", "pii"]);
    assert_eq!(rules.judge(&head, Some(b"[7]")).verdict, ResponseVerdict::AsItCame);
}
