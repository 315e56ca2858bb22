//! How fast the texts of a body are searched for personal data and secrets, beside a parse of the same body.

use std::hint::black_box;
use std::time::Instant;

use passgate_core::pii::{Classes, find, find_with_context};
use serde_json::Value;

const BODY_BYTES: usize = 1 << 20;
const ROUNDS: usize = 20;

fn main() -> anyhow::Result<()> {
    let body = body();
    let value: Value = serde_json::from_slice(body.as_bytes())?;
    println!("{} bytes of JSON, the fastest of {ROUNDS} rounds", body.len());
    let parse = measure("serde_json::from_slice::<Value>", body.len(), || {
        black_box(serde_json::from_slice::<Value>(black_box(body.as_bytes())).is_ok());
    });
    let search = measure("every name and value searched", body.len(), || {
        black_box(walk("", black_box(&value)));
    });
    println!("  a search takes {search} us where a parse takes {parse}");
    println!("found in it: {}", walk("", &value));
    println!("texts of one kind");
    for (name, unit) in [
        ("prose", "The quick brown fox jumps over the lazy dog. "),
        ("prose in Greek", "\u{39e}\u{3b5}\u{3c3}\u{3ba}\u{3b5}\u{3c0}\u{3ac}\u{3b6}\u{3c9} "),
        ("nine digits", "123456789 "),
        ("cards", "4111111111111111 "),
        ("base64 of bytes", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"),
        ("percent escapes", "%34"),
        ("hashes", "9fceb02d0ae598e95dc970b74767f19372d61af8 "),
    ] {
        let text = unit.repeat(BODY_BYTES / unit.len());
        measure(name, text.len(), || {
            black_box(find(black_box(&text), Classes::ALL).len());
        });
    }
    Ok(())
}

/// Prints how many bytes a second are worked on, and gives the microseconds of the fastest round.
fn measure(name: &str, bytes: usize, mut work: impl FnMut()) -> u128 {
    let mut fastest = u128::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work();
        fastest = fastest.min(start.elapsed().as_nanos());
    }
    let megabytes = bytes as u128 * 1_000 / fastest.max(1);
    println!("  {name:34} {megabytes:5} MB/s");
    fastest / 1_000
}

/// A list of orders such as an API takes.
fn body() -> String {
    let mut body = String::from("{\"data\":[");
    for number in 1.. {
        if body.len() >= BODY_BYTES {
            break;
        }
        if number > 1 {
            body.push(',');
        }
        let order = serde_json::json!({
            "id": format!("550e8400-e29b-41d4-a716-44665544{number:04x}"), "created": 1_706_700_000 + number,
            "amount": number, "currency": "EUR", "status": "shipped", "tags": ["gift", "express"],
            "note": "Left with a neighbour, second floor; rang twice and waited for five minutes.",
            "url": format!("https://api.example.com/v1/orders/{number}?expand=items"),
            "items": [{ "sku": format!("AB-{number:06}"), "quantity": 2, "price": "19.99" }],
        });
        body.push_str(&order.to_string());
    }
    body.push_str("]}");
    body
}

fn walk(name: &str, value: &Value) -> usize {
    match value {
        Value::String(text) => find_with_context(text, name, Classes::ALL).len(),
        Value::Number(number) => find_with_context(&number.to_string(), name, Classes::ALL).len(),
        Value::Array(items) => items.iter().map(|item| walk(name, item)).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| find(name, Classes::ALL).len() + walk(name, value)).sum()
        }
        Value::Null | Value::Bool(_) => 0,
    }
}
