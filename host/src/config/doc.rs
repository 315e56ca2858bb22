//! What may stand in `passgate.yml`.

use passgate_api::bundle::{
    ActionPassesDoc, ForeignAgentDoc, GateDoc, GuardrailsDoc, IssuerKeyDoc, IssuerStatusDoc, IssuerTierDoc, JwkDoc,
    RouteDoc, SelfIssuedDoc, default_request_ttl,
};
use passgate_api::edge::AdmissionDoc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::{RuleDoc, RulesMode};

/// A whole configuration. Relative paths in it start at the folder of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The operator's version number of this policy. Attestations name it.
    pub version: u64,
    /// The gate itself.
    pub gate: GateDoc,
    /// The issuers it trusts.
    #[serde(default)]
    pub issuers: Vec<IssuerEntry>,
    /// Whether agents may issue their own passports (tier L1).
    #[serde(default)]
    pub self_issued: SelfIssuedDoc,
    /// Agents without passports that sign their requests themselves (Web Bot Auth), at most 64.
    #[serde(default)]
    pub foreign_agents: Vec<ForeignAgentDoc>,
    /// How requests map to actions; the first match counts.
    pub routes: Vec<RouteDoc>,
    /// The guardrails.
    #[serde(default)]
    pub guardrails: GuardrailsDoc,
    /// The rules, in any order. Absent, and no policy files either: the guardrails alone decide. With any, and with an empty
    /// list, what no rule allows is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleDoc>>,
    /// Files with more routes, guardrails and rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_files: Vec<String>,
    /// Whether the rules decide, or are only recorded.
    #[serde(default, skip_serializing_if = "is_enforced")]
    pub rules_mode: RulesMode,
    /// Passes for single actions. Absent: the gate neither mints nor redeems any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_passes: Option<ActionPassesDoc>,
    /// Who approves what needs approval. Absent: nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalsEntry>,
    /// Who reviews what is of the class `destructive` or `admin`, where `guardrails.guardian` asks for it. Absent: nobody, and
    /// that is refused. A gate at the edge asks nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<ReviewerEntry>,
    /// What decides: this program, or the gate component that it hosts.
    #[serde(default)]
    pub evaluator: EvaluatorDoc,
    /// The operator's policy plugins.
    #[serde(default, skip_serializing_if = "PluginsDoc::is_unused")]
    pub plugins: PluginsDoc,
    /// The listening side.
    #[serde(default)]
    pub server: ServerDoc,
    /// The API behind the gate.
    pub upstream: UpstreamDoc,
    /// Where state and ledger live.
    #[serde(default)]
    pub store: StoreDoc,
    /// What signs attestations.
    pub attestation: AttestationDoc,
    /// The operator's side.
    #[serde(default)]
    pub control: ControlDoc,
    /// The log.
    #[serde(default)]
    pub log: LogDoc,
    /// What `passgate bundle` says of the edge; a gate served from this file does not use it.
    #[serde(default)]
    pub edge: EdgeSettings,
}

fn is_enforced(mode: &RulesMode) -> bool {
    *mode == RulesMode::Enforce
}

/// A trusted issuer. Exactly one of `keys` and `keys_file` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerEntry {
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<IssuerKeyDoc>>,
    /// A file with its public keys as a JWK Set; each may have `not_before`, `not_after` and `compromised_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_file: Option<String>,
    /// How its status lists are checked. Absent: not at all. Present: its passports have to name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_list: Option<StatusListSettings>,
}

/// Who approves, and how long it waits for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsEntry {
    /// The people who approve: 1 to 256.
    pub approvers: Vec<ApproverEntry>,
    /// How long a request waits for an answer, in seconds from 60 to 86400.
    #[serde(default = "default_request_ttl")]
    pub request_ttl_seconds: u32,
    /// Who is told that a request waits. A gate at the edge tells nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookEntry>,
}

/// A model that reviews requests, behind an HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewerEntry {
    /// Of which kind the interface is.
    pub api: ReviewerApi,
    /// Where it is, whole, such as `https://api.openai.com/v1/chat/completions`: an `https` URL, or an `http` URL of this machine.
    pub url: String,
    /// The model, as the interface and the records name it.
    pub model: String,
    /// A file with the key of the interface, if it takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// How long a review may take, in milliseconds from 100 to 60000.
    #[serde(default = "default_review_ms")]
    pub timeout_ms: u32,
    /// Whether it is shown the body of requests, as it goes upstream.
    #[serde(default)]
    pub body: bool,
}

/// An interface of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewerApi {
    /// Chat completions, as OpenAI and many others have them.
    Openai,
    /// Messages, as Anthropic has them.
    Anthropic,
}

const fn default_review_ms() -> u32 {
    5_000
}

/// Who is told that a request for approval waits, as by Standard Webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookEntry {
    /// An `https` URL, or an `http` URL of this machine.
    pub url: String,
    /// A file with the secret that messages are signed with: `whsec_` and the base64 of 24 to 64 bytes.
    pub secret_file: String,
}

/// A person who approves. Exactly one of `key` and `key_file` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproverEntry {
    /// The name, as approvals and records have it: 1 to 256 visible ASCII characters.
    pub name: String,
    /// The public key that the person's approvals verify with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<JwkDoc>,
    /// A file with that key alone, as a JWK Set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// What the person may approve as; rules and plugins name such roles. Without any, the person counts where no role is
    /// asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// How an issuer's status lists are checked, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusListSettings {
    /// How old a list may be, in seconds from 1 to a year. An older one refuses every passport that names it.
    pub max_age_seconds: u32,
    /// A file with its status list tokens, one a line. It is read again whenever it changes. A gate at the edge gets
    /// its lists otherwise, and does not use it; a gate served from this file has no list without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

const fn default_ttl_days() -> u16 {
    365
}

/// What decides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluatorDoc {
    /// Absent: `component` when this program carries one, as releases do, and `native` when it was built without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// A file with another gate component than the one in this program. It is read again whenever it changes, and put in
    /// force without dropping a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The SHA-256 that the file has to have, as `sha256:` and 64 lower-case hexadecimal digits. Absent: it has to be
    /// signed by a trusted key, in a file with `.jws` added to its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// A file with the public keys that may sign it, as a JWK Set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_keys_file: Option<String>,
}

/// How the evaluator runs. It is the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// As a WebAssembly component that imports nothing. Records name its digest.
    Component,
    /// In the gateway's own program. Records name the digest of that.
    Native,
}

/// Policy plugins: WebAssembly components of the world in `wit/plugin.wit`. They can refuse a request, never allow one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginsDoc {
    /// A file with the public keys that may sign plugins, as a JWK Set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_keys_file: Option<String>,
    /// The plugins, in the order in which they are asked: at most 16.
    pub policies: Vec<PluginDoc>,
}

impl PluginsDoc {
    fn is_unused(&self) -> bool {
        *self == Self::default()
    }
}

/// One policy plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginDoc {
    /// Its name in records, metrics and the store: 1 to 64 lower-case letters, digits and `-`; no two have the same.
    pub name: String,
    /// The component. It is read again whenever it changes.
    pub file: String,
    /// The SHA-256 that the component has to have, as `sha256:` and 64 lower-case hexadecimal digits. Absent: the
    /// component has to be signed by a trusted key, in a file with `.jws` added to its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The actions it is asked about, as scopes such as `payments:*`. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// What the plugin is given as its configuration. Numbers in it are whole.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// What it may import. Absent: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<PluginGrant>,
    /// What one call may take.
    #[serde(default)]
    pub limits: PluginLimitsDoc,
}

/// What a plugin may import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PluginGrant {
    /// `passgate:policy/log`: write to the gate's log.
    Log,
    /// `passgate:policy/keys`: read its own keys in the gate's store.
    Keys,
}

/// What one call of a plugin may take, and its component. There is always a limit: what is left out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginLimitsDoc {
    /// Time for a call, in milliseconds: 1 to 10,000, and of all plugins together less than `server.decision_timeout_ms`.
    pub deadline_ms: u32,
    /// Fuel for a call, about one unit an instruction: 10,000 to 1,000,000,000,000.
    pub fuel: u64,
    /// Memory, in bytes: 64 KiB to 256 MiB.
    pub memory_bytes: u64,
    /// Elements of tables: 1 to 100,000.
    pub table_elements: u32,
    /// Calls of what is granted: 0 to 10,000.
    pub host_calls: u32,
    /// What is written to the log, in bytes: 0 to 1 MiB.
    pub log_bytes: u32,
    /// What an answer, or a call of what is granted, hands to the gate, in bytes: 1 KiB to 1 MiB.
    pub answer_bytes: u32,
    /// The component file, in bytes: 1 KiB to 128 MiB.
    pub component_bytes: u64,
    /// Time to compile the component, in milliseconds: 1 to 600,000.
    pub compile_timeout_ms: u32,
}

impl Default for PluginLimitsDoc {
    fn default() -> Self {
        Self {
            deadline_ms: 50,
            fuel: 50_000_000,
            memory_bytes: 16 * 1024 * 1024,
            table_elements: 20_000,
            host_calls: 64,
            log_bytes: 8 * 1024,
            answer_bytes: 64 * 1024,
            component_bytes: 64 * 1024 * 1024,
            compile_timeout_ms: 60_000,
        }
    }
}

/// The listening side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerDoc {
    /// IP address and port agents connect to.
    pub listen: String,
    /// The longest request body, in bytes: 0 to 64 MiB.
    pub max_body_bytes: u64,
    /// Connections held at once, and requests answered at once: 1 to 100,000. Bodies, those still coming and those
    /// being answered, take at most three times this many times `max_body_bytes` of memory.
    pub max_connections: u32,
    /// Time for a complete request head, in milliseconds: 1 to 600,000.
    pub header_timeout_ms: u32,
    /// Time for a complete request body, in milliseconds: 1 to 600,000.
    pub body_timeout_ms: u32,
    /// Time for a decision with its record, in milliseconds: 1 to 60,000. Later than that the request is refused.
    pub decision_timeout_ms: u32,
    /// Time for running requests to finish when the gate stops, in milliseconds: 1 to 600,000.
    pub shutdown_grace_ms: u32,
}

impl Default for ServerDoc {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8787".to_owned(),
            max_body_bytes: 1024 * 1024,
            max_connections: 1024,
            header_timeout_ms: 5_000,
            body_timeout_ms: 10_000,
            decision_timeout_ms: 2_000,
            shutdown_grace_ms: 10_000,
        }
    }
}

/// The API behind the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamDoc {
    /// Scheme, host and port, e.g. `http://127.0.0.1:9000`.
    pub url: String,
    /// A PEM file with the certificate authorities that an `https` upstream is trusted by, instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Time to connect, in milliseconds: 1 to 600,000.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout_ms: u32,
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

const fn default_connect_timeout() -> u32 {
    2_000
}

const fn default_response_timeout() -> u32 {
    30_000
}

const fn default_max_response() -> u64 {
    100 * 1024 * 1024
}

/// Where state and ledger live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreDoc {
    /// The backend.
    pub kind: StoreKind,
    /// The database file of `redb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Default for StoreDoc {
    fn default() -> Self {
        Self { kind: StoreKind::Redb, path: None }
    }
}

/// A store backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// An embedded database in one file.
    Redb,
    /// Lost when the gate stops; for level L1 only.
    Memory,
}

/// What signs attestations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestationDoc {
    /// A private Ed25519 JWK, readable by its owner alone.
    pub key_file: String,
}

/// The operator's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ControlDoc {
    /// The Unix domain socket of the control plane, at most 100 bytes long as a path.
    pub socket: String,
    /// IP address and port serving `/healthz`, `/readyz` and `/metrics`. Absent: not served over TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<String>,
}

impl Default for ControlDoc {
    fn default() -> Self {
        Self { socket: "state/passgate.sock".to_owned(), metrics_listen: None }
    }
}

/// The log, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogDoc {
    /// Absent: `text` on a terminal, `json` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
    /// The least level that is written.
    pub level: LogLevel,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line of text.
    Text,
}

/// A log level. Nothing below `debug`: dependencies log header values there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Failures alone.
    Error,
    /// And what may become one.
    Warn,
    /// And one line per decision.
    #[default]
    Info,
    /// And connections.
    Debug,
}

/// How an edge gate serves this policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeSettings {
    /// Where requests are admitted. It cannot be changed for a gate that was deployed.
    pub admission: AdmissionDoc,
    /// For how many days a signed bundle decides requests: 1 to 366. Sign it anew before that.
    pub max_age_days: u16,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self { admission: AdmissionDoc::Agent, max_age_days: 30 }
    }
}
