//! Personal data and secrets: what is found where, and what becomes of it.

use proptest::prelude::*;

use super::*;
use crate::attest::EvidenceValue;
use crate::gate::PiiControls;
use crate::pii::{Class, Classes};

const CARD: &str = "4111 1111 1111 1111";

fn controlled(controls: PiiControls) -> Gate {
    let mut gate = gate();
    gate.guardrails = Guardrails { pii: Some(controls), ..Guardrails::default() };
    for route in &mut gate.routes {
        (route.amount, route.domain) = (None, None);
    }
    gate
}

fn all(mode: &str) -> Gate {
    let none = PiiControls { denies_unscannable: mode != "log_only", ..PiiControls::default() };
    controlled(match mode {
        "block" => PiiControls { block: Classes::ALL, ..none },
        "redact" => PiiControls { redact: Classes::ALL, ..none },
        _ => PiiControls { log: Classes::ALL, ..none },
    })
}

fn decided(gate: &Gate, call: &Call) -> (Decision, Option<String>, Judged) {
    let (judged, body) = call.judged(gate).unwrap().restrict(Vec::new(), &call.body, &seed());
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    (decision, body.map(|body| String::from_utf8(body).unwrap()), judged)
}

fn pay(body: &str) -> Call {
    Call::new("POST", "/pay", body).signed(1)
}

fn evidence(decision: &Decision, name: &str) -> Option<EvidenceValue> {
    let pii = decision.guardrails.iter().find(|guardrail| guardrail.guardrail == "pii").unwrap();
    pii.evidence.get(name).cloned()
}

#[test]
fn what_is_blocked_refuses_wherever_it_stands() {
    let gate = all("block");
    for body in [
        format!(r#"{{"note":"pay with {CARD} please"}}"#),
        format!(r#"{{"{CARD}":1}}"#),
        r#"{"card":4111111111111111}"#.to_owned(),
        r#"{"a":[{"b":["\u0034111 1111 1111 1111"]}]}"#.to_owned(),
        r#"{"ssn":"219099998"}"#.to_owned(),
        r#"{"to":"alice@example.com"}"#.to_owned(),
        // No JSON: twice the same member.
        format!(r#"{{"a":1,"a":"{CARD}"}}"#),
        format!("note={}", CARD.replace(' ', "+")).replace('+', " "),
    ] {
        let (decision, forwarded, _) = decided(&gate, &pay(&body));
        assert_eq!((decision.reason, forwarded), (Some(Reason::PiiBlocked), None), "{body}");
        assert_eq!(result(&decision, "pii"), GuardrailOutcome::Fail, "{body}");
    }
    for clean in [r#"{"usd":45,"to":"shop.example"}"#, "", r#"{"order":"ord_4111"}"#] {
        assert_eq!(decided(&gate, &pay(clean)).0.reason, None, "{clean}");
    }
}

#[test]
fn what_is_redacted_does_not_go_upstream() {
    let gate = all("redact");
    let body = format!(
        r#"{{"note":"pay with {CARD}, or ask alice@example.com","usd":45,"n":[null,"a\"b"],"list":["{CARD}"]}}"#
    );
    let (decision, forwarded, judged) = decided(&gate, &pay(&body));
    assert_eq!(decision.reason, None);
    assert_eq!(
        forwarded.unwrap(),
        r#"{"note":"pay with [redacted], or ask [redacted]","usd":45,"n":[null,"a\"b"],"list":["[redacted]"]}"#,
        "the rest stays as it is, byte by byte"
    );
    assert_eq!(evidence(&decision, "card_found"), Some(EvidenceValue::Number(2)));
    assert_eq!(evidence(&decision, "email_found"), Some(EvidenceValue::Number(1)));
    assert_eq!(evidence(&decision, "texts_redacted"), Some(EvidenceValue::Number(2)));
    assert!(judged.request().forwarded_payload_sha256.is_some());
    let record = serde_json::to_string(&judged.record(&decision)).unwrap();
    assert!(!record.contains("4111") && !record.contains("alice"), "{record}");
    let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
    assert_eq!(decide(&handed, &admit(&mut LoadedRows::new(), &handed)), decision, "also where it is handed over");
}

#[test]
fn what_stands_in_a_query_counts_once() {
    let found = |query: &str| {
        let call = Call::new("GET", &format!("/search/alice@example.com?{query}"), "").signed(1);
        evidence(&decided(&all("log_only"), &call).0, "email_found")
    };
    for (query, emails) in [
        ("q=1", 1),
        ("q=bob@example.com", 2),
        ("q=bob%40example.com", 2),
        ("bob@example.com", 2),
        ("a=bob@example.com&b=carol@example.com", 3),
        ("a=bob@example.com&b=bob@example.com&carol@example.com", 4),
    ] {
        assert_eq!(found(query), Some(EvidenceValue::Number(emails)), "{query}");
    }
}

#[test]
fn what_cannot_be_taken_out_refuses() {
    let gate = all("redact");
    for body in [format!(r#"{{"{CARD}":1}}"#), r#"{"card":4111111111111111}"#.to_owned(), format!("card {CARD}")] {
        let (decision, forwarded, _) = decided(&gate, &pay(&body));
        assert_eq!((decision.reason, forwarded), (Some(Reason::PiiUnredactable), None), "{body}");
    }
    // Nobody took it out.
    let judged = pay(&format!(r#"{{"note":"{CARD}"}}"#)).judged(&gate).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    assert_eq!(decision.reason, Some(Reason::InternalError));
}

#[test]
fn forms_and_plain_texts_are_redacted_too() {
    let sent = |content_type: &str, body: &str| {
        let mut call = Call::new("POST", "/pay", body);
        call.headers[1].1 = content_type.as_bytes().to_vec();
        let (decision, forwarded, _) = decided(&all("redact"), &call.signed(1));
        (decision.reason, forwarded)
    };
    let form = "application/x-www-form-urlencoded; charset=UTF-8";
    assert_eq!(
        sent(form, "to=shop.example&note=ask+alice%40example.com&ssn=219099998&x="),
        (None, Some("to=shop.example&note=ask+%5Bredacted%5D&ssn=%5Bredacted%5D&x=".to_owned()))
    );
    assert_eq!(sent(form, "a=b&c=%20d"), (None, None), "what has nothing stays as it is");
    assert_eq!(sent(form, "alice%40example.com=1").0, Some(Reason::PiiUnredactable));
    assert_eq!(sent("text/plain", "ask alice@example.com\n"), (None, Some("ask [redacted]\n".to_owned())));
    assert_eq!(sent("text/csv", "alice@example.com,1\n").0, Some(Reason::PiiUnredactable));
}

#[test]
fn what_was_judged_is_not_taken_out() {
    let mut gate = all("redact");
    gate.routes[1].domain = Some(ValueSource::Pointer("/to".to_owned()));
    let (decision, ..) = decided(&gate, &pay(r#"{"to":"192.0.2.7"}"#));
    assert_eq!(decision.reason, Some(Reason::PiiUnredactable));
}

#[test]
fn what_is_logged_passes_and_is_counted() {
    let gate = all("log_only");
    let (decision, forwarded, _) = decided(&gate, &pay(&format!(r#"{{"note":"{CARD}"}}"#)));
    assert_eq!((decision.reason, forwarded), (None, None));
    assert_eq!(result(&decision, "pii"), GuardrailOutcome::Pass);
    assert_eq!(evidence(&decision, "card_found"), Some(EvidenceValue::Number(1)));
}

#[test]
fn every_class_has_its_own_mode() {
    let gate = controlled(PiiControls {
        block: Classes::of(Class::Card),
        redact: Classes::of(Class::Email),
        log: Classes::of(Class::Ip),
        encrypt: None,
        denies_unscannable: true,
    });
    let (decision, forwarded, _) =
        decided(&gate, &pay(r#"{"note":"alice@example.com from 192.0.2.7, +1 202-555-0143"}"#));
    assert_eq!(decision.reason, None);
    assert_eq!(forwarded.unwrap(), r#"{"note":"[redacted] from 192.0.2.7, +1 202-555-0143"}"#);
    assert_eq!(evidence(&decision, "phone_found"), None, "it is not looked for");
    assert_eq!(decided(&gate, &pay(&format!(r#"{{"note":"{CARD}"}}"#))).0.reason, Some(Reason::PiiBlocked));
}

#[test]
fn the_strictest_mode_of_what_is_several_things_counts() {
    let gate = controlled(PiiControls {
        block: Classes::of(Class::Card),
        redact: Classes::of(Class::Email),
        log: Classes::of(Class::Phone).with(Class::Secret),
        encrypt: None,
        denies_unscannable: true,
    });
    for (text, expected) in [
        ("+14155552671@example.com", Ok("+[redacted]")),
        ("KzEgNDE1IDU1NSAyNjcxIGFsaWNlQGV4YW1wbGUuY29t", Ok("[redacted]")),
        ("-----BEGIN PRIVATE KEY----- alice@example.com", Ok("-----BEGIN PRIVATE KEY----- [redacted]")),
        ("4111111111111111@example.com", Err(Reason::PiiBlocked)),
    ] {
        let (decision, forwarded, _) = decided(&gate, &pay(&format!(r#"{{"note":"{text}"}}"#)));
        let expected = expected.map(|text| format!(r#"{{"note":"{text}"}}"#));
        assert_eq!(decision.reason.map_or_else(|| Ok(forwarded.unwrap()), Err), expected, "{text}");
    }
    let both = format!(r#"{{"note":"{CARD}","x":"bob@example.com","bob@example.com":1}}"#);
    assert_eq!(decided(&gate, &pay(&both)).0.reason, Some(Reason::PiiBlocked), "the reason stays what it was");
}

#[test]
fn numbers_and_names_say_what_they_are() {
    let gate = all("block");
    for body in [
        r#"{"ssn":219099998.0}"#,
        r#"{"ssn":2.19099998e8}"#,
        r#"{"card":4.111111111111111E15}"#,
        r#"{"card":41111111111111110e-1}"#,
        r#"{"ssn":{"value":"219099998"}}"#,
        r#"{"password2":{"value":"hunter2secret1"}}"#,
        r#"{"passwords":["hunter2secret1"]}"#,
    ] {
        assert_eq!(decided(&gate, &pay(body)).0.reason, Some(Reason::PiiBlocked), "{body}");
    }
    for body in [r#"{"usd":1.5}"#, r#"{"usd":1e2}"#, r#"{"n":219099998.5}"#, r#"{"n":1e300,"m":-0.0}"#] {
        assert_eq!(decided(&gate, &pay(body)).0.reason, None, "{body}");
    }
}

#[test]
fn what_is_found_in_a_path_is_not_recorded() {
    for gate in [all("block"), all("log_only")] {
        let judged = Call::new("DELETE", "/records/4111111111111111", "").signed(1).judged(&gate).unwrap();
        assert_eq!(judged.request().path, "/records/[redacted]");
        let refused = Call::new("DELETE", "/records/4111111111111111", "").judged(&gate).unwrap_err();
        assert_eq!(refused.record(&gate, NOW).request.path, "/records/[redacted]");
    }
}

#[test]
fn many_texts_are_taken_out_of_one_body() {
    let list: Vec<String> = (0..20_000).map(|n| format!("\"a{n}@b.co\"")).collect();
    let body = format!(r#"{{"{}":[{}]}}"#, "k".repeat(9000), list.join(","));
    let (decision, forwarded, _) = decided(&all("redact"), &pay(&body));
    assert_eq!(decision.reason, None);
    assert_eq!(forwarded.unwrap().matches("[redacted]").count(), 20_000);
}

#[test]
fn a_body_that_cannot_be_looked_at_is_refused_unless_all_is_logged() {
    let coded = || {
        let mut call = Call::new("POST", "/pay", r#"{"a":1}"#);
        call.headers.push(("content-encoding".to_owned(), b"gzip".to_vec()));
        call.signed(1)
    };
    let binary = || {
        let mut call = Call::new("POST", "/pay", "x");
        call.body = vec![0xff, 0xfe, 0x00];
        call.signed(1)
    };
    let charset = || {
        let mut call = Call::new("POST", "/pay", r#"{"a":1}"#);
        call.headers[1].1 = b"application/json; charset=utf-7".to_vec();
        call.signed(1)
    };
    for call in [coded(), binary(), charset()] {
        assert_eq!(decided(&all("block"), &call).0.reason, Some(Reason::PiiUnscannable));
        assert_eq!(decided(&all("redact"), &call).0.reason, Some(Reason::PiiUnscannable));
        let (decision, ..) = decided(&all("log_only"), &call);
        assert_eq!(decision.reason, None);
        assert_eq!(evidence(&decision, "body"), Some(EvidenceValue::Text("unscannable".to_owned())));
    }
}

#[test]
fn paths_and_queries_are_looked_at_too() {
    let gate = all("redact");
    for path in ["/records/219-09-9998", "/records/alice@example.com", "/records/%2B1%20202%20555%200143"] {
        let judged = Call::new("DELETE", path, "").signed(1).judged(&gate).unwrap();
        let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
        let pii = decision.guardrails.iter().find(|guardrail| guardrail.guardrail == "pii").unwrap();
        assert_eq!(pii.reason_code, Some(Reason::PiiUnredactable), "{path}");
    }
}

/// What "What it misses" of the guide says: the texts of a body are looked at one by one.
#[test]
fn a_value_that_is_split_over_several_texts_is_missed() {
    for gate in [all("block"), all("redact")] {
        for body in [
            r#"{"first":"4111 1111","second":"1111 1111"}"#,
            r#"{"number":["4111 1111","1111 1111"]}"#,
            r#"{"to":"alice@","domain":"example.com"}"#,
        ] {
            let (decision, forwarded, _) = decided(&gate, &pay(body));
            assert_eq!((decision.reason, forwarded), (None, None), "{body}");
        }
        let whole = pay(r#"{"number":["4111 1111 1111 1111"]}"#);
        assert_eq!(evidence(&decided(&gate, &whole).0, "card_found"), Some(EvidenceValue::Number(1)));
    }
}

/// A form of several parts, the last of which is this one.
fn multipart(head: &str, content: &[u8]) -> Call {
    let mut call = Call::new("POST", "/pay", "x");
    call.headers[1].1 = b"multipart/form-data; boundary=xYzZy".to_vec();
    let first = "--xYzZy\r\nContent-Disposition: form-data; name=\"order\"\r\n\r\nord_4111\r\n";
    let head = format!("{first}--xYzZy\r\n{head}\r\n\r\n");
    call.body = [head.as_bytes(), content, b"\r\n--xYzZy--\r\n"].concat();
    call.signed(1)
}

#[test]
fn parts_of_a_multipart_body_are_looked_at_as_one_text_and_not_taken_out() {
    const NOTE: &str = "Content-Disposition: form-data; name=\"note\"";
    let encoded = format!("{NOTE}\r\nContent-Transfer-Encoding: base64");
    let picture = "Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png";
    let named = "Content-Disposition: form-data; name=\"file\"; filename=\"alice@example.com.txt\"";
    let found = [Some(Reason::PiiBlocked), Some(Reason::PiiUnredactable), None];
    let binary = [Some(Reason::PiiUnscannable), Some(Reason::PiiUnscannable), None];
    for (call, expected) in [
        (multipart(NOTE, b"ask alice@example.com"), found),
        (multipart(NOTE, CARD.as_bytes()), found),
        (multipart(&encoded, b"cGF5IHdpdGggNDExMSAxMTExIDExMTEgMTExMQ=="), found),
        (multipart("Content-Disposition: form-data; name=\"ssn\"", b"219099998"), found),
        (multipart(named, b"nothing"), found),
        (multipart(NOTE, b"nothing"), [None; 3]),
        // The name of a part is only a word near a number, and names no secret.
        (multipart("Content-Disposition: form-data; name=\"password\"", b"hunter2secret1"), [None; 3]),
        // What is no text could hold anything, whatever stands beside it.
        (multipart(picture, &[0x89, 0x50, 0x4e, 0x47, 0xff]), binary),
        (multipart(picture, &[CARD.as_bytes(), &[0xff]].concat()), binary),
    ] {
        for (mode, expected) in ["block", "redact", "log_only"].into_iter().zip(expected) {
            let (decision, forwarded, _) = decided(&all(mode), &call);
            let body = String::from_utf8_lossy(&call.body);
            assert_eq!((decision.reason, forwarded), (expected, None), "{mode}: {body}");
        }
    }
}

#[test]
fn a_body_that_cannot_be_looked_at_passes_as_it_is_where_the_policy_allows_it() {
    for mode in ["block", "redact"] {
        let mut gate = all(mode);
        gate.guardrails.pii.as_mut().unwrap().denies_unscannable = false;
        let coded = |path: &str| {
            let mut call = Call::new("POST", path, "{\"note\":\"4111 1111 1111 1111\"}");
            call.headers.push(("content-encoding".to_owned(), b"identity".to_vec()));
            call.signed(1)
        };
        let binary = multipart("Content-Disposition: form-data; name=\"file\"", &[0xff, 0xfe]);
        for call in [coded("/pay"), binary] {
            let (decision, forwarded, judged) = decided(&gate, &call);
            assert_eq!((decision.reason, forwarded), (None, None), "{mode}");
            assert_eq!(judged.request().forwarded_payload_sha256, None, "it goes upstream as it came");
            assert_eq!(evidence(&decision, "body"), Some(EvidenceValue::Text("unscannable".to_owned())));
            assert_eq!(evidence(&decision, "card_found"), None);
        }
        // All else is looked at as ever.
        let elsewhere = decided(&gate, &coded("/pay/4111111111111111")).0;
        assert_eq!(result(&elsewhere, "pii"), GuardrailOutcome::Fail, "{mode}");
        let text = decided(&gate, &pay(&format!(r#"{{"{CARD}":1}}"#))).0;
        assert_eq!(result(&text, "pii"), GuardrailOutcome::Fail, "{mode}");
    }
}

/// The body after redaction, as it came where nothing was taken out.
fn redacted(content_type: &str, body: &str) -> String {
    let mut call = Call::new("POST", "/pay", body);
    call.headers[1].1 = content_type.as_bytes().to_vec();
    let (decision, forwarded, _) = decided(&all("redact"), &call.signed(1));
    assert_eq!(decision.reason, None, "{body}");
    forwarded.unwrap_or_else(|| body.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was taken out leaves nothing to take out, however values stand beside each other and beside masks.
    #[test]
    fn a_body_that_was_redacted_once_stays_as_it_is(
        values in proptest::collection::vec((0usize..6, proptest::collection::vec(0usize..9, 1..5)), 1..5),
    ) {
        const NAMES: [&str; 6] = ["note", "password", "ssn", "card", "token", "x"];
        const PARTS: [&str; 9] = [
            CARD, "alice@example.com", "219-09-9998", "192.0.2.7", "[redacted]", "hunter2secret1", "Bearer", "\\ \" &=%", "ü",
        ];
        let values: Vec<(&str, String)> = values
            .iter()
            .map(|(name, parts)| (NAMES[*name], parts.iter().map(|part| PARTS[*part]).collect::<Vec<_>>().join(" ")))
            .collect();
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(&values).finish();
        // Names are not repeated in JSON.
        let members: serde_json::Map<_, _> =
            values.iter().enumerate().map(|(at, (name, value))| (format!("{name}{at}"), value.as_str().into())).collect();
        let text = values.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("\n");
        for (content_type, body) in [
            ("application/json", serde_json::to_string(&members).unwrap()),
            ("application/x-www-form-urlencoded", form),
            ("text/plain", text),
        ] {
            let once = redacted(content_type, &body);
            prop_assert_eq!(redacted(content_type, &once), once, "{}", content_type);
        }
    }
}
