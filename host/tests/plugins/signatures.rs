//! Plugins that are signed instead of pinned.

use std::fs;
use std::path::Path;

use passgate_core::plugin::PluginOutcome;
use passgate_passport::key::SecretKey;
use passgate_passport::plugin_signature::{Claims, GATE_WORLD, POLICY_WORLD, sign};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::guest::Guest;
use crate::support::Plugins;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn signature(key: &SecretKey, component: &[u8], world: &str) -> String {
    let sha256 = Sha256::digest(component).into();
    let [name, version, world] = ["guest", "1.0.0", world].map(str::to_owned);
    sign(key, &Claims { iat: 1_772_366_400, name, sha256, version, world })
}

/// A plugin with this text beside it.
fn signed(component: &[u8], signature: Option<&str>, trusted: &[SecretKey]) -> Plugins {
    let mut plugins = Plugins::new();
    plugins.add("plugin", component, json!({}));
    plugins.trust(trusted);
    if let Some(text) = signature {
        fs::write(plugins.path("plugin.wasm.jws"), text).unwrap();
    }
    plugins
}

#[tokio::test]
async fn a_plugin_that_a_trusted_key_signed_runs() {
    let component = Guest::good().component();
    let text = signature(&key(2), &component, POLICY_WORLD);
    for text in [text.clone(), format!("{text}\n")] {
        let loaded = signed(&component, Some(&text), &[key(1), key(2)]).load().await.unwrap();
        assert_eq!(loaded.ask_one("a:b").await.outcome, PluginOutcome::Answered);
    }
}

#[tokio::test]
async fn a_plugin_that_no_trusted_key_signed_does_not() {
    let component = Guest::good().component();
    let trusted = [key(1)];
    let good = signature(&key(1), &component, POLICY_WORLD);
    let (rest, _) = good.rsplit_once('.').unwrap();
    for (text, problem) in [
        (None, "cannot be read"),
        (Some(String::new()), "plugin signature"),
        (Some("\u{ff}".to_owned()), "plugin signature"),
        (Some(signature(&key(9), &component, POLICY_WORLD)), "names none of the keys"),
        (Some(signature(&key(1), &Guest::deny("no").component(), POLICY_WORLD)), "another component"),
        (Some(signature(&key(1), &component, GATE_WORLD)), "not for the world"),
        (Some(format!("{rest}.{}", "A".repeat(86))), "plugin signature"),
        (Some(good.repeat(20)), "longer than"),
    ] {
        let error = signed(&component, text.as_deref(), &trusted).load().await.err().expect("it was loaded");
        assert!(error.problem.contains("plugin.wasm.jws: ") && error.problem.contains(problem), "{error}");
    }
    let error = signed(&component, Some(&good), &[]).load().await.err().unwrap();
    assert!(error.problem.contains("names none of the keys"), "{error}");
    let plugins = signed(&component, Some(&good), &trusted);
    fs::write(plugins.path("trusted.jwks"), "no keys").unwrap();
    let error = plugins.load().await.err().unwrap();
    assert!(error.problem.contains("trusted.jwks: "), "{error}");
}

#[tokio::test]
async fn a_signed_plugin_is_exchanged_for_a_signed_one_alone() {
    let first = Guest::deny("first").component();
    let text = signature(&key(1), &first, POLICY_WORLD);
    let loaded = signed(&first, Some(&text), &[key(1)]).load().await.unwrap();
    let replace = |name: &str, bytes: &[u8]| {
        let new = loaded.folder.path().join("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, loaded.folder.path().join(Path::new(name))).unwrap();
    };
    let second = Guest::deny("second").component();
    replace("plugin.wasm", &second);
    loaded.host.reload().await;
    assert_eq!(loaded.ask_one("a:b").await.reason.as_deref(), Some("first"), "the signature is not there yet");
    assert!(loaded.host.status()[0].refused_reload.as_deref().unwrap().contains("another component"));

    replace("plugin.wasm.jws", signature(&key(1), &second, POLICY_WORLD).as_bytes());
    loaded.host.reload().await;
    assert_eq!(loaded.ask_one("a:b").await.reason.as_deref(), Some("second"));
    assert_eq!(loaded.host.status()[0].refused_reload, None);
}
