//! HTTP/2 with prior knowledge: ordinary requests, and frames that no ordinary client sends.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::origin::{Origin, ok};
use crate::support::{Gate, Settings, patiently};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const DATA: u8 = 0;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const LAST: &str = "GET /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n";

/// A peer that writes frames by hand.
struct Frames(TcpStream);

impl Frames {
    async fn open(gate: &Gate) -> Self {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self(stream);
        assert!(frames.write(&frame(4, 0, 0, &[])).await);
        frames
    }

    /// False once the gate has hung up.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        patiently(self.0.write_all(bytes)).await.is_ok()
    }

    /// Kind, flags, stream and payload of the next frame; `None` at the end.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        patiently(self.0.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        patiently(self.0.read_exact(&mut payload)).await.ok()?;
        Some((kind, flags, u32::from_be_bytes([d, e, f, g]), payload))
    }

    /// Reads to the end of the connection and says whether the gate gave a reason.
    async fn closed(&mut self) -> bool {
        let mut goaway = false;
        while let Some((kind, ..)) = self.next().await {
            goaway |= kind == GOAWAY;
        }
        goaway
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The fields of `GET path` in HPACK, from the static table and as plain literals.
fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(0x04, path), (0x01, "gate.example")] {
        block.push(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    block
}

fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|index| 2 * index + 1)
}

async fn client(gate: &Gate) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn status_and_body(response: Response<hyper::body::Incoming>) -> (u16, Bytes) {
    let status = response.status().as_u16();
    (status, patiently(response.into_body().collect()).await.unwrap().to_bytes())
}

#[tokio::test]
async fn requests_reach_the_origin_reframed() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let mut client = client(&gate).await;
    let request = Request::post("http://Gate.Example:80/a?b=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("passgate-agent", "root")
        .body(Full::from("hello"));
    let response = patiently(client.send_request(request.unwrap())).await.unwrap();
    assert_eq!(status_and_body(response).await, (200, Bytes::from("done")));
    let [seen] = origin.seen().try_into().unwrap();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), seen.body.as_slice()),
        ("POST", "/a?b=1", b"hello".as_slice())
    );
    assert_eq!((seen.all("cookie"), seen.all("content-length")), (vec!["a=1; b=2"], vec!["5"]));
    assert!(seen.all("te").is_empty() && seen.all("passgate-agent").is_empty());
    assert_eq!(gate.authorities(), [Some("gate.example".to_owned())]);
}

#[tokio::test]
async fn authorities_must_be_one() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let mut client = client(&gate).await;
    for (uri, host, code) in [
        ("http://gate.example/a", Some("evil.example"), "AuthorityMismatch"),
        ("http://gate.example:0/a", None, "AuthorityInvalid"),
        ("http://user@gate.example/a", None, "AuthorityInvalid"),
        ("http://gate.example/a%2fb", None, "Target(Escape { at: 2 })"),
    ] {
        let mut request = Request::get(uri).body(Full::default()).unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let response = patiently(client.send_request(request)).await.unwrap();
        assert_eq!(status_and_body(response).await, (400, Bytes::from(code)), "{uri}");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_panic_costs_one_stream() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let mut client = client(&gate).await;
    for (path, expected) in [("/panic", (500, "internal_error")), ("/a", (200, "done"))] {
        let request = Request::get(format!("http://gate.example{path}")).body(Full::default()).unwrap();
        let response = patiently(client.send_request(request)).await.unwrap();
        assert_eq!(status_and_body(response).await, (expected.0, Bytes::from(expected.1)));
    }
}

#[tokio::test]
async fn open_streams_are_bounded() {
    let origin = Origin::start(|_| ok("done")).await;
    let mut settings = Settings::new(&origin.url());
    settings.server.h2_max_concurrent_streams = 10;
    let gate = Gate::start(settings).await;
    let mut frames = Frames::open(&gate).await;
    let burst: Vec<u8> =
        streams(1000).flat_map(|id| frame(HEADERS, END_STREAM | END_HEADERS, id, &get("/hold"))).collect();
    frames.write(&burst).await;
    // Each of the 990 is refused on its own, or the whole connection is.
    let mut refused = 0;
    while refused < 990 {
        match frames.next().await {
            Some((RST_STREAM, ..)) => refused += 1,
            Some((GOAWAY, ..)) | None => break,
            Some(_) => {}
        }
    }
    assert!(gate.core.held.available_permits() <= 10, "{}", gate.core.held.available_permits());
    assert!(gate.exchange(LAST).await.ends_with("done"));
}

#[tokio::test]
async fn rapid_resets_do_not_pile_up() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let mut frames = Frames::open(&gate).await;
    let mut burst = Vec::new();
    for id in streams(5000) {
        burst.extend(frame(HEADERS, END_STREAM | END_HEADERS, id, &get("/hold")));
        burst.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    frames.write(&burst).await;
    assert!(frames.closed().await, "the gate must call it off");
    assert!(gate.exchange(LAST).await.ends_with("done"));
}

#[tokio::test]
async fn header_blocks_are_bounded() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;

    // Frames that never end the block.
    let mut frames = Frames::open(&gate).await;
    frames.write(&frame(HEADERS, END_STREAM, 1, &get("/a"))).await;
    let filler = frame(CONTINUATION, 0, 1, &[&[0x00, 0x01, b'x', 0x7e][..], &[b'y'; 126]].concat());
    let mut written = 0;
    while written < 64 * 1024 * 1024 && frames.write(&filler.repeat(100)).await {
        written += filler.len() * 100;
    }
    assert!(written < 64 * 1024 * 1024, "the gate must hang up");

    // One large field, referred to over and over.
    let mut frames = Frames::open(&gate).await;
    let mut block = get("/a");
    block.extend([0x40, 0x01, b'x', 0x7f, 0xa1, 0x1e]); // A value of 4000 bytes, added to the dynamic table.
    block.extend([b'y'; 4000]);
    block.extend([0xbe; 10_000]);
    frames.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await;
    let answer = loop {
        match frames.next().await {
            Some((kind @ (HEADERS | RST_STREAM | GOAWAY), ..)) => break Some(kind),
            Some(_) => {}
            None => break None,
        }
    };
    assert!(answer.is_some(), "the gate must say why");
    assert_eq!(gate.judged(), []);
    assert_eq!(origin.connections(), 0);
    assert!(gate.exchange(LAST).await.ends_with("done"));
}

#[tokio::test]
async fn empty_data_is_bounded_in_time() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let mut frames = Frames::open(&gate).await;
    frames.write(&frame(HEADERS, END_HEADERS, 1, &get("/a"))).await;
    let filler = frame(DATA, 0, 1, &[]).repeat(1000);
    let (mut reader, mut writer) = frames.0.into_split();
    let flood = tokio::spawn(async move { while writer.write_all(&filler).await.is_ok() {} });
    let mut answered = [0; 64];
    // The stream is answered with a timeout or the connection is closed; either way nothing is judged.
    while patiently(reader.read(&mut answered)).await.is_ok_and(|count| count > 0) && gate.judged().is_empty() {
        tokio::task::yield_now().await;
        if flood.is_finished() {
            break;
        }
    }
    flood.abort();
    assert_eq!(gate.judged(), []);
    assert_eq!(origin.connections(), 0);
    assert!(gate.exchange(LAST).await.ends_with("done"));
}

#[tokio::test]
async fn idle_connections_are_sent_home() {
    let origin = Origin::start(|_| ok("done")).await;
    let mut settings = Settings::new(&origin.url());
    settings.server.idle_timeout = Duration::from_millis(100);
    // This peer does not answer the ping that would end the drain early.
    settings.server.drain_deadline = Duration::from_millis(100);
    let gate = Gate::start(settings).await;
    let mut frames = Frames::open(&gate).await;
    frames.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/a"))).await;
    assert!(frames.closed().await, "a drained connection says goodbye");
    assert_eq!(gate.judged().len(), 1);
}
