//! Request smuggling: whatever the framing, the origin sees exactly the requests that were judged.

use tokio::task::JoinSet;

use crate::origin::{Origin, ok};
use crate::support::Gate;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: gate.example\r\n\r\n";

/// What must come of the bytes.
#[derive(Clone, Copy)]
enum Expect {
    /// A status from 400 on, and nothing judged.
    Refused,
    /// These bodies reach the origin, each in a request to `/a`.
    Bodies(&'static [&'static str]),
}

use Expect::{Bodies, Refused};

fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /a HTTP/1.1\r\nHost: gate.example\r\n{fields}\r\n\r\n{rest}").into_bytes()
}

async fn check(name: String, bytes: Vec<u8>, expect: Expect) {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let answer = gate.exchange(&bytes).await;
    let judged = gate.judged();
    let seen: Vec<_> = origin.seen().into_iter().map(|seen| (seen.method, seen.target, seen.body)).collect();
    assert_eq!(seen, judged, "{name}: the origin saw other requests than were judged; answer {answer}");
    match expect {
        Refused => {
            assert_eq!(judged, [], "{name}: {answer}");
            let refused = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5");
            assert!(refused, "{name}: {answer:?}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
        }
        Bodies(bodies) => {
            let expected: Vec<_> =
                bodies.iter().map(|body| ("POST".into(), "/a".into(), body.as_bytes().to_vec())).collect();
            assert_eq!(judged, expected, "{name}: {answer}");
        }
    }
}

async fn check_all(cases: Vec<(String, Vec<u8>, Expect)>) {
    let mut running = JoinSet::new();
    for (name, bytes, expect) in cases {
        running.spawn(check(name, bytes, expect));
    }
    while let Some(result) = running.join_next().await {
        if let Err(error) = result {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

fn fields(cases: Vec<(&str, String, Expect)>) -> Vec<(String, Vec<u8>, Expect)> {
    let case = |(fields, rest, expect): (&str, String, Expect)| (fields.to_owned(), post(fields, &rest), expect);
    cases.into_iter().map(case).collect()
}

#[tokio::test]
async fn lengths() {
    let hello = || format!("hello{SMUGGLED}");
    check_all(fields(vec![
        ("Content-Length: 5\r\nConnection: close", hello(), Bodies(&["hello"])),
        ("Content-Length:  5 \r\nConnection: close", hello(), Bodies(&["hello"])),
        ("Content-Length: 005\r\nConnection: close", hello(), Bodies(&["hello"])),
        ("Content-Length: 5\r\nContent-Length: 5\r\nConnection: close", hello(), Bodies(&["hello"])),
        ("Content-Length: 5\r\nContent-Length: 50", hello(), Refused),
        ("Content-Length: 50\r\nContent-Length: 5", hello(), Refused),
        ("Content-Length: +5", hello(), Refused),
        ("Content-Length: -5", hello(), Refused),
        ("Content-Length: 5,5", hello(), Refused),
        ("Content-Length: 5, 50", hello(), Refused),
        ("Content-Length: 5 0", hello(), Refused),
        ("Content-Length: 0x5", hello(), Refused),
        ("Content-Length: 5.0", hello(), Refused),
        ("Content-Length: 5;", hello(), Refused),
        ("Content-Length: \"5\"", hello(), Refused),
        ("Content-Length:", hello(), Refused),
        ("Content-Length: 18446744073709551621", hello(), Refused),
        ("Content-Length : 5", hello(), Refused),
        ("Content-Length\t: 5", hello(), Refused),
        ("Content-Length: 5\x0b", hello(), Refused),
        ("Content-Length: 5\r\n Content-Length: 50", hello(), Refused),
        ("X: y\r\n\tContent-Length: 5", hello(), Refused),
    ]))
    .await;
}

#[tokio::test]
async fn transfer_codings() {
    let chunked = || format!("5\r\nhello\r\n0\r\n\r\n{SMUGGLED}");
    check_all(fields(vec![
        ("Transfer-Encoding: chunked\r\nConnection: close", chunked(), Bodies(&["hello"])),
        ("Transfer-Encoding:\tChunked \r\nConnection: close", chunked(), Bodies(&["hello"])),
        ("Transfer-Encoding: xchunked", chunked(), Refused),
        ("Transfer-Encoding: chunkedx", chunked(), Refused),
        ("Transfer-Encoding: chunked, identity", chunked(), Refused),
        ("Transfer-Encoding: identity, chunked", chunked(), Refused),
        ("Transfer-Encoding: gzip, chunked", chunked(), Refused),
        ("Transfer-Encoding: chunked, chunked", chunked(), Refused),
        ("Transfer-Encoding: chunked,", chunked(), Refused),
        ("Transfer-Encoding: ,chunked", chunked(), Refused),
        ("Transfer-Encoding: \"chunked\"", chunked(), Refused),
        ("Transfer-Encoding: chunked;q=1", chunked(), Refused),
        ("Transfer-Encoding: identity", chunked(), Refused),
        ("Transfer-Encoding:", chunked(), Refused),
        ("Transfer-Encoding: \x0bchunked", chunked(), Refused),
        ("Transfer-Encoding: chunked\x0c", chunked(), Refused),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunked(), Refused),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", chunked(), Refused),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunked(), Refused),
        ("Transfer-Encoding : chunked", chunked(), Refused),
        ("Transfer-Encoding\r\n: chunked", chunked(), Refused),
        (" Transfer-Encoding: chunked", chunked(), Refused),
        ("X: y\r\n Transfer-Encoding: chunked", chunked(), Refused),
        ("X: y\rTransfer-Encoding: chunked", chunked(), Refused),
        ("X: y\0\r\nTransfer-Encoding: chunked", chunked(), Refused),
        ("X\0: y\r\nTransfer-Encoding: chunked", chunked(), Refused),
        ("Transfer-Encoding: chunked\0", chunked(), Refused),
        // Folded spellings are other fields: no body, and what follows is the next request.
        ("Transfer_Encoding: chunked\r\nConnection: close", chunked(), Bodies(&[""])),
    ]))
    .await;
}

#[tokio::test]
async fn length_beside_transfer_coding() {
    // The transfer coding wins and the connection ends with the answer (RFC 9112 section 6.3): what was meant to be
    // smuggled is never read as a request.
    let empty = || format!("0\r\n\r\n{SMUGGLED}");
    let wrapped = || format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let both = "Content-Length: 6\r\nTransfer-Encoding: chunked";
    let reversed = "Transfer-Encoding: chunked\r\nContent-Length: 6";
    check_all(fields(vec![
        (both, empty(), Bodies(&[""])),
        (reversed, empty(), Bodies(&[""])),
        (both, wrapped(), Bodies(&[SMUGGLED])),
        (reversed, wrapped(), Bodies(&[SMUGGLED])),
        ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\nContent-Length: 7", empty(), Bodies(&[""])),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5,5", empty(), Bodies(&[""])),
        ("Content-Length: 5,5\r\nTransfer-Encoding: chunked", empty(), Refused),
        ("Content-Length: 6\r\nTransfer-Encoding: xchunked", empty(), Refused),
        ("Content-Length: 6\r\nTransfer-Encoding: chunked, identity", empty(), Refused),
    ]))
    .await;
}

#[tokio::test]
async fn chunks() {
    let chunked = |rest: &str| post("Transfer-Encoding: chunked\r\nConnection: close", rest);
    let flood = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20 * 1024));
    let trailers = format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "x".repeat(20 * 1024));
    let cases = [
        ("extension", "5;a=b\r\nhello\r\n0\r\n\r\n", Bodies(&["hello"])),
        ("trailer", "5\r\nhello\r\n0\r\nPassgate-Agent: root\r\n\r\n", Bodies(&["hello"])),
        ("two chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", Bodies(&["hello"])),
        ("leading zeros", "0005\r\nhello\r\n000\r\n\r\n", Bodies(&["hello"])),
        ("long extension", flood.as_str(), Refused),
        ("long trailer", trailers.as_str(), Refused),
        ("line feed in extension", "5;a\nb\r\nhello\r\n0\r\n\r\n", Refused),
        ("prefixed size", "0x5\r\nhello\r\n0\r\n\r\n", Refused),
        ("signed size", "+5\r\nhello\r\n0\r\n\r\n", Refused),
        ("negative size", "-5\r\nhello\r\n0\r\n\r\n", Refused),
        ("empty size", "\r\nhello\r\n0\r\n\r\n", Refused),
        ("wide size", "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", Refused),
        ("wrapping size", "10000000000000005\r\nhello\r\n0\r\n\r\n", Refused),
        ("size too small", "4\r\nhello\r\n0\r\n\r\n", Refused),
        ("bare line feed after size", "5\nhello\r\n0\r\n\r\n", Refused),
        ("bare line feed after data", "5\r\nhello\n0\r\n\r\n", Refused),
        ("bare carriage return after size", "5\rhello\r\n0\r\n\r\n", Refused),
        ("ends early", "5\r\nhel", Refused),
        ("no last chunk", "5\r\nhello\r\n", Refused),
    ];
    check_all(cases.into_iter().map(|(name, rest, expect)| (name.to_owned(), chunked(rest), expect)).collect()).await;
}

#[tokio::test]
async fn request_lines_and_versions() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let cases = [
        ("transfer coding in HTTP/1.0", format!("POST /a HTTP/1.0\r\nHost: gate.example\r\n{chunked}"), Refused),
        (
            "keep-alive in HTTP/1.0",
            format!("POST /a HTTP/1.0\r\nHost: gate.example\r\nConnection: keep-alive\r\n{chunked}"),
            Refused,
        ),
        ("HTTP/0.9", "GET /a\r\n\r\n".to_owned(), Refused),
        ("HTTP/1.2", "GET /a HTTP/1.2\r\nHost: gate.example\r\n\r\n".to_owned(), Refused),
        ("HTTP/2.0", "GET /a HTTP/2.0\r\nHost: gate.example\r\n\r\n".to_owned(), Refused),
        ("lower-case version", "GET /a http/1.1\r\nHost: gate.example\r\n\r\n".to_owned(), Refused),
        ("two spaces", "GET  /a HTTP/1.1\r\nHost: gate.example\r\n\r\n".to_owned(), Refused),
        ("space in target", "GET /a /b HTTP/1.1\r\nHost: gate.example\r\n\r\n".to_owned(), Refused),
        ("tab for space", "GET\t/a HTTP/1.1\r\nHost: gate.example\r\n\r\n".to_owned(), Refused),
        ("NUL in target", "GET /a\0 HTTP/1.1\r\nHost: gate.example\r\n\r\n".to_owned(), Refused),
        ("leading space", " GET /a HTTP/1.1\r\nHost: gate.example\r\n\r\n".to_owned(), Refused),
        ("no colon", "GET /a HTTP/1.1\r\nHost: gate.example\r\nGET /b HTTP/1.1\r\n\r\n".to_owned(), Refused),
        ("empty name", "GET /a HTTP/1.1\r\nHost: gate.example\r\n: x\r\n\r\n".to_owned(), Refused),
        // A bare line feed ends a line, for the gate as for the origins that permit it (RFC 9112 section 2.2); the
        // origin gets the gate's own lines.
        (
            "bare line feeds",
            "POST /a HTTP/1.1\nHost: gate.example\nConnection: close\nContent-Length: 5\n\nhello".to_owned(),
            Bodies(&["hello"]),
        ),
        (
            "bare line feed before a coding",
            format!("POST /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\nX: y\n{chunked}{SMUGGLED}"),
            Bodies(&["hello"]),
        ),
    ];
    check_all(cases.into_iter().map(|(name, text, expect)| (name.to_owned(), text.into_bytes(), expect)).collect())
        .await;
}

#[tokio::test]
async fn pipelined_requests_are_each_judged() {
    let first = String::from_utf8(post("Content-Length: 5", "hello")).unwrap();
    let second = String::from_utf8(post("Content-Length: 5\r\nConnection: close", "there")).unwrap();
    check("pipeline".to_owned(), format!("{first}{second}").into_bytes(), Bodies(&["hello", "there"])).await;
}

#[tokio::test]
async fn trailers_and_expectations_end_at_the_gate() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let fields =
        "Transfer-Encoding: chunked\r\nTrailer: X-Late\r\nTE: trailers\r\nExpect: 100-continue\r\nConnection: close";
    gate.exchange(post(fields, "5\r\nhello\r\n0\r\nX-Late: 1\r\nPassgate-Agent: root\r\n\r\n")).await;
    let [seen] = origin.seen().try_into().unwrap();
    for name in ["x-late", "passgate-agent", "trailer", "te", "expect", "connection"] {
        assert_eq!(seen.all(name), Vec::<&str>::new(), "{name}");
    }
    assert_eq!(seen.all("content-length"), ["5"]);
    assert_eq!(seen.body, b"hello");
}
