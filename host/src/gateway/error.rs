//! Why a gateway does not start.

use std::io;
use std::path::PathBuf;

use passgate_store::StoreError;

use super::reviewer::ReviewerError;
use super::webhook::WebhookError;
use crate::attestation_key::KeyError;
use crate::config::ConfigError;
use crate::env::RandomError;
use crate::evaluator::ComponentError;
use crate::files::FileError;
use crate::http::upstream::UpstreamConfigError;
use crate::plugins::PluginError;
use crate::store::remedy;

/// Whose fault an error is, and so what a program exits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The configuration or a file it names.
    Configuration,
    /// A store, an address or a running gateway that cannot be reached or used.
    Unreachable,
    /// Anything else.
    Unexpected,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The attestation key cannot be used.
    #[error("the attestation key: {0}")]
    Key(#[from] KeyError),
    /// The evaluator cannot be used.
    #[error("the evaluator: {0}")]
    Evaluator(#[from] ComponentError),
    /// A plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The upstream cannot be used as configured.
    #[error(transparent)]
    Upstream(#[from] UpstreamConfigError),
    /// Nobody can be told of requests for approval.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// No reviewer can be asked as configured.
    #[error(transparent)]
    Reviewer(#[from] ReviewerError),
    /// The store cannot be used.
    #[error("{error}{remedy}", error = .0, remedy = remedy(.0))]
    Store(#[from] StoreError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot make the control socket {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others could put a socket of their own in the place of the control socket.
    #[error(
        "others can change the folder {} (mode {mode:04o}), so the control socket cannot lie there; \
         run `chmod go-w {}`, or set control.socket to a path in a folder of its own",
        folder.display(),
        folder.display()
    )]
    SocketFolder {
        /// The folder.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A gateway serves on this control socket already.
    #[error("a gateway is running already: it serves on the control socket {}", path.display())]
    Running {
        /// The socket.
        path: PathBuf,
    },
    /// No secure randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The operating system refused something that it should not.
    #[error("unexpected: {0}")]
    Unexpected(#[from] io::Error),
}

impl From<FileError> for ServeError {
    fn from(error: FileError) -> Self {
        Self::Key(error.into())
    }
}

impl ServeError {
    /// Whose fault it is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Config(_)
            | Self::Key(_)
            | Self::Evaluator(_)
            | Self::Plugin(_)
            | Self::Upstream(_)
            | Self::Webhook(_)
            | Self::Reviewer(_)
            | Self::SocketFolder { .. } => ErrorClass::Configuration,
            Self::Store(_) | Self::Listen { .. } | Self::Socket { .. } | Self::Running { .. } => {
                ErrorClass::Unreachable
            }
            Self::Random(_) | Self::Unexpected(_) => ErrorClass::Unexpected,
        }
    }
}
