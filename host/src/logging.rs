//! The log on standard error: one line per decision, and what goes wrong.
//!
//! Header values, tokens and bodies are never logged. Text that an agent chose passes through [`inert`] first.

use std::borrow::Cow;

use passgate_api::view::is_hostile;
use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogDoc, LogFormat, LogLevel};

/// The environment variable that sets the log level, and nothing else.
pub const LEVEL_VARIABLE: &str = "PASSGATE_LOG";
/// The longest text from an agent in one log field, in characters.
const MAX_FIELD_CHARS: usize = 256;

/// The log cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// [`LEVEL_VARIABLE`] holds something else than a level.
    #[error("PASSGATE_LOG: `{0}` is no log level; use error, warn, info or debug")]
    Level(String),
    /// A log was set up before.
    #[error("the log is set up already")]
    Twice,
}

/// Sets up the log of the process. `level` is the value of [`LEVEL_VARIABLE`]; `terminal` says whether standard error
/// is one.
///
/// # Errors
///
/// [`LogError`].
pub fn init(log: &LogDoc, level: Option<&str>, terminal: bool) -> Result<(), LogError> {
    let level = level.map_or(Ok(log.level), parse_level)?;
    let log = LogDoc { level, ..log.clone() };
    tracing::subscriber::set_global_default(subscriber(&log, terminal, std::io::stderr)).map_err(|_| LogError::Twice)
}

/// What writes the log in the form and from the level that `log` says.
pub fn subscriber<W>(log: &LogDoc, terminal: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let default = if terminal { LogFormat::Text } else { LogFormat::Json };
    let builder = tracing_subscriber::fmt().with_env_filter(filter(log.level)).with_writer(writer);
    match log.format.unwrap_or(default) {
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_current_span(false).finish()),
        LogFormat::Text => Box::new(builder.with_ansi(terminal).with_target(false).finish()),
    }
}

/// Dependencies speak up from `warn` on: below it they may log header values.
fn filter(level: LogLevel) -> EnvFilter {
    let (own, others) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Debug => ("debug", "warn"),
    };
    EnvFilter::new(format!("{others},passgate={own}"))
}

fn parse_level(text: &str) -> Result<LogLevel, LogError> {
    match text {
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        other => Err(LogError::Level(inert(other).into_owned())),
    }
}

/// The text with every [hostile](is_hostile) character written out, and cut to 256 characters.
#[must_use]
pub fn inert(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_FIELD_CHARS && !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(MAX_FIELD_CHARS) + 16);
    for c in text.chars().take(MAX_FIELD_CHARS) {
        if is_hostile(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(MAX_FIELD_CHARS).is_some() {
        out.push_str("...");
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_written_out() {
        for (text, shown) in [
            ("agent-7", "agent-7"),
            ("<script>", "<script>"),
            ("a\r\nb", "a\\u{d}\\u{a}b"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("a\u{200b}\u{e0041}", "a\\u{200b}\\u{e0041}"),
            ("\0", "\\u{0}"),
        ] {
            assert_eq!(inert(text), shown);
        }
        let long = inert(&"x".repeat(300)).into_owned();
        assert_eq!(long, format!("{}...", "x".repeat(256)));
        assert_eq!(inert(&"x".repeat(256)), "x".repeat(256));
        assert_eq!(inert(&"\u{e9}".repeat(256)).chars().count(), 256);
    }

    #[test]
    fn levels_have_names() {
        assert_eq!(parse_level("debug"), Ok(LogLevel::Debug));
        assert_eq!(parse_level("trace"), Err(LogError::Level("trace".to_owned())));
        assert_eq!(parse_level("passgate=trace"), Err(LogError::Level("passgate=trace".to_owned())));
    }
}
