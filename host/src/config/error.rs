//! A configuration that cannot be used: where, what, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use passgate_api::bundle::BundleError;
use serde_saphyr::Error as YamlError;

/// The greatest edit distance at which a suggestion still helps, in characters.
const MAX_SUGGESTION_DISTANCE: usize = 3;

/// What keeps a configuration from being used. Prints as one line: file, position, member, problem, remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1, when the text itself is at fault.
    pub position: Option<(u64, u64)>,
    /// The member, e.g. `routes[2].path`.
    pub member: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(member) = &self.member {
            write!(f, ": {member}")?;
        }
        write!(f, ": {}", self.problem)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// All that is known to be wrong: at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The first.
    pub first: Box<ConfigError>,
    /// The others.
    pub others: Vec<ConfigError>,
    /// How many more there are.
    pub untold: usize,
}

impl ConfigErrors {
    pub(super) fn map(self, change: impl Fn(ConfigError) -> ConfigError) -> Self {
        let others = self.others.into_iter().map(&change).collect();
        Self { first: Box::new(change(*self.first)), others, untold: self.untold }
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(first: ConfigError) -> Self {
        Self { first: Box::new(first), others: Vec::new(), untold: 0 }
    }
}

impl ConfigError {
    /// The same with the position of its member in the text of its file, where that is not known yet.
    #[must_use]
    pub fn located(self) -> Self {
        super::yaml::located(self)
    }

    pub(super) fn file(file: &Path, problem: impl Into<String>, remedy: Option<&str>) -> Self {
        Self {
            file: file.to_owned(),
            position: None,
            member: None,
            problem: problem.into(),
            remedy: remedy.map(str::to_owned),
        }
    }

    pub(super) fn at_member(
        file: &Path,
        member: impl Into<String>,
        problem: impl Into<String>,
        remedy: Option<&str>,
    ) -> Self {
        Self { member: Some(member.into()), ..Self::file(file, problem, remedy) }
    }

    pub(super) fn bundle(file: &Path, error: BundleError) -> Self {
        Self::at_member(file, error.at, error.why, None)
    }

    /// `member` is the path at which the reader stopped.
    pub(super) fn yaml(file: &Path, member: Option<String>, error: &YamlError) -> Self {
        let error = error.without_snippet();
        let position = error.location().map(|location| (location.line(), location.column()));
        let (problem, remedy) = explain(error);
        let member = member.map(|path| path.trim_end_matches(['?', '.']).to_owned()).filter(|path| !path.is_empty());
        Self { position, member, remedy, ..Self::file(file, problem, None) }
    }
}

fn explain(error: &YamlError) -> (String, Option<String>) {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown member `{field}`"), Some(did_you_mean(field, expected)))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(did_you_mean(variant, expected)))
        }
        YamlError::SerdeMissingField { field, .. } => (format!("member `{field}` is missing"), None),
        YamlError::DuplicateMappingKey { key, .. } => {
            let name = key.as_ref().map(|key| format!(" `{key}`")).unwrap_or_default();
            (format!("member{name} stands twice"), Some("keep one of them".to_owned()))
        }
        YamlError::QuotingRequired { value, .. } => (
            format!("`{value}` reads as a number or a truth value where a text is expected"),
            Some("write it in quotes".to_owned()),
        ),
        YamlError::MergeKeyNotAllowed { .. } => {
            ("merge keys (`<<`) are not accepted".to_owned(), Some("write the members out".to_owned()))
        }
        YamlError::MultipleDocuments { .. } => {
            ("the file holds more than one document".to_owned(), Some("remove the `---` in between".to_owned()))
        }
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => (
            "the file exceeds what a configuration may be: 50,000 values in 16 levels, and a few aliases".to_owned(),
            Some("remove aliases and deep nesting, or split it into several policy files".to_owned()),
        ),
        YamlError::InvalidScalar { ty, .. } if ty.starts_with(['u', 'i']) => {
            ("is not a whole number in range".to_owned(), Some("write decimal digits alone".to_owned()))
        }
        other => (one_line(other), None),
    }
}

/// The parser's own words without its `line … column …` tail and line breaks.
fn one_line(error: &YamlError) -> String {
    let text = error.render();
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the file is not valid YAML");
    let text = first.strip_prefix("error: ").unwrap_or(first);
    let end = text.find(" at line ").unwrap_or(text.len());
    text.get(..end).unwrap_or(text).to_owned()
}

fn did_you_mean(given: &str, expected: &[&str]) -> String {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(given, candidate);
    let nearest = expected.iter().min_by_key(distance).filter(|best| distance(best) <= MAX_SUGGESTION_DISTANCE);
    match nearest {
        Some(best) => format!("did you mean `{best}`?"),
        None if expected.is_empty() => "remove it".to_owned(),
        None => format!("expected one of: {}", expected.join(", ")),
    }
}
