//! `passgate.yml`: found, read, checked and compiled.
//!
//! Unknown members, doubled members and numbers with two readings are refused, each with its place and a remedy.
//! Nothing in the environment changes a security setting: `PASSGATE_CONFIG` names the file, `PASSGATE_LOG` the log
//! level, and that is all.

mod check;
mod doc;
mod error;
mod guardrails;
mod scalars;
mod yaml;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use passgate_api::bundle::{Bundle, GuardrailsDoc};
use passgate_core::gate::Gate;
use serde::de::DeserializeOwned;

use self::check::Checked;
use crate::http::upstream::TrustRoots;
use crate::policy::{Compiled, PolicyFile, RulesMode};

pub use check::check_upstream;
pub use doc::{
    AttestationDoc, Config, ControlDoc, EdgeSettings, EngineKind, EvaluatorDoc, IssuerEntry, LogDoc, LogFormat,
    LogLevel, PluginDoc, PluginGrant, PluginLimitsDoc, PluginsDoc, ReviewerApi, ReviewerEntry, ServerDoc, StoreDoc,
    StoreKind, UpstreamDoc, WebhookEntry,
};
pub use error::{ConfigError, ConfigErrors};

/// The name of a configuration file.
pub const FILE_NAME: &str = "passgate.yml";
/// The environment variable that names a configuration file.
pub const FILE_VARIABLE: &str = "PASSGATE_CONFIG";
/// The first line of a configuration: where editors find the schema.
pub const SCHEMA_LINE: &str = "# yaml-language-server: $schema=./passgate.schema.json";

/// A configuration ready to be served.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the file says.
    pub config: Config,
    /// The file as it was named.
    pub path: PathBuf,
    /// The file behind symbolic links.
    pub resolved_path: PathBuf,
    /// The folder of [`Loaded::path`]; relative paths start there.
    pub base: PathBuf,
    /// The policy with the issuers' keys in it.
    pub bundle: Bundle,
    /// The policy compiled.
    pub gate: Gate,
    /// Its rules, if there are any.
    pub rules: Option<Compiled>,
    /// The files the configuration names.
    pub paths: Paths,
    /// Whom to trust when the upstream is `https`.
    pub trust_roots: TrustRoots,
}

/// The files a configuration names, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The database; `None` for the store in memory.
    pub store: Option<PathBuf>,
    /// The private attestation key.
    pub attestation_key: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
}

impl Config {
    /// Reads, checks and compiles the file. Reads the issuers' key files and the upstream's certificate authorities, and
    /// no private key.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`].
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        Self::load_whole(path).map_err(|errors| *errors.first)
    }

    /// As [`Config::load`], and tells of rules everything that is wrong with them.
    ///
    /// # Errors
    ///
    /// What is wrong, in the order in which it is written.
    pub fn load_whole(path: &Path) -> Result<Loaded, ConfigErrors> {
        let text = yaml::read(path)?;
        let config: Self = yaml::parse(path, &text)?;
        let resolved_path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        let checked = check::check(path, &base, &config).map_err(|errors| errors.map(yaml::located))?;
        let Checked { policy: Policy { bundle, gate, rules }, paths, trust_roots } = checked;
        Ok(Loaded { config, path: path.to_owned(), resolved_path, base, bundle, gate, rules, paths, trust_roots })
    }

    /// Reads a configuration from text, as if it stood in `path`; see [`Config::load`].
    ///
    /// # Errors
    ///
    /// The first thing wrong with the text itself. Nothing it names is looked at.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        yaml::parse(path, text)
    }
}

/// Reads another file of the operator's, as strictly as a configuration.
///
/// # Errors
///
/// The first thing wrong with the file or its text.
pub fn read_document<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    yaml::parse(path, &yaml::read(path)?)
}

/// Reads the text of such a file, as if it stood in `path`.
///
/// # Errors
///
/// The first thing wrong with the text.
pub fn parse_document<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    yaml::parse(path, text)
}

/// A policy compiled.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The policy with the issuers' keys in it.
    pub bundle: Bundle,
    /// The gate that it describes.
    pub gate: Gate,
    /// Its rules, if there are any.
    pub rules: Option<Compiled>,
}

/// Reads a policy file and compiles it for a gate that has nothing else: `bundle` has its name and its issuers.
///
/// # Errors
///
/// What is wrong with the file.
pub fn load_policy_file(path: &Path, bundle: Bundle) -> Result<(Policy, PolicyFile), ConfigErrors> {
    let file: PolicyFile = read_document(path)?;
    let files = [(path.to_owned(), file.clone())];
    let policy = check::policy(path, bundle, &GuardrailsDoc::default(), None, RulesMode::Enforce, &files);
    policy.map(|policy| (policy, file)).map_err(|errors| errors.map(yaml::located))
}

/// The JSON Schema of a policy file.
#[must_use]
pub fn policy_schema() -> serde_json::Value {
    schemars::schema_for!(PolicyFile).to_value()
}

/// The JSON Schema of a configuration.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

/// Finds the configuration file: `flag`, then `PASSGATE_CONFIG`, then `passgate.yml` in `folder` or above it, then
/// `passgate/passgate.yml` in `XDG_CONFIG_HOME` (or `~/.config`). `variable` reads the environment.
///
/// # Errors
///
/// When there is none. A file that was named is not looked for elsewhere.
pub fn discover(
    flag: Option<&Path>,
    folder: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, ConfigError> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    if let Some(path) = variable(FILE_VARIABLE).filter(|value| !value.is_empty()) {
        return Ok(path.into());
    }
    let above = folder.ancestors().map(|folder| folder.join(FILE_NAME));
    let home = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = home("XDG_CONFIG_HOME").or_else(|| home("HOME").map(|home| home.join(".config")));
    let user = user.map(|folder| folder.join("passgate").join(FILE_NAME));
    above.chain(user).find(|path| path.is_file()).ok_or_else(|| {
        ConfigError::file(
            &folder.join(FILE_NAME),
            "is not there, nor in a folder above or in the user's configuration",
            Some("run `passgate init`, or name a file with --config"),
        )
    })
}

#[cfg(test)]
mod tests;
