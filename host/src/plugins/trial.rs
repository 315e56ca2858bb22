//! One component by itself, for the command line: what it is, and what it answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use passgate_core::plugin::PluginRecord;
use serde::Serialize;
use serde_json::Value;

use super::component::{Refused, Shape};
use super::plugin::{self, file_stem};
use super::settings::{PluginConfig, Settings, Trust, check_limits};
use super::{PluginError, PluginKeys, Question, load_source, new_engine};
use crate::config::{PluginGrant, PluginLimitsDoc};

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// Its file.
    pub file: PathBuf,
    /// SHA-256 of the file, as a pin has it.
    pub digest: String,
    /// Its length, in bytes.
    pub bytes: u64,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// The interfaces it exports.
    pub exports: Vec<String>,
    /// What it has to be granted.
    pub grants: Vec<PluginGrant>,
    /// The name it gives itself.
    pub name: String,
    /// The version it says it has.
    pub version: String,
    /// What it says of itself.
    pub summary: String,
    /// The limits under which it said so.
    pub limits: PluginLimitsDoc,
}

/// Loads the component at `path` under `limits`, granted whatever it needs, and says what it is. It has no keys.
///
/// # Errors
///
/// [`PluginError`] when a gate could not load it.
pub async fn inspect(path: &Path, limits: PluginLimitsDoc) -> Result<Inspected, PluginError> {
    Ok(Trial::load(path, limits, Arc::new(NoKeys)).await?.inspected)
}

/// A component that is tried out: neither pinned nor signed, granted what it imports, and called however often it failed.
pub struct Trial {
    plugin: plugin::Plugin,
    inspected: Inspected,
}

impl Trial {
    /// Loads the component at `path`; its keys are those that `keys` gives for the name of the file without its ending.
    ///
    /// # Errors
    ///
    /// [`PluginError`] when a gate could not load it.
    pub async fn load(path: &Path, limits: PluginLimitsDoc, keys: Arc<dyn PluginKeys>) -> Result<Self, PluginError> {
        let name = file_stem(path);
        let error = |refused| PluginError::new(&name, path, refused);
        check_limits(&limits).map_err(|(_, problem, remedy)| error((problem, remedy)))?;
        let config = config(&Value::Null).map_err(error)?;
        let (file, trust) = (path.to_owned(), Trust::Trial);
        let mut settings =
            Settings { file, trust, actions: None, config, grants: Vec::new(), limits, name: name.clone() };
        let source = plugin::read(&Arc::new(settings.clone())).await.map_err(error)?;
        let shape = source.shape.clone();
        settings.grants = shape.grants();
        let bytes = source.code.bytes.len() as u64;
        let engine = new_engine(&name, path)?;
        let plugin = load_source(&engine, &Arc::new(settings), source, keys).await?;
        let inspected = Inspected::of(&plugin, shape, bytes);
        Ok(Self { plugin, inspected })
    }

    /// What the component is.
    #[must_use]
    pub fn inspected(&self) -> &Inspected {
        &self.inspected
    }

    /// Asks it about a request with this configuration. The record comes with what happened when it gave no answer.
    ///
    /// # Errors
    ///
    /// [`PluginError`] when the configuration has no canonical form.
    pub async fn evaluate(
        &self,
        question: &Question,
        configured: &Value,
    ) -> Result<(PluginRecord, Option<String>), PluginError> {
        let Inspected { name, file, .. } = &self.inspected;
        let configured = config(configured).map_err(|refused| PluginError::new(name, file, refused))?;
        let (record, failure) = self.plugin.ask_with(question, &configured).await;
        Ok((record, failure.map(|failure| failure.why)))
    }
}

impl Inspected {
    fn of(plugin: &plugin::Plugin, shape: Shape, bytes: u64) -> Self {
        let description = plugin.description().clone();
        Self {
            file: plugin.settings().file.clone(),
            digest: plugin.digest().to_owned(),
            bytes,
            imports: shape.imports,
            exports: shape.exports,
            grants: plugin.settings().grants.clone(),
            name: description.name,
            version: description.version,
            summary: description.summary,
            limits: plugin.limits().clone(),
        }
    }
}

fn config(value: &Value) -> Result<PluginConfig, Refused> {
    PluginConfig::new(value).map_err(|why| (format!("its configuration: {why}"), "write fractions as texts"))
}

struct NoKeys;

#[async_trait]
impl PluginKeys for NoKeys {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}
