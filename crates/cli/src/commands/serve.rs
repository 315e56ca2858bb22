//! `serve`: the gateway, until it is told to stop.

use std::io::IsTerminal as _;
use std::sync::Arc;

use passgate_host::env::SystemEnvironment;
use passgate_host::gateway::{ErrorClass, ServeError, serve};
use passgate_host::logging::{self, LEVEL_VARIABLE};
use tokio::signal::unix::{SignalKind, signal};

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Arguments of `serve`: everything stands in the configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let (exit, code) = match error.class() {
            ErrorClass::Configuration => (Exit::Config, "config_invalid"),
            ErrorClass::Unreachable => (Exit::Unreachable, "unreachable"),
            ErrorClass::Unexpected => (Exit::Unexpected, "unexpected"),
        };
        Self::new(exit, code, error)
    }
}

pub(crate) async fn run(_args: &Args, context: &Context) -> Outcome {
    let loaded = context.load()?;
    let level = std::env::var(LEVEL_VARIABLE).ok().filter(|level| !level.is_empty());
    logging::init(&loaded.config.log, level.as_deref(), std::io::stderr().is_terminal()).map_err(Failure::config)?;
    let stop = stop_signal()?;
    let output = context.output;
    serve(loaded, Arc::new(SystemEnvironment), |info| output.say(&info.to_string()), stop).await?;
    output.say("Stopped");
    Ok(Exit::Ok)
}

/// Completes at the first SIGINT or SIGTERM.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()> + Send, Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::unexpected(format_args!("cannot listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
