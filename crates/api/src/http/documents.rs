//! The JSON of the control routes, and their query strings.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::fmt;

use passgate_core::attest::{BudgetOutcome, DecisionKind, ReconciliationRecord};
use passgate_core::pipeline;
use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_passport::delegation::Link;
use passgate_passport::id::{APPROVAL_PREFIX, APPROVAL_REQUEST_PREFIX, ATTESTATION_PREFIX, PASSPORT_PREFIX, is_id};
use passgate_passport::json::{self, JsonError, Members, Node};
use passgate_store::{Cursor, Filter};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The most attestations in one answer.
pub const MAX_QUERY_LIMIT: usize = 1000;
/// How many attestations are answered when the query does not say.
pub const DEFAULT_QUERY_LIMIT: usize = 100;
/// The longest id in a request, in bytes: what a passport may hold.
const MAX_ID_BYTES: usize = 256;
/// Length of a SHA-256 in base64url.
const THUMBPRINT_BYTES: usize = 43;

/// Which key to hand over to: the next key's RFC 7638 thumbprint, so that nobody rotates to another one by mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The thumbprint.
    pub kid: String,
}

/// A key that was handed over to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// The record of it; absent when the key signed already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation_id: Option<String>,
    /// The thumbprint of the key that signs now.
    pub kid: String,
}

/// What became of an allowed request whose outcome was not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconciliation {
    /// The attestation id of the decision.
    pub decision_id: String,
    /// `committed` when it was carried out, `released` when it was not.
    pub budget: BudgetOutcome,
    /// How that is known: 1 to 256 characters without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Reconciliation {
    /// As it is recorded.
    #[must_use]
    pub fn record(&self) -> ReconciliationRecord {
        ReconciliationRecord { budget: self.budget, note: self.note.clone() }
    }

    /// Whether it says something that can be recorded.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] names the member.
    pub fn check(&self) -> Result<(), DocumentError> {
        if !is_id(&self.decision_id, ATTESTATION_PREFIX) {
            return Err(DocumentError::new("`decision_id` is no attestation id: it is `att_` and 26 characters"));
        }
        self.record().problem().map_or(Ok(()), |problem| Err(DocumentError::new(problem)))
    }
}

/// What to revoke, suspend or reinstate: a [`Subject`] whose ids can be those of something. A revocation that hits nothing
/// must not look like one that worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Subject", into = "Subject")]
pub struct Revocation(Subject);

impl Revocation {
    /// What is looked up in an admission.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0
    }

    /// Everything whose revocation revokes the chain of these passports, the root's first.
    #[must_use]
    pub fn all_of<'a>(links: impl IntoIterator<Item = &'a Link>) -> Vec<Self> {
        // Passports were read within the bounds that are checked here.
        pipeline::subjects(links).into_iter().map(Self).collect()
    }
}

impl TryFrom<Subject> for Revocation {
    type Error = DocumentError;

    fn try_from(subject: Subject) -> Result<Self, DocumentError> {
        match &subject {
            Subject::Passport(id) if is_id(id, PASSPORT_PREFIX) => {}
            Subject::Passport(_) => {
                return Err(DocumentError::new("`id` is no passport id: it is `pass_` and 26 characters"));
            }
            Subject::Agent { issuer, agent_id } => {
                named(issuer, "`issuer` is empty or too long")?;
                named(agent_id, "`agent_id` is empty or too long")?;
            }
            Subject::Key(thumbprint) if is_thumbprint(thumbprint) => {}
            Subject::Key(_) => {
                return Err(DocumentError::new("`thumbprint` is no RFC 7638 thumbprint: it has 43 characters"));
            }
            Subject::Issuer(id) => named(id, "`id` is empty or too long")?,
            Subject::Approval(id) if is_id(id, APPROVAL_PREFIX) || is_id(id, APPROVAL_REQUEST_PREFIX) => {}
            Subject::Approval(_) => {
                return Err(DocumentError::new(
                    "`id` is no id of an approval or of a request for one: it is `appr_` or `areq_` and 26 characters",
                ));
            }
        }
        Ok(Self(subject))
    }
}

impl From<Revocation> for Subject {
    fn from(revocation: Revocation) -> Self {
        revocation.0
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn named(id: &str, problem: &'static str) -> Result<(), DocumentError> {
    if id.is_empty() || id.len() > MAX_ID_BYTES { Err(DocumentError::new(problem)) } else { Ok(()) }
}

fn is_thumbprint(text: &str) -> bool {
    text.len() == THUMBPRINT_BYTES
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Since when something is revoked or suspended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct RevocationState {
    /// Unix second of the revocation; `None` when it is not revoked.
    pub revoked_at: Option<i64>,
    /// Unix second of the suspension; `None` when it is not suspended. Gates that cannot suspend do not say it.
    #[serde(default)]
    pub suspended_at: Option<i64>,
}

/// Which attestations are wanted, as in a query string.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// The agent's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The gate's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_id: Option<String>,
    /// `allow`, `deny` or `step_up`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionKind>,
    /// From this time on: RFC 3339 or Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Before this time: RFC 3339 or Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How many: 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "count_from_text")]
    pub limit: Option<usize>,
    /// Where to go on: the `next_cursor` of the answer before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The form of an export.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ExportFormat>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Records and a signed head, one object a line; can be verified.
    #[default]
    Jsonl,
    /// A table.
    Csv,
}

/// One page of attestations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "passgate::open")]
pub struct QueryPage {
    /// The attestations, oldest first.
    pub attestations: Vec<Map<String, Value>>,
    /// Where to go on; `None` at the end.
    pub next_cursor: Option<String>,
}

/// A request that makes no sense, with what is wrong about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(Cow<'static, str>);

impl DocumentError {
    /// The error that says `problem`.
    pub fn new(problem: impl Into<Cow<'static, str>>) -> Self {
        Self(problem.into())
    }
}

/// Reads a request body as a JSON object: strict JSON (duplicate members refused) of at most `limit_bytes` bytes.
///
/// # Errors
///
/// What is wrong with it.
pub fn from_body<T: DeserializeOwned>(body: &[u8], limit_bytes: usize) -> Result<T, DocumentError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(DocumentError::new("the body is no JSON object"));
    }
    json::parse_into(body, limit_bytes).map_err(|error| DocumentError::new(error.to_string()))
}

/// Reads a query string, without its `?`.
///
/// # Errors
///
/// What is wrong with it.
pub fn from_query<T: DeserializeOwned>(query: Option<&str>) -> Result<T, DocumentError> {
    let mut members = Members::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let Entry::Vacant(member) = members.entry(name) else {
            return Err(DocumentError::new("the query string: a parameter stands twice"));
        };
        member.insert(Node::String(value));
    }
    json::typed(&Node::Object(members)).map_err(|error| match error {
        JsonError::Shape(why) => DocumentError::new(format!("the query string: {why}")),
        error => DocumentError::new(error.to_string()),
    })
}

/// A number in a query string is text.
pub(super) fn count_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|_| D::Error::custom("`limit` is no number"))
}

impl Query {
    /// What the store is asked.
    ///
    /// # Errors
    ///
    /// When a time cannot be read.
    pub fn filter(&self) -> Result<Filter, DocumentError> {
        let time = |text: &Option<String>, problem| {
            text.as_deref().map(|text| parse_time(text).ok_or(DocumentError::new(problem))).transpose()
        };
        Ok(Filter {
            agent_id: self.agent_id.clone(),
            gate_id: self.gate_id.clone(),
            decision: self.decision,
            after_ms: time(&self.after, "`after` is neither an RFC 3339 time nor Unix milliseconds")?,
            before_ms: time(&self.before, "`before` is neither an RFC 3339 time nor Unix milliseconds")?,
        })
    }

    /// How many are wanted: 1 to [`MAX_QUERY_LIMIT`].
    ///
    /// # Errors
    ///
    /// When it is another number.
    pub fn checked_limit(&self) -> Result<usize, DocumentError> {
        match self.limit.unwrap_or(DEFAULT_QUERY_LIMIT) {
            limit @ 1..=MAX_QUERY_LIMIT => Ok(limit),
            _ => Err(DocumentError::new("`limit` is 1 to 1000")),
        }
    }

    /// Where to go on.
    ///
    /// # Errors
    ///
    /// When it is not the `next_cursor` of an answer.
    pub fn parsed_cursor(&self) -> Result<Option<Cursor>, DocumentError> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let cursor = text
            .split_once('.')
            .and_then(|(chain, seq)| Some(Cursor { chain: plain_number(chain)?, seq: plain_number(seq)? }));
        cursor.map(Some).ok_or(DocumentError::new("`cursor` is not the `next_cursor` of an answer"))
    }
}

/// The cursor as [`QueryPage::next_cursor`] gives it.
#[must_use]
pub fn cursor_text(cursor: Cursor) -> String {
    format!("{}.{}", cursor.chain, cursor.seq)
}

fn parse_time(text: &str) -> Option<u64> {
    plain_number(text).or_else(|| UnixMillis::from_rfc3339(text).map(|time| time.0))
}

fn plain_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_name_something_that_can_exist() {
        let read = |text: &str| from_body::<Revocation>(text.as_bytes(), 1024).map(Subject::from);
        let id = "pass_01ARYZ6S410000000000000001";
        let passport = read(&format!("{{\"kind\":\"passport\",\"id\":\"{id}\"}}"));
        assert_eq!(passport, Ok(Subject::Passport(id.to_owned())));
        let agent = read("{\"kind\":\"agent\",\"issuer\":\"https://i.example\",\"agent_id\":\"a\"}");
        assert_eq!(agent, Ok(Subject::Agent { issuer: "https://i.example".to_owned(), agent_id: "a".to_owned() }));
        for text in [
            "{\"kind\":\"passport\",\"id\":\"pass_1\"}",
            "{\"kind\":\"passport\",\"id\":\"\"}",
            "{\"kind\":\"key\",\"thumbprint\":\"short\"}",
            "{\"kind\":\"issuer\",\"id\":\"\"}",
            "{\"kind\":\"agent\",\"issuer\":\"\",\"agent_id\":\"a\"}",
            "",
            "{}",
            "[]",
            "[null,\"i\",null,\"issuer\",null]",
            "{\"kind\":\"all\"}",
            "{\"kind\":\"issuer\",\"id\":\"a\",\"also\":1}",
            "{\"kind\":\"issuer\",\"id\":\"a\",\"id\":\"b\"}",
            "{\"kind\":\"key\"}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(from_body::<Revocation>(b"{\"kind\":\"issuer\",\"id\":\"a\"}", 25).is_err());
        let query = from_query::<Revocation>(Some("kind=issuer&id=https%3A%2F%2Fi.example"));
        assert_eq!(query.unwrap().subject(), &Subject::Issuer("https://i.example".to_owned()));
        for query in [None, Some("kind=issuer"), Some("kind=issuer&id=a&id=b"), Some("kind=issuer&id=a&x=1")] {
            assert!(from_query::<Revocation>(query).is_err(), "{query:?}");
        }
    }

    #[test]
    fn times_are_rfc_3339_or_milliseconds() {
        let filter =
            |after: &str| Query { after: Some(after.to_owned()), ..Query::default() }.filter().map(|f| f.after_ms);
        assert_eq!(filter("1709164800000"), Ok(Some(1_709_164_800_000)));
        assert_eq!(filter("2024-02-29T00:00:00Z"), Ok(Some(1_709_164_800_000)));
        assert_eq!(filter("2024-02-29T01:00:00+01:00"), Ok(Some(1_709_164_800_000)));
        for text in ["", "yesterday", "-1", "+1", "2024-02-29", "1e3", "1969-12-31T00:00:00Z"] {
            assert!(filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cursors_are_only_those_that_were_given() {
        let cursor = |text: &str| Query { cursor: Some(text.to_owned()), ..Query::default() }.parsed_cursor();
        let given = Cursor { chain: 3, seq: 70 };
        assert_eq!(cursor(&cursor_text(given)), Ok(Some(given)));
        for text in ["", "3", "3.", ".7", "3.7.1", "-3.7", "a.b", "99999999999999999999.1"] {
            assert!(cursor(text).is_err(), "{text}");
        }
        for limit in [0, 1001, usize::MAX] {
            assert!(Query { limit: Some(limit), ..Query::default() }.checked_limit().is_err());
        }
    }
}
