//! Gates behind TLS: `call` and the control routes, with the public authorities and with one's own.

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::remote::with_key;
use crate::support::{initialised, issued, next_request, run};

/// A server for `localhost` that gives every request the same bytes; its certificate is written to `ca.pem`.
fn start(folder: &Path, reply: &'static str) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            // A client that does not trust the certificate ends the handshake.
            if next_request(&mut stream).is_some() {
                let _ = stream.get_mut().write_all(reply.as_bytes());
                stream.get_mut().conn.send_close_notify();
                let _ = stream.get_mut().flush();
            }
        }
    });
    url
}

const ALLOWED: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\npassgate-decision: allow\r\n\r\nhello";
const PAGE: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 38\r\nconnection: close\r\n\r\n{\"attestations\":[],\"next_cursor\":null}";

#[test]
fn call_trusts_public_authorities_or_those_that_are_named() {
    let folder = initialised();
    issued(folder.path(), "agent-1", &["web:search"]);
    let url = start(folder.path(), ALLOWED);
    let stranger = run(folder.path(), &["call", &url]).exits(6);
    assert!(stranger.stderr.contains("certificate"), "{}", stranger.stderr);
    let trusted = run(folder.path(), &["call", &url, "--ca-file", "ca.pem"]).exits(0);
    assert_eq!(trusted.stdout.trim_end(), "hello");
    run(folder.path(), &["call", &url, "--ca-file", "passgate.yml"]).exits(1);
    // The certificate names another host.
    run(folder.path(), &["call", &url.replace("localhost", "127.0.0.1"), "--ca-file", "ca.pem"]).exits(6);
}

#[test]
fn control_routes_are_asked_over_tls() {
    let folder = with_key();
    let url = start(folder.path(), PAGE);
    let query = ["ledger", "query", "--gate", &url, "--api-key-file", "key"];
    let stranger = run(folder.path(), &query).exits(6);
    assert!(stranger.stderr.contains("certificate"), "{}", stranger.stderr);
    run(folder.path(), &[&query[..], &["--ca-file", "ca.pem"]].concat()).exits(0);
}
