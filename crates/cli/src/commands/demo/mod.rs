//! `demo`: a gate, a tool API and agents on this machine, and what happens between them.

mod script;
mod stage;
mod tools;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use passgate_host::config::Config;
use passgate_host::env::SystemEnvironment;
use passgate_host::gateway::{Gateway, RunningGateway};
use tokio::net::TcpListener;

use self::stage::Stage;
use self::tools::Tools;
use super::init::{self, Layout, Settings};
use super::serve::stop_signal;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep serving at the end, with commands to try by hand
    #[arg(long)]
    keep: bool,
    /// The gate's port on this machine [default: a free one]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// A new folder for its files, which then stay [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let temporary = match args.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("passgate-demo-").tempdir().map_err(|error| {
            Failure::unexpected(format_args!("no temporary folder: {error}")).hint("name a folder with --dir")
        })?),
    };
    let folder = match (&args.dir, &temporary) {
        // The commands that `--keep` prints are run from elsewhere.
        (Some(folder), _) => std::path::absolute(folder).map_err(|error| Failure::io("find", folder, &error))?,
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => return Err(Failure::unexpected("there is no folder")),
    };
    let tools = Tools::start().await?;
    let (layout, gateway) = start_gate(&folder, &tools, args.port).await?;
    let played = play(&folder, &layout, &gateway, &tools, args, context).await;
    gateway.shutdown().await;
    played
}

async fn play(
    folder: &Path,
    layout: &Layout,
    gateway: &RunningGateway,
    tools: &Tools,
    args: &Args,
    context: &Context,
) -> Outcome {
    let output = &context.output;
    if !output.is_json() {
        output.data(&format!("A gate at {} in front of a tool API at {}.", gateway.info().public_url, tools.url))?;
    }
    let loaded = Config::load(&layout.config)?;
    let mut stage = Stage::open(output, loaded, layout, tools).await?;
    script::play(&mut stage).await?;
    if args.keep {
        keep(folder, &mut stage, context).await?;
    } else if !output.is_json() {
        output.say("Every step ended as expected. `passgate demo --keep` keeps the gate open to try it by hand.");
    }
    Ok(Exit::Ok)
}

async fn start_gate(folder: &Path, tools: &Tools, port: Option<u16>) -> Result<(Layout, RunningGateway), Failure> {
    let address = format!("127.0.0.1:{}", port.unwrap_or_default());
    let taken =
        |error| Failure::unreachable(format_args!("cannot listen on {address}: {error}")).hint("choose another --port");
    let listener = TcpListener::bind(&address).await.map_err(taken)?;
    let settings = Settings {
        gate_id: "gate_demo".to_owned(),
        listen: listener.local_addr().map_err(taken)?.to_string(),
        upstream: tools.url.clone(),
        issuer_id: "https://issuer.passgate.example".to_owned(),
        issuer_name: "demo".to_owned(),
    };
    let layout = init::create(folder, &settings, false)?;
    let loaded = Config::load(&layout.config)?;
    let gateway = Gateway::new(loaded, Arc::new(SystemEnvironment)).listener(listener).start().await?;
    Ok((layout, gateway))
}

async fn keep(folder: &Path, stage: &mut Stage<'_>, context: &Context) -> Result<(), Failure> {
    let stop = stop_signal()?;
    let visitor = stage.hire("visitor", "Visitor", &["web:search", "payments:create", "mail:send"])?;
    let url = stage.url("");
    let config = folder.join("passgate.yml");
    let (config, credentials) = (config.display(), visitor.path.display());
    context.output.say(&format!(
        "\nThe gate stays open until Ctrl-C. Try it from another terminal:\n\n\
        \x20 export PASSGATE_CONFIG='{config}' PASSGATE_CREDENTIALS='{credentials}'\n\
        \x20 passgate call '{url}/search?q=hello'\n\
        \x20 passgate call {url}/pay -d '{{\"amount_usd\": 20}}'\n\
        \x20 passgate call {url}/pay -d '{{\"amount_usd\": 75}}'\n\
        \x20 passgate call {url}/records/7 -X DELETE\n\
        \x20 passgate call '{url}/search?q=again' --replay 1\n\
        \x20 passgate passport revoke '{credentials}'\n\
        \x20 passgate ledger query\n\
        \x20 passgate ledger verify\n"
    ));
    stop.await;
    Ok(())
}
