//! Agents, requests and what is printed of them.

use std::path::PathBuf;
use std::time::Duration;

use passgate_core::attest::DecisionKind;
use passgate_core::state::Subject;
use passgate_host::config::Loaded;
use passgate_host::control::{Access, ExportFormat, Query, Revocation};
use passgate_host::http::upstream::TrustRoots;
use passgate_passport::delegation::RootGrant;
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_passport::proof::ProofForm;
use serde_json::{Value, json};

use super::script::{request, scopes};
use super::tools::Tools;
use crate::access;
use crate::client::{Client, Verdict};
use crate::commands::call;
use crate::commands::init::Layout;
use crate::commands::ledger::verify::{self, Located};
use crate::commands::passport::issue::{self, Order};
use crate::credentials::{AGENTS_FOLDER, Credentials};
use crate::exit::Failure;
use crate::inert::inert;
use crate::output::{Output, Paint};
use crate::request::Request;
use crate::{files, moment};

/// An agent with its credentials.
#[derive(Debug)]
pub(super) struct Actor {
    /// Its passport and key.
    pub(super) credentials: Credentials,
    /// Its passport's id.
    pub(super) passport_id: String,
    /// Its credentials file.
    pub(super) path: PathBuf,
}

/// The decision a step has to end with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// The decision.
    pub(super) decision: DecisionKind,
    /// The reason in the ledger.
    pub(super) reason: Option<&'static str>,
}

/// What came back, with the reason that the ledger knows.
#[derive(Debug)]
pub(super) struct Seen {
    verdict: Verdict,
    recorded: Option<String>,
}

impl Seen {
    pub(super) fn decision(&self) -> Option<DecisionKind> {
        self.verdict.decision
    }
}

/// Everything that the steps work with.
pub(super) struct Stage<'a> {
    output: &'a Output,
    loaded: Loaded,
    access: Access,
    client: Client,
    issuer: SecretKey,
    attestation_keys: Vec<PublicKey>,
    tools: &'a Tools,
    allowed: usize,
    step: u32,
}

impl<'a> Stage<'a> {
    /// The stage in front of a gate that runs.
    pub(super) async fn open(
        output: &'a Output,
        loaded: Loaded,
        layout: &Layout,
        tools: &'a Tools,
    ) -> Result<Self, Failure> {
        Ok(Self {
            output,
            access: access::open_own(&loaded).await?,
            client: Client::new(Duration::from_secs(30), &TrustRoots::mozilla())?,
            issuer: files::read_private_key(&layout.issuer.private)?,
            attestation_keys: vec![layout.attestation_key.clone()],
            loaded,
            tools,
            allowed: 0,
            step: 0,
        })
    }

    /// An agent with a new passport.
    pub(super) fn hire(&self, id: &str, name: &str, permissions: &[&str]) -> Result<Actor, Failure> {
        let key = moment::new_key()?;
        let issuer_id = self.loaded.gate.trust.issuers().next().map(|issuer| issuer.id.clone());
        let order = Order {
            issuer_id: issuer_id.as_deref(),
            agent_id: id,
            agent_name: Some(name),
            permissions: scopes(permissions)?,
            ttl_seconds: 86_400,
            audiences: std::slice::from_ref(&self.loaded.gate.id),
            status_list: None,
            grant: RootGrant::default(),
        };
        let issued = issue::sign(&order, &self.issuer, key.public().clone(), moment::now())?;
        let path = self.loaded.base.join(AGENTS_FOLDER).join(format!("{id}.json"));
        issue::write(&path, id, &issued, Some(&key), false)?;
        Ok(Actor { credentials: Credentials { passport: issued.token, key }, passport_id: issued.id, path })
    }

    /// The gate's URL with `target` behind it.
    pub(super) fn url(&self, target: &str) -> String {
        format!("{}{target}", self.loaded.config.gate.public_url)
    }

    /// A request signed by `agent`.
    pub(super) fn signed(
        &self,
        agent: &Actor,
        method: &str,
        target: &str,
        body: Option<&str>,
    ) -> Result<Request, Failure> {
        request(&self.url(target), method, body)?.sign(&agent.credentials, ProofForm::MessageSignature, moment::now())
    }

    /// Sends `request`, prints what came of it and compares.
    pub(super) async fn ask(&mut self, what: &str, request: &Request, expected: &Expected) -> Result<(), Failure> {
        let seen = self.look(request).await?;
        self.tell(&format!("the agent {what}"), request, &seen, expected)
    }

    /// Sends `request` without a word.
    pub(super) async fn look(&mut self, request: &Request) -> Result<Seen, Failure> {
        let (verdict, _body) = call::perform(&self.client, request).await?;
        self.allowed += usize::from(verdict.decision == Some(DecisionKind::Allow));
        let record = match &verdict.attestation_id {
            Some(id) => self.access.attestation(id).await?,
            None => None,
        };
        let recorded = record.as_ref().and_then(|record| record.get("reason_code")?.as_str()).map(str::to_owned);
        Ok(Seen { verdict, recorded })
    }

    /// Prints a step and compares.
    pub(super) fn tell(
        &mut self,
        what: &str,
        request: &Request,
        seen: &Seen,
        expected: &Expected,
    ) -> Result<(), Failure> {
        self.step += 1;
        let target = request.url();
        let target = target.strip_prefix(&self.url("")).unwrap_or(&target);
        if self.output.is_json() {
            self.output.json(json!({ "step": self.step, "what": what, "method": request.method, "target": target,
                "decision": seen.verdict.decision.map(DecisionKind::as_str), "reason_code": seen.verdict.reason_code,
                "recorded_reason_code": seen.recorded, "status": seen.verdict.status,
                "attestation_id": seen.verdict.attestation_id }))?;
        } else {
            self.output.data(&format!("\n{:2}. {what}", self.step))?;
            self.output.data(&format!("    {} {}", request.method, inert(target)))?;
            self.output.data(&format!("    {}{}", seen.verdict.line(self.output), self.recorded(seen)))?;
        }
        let as_expected =
            seen.verdict.decision == Some(expected.decision) && seen.recorded.as_deref() == expected.reason;
        if as_expected {
            return Ok(());
        }
        let reason = expected.reason.unwrap_or_default();
        Err(surprise(self.step, &format!("{} {reason}", expected.decision.as_str()), &format!("{seen:?}")))
    }

    /// What the caller is not told, and the operator finds in the ledger.
    fn recorded(&self, seen: &Seen) -> String {
        match &seen.recorded {
            Some(reason) if seen.verdict.reason_code.as_ref() != Some(reason) => {
                format!("; in the ledger: {}", inert(reason))
            }
            _ => String::new(),
        }
    }

    /// Prints a step without a request.
    fn narrate(&mut self, what: &str, members: Value, lines: &[String]) -> Result<(), Failure> {
        self.step += 1;
        if self.output.is_json() {
            let mut object = json!({ "step": self.step, "what": what });
            if let (Value::Object(object), Value::Object(members)) = (&mut object, members) {
                object.extend(members);
            }
            return self.output.json(object);
        }
        self.output.data(&format!("\n{:2}. {what}", self.step))?;
        lines.iter().try_for_each(|line| self.output.data(&format!("    {line}")))
    }

    /// Revokes through the gate's control plane.
    pub(super) async fn revoke(&mut self, agent: &Actor, what: &str) -> Result<(), Failure> {
        let name = agent.passport_id.clone();
        let record =
            self.access.revoke(&Revocation::try_from(Subject::Passport(name.clone())).map_err(Failure::usage)?).await?;
        let id = record.get("attestation_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let line = format!("revoked {name} ({id})");
        self.narrate(what, json!({ "revoked": name, "attestation_id": id }), &[line])
    }

    /// The API has to have seen the allowed requests and nothing else.
    pub(super) fn check_deeds(&mut self) -> Result<(), Failure> {
        let (seen, allowed) = (self.tools.deeds.count(), self.allowed);
        let line = format!("it saw {seen} requests; the gate allowed {allowed}");
        self.narrate("the tool API tells what reached it", json!({ "reached": seen, "allowed": allowed }), &[line])?;
        if seen == allowed {
            Ok(())
        } else {
            Err(surprise(self.step, &format!("{allowed} requests"), &seen.to_string()))
        }
    }

    /// The whole ledger as JSON lines.
    pub(super) async fn export(&self) -> Result<Vec<u8>, Failure> {
        let mut export = Vec::new();
        self.access.export(ExportFormat::Jsonl, &Query::default(), &mut export).await?;
        Ok(export)
    }

    /// Verifies an export with nothing but the attestation key.
    pub(super) fn verify_ledger(&mut self, export: &[u8]) -> Result<(), Failure> {
        let what = "the ledger is exported and verified offline";
        match verify::verify(export, &self.attestation_keys)? {
            Ok(report) => {
                let word = self.output.paint(Paint::Good, "valid");
                let lines = [format!("{word}: {} records, head {}", report.head.records, report.head.records_sha256)];
                self.narrate(what, json!({ "valid": true, "records": report.head.records }), &lines)
            }
            Err(located) => Err(surprise(self.step + 1, "a valid ledger", &located.broken.to_string())),
        }
    }

    /// Changes one byte in the signature of the record in the middle, which verification has to name.
    pub(super) fn find_flipped_byte(&mut self, export: &[u8]) -> Result<(), Failure> {
        let lines = export.split_inclusive(|byte| *byte == b'\n');
        let middle = lines.clone().count() / 2;
        let line_end: usize = lines.take(middle).map(<[u8]>::len).sum();
        let mut changed = export.to_vec();
        // Behind the signature stand `"}` and a line feed.
        let Some(byte) = line_end.checked_sub(20).and_then(|at| changed.get_mut(at)) else {
            return Err(surprise(self.step + 1, "a ledger with records", "none"));
        };
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        match verify::verify(changed.as_slice(), &self.attestation_keys)? {
            Err(Located { broken, .. }) if broken.line == middle as u64 && broken.attestation_id.is_some() => {
                let line = format!("{} at {broken}", self.output.paint(Paint::Bad, "broken"));
                let members = json!({ "valid": false, "line": broken.line, "attestation_id": broken.attestation_id });
                self.narrate("one byte of the export is changed, and verification names the record", members, &[line])
            }
            other => Err(surprise(self.step + 1, &format!("a break on line {middle}"), &format!("{other:?}"))),
        }
    }

    /// The same agent with other credentials.
    pub(super) fn with(agent: &Actor, credentials: Credentials) -> Actor {
        Actor { credentials, passport_id: agent.passport_id.clone(), path: agent.path.clone() }
    }
}

/// The same key once more.
pub(super) fn copy_key(key: &SecretKey) -> Result<SecretKey, Failure> {
    SecretKey::from_private_jwk(key.to_private_jwk().as_bytes()).map_err(Failure::unexpected)
}

fn surprise(step: u32, expected: &str, seen: &str) -> Failure {
    Failure::unexpected(format_args!("step {step} ended otherwise: expected {expected}, seen {seen}"))
        .hint("this is a defect; please report it with the output above")
}
