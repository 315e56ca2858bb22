//! A gate's policy as a signed bundle, for gates that are told their policy from afar.
//!
//! A bundle is a compact JWS of type `bundle+jwt` over one JSON object: the [policy](crate::bundle), how the edge
//! forwards, and between which seconds it counts. A gate holds the public keys that bundles verify with; nothing in a
//! bundle can name another. The version only rises, and the gate's id and its admission mode never change, because its
//! state lives under them: [`Current::replaces`].

mod error;

use passgate_core::attest::sha256_label;
use passgate_core::gate::{EvaluatorRef, Gate, PolicyFreshness};
use passgate_passport::json::{self, MAX_SAFE_INTEGER, Node};
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use error::{BundleError, ReplaceError};

use crate::bundle::{self, Bundle, SpendCapsDoc, TaskCapsDoc, WindowsDoc};
use crate::origin;

/// The longest bundle, in bytes of the token: some ten thousand rules or routes.
pub const MAX_BUNDLE_BYTES: usize = 4 * 1024 * 1024;
/// How far ahead of the gate's clock a bundle may be dated, in seconds.
pub const MAX_SKEW_SECONDS: i64 = 30;
/// The media type of a bundle on the wire.
pub const MEDIA_TYPE: &str = "application/jwt";

/// The longest request body that can be allowed, in bytes.
pub const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;
/// The longest response body that can be allowed, in bytes.
pub const MAX_RESPONSE_BYTES: u64 = 1 << 40;
/// The longest time for a decision, in milliseconds.
pub const MAX_DECISION_TIMEOUT_MS: u32 = 60_000;
/// The longest time for anything else, in milliseconds.
pub const MAX_TIMEOUT_MS: u32 = 600_000;

/// What a bundle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeBundle {
    /// Unix second at which it was signed.
    pub iat: i64,
    /// Unix second until which decisions may be made under it. A gate keeps an old bundle and refuses requests.
    pub exp: i64,
    /// The policy.
    pub policy: Bundle,
    /// How the edge serves it.
    pub edge: EdgeDoc,
}

/// How the edge serves a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeDoc {
    /// The API behind the gate.
    pub upstream: EdgeUpstreamDoc,
    /// The longest request body, in bytes: 0 to 64 MiB.
    #[serde(default = "default_max_body")]
    pub max_body_bytes: u64,
    /// Time for a decision with its record, in milliseconds: 1 to 60,000. Later than that the request is refused.
    #[serde(default = "default_decision_timeout")]
    pub decision_timeout_ms: u32,
    /// Where requests are admitted.
    #[serde(default)]
    pub admission: AdmissionDoc,
}

const fn default_max_body() -> u64 {
    1024 * 1024
}

const fn default_decision_timeout() -> u32 {
    2_000
}

/// The API behind the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeUpstreamDoc {
    /// Scheme, host and port in their one spelling, e.g. `https://api.example.com`.
    pub url: String,
    /// Time until the response begins, in milliseconds: 1 to 600,000.
    #[serde(default = "default_response_timeout")]
    pub response_timeout_ms: u32,
    /// Time a response may stand still, in milliseconds: 1 to 600,000.
    #[serde(default = "default_response_timeout")]
    pub idle_timeout_ms: u32,
    /// The longest response body, in bytes: up to 1 TiB.
    #[serde(default = "default_max_response")]
    pub max_response_bytes: u64,
}

const fn default_response_timeout() -> u32 {
    30_000
}

const fn default_max_response() -> u64 {
    100 * 1024 * 1024
}

/// Where requests are admitted. It cannot be changed later: nonces and budgets live there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AdmissionDoc {
    /// Each agent in a place of its own: agents never wait for each other, and no limit counts across agents.
    #[default]
    Agent,
    /// All agents in one place: `per_gate` and `per_tenant` limits count, and one place carries the whole load.
    Gate,
}

impl AdmissionDoc {
    /// The mode as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Gate => "gate",
        }
    }
}

impl EdgeBundle {
    /// Checks what holds at any time: the times are in order, every value is in its range, and the limits can be counted
    /// where requests are admitted. Whether the policy compiles is left to [`VerifiedBundle::gate`].
    ///
    /// # Errors
    ///
    /// [`BundleError::Member`] for the first member that does not hold.
    pub fn check(&self) -> Result<(), BundleError> {
        self.check_times()?;
        self.edge.check(&self.policy.gate.public_url)?;
        self.check_limits()
    }

    /// The bundle as a token. Whoever signs checks it first: readers refuse what [`EdgeBundle::check`] refuses.
    #[must_use]
    pub fn sign(&self, key: &SecretKey) -> String {
        // Plain data serialises; a reader refuses the empty payload that would stand for a failure.
        let payload = json::canonical(self).unwrap_or_default();
        jws::sign(key, TokenType::Bundle, &payload)
    }

    fn check_times(&self) -> Result<(), BundleError> {
        let latest = i64::try_from(MAX_SAFE_INTEGER).unwrap_or(i64::MAX);
        if self.iat < 0 {
            return Err(BundleError::member("iat", "is a Unix second, so not negative"));
        }
        if self.exp <= self.iat || self.exp > latest {
            return Err(BundleError::member("exp", "has to be later than `iat`, and a Unix second"));
        }
        if self.policy.version > MAX_SAFE_INTEGER {
            return Err(BundleError::member("policy.version", "goes to 2^53-1"));
        }
        Ok(())
    }

    /// Objects of single agents do not see each other's calls.
    fn check_limits(&self) -> Result<(), BundleError> {
        if self.edge.admission == AdmissionDoc::Gate {
            return Ok(());
        }
        let (rates, spend) = (&self.policy.guardrails.rate_limits, &self.policy.guardrails.spend_limits);
        let shared = [
            ("rate_limits.per_gate", rates.per_gate != WindowsDoc::default()),
            ("rate_limits.per_tenant", rates.per_tenant != WindowsDoc::default()),
            ("spend_limits.per_gate", spend.per_gate != SpendCapsDoc::default()),
            ("spend_limits.per_tenant", spend.per_tenant != SpendCapsDoc::default()),
            ("spend_limits.per_task", spend.per_task != TaskCapsDoc::default()),
        ];
        match shared.into_iter().find(|(_, is_set)| *is_set) {
            None => Ok(()),
            Some((name, _)) => Err(BundleError::member(
                format!("policy.guardrails.{name}"),
                "counts what several agents do together, which takes `admission: gate` in `edge`; set it, or remove \
                 the limit",
            )),
        }
    }
}

impl EdgeDoc {
    fn check(&self, public_url: &str) -> Result<(), BundleError> {
        let upstream = &self.upstream;
        let rows: [(&str, u64, u64, u64); 5] = [
            ("edge.max_body_bytes", self.max_body_bytes, 0, MAX_BODY_BYTES),
            ("edge.decision_timeout_ms", self.decision_timeout_ms.into(), 1, MAX_DECISION_TIMEOUT_MS.into()),
            ("edge.upstream.response_timeout_ms", upstream.response_timeout_ms.into(), 1, MAX_TIMEOUT_MS.into()),
            ("edge.upstream.idle_timeout_ms", upstream.idle_timeout_ms.into(), 1, MAX_TIMEOUT_MS.into()),
            ("edge.upstream.max_response_bytes", upstream.max_response_bytes, 0, MAX_RESPONSE_BYTES),
        ];
        if let Some((at, value, least, most)) = rows.into_iter().find(|(_, v, least, most)| v < least || v > most) {
            return Err(BundleError::member(at, format!("{value} is out of range; use {least} to {most}")));
        }
        if origin::parse(&upstream.url).is_none() {
            let why = "write scheme and host, e.g. `https://api.example.com`: lower case, no path, no default port";
            return Err(BundleError::member("edge.upstream.url", why));
        }
        if upstream.url == public_url {
            return Err(BundleError::member("edge.upstream.url", "is the gate itself; name the API behind the gate"));
        }
        Ok(())
    }
}

/// Verifies a bundle that arrived at `now_seconds` with one of the keys pinned at the gate.
///
/// A bundle past its `exp` verifies: which requests an old policy still decides is the gate's to say, request by request.
///
/// # Errors
///
/// [`BundleError`].
pub fn verify(jws: &str, keys: &[PublicKey], now_seconds: i64) -> Result<VerifiedBundle, BundleError> {
    let unverified = jws::decode(jws, TokenType::Bundle, MAX_BUNDLE_BYTES)?;
    let key = keys.iter().find(|key| key.thumbprint() == unverified.kid()).ok_or(BundleError::UnknownKey)?;
    let verified = unverified.verify(key)?;
    let document = document(verified.payload())?;
    let bundle: EdgeBundle = json::typed(&document)?;
    bundle.check()?;
    if bundle.iat > now_seconds.saturating_add(MAX_SKEW_SECONDS) {
        return Err(BundleError::Future { iat: bundle.iat, now: now_seconds });
    }
    // What was signed is what is named, in the one spelling that it has.
    let said = |member| document.as_object().and_then(|members| members.get(member)).map(Node::to_json);
    let (policy, edge) = (said("policy").unwrap_or_default(), said("edge").unwrap_or_default());
    let digest = |text: &str| sha256_label(&Sha256::digest(text).into());
    Ok(VerifiedBundle {
        jws: jws.to_owned(),
        sha256: digest(jws),
        policy_sha256: digest(&policy),
        content_sha256: digest(&["[", &policy, ",", &edge, "]"].concat()),
        bundle,
    })
}

/// Reads a bundle without verifying it: good for showing it to its owner, for nothing else.
///
/// # Errors
///
/// [`BundleError`], except for what needs a key or the time.
pub fn inspect(jws: &str) -> Result<EdgeBundle, BundleError> {
    let unverified = jws::decode(jws, TokenType::Bundle, MAX_BUNDLE_BYTES)?;
    let bundle: EdgeBundle = json::typed(&document(unverified.payload())?)?;
    bundle.check()?;
    Ok(bundle)
}

fn document(payload: &[u8]) -> Result<Node<'_>, BundleError> {
    let document = json::read(payload, MAX_BUNDLE_BYTES)?;
    // An absent guardrail is not checked; one that says `null` is a mistake, and not an absent one.
    if has_null(&document) { Err(BundleError::Null) } else { Ok(document) }
}

/// Recursion ends with the reader's own bound on depth.
fn has_null(node: &Node<'_>) -> bool {
    match node {
        Node::Null => true,
        Node::Array(items) => items.iter().any(has_null),
        Node::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

/// A bundle whose signature, times and ranges hold; made by [`verify`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    jws: String,
    sha256: String,
    policy_sha256: String,
    content_sha256: String,
    bundle: EdgeBundle,
}

impl VerifiedBundle {
    /// The token as received.
    #[must_use]
    pub fn jws(&self) -> &str {
        &self.jws
    }

    /// `sha256:` and the hex digest of the token's bytes.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What it says.
    #[must_use]
    pub fn bundle(&self) -> &EdgeBundle {
        &self.bundle
    }

    /// The operator's version number of the policy.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.bundle.policy.version
    }

    /// The gate it describes. It knows until when the bundle counts.
    ///
    /// # Errors
    ///
    /// The first member of the policy that does not compile.
    pub fn gate(&self, evaluator: EvaluatorRef) -> Result<Gate, bundle::BundleError> {
        let freshness = PolicyFreshness { issued_at: self.bundle.iat, good_until: self.bundle.exp };
        Ok(Gate {
            policy_freshness: Some(freshness),
            ..self.bundle.policy.compile_as(self.policy_sha256.clone(), evaluator)?
        })
    }

    /// What a gate keeps to know what may replace this bundle.
    #[must_use]
    pub fn current(&self) -> Current {
        Current {
            version: self.version(),
            content_sha256: self.content_sha256.clone(),
            issued_at: self.bundle.iat,
            gate_id: self.bundle.policy.gate.id.clone(),
            admission: self.bundle.edge.admission,
        }
    }
}

/// What a gate knows of the bundle it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Current {
    /// The policy's version.
    pub version: u64,
    /// Unix second at which it was signed.
    pub issued_at: i64,
    /// `sha256:` and the hex digest of the canonical JSON (RFC 8785) of everything in it but its times.
    pub content_sha256: String,
    /// The gate's id.
    pub gate_id: String,
    /// Where its requests are admitted.
    pub admission: AdmissionDoc,
}

impl Current {
    /// Whether this bundle may take the place of `known`. One that says the same may when it was not signed earlier, so
    /// that a policy which does not change can be kept fresh.
    ///
    /// # Errors
    ///
    /// [`ReplaceError`], which says what to do.
    pub fn replaces(&self, known: &Self) -> Result<(), ReplaceError> {
        if self.gate_id != known.gate_id {
            return Err(ReplaceError::OtherGate { current: known.gate_id.clone(), new: self.gate_id.clone() });
        }
        if self.admission != known.admission {
            return Err(ReplaceError::OtherAdmission { current: known.admission, new: self.admission });
        }
        if self.version < known.version {
            return Err(ReplaceError::Older { current: known.version, new: self.version });
        }
        if self.version > known.version {
            return Ok(());
        }
        if self.content_sha256 != known.content_sha256 {
            return Err(ReplaceError::SameVersion { version: self.version });
        }
        if self.issued_at < known.issued_at {
            return Err(ReplaceError::SignedEarlier { current: known.issued_at, new: self.issued_at });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
