//! Commands that ask a gate elsewhere: a real gate's control plane behind a relay that speaks HTTP and wants a key.

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tempfile::TempDir;

use crate::support::{Served, command, finished, initialised, issued, next_request, run};

const KEY: &str = "pgk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A server on this machine, and the requests that arrived.
pub(crate) struct Elsewhere {
    pub(crate) url: String,
    requests: Receiver<String>,
}

impl Elsewhere {
    /// Answers every request with what `answer` makes of it, one connection each.
    pub(crate) fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let Some(request) = next_request(&mut stream) else { continue };
                let reply = answer(&request);
                if sender.send(request).is_err() || stream.get_mut().write_all(&reply).is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }

    /// A gate's control routes: what stands under `/.passgate` goes to the socket when the key is right.
    fn relay(socket: PathBuf) -> Self {
        Self::start(move |request| {
            if !request.contains(&format!("authorization: Bearer {KEY}\r\n")) {
                return problem("401 Unauthorized", "api_key_unknown");
            }
            let Some((method, rest)) = request.split_once(" /.passgate/") else {
                return problem("404 Not Found", "not_found");
            };
            let mut stream = UnixStream::connect(&socket).unwrap();
            let inner = format!("{method} /{rest}").replacen("\r\n", "\r\nconnection: close\r\n", 1);
            stream.write_all(inner.as_bytes()).unwrap();
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            reply
        })
    }

    /// What arrived since the last look: head and body of each request.
    pub(crate) fn arrived(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

pub(crate) fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{fields}\r\n{body}").into_bytes()
}

pub(crate) fn problem(status: &str, code: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"type":"urn:passgate:problem:{code}","title":"Refused.","status":0,"detail":"","reason_code":"{code}"}}"#
    );
    answer(status, "content-type: application/problem+json\r\n", &body)
}

/// A folder with nothing but an API key in `key`.
pub(crate) fn with_key() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_key(folder.path(), KEY);
    folder
}

fn write_key(folder: &Path, key: &str) {
    let path = folder.join("key");
    fs::write(&path, format!("{key}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// `arguments` with the flags that name the gate.
fn at<'a>(arguments: &[&'a str], url: &'a str) -> Vec<&'a str> {
    [arguments, &["--gate", url, "--api-key-file", "key"]].concat()
}

#[test]
fn the_ledger_elsewhere_is_read_like_ones_own() {
    let home = initialised();
    let _served = Served::start(home.path(), "http://127.0.0.1:9");
    let relay = Elsewhere::relay(home.path().join("state/passgate.sock"));
    let away = with_key();
    let there = |arguments: &[&str]| run(away.path(), &at(arguments, &relay.url));

    issued(home.path(), "agent-1", &["web:search"]);
    fs::copy(home.path().join("agents/agent-1.json"), away.path().join("agent.json")).unwrap();
    let revoked = there(&["--format", "json", "passport", "revoke", "agent.json"]).exits(0).json();
    assert_eq!(revoked["through"], format!("the gate at {}", relay.url));
    let id = revoked["attestation_id"].as_str().unwrap();

    for verb in ["query", "tail"] {
        let there = there(&["--format", "json", "ledger", verb]).exits(0).stdout;
        let here = run(home.path(), &["--format", "json", "ledger", verb]).exits(0).stdout;
        assert!(there.contains(id), "{verb}: {there}");
        assert_eq!(there, here, "{verb}");
    }
    there(&["ledger", "export", "-o", "export.jsonl"]).exits(0);
    let verified = there(&["--format", "json", "ledger", "verify"]).exits(0).json();
    assert!(verified["not_checked"].to_string().contains("whose the keys are"), "{verified}");
    assert!(relay.arrived().iter().any(|request| request.starts_with("GET /.passgate/v1/keys ")));

    let keys = run(home.path(), &["keys", "jwks", "keys/attestation.jwk"]).exits(0).stdout;
    fs::write(away.path().join("jwks.json"), keys).unwrap();
    let pinned = there(&["--format", "json", "ledger", "verify", "--jwks", "jwks.json"]).exits(0).json();
    assert!(!pinned["not_checked"].to_string().contains("whose the keys are"), "{pinned}");
    run(away.path(), &["ledger", "verify", "export.jsonl", "--jwks", "jwks.json"]).exits(0);
    let strangers = run(home.path(), &["keys", "jwks", "issuers/local.jwk"]).exits(0).stdout;
    fs::write(away.path().join("jwks.json"), strangers).unwrap();
    there(&["ledger", "verify", "--jwks", "jwks.json"]).exits(7);
}

#[test]
fn a_revocation_elsewhere_makes_a_passport_invalid_here() {
    let home = initialised();
    let _served = Served::start(home.path(), "http://127.0.0.1:9");
    let relay = Elsewhere::relay(home.path().join("state/passgate.sock"));
    let here = initialised();
    fs::copy(home.path().join("issuers/local.jwks.json"), here.path().join("issuers/local.jwks.json")).unwrap();
    write_key(here.path(), KEY);
    let token = issued(home.path(), "agent-1", &["web:search"]);
    let verify = || run(here.path(), &at(&["--format", "json", "passport", "verify", &token], &relay.url));
    let before = verify().exits(0).json();
    assert_eq!(before["revocation"], format!("none, checked against the gate at {}", relay.url));
    run(here.path(), &at(&["passport", "revoke", &token], &relay.url)).exits(0);
    assert_eq!(verify().exits(5).error()["code"], "revoked");
    run(here.path(), &["passport", "verify", &token]).exits(0);
}

#[test]
fn what_is_held_back_elsewhere_is_answered_from_here() {
    let (home, away) = (initialised(), with_key());
    run(away.path(), &["keys", "generate", "--out", "alice.jwk"]).exits(0);
    let set = run(away.path(), &["keys", "jwks", "alice.jwk"]).exits(0).stdout;
    fs::write(home.path().join("alice.jwks"), set).unwrap();
    let path = home.path().join("passgate.yml");
    let approvers = "\napprovals: {approvers: [{name: alice, key_file: alice.jwks}]}\n";
    fs::write(&path, fs::read_to_string(&path).unwrap() + approvers).unwrap();
    issued(home.path(), "agent-1", &["payments:*"]);
    let served = Served::start(home.path(), "http://127.0.0.1:9");
    let relay = Elsewhere::relay(home.path().join("state/passgate.sock"));
    let there = |arguments: &[&str]| run(away.path(), &at(&[&["--format", "json"], arguments].concat(), &relay.url));
    let pay = |body: &str| {
        let url = format!("{}/pay", served.url);
        run(home.path(), &["call", &url, "-d", body, "--format", "json"]).exits(4).json()["approval"].clone()
    };
    let [first, second] = ["60", "70"].map(|usd| {
        let held = pay(&format!(r#"{{"amount_usd": {usd}}}"#));
        held["request_id"].as_str().unwrap().to_owned()
    });
    assert_eq!(there(&["approvals", "list"]).exits(0).json()["approvals"].as_array().unwrap().len(), 2);
    assert_eq!(there(&["approvals", "show", &first]).exits(0).json()["state"], "pending");
    let approve = ["approvals", "approve", &first, "--key", "alice.jwk", "--as", "alice", "--yes"];
    assert_eq!(there(&approve).exits(0).json()["state"], "approved");
    assert_eq!(there(&["approvals", "deny", &second]).exits(0).json()["state"], "denied");
    assert_eq!(there(&["approvals", "withdraw", &first]).exits(0).json()["state"], "withdrawn");
    let gone = there(&["approvals", "show", "areq_01ARYZ6S410000000000000001"]).exits(1);
    assert_eq!(gone.error()["code"], "not_found");
    let posted = format!("POST /.passgate/v1/approvals/{first}/approve ");
    assert!(relay.arrived().iter().any(|request| request.starts_with(&posted)));
}

#[test]
fn a_key_that_the_gate_does_not_know_is_one() {
    let relay = Elsewhere::relay(PathBuf::from("/nowhere"));
    let folder = with_key();
    write_key(folder.path(), "pgk_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA");
    for arguments in [&["ledger", "query"][..], &["passport", "revoke", "pass_01ARYZ6S410000000000000001"]] {
        let arguments = [&["--format", "json"], arguments].concat();
        let error = run(folder.path(), &at(&arguments, &relay.url)).exits(1).error();
        assert_eq!(error["code"], "unauthorised");
        assert!(!error.to_string().contains("BBBB"), "{error}");
    }
    assert_eq!(relay.arrived().len(), 2);
}

#[test]
fn a_gate_that_does_not_answer_is_six_and_its_faults_too() {
    let folder = with_key();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failing = Elsewhere::start(|_| problem("503 Service Unavailable", "store_unavailable"));
    let silent = Elsewhere::start(|_| Vec::new());
    for url in [&nobody, &failing.url, &silent.url] {
        for arguments in [&["ledger", "query"][..], &["ledger", "verify"], &["ledger", "export"]] {
            let ended = run(folder.path(), &at(arguments, url)).exits(6);
            assert_eq!(ended.stdout, "");
        }
    }
    let gone = run(folder.path(), &at(&["ledger", "export", "-o", "x.jsonl"], &nobody)).exits(6);
    assert!(gone.stderr.contains(&nobody), "{}", gone.stderr);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a part of an export stayed");
}

#[test]
fn redirects_take_the_key_nowhere() {
    let folder = with_key();
    let other = Elsewhere::start(|_| answer("200 OK", "", "{}"));
    let location = format!("location: {}/.passgate/v1/attestations\r\n", other.url);
    let moved = Elsewhere::start(move |_| answer("307 Temporary Redirect", &location, ""));
    let ended = run(folder.path(), &at(&["ledger", "query"], &moved.url)).exits(1);
    assert!(ended.stderr.contains("redirect"), "{}", ended.stderr);
    assert!(other.arrived().is_empty());
}

#[test]
fn what_is_wrong_with_the_flags_is_said_before_anything_is_sent() {
    let folder = with_key();
    let server = Elsewhere::start(|_| answer("200 OK", "", "{}"));
    for (url, told) in [
        ("http://gate.example", "show the API key"),
        ("gate_1", "--gate-id"),
        ("https://gate.example/path", "public_url"),
        ("ftp://gate.example", "public_url"),
    ] {
        let ended = run(folder.path(), &at(&["ledger", "query"], url)).exits(1);
        assert!(ended.stderr.contains(told), "{url}: {}", ended.stderr);
    }
    let keyless = run(folder.path(), &["ledger", "query", "--gate", &server.url]).exits(1);
    assert!(keyless.stderr.contains("--api-key-file"), "{}", keyless.stderr);
    let gateless = run(folder.path(), &["ledger", "query", "--api-key-file", "key"]).exits(1);
    assert!(gateless.stderr.contains("--gate URL"), "{}", gateless.stderr);
    fs::set_permissions(folder.path().join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    run(folder.path(), &at(&["ledger", "query"], &server.url)).exits(5);
    for key in ["", "secret-text", "pgk_short"] {
        write_key(folder.path(), key);
        let ended = run(folder.path(), &at(&["ledger", "query"], &server.url)).exits(5);
        assert!(ended.stderr.contains("passgate keys api-key") && !ended.stderr.contains("secret"), "{}", ended.stderr);
    }
    assert!(server.arrived().is_empty());
}

#[test]
fn the_environment_names_gate_and_key_and_a_named_configuration_goes_first() {
    let home = initialised();
    write_key(home.path(), KEY);
    let server = Elsewhere::start(|_| answer("200 OK", "", r#"{"attestations":[],"next_cursor":null}"#));
    let ended = |arguments: &[&str]| {
        let mut program = command(home.path(), arguments);
        program.env("PASSGATE_GATE", &server.url).env("PASSGATE_API_KEY_FILE", "key");
        finished(program.output().unwrap())
    };
    ended(&["ledger", "query"]).exits(0);
    assert_eq!(server.arrived().len(), 1);
    let own = ended(&["--config", "passgate.yml", "ledger", "query"]).exits(6);
    assert!(own.stderr.contains("there is no store"), "{}", own.stderr);
    assert!(server.arrived().is_empty());
}
