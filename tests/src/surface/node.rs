//! The gate component under Node.js, which `jco` made a JavaScript module. The host is `tests/clients/component_surface.mjs`.

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

/// The script, which runs one case after another; killed when dropped.
#[derive(Debug)]
pub struct Node {
    child: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Node {
    /// Starts the script with the portable component.
    ///
    /// # Errors
    /// When something is not set up or built, or the script does not start.
    pub fn start() -> Result<Self> {
        let mut child = Command::new(program::edge_node()?)
            .arg(program::client("component_surface.mjs"))
            .arg(program::gate_component("passgate-gate.wasm")?)
            .env("PASSGATE_JCO", program::jco()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let jobs = child.stdin.take().context("no standard input")?;
        let answers = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, jobs, answers })
    }

    fn ask(&mut self, job: &Value) -> Result<Vec<Answered>> {
        writeln!(self.jobs, "{job}").context("the script ended; its standard error says why")?;
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
        // It may have ended by itself.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
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
}

#[async_trait]
impl Implementation for Node {
    fn name(&self) -> &'static str {
        "component in Node.js under jco"
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
    let Answered { jws, decision, status, public_code } = answered;
    let record = jws::decode(&jws, TokenType::Attestation, MAX_RECORD_BYTES)?;
    let attestation = record.verify(attestation_key().public())?.into_payload();
    let reason_code = text_member(&attestation, "reason_code")?;
    Ok(StepResult { decision, reason_code, public_code, status, attestation })
}
