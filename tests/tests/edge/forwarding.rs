//! What reaches the origin, and what never does.

use std::collections::BTreeSet;

use passgate_tests::agent::HOST;
use passgate_tests::edge::Agent;
use serde_json::json;

use crate::{allowed, gate, refused, verdict};

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_sees_what_was_judged_and_nothing_of_the_gate() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-hostile", 70, &["web:*"]).unwrap();
    let body = "{\"a\": [1,  2]}\n";
    let mut draft = agent.request("POST", "/deep/%C3%A9?b=2&a=%20&empty").unwrap().json(body);
    for (name, value) in [
        ("passgate-decision", "allow"),
        ("x-passgate-agent", "root"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "elsewhere.example"),
        ("forwarded", "for=10.0.0.2"),
        ("x-real-ip", "10.0.0.3"),
        // A caller cannot set this one: the platform does, and here nobody stands in between.
        ("cf-connecting-ip", "10.0.0.4"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("proxy-authorization", "Basic YTpi"),
        ("connection", "x-listed"),
        ("x-listed", "1"),
        ("x-kept", "kept"),
        ("authorization", "Bearer of-the-origin"),
    ] {
        draft = draft.header(name, value);
    }
    let request = draft.sign().unwrap();
    let digest = request.headers.iter().find(|(name, _)| name == "content-digest").unwrap().1.clone();
    let answer = edge.send(&request).await.unwrap();
    assert_eq!(verdict(&answer), allowed());
    let seen = origin.seen().first().cloned().unwrap();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/deep/%C3%A9?b=2&a=%20&empty"));
    assert_eq!(seen.body, body);
    let reached: Vec<(&str, &str)> =
        seen.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let host = origin.address.to_string();
    let expected = [
        ("accept-encoding", "identity"),
        ("authorization", "Bearer of-the-origin"),
        // The runtime's own, of a fetch that no cache may answer.
        ("cache-control", "no-cache"),
        ("cf-worker", "worker.example.com"),
        ("content-digest", digest.as_str()),
        ("content-length", "15"),
        ("content-type", "application/json"),
        ("host", host.as_str()),
        ("pragma", "no-cache"),
        ("via", "1.1 passgate"),
        ("x-forwarded-for", "10.0.0.4"),
        ("x-forwarded-host", HOST),
        ("x-forwarded-proto", "http"),
        ("x-kept", "kept"),
    ];
    assert_eq!(BTreeSet::from_iter(reached), BTreeSet::from(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_is_refused_with_and_without_a_length() {
    let (origin, edge) = gate(|document| document["edge"]["max_body_bytes"] = json!(1000)).await;
    let agent = Agent::new("agent-large", 71, &["web:*"]).unwrap();
    let body = |length: usize| format!("\"{}\"", "a".repeat(length - 2));
    let request = agent.request("POST", "/large").unwrap().json(&body(1000)).sign().unwrap();
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), allowed());

    let request = agent.request("POST", "/large").unwrap().json(&body(1001)).sign().unwrap();
    assert_eq!(verdict(&edge.send(&request).await.unwrap()), refused(413, "body_too_large"));

    let mut chunked = agent.request("POST", "/large").unwrap().json(&body(1001)).sign().unwrap();
    let (whole, size) = (std::mem::take(&mut chunked.body), 1001);
    chunked.headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
    let answer = chunked_exchange(&edge, &chunked, &format!("{size:x}\r\n{whole}\r\n0\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(origin.seen().len(), 1);
}

/// Sends a head, then a body in chunks, and gives the first line of the answer and what comes with it.
async fn chunked_exchange(
    edge: &passgate_tests::edge::Edge,
    head: &passgate_tests::case::Request,
    body: &str,
) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(edge.address().unwrap()).await.unwrap();
    let mut text = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", head.method, head.target, head.host);
    head.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = tokio::time::timeout(passgate_tests::edge::WITHIN, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_below_the_gates_own_prefix_is_forwarded() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-prefix", 72, &["web:*"]).unwrap();
    for target in [
        "/.passgate/",
        "/.passgate/v1/keys",
        "/.passgate/v1/attestations",
        "/.passgate/v1/none",
        "/.passgate/elsewhere?x=/",
        "/a/../.passgate/elsewhere",
        "/%2e/.passgate/elsewhere",
        "/%2Epassgate/v1/keys",
        "//.passgate/v1/keys",
        "/.passgate%2Fv1",
    ] {
        let request = agent.request("GET", target).unwrap().sign().unwrap();
        let answer = edge.send(&request).await.unwrap();
        assert_ne!(answer.decision(), Some("allow"), "{target}");
    }
    let mut request = agent.request("GET", "/search").unwrap().sign().unwrap();
    request.target = format!("http://{HOST}/.passgate/v1/none");
    assert_ne!(edge.send(&request).await.unwrap().decision(), Some("allow"));
    let reached = origin.seen().iter().map(|seen| seen.target.clone()).collect::<Vec<_>>();
    assert_eq!(reached, Vec::<String>::new());
}

/// There are no plugins at the edge, for whoever holds an API key as for everybody else.
#[tokio::test(flavor = "multi_thread")]
async fn the_routes_of_plugins_are_unknown() {
    let (_origin, edge) = gate(|_| ()).await;
    for (method, target) in [("GET", "list"), ("PUT", "list"), ("DELETE", "list"), ("GET", "")] {
        let target = format!("/.passgate/v1/plugins/shops/keys/{target}");
        assert_eq!(edge.control(method, &target, "").await.unwrap().status, 404, "{method} {target}");
    }
}

/// What the runtime cannot send as it was judged is refused before anything is consumed.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_as_judged_is_refused() {
    let (origin, edge) = gate(|_| ()).await;
    let agent = Agent::new("agent-unsendable", 72, &["web:*"]).unwrap();
    let apostrophe = agent.request("GET", "/search?q=it's").unwrap().sign().unwrap();
    assert_eq!(verdict(&edge.send(&apostrophe).await.unwrap()), refused(400, "path_not_canonical"));
    let body = agent.request("GET", "/search?q=its").unwrap().json("{}").sign().unwrap();
    assert_eq!(verdict(&edge.send(&body).await.unwrap()), refused(400, "request_malformed"));
    assert!(origin.seen().is_empty());
}
