//! Plugins in the path of requests, under both engines.

use std::fs;

use passgate_core::attest::sha256_label;
use passgate_host::config::EngineKind;
use passgate_passport::digest::content_digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::guest::{Guest, TEXT, verdict};
use crate::origin::{Origin, ok};
use crate::support::{Agent, NOON, Reply, Site, Wish, eventually, metric, patiently};

const ENGINES: [EngineKind; 2] = [EngineKind::Component, EngineKind::Native];

fn label(bytes: &[u8]) -> String {
    sha256_label(&Sha256::digest(bytes).into())
}

/// A site whose gate has these plugins, each asked about the actions beside it.
async fn site(origin: &Origin, engine: EngineKind, plugins: &[(&str, &str, Vec<u8>)]) -> Site {
    let policies: Vec<Value> = plugins
        .iter()
        .map(|(name, action, component)| {
            json!({"name": name, "file": format!("{name}.wasm"), "sha256": label(component), "actions": [action], "config": {"a": 1}})
        })
        .collect();
    let extra = json!({"plugins": {"policies": policies}, "evaluator": {"engine": engine}});
    let lines = extra.as_object().unwrap().iter().map(|(name, value)| format!("{name}: {value}"));
    let guardrails = "spend_limits: {daily_usd: 100}".to_owned();
    let wish = Wish { guardrails, extra: lines.collect::<Vec<_>>().join("\n"), ..Wish::before(origin) };
    let site = Site::new(wish).await;
    for (name, _, component) in plugins {
        fs::write(site.folder.path().join(format!("{name}.wasm")), component).unwrap();
    }
    site
}

fn agent(site: &Site) -> Agent {
    site.agent("agent-7", &["web:*", "payments:create", "files:read"])
}

async fn record(site: &Site, reply: &Reply) -> serde_json::Map<String, Value> {
    site.control().await.attestation(reply.field("passgate-attestation")).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_only_a_plugin_refuses_is_denied_with_its_reason_and_charges_nothing() {
    for engine in ENGINES {
        let origin = Origin::start(|_| ok("ok")).await;
        let component = Guest::deny("closed on Sundays").component();
        let mut site = site(&origin, engine, &[("hours", "payments:*", component.clone())]).await;
        let gate = site.start_in_memory().await;
        let agent = agent(&site);
        let reply = site.send(&agent.post("/pay", r#"{"amount_usd":90}"#)).await;
        reply.assert_refusal(403, "plugin_denied");
        let problem = reply.problem();
        assert_eq!((&problem["plugin"], &problem["plugin_reason"]), (&json!("hours"), &json!("closed on Sundays")));
        let record = record(&site, &reply).await;
        let [plugin] = record["plugins"].as_array().unwrap().as_slice() else { panic!("{record:?}") };
        assert!(plugin["fuel"].as_u64().unwrap() > 0);
        let mut expected = json!({
            "config_sha256": label(br#"{"a":1}"#), "digest": label(&component), "name": "hours",
            "outcome": "answered", "reason": "closed on Sundays", "verdict": "deny", "version": "1.0.0",
        });
        expected["fuel"] = plugin["fuel"].clone();
        assert_eq!(*plugin, expected);
        let guardrail = record["guardrails_evaluated"].as_array().unwrap().last().unwrap();
        let expected = json!({"evidence": {"plugin": "hours"}, "guardrail": "plugins", "reason_code": "plugin_denied", "result": "fail"});
        assert_eq!(*guardrail, expected);
        // Another action is not its business, and the budget is whole.
        assert_eq!(site.send(&agent.get("/search")).await.status, 200);
        assert_eq!(origin.seen().len(), 1);
        assert_eq!(metric(&gate, r#"passgate_plugin_calls_total{plugin="hours",outcome="answered"}"#), "1");
        patiently(gate.shutdown()).await;
    }
}

#[tokio::test]
async fn a_plugin_that_asks_for_approval_makes_a_step_up() {
    for engine in ENGINES {
        let origin = Origin::start(|_| ok("ok")).await;
        // No roles, and a reason: a list and a string.
        let answer = "(i32.store8 (i32.const 16) (i32.const 2))
            (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 0))
            (i32.store (i32.const 28) (i32.const 1024)) (i32.store (i32.const 32) (i32.const 9)) (i32.const 16)";
        let component = Guest::new(answer).with_text("ask first").component();
        let mut site = site(&origin, engine, &[("ask", "web:*", component)]).await;
        let gate = site.start_in_memory().await;
        let reply = site.send(&agent(&site).get("/search")).await;
        assert_eq!(reply.refusal(), (403, "step_up".to_owned(), "plugin_step_up".to_owned()));
        assert_eq!(reply.problem()["plugin_reason"], "ask first");
        assert_eq!(reply.problem()["obligations"], json!([{"type": "approval"}]));
        assert!(origin.seen().is_empty());
        patiently(gate.shutdown()).await;
    }
}

#[tokio::test]
async fn what_a_plugin_takes_out_does_not_reach_the_origin() {
    for engine in ENGINES {
        let origin = Origin::start(|_| ok("ok")).await;
        // One pointer: a list of one string, whose place and length stand at 40.
        let answer = format!(
            "(i32.store (i32.const 40) (i32.const {TEXT})) (i32.store (i32.const 44) (i32.const 5)) {}",
            verdict(3, "i32.const 40", "i32.const 1")
        );
        let component = Guest::new(&answer).with_text("/note").component();
        let mut site = site(&origin, engine, &[("scrub", "payments:*", component)]).await;
        let gate = site.start_in_memory().await;
        let body = r#"{"amount_usd": 5, "note": "call me \u0031"}"#;
        let reply = site.send(&agent(&site).post("/pay", body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let expected = r#"{"amount_usd": 5, "note": "[redacted]"}"#;
        let [seen] = origin.seen().try_into().unwrap();
        assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), expected);
        assert_eq!(seen.all("content-digest"), [content_digest(expected.as_bytes())]);
        let record = record(&site, &reply).await;
        assert_eq!(record["request"]["payload_sha256"], label(body.as_bytes()));
        assert_eq!(record["request"]["forwarded_payload_sha256"], label(expected.as_bytes()));
        assert_eq!(record["plugins"][0]["redacted"], json!(["/note"]));
        let outcome = site.outcome_of(reply.field("passgate-attestation")).await;
        assert_eq!(outcome["request_bytes"], expected.len());
        // Nothing stands there in this one, so the plugin has given no answer.
        let reply = site.send(&agent(&site).post("/pay", r#"{"amount_usd":5}"#)).await;
        reply.assert_refusal(503, "plugin_answer_invalid");
        patiently(gate.shutdown()).await;
    }
}

#[tokio::test]
async fn plugins_that_fail_refuse_their_requests_and_nobody_elses() {
    for engine in ENGINES {
        let origin = Origin::start(|_| ok("ok")).await;
        let loops = Guest::new("(loop $l (br $l)) (unreachable)").component();
        let traps = Guest::new("(unreachable)").component();
        let raves = Guest::new(&verdict(9, "i32.const 0", "i32.const 0")).component();
        let plugins = [("loops", "payments:*", loops), ("traps", "files:*", traps), ("raves", "web:*", raves)];
        let mut site = site(&origin, engine, &plugins).await;
        let gate = site.start_in_memory().await;
        let agent = site.agent("agent-7", &["web:*", "payments:create", "files:read", "email:send"]);
        let reply = site.send(&agent.post("/pay", r#"{"amount_usd":5}"#)).await;
        let (status, _, reason) = reply.refusal();
        assert!(status == 503 && ["plugin_timed_out", "plugin_fuel_exhausted"].contains(&reason.as_str()), "{reason}");
        assert_eq!(reply.problem().get("plugin"), None, "how plugins fail is the operator's business");
        site.send(&agent.get("/files/a")).await.assert_refusal(503, "plugin_trapped");
        site.send(&agent.get("/search")).await.assert_refusal(503, "plugin_answer_invalid");
        let reply = site.send(&agent.post("/email", r#"{"to":"a.example"}"#)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        // After five failures in a row it is not called any more.
        for _ in 0..4 {
            site.send(&agent.get("/files/a")).await.assert_refusal(503, "plugin_trapped");
        }
        site.send(&agent.get("/files/a")).await.assert_refusal(503, "plugin_unavailable");
        assert_eq!(origin.seen().len(), 1);
        patiently(gate.shutdown()).await;
    }
}

#[tokio::test]
async fn a_plugin_cannot_make_a_refused_request_allowed() {
    let origin = Origin::start(|_| ok("ok")).await;
    let good = Guest::good().component();
    let mut site = site(&origin, EngineKind::Component, &[("good", "payments:*", good)]).await;
    let gate = site.start_in_memory().await;
    let reply = site.send(&site.agent("agent-8", &["web:*"]).post("/pay", r#"{"amount_usd":5}"#)).await;
    reply.assert_refusal(403, "permission_scope_missing");
    let record = record(&site, &reply).await;
    assert_eq!((&record["plugins"][0]["outcome"], &record["plugins"][0]["fuel"]), (&json!("not_run"), &json!(0)));
    let reply = site.send(&agent(&site).post("/pay", r#"{"amount_usd":500}"#)).await;
    reply.assert_refusal(403, "spend_daily_exceeded");
    assert!(origin.seen().is_empty());
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_gate_does_not_start_without_one_of_its_plugins_and_leaves_nothing_behind() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = site(&origin, EngineKind::Component, &[("hours", "payments:*", Guest::good().component())]).await;
    fs::write(site.folder.path().join("hours.wasm"), b"something else").unwrap();
    let store = std::sync::Arc::new(site.memory());
    let refused = patiently(site.gateway().store(store.clone()).start()).await.err().unwrap().to_string();
    assert!(refused.contains("plugin `hours`") && refused.contains("has the digest"), "{refused}");
    let page = passgate_store::Ledger::records(store.as_ref(), &Default::default(), None, 10).await.unwrap();
    assert!(page.records.is_empty(), "no chain was started");
}

/// The component is replaced by another build of itself, which is signed, while requests are served without a pause.
#[tokio::test(flavor = "multi_thread")]
async fn another_evaluator_comes_into_force_without_a_request_being_dropped() {
    use passgate_passport::key::SecretKey;
    use passgate_passport::plugin_signature::{Claims, sign};

    let built = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/component").join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask component`", path.display()))
    };
    let origin = Origin::start(|_| ok("ok")).await;
    let extra = "evaluator: {engine: component, file: gate.wasm, trusted_keys_file: signers.jwks.json}".to_owned();
    let mut site = Site::new(Wish { extra, guardrails: "{}".to_owned(), ..Wish::before(&origin) }).await;
    let signer = SecretKey::from_seed([77; 32]);
    let folder = site.folder.path().to_owned();
    let at = |name: &str| folder.join(name);
    fs::write(at("signers.jwks.json"), passgate_passport::jwk::emit_set([signer.public()])).unwrap();
    let put = |component: &[u8], world: &str| {
        let claims = Claims {
            iat: i64::try_from(NOON / 1000).unwrap(),
            name: "passgate-gate".to_owned(),
            sha256: Sha256::digest(component).into(),
            version: "0.1.0".to_owned(),
            world: world.to_owned(),
        };
        fs::write(at("gate.wasm.jws"), sign(&signer, &claims)).unwrap();
        fs::write(at("new"), component).unwrap();
        fs::rename(at("new"), at("gate.wasm")).unwrap();
    };
    let (first, second) = (built("passgate-gate.wasm"), built("passgate-gate-wide.wasm"));
    put(&first, "passgate:gate@0.1.0");
    let gate = site.start_in_memory().await;
    let agent = agent(&site);
    let serve = async |digest: &str| {
        eventually(async || {
            let reply = site.send(&agent.get("/search")).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let record = record(&site, &reply).await;
            assert_eq!(record["evaluator"]["engine"], "component");
            (record["evaluator"]["digest"] == digest).then_some(())
        })
        .await;
    };
    serve(&label(&first)).await;
    // One that is signed as a plugin is not taken, and the one before decides on.
    put(&second, "passgate:policy@0.1.0");
    eventually(async || {
        serve(&label(&first)).await;
        (metric(&gate, "passgate_evaluator_reload_failures_total") == "1").then_some(())
    })
    .await;
    put(&second, "passgate:gate@0.1.0");
    serve(&label(&second)).await;
    patiently(gate.shutdown()).await;
}
