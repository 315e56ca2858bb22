//! How the program ends: one code for each class, and the error that carries it.

use std::fmt;
use std::process::ExitCode;

use passgate_core::attest::DecisionKind;
use passgate_core::reason::Class;

/// The exit codes. They are stable: scripts branch on them instead of reading prose.
///
/// An error never shares a code with a deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done; allowed; valid.
    Ok = 0,
    /// The command line is wrong, or something unexpected happened.
    Unexpected = 1,
    /// A gate said deny.
    Deny = 2,
    /// The policy or configuration is invalid.
    Config = 3,
    /// A gate asks for a person's approval.
    StepUp = 4,
    /// A signature, proof or passport is invalid.
    Invalid = 5,
    /// The store, the network or the API cannot be reached, or the gate fails closed.
    Unreachable = 6,
    /// The ledger is broken.
    LedgerBroken = 7,
}

impl Exit {
    /// Every exit code, in order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Ok,
        Self::Unexpected,
        Self::Deny,
        Self::Config,
        Self::StepUp,
        Self::Invalid,
        Self::Unreachable,
        Self::LedgerBroken,
    ];

    /// The code of a decision whose reason is of `class`, as far as that is known.
    ///
    /// A refused credential and a gate that fails closed are no policy's deny, so they have codes of their own.
    pub(crate) const fn of(decision: DecisionKind, class: Option<Class>) -> Self {
        match (decision, class) {
            (DecisionKind::Allow, _) => Self::Ok,
            (DecisionKind::StepUp, _) => Self::StepUp,
            (DecisionKind::Deny, Some(Class::Credential)) => Self::Invalid,
            (DecisionKind::Deny, Some(Class::Fault)) => Self::Unreachable,
            (DecisionKind::Deny, _) => Self::Deny,
        }
    }

    /// What the code means, for the help text.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done, allowed, valid",
            Self::Unexpected => "wrong usage, or something unexpected",
            Self::Deny => "deny",
            Self::Config => "invalid policy or configuration",
            Self::StepUp => "step_up: a person has to approve first",
            Self::Invalid => "invalid signature, proof or passport",
            Self::Unreachable => "store, network or upstream unreachable, or the gate fails closed",
            Self::LedgerBroken => "the ledger is broken",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The table of exit codes as the help text shows it.
pub(crate) fn table() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        text.push_str(&format!("  {}  {}\n", exit as u8, exit.meaning()));
    }
    text
}

/// Why a command did not get to its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The class of the failure.
    pub(crate) exit: Exit,
    /// A stable machine-readable code.
    pub(crate) code: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// What every command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure with its own code.
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl fmt::Display) -> Self {
        Self { exit, code, message: message.to_string(), hint: None }
    }

    /// The command line cannot be carried out as given.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unexpected, "usage", message)
    }

    /// Something that should not happen.
    pub(crate) fn unexpected(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unexpected, "unexpected", message)
    }

    /// The configuration or policy is not usable.
    pub(crate) fn config(message: impl fmt::Display) -> Self {
        Self::new(Exit::Config, "config_invalid", message)
    }

    /// The store or the network did not answer.
    pub(crate) fn unreachable(message: impl fmt::Display) -> Self {
        Self::new(Exit::Unreachable, "unreachable", message)
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(Exit::Unexpected, "io", format_args!("cannot {what} {}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_their_positions() {
        for (position, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(exit as usize, position);
            assert!(table().contains(&format!("  {position}  {}\n", exit.meaning())));
        }
    }
}
