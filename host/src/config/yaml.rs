//! Reading the text: one document, bounded, every scalar with one reading.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};
use serde_saphyr::{MergeKeyPolicy, Options};

use super::doc::Config;
use super::error::ConfigError;

/// The longest configuration read, in bytes.
pub(super) const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Reads the file as text of at most [`MAX_CONFIG_BYTES`].
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |error: std::io::Error| {
        ConfigError::file(
            path,
            format!("cannot be read: {error}"),
            Some("name another file with --config, or run `passgate init`"),
        )
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(ConfigError::file(path, "is longer than 1 MiB, which no configuration needs", None));
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::file(path, "is not UTF-8 text", Some("save it as UTF-8")))
}

/// Reads the text of `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let mut member = None;
    let config = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            member = Some(error.path().to_string());
            error.into_inner()
        })
    })
    .map_err(|error| ConfigError::yaml(path, member.take(), &error))?;
    refuse_ambiguous_scalars(path, text)?;
    Ok(config)
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

/// YAML 1.1 reads `0400` as octal and `no` as false, YAML 1.2 does not: a setting must not depend on which one a reader
/// has in mind.
fn refuse_ambiguous_scalars(path: &Path, text: &str) -> Result<(), ConfigError> {
    for event in Parser::new_from_str(text) {
        // The text was read in full before, so there is no error left to find.
        let Ok((event, span)) = event else { return Ok(()) };
        let Event::Scalar(value, ScalarStyle::Plain, ..) = &event else { continue };
        if is_ambiguous_number(value) || is_old_truth_value(value) {
            let position = Some((span.start.line() as u64, span.start.col() as u64 + 1));
            let problem = format!("`{value}` reads differently in different YAML versions");
            let remedy = Some("write a plain decimal number, or a text in quotes");
            return Err(ConfigError { position, ..ConfigError::file(path, problem, remedy) });
        }
    }
    Ok(())
}

fn is_old_truth_value(scalar: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off"].iter().any(|word| word.eq_ignore_ascii_case(scalar))
}

fn is_ambiguous_number(scalar: &str) -> bool {
    let unsigned = scalar.strip_prefix(['+', '-']).unwrap_or(scalar);
    let Some(rest) = unsigned.strip_prefix('0') else { return false };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_');
    match rest.bytes().next() {
        Some(b'o' | b'x' | b'b' | b'O' | b'X' | b'B') => {
            rest.get(1..).is_some_and(|tail| !tail.is_empty() && digits(tail))
        }
        Some(first) => {
            (first.is_ascii_digit() || first == b'_') && rest.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        }
        None => false,
    }
}
