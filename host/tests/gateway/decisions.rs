//! Allow, deny and step_up, as an agent and the ledger see them.

use std::sync::Arc;

use passgate_core::state::Subject;
use passgate_host::control::Revocation;
use passgate_host::evaluator::has_builtin;
use passgate_passport::b64;
use passgate_passport::jwk::emit_set;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::SecretKey;
use passgate_passport::status::StatusRef;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::origin::{Origin, ok};
use crate::support::{Call, NOON, Site, Wish, metric, patiently, usual};

#[tokio::test]
async fn an_allowed_request_reaches_the_origin_and_is_evidenced() {
    let (site, gate, origin, agent) = usual().await;
    let reply = site.send(&agent.get("/search?q=a%2Fb&x=1")).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
    assert_eq!(reply.field("passgate-decision"), "allow");
    assert_eq!(reply.field("ratelimit-policy"), "\"agent-minute\";q=100;w=60");
    let id = reply.field("passgate-attestation");

    let seen = origin.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("GET", "/search?q=a%2Fb&x=1"));

    let record = site.control().await.attestation(id).await.unwrap().unwrap();
    assert_eq!(record["decision"], "allow");
    assert_eq!(record["agent"]["agent_id"], "agent-7");
    assert_eq!(record["agent"]["trust_tier"], "L2");
    assert_eq!(record["request"]["action"], "web:search");
    assert_eq!(record["policy"]["version"], 7);
    assert_eq!(record["evaluator"]["engine"], if has_builtin() { "component" } else { "native" });
    assert_eq!(record["revocation"], "admission");
    assert_eq!(record["timestamp"], "2026-03-01T12:00:00.000Z");

    let outcome = site.outcome_of(id).await;
    assert_eq!(outcome["result"], "completed");
    assert_eq!(outcome["status"], 200);
    assert_eq!((&outcome["request_bytes"], &outcome["response_bytes"]), (&0.into(), &2.into()));
    let digest: String = Sha256::digest("ok").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(outcome["response_sha256"], format!("sha256:{digest}"));
    assert_eq!(metric(&gate, "passgate_decisions_total{decision=\"allow\",reason=\"none\"}"), "1");
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn refusals_say_why_and_forward_nothing() {
    let origin = Origin::start(|_| ok("ok")).await;
    let guardrails = "spend_limits: {per_transaction_usd: 100, daily_usd: 120}
  allowed_domains: [api.example.com]
  approval_workflows: {require_approval_above_usd: 50}";
    let wish = Wish { guardrails: guardrails.to_owned(), ..Wish::before(&origin) };
    let mut site = Site::new(wish).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*", "payments:create", "email:send"]);
    let pay = |amount: &str| agent.post("/pay", &format!("{{\"amount_usd\":{amount}}}"));
    let mail = |to: &str| agent.post("/email", &format!("{{\"to\":\"{to}\"}}"));
    let stranger = site.agent("agent-8", &["web:*"]);
    let cases = [
        (agent.call("DELETE", "/records/1", &[], ""), 403, "permission_scope_missing"),
        (stranger.post("/pay", "{\"amount_usd\":1}"), 403, "permission_scope_missing"),
        (agent.get("/unknown"), 403, "action_unmapped"),
        (mail("https://evil.example/x"), 403, "domain_not_allowed"),
        (mail("https://api.example.com@evil.example/"), 403, "domain_invalid"),
        (pay("60"), 403, "approval_required"),
        (pay("101"), 403, "spend_per_transaction_exceeded"),
        (pay("-1"), 403, "amount_invalid"),
        (agent.post("/pay", "{}"), 403, "amount_missing"),
        (agent.post("/pay", "{\"amount_usd\":1,\"amount_usd\":2}"), 403, "body_not_json"),
        (Call::bare(&site.address.to_string(), "GET", "/search"), 401, "credential_missing"),
        (agent.get("/search").with("cookie", "a=b").with("agent-passport", "x"), 400, "header_invalid"),
        (Call { target: "/search?q=2".to_owned(), ..agent.get("/search?q=1") }, 401, "credential_rejected"),
        (Call { body: "{\"amount_usd\":2}".to_owned(), ..pay("1") }, 401, "content_digest_mismatch"),
        (agent.call("POST", "/pay", &[("x-other", "1")], ""), 403, "body_not_json"),
    ];
    for (call, status, reason) in &cases {
        let reply = site.send(call).await;
        reply.assert_refusal(*status, reason);
        let problem = reply.problem();
        assert_eq!(problem["attestation_id"], reply.field("passgate-attestation"));
        let step_up = *reason == "approval_required";
        assert_eq!(problem["decision"], if step_up { "step_up" } else { "deny" });
        assert_eq!(problem["obligations"].is_array(), step_up);
        assert_eq!(reply.headers.contains_key("www-authenticate"), *status == 401);
    }
    // The daily cap: 50 + 50 fit, 30 more do not.
    for (amount, status) in [("50", 200), ("50", 200), ("30", 403), ("20", 200)] {
        assert_eq!(site.send(&pay(amount)).await.status, status, "{amount}");
    }
    assert_eq!(origin.seen().len(), 3);
    let decisions = site.attestations().await;
    let denies = decisions.iter().filter(|record| record.get("decision").is_some_and(|d| d == "deny")).count();
    assert_eq!(denies, cases.len(), "every refusal but the step_up, and the one over the cap");
    patiently(gate.shutdown()).await;
}

/// Neither for a key nor for a list is anybody asked whom a passport names: not by its header, its issuer or its status.
#[tokio::test]
async fn nothing_that_a_passport_names_is_fetched() {
    let (site, gate, origin, _) = usual().await;
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    let stranger = SecretKey::from_seed([77; 32]);
    let status = StatusRef { idx: 0, uri: url.clone() };
    let mut agent = site.listed_agent("agent-7", &["web:*"], Some(status));
    assert_eq!(site.send(&agent.get("/search")).await.status, 200, "this gate looks at no list");

    let payload = agent.passport.split('.').nth(1).unwrap().to_owned();
    let set = emit_set([stranger.public()]);
    for member in [
        format!(r#""jku":"{url}""#),
        format!(r#""x5u":"{url}""#),
        format!(r#""jwk":{}"#, stranger.public().to_jwk()),
        format!(r#""jwks":{set}"#),
        r#""x5c":["MIIB"]"#.to_owned(),
    ] {
        for key in [&site.issuer, &stranger] {
            let kid = key.public().thumbprint();
            let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"passport+jwt",{member}}}"#);
            let input = format!("{}.{payload}", b64::encode(header.as_bytes()));
            agent.passport = format!("{input}.{}", b64::encode(&key.sign(input.as_bytes())));
            site.send(&agent.get("/search")).await.assert_refusal(401, "credential_rejected");
        }
    }
    let mut claims: Value = serde_json::from_slice(&b64::decode(&payload).unwrap()).unwrap();
    claims["iss"] = url.into();
    agent.passport = jws::sign(&stranger, TokenType::Passport, claims.to_string().as_bytes());
    site.send(&agent.get("/search")).await.assert_refusal(401, "credential_rejected");
    patiently(gate.shutdown()).await;
    assert_eq!(trap.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody called");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_proof_is_good_once_and_for_five_minutes() {
    let (site, gate, origin, agent) = usual().await;
    let call = agent.get("/search");
    assert_eq!(site.send(&call).await.status, 200);
    site.send(&call).await.assert_refusal(401, "nonce_replayed");
    let late = agent.get("/search");
    site.env.advance(301);
    site.send(&late).await.assert_refusal(401, "proof_expired");
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    assert_eq!(origin.seen().len(), 2);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_revocation_bites_at_once() {
    let (site, gate, origin, agent) = usual().await;
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    let control = site.control().await;
    let what = Revocation::try_from(Subject::Passport(agent.id.clone())).unwrap();
    assert_eq!(control.revocation(&what).await.unwrap().revoked_at, None);
    let record = control.revoke(&what).await.unwrap();
    assert_eq!(record["kind"], "revocation");
    let reply = site.send(&agent.get("/search")).await;
    reply.assert_refusal(401, "credential_rejected");
    let denied = control.attestation(reply.field("passgate-attestation")).await.unwrap().unwrap();
    assert_eq!(denied["reason_code"], "revoked");
    assert_eq!(control.revocation(&what).await.unwrap().revoked_at, Some(i64::try_from(NOON / 1000).unwrap()));

    let other = site.agent("agent-8", &["web:*"]);
    assert_eq!(site.send(&other.get("/search")).await.status, 200);
    let agent_8 = Subject::Agent { issuer: crate::support::ISSUER.to_owned(), agent_id: "agent-8".to_owned() };
    let agent_8 = Revocation::try_from(agent_8).unwrap();
    control.revoke(&agent_8).await.unwrap();
    site.send(&other.get("/search")).await.assert_refusal(401, "credential_rejected");
    assert_eq!(origin.seen().len(), 2);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_rate_limit_counts_what_is_left() {
    let origin = Origin::start(|_| ok("ok")).await;
    let guardrails = "rate_limits: {requests_per_minute: 3, per_gate: {requests_per_hour: 90}}".to_owned();
    let mut site = Site::new(Wish { guardrails, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*"]);
    for left in ["r=2", "r=1", "r=0"] {
        let reply = site.send(&agent.get("/search")).await;
        assert_eq!(reply.status, 200);
        assert!(reply.field("ratelimit").contains(left), "{reply:?}");
    }
    let reply = site.send(&agent.get("/search")).await;
    reply.assert_refusal(429, "rate_limit_exceeded");
    assert_eq!(reply.field("retry-after"), "20");
    assert_eq!(reply.field("ratelimit-policy"), "\"agent-minute\";q=3;w=60, \"gate-hour\";q=90;w=3600");
    assert_eq!(reply.field("ratelimit"), "\"agent-minute\";r=0;t=60, \"gate-hour\";r=87;t=120", "it cost no token");
    let unknown = site.send(&Call::bare(&site.address.to_string(), "GET", "/search")).await;
    assert_eq!((unknown.status, unknown.field("ratelimit")), (401, ""), "nothing was counted");
    site.env.advance(20);
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    patiently(gate.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_equal_requests_exactly_one_passes() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish { guardrails: "{}".to_owned(), ..Wish::before(&origin) }).await;
    let gate = site.start().await.unwrap();
    let agent = site.agent("agent-7", &["web:*"]);
    let call = Arc::new(agent.get("/search"));
    let address = site.address;
    let mut calls = tokio::task::JoinSet::new();
    // Each takes two file descriptors of this process.
    let places = Arc::new(tokio::sync::Semaphore::new(400));
    for _ in 0..1000 {
        let (call, places) = (Arc::clone(&call), Arc::clone(&places));
        calls.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let reply = crate::support::send(address, &call).await;
            if reply.status != 200 {
                reply.assert_refusal(401, "nonce_replayed");
            }
            reply.status
        });
    }
    let statuses = patiently(calls.join_all()).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(origin.seen().len(), 1);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_challenge_asks_to_cover_what_the_refused_request_had() {
    let (site, gate, _origin, agent) = usual().await;
    let list = |field: &str| field.split_once('(').unwrap().1.split_once(')').unwrap().0.to_owned();
    for call in [agent.get("/search"), agent.post("/pay", "{\"amount_usd\":1}")] {
        let proof = call.headers.iter().find(|(name, _)| name == "signature-input").unwrap().1.clone();
        let mut bare = call.clone();
        bare.headers.retain(|(name, _)| name != "signature-input" && name != "signature");
        let refused = site.send(&bare).await;
        refused.assert_refusal(401, "credential_missing");
        assert_eq!(list(refused.field("accept-signature")), list(&proof));
        assert_eq!(site.send(&call).await.status, 200);
    }
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_body_in_small_pieces_is_judged_as_a_whole() {
    let body = r#"{"amount_usd": 5, "note": "4111 1111 1111 1111, or ask alice@example.com"}"#;
    for (mode, expected) in [
        ("block", None),
        ("redact", Some(r#"{"amount_usd": 5, "note": "[redacted], or ask [redacted]"}"#)),
        ("ignore", Some(body)),
    ] {
        let origin = Origin::start(|_| ok("ok")).await;
        let guardrails = format!("pii_controls: {{mode: {mode}}}");
        let mut site = Site::new(Wish { guardrails, ..Wish::before(&origin) }).await;
        let gate = site.start_in_memory().await;
        let agent = site.agent("agent-7", &["payments:create"]);
        for size in [1, 3, 7] {
            let reply = in_pieces(&site, &agent.post("/pay", body), size).await;
            let answer = if expected.is_some() { "HTTP/1.1 200 OK" } else { "HTTP/1.1 403 Forbidden" };
            assert!(reply.starts_with(answer) && expected.is_some() != reply.contains("pii_blocked"), "{reply}");
        }
        let seen: Vec<Vec<u8>> = origin.seen().into_iter().map(|seen| seen.body).collect();
        assert_eq!(
            seen,
            vec![expected.unwrap_or_default().as_bytes(); if expected.is_some() { 3 } else { 0 }],
            "{mode}"
        );
        patiently(gate.shutdown()).await;
    }
}

/// Sends the body in chunks of so many bytes, each in a segment of its own as far as the network allows, and reads the answer.
async fn in_pieces(site: &Site, call: &Call, size: usize) -> String {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let fields: String = call.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "{} {} HTTP/1.1\r\n{fields}transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        call.method, call.target
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in call.body.as_bytes().chunks(size) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        stream.write_all(&chunk).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    patiently(stream.read_to_string(&mut text)).await.unwrap();
    text
}
