//! The control plane, of a running gate and without one.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use http::Method;
use passgate_core::attest::DecisionKind;
use passgate_core::ledger::Verifier;
use passgate_core::state::{MAX_PLUGIN_VALUE_BYTES, Subject};
use passgate_host::control::{Access, AccessError, ClientError, ExportFormat, PluginKey, Query, Revocation};
use passgate_host::env::Environment;
use passgate_host::gateway::ErrorClass;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::origin::{Origin, ok};
use crate::support::{Site, TestEnvironment, Wish, patiently, send, usual};

fn env(site: &Site) -> Arc<dyn Environment> {
    Arc::<TestEnvironment>::clone(&site.env)
}

/// Verifies an export and says how many records it has.
async fn verified(access: &Access, query: &Query) -> (u64, bool) {
    let mut export = Vec::new();
    access.export(ExportFormat::Jsonl, query, &mut export).await.unwrap();
    let keys = access.keys().await.unwrap();
    let mut verifier = Verifier::new(&keys);
    for line in export.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        verifier.line(line).unwrap();
    }
    let report = verifier.finish().unwrap();
    (report.head.records, report.head.partial)
}

#[tokio::test]
async fn exports_verify_while_the_gate_runs_and_after() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let gate = site.start().await.unwrap();
    let agent = site.agent("agent-7", &["web:*"]);
    for _ in 0..3 {
        let reply = site.send(&agent.get("/search")).await;
        site.outcome_of(reply.field("passgate-attestation")).await;
    }
    site.send(&agent.get("/unknown")).await.assert_refusal(403, "action_unmapped");
    let running = Access::open(&site.loaded(), env(&site)).await.unwrap();
    assert!(matches!(running, Access::Running(_)));
    let all = Query::default();
    let allows = Query { decision: Some(DecisionKind::Allow), ..Query::default() };
    assert_eq!(verified(&running, &all).await, (8, false));
    assert_eq!(verified(&running, &allows).await, (3, true));
    patiently(gate.shutdown()).await;

    let offline = Access::open(&site.loaded(), env(&site)).await.unwrap();
    assert!(matches!(offline, Access::Offline(_)));
    assert_eq!(verified(&offline, &all).await, (8, false));
    assert_eq!(verified(&offline, &allows).await, (3, true));
    let page = offline.query(&allows).await.unwrap();
    let id = page.attestations[0]["attestation_id"].as_str().unwrap().to_owned();
    assert_eq!(offline.attestation(&id).await.unwrap().unwrap(), page.attestations[0]);
    assert_eq!(offline.attestation("att_none").await.unwrap(), None);
}

#[tokio::test]
async fn a_revocation_without_a_gate_holds_when_it_starts() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let agent = site.agent("agent-7", &["web:*"]);
    let missing = Access::open(&site.loaded(), env(&site)).await.err().unwrap();
    assert!(matches!(missing, AccessError::NoStore { .. }), "{missing}");
    assert_eq!(missing.class(), ErrorClass::Unreachable);

    patiently(site.start().await.unwrap().shutdown()).await;
    let access = Access::open(&site.loaded(), env(&site)).await.unwrap();
    let second = Access::open(&site.loaded(), env(&site)).await.err().unwrap();
    assert!(second.to_string().contains("in use"), "{second}");
    let what = Revocation::try_from(Subject::Passport(agent.id.clone())).unwrap();
    let record = access.revoke(&what).await.unwrap();
    assert_eq!((&record["kind"], &record["seq"]), (&"revocation".into(), &1.into()));
    assert_eq!(access.revocation(&what).await.unwrap().revoked_at, Some(site.env.seconds()));
    assert_eq!(verified(&access, &Query::default()).await, (3, false));
    drop(access);

    let gate = site.start_elsewhere().await;
    let reply = send(gate.address(), &agent.get("/search")).await;
    reply.assert_refusal(401, "credential_rejected");
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_revocation_before_the_first_start_holds_from_it_on() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let agent = site.agent("agent-7", &["web:*"]);
    let access = Access::open_or_create(&site.loaded(), env(&site)).await.unwrap();
    access.revoke(&Revocation::try_from(Subject::Passport(agent.id.clone())).unwrap()).await.unwrap();
    drop(access);

    let gate = site.start_elsewhere().await;
    send(gate.address(), &agent.get("/search")).await.assert_refusal(401, "credential_rejected");
    patiently(gate.shutdown()).await;
}

fn key(plugin: &str, key: &str) -> PluginKey {
    PluginKey { plugin: plugin.to_owned(), key: key.to_owned() }
}

#[tokio::test]
async fn plugins_keys_are_written_while_the_gate_runs_and_after() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let of = |name: &str| key("shops", name);
    let before = Access::open_or_create(&site.loaded(), env(&site)).await.unwrap();
    before.set_plugin_key(&of("early"), Some(b"1".to_vec())).await.unwrap();
    drop(before);

    let gate = site.start_elsewhere().await;
    let running = Access::open(&site.loaded(), env(&site)).await.unwrap();
    assert!(matches!(running, Access::Running(_)));
    assert_eq!(running.plugin_key(&of("early")).await.unwrap(), Some(b"1".to_vec()));
    let value: Vec<u8> = (0..=u8::MAX).cycle().take(MAX_PLUGIN_VALUE_BYTES).collect();
    for name in ["a/b", "..", "%2e ?#\u{e4}", "keys"] {
        assert_eq!(running.plugin_key(&of(name)).await.unwrap(), None, "{name}");
        let record = running.set_plugin_key(&of(name), Some(value.clone())).await.unwrap();
        assert_eq!((&record["kind"], &record["plugin_key"]["key"]), (&"plugin_key".into(), &name.into()));
        assert_eq!(running.plugin_key(&of(name)).await.unwrap().as_ref(), Some(&value), "{name}");
        assert_eq!(running.plugin_key(&key("other", name)).await.unwrap(), None, "{name}");
    }
    let record = running.set_plugin_key(&of("keys"), None).await.unwrap();
    assert_eq!(record["plugin_key"], serde_json::json!({ "key": "keys", "plugin": "shops" }));
    assert_eq!(running.plugin_key(&of("keys")).await.unwrap(), None);
    patiently(gate.shutdown()).await;

    let offline = Access::open(&site.loaded(), env(&site)).await.unwrap();
    assert_eq!(offline.plugin_key(&of("..")).await.unwrap(), Some(value));
    offline.set_plugin_key(&of(".."), None).await.unwrap();
    assert_eq!(offline.plugin_key(&of("..")).await.unwrap(), None);
    let refused = offline.set_plugin_key(&key("Shops", "a"), None).await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Unexpected, "{refused}");
    // Two chains of one change each, the gate's with five, and one more that was started and refused.
    assert_eq!(verified(&offline, &Query::default()).await, (11, false));
}

#[tokio::test]
async fn a_plugins_key_outside_the_limits_is_a_problem() {
    let (site, gate, _origin, _agent) = usual().await;
    let long = format!("/v1/plugins/shops/keys/{}", "k".repeat(129));
    for (method, path, status) in [
        (Method::PUT, "/v1/plugins/Shops/keys/a", 400),
        (Method::GET, "/v1/plugins/a%3Ab/keys/a", 400),
        (Method::DELETE, "/v1/plugins/shops/keys/a%00", 400),
        (Method::PUT, long.as_str(), 400),
        (Method::GET, "/v1/plugins/shops/keys/a", 404),
        (Method::PUT, "/v1/plugins/shops/keys/", 404),
        (Method::POST, "/v1/plugins/shops/keys/a", 405),
    ] {
        assert_eq!(raw(&site, method.clone(), path, "").await.0, status, "{method} {path}");
    }
    let large =
        format!("PUT /v1/plugins/shops/keys/a HTTP/1.1\r\nHost: x\r\nContent-Length: {}", MAX_PLUGIN_VALUE_BYTES + 1);
    assert_eq!(sent(&site, &format!("{large}\r\nConnection: close\r\n\r\n")).await.0, 413);
    assert_eq!(site.attestations().await.len(), 1, "nothing of it is recorded");
    assert_eq!(raw(&site, Method::PUT, "/v1/plugins/shops/keys/a", "value").await.0, 200);
    assert_eq!(raw(&site, Method::GET, "/v1/plugins/shops/keys/a", "").await, (200, "value".to_owned()));
    assert_eq!(raw(&site, Method::DELETE, "/v1/plugins/shops/keys/a", "").await.0, 200);
    assert_eq!(raw(&site, Method::GET, "/v1/plugins/shops/keys/a", "").await.0, 404);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn queries_are_filtered_and_paged() {
    let (site, gate, _origin, agent) = usual().await;
    let other = site.agent("agent-8", &["web:*"]);
    for _ in 0..5 {
        let reply = site.send(&agent.get("/search")).await;
        site.outcome_of(reply.field("passgate-attestation")).await;
    }
    site.env.advance(10);
    site.send(&other.get("/unknown")).await.assert_refusal(403, "action_unmapped");
    let control = site.control().await;
    let count = async |query: Query| control.query(&query).await.unwrap().attestations.len();
    assert_eq!(count(Query::default()).await, 12);
    assert_eq!(count(Query { agent_id: Some("agent-7".to_owned()), ..Query::default() }).await, 5);
    assert_eq!(count(Query { decision: Some(DecisionKind::Deny), ..Query::default() }).await, 1);
    assert_eq!(count(Query { gate_id: Some("other".to_owned()), ..Query::default() }).await, 0);
    assert_eq!(count(Query { after: Some("2026-03-01T12:00:05Z".to_owned()), ..Query::default() }).await, 1);
    assert_eq!(count(Query { before: Some("1772366405000".to_owned()), ..Query::default() }).await, 11);

    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = control.query(&Query { limit: Some(5), cursor, ..Query::default() }).await.unwrap();
        assert!(page.attestations.len() <= 5);
        seen.extend(page.attestations.iter().map(|record| record["seq"].as_u64().unwrap()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..12).collect::<Vec<_>>());
    patiently(gate.shutdown()).await;
}

/// Status and body of a raw request to the control socket.
async fn raw(site: &Site, method: Method, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}");
    sent(site, &format!("{head}\r\n\r\n{body}")).await
}

/// Status and body of the answer to these bytes on the control socket.
async fn sent(site: &Site, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(site.loaded().paths.socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    patiently(stream.read_to_string(&mut text)).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let problem = head.contains("application/problem+json");
    assert_eq!(problem, status >= 400, "{text}");
    (status, body.to_owned())
}

#[tokio::test]
async fn bad_requests_are_problems() {
    let (site, gate, _origin, agent) = usual().await;
    for path in [
        "/v1/attestations?limit=0",
        "/v1/attestations?limit=1001",
        "/v1/attestations?limit=x",
        "/v1/attestations?decision=maybe",
        "/v1/attestations?after=yesterday",
        "/v1/attestations?cursor=1",
        "/v1/attestations?agent=x",
        "/v1/attestations?format=csv",
        "/v1/attestations/export?format=xml",
        "/v1/attestations/export?limit=1",
        "/v1/revocations?kind=all",
        "/v1/revocations?kind=passport&id=x",
    ] {
        assert_eq!(raw(&site, Method::GET, path, "").await.0, 400, "{path}");
    }
    for body in
        ["", "{}", "[]", "not json", "{\"kind\":\"passport\",\"id\":\"x\"}", "{\"kind\":\"key\",\"thumbprint\":\"\"}"]
    {
        assert_eq!(raw(&site, Method::POST, "/v1/revocations", body).await.0, 400, "{body}");
    }
    assert_eq!(raw(&site, Method::GET, "/v1/attestations/att_none", "").await.0, 404);
    assert_eq!(raw(&site, Method::GET, "/v2", "").await.0, 404);
    assert_eq!(raw(&site, Method::DELETE, "/v1/attestations", "").await.0, 405);
    assert_eq!(raw(&site, Method::POST, "/healthz", "").await.0, 405);
    for (method, path) in [
        (Method::GET, "/v1/bundle"),
        (Method::PUT, "/v1/bundle"),
        (Method::GET, "/v1/status-lists/x"),
        (Method::PUT, "/v1/status-lists"),
    ] {
        assert_eq!(raw(&site, method.clone(), path, "").await.0, 404, "{method} {path}");
    }
    let large = "POST /v1/revocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 65536\r\n\r\n";
    assert_eq!(sent(&site, large).await.0, 413);
    assert_eq!(raw(&site, Method::POST, "/v1/passports/x/revoke", "").await.0, 400);
    let path = format!("/v1/passports/{}/revoke", agent.id);
    assert_eq!(raw(&site, Method::POST, &path, "").await.0, 201);
    for path in ["/healthz", "/readyz", "/metrics", "/v1/keys"] {
        assert_eq!(raw(&site, Method::GET, path, "").await.0, 200, "{path}");
    }
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn passports_and_the_ledger_are_verified_on_the_socket() {
    let (site, gate, _origin, agent) = usual().await;
    let document = async |method: Method, path: &str, body: &str| {
        let (status, body) = raw(&site, method, path, body).await;
        // Around the document stand the lengths of its chunks, when it is made while it is sent.
        let document = body.lines().find(|line| line.starts_with('{')).unwrap();
        (status, serde_json::from_str::<serde_json::Value>(document).unwrap())
    };
    let presented = serde_json::json!({ "passport": agent.passport }).to_string();
    let verify = || document(Method::POST, "/v1/passports/verify", &presented);
    let (status, valid) = verify().await;
    assert_eq!((status, &valid["valid"], &valid["agent_id"]), (200, &true.into(), &"agent-7".into()));
    site.control().await.revoke(&Revocation::try_from(Subject::Passport(agent.id.clone())).unwrap()).await.unwrap();
    let (status, revoked) = verify().await;
    assert_eq!((status, &revoked["valid"]), (200, &false.into()));
    assert_eq!(revoked["reason_code"], "credential_rejected");
    let (status, report) = document(Method::GET, "/v1/ledger/verify", "").await;
    assert_eq!((status, &report["valid"], &report["records"]), (200, &true.into(), &2.into()));
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn the_socket_is_the_owners_and_only_observation_is_on_tcp() {
    let origin = Origin::start(|_| ok("ok")).await;
    let extra = "control: {socket: run/passgate.sock, metrics_listen: \"127.0.0.1:0\"}".to_owned();
    let mut site = Site::new(Wish { extra, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let socket = site.loaded().paths.socket;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    let tcp = gate.info().metrics_listen.unwrap();
    let get = async |path: &str| send(tcp, &crate::support::Call::bare("x", "GET", path)).await.status;
    assert_eq!((get("/healthz").await, get("/readyz").await, get("/metrics").await), (200, 200, 200));
    assert_eq!((get("/v1/attestations").await, get("/v1/keys").await), (404, 404));
    patiently(gate.shutdown()).await;
    assert!(!socket.exists());
    let gone = passgate_host::control::ControlClient::connect(&socket).await.unwrap_err();
    assert!(matches!(gone, ClientError::NotRunning { .. }));
}
