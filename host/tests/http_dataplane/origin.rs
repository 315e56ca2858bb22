//! An origin that records every byte it receives and answers with the bytes it was told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What the origin does once a request is complete.
#[derive(Clone)]
pub(crate) enum Step {
    /// Writes bytes.
    Send(Vec<u8>),
    /// Writes bytes again and again until the gate hangs up.
    Repeat(Vec<u8>),
    /// Says nothing more until the gate hangs up.
    Hang,
    /// Closes the connection.
    Close,
}

/// One request as the origin read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |(given, value): &'_ (String, String)| given.eq_ignore_ascii_case(name).then_some(value.len());
        self.headers.iter().filter(|field| same(field).is_some()).map(|(_, value)| value.as_str()).collect()
    }
}

type Log = Arc<Mutex<Vec<Vec<u8>>>>;
type Script = Arc<dyn Fn(&Seen) -> Vec<Step> + Send + Sync>;

pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    log: Log,
}

pub(crate) fn ok(body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    vec![Step::Send(head.into_bytes())]
}

impl Origin {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Log::default();
        let (script, shared): (Script, Log) = (Arc::new(script), Arc::clone(&log));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&script), Arc::clone(&shared)));
            }
        });
        Self { address, log }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request received so far. Fails on bytes that are not a complete request with a plain length.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let log = self.log.lock().unwrap();
        let mut all = Vec::new();
        for connection in log.iter() {
            let mut rest = connection.as_slice();
            while let Some((seen, after)) = parse(rest) {
                all.push(seen);
                rest = after;
            }
            assert!(rest.is_empty(), "unframed bytes: {}", String::from_utf8_lossy(rest));
        }
        all
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

/// Serves one connection, also for origins that put TLS in front of it.
pub(crate) async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Script, log: Log) {
    let index = {
        let mut log = log.lock().unwrap();
        log.push(Vec::new());
        log.len() - 1
    };
    let mut pending = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while let Some((seen, after)) = parse(&pending) {
            pending = after.to_vec();
            for step in script(&seen) {
                if !perform(&mut stream, step).await {
                    return;
                }
            }
        }
        let Ok(count @ 1..) = stream.read(&mut chunk).await else {
            return;
        };
        pending.extend_from_slice(&chunk[..count]);
        log.lock().unwrap()[index].extend_from_slice(&chunk[..count]);
    }
}

async fn perform(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), step: Step) -> bool {
    match step {
        Step::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
        Step::Repeat(bytes) => {
            while stream.write_all(&bytes).await.is_ok() {}
            false
        }
        Step::Hang => {
            let mut chunk = [0; 64];
            while matches!(stream.read(&mut chunk).await, Ok(1..)) {}
            false
        }
        Step::Close => false,
    }
}

/// The request at the front of `bytes` and what follows it. Knows `Content-Length` and nothing else.
fn parse(bytes: &[u8]) -> Option<(Seen, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line: Vec<&str> = lines.next()?.split(' ').collect();
    let [method, target, "HTTP/1.1"] = line.as_slice() else {
        panic!("odd request line {line:?}");
    };
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut seen = Seen { method: (*method).to_owned(), target: (*target).to_owned(), headers, body: Vec::new() };
    assert!(seen.all("transfer-encoding").is_empty(), "the gate sent a transfer coding: {head}");
    let length = match seen.all("content-length").as_slice() {
        [] => 0,
        [one] => one.parse().unwrap(),
        more => panic!("lengths {more:?}"),
    };
    let rest = &bytes[end + 4..];
    if rest.len() < length {
        return None;
    }
    seen.body = rest[..length].to_vec();
    Some((seen, &rest[length..]))
}
