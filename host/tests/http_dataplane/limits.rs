//! Clients that are slow, large, many or unlucky.

use std::time::Duration;

use passgate_host::http::intake::IntakeLimits;
use passgate_host::http::server::{ServerLimits, Stopped};

use crate::origin::{Origin, ok};
use crate::support::{Client, Gate, Settings, patiently};

const GET: &str = "GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n";
const LAST: &str = "GET /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n";
const HOLD: &str = "GET /hold HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n";

async fn gate_with(change: impl FnOnce(&mut Settings)) -> (Gate, Origin) {
    let origin = Origin::start(|_| ok("done")).await;
    let mut settings = Settings::new(&origin.url());
    change(&mut settings);
    (Gate::start(settings).await, origin)
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let (gate, origin) = gate_with(|_| {}).await;
    let mut client = Client::connect(gate.address).await;
    client.send(format!("GET /panic HTTP/1.1\r\nHost: gate.example\r\n\r\n{GET}")).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.ends_with("internal_error"), "{answer}");
    assert!(gate.exchange(LAST).await.starts_with("HTTP/1.1 200"));
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn a_panicking_body_costs_one_response() {
    let (gate, _origin) = gate_with(|_| {}).await;
    let answer = gate.exchange("GET /panic-in-body HTTP/1.1\r\nHost: gate.example\r\n\r\n").await;
    assert!(!answer.contains("\r\n0\r\n"), "a broken body must not look complete: {answer}");
    assert!(gate.exchange(LAST).await.ends_with("done"));
}

#[tokio::test]
async fn heads_must_come_in_time() {
    let (gate, _origin) = gate_with(|_| {}).await;
    let started = |started: &'static str| gate.exchange(started);
    let answers = tokio::join!(
        started(""),
        started("P"),
        started("PRI * HTTP/2.0\r\n"),
        started("GET"),
        started("GET /a HTTP/1.1\r\nHost: gate.example\r\nX: "),
    );
    assert_eq!(answers, <_>::default());
    let mut client = Client::connect(gate.address).await;
    client.send(GET).await;
    client.until("done").await;
    client.send("GET /a HTTP/1.1\r\n").await;
    assert_eq!(client.rest().await, "");
    assert_eq!(gate.judged().len(), 1);
}

#[tokio::test]
async fn bodies_must_come_in_time() {
    let (gate, origin) = gate_with(|_| {}).await;
    let answer = gate.exchange("POST /a HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 5\r\n\r\nhel").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.ends_with("BodyTimeout"), "{answer}");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn heads_are_bounded() {
    let (gate, origin) = gate_with(|_| {}).await;
    let many = format!("GET /a HTTP/1.1\r\nHost: gate.example\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert!(gate.exchange(many).await.starts_with("HTTP/1.1 431"));
    // The gate hangs up on the rest of these, which can cost the client the answer.
    let large = format!("GET /a HTTP/1.1\r\nHost: gate.example\r\nX: {}\r\n\r\n", "y".repeat(70 * 1024));
    let answer = gate.exchange(large).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n", "a".repeat(8 * 1024));
    let answer = gate.exchange(long).await;
    assert!(answer.starts_with("HTTP/1.1 414") && answer.ends_with("Target(TooLong)"), "{answer}");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn bodies_are_refused_before_they_are_sent() {
    let (gate, origin) = gate_with(|settings| {
        settings.intake = IntakeLimits { max_body_bytes: 4, ..settings.intake.clone() };
    })
    .await;
    let expecting = |length: usize| {
        format!(
            "POST /a HTTP/1.1\r\nHost: gate.example\r\nExpect: 100-continue\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
    };
    let answer = gate.exchange(expecting(5)).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("BodyTooLarge"), "{answer}");
    let chunked = "POST /a HTTP/1.1\r\nHost: gate.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert!(gate.exchange(chunked).await.starts_with("HTTP/1.1 413"));
    assert_eq!(origin.connections(), 0);

    let mut client = Client::connect(gate.address).await;
    client.send(expecting(4)).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 200"));
    assert_eq!(origin.seen()[0].body, b"body");
}

#[tokio::test]
async fn connections_beyond_the_cap_wait() {
    let (gate, _origin) = gate_with(|settings| {
        settings.server = ServerLimits {
            max_connections: 1,
            header_read_timeout: Duration::from_secs(30),
            ..ServerLimits::default()
        };
    })
    .await;
    let mut first = Client::connect(gate.address).await;
    first.send(GET).await;
    first.until("done").await;
    let mut second = Client::connect(gate.address).await;
    second.send(LAST.replace("/a", "/b")).await;
    first.send(GET).await;
    first.until("done").await;
    let targets = |gate: &Gate| gate.judged().into_iter().map(|(_, target, _)| target).collect::<Vec<_>>();
    assert_eq!(targets(&gate), ["/a", "/a"]);
    drop(first);
    assert!(second.rest().await.ends_with("done"));
    assert_eq!(targets(&gate), ["/a", "/a", "/b"]);
}

#[tokio::test]
async fn requests_beyond_the_cap_are_turned_away() {
    let (gate, _origin) = gate_with(|settings| settings.server.max_requests_in_flight = 1).await;
    let mut held = Client::connect(gate.address).await;
    held.send(HOLD).await;
    patiently(gate.core.held.acquire()).await.unwrap().forget();
    let answer = gate.exchange(LAST).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("overloaded"), "{answer}");
    gate.core.release.add_permits(1);
    assert!(held.rest().await.ends_with("released"));
    assert!(gate.exchange(LAST).await.ends_with("done"));
}

#[tokio::test]
async fn shutdown_lets_running_requests_finish() {
    let (mut gate, _origin) = gate_with(|_| {}).await;
    let mut idle = Client::connect(gate.address).await;
    idle.send(GET).await;
    idle.until("done").await;
    let mut held = Client::connect(gate.address).await;
    held.send(HOLD).await;
    patiently(gate.core.held.acquire()).await.unwrap().forget();
    gate.stop();
    assert_eq!(idle.rest().await, "");
    gate.core.release.add_permits(1);
    assert!(held.rest().await.ends_with("released"));
    assert_eq!(gate.stopped().await, Stopped { connections_cut: 0 });
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_finish() {
    let (mut gate, _origin) = gate_with(|settings| settings.server.drain_deadline = Duration::from_millis(100)).await;
    let mut held = Client::connect(gate.address).await;
    held.send(HOLD).await;
    patiently(gate.core.held.acquire()).await.unwrap().forget();
    gate.stop();
    assert_eq!(held.rest().await, "");
    assert_eq!(gate.stopped().await, Stopped { connections_cut: 1 });
}
