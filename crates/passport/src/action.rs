//! An action in its one spelling, and the hash that passes and approvals are bound to.
//!
//! [`Action`] is what a gate judged and would forward. As canonical JSON (RFC 8785) it has exactly one spelling, so two
//! parties that speak of the same action have the same [`ActionHash`], and a change of one byte of it gives another.
//! Section *Action* of `docs/spec/action-pass.md` is the normative text.
//!
//! Request fields other than `Content-Type` and `Content-Encoding` are no part of it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::claims::is_identifier;
use crate::digest::{read_sha256_label, sha256_label};
use crate::http::HttpRequest;
use crate::json::{self, JsonError, MAX_SAFE_INTEGER, Members, Node};
use crate::scope::ActionName;

/// The version of the canonical object, its member `v`.
pub const ACTION_VERSION: u64 = 1;
/// The longest method in bytes; the registered ones stay below 20.
pub const MAX_METHOD_BYTES: usize = 32;
/// The longest authority in bytes: a host name, a colon and a port.
pub const MAX_AUTHORITY_BYTES: usize = 262;
/// The longest path in bytes, as gates accept it.
pub const MAX_PATH_BYTES: usize = 8 * 1024;
/// The longest query in bytes, as gates accept it.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;
/// The longest target domain in bytes: a host name, with room for a bracketed address.
pub const MAX_DOMAIN_BYTES: usize = 256;
/// The longest value of `Content-Type` or `Content-Encoding` in bytes.
pub const MAX_FIELD_BYTES: usize = 256;
/// The longest canonical object in bytes: path and query, and less than 4 KiB of everything else, escapes included.
pub const MAX_ACTION_BYTES: usize = 24 * 1024;

/// Who asks, as the gate verified it. An `id` is unique for its issuer only, so both stand here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The agent's id, `sub` of the passport or of the leaf of a chain: 1 to 256 visible ASCII characters.
    pub id: String,
    /// `iss` of the passport, or of the root of a chain: 1 to 256 visible ASCII characters.
    pub issuer: String,
}

/// One action. The members are those of the canonical object; what is `None` is left out there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Who asks.
    pub agent: Agent,
    /// The amount that was judged, in millionths of a US dollar, up to 2^53-1; absent where the route names none.
    pub amount_micro_usd: Option<u64>,
    /// The gate's authority: lower case, without the scheme's default port.
    pub authority: String,
    /// The value of the one `Content-Encoding` line.
    pub content_encoding: Option<String>,
    /// The value of the one `Content-Type` line.
    pub content_type: Option<String>,
    /// The gate that judges and forwards: 1 to 256 visible ASCII characters.
    pub gate_id: String,
    /// The method, case kept.
    pub method: String,
    /// The action's name, such as `payments:refund`; absent where no route names the request.
    pub name: Option<ActionName>,
    /// SHA-256 of the passport, or of the whole chain, as received.
    pub passport_sha256: [u8; 32],
    /// The path as sent, never decoded.
    pub path: String,
    /// SHA-256 of the content-coded body as received; that of no bytes where there is no body.
    pub payload_sha256: [u8; 32],
    /// The query as sent, without the question mark; `Some("")` is a question mark with nothing behind it.
    pub query: Option<String>,
    /// `http` or `https`.
    pub scheme: String,
    /// The host that the request names as its target, as it was judged: lower case.
    pub target_domain: Option<String>,
}

/// SHA-256 of an action in its canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionHash([u8; 32]);

/// As in its canonical object, but for the order of the members.
impl Serialize for Action {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire::of(self).serialize(serializer)
    }
}

/// Why something is no action: a member is missing, of another type or outside its limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// Not strict JSON.
    #[error("action: {0}")]
    Json(JsonError),
    /// A member is not what it has to be.
    #[error("action member `{member}` {problem}: such an action has no hash, and nothing can be bound to it")]
    Member {
        /// The member in question; `unknown` for one that has no meaning here.
        member: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Action {
    /// The action of a request at a gate, without name, amount and target domain, which are set after.
    ///
    /// # Errors
    /// [`ActionError::Member`] where a member would be outside its limits, or `Content-Type` or `Content-Encoding`
    /// stands on several lines, of which readers take one or the other.
    pub fn of_request(
        gate_id: &str,
        request: &HttpRequest<'_>,
        agent: Agent,
        passport_sha256: [u8; 32],
    ) -> Result<Self, ActionError> {
        let action = Self {
            agent,
            amount_micro_usd: None,
            authority: request.authority.into(),
            content_encoding: sole_line(request, "content-encoding", "content_encoding")?,
            content_type: sole_line(request, "content-type", "content_type")?,
            gate_id: gate_id.into(),
            method: request.method.into(),
            name: None,
            passport_sha256,
            path: request.path.into(),
            payload_sha256: Sha256::digest(request.body).into(),
            query: request.query.map(String::from),
            scheme: request.scheme.into(),
            target_domain: None,
        };
        action.check().map(|()| action)
    }

    /// Reads an action from JSON in any order and with any white space.
    ///
    /// # Errors
    /// [`ActionError`] for the first thing found wrong; members without a meaning here are refused.
    pub fn read(bytes: &[u8]) -> Result<Self, ActionError> {
        let document = json::read(bytes, MAX_ACTION_BYTES).map_err(ActionError::Json)?;
        let members = document.as_object().ok_or(problem("(action)", "is no JSON object"))?;
        let action = Self::from_members(members)?;
        action.check().map(|()| action)
    }

    /// The canonical object: RFC 8785, at most [`MAX_ACTION_BYTES`].
    ///
    /// # Errors
    /// [`ActionError::Member`] for the first member outside its limits.
    pub fn canonical(&self) -> Result<Vec<u8>, ActionError> {
        self.check()?;
        json::canonical(&Wire::of(self)).map_err(ActionError::Json)
    }

    /// What passes and approvals of this action are bound to: SHA-256 of [`Self::canonical`].
    ///
    /// # Errors
    /// As [`Self::canonical`].
    pub fn hash(&self) -> Result<ActionHash, ActionError> {
        self.canonical().map(|bytes| ActionHash(Sha256::digest(bytes).into()))
    }

    fn check(&self) -> Result<(), ActionError> {
        let host =
            |text: &str, max| is_graphic(text, max, b"/?#@\\\"%") && !text.bytes().any(|b| b.is_ascii_uppercase());
        let amount = self.amount_micro_usd.is_none_or(|amount| amount <= MAX_SAFE_INTEGER);
        let domain = self.target_domain.as_deref().is_none_or(|domain| host(domain, MAX_DOMAIN_BYTES));
        let query =
            self.query.as_deref().is_none_or(|query| query.is_empty() || is_graphic(query, MAX_QUERY_BYTES, b"#\"\\"));
        let path = self.path.starts_with('/') && is_graphic(&self.path, MAX_PATH_BYTES, b"?#\"\\");
        let authority = host(&self.authority, MAX_AUTHORITY_BYTES) && !has_default_port(&self.scheme, &self.authority);
        let checks = [
            (is_identifier(&self.agent.id), "agent.id", NO_IDENTIFIER),
            (is_identifier(&self.agent.issuer), "agent.issuer", NO_IDENTIFIER),
            (amount, "amount_micro_usd", "is above 2^53-1"),
            (authority, "authority", "is not a lower-case authority without default port of at most 262 bytes"),
            (is_field(self.content_encoding.as_deref()), "content_encoding", NO_FIELD),
            (is_field(self.content_type.as_deref()), "content_type", NO_FIELD),
            (is_identifier(&self.gate_id), "gate_id", NO_IDENTIFIER),
            (is_method(&self.method), "method", "is not a token (RFC 9110) of 1 to 32 bytes"),
            (path, "path", "is not `/` and visible ASCII without `? # \" \\`, at most 8 KiB"),
            (query, "query", "is not visible ASCII without `# \" \\`, at most 8 KiB"),
            (matches!(&*self.scheme, "http" | "https"), "scheme", "is not `http` or `https`"),
            (domain, "target_domain", "is not a lower-case host of at most 256 bytes"),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, member, why)) => Err(problem(member, why)),
            None => Ok(()),
        }
    }

    fn from_members(members: &Members<'_>) -> Result<Self, ActionError> {
        if members.keys().any(|name| !MEMBERS.contains(&name.as_ref())) {
            return Err(problem("unknown", "stands in the action, and nobody would know what it means"));
        }
        if required(members, "v")?.as_u64() != Some(ACTION_VERSION) {
            return Err(problem("v", "is not 1"));
        }
        let name = optional(members, "name", Node::as_str)?.map(ActionName::parse).transpose();
        Ok(Self {
            agent: read_agent(required(members, "agent")?)?,
            amount_micro_usd: optional(members, "amount_micro_usd", Node::as_u64)?,
            authority: text(members, "authority")?,
            content_encoding: optional(members, "content_encoding", Node::as_str)?.map(String::from),
            content_type: optional(members, "content_type", Node::as_str)?.map(String::from),
            gate_id: text(members, "gate_id")?,
            method: text(members, "method")?,
            name: name.map_err(|_| problem("name", "is no action name such as `payments:refund`"))?,
            passport_sha256: digest(members, "passport_sha256")?,
            path: text(members, "path")?,
            payload_sha256: digest(members, "payload_sha256")?,
            query: optional(members, "query", Node::as_str)?.map(String::from),
            scheme: text(members, "scheme")?,
            target_domain: optional(members, "target_domain", Node::as_str)?.map(String::from),
        })
    }
}

impl ActionHash {
    /// Reads `sha256:` and 64 lower-case hex digits.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        read_sha256_label(label).map(Self)
    }

    /// `sha256:` and 64 lower-case hex digits.
    #[must_use]
    pub fn label(&self) -> String {
        sha256_label(&self.0)
    }

    /// The digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ActionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

const MEMBERS: [&str; 15] = [
    "agent",
    "amount_micro_usd",
    "authority",
    "content_encoding",
    "content_type",
    "gate_id",
    "method",
    "name",
    "passport_sha256",
    "path",
    "payload_sha256",
    "query",
    "scheme",
    "target_domain",
    "v",
];
const NO_IDENTIFIER: &str = "is not 1 to 256 visible ASCII characters";
const NO_FIELD: &str = "is not 1 to 256 visible ASCII characters, with spaces only between them";
const OTHER_TYPE: &str = "is of another type";

/// The canonical object as written; the order of the members is that of RFC 8785.
#[derive(Serialize)]
struct Wire<'a> {
    agent: WireAgent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_micro_usd: Option<u64>,
    authority: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    gate_id: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    passport_sha256: String,
    path: &'a str,
    payload_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    scheme: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_domain: Option<&'a str>,
    v: u64,
}

#[derive(Serialize)]
struct WireAgent<'a> {
    id: &'a str,
    issuer: &'a str,
}

impl<'a> Wire<'a> {
    fn of(action: &'a Action) -> Self {
        Self {
            agent: WireAgent { id: &action.agent.id, issuer: &action.agent.issuer },
            amount_micro_usd: action.amount_micro_usd,
            authority: &action.authority,
            content_encoding: action.content_encoding.as_deref(),
            content_type: action.content_type.as_deref(),
            gate_id: &action.gate_id,
            method: &action.method,
            name: action.name.as_ref().map(ActionName::as_str),
            passport_sha256: sha256_label(&action.passport_sha256),
            path: &action.path,
            payload_sha256: sha256_label(&action.payload_sha256),
            query: action.query.as_deref(),
            scheme: &action.scheme,
            target_domain: action.target_domain.as_deref(),
            v: ACTION_VERSION,
        }
    }
}

/// The value of the one line of a field, if it is there.
fn sole_line(request: &HttpRequest<'_>, field: &str, member: &'static str) -> Result<Option<String>, ActionError> {
    let mut lines = request.lines(field);
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(problem(member, "would be that of several field lines"));
    }
    core::str::from_utf8(line).map(|text| Some(text.into())).map_err(|_| problem(member, NO_FIELD))
}

fn is_graphic(text: &str, max_bytes: usize, without: &[u8]) -> bool {
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && !without.contains(&b))
}

fn is_field(value: Option<&str>) -> bool {
    let is_value = |text: &str| {
        (1..=MAX_FIELD_BYTES).contains(&text.len())
            && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
            && text.trim().len() == text.len()
    };
    value.is_none_or(is_value)
}

/// RFC 9110 section 5.6.2.
fn is_method(method: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=MAX_METHOD_BYTES).contains(&method.len()) && method.bytes().all(is_token)
}

fn has_default_port(scheme: &str, authority: &str) -> bool {
    authority.ends_with(if scheme == "https" { ":443" } else { ":80" })
}

fn read_agent(node: &Node<'_>) -> Result<Agent, ActionError> {
    let members = node.as_object().filter(|members| members.len() == 2);
    let member = |name| members?.get(name)?.as_str().map(String::from);
    let agent = member("id").zip(member("issuer")).map(|(id, issuer)| Agent { id, issuer });
    agent.ok_or(problem("agent", "is not an object of the strings `id` and `issuer`"))
}

fn required<'j, 'a>(members: &'j Members<'a>, name: &'static str) -> Result<&'j Node<'a>, ActionError> {
    members.get(name).ok_or(problem(name, "is missing"))
}

fn optional<'j, 'a, T>(
    members: &'j Members<'a>,
    name: &'static str,
    read: impl FnOnce(&'j Node<'a>) -> Option<T>,
) -> Result<Option<T>, ActionError> {
    members.get(name).map(|node| read(node).ok_or(problem(name, OTHER_TYPE))).transpose()
}

fn text(members: &Members<'_>, name: &'static str) -> Result<String, ActionError> {
    required(members, name)?.as_str().map(String::from).ok_or(problem(name, OTHER_TYPE))
}

fn digest(members: &Members<'_>, name: &'static str) -> Result<[u8; 32], ActionError> {
    let label = required(members, name)?.as_str();
    label.and_then(read_sha256_label).ok_or(problem(name, "is not `sha256:` and 64 lower-case hex digits"))
}

const fn problem(member: &'static str, problem: &'static str) -> ActionError {
    ActionError::Member { member, problem }
}

#[cfg(test)]
pub(crate) mod tests;
