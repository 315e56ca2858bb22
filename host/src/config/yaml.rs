//! Reading the text: one document, bounded, and written by nobody but its owners.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_saphyr::{MergeKeyPolicy, Options};

use super::error::ConfigError;
use super::scalars;
use crate::files;

/// The longest configuration read, in bytes.
pub(super) const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Reads the file as text of at most [`MAX_CONFIG_BYTES`].
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |error: std::io::Error| {
        ConfigError::file(
            path,
            format!("cannot be read: {error}"),
            Some("name a file that can be read; `passgate init` makes a configuration"),
        )
    };
    let file = File::open(path).map_err(failed)?;
    if files::is_open_to_all(&file).map_err(failed)? {
        let remedy = format!("run `chmod o-w {}`", path.display());
        return Err(ConfigError::file(path, "can be changed by every user of this machine", Some(&remedy)));
    }
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(ConfigError::file(path, "is longer than 1 MiB, which no configuration needs", None));
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::file(path, "is not UTF-8 text", Some("save it as UTF-8")))
}

/// Reads the text of `path`.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    scalars::check(path, text)?;
    let mut member = None;
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            member = Some(error.path().to_string());
            error.into_inner()
        })
    })
    .map_err(|error| ConfigError::yaml(path, member.take(), &error))
}

/// Where in the text of its file the member stands that an error is about.
pub(super) fn located(error: ConfigError) -> ConfigError {
    let missing = error.member.as_ref().filter(|_| error.position.is_none());
    let text = missing.and_then(|_| std::fs::read_to_string(&error.file).ok());
    let position = missing.zip(text).and_then(|(member, text)| scalars::locate(&text, member));
    ConfigError { position: error.position.or(position), ..error }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_nodes: 50_000,
            max_depth: 16,
            max_documents: 4,
            max_aliases: 16,
            max_anchors: 16,
            max_recorded_anchor_events: 1_000,
            max_recorded_anchor_bytes: 64 * 1024,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 1_000,
            max_replay_stack_depth: 2,
        },
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        no_schema: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}
