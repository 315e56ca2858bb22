//! The policy of a gate as JSON, and its compilation.
//!
//! Unknown members are refused everywhere: a misspelt guardrail must not be a missing one.

mod compile;
mod encryption;
mod guardian;
mod response;
mod scalar;
mod sessions;

use passgate_core::pii::Class;
use passgate_core::policy::Tree;
use passgate_passport::sorted::SortedMap;
use serde::{Deserialize, Serialize};

pub use compile::{BundleError, checked_pointer, status_lists, trust_store};

pub use encryption::{EncryptionKeyDoc, Withheld};
pub use guardian::{GuardianDoc, SpotDoc};
pub use response::{ResponsePiiDoc, ResponseRecordsDoc};
pub use scalar::Scalar;
pub use sessions::{AnomalyDoc, ElevationDoc, SessionsDoc};

use crate::usd::Usd;

/// A gate's policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The operator's version number of this policy.
    pub version: u64,
    /// The gate itself.
    pub gate: GateDoc,
    /// The issuers it trusts.
    #[serde(default)]
    pub issuers: Vec<IssuerDoc>,
    /// Whether agents may issue their own passports (tier L1).
    #[serde(default)]
    pub self_issued: SelfIssuedDoc,
    /// Agents without passports that sign their requests themselves (Web Bot Auth), at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_agents: Vec<ForeignAgentDoc>,
    /// How requests map to actions; the first match counts.
    pub routes: Vec<RouteDoc>,
    /// The guardrails.
    #[serde(default)]
    pub guardrails: GuardrailsDoc,
    /// The operator's rules, compiled. Absent: the guardrails alone decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<serde_json::Value>>"))]
    pub rules: Option<Tree>,
    /// Passes for single actions. Absent: the gate neither mints nor redeems any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_passes: Option<ActionPassesDoc>,
    /// Who approves what needs approval. Absent: nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalsDoc>,
}

/// The gate itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GateDoc {
    /// The gate's id, as passports' audiences and attestations name it. 1 to 64 letters, digits, `_` and `-`.
    pub id: String,
    /// The security level: L1 accepts self-issued passports, L2 managed issuers, L3 certified issuers.
    pub level: LevelDoc,
    /// Where callers reach the gate, e.g. `https://tools.example.com`. Proofs are bound to it.
    pub public_url: String,
    /// Seconds of clock difference tolerated in passport times, at most 300.
    #[serde(default = "default_leeway")]
    pub leeway_seconds: u16,
    /// Whether proofs have to answer a challenge of the gate, so that none can be made in advance. Absent: as the level
    /// demands, which L3 does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_challenge: Option<bool>,
    /// Whether every issuer's status lists have to be checked. Absent: as the level demands, which L3 does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_status_lists: Option<bool>,
}

const fn default_leeway() -> u16 {
    30
}

/// A security level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum LevelDoc {
    /// Development.
    L1,
    /// Production.
    L2,
    /// High assurance.
    L3,
}

/// A trusted issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IssuerDoc {
    /// The value of `iss` in its passports.
    pub id: String,
    /// The tier its passports have: L2 or L3.
    pub tier: IssuerTierDoc,
    /// Whether its passports are accepted at present.
    #[serde(default)]
    pub status: IssuerStatusDoc,
    /// The longest life of a passport, in days.
    #[serde(default = "default_ttl_days")]
    pub max_passport_ttl_days: u16,
    /// Its public keys.
    pub keys: Vec<IssuerKeyDoc>,
    /// How its status lists are checked. Absent: not at all. Present: its passports have to name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_list: Option<StatusListDoc>,
}

/// How status lists are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StatusListDoc {
    /// How old a list may be, in seconds from 1 to a year. An older one refuses every passport that names it.
    pub max_age_seconds: u32,
}

const fn default_ttl_days() -> u16 {
    365
}

/// The tier of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum IssuerTierDoc {
    /// Managed.
    L2,
    /// Certified.
    L3,
}

/// The status of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IssuerStatusDoc {
    /// Accepted.
    #[default]
    Active,
    /// Refused for now.
    Suspended,
}

/// A key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IssuerKeyDoc {
    /// The public key, an Ed25519 JWK (RFC 8037).
    pub jwk: JwkDoc,
    /// Unix second from which the key counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Unix second until which the key counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
    /// Unix second from which somebody else may hold the key: what it signed with an `iat` from then on is void. 0 voids
    /// everything, which is right when what is dated earlier may be backdated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised_at: Option<i64>,
}

/// A public Ed25519 JWK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JwkDoc {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The key, base64url.
    pub x: String,
    /// The RFC 7638 thumbprint, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `EdDSA` or `Ed25519`, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `sig`, if present.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_: Option<String>,
}

/// Whether agents may issue their own passports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SelfIssuedDoc {
    /// No.
    #[default]
    Refused,
    /// Any key may. For development: whoever can reach the gate grants itself what it likes.
    AnyKey,
    /// The keys with these RFC 7638 thumbprints may.
    Listed(Vec<String>),
}

/// An agent without a passport that signs its requests itself (Web Bot Auth).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ForeignAgentDoc {
    /// Its id at this gate, as attestations name it.
    pub id: String,
    /// The URL at which it publishes its keys, as its requests name it in `Signature-Agent`, e.g. `https://signer.example`.
    /// Nothing is fetched from there.
    pub signature_agent: String,
    /// Its tier: L1, or L2 when the operator vouches for it.
    #[serde(default)]
    pub tier: ForeignTierDoc,
    /// What it may ask for, e.g. `web:*`.
    pub permissions: Vec<String>,
    /// The keys found at its URL.
    pub keys: Vec<ForeignKeyDoc>,
    /// Of which requests its signature has to cover method, path and query.
    #[serde(default)]
    pub coverage: CoverageDoc,
}

/// The tier of a foreign agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ForeignTierDoc {
    /// Nobody vouches for it.
    #[default]
    L1,
    /// The operator does.
    L2,
}

/// Of which requests the signature of a foreign agent has to cover method, path and query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CoverageDoc {
    /// Of every request.
    #[default]
    EveryRequest,
    /// Of all but `GET` and `HEAD` without a body: whoever sees such a request can send another in its place, once.
    UnlessSafe,
}

/// A key of a foreign agent, as its directory has it: an Ed25519 JWK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ForeignKeyDoc {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The key, base64url.
    pub x: String,
    /// The RFC 7638 thumbprint, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `ed25519`, `EdDSA` or `Ed25519`, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `sig`, if present.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_: Option<String>,
    /// Unix second from which the key counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// The first Unix second in which it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
}

/// One entry of the mapping from requests to actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteDoc {
    /// The method, e.g. `GET`. Absent: every method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path: `/pay`, `/users/{id}`, `/files/**`.
    pub path: String,
    /// The action, e.g. `payments:create`.
    pub action: String,
    /// Where the amount stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<AmountDoc>,
    /// The upstream carries out all requests that an agent sends with one `Idempotency-Key` within so many seconds once: the
    /// budgets are charged once too. Up to 2,592,000. Absent: each request is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_seconds: Option<u32>,
    /// Where the target domain stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<ValueDoc>,
    /// The resource that the action touches. Absent: not known, so agents whose passports limit resources are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceDoc>,
    /// Where the request says how many records it wants at most. Absent: not known, so agents whose passports limit records
    /// are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<RecordsDoc>,
    /// Where records stand in the response, and how many there may be. Absent: they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_records: Option<ResponseRecordsDoc>,
    /// Where the values stand that passports limit as `context`, by name. Agents whose passports limit another name are
    /// refused.
    #[serde(default, skip_serializing_if = "SortedMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, ValueDoc>"))]
    pub context: SortedMap<String, ValueDoc>,
    /// Labels of passports with which the action is refused, e.g. `untrusted_web`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuse_labels: Vec<String>,
    /// What the action does to what it touches. Absent: what the words of its name say, such as `delete`, raised by the methods
    /// `PUT`, `PATCH` and `DELETE`; `write` where none of them says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<EffectClassDoc>,
    /// What else of the request rules may look at, by name.
    #[serde(default, skip_serializing_if = "SortedMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, ArgumentDoc>"))]
    pub arguments: SortedMap<String, ArgumentDoc>,
}

/// What an action does to what it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EffectClassDoc {
    /// It changes nothing.
    Read,
    /// It changes something.
    Write,
    /// It takes something away for good.
    Destructive,
    /// It changes what others may do.
    Admin,
}

/// Something in a request that rules may look at. A request in which it is not of its kind is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ArgumentDoc {
    /// How it is read.
    pub kind: ArgumentKindDoc,
    /// Where it stands: in a JSON body, in the query, or in the path as `{name}`.
    pub at: ResourceDoc,
    /// Whether it may be left out. What rules say of one that is left out counts against the request, unless there is a
    /// default.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub optional: bool,
    /// What the API takes in its place when it is left out, which it then may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Value>"))]
    pub default: Option<Scalar>,
}

/// How an argument is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ArgumentKindDoc {
    /// A text.
    Text,
    /// An integer in its one spelling, of at most 2^53-1 either way.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An absolute path of files without `.`, `..`, empty segments, `\`, `%` and control characters.
    Path,
    /// The same without a `/` or `~` at its beginning, for an API that begins at a folder of its own.
    RelativePath,
    /// A host, or the host of an http(s) URL, spelled canonically.
    Host,
    /// An IP address in its one spelling, and none of IPv4 within IPv6.
    Address,
    /// Anything: rules can only ask whether it is there.
    Any,
}

/// Where an amount stands in the JSON body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AmountDoc {
    /// RFC 6901 pointer to the number, e.g. `/amount_usd`.
    pub pointer: String,
    /// Its unit.
    #[serde(default)]
    pub unit: UnitDoc,
}

/// The unit of an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnitDoc {
    /// US dollars, at most two decimals.
    #[default]
    Usd,
    /// Whole cents.
    Cents,
    /// Whole millionths of a dollar.
    MicroUsd,
}

/// Where a text stands, such as a target domain: exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValueDoc {
    /// RFC 6901 pointer to a string in the JSON body; of a domain, to a URL or host.
    Pointer(String),
    /// A query parameter, which has to stand exactly once.
    Query(String),
}

/// What the action touches: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResourceDoc {
    /// Nothing that passports name.
    None,
    /// Made of parameters of the path, e.g. `customers/{id}`.
    Path(String),
    /// RFC 6901 pointer to its name in the JSON body.
    Pointer(String),
    /// A query parameter with its name.
    Query(String),
}

/// Where the request says how many records it wants at most: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecordsDoc {
    /// The action returns no records.
    None,
    /// RFC 6901 pointer to an integer in the JSON body.
    Pointer(String),
    /// A query parameter with an integer.
    Query(String),
}

/// The guardrails.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GuardrailsDoc {
    /// Rate limits of each agent, and of what `per_…` names.
    #[serde(default)]
    pub rate_limits: RateLimitsDoc,
    /// Spend caps of each agent, and of what `per_…` names.
    #[serde(default)]
    pub spend_limits: SpendLimitsDoc,
    /// Domains that may be targeted: `api.example.com`, `*.example.com`. Absent: not checked. Empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_domains: Option<Vec<String>>,
    /// What becomes of personal data and secrets. Absent: they are not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii_controls: Option<PiiControlsDoc>,
    /// How much of a response is read to look at it, in bytes: 1 to 8388608, 1048576 unless this says otherwise. A longer one
    /// cannot be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_scanned_response_bytes: Option<u32>,
    /// When a person has to approve.
    #[serde(default)]
    pub approval_workflows: ApprovalDoc,
    /// The sessions of agents. Absent: the gate keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionsDoc>,
    /// The tiers in which requests are looked at. Absent: the guardrails and rules alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardian: Option<GuardianDoc>,
}

/// What becomes of personal data and secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PiiControlsDoc {
    /// What becomes of every class that `classes` does not name.
    pub mode: PiiModeDoc,
    /// What becomes of single classes: `card`, `iban`, `us_ssn`, `us_itin`, `us_routing`, `passport_number`, `secret`, `phone`,
    /// `email`, `ip`.
    #[serde(default, skip_serializing_if = "SortedMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, PiiModeDoc>"))]
    pub classes: SortedMap<Class, PiiModeDoc>,
    /// What becomes of a request whose body is no text, or coded. Absent: it is refused, unless everything is only logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscannable: Option<UnscannableDoc>,
    /// What becomes of what stands in responses. Absent: they are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponsePiiDoc>,
    /// The public key of whoever reads what is encrypted, an X25519 JWK (RFC 8037). Needed where anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypt_to: Option<EncryptionKeyDoc>,
}

/// What becomes of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PiiModeDoc {
    /// It is not looked for.
    Ignore,
    /// It is counted in the record.
    LogOnly,
    /// It is forwarded encrypted to `encrypt_to`; where it cannot be, the request is refused.
    Encrypt,
    /// It is taken out of what is forwarded; where it cannot be, the request is refused.
    Redact,
    /// The request is refused.
    Block,
}

/// What becomes of a request that cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnscannableDoc {
    /// It passes, and the record says that it was not looked at.
    Allow,
    /// It is refused.
    Deny,
}

impl PiiControlsDoc {
    /// What becomes of a class.
    #[must_use]
    pub fn mode_of(&self, class: Class) -> PiiModeDoc {
        self.classes.get(&class).copied().unwrap_or(self.mode)
    }

    /// Whether a request that cannot be looked at is refused.
    #[must_use]
    pub fn denies_unscannable(&self) -> bool {
        denies_unscannable(self.unscannable, |class| self.mode_of(class))
    }

    /// The strictest of both, class by class. Where both have a key, it has to be the same.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        let denies = self.denies_unscannable() || other.denies_unscannable();
        Self {
            mode: PiiModeDoc::Ignore,
            classes: strictest(|class| self.mode_of(class), |class| other.mode_of(class)),
            unscannable: Some(UnscannableDoc::of(denies)),
            responses: of_both(self.responses.as_ref(), other.responses.as_ref(), ResponsePiiDoc::stricter),
            encrypt_to: self.encrypt_to.as_ref().or(other.encrypt_to.as_ref()).cloned(),
        }
    }
}

impl UnscannableDoc {
    fn of(denies: bool) -> Self {
        if denies { Self::Deny } else { Self::Allow }
    }
}

fn denies_unscannable(said: Option<UnscannableDoc>, mode_of: impl Fn(Class) -> PiiModeDoc) -> bool {
    let acts = Class::ALL.into_iter().any(|class| mode_of(class) > PiiModeDoc::LogOnly);
    said.map_or(acts, |unscannable| unscannable == UnscannableDoc::Deny)
}

/// What holds where one of two policies says something, or both do: then what `stricter` makes of it.
pub fn of_both<T: Clone>(one: Option<&T>, other: Option<&T>, stricter: impl FnOnce(&T, &T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(stricter(one, other)),
        (one, other) => one.or(other).cloned(),
    }
}

fn strictest(one: impl Fn(Class) -> PiiModeDoc, other: impl Fn(Class) -> PiiModeDoc) -> SortedMap<Class, PiiModeDoc> {
    Class::ALL.into_iter().map(|class| (class, one(class).max(other(class)))).collect()
}

/// Rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RateLimitsDoc {
    /// Calls of one agent in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Calls of one agent in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_hour: Option<u32>,
    /// Calls of one agent in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u32>,
    /// Limits of the whole gate.
    #[serde(default)]
    pub per_gate: WindowsDoc,
    /// Limits of all agents of one issuer.
    #[serde(default)]
    pub per_tenant: WindowsDoc,
    /// Limits of one agent for one action.
    #[serde(default)]
    pub per_action: WindowsDoc,
}

/// Calls in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WindowsDoc {
    /// Calls in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Calls in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_hour: Option<u32>,
    /// Calls in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u32>,
}

/// Spend caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SpendLimitsDoc {
    /// The most one request may spend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_transaction_usd: Option<Usd>,
    /// The most one agent, with all that it hands on to, may spend in a UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_usd: Option<Usd>,
    /// The same in a UTC month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<Usd>,
    /// Caps of each agent by itself: what it hands on counts for whom it hands it to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per_actor: SpendCapsDoc,
    /// Caps of the whole gate.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per_gate: SpendCapsDoc,
    /// Caps of all agents of one issuer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per_tenant: SpendCapsDoc,
    /// Caps of one agent for one action.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per_action: SpendCapsDoc,
    /// Caps of each task that an issuer names in passports. With any of them, nobody spends without such a task.
    #[serde(default, skip_serializing_if = "is_default")]
    pub per_task: TaskCapsDoc,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What may be spent in each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SpendCapsDoc {
    /// In a UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_usd: Option<Usd>,
    /// In a UTC month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<Usd>,
}

/// What a task may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskCapsDoc {
    /// In a UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_usd: Option<Usd>,
    /// In a UTC month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<Usd>,
    /// In all, until nothing was spent for 400 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_usd: Option<Usd>,
}

/// When a person has to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalDoc {
    /// Amounts above this need approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_approval_above_usd: Option<Usd>,
}

/// Passes for single actions, which the gate mints for what it allows and redeems once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActionPassesDoc {
    /// How long a pass lives, in seconds from 1 to 300.
    #[serde(default = "default_pass_ttl")]
    pub ttl_seconds: u16,
    /// To what a pass has to be bound at least: 0 is the action, 1 the action and the key that presents it.
    #[serde(default = "default_pass_version")]
    pub version: u8,
}

/// Who approves, and how long it waits for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApprovalsDoc {
    /// The people who approve: 1 to 256.
    pub approvers: Vec<ApproverDoc>,
    /// How long a request waits for an answer, in seconds from 60 to 86400.
    #[serde(default = "default_request_ttl")]
    pub request_ttl_seconds: u32,
}

/// A person who approves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApproverDoc {
    /// The name, as approvals and records have it: 1 to 256 visible ASCII characters.
    pub name: String,
    /// The public key that the person's approvals verify with.
    pub key: JwkDoc,
    /// What the person may approve as; rules and plugins name such roles. Without any, the person counts where no role is
    /// asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// An hour.
#[must_use]
pub const fn default_request_ttl() -> u32 {
    3_600
}

const fn default_pass_ttl() -> u16 {
    120
}

const fn default_pass_version() -> u8 {
    1
}

#[cfg(test)]
mod tests;
