//! The HTTP client of `call`: one request, no redirects, and what the gate said about it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use passgate_api::answer::{ATTESTATION_FIELD, CHALLENGE_FIELD, DECISION_FIELD, PROBLEM_MEDIA_TYPE};
use passgate_api::driver::ApprovalNotice;
use passgate_core::attest::DecisionKind;
use passgate_core::reason::Class;
use passgate_host::http::upstream::TrustRoots;
use serde::Deserialize;

use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::{Output, Paint};
use crate::request::Request;

/// The longest answer kept in memory, in bytes; longer ones are streamed or refused.
pub(crate) const MAX_COLLECTED_BYTES: usize = 16 * 1024 * 1024;

/// The client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

/// An answer whose body is not read yet.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The fields.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Either<Incoming, Full<Bytes>>,
}

/// What the gate said in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Its decision; absent when no gate answered.
    pub(crate) decision: Option<DecisionKind>,
    /// The reason it gave.
    pub(crate) reason_code: Option<String>,
    /// The record of the decision.
    pub(crate) attestation_id: Option<String>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// Whether the gate allowed the request and has no answer of the API behind it to give.
    pub(crate) upstream_failed: bool,
    /// The request for approval that waits for people, or that they answered.
    pub(crate) approval: Option<ApprovalNotice>,
}

/// What the types of the gate's problems with the API behind it, and with what that answered, start with.
const UPSTREAM_PROBLEMS: [&str; 2] = ["urn:passgate:problem:upstream_", "urn:passgate:problem:response_"];

/// The members of a problem document that are read here.
#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    decision: String,
    reason_code: String,
    attestation_id: Option<String>,
    approval: Option<ApprovalNotice>,
}

impl Client {
    /// A client that waits `timeout` for the header of an answer.
    pub(crate) fn new(timeout: Duration, trust_roots: &TrustRoots) -> Result<Self, Failure> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(timeout));
        let tls = trust_roots
            .client_config()
            .map_err(|error| Failure::unexpected(format_args!("TLS cannot be set up: {error}")))?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self { http: HttpClient::builder(TokioExecutor::new()).build(connector), timeout })
    }

    /// Sends `request` and returns the answer when its header is there.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let sending = self.http.request(request.to_http()?);
        let unreachable = |why: &dyn std::fmt::Display| {
            Failure::unreachable(format_args!("{} does not answer: {why}", request.authority))
                .hint("check that the gate runs and that the URL is its public_url")
        };
        match tokio::time::timeout(self.timeout, sending).await {
            Err(_) => Err(unreachable(&format_args!("nothing within {} s", self.timeout.as_secs()))),
            Ok(Err(error)) => Err(unreachable(&root_cause(&error))),
            Ok(Ok(response)) => {
                let (parts, body) = response.into_parts();
                Ok(Answer { status: parts.status, headers: parts.headers, body: Either::Left(body) })
            }
        }
    }
}

/// The innermost cause says what happened; the outer ones only where.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

impl Answer {
    /// The decision in the fields. The reason stands in the body and is added by [`Verdict::read_reason`].
    pub(crate) fn verdict(&self) -> Verdict {
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let decision = match text(DECISION_FIELD) {
            Some("allow") => Some(DecisionKind::Allow),
            Some("deny") => Some(DecisionKind::Deny),
            Some("step_up") => Some(DecisionKind::StepUp),
            _ => None,
        };
        let attestation_id = text(ATTESTATION_FIELD).map(str::to_owned);
        let status = self.status.as_u16();
        Verdict { decision, reason_code: None, attestation_id, status, upstream_failed: false, approval: None }
    }

    /// The same answer with its whole body read, at most [`MAX_COLLECTED_BYTES`], and what the gate said in it.
    pub(crate) async fn whole(self) -> Result<(Self, Verdict), Failure> {
        let (status, headers, mut verdict) = (self.status, self.headers.clone(), self.verdict());
        let body = self.collect().await?;
        verdict.read_reason(&body);
        Ok((Self { status, headers, body: Either::Right(Full::new(body)) }, verdict))
    }

    /// The challenge that a proof has to answer, when the gate refused for want of an answer.
    pub(crate) fn challenge(&self) -> Option<&str> {
        let mut asked = self.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        let is_refused =
            self.status.as_u16() == 401 && asked.any(|text| text.contains("error=\"proof_nonce_required\""));
        self.headers.get(CHALLENGE_FIELD).filter(|_| is_refused)?.to_str().ok()
    }

    /// Whether the answer may be the gate's own: it is not to an allow, or says that the API failed.
    pub(crate) fn may_be_the_gates(&self) -> bool {
        let problem = self.headers.get("content-type").is_some_and(|value| value == PROBLEM_MEDIA_TYPE);
        self.verdict().decision != Some(DecisionKind::Allow) || (self.status.is_server_error() && problem)
    }

    /// The whole body, at most [`MAX_COLLECTED_BYTES`].
    pub(crate) async fn collect(self) -> Result<Bytes, Failure> {
        let collected = Limited::new(self.body, MAX_COLLECTED_BYTES).collect().await;
        let broken = |error| Failure::unreachable(format_args!("the answer broke off or is too long: {error}"));
        collected.map(|body| body.to_bytes()).map_err(broken)
    }
}

impl Verdict {
    /// Takes the reason from the problem document of a refusal, or of an allowed request that gets no answer of the API.
    pub(crate) fn read_reason(&mut self, body: &[u8]) {
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else { return };
        if self.decision == Some(DecisionKind::Allow) {
            // The API may answer with problem documents of its own, but knows no record's id.
            self.upstream_failed = self.status >= 500
                && UPSTREAM_PROBLEMS.iter().any(|start| problem.kind.starts_with(start))
                && problem.decision == DecisionKind::Allow.as_str()
                && problem.attestation_id.is_some()
                && problem.attestation_id == self.attestation_id;
            if !self.upstream_failed {
                return;
            }
        }
        self.reason_code = Some(problem.reason_code);
        self.approval = problem.approval;
    }

    /// The exit code of this answer.
    pub(crate) fn exit(&self) -> Outcome {
        // The status stands for the class of the reason, which may be hidden from the caller.
        let class = [Class::Credential, Class::Fault].into_iter().find(|class| class.status() == self.status);
        match self.decision {
            Some(_) if self.upstream_failed => Ok(Exit::Unreachable),
            Some(decision) => Ok(Exit::of(decision, class)),
            None => {
                let message = format!("no Passgate gate answered (HTTP {})", self.status);
                Err(Failure::new(Exit::Unexpected, "no_gate", message)
                    .hint(format_args!("the answer has no `{DECISION_FIELD}` field; check the URL")))
            }
        }
    }

    /// The decision for people, on one line.
    pub(crate) fn line(&self, output: &Output) -> String {
        let word = match self.decision {
            Some(DecisionKind::Allow) => output.paint(Paint::Good, "allow"),
            Some(DecisionKind::StepUp) => output.paint(Paint::Wait, "step_up"),
            Some(DecisionKind::Deny) => output.paint(Paint::Bad, "deny"),
            None => "no decision".to_owned(),
        };
        let reason = self.reason_code.as_ref().map(|code| format!(" {}", inert(code))).unwrap_or_default();
        let record = self.attestation_id.as_ref().map(|id| format!(", {}", inert(id))).unwrap_or_default();
        format!("{word}{reason} (HTTP {}{record})", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(decision: Option<DecisionKind>, status: u16) -> Verdict {
        let attestation_id = Some("att_1".to_owned());
        Verdict { decision, reason_code: None, attestation_id, status, upstream_failed: false, approval: None }
    }

    #[test]
    fn every_kind_of_answer_has_its_exit_code() {
        for (decision, status, exit) in [
            (DecisionKind::Allow, 200, Exit::Ok),
            (DecisionKind::Allow, 500, Exit::Ok),
            (DecisionKind::StepUp, 403, Exit::StepUp),
            (DecisionKind::Deny, 403, Exit::Deny),
            (DecisionKind::Deny, 429, Exit::Deny),
            (DecisionKind::Deny, 400, Exit::Deny),
            (DecisionKind::Deny, 401, Exit::Invalid),
            (DecisionKind::Deny, 503, Exit::Unreachable),
        ] {
            assert_eq!(verdict(Some(decision), status).exit(), Ok(exit));
        }
        for status in [200, 401, 403, 503] {
            assert_eq!(verdict(None, status).exit().unwrap_err().exit, Exit::Unexpected);
        }
    }

    #[test]
    fn the_reason_comes_from_the_gates_own_documents_only() {
        let refusal = br#"{"type":"urn:x","decision":"deny","reason_code":"rate_limit_exceeded"}"#;
        let mut deny = verdict(Some(DecisionKind::Deny), 429);
        deny.read_reason(refusal);
        assert_eq!(deny.reason_code.as_deref(), Some("rate_limit_exceeded"));
        let own = r#"{"type":"urn:passgate:problem:upstream_timeout","decision":"allow","reason_code":"upstream_timeout","attestation_id":"att_1"}"#;
        let mut failed = verdict(Some(DecisionKind::Allow), 504);
        failed.read_reason(own.as_bytes());
        assert_eq!((failed.reason_code.as_deref(), failed.exit()), (Some("upstream_timeout"), Ok(Exit::Unreachable)));
        let mut withheld = verdict(Some(DecisionKind::Allow), 502);
        withheld.read_reason(own.replace("upstream_timeout", "response_pii_blocked").as_bytes());
        let reason = Some("response_pii_blocked");
        assert_eq!((withheld.reason_code.as_deref(), withheld.exit()), (reason, Ok(Exit::Unreachable)));
        for (status, body) in [
            (200, own.to_owned()),
            (504, own.replace("att_1", "att_2")),
            (504, own.replace("upstream_", "other_")),
            (504, own.replace("allow", "deny")),
            (504, "upstream_timeout".to_owned()),
        ] {
            let mut allow = verdict(Some(DecisionKind::Allow), status);
            allow.read_reason(body.as_bytes());
            assert_eq!((allow.reason_code.as_deref(), allow.exit()), (None, Ok(Exit::Ok)), "{status} {body}");
        }
    }
}
