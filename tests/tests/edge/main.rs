//! The gate at the edge, end to end: the built worker in workerd, in front of an API on this machine.
#![cfg(test)]

mod admission;
mod approvals;
mod changes;
mod client;
mod counting;
mod faults;
mod forwarding;
mod ledger;
mod program;
mod responses;
mod revocation;
mod staleness;
mod suspension;
mod upstream;

use passgate_tests::edge::{Edge, bundle};
use passgate_tests::origin::Origin;
use passgate_tests::wire::Answer;
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An origin and a gate in front of it, under the usual bundle as `change` leaves it.
async fn gate(change: impl FnOnce(&mut Value)) -> (Origin, Edge) {
    let origin = Origin::start().await.unwrap();
    let edge = Edge::serving(&bundle(&origin.url(), change).unwrap()).unwrap();
    (origin, edge)
}

/// The URL of an API that answers a request by its path with these bytes and closes. At an empty piece it waits until the
/// gate gives up.
async fn odd_origin(pieces: fn(&str) -> Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_oddly(stream, pieces));
        }
    });
    url
}

async fn answer_oddly(mut stream: TcpStream, pieces: fn(&str) -> Vec<String>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    for piece in pieces(head.split(' ').nth(1).unwrap_or_default()) {
        if piece.is_empty() {
            let _gone = stream.read(&mut [0; 1]).await;
        }
        stream.write_all(piece.as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The status and the reason code of an answer; `allow` for one of an allowed request.
fn verdict(answer: &Answer) -> (u16, String) {
    if answer.decision() == Some("allow") {
        return (answer.status, "allow".to_owned());
    }
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, problem["reason_code"].as_str().unwrap_or_default().to_owned())
}

fn allowed() -> (u16, String) {
    (200, "allow".to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The field that gives a request this time, in Unix milliseconds, and this number, which no other request has.
fn stamp(milliseconds: i64, number: u32) -> (String, String) {
    ("x-passgate-test-stamp".to_owned(), format!("{milliseconds}.{number:020x}"))
}

fn is_kind(record: &Map<String, Value>, kind: &str) -> bool {
    record["kind"] == kind
}

/// Asserts that the ledger of a gate verifies.
async fn assert_ledger(edge: &Edge) {
    let (code, said) = edge.verify_ledger().await.unwrap();
    assert_eq!(code, 0, "{said}");
}
