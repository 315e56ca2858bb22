//! Running the program in a folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use passgate_passport::issue::{NewPassport, issue};
use passgate_passport::key::SecretKey;
use passgate_passport::scope::Scope;
use serde_json::Value;
use tempfile::TempDir;

/// The id that `init` gives its issuer.
pub(crate) const ISSUER: &str = "https://issuer.passgate.example";

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The exit code was this.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {}", self.stdout));
        assert_eq!(value["schema_version"], 1);
        value
    }

    /// The error on stderr, in JSON.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {}", self.stderr));
        assert_eq!(value["schema_version"], 1);
        assert!(value["error"]["message"].is_string());
        value["error"].clone()
    }
}

/// The program, with none of the caller's settings.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passgate"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let own = ["CONFIG", "CREDENTIALS", "LOG", "GATE", "API_KEY_FILE"].map(|name| format!("PASSGATE_{name}"));
    for variable in own.iter().map(String::as_str).chain(["NO_COLOR", "RUST_LOG"]) {
        command.env_remove(variable);
    }
    command.env("XDG_CONFIG_HOME", folder.join("no-such-folder")).env("HOME", folder.join("no-such-home"));
    command
}

/// Runs the program to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Run {
    finished(command(folder, arguments).output().unwrap())
}

/// Runs the program with `input` on stdin.
pub(crate) fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Run {
    let mut child = command(folder, arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    finished(child.wait_with_output().unwrap())
}

pub(crate) fn finished(output: Output) -> Run {
    Run {
        code: output.status.code().expect("ended by a signal"),
        stdout: String::from_utf8(output.stdout).expect("stdout is no UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is no UTF-8"),
    }
}

/// A folder after `init`.
pub(crate) fn initialised() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init"]).exits(0);
    folder
}

/// Issues a passport with the permissions and returns it; its credentials are in `agents/ID.json`.
pub(crate) fn issued(folder: &Path, agent: &str, permissions: &[&str]) -> String {
    let mut arguments = vec!["passport", "issue", "--issuer", "local", "--agent-id", agent, "--permission"];
    arguments.extend(permissions);
    run(folder, &arguments).exits(0);
    let file = fs::read(folder.join(format!("agents/{agent}.json"))).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    file["passport"].as_str().unwrap().to_owned()
}

/// The key of the issuer that `init` made.
pub(crate) fn issuer_key(folder: &Path) -> SecretKey {
    SecretKey::from_private_jwk(fs::read(folder.join("issuers/local.jwk")).unwrap().trim_ascii()).unwrap()
}

/// A passport in the issuer's name, from `iat` to `exp`, signed with `key`.
pub(crate) fn passport(key: &SecretKey, iat: i64, exp: i64) -> String {
    let bound_to = SecretKey::from_seed([4; 32]).public().clone();
    let permissions = vec![Scope::parse("web:search").unwrap()];
    let id = "pass_01ARYZ6S410000000000000001".to_owned();
    let mut new = NewPassport::new(id, "agent-1".to_owned(), bound_to, permissions, iat, exp);
    new.iss = Some(ISSUER.to_owned());
    issue(key, &new).unwrap()
}

/// The present in Unix seconds.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// An API that answers every request with the same bytes, and reports each one.
pub(crate) struct Origin {
    pub(crate) url: String,
    requests: Receiver<String>,
}

impl Origin {
    /// Starts one; it ends with the test.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    while let Some(request) = next_request(&mut stream) {
                        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nx-tool: 1\r\n\r\n\u{1b}[2Jhello\r\n";
                        if sender.send(request).is_err() || stream.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, requests }
    }

    /// What arrived since the last look: head and body of each request.
    pub(crate) fn arrived(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

pub(crate) fn next_request(stream: &mut BufReader<impl Read>) -> Option<String> {
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        request.push_str(&line);
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(request + &String::from_utf8(body).unwrap())
}

/// A running `passgate serve`.
pub(crate) struct Served {
    child: Child,
    pub(crate) url: String,
    pub(crate) table: String,
}

impl Served {
    /// Serves the folder's configuration on a free port in front of `upstream`.
    pub(crate) fn start(folder: &Path, upstream: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let path = folder.join("passgate.yml");
        let config = fs::read_to_string(&path).unwrap();
        let line = |start: &str, value: &str| {
            let old = config.lines().find(|line| line.trim_start().starts_with(start)).unwrap().to_owned();
            let indent = old.len() - old.trim_start().len();
            (old, format!("{}{start} \"{value}\"", " ".repeat(indent)))
        };
        let changes =
            [line("public_url:", &format!("http://{address}")), line("listen:", &address), line("url:", upstream)];
        let changed = changes.iter().fold(config.clone(), |text, (old, new)| text.replacen(old.as_str(), new, 1));
        fs::write(&path, changed).unwrap();
        Self::again(folder)
    }

    /// Serves the configuration as it is, and waits until it is ready.
    pub(crate) fn again(folder: &Path) -> Self {
        let mut child = command(folder, &["serve"]).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut table = String::new();
        while !table.lines().last().unwrap_or_default().starts_with("Ready on ") {
            assert_ne!(stderr.read_line(&mut table).unwrap(), 0, "serve ended: {table}");
        }
        // Read on, so that the log never fills the pipe.
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let url = table.lines().last().unwrap().trim_start_matches("Ready on ").to_owned();
        Self { child, url, table }
    }

    /// Asks it to stop with the signal, and gives its exit code.
    pub(crate) fn stop(mut self, signal: &str) -> i32 {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        self.child.wait().unwrap().code().expect("ended by the signal itself")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// A folder whose gate was served once, so that there is a store.
pub(crate) fn served_once() -> TempDir {
    let folder = initialised();
    let served = Served::start(folder.path(), "http://127.0.0.1:9");
    assert_eq!(served.stop("-TERM"), 0);
    folder
}
