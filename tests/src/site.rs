//! A gate as an operator sets it up: a folder made by `passgate init`, its configuration edited, `passgate serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use passgate_passport::key::SecretKey;
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::RequestDraft;
use crate::case::Request;
use crate::program::{self, Running};

/// The folder, and the gateway while it runs.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    port: u16,
    gateway: Mutex<Option<Running>>,
}

/// An agent's credentials as `passport issue` wrote them.
#[derive(Debug)]
pub struct Agent {
    /// The file.
    pub path: PathBuf,
    /// The passport.
    pub passport: String,
    /// The passport's id.
    pub passport_id: String,
    key: SecretKey,
}

impl Site {
    /// Makes a folder in front of `upstream`, and puts these routes and guardrails, in YAML, in the place of the example's.
    ///
    /// # Errors
    /// When a command fails.
    pub fn new(upstream: &str, routes: &str, guardrails: &str) -> Result<Self> {
        let site = Self { folder: tempfile::tempdir()?, port: program::free_port()?, gateway: Mutex::default() };
        let folder = site.folder.path().to_string_lossy().into_owned();
        program::output(Command::new(program::passgate()?).args(["init", &folder, "--upstream", upstream]), "")?;
        let path = site.config();
        let text = std::fs::read_to_string(&path)?;
        let text = text.replace("127.0.0.1:8787", &site.address().to_string());
        let text = replace_section(&text, "routes:", routes)?;
        let text = replace_section(&text, "guardrails:", guardrails)?;
        std::fs::write(&path, text)?;
        Ok(site)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.folder().join("passgate.yml")
    }

    /// Where the gate listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// A URL of the gate.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address())
    }

    /// `passgate` with these arguments, in the folder.
    ///
    /// # Errors
    /// When the binary does not build.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program::passgate()?);
        command.args(arguments).current_dir(self.folder());
        for variable in ["PASSGATE_CONFIG", "PASSGATE_CREDENTIALS", "PASSGATE_LOG"] {
            command.env_remove(variable);
        }
        Ok(command)
    }

    /// Runs `passgate` with these arguments.
    ///
    /// # Errors
    /// When it does not start.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        program::run(&mut self.command(arguments)?, "")
    }

    /// Runs `passgate` with these arguments; gives the exit code and all it said.
    ///
    /// # Errors
    /// When it does not start, or a signal ended it.
    pub fn code(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.run(arguments)?;
        let code = output.status.code().context("a signal ended it")?;
        let said = [output.stdout, output.stderr].concat();
        Ok((code, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Runs `passgate` with these arguments and gives its standard output.
    ///
    /// # Errors
    /// When its exit code is not 0.
    pub fn output(&self, arguments: &[&str]) -> Result<String> {
        program::output(&mut self.command(arguments)?, "")
    }

    /// Starts the gateway and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; with what it said.
    pub fn start(&self) -> Result<()> {
        ensure!(self.gateway().is_none(), "the gateway runs already");
        let gateway = Running::start(&mut self.command(&["serve"])?)?;
        gateway.wait_for("Ready on")?;
        *self.gateway() = Some(gateway);
        Ok(())
    }

    fn gateway(&self) -> MutexGuard<'_, Option<Running>> {
        self.gateway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the gateway without a chance to finish anything.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<()> {
        self.gateway().take().context("the gateway does not run")?.kill()
    }

    /// Asks the gateway to stop; gives its exit code.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&self) -> Result<i32> {
        self.gateway().take().context("the gateway does not run")?.terminate()
    }

    /// Issues a passport.
    ///
    /// # Errors
    /// When the command fails.
    pub fn agent(&self, agent_id: &str, permissions: &[&str]) -> Result<Agent> {
        let path = self.folder().join("agents").join(format!("{agent_id}.json"));
        let mut arguments = vec!["passport", "issue", "--issuer", "local", "--agent-id", agent_id];
        permissions.iter().for_each(|permission| arguments.extend(["--permission", permission]));
        let out = path.to_string_lossy().into_owned();
        arguments.extend(["--out", &out]);
        self.output(&arguments)?;
        Agent::load(path)
    }

    /// A request of `agent` to this gate, signed now.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn signed(&self, agent: &Agent, method: &str, target: &str, nonce: &str) -> Result<Request> {
        self.sign(agent, RequestDraft::new(method, target, &agent.passport, 0).nonce(nonce))
    }

    /// As [`Site::signed`], with a field that the proof covers.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn signed_with(&self, agent: &Agent, target: &str, nonce: &str, field: (&str, &str)) -> Result<Request> {
        self.sign(agent, RequestDraft::new("GET", target, &agent.passport, 0).nonce(nonce).header(field.0, field.1))
    }

    /// As [`Site::signed`], of a JSON document that is sent.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn signed_json(&self, agent: &Agent, target: &str, nonce: &str, body: &str) -> Result<Request> {
        self.sign(agent, RequestDraft::new("POST", target, &agent.passport, 0).nonce(nonce).json(body))
    }

    fn sign(&self, agent: &Agent, draft: RequestDraft) -> Result<Request> {
        let mut draft = draft.created(now()?);
        draft.request.host = self.address().to_string();
        draft.sign_with(&agent.key)
    }
}

impl Agent {
    fn load(path: PathBuf) -> Result<Self> {
        let credentials: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let text = |name: &str| credentials.get(name).and_then(Value::as_str).map(str::to_owned);
        let jwk = credentials.get("private_key").context("no private key")?;
        let key = SecretKey::from_private_jwk(jwk.to_string().as_bytes()).map_err(|error| anyhow!(error))?;
        Ok(Self {
            passport: text("passport").context("no passport")?,
            passport_id: text("passport_id").context("no passport id")?,
            key,
            path,
        })
    }

    /// The file's path as text.
    pub fn file(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// The present, in Unix seconds.
///
/// # Errors
/// When the clock stands before 1970.
pub fn now() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}

/// Replaces the top-level member that starts with `name`, up to the next line that is not indented.
fn replace_section(text: &str, name: &str, section: &str) -> Result<String> {
    let (mut made, mut inside, mut found) = (String::new(), false, false);
    for line in text.lines() {
        if line.starts_with(name) {
            (inside, found) = (true, true);
            made.push_str(&format!("{name}\n{section}\n"));
            continue;
        }
        inside &= line.is_empty() || line.starts_with([' ', '#']);
        if !inside {
            made.push_str(line);
            made.push('\n');
        }
    }
    ensure!(found, "the example configuration has no `{name}`");
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_replaced_whole() {
        let text = "a: 1\nroutes:\n  - x\n# note\n\n  - y\nb:\n  c: 2\n";
        assert_eq!(replace_section(text, "routes:", "  - z").unwrap(), "a: 1\nroutes:\n  - z\nb:\n  c: 2\n");
        assert!(replace_section(text, "missing:", "").is_err());
    }
}
