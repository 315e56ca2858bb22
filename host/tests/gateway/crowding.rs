//! Callers who take room and do not use it, on the data plane and on the operator's side.
//!
//! Where time has to pass, it is the runtime's: it jumps to the next timer once nothing else is left to do.

use std::io::ErrorKind;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::origin::{Origin, ok};
use crate::support::{Call, Site, Wish, eventually, metric, patiently, send, usual};

const HALF: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n";

#[tokio::test]
async fn strangers_who_send_no_bodies_keep_no_agent_out() {
    let origin = Origin::start(|_| ok("ok")).await;
    let server = ", max_connections: 6, body_timeout_ms: 600000".to_owned();
    let mut site = Site::new(Wish { server, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*", "payments:create"]);
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(bodiless(&site, 20).await);
    }
    // Of sixty, one for each connection and six more are read.
    let refused = "passgate_decisions_total{decision=\"deny\",reason=\"gate_overloaded\"}";
    eventually(async || {
        let text = gate.metrics().encode().unwrap();
        text.contains(&format!("{refused} 51")).then_some(())
    })
    .await;
    for _ in 0..3 {
        assert_eq!(site.send(&agent.get("/search")).await.status, 200);
        assert_eq!(site.send(&agent.post("/pay", "{\"amount_usd\": 1}")).await.status, 200);
    }
    assert_eq!(metric(&gate, refused), "51");
    drop(strangers);
    patiently(gate.shutdown()).await;
}

/// An HTTP/2 connection with so many requests `POST /x` whose bodies do not come.
async fn bodiless(site: &Site, streams: u8) -> TcpStream {
    let mut fields = vec![0x83, 0x86, 0x04, 2, b'/', b'x', 0x01]; // POST, http, :path, :authority
    let authority = site.address.to_string();
    fields.push(u8::try_from(authority.len()).unwrap());
    fields.extend(authority.as_bytes());
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for index in 0..streams {
        bytes.extend([0, 0, u8::try_from(fields.len()).unwrap(), 1, 4, 0, 0, 0, 2 * index + 1]);
        bytes.extend(&fields);
    }
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    stream
}

#[tokio::test(start_paused = true)]
async fn half_a_request_to_the_control_socket_ends_in_time() {
    let (site, gate, _origin, _agent) = usual().await;
    let socket = site.loaded().paths.socket;
    let mut half = UnixStream::connect(&socket).await.unwrap();
    half.write_all(HALF).await.unwrap();
    let mut silent = UnixStream::connect(&socket).await.unwrap();
    let mut rest = Vec::new();
    patiently(half.read_to_end(&mut rest)).await.unwrap();
    patiently(silent.read_to_end(&mut rest)).await.unwrap();

    let mut bodiless = UnixStream::connect(&socket).await.unwrap();
    let head = format!("{} /v1/revocations HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", Method::POST);
    bodiless.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    patiently(bodiless.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("problem:timeout"), "{answer}");
    patiently(gate.shutdown()).await;
}

#[tokio::test(start_paused = true)]
async fn connections_to_the_metrics_are_few() {
    let origin = Origin::start(|_| ok("ok")).await;
    let extra = "control: {metrics_listen: \"127.0.0.1:0\"}".to_owned();
    let mut site = Site::new(Wish { extra, ..Wish::before(&origin) }).await;
    let gate = site.start_in_memory().await;
    let address = gate.info().metrics_listen.unwrap();
    let mut halves = Vec::new();
    for _ in 0..64 {
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(HALF).await.unwrap();
        halves.push(half);
    }
    // The next one waits until one of those was cut.
    assert_eq!(send(address, &Call::bare("x", "GET", "/healthz")).await.status, 200);
    let cut = |half: &TcpStream| match half.try_read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    assert!(halves.iter().any(cut));
    patiently(gate.shutdown()).await;
}
