//! What crosses the gate, in either direction.

use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::origin::{Origin, Step, ok};
use crate::support::{Call, Site, Wish, begin, patiently, usual};

fn answer(head: &str, body: &str) -> Vec<Step> {
    let text = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
    vec![Step::Send(text.into_bytes())]
}

#[tokio::test]
async fn the_origin_gets_the_judged_bytes_and_no_claims_of_the_client() {
    let (site, gate, origin, agent) = usual().await;
    let body = "{\"amount_usd\": 1.50 }";
    let call = agent
        .post("/pay", body)
        .with("Passgate-Agent", "root")
        .with("passgate_decision", "allow")
        .with("X-Forwarded-For", "10.0.0.1")
        .with("x_real_ip", "10.0.0.1")
        .with("X-HTTP-Method-Override", "DELETE")
        .with("x-request-id", "r-1")
        .with("authorization", "Bearer upstream");
    assert_eq!(site.send(&call).await.status, 200);
    let seen = origin.seen().remove(0);
    assert_eq!(seen.body, body.as_bytes());
    for stripped in [
        "agent-passport",
        "signature",
        "signature-input",
        "passgate-agent",
        "passgate_decision",
        "x_real_ip",
        "x-http-method-override",
    ] {
        assert!(seen.all(stripped).is_empty(), "{stripped}");
    }
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-host"), [site.address.to_string()]);
    assert_eq!(seen.all("host"), [origin.address.to_string()]);
    assert_eq!(seen.all("x-request-id"), ["r-1"]);
    assert_eq!(seen.all("authorization"), ["Bearer upstream"]);
    assert_eq!(seen.all("content-digest").len(), 1);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn the_origin_cannot_speak_for_the_gate() {
    let origin = Origin::start(|_| {
        answer("Passgate-Decision: deny\r\nPassgate-Attestation: att_fake\r\nRateLimit: x\r\nX-Own: 1\r\nSet-Cookie: passgate=1\r\n", "hi")
    })
    .await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*"]);
    let reply = site.send(&agent.get("/search")).await;
    let all = |name: &str| reply.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("passgate-decision"), ["allow"]);
    assert_eq!(all("passgate-attestation").len(), 1);
    assert_ne!(reply.field("passgate-attestation"), "att_fake");
    assert_eq!(all("ratelimit"), ["\"agent-minute\";r=99;t=1"]);
    assert!(all("set-cookie").is_empty());
    assert_eq!(all("x-own"), ["1"]);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn redirects_pass_through_and_heads_stay_heads() {
    let origin = Origin::start(|seen| match seen.method.as_str() {
        "HEAD" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".to_vec())],
        _ => vec![Step::Send(
            b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        )],
    })
    .await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*"]);
    let reply = site.send(&agent.get("/search")).await;
    assert_eq!((reply.status, reply.field("location")), (302, "http://evil.example/"));
    let head = site.send(&agent.call("HEAD", "/search", &[], "")).await;
    assert_eq!((head.status, head.field("content-length"), head.body.as_str()), (200, "99", ""));
    let outcome = site.outcome_of(head.field("passgate-attestation")).await;
    assert_eq!((&outcome["result"], &outcome["response_bytes"]), (&"completed".into(), &0.into()));
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn an_unreachable_origin_is_told_and_recorded() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut site = Site::new(Wish::to(&format!("http://{closed}"))).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*"]);
    let reply = site.send(&agent.get("/search")).await;
    assert_eq!(reply.refusal(), (502, "allow".to_owned(), "upstream_unreachable".to_owned()));
    let id = reply.field("passgate-attestation");
    assert_eq!(reply.problem()["attestation_id"], id);
    let outcome = site.outcome_of(id).await;
    assert_eq!(outcome["result"], "unreachable");
    assert_eq!(outcome.get("status"), None);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn an_origin_that_says_nothing_may_have_acted() {
    let origin = Origin::start(|_| vec![Step::Hang]).await;
    let upstream_extra = ", response_timeout_ms: 100".to_owned();
    let mut site = Site::new(Wish { upstream_extra, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*"]);
    let reply = site.send(&agent.get("/search")).await;
    assert_eq!(reply.refusal(), (504, "allow".to_owned(), "upstream_timeout".to_owned()));
    assert_eq!(site.outcome_of(reply.field("passgate-attestation")).await["result"], "timed_out");
    assert_eq!(origin.seen().len(), 1);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn responses_stream_and_end_at_the_limit() {
    let origin = Origin::start(|seen| match seen.target.as_str() {
        "/files/announced" => answer("", &"x".repeat(2000)),
        _ => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_vec()),
            Step::Repeat(format!("64\r\n{}\r\n", "y".repeat(100)).into_bytes()),
        ],
    })
    .await;
    let upstream_extra = ", max_response_bytes: 1000".to_owned();
    let mut site = Site::new(Wish { upstream_extra, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["files:read"]);

    let announced = site.send(&agent.get("/files/announced")).await;
    assert_eq!(announced.refusal(), (502, "allow".to_owned(), "upstream_response_too_large".to_owned()));

    let (head, mut body) = begin(site.address, &agent.get("/files/endless")).await.into_parts();
    assert_eq!(head.status, 200);
    let id = head.headers["passgate-attestation"].to_str().unwrap().to_owned();
    let mut received = 0;
    let error = loop {
        match patiently(body.frame()).await.expect("the end of an endless body") {
            Ok(frame) => received += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert!(received <= 1000, "{received} bytes, then {error}");
    let outcome = site.outcome_of(&id).await;
    assert_eq!(outcome["result"], "aborted");
    assert_eq!(outcome.get("response_sha256"), None);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded() {
    let origin =
        Origin::start(|_| vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf-".to_vec()), Step::Hang])
            .await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*"]);
    let response = begin(site.address, &agent.get("/search")).await;
    let id = response.headers()["passgate-attestation"].to_str().unwrap().to_owned();
    drop(response);
    let outcome = site.outcome_of(&id).await;
    assert_eq!((&outcome["result"], &outcome["status"]), (&"aborted".into(), &200.into()));
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn shutdown_waits_for_what_runs_and_takes_nothing_new() {
    let origin = Origin::start(|_| ok("ok")).await;
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut site = Site::new(Wish::to(&format!("http://{}", slow.local_addr().unwrap()))).await;
    let store = std::sync::Arc::new(site.memory());
    let gate = site.start_on(std::sync::Arc::<passgate_store::MemoryStore>::clone(&store)).await;
    let agent = site.agent("agent-7", &["web:*"]);
    let (address, call) = (site.address, agent.get("/search"));
    let reply = tokio::spawn(async move { crate::support::send(address, &call).await });
    let (mut upstream, _) = patiently(slow.accept()).await.unwrap();
    let mut head = [0; 4096];
    let read = patiently(upstream.read(&mut head)).await.unwrap();
    assert!(read > 0);
    let shutdown = tokio::spawn(gate.shutdown());
    // Stops listening first of all.
    crate::support::eventually(async || TcpStream::connect(address).await.is_err().then_some(())).await;
    assert!(!shutdown.is_finished());
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await.unwrap();
    assert_eq!(patiently(reply).await.unwrap().body, "late");
    patiently(shutdown).await.unwrap();
    let page = passgate_store::Ledger::records(store.as_ref(), &passgate_store::Filter::default(), None, 10).await;
    let kinds: Vec<&str> = page.unwrap().records.iter().map(|record| record.index.kind.as_str()).collect();
    assert_eq!(kinds, ["chain_start", "decision", "outcome"]);
    assert_eq!(origin.seen().len(), 0);
}

#[tokio::test]
async fn what_cannot_be_taken_in_keeps_its_status_and_is_attested() {
    let origin = Origin::start(|_| ok("ok")).await;
    let server = ", max_body_bytes: 100, body_timeout_ms: 100".to_owned();
    let mut site = Site::new(Wish { server, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let host = site.address.to_string();
    let bare = |target: &str| Call::bare(&host, "GET", target);
    let cases = [
        (Call { body: "x".repeat(101), ..Call::bare(&host, "POST", "/pay") }, 413, "body_too_large"),
        (bare("/search").with("upgrade", "websocket").with("connection", "upgrade"), 501, "upgrade_not_supported"),
        (Call::bare(&host, "TRACE", "/search"), 501, "method_not_supported"),
        (bare("/a/../b"), 400, "path_not_canonical"),
        (bare("/a%2fb"), 400, "path_not_canonical"),
        (bare(&format!("/{}", "a".repeat(9000))), 414, "target_too_long"),
        (bare("/search").with("host", "other.example"), 400, "host_mismatch"),
        (Call::bare("other.example", "GET", "/search"), 400, "host_mismatch"),
        (bare("/search").with("connection", "signature"), 400, "header_invalid"),
        (bare("/search?_method=DELETE"), 400, "method_override"),
    ];
    for (call, status, reason) in &cases {
        let reply = site.send(call).await;
        reply.assert_refusal(*status, reason);
        let record = site.control().await.attestation(reply.field("passgate-attestation")).await.unwrap().unwrap();
        assert_eq!(record["reason_code"], *reason);
        assert_eq!(record.get("agent"), None);
    }
    let mut slow = TcpStream::connect(site.address).await.unwrap();
    slow.write_all(format!("POST /pay HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nab").as_bytes())
        .await
        .unwrap();
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(60), slow.read_to_string(&mut text)).await.unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(text.contains("\"reason_code\":\"body_timeout\""), "{text}");
    assert_eq!(origin.seen().len(), 0);
    patiently(gate.shutdown()).await;
}
