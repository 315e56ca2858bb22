//! One component by itself, for the command line: what it is, and what it answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use passgate_core::plugin::PluginRecord;
use serde::Serialize;
use serde_json::Value;

use super::component::Shape;
use super::plugin::{self, file_stem};
use super::settings::{PluginConfig, Settings, Trust, check_limits, grants};
use super::{PluginError, PluginKeys, Question, load_plugin, new_engine};
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
    let error = |refused| PluginError::new(&file_stem(path), path, refused);
    let mut settings = settings(path, TrialSettings { limits, ..TrialSettings::default() })?;
    let source = plugin::read(&Arc::new(settings.clone())).await.map_err(error)?;
    let shape = Shape::of(&source.bytes).map_err(error)?;
    settings.grants = shape.grants();
    let loaded = load(settings, Arc::new(NoKeys)).await?;
    let description = loaded.description().clone();
    Ok(Inspected {
        file: path.to_owned(),
        digest: loaded.digest().to_owned(),
        bytes: source.bytes.len() as u64,
        grants: loaded.settings().grants.clone(),
        imports: shape.imports,
        exports: shape.exports,
        name: description.name,
        version: description.version,
        summary: description.summary,
        limits: loaded.limits().clone(),
    })
}

/// How a component is tried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrialSettings {
    /// Its configuration.
    pub config: Value,
    /// What it may import.
    pub grants: Vec<PluginGrant>,
    /// What one call may take.
    pub limits: PluginLimitsDoc,
}

/// A component that is tried out: neither pinned nor signed, and called however often it failed.
pub struct Trial(plugin::Plugin);

impl Trial {
    /// Loads the component at `path`; its keys are those that `keys` gives for the name of the file without its ending.
    ///
    /// # Errors
    ///
    /// [`PluginError`] when a gate could not load it.
    pub async fn load(path: &Path, how: TrialSettings, keys: Arc<dyn PluginKeys>) -> Result<Self, PluginError> {
        load(settings(path, how)?, keys).await.map(Self)
    }

    /// Asks it about a request. The record comes with what happened when it gave no answer.
    pub async fn evaluate(&self, question: &Question) -> (PluginRecord, Option<String>) {
        let (record, failure) = self.0.ask(question).await;
        (record, failure.map(|failure| failure.why))
    }
}

fn settings(path: &Path, how: TrialSettings) -> Result<Settings, PluginError> {
    let name = file_stem(path);
    let error = |problem, remedy| PluginError::new(&name, path, (problem, remedy));
    let config = PluginConfig::new(&how.config)
        .map_err(|why| error(format!("its configuration: {why}"), "write fractions as texts"))?;
    check_limits(&how.limits).map_err(|(_, problem, remedy)| error(problem, remedy))?;
    let (grants, limits) = (grants(&how.grants), how.limits);
    Ok(Settings { file: path.to_owned(), trust: Trust::Trial, actions: None, config, grants, limits, name })
}

async fn load(settings: Settings, keys: Arc<dyn PluginKeys>) -> Result<plugin::Plugin, PluginError> {
    let engine = new_engine(&settings.name, &settings.file)?;
    load_plugin(&engine, &Arc::new(settings), keys).await
}

struct NoKeys;

#[async_trait]
impl PluginKeys for NoKeys {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}
