//! The gate that a command asks: one that runs elsewhere, the running gateway, or its store.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use passgate_host::config::Loaded;
use passgate_host::control::{Access, AccessError, ClientError, PluginKey, RemoteGate, RemoteGateError, Revocation};
use passgate_host::env::SystemEnvironment;
use passgate_host::gateway::ErrorClass;
use passgate_host::http::upstream::TrustRoots;
use passgate_host::plugins::PluginKeys;

use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::stdout_failure;
use crate::{files, input, span};

/// Names the gate when the flag does not.
const GATE_VARIABLE: &str = "PASSGATE_GATE";
/// Names the file with the API key when the flag does not.
const API_KEY_VARIABLE: &str = "PASSGATE_API_KEY_FILE";

/// Which gate is asked.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct GateArgs {
    /// Ask the gate that is reached at this URL instead of the configuration's [default: $PASSGATE_GATE]
    #[arg(long, value_name = "URL", help_heading = REMOTE_HEADING)]
    gate: Option<String>,
    /// The file with an API key of that gate [default: $PASSGATE_API_KEY_FILE]
    #[arg(long, value_name = "FILE", help_heading = REMOTE_HEADING)]
    api_key_file: Option<PathBuf>,
    /// A PEM file with the certificate authorities to trust there, instead of the public ones
    #[arg(long, value_name = "FILE", help_heading = REMOTE_HEADING)]
    ca_file: Option<PathBuf>,
}

const REMOTE_HEADING: &str = "A gate that runs elsewhere";

impl GateArgs {
    /// The gate that was named, if one was. A configuration that was named on the command line goes before a gate of the
    /// environment.
    pub(crate) fn named(&self, context: &Context) -> Result<Option<RemoteGate>, Failure> {
        let of_environment = || variable(GATE_VARIABLE).filter(|_| context.config.is_none());
        match self.gate.clone().or_else(of_environment) {
            Some(url) => self.remote(&url).map(Some),
            None if self.api_key_file.is_some() => {
                Err(Failure::usage("an API key is for a gate that runs elsewhere")
                    .hint("name the gate with --gate URL"))
            }
            None => Ok(None),
        }
    }

    /// The gate that has to be named.
    pub(crate) fn required(&self) -> Result<RemoteGate, Failure> {
        let url = self.gate.clone().or_else(|| variable(GATE_VARIABLE)).ok_or_else(|| {
            Failure::usage("no gate is named").hint(format_args!("name it with --gate URL or {GATE_VARIABLE}"))
        })?;
        self.remote(&url)
    }

    fn remote(&self, url: &str) -> Result<RemoteGate, Failure> {
        let file = self.api_key_file.clone().or_else(|| variable(API_KEY_VARIABLE).map(PathBuf::from));
        let file = file.ok_or_else(|| {
            Failure::usage(format_args!("no API key for {url}"))
                .hint(format_args!("name its file with --api-key-file FILE or {API_KEY_VARIABLE}"))
        })?;
        let key = files::read_api_key(&file)?;
        Ok(RemoteGate::new(url, &key, trust_roots(self.ca_file.as_deref())?)?)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The certificate authorities in the file; without one, the public ones.
pub(crate) fn trust_roots(ca_file: Option<&Path>) -> Result<TrustRoots, Failure> {
    let Some(path) = ca_file else { return Ok(TrustRoots::mozilla()) };
    let pem = input::read(&path.display().to_string())?;
    TrustRoots::from_pem(&pem).map_err(|error| Failure::usage(format_args!("{} {error}", path.display())))
}

impl From<RemoteGateError> for Failure {
    fn from(error: RemoteGateError) -> Self {
        match error {
            RemoteGateError::Url(_) => Self::usage(error).hint("records are filtered by a gate's id with --gate-id"),
            RemoteGateError::Plain(_) => Self::usage(error),
            RemoteGateError::Key => Self::new(Exit::Invalid, "key_malformed", error)
                .hint("make one with `passgate keys api-key --out FILE`"),
            _ => Self::unexpected(error),
        }
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        if let AccessError::Output(source) | AccessError::Client(ClientError::Output(source)) = &error
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            return stdout_failure(source);
        }
        if let AccessError::Client(ClientError::Refused { status: 401 | 403, .. }) = &error {
            return Self::new(Exit::Unexpected, "unauthorised", &error)
                .hint("use an API key that the gate lists, with the scope that this takes");
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

/// The gate that was named; else the configuration's running gateway; without one, its store.
pub(crate) async fn open(gate: &GateArgs, context: &Context) -> Result<Access, Failure> {
    match gate.named(context)? {
        Some(remote) => Ok(Access::remote(remote)?),
        None => open_own(&context.load()?).await,
    }
}

/// The configuration's running gateway; without one, its store.
pub(crate) async fn open_own(loaded: &Loaded) -> Result<Access, Failure> {
    Ok(Access::open(loaded, Arc::new(SystemEnvironment)).await?)
}

/// As [`open`], and makes the store when the gate was never served.
pub(crate) async fn open_or_create(gate: &GateArgs, context: &Context) -> Result<Access, Failure> {
    match gate.named(context)? {
        Some(remote) => Ok(Access::remote(remote)?),
        None => Ok(Access::open_or_create(&context.load()?, Arc::new(SystemEnvironment)).await?),
    }
}

/// The keys of plugins at the running gateway or in its store; none when the gate was never served.
pub(crate) struct GateKeys(pub(crate) Loaded);

#[async_trait]
impl PluginKeys for GateKeys {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        let of = PluginKey { plugin: plugin.to_owned(), key: key.to_owned() };
        let access = open_if_there(&self.0).await.map_err(|error| error.to_string())?;
        let Some(access) = access else { return Ok(None) };
        access.plugin_key(&of).await.map_err(|error| error.to_string())
    }
}

/// The configuration's running gateway or its store; nothing when no gateway runs and it left nothing.
pub(crate) async fn open_if_there(loaded: &Loaded) -> Result<Option<Access>, AccessError> {
    match Access::open(loaded, Arc::new(SystemEnvironment)).await {
        Ok(access) => Ok(Some(access)),
        Err(AccessError::NoStore { .. } | AccessError::Volatile) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Which of the three it is.
pub(crate) fn describe(access: &Access) -> Cow<'static, str> {
    match access {
        Access::Running(client) => match client.remote_origin() {
            Some(origin) => format!("the gate at {origin}").into(),
            None => "the running gateway".into(),
        },
        Access::Offline(_) => "its store".into(),
    }
}

/// What is known of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RevocationCheck {
    /// Something the passport depends on is revoked.
    Revoked {
        /// What, with its id.
        what: String,
        /// Since which Unix second.
        at: i64,
    },
    /// Something the passport depends on is suspended, and nothing revoked.
    Suspended {
        /// What, with its id.
        what: String,
        /// Since which Unix second.
        at: i64,
    },
    /// Nothing is revoked or suspended, says the gateway or its store.
    NotRevoked(Cow<'static, str>),
    /// Nobody could be asked.
    NotChecked,
}

impl fmt::Display for RevocationCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked { what, at } => write!(f, "the {what} is revoked since {}", span::date(*at)),
            Self::Suspended { what, at } => write!(f, "the {what} is suspended since {}", span::date(*at)),
            Self::NotRevoked(by) => write!(f, "none, checked against {by}"),
            Self::NotChecked => f.write_str("not checked (no gateway runs, and no store was found)"),
        }
    }
}

impl RevocationCheck {
    /// The code of what is revoked or suspended; nothing when neither is known.
    pub(crate) const fn denied(&self) -> Option<&'static str> {
        match self {
            Self::Revoked { .. } => Some("revoked"),
            Self::Suspended { .. } => Some("suspended"),
            Self::NotRevoked(_) | Self::NotChecked => None,
        }
    }
}

/// Whether one of `all` is revoked or suspended, says the gate that was named or the configuration's.
pub(crate) async fn revocation(
    remote: Option<RemoteGate>,
    loaded: Option<&Loaded>,
    all: &[Revocation],
) -> Result<RevocationCheck, Failure> {
    let opened = match (remote, loaded) {
        (Some(gate), _) => Some(Access::remote(gate)?),
        (None, Some(loaded)) => open_if_there(loaded).await?,
        (None, None) => None,
    };
    let Some(access) = opened else {
        return Ok(RevocationCheck::NotChecked);
    };
    let mut suspended = None;
    for one in all {
        let state = access.revocation(one).await?;
        if let Some(at) = state.revoked_at {
            return Ok(RevocationCheck::Revoked { what: one.to_string(), at });
        }
        let suspension = || state.suspended_at.map(|at| RevocationCheck::Suspended { what: one.to_string(), at });
        suspended = suspended.or_else(suspension);
    }
    Ok(suspended.unwrap_or_else(|| RevocationCheck::NotRevoked(describe(&access))))
}
