//! Refusals as RFC 9457 problem documents, and the header fields of every answer.

use std::borrow::Cow;

use passgate_core::pipeline::{RateView, RawRequest};
use passgate_core::reason::{Class, Reason};
use passgate_passport::action_pass::ACTION_PASS_FIELD;
use passgate_passport::proof::dpop::DPOP_FIELD;
use serde::{Deserialize, Serialize};

use crate::driver::{ApprovalNotice, Minted, Refused};

/// The media type of a problem document.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// Answer field: the record of the decision.
pub const ATTESTATION_FIELD: &str = "passgate-attestation";
/// Answer field: `allow`, `deny` or `step_up`.
pub const DECISION_FIELD: &str = "passgate-decision";
/// The status of an answer with a one-action pass.
pub const MINTED_STATUS: u16 = 201;
/// The retry hint of a gate that fails closed, in seconds.
const FAULT_RETRY_SECONDS: u64 = 5;

/// A problem document, of the gate to its callers and of the control plane to operators. To a caller that is not
/// authenticated it says no more than [`Reason::public_code`]. Read from JSON, members that are missing are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
#[serde(default)]
pub struct Problem {
    /// `urn:passgate:problem:` and the public reason code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of a type.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// The public reason code.
    pub reason_code: Cow<'static, str>,
    /// `deny` or `step_up`; `allow` when an allowed request could not be carried out; absent where nothing is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Cow<'static, str>>,
    /// What it is about this one, for operators alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The record of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attestation_id: Option<String>,
    /// Seconds after which trying again can help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// The plugin whose answer this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Why, in the plugin's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_reason: Option<String>,
    /// The request for approval that waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalNotice>,
    /// What has to happen before the request can be allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Obligation>,
    /// The status of the response that is withheld.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
}

impl Problem {
    /// The problem of the type that `code` names, with nothing said beyond it.
    pub fn new(status: u16, code: &'static str, title: &'static str) -> Self {
        Self {
            kind: format!("urn:passgate:problem:{code}"),
            title: Cow::Borrowed(title),
            status,
            reason_code: Cow::Borrowed(code),
            ..Self::default()
        }
    }

    /// The document as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and integers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Something that has to happen first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct Obligation {
    /// `approval`: a person approves the action.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// Who may; empty is anybody who may approve at this gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// What a refusal asks of the proof of a request: what to cover beside its method, its target and its passport, in which
/// form, and which challenge to answer. [`passgate_passport::proof`] demands exactly that, so that a caller who signs what
/// a refusal asks for has signed enough and nothing that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToCover {
    /// `agent-action-pass`
    pub action_pass: bool,
    /// `content-digest`
    pub content_digest: bool,
    /// `content-encoding`
    pub content_encoding: bool,
    /// `content-type`
    pub content_type: bool,
    /// Whether the request has a DPoP proof, so that the refusal speaks of that form.
    pub dpop: bool,
    /// The challenge that it has to answer, where the gate asks for one.
    pub challenge: Option<String>,
}

/// The field in which a refusal gives the challenge that a message signature has to answer.
pub const CHALLENGE_FIELD: &str = "passgate-challenge";
/// RFC 9449 section 8: the same for DPoP proofs.
pub const DPOP_NONCE_FIELD: &str = "dpop-nonce";

impl ToCover {
    /// `content-digest` with a body or the field, `content-encoding`, `content-type` and `agent-action-pass` with the field.
    pub fn of(raw: &RawRequest<'_>) -> Self {
        let has = |name: &str| raw.headers.iter().any(|header| header.name == name);
        Self {
            action_pass: has(ACTION_PASS_FIELD),
            content_digest: !raw.body.is_empty() || has("content-digest"),
            content_encoding: has("content-encoding"),
            content_type: has("content-type"),
            dpop: has(DPOP_FIELD),
            challenge: None,
        }
    }

    /// And an answer to this challenge, where the gate asks for one.
    #[must_use]
    pub fn answering(self, challenge: Option<String>) -> Self {
        Self { challenge, ..self }
    }

    /// The components of the proof, as an Inner List.
    fn components(&self) -> String {
        let further = [
            (self.content_digest, " \"content-digest\""),
            (self.content_encoding, " \"content-encoding\""),
            (self.content_type, " \"content-type\""),
            (self.action_pass, " \"agent-action-pass\""),
        ];
        let further: String = further.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name).collect();
        format!("(\"@method\" \"@target-uri\" \"agent-passport\"{further})")
    }
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

/// The problem document and fields of a refusal by the gate `gate_id`. `to_cover` is that of the refused request, and the
/// default where it could not be read.
pub fn refusal(refused: &Refused, gate_id: &str, to_cover: ToCover) -> Response {
    let reason = refused.reason;
    let retry_after = refused.retry_after_seconds.or((reason.class() == Class::Fault).then_some(FAULT_RETRY_SECONDS));
    let roles = refused.plugin.as_ref().map(|plugin| plugin.roles.clone()).unwrap_or_default();
    let approval = || Obligation { kind: Cow::Borrowed("approval"), roles };
    let problem = Problem {
        decision: Some(Cow::Borrowed(refused.decision.as_str())),
        attestation_id: refused.attestation_id.clone(),
        retry_after_seconds: retry_after,
        plugin: refused.plugin.as_ref().map(|plugin| plugin.name.clone()),
        plugin_reason: refused.plugin.as_ref().map(|plugin| plugin.reason.clone()),
        approval: refused.approval.clone(),
        obligations: (reason.class() == Class::StepUp).then(approval).into_iter().collect(),
        ..Problem::new(reason.class().status(), reason.public_code(), public_title(reason))
    };
    let mut headers = vec![
        ("content-type", PROBLEM_MEDIA_TYPE.to_owned()),
        ("cache-control", "no-store".to_owned()),
        (DECISION_FIELD, refused.decision.as_str().to_owned()),
    ];
    headers.extend(refused.attestation_id.clone().map(|id| (ATTESTATION_FIELD, id)));
    headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
    headers.extend(challenge(reason, gate_id, &to_cover));
    headers.extend(rate_fields(&refused.rates));
    Response { status: problem.status, headers, body: problem.to_json() }
}

/// The answer to an allowed request that got no answer from upstream: `status` is 5xx, `code` names the failure,
/// `allowed` are the [`allow_fields`].
pub fn upstream_failure(
    status: u16,
    code: &'static str,
    title: &'static str,
    allowed: Vec<(&'static str, String)>,
) -> Response {
    instead_of_response(Problem::new(status, code, title), allowed)
}

/// The answer to an allowed request that was carried out, and whose response with the status `upstream_status` is withheld.
/// `allowed` are the [`allow_fields`].
pub fn withheld(reason: Reason, upstream_status: u16, allowed: Vec<(&'static str, String)>) -> Response {
    let problem = Problem::new(reason.class().status(), reason.public_code(), reason.title());
    instead_of_response(Problem { upstream_status: Some(upstream_status), ..problem }, allowed)
}

fn instead_of_response(problem: Problem, allowed: Vec<(&'static str, String)>) -> Response {
    let attestation_id = allowed.iter().find(|(name, _)| *name == ATTESTATION_FIELD).map(|(_, id)| id.clone());
    let problem = Problem { decision: Some(Cow::Borrowed("allow")), attestation_id, ..problem };
    let mut headers = vec![("content-type", PROBLEM_MEDIA_TYPE.to_owned()), ("cache-control", "no-store".to_owned())];
    headers.extend(allowed);
    Response { status: problem.status, headers, body: problem.to_json() }
}

/// The fields added to the upstream's answer to an allowed request.
pub fn allow_fields(attestation_id: &str, rates: &[RateView]) -> Vec<(&'static str, String)> {
    let mut headers = vec![(DECISION_FIELD, "allow".to_owned()), (ATTESTATION_FIELD, attestation_id.to_owned())];
    headers.extend(rate_fields(rates));
    headers
}

/// A one-action pass, as the caller gets it. The document is that of `docs/spec/action-pass.md`.
#[derive(Debug, Serialize)]
struct MintedDoc<'a> {
    action_pass: &'a str,
    action_sha256: &'a str,
    attestation_id: &'a str,
    expires_at: i64,
}

/// The answer to an allowed request that asked for a one-action pass. The pass is a credential, so nobody keeps it.
pub fn minted(minted: &Minted) -> Response {
    let pass = &minted.pass;
    let document = MintedDoc {
        action_pass: &pass.token,
        action_sha256: &pass.action_sha256,
        attestation_id: &minted.attestation_id,
        expires_at: pass.expires_at,
    };
    let mut headers = vec![("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
    headers.extend(allow_fields(&minted.attestation_id, &minted.rates));
    // Strings and integers always serialise.
    Response { status: MINTED_STATUS, headers, body: serde_json::to_vec(&document).unwrap_or_default() }
}

/// Reasons that share a public code share its title, so that the title gives nothing away either.
fn public_title(reason: Reason) -> &'static str {
    match reason.public_code() {
        "credential_rejected" => "The passport or its proof was not accepted.",
        "credential_missing" => "The request needs a passport and a proof of possession.",
        _ => reason.title(),
    }
}

/// RFC 9110 section 11.6.1: a 401 names how to authenticate. RFC 9421 section 5.1: and what a proof of this request has
/// to cover. One signature is asked for, since a request may carry only one.
fn challenge(reason: Reason, gate_id: &str, to_cover: &ToCover) -> Vec<(&'static str, String)> {
    if reason.class() != Class::Credential {
        return Vec::new();
    }
    let error = reason.public_code();
    // RFC 9449 section 7.1: which error it is, where the proof was of that form.
    let dpop_error = match reason {
        _ if !to_cover.dpop => "",
        Reason::ProofNonceRequired => " error=\"use_dpop_nonce\",",
        _ => " error=\"invalid_dpop_proof\",",
    };
    let mut fields = vec![
        ("www-authenticate", format!("Passport realm=\"{gate_id}\", error=\"{error}\"")),
        ("www-authenticate", format!("DPoP{dpop_error} algs=\"EdDSA Ed25519\"")),
        (
            "accept-signature",
            format!("sig1={};created;nonce;keyid;alg=\"ed25519\";tag=\"passgate\"", to_cover.components()),
        ),
    ];
    // Both are given to whoever has none: a caller that knows the challenge need not be refused again.
    if let Some(challenge) = &to_cover.challenge {
        fields.push((CHALLENGE_FIELD, challenge.clone()));
        fields.push((DPOP_NONCE_FIELD, challenge.clone()));
    }
    fields
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
    use passgate_core::state::{RateAnswer, RateWindow};
    use passgate_passport::http::{Header, HttpRequest};
    use passgate_passport::key::SecretKey;
    use passgate_passport::proof::{ProofParams, sign};

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
            plugin: None,
            approval: None,
        }
    }

    #[test]
    fn unknown_issuer_bad_signature_revoked_and_suspended_answer_the_same_bytes() {
        let answers = [
            Reason::IssuerUnknown,
            Reason::PassportSignatureInvalid,
            Reason::Revoked,
            Reason::Suspended,
            Reason::TierInsufficient,
        ]
        .map(|reason| refusal(&refused(reason), "gate_1", ToCover::default()));
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn every_reason_answers_with_its_status_and_no_detail() {
        for reason in Reason::ALL {
            let answer = refusal(&refused(*reason), "gate_1", ToCover::default());
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["status"], answer.status);
            assert_eq!(body["reason_code"], reason.public_code());
            assert!(!String::from_utf8(answer.body).unwrap().contains("internal detail"));
            let challenged = answer.headers.iter().any(|(name, _)| *name == "www-authenticate");
            assert_eq!(challenged, answer.status == 401, "{reason}");
        }
    }

    /// The components a proof of the request covers when it is signed, and those a refusal of it asks for.
    fn signed_and_asked(fields: &[(&str, &str)], body: &[u8]) -> (String, String) {
        let passport = Header { name: "agent-passport", value: b"e30.e30.AA" };
        let fields = fields.iter().map(|(name, value)| Header { name, value: value.as_bytes() });
        let headers: Vec<Header<'_>> = [passport].into_iter().chain(fields).collect();
        let (method, path, query, authority) = ("POST", "/pay", None, "gate.example");
        let http = HttpRequest { method, scheme: "https", authority, path, query, headers: &headers, body };
        let params = ProofParams { created: 1_772_366_400, nonce: "nonce-0123456789", expires: None };
        let signed = sign(&http, &SecretKey::from_seed([7; 32]), &params).unwrap().signature_input;
        let raw = RawRequest { method, authority: Some(authority), path, query, headers: &headers, body };
        let answer = refusal(&refused(Reason::ProofMissing), "gate_1", ToCover::of(&raw));
        let (_, asked) = answer.headers.into_iter().find(|(name, _)| *name == "accept-signature").unwrap();
        let list = |text: &str| text.split_once(')').unwrap().0.to_owned();
        (list(&signed), list(&asked))
    }

    #[test]
    fn a_challenge_asks_for_what_a_proof_of_the_request_has_to_cover() {
        let digest = passgate_passport::digest::content_digest(b"");
        let (kind, coding) = (("content-type", "application/json"), ("content-encoding", "gzip"));
        for (fields, body, further) in [
            (&[][..], &b""[..], ""),
            (&[][..], b"{}", " \"content-digest\""),
            (&[kind][..], b"", " \"content-type\""),
            (&[kind][..], b"{}", " \"content-digest\" \"content-type\""),
            (&[kind, coding][..], b"{}", " \"content-digest\" \"content-encoding\" \"content-type\""),
            (&[("content-digest", digest.as_str())][..], b"", " \"content-digest\""),
        ] {
            let (signed, asked) = signed_and_asked(fields, body);
            assert_eq!(asked, format!("sig1=(\"@method\" \"@target-uri\" \"agent-passport\"{further}"));
            assert_eq!(asked, signed);
        }
    }

    #[test]
    fn an_answer_says_what_is_left_of_every_counter() {
        let view = |per: &str, window: RateWindow, limit: u32, remaining: u32| RateView {
            per: per.to_owned(),
            limit,
            window,
            answer: RateAnswer { conforms: remaining > 0, remaining, reset_seconds: 60, retry_after_seconds: 20 },
        };
        let rates = vec![
            view("gate", RateWindow::Minute, 3, 0),
            view("agent", RateWindow::Hour, 100, 7),
            view("x", RateWindow::Day, 9, 9),
        ];
        let policy = "\"gate-minute\";q=3;w=60, \"agent-hour\";q=100;w=3600, \"x-day\";q=9;w=86400";
        let left = "\"gate-minute\";r=0;t=60, \"agent-hour\";r=7;t=60, \"x-day\";r=9;t=60";
        let refused =
            Refused { rates: rates.clone(), retry_after_seconds: Some(20), ..refused(Reason::RateLimitExceeded) };
        let refusal = refusal(&refused, "gate_1", ToCover::default());
        assert_eq!(refusal.status, 429);
        let field = |fields: &[(&'static str, String)], name: &str| {
            fields.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone())
        };
        assert_eq!(field(&refusal.headers, "retry-after").as_deref(), Some("20"));
        for fields in [refusal.headers, allow_fields("att_1", &rates)] {
            assert_eq!(field(&fields, "ratelimit-policy").as_deref(), Some(policy));
            assert_eq!(field(&fields, "ratelimit").as_deref(), Some(left));
        }
        assert_eq!(field(&allow_fields("att_1", &[]), "ratelimit"), None, "without a limit there is nothing to say");
    }

    #[test]
    fn a_withheld_response_is_answered_with_its_reason_and_the_record() {
        let answer = withheld(Reason::ResponsePiiBlocked, 404, allow_fields("att_1", &[]));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:passgate:problem:response_pii_blocked",
                "title": "The action was carried out; its response is withheld because it holds personal data or a secret.",
                "status": 502,
                "reason_code": "response_pii_blocked",
                "decision": "allow",
                "attestation_id": "att_1",
                "upstream_status": 404,
            })
        );
        let field = |name| answer.headers.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str());
        assert_eq!(
            (answer.status, field("cache-control"), field(DECISION_FIELD)),
            (502, Some("no-store"), Some("allow"))
        );
    }

    #[test]
    fn a_problem_reads_back_as_written_and_what_is_missing_is_empty() {
        let written = Problem { detail: Some("why".to_owned()), ..Problem::new(404, "not_found", "Not here.") };
        assert_eq!(serde_json::from_slice::<Problem>(&written.to_json()).unwrap(), written);
        assert_eq!(serde_json::from_slice::<Problem>(b"{\"error\":1}").unwrap(), Problem::default());
        let step_up = Refused { decision: DecisionKind::StepUp, ..refused(Reason::ApprovalRequired) };
        let read: Problem = serde_json::from_slice(&refusal(&step_up, "gate_1", ToCover::default()).body).unwrap();
        assert_eq!(read.decision.as_deref(), Some("step_up"));
        assert_eq!(read.obligations, [Obligation { kind: "approval".into(), roles: Vec::new() }]);
    }
}
