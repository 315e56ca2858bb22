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

/// An origin and a gate in front of it, under the usual bundle as `change` leaves it.
async fn gate(change: impl FnOnce(&mut Value)) -> (Origin, Edge) {
    let origin = Origin::start().await.unwrap();
    let edge = Edge::serving(&bundle(&origin.url(), change).unwrap()).unwrap();
    (origin, edge)
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
