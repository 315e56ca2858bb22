//! Step 8, continued: what of a response goes back to the agent.
//!
//! The host reads a response as far as [`Gate::response_rules`] want it and asks what becomes of it. What an agent gets
//! is the response as it came, the same without what was taken out of its body, or none. Header fields are not looked
//! at.

use alloc::string::String;
use alloc::vec::Vec;

use passgate_passport::http::Header;
use passgate_passport::json;
use sha2::{Digest as _, Sha256};

use super::decide::{Evidence, record};
use super::pii::{self, Content};
use crate::attest::{EvidenceValue, GuardrailOutcome, GuardrailRecord, ResponseRecord, sha256_label};
use crate::gate::{Gate, PiiControls};
use crate::reason::Reason;
use crate::route::{self, MAX_JSON_BODY_BYTES};

/// What the response to one request is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRules {
    pii: Option<PiiControls>,
    records: Option<RecordsRule>,
    max_bytes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RecordsRule {
    pointer: String,
    most: u64,
}

/// The head of a response.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The status.
    pub status: u16,
    /// The fields, names in lower case.
    pub headers: &'a [Header<'a>],
}

/// How much of a response has to be read before [`ResponseRules::judge`] is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToRead {
    /// It has no body, so nothing is asked and it goes back as it is.
    Nothing,
    /// All, if that is no more than so many bytes.
    Whole(usize),
    /// Nothing: its head says that it cannot be looked at.
    Unreadable,
}

/// A response held against its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedResponse {
    /// What goes back.
    pub verdict: ResponseVerdict,
    /// What the record of the outcome says.
    pub record: ResponseRecord,
}

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseVerdict {
    /// The response as it came.
    AsItCame,
    /// The response with this body. What its fields say of the other one is not true of it.
    Changed(Vec<u8>),
    /// Nothing of it.
    Withheld(Reason),
}

impl Gate {
    /// What the response to a request is held against, if to anything: the guardrails, and the records that its route
    /// and its passport permit ([`Judged::max_records`](super::Judged::max_records)).
    pub fn response_rules(&self, method: &str, path: &str, max_records: Option<u64>) -> Option<ResponseRules> {
        let controls = &self.guardrails.responses;
        let route = self.routes.iter().find(|route| route.matches(method, path));
        let records = route.and_then(|route| route.response_records.as_ref()).and_then(|declared| {
            let most = declared.max_records.into_iter().chain(max_records).min()?;
            Some(RecordsRule { pointer: declared.pointer.clone(), most })
        });
        let is_looked_at = controls.pii.is_some() || records.is_some();
        is_looked_at.then_some(ResponseRules { pii: controls.pii.clone(), records, max_bytes: controls.max_bytes })
    }
}

impl ResponseRules {
    /// How much of a response with this head has to be read.
    pub fn to_read(&self, head: &ResponseHead<'_>) -> ToRead {
        if head.method == "HEAD" || matches!(head.status, 100..200 | 204 | 304) {
            return ToRead::Nothing;
        }
        match head.content_type() {
            Some(_) => ToRead::Whole(usize::try_from(self.max_bytes).unwrap_or(usize::MAX)),
            None => ToRead::Unreadable,
        }
    }

    /// Whether a body may go back otherwise than it came, or not at all: then a head that comes without it says nothing
    /// of it, such as a digest by which what it holds could be guessed.
    pub fn hides(&self) -> bool {
        self.pii.as_ref().is_some_and(|pii| !pii.taken_out().union(pii.block).is_empty())
    }

    /// Holds a response against the rules. `body` is the whole; without it the response cannot be looked at, because of its
    /// head, or because it is too long or did not end in time.
    pub fn judge(&self, head: &ResponseHead<'_>, body: Option<&[u8]>) -> JudgedResponse {
        let content =
            body.zip(head.content_type()).map(|(bytes, content_type)| Content { content_type, is_coded: false, bytes });
        let (found, changed) = self.pii.as_ref().map(|pii| pii::judge_response(pii, content.as_ref())).unzip();
        let records = self.records.as_ref().map(|rule| rule.judge(content.as_ref()));
        let mut evaluated: Vec<GuardrailRecord> = records.into_iter().collect();
        evaluated.extend(found.map(|found| pii::guardrail(Some(&found))));
        let reason = evaluated.iter().find_map(|guardrail| guardrail.reason_code);
        let verdict = match (reason, changed.flatten()) {
            (Some(reason), _) => ResponseVerdict::Withheld(reason),
            (None, Some(body)) => ResponseVerdict::Changed(body),
            (None, None) => ResponseVerdict::AsItCame,
        };
        let record = ResponseRecord {
            guardrails_evaluated: evaluated,
            reason_code: reason,
            received_bytes: body.map(|body| body.len() as u64),
            received_sha256: body.map(|body| sha256_label(&Sha256::digest(body).into())),
        };
        JudgedResponse { verdict, record }
    }
}

impl<'a> ResponseHead<'a> {
    /// The media type of a body that can be looked at, empty where nothing says it: not of one that is coded, a part of
    /// another, a stream of events, or of two types at once.
    fn content_type(&self) -> Option<&'a str> {
        let is_identity = |value: &[u8]| value.is_empty() || value.eq_ignore_ascii_case(b"identity");
        // RFC 9110 section 15.3.7 and RFC 3229: a range, and a difference.
        if matches!(self.status, 206 | 226) || self.all("content-range").next().is_some() {
            return None;
        }
        if !self.all("content-encoding").all(is_identity) {
            return None;
        }
        let mut types = self.all("content-type");
        let content_type = core::str::from_utf8(types.next().unwrap_or_default()).ok()?;
        let media = content_type.split(';').next().unwrap_or_default().trim();
        (types.next().is_none() && !media.eq_ignore_ascii_case("text/event-stream")).then_some(content_type)
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.headers.iter().filter(move |header| header.name == name);
        lines.map(|header| header.value.trim_ascii())
    }
}

impl RecordsRule {
    /// A response without content has no records.
    fn judge(&self, content: Option<&Content<'_>>) -> GuardrailRecord {
        let mut evidence = Evidence::new();
        evidence.insert("max_records".into(), EvidenceValue::Number(self.most));
        let count = content.and_then(|content| self.count(content));
        if let Some(count) = count {
            evidence.insert("records".into(), EvidenceValue::Number(count));
        }
        let (result, reason) = match count {
            None => (GuardrailOutcome::Fail, Some(Reason::ResponseRecordsUnreadable)),
            Some(count) if count > self.most => (GuardrailOutcome::Fail, Some(Reason::ResponseRecordsExceeded)),
            Some(_) => (GuardrailOutcome::Pass, None),
        };
        record("max_records", result, reason, evidence)
    }

    fn count(&self, content: &Content<'_>) -> Option<u64> {
        if content.bytes.is_empty() {
            return Some(0);
        }
        if !route::is_json(content.content_type) {
            return None;
        }
        let document = json::read(content.bytes, MAX_JSON_BODY_BYTES).ok()?;
        u64::try_from(document.pointer(&self.pointer).ok().flatten()?.as_array()?.len()).ok()
    }
}
