//! The rule, natively.

use passgate_plugin::judge;
use passgate_plugin::testing::{facts, request};
use serde_json::json;

use super::*;

fn config() -> Value {
    json!({
        "domains": ["example.com", "*.partner.example"],
        "attachments": { "pointer": "/attachments", "max_count": 2, "max_bytes": 6, "extensions": ["pdf", "txt"] },
        "redact": ["/internal_note"],
    })
}

fn judged_with(config: &Value, mail: &Value) -> Verdict {
    judge::<OutboundMail>(&request("/mail", &mail.to_string()), &facts("mail:send", &config.to_string()))
}

fn judged(mail: &Value) -> Verdict {
    judged_with(&config(), mail)
}

#[track_caller]
fn denied(verdict: Verdict, why: &str) {
    match verdict {
        Verdict::Deny(reason) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn mail_goes_to_listed_domains() {
    for mail in [
        json!({"to": "a@example.com"}),
        json!({"to": ["a+b@EXAMPLE.com", {"email": "c@eu.partner.example", "name": "C"}], "cc": [], "bcc": null}),
        json!({"bcc": ["a@x.y.partner.example"]}),
    ] {
        assert!(matches!(judged(&mail), Verdict::Abstain), "{mail}");
    }
    for outside in
        ["a@evil.example", "a@partner.example", "a@notexample.com", "a@example.com.evil.org", "a@sub.example.com"]
    {
        for member in ["to", "cc", "bcc"] {
            denied(
                judged(&json!({"to": ["a@example.com"], "cc": "b@example.com", member: ["c@example.com", outside]})),
                "is not allowed",
            );
        }
    }
}

#[test]
fn an_address_with_two_readings_is_refused() {
    for address in [
        "",
        "a",
        "@example.com",
        "a@",
        "a@b@example.com",
        "a@example.com, b@evil.example",
        "a@example.com;b@evil.example",
        "A <a@example.com>",
        "\"a@evil.example\"@example.com",
        "a@example.com.",
        "a@[127.0.0.1]",
        "a@example.com\r\nBcc: b@evil.example",
        " a@example.com",
        "a@exämple.com",
        "a@ex\u{2024}ample.com",
        "a@localhost",
        "a%evil.example@example.com",
        "a@-example.com",
    ] {
        denied(judged(&json!({"to": [address]})), "one plain address");
    }
    for mail in [
        json!({"to": [1]}),
        json!({"to": [{"mail": "a@example.com"}]}),
        json!({"to": [["a@example.com"]]}),
        json!({"to": true}),
    ] {
        denied(judged(&mail), "a recipient");
    }
    for mail in [json!({}), json!({"to": []}), json!([])] {
        denied(judged(&mail), "no recipient");
    }
    denied(judged(&json!({"to": vec!["a@example.com"; 101]})), "more than 100 recipients");
}

#[test]
fn outside_recipients_may_be_approved_where_that_is_configured() {
    let mut config = config();
    config["outside"] = json!("step_up");
    config["roles"] = json!(["communications"]);
    match judged_with(&config, &json!({"to": ["a@example.com", "b@elsewhere.example"]})) {
        Verdict::StepUp(obligation) => {
            assert_eq!(obligation.roles, ["communications"]);
            assert_eq!(obligation.reason, "mail to elsewhere.example, outside the list");
        }
        other => panic!("{other:?}"),
    }
    denied(judged_with(&config, &json!({"to": "b@elsewhere.example", "internal_note": "x"})), "send it without");
    denied(judged_with(&config, &json!({"to": "not one"})), "one plain address");
}

#[test]
fn attachments_stay_within_their_limits() {
    let mail = |attachments: Value| json!({"to": "a@example.com", "attachments": attachments});
    let file = |name: &str, content: &str| json!({"filename": name, "content": content});
    for fine in
        [json!([]), json!(null), json!([file("a.pdf", "QUJD"), file("b.TXT", "QUI=")]), json!([file("a.b.txt", "")])]
    {
        assert!(matches!(judged(&mail(fine.clone())), Verdict::Abstain), "{fine}");
    }
    for (bad, why) in [
        (json!([file("a.pdf", ""), file("a.pdf", ""), file("a.pdf", "")]), "more than 2"),
        (json!([file("a.pdf", "QUJD"), file("b.pdf", "QUJDRA==")]), "more than 6 bytes"),
        (json!([file("a.pdf.exe", "")]), ".exe"),
        (json!([file("a.pdf.", "")]), "extension"),
        (json!([file("a.exe ", "")]), "extension"),
        (json!([file("../a.pdf", "")]), "extension"),
        (json!([file("a\u{0}.pdf", "")]), "extension"),
        (json!([file("pdf", "")]), "extension"),
        (json!([file("a.pdf", "QUJ")]), "base64"),
        (json!([file("a.pdf", "Q U=")]), "base64"),
        (json!([{"filename": "a.pdf", "path": "/etc/passwd"}]), "expected form"),
        (json!([{"filename": "a.pdf", "content": "", "url": "http://x"}]), "expected form"),
        (json!({"filename": "a.pdf"}), "expected form"),
    ] {
        denied(judged(&mail(bad)), why);
    }
    denied(judged_with(&json!({"domains": ["example.com"]}), &mail(json!([file("a.pdf", "")]))), "not allowed");
}

#[test]
fn internal_notes_are_taken_out() {
    match judged(&json!({"to": "a@example.com", "internal_note": "margin 40 %"})) {
        Verdict::Redact(pointers) => assert_eq!(pointers, ["/internal_note"]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(judged(&json!({"to": "a@example.com", "internal_note": null})), Verdict::Abstain));
    denied(judged(&json!({"to": "a@example.com", "internal_note": {"text": "x"}})), "cannot be taken out");
}

#[test]
fn a_configuration_that_makes_no_sense_refuses_everything() {
    for (member, value) in [
        ("domains", json!(["*"])),
        ("domains", json!(["*.com."])),
        ("domains", json!(["exämple.com"])),
        ("outside", json!("allow")),
        ("redact_all", json!(true)),
    ] {
        let mut config = config();
        config[member] = value;
        denied(judged_with(&config, &json!({"to": "a@example.com"})), "configuration does not fit");
    }
}
