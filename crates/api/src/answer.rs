//! Refusals as RFC 9457 problem documents, and the header fields of every answer.

use passgate_core::pipeline::RateView;
use passgate_core::reason::{Class, Reason};
use serde::Serialize;

use crate::driver::{Forward, Refused};

/// The media type of a problem document.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// Answer field: the record of the decision.
pub const ATTESTATION_FIELD: &str = "passgate-attestation";
/// Answer field: `allow`, `deny` or `step_up`.
pub const DECISION_FIELD: &str = "passgate-decision";
/// The retry hint of a gate that fails closed, in seconds.
const FAULT_RETRY_SECONDS: u64 = 5;

/// A problem document. To a caller that is not authenticated it says no more than [`Reason::public_code`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `urn:passgate:problem:` and the public reason code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of a type.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The public reason code.
    pub reason_code: &'static str,
    /// `deny` or `step_up`; `allow` when an allowed request could not be carried out.
    pub decision: &'static str,
    /// The record of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation_id: Option<String>,
    /// Seconds after which trying again can help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// What has to happen before the request can be allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Obligation>,
}

/// Something that has to happen first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obligation {
    /// `approval`: a person approves the action.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// An answer without its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The problem document and fields of a refusal by the gate `gate_id`.
pub fn refusal(refused: &Refused, gate_id: &str) -> Response {
    let reason = refused.reason;
    let retry_after = refused.retry_after_seconds.or((reason.class() == Class::Fault).then_some(FAULT_RETRY_SECONDS));
    let problem = Problem {
        kind: format!("urn:passgate:problem:{}", reason.public_code()),
        title: public_title(reason),
        status: reason.class().status(),
        reason_code: reason.public_code(),
        decision: refused.decision.as_str(),
        attestation_id: refused.attestation_id.clone(),
        retry_after_seconds: retry_after,
        obligations: if reason.class() == Class::StepUp { vec![Obligation { kind: "approval" }] } else { Vec::new() },
    };
    let mut headers = vec![
        ("content-type", PROBLEM_MEDIA_TYPE.to_owned()),
        ("cache-control", "no-store".to_owned()),
        (DECISION_FIELD, refused.decision.as_str().to_owned()),
    ];
    headers.extend(refused.attestation_id.clone().map(|id| (ATTESTATION_FIELD, id)));
    headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
    headers.extend(challenge(reason, gate_id));
    headers.extend(rate_fields(&refused.rates));
    // Strings and integers always serialise.
    Response { status: problem.status, headers, body: serde_json::to_vec(&problem).unwrap_or_default() }
}

/// The answer to an allowed request that got no answer from upstream: `status` is 5xx, `code` names the failure,
/// `allowed` are the [`allow_fields`].
pub fn upstream_failure(
    status: u16,
    code: &'static str,
    title: &'static str,
    allowed: Vec<(&'static str, String)>,
) -> Response {
    let attestation_id = allowed.iter().find(|(name, _)| *name == ATTESTATION_FIELD).map(|(_, id)| id.clone());
    let problem = Problem {
        kind: format!("urn:passgate:problem:{code}"),
        title,
        status,
        reason_code: code,
        decision: "allow",
        attestation_id,
        retry_after_seconds: None,
        obligations: Vec::new(),
    };
    let mut headers = vec![("content-type", PROBLEM_MEDIA_TYPE.to_owned()), ("cache-control", "no-store".to_owned())];
    headers.extend(allowed);
    Response { status, headers, body: serde_json::to_vec(&problem).unwrap_or_default() }
}

/// The fields added to the upstream's answer to an allowed request.
pub fn allow_fields(forward: &Forward) -> Vec<(&'static str, String)> {
    let mut headers = vec![(DECISION_FIELD, "allow".to_owned()), (ATTESTATION_FIELD, forward.attestation_id.clone())];
    headers.extend(rate_fields(&forward.rates));
    headers
}

/// Reasons that share a public code share its title, so that the title gives nothing away either.
fn public_title(reason: Reason) -> &'static str {
    match reason.public_code() {
        "credential_rejected" => "The passport or its proof was not accepted.",
        "credential_missing" => "The request needs a passport and a proof of possession.",
        _ => reason.title(),
    }
}

/// RFC 9110 section 11.6.1: a 401 names how to authenticate. RFC 9421 section 5.1: and what a proof has to cover.
fn challenge(reason: Reason, gate_id: &str) -> Vec<(&'static str, String)> {
    if reason.class() != Class::Credential {
        return Vec::new();
    }
    let error = reason.public_code();
    vec![
        ("www-authenticate", format!("Passport realm=\"{gate_id}\", error=\"{error}\"")),
        (
            "accept-signature",
            "sig1=(\"@method\" \"@target-uri\" \"agent-passport\");created;nonce;keyid;alg=\"ed25519\";tag=\"passgate\"".to_owned(),
        ),
    ]
}

/// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11), as Lists of Strings.
fn rate_fields(rates: &[RateView]) -> Vec<(&'static str, String)> {
    if rates.is_empty() {
        return Vec::new();
    }
    let join = |item: fn(&RateView) -> String| rates.iter().map(item).collect::<Vec<_>>().join(", ");
    vec![
        (
            "ratelimit-policy",
            join(|r| format!("\"{}-{}\";q={};w={}", r.per, r.window.name(), r.limit, r.window.seconds())),
        ),
        (
            "ratelimit",
            join(|r| {
                format!("\"{}-{}\";r={};t={}", r.per, r.window.name(), r.answer.remaining, r.answer.reset_seconds)
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use passgate_core::attest::DecisionKind;

    fn refused(reason: Reason) -> Refused {
        Refused {
            decision: DecisionKind::Deny,
            reason,
            detail: "internal detail".to_owned(),
            attestation_id: Some("att_1".to_owned()),
            rates: Vec::new(),
            retry_after_seconds: None,
            agent_id: None,
            action: None,
        }
    }

    #[test]
    fn unknown_issuer_bad_signature_and_revoked_answer_the_same_bytes() {
        let answers =
            [Reason::IssuerUnknown, Reason::PassportSignatureInvalid, Reason::Revoked, Reason::TierInsufficient]
                .map(|reason| refusal(&refused(reason), "gate_1"));
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn every_reason_answers_with_its_status_and_no_detail() {
        for reason in Reason::ALL {
            let answer = refusal(&refused(*reason), "gate_1");
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["status"], answer.status);
            assert_eq!(body["reason_code"], reason.public_code());
            assert!(!String::from_utf8(answer.body).unwrap().contains("internal detail"));
            let challenged = answer.headers.iter().any(|(name, _)| *name == "www-authenticate");
            assert_eq!(challenged, answer.status == 401, "{reason}");
        }
    }
}
