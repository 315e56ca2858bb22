//! The running gateway or its store, with the command line's errors.

use std::fmt;
use std::io;
use std::sync::Arc;

use passgate_core::state::Subject;
use passgate_host::config::Loaded;
use passgate_host::control::{Access, AccessError, ClientError, Revocation};
use passgate_host::env::SystemEnvironment;
use passgate_host::gateway::ErrorClass;

use crate::exit::{Exit, Failure};
use crate::output::stdout_failure;
use crate::span;

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        if let AccessError::Output(source) | AccessError::Client(ClientError::Output(source)) = &error
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            return stdout_failure(source);
        }
        let (exit, code) = match error.class() {
            ErrorClass::Configuration => (Exit::Config, "config_invalid"),
            ErrorClass::Unreachable => (Exit::Unreachable, "unreachable"),
            ErrorClass::Unexpected => (Exit::Unexpected, "unexpected"),
        };
        let failure = Self::new(exit, code, &error);
        match error {
            AccessError::NoStore { .. } => {
                failure.hint("the store is made when the gate is served for the first time: `passgate serve`")
            }
            AccessError::Volatile => failure.hint("start the gate with `passgate serve`"),
            _ => failure,
        }
    }
}

/// The running gateway; without one, its store.
pub(crate) async fn open(loaded: &Loaded) -> Result<Access, Failure> {
    Ok(Access::open(loaded, Arc::new(SystemEnvironment)).await?)
}

/// As [`open`], and makes the store when the gate was never served.
pub(crate) async fn open_or_create(loaded: &Loaded) -> Result<Access, Failure> {
    Ok(Access::open_or_create(loaded, Arc::new(SystemEnvironment)).await?)
}

/// As [`open`]; nothing when no gateway runs and it left nothing.
pub(crate) async fn open_if_there(loaded: &Loaded) -> Result<Option<Access>, AccessError> {
    match Access::open(loaded, Arc::new(SystemEnvironment)).await {
        Ok(access) => Ok(Some(access)),
        Err(AccessError::NoStore { .. } | AccessError::Volatile) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Which of the two it is.
pub(crate) const fn describe(access: &Access) -> &'static str {
    match access {
        Access::Running(_) => "the running gateway",
        Access::Offline(_) => "its store",
    }
}

/// What is known of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RevocationCheck {
    /// Something the passport depends on is revoked.
    Revoked {
        /// What.
        what: &'static str,
        /// Since which Unix second.
        at: i64,
    },
    /// Nothing is revoked, says the gateway or its store.
    NotRevoked(&'static str),
    /// Nobody could be asked.
    NotChecked,
}

impl fmt::Display for RevocationCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked { what, at } => write!(f, "the {what} is revoked since {}", span::date(*at)),
            Self::NotRevoked(by) => write!(f, "none, checked against {by}"),
            Self::NotChecked => f.write_str("not checked (no gateway runs, and no store was found)"),
        }
    }
}

/// Whether one of `all` is revoked.
pub(crate) async fn revocation(loaded: &Loaded, all: &[Revocation]) -> Result<RevocationCheck, Failure> {
    let Some(access) = open_if_there(loaded).await? else {
        return Ok(RevocationCheck::NotChecked);
    };
    for one in all {
        if let Some(at) = access.revocation(one).await?.revoked_at {
            let what = match one.subject() {
                Subject::Passport(_) => "passport",
                Subject::Agent { .. } => "agent",
                Subject::Key(_) => "agent's key",
                Subject::Issuer(_) => "issuer",
            };
            return Ok(RevocationCheck::Revoked { what, at });
        }
    }
    Ok(RevocationCheck::NotRevoked(describe(&access)))
}
