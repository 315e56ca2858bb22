//! What takes something away for good is reviewed by a model, and nobody's silence lets it through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use passgate_host::files::{self, Existing};
use passgate_passport::jwe::DecryptionKey;
use passgate_store::MemoryStore;
use passgate_store::failing::{FailingStore, Failure, Verb};
use serde_json::{Map, Value, json};

use crate::origin::{Origin, Step, ok};
use crate::support::{Site, Wish, patiently};

const KEY: &str = "sk-secret-of-the-operator";

/// What a model of this kind sends that says `text`.
fn said(api: &str, text: &str) -> String {
    match api {
        "openai" => json!({ "choices": [{ "message": { "role": "assistant", "content": text } }] }).to_string(),
        _ => json!({ "content": [{ "type": "text", "text": text }] }).to_string(),
    }
}

/// A gate whose `records:delete` is reviewed by what listens at `reviewer`.
async fn site(origin: &Origin, api: &str, url: &str, more: &str) -> Site {
    guarding(origin, api, url, more, "").await
}

/// The same with other guardrails beside the guardian.
async fn guarding(origin: &Origin, api: &str, url: &str, more: &str, guardrails: &str) -> Site {
    let extra = format!(
        "reviewer: {{api: {api}, url: \"{url}/v1/review\", model: model-1, key_file: reviewer.key, timeout_ms: 500{more}}}"
    );
    let guardrails = format!("guardian: {{spot: {{step_up_at: 100}}}}{guardrails}");
    let site = Site::new(Wish { guardrails, extra, ..Wish::before(origin) }).await;
    files::write_secret(&site.folder.path().join("reviewer.key"), KEY.as_bytes(), Existing::Keep).unwrap();
    site
}

fn guardian(record: &Map<String, Value>) -> Value {
    let guardrails = record["guardrails_evaluated"].as_array().unwrap();
    guardrails.iter().find(|guardrail| guardrail["guardrail"] == "guardian").unwrap().clone()
}

#[tokio::test]
async fn a_model_of_either_kind_is_asked_and_its_word_counts() {
    for api in ["openai", "anthropic"] {
        let answers = Arc::new(AtomicUsize::new(0));
        let origin = Origin::start(|_| ok("gone")).await;
        let reviewer = Origin::start({
            let answers = Arc::clone(&answers);
            move |_| match answers.fetch_add(1, Ordering::SeqCst) {
                0 => ok(&said(api, r#"{"verdict": "allow", "confidence": 80, "reason": "It fits the purpose."}"#)),
                _ => ok(&said(api, r#"{"verdict": "deny", "confidence": 99, "reason": "It is too broad."}"#)),
            }
        })
        .await;
        let mut site = site(&origin, api, &reviewer.url(), "").await;
        let gate = site.start_in_memory().await;
        let agent = site.agent("cleaner", &["records:delete", "web:search"]);
        let delete = || agent.call("DELETE", "/records/7", &[], r#"{"why": "4111 1111 1111 1111"}"#);
        assert_eq!(site.send(&delete()).await.status, 200);
        site.send(&delete()).await.assert_refusal(403, "review_denied");
        assert_eq!(site.send(&agent.get("/search?q=1")).await.status, 200);
        assert_eq!((origin.seen().len(), reviewer.seen().len()), (2, 2), "what only reads is not reviewed");
        let asked = reviewer.seen()[0].clone();
        let (field, value) =
            if api == "openai" { ("authorization", format!("Bearer {KEY}")) } else { ("x-api-key", KEY.to_owned()) };
        assert_eq!(asked.all(field), [value]);
        assert_eq!(asked.all("anthropic-version").len(), usize::from(api == "anthropic"));
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let user = body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
        let facts: Value = serde_json::from_str(user).unwrap();
        assert_eq!((&facts["action"], &facts["effect_class"]), (&json!("records:delete"), &json!("destructive")));
        assert_eq!((&facts["path"], &facts["agent_id"]), (&json!("/records/7"), &json!("cleaner")));
        assert!(facts.get("body").is_none() && !String::from_utf8_lossy(&asked.body).contains("4111"), "{facts}");
        let records = site.attestations().await;
        let denied = records.iter().find(|record| record.get("decision") == Some(&json!("deny"))).unwrap();
        let guardian = guardian(denied);
        assert_eq!(guardian["reason_code"], "review_denied");
        let evidence = &guardian["evidence"];
        assert_eq!(
            (&guardian["result"], &evidence["tier"], &evidence["review"]),
            (&json!("fail"), &json!("deep"), &json!("denied"))
        );
        assert_eq!((&evidence["review_model"], &evidence["review_confidence"]), (&json!("model-1"), &json!(99)));
        assert_eq!(evidence["review_reason"], "It is too broad.");
        assert!(!serde_json::to_string(&records).unwrap().contains(KEY));
        patiently(gate.shutdown()).await;
    }
}

#[tokio::test]
async fn what_the_state_refuses_costs_no_review() {
    let origin = Origin::start(|_| ok("gone")).await;
    let reviewer = Origin::start(|_| ok(&said("openai", r#"{"verdict":"allow"}"#))).await;
    let limits = "\n  rate_limits: {requests_per_day: 3}";
    let mut site = guarding(&origin, "openai", &reviewer.url(), "", limits).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("cleaner", &["records:delete"]);
    let delete = |number: u8| agent.call("DELETE", &format!("/records/{number}"), &[], "");
    let first = delete(1);
    assert_eq!(site.send(&first).await.status, 200);
    site.send(&first).await.assert_refusal(401, "nonce_replayed");
    for number in 2..=3 {
        assert_eq!(site.send(&delete(number)).await.status, 200);
    }
    site.send(&delete(4)).await.assert_refusal(429, "rate_limit_exceeded");
    assert_eq!((origin.seen().len(), reviewer.seen().len()), (3, 3));
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn what_the_state_says_nothing_of_is_neither_reviewed_nor_let_through() {
    let origin = Origin::start(|_| ok("gone")).await;
    let reviewer = Origin::start(|_| ok(&said("openai", r#"{"verdict":"allow"}"#))).await;
    let mut site = site(&origin, "openai", &reviewer.url(), "").await;
    let store = Arc::new(FailingStore::new(site.memory()));
    let gate = site.start_on(Arc::<FailingStore<MemoryStore>>::clone(&store)).await;
    let agent = site.agent("cleaner", &["records:delete"]);
    let delete = || agent.call("DELETE", "/records/7", &[], "");
    store.fail(Verb::Look, Failure::NotWritten);
    site.send(&delete()).await.assert_refusal(503, "guardian_unavailable");
    assert_eq!((origin.seen().len(), reviewer.seen().len()), (0, 0));
    store.heal();
    assert_eq!(site.send(&delete()).await.status, 200);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn without_an_answer_nothing_is_taken_away() {
    let unavailable = "guardian_unavailable";
    let answers: [fn() -> Vec<Step>; 6] = [
        || ok("not json"),
        || ok(&said("openai", "I think that this is fine.")),
        || ok(&said("anthropic", r#"{"verdict": "allow"}"#)),
        || vec![Step::Send(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_vec())],
        || vec![Step::Hang],
        || vec![Step::Close],
    ];
    for answer in answers {
        let (origin, reviewer) = (Origin::start(|_| ok("gone")).await, Origin::start(move |_| answer()).await);
        let mut site = site(&origin, "openai", &reviewer.url(), "").await;
        let gate = site.start_in_memory().await;
        let agent = site.agent("cleaner", &["records:delete", "email:send"]);
        site.send(&agent.call("DELETE", "/records/7", &[], "")).await.assert_refusal(503, unavailable);
        assert_eq!(site.send(&agent.post("/email", r#"{"to": "x.example"}"#)).await.status, 200, "a write falls back");
        assert_eq!(origin.seen().len(), 1);
        patiently(gate.shutdown()).await;
    }
    let origin = Origin::start(|_| ok("gone")).await;
    let mut nobody = site(&origin, "openai", "http://127.0.0.1:9", "").await;
    let gate = nobody.start_in_memory().await;
    let agent = nobody.agent("cleaner", &["records:delete"]);
    nobody.send(&agent.call("DELETE", "/records/7", &[], "")).await.assert_refusal(503, unavailable);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_reviewer_sees_the_body_where_the_operator_says_so() {
    let (origin, reviewer) =
        (Origin::start(|_| ok("gone")).await, Origin::start(|_| ok(&said("openai", r#"{"verdict":"allow"}"#))).await);
    let mut site = site(&origin, "openai", &reviewer.url(), ", body: true").await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("cleaner", &["records:delete"]);
    assert_eq!(site.send(&agent.call("DELETE", "/records/7", &[], "{\"why\": \"old\"}")).await.status, 200);
    assert!(String::from_utf8_lossy(&reviewer.seen()[0].body).contains("old"));
    patiently(gate.shutdown()).await;
}

/// The attack: what waits for a reviewer is shown to it, or goes upstream, as it came.
#[tokio::test]
async fn a_reviewer_sees_the_body_as_it_goes_upstream() {
    let reader = DecryptionKey::from_seed([5; 32]);
    let encrypting = format!("{{mode: encrypt, encrypt_to: {}}}", reader.public().to_jwk());
    for controls in ["{mode: redact}", &encrypting] {
        let (origin, reviewer) = (
            Origin::start(|_| ok("gone")).await,
            Origin::start(|_| ok(&said("openai", r#"{"verdict":"allow"}"#))).await,
        );
        let guardrails = format!("\n  pii_controls: {controls}");
        let mut site = guarding(&origin, "openai", &reviewer.url(), ", body: true", &guardrails).await;
        let gate = site.start_in_memory().await;
        let agent = site.agent("cleaner", &["records:delete"]);
        let delete =
            agent.call("DELETE", "/records/7", &[("content-type", "application/json")], r#"{"why":"bob@example.com"}"#);
        assert_eq!(site.send(&delete).await.status, 200);
        let (asked, sent) = (reviewer.seen()[0].body.clone(), origin.seen()[0].body.clone());
        let sent = String::from_utf8(sent.to_vec()).unwrap();
        let value = sent.strip_prefix(r#"{"why":""#).and_then(|sent| sent.strip_suffix(r#""}"#)).unwrap();
        assert!(String::from_utf8_lossy(&asked).contains(value) && !String::from_utf8_lossy(&asked).contains("bob"));
        match reader.decrypt(value) {
            Ok(text) => assert_eq!(text.as_slice(), b"bob@example.com"),
            Err(_) => assert_eq!(value, "[redacted]"),
        }
        assert_eq!(value == "[redacted]", controls == "{mode: redact}");
        patiently(gate.shutdown()).await;
    }
}

#[tokio::test]
async fn a_reviewer_that_cannot_be_asked_safely_is_a_mistake_in_the_configuration() {
    let origin = Origin::start(|_| ok("")).await;
    let mut site = site(&origin, "openai", "http://models.example", "").await;
    let error = site.start().await.err().unwrap().to_string();
    assert!(error.starts_with("reviewer.url: has to be an `https` URL"), "{error}");
}
