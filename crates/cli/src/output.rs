//! Where text goes: data to stdout, talk to stderr.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use passgate_core::attest::DecisionKind;
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure};
use crate::inert::{inert, inert_json, inert_lines};

/// The version of every JSON object printed here.
pub(crate) const SCHEMA_VERSION: u64 = 1;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// For programs: one object with a `schema_version`, or one object a line.
    Json,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A colour with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// It holds.
    Good,
    /// It needs attention.
    Wait,
    /// It does not hold.
    Bad,
}

impl Paint {
    /// A decision's colour.
    pub(crate) const fn of(decision: DecisionKind) -> Self {
        match decision {
            DecisionKind::Allow => Self::Good,
            DecisionKind::StepUp => Self::Wait,
            DecisionKind::Deny => Self::Bad,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Wait => "33",
            Self::Bad => "31",
        }
    }
}

/// The two streams with the user's wishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// How data is printed.
    pub(crate) format: Format,
    color: bool,
    quiet: bool,
    verbose: bool,
}

impl Output {
    /// Automatic colour needs both streams on a terminal, so that none gets into a file.
    pub(crate) fn new(format: Format, color: Color, quiet: bool, verbose: bool) -> Self {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && io::stderr().is_terminal() && !is_set("NO_COLOR"),
        };
        Self { format, color, quiet, verbose }
    }

    /// Whether data is printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A line of data. The caller has made text from elsewhere inert.
    pub(crate) fn data(&self, line: &str) -> Result<(), Failure> {
        let mut line = line.to_owned();
        line.push('\n');
        self.raw(line.as_bytes())
    }

    /// Bytes of data, unchanged.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| stdout_failure(&error))
    }

    /// Bytes from elsewhere: unchanged into a file or pipe, inert on a terminal.
    pub(crate) fn foreign(&self, bytes: &[u8]) -> Result<(), Failure> {
        if io::stdout().is_terminal() {
            self.raw(inert_lines(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            self.raw(bytes)
        }
    }

    /// `members` as one JSON object with its `schema_version`, on one line.
    pub(crate) fn json(&self, members: Value) -> Result<(), Failure> {
        let object = match members {
            Value::Object(members) => versioned(members),
            other => other,
        };
        self.data(&inert_json(&object.to_string()))
    }

    /// A line of talk.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            self.talk(line);
        }
    }

    /// A line of talk for `--verbose`.
    pub(crate) fn detail(&self, line: &str) {
        if self.verbose && !self.quiet {
            self.talk(line);
        }
    }

    /// A warning; `--quiet` does not hide it.
    pub(crate) fn warn(&self, line: &str) {
        self.talk(&format!("{} {line}", self.paint(Paint::Wait, "warning:")));
    }

    /// Prints a failure: for people, or as one line of JSON.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.is_json() {
            let error = json!({ "code": failure.code, "message": failure.message, "hint": failure.hint });
            let object = json!({ "schema_version": SCHEMA_VERSION, "error": error });
            self.talk(&inert_json(&object.to_string()));
            return;
        }
        self.talk(&format!("{} {}", self.paint(Paint::Bad, "error:"), inert_lines(&failure.message)));
        if let Some(hint) = &failure.hint {
            self.talk(&format!("  hint: {}", inert_lines(hint)));
        }
    }

    /// `text` in a colour, when colour is wanted.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        if self.color { format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code()) } else { text.to_owned() }
    }

    /// Lines of `name  value`, the values aligned and inert.
    pub(crate) fn members(&self, members: &[(&str, String)]) -> Result<(), Failure> {
        aligned(members).iter().try_for_each(|line| self.data(line))
    }

    /// A failure to write talk has nowhere to be reported.
    fn talk(&self, line: &str) {
        let _unreported = writeln!(io::stderr().lock(), "{line}");
    }
}

/// Lines of `name  value`, the values aligned and both inert.
pub(crate) fn aligned(members: &[(impl AsRef<str>, String)]) -> Vec<String> {
    let names: Vec<String> = members.iter().map(|(name, _)| inert(name.as_ref())).collect();
    let width = names.iter().map(String::len).max().unwrap_or_default();
    names.iter().zip(members).map(|(name, (_, value))| format!("{name:width$}  {}", inert(value))).collect()
}

fn versioned(members: Map<String, Value>) -> Value {
    let mut object = Map::new();
    object.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
    object.extend(members);
    Value::Object(object)
}

/// A reader that went away, such as `head`, has got what it wanted.
pub(crate) fn stdout_failure(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new(Exit::Ok, CLOSED_PIPE, "the reader of the output is gone");
    }
    Failure::unexpected(format_args!("cannot write the output: {error}"))
}

/// The code of the failure that is none.
pub(crate) const CLOSED_PIPE: &str = "closed_pipe";

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}
