//! What goes over the border, as `ts/types.ts` has it.

use passgate_api::answer::Response;
use passgate_api::driver::Refused;
use passgate_core::approval::ApprovalRequest;
use passgate_core::attest::{BudgetOutcome, OutcomeRecord, OutcomeResult, ReconciliationRecord, Stamp};
use passgate_core::pipeline::RawRequest;
use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_passport::http::Header;
use passgate_passport::jwe::Seed;
use serde::{Deserialize, Serialize};

use super::Pending;
use crate::passport::milliseconds;

/// When a record is made, and its random bits.
///
/// # Errors
///
/// When they are not 10 bytes, or the time is none.
pub(super) fn stamp(now: f64, random: &[u8]) -> Result<Stamp, String> {
    let bits = random.try_into().map_err(|_| format!("{} random bytes; give 10", random.len()))?;
    Ok(Stamp { now: UnixMillis(milliseconds(now)?), random: bits })
}

/// What keys are made from.
///
/// # Errors
///
/// When it is not 32 bytes.
pub(super) fn seed(random: &[u8]) -> Result<Seed, String> {
    let bytes = random.try_into().map(Seed::new);
    bytes.map_err(|_| format!("{} random bytes; give {}", random.len(), Seed::BYTES))
}

/// A record that waits for its signature.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToSign<'a> {
    attestation_id: &'a str,
    signing_input: &'a str,
    /// Of the one-action pass that the decision mints, if it does.
    pass_signing_input: Option<&'a str>,
}

impl<'a> ToSign<'a> {
    pub(super) fn of(pending: &'a Pending, pass_signing_input: Option<&'a str>) -> Self {
        let Pending { attestation_id, signing_input, .. } = pending;
        Self { attestation_id, signing_input, pass_signing_input }
    }
}

/// A request without its body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestDoc {
    method: String,
    authority: Option<String>,
    path: String,
    query: Option<String>,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl RequestDoc {
    pub(super) fn headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect()
    }

    pub(super) fn raw<'a>(&'a self, headers: &'a [Header<'a>], body: &'a [u8]) -> RawRequest<'a> {
        RawRequest {
            method: &self.method,
            authority: self.authority.as_deref(),
            path: &self.path,
            query: self.query.as_deref(),
            headers,
            body,
        }
    }
}

/// What is revoked.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum SubjectDoc {
    Passport { id: String },
    Agent { issuer: String, agent_id: String },
    Key { thumbprint: String },
    Issuer { id: String },
    Approval { id: String },
}

impl From<SubjectDoc> for Subject {
    fn from(subject: SubjectDoc) -> Self {
        match subject {
            SubjectDoc::Passport { id } => Self::Passport(id),
            SubjectDoc::Agent { issuer, agent_id } => Self::Agent { issuer, agent_id },
            SubjectDoc::Key { thumbprint } => Self::Key(thumbprint),
            SubjectDoc::Issuer { id } => Self::Issuer(id),
            SubjectDoc::Approval { id } => Self::Approval(id),
        }
    }
}

/// What became of an allowed request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OutcomeDoc {
    result: OutcomeResult,
    status: Option<u16>,
    #[serde(default)]
    duration_ms: u64,
    #[serde(default)]
    request_bytes: u64,
    #[serde(default)]
    response_bytes: u64,
    response_sha256: Option<String>,
}

impl OutcomeDoc {
    /// What becomes of what was charged.
    pub(super) fn budget(&self) -> BudgetOutcome {
        self.result.budget()
    }

    /// `budget` is what became of what was charged, if anything was.
    pub(super) fn into_record(self, budget: Option<BudgetOutcome>) -> OutcomeRecord {
        OutcomeRecord {
            budget,
            duration_ms: self.duration_ms,
            request_bytes: self.request_bytes,
            response: None,
            response_bytes: self.response_bytes,
            response_sha256: self.response_sha256,
            result: self.result,
            status: self.status,
        }
    }
}

/// What became of a request whose outcome was not known.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReconciliationDoc {
    pub(super) decision_id: String,
    carried_out: bool,
    note: Option<String>,
}

impl ReconciliationDoc {
    pub(super) fn into_record(self) -> Result<(String, ReconciliationRecord), String> {
        let budget = if self.carried_out { BudgetOutcome::Committed } else { BudgetOutcome::Released };
        let record = ReconciliationRecord { budget, note: self.note };
        match record.problem() {
            Some(problem) => Err(format!("reconciliation: {problem}")),
            None => Ok((self.decision_id, record)),
        }
    }
}

/// What becomes of a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    decision: &'static str,
    attestation_id: String,
    reason_code: Option<&'static str>,
    detail: Option<String>,
    /// The gate's own answer; `null` when the request goes upstream.
    response: Option<ResponseDoc>,
    /// The fields that an allowed request's answer gets.
    headers: Vec<(&'static str, String)>,
    /// What goes upstream in place of the body. `null` when it is the body itself.
    body: Option<String>,
    /// What to ask people. `null` when nobody can approve the request, or need not.
    approval: Option<ApprovalAsked>,
}

/// A request for approval.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApprovalAsked {
    request_id: String,
    /// What they are shown, byte by byte: an approval is of its SHA-256.
    shown: String,
    expires_at: i64,
}

#[derive(Serialize)]
pub(super) struct ResponseDoc {
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// JSON text.
    body: String,
}

impl From<Response> for ResponseDoc {
    fn from(Response { status, headers, body }: Response) -> Self {
        Self { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

impl Answer {
    pub(super) fn with_body(self, body: Option<Vec<u8>>) -> Self {
        Self { body: body.map(|body| String::from_utf8_lossy(&body).into_owned()), ..self }
    }

    /// An allow with a one-action pass, whose answer is made when the pass is signed. Until then there is one that allows
    /// nothing.
    pub(super) fn minting(attestation_id: &str) -> Self {
        let response = Some(ResponseDoc { status: 503, headers: Vec::new(), body: String::new() });
        Self { response, ..Self::allowed(attestation_id, Vec::new()) }
    }

    pub(super) fn allowed(attestation_id: &str, headers: Vec<(&'static str, String)>) -> Self {
        let attestation_id = attestation_id.to_owned();
        Self {
            decision: "allow",
            attestation_id,
            reason_code: None,
            detail: None,
            response: None,
            headers,
            body: None,
            approval: None,
        }
    }

    pub(super) fn refused(refused: &Refused, request: Option<ApprovalRequest>, response: Response) -> Self {
        Self {
            decision: refused.decision.as_str(),
            attestation_id: refused.attestation_id.clone().unwrap_or_default(),
            reason_code: Some(refused.reason.code()),
            detail: Some(refused.detail.clone()),
            response: Some(response.into()),
            headers: Vec::new(),
            body: None,
            approval: request.map(|ApprovalRequest { id, shown, expires_at, .. }| ApprovalAsked {
                request_id: id,
                shown,
                expires_at,
            }),
        }
    }
}
