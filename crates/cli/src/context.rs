//! What every command is given: the output, and the configuration when it asks for it.

use std::path::{Path, PathBuf};

use passgate_host::config::{self, Config, ConfigError, Loaded};

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The surroundings of a command.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where text goes.
    pub(crate) output: Output,
    /// The configuration named with `--config`.
    pub(crate) config: Option<PathBuf>,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let remedy = error.remedy.clone();
        let told = ConfigError { remedy: None, ..error };
        Self { hint: remedy, ..Self::config(told) }
    }
}

impl Context {
    /// Where the configuration is.
    pub(crate) fn config_path(&self) -> Result<PathBuf, Failure> {
        let folder = std::env::current_dir().map_err(|error| {
            Failure::new(Exit::Unexpected, "io", format_args!("there is no current folder: {error}"))
        })?;
        Ok(config::discover(self.config.as_deref(), &folder, |name| std::env::var_os(name))?)
    }

    /// The configuration, read and compiled.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let path = self.config_path()?;
        self.output.detail(&format!("configuration: {}", path.display()));
        Ok(Config::load(&path)?)
    }

    /// The configuration, if there is one. One that is there and broken is an error.
    pub(crate) fn load_if_there(&self) -> Result<Option<Loaded>, Failure> {
        if self.config.is_none() && self.config_path().is_err() {
            return Ok(None);
        }
        self.load().map(Some)
    }

    /// The folder that keys, issuers and agents are kept in: the configuration's, or the current one.
    pub(crate) fn base(&self) -> PathBuf {
        self.config_path().ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default()
    }
}
