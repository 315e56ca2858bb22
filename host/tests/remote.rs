//! A gate that runs elsewhere, asked over HTTP: what is sent, and what is made of every answer.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use passgate_host::control::{Access, AccessError, ClientError, ControlClient, ExportFormat, Query, RemoteGate};
use passgate_host::gateway::ErrorClass;
use passgate_host::http::upstream::TrustRoots;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const KEY: &str = "pgk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const EMPTY_PAGE: &str = r#"{"attestations":[],"next_cursor":null}"#;

fn client(url: &str) -> ControlClient {
    ControlClient::remote(RemoteGate::new(url, KEY, TrustRoots::mozilla()).unwrap()).unwrap()
}

fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n{body}", body.len()).into_bytes()
}

fn problem(status: &str, code: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"type":"urn:passgate:problem:{code}","title":"T.","status":0,"detail":"D.","reason_code":"{code}"}}"#
    );
    answer(status, "content-type: application/problem+json\r\n", &body)
}

/// A server that gives every request the same bytes and closes the connection.
struct Server {
    url: String,
    heads: Receiver<String>,
}

impl Server {
    fn start(reply: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, heads) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") {
                    let mut line = String::new();
                    if stream.read_line(&mut line).unwrap() == 0 {
                        break;
                    }
                    length = line.strip_prefix("content-length: ").map_or(length, |n| n.trim().parse().unwrap());
                    head.push_str(&line);
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let seen = sender.send(head + &String::from_utf8(body).unwrap());
                // A client that refuses the answer hangs up.
                let _ = stream.get_mut().write_all(&reply);
                if seen.is_err() {
                    return;
                }
            }
        });
        Self { url, heads }
    }
}

#[tokio::test]
async fn requests_go_to_the_gates_own_routes_with_the_key() {
    let server = Server::start(answer("200 OK", "", EMPTY_PAGE));
    let query = Query { agent_id: Some("a b".to_owned()), ..Query::default() };
    client(&server.url).query(&query).await.unwrap();
    let head = server.heads.recv().unwrap();
    assert!(head.starts_with("GET /.passgate/v1/attestations?agent_id=a+b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("authorization: Bearer {KEY}\r\n")), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", server.url.trim_start_matches("http://"))), "{head}");
}

#[tokio::test]
async fn bundles_and_lists_are_put_as_they_are() {
    let server = Server::start(answer("200 OK", "", r#"{"version":7}"#));
    let said = client(&server.url).put_bundle("a.b.c").await.unwrap();
    assert_eq!(said["version"], 7);
    let head = server.heads.recv().unwrap();
    assert!(head.starts_with("PUT /.passgate/v1/bundle HTTP/1.1\r\n") && head.ends_with("\r\n\r\na.b.c"), "{head}");
    assert!(head.contains("content-type: application/jwt\r\n"), "{head}");
    client(&server.url).put_status_list("d.e.f").await.unwrap();
    let head = server.heads.recv().unwrap();
    assert!(head.starts_with("PUT /.passgate/v1/status-lists HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/statuslist+jwt\r\n") && head.ends_with("d.e.f"), "{head}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::start(answer("200 OK", "", EMPTY_PAGE));
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: {}/\r\n", elsewhere.url);
        let server = Server::start(answer(status, &location, ""));
        let error = client(&server.url).query(&Query::default()).await.unwrap_err();
        assert!(matches!(&error, ClientError::Redirected { location, .. } if location.starts_with(&elsewhere.url)));
        assert_eq!(AccessError::from(error).class(), ErrorClass::Unexpected);
    }
    assert!(elsewhere.heads.try_recv().is_err(), "the key went elsewhere");
}

#[tokio::test]
async fn refusals_say_whose_fault_it_is() {
    for (status, code, class) in [
        ("401 Unauthorized", "api_key_unknown", ErrorClass::Unexpected),
        ("403 Forbidden", "scope_missing", ErrorClass::Unexpected),
        ("409 Conflict", "bundle_older", ErrorClass::Unexpected),
        ("503 Service Unavailable", "store_unavailable", ErrorClass::Unreachable),
    ] {
        let server = Server::start(problem(status, code));
        let error = client(&server.url).query(&Query::default()).await.unwrap_err();
        assert!(matches!(&error, ClientError::Refused { code: told, .. } if told == code), "{error}");
        assert!(error.to_string().contains("T. D."), "{error}");
        assert_eq!(AccessError::from(error).class(), class);
    }
}

#[tokio::test]
async fn only_a_gate_can_say_that_a_record_is_not_there() {
    let gate = Server::start(problem("404 Not Found", "not_found"));
    assert_eq!(client(&gate.url).attestation("att_1").await.unwrap(), None);
    let other = Server::start(answer("404 Not Found", "content-type: text/html\r\n", "<h1>404</h1>"));
    let error = client(&other.url).attestation("att_1").await.unwrap_err();
    assert!(error.to_string().contains("no gate's"), "{error}");
}

#[tokio::test]
async fn what_breaks_off_or_is_no_answer_is_an_error() {
    for reply in [
        Vec::new(),
        b"nonsense\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"attestations\":[".to_vec(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"att\r\n".to_vec(),
        answer("200 OK", "", "[]"),
        answer("200 OK", "", ""),
    ] {
        let server = Server::start(reply.clone());
        let gate = client(&server.url);
        let error = gate.query(&Query::default()).await.unwrap_err();
        assert!(matches!(error, ClientError::Exchange(_)), "{error} {reply:?}");
    }
    let half = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"jws\r\n".to_vec();
    let server = Server::start(half);
    let mut written = Vec::new();
    let export = client(&server.url).export(ExportFormat::Jsonl, &Query::default(), &mut written).await;
    assert!(matches!(export, Err(ClientError::Exchange(_))));
}

#[tokio::test]
async fn an_answer_without_end_is_refused() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(130 * 1024 * 1024, b' ');
    let server = Server::start(endless);
    let error = client(&server.url).query(&Query::default()).await.unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gate = RemoteGate::new(&url, KEY, TrustRoots::mozilla()).unwrap();
    let Err(error) = Access::remote(gate).unwrap().query(&Query::default()).await else { panic!("somebody answered") };
    assert!(matches!(error, AccessError::Client(ClientError::Unreachable { .. })), "{error}");
    assert_eq!(error.class(), ErrorClass::Unreachable);
    assert!(error.to_string().contains(&url), "{error}");
}

/// A TLS server for `localhost` that answers everything with an empty page, and the certificate that vouches for it.
async fn tls_server() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            if stream.read(&mut head).await.is_ok() {
                let _ = stream.write_all(&answer("200 OK", "", EMPTY_PAGE)).await;
            }
        }
    });
    (url, made.cert.pem())
}

#[tokio::test]
async fn https_needs_a_certificate_that_somebody_trusted_vouches_for() {
    let (url, certificate) = tls_server().await;
    let stranger = client(&url).query(&Query::default()).await.unwrap_err();
    assert!(matches!(&stranger, ClientError::Unreachable { why, .. } if why.contains("certificate")), "{stranger}");
    let roots = TrustRoots::from_pem(certificate.as_bytes()).unwrap();
    let trusted = ControlClient::remote(RemoteGate::new(&url, KEY, roots).unwrap()).unwrap();
    assert!(trusted.query(&Query::default()).await.unwrap().attestations.is_empty());
}
