//! The edge worker in workerd, with its Workers KV and its objects in a folder of its own.
//!
//! Nothing is built here: `cargo xtask worker build`, the same with `--testing` and `cargo xtask worker bench` leave what
//! is started.

mod bundle;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use passgate_api::edge::EdgeBundle;
use passgate_api::http::route::Scope;
use passgate_passport::b64;
use passgate_passport::jwk;
use passgate_passport::key::SecretKey;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

pub use bundle::{Agent, GATE_ID, bundle};

use crate::agent;
use crate::case::Request;
use crate::program;
use crate::surface::{attestation_key, payload};
use crate::wire::{Answer, exchange};

/// The key of the bundle in Workers KV.
pub const BUNDLE_KEY: &str = "bundle";
/// The seed of the key that signs bundles.
const BUNDLE_SEED: u8 = 240;
/// How long something may take to come about on a busy machine, before it counts as never.
pub const WITHIN: Duration = Duration::from_secs(60);

/// Which build to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// What is deployed.
    Release,
    /// What can be scripted.
    Testing,
    /// What can be scripted, optimised as the release is.
    Bench,
}

/// An edge worker; it ends when this is dropped.
#[derive(Debug)]
pub struct Edge {
    folder: TempDir,
    build: PathBuf,
    runtime: Mutex<Option<Runtime>>,
    /// The attestation key that took over, if one did.
    next_key: Mutex<Option<SecretKey>>,
}

#[derive(Debug)]
struct Runtime {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Build {
    fn folder(self) -> Result<PathBuf> {
        let (name, command) = match self {
            Self::Release => ("build", "cargo xtask worker build"),
            Self::Testing => ("build-testing", "cargo xtask worker build --testing"),
            Self::Bench => ("build-bench", "cargo xtask worker bench"),
        };
        let folder = program::root().join("worker").join(name);
        for file in ["index.js", "index_bg.wasm"] {
            ensure!(folder.join(file).is_file(), "{} has no {file}: run `{command}`", folder.display());
        }
        Ok(folder)
    }
}

/// The key that bundles verify with.
pub fn bundle_key() -> SecretKey {
    agent::key(BUNDLE_SEED)
}

/// An API key with every scope.
pub fn api_key() -> String {
    format!("pgk_{}", b64::encode(&[7; 32]))
}

impl Edge {
    /// Starts the worker with empty Workers KV and no objects.
    ///
    /// # Errors
    /// When the build or the tools are missing, or workerd does not start.
    pub fn start(build: Build) -> Result<Self> {
        let (folder, build) = (tempfile::tempdir()?, build.folder()?);
        let edge = Self { folder, build, runtime: Mutex::default(), next_key: Mutex::default() };
        edge.resume()?;
        Ok(edge)
    }

    /// Starts the worker with a bundle in Workers KV.
    ///
    /// # Errors
    /// As [`Edge::start`].
    pub fn serving(bundle: &EdgeBundle) -> Result<Self> {
        let edge = Self::start(Build::Testing)?;
        edge.publish(bundle)?;
        Ok(edge)
    }

    /// Starts the worker again on what it left.
    ///
    /// # Errors
    /// When it runs, or does not start.
    pub fn resume(&self) -> Result<()> {
        let mut slot = self.runtime();
        ensure!(slot.is_none(), "the worker runs already");
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut child = Command::new(program::edge_node()?)
            .arg(program::client("edge.mjs"))
            .env("PASSGATE_NPM", program::npm()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut runtime = Runtime { child, stdin, stdout, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let started = runtime.ask(&json!({ "start": {
            "build": self.build,
            "config": program::root().join("worker/wrangler.jsonc"),
            "state": self.folder.path(),
            "bindings": bindings(self.next_key.lock().unwrap_or_else(PoisonError::into_inner).as_ref()),
        }}));
        let started = started.with_context(|| format!("workerd did not start:\n{}", self.log()))?;
        let url = started.get("url").and_then(Value::as_str).context("workerd started and has no URL")?;
        runtime.address = url.trim_start_matches("http://").parse()?;
        *slot = Some(runtime);
        Ok(())
    }

    /// Ends the worker. What it wrote stays.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&self) -> Result<()> {
        let runtime = self.runtime().take();
        runtime.context("the worker does not run")?.end();
        Ok(())
    }

    /// Stops and starts it: a new isolate, new objects, the same state.
    ///
    /// # Errors
    /// As [`Edge::stop`] and [`Edge::resume`].
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.resume()
    }

    /// Starts it again with another attestation key, and the one before to hand over.
    ///
    /// # Errors
    /// As [`Edge::restart`].
    pub fn hand_over_to(&self, key: SecretKey) -> Result<()> {
        *self.next_key.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        self.restart()
    }

    /// A folder for what a test writes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens; it changes with every start.
    ///
    /// # Errors
    /// When it does not run.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.runtime().as_ref().context("the worker does not run")?.address)
    }

    /// What the worker printed so far.
    pub fn log(&self) -> String {
        std::fs::read(self.log_path()).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log.txt")
    }

    fn runtime(&self) -> MutexGuard<'_, Option<Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, order: &Value) -> Result<Value> {
        self.runtime().as_mut().context("the worker does not run")?.ask(order)
    }

    /// Puts a value into Workers KV, past the worker.
    ///
    /// # Errors
    /// When it cannot be put.
    pub fn put(&self, key: &str, value: &str) -> Result<()> {
        self.ask(&json!({ "put": { "key": key, "value": value } })).map(|_| ())
    }

    /// Deletes a value from Workers KV, past the worker.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub fn delete(&self, key: &str) -> Result<()> {
        self.ask(&json!({ "delete": { "key": key } })).map(|_| ())
    }

    /// Puts a signed bundle into Workers KV, past the worker.
    ///
    /// # Errors
    /// When no gate would take it, or it cannot be put.
    pub fn publish(&self, bundle: &EdgeBundle) -> Result<()> {
        bundle.check()?;
        self.put(BUNDLE_KEY, &bundle.sign(&bundle_key()))
    }

    /// Puts a signed bundle through the worker.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn push(&self, bundle: &EdgeBundle) -> Result<Answer> {
        self.control("PUT", "/.passgate/v1/bundle", &bundle.sign(&bundle_key())).await
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        let answer = tokio::time::timeout(WITHIN, exchange(self.address()?, request)).await;
        answer.with_context(|| format!("no answer to {} {}\n{}", request.method, request.target, self.log()))?
    }

    /// Sends a request of an operator with the API key.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn control(&self, method: &str, target: &str, body: &str) -> Result<Answer> {
        self.control_of(method, target, body, &[]).await
    }

    /// The same with further fields.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub async fn control_of(
        &self,
        method: &str,
        target: &str,
        body: &str,
        fields: &[(String, String)],
    ) -> Result<Answer> {
        let mut request = operator(method, target, body);
        request.headers.push(("authorization".to_owned(), format!("Bearer {}", api_key())));
        request.headers.extend_from_slice(fields);
        self.send(&request).await
    }

    /// Asks one of the routes for tests.
    ///
    /// # Errors
    /// When it does not succeed.
    pub async fn test(&self, route: &str, body: &Value) -> Result<Vec<u8>> {
        let answer = self.send(&operator("POST", &format!("/.passgate/test/{route}"), &body.to_string())).await?;
        let said = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "test route {route}: {} {said}", answer.status);
        Ok(answer.body)
    }

    /// Revokes, and waits for the answer.
    ///
    /// # Errors
    /// When it is not done.
    pub async fn revoke(&self, subject: &Value) -> Result<()> {
        let answer = self.control("POST", "/.passgate/v1/revocations", &subject.to_string()).await?;
        ensure!(answer.status == 201, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(())
    }

    /// The whole ledger as an export.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn export(&self) -> Result<String> {
        let answer = self.control("GET", "/.passgate/v1/attestations/export?format=jsonl", "").await?;
        let text = String::from_utf8(answer.body)?;
        ensure!(answer.status == 200, "{}: {text}", answer.status);
        Ok(text)
    }

    /// The payload of every record.
    ///
    /// # Errors
    /// When the export cannot be had or read.
    pub async fn records(&self) -> Result<Vec<Map<String, Value>>> {
        read_export(&self.export().await?)?.iter().map(|jws| Ok(serde_json::from_slice(&payload(jws)?)?)).collect()
    }

    /// Waits until the ledger has a record like this.
    ///
    /// # Errors
    /// When it never has; with what it has.
    pub async fn wait_for(
        &self,
        what: &str,
        is_it: impl Fn(&Map<String, Value>) -> bool,
    ) -> Result<Map<String, Value>> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let records = self.records().await?;
            if let Some(found) = records.iter().find(|record| is_it(record)) {
                return Ok(found.clone());
            }
            if Instant::now() > deadline {
                bail!("no record of {what} in {}\n{}", serde_json::to_string_pretty(&records)?, self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the outcome of a decision.
    ///
    /// # Errors
    /// When it is never recorded.
    pub async fn outcome_of(&self, attestation_id: &str) -> Result<Map<String, Value>> {
        let is_it =
            |record: &Map<String, Value>| record.get("decision_id").and_then(Value::as_str) == Some(attestation_id);
        self.wait_for(&format!("the outcome of {attestation_id}"), is_it).await
    }

    /// `passgate ledger verify` of the whole ledger: its exit code and what it said.
    ///
    /// # Errors
    /// When the export cannot be had, or the program does not start.
    pub async fn verify_ledger(&self) -> Result<(i32, String)> {
        let (export, keys) = (self.folder().join("export.jsonl"), self.folder().join("keys.json"));
        std::fs::write(&export, self.export().await?)?;
        std::fs::write(&keys, jwk::emit_set([attestation_key().public()]))?;
        let mut command = Command::new(program::passgate()?);
        command.args(["ledger", "verify"]).arg(&export).arg("--jwks").arg(&keys).current_dir(self.folder());
        let output = program::run(&mut command, "")?;
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().context("a signal ended it")?;
        Ok((code, String::from_utf8_lossy(&said).into_owned()))
    }
}

/// The signed records of an export, without its head.
///
/// # Errors
/// When a line is not one of an export.
pub fn read_export(export: &str) -> Result<Vec<String>> {
    let line = |line: &str| -> Result<Option<String>> {
        let line: Value = serde_json::from_str(line)?;
        Ok(line.get("jws").and_then(Value::as_str).map(str::to_owned))
    };
    export.lines().filter_map(|text| line(text).transpose()).collect()
}

/// A request that is no agent's.
fn operator(method: &str, target: &str, body: &str) -> Request {
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        host: agent::HOST.to_owned(),
        headers: Vec::new(),
        body: body.to_owned(),
    }
}

fn bindings(next_key: Option<&SecretKey>) -> Value {
    let digest: String = Sha256::digest(api_key()).iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = json!([{ "id": "tests", "sha256": digest, "scopes": Scope::ALL.map(Scope::as_str) }]);
    let first = attestation_key();
    let mut bindings = json!({
        "PASSGATE_BUNDLE_KEYS": jwk::emit_set([bundle_key().public()]),
        "PASSGATE_ATTESTATION_KEY": next_key.unwrap_or(&first).to_private_jwk().as_str(),
        "PASSGATE_API_KEYS": keys.to_string(),
    });
    if let (Some(_), Some(members)) = (next_key, bindings.as_object_mut()) {
        members.insert("PASSGATE_ATTESTATION_KEY_BEFORE".to_owned(), json!(first.to_private_jwk().as_str()));
    }
    bindings
}

impl Runtime {
    fn ask(&mut self, order: &Value) -> Result<Value> {
        let stdin = self.stdin.as_mut().context("it is ending")?;
        stdin.write_all(format!("{order}\n").as_bytes())?;
        stdin.flush()?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).context("the runtime ended")?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("{error}"),
            None => Ok(answer),
        }
    }

    /// Closes its input, which ends it and workerd with it.
    fn end(&mut self) {
        self.stdin = None;
        let deadline = Instant::now() + WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // It has ended, or it never will.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.end();
    }
}
