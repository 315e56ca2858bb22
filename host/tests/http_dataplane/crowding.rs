//! A listener that fails, and callers who take room and do not use it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use passgate_host::http::server::{Listener, ServerLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::origin::{Origin, ok};
use crate::support::{Client, Gate, Settings, patiently};

const GET: &str = "GET /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
/// Far beyond what a test waits.
const NEVER: Duration = Duration::from_secs(3600);

/// A listener whose next accepts fail.
struct Flaky {
    inner: TcpListener,
    failures: AtomicUsize,
}

impl Listener for Flaky {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let left = self.failures.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(io::Error::other("too many open files"));
        }
        self.inner.accept().await
    }
}

#[tokio::test]
async fn a_listener_that_failed_is_asked_again() {
    let origin = Origin::start(|_| ok("done")).await;
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = inner.local_addr().unwrap();
    let listener = Flaky { inner, failures: AtomicUsize::new(3) };
    let gate = Gate::start_on(listener, address, Settings::new(&origin.url()));
    assert!(gate.exchange(GET).await.ends_with("done"));
    assert_eq!(*gate.core.accepting.lock().unwrap(), [false, false, false, true]);
}

#[tokio::test]
async fn a_listener_works_again_when_nobody_comes_too() {
    let origin = Origin::start(|_| ok("done")).await;
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = inner.local_addr().unwrap();
    let listener = Flaky { inner, failures: AtomicUsize::new(1) };
    let gate = Gate::start_on(listener, address, Settings::new(&origin.url()));
    patiently(async {
        while *gate.core.accepting.lock().unwrap() != [false, true] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An HTTP/2 connection with so many requests `POST /a` whose bodies do not come.
async fn bodiless(gate: &Gate, streams: u32) -> TcpStream {
    let mut fields = vec![0x83, 0x86]; // POST, http
    for (name, value) in [(0x04, "/a"), (0x01, "gate.example")] {
        fields.push(name);
        fields.push(u8::try_from(value.len()).unwrap());
        fields.extend(value.as_bytes());
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    (0..streams).for_each(|index| bytes.extend(frame(1, 4, 2 * index + 1, &fields)));
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    stream
}

/// Waits until so many of the connection's requests were answered.
async fn answered(stream: &mut TcpStream, count: u32) {
    let mut seen = 0;
    while seen < count {
        let mut head = [0; 9];
        patiently(stream.read_exact(&mut head)).await.unwrap();
        let [a, b, c, kind, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        patiently(stream.read_exact(&mut payload)).await.unwrap();
        seen += u32::from(kind == 1);
    }
}

async fn crowded(change: impl FnOnce(&mut ServerLimits)) -> (Gate, Origin) {
    let origin = Origin::start(|_| ok("done")).await;
    let mut settings = Settings::new(&origin.url());
    settings.intake.body_timeout = NEVER;
    change(&mut settings.server);
    (Gate::start(settings).await, origin)
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_nobody_else_out() {
    let (gate, _origin) = crowded(|limits| {
        limits.max_requests_in_flight = 4;
        limits.max_parallel_reads = 8;
    })
    .await;
    // Twelve requests each; one in a place of the connection's own, eight of all in the shared ones.
    let (mut first, mut second) = (bodiless(&gate, 12).await, bodiless(&gate, 12).await);
    tokio::join!(answered(&mut first, 3), answered(&mut second, 3));
    let mut slow = Client::connect(gate.address).await;
    slow.send("POST /a HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 2\r\n\r\nh").await;
    for request in [GET, POST, GET, POST] {
        let answer = gate.exchange(request).await;
        assert!(answer.ends_with("done"), "{answer}");
    }
    slow.send("i").await;
    assert!(slow.until("done").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_connection_gets_a_part_of_the_places() {
    let (gate, _origin) = crowded(|limits| limits.max_reads_per_connection = 4).await;
    let mut greedy = bodiless(&gate, 10).await;
    answered(&mut greedy, 6).await;
    assert!(gate.exchange(POST).await.ends_with("done"));
    assert_eq!(gate.judged().len(), 1);
}

#[tokio::test]
async fn a_panic_while_reading_costs_one_request() {
    let (gate, _origin) = crowded(|limits| limits.max_requests_in_flight = 1).await;
    for _ in 0..3 {
        let answer = gate.exchange(GET.replace("/a", "/panic-in-intake")).await;
        assert!(answer.starts_with("HTTP/1.1 500") && answer.ends_with("internal_error"), "{answer}");
    }
    assert!(gate.exchange(GET).await.ends_with("done"));
}
