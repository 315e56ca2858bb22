//! What can be revoked and suspended.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::agent_key;

/// Something that can be revoked, or suspended for a while.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub enum Subject {
    /// One passport, by its `jti`.
    Passport(String),
    /// Every passport of an agent.
    Agent {
        /// The `iss` of its passports.
        issuer: String,
        /// Their `sub`.
        agent_id: String,
    },
    /// Every passport bound to a key, by RFC 7638 thumbprint.
    Key(String),
    /// Every passport of an issuer, by its `iss`.
    Issuer(String),
    /// One approval, by its `jti`; or all of one request for approval, by the id of the request.
    Approval(String),
}

/// A subject as JSON, members in alphabetical order: `kind`, and what names one of that kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thumbprint: Option<String>,
}

impl From<Subject> for Shape {
    fn from(subject: Subject) -> Self {
        let kind = subject.kind().into();
        match subject {
            Subject::Passport(id) | Subject::Issuer(id) | Subject::Approval(id) => {
                Self { kind, id: Some(id), ..Self::default() }
            }
            Subject::Key(thumbprint) => Self { kind, thumbprint: Some(thumbprint), ..Self::default() },
            Subject::Agent { issuer, agent_id } => {
                Self { kind, issuer: Some(issuer), agent_id: Some(agent_id), ..Self::default() }
            }
        }
    }
}

impl TryFrom<Shape> for Subject {
    type Error = &'static str;

    fn try_from(shape: Shape) -> Result<Self, Self::Error> {
        let Shape { agent_id, id, issuer, kind, thumbprint } = shape;
        match (kind.as_str(), id, thumbprint, issuer, agent_id) {
            ("passport", Some(id), None, None, None) => Ok(Self::Passport(id)),
            ("issuer", Some(id), None, None, None) => Ok(Self::Issuer(id)),
            ("approval", Some(id), None, None, None) => Ok(Self::Approval(id)),
            ("key", None, Some(thumbprint), None, None) => Ok(Self::Key(thumbprint)),
            ("agent", None, None, Some(issuer), Some(agent_id)) => Ok(Self::Agent { issuer, agent_id }),
            _ => Err(
                "a subject is `passport`, `issuer` or `approval` with `id`, `key` with `thumbprint`, or `agent` with `issuer` and `agent_id`",
            ),
        }
    }
}

impl Subject {
    fn kind(&self) -> &'static str {
        match self {
            Self::Passport(_) => "passport",
            Self::Agent { .. } => "agent",
            Self::Key(_) => "key",
            Self::Issuer(_) => "issuer",
            Self::Approval(_) => "approval",
        }
    }

    /// The key of the row that revokes it.
    pub(super) fn row_key(&self) -> String {
        self.key_after("r:")
    }

    /// The key of a row about it. An agent is hashed, because two free texts in one key could be cut in two ways.
    pub(super) fn key_after(&self, prefix: &str) -> String {
        let id = match self {
            Self::Passport(id) | Self::Key(id) | Self::Issuer(id) | Self::Approval(id) => Cow::Borrowed(id.as_str()),
            Self::Agent { issuer, agent_id } => Cow::Owned(agent_key(issuer, agent_id)),
        };
        [prefix, self.kind(), ":", &id].concat()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Passport(id) | Self::Key(id) | Self::Issuer(id) | Self::Approval(id) => write!(f, "{kind} {id}"),
            Self::Agent { issuer, agent_id } => write!(f, "{kind} {agent_id} of {issuer}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_each_kind_is_pinned() {
        for (subject, json) in [
            (Subject::Passport("p".into()), r#"{"id":"p","kind":"passport"}"#),
            (Subject::Key("t".into()), r#"{"kind":"key","thumbprint":"t"}"#),
            (Subject::Issuer("i".into()), r#"{"id":"i","kind":"issuer"}"#),
            (Subject::Approval("a".into()), r#"{"id":"a","kind":"approval"}"#),
            (
                Subject::Agent { issuer: "i".into(), agent_id: "a".into() },
                r#"{"agent_id":"a","issuer":"i","kind":"agent"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&subject).unwrap(), json);
            assert_eq!(serde_json::from_str::<Subject>(json).unwrap(), subject);
        }
        for json in [r#"{"kind":"agent","agent_id":"a"}"#, r#"{"kind":"key","id":"k"}"#, r#"{"kind":"other","id":"x"}"#]
        {
            assert!(serde_json::from_str::<Subject>(json).is_err(), "{json}");
        }
    }
}
