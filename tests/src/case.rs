//! A conformance case: a policy, and requests with what has to become of them.
//!
//! Cases are plain JSON, one file each. Requests are stored signed, every field literal, so an implementation under
//! test needs no signer. A file name ending in `_deny` or `_stepup` says what the last step decides; the others allow.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use passgate_api::bundle::Bundle;
use passgate_api::driver::Driver;
use passgate_core::attest::{Entry, Kind, Stamp};
use passgate_core::state::Subject;
use passgate_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, in a sentence.
    pub description: String,
    /// The gate's policy.
    pub policy: Bundle,
    /// Status list tokens by URI. Those that no issuer of the policy signed are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub status_lists: BTreeMap<String, String>,
    /// When the gate starts, in Unix milliseconds.
    pub now_ms: u64,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One thing that happens: a revocation, a suspension, a reinstatement or a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The gate's clock, in Unix milliseconds. It need not advance.
    pub at_ms: u64,
    /// What is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<Subject>,
    /// What is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<Subject>,
    /// What is reinstated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reinstate: Option<Subject>,
    /// What is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// What has to become of it.
    pub expect: Expect,
}

/// A request as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query as written in the request line.
    pub target: String,
    /// The Host field.
    pub host: String,
    /// Every other field, names in lower case; `content-length` is left to the transport.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What a step has to lead to. Absent members are those the step does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// `allow`, `deny` or `step_up`; absent for a revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The recorded reason of a request that is not allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// What the caller is told of the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_code: Option<String>,
    /// The HTTP status; of an allowed request the upstream's, which is 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The one-action pass that is minted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_pass: Option<String>,
    /// The payload of the record.
    pub attestation: Map<String, Value>,
}

impl Request {
    /// Path and query of the target.
    pub fn path_and_query(&self) -> (&str, Option<&str>) {
        match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&self.target, None),
        }
    }
}

/// What an operator does to a subject.
#[derive(Debug, Clone, Copy)]
pub enum Change<'s> {
    /// Revokes it.
    Revoke(&'s Subject),
    /// Suspends it.
    Suspend(&'s Subject),
    /// Reinstates it.
    Reinstate(&'s Subject),
}

impl Step {
    /// What an operator does in this step, if it is no request.
    pub fn change(&self) -> Option<Change<'_>> {
        let Self { revoke, suspend, reinstate, .. } = self;
        let revoke = revoke.as_ref().map(Change::Revoke);
        revoke.or(suspend.as_ref().map(Change::Suspend)).or(reinstate.as_ref().map(Change::Reinstate))
    }
}

impl<'s> Change<'s> {
    /// The control route that does it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Revoke(_) => "/v1/revocations",
            Self::Suspend(_) => "/v1/suspensions",
            Self::Reinstate(_) => "/v1/reinstatements",
        }
    }

    /// The kind of its record.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Revoke(_) => Kind::Revocation,
            Self::Suspend(_) => Kind::Suspension,
            Self::Reinstate(_) => Kind::Reinstatement,
        }
    }

    /// What it is about.
    pub const fn subject(self) -> &'s Subject {
        match self {
            Self::Revoke(subject) | Self::Suspend(subject) | Self::Reinstate(subject) => subject,
        }
    }

    /// Does it, and gives the record.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn carry_out(self, driver: &Driver, stamp: Stamp) -> Result<Entry, StoreError> {
        let subject = self.subject().clone();
        match self {
            Self::Revoke(_) => driver.revoke(subject, stamp).await,
            Self::Suspend(_) => driver.suspend(subject, stamp).await.map(|done| done.entry),
            Self::Reinstate(_) => driver.reinstate(subject, stamp).await.map(|done| done.entry),
        }
    }
}

impl Case {
    /// The file's text: indented JSON and a line feed.
    ///
    /// # Errors
    /// When the case does not serialise, which is a mistake in its types.
    pub fn to_text(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// The folder the cases stand in.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join("cases")
}

/// Every case file's text by the name of the case.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn texts() -> Result<BTreeMap<String, String>> {
    let folder = folder();
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        texts.insert(name, text);
    }
    Ok(texts)
}

/// Every case by name.
///
/// # Errors
/// As [`texts`], and when a file is not a case.
pub fn load() -> Result<BTreeMap<String, Case>> {
    let parse = |(name, text): (String, String)| {
        let case = serde_json::from_str(&text).with_context(|| format!("case {name}"))?;
        Ok((name, case))
    };
    texts()?.into_iter().map(parse).collect()
}
