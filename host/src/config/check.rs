//! What the types cannot say: ranges, files, and settings that do not go together.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use passgate_api::bundle::{
    ApprovalsDoc, ApproverDoc, Bundle, GuardrailsDoc, IssuerDoc, IssuerKeyDoc, JwkDoc, LevelDoc, StatusListDoc,
};
use passgate_api::edge::{MAX_BODY_BYTES, MAX_DECISION_TIMEOUT_MS, MAX_RESPONSE_BYTES, MAX_TIMEOUT_MS};
use passgate_core::gate::Gate;
use passgate_passport::b64;
use passgate_passport::jwk::MAX_JWKS_BYTES;
use passgate_passport::key_set;
use passgate_passport::trust::IssuerKey;

use super::doc::{ApprovalsEntry, ApproverEntry, Config, EngineKind, IssuerEntry, StoreKind};
use super::error::{ConfigError, ConfigErrors};
use super::guardrails::stricter;
use super::{Paths, Policy};
use crate::evaluator::{self, EvaluatorFile};
use crate::files;
use crate::http::authority::{self, Scheme};
use crate::http::upstream::TrustRoots;
use crate::plugins;
use crate::policy::{Compiled, PolicyFile, RuleDoc, RulesMode, Written, texts};
use crate::signed_file::Refused;

const MAX_CONNECTIONS: u64 = 100_000;
/// What a model takes at least to answer, and at most before its answer is of no use.
const MIN_REVIEW_MS: u32 = 100;
const MAX_REVIEW_MS: u32 = 60_000;
const MAX_BUNDLE_AGE_DAYS: u64 = 366;
/// What every Unix accepts as the path of a socket, in bytes, with some room.
const MAX_SOCKET_PATH_BYTES: usize = 100;
/// Room for a bundle of some hundred certificates, in bytes.
const MAX_CA_BYTES: usize = 1024 * 1024;
/// What is wrong with rules is told at so many places, each of which takes a look at the whole file.
const MAX_TOLD: usize = 100;
const DEFAULT_STORE_PATH: &str = "state/passgate.redb";

/// What a configuration comes to.
pub(super) struct Checked {
    pub(super) policy: Policy,
    pub(super) paths: Paths,
    pub(super) trust_roots: TrustRoots,
}

/// Checks `config` and compiles its policy.
pub(super) fn check(file: &Path, base: &Path, config: &Config) -> Result<Checked, ConfigErrors> {
    let check = Check { file, base };
    check.ranges(config)?;
    check.addresses(config)?;
    check.upstream(config)?;
    check.evaluator(config)?;
    check.plugins(config)?;
    let trust_roots = check.trust_roots(config)?;
    let paths = check.paths(config)?;
    let files = check.policy_files(config)?;
    let bundle = check.bundle(config)?;
    let policy = policy(file, bundle, &config.guardrails, config.rules.as_deref(), config.rules_mode, &files)?;
    Ok(Checked { policy, paths, trust_roots })
}

/// Compiles a policy whose own part stands in `file`, with what its policy files add.
pub(super) fn policy(
    file: &Path,
    mut bundle: Bundle,
    guardrails: &GuardrailsDoc,
    rules: Option<&[RuleDoc]>,
    mode: RulesMode,
    files: &[(PathBuf, PolicyFile)],
) -> Result<Policy, ConfigErrors> {
    let check = Check { file, base: file };
    bundle.routes.extend(files.iter().flat_map(|(_, file)| &file.routes).cloned());
    check.one_reader(guardrails, files)?;
    let of_files = files.iter().filter_map(|(_, file)| file.guardrails.as_ref());
    bundle.guardrails = of_files.fold(guardrails.clone(), |all, more| stricter(&all, more));
    check.wildcards(&bundle.guardrails)?;
    let evaluator = evaluator::native().map_err(|error| ConfigError::file(file, error.to_string(), None))?;
    let compile = |bundle: &Bundle| bundle.compile(evaluator.clone()).map_err(|error| ConfigError::bundle(file, error));
    let mut gate = compile(&bundle)?;
    let rules = check.rules(rules, mode, files, &gate)?;
    if let Some(rules) = &rules {
        bundle.rules = Some(rules.policy.to_tree());
        gate = compile(&bundle)?;
    }
    Ok(Policy { bundle, gate, rules })
}

struct Check<'a> {
    file: &'a Path,
    base: &'a Path,
}

impl Check<'_> {
    fn error(&self, member: impl Into<String>, problem: impl Into<String>, remedy: Option<&str>) -> ConfigError {
        ConfigError::at_member(self.file, member, problem, remedy)
    }

    /// What is encrypted to two keys, neither of their owners reads.
    fn one_reader(&self, own: &GuardrailsDoc, files: &[(PathBuf, PolicyFile)]) -> Result<(), ConfigError> {
        let of = |guardrails: &GuardrailsDoc| guardrails.pii_controls.as_ref().and_then(|pii| pii.encrypt_to.clone());
        let mut known = of(own).map(|key| (self.file, key));
        for (path, file) in files {
            let Some(key) = file.guardrails.as_ref().and_then(of) else { continue };
            match &known {
                Some((first, other)) if *other != key => {
                    let problem = format!("another key than in {}", first.display());
                    let remedy = Some("give one key, in one of the files");
                    return Err(ConfigError::at_member(path, "guardrails.pii_controls.encrypt_to", problem, remedy));
                }
                Some(_) => {}
                None => known = Some((path, key)),
            }
        }
        Ok(())
    }

    fn ranges(&self, config: &Config) -> Result<(), ConfigError> {
        let (server, upstream) = (&config.server, &config.upstream);
        let review_ms = config.reviewer.as_ref().map_or(MIN_REVIEW_MS, |reviewer| reviewer.timeout_ms);
        let rows: [(&str, u64, u64, u64); 12] = [
            ("server.max_body_bytes", server.max_body_bytes, 0, MAX_BODY_BYTES),
            ("server.max_connections", server.max_connections.into(), 1, MAX_CONNECTIONS),
            ("server.header_timeout_ms", server.header_timeout_ms.into(), 1, MAX_TIMEOUT_MS.into()),
            ("server.body_timeout_ms", server.body_timeout_ms.into(), 1, MAX_TIMEOUT_MS.into()),
            ("server.decision_timeout_ms", server.decision_timeout_ms.into(), 1, MAX_DECISION_TIMEOUT_MS.into()),
            ("server.shutdown_grace_ms", server.shutdown_grace_ms.into(), 1, MAX_TIMEOUT_MS.into()),
            ("upstream.connect_timeout_ms", upstream.connect_timeout_ms.into(), 1, MAX_TIMEOUT_MS.into()),
            ("upstream.response_timeout_ms", upstream.response_timeout_ms.into(), 1, MAX_TIMEOUT_MS.into()),
            ("upstream.idle_timeout_ms", upstream.idle_timeout_ms.into(), 1, MAX_TIMEOUT_MS.into()),
            ("upstream.max_response_bytes", upstream.max_response_bytes, 0, MAX_RESPONSE_BYTES),
            ("reviewer.timeout_ms", review_ms.into(), MIN_REVIEW_MS.into(), MAX_REVIEW_MS.into()),
            ("edge.max_age_days", config.edge.max_age_days.into(), 1, MAX_BUNDLE_AGE_DAYS),
        ];
        for (member, value, least, most) in rows {
            if value < least || value > most {
                return Err(self.error(
                    member,
                    format!("{value} is out of range"),
                    Some(&format!("use {least} to {most}")),
                ));
            }
        }
        Ok(())
    }

    fn addresses(&self, config: &Config) -> Result<(), ConfigError> {
        let metrics = config.control.metrics_listen.as_ref().map(|text| ("control.metrics_listen", text));
        for (member, text) in [("server.listen", &config.server.listen)].into_iter().chain(metrics) {
            if text.parse::<SocketAddr>().is_err() {
                let remedy = "write an IP address and a port, e.g. \"127.0.0.1:8787\" or \"[::]:8787\"";
                return Err(self.error(member, format!("`{text}` is no address to listen on"), Some(remedy)));
            }
        }
        Ok(())
    }

    fn upstream(&self, config: &Config) -> Result<(), ConfigError> {
        let url = &config.upstream.url;
        check_upstream(url).map_err(|(problem, remedy)| self.error("upstream.url", problem, Some(remedy)))?;
        if url.trim_end_matches('/') == config.gate.public_url {
            return Err(self.error("upstream.url", "is the gate itself", Some("name the API behind the gate")));
        }
        Ok(())
    }

    fn trust_roots(&self, config: &Config) -> Result<TrustRoots, ConfigError> {
        let Some(name) = &config.upstream.ca_file else { return Ok(TrustRoots::mozilla()) };
        if !config.upstream.url.starts_with("https://") {
            let problem = "the upstream is `http` and shows no certificate";
            return Err(self.error("upstream.ca_file", problem, Some("use an https upstream, or remove it")));
        }
        let path = self.base.join(name);
        authorities(&path).map_err(|(problem, remedy)| {
            self.error("upstream.ca_file", format!("`{}` {problem}", path.display()), Some(remedy))
        })
    }

    /// A wildcard below a public suffix lets in whoever registers a name there.
    fn wildcards(&self, guardrails: &GuardrailsDoc) -> Result<(), ConfigError> {
        for (i, pattern) in guardrails.allowed_domains.iter().flatten().enumerate() {
            if texts::is_public_suffix(pattern) {
                let problem = format!("`{pattern}` allows every name that anyone registers below");
                let member = format!("guardrails.allowed_domains[{i}]");
                return Err(self.error(member, problem, Some("name the organisation's own domain")));
            }
        }
        Ok(())
    }

    fn evaluator(&self, config: &Config) -> Result<(), ConfigError> {
        let doc = &config.evaluator;
        if doc.engine == Some(EngineKind::Native) && doc.file.is_some() {
            let problem = "names a component, and the engine is `native`";
            return Err(self.error("evaluator.file", problem, Some("use `engine: component`, or remove it")));
        }
        if doc.file.is_none() && (doc.sha256.is_some() || doc.trusted_keys_file.is_some()) {
            let problem = "is missing: nothing is there for `sha256` or `trusted_keys_file` to check";
            return Err(self.error("evaluator.file", problem, Some("name the component's file, or remove them")));
        }
        let wrong = |(problem, remedy): Refused| self.error("evaluator.sha256", problem, Some(remedy));
        EvaluatorFile::of(doc, self.base).map(drop).map_err(wrong)
    }

    fn plugins(&self, config: &Config) -> Result<(), ConfigError> {
        let fault = |fault: plugins::Fault| self.error(fault.member, fault.problem, Some(fault.remedy));
        let together: u64 = config.plugins.policies.iter().map(|plugin| u64::from(plugin.limits.deadline_ms)).sum();
        if together >= config.server.decision_timeout_ms.into() {
            let problem = format!(
                "have {together} ms together, and a decision with all of them has to be made in less than {}",
                config.server.decision_timeout_ms
            );
            let remedy = "lower their limits.deadline_ms, or raise server.decision_timeout_ms";
            return Err(self.error("plugins.policies", problem, Some(remedy)));
        }
        plugins::check(&config.plugins, self.base).map(drop).map_err(fault)
    }

    fn paths(&self, config: &Config) -> Result<Paths, ConfigError> {
        let store = match (config.store.kind, &config.store.path) {
            (StoreKind::Redb, path) => Some(self.base.join(path.as_deref().unwrap_or(DEFAULT_STORE_PATH))),
            (StoreKind::Memory, Some(_)) => {
                return Err(self.error("store.path", "the store in memory has no file", Some("remove it")));
            }
            (StoreKind::Memory, None) if config.gate.level != LevelDoc::L1 => {
                let problem = "L2 and above need a durable store: what is in memory is forgotten at a restart";
                return Err(self.error("store.kind", problem, Some("use `redb`")));
            }
            (StoreKind::Memory, None) => None,
        };
        let socket = self.base.join(&config.control.socket);
        if socket.as_os_str().len() > MAX_SOCKET_PATH_BYTES {
            let problem = format!("`{}` is longer than {MAX_SOCKET_PATH_BYTES} bytes", socket.display());
            return Err(self.error(
                "control.socket",
                problem,
                Some("use a shorter path, e.g. \"/run/passgate/gate.sock\""),
            ));
        }
        Ok(Paths { store, attestation_key: self.base.join(&config.attestation.key_file), socket })
    }

    fn bundle(&self, config: &Config) -> Result<Bundle, ConfigError> {
        let issuers = config.issuers.iter().enumerate().map(|(i, entry)| self.issuer(i, entry));
        Ok(Bundle {
            version: config.version,
            gate: config.gate.clone(),
            issuers: issuers.collect::<Result<_, _>>()?,
            self_issued: config.self_issued.clone(),
            foreign_agents: config.foreign_agents.clone(),
            routes: config.routes.clone(),
            guardrails: config.guardrails.clone(),
            rules: None,
            action_passes: config.action_passes,
            approvals: config.approvals.as_ref().map(|entry| self.approvals(entry)).transpose()?,
        })
    }

    fn policy_files(&self, config: &Config) -> Result<Vec<(PathBuf, PolicyFile)>, ConfigError> {
        let mut files: Vec<(PathBuf, PolicyFile)> = Vec::new();
        for (i, name) in config.policy_files.iter().enumerate() {
            let path = self.base.join(name);
            // Opening a pipe would wait for its writer.
            if !path.is_file() {
                let problem = format!("{} is no file that can be read", path.display());
                return Err(self.error(
                    format!("policy_files[{i}]"),
                    problem,
                    Some("paths start at this configuration"),
                ));
            }
            let file: PolicyFile = super::read_document(&path)?;
            files.push((path, file));
        }
        Ok(files)
    }

    /// None where there are none, which is not the same as an empty list.
    fn rules(
        &self,
        own: Option<&[RuleDoc]>,
        mode: RulesMode,
        files: &[(PathBuf, PolicyFile)],
        gate: &Gate,
    ) -> Result<Option<Compiled>, ConfigErrors> {
        let mut rules: Vec<(&Path, String, &RuleDoc)> = Vec::new();
        let first = (self.file, own.unwrap_or_default());
        let of_files = files.iter().map(|(path, file)| (path.as_path(), file.rules.as_slice()));
        for (path, docs) in [first].into_iter().chain(of_files) {
            rules.extend(docs.iter().enumerate().map(|(i, doc)| (path, format!("rules[{i}]"), doc)));
        }
        if own.is_none() && files.is_empty() {
            let problem = "is given, and there are no rules";
            let is_given = mode != RulesMode::Enforce;
            let unused = || self.error("rules_mode", problem, Some("add `rules`, or remove it")).into();
            return if is_given { Err(unused()) } else { Ok(None) };
        }
        let written: Vec<_> = rules.iter().map(|(file, at, doc)| Written { file, at, doc }).collect();
        crate::policy::compile(&written, mode, gate).map(Some).map_err(|faults| {
            let untold = faults.len().saturating_sub(MAX_TOLD);
            let told = faults.into_iter().take(MAX_TOLD);
            let mut errors = told.map(|fault| ConfigError::at_member(&fault.file, fault.at, fault.why, None));
            let first = errors.next().unwrap_or_else(|| self.error("rules", "cannot be compiled", None));
            ConfigErrors { first: Box::new(first), others: errors.collect(), untold }
        })
    }

    fn issuer(&self, i: usize, entry: &IssuerEntry) -> Result<IssuerDoc, ConfigError> {
        let keys = match (&entry.keys, &entry.keys_file) {
            (Some(keys), None) => keys.clone(),
            (None, Some(name)) => {
                let path = self.base.join(name);
                self.key_set(&path).map_err(|(problem, remedy)| {
                    let member = format!("issuers[{i}].keys_file");
                    self.error(member, format!("`{}` {problem}", path.display()), Some(remedy))
                })?
            }
            _ => {
                let problem = "has to have either `keys` or `keys_file`";
                return Err(self.error(format!("issuers[{i}]"), problem, Some("give one of them")));
            }
        };
        Ok(IssuerDoc {
            id: entry.id.clone(),
            tier: entry.tier,
            status: entry.status,
            max_passport_ttl_days: entry.max_passport_ttl_days,
            keys,
            status_list: entry
                .status_list
                .as_ref()
                .map(|lists| StatusListDoc { max_age_seconds: lists.max_age_seconds }),
        })
    }

    fn approvals(&self, entry: &ApprovalsEntry) -> Result<ApprovalsDoc, ConfigError> {
        let approvers = entry.approvers.iter().enumerate().map(|(i, entry)| self.approver(i, entry));
        let approvers = approvers.collect::<Result<_, _>>()?;
        Ok(ApprovalsDoc { approvers, request_ttl_seconds: entry.request_ttl_seconds })
    }

    fn approver(&self, i: usize, entry: &ApproverEntry) -> Result<ApproverDoc, ConfigError> {
        let key = match (&entry.key, &entry.key_file) {
            (Some(key), None) => key.clone(),
            (None, Some(name)) => {
                let path = self.base.join(name);
                let keys = self.key_set(&path).and_then(|keys| match <[IssuerKeyDoc; 1]>::try_from(keys) {
                    Ok([key]) => Ok(key.jwk),
                    Err(_) => Err(("holds more than one key".to_owned(), "keep the approver's present key alone")),
                });
                keys.map_err(|(problem, remedy)| {
                    let member = format!("approvals.approvers[{i}].key_file");
                    self.error(member, format!("`{}` {problem}", path.display()), Some(remedy))
                })?
            }
            _ => {
                let problem = "has to have either `key` or `key_file`";
                return Err(self.error(format!("approvals.approvers[{i}]"), problem, Some("give one of them")));
            }
        };
        Ok(ApproverDoc { name: entry.name.clone(), key, roles: entry.roles.clone() })
    }

    fn key_set(&self, path: &Path) -> Result<Vec<IssuerKeyDoc>, Unusable> {
        let bytes = read_trusted(path, MAX_JWKS_BYTES)?;
        let keys = key_set::parse(&bytes)
            .map_err(|error| (format!("is not usable: {error}"), "ask whose keys they are for the JWK Set"))?;
        if keys.is_empty() {
            return Err(("holds no Ed25519 key".to_owned(), "ask whose keys they are for the JWK Set"));
        }
        Ok(keys.iter().map(key_doc).collect())
    }
}

/// What is wrong with a file that the configuration names, and what to do.
type Unusable = (String, &'static str);

fn authorities(path: &Path) -> Result<TrustRoots, Unusable> {
    let pem = read_trusted(path, MAX_CA_BYTES)?;
    if pem.len() > MAX_CA_BYTES {
        return Err((format!("is longer than {MAX_CA_BYTES} bytes"), "keep the upstream's own authority alone"));
    }
    let remedy = "give the certificate of the authority that signed the upstream's, as PEM";
    TrustRoots::from_pem(&pem).map_err(|error| (error.to_string(), remedy))
}

/// The file, or one byte more than `limit` of it when it is longer.
fn read_trusted(path: &Path, limit: usize) -> Result<Vec<u8>, Unusable> {
    let unreadable =
        |error: io::Error| (format!("cannot be read: {error}"), "paths start at the configuration's folder");
    let file = File::open(path).map_err(unreadable)?;
    if files::is_open_to_all(&file).map_err(unreadable)? {
        return Err(("can be changed by every user of this machine".to_owned(), "run `chmod o-w` on it"));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn key_doc(entry: &IssuerKey) -> IssuerKeyDoc {
    let key = &entry.key;
    let jwk = JwkDoc {
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        x: b64::encode(key.as_bytes()),
        kid: Some(key.thumbprint().to_owned()),
        alg: None,
        use_: None,
    };
    IssuerKeyDoc { jwk, not_before: entry.not_before, not_after: entry.not_after, compromised_at: entry.compromised_at }
}

/// Checks the address of an API behind the gate.
///
/// # Errors
///
/// What is wrong with it, and what to do.
pub fn check_upstream(url: &str) -> Result<(), (String, &'static str)> {
    if is_origin(url) {
        return Ok(());
    }
    Err((format!("`{url}` is no origin"), "write scheme, host and port alone, e.g. \"http://127.0.0.1:9000\""))
}

fn is_origin(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return false,
    };
    authority::normalise(rest.strip_suffix('/').unwrap_or(rest), scheme).is_some()
}
