//! Running other programs, and saying what to do when one fails.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, anyhow, bail};

/// A program call that explains itself when it fails.
pub(crate) struct Task {
    program: String,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    folder: PathBuf,
    remedy: &'static str,
}

impl Task {
    /// `arguments` are split at white space, so none of them may contain any; add those with [`Task::arg`].
    pub(crate) fn new(program: impl AsRef<OsStr>, arguments: &str, folder: &Path) -> Self {
        Self {
            program: program.as_ref().to_string_lossy().into_owned(),
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
            variables: Vec::new(),
            folder: folder.to_path_buf(),
            remedy: "",
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_string_lossy().into_owned());
        self
    }

    /// Several arguments, split at white space as in [`Task::new`].
    pub(crate) fn args(mut self, arguments: &str) -> Self {
        self.arguments.extend(arguments.split_whitespace().map(str::to_owned));
        self
    }

    /// Further arguments, each as it is.
    pub(crate) fn append(mut self, arguments: &[String]) -> Self {
        self.arguments.extend_from_slice(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// What the reader should do when this fails: one sentence.
    pub(crate) fn remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = remedy;
        self
    }

    /// Runs with this terminal's output.
    ///
    /// # Errors
    /// The program is missing or its exit status is not zero; the error names the command, the status and the remedy.
    pub(crate) fn run(&self) -> Result<()> {
        let status = self.command().status().map_err(|error| self.not_started(&error))?;
        if !status.success() {
            bail!(self.failure(&format!("failed ({status})")));
        }
        Ok(())
    }

    /// Runs quietly and returns standard output without surrounding white space.
    ///
    /// # Errors
    /// As [`Task::run`], with what the program wrote to standard error.
    pub(crate) fn output(&self) -> Result<String> {
        let output = self.command().stdin(Stdio::null()).output().map_err(|error| self.not_started(&error))?;
        if !output.status.success() {
            let talk = String::from_utf8_lossy(&output.stderr);
            bail!(self.failure(&format!("failed ({}): {}", output.status, talk.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Whether the program is there and succeeds, quietly.
    pub(crate) fn succeeds(&self) -> bool {
        self.output().is_ok()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.folder);
        // What cargo tells this program about itself would reach the build scripts of others and rebuild them.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn not_started(&self, error: &std::io::Error) -> anyhow::Error {
        anyhow!(self.failure(&format!("could not be started ({error})")))
    }

    fn failure(&self, what: &str) -> String {
        let mut text = format!("`{}` {what}", self.shown());
        if !self.remedy.is_empty() {
            // A formatter that writes to a String cannot fail.
            let _infallible = write!(text, "\n  what to do: {}", self.remedy);
        }
        text
    }

    fn shown(&self) -> String {
        // These are long, and repeating the command by hand rarely needs them.
        let long = ["PATH", "CARGO_ENCODED_RUSTFLAGS"];
        let variables = self.variables.iter().filter(|(name, _)| !long.contains(name));
        let variables = variables.map(|(name, value)| format!("{name}={value}"));
        let words = variables.chain([self.program.clone()]).chain(self.arguments.iter().cloned());
        words.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::Task;

    #[test]
    fn a_failure_names_the_command_its_status_and_the_remedy() {
        let task = Task::new("false", "--some flag", "/".as_ref()).env("KEY", "value").remedy("Do this.");
        let error = task.run().unwrap_err().to_string();
        assert_eq!(error, "`KEY=value false --some flag` failed (exit status: 1)\n  what to do: Do this.");
    }

    #[test]
    fn a_missing_program_is_a_failure_with_the_remedy() {
        let task = Task::new("passgate-no-such-program", "", "/".as_ref()).remedy("Install it.");
        assert!(!task.succeeds());
        let error = task.output().unwrap_err().to_string();
        assert!(error.starts_with("`passgate-no-such-program` could not be started ("), "{error}");
        assert!(error.ends_with(")\n  what to do: Install it."), "{error}");
    }

    #[test]
    fn output_is_trimmed_and_standard_error_is_reported() {
        let folder = "/".as_ref();
        assert_eq!(Task::new("printf", "", folder).arg(" a b \n").output().unwrap(), "a b");
        let error = Task::new("sh", "-c", folder).arg("echo why >&2; exit 3").output().unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("why"), "{error}");
    }
}
