//! A client that sends exactly the bytes of a case: one connection for each request, no normalisation.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::case::Request;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The gate's verdict.
    pub fn decision(&self) -> Option<&str> {
        self.field("passgate-decision")
    }

    /// The id of the decision's record.
    pub fn attestation_id(&self) -> Option<&str> {
        self.field("passgate-attestation")
    }
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// When the connection fails or breaks off, or what comes back is not a whole HTTP answer.
pub async fn exchange(address: SocketAddr, request: &Request) -> Result<Answer> {
    exchange_on(TcpStream::connect(address).await?, request).await
}

/// The same on a connection of any kind.
///
/// # Errors
/// As [`exchange`].
pub async fn exchange_on(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &Request) -> Result<Answer> {
    stream.write_all(&encode(request)).await?;
    let mut bytes = Vec::new();
    // Not every server closes a connection as soon as it was asked to.
    while !is_whole(&bytes, &request.method) && stream.read_buf(&mut bytes).await? > 0 {}
    decode(&bytes, &request.method)
}

/// Whether an answer is there to its end, as far as it says where that is.
fn is_whole(bytes: &[u8], method: &str) -> bool {
    let Ok(answer) = decode(bytes, method) else { return false };
    let is_framed = answer.field("content-length").is_some() || answer.field("transfer-encoding").is_some();
    is_framed || is_bodiless(answer.status, method)
}

/// Whether an answer ends with its head, whatever fields it has (RFC 9112, section 6.3).
fn is_bodiless(status: u16, method: &str) -> bool {
    method == "HEAD" || matches!(status, 100..=199 | 204 | 304)
}

fn encode(request: &Request) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", request.method, request.target, request.host);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", request.body.len()));
    }
    text.push_str("connection: close\r\n\r\n");
    text.push_str(&request.body);
    text.into_bytes()
}

fn decode(bytes: &[u8], method: &str) -> Result<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("the answer has no end of its head")?;
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
    let rest = bytes.get(end + 4..).unwrap_or_default();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    let field =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    let headers: Vec<(String, String)> = lines.filter_map(field).collect();
    let mut answer = Answer { status, headers, body: rest.to_vec() };
    if is_bodiless(status, method) {
        ensure!(rest.is_empty(), "{} bytes after an answer that has no body", rest.len());
    } else if answer.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        answer.body = dechunk(rest)?;
    } else if let Some(length) = answer.field("content-length") {
        ensure!(length.parse() == Ok(rest.len()), "{} bytes of a body of {length}", rest.len());
    }
    Ok(answer)
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end =
            rest.windows(2).position(|window| window == b"\r\n").context("the answer breaks off in a chunk size")?;
        let size = std::str::from_utf8(rest.get(..end).unwrap_or_default())?;
        let size = usize::from_str_radix(size, 16)?;
        let chunk = rest.get(end + 2..end + 2 + size).context("the answer breaks off in a chunk")?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).context("the answer breaks off after a chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_refused() {
        let plain =
            decode(b"HTTP/1.1 200 OK\r\nPassgate-Decision: allow\r\ncontent-length: 2\r\n\r\nok", "GET").unwrap();
        assert_eq!((plain.status, plain.decision(), plain.body.as_slice()), (200, Some("allow"), b"ok".as_slice()));
        let chunked = b"HTTP/1.1 403 F\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(decode(chunked, "GET").unwrap().body, b"abcde");
        for cut in 1..chunked.len() - 2 {
            assert!(decode(&chunked[..cut], "GET").is_err(), "cut at {cut}");
            assert!(!is_whole(&chunked[..cut], "GET"), "cut at {cut}");
        }
        assert!(decode(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", "GET").is_err());
        assert!(is_whole(chunked, "GET"));
    }

    #[test]
    fn an_answer_without_a_body_ends_with_its_head() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
        assert!(is_whole(head, "HEAD") && !is_whole(head, "GET"));
        assert!(is_whole(b"HTTP/1.1 304 N\r\n\r\n", "GET"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\n", "GET"), "it ends with the connection");
    }
}
