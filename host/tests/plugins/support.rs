//! A host with the plugins of a test, and what they are asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use passgate_core::attest::sha256_label;
use passgate_core::plugin::PluginRecord;
use passgate_host::config::PluginsDoc;
use passgate_host::metrics::Metrics;
use passgate_host::plugins::{Agent, Facts, Header, PluginError, PluginHost, PluginKeys, Question, Request};
use passgate_passport::jwk::emit_set;
use passgate_passport::key::SecretKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::guest::Guest;

/// Keys in memory. The key `broken` cannot be read, and `panic` is a bug.
#[derive(Default)]
pub(crate) struct Keys(pub(crate) BTreeMap<(String, String), Vec<u8>>);

#[async_trait]
impl PluginKeys for Keys {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        match key {
            "broken" => Err("the disk is gone".to_owned()),
            "panic" => panic!("on purpose"),
            "late" => std::future::pending().await,
            _ => Ok(self.0.get(&(plugin.to_owned(), key.to_owned())).cloned()),
        }
    }
}

/// The plugins of a test: files, and what is configured of each.
pub(crate) struct Plugins {
    folder: tempfile::TempDir,
    policies: Vec<Value>,
    pub(crate) keys: Keys,
    pub(crate) metrics: Metrics,
}

impl Plugins {
    pub(crate) fn new() -> Self {
        let (folder, policies) = (tempfile::tempdir().unwrap(), Vec::new());
        Self { folder, policies, keys: Keys::default(), metrics: Metrics::default() }
    }

    /// Adds a plugin. It has more time than a busy machine takes from it, unless `more` says otherwise.
    pub(crate) fn add(&mut self, name: &str, component: &[u8], more: Value) {
        let file = format!("{name}.wasm");
        fs::write(self.folder.path().join(&file), component).unwrap();
        let pin = sha256_label(&Sha256::digest(component).into());
        let mut policy = json!({"name": name, "file": file, "sha256": pin, "limits": {"deadline_ms": 10_000}});
        merge(&mut policy, more);
        self.policies.push(policy);
    }

    /// Takes away the pin of the last plugin, so that one of `keys` has to have signed it.
    pub(crate) fn trust(&mut self, keys: &[SecretKey]) {
        fs::write(self.path("trusted.jwks"), emit_set(keys.iter().map(SecretKey::public))).unwrap();
        if let Some(Value::Object(policy)) = self.policies.last_mut() {
            policy.remove("sha256");
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn load(self) -> Result<Loaded, PluginError> {
        let doc: PluginsDoc = serde_json::from_value(json!({
            "trusted_keys_file": "trusted.jwks",
            "policies": self.policies,
        }))
        .unwrap();
        let base = self.folder.path();
        let host = PluginHost::load(&doc, base, Arc::new(self.keys), self.metrics.clone()).await?;
        Ok(Loaded { host, metrics: self.metrics, folder: self.folder })
    }
}

/// A host that runs.
pub(crate) struct Loaded {
    pub(crate) host: PluginHost,
    pub(crate) metrics: Metrics,
    pub(crate) folder: tempfile::TempDir,
}

impl Loaded {
    /// A host with one plugin.
    pub(crate) async fn with(guest: &Guest, more: Value) -> Self {
        let mut plugins = Plugins::new();
        plugins.add("plugin", &guest.component(), more);
        plugins.load().await.unwrap()
    }

    pub(crate) async fn ask(&self, action: &str) -> Vec<PluginRecord> {
        self.host.evaluate(question(action), false).await
    }

    /// The record of the one plugin that the action concerns.
    pub(crate) async fn ask_one(&self, action: &str) -> PluginRecord {
        let [record] = self.ask(action).await.try_into().expect("one record");
        record
    }
}

pub(crate) fn question(action: &str) -> Question {
    let text = str::to_owned;
    let header = Header { name: text("content-type"), value: text("application/json") };
    let agent = Agent {
        id: text("agent-7"),
        issuer: text("https://issuer.example"),
        tier: text("L2"),
        passport_id: text("pass_1"),
        key_thumbprint: text("thumb"),
        permissions: vec![text("payments:*"), text("web:search")],
        delegated_by: Vec::new(),
        labels: Vec::new(),
        purpose: None,
    };
    let request = Request {
        method: text("POST"),
        scheme: text("https"),
        authority: text("gate.example"),
        path: text("/pay"),
        query: Some(text("q=1")),
        headers: vec![header],
        body: br#"{"amount_usd":7}"#.to_vec(),
    };
    let facts = Facts {
        now_ms: 1_772_366_400_000,
        gate_id: text("gate_1"),
        action: text(action),
        amount_micro_usd: Some(7_000_000),
        target_domain: None,
        agent,
    };
    Question { request, facts }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
