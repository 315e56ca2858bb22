//! What the deployment gives: bindings, variables and secrets, each read where it is needed and never logged.

use passgate_passport::jwk;
use passgate_passport::key::{PublicKey, SecretKey};
use worker::{Env, ObjectNamespace};

use crate::kv::Kv;

/// Workers KV with the bundle and the status lists.
pub(crate) const KV: &str = "PASSGATE_KV";
/// The objects that admit.
pub(crate) const ADMISSION: &str = "ADMISSION";
/// The object of the whole gate.
pub(crate) const GATE: &str = "GATE";
const BUNDLE_KEYS: &str = "PASSGATE_BUNDLE_KEYS";
const ATTESTATION_KEY: &str = "PASSGATE_ATTESTATION_KEY";
const ATTESTATION_KEY_BEFORE: &str = "PASSGATE_ATTESTATION_KEY_BEFORE";
const API_KEYS: &str = "PASSGATE_API_KEYS";

/// A setting that is missing or unusable: which one, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingError {
    name: &'static str,
    problem: String,
}

impl std::fmt::Display for SettingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, problem } = self;
        write!(f, "{name} {problem}")
    }
}

fn bad(name: &'static str, problem: impl ToString) -> SettingError {
    SettingError { name, problem: problem.to_string() }
}

/// The namespace that a bundle and the status lists are read from.
pub(crate) fn kv(env: &Env) -> Result<Kv, SettingError> {
    Kv::bound(env, KV).ok_or_else(|| bad(KV, "is not bound: add it to `kv_namespaces` in wrangler.jsonc"))
}

/// One of the two classes of objects.
pub(crate) fn objects(env: &Env, name: &'static str) -> Result<ObjectNamespace, SettingError> {
    env.durable_object(name).map_err(|_| bad(name, "is not bound: add it to `durable_objects` in wrangler.jsonc"))
}

/// The keys that bundles verify with.
pub(crate) fn bundle_keys(env: &Env) -> Result<Vec<PublicKey>, SettingError> {
    let missing = || bad(BUNDLE_KEYS, "is not set: give the public JWK Set of the key that signs bundles");
    let text = env.var(BUNDLE_KEYS).map_err(|_| missing())?.to_string();
    let keys = jwk::parse_set(text.as_bytes())
        .map_err(|error| bad(BUNDLE_KEYS, format_args!("is no public JWK Set: {error}")))?;
    if keys.is_empty() {
        return Err(missing());
    }
    Ok(keys)
}

/// The key that signs attestations.
pub(crate) fn attestation_key(env: &Env) -> Result<SecretKey, SettingError> {
    let text = env.secret(ATTESTATION_KEY).map_err(|_| {
        bad(ATTESTATION_KEY, "is not set: `wrangler secret put PASSGATE_ATTESTATION_KEY` with a private Ed25519 JWK")
    })?;
    private_key(ATTESTATION_KEY, &text.to_string())
}

/// The key that signed attestations before, while it hands over to the present one.
pub(crate) fn attestation_key_before(env: &Env) -> Result<Option<SecretKey>, SettingError> {
    let text = env.secret(ATTESTATION_KEY_BEFORE).ok();
    text.map(|text| private_key(ATTESTATION_KEY_BEFORE, &text.to_string())).transpose()
}

fn private_key(name: &'static str, text: &str) -> Result<SecretKey, SettingError> {
    // The error may quote nothing of the key.
    SecretKey::from_private_jwk(text.as_bytes())
        .map_err(|error| bad(name, format_args!("is no private Ed25519 JWK: {error}")))
}

/// The entries of the API keys, as JSON. Without them every control route that needs a key refuses.
pub(crate) fn api_keys(env: &Env) -> Result<String, SettingError> {
    env.secret(API_KEYS).map(|text| text.to_string()).map_err(|_| {
        bad(API_KEYS, "is not set: `wrangler secret put PASSGATE_API_KEYS` with the entries of `passgate keys api-key`")
    })
}
