//! The JSON of the control plane.

use passgate_core::attest::DecisionKind;
use passgate_core::state::Subject;
use passgate_passport::id::{PASSPORT_PREFIX, is_id};
use passgate_store::{Cursor, Filter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most attestations in one answer.
pub const MAX_QUERY_LIMIT: usize = 1000;
/// How many attestations are answered when the query does not say.
pub const DEFAULT_QUERY_LIMIT: usize = 100;
/// The longest id in a request, in bytes: what a passport may hold.
const MAX_ID_BYTES: usize = 256;
/// Length of a SHA-256 in base64url.
const THUMBPRINT_BYTES: usize = 43;

/// What to revoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Revocation {
    /// One passport.
    Passport {
        /// Its `jti`.
        id: String,
    },
    /// Every passport of an agent.
    Agent {
        /// The `iss` of its passports.
        issuer: String,
        /// Their `sub`.
        agent_id: String,
    },
    /// Every passport bound to a key.
    Key {
        /// The key's RFC 7638 thumbprint.
        thumbprint: String,
    },
    /// Every passport of an issuer.
    Issuer {
        /// The `iss`.
        id: String,
    },
}

impl Revocation {
    /// What is looked up in an admission.
    ///
    /// # Errors
    ///
    /// When an id cannot be that of anything: a revocation that hits nothing must not look like one that worked.
    pub fn subject(&self) -> Result<Subject, DocumentError> {
        match self {
            Self::Passport { id } if is_id(id, PASSPORT_PREFIX) => Ok(Subject::Passport(id.clone())),
            Self::Passport { .. } => Err(DocumentError("`id` is no passport id: it is `pass_` and 26 characters")),
            Self::Agent { issuer, agent_id } => Ok(Subject::Agent {
                issuer: named(issuer, "`issuer` is empty or too long")?.to_owned(),
                agent_id: named(agent_id, "`agent_id` is empty or too long")?.to_owned(),
            }),
            Self::Key { thumbprint } if is_thumbprint(thumbprint) => Ok(Subject::Key(thumbprint.clone())),
            Self::Key { .. } => Err(DocumentError("`thumbprint` is no RFC 7638 thumbprint: it has 43 characters")),
            Self::Issuer { id } => Ok(Subject::Issuer(named(id, "`id` is empty or too long")?.to_owned())),
        }
    }
}

fn named<'a>(id: &'a str, problem: &'static str) -> Result<&'a str, DocumentError> {
    if id.is_empty() || id.len() > MAX_ID_BYTES { Err(DocumentError(problem)) } else { Ok(id) }
}

fn is_thumbprint(text: &str) -> bool {
    text.len() == THUMBPRINT_BYTES
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Since when something is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationState {
    /// Unix second of the revocation; `None` when it is not revoked.
    pub revoked_at: Option<i64>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
pub struct QueryPage {
    /// The attestations, oldest first.
    pub attestations: Vec<Map<String, Value>>,
    /// Where to go on; `None` at the end.
    pub next_cursor: Option<String>,
}

/// A request that makes no sense, with what is wrong about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(pub &'static str);

impl Query {
    /// What the store is asked.
    ///
    /// # Errors
    ///
    /// When a time cannot be read.
    pub fn filter(&self) -> Result<Filter, DocumentError> {
        let time = |text: &Option<String>, problem| {
            text.as_deref().map(|text| parse_time(text).ok_or(DocumentError(problem))).transpose()
        };
        Ok(Filter {
            agent_id: self.agent_id.clone(),
            gate_id: self.gate_id.clone(),
            decision: self.decision,
            after_ms: time(&self.after, "`after` is neither an RFC 3339 time nor Unix milliseconds")?,
            before_ms: time(&self.before, "`before` is neither an RFC 3339 time nor Unix milliseconds")?,
        })
    }

    pub(super) fn checked_limit(&self) -> Result<usize, DocumentError> {
        match self.limit.unwrap_or(DEFAULT_QUERY_LIMIT) {
            limit @ 1..=MAX_QUERY_LIMIT => Ok(limit),
            _ => Err(DocumentError("`limit` is 1 to 1000")),
        }
    }

    pub(super) fn parsed_cursor(&self) -> Result<Option<Cursor>, DocumentError> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let cursor = text
            .split_once('.')
            .and_then(|(chain, seq)| Some(Cursor { chain: plain_number(chain)?, seq: plain_number(seq)? }));
        cursor.map(Some).ok_or(DocumentError("`cursor` is not the `next_cursor` of an answer"))
    }
}

pub(super) fn cursor_text(cursor: Cursor) -> String {
    format!("{}.{}", cursor.chain, cursor.seq)
}

fn parse_time(text: &str) -> Option<u64> {
    plain_number(text).or_else(|| {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok()
    })
}

fn plain_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_name_something_that_can_exist() {
        let json = |text: &str| serde_json::from_str::<Revocation>(text).map(|doc| doc.subject());
        let id = "pass_01ARYZ6S410000000000000001";
        let passport = json(&format!("{{\"kind\":\"passport\",\"id\":\"{id}\"}}")).unwrap();
        assert_eq!(passport, Ok(Subject::Passport(id.to_owned())));
        let agent = json("{\"kind\":\"agent\",\"issuer\":\"https://i.example\",\"agent_id\":\"a\"}").unwrap();
        assert_eq!(agent, Ok(Subject::Agent { issuer: "https://i.example".to_owned(), agent_id: "a".to_owned() }));
        for text in [
            "{\"kind\":\"passport\",\"id\":\"pass_1\"}",
            "{\"kind\":\"passport\",\"id\":\"\"}",
            "{\"kind\":\"key\",\"thumbprint\":\"short\"}",
            "{\"kind\":\"issuer\",\"id\":\"\"}",
            "{\"kind\":\"agent\",\"issuer\":\"\",\"agent_id\":\"a\"}",
        ] {
            assert!(json(text).unwrap().is_err(), "{text}");
        }
        for text in
            ["{}", "[]", "{\"kind\":\"all\"}", "{\"kind\":\"issuer\",\"id\":\"a\",\"also\":1}", "{\"kind\":\"key\"}"]
        {
            assert!(json(text).is_err(), "{text}");
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
