//! Where a request says it wants to go: targets, authorities, and attempts to leave HTTP.

use crate::origin::{Origin, ok};
use crate::support::Gate;

/// Sends one request and returns its status line and body; the origin must have seen it exactly if it was judged.
async fn outcome(gate: &Gate, origin: &Origin, request: &str) -> (u16, String) {
    let answer = gate.exchange(request).await;
    let seen: Vec<_> = origin.seen().into_iter().map(|seen| (seen.method, seen.target, seen.body)).collect();
    assert_eq!(seen, gate.judged(), "{request:?}");
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    (status, body.to_owned())
}

#[tokio::test]
async fn upgrades_and_tunnels_never_start() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA";
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: gate.example\r\n\r\n";
    let refused = [
        (format!("GET /a HTTP/1.1\r\nHost: gate.example\r\n{websocket}\r\n\r\n{smuggled}"), "Upgrade"),
        (format!("GET /a HTTP/1.1\r\nHost: gate.example\r\n{h2c}\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "Upgrade"),
        ("GET /a HTTP/1.1\r\nHost: gate.example\r\nUpgrade: foo\r\nConnection: close\r\n\r\n".into(), "Upgrade"),
        ("GET /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close, upgrade\r\n\r\n".into(), "Upgrade"),
        ("CONNECT tools.example:443 HTTP/1.1\r\nHost: tools.example:443\r\nConnection: close\r\n\r\n".into(), "Method"),
        ("TRACE /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n".into(), "Method"),
    ];
    for (request, code) in refused {
        let (status, body) = outcome(&gate, &origin, &request).await;
        assert_eq!((status, body.as_str()), (501, code), "{request}");
    }
    // Not even the requests that followed on the same connection.
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn authorities_must_be_one() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let get = |target: &str, hosts: &str| format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
    let refused = [
        (get("/a", ""), "AuthorityMissing"),
        (get("http://gate.example/a", ""), "AuthorityMissing"),
        (get("/a", "Host: gate.example\r\nHost: gate.example\r\n"), "AuthorityDuplicate"),
        (get("/a", "Host: gate.example\r\nhOST: evil.example\r\n"), "AuthorityDuplicate"),
        (get("/a", "Host: gate.example, evil.example\r\n"), "AuthorityInvalid"),
        (get("/a", "Host:\r\n"), "AuthorityInvalid"),
        (get("/a", "Host: user@gate.example\r\n"), "AuthorityInvalid"),
        (get("/a", "Host: gate.example:0\r\n"), "AuthorityInvalid"),
        (get("/a", "Host: gate.example:\r\n"), "AuthorityInvalid"),
        (get("/a", "Host: gate.example:80:80\r\n"), "AuthorityInvalid"),
        (get("/a", "Host: gate.example/x\r\n"), "AuthorityInvalid"),
        (get("/a", "Host: g\u{e4}te.example\r\n"), "AuthorityInvalid"),
        (get("http://evil.example/a", "Host: gate.example\r\n"), "AuthorityMismatch"),
        (get("http://gate.example:81/a", "Host: gate.example\r\n"), "AuthorityMismatch"),
        (get("http://user@gate.example/a", "Host: gate.example\r\n"), "AuthorityInvalid"),
        (get("https://gate.example/a", "Host: gate.example\r\n"), "TargetForm"),
    ];
    for (request, code) in refused {
        assert_eq!(outcome(&gate, &origin, &request).await, (400, code.to_owned()), "{request}");
    }
    assert_eq!(origin.connections(), 0);

    for request in [get("/a", "Host: GATE.example:80\r\n"), get("http://Gate.Example/a", "Host: gate.example\r\n")] {
        assert_eq!(outcome(&gate, &origin, &request).await, (200, "done".to_owned()), "{request}");
    }
    assert_eq!(gate.authorities(), [Some("gate.example".to_owned()), Some("gate.example".to_owned())]);
    let own = origin.address.to_string();
    for seen in origin.seen() {
        assert_eq!((seen.target.as_str(), seen.all("host")), ("/a", vec![own.as_str()]));
    }
}

#[tokio::test]
async fn only_canonical_targets_are_forwarded() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n");
    let refused = [
        "/a/..;x/b",
        "/a/%2e%2e/b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "//a",
        "/a//b",
        "/./a",
        "/a/../b",
        "/a%00",
        "/a;jsessionid=1",
        "/a%252e",
        "/a%c0%ae",
        "/a%C0%AE",
        "http://gate.example/a/../b",
        "*",
        "a",
        "gate.example:80",
        "/a\\b",
        "/a\u{e9}",
        "/a?b=%",
    ];
    for target in refused {
        assert_eq!(outcome(&gate, &origin, &get(target)).await.0, 400, "{target}");
    }
    assert_eq!(origin.connections(), 0);

    for target in ["/", "/?", "/a/b?x=%2f..%2F", "/a%20b/?q=a%00", "/a?b?c"] {
        assert_eq!(outcome(&gate, &origin, &get(target)).await.0, 200, "{target}");
        assert_eq!(origin.seen().last().unwrap().target, target);
    }
    // The parser drops a fragment before anything is judged, so what is judged and sent is the target without it.
    assert_eq!(outcome(&gate, &origin, &get("/a#/../b")).await.0, 200);
    assert_eq!(origin.seen().last().unwrap().target, "/a");
}
