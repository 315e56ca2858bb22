//! A plugin that cannot be used.

use std::path::{Path, PathBuf};

use super::component::Refused;

/// Why a plugin cannot be loaded. It is always the operator's to put right: the configuration, or a file that it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin `{plugin}`, {}: {problem}; {remedy}", file.display())]
pub struct PluginError {
    /// The name of the plugin.
    pub plugin: String,
    /// Its file.
    pub file: PathBuf,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

impl PluginError {
    pub(super) fn new(plugin: &str, file: &Path, (problem, remedy): Refused) -> Self {
        Self { plugin: plugin.to_owned(), file: file.to_owned(), problem, remedy }
    }
}
