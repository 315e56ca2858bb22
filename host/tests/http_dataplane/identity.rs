//! Header fields that a client must not be able to set at the origin, and an origin not at the client.

use crate::origin::{Origin, Step, ok};
use crate::support::Gate;

#[tokio::test]
async fn clients_cannot_speak_for_the_gate() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let fields = [
        "Passgate-Agent: root",
        "passgate_agent: root",
        "PASSGATE.AGENT: root",
        "Passgate_Decision.Id: allow",
        "Agent-Passport: x",
        "agent_passport: x",
        "Signature: sig1=:AA==:",
        "signature.input: x",
        "Signature_Input: x",
        "X-Forwarded-For: 10.0.0.1",
        "X_Forwarded_For: 10.0.0.1",
        "X.Forwarded.User: root",
        "Forwarded: for=10.0.0.1",
        "X-Real-IP: 10.0.0.1",
        "X_Real_Ip: 10.0.0.1",
        "X-HTTP-Method-Override: DELETE",
        "x_http_method_override: DELETE",
        "X-Method.Override: DELETE",
        "X-Original-URL: /admin",
        "X_Rewrite_Url: /admin",
        "Proxy-Authorization: Basic x",
        "Keep-Alive: timeout=9",
        "Content_Type: text/evil",
        "Content.Length: 0",
        "Transfer_Encoding: chunked",
        "HTTP_HOST: kept.example",
    ];
    let request = format!(
        "GET /a HTTP/1.1\r\nHost: gate.example\r\n{}\r\nX-Fine: 1\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n",
        fields.join("\r\n")
    );
    assert!(gate.exchange(request).await.starts_with("HTTP/1.1 200"));
    let [seen] = origin.seen().try_into().unwrap();
    let mut left: Vec<(String, &str)> =
        seen.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
    left.sort();
    let host = origin.address.to_string();
    let expected = [
        ("content-type", "text/plain"),
        ("host", host.as_str()),
        ("http_host", "kept.example"),
        ("via", "1.1 passgate"),
        ("x-fine", "1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "gate.example"),
        ("x-forwarded-proto", "http"),
    ];
    assert_eq!(left, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[tokio::test]
async fn connection_cannot_remove_what_the_gate_relies_on() {
    let origin = Origin::start(|_| ok("done")).await;
    let gate = Gate::before(&origin).await;
    let get = |connection: &str| {
        format!("GET /a HTTP/1.1\r\nHost: gate.example\r\nX-Hop: 1\r\nConnection: close, {connection}\r\n\r\n")
    };
    for listed in ["passgate-agent", "Agent-Passport", "content-length", "host", "X_Forwarded_For", "authorization"] {
        let answer = gate.exchange(get(listed)).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.ends_with("ConnectionNamesProtected"),
            "{listed}: {answer}"
        );
    }
    assert_eq!(origin.connections(), 0);
    assert!(gate.exchange(get("X-Hop")).await.starts_with("HTTP/1.1 200"));
    assert_eq!(origin.seen()[0].all("x-hop"), Vec::<&str>::new());
}

#[tokio::test]
async fn origins_cannot_speak_for_the_gate() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nPassgate-Decision: deny\r\npassgate_attestation: x\r\nRateLimit: x\r\n\
                  Alt-Svc: h3=\":443\"\r\nX-Hop: 1\r\nConnection: X-Hop\r\nProxy-Authenticate: Basic\r\nX-Kept: 1\r\n\
                  Set-Cookie: passgate_console=1\r\nSet-Cookie: theirs=1\r\n\r\ndone";
    let origin = Origin::start(move |_| vec![Step::Send(answer.into())]).await;
    let gate = Gate::before(&origin).await;
    let received = gate.exchange("GET /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n").await;
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    let mut fields: Vec<&str> = head.split("\r\n").skip(1).filter(|line| !line.starts_with("date: ")).collect();
    fields.sort_unstable();
    let expected =
        ["connection: close", "content-length: 4", "passgate-decision: allow", "set-cookie: theirs=1", "x-kept: 1"];
    assert_eq!(fields, expected);
    assert_eq!(body, "done");
}
