//! Origins that redirect, interrupt, stall, never end, or are somebody else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use passgate_host::http::upstream::{
    Answer, BodyEnd, BodyError, Outbound, TrustRoots, Upstream, UpstreamConfig, UpstreamError,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::origin::{Origin, Step, converse, ok};
use crate::support::{Gate, Settings, patiently};

const LAST: &str = "GET /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n";

fn get(path: &str) -> Outbound {
    Outbound { method: "GET".into(), path: path.into(), query: None, headers: Vec::new(), body: bytes::Bytes::new() }
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

async fn saying(steps: Vec<Step>) -> Origin {
    Origin::start(move |_| steps.clone()).await
}

/// A client of the origin with small limits.
fn client(origin: &Origin) -> Upstream {
    Upstream::new(UpstreamConfig {
        head_timeout: Duration::from_secs(1),
        body_idle_timeout: Duration::from_secs(1),
        max_response_bytes: 100_000,
        ..UpstreamConfig::new(&origin.url())
    })
    .unwrap()
}

async fn failure(origin: &Origin) -> UpstreamError {
    patiently(client(origin).send(get("/a"))).await.map(|answer| answer.status).unwrap_err()
}

#[tokio::test]
async fn redirects_are_passed_on_and_not_followed() {
    let elsewhere = Origin::start(|_| ok("elsewhere")).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {}/x\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
    let origin = saying(vec![send(&redirect)]).await;
    let gate = Gate::before(&origin).await;
    let answer = gate.exchange(LAST).await;
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(answer.contains(&format!("location: {}/x", elsewhere.url())), "{answer}");
    assert_eq!((origin.seen().len(), elsewhere.connections()), (1, 0));
}

#[tokio::test]
async fn interim_responses_are_swallowed() {
    let interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nPassgate-Decision: deny\r\n\r\n";
    let origin = saying(vec![send(interim), ok("done").remove(0)]).await;
    let gate = Gate::before(&origin).await;
    let answer = gate.exchange(LAST).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\ndone"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    assert!(!answer.contains("link") && !answer.contains("deny"), "{answer}");
}

#[tokio::test]
async fn a_switch_of_protocols_is_a_failure() {
    let origin =
        saying(vec![send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), Step::Hang])
            .await;
    let error = failure(&origin).await;
    assert!(error.may_have_arrived());
    assert_eq!((error.status().as_u16(), error.code()), (502, "upstream_protocol_error"));
}

#[tokio::test]
async fn responses_that_are_not_http_are_failures() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
    let broken = [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 999999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        many.as_str(),
    ];
    for text in broken {
        let error = failure(&saying(vec![send(text), Step::Close]).await).await;
        assert_eq!((error.status().as_u16(), error.code()), (502, "upstream_protocol_error"), "{:.60}", text);
    }
}

#[tokio::test]
async fn an_announced_excess_is_refused_at_once() {
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(70 * 1024));
    for head in ["HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n", long_head.as_str()] {
        let origin = saying(vec![send(head), Step::Hang]).await;
        let error = failure(&origin).await;
        assert_eq!((error.status().as_u16(), error.code()), (502, "upstream_response_too_large"));
    }
}

#[tokio::test]
async fn endless_bodies_stop_at_the_limit() {
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let plain = "HTTP/1.1 200 OK\r\n\r\n";
    for (head, repeated) in [(chunked, chunk.clone()), (plain, "y".repeat(1024))] {
        let origin = saying(vec![send(head), Step::Repeat(repeated.into_bytes())]).await;
        let mut settings = Settings::new(&origin.url());
        settings.upstream.max_response_bytes = 100_000;
        let mut gate = Gate::start(settings).await;
        let answer = gate.exchange(LAST).await;
        assert!(!answer.ends_with("0\r\n\r\n"), "a cut body must not look complete");
        let payload = answer.bytes().filter(|byte| matches!(byte, b'x' | b'y')).count();
        assert!(payload <= 100_000, "{payload}");
        let report = patiently(gate.reports.recv()).await.unwrap();
        assert_eq!(report.end, BodyEnd::TooLarge);
        assert!(report.bytes <= 100_000);
    }
}

#[tokio::test]
async fn silence_ends_the_wait() {
    let error = failure(&saying(vec![Step::Hang]).await).await;
    assert_eq!((error.status().as_u16(), error.code()), (504, "upstream_timeout"));
    assert!(error.may_have_arrived());

    let origin = saying(vec![send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"), Step::Hang]).await;
    let Answer { body, report, .. } = client(&origin).send(get("/a")).await.unwrap();
    assert_eq!(patiently(body.collect()).await.unwrap_err(), BodyError(BodyEnd::IdleTimeout));
    let report = patiently(report).await.unwrap();
    assert_eq!((report.bytes, report.end), (2, BodyEnd::IdleTimeout));
}

#[tokio::test]
async fn a_short_body_is_not_a_complete_one() {
    let origin = saying(vec![send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"), Step::Close]).await;
    let mut gate = Gate::before(&origin).await;
    gate.exchange(LAST).await;
    let report = patiently(gate.reports.recv()).await.unwrap();
    assert_eq!((report.bytes, report.end), (2, BodyEnd::UpstreamFailed));
}

#[tokio::test]
async fn complete_bodies_are_reported_through_the_server() {
    let digest = |text: &str| -> [u8; 32] { <sha2::Sha256 as sha2::Digest>::digest(text).into() };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n";
    let cases = [
        ("GET", ok("done").remove(0), "done"),
        ("GET", send(chunked), "done"),
        ("GET", send("HTTP/1.1 204 No Content\r\n\r\n"), ""),
        ("HEAD", send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"), ""),
        ("GET", send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\ndone"), "done"),
    ];
    for (method, step, body) in cases {
        let origin = saying(vec![step]).await;
        let mut gate = Gate::before(&origin).await;
        let answer = gate.exchange(LAST.replace("GET", method)).await;
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        let report = patiently(gate.reports.recv()).await.unwrap();
        assert_eq!((report.bytes, report.end), (body.len() as u64, BodyEnd::Complete), "{answer}");
        assert_eq!(report.sha256, digest(body));
    }
}

#[tokio::test]
async fn one_response_cannot_answer_two_requests() {
    let origin = Origin::start(|seen| {
        let mut steps = ok("first");
        if seen.target == "/first" {
            let extra = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
            steps = vec![send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst{extra}"))];
        }
        steps
    })
    .await;
    let client = client(&origin);
    for path in ["/first", "/second", "/third"] {
        let answer = patiently(client.send(get(path))).await.unwrap();
        let body = patiently(answer.body.collect()).await.unwrap().to_bytes();
        assert_eq!(body, "first", "{path}");
    }
    assert_eq!(origin.seen().len(), 3);
}

#[tokio::test]
async fn an_origin_that_is_not_there_never_received_anything() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let upstream = Upstream::new(UpstreamConfig::new(&format!("http://{address}"))).unwrap();
    let error = upstream.send(get("/a")).await.map(|answer| answer.status).unwrap_err();
    assert!(!error.may_have_arrived());
    assert_eq!((error.status().as_u16(), error.code()), (502, "upstream_unreachable"));
}

/// An origin behind TLS with a certificate of its own; gives its port and the certificate as PEM.
async fn tls_origin() -> (u16, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, Arc::new(|_| ok("sealed")), Arc::new(Mutex::default())).await;
            }
        }
    });
    (port, cert.pem())
}

#[tokio::test]
async fn tls_origins_must_be_trusted_by_name() {
    let (port, pem) = tls_origin().await;
    let send = |host: &str, trust_roots: TrustRoots| {
        let config = UpstreamConfig { trust_roots, ..UpstreamConfig::new(&format!("https://{host}:{port}")) };
        let upstream = Upstream::new(config).unwrap();
        async move { patiently(upstream.send(get("/a"))).await }
    };
    let answer = send("localhost", TrustRoots::from_pem(pem.as_bytes()).unwrap()).await.unwrap();
    assert_eq!(answer.body.collect().await.unwrap().to_bytes(), "sealed");
    for (host, trust_roots) in
        [("localhost", TrustRoots::mozilla()), ("127.0.0.1", TrustRoots::from_pem(pem.as_bytes()).unwrap())]
    {
        let error = send(host, trust_roots).await.map(|answer| answer.status).unwrap_err();
        assert_eq!((error.may_have_arrived(), error.code()), (false, "upstream_unreachable"), "{error}");
    }
}
