//! The edge worker in workerd, with scripted time and randomness.
//!
//! One worker runs all cases: each case is a site of its own, with objects of its own. Requests come over HTTP as they
//! stand in the case, unless the runtime would change them before the worker sees them; see [`survives`].

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use passgate_api::answer::MINTED_STATUS;
use passgate_core::attest::Stamp;
use serde_json::{Value, json};

use super::{Implementation, StepResult, evaluator, minted, payload, stamp, text_member};
use crate::case::{Case, Change, Request, Step};
use crate::edge::{Build, Edge, WITHIN, read_export};
use crate::origin::Origin;
use crate::wire::Answer;

/// The worker, in front of an origin that answers 200.
#[derive(Debug)]
pub struct Workerd {
    edge: Edge,
    origin: Origin,
    sites: usize,
    /// Requests that came over HTTP.
    pub over_http: usize,
    /// Requests that were handed to the worker past the runtime's own parsing.
    pub handed_over: usize,
}

impl Workerd {
    /// Starts worker and origin.
    ///
    /// # Errors
    /// As [`Edge::start`].
    pub async fn start() -> Result<Self> {
        let (edge, origin) = (Edge::start(Build::Testing)?, Origin::start().await?);
        Ok(Self { edge, origin, sites: 0, over_http: 0, handed_over: 0 })
    }
}

#[async_trait]
impl Implementation for Workerd {
    fn name(&self) -> &'static str {
        "edge worker in workerd"
    }

    /// Every agent's records are a chain of their own, refusals before authentication and revocations are in that of the
    /// gate, and outcomes stand between decisions. So a record has another place than where one writer writes all.
    fn own_members(&self) -> &'static [&'static str] {
        &["prev", "seq"]
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        self.sites += 1;
        let site = format!("site-{}", self.sites);
        let guardrails = serde_json::to_value(&case.policy.guardrails)?;
        let shared = ["rate_limits", "spend_limits"].map(|limits| {
            let of = |name: &&str| guardrails.get(limits)?.get(name)?.as_object();
            let mut windows = ["per_gate", "per_tenant", "per_task"].iter().filter_map(of);
            windows.any(|windows| windows.values().any(|limit| !limit.is_null()))
        });
        let counts_across_agents = shared.contains(&true);
        self.edge
            .test(
                "site",
                &json!({
                    "id": site,
                    "policy": case.policy,
                    "status_lists": case.status_lists,
                    "now_ms": case.now_ms,
                    "edge": {
                        "upstream": { "url": self.origin.url() },
                        "admission": if counts_across_agents { "gate" } else { "agent" },
                        "decision_timeout_ms": 60_000,
                    },
                    "evaluator": evaluator(),
                }),
            )
            .await?;
        let mut run = Run { surface: self, site, start: stamp_text(stamp(case.now_ms, 0)) };
        let mut results = Vec::new();
        for (step, number) in case.steps.iter().zip(1..) {
            results.push(run.step(step, stamp(step.at_ms, number)).await?);
        }
        Ok(results)
    }
}

/// One case.
struct Run<'s> {
    surface: &'s mut Workerd,
    site: String,
    start: String,
}

impl Run<'_> {
    async fn step(&mut self, step: &Step, stamp: Stamp) -> Result<StepResult> {
        let script = self.script(stamp);
        match (step.change(), &step.request) {
            (Some(change), _) => self.change(change, &script).await,
            (None, Some(request)) => self.request(request, &script).await,
            (None, None) => bail!("a step is a change or a request"),
        }
    }

    /// The fields that script a step.
    fn script(&self, stamp: Stamp) -> Vec<(String, String)> {
        let fields = [("site", self.site.clone()), ("start", self.start.clone()), ("stamp", stamp_text(stamp))];
        fields.into_iter().map(|(name, value)| (format!("x-passgate-test-{name}"), value)).collect()
    }

    async fn request(&mut self, request: &Request, script: &[(String, String)]) -> Result<StepResult> {
        let reached = self.surface.origin.seen().len();
        let answer = if survives(request) {
            self.surface.over_http += 1;
            let mut request = request.clone();
            request.headers.extend_from_slice(script);
            self.surface.edge.send(&request).await?
        } else {
            self.surface.handed_over += 1;
            self.hand_over(request, script).await?
        };
        let said = String::from_utf8_lossy(&answer.body);
        let decision = answer.decision().with_context(|| format!("no decision: {} {said}", answer.status))?;
        let id = answer.attestation_id().with_context(|| format!("no record: {} {said}", answer.status))?;
        // A request that asked for a one-action pass is over with it.
        let is_forwarded = decision == "allow" && answer.status != MINTED_STATUS;
        if is_forwarded {
            self.settled(id, script).await?;
        }
        let forwarded = self.surface.origin.seen().len() - reached;
        ensure!(forwarded == usize::from(is_forwarded), "{decision}, and {forwarded} requests reached the origin");
        let record = self.payload_of("attestation_id", id, script).await?;
        result(&answer, record.context("the record is not in the ledger")?)
    }

    /// The request past the runtime's own parsing.
    async fn hand_over(&self, request: &Request, script: &[(String, String)]) -> Result<Answer> {
        let (path, query) = request.path_and_query();
        let Request { method, host, headers, body, .. } = request;
        let wire = json!({
            "method": method, "host": host, "path": path, "query": query, "headers": headers, "body": body,
        });
        self.surface.edge.control_of("POST", "/.passgate/test/decide", &wire.to_string(), script).await
    }

    async fn change(&self, change: Change<'_>, script: &[(String, String)]) -> Result<StepResult> {
        let (path, body) = (format!("/.passgate{}", change.path()), serde_json::to_string(change.subject())?);
        let answer = self.surface.edge.control_of("POST", &path, &body, script).await?;
        let said = String::from_utf8_lossy(&answer.body);
        ensure!(matches!(answer.status, 200 | 201), "{path} was answered with {}: {said}", answer.status);
        let id = text_member(&answer.body, "attestation_id")?.context("the answer names no record")?;
        let attestation = self.payload_of("attestation_id", &id, script).await?;
        Ok(StepResult { attestation: attestation.context("the change is not recorded")?, ..StepResult::default() })
    }

    /// Waits for the outcome, so that nothing of this step happens in the next.
    async fn settled(&self, id: &str, script: &[(String, String)]) -> Result<()> {
        let settled = async {
            while self.payload_of("decision_id", id, script).await?.is_none() {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(WITHIN, settled).await.context("the outcome was not recorded")?
    }

    /// The payload of the record whose member is this.
    async fn payload_of(&self, name: &str, value: &str, script: &[(String, String)]) -> Result<Option<Vec<u8>>> {
        let route = "/.passgate/v1/attestations/export?format=jsonl";
        let answer = self.surface.edge.control_of("GET", route, "", script).await?;
        ensure!(answer.status == 200, "the export was answered with {}", answer.status);
        for jws in read_export(&String::from_utf8(answer.body)?)? {
            let payload = payload(&jws)?;
            if text_member(&payload, name)?.as_deref() == Some(value) {
                return Ok(Some(payload));
            }
        }
        Ok(None)
    }
}

/// Whether the runtime shows a request to the worker as it came: it resolves dot segments as every client that goes by
/// the URL standard does before it sends, joins fields of one name, and has no body with `GET`.
fn survives(request: &Request) -> bool {
    let (path, _) = request.path_and_query();
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    let is_written_once =
        |(name, _): &(String, String)| request.headers.iter().filter(|(other, _)| other == name).count() == 1;
    !path.split('/').any(is_dots)
        && !path.contains('\\')
        && request.headers.iter().all(is_written_once)
        && (request.body.is_empty() || request.method != "GET")
}

/// A stamp as the worker's own calls write it.
fn stamp_text(stamp: Stamp) -> String {
    let digits: String = stamp.random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}.{digits}", stamp.now.0)
}

/// What the caller saw, and the reason that was recorded.
fn result(answer: &Answer, attestation: Vec<u8>) -> Result<StepResult> {
    let refused = answer.decision() != Some("allow");
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let public_code = problem.get("reason_code").and_then(Value::as_str).filter(|_| refused);
    Ok(StepResult {
        decision: answer.decision().map(str::to_owned),
        reason_code: text_member(&attestation, "reason_code")?,
        public_code: public_code.map(str::to_owned),
        status: Some(answer.status),
        action_pass: minted(answer.status, &answer.body)?,
        attestation,
    })
}
