//! The log of decisions, in a process of its own: log subscribers of parallel tests disturb each other.
#![cfg(test)]

#[expect(dead_code, reason = "the other tests that share this origin use all of it")]
#[path = "../http_dataplane/origin.rs"]
mod origin;
#[expect(dead_code, reason = "the other tests that share this gate use all of it")]
#[path = "../gateway/support.rs"]
mod support;

mod requests;

use std::io::Write;
use std::sync::{Arc, Mutex};

use passgate_host::config::{LogDoc, LogFormat, LogLevel};
use passgate_host::logging;

use crate::origin::{Origin, Step, ok};
use crate::requests::{RAW, Told};
use crate::support::{Call, Site, Wish, patiently, usual};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn log(format: LogFormat) -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let writer = lines.clone();
    let doc = LogDoc { format: Some(format), level: LogLevel::Debug };
    let subscriber = logging::subscriber(&doc, false, move || writer.clone());
    (lines, tracing::subscriber::set_default(subscriber))
}

const NAMES: [&str; 3] = ["<script>alert(1)</script>", "=cmd|'/C_calc'!A0", "\"},{\"decision\":\"allow\""];

#[tokio::test]
async fn the_log_has_one_line_a_decision_and_no_secrets() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let (lines, _guard) = log(format);
        let (site, gate, _origin, _) = usual().await;
        let mut passports = Vec::new();
        for name in NAMES {
            let agent = site.agent(name, &["web:*"]);
            assert_eq!(site.send(&agent.get("/search?token=hush").with("cookie", "hush")).await.status, 200);
            passports.push(agent.passport.clone());
        }
        let odd = format!("/{}", "%E2%80%AE".repeat(30));
        site.send(&Call::bare(&site.address.to_string(), "GET", &odd)).await.assert_refusal(401, "credential_missing");
        patiently(gate.shutdown()).await;
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let decisions: Vec<&str> = text.lines().filter(|line| line.contains("attestation_id")).collect();
        assert_eq!(decisions.len(), NAMES.len() + 1, "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        assert!(!text.contains("hush") && passports.iter().all(|passport| !text.contains(passport)), "{text}");
        if format == LogFormat::Json {
            for (line, name) in decisions.iter().zip(NAMES) {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!((&line["decision"], &line["agent"]), (&"allow".into(), &name.into()));
                assert_eq!(
                    (&line["method"], &line["path"], &line["status"]),
                    (&"GET".into(), &"/search".into(), &200.into())
                );
            }
        }
        lines.0.lock().unwrap().clear();
        look_at_responses().await;
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("attestation_id")).count(), 2, "{text}");
        assert!(text.contains("response_pii_blocked"), "{text}");
        assert!(!text.contains("alice") && !text.contains("4111"), "nothing that was found: {text}");
        for (mode, expected) in modes() {
            lines.0.lock().unwrap().clear();
            let Told { answers, text, forwarded } = requests::sent(mode).await;
            assert_eq!(answers, expected.map(|(status, code)| (status, code.to_owned())), "{mode}");
            let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(log.lines().filter(|line| line.contains("attestation_id")).count() >= answers.len(), "{log}");
            for raw in RAW {
                assert!(!log.contains(raw) && !text.contains(raw), "{mode}: {raw} in {log}\n{text}");
                // What is only counted goes upstream as it came, and nothing else does.
                let passed = forwarded.iter().any(|(target, body)| target.contains(raw) || body.contains(raw));
                assert_eq!(passed, mode == "log_only", "{mode}: {raw}");
            }
        }
    }
}

/// What a gate does with everything that it finds, and what each of the requests gets.
fn modes() -> [(&'static str, [(u16, &'static str); 8]); 3] {
    let (blocked, fixed) = ((403, "pii_blocked"), (403, "pii_unredactable"));
    let (passes, broken, unknown) = ((200, ""), (502, "upstream_protocol_error"), (401, "credential_missing"));
    let unmapped = (403, "action_unmapped");
    [
        ("block", [blocked, blocked, blocked, blocked, blocked, blocked, unmapped, unknown]),
        ("redact", [passes, fixed, fixed, fixed, fixed, fixed, unmapped, unknown]),
        ("log_only", [passes, passes, passes, passes, broken, broken, unmapped, unknown]),
    ]
}

/// One response is withheld, and something is taken out of another.
async fn look_at_responses() {
    let origin = Origin::start(|seen| match seen.target.as_str() {
        "/files/card" => ok("4111 1111 1111 1111"),
        _ => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 17\r\n\r\nalice@example.com".to_vec(),
        )],
    })
    .await;
    let guardrails = "pii_controls: {mode: ignore, responses: {mode: redact, classes: {card: block}}}".to_owned();
    let mut site = Site::new(Wish { guardrails, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["files:read"]);
    assert_eq!(site.send(&agent.get("/files/card")).await.status, 502);
    assert_eq!(site.send(&agent.get("/files/mail")).await.body, "[redacted]");
    patiently(gate.shutdown()).await;
}
