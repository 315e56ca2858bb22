//! Step 1: a request with one reading, or a refusal.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::action_pass::ACTION_PASS_FIELD;
use passgate_passport::approval::APPROVAL_FIELD;
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::proof::PASSPORT_FIELD;

use crate::attest::{AgentRecord, DecisionKind, DecisionRecord, RequestRecord, RevocationCheck, StatusListRecord};
use crate::gate::Gate;
use crate::path;
use crate::reason::Reason;
use crate::time::UnixMillis;

/// The most field lines a request may have.
pub const MAX_HEADERS: usize = 100;
/// How much of a path is recorded.
pub const MAX_RECORDED_PATH_BYTES: usize = 512;

/// A request as the network side received it.
#[derive(Debug, Clone, Copy)]
pub struct RawRequest<'a> {
    /// The method, case kept.
    pub method: &'a str,
    /// Host field, `:authority` or authority of an absolute target, in lower case without the default port.
    pub authority: Option<&'a str>,
    /// The path as received.
    pub path: &'a str,
    /// The query as received, without `?`.
    pub query: Option<&'a str>,
    /// All field lines with lower-case names.
    pub headers: &'a [Header<'a>],
    /// The whole body.
    pub body: &'a [u8],
}

/// A request with one reading. Only [`parse`] makes it.
#[derive(Debug, Clone, Copy)]
pub struct Parsed<'a> {
    pub(super) http: HttpRequest<'a>,
}

/// A deny before judgement: what to answer and what to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The reason in full, for the gate's own log; never sent to the caller.
    pub detail: String,
    agent: Option<Box<AgentRecord>>,
    request: Box<RequestRecord>,
    status_list: Option<Box<StatusListRecord>>,
}

/// Reads `raw` for `gate` at `now`.
///
/// In this order: the policy may still be relied on (`policy_stale`), field count (`header_invalid`), canonical path and
/// query (`path_not_canonical`), host (`host_mismatch`), method override (`method_override`), at most one passport and
/// one action pass (`header_invalid`).
///
/// # Errors
///
/// The first of these that fails.
pub fn parse<'a>(gate: &'a Gate, raw: &RawRequest<'a>, now: UnixMillis) -> Result<Parsed<'a>, Refusal> {
    let checked = check_policy(gate, now).and_then(|()| check(gate, raw));
    checked.map_err(|(reason, detail)| Refusal::early(raw.method, raw.path, reason, detail))?;
    let http = HttpRequest {
        method: raw.method,
        scheme: &gate.origin.scheme,
        authority: &gate.origin.authority,
        path: raw.path,
        query: raw.query,
        headers: raw.headers,
        body: raw.body,
    };
    Ok(Parsed { http })
}

/// Under a policy that may since have been replaced nothing is decided, not even what is wrong with a request.
fn check_policy(gate: &Gate, now: UnixMillis) -> Result<(), (Reason, String)> {
    match gate.policy_freshness {
        Some(freshness) if freshness.is_over(now) => {
            let detail = alloc::format!("the policy was good until {}; it is {}", freshness.good_until, now.seconds());
            Err((Reason::PolicyStale, detail))
        }
        _ => Ok(()),
    }
}

fn check(gate: &Gate, raw: &RawRequest<'_>) -> Result<(), (Reason, String)> {
    if raw.headers.len() > MAX_HEADERS {
        return Err((
            Reason::HeaderInvalid,
            alloc::format!("{} field lines; at most {MAX_HEADERS}", raw.headers.len()),
        ));
    }
    path::check(raw.path, raw.query).map_err(|error| (Reason::PathNotCanonical, error.to_string()))?;
    if raw.authority != Some(gate.origin.authority.as_str()) {
        let seen = raw.authority.unwrap_or("(none)");
        return Err((Reason::HostMismatch, alloc::format!("host `{seen}`; this gate is `{}`", gate.origin.authority)));
    }
    if overrides_method(raw) {
        return Err((Reason::MethodOverride, "the query or form body has a `_method` field".to_owned()));
    }
    let more_than_once = |field: &&str| raw.headers.iter().filter(|header| header.name == *field).count() > 1;
    match [PASSPORT_FIELD, ACTION_PASS_FIELD, APPROVAL_FIELD].into_iter().find(more_than_once) {
        Some(field) => Err((Reason::HeaderInvalid, alloc::format!("more than one `{field}` field"))),
        None => Ok(()),
    }
}

/// Frameworks take the method from a `_method` field; the decision would then be about another method.
fn overrides_method(raw: &RawRequest<'_>) -> bool {
    let has = |pairs: &[u8]| form_urlencoded::parse(pairs).any(|(name, _)| name == "_method");
    if has(raw.query.unwrap_or_default().as_bytes()) {
        return true;
    }
    let content_type =
        raw.headers.iter().find(|header| header.name == "content-type").map(|header| header.value.to_ascii_lowercase());
    match content_type {
        Some(kind) if kind.starts_with(b"application/x-www-form-urlencoded") => has(raw.body),
        Some(kind) if kind.starts_with(b"multipart/") => contains(raw.body, b"_method"),
        _ => false,
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

impl Refusal {
    /// A refusal of a request that has no reading yet.
    pub fn early(method: &str, path: &str, reason: Reason, detail: String) -> Self {
        Self { reason, detail, agent: None, request: Box::new(request_record(method, path)), status_list: None }
    }

    /// A fault of the evaluator itself, as a deny.
    pub fn fault(method: &str, path: &str, detail: String) -> Self {
        Self::early(method, path, Reason::InternalError, detail)
    }

    pub(super) fn of(parsed: &Parsed<'_>, reason: Reason, detail: String, agent: Option<AgentRecord>) -> Self {
        Self { agent: agent.map(Box::new), ..Self::early(parsed.http.method, parsed.http.path, reason, detail) }
    }

    /// The agent, when its passport was verified before the refusal.
    pub fn agent(&self) -> Option<&AgentRecord> {
        self.agent.as_deref()
    }

    pub(super) fn with_status_list(self, consulted: Option<StatusListRecord>) -> Self {
        Self { status_list: consulted.map(Box::new), ..self }
    }

    /// The decision to attest, as made at `now`.
    pub fn record(&self, gate: &Gate, now: UnixMillis) -> DecisionRecord {
        DecisionRecord {
            agent: self.agent.as_deref().cloned(),
            decision: DecisionKind::Deny,
            reason: Some(self.reason),
            evaluator: gate.evaluator.clone(),
            guardrails: Vec::new(),
            not_checked: Vec::new(),
            plugins: Vec::new(),
            policy: gate.policy_record(now),
            request: RequestRecord {
                path: gate.shown_path(&self.request.path).into_owned(),
                ..self.request.as_ref().clone()
            },
            revocation: RevocationCheck::NotChecked,
            status_list: self.status_list.as_deref().cloned(),
        }
    }
}

fn request_record(method: &str, path: &str) -> RequestRecord {
    RequestRecord { method: cut(method, 32), path: cut(path, MAX_RECORDED_PATH_BYTES), ..RequestRecord::default() }
}

pub(super) fn cut(text: &str, bytes: usize) -> String {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default().to_owned()
}
