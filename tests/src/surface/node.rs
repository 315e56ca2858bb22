//! Evaluators that scripts run: the gate component in Node.js, which `jco` made a JavaScript module, and the npm package in Node.js and
//! in Chromium. The hosts are `tests/clients/component_surface.mjs` and `npm_surface.mjs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, anyhow, ensure};
use async_trait::async_trait;
use passgate_core::ledger::MAX_RECORD_BYTES;
use passgate_passport::jws::{self, TokenType};
use serde::Deserialize;
use serde_json::{Value, json};

use super::native::started;
use super::{Implementation, StepResult, attestation_key, evaluator, text_member};
use crate::case::Case;
use crate::program;

/// The script, which runs one case after another; ended when dropped.
#[derive(Debug)]
pub struct Node {
    name: &'static str,
    child: Child,
    jobs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Node {
    /// Starts the host of the portable component.
    ///
    /// # Errors
    /// When something is not set up or built, or the script does not start.
    pub fn component() -> Result<Self> {
        let mut command = Command::new(program::edge_node()?);
        command
            .arg(program::client("component_surface.mjs"))
            .arg(program::gate_component("passgate-gate.wasm")?)
            .env("PASSGATE_JCO", program::jco()?);
        Self::start("component in Node.js under jco", command)
    }

    /// Starts the npm package in Node.js.
    ///
    /// # Errors
    /// As [`Node::component`].
    pub fn npm_package() -> Result<Self> {
        Self::npm("npm package in Node.js", "node")
    }

    /// Starts the npm package in Chromium.
    ///
    /// # Errors
    /// As [`Node::component`].
    pub fn npm_package_in_chromium() -> Result<Self> {
        Self::npm("npm package in Chromium", "chromium")
    }

    fn npm(name: &'static str, runtime: &str) -> Result<Self> {
        program::npm_package()?;
        let mut command = Command::new(program::edge_node()?);
        command.arg(program::client("npm_surface.mjs")).arg(runtime);
        Self::start(name, command)
    }

    fn start(name: &'static str, mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let jobs = Some(child.stdin.take().context("no standard input")?);
        let answers = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { name, child, jobs, answers })
    }

    fn ask(&mut self, job: &Value) -> Result<Vec<Answered>> {
        let jobs = self.jobs.as_mut().context("the script was ended")?;
        writeln!(jobs, "{job}").context("the script ended; its standard error says why")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the script ended without an answer; its standard error says why");
        match serde_json::from_str(&line)? {
            Line::Steps(steps) => Ok(steps),
            Line::Error(error) => Err(anyhow!(error)),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // At the end of its input it ends by itself, and its browser with it.
        drop(self.jobs.take());
        let _ended = self.child.wait();
    }
}

/// What the script answers to a job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Steps(Vec<Answered>),
    Error(String),
}

/// What became of one step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    jws: String,
    decision: Option<String>,
    status: Option<u16>,
    public_code: Option<String>,
    action_pass: Option<String>,
}

#[async_trait]
impl Implementation for Node {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        let key = attestation_key();
        let private: Value = serde_json::from_str(&key.to_private_jwk())?;
        let kid = key.public().thumbprint();
        let started = started(case)?;
        let job = json!({ "case": case, "evaluator": evaluator(), "key": private, "kid": kid, "started": started });
        self.ask(&job)?.into_iter().map(result).collect()
    }
}

/// The step with its record, whose signature holds.
fn result(answered: Answered) -> Result<StepResult> {
    let Answered { jws, decision, status, public_code, action_pass } = answered;
    let record = jws::decode(&jws, TokenType::Attestation, MAX_RECORD_BYTES)?;
    let attestation = record.verify(attestation_key().public())?.into_payload();
    let reason_code = text_member(&attestation, "reason_code")?;
    Ok(StepResult { decision, reason_code, public_code, status, action_pass, attestation })
}
