//! What a configuration says of plugins, checked.

use std::path::{Path, PathBuf};

use passgate_core::attest::sha256_label;
use passgate_core::plugin::MAX_PLUGINS;
use passgate_passport::json::canonical;
use passgate_passport::plugin_signature::POLICY_WORLD;
pub(super) use passgate_passport::plugin_signature::is_name;
use passgate_passport::scope::{ActionName, Scope};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::limits::ranges;
use crate::config::{PluginDoc, PluginGrant, PluginLimitsDoc, PluginsDoc};
use crate::signed_file::SignedFile;
pub(super) use crate::signed_file::Trust;

/// One plugin as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) trust: Trust,
    /// `None`: every action.
    pub(super) actions: Option<Vec<Scope>>,
    pub(super) config: PluginConfig,
    pub(super) grants: Vec<PluginGrant>,
    pub(super) limits: PluginLimitsDoc,
}

/// What a plugin is given as its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PluginConfig {
    /// Canonical JSON.
    pub(super) text: String,
    pub(super) sha256: String,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The member, e.g. `plugins.policies[0].name`.
    pub(crate) member: String,
    /// What is wrong.
    pub(crate) problem: String,
    /// What to do.
    pub(crate) remedy: &'static str,
}

/// Checks what a configuration says of plugins. Files are named, not looked at.
///
/// # Errors
///
/// The first [`Fault`].
pub(crate) fn check(doc: &PluginsDoc, base: &Path) -> Result<Vec<Settings>, Fault> {
    if doc.policies.len() > MAX_PLUGINS {
        let problem = format!("{} plugins are more than {MAX_PLUGINS}", doc.policies.len());
        return Err(Fault { member: "plugins.policies".to_owned(), problem, remedy: "join some of them into one" });
    }
    let keys = doc.trusted_keys_file.as_ref().map(|name| base.join(name));
    let mut settings = Vec::<Settings>::new();
    for (i, plugin) in doc.policies.iter().enumerate() {
        let at = |(member, problem, remedy): (&str, String, _)| {
            let member = format!("plugins.policies[{i}].{member}");
            Fault { member, problem, remedy }
        };
        let next = Settings::of(plugin, base, keys.as_deref()).map_err(at)?;
        if settings.iter().any(|before| before.name == next.name) {
            return Err(at(("name", format!("`{}` names another plugin already", next.name), "give it another name")));
        }
        settings.push(next);
    }
    Ok(settings)
}

/// Member, problem and remedy.
type Wrong = (&'static str, String, &'static str);

impl Settings {
    fn of(doc: &PluginDoc, base: &Path, keys: Option<&Path>) -> Result<Self, Wrong> {
        if !is_name(&doc.name) {
            return Err(("name", format!("`{}` is no name of a plugin", doc.name), NAME_REMEDY));
        }
        let file = base.join(&doc.file);
        Ok(Self {
            trust: Trust::of(doc.sha256.as_deref(), &file, keys)
                .map_err(|(problem, remedy)| ("sha256", problem, remedy))?,
            actions: doc.actions.as_deref().map(scopes).transpose()?,
            config: PluginConfig::new(&doc.config).map_err(|why| ("config", why, CONFIG_REMEDY))?,
            grants: grants(&doc.grants),
            limits: check_limits(&doc.limits).map(|()| doc.limits.clone())?,
            name: doc.name.clone(),
            file,
        })
    }

    /// The component's file.
    pub(super) fn signed_file(&self) -> SignedFile {
        SignedFile {
            path: self.file.clone(),
            trust: self.trust.clone(),
            world: POLICY_WORLD,
            limit_bytes: self.limits.component_bytes,
        }
    }

    /// Whether the plugin is asked about `action`. One that is not named as actions are concerns every plugin.
    pub(super) fn covers(&self, action: Option<&ActionName>) -> bool {
        let (Some(scopes), Some(action)) = (&self.actions, action) else { return true };
        scopes.iter().any(|scope| scope.covers(action))
    }
}

impl PluginConfig {
    /// # Errors
    ///
    /// Why `value` has no canonical form.
    pub(super) fn new(value: &Value) -> Result<Self, String> {
        let bytes = canonical(value).map_err(|error| error.to_string())?;
        let sha256 = sha256_label(&Sha256::digest(&bytes).into());
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        Ok(Self { text, sha256 })
    }
}

/// The grants in order, each once.
pub(super) fn grants(given: &[PluginGrant]) -> Vec<PluginGrant> {
    let mut grants = given.to_vec();
    grants.sort_unstable();
    grants.dedup();
    grants
}

/// Whether every limit is in its range.
pub(super) fn check_limits(limits: &PluginLimitsDoc) -> Result<(), Wrong> {
    let outside = ranges(limits).into_iter().find(|(_, value, least, most)| value < least || value > most);
    let Some((name, value, least, most)) = outside else { return Ok(()) };
    Err(("limits", format!("`{name}` is {value}, and has to be {least} to {most}"), "use a number in that range"))
}

const NAME_REMEDY: &str = "use 1 to 64 lower-case letters, digits and `-`";
const CONFIG_REMEDY: &str = "write fractions and large numbers as texts in quotes";

fn scopes(texts: &[String]) -> Result<Vec<Scope>, Wrong> {
    const REMEDY: &str = "write scopes such as \"payments:*\", or leave `actions` out for all";
    if texts.is_empty() {
        return Err(("actions", "is empty, so the plugin would never be asked".to_owned(), REMEDY));
    }
    let parse = |text: &String| {
        Scope::parse(text).map_err(|error| ("actions", format!("`{}`: {error}", text.escape_debug()), REMEDY))
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PIN: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn settings(doc: Value) -> Result<Vec<Settings>, Fault> {
        check(&serde_json::from_value(doc).unwrap(), Path::new("/base"))
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let given = json!({"policies": [{"name": "a", "file": "p/a.wasm", "sha256": PIN}]});
        let [plugin] = settings(given).unwrap().try_into().unwrap();
        assert_eq!(plugin.file, Path::new("/base/p/a.wasm"));
        assert_eq!(plugin.trust, Trust::Pinned(PIN.to_owned()));
        assert_eq!((plugin.config.text.as_str(), plugin.grants.len()), ("null", 0));
        assert_eq!(plugin.config.sha256, "sha256:74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b");
        assert_eq!(plugin.limits, PluginLimitsDoc::default());
        assert!(plugin.covers(Some(&ActionName::parse("web:search").unwrap())));
    }

    #[test]
    fn a_plugin_without_a_pin_has_to_be_signed() {
        let policies = json!([{"name": "a", "file": "a.wasm", "config": {"b": 1, "a": [true]}, "actions": ["pay:*"],
            "grants": ["log", "keys", "log"]}]);
        let signed = json!({"trusted_keys_file": "keys.json", "policies": policies});
        let [plugin] = settings(signed).unwrap().try_into().unwrap();
        let [signature, keys] = ["/base/a.wasm.jws", "/base/keys.json"].map(PathBuf::from);
        assert_eq!(plugin.trust, Trust::Signed { signature, keys });
        assert_eq!(plugin.config.text, r#"{"a":[true],"b":1}"#);
        assert_eq!(plugin.grants, [PluginGrant::Log, PluginGrant::Keys]);
        assert!(!plugin.covers(Some(&ActionName::parse("web:search").unwrap())));
        assert!(plugin.covers(Some(&ActionName::parse("pay:refund").unwrap())));
        assert!(plugin.covers(None), "in doubt it is asked");
        let unsigned = settings(json!({"policies": policies})).unwrap_err();
        assert_eq!(unsigned.member, "plugins.policies[0].sha256");
    }

    #[test]
    fn mistakes_are_named_with_their_member() {
        let good = json!({"name": "a", "file": "a.wasm", "sha256": PIN});
        let with = |member: &str, value: Value| {
            let mut doc = good.clone();
            doc[member] = value;
            settings(json!({"policies": [doc]}))
        };
        for (member, value) in [
            ("name", json!("")),
            ("name", json!("A")),
            ("name", json!("a_b")),
            ("name", json!("a".repeat(65))),
            ("sha256", json!("sha256:")),
            ("sha256", json!(PIN.to_uppercase())),
            ("sha256", json!(PIN.strip_prefix("sha256:"))),
            ("actions", json!([])),
            ("actions", json!(["Pay"])),
            ("config", json!({"limit": 0.5})),
            ("config", json!(9_007_199_254_740_992_u64)),
            ("limits", json!({"fuel": 0})),
            ("limits", json!({"deadline_ms": 0})),
            ("limits", json!({"deadline_ms": 10_001})),
            ("limits", json!({"memory_bytes": 4_294_967_296_u64})),
        ] {
            let fault = with(member, value.clone()).expect_err(&value.to_string());
            assert_eq!(fault.member, format!("plugins.policies[0].{member}"), "{value}");
        }
        let twice = settings(json!({"policies": [good, good]})).unwrap_err();
        assert_eq!(twice.member, "plugins.policies[1].name");
        let many = settings(json!({"policies": vec![good; MAX_PLUGINS + 1]})).unwrap_err();
        assert_eq!(many.member, "plugins.policies");
    }
}
